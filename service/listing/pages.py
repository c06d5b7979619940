"""The use case for lists: takes filters, order, search and page; returns one page, totals and statistics.

OpenSearch filters, sorts, counts and pages. Where the index holds too little to decide a filter, its hits are walked in
order and tested here, so that memory use stays constant and the answer exact. Filtering and sorting by numbers counted
on read (a bucket's objects) is possible while at most a thousand resources match.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from service.conditions.base import MATCH_ALL, Clause, Condition, Use, all_of, clauses_in
from service.conditions.logic import And
from service.dialects.flat.filters import read_list_filters
from service.dialects.flat.listing import ListRequest
from service.errors import Invalid
from service.listing.base import Hit, ListPage, ListSource
from service.listing.computed import computed_page, is_computed
from service.listing.cursors import Cursors
from service.listing.walk import Walk, ahead, one_state, sort_clauses
from service.paths import parse
from service.planning.order import SortKey
from service.planning.strategies.base import MAX_CLAUSES
from service.planning.warnings import of_list
from service.storage.gateway import FIRST_PAGE
from service.values import Json, encode_json


async def page_of(request: ListRequest, listed: ListSource, cursors: Cursors, budget: int) -> ListPage:
    """The page; raises `Invalid` (422) for errors in the request, `Gone` (410) for an expired cursor."""
    condition, computes = _condition(request, listed)
    keys = _order(request, listed)
    warnings = _warned(request, listed, condition, keys)
    clause = condition.compile(listed.fields)
    if clauses_in(clause.query) > MAX_CLAUSES:
        clause = Clause(MATCH_ALL, exact=False)
    query = all_of([Clause(listed.query), clause]).query
    asked = [list(listed.identity), request.question, [[key.path, key.descending] for key in keys]]
    bound = hashlib.sha256(encode_json(asked)).hexdigest()[:32]
    if computes or any(is_computed(key, listed) for key in keys):
        page = await computed_page(request, listed, cursors, condition, query, keys, bound)
        return replace(page, warnings=warnings)
    exact = clause.exact and listed.stats_indexed
    walk = Walk(listed, condition, query, sort_clauses(keys, listed), budget)
    lasting = all(key.immutable for key in keys)
    page = await _Paging(request, walk, cursors, exact, lasting, bound).page()
    return replace(page, warnings=warnings)


def warned_of(request: ListRequest, listed: ListSource) -> list[str]:
    """Warnings about paths in a list's filters and order that match nothing."""
    condition, _ = _condition(request, listed)
    return _warned(request, listed, condition, _order(request, listed))


def _warned(request: ListRequest, listed: ListSource, condition: Condition, keys: Sequence[SortKey]) -> list[str]:
    return of_list(condition, _sorted_by(request, keys), listed.fields) if listed.warns else []


async def everything(request: ListRequest, listed: ListSource) -> AsyncIterator[Sequence[Mapping[str, Json]]]:
    """All matches, page by page, from one state of the data; for results too large for one answer.

    Each is tested here: a writer may have added a type of value that the query does not cover.
    """
    condition, clause = matching(request, listed)
    query = all_of([Clause(listed.query), clause]).query
    walk = Walk(listed, condition, query, sort_clauses(_order(request, listed), listed))
    # Without conditions, no object needs to be tested.
    every = not request.filters and not request.search
    async with one_state(listed, None) as view, aclosing(ahead(walk.pages(view, None, FIRST_PAGE))) as pages:
        async for page in pages:
            kept = page if every else [hit for hit, _ in await walk.sifted(page)]
            if kept:
                yield [hit.source for hit in kept]


def matching(request: ListRequest, listed: ListSource) -> tuple[Condition, Clause]:
    """The condition, and a clause that finds at least its matches; raises `Invalid`."""
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


def _sorted_by(request: ListRequest, keys: Sequence[SortKey]) -> list[Use]:
    """The sort fields, as the request spells them and where they are stored."""
    options = request.sorts or ([request.sort] if request.sort else [])
    return [Use((parse(option.field), key.path)) for option, key in zip(options, keys, strict=True)]


@dataclass(frozen=True)
class _Paging:
    """One page of a list, the first one or one from a cursor."""

    request: ListRequest
    walk: Walk
    cursors: Cursors
    exact: bool
    """Whether the query decides the condition and the index has everything for the statistics."""
    lasting: bool
    """Whether no update can move a result, so that no point in time is needed."""
    bound: str
    """The identity that a cursor is bound to."""

    @property
    def listed(self) -> ListSource:
        return self.walk.listed

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
            body = {**self.walk.body(size), "from": start, "track_total_hits": True, "aggs": dict(self.listed.aggs)}
            found = await self.listed.search(body, view)
            hits, total = found.hits, found.total
            stats = await self.listed.stats(total, found.aggs)
        else:
            hits, total, stats = await self._tested(start, size, view)
        return await self._page(
            hits, start, total, stats, view, more=bool(hits) and start + len(hits) < total, sort=self.walk.sort
        )

    async def _further(self, content: Mapping[str, Json]) -> ListPage:
        """The page from a cursor, which carries totals and statistics of all matches."""
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
        # A new type of value would add a sort key, for which the cursor has no value.
        walk = replace(self.walk, sort=content["sort"])
        hits: list[Hit] = []
        size, start = self.request.size, content["start"]
        # One extra result shows whether there is a next page: the total may be outdated.
        async for page in walk.pages(view, content["after"], size + 1):
            hits += page if self.exact else [hit for hit, _ in await walk.sifted(page)]
            if len(hits) > size:
                break
        total = max(content["total"], start + len(hits))
        return await self._page(
            hits[:size], start, total, content["stats"], view, more=len(hits) > size, sort=walk.sort
        )

    async def _page(
        self, hits: Sequence[Hit], start: int, total: int, stats: Json, view: str | None, *, more: bool, sort: Json
    ) -> ListPage:
        cursor = None
        if more:
            cursor = self.cursors.seal(
                of=self.bound,
                after=list(hits[-1].sort),
                start=start + len(hits),
                total=total,
                stats=stats,
                view=view,
                sort=sort,
            )
        elif view is not None:
            await self.listed.close(view)
        return ListPage([hit.source for hit in hits], start, total, stats, cursor)

    async def _tested(self, start: int, size: int, view: str | None) -> tuple[list[Hit], int, Json]:
        """Up to `size` passing hits from position `start`, and the total and statistics of all passing hits."""
        tally, total = self.listed.tally(), 0
        kept: list[Hit] = []
        async with one_state(self.listed, view) as state:
            async for page in self.walk.pages(state, None, FIRST_PAGE):
                for hit, item in await self.walk.sifted(page):
                    if start <= total < start + size:
                        kept.append(hit)
                    total += 1
                    tally.add(item)
        return kept, total, await tally.stats()
