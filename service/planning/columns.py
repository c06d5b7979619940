"""How a grouping key is compiled to composite sources, and a bucket's key converted back to the value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from service.aggregations.base import exact_as_double
from service.fields import Field
from service.numbers import LARGEST
from service.planning.dates import SPANS
from service.planning.plan import Extract, Key, Ranges, Truncate
from service.planning.zones import CYCLE, Clock, clock
from service.values import Json, number, render_date

Read = Callable[[Sequence[Any]], Json]

_PARTS: Final = {
    "year": "t.getYear()",
    "isoYear": "t.get(IsoFields.WEEK_BASED_YEAR)",
    "quarter": "(t.getMonthValue() + 2) / 3",
    "month": "t.getMonthValue()",
    "week": "t.get(IsoFields.WEEK_OF_WEEK_BASED_YEAR)",
    "dayOfWeek": "t.getDayOfWeek().getValue() % 7 + 1",
    "dayOfYear": "t.getDayOfYear()",
    "day": "t.getDayOfMonth()",
    "hour": "t.getHour()",
    "minute": "t.getMinute()",
    "second": "t.getSecond()",
}
_WALL: Final = (
    # The zone's wall-clock time, as in `Clock.wall`.
    "long v = (long) _value; long u = v; long c = params.cycle; "
    f"if (u >= c) {{ u = c + (u - c) % {CYCLE}L; }} "
    "int i = Collections.binarySearch(params.changes, (double) u); "
    "long w = v + params.offsets[i < 0 ? -i - 1 : i + 1]; "
)
_WALL_CLOCK: Final = _WALL + "return w + params.shift"
_FULL: Final = _WALL + "long m = w % params.span; return m < 0 ? v - m - params.span : v - m"
_PART: Final = _WALL + "ZonedDateTime t = Instant.ofEpochMilli(w).atZone(ZoneOffset.UTC); return "
_RANGE: Final = (
    "if (doc[params.f].size() == 0) return params.d ? -1 : null; "
    "double v = doc[params.f].value; int n = params.b.size(); int i = 0; "
    "while (i < n && params.b[i] < v) { i++; } "
    "if (i == 0 && n > 1 && params.b[0] == v) { i = 1; } "
    "return params.d && (i == 0 || i == n) ? -1 : i"
)
_DAY: Final = 86_400_000


@dataclass(frozen=True)
class KeyColumn:
    """The composite sources of one key (none if it is null in every group) and how to read them."""

    sources: Mapping[str, Json]
    read: Read
    verbatim: bool = False
    """Whether the single source's key is the value itself."""
    ascending: bool = True
    """Whether buckets arrive in value order."""

    def reader(self) -> Callable[[Mapping[str, Any]], Json]:
        """The function from a bucket's key to the value; called for every group, so the common case is fast."""
        names, read = tuple(self.sources), self.read
        if self.verbatim:
            return itemgetter(names[0])
        return lambda key: read([key[name] for name in names])


def column(key: Key, field: Field, name: str) -> KeyColumn | None:
    """The key's sources under names that begin with `name`, which is generated: users' names could collide.

    None: the index fields do not hold this key's values, so objects must be read.
    """
    if key.transform is None:
        return _plain(name, field) if field.single else None
    if "array" in field.traits:
        return None
    match key.transform:
        case Truncate():
            return _truncated(name, field, key.transform)
        case Extract():
            return _part(name, field, key.transform)
        case Ranges():
            return _range(name, field, key.transform)


def _plain(name: str, field: Field) -> KeyColumn:
    readers: dict[str, Callable[[Any], Json]] = {
        "keyword": str,
        "double": number,
        "long": int,
        "boolean": bool,
        "date": render_date,
    }
    leaves = field.leaves
    sources = {
        f"{name}_{leaf}": {"terms": {"field": physical, "missing_bucket": True}} for leaf, physical in leaves.items()
    }
    found = [readers[leaf] for leaf in leaves]

    def read(values: Sequence[Any]) -> Json:
        for reader, value in zip(found, values, strict=True):
            if value is not None:
                return reader(value)
        return None

    verbatim = len(leaves) == 1 and not leaves.keys() & {"double", "date"}
    return KeyColumn(sources, read, verbatim, ascending=len(leaves) < 2)


def _truncated(name: str, field: Field, truncate: Truncate) -> KeyColumn:
    if not field.dates:
        return KeyColumn({}, _null)
    unit, here = truncate.unit, clock(truncate.zone)
    back = truncate.week_start - 7 if unit == "week" and truncate.week_start else 0
    if truncate.zone == "UTC" or unit == "second":
        # Offsets are whole seconds, so seconds are the same in every zone.
        histogram: dict[str, Json] = {"field": field.dates, "missing_bucket": True, "calendar_interval": unit}
        if back:
            histogram["offset"] = f"{back}d"
        return KeyColumn({name: {"date_histogram": histogram}}, _first, verbatim=True)
    if unit in SPANS:
        source = _scripted(field.dates, "1ms", _FULL, here, span=SPANS[unit])
        return KeyColumn({name: source}, _first, verbatim=True)
    shift = -back * _DAY
    source = _scripted(field.dates, unit, _WALL_CLOCK, here, shift=shift)

    def read(values: Sequence[Any]) -> Json:
        return None if values[0] is None else here.first(values[0] - shift)

    return KeyColumn({name: source}, read)


def _scripted(dates: str, interval: str, script: str, here: Clock, **params: int) -> Json:
    """A source of integers computed from a date: a `terms` source would return doubles."""
    return {
        "date_histogram": {
            "field": dates,
            "missing_bucket": True,
            "fixed_interval" if interval == "1ms" else "calendar_interval": interval,
            "script": {
                "source": script,
                "params": {
                    # As doubles: a script would get small integers in another type, and could not search them.
                    "changes": list(map(float, here.changes)),
                    "offsets": list(here.offsets),
                    "cycle": here.cycle,
                    **params,
                },
            },
        }
    }


def _part(name: str, field: Field, extract: Extract) -> KeyColumn:
    if not field.dates:
        return KeyColumn({}, _null)
    source = _scripted(field.dates, "1ms", _PART + _PARTS[extract.part], clock(extract.zone))
    return KeyColumn({name: source}, _first, verbatim=True)


def _range(name: str, field: Field, ranges: Ranges) -> KeyColumn | None:
    """The position of the range, as from `scan.in_range`; -1 is the default bucket."""
    if len(field.numbers) > 1 or not exact_as_double(field):
        return None
    if not field.numbers:
        return KeyColumn({}, lambda values: ranges.default)
    params = {
        "f": field.numbers[0],
        # The numbers here are below 2^53, so any larger boundary is equivalent.
        "b": [float(max(-LARGEST, min(bound, LARGEST))) for bound in ranges.boundaries],
        "d": ranges.default is not None,
    }
    terms = {"script": {"source": _RANGE, "params": params}, "value_type": "long", "missing_bucket": True}
    return KeyColumn({name: {"terms": terms}}, _position(ranges.default), ascending=ranges.default is None)


def _position(default: str | None) -> Read:
    return lambda values: default if values[0] == -1 else values[0]


def _first(values: Sequence[Any]) -> Json:
    return values[0]


def _null(values: Sequence[Any]) -> None:
    return None
