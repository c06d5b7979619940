"""movingFunction: a function of a number per bucket, over the last buckets of a histogram (contract, 1)."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol, cast

from service.aggregations.base import Accuracy
from service.dialects.tree.filters import RecordFilter
from service.dialects.tree.nodes import Node, QueryEffort, Raw, Reading, Records
from service.dialects.tree.references import decode_key, measured, refusal, shown
from service.dialects.tree.windows import MaxWindow, MeanWindow, MinWindow, SumWindow, WeightedMeanWindow, Window
from service.errors import Location
from service.values import Json, is_number

MAX_PATH: Final = 1280
METRICS: Final = ("count", "avg", "sum", "min", "max")

_STEP = re.compile(r'([^\[\]>.]{1,255})(?:\[("(?:[^"\\]|\\.)*"|[^\]"]*)\])?')
_IGNORED: Final = 10**9


FUNCTIONS: Final[Mapping[str, Callable[[int], Window]]] = {
    "MovingFunctions.max": MaxWindow,
    "MovingFunctions.min": MinWindow,
    "MovingFunctions.sum": SumWindow,
    "MovingFunctions.unweightedAvg": MeanWindow,
    "MovingFunctions.linearWeightedAvg": WeightedMeanWindow,
}


class Path(Protocol):
    """Yields a number for each bucket of a histogram."""

    @property
    def accuracy(self) -> Accuracy: ...

    def compile(self, how: QueryEffort) -> dict[str, Json]:
        """The aggregations that it needs in addition to the bucket's own."""
        ...

    def value(self, raw: Raw, documents: int, aggregates: Mapping[str, Json]) -> Any: ...

    def evaluated(self, records: Records, aggregates: Mapping[str, Json]) -> Any: ...


class Moving:
    """A moving function over one series of buckets; the first bucket's result is 0."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._first = True

    def moved(self, value: Any) -> Json:
        result = self._window.moved(value)
        if self._first:
            self._first = False
            return 0
        return result


@dataclass(frozen=True)
class MovingFunctionNode:
    """The first bucket has 0; the window includes the bucket itself and is shorter at the start (contract)."""

    id: str
    function: str
    window: int
    path: Path

    def started(self) -> Moving:
        return Moving(FUNCTIONS[self.function](self.window))


class Bucketed(Protocol):
    """A node with buckets, as a path passes through it."""

    @property
    def children(self) -> Mapping[str, Node]: ...

    def chosen(self, key: Json, at: Location) -> RecordFilter:
        """The filter for the bucket that a key names; raises `BadRequest`."""
        ...

    @property
    def only(self) -> RecordFilter | None:
        """The filter for its only bucket, if it cannot have more."""
        ...

    def total(self, raw: Raw) -> int: ...

    def total_evaluated(self, records: Records) -> int: ...

    def compile(self, how: QueryEffort) -> dict[str, Json]: ...


@dataclass(frozen=True)
class _Documents:
    """`_count`: the bucket's number of records."""

    accuracy: ClassVar[Accuracy] = "exact"

    def compile(self, how: QueryEffort) -> dict[str, Json]:
        return {}

    def value(self, raw: Raw, documents: int, aggregates: Mapping[str, Json]) -> Any:
        return documents

    def evaluated(self, records: Records, aggregates: Mapping[str, Json]) -> Any:
        return len(records)


@dataclass(frozen=True)
class _Metric:
    """The result of a metric, of a sibling or within a bucket."""

    node: Node
    sibling: bool

    @property
    def accuracy(self) -> Accuracy:
        return self.node.accuracy

    def compile(self, how: QueryEffort) -> dict[str, Json]:
        return {} if self.sibling else self.node.compile(how)

    def value(self, raw: Raw, documents: int, aggregates: Mapping[str, Json]) -> Any:
        result = aggregates[self.node.id] if self.sibling else self.node.read(raw, documents, Reading(_IGNORED))
        return next(iter(result.values()))

    def evaluated(self, records: Records, aggregates: Mapping[str, Json]) -> Any:
        result = aggregates[self.node.id] if self.sibling else self.node.evaluate(records, Reading(_IGNORED))
        return next(iter(result.values()))


