"""A walk through all matches: page by page, in order, tested where the query does not decide."""

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from service import deadline
from service.conditions.base import Condition
from service.errors import OverBudget
from service.listing.base import Hit, ListSource
from service.planning.order import SortKey
from service.storage.gateway import next_page
from service.values import Json


@dataclass(frozen=True)
class Walk:
    """The condition, the order, and how many results may be read."""

    listed: ListSource
    condition: Condition
    query: Json
    sort: Json
    budget: int = sys.maxsize

    def body(self, size: int) -> dict[str, Json]:
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
            body = self.body(size)
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
            after = found.hits[-1].sort
            size = next_page(len(found.hits), found.size)

    async def sifted(self, hits: Sequence[Hit]) -> list[tuple[Hit, Mapping[str, Json]]]:
        """The hits that fulfil the condition, with their items."""

        def work() -> list[tuple[Hit, Mapping[str, Json]]]:
            items = ((hit, self.listed.item(hit.source)) for hit in hits)
            return [(hit, item) for hit, item in items if self.condition.test(item)]

        return await asyncio.to_thread(work)


async def ahead(pages: AsyncGenerator[Sequence[Hit]]) -> AsyncGenerator[Sequence[Hit]]:
    """The same pages, fetching one ahead. Each has a request's time limit."""
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


@asynccontextmanager
async def one_state(listed: ListSource, view: str | None) -> AsyncIterator[str]:
    """One state of the data for all pages of a walk."""
    own = view or await listed.open()
    try:
        yield own
    finally:
        if view is None:
            await listed.close(own)


def sort_clauses(keys: Sequence[SortKey], listed: ListSource) -> list[Json]:
    """OpenSearch's `sort`: key after key, with ties in order of arrival."""
    return [*(clause for key in keys for clause in listed.order(key)), *listed.ties]
