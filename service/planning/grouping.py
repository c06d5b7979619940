"""One composite aggregation: the request to OpenSearch for groups, in pages, and how its answer is read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from service import dsl
from service.aggregations.base import Inexact, InexactMetrics, Pushdown, Raw
from service.conditions.base import Query
from service.fields import POSITION, SHAPE, Field, shape_token
from service.planning.columns import KeyColumn
from service.planning.plan import Having, Metric
from service.planning.rows import GroupRow
from service.values import Json, exact_float, is_number

PAGE: Final = 65_535
"""Groups per page: OpenSearch's maximum, because each page scans all matches."""


class _Composite(msgspec.Struct):
    buckets: list[msgspec.Raw]
    after_key: dict[str, Any] | None = None


class _Filtered(msgspec.Struct):
    doc_count: int


class _HitsTotal(msgspec.Struct):
    value: int


class _Hits(msgspec.Struct):
    total: _HitsTotal | None = None


class _Answer(msgspec.Struct):
    hits: _Hits
    aggregations: dict[str, msgspec.Raw] = {}


@dataclass(frozen=True)
class CompositePage:
    """An OpenSearch answer whose buckets are not parsed yet."""

    matched: int
    buckets: Sequence[msgspec.Raw]
    after_key: Mapping[str, Any] | None
    beside: Mapping[str, int]
    """The filters beside the groups: name → objects."""

    @classmethod
    def parse(cls, answer: bytes | str) -> "CompositePage":
        """Parses an answer; the gateway guarantees that it is whole."""
        read = msgspec.json.decode(answer, type=_Answer)
        groups = msgspec.json.decode(read.aggregations.pop("groups"), type=_Composite)
        beside = {name: msgspec.json.decode(raw, type=_Filtered).doc_count for name, raw in read.aggregations.items()}
        return cls(read.hits.total.value if read.hits.total else 0, groups.buckets, groups.after_key, beside)


_AT_ONCE: Final = 1_000
"""Buckets decoded together: half a millisecond."""


@dataclass(frozen=True)
class PushedMetric:
    """A metric that OpenSearch computes."""

    position: int
    metric: Metric
    of: Field
    pushdown: Pushdown

    @property
    def names(self) -> list[str]:
        """The name of one of `pushdown.bodies` in the request to OpenSearch."""
        return [f"m{self.position}_{index}" for index in range(len(self.pushdown.bodies))]