@dataclass(frozen=True)
class _CountOfAll:
    """`x>_count`: the sum of all buckets' counts."""

    node: Bucketed
    sibling: bool
    accuracy: ClassVar[Accuracy] = "exact"

    def compile(self, how: QueryEffort) -> dict[str, Json]:
        return {} if self.sibling else self.node.compile(how)

    def value(self, raw: Raw, documents: int, aggregates: Mapping[str, Json]) -> Any:
        return self.node.total(raw)

    def evaluated(self, records: Records, aggregates: Mapping[str, Json]) -> Any:
        return self.node.total_evaluated(records)


@dataclass(frozen=True)
class _Within:
    """A path within one bucket, whether or not that bucket is in the answer."""

    name: str
    filter: RecordFilter
    inner: Path

    @property
    def accuracy(self) -> Accuracy:
        return self.inner.accuracy

    def compile(self, how: QueryEffort) -> dict[str, Json]:
        below = self.inner.compile(how)
        return {self.name: {"filter": self.filter.query, **({"aggs": below} if below else {})}}

    def value(self, raw: Raw, documents: int, aggregates: Mapping[str, Json]) -> Any:
        bucket = raw[self.name]
        return self.inner.value(bucket, bucket["doc_count"], {})

    def evaluated(self, records: Records, aggregates: Mapping[str, Json]) -> Any:
        return self.inner.evaluated([record for record in records if self.filter.test(record)], {})


def read_path(text: Json, at: Location, children: Mapping[str, Node], name: str) -> Path:
    """Parses `AGG([KEY])?(>AGG)*`, `_count`, `sibling>_count`; raises `BadRequest` with the problem."""
    if not isinstance(text, str) or not 1 <= len(text) <= MAX_PATH:
        raise refusal(at, f"a path of 1 to {MAX_PATH:,} characters is needed, not {measured(text)}")
    steps: list[tuple[str, str | None]] = []
    place = 0
    while True:
        match = _STEP.match(text, place)
        if match is None or (match[2] is not None and steps):
            raise refusal(at, f"{shown(text)} is not a path: NAME[KEY]>NAME>NAME, where the first may have a KEY")
        steps.append((match[1], match[2]))
        place = match.end()
        if place == len(text):
            break
        if text[place] != ">":
            raise refusal(at, f"{shown(text)} is not a path: expected > at character {place + 1}")
        place += 1
    return _path(steps, at, children, name, sibling=True)


def _path(
    steps: Sequence[tuple[str, str | None]], at: Location, children: Mapping[str, Node], name: str, *, sibling: bool
) -> Path:
    (step, key), rest = steps[0], steps[1:]
    if step == "_count" and key is None:
        if rest:
            raise refusal(at, "_count is the end of a path")
        return _Documents()
    node = children.get(step)
    if node is None:
        raise refusal(at, f"no aggregate {step!r} there; there are: {', '.join(children) or 'none'}")
    bucketed = cast(Bucketed, node) if hasattr(node, "chosen") else None
    if bucketed is None:
        if rest or key is not None:
            raise refusal(at, f"{step!r} has no buckets")
        if getattr(node, "is_time", False):
            raise refusal(at, f"{step!r} is a time, not a number")
        return _Metric(node, sibling)
    if not rest:
        raise refusal(at, f"{step!r} has buckets; end the path in one of its numbers, or in _count")
    if key is not None:
        chosen = bucketed.chosen(_key(key, at), at)
        return _Within(name, chosen, _path(rest, at, bucketed.children, f"{name}_", sibling=False))
    if rest == [("_count", None)]:
        return _CountOfAll(bucketed, sibling)
    only = bucketed.only
    if only is None:
        raise refusal(at, f"{step!r} has several buckets: name the bucket, {step}[KEY]>…")
    return _Within(name, only, _path(rest, at, bucketed.children, f"{name}_", sibling=False))


def _key(text: str, at: Location) -> Json:
    try:
        key = decode_key(text)
    except ValueError:
        key = None
    if not (isinstance(key, str | bool) or is_number(key)):
        raise refusal(at, f'a KEY is "text" in double quotes, a number, true or false, not {shown(text)}')
    return key
