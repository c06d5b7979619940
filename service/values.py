"""Semantics of JSON values: identity, order, dates (contract, Meaning; MongoDB's BSON order)."""

import json
import re
import unicodedata
from collections.abc import Hashable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, TypeGuard

import orjson

Json = Any
"""Any JSON value as parsed by Python."""


class Missing:
    """A missing field, as opposed to one that is null."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()

_DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?"
    r"(Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = _EPOCH.replace(tzinfo=None)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND


_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')


def members_of(value: Json) -> int:
    """The number of members of all objects in a value."""
    count = 0
    stack = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, dict):
            count += len(each)
            stack += [inner for inner in each.values() if isinstance(inner, dict | list)]
        elif isinstance(each, list):
            stack += [inner for inner in each if isinstance(inner, dict | list)]
    return count


def key_given_twice(text: bytes, members: int) -> str | None:
    """A key that occurs twice in one object of a JSON text; a parser silently drops all but the last.

    `members`: the number of members in the parsed value. An unescaped quote before a colon ends a key, so compact
    texts are decided by counting; only if the counts differ is the text parsed again.
    """
    if text.count(b'":') == members or _STRING.sub(b"", text).count(b":") == members:
        return None
    found: str | None = None

    def check(pairs: list[tuple[str, Json]]) -> None:
        nonlocal found
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                found = name
            seen.add(name)

    json.loads(text, object_pairs_hook=check)
    return found[:60] if found is not None else None


_BYTE = re.compile(r" \(byte (\d+)\)$")
_LONE_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def no_json(error: Exception, text: bytes) -> str:
    """`not valid JSON: expected ':' at line 2, column 5`: a decoder's message with an editor's position."""
    return f"not valid JSON: {_syntax(str(error), text)}"


def _syntax(reason: str, text: bytes) -> str:
    if text.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return "it begins with a byte order mark; send UTF-8 without one"
    if "codec can't decode" in reason:
        return "a text in it is not UTF-8"
    if not text.strip():
        return "it is empty"
    place = _BYTE.search(reason)
    if place is None:
        if "truncated" in reason:
            return "half of a surrogate pair" if _LONE_SURROGATE.search(text) else "it ends too early"
        return "a number is out of range, beyond what doubles hold" if "out of range" in reason else reason
    before = text[: int(place[1])]
    column = len(before.rpartition(b"\n")[2].decode(errors="replace")) + 1
    # A one-line text may be a line of a larger one, whose number is reported separately.
    line = f"line {before.count(bytes([10])) + 1}, " if b"\n" in text.strip() else ""
    return f"{reason[: place.start()].removeprefix('JSON is malformed: ')} at {line}column {column}"


def encode_json(value: Json) -> bytes:
    """Compact JSON, with every digit of integers beyond 64 bits."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def is_number(value: Json | Missing) -> TypeGuard[int | float]:
    """Numbers are int and float; a boolean is not, unlike in Python."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def parse_date(text: str) -> int | None:
    """Epoch milliseconds of an ISO-8601 date or date-time, None for anything else.

    UTC is assumed without a zone; a bare year, a week date and an impossible day are not dates.
    Fractions are truncated to milliseconds.
    """
    if len(text) < 10 or text[4] != "-" or text[7] != "-":
        return None
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        # Most have seconds: these are parsed in one step.
        moment = (
            datetime.fromisoformat(text[:19])
            if second
            else datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0))
        )
    except ValueError:
        return None
    millis = (moment - _NAIVE_EPOCH) // _MILLISECOND
    if fraction:
        millis += int(f"{fraction}000"[:3])
    if zone and zone != "Z":
        hours, minutes = int(zone[1:3]), int(zone[-2:]) if len(zone) > 3 else 0
        if hours > 18 or minutes > 59:
            return None
        millis -= (1 if zone[0] == "+" else -1) * (hours * 60 + minutes) * 60_000
        if not is_instant(millis):
            return None
    return millis


def is_instant(millis: int) -> bool:
    """Whether it is within the years 1 to 9999 UTC."""
    return _FIRST <= millis <= _LAST


def moment(millis: int) -> datetime:
    """A UTC datetime; raises OverflowError outside the years 1 to 9999."""
    return _EPOCH + timedelta(milliseconds=millis)


@lru_cache(maxsize=64)
def index_date(millis: int) -> str:
    """A date in the form for queries: OpenSearch finds nothing for negative epoch milliseconds."""
    return moment(millis).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def render_date(millis: int) -> str:
    """ISO-8601 with `Z`, milliseconds only if not zero; raises OverflowError outside the years 1 to 9999."""
    text = moment(millis).replace(tzinfo=None).isoformat(timespec="milliseconds" if millis % 1000 else "seconds")
    return text + "Z"


IN_FULL: Final = 10**21
"""Integral doubles from here on are written with an exponent, as in ECMAScript: 1e21, not 22 digits."""


def number(value: int | float) -> int | float:
    """The canonical form of a number: integral doubles below 1e21 become integers, so that 2024.0 is 2024."""
    if isinstance(value, float) and value.is_integer() and -IN_FULL < value < IN_FULL:
        return int(value)
    return value


def spelled_once(value: Json) -> Json:
    """The value with every number in canonical form: an object may contain -0.0 and 2024.0."""
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list):
        return [spelled_once(item) for item in value]
    if isinstance(value, dict):
        return {name: spelled_once(item) for name, item in value.items()}
    return value


def case_fold(text: str) -> str:
    """The form for case-insensitive comparison: NFC, then Unicode case folding (contract)."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text).casefold()


def case_fold_all(value: Json) -> Json:
    """The value with every string in it folded, except field names."""
    if isinstance(value, str):
        return case_fold(value)
    if isinstance(value, list):
        return [case_fold_all(item) for item in value]
    if isinstance(value, dict):
        return {name: case_fold_all(item) for name, item in value.items()}
    return value


def identity(value: Json) -> Hashable:
    """A hashable that is equal for equal values.

    2024 equals 2024.0 and -0.0 equals 0; `1` is neither `"1"` nor `true`; the order of an object's keys is ignored.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return ("b", value)
    if isinstance(value, int | float):
        return value
    if isinstance(value, list):
        return ("a", *map(identity, value))
    # Keys are unique, so the sort never compares two identities of different types.
    return ("o", *((key, identity(value[key])) for key in sorted(value)))


def order(value: Json) -> tuple[Any, ...]:
    """A sort key: null < numbers < strings < objects < arrays < booleans, as in BSON.

    Strings compare by code point, arrays element by element, objects by their sorted fields.
    """
    if value is None:
        return (0,)
    if isinstance(value, bool):
        return (5, value)
    if isinstance(value, int | float):
        return (1, value)
    if isinstance(value, str):
        return (2, value)
    if isinstance(value, dict):
        return (3, tuple((order(value[key])[0], key, order(value[key])) for key in sorted(value)))
    return (4, tuple(map(order, value)))


def exact_float(value: int | float) -> bool:
    """Whether a double represents this number exactly."""
    if isinstance(value, float):
        return True
    try:
        return int(float(value)) == value
    except OverflowError:
        return False
