"""The main use case: takes an aggregate request, returns its exact answer."""

import asyncio
import time
from dataclasses import asdict, replace
from typing import Final, Protocol

from service import metrics, tracing
from service.aggregations.base import InexactMetrics
from service.conditions.base import Condition
from service.conditions.logic import And
from service.dialects.flat.lower import lower
from service.dialects.flat.render import render
from service.dialects.flat.spec import AggregateRequest
from service.errors import Invalid, NotFound, OverBudget, Unavailable
from service.fields import Fields
from service.planning.plan import Plan
from service.planning.rows import Result
from service.planning.strategies import choose
from service.planning.strategies.base import (
    Budget,
    PlanFacts,
    Searchable,
    TooManyValues,
    in_thread_if_large,
    over_budget,
)
from service.planning.warnings import of_plan
from service.values import Json

_PLANS: Final = 5
"""Maximum attempts for an answer while writers add new fields."""


class AggregateSource(Searchable, Protocol):
    """A bucket's objects in storage."""

    @property
    def fields(self) -> Fields: ...

    @property
    def query(self) -> Json:
        """The query for at least the objects that fulfil `condition`."""
        ...

    @property
    def condition(self) -> Condition: ...

    async def refreshed(self) -> "AggregateSource | None":
        """The bucket with its current fields, None if they have not changed."""
        ...


async def aggregate(request: AggregateRequest, source: AggregateSource, budget: Budget) -> dict[str, Json]:
    """The documented answer; raises `Invalid` (422) for a wrong spec and `OverBudget` (400) for a too large one.

    The known fields may grow while the answer is computed, through another process's write that the answer already
    includes; then the plan may be invalid for that object, and is recomputed.
    """
    started = time.perf_counter()
    for _ in range(_PLANS):
        try:
            with tracing.span("plan"):
                asked = lower(request, source.fields)
                plan = replace(asked, condition=And((source.condition, asked.condition)))
            with tracing.span("answer") as span:
                result = await answer(plan, source, budget)
                if span is not None:
                    span.set_attributes({"tally.strategy": result.strategy, "tally.groups": len(result.rows)})
        except (Invalid, OverBudget, NotFound):
            newer = await source.refreshed()
            if newer is None:
                raise
        else:
            result.warnings += of_plan(asked, source.fields, result)
            # The check continues while the rows are rendered.
            milliseconds = round((time.perf_counter() - started) * 1000)
            newer, rendered = await asyncio.gather(source.refreshed(), _rendered(result, plan, milliseconds))
            if newer is None:
                metrics.strategies.labels(result.strategy).inc()
                metrics.groups.inc(len(result.rows))
                return rendered
        source = newer
    raise Unavailable("new fields keep being written; try again", retry_after=1)


async def explain(request: AggregateRequest, source: AggregateSource) -> dict[str, Json]:
    """How the request would be answered, without computing anything; raises `Invalid` as `aggregate` does."""
    source = await source.refreshed() or source
    plan = lower(request, source.fields)
    plan = replace(plan, condition=And((source.condition, plan.condition)))
    choice = choose(plan, PlanFacts.of(plan, source.fields, source.query))
    description = choice.strategy.describe()
    return {
        "strategy": description.strategy,
        "rejected": [asdict(rejection) for rejection in choice.rejected],
        "reads_objects": description.reads_objects,
        "requests": list(description.requests),
    }


async def _rendered(result: Result, plan: Plan, milliseconds: int) -> dict[str, Json]:
    with tracing.span("render"):
        return await in_thread_if_large(len(result.rows), render, result, plan, milliseconds)


async def answer(plan: Plan, source: AggregateSource, budget: Budget) -> Result:
    """Runs the plan's strategy; a metric that cannot be proved exact is evaluated from its values."""
    fold: frozenset[int] = frozenset()
    estimate: frozenset[int] = frozenset()
    while True:
        facts = PlanFacts.of(plan, source.fields, source.query, fold=fold, estimate=estimate)
        try:
            return await choose(plan, facts).strategy.run(source, budget)
        except TooManyValues as too_many:
            if estimate.issuperset(too_many.positions):
                raise _too_many_values(budget) from None
            estimate |= frozenset(too_many.positions)
        except InexactMetrics as inexact:
            if fold & inexact.positions:
                # There are too many values to evaluate, and their estimate is not a number.
                raise _too_many_values(budget) from None
            fold |= inexact.positions


def _too_many_values(budget: Budget) -> OverBudget:
    return over_budget("combinations of group and value", budget.group_budget)
