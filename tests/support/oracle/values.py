"""Values: their types, what makes two of them equal, and the order they sort in.

Contract, Meaning: "values of different JSON types apart (`"2024"` and `2024` differ; `2024` and `2024.0` do
not)"; "Mixed types sort as BSON does: null < numbers < strings < objects < arrays < booleans".
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Final, TypeAlias, TypeGuard

Json: TypeAlias = Any
"""A value out of a JSON document, or `MISSING`, or an `Instant` that the oracle made."""

Canon: TypeAlias = tuple[Any, ...]
"""A hashable, totally ordered stand-in for a value."""


class OracleRefusal(Exception):
    """The contract answers this request with a 422."""


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""The field is not there, as opposed to being null."""

EPOCH: Final = datetime(1970, 1, 1)
_MILLISECOND: Final = timedelta(milliseconds=1)
_DATE: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})"
    r"(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d+))?)?(?:Z|([+-])(\d{2})(?::?(\d{2}))?)?)?",
    re.ASCII,
)


@dataclass(frozen=True, order=True)
class Instant:
    """A moment, in whole milliseconds since 1970 (UTC); `zone` only says how it is written out."""

    ms: int
    zone: str = "UTC"


def is_number(value: Json) -> TypeGuard[int | float]:
    """Booleans are not numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_nothing(value: Json) -> bool:
    """Null or missing: "Missing and null form one group" (contract, Meaning)."""
    return value is None or value is MISSING


def parse_date(value: Json) -> Instant | None:
    """The instant that an ISO-8601 string names, or None.

    Contract, GroupByField: "a date, or a date-time with or without a zone; UTC assumed; a bare year is no
    date". Below the millisecond, digits are cut. What leaves the years 1 to 9999 in UTC is no date.
    """
    if not isinstance(value, str) or (found := _DATE.fullmatch(value)) is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, zone_hour, zone_minute = found.groups()
    try:
        local = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
    except ValueError:
        return None
    milliseconds = int((fraction or "0").ljust(3, "0")[:3])
    hours, minutes = int(zone_hour or 0), int(zone_minute or 0)
    if hours > 18 or minutes > 59:
        return None
    offset = timedelta(hours=hours, minutes=minutes) * (-1 if sign == "-" else 1)
    try:
        moment = local - offset
    except OverflowError:
        return None
    return Instant((moment - EPOCH) // _MILLISECOND + milliseconds)


def canon(value: Json) -> Canon:
    """Equal for equal values, and ordered as BSON orders them.

    Numbers compare by value, exactly (as Python does for ints and floats). An object is the set of its keys:
    their order does not matter (decided), so they are taken sorted; BSON compares type, name, value of each.
    """
    if is_nothing(value):
        return (0,)
    if is_number(value):
        return (1, value)
    if isinstance(value, str):
        return (2, value)
    if isinstance(value, dict):
        items = [(key, canon(value[key])) for key in sorted(value)]
        return (3, tuple((inner[0], key, inner) for key, inner in items))
    if isinstance(value, list):
        return (4, tuple(canon(item) for item in value))
    if isinstance(value, bool):
        return (5, value)
    if isinstance(value, Instant):
        return (6, value.ms)
    raise TypeError(f"no JSON value: {value!r}")


def narrow(number: Fraction) -> int | float:
    """An exact result as JSON: an int if it is one, otherwise the nearest float (the only rounding)."""
    return number.numerator if number.denominator == 1 else float(number)


def plain(value: Json) -> Json:
    """The value as an answer shows it: integral numbers as ints (so -0.0 is 0), everywhere inside."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return None if value is MISSING else value


def number_label(number: float) -> str:
    """The shortest JSON spelling: `10` for 10.0 (contract, RangeBucket)."""
    if isinstance(number, int) or (number.is_integer() and abs(number) < 1e21):
        return str(int(number))
    return repr(number).replace("e+", "e")


def fold(text: str) -> str:
    """Contract, List filters: "folding is Unicode case folding after NFC normalisation"."""
    return unicodedata.normalize("NFC", text).casefold()


def fold_all(value: Json) -> Json:
    """Every string in a value folded; names of keys stay."""
    if isinstance(value, str):
        return fold(value)
    if isinstance(value, list):
        return [fold_all(item) for item in value]
    if isinstance(value, dict):
        return {key: fold_all(item) for key, item in value.items()}
    return value
