"""Groups objects in Python: exact for every plan, within the budget of objects."""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

from service.aggregations.base import Accumulator
from service.fields import FieldTrait
from service.paths import Path, resolve
from service.planning.dates import extract, truncate
from service.planning.plan import Extract, Key, Plan, Ranges, Truncate
from service.planning.rows import GroupRow
from service.planning.unwind import unwound
from service.tokens import is_long
from service.values import MISSING, Json, Missing, identity, is_number, parse_date, spelled_once


@dataclass
class _Group:
    cells: tuple[Json, ...]
    accumulators: list[Accumulator]


class Scan:
    """Takes objects in order of arrival and groups them according to the plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.groups: dict[Hashable, _Group] = {}
        self.dated = [not isinstance(key.transform, Truncate | Extract) for key in plan.keys]
        """For each key: whether it needs no date, or one was seen."""
        self.ignored: Counter[tuple[int, str]] = Counter()
        """(metric, `arrays` or `others`) → number of objects or elements whose value was ignored."""
        self.met: set[Path] = set()
        """Paths below the unwound one at which an element had a value."""
        start = plan.unwind or ()
        self._unmet = {
            path for path in paths_of(plan) if start and len(path) > len(start) and path[: len(start)] == start
        }

    def take(self, objects: Iterable[Json]) -> None:
        """Adds those of the objects that fulfil the condition."""
        for item in objects:
            if self.plan.condition.test(item):
                self.add(item, 1)

    def add(self, item: Json, count: int) -> None:
        """Adds an object that fulfils the condition, `count` times."""
        for element in unwound(item, self.plan.unwind):
            self._element(element, count)

    def _element(self, element: Json, count: int) -> None:
        for path in tuple(self._unmet):
            if resolve(element, path) not in (MISSING, []):
                self.met.add(path)
                self._unmet.discard(path)
        cells: list[Json] = []
        for position, key in enumerate(self.plan.keys):
            cell = transformed(resolve(element, key.path), key)
            if cell is not None:
                self.dated[position] = True
            cells.append(cell)
        identities = tuple(map(identity, cells))
        group = self.groups.get(identities)
        if group is None:
            accumulators = [metric.kind.accumulator() for metric in self.plan.metrics]
            group = self.groups[identities] = _Group(tuple(cells), accumulators)
        for position, (metric, accumulator) in enumerate(zip(self.plan.metrics, group.accumulators, strict=True)):
            kind = metric.kind
            if not kind.path:
                accumulator.add(None, count)
                continue
            value = resolve(element, kind.path)
            accumulator.add(value, count)
            if kind.takes and (ignored := _ignored(value, kind.takes)):
                self.ignored[position, ignored] += count

    def rows(self) -> Iterator[GroupRow]:
        for group in self.groups.values():
            results = [spelled_once(accumulator.result()) for accumulator in group.accumulators]
            yield GroupRow(tuple(map(spelled_once, group.cells)), results)


def paths_of(plan: Plan) -> set[Path]:
    """The paths that keys and metrics need."""
    keys = {key.path for key in plan.keys}
    return keys | {metric.kind.path for metric in plan.metrics if metric.kind.path}


def transformed(value: Json | Missing, key: Key) -> Json:
    """The cell of a key; null if the value is not a date or number as required."""
    if value is MISSING:
        value = None
    match key.transform:
        case None:
            return value
        case Ranges() as ranges:
            return in_range(value, ranges)
        case Truncate(unit, zone, week_start):
            millis = parse_date(value) if isinstance(value, str) else None
            return None if millis is None else truncate(millis, unit, zone, week_start)
        case Extract(part, zone):
            millis = parse_date(value) if isinstance(value, str) else None
            return None if millis is None else extract(millis, part, zone)


def in_range(value: Json, ranges: Ranges) -> int | str | None:
    """The position of the range (0 below all), or the label for values outside, or null (contract, RangeBucket)."""
    bounds = ranges.boundaries
    if not is_number(value):
        return ranges.default
    position = sum(1 for bound in bounds if bound < value)
    if position == 0 and value == bounds[0] and len(bounds) > 1:
        position = 1
    if ranges.default is not None and position in (0, len(bounds)):
        return ranges.default
    return position


def _ignored(value: Json | Missing, takes: frozenset[str]) -> str | None:
    if value is None or value is MISSING:
        return None
    if isinstance(value, list):
        return "arrays"
    trait: FieldTrait
    if isinstance(value, str):
        trait = "lengthy" if is_long(value) else "date" if parse_date(value) is not None else "text"
    elif is_number(value):
        trait = "double"
    else:
        trait = "boolean" if isinstance(value, bool) else "object"
    return None if trait in takes else "others"
