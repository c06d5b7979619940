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


def _local(instant: Instant, zone: str) -> datetime:
    moment = _EPOCH + instant.ms * _MILLISECOND
    return moment if zone == "UTC" else moment.astimezone(ZoneInfo(zone))


def truncate(instant: Instant, unit: str, zone: str = "UTC", start_of_week: str = "sunday") -> Instant:
    """The start of the unit that the instant lies in, by the clock of the zone.

    The hour that a clock shows twice in autumn is two hours: short units take away what has passed of them.
    A day starts at its first moment, also where the clock leaves out midnight. Weeks start on Sunday unless
    told.
    """
    local = _local(instant, zone)
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
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return Instant((midnight.astimezone(UTC) - _EPOCH) // _MILLISECOND, zone)


def part(instant: Instant, unit: str, zone: str = "UTC") -> int:
    """One number out of a date: `week` is the ISO week and `isoYear` its year; dayOfWeek is 1 on a Sunday."""
    local = _local(instant, zone)
    parts = {
        "year": local.year,
        "isoYear": local.isocalendar().year,
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
    """ISO-8601 "with `Z` or the zone's offset", milliseconds only when there are any (decided)."""
    local = _local(instant, instant.zone)
    text = local.isoformat(timespec="milliseconds" if local.microsecond else "seconds")
    return text.removesuffix("+00:00") + "Z" if instant.zone == "UTC" else text
