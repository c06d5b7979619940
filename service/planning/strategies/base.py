"""The interface of strategies: how each proposes itself, describes itself, and runs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol, Self, TypeVar

from service.conditions.base import MATCH_ALL, Clause, Query, all_of, clauses_in
from service.conditions.existence import present
from service.errors import Invalid, OverBudget, Problem
from service.fields import Field, Fields
from service.planning.grouping import CompositePage, Grouping
from service.planning.plan import Extract, Plan, Truncate
from service.planning.rows import Result, finish
from service.planning.scan import Scan
from service.planning.warnings import ignored, no_object
from service.values import Json

T = TypeVar("T")

MAX_CLAUSES: Final = 900
"""Per query; Lucene's limit is 1,024 (`indices.query.bool.max_clause_count`)."""

_INLINE: Final = 500
"""Groups processed in the event loop; larger numbers go to a thread (about 5 ms)."""


class View(Protocol):
    """One state of a bucket's objects, unaffected by later writes."""

    async def search(self, body: Mapping[str, Any]) -> CompositePage: ...

    async def widths(self, body: Mapping[str, Any]) -> dict[str, int]:
        """Approximate number of values of each key: for messages, never for answers."""
        ...

    def objects(self, query: Json, *, ordered: bool) -> AsyncIterator[list[Json]]:
        """The objects that match a query, page by page; in order of arrival if `ordered`."""
        ...


class Searchable(Protocol):
    """What a strategy runs on: one search, or several in one state of the objects."""

    async def search(self, body: Mapping[str, Any]) -> CompositePage: ...

    def view(self) -> AbstractAsyncContextManager[View]: ...


class Budget(Protocol):
    """Limits on the cost of one answer."""

    group_budget: int
    object_budget: int


class TooManyValues(Exception):
    """These metrics have more values than the budget allows."""

    def __init__(self, positions: tuple[int, ...]) -> None:
        super().__init__(positions)
        self.positions = positions


@dataclass(frozen=True)
class PlanFacts:
    """The facts that a strategy may rely on when it proposes itself."""

    fields: Fields
    query: Query
    """Finds the bucket's objects that match the plan's condition; `exact`: and no others."""
    exact: bool
    fold: frozenset[int] = frozenset()
    """Metrics whose pushdown could not be proved exact, so they are evaluated from their values."""
    estimate: frozenset[int] = frozenset()
    """Metrics with more values than the budget allows, so they are estimated if their kind has an estimate."""

    @classmethod
    def of(
        cls,
        plan: Plan,
        fields: Fields,
        bucket: Query,
        *,
        fold: frozenset[int] = frozenset(),
        estimate: frozenset[int] = frozenset(),
    ) -> Self:
        clause = plan.condition.compile(fields)
        if clauses_in(clause.query) > MAX_CLAUSES:
            clause = Clause(MATCH_ALL, exact=False)
        if plan.unwind:
            # An object without the array, or with null there, gives no row.
            clause = all_of([clause, present(fields.get(plan.unwind), null=False)])
        return cls(fields, all_of([Clause(bucket), clause]).query, clause.exact, fold, estimate)

    def field_of(self, plan: Plan, position: int) -> Field:
        """What is known of the field of a metric."""
        path = plan.metrics[position].kind.path
        return self.fields.get(path) if path else Field((), "")


@dataclass(frozen=True)
class Rejection:
    """Why a strategy cannot answer a plan, and which part of the request is the cause (`filters`, `aggregations.1`)."""

    strategy: str
    reason: str
    where: str


@dataclass(frozen=True)
class Description:
    """What a strategy will do: the first request of each pass, before paging."""

    strategy: str
    requests: Sequence[Json]
    reads_objects: bool = False
    """Whether stored objects are read one by one instead of in groups."""


class Strategy(Protocol):
    """A way to answer a plan.

    Created by its `propose(plan, facts)`, which otherwise returns a `Rejection`, or None if the strategy is for a
    special case and its absence needs no explanation.
    """

    name: ClassVar[str]

    def describe(self) -> Description: ...

    async def run(self, source: Searchable, budget: Budget) -> Result:
        """The exact answer.

        Raises `OverBudget`, `InexactMetrics` for metrics that need another pass, and `TooManyValues` for metrics with
        more values than the budget allows that can be estimated.
        """
        ...


async def pages(grouping: Grouping, view: View, size: int) -> AsyncIterator[CompositePage]:
    """All pages; the last is not full or, since a bucket_selector can empty any page, has no `after_key`."""
    after = None
    while True:
        page = await view.search(grouping.body(after, size))
        yield page
        after = page.after_key
        if after is None or (len(page.buckets) < size and not grouping.selectors):
            return


async def in_thread_if_large(size: int, function: Callable[..., T], *arguments: Any) -> T:
    """Runs small work inline, larger work in a thread so as not to block other requests."""
    if size <= _INLINE:
        return function(*arguments)
    return await asyncio.to_thread(function, *arguments)


async def result_of_scan(plan: Plan, scan: Scan, fields: Fields, strategy: str) -> Result:
    """The rows of a finished scan; raises `Invalid` as `require_dates` does."""
    if scan.groups:
        require_dates(plan, fields, scan.dated)
    rows = await asyncio.to_thread(lambda: list(scan.rows()))
    before = len(rows)
    kept, matched = await in_thread_if_large(before, finish, rows, plan)
    accuracy = {metric.name: "exact" for metric in plan.metrics}
    return Result(kept, matched, before, strategy, accuracy, ignored(plan, scan.ignored), scan.met)


def require_dates(plan: Plan, fields: Fields, dated: Sequence[bool]) -> None:
    """Raises `Invalid` for a key that truncates dates if no match has a date (contract, GroupByField)."""
    problems = [
        Problem(
            ("body", "group_by", position, "field"),
            f"no matched object has a date at {key.name!r}; dates are ISO-8601 texts such as 2024-01-31 or "
            "2024-01-31T10:30:00Z" + ("" if fields.knows(key.path) else f"; {no_object(key.path, fields)}"),
            "no_date",
        )
        for position, (key, found) in enumerate(zip(plan.keys, dated, strict=True))
        if isinstance(key.transform, Truncate | Extract) and not found
    ]
    if problems:
        raise Invalid(problems)


def over_budget(
    what: str, budget: int, matched: int | None = None, widths: Mapping[str, int] | None = None
) -> OverBudget:
    """The error, with a remedy. `widths`: approximate number of values of each key."""
    of = f" (at most {matched:,}, one for each matching object)" if matched else ""
    keys = ", ".join(f"{name} has about {width:,} values" for name, width in (widths or {}).items())
    return OverBudget(
        f"more than {budget:,} {what}{of}, which is the budget of one answer; narrow it with `filters`, with fewer "
        f"or coarser keys (date_trunc), or ask the operator for a larger budget{'; ' if keys else ''}{keys}",
        {"limit": budget, "what": what, **({"matched": matched} if matched else {}), "keys": dict(widths or {})},
    )
