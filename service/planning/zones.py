"""Time zones as plain lists of clock changes, the same for Python and for scripts in OpenSearch.

The rules are those of `zoneinfo` alone. The node's JVM has its own database, which lacks some names and differs
before 1970, so a query never names a zone but contains the clock changes.
"""

from bisect import bisect_right
from calendar import isleap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import resources
from pathlib import Path
from struct import unpack_from
from typing import Final
from zoneinfo import TZPATH, ZoneInfo

CYCLE: Final = 146_097 * 86_400_000
"""Milliseconds in 400 years, after which dates and weekdays, and so rules like `last Sunday in March`, repeat."""

NEVER: Final = 2**62
"""Later than every instant."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = 86_400_000
_MILLISECOND: Final = timedelta(milliseconds=1)
_SECOND: Final = timedelta(seconds=1)
_WEEK: Final = timedelta(weeks=1)
_HEADER: Final = 44
_SECONDS: Final = 2**35
"""The range of listed changes around 1970; 32-bit and 64-bit files begin with a placeholder far earlier."""


@dataclass(frozen=True)
class Clock:
    """A zone's clock. All numbers are milliseconds; instants count from 1970 UTC."""

    name: str
    changes: tuple[int, ...]
    """The instants at which the offset changes, ascending."""
    offsets: tuple[int, ...]
    """`offsets[i]` applies before `changes[i]`, the last one after all of them."""
    cycle: int = NEVER
    """The instant from which the changes repeat every `CYCLE`; one cycle is listed."""

    def offset(self, instant: int) -> int:
        """The offset from UTC."""
        if instant >= self.cycle:
            instant = self.cycle + (instant - self.cycle) % CYCLE
        return self.offsets[bisect_right(self.changes, instant)]

    def wall(self, instant: int) -> int:
        """The local time, in milliseconds since 1970-01-01T00:00 local time."""
        return instant + self.offset(instant)

    def first(self, wall: int) -> int:
        """The first instant with this local time; if the clock skips it, the instant of that change."""
        early = wall - 2 * _DAY
        shift = (early - self.cycle) // CYCLE * CYCLE if early >= self.cycle else 0
        wall -= shift
        index = bisect_right(self.changes, early - shift)
        for change in self.changes[index:]:
            if wall - self.offsets[index] < change:
                break
            index += 1
        return max(wall - self.offsets[index], self.changes[index - 1] if index else -NEVER) + shift


@lru_cache(maxsize=1)
def names() -> frozenset[str]:
    """The IANA names listed by the `tzdata` package; a system's additional names are not portable."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text().split())


@lru_cache(maxsize=1024)
def clock(name: str) -> Clock:
    """The clock of an IANA zone; raises `KeyError` for an unknown name."""
    if name not in names():
        raise KeyError(name)
    zone = ZoneInfo(name)
    listed = _listed(name)
    year = max(listed, default=_EPOCH).year + 2
    ruled = datetime(year, 1, 1, tzinfo=UTC)
    changes: list[int] = []
    offsets: list[int] = [_offset(zone, listed[0] - _SECOND if listed else ruled)]
    for at in (*listed, *_searched(zone, max(listed, default=ruled), ruled), *_by_rule(zone, year)):
        offset = _offset(zone, at)
        if offset != offsets[-1]:
            changes.append(_millis(at))
            offsets.append(offset)
    repeats = bool(changes) and changes[-1] > _millis(ruled)
    return Clock(name, tuple(changes), tuple(offsets), _millis(ruled) if repeats else NEVER)


def _by_rule(zone: ZoneInfo, start: int) -> Iterator[datetime]:
    """The changes of 401 years: one more than a cycle, to cover days around its end.

    The last line of a zone's file is a rule by month, week and weekday, or by day of the year. So years of equal
    length that begin on the same weekday have the same changes, and only a few have to be searched.
    """
    known: dict[tuple[bool, int], list[timedelta]] = {}
    for year in range(start, start + 401):
        first = datetime(year, 1, 1, tzinfo=UTC)
        kind = (isleap(year), first.weekday())
        if kind not in known:
            known[kind] = [at - first for at in _searched(zone, first, datetime(year + 1, 1, 1, tzinfo=UTC))]
        yield from (first + since for since in known[kind])


def _listed(name: str) -> list[datetime]:
    """The instants listed in the zone's file (RFC 8536); a rule in its last line may continue them."""
    data = _file(name)
    version, counts = data[4:5], unpack_from(">6l", data, 20)
    start, width = _HEADER, 4
    if version >= b"2":
        isut, isstd, leap, changes, types, characters = counts
        start += changes * 5 + types * 6 + characters + leap * 8 + isstd + isut
        counts, width = unpack_from(">6l", data, start + 20), 8
        start += _HEADER
    seconds = unpack_from(f">{counts[3]}{'q' if width == 8 else 'l'}", data, start)
    return [_EPOCH + at * _SECOND for at in seconds if abs(at) < _SECONDS]


def _file(name: str) -> bytes:
    """The file that `ZoneInfo` reads (PEP 615): the system's, else that of the `tzdata` package."""
    for folder in TZPATH:
        path = Path(folder) / name
        if path.is_file():
            return path.read_bytes()
    return resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


def _searched(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """The offset changes after `start` up to `end`; would miss two within a week, which no rule has."""
    offset = _offset(zone, start)
    while start < end:
        following = min(start + _WEEK, end)
        if (new := _offset(zone, following)) != offset:
            low, high = start, following
            while high - low > _SECOND:
                middle = low + (high - low) // _SECOND // 2 * _SECOND
                low, high = (middle, high) if _offset(zone, middle) == offset else (low, middle)
            yield high
        start, offset = following, new


def _offset(zone: ZoneInfo, at: datetime) -> int:
    return (at.astimezone(zone).utcoffset() or timedelta()) // _MILLISECOND


def _millis(at: datetime) -> int:
    return (at - _EPOCH) // _MILLISECOND
