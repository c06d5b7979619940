"""Truncation of instants and their parts, by the clock of a time zone."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from service.planning.plan import Part, Unit
from service.values import moment, render_date

_SPANS = {"hour": 3_600_000, "minute": 60_000, "second": 1_000}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    """The time zone; raises KeyError or ValueError for an unknown name."""
    return ZoneInfo(name)


def truncate(millis: int, unit: Unit, zone_name: str, week_start: int) -> int:
    """Epoch milliseconds of the start of the unit.

    Hours and smaller keep the clock's offset, so that the two hours of an autumn night stay apart.
    """
    if unit in _SPANS:
        offset = 0 if zone_name == "UTC" else offset_at(millis, zone_name) // timedelta(milliseconds=1)
        span = _SPANS[unit]
        return (millis + offset) // span * span - offset
    local = _local(millis, zone_name).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    match unit:
        case "week":
            local -= timedelta(days=(local.weekday() - week_start) % 7)
        case "month":
            local = local.replace(day=1)
        case "quarter":
            local = local.replace(day=1, month=(local.month - 1) // 3 * 3 + 1)
        case "year":
            local = local.replace(day=1, month=1)
    return (local.replace(fold=0) - _EPOCH) // timedelta(milliseconds=1)


def extract(millis: int, part: Part, zone_name: str) -> int:
    """month 1-12, ISO week 1-53, dayOfWeek 1 = Sunday … 7 = Saturday, dayOfYear 1-366 (contract, GroupByField)."""
    local = _local(millis, zone_name)
    match part:
        case "isoYear":
            return local.isocalendar().year
        case "quarter":
            return (local.month + 2) // 3
        case "week":
            return local.isocalendar().week
        case "dayOfWeek":
            return local.isoweekday() % 7 + 1
        case "dayOfYear":
            return local.timetuple().tm_yday
    return int(getattr(local, part))


def render(millis: int, zone_name: str) -> str:
    """ISO-8601 with `Z` in UTC, else with the zone's offset at that instant."""
    return render_date(millis, None if zone_name == "UTC" else offset_at(millis, zone_name))


def offset_at(millis: int, zone_name: str) -> timedelta:
    return _local(millis, zone_name).utcoffset() or timedelta(0)


def _local(millis: int, zone_name: str) -> datetime:
    at = moment(millis)
    return at if zone_name == "UTC" else at.astimezone(zone(zone_name))
