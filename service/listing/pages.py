"""The use case of lists: filters, order, search and page in; one page, totals and statistics out.

OpenSearch filters, sorts, counts and pages. Where the index holds less than a filter asks, what it finds is walked in
order and tested here, so that memory stays flat and the answer exact. Numbers that are counted when they are asked for
(a bucket's objects) can be filtered and sorted by while no more than a thousand resources match.
"""

import asyncio
import hashlib
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Protocol

from service import deadline
from service.conditions.base import MATCH_ALL, Clause, Condition, Use, all_of, clauses_in
from service.conditions.logic import And
from service.dialects.flat.filters import Resource, read_list_filters
from service.dialects.flat.listing import ListRequest
from service.errors import Invalid, OverBudget
from service.fields import Fields
from service.listing.cursors import Cursors, Secret
from service.paths import parse, resolve
from service.planning.order import SortKey
from service.planning.strategies.base import MAX_CLAUSES
from service.planning.warnings import of_list
from service.values import MISSING, Json, encode_json, order, parse_date

COUNTED: Final = 1_000
"""Resources whose computed numbers one answer may need (contract, Sorting, search, paging)."""

_FIRST: Final = 200
_WALK: Final = 1_000
_PAGE_BYTES: Final = 4_000_000
"""Where many results are read, a page has at first so many of them, and later so many bytes at most."""


@dataclass(frozen=True)
class Hit:
    """One thing found, as it is stored, and its place in the order."""

    source: Mapping[str, Json]
    place: Sequence[Json]


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


async def page_of(request: ListRequest, listed: ListSource, cursors: Cursors, budget: int) -> ListPage:
    """The page; raises `Invalid` (422) for what is wrong in the request, `Gone` (410) for a cursor that has ended."""
    condition, computes = _condition(request, listed)
    keys = _order(request, listed)
    warnings = _warned(request, listed, condition, keys)
    clause = condition.compile(listed.fields)
    if clauses_in(clause.query) > MAX_CLAUSES:
        clause = Clause(MATCH_ALL, exact=False)
    query = all_of([Clause(listed.query), clause]).query
    asked = [list(listed.identity), request.question, [[key.path, key.descending] for key in keys]]
    bound = hashlib.sha256(encode_json(asked)).hexdigest()[:32]
    if computes or any(_is_computed(key, listed) for key in keys):
        page = await _computed(request, listed, cursors, condition, query, keys, bound)
        return replace(page, warnings=warnings)
    exact = clause.exact and listed.stats_indexed
    walk = _Walking(request, listed, cursors, budget, condition, query, exact, keys, bound)
    return replace(await walk.page(), warnings=warnings)


def warned_of(request: ListRequest, listed: ListSource) -> list[str]:
    """What the filters and the order of a list name in vain."""
    condition, _ = _condition(request, listed)
    return _warned(request, listed, condition, _order(request, listed))


def _warned(request: ListRequest, listed: ListSource, condition: Condition, keys: Sequence[SortKey]) -> list[str]:
    return of_list(condition, _sorted_by(request, keys), listed.fields) if listed.warns else []


async def everything(request: ListRequest, listed: ListSource) -> AsyncIterator[Sequence[Mapping[str, Json]]]:
    """All that matches, page by page, as one state of the data has it; for what is too much for one answer.

    Each is tested here: a writer may have brought a kind of value that the query does not reckon with.
    """
    condition, clause = matching(request, listed)
    keys = _order(request, listed)
    query = all_of([Clause(listed.query), clause]).query
    endless = sys.maxsize
    walk = _Walking(request, listed, Cursors(Secret(), 0), endless, condition, query, clause.exact, keys, "")
    # Nothing is asked of an object: nothing needs a look at it.
    every = not request.filters and not request.search
    async with _seen(listed, None) as view, aclosing(_ahead(walk.pages(view, None, _FIRST))) as pages:
        async for page in pages:
            kept = page if every else [hit for hit, _ in await walk.sifted(page)]
            if kept:
                yield [hit.source for hit in kept]


async def _ahead(pages: AsyncGenerator[Sequence[Hit]]) -> AsyncGenerator[Sequence[Hit]]:
    """The same pages; the next one is fetched while one is worked on. Each has the time of a request."""
    async with aclosing(pages):
        coming = asyncio.ensure_future(anext(pages, None))
        try:
            while (page := await coming) is not None:
                deadline.renew()
                coming = asyncio.ensure_future(anext(pages, None))
                yield page
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


def matching(request: ListRequest, listed: ListSource) -> tuple[Condition, Clause]:
    """What is meant, and what finds it or more; raises `Invalid`."""
    condition, computes = _condition(request, listed)
    if computes:
        raise Invalid.at(("body", "filters"), "computed fields cannot be used here")
    clause = condition.compile(listed.fields)
    return condition, clause if clauses_in(clause.query) <= MAX_CLAUSES else Clause(MATCH_ALL, exact=False)


