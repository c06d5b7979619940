"""Truncating dates, taking parts of them and writing them out (contract, GroupByField)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from .values import Instant, OracleRefusal

TRUNC_UNITS: Final = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
PARTS: Final = (
    "year",
    "isoYear",
    "quarter",
    "month",
    "week",
    "day",
    "dayOfWeek",
    "dayOfYear",
    "hour",
    "minute",
    "second",
)
WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_CYCLE: Final = 146_097 * 86_400_000


def _local(instant: Instant, zone: str) -> tuple[datetime, int]:
    """What the clock shows, and the years to add to it.

    `datetime` ends at the years 1 and 9999, which a zone's clock may leave. The calendar repeats every 400 years
    (146,097 days), and so do the rules of zones in those years, so the ends are worked out 400 years away.
    """
    years = -400 if instant.ms < _milliseconds(datetime(2, 1, 1, tzinfo=UTC)) else 0
    years = 400 if instant.ms > _milliseconds(datetime(9999, 1, 1, tzinfo=UTC)) else years
    moment = _EPOCH + (instant.ms - years // 400 * _CYCLE) * _MILLISECOND
    return moment.astimezone(UTC if zone == "UTC" else ZoneInfo(zone)), years


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def truncate(instant: Instant, unit: str, zone: str = "UTC", start_of_week: str = "sunday") -> Instant:
    """The start of the unit that the instant lies in, by the clock of the zone.

    The hour that a clock shows twice in autumn is two hours: short units take away what has passed of them.
    A day starts at its first moment, also where the clock leaves out midnight. Weeks start on Sunday unless
    told.
    """
    local, years = _local(instant, zone)
    passed = {
        "hour": (local.minute * 60 + local.second) * 1000 + local.microsecond // 1000,
        "minute": local.second * 1000 + local.microsecond // 1000,
        "second": local.microsecond // 1000,
    }
    if unit in passed:
        return Instant(instant.ms - passed[unit], zone)
    if unit == "year":
        first = local.replace(month=1, day=1)
    elif unit == "quarter":
        first = local.replace(month=(local.month - 1) // 3 * 3 + 1, day=1)
    elif unit == "month":
        first = local.replace(day=1)
    elif unit == "week":
        first = local - timedelta(days=(local.weekday() - WEEKDAYS.index(start_of_week.lower())) % 7)
    elif unit == "day":
        first = local
    else:
        raise OracleRefusal(f"date_trunc: {unit}")
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    return Instant(_milliseconds(_first(midnight)) + years // 400 * _CYCLE, zone)


def _first(wall: datetime) -> datetime:
    """The first moment at which a zone's clock shows this or, if it never does, anything later (PEP 495)."""
    late = wall.replace(fold=0).astimezone(UTC)
    if late.astimezone(wall.tzinfo).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return late
    early = wall.replace(fold=1).astimezone(UTC)
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) // timedelta(seconds=1) // 2 * timedelta(seconds=1)
        skipped = middle.astimezone(wall.tzinfo).replace(tzinfo=None) > wall.replace(tzinfo=None)
        early, late = (early, middle) if skipped else (middle, late)
    return late


def part(instant: Instant, unit: str, zone: str = "UTC") -> int:
    """One number out of a date: `week` is the ISO week and `isoYear` its year; dayOfWeek is 1 on a Sunday."""
    local, years = _local(instant, zone)
    parts = {
        "year": local.year + years,
        "isoYear": local.isocalendar().year + years,
        "quarter": (local.month + 2) // 3,
        "month": local.month,
        "week": local.isocalendar().week,
        "day": local.day,
        "dayOfWeek": local.isoweekday() % 7 + 1,
        "dayOfYear": local.timetuple().tm_yday,
        "hour": local.hour,
        "minute": local.minute,
        "second": local.second,
    }
    if unit not in parts:
        raise OracleRefusal(f"date_part: {unit}")
    return parts[unit]


def written(instant: Instant) -> str:
    """ISO-8601 "with `Z` or the zone's offset", milliseconds only when there are any (decided).

    The years before 1 and after 9999 are `0000` and `+010000` (decided).
    """
    local, years = _local(instant, instant.zone)
    text = local.isoformat(timespec="milliseconds" if local.microsecond else "seconds")
    year = local.year + years
    text = ("+" if year > 9999 else "") + str(year).zfill(6 if year > 9999 else 4) + text[4:]
    return text.removesuffix("+00:00") + "Z" if instant.zone == "UTC" else text
