"""The ten kinds of aggregates over records (contract, section 1)."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Final

from .properties import Catalogue, Json, Record, Refusal, Value, only_keys, written
from .select import Stream, select
from .times import read_instant, write_instant
from .tree import HISTOGRAMS, METRICS, Node, key_of, read_tree

MOST_IN_A_HISTOGRAM: Final = 10_000
MOST_BUCKETS: Final = 65_535
REQUEST: Final = ("aggregates", "lastUpdatedTime", "filter", "includeTyping")

Number = int | float
Members = list[tuple[Value, list[Record]]]


def aggregate(
    containers: Iterable[Json] | Catalogue, records: Iterable[Record], body: Json, stream: Stream | None = None
) -> dict[str, Json]:
    """The `aggregates` that answer a request, or a Refusal."""
    catalogue = containers if isinstance(containers, Catalogue) else Catalogue.of(containers)
    body = only_keys(body, REQUEST, "request")
    if not isinstance(body.get("includeTyping", False), bool):
        raise Refusal("request")
    tree = read_tree(catalogue, body.get("aggregates"))
    found = select(catalogue, records, body.get("filter"), body.get("lastUpdatedTime"), stream)
    return _Answer().level(tree, found)


class _Answer:
    """Computes one answer, counting its buckets."""

    def __init__(self) -> None:
        self.buckets = 0

    def level(self, nodes: dict[str, Node], records: Sequence[Record]) -> dict[str, Json]:
        """The results of one level, but for moving functions, which their histogram adds."""
        return {name: self.result(node, records) for name, node in nodes.items() if node.kind != "movingFunction"}

    def result(self, node: Node, records: Sequence[Record]) -> dict[str, Json]:
        match node.kind:
            case "uniqueValues":
                return {"uniqueValueBuckets": self.unique_values(node, records)}
            case "numberHistogram" | "timeHistogram":
                return {f"{node.kind}Buckets": self.histogram(node, records)}
            case "filters":
                kept = [inside for _, inside in members(node, records)]
                self.spend(len(kept))
                return {"filterBuckets": [self.bucket(node, inside) for inside in kept]}
        value = metric(node, records)
        if node.kind in ("min", "max") and node.column and node.column.type == "timestamp" and value is not None:
            return {node.kind: write_instant(int(value))}
        return {node.kind: value or 0}

    def spend(self, buckets: int) -> None:
        self.buckets += buckets
        if self.buckets > MOST_BUCKETS:
            raise Refusal("too many buckets")

    def bucket(self, node: Node, records: Sequence[Record]) -> dict[str, Json]:
        made: dict[str, Json] = {"count": len(records)}
        if node.children:
            made["aggregates"] = self.level(node.children, records)
        return made

    def unique_values(self, node: Node, records: Sequence[Record]) -> list[Json]:
        """By count, the largest first, then by value; cut to `size` only then."""
        assert node.column is not None
        ordered = sorted(members(node, records), key=lambda pair: (-len(pair[1]), pair[0]))[: node.size]
        self.spend(len(ordered))
        return [{"value": written(node.column.type, value), **self.bucket(node, inside)} for value, inside in ordered]

    def histogram(self, node: Node, records: Sequence[Record]) -> list[Json]:
        """The buckets from the first to the last that has records, those between them included."""
        found = dict(members(node, records))
        if not found:
            return []
        first, last = min(found), max(found)
        if last - first >= MOST_IN_A_HISTOGRAM:
            raise Refusal("too many buckets in a histogram")
        self.spend(last - first + 1)
        series = [found.get(number, []) for number in range(first, last + 1)]
        made = [self.bucket(node, inside) for inside in series if inside]
        gaps = len(series) - len(made)
        if gaps:
            before = self.buckets
            empty = self.bucket(node, [])
            self.spend((self.buckets - before) * (gaps - 1))
            filled = iter(made)
            made = [next(filled) if inside else dict(empty) for inside in series]
        for number, bucket in enumerate(made, start=first):
            begin = start(node, number)
            bucket["intervalStart"] = write_instant(int(begin)) if node.interval else shortest(begin)
        for name, child in node.children.items():
            if child.kind == "movingFunction":
                for bucket, value in zip(made, moved(node, child, series), strict=True):
                    bucket["aggregates"] = {**bucket["aggregates"], name: {"fnValue": value}}
        return made


# ---- Metrics ------------------------------------------------------------------------------------------------------


def metric(node: Node, records: Sequence[Record]) -> Number | None:
    """A metric; None for the mean and the extremes of nothing."""
    if node.column is None:
        return len(records)
    values = [value for record in records for value in node.column.values(record)]
    match node.kind:
        case "count":
            return len(values)
        case "sum":
            return total(values)
        case "avg":
            return total(values) / len(values) if values else None
        case "min":
            return min(values, default=None)
        case "max":
            return max(values, default=None)
    raise AssertionError(node.kind)


# ---- Buckets ------------------------------------------------------------------------------------------------------


def members(node: Node, records: Sequence[Record]) -> Members:
    """The records of each bucket that has any (of filters: of each); of histograms by number, within the bounds."""
    if node.kind == "filters":
        return [(place, [record for record in records if test(record)]) for place, test in enumerate(node.tests)]
    assert node.column is not None
    found: dict[Value, list[Record]] = {}
    for record in records:
        values = node.column.values(record)
        keys = values if node.kind == "uniqueValues" else [number_of(node, value) for value in values]
        for key in dict.fromkeys(keys):
            if node.kind == "uniqueValues" or within_bounds(node, start(node, key)):
                found.setdefault(key, []).append(record)
    return list(found.items())


def number_of(node: Node, value: Value) -> int:
    """The number of the bucket that a value lies in."""
    if node.interval is not None:
        assert node.column is not None
        return node.interval.number(instant_of(node.column.type, value))
    return math.floor(decimal(value) / decimal(node.width))


def start(node: Node, number: int) -> Fraction:
    """Where the bucket of this number begins."""
    if node.interval is not None:
        return Fraction(node.interval.start(number))
    return number * decimal(node.width)


def decimal(number: Number) -> Fraction:
    """The number that was written: 0.1 is a tenth."""
    return Fraction(repr(number))


def shortest(number: Fraction) -> Number:
    """An integer, or the double that is nearest to a decimal fraction."""
    return number.numerator if number.denominator == 1 else float(number)


def instant_of(type: str, value: Value) -> int:
    """A date is its midnight."""
    return read_instant(f"{value}T00:00:00Z") if type == "date" else value


def within_bounds(node: Node, begin: Fraction) -> bool:
    """hardBounds: both ends included for numbers, the upper one not for times."""
    low, high = (None if bound is None else decimal(bound) for bound in node.within)
    if low is not None and begin < low:
        return False
    if high is None:
        return True
    return begin < high if node.interval else begin <= high


# ---- Moving functions ---------------------------------------------------------------------------------------------


def moved(histogram: Node, moving: Node, series: Sequence[Sequence[Record]]) -> list[Number]:
    """The function over each bucket and those before it, `window` of them; 0 in the first bucket."""
    values = [follow(histogram.children, moving, inside) for inside in series]
    results: list[Number] = [0]
    for last in range(1, len(values)):
        seen = values[max(0, last - moving.window + 1) : last + 1]
        results.append(WINDOWS[moving.function](seen))
    return results


def total(values: Iterable[Number]) -> Number:
    """Exact for integers; a sum of floats is rounded once."""
    listed = list(values)
    return sum(listed) if all(isinstance(value, int) for value in listed) else math.fsum(listed)


def linear(values: Sequence[Number]) -> Number:
    """A mean in which the oldest weighs 1, the next 2, and so on."""
    weights = range(1, len(values) + 1)
    return total(map(operator.mul, values, weights)) / sum(weights)


WINDOWS: Final[dict[str, Callable[[Sequence[Number]], Number]]] = {
    "max": max,
    "min": min,
    "sum": total,
    "unweightedAvg": lambda values: total(values) / len(values),
    "linearWeightedAvg": linear,
}


def follow(siblings: dict[str, Node], moving: Node, records: Sequence[Record]) -> Number:
    """The number at the end of a bucketsPath, in a bucket with these records. What is not there is 0."""
    nodes, inside = siblings, [records]
    for place, name in enumerate(moving.path):
        if name == "_count":
            return sum(map(len, inside))
        node = nodes[name]
        if node.kind in METRICS:
            (only,) = inside
            return metric(node, only) or 0
        inside = [part for outer in inside for part in step(node, moving if place == 0 else None, outer)]
        nodes = node.children
    raise AssertionError(moving.path)


def step(node: Node, moving: Node | None, records: Sequence[Record]) -> list[Sequence[Record]]:
    """The bucket that is named, empty if it is not there; without a key all of them, whatever `size` shows."""
    buckets = members(node, records)
    if moving is None or moving.key is None:
        return [inside for _, inside in buckets]
    wanted = key_of(node, moving.key)
    histogram = node.kind in HISTOGRAMS
    if histogram:
        wanted = decimal(wanted)
    named = [inside for key, inside in buckets if (start(node, key) if histogram else key) == wanted]
    return [named[0] if named else []]
