"""The use case of this house: an aggregate request in, its exact answer out."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from service import metrics, tracing
from service.aggregations.base import Accumulator, InexactMetrics
from service.conditions.base import Condition
from service.conditions.logic import And
from service.dialects.flat.lower import lower
from service.dialects.flat.render import render
from service.dialects.flat.spec import AggregateRequest
from service.errors import Invalid, NotFound, OverBudget, Problem, Unavailable
from service.fields import Fields
from service.planning.composite import PAGE, CompositePage, Grouping
from service.planning.plan import Extract, Plan, Truncate
from service.planning.rows import GroupRow, Result, finish
from service.planning.scan import Scan
from service.planning.strategy import Composite, ObjectScan, choose
from service.planning.tuples import Tuples
from service.planning.warnings import ignored, no_object, of_plan
from service.values import MISSING, Json

T = TypeVar("T")

_PLANS = 5
"""Times that an answer is tried while writers bring new fields."""

_INLINE = 500
"""Groups that are worked on in the event loop; more go to a thread (about 5 ms)."""


class View(Protocol):
    """One state of a bucket's objects, which later writes do not change."""

    async def search(self, body: Mapping[str, Any]) -> CompositePage: ...

    async def widths(self, body: Mapping[str, Any]) -> dict[str, int]:
        """About how many values each key has: for a message, never for an answer."""
        ...

    def objects(self, query: Json, *, ordered: bool) -> AsyncIterator[list[Json]]:
        """The objects that a query finds, in order of arrival if asked for, page by page."""
        ...


class AggregateSource(Protocol):
    """A bucket's objects in storage."""

    @property
    def fields(self) -> Fields: ...

    @property
    def query(self) -> Json:
        """What finds the objects, or more: `condition` says which are meant."""
        ...

    @property
    def condition(self) -> Condition: ...

    async def refreshed(self) -> "AggregateSource | None":
        """The bucket with its fields as they are now, None if they are still the same."""
        ...

    async def search(self, body: Mapping[str, Any]) -> CompositePage: ...

    def view(self) -> AbstractAsyncContextManager[View]: ...


class AggregateLimits(Protocol):
    """How much one answer may cost."""

    group_budget: int
    object_budget: int


class TooManyValues(Exception):
    """The values of these metrics are more than the budget."""

    def __init__(self, positions: tuple[int, ...]) -> None:
        super().__init__(positions)
        self.positions = positions


async def aggregate(request: AggregateRequest, source: AggregateSource, limits: AggregateLimits) -> dict[str, Json]:
    """The documented answer; raises `Invalid` (422) for a wrong spec and `OverBudget` (400) for a too large one.

    What is known of the fields may grow while the answer is made, by a writer elsewhere whose object is seen
    already; then the plan might not hold for that object, and is made anew.
    """
    started = time.perf_counter()
    for _ in range(_PLANS):
        try:
            with tracing.span("plan"):
                asked = lower(request, source.fields)
                plan = replace(asked, condition=And((source.condition, asked.condition)))
            with tracing.span("answer") as span:
                result = await answer(plan, source, limits)
                if span is not None:
                    span.set_attributes({"tally.strategy": result.strategy, "tally.groups": len(result.rows)})
        except (Invalid, OverBudget, NotFound):
            newer = await source.refreshed()
            if newer is None:
                raise
        else:
            result.warnings += of_plan(asked, source.fields, result)
            # The look goes on while the rows are written.
            milliseconds = round((time.perf_counter() - started) * 1000)
            newer, rendered = await asyncio.gather(source.refreshed(), _rendered(result, plan, milliseconds))
            if newer is None:
                metrics.strategies.labels(result.strategy).inc()
                metrics.groups.inc(len(result.rows))
                return rendered
        source = newer
    raise Unavailable("new fields are being written without a pause; try again", retry_after=1)


async def _rendered(result: Result, plan: Plan, milliseconds: int) -> dict[str, Json]:
    with tracing.span("render"):
        return await _work(len(result.rows), render, result, plan, milliseconds)


