"""The kind of a text column's cells: numbers only if every one is written back as the same text."""

import re
from dataclasses import dataclass
from typing import Final

import msgspec
import orjson

from service.cli.loading.table import shortened

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,18})", re.ASCII)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:e-[0-9]+)?", re.ASCII)
_JSON_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_LOOSE_INTEGER: Final = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)
_LOOSE_NUMBER: Final = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*", re.ASCII)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_TIMESTAMP: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?",
    re.ASCII,
)
_LONGEST: Final = 400
"""Maximum characters of an integer; Python refuses to parse several thousand."""
_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1


def is_integer(text: str) -> bool:
    """Whether a 64-bit integer is written back as this text."""
    return _INTEGER.fullmatch(text) is not None and text != "-0" and (len(text) < 19 or _LEAST <= int(text) <= _MOST)


def is_number(text: str) -> bool:
    """Whether a JSON number (integers of 64 bits, doubles) is written back, in its shortest spelling, as this text."""
    if is_integer(text):
        return True
    if _NUMBER.fullmatch(text) is None:
        return False
    value = float(text)
    return not value.is_integer() and msgspec.json.encode(value) == text.encode()


def is_date(text: str) -> bool:
    return _DATE.fullmatch(text) is not None and _exists(text)


def is_timestamp(text: str) -> bool:
    """Whether the text is ISO-8601 as the records API accepts it."""
    return _TIMESTAMP.fullmatch(text) is not None and _exists(text)


def _exists(text: str) -> bool:
    from service.values import parse_date

    return parse_date(text) is not None


def written(text: str, kind: str) -> bytes:
    """The cell as JSON of the kind; raises ValueError if it is not of that kind."""
    if kind == "text":
        return orjson.dumps(text)
    if kind == "integer":
        if not _LOOSE_INTEGER.fullmatch(text) or len(text) > _LONGEST or not _LEAST <= int(text) <= _MOST:
            raise ValueError(f"{shortened(text)} is not a 64-bit integer")
        return b"%d" % int(text)
    if kind == "number":
        return _number(text)
    if kind == "boolean":
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{shortened(text)} is neither true nor false")
        return text.lower().encode()
    if kind == "date" and not is_date(text):
        raise ValueError(f"{shortened(text)} is not a date YYYY-MM-DD")
    if kind == "timestamp" and not (is_timestamp(text) or is_date(text)):
        raise ValueError(f"{shortened(text)} is not an ISO-8601 date and time")
    return orjson.dumps(text)


def _number(text: str) -> bytes:
    """The original spelling where it is valid JSON, since the service keeps it unchanged."""
    if not _LOOSE_NUMBER.fullmatch(text):
        raise ValueError(f"{shortened(text)} is not a number")
    if _LOOSE_INTEGER.fullmatch(text):
        if len(text) > _LONGEST or not _LEAST <= int(text) <= _MOST:
            raise ValueError(f"{shortened(text)} does not fit into 64 bits")
        return text.encode() if _JSON_NUMBER.fullmatch(text) else b"%d" % int(text)
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{shortened(text)} is larger than any double")
    return text.encode() if _JSON_NUMBER.fullmatch(text) else msgspec.json.encode(value)


@dataclass
class Deciding:
    """The kind of one column, narrowed cell by cell."""

    name: str
    nulls: frozenset[str]
    forced: str | None = None
    typed: bool = False
    """Whether dates are recognised in texts."""
    filled: int = 0
    empty: int = 0
    _integers: bool = True
    _numbers: bool = True
    _dates: bool = True
    _timestamps: bool = True
    _against: str = ""
    """Why the column is not numeric."""

    def meet(self, text: str, line: int) -> None:
        """Adds a cell; raises ValueError if it is not of the requested kind."""
        if not text or text in self.nulls:
            self.empty += 1
            return
        self.filled += 1
        if self.forced:
            if self.forced != "text":
                written(text, self.forced)
            return
        if self._numbers and not (self._integers and is_integer(text)):
            self._integers = False
            if not is_number(text):
                self._numbers = False
                self._against = f"line {line:,} has {shortened(text)}"
        if self.typed and not self._numbers:
            self._dates = self._dates and is_date(text)
            self._timestamps = self._timestamps and is_timestamp(text)
        elif self.typed:
            self._dates = self._timestamps = False

    @property
    def kind(self) -> str:
        if self.forced:
            return self.forced
        if not self.filled:
            return "text"
        if self._integers:
            return "integer"
        if self._numbers:
            return "number"
        if self.typed and self._dates:
            return "date"
        return "timestamp" if self.typed and self._timestamps else "text"

    @property
    def note(self) -> str:
        reasons = []
        if self.forced:
            reasons.append("as asked for")
        elif not self.filled:
            reasons.append("no cell has anything in it")
        elif self._against:
            reasons.append(self._against)
        if self.empty and self.filled:
            reasons.append(f"{self.empty:,} {'empty' if self.kind == 'text' and not self.nulls else 'without a value'}")
        return "; ".join(reasons)
