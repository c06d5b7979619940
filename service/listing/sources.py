"""List sources: a bucket's objects in their index, resources in the catalogue."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import msgspec

from service import dsl
from service.conditions.base import Condition
from service.conditions.search import Search
from service.dialects.flat.filters import OBJECT, Resource
from service.fields import BLOB_COUNT, LAYOUT, Fields
from service.listing.base import Hit, SearchPage
from service.listing.computed import COUNTED
from service.listing.cursors import gone
from service.planning import order
from service.planning.order import SortKey
from service.storage import names
from service.storage.catalog import Catalog, Entry
from service.storage.document import SYSTEM, read_object
from service.storage.gateway import Absent, Gateway
from service.storage.terms import ResourceFields, by_terms, on_terms
from service.storage.views import BucketSource
from service.values import Json, index_date

ID: Final = "@id"
"""The key of a list item's catalogue id."""

_INLINE: Final = 100_000
"""Bytes of an answer that are parsed in the event loop; larger ones in a thread."""


async def search(
    gateway: Gateway, index: str, body: Mapping[str, Any], view: str | None, lifetime: float
) -> SearchPage:
    """Searches the index, or one state of it; raises `Absent`, or `Gone` for an expired state."""
    if view is None:
        text = await gateway.search(index, body)
    else:
        try:
            pit = {"id": view, "keep_alive": f"{max(1, int(lifetime))}s"}
            text = await gateway.search(None, {**body, "pit": pit})
        except Absent:
            raise gone(lifetime) from None
    return _parse_page(text) if len(text) < _INLINE else await asyncio.to_thread(_parse_page, text)


def _parse_page(text: str) -> SearchPage:
    answer = msgspec.json.decode(text)
    hits = [Hit(hit, hit.get("sort", ())) for hit in answer["hits"]["hits"]]
    return SearchPage(hits, answer["hits"].get("total", {}).get("value", 0), answer.get("aggregations", {}), len(text))


@dataclass(frozen=True)
class ObjectListSource:
    """The objects of a bucket."""

    bucket: BucketSource
    lifetime: float
    """Lifetime of a cursor in seconds."""
    unchanged_since: int | None = None
    """Only objects last changed up to then (epoch milliseconds)."""
    resource: ClassVar[Resource] = OBJECT

    warns = True

    @property
    def fields(self) -> Fields:
        return self.bucket.fields

    @property
    def stats_indexed(self) -> bool:
        return self.fields.layout >= LAYOUT

    @property
    def identity(self) -> Sequence[str]:
        return ("objects", self.bucket.scope.namespace_id, *(snapshot.bucket_id for snapshot in self.bucket.buckets))

    @property
    def query(self) -> Json:
        if self.unchanged_since is None:
            return self.bucket.query
        old = dsl.in_range("updated_at", lte=index_date(self.unchanged_since))
        return dsl.filtered(self.bucket.query, old)

    @property
    def aggs(self) -> Mapping[str, Json]:
        return {"blobs": {"sum": {"field": BLOB_COUNT}}, "status": {"terms": {"field": "status", "size": 100}}}

    @property
    def source(self) -> Json:
        return ["@raw", *SYSTEM, "@arrival", "@position", "@size_bytes", "@idempotency_key"]

    def searched(self, text: str, case_sensitive: bool) -> Condition:
        paths = (("object_id",), ("key_prefix",), ("name",), ("description",))
        return Search(text, not case_sensitive, paths, "metadata")

    @property
    def ties(self) -> list[Json]:
        return order.ARRIVED

    def order(self, key: SortKey) -> list[Json]:
        return order.clauses(self.fields.get(key.path), key.descending)

    def item(self, source: Mapping[str, Json]) -> dict[str, Json]:
        return read_object(source["_source"])

    async def stats(self, total: int, aggs: Mapping[str, Json]) -> Json:
        by_status = {bucket["key"]: bucket["doc_count"] for bucket in aggs["status"]["buckets"]}
        return _object_stats(total, int(aggs["blobs"]["value"]), by_status)

    def tally(self) -> "_Objects":
        return _Objects()

    async def search(self, body: Mapping[str, Any], view: str | None) -> SearchPage:
        try:
            return await search(self.bucket.store.gateway, self._index, body, view, self.lifetime)
        except Absent:
            raise await self.bucket.store.missing(self.bucket.scope) from None

    async def open(self) -> str:
        try:
            return await self.bucket.store.gateway.open_point_in_time(self._index, self.lifetime)
        except Absent:
            raise await self.bucket.store.missing(self.bucket.scope) from None

    async def close(self, view: str) -> None:
        await self.bucket.store.gateway.close_point_in_time(view)

    async def counted(self, items: Sequence[Mapping[str, Json]]) -> Sequence[Mapping[str, Json]]:
        return items

    @property
    def _index(self) -> str:
        return names.objects_alias(self.bucket.scope.namespace_id)


@dataclass
class _Objects:
    objects: int = 0
    blobs: int = 0
    by_status: Counter[str] = field(default_factory=Counter)

    def add(self, item: Mapping[str, Json]) -> None:
        self.objects += 1
        self.blobs += len(item["blobs"] or ())
        self.by_status[item["status"]] += 1

    async def stats(self) -> Json:
        return _object_stats(self.objects, self.blobs, dict(self.by_status))


