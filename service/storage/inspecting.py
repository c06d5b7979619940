"""Inspects a namespace's indices: the indices themselves, and how many objects have each field."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from service import dsl
from service.conditions.base import Clause, Query, any_of
from service.conditions.existence import present
from service.errors import TallyError
from service.fields import SAFE_INTEGER, SHAPE, Field, Leaf, shape_token
from service.scope import Scope
from service.storage import names
from service.storage.gateway import Absent, Gateway, Refresher
from service.storage.views import BucketSource
from service.values import Json, number, render_date

BATCH: Final = 50
"""Fields counted per search: each takes up to about twenty small aggregations."""

EXAMPLES: Final = 5

_COLUMNS: Final = "index,health,pri,rep,docs.count,docs.deleted,store.size,pri.store.size,creation.date"

Kind = Literal["string", "number", "boolean", "null", "array", "object"]
"""JSON's types."""

_LEAVES: Final[Mapping[Kind, tuple[Leaf, ...]]] = {
    "string": ("keyword",),
    "number": ("double", "long"),
    "boolean": ("boolean",),
}
_SHAPES: Final[tuple[Kind, ...]] = ("null", "array", "object")


@dataclass(frozen=True)
class Index:
    """One index. Values known only while the index is open and whole are None otherwise."""

    name: str
    alias: str | None
    """The readable alias, by the namespace's name; indices of deletions have none."""
    stream: tuple[str, str, bool] | None
    """Stream, its incarnation, whether it holds deletions; None for objects."""
    documents: int | None
    deleted_documents: int | None
    size_bytes: int | None
    """Over all shard copies."""
    primary_size_bytes: int | None
    primary_shards: int
    replicas: int
    health: str
    """`green`, `yellow`, `red`."""
    created_at: int
    """Epoch milliseconds."""


@dataclass(frozen=True)
class IndexLocation:
    """Where values are indexed: the field, its type, and the term that stands for them if not the value's own."""

    name: str
    type: str
    term: str | None = None


@dataclass(frozen=True)
class Dates:
    """Number of objects with an ISO-8601 date among the strings; the earliest and latest, in epoch milliseconds."""

    count: int
    first: int | None
    last: int | None


@dataclass(frozen=True)
class Occurrence:
    """One JSON type at a path."""

    kind: Kind
    count: int
    """Objects with such a value, alone or as an array element."""
    locations: Sequence[IndexLocation]
    least: int | float | None = None
    most: int | float | None = None
    """For numbers; also None where a double cannot represent them."""
    dates: Dates | None = None


@dataclass(frozen=True)
class Example:
    """A value, and how many objects have it: None if the shards give no exact count."""

    value: Json
    count: int | None


@dataclass(frozen=True)
class FieldReport:
    """The report of a path: how many objects have it, null or not, and what values they have."""

    field: Field
    count: int
    occurrences: Sequence[Occurrence]
    examples: Sequence[Example]


class Inspector:
    """Read-only inspection."""

    def __init__(
        self, gateway: Gateway, refresher: Refresher, missing: Callable[[Scope], Awaitable[TallyError]]
    ) -> None:
        """`missing`: the error for a namespace whose index does not exist."""
        self._missing = missing
        self._gateway = gateway
        self._refresher = refresher

    async def indices(self, scope: Scope) -> list[Index]:
        """The indices by name; counts include all acknowledged writes. Raises `NotFound` if the namespace is gone."""
        pattern = f"{names.objects_alias(scope.namespace_id)},{names.records_pattern(scope.namespace_id)}"
        params = {"format": "json", "bytes": "b", "h": _COLUMNS}
        try:
            await self._refresher.refresh(pattern)
            rows = await self._gateway.json("GET", f"/_cat/indices/{pattern}", params=params)
            aliases = await self._gateway.json("GET", f"/{pattern}/_alias")
        except Absent:
            raise await self._missing(scope) from None
        found = [_index(row, aliases.get(row["index"], {}).get("aliases", {})) for row in rows]
        return sorted(found, key=lambda index: index.name)

    async def occurrences(self, source: BucketSource, fields: Sequence[Field]) -> tuple[int, list[FieldReport]]:
        """The number of objects and the report of each field, all counted in one state of the index."""
        if len(fields) <= BATCH:

            async def ask(body: Mapping[str, Any]) -> str:
                return await source.store.ask(source.scope, body)

            return await _counted(ask, source.query, fields)
        total, rendered = 0, list[FieldReport]()
        async with source.view() as view:
            for place in range(0, len(fields), BATCH):
                total, more = await _counted(view.ask, source.query, fields[place : place + BATCH])
                rendered += more
        return total, rendered


def _index(row: Mapping[str, Any], aliases: Mapping[str, Json]) -> Index:
    return Index(
        row["index"],
        min(filter(names.readable, aliases), default=None),
        names.stream_of(row["index"]),
        _integer(row["docs.count"]),
        _integer(row["docs.deleted"]),
        _integer(row["store.size"]),
        _integer(row["pri.store.size"]),
        int(row["pri"]),
        int(row["rep"]),
        row["health"],
        int(row["creation.date"]),
    )


def _integer(text: str | None) -> int | None:
    return None if text is None else int(text)


