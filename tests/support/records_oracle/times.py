"""Times: reading and writing ISO-8601, and the buckets of a time histogram, all in whole milliseconds of UTC.

A bucket has a number, so that neighbours are one apart and gaps can be counted: `Interval.number` and `.start`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

SECOND: Final = 1_000
DAY: Final = 86_400 * SECOND
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_INSTANT: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|([+-])(\d{2})(?::?(\d{2}))?)?", re.ASCII
)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_FIXED: Final = re.compile(r"([1-9][0-9]*)(ms|s|m|h|d)", re.ASCII)
_WIDTHS: Final = {"ms": 1, "s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND, "d": DAY}
_MONDAY: Final = -3 * DAY  # 1969-12-29; 1970 began on a Thursday


def read_instant(text: str, *, zoned: bool = False) -> int:
    """The milliseconds since 1970 that a date-time names. Finer digits are cut; without a zone it is UTC.

    What is no such time raises ValueError; so does a missing zone when it is asked for.
    """
    found = _INSTANT.fullmatch(text)
    if found is None:
        raise ValueError(f"no ISO-8601 time: {text!r}")
    clock, fraction, zone, sign, hours, minutes = found.groups()
    if zoned and zone is None:
        raise ValueError(f"a time without a zone: {text!r}")
    if int(hours or 0) > 18 or int(minutes or 0) > 59:
        raise ValueError(f"no offset: {zone}")
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    try:
        moment = datetime.fromisoformat(clock).replace(tzinfo=UTC) - offset
    except OverflowError as beyond:
        raise ValueError(f"beyond the years 1 to 9999: {text!r}") from beyond
    return milliseconds(moment) + int((fraction or "0").ljust(3, "0")[:3])


def read_date(text: str) -> str:
    """A date as it is written; what is none raises ValueError."""
    if _DATE.fullmatch(text) is None:
        raise ValueError(f"no date: {text!r}")
    date.fromisoformat(text)
    return text


def milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // _MILLISECOND


def write_instant(instant: int) -> str:
    """ISO-8601 with `Z` and only as many decimals as needed."""
    moment = EPOCH + instant * _MILLISECOND
    decimals = f".{instant % SECOND:03}".rstrip("0") if instant % SECOND else ""
    return f"{moment.year:04}-{moment:%m-%dT%H:%M:%S}{decimals}Z"


@dataclass(frozen=True)
class Interval:
    """How time is cut into numbered buckets."""

    number: Callable[[int], int]
    start: Callable[[int], int]


def fixed(spelling: str) -> Interval:
    """Buckets of one width, aligned to 1970, before which they are counted down."""
    found = _FIXED.fullmatch(spelling)
    if found is None:
        raise ValueError(f"no fixed interval: {spelling!r}")
    return _steps(int(found[1]) * _WIDTHS[found[2]])


def calendar(spelling: str) -> Interval:
    """Buckets of the calendar: weeks start on Monday."""
    if spelling not in CALENDAR:
        raise ValueError(f"no calendar interval: {spelling!r}")
    return CALENDAR[spelling]


def _steps(width: int, origin: int = 0) -> Interval:
    return Interval(lambda instant: (instant - origin) // width, lambda number: number * width + origin)


def _months(many: int) -> Interval:
    """Buckets of so many months, numbered from the year 0."""

    def number(instant: int) -> int:
        moment = EPOCH + instant * _MILLISECOND
        return (moment.year * 12 + moment.month - 1) // many

    def start(number: int) -> int:
        year, month = divmod(number * many, 12)
        return milliseconds(datetime(year, month + 1, 1, tzinfo=UTC))

    return Interval(number, start)


CALENDAR: Final = {
    "1s": _steps(SECOND),
    "1m": _steps(60 * SECOND),
    "1h": _steps(3_600 * SECOND),
    "1d": _steps(DAY),
    "1w": _steps(7 * DAY, _MONDAY),
    "1M": _months(1),
    "1q": _months(3),
    "1y": _months(12),
}