def _object_stats(objects: int, blobs: int, by_status: Mapping[str, int]) -> Json:
    return {
        "total_objects": objects,
        "total_blobs": blobs,
        "avg_blobs_per_object": blobs / objects if objects else 0,
        "objects_by_status": by_status,
    }


@dataclass
class ResourceListSource:
    """Resources of one kind in the catalogue; subclasses define the kind."""

    catalog: Catalog
    namespace_id: str | None
    lifetime: float
    resource: ClassVar[Resource]
    kind: ClassVar[str]
    names: ClassVar[tuple[str, ...]]
    """The fields that `search` covers."""
    instants: ClassVar[frozenset[str]] = frozenset({"created_at", "updated_at"})
    stats_indexed: ClassVar[bool] = True
    source: ClassVar[Json] = True
    """The whole source: when filtering it, OpenSearch reorders the remaining keys."""

    def view(self, entry: Entry) -> dict[str, Json]:
        """The resource as filters see it, without computed fields."""
        raise NotImplementedError

    async def counts(self, entries: Sequence[str]) -> Mapping[str, Mapping[str, Json]]:
        """The computed fields of resources, by catalogue id."""
        raise NotImplementedError

    def summed(self, total: int, counts: Mapping[str, Mapping[str, Json]] | None, aggs: Mapping[str, Json]) -> Json:
        """The documented statistics; without counts those that need them are null and named in `omitted`."""
        raise NotImplementedError

    warns = False

    @property
    def fields(self) -> Fields:
        return ResourceFields(self.instants)

    @property
    def identity(self) -> Sequence[str]:
        return (self.kind, self.namespace_id or "")

    @property
    def query(self) -> Json:
        filters = [dsl.term("kind", self.kind), dsl.term("status", "ACTIVE")]
        if self.namespace_id is not None:
            filters.append(dsl.term("namespace_id", self.namespace_id))
        return dsl.filtered(*filters)

    @property
    def aggs(self) -> Mapping[str, Json]:
        return {"ids": {"terms": {"field": "id", "size": COUNTED}}}

    def searched(self, text: str, case_sensitive: bool) -> Condition:
        return Search(text, not case_sensitive, tuple((name,) for name in self.names))

    @property
    def ties(self) -> list[Json]:
        return [{"@arrival": {"order": "asc"}}, {"id": {"order": "asc"}}]

    def order(self, key: SortKey) -> list[Json]:
        return [by_terms(key.path, key.descending, instant=self.fields.get(key.path).instant)]

    def item(self, source: Mapping[str, Json]) -> dict[str, Json]:
        entry = Entry.of(source)
        return {**self.view(entry), ID: entry.id}

    async def stats(self, total: int, aggs: Mapping[str, Json]) -> Json:
        ids = [bucket["key"] for bucket in aggs["ids"]["buckets"]]
        return self.summed(total, await self.counts(ids) if total <= COUNTED else None, aggs)

    def tally(self) -> "_Resources":
        return _Resources(self)

    async def search(self, body: Mapping[str, Any], view: str | None) -> SearchPage:
        body = {**body, "query": on_terms(body["query"])}
        return await search(self.catalog.gateway, names.CATALOG, body, view, self.lifetime)

    async def open(self) -> str:
        return await self.catalog.gateway.open_point_in_time(names.CATALOG, self.lifetime)

    async def close(self, view: str) -> None:
        await self.catalog.gateway.close_point_in_time(view)

    async def counted(self, items: Sequence[Mapping[str, Json]]) -> Sequence[Mapping[str, Json]]:
        counts = await self.counts([item[ID] for item in items])
        return [{**item, **counts[item[ID]]} for item in items]


@dataclass
class _Resources:
    listed: ResourceListSource
    items: list[Mapping[str, Json]] = field(default_factory=list)
    total: int = 0

    def add(self, item: Mapping[str, Json]) -> None:
        self.total += 1
        if len(self.items) < COUNTED:
            self.items.append(item)

    async def stats(self) -> Json:
        if self.total > COUNTED:
            return self.listed.summed(self.total, None, {})
        computed = self.listed.resource.computed
        if all(computed <= item.keys() for item in self.items):
            counts: Mapping[str, Mapping[str, Json]] = {
                item[ID]: {name: item[name] for name in computed} for item in self.items
            }
        else:
            counts = await self.listed.counts([item[ID] for item in self.items])
        return self.listed.summed(self.total, counts, {"items": self.items})


def sum_of(counts: Mapping[str, Mapping[str, Json]] | None, name: str) -> int | None:
    return None if counts is None else sum(each[name] for each in counts.values())


def mean(total: int | None, count: int) -> float | None:
    if total is None:
        return None
    return total / count if count else 0


def with_omitted(stats: dict[str, Json]) -> dict[str, Json]:
    """Sets statistics that would need too much counting to null, and names them in `omitted`."""
    omitted = [name for name, value in stats.items() if value is None]
    return {**stats, "omitted": omitted} if omitted else stats
