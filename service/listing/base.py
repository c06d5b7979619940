"""The interface of list sources for a walk, and the result types for pages."""

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
    """One hit as stored, with its sort values."""

    source: Mapping[str, Json]
    sort: Sequence[Json]


@dataclass(frozen=True)
class SearchPage:
    """A page of hits; `total` and `aggs` if requested."""

    hits: Sequence[Hit]
    total: int
    aggs: Mapping[str, Json]
    size: int
    """Size of the answer in bytes."""


class ListSource(Protocol):
    """The source of a list: a bucket's objects, a namespace's buckets."""

    @property
    def resource(self) -> Resource: ...

    @property
    def fields(self) -> Fields: ...

    @property
    def warns(self) -> bool:
        """Whether `fields` are the observed ones, so that an unknown path matches nothing."""
        ...

    @property
    def identity(self) -> Sequence[str]:
        """The identity that a cursor is bound to."""
        ...

    @property
    def query(self) -> Json:
        """The query for all items."""
        ...

    @property
    def aggs(self) -> Mapping[str, Json]:
        """Aggregations over all matches, for `stats`."""
        ...

    @property
    def stats_indexed(self) -> bool:
        """Whether the index has all that `aggs` need."""
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
        """The clauses for ties in all keys: the order of arrival, and last a unique id."""
        ...

    def item(self, source: Mapping[str, Json]) -> dict[str, Json]:
        """The item as filters are tested on it."""
        ...

    async def stats(self, total: int, aggs: Mapping[str, Json]) -> Json:
        """The documented statistics, from the aggregations."""
        ...

    def tally(self) -> "StatsAccumulator":
        """The same from the items themselves."""
        ...

    async def search(self, body: Mapping[str, Json], view: str | None) -> SearchPage: ...

    async def open(self) -> str:
        """Opens a point in time, which lives as long as a cursor after each use."""
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
    """One page: the items as stored, and totals and statistics of all matches."""

    sources: Sequence[Mapping[str, Json]]
    start: int
    total: int
    stats: Json
    cursor: str | None
    """The start of the next page, None at the end."""
    opened: str | None = None
    """The point in time that this page opened."""
    warnings: Sequence[str] = ()
    """Parts of the request that match nothing."""
    settled: bool = False
    """Whether it comes from a point in time older than this request, so that no writer could change it."""