async def _counted(
    ask: Callable[[Mapping[str, Any]], Awaitable[str]], query: Query, fields: Sequence[Field]
) -> tuple[int, list[FieldReport]]:
    """One search: a filter for each field and JSON type seen there, the most frequent values, minimum and maximum.

    Aggregations are named by the field's position and index field type, because paths are user input.
    """
    filters: dict[str, Query] = {}
    aggs: dict[str, Json] = {}
    for position, field in enumerate(fields):
        filters[f"{position} has"] = present(field, null=True).query
        for kind in _kinds(field):
            if (finds := _finds(field, kind)) is not None:
                filters[f"{position} {kind}"] = finds
        if field.dates:
            filters[f"{position} dates"] = dsl.exists(field.dates)
        if "cased" in field.traits:
            filters[f"{position} folded"] = dsl.exists(field.leaf("fold"))
        for leaf, name in field.leaves.items():
            aggs[f"{position} top {leaf}"] = {
                "terms": {"field": name, "size": EXAMPLES, "show_term_doc_count_error": True}
            }
        for leaf, name in _ended(field).items():
            aggs[f"{position} min {leaf}"] = {"min": {"field": name}}
            aggs[f"{position} max {leaf}"] = {"max": {"field": name}}
    if filters:
        aggs["filters"] = {"filters": {"filters": filters}}
    answer = msgspec.json.decode(await ask({"size": 0, "query": query, "track_total_hits": True, "aggs": aggs}))
    total = answer["hits"]["total"]["value"]
    found = answer.get("aggregations", {})
    counts = {name: each["doc_count"] for name, each in found.get("filters", {"buckets": {}})["buckets"].items()}
    return total, [_report(position, field, total, counts, found) for position, field in enumerate(fields)]


def _ended(field: Field) -> dict[Leaf, str]:
    """The index fields that have a minimum and maximum."""
    ended = {leaf: name for leaf, name in field.leaves.items() if leaf in _LEAVES["number"]}
    return {**ended, "date": field.dates} if field.dates else ended


def _kinds(field: Field) -> list[Kind]:
    leaves = field.leaves
    kinds: list[Kind] = [kind for kind, homes in _LEAVES.items() if any(leaf in leaves for leaf in homes)]
    if "date" in leaves:
        kinds.append("string")
    return [*kinds, *(shape for shape in _SHAPES if shape in field.traits)]


def _finds(field: Field, kind: Kind) -> Query | None:
    """The query for objects with a value of a type; None for a null recognisable only by the absence of all else."""
    if kind in _SHAPES:
        return None if field.always else dsl.term(SHAPE, shape_token(field.name, kind))
    return any_of([Clause(dsl.exists(name)) for name in _homes(field, kind).values()]).query


def _homes(field: Field, kind: Kind) -> dict[Leaf, str]:
    wanted = (*_LEAVES[kind], "date") if kind == "string" else _LEAVES[kind]
    return {leaf: name for leaf, name in field.leaves.items() if leaf in wanted}


def _locations(field: Field, kind: Kind, *, folded: bool) -> list[IndexLocation]:
    if kind in _SHAPES:
        found = [] if field.always else [IndexLocation(SHAPE, "keyword", shape_token(field.name, kind))]
        return [*found, IndexLocation(field.json, "keyword")] if kind == "array" and field.json else found
    homes = [IndexLocation(name, leaf) for leaf, name in _homes(field, kind).items()]
    if kind != "string" or field.primary_type == "date":
        return homes
    homes += [IndexLocation(field.dates, "date")] if field.dates else []
    return [*homes, IndexLocation(field.leaf("fold"), "keyword")] if folded else homes


def _report(place: int, field: Field, total: int, counts: Mapping[str, int], found: Mapping[str, Json]) -> FieldReport:
    has = counts[f"{place} has"]
    occurrences = []
    for kind in _kinds(field):
        count = counts.get(f"{place} {kind}")
        if count is None:
            count = total - counts[f"{place} string"]
        if not count and kind == "array" and field.through:
            # The array is at a parent path.
            continue
        least, most, dates = None, None, None
        if kind == "number":
            least, most = _ends(place, field, found)
        elif kind == "string" and field.dates:
            dates = _dates(place, counts[f"{place} dates"], found)
        locations = _locations(field, kind, folded=counts.get(f"{place} folded", 0) > 0)
        occurrences.append(Occurrence(kind, count, locations, least, most, dates))
    return FieldReport(field, has, occurrences, _examples(place, field, found))


def _ends(place: int, field: Field, found: Mapping[str, Json]) -> list[int | float | None]:
    """The minimum and maximum; None if there is none, or if it has more digits than the server's doubles hold."""
    ends: list[int | float | None] = []
    for end, choose in (("min", min), ("max", max)):
        values = {leaf: found[f"{place} {end} {leaf}"]["value"] for leaf in _ended(field) if leaf != "date"}
        there = [value for value in values.values() if value is not None]
        whole = abs(values.get("long") or 0) <= SAFE_INTEGER
        ends.append(number(choose(there)) if there and whole else None)
    return ends


def _dates(place: int, count: int, found: Mapping[str, Json]) -> Dates:
    first, last = (found[f"{place} {end} date"]["value"] for end in ("min", "max"))
    return Dates(count, None if first is None else int(first), None if last is None else int(last))


def _examples(place: int, field: Field, found: Mapping[str, Json]) -> list[Example]:
    """The most frequent values over all types; those without an exact count are real values all the same."""
    examples = [
        (bucket["doc_count"], Example(_value(leaf, bucket), None if inexact else bucket["doc_count"]))
        for leaf in field.leaves
        for bucket in found[f"{place} top {leaf}"]["buckets"]
        for inexact in (bucket["doc_count_error_upper_bound"],)
    ]
    # Sorting is stable: ties keep OpenSearch's order.
    return [example for _, example in sorted(examples, key=lambda each: -each[0])[:EXAMPLES]]


def _value(leaf: Leaf, bucket: Json) -> Json:
    if leaf == "boolean":
        return bool(bucket["key"])
    if leaf == "date":
        return render_date(bucket["key"])
    return number(bucket["key"]) if leaf == "double" else bucket["key"]