async def answer(plan: Plan, source: AggregateSource, limits: AggregateLimits) -> Result:
    """Runs the plan's strategy; where an answer cannot be proved exact, that metric is folded from its values."""
    fold: frozenset[int] = frozenset()
    estimate: frozenset[int] = frozenset()
    while True:
        strategy = choose(plan, source.fields, source.query, fold=fold, estimate=estimate)
        try:
            if isinstance(strategy, ObjectScan):
                return await _objects(plan, strategy, source, limits)
            if isinstance(strategy, Tuples):
                return await _tuples(plan, strategy, source, limits)
            return await _composite(plan, strategy, source, limits)
        except TooManyValues as too_many:
            if estimate.issuperset(too_many.positions):
                _over("combinations of group and value", limits.group_budget, None)
            estimate |= frozenset(too_many.positions)
        except InexactMetrics as inexact:
            if fold & inexact.positions:
                # The values are too many to be folded, and their estimate is no number.
                _over("combinations of group and value", limits.group_budget, None)
            fold |= inexact.positions


async def _composite(plan: Plan, strategy: Composite, source: AggregateSource, limits: AggregateLimits) -> Result:
    if not strategy.folds:
        # A search is consistent in itself: one page needs no point in time.
        size = min(strategy.page, limits.group_budget + 1)
        page = await source.search(strategy.main.body(None, size))
        if page.after_key is None or (len(page.buckets) < size and not strategy.selected):
            rows = await _rows(strategy.main, page, len(plan.metrics))
            return await _finished(plan, strategy, source.fields, rows, page)
    async with source.view() as view:
        rows, first = await _all_rows(strategy, view, plan, limits)
        for grouping, positions in strategy.folds.values():
            await _evaluate_values(grouping, positions, view, plan, rows, limits)
        return await _finished(plan, strategy, source.fields, rows, first)


async def _all_rows(
    strategy: Composite, view: View, plan: Plan, limits: AggregateLimits
) -> tuple[list[GroupRow], CompositePage]:
    grouping = strategy.main
    rows: list[GroupRow] = []
    first: CompositePage | None = None
    async for page in _pages(grouping, view, min(strategy.page, limits.group_budget + 1)):
        first = first or page
        rows += await _rows(grouping, page, len(plan.metrics))
        if len(rows) > limits.group_budget:
            widths = grouping.widths_of_keys(await view.widths(grouping.widths))
            named = {plan.keys[position].name: width for position, width in widths.items()}
            _over("groups", limits.group_budget, first.matched, named)
    assert first is not None  # noqa: S101 - _pages gives at least one
    return rows, first


async def _pages(grouping: Grouping, view: View, size: int) -> AsyncIterator[CompositePage]:
    """To the end: a page that is not full or, as a bucket_selector may empty any page, one without `after_key`."""
    after = None
    while True:
        page = await view.search(grouping.body(after, size))
        yield page
        after = page.after_key
        if after is None or (len(page.buckets) < size and not grouping.selectors):
            return


async def _evaluate_values(
    grouping: Grouping,
    positions: tuple[int, ...],
    view: View,
    plan: Plan,
    rows: list[GroupRow],
    limits: AggregateLimits,
) -> None:
    """Fills the metrics that are made of each group's values and how often each occurs."""
    groups: dict[Hashable, list[Accumulator]] = {
        row.group: [plan.metrics[position].kind.accumulator() for position in positions] for row in rows
    }
    width = len(plan.keys)
    seen = 0

    def take(page: CompositePage) -> int:
        count = 0
        for row, documents in grouping.rows(page.buckets, 0):
            count += 1
            value = MISSING if row.cells[width] is None else row.cells[width]
            row.cells = row.cells[:width]
            # A group that `having` dropped has no row.
            for accumulator in groups.get(row.group, ()):
                accumulator.add(value, documents)
        return count

    async for page in _pages(grouping, view, min(PAGE, limits.group_budget + 1)):
        seen += await _work(len(page.buckets), take, page)
        if seen > limits.group_budget:
            if all(plan.metrics[position].kind.estimates for position in positions):
                raise TooManyValues(positions)
            _over("combinations of group and value", limits.group_budget, None)
    for row in rows:
        for position, accumulator in zip(positions, groups[row.group], strict=True):
            row.metrics[position] = accumulator.result()


