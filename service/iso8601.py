"""Parses every form of ISO-8601 that denotes a point in time, for operands of comparisons with dates.

Which texts in objects are dates is up to `values.parse_date`, which is stricter, as such a text may be anything.
"""

import re
from datetime import date, datetime, timedelta
from typing import Final

from service.values import is_instant, parse_date

_DATE: Final = re.compile(
    r"(?P<year>\d{4}|[+-]\d{6})"
    r"(?:-?(?P<ordinal>\d{3})|-?W(?P<week>\d\d)(?:-?(?P<weekday>[1-7]))?|-(?P<month>\d\d)(?:-(?P<day>\d\d))?"
    r"|(?P<months>\d\d)(?P<days>\d\d))?",
    re.ASCII | re.IGNORECASE,
)
_TIME: Final = re.compile(
    r"(?P<hour>\d\d)(?::?(?P<minute>\d\d)(?::?(?P<second>\d\d))?)?(?:[.,](?P<fraction>\d+))?"
    r"(?P<zone>Z|[+\u2212-]\d\d(?::?\d\d(?::?\d\d)?)?)?",
    re.ASCII | re.IGNORECASE,
)
_LONGEST: Final = 100
_HOUR: Final = 3_600_000
_YEARS: Final = 400
_CYCLE: Final = timedelta(days=146_097)
"""The calendar repeats after 400 years, which allows calculations beyond the range of `datetime`."""
_EPOCH: Final = datetime(1970, 1, 1)
_MILLISECOND: Final = timedelta(milliseconds=1)


def parse_instant(text: str) -> int | None:
    """Epoch milliseconds of the point in time, or of the start of the day, week, month or year; None if not a date.

    Calendar, ordinal and week dates, basic and extended, in either case; a time to the hour, minute or second, the
    last of them with decimals (truncated to milliseconds), `24:00` as the end of a day and a leap second as the
    following second. Without a zone it is UTC. Anything outside the years 1 to 9999 UTC is not a date.
    """
    millis = parse_date(text)
    if millis is not None or len(text) > _LONGEST:
        return millis
    day, separator, time = _parted(text)
    found = _DATE.fullmatch(day)
    clock = _TIME.fullmatch(time) if separator else None
    if found is None or (separator and (clock is None or not _whole(found))):
        return None
    try:
        millis = _day(found) + (_time(clock) if clock else 0)
    except ValueError:
        return None
    return millis if is_instant(millis) else None


def _parted(text: str) -> tuple[str, str, str]:
    for separator in "Tt ":
        day, found, time = text.partition(separator)
        if found:
            return day, found, time
    return text, "", ""


def _whole(found: re.Match[str]) -> bool:
    """Whether it is a full date, as a time of day requires."""
    return any(found[name] for name in ("day", "days", "ordinal", "weekday"))


def _day(found: re.Match[str]) -> int:
    """Milliseconds from 1970 to midnight; raises `ValueError` for a nonexistent day."""
    year = int(found["year"])
    moved = 1 if year < 2 else -1 if year > 9998 else 0
    year += moved * _YEARS
    if found["ordinal"]:
        day = date(year, 1, 1) + timedelta(days=int(found["ordinal"]) - 1)
        if day.year != year:
            raise ValueError(found["ordinal"])
    elif found["week"]:
        day = date.fromisocalendar(year, int(found["week"]), int(found["weekday"] or 1))
    else:
        day = date(year, int(found["month"] or found["months"] or 1), int(found["day"] or found["days"] or 1))
    return (datetime(day.year, day.month, day.day) - _EPOCH - moved * _CYCLE) // _MILLISECOND


def _time(found: re.Match[str]) -> int:
    """Milliseconds since midnight UTC; raises `ValueError` for a nonexistent time."""
    hour, minute, second = int(found["hour"]), int(found["minute"] or 0), int(found["second"] or 0)
    unit = 1_000 if found["second"] else 60_000 if found["minute"] else _HOUR
    digits = (found["fraction"] or "0")[:18]
    decimals = int(int(digits) * unit // 10 ** len(digits))
    passed = hour * _HOUR + minute * 60_000 + second * 1_000 + decimals
    leap = second == 60 and minute == 59
    if minute > 59 or (second > 59 and not leap) or passed > 24 * _HOUR or (hour > 23 and passed != 24 * _HOUR):
        raise ValueError(found[0])
    return passed - _offset(found["zone"] or "Z")


def _offset(zone: str) -> int:
    if zone in "Zz":
        return 0
    digits = zone[1:].replace(":", "")
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4] or 0), int(digits[4:] or 0)
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError(zone)
    millis = hours * _HOUR + minutes * 60_000 + seconds * 1_000
    return millis if zone[0] == "+" else -millis