def _condition(request: ListRequest, listed: ListSource) -> tuple[Condition, bool]:
    condition, computes = read_list_filters(
        request.filters,
        ("body", "filters"),
        lambda path: listed.fields.get(path).instant,
        listed.resource,
        case_sensitive=request.case_sensitive,
    )
    if request.search:
        condition = And((condition, listed.searched(request.search, request.case_sensitive)))
    return condition, computes


def _order(request: ListRequest, listed: ListSource) -> list[SortKey]:
    return request.order(lambda path: listed.resource.place(path, lambda root: bool(listed.fields.get(root).traits)))


def _sort(keys: Sequence[SortKey], listed: ListSource) -> list[Json]:
    """OpenSearch's `sort`: key after key, and what ties in all of them in order of arrival."""
    return [*(clause for key in keys for clause in listed.order(key)), *listed.ties]


def _is_computed(key: SortKey, listed: ListSource) -> bool:
    return key.path[0] in listed.resource.computed


def _sorted_by(request: ListRequest, keys: Sequence[SortKey]) -> list[Use]:
    """As the request spells it, and where it lies."""
    options = request.sorts or ([request.sort] if request.sort else [])
    return [Use((parse(option.field), key.path)) for option, key in zip(options, keys, strict=True)]


@dataclass
class _Walking:
    request: ListRequest
    listed: ListSource
    cursors: Cursors
    budget: int
    condition: Condition
    query: Json
    exact: bool
    keys: Sequence[SortKey]
    bound: str

    def __post_init__(self) -> None:
        self.sort: Json = _sort(self.keys, self.listed)

    @property
    def lasting(self) -> bool:
        """No update changes a result's place, so that no point in time is needed."""
        return all(key.immutable for key in self.keys)

    async def page(self) -> ListPage:
        given = self.request.cursor
        if given and given != "*":
            return await self._further(self.cursors.open(given, self.bound, self.request.cursor_at))
        if not given or self.lasting:
            return await self._first(None)
        return await self._opening(self._first)

    async def _first(self, view: str | None) -> ListPage:
        size, start = self.request.size, self.request.start
        if self.exact:
            body = {**self._body(size), "from": start, "track_total_hits": True, "aggs": dict(self.listed.aggs)}
            found = await self.listed.search(body, view)
            hits, total = found.hits, found.total
            stats = await self.listed.stats(total, found.aggs)
        else:
            hits, total, stats = await self._tested(start, size, view)
        return await self._page(hits, start, total, stats, view, more=bool(hits) and start + len(hits) < total)

    async def _further(self, content: Mapping[str, Json]) -> ListPage:
        """From a cursor on: what is known of everything that matched came with it."""
        if content["view"] is not None:
            return replace(await self._after(content, content["view"]), settled=True)
        if self.lasting:
            return await self._after(content, None)
        return await self._opening(lambda view: self._after(content, view))

    async def _opening(self, work: Callable[[str], Awaitable[ListPage]]) -> ListPage:
        view = await self.listed.open()
        try:
            return replace(await work(view), opened=view)
        except BaseException:
            await self.listed.close(view)
            raise

    async def _after(self, content: Mapping[str, Json], view: str | None) -> ListPage:
        # A new kind of value would be one more key of the order, which the cursor has no place in.
        self.sort = content["sort"]
        hits: list[Hit] = []
        size, start = self.request.size, content["start"]
        # One more than the page tells whether there is a next one: the total may be an old one.
        async for page in self.pages(view, content["after"], size + 1):
            hits += page if self.exact else [hit for hit, _ in await self.sifted(page)]
            if len(hits) > size:
                break
        total = max(content["total"], start + len(hits))
        return await self._page(hits[:size], start, total, content["stats"], view, more=len(hits) > size)

    async def _page(
        self, hits: Sequence[Hit], start: int, total: int, stats: Json, view: str | None, *, more: bool
    ) -> ListPage:
        cursor = None
        if more:
            cursor = self.cursors.seal(
                of=self.bound,
                after=list(hits[-1].place),
                start=start + len(hits),
                total=total,
                stats=stats,
                view=view,
                sort=self.sort,
            )
        elif view is not None:
            await self.listed.close(view)
        return ListPage([hit.source for hit in hits], start, total, stats, cursor)

    def _body(self, size: int) -> dict[str, Json]:
        return {
            "query": self.query,
            "sort": self.sort,
            "size": size,
            "_source": self.listed.source,
            "seq_no_primary_term": True,
            "track_total_hits": False,
        }

    async def pages(self, view: str | None, after: Sequence[Json] | None, size: int) -> AsyncGenerator[Sequence[Hit]]:
        read = 0
        while True:
            body = self._body(size)
            if after is not None:
                body["search_after"] = list(after)
            found = await self.listed.search(body, view)
            yield found.hits
            read += len(found.hits)
            if len(found.hits) < size:
                return
            if read >= self.budget:
                raise OverBudget(
                    f"this filter needs more than {self.budget:,} results to be looked at one by one, which is the "
                    "budget of one answer; add a condition that narrows it (eq, in, a range, starts_with)",
                    {"limit": self.budget},
                )
            after = found.hits[-1].place
            size = max(10, min(_WALK, len(found.hits) * _PAGE_BYTES // found.size))

    async def sifted(self, hits: Sequence[Hit]) -> list[tuple[Hit, Mapping[str, Json]]]:
        """Those that the condition means, with their items."""

        def work() -> list[tuple[Hit, Mapping[str, Json]]]:
            items = ((hit, self.listed.item(hit.source)) for hit in hits)
            return [(hit, item) for hit, item in items if self.condition.test(item)]

        return await asyncio.to_thread(work)

    async def _tested(self, start: int, size: int, view: str | None) -> tuple[list[Hit], int, Json]:
        """So many of the hits that pass, from a place on, and what is known of all of them."""
        tally, total = self.listed.tally(), 0
        kept: list[Hit] = []
        async with _seen(self.listed, view) as state:
            async for page in self.pages(state, None, _FIRST):
                for hit, item in await self.sifted(page):
                    if start <= total < start + size:
                        kept.append(hit)
                    total += 1
                    tally.add(item)
        return kept, total, await tally.stats()


@asynccontextmanager
async def _seen(listed: ListSource, view: str | None) -> AsyncIterator[str]:
    """One state of the data for all pages of a walk."""
    own = view or await listed.open()
    try:
        yield own
    finally:
        if view is None:
            await listed.close(own)


async def _computed(
    request: ListRequest,
    listed: ListSource,
    cursors: Cursors,
    condition: Condition,
    query: Json,
    keys: Sequence[SortKey],
    bound: str,
) -> ListPage:
    """Filters and sorts by numbers that are counted now; a cursor goes on after the same result, wherever it is."""
    given = request.cursor
    gone_on = cursors.open(given, bound, request.cursor_at) if given and given != "*" else None
    # In order of arrival; the clauses of stored keys come after it only for their values, by which rows are sorted.
    sort = [*listed.ties, *_sort([key for key in keys if not _is_computed(key, listed)], listed)]
    body = {"query": query, "sort": sort, "size": COUNTED, "_source": listed.source}
    found = await listed.search({**body, "track_total_hits": True}, None)
    if found.total > COUNTED:
        names = ", ".join(sorted(listed.resource.computed))
        computed = [request.sort_at(number) for number, key in enumerate(keys) if _is_computed(key, listed)]
        raise Invalid.at(
            computed[0][:-1] if computed else ("body", "filters"),
            f"{names} are counted for each that matches, at most {COUNTED:,}; {found.total:,} match: narrow it with "
            "other conditions",
            "too_many",
        )
    items = await listed.counted([listed.item(hit.source) for hit in found.hits])
    rows = [(item, hit) for item, hit in zip(items, found.hits, strict=True) if condition.test(item)]
    rows = _sorted(rows, keys, listed)
    tally = listed.tally()
    for item, _ in rows:
        tally.add(item)
    start, end = request.start, request.start + request.size
    if gone_on is not None:
        places = [hit.place[-1] for _, hit in rows]
        start = places.index(gone_on["after"]) + 1 if gone_on["after"] in places else gone_on["start"]
        end = start + request.size
    cursor = None
    if end < len(rows):
        cursor = cursors.seal(of=bound, after=rows[end - 1][1].place[-1], start=end)
    return ListPage([hit.source for _, hit in rows[start:end]], start, len(rows), await tally.stats(), cursor)


Row = tuple[Mapping[str, Json], Hit]


def _sorted(rows: list[Row], keys: Sequence[SortKey], listed: ListSource) -> list[Row]:
    """Rows in order of arrival by all keys: computed fields by their values, stored ones by those that OpenSearch gave.

    A stored key is one clause, whose value is never null. What has no value of a computed field comes last.
    """
    stored = [key for key in keys if not _is_computed(key, listed)]
    for key in reversed(keys):
        if _is_computed(key, listed):
            rows = _by_computed(rows, key, instant=listed.fields.get(key.path).instant)
        else:
            place = len(listed.ties) + stored.index(key)
            rows = sorted(rows, key=lambda row: row[1].place[place], reverse=key.descending)
    return rows


def _by_computed(rows: list[Row], key: SortKey, *, instant: bool) -> list[Row]:
    def value(row: Row) -> Json:
        found = resolve(row[0], key.path)
        if found is MISSING:
            return None
        return parse_date(found) if instant and isinstance(found, str) else found

    have = [row for row in rows if value(row) is not None]
    have.sort(key=lambda row: order(value(row)), reverse=key.descending)
    return [*have, *(row for row in rows if value(row) is None)]
