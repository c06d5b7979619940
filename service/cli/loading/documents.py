"""NDJSON and JSON arrays: objects as the API accepts them, passed on unchanged."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from service.cli.loading.cells import is_date, is_timestamp
from service.cli.loading.delimited import encoding_of, undecodable
from service.cli.loading.errors import LoadError
from service.cli.loading.source import FileSource
from service.cli.loading.table import Advance, ColumnDecision, FileRow, Keys, Options, Survey
from service.values import Json

_UTF8: Final = ("utf-8-sig", "ascii")
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_value = msgspec.json.Decoder().decode


class JsonDocuments:
    """Objects as lines or array elements; the service refuses invalid ones and stores the others."""

    def __init__(self, source: FileSource, options: Options) -> None:
        self._source = source
        self._options = options
        self._encoding = encoding_of(source, options.encoding)
        if options.types or options.all_text or options.delimiter or options.nulls:
            raise LoadError(
                f"{source.name}: JSON says itself what is a text and what a number; --types, --text, --null and "
                "--delimiter are for tables"
            )

    def survey(self, advance: Advance) -> Survey:
        survey = Survey(self._unit)
        keys = Keys(survey)
        columns: dict[str, KindOfValues] = {}
        for row in self._read(advance):
            survey.total += 1
            if row.key:
                keys.meet(row.number, row.key)
            if self._options.typed:
                try:
                    for name, value in _flat(row.body).items():
                        columns.setdefault(name, KindOfValues()).meet(value)
                except ValueError as error:
                    survey.refuse(row.number, str(error))
        survey.columns = [ColumnDecision(name, values.kind) for name, values in columns.items()]
        return survey

    def rows(self, names: Mapping[str, str]) -> Iterator[FileRow]:
        for row in self._read(None):
            if self._options.typed:
                try:
                    _flat(row.body)
                except ValueError as error:
                    yield replace(row, error=str(error))
                    continue
                parts = {names.get(name, name): value for name, value in _properties(row.body).items()}
                row = replace(row, body=msgspec.json.encode(parts))
            yield row

    @property
    def _unit(self) -> str:
        raise NotImplementedError

    def _read(self, advance: Advance | None) -> Iterator[FileRow]:
        raise NotImplementedError

    def _row(self, number: int, body: bytes) -> FileRow:
        return FileRow(number, body, key=key_of(body, self._options.key))


class NdjsonDocuments(JsonDocuments):
    """NDJSON."""

    _unit = "line"

    def _read(self, advance: Advance | None) -> Iterator[FileRow]:
        for number, line in enumerate(self._lines(advance), 1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line := line.strip():
                yield self._row(number, line)

    def _lines(self, advance: Advance | None) -> Iterator[bytes]:
        with self._source.open(advance) as binary:
            if self._encoding in _UTF8:
                yield from binary
                return
            import io

            text = io.TextIOWrapper(binary, self._encoding, newline="\n")
            try:
                for line in text:
                    yield line.encode()
            except UnicodeDecodeError:
                where = undecodable(self._source, self._encoding)
                raise LoadError(f"{self._source.name}: {where}; name another --encoding") from None
            finally:
                text.detach()


class Array(JsonDocuments):
    """A JSON array of objects, or one object."""

    _unit = "element"

    def _read(self, advance: Advance | None) -> Iterator[FileRow]:
        with self._source.open(advance) as binary:
            data = binary.read()
        if self._encoding not in _UTF8:
            try:
                data = data.decode(self._encoding).encode()
            except UnicodeDecodeError:
                where = undecodable(self._source, self._encoding)
                raise LoadError(f"{self._source.name}: {where}; name another --encoding") from None
        data = data.removeprefix(b"\xef\xbb\xbf").strip()
        try:
            elements: Sequence[Any] = _array(data) if data.startswith(b"[") else [data]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise LoadError(f"{self._source.name}: this is not a JSON array: {error}") from None
        for number, raw in enumerate(elements, 1):
            # Line ends occur only between tokens, never in strings.
            yield self._row(number, bytes(raw).replace(b"\n", b" ").replace(b"\r", b" "))


def key_of(body: bytes, paths: Sequence[str]) -> tuple[str, ...]:
    """The key's values as texts, each at the root or under `metadata`; empty if one is missing."""
    if not paths:
        return ()
    from service import paths as spelling
    from service.values import MISSING

    try:
        value = _value(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    found = []
    for each in paths:
        path = spelling.parse(each)
        at = spelling.resolve(value, path)
        if at is MISSING:
            at = spelling.resolve(value, ("metadata", *path))
        if at is MISSING or at is None:
            return ()
        found.append(at if isinstance(at, str) else msgspec.json.encode(at).decode())
    return tuple(found)


def _properties(body: bytes) -> dict[str, msgspec.Raw]:
    """The fields of a flat object, or those under its `metadata` if that is all it has."""
    parts: dict[str, msgspec.Raw] = _parts(body)
    if parts.keys() == {"metadata"}:
        parts = _parts(parts["metadata"])
    return parts


def _flat(body: bytes) -> dict[str, Json]:
    """The same, parsed; raises ValueError for anything but an object."""
    try:
        return {name: _value(raw) for name, raw in _properties(body).items()}
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"an object is needed: {error}") from None


@dataclass
class KindOfValues:
    """The common kind of all values of one name."""

    kinds: set[str] = field(default_factory=set)

    def meet(self, value: Json) -> None:
        if isinstance(value, list):
            inner = KindOfValues()
            for each in value:
                inner.meet(each)
            self.kinds.add("list of object" if None in value else f"list of {inner.kind}")
        elif value is not None:
            self.kinds.add(_kind(value))

    @property
    def kind(self) -> str:
        kinds = self.kinds - {"list of null"}
        lists = {each.removeprefix("list of ") for each in kinds if each.startswith("list of ")}
        if lists and len(lists) == len(kinds):
            return f"list of {_common(lists)}"
        return "object" if lists else _common(kinds)


def _common(kinds: set[str]) -> str:
    """The narrowest kind that covers all of them."""
    if not kinds:
        return "null"
    if len(kinds) == 1:
        return next(iter(kinds))
    if kinds <= {"integer", "number"}:
        return "number"
    return "text" if kinds <= {"text", "date", "timestamp"} else "object"


def _kind(value: Json) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -(2**63) <= value < 2**63 else "object"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "date" if is_date(value) else "timestamp" if is_timestamp(value) else "text"
    return "object"


def is_one_value(source: FileSource) -> bool:
    """Whether a `.json` file is an array or a single object, rather than one object per line."""
    with source.open() as binary:
        first = binary.readline().removeprefix(b"\xef\xbb\xbf").strip()
        while not first:
            more = binary.readline()
            if not more:
                return False
            first = more.strip()
    if first.startswith(b"["):
        return True
    try:
        _value(first)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return first in (b"{", b"{}") or (first.startswith(b"{") and not first.endswith(b"}"))
    return False
