"""A bucket as aggregates see it: its fields, its searches, and one state of its objects."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from service import dsl
from service.conditions.base import Clause, Condition, Query, any_of
from service.conditions.logic import ALWAYS
from service.fields import ARRIVAL, Fields
from service.paths import Path
from service.planning.grouping import CompositePage
from service.scope import Scope
from service.storage import names
from service.storage.document import SYSTEM, read_object
from service.storage.documents import Version
from service.storage.gateway import Absent, Gateway
from service.storage.objects import ObjectStore
from service.values import Json, index_date


@dataclass(frozen=True)
class BucketSnapshot:
    """A bucket to query, and the version of its fields."""

    bucket_id: str
    version: Version | None
    expired_before: int | None = None
    """Objects created before this (epoch milliseconds) have expired, whether removed yet or not."""

    @property
    def query(self) -> Query:
        mine: Query = dsl.term("bucket_id", self.bucket_id)
        if self.expired_before is None:
            return mine
        alive = dsl.in_range("created_at", gte=index_date(self.expired_before))
        return dsl.filtered(mine, alive)


Conditions = Callable[[Fields], Condition]
"""Selects the objects to query; a filter's meaning depends on what is known of its field."""


@dataclass(frozen=True)
class BucketSource:
    """The objects of one bucket, or those of several that match a condition, for `service.aggregate`."""

    store: ObjectStore
    scope: Scope
    buckets: Sequence[BucketSnapshot]
    instants: Sequence[Path]
    fields: Fields
    conditions: Conditions = lambda fields: ALWAYS
    newest: Callable[[], Awaitable["BucketSource | None"]] | None = None
    """An alternative to the fields' versions for finding a newer source."""

    @classmethod
    async def at(
        cls,
        store: ObjectStore,
        scope: Scope,
        buckets: Sequence[BucketSnapshot],
        instants: Sequence[Path],
        conditions: Conditions = lambda fields: ALWAYS,
    ) -> "BucketSource":
        """The buckets at their fields' versions."""
        fields = await store.fields({snapshot.bucket_id: snapshot.version for snapshot in buckets}, instants)
        return cls(store, scope, buckets, instants, fields, conditions)

    async def refreshed(self) -> "BucketSource | None":
        if self.newest is not None:
            return await self.newest()
        versions = await self.store.versions([snapshot.bucket_id for snapshot in self.buckets])
        if versions == [snapshot.version for snapshot in self.buckets]:
            return None
        buckets = [replace(snapshot, version=version) for snapshot, version in zip(self.buckets, versions, strict=True)]
        return await self.at(self.store, self.scope, buckets, self.instants, self.conditions)

    @property
    def condition(self) -> Condition:
        return self.conditions(self.fields)

    @property
    def query(self) -> Query:
        return any_of([Clause(snapshot.query) for snapshot in self.buckets]).query

    async def search(self, body: Mapping[str, Any]) -> CompositePage:
        return CompositePage.parse(await self.store.ask(self.scope, body))

    @asynccontextmanager
    async def view(self) -> AsyncIterator["PointInTime"]:
        try:
            async with self.store.gateway.point_in_time(names.objects_alias(self.scope.namespace_id)) as pit:
                yield PointInTime(self.store.gateway, pit)
        except Absent:
            raise await self.store.missing(self.scope) from None


@dataclass(frozen=True)
class PointInTime:
    """One state of an index."""

    gateway: Gateway
    pit: str

    async def ask(self, body: Mapping[str, Any]) -> str:
        """An unparsed answer."""
        return await self.gateway.search(None, {**body, "pit": self._pit()})

    async def search(self, body: Mapping[str, Any]) -> CompositePage:
        return CompositePage.parse(await self.ask(body))

    async def widths(self, body: Mapping[str, Any]) -> dict[str, int]:
        answer = msgspec.json.decode(await self.ask(body))
        return {name: each["value"] for name, each in answer.get("aggregations", {}).items()}

    def objects(self, query: Json, *, ordered: bool) -> AsyncIterator[list[Json]]:
        """Pages of objects as users see them."""
        body = {
            "query": query,
            "_source": ["@raw", *SYSTEM],
            "sort": [{name: "asc"} for name in (ARRIVAL if ordered else ("_shard_doc",))],
        }
        return self.gateway.pages(self.pit, body, _hits)

    def _pit(self) -> Json:
        return {"id": self.pit, "keep_alive": "2m"}


def _hits(text: str) -> list[tuple[Json, Json]]:
    """Sort values and object of each hit."""
    answer = msgspec.json.decode(text)
    return [(hit["sort"], read_object(hit["_source"])) for hit in answer["hits"]["hits"]]
