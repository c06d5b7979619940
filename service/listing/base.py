"""What is listed, as the walk through it sees it, and what a page is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from service.conditions.base import Condition
from service.dialects.flat.filters import Resource
from service.fields import Fields
from service.planning.order import SortKey
from service.values import Json


@dataclass(frozen=True)
class Hit:
    """One thing found, as it is stored, and the values that it is sorted by."""

    source: Mapping[str, Json]
    sort: Sequence[Json]


@dataclass(frozen=True)
class SearchPage:
    """A page of hits; `total` and `aggs` where they were asked for."""

    hits: Sequence[Hit]
    total: int
    aggs: Mapping[str, Json]
    size: int
    """Bytes of the answer."""


class ListSource(Protocol):
    """What is listed: a bucket's objects, a namespace's buckets."""

    @property
    def resource(self) -> Resource: ...

    @property
    def fields(self) -> Fields: ...

    @property
    def warns(self) -> bool:
        """Whether `fields` are what was met, so that a path that is not there means nothing."""
        ...

    @property
    def identity(self) -> Sequence[str]:
        """What a cursor is bound to."""
        ...

    @property
    def query(self) -> Json:
        """What finds all of them."""
        ...

    @property
    def aggs(self) -> Mapping[str, Json]:
        """Aggregations over everything that matched, for `stats`."""
        ...

    @property
    def stats_indexed(self) -> bool:
        """The index holds what `aggs` need."""
        ...

    @property
    def source(self) -> Json:
        """The stored fields that `item` needs."""
        ...

    def searched(self, text: str, case_sensitive: bool) -> Condition: ...

    def order(self, key: SortKey) -> list[Json]:
        """The clauses of OpenSearch's `sort` for one key."""
        ...

    @property
    def ties(self) -> list[Json]:
        """The clauses for what ties in all keys: the order of arrival, and at the end an id that no two share."""
        ...

    def item(self, source: Mapping[str, Json]) -> dict[str, Json]:
        """What filters are tested on."""
        ...

    async def stats(self, total: int, aggs: Mapping[str, Json]) -> Json:
        """The documented statistics, from the aggregations."""
        ...

    def tally(self) -> "StatsAccumulator":
        """The same from the items themselves."""
        ...

    async def search(self, body: Mapping[str, Json], view: str | None) -> SearchPage: ...

    async def open(self) -> str:
        """A point in time, which lives as long as a cursor after each use."""
        ...

    async def close(self, view: str) -> None: ...

    async def counted(self, items: Sequence[Mapping[str, Json]]) -> Sequence[Mapping[str, Json]]:
        """The items with their computed fields."""
        ...


class StatsAccumulator(Protocol):
    """Gathers statistics item by item."""

    def add(self, item: Mapping[str, Json]) -> None: ...

    async def stats(self) -> Json: ...


@dataclass(frozen=True)
class ListPage:
    """One page: the things as they are stored, and what is known of all that matched."""

    sources: Sequence[Mapping[str, Json]]
    start: int
    total: int
    stats: Json
    cursor: str | None
    """Where the next page begins, None at the end."""
    opened: str | None = None
    """The point in time that this page opened."""
    warnings: Sequence[str] = ()
    """Parts of the question that mean nothing."""
    settled: bool = False
    """It comes from a point in time that is older than this request, so that no writer could change it."""
