"""The interface of all formats: a survey of the whole file before anything is sent, then its rows."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from service.cli.loading.errors import LoadError, UsageError
from service.spelling import did_you_mean

KINDS: Final = ("text", "integer", "number", "boolean", "date", "timestamp")
"""The kinds for `--types`. The last two are texts in a bucket, and separate types in a stream."""

SHOWN: Final = 20
"""Maximum refused rows reported individually."""

Advance = Callable[[int], None]
"""Gets the number of bytes of the file that have been read."""


@dataclass(frozen=True)
class Options:
    """The command-line options for a file."""

    types: Sequence[str] = ()
    """`COLUMN=KIND`, several in one text separated by commas."""
    all_text: bool = False
    encoding: str | None = None
    delimiter: str | None = None
    quote: str | None = '"'
    """None: quotes are part of the cells."""
    nulls: frozenset[str] = frozenset()
    """Cells that mean no value."""
    key: tuple[str, ...] = ()
    """Columns that together identify a row."""
    typed: bool = False
    """For a stream: columns of texts that are all dates get that type."""


@dataclass(frozen=True)
class FileRow:
    """One row: its position in the file, and its JSON or why it is refused."""

    number: int
    body: bytes = b""
    error: str | None = None
    key: tuple[str, ...] = ()


@dataclass
class ColumnDecision:
    """The decision for one column."""

    name: str
    kind: str
    """One of `KINDS`, or `list of …`, `object`, `null`."""
    note: str = ""


@dataclass
class Survey:
    """The contents of a file, known before anything is sent."""

    unit: str
    """What `Row.number` counts: line, row or element."""
    total: int = 0
    """Rows, refused ones included."""
    columns: list[ColumnDecision] = field(default_factory=list)
    refused: list[FileRow] = field(default_factory=list)
    """The first rows that cannot be loaded."""
    refused_count: int = 0
    notes: list[str] = field(default_factory=list)
    repeated: int = 0
    """Number of rows with the key of an earlier row."""
    repeated_at: int | None = None
    """The first of them."""

    def refuse(self, number: int, error: str) -> None:
        self.refused_count += 1
        if len(self.refused) < SHOWN:
            self.refused.append(FileRow(number, error=error))


class Table(Protocol):
    """A file as rows."""

    def survey(self, advance: Advance) -> Survey:
        """Reads the whole file; raises `LoadError` if it cannot be loaded at all."""
        ...

    def rows(self, names: Mapping[str, str]) -> Iterator[FileRow]:
        """All rows in order, including refused ones; `names`: new names of columns."""
        ...


class Keys:
    """Detects rows with the key of an earlier one; takes 8 bytes and a set entry per row."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._seen: set[int] = set()

    def meet(self, number: int, key: tuple[str, ...]) -> None:
        mark = hash(key)
        if mark in self._seen:
            self._survey.repeated += 1
            if self._survey.repeated_at is None:
                self._survey.repeated_at = number
        self._seen.add(mark)


def forced_kinds(options: Options, columns: Sequence[str]) -> dict[str, str]:
    """Column → kind from `--types` and `--text`; raises `UsageError` for an unknown column."""
    found: dict[str, str] = dict.fromkeys(columns, "text") if options.all_text else {}
    for given in options.types:
        # A column's name may itself contain a comma.
        whole = given.rpartition("=")[0] in columns
        for each in [given] if whole else given.split(","):
            name, equals, kind = each.rpartition("=")
            if not equals:
                raise UsageError(f"--types {each}: write COLUMN=TYPE, such as zip=text")
            if kind not in KINDS:
                hint = did_you_mean(kind, KINDS)
                raise UsageError(f"--types {each}: {kind!r} is not a type; known: {', '.join(KINDS)}{hint}")
            known_column(name, columns, "--types")
            found[name] = kind
    return found


def check_names(file: str, columns: Sequence[str], options: Options) -> None:
    """Raises `LoadError` for a column without a name, which no path could address; in a stream it gets one."""
    if "" in columns and not options.typed:
        place = list(columns).index("") + 1
        raise LoadError(f"{file}: column {place} of {len(columns)} has no name; give it one, or leave the column out")


def known_column(name: str, columns: Iterable[str], option: str) -> None:
    columns = list(columns)
    if name not in columns:
        shown = ", ".join(columns[:20]) + (", …" if len(columns) > 20 else "")
        raise UsageError(f"{option}: the file has no column {name!r}{did_you_mean(name, columns)}; it has {shown}")


def shortened(text: str, most: int = 40) -> str:
    """A value shortened for messages."""
    return repr(text if len(text) <= most else text[: most - 1] + "…")