async def _finished(
    plan: Plan, strategy: Composite, fields: Fields, rows: list[GroupRow], first: CompositePage
) -> Result:
    if first.matched:
        _dates(plan, fields, [_has_date(rows, position, first.beside) for position in range(len(plan.keys))])
    before = None if strategy.selected else len(rows)
    kept, matched = await _work(len(rows), finish, rows, plan, strategy.main.ascending)
    accuracy = {metric.name: strategy.accuracy.get(position, "exact") for position, metric in enumerate(plan.metrics)}
    counts = {
        (position, what): first.beside[f"{what}{position}"]
        for position in range(len(plan.metrics))
        for what in ("arrays", "others")
        if f"{what}{position}" in first.beside
    }
    return Result(kept, matched, before, strategy.name, accuracy, ignored(plan, counts))


async def _objects(plan: Plan, strategy: ObjectScan, source: AggregateSource, limits: AggregateLimits) -> Result:
    scan = Scan(plan)
    read = 0
    async with source.view() as view:
        async for page in view.objects(strategy.query, ordered=strategy.ordered):
            read += len(page)
            if read > limits.object_budget:
                _over("objects to be read one by one", limits.object_budget, None)
            await asyncio.to_thread(scan.take, page)
            if len(scan.groups) > limits.group_budget:
                _over("groups", limits.group_budget, None)
    return await _scanned(plan, scan, source.fields, strategy.name)


async def _tuples(plan: Plan, strategy: Tuples, source: AggregateSource, limits: AggregateLimits) -> Result:
    scan = Scan(plan)
    seen = 0
    async with source.view() as view:
        async for page in _pages(strategy.grouping, view, min(PAGE, limits.group_budget + 1)):
            seen += len(page.buckets)
            if seen > limits.group_budget:
                _over("combinations of values", limits.group_budget, None)
            await _work(len(page.buckets), strategy.take, scan, page.buckets)
            if len(scan.groups) > limits.group_budget:
                _over("groups", limits.group_budget, None)
    return await _scanned(plan, scan, source.fields, strategy.name)


async def _scanned(plan: Plan, scan: Scan, fields: Fields, strategy: str) -> Result:
    if scan.groups:
        _dates(plan, fields, scan.dated)
    rows = await asyncio.to_thread(lambda: list(scan.rows()))
    before = len(rows)
    kept, matched = await _work(before, finish, rows, plan)
    accuracy = {metric.name: "exact" for metric in plan.metrics}
    return Result(kept, matched, before, strategy, accuracy, ignored(plan, scan.ignored), scan.met)


async def _rows(grouping: Grouping, page: CompositePage, width: int) -> list[GroupRow]:
    buckets = page.buckets
    return await _work(len(buckets), lambda: [row for row, _ in grouping.rows(buckets, width)])


async def _work(size: int, function: Callable[..., T], *arguments: Any) -> T:
    """Runs inline what is small, else in a thread, so that no other request waits for it."""
    if size <= _INLINE:
        return function(*arguments)
    return await asyncio.to_thread(function, *arguments)


def _has_date(rows: list[GroupRow], position: int, counted: Mapping[str, int]) -> bool:
    if f"dated{position}" in counted:
        return counted[f"dated{position}"] > 0
    return any(row.cells[position] is not None for row in rows)


def _dates(plan: Plan, fields: Fields, dated: list[bool]) -> None:
    """A key that truncates dates needs at least one date among what matched (contract, GroupByField)."""
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


def _over(what: str, budget: int, matched: int | None, widths: Mapping[str, int] | None = None) -> None:
    of = f" (at most {matched:,}, one for each matching object)" if matched else ""
    keys = ", ".join(f"{name} has about {width:,} values" for name, width in (widths or {}).items())
    raise OverBudget(
        f"more than {budget:,} {what}{of}, which is the budget of one answer; narrow it with `filters`, with fewer "
        f"or coarser keys (date_trunc), or ask the operator for a larger budget{'; ' if keys else ''}{keys}",
        {"limit": budget, "what": what, **({"matched": matched} if matched else {}), "keys": dict(widths or {})},
    )
