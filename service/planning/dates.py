"""Truncating instants and extracting their parts, by the clock of a time zone.

The calendar is Gregorian throughout. Instants are within the years 1 to 9999 UTC; local times and unit starts may lie
slightly outside (year 0, year 10000), beyond the range of `datetime`: such times are shifted by 400 years, after which
the calendar repeats, and back.
"""

from datetime import datetime, timedelta
from typing import Final

from service.planning.plan import Part, Unit
from service.planning.zones import CYCLE, clock
from service.values import render_date

SPANS: Final = {"hour": 3_600_000, "minute": 60_000, "second": 1_000}
"""Units of fixed length, in milliseconds."""

_EPOCH: Final = datetime(1970, 1, 1)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LOWEST: Final = (datetime(2, 1, 1) - _EPOCH) // _MILLISECOND
_HIGHEST: Final = (datetime(9999, 1, 1) - _EPOCH) // _MILLISECOND


def truncate(millis: int, unit: Unit, zone: str, week_start: int) -> int:
    """Epoch milliseconds of the start of the unit (docs/exactness.md, Dates).

    Hours, minutes and seconds are aligned to the clock's offset at the instant, so that the repeated hour of an
    autumn night stays separate. Longer units start when the clock first shows midnight of their first day.
    """
    here = clock(zone)
    wall = here.wall(millis)
    if unit in SPANS:
        return millis - wall % SPANS[unit]
    local, moved = calendar(wall)
    local = local.replace(hour=0, minute=0, second=0, microsecond=0)
    match unit:
        case "week":
            local -= timedelta(days=(local.weekday() - week_start) % 7)
        case "month":
            local = local.replace(day=1)
        case "quarter":
            local = local.replace(day=1, month=(local.month - 1) // 3 * 3 + 1)
        case "year":
            local = local.replace(day=1, month=1)
    return here.first((local - _EPOCH) // _MILLISECOND - moved * CYCLE)


def extract(millis: int, part: Part, zone: str) -> int:
    """month 1-12, ISO week 1-53, dayOfWeek 1 = Sunday … 7 = Saturday, dayOfYear 1-366 (contract, GroupByField)."""
    local, moved = calendar(clock(zone).wall(millis))
    match part:
        case "year":
            return local.year - moved * 400
        case "isoYear":
            return local.isocalendar().year - moved * 400
        case "quarter":
            return (local.month + 2) // 3
        case "week":
            return local.isocalendar().week
        case "dayOfWeek":
            return local.isoweekday() % 7 + 1
        case "dayOfYear":
            return local.timetuple().tm_yday
    return int(getattr(local, part))


def render(millis: int, zone: str) -> str:
    """ISO-8601 with `Z` in UTC, else with the zone's offset at that instant; milliseconds only if not zero.

    An offset before standard time has seconds (`+00:53:28`). The year before 1 is `0000`; years that need more than
    four digits, or a sign, are in ISO-8601's expanded form with the six digits that ECMAScript reads: `+010000`.
    """
    if zone == "UTC" and _LOWEST <= millis <= _HIGHEST:
        return render_date(millis)
    offset = clock(zone).offset(millis)
    local, moved = calendar(millis + offset)
    year = local.year - moved * 400
    time = local.isoformat(timespec="milliseconds" if millis % 1000 else "seconds")[4:]
    written = f"{year:04}" if 0 <= year <= 9999 else f"{'-' if year < 0 else '+'}{abs(year):06}"
    return f"{written}{time}{_offset(offset, zone)}"


def _offset(millis: int, zone: str) -> str:
    if zone == "UTC":
        return "Z"
    minutes, seconds = divmod(abs(millis) // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{'-' if millis < 0 else '+'}{hours:02}:{minutes:02}"
    return f"{text}:{seconds:02}" if seconds else text


def calendar(wall: int) -> tuple[datetime, int]:
    """A time as `datetime`, and how many times 400 years it was shifted to be well within its range."""
    moved = 0 if _LOWEST <= wall <= _HIGHEST else -((wall - _LOWEST) // CYCLE)
    return _EPOCH + timedelta(milliseconds=wall + moved * CYCLE), moved