@dataclass(frozen=True)
class Grouping:
    """One composite aggregation: its query, keys, metrics, and filters beside it."""

    query: Query
    columns: Sequence[KeyColumn]
    computed: Sequence[PushedMetric] = ()
    selectors: Mapping[str, Json] = field(default_factory=dict)
    beside: Mapping[str, Query] = field(default_factory=dict)

    def body(self, after: Mapping[str, Any] | None, size: int) -> dict[str, Json]:
        sources = [{name: source} for column in self.columns for name, source in column.sources.items()]
        composite: dict[str, Json] = {
            "size": size,
            # Without keys there is one group; every object has a position, which is far below that interval.
            "sources": sources or [{"all": {"histogram": {"field": POSITION, "interval": 1e15}}}],
        }
        if after is not None:
            composite["after"] = after
        inner: dict[str, Json] = {
            name: body
            for computed in self.computed
            for name, body in zip(computed.names, computed.pushdown.bodies, strict=True)
        }
        inner.update(self.selectors)
        groups: dict[str, Json] = {"composite": composite}
        if inner:
            groups["aggs"] = inner
        aggs: dict[str, Json] = {"groups": groups}
        if after is None:
            aggs.update({name: {"filter": query} for name, query in self.beside.items()})
        return {"size": 0, "track_total_hits": after is None, "query": self.query, "aggs": aggs}

    @property
    def widths(self) -> dict[str, Json]:
        """Aggregations that estimate each source's number of values, to suggest how a request could be narrowed."""
        aggs = {
            name: {"cardinality": {"field": source["terms"]["field"]}}
            for column in self.columns
            for name, source in column.sources.items()
            if "field" in source.get("terms", {})
        }
        return {"size": 0, "query": self.query, "aggs": aggs}

    def widths_of_keys(self, widths: Mapping[str, int]) -> dict[int, int]:
        """The estimates by key position: a key has as many values as its sources together."""
        found: dict[int, int] = {}
        for position, column in enumerate(self.columns):
            estimates = [widths[name] for name in column.sources if name in widths]
            if estimates:
                found[position] = sum(estimates)
        return found

    @property
    def ascending(self) -> bool:
        """Whether the groups arrive in key order, so that no sort is needed."""
        return all(column.ascending for column in self.columns)

    def rows(self, buckets: Sequence[msgspec.Raw], width: int) -> Iterator[tuple[GroupRow, int]]:
        """Rows with `width` metrics and their document counts; finally raises `InexactMetrics` if any is uncertain."""
        readers = [
            (
                computed.position,
                computed.metric.kind.read,
                computed.of,
                computed.names,
            )
            for computed in self.computed
        ]
        cells = [column.reader() for column in self.columns]
        doubtful: set[int] = set()
        for bucket in _decoded(buckets):
            key, documents = bucket["key"], bucket["doc_count"]
            metrics: list[Json] = [None] * width
            for position, read, of, names in readers:
                answers: Raw = [bucket[name] for name in names]
                try:
                    metrics[position] = read(of, answers, documents)
                except Inexact:
                    doubtful.add(position)
            yield GroupRow(tuple([cell(key) for cell in cells]), metrics), documents
        if doubtful:
            raise InexactMetrics(frozenset(doubtful))


def _decoded(buckets: Sequence[msgspec.Raw]) -> Iterator[Any]:
    """Decodes in batches: twice as fast as one by one; all at once would block other threads."""
    decode = msgspec.json.Decoder().decode
    for first in range(0, len(buckets), _AT_ONCE):
        yield from decode(b"[%b]" % b",".join(buckets[first : first + _AT_ONCE]))


def selector(having: Having, computed: PushedMetric) -> Json | None:
    """The bucket_selector of a condition, None where the service must apply it.

    Null metrics satisfy `ne`, but OpenSearch drops them, so `ne` is pushed down only for metrics that are never null.
    """
    chosen = computed.pushdown.selector
    if chosen is None or not is_number(having.value) or not exact_float(having.value):
        return None
    if having.comparison == "ne" and computed.metric.kind.nullable:
        return None
    names = computed.names
    operators = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "eq": "==", "ne": "!="}
    return {
        "bucket_selector": {
            "buckets_path": {
                name: which.format(*names) if isinstance(which, str) else names[which]
                for name, which in chosen.variables.items()
            },
            "script": {
                "source": chosen.script.format(op=operators[having.comparison]),
                "params": {"value": float(having.value)},
            },
        }
    }


def ignored(of: Field, takes: frozenset[str]) -> dict[str, Query]:
    """What a metric ignores at a path, as filters that count it: `arrays`, `others`."""
    filters: dict[str, Query] = {}
    if not takes:
        return filters
    if "array" in of.traits:
        filters["arrays"] = dsl.term(SHAPE, shape_token(of.name, "array"))
    others: list[Query] = []
    keyword = of.leaves.get("keyword")
    if keyword and "date" not in takes:
        others.append(dsl.exists(keyword))
    elif keyword and of.traits & {"text", "lengthy"}:
        dates = [dsl.exists(of.dates)] if of.dates else []
        others.append(dsl.filtered(dsl.exists(keyword), without=dates))
    if "boolean" in of.traits:
        others.append(dsl.exists(of.leaf("boolean")))
    if "object" in of.traits:
        others.append(dsl.term(SHAPE, shape_token(of.name, "object")))
    if others:
        filters["others"] = dsl.either(*others)
    return filters
