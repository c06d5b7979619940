"""Reads the stored objects and groups them here: exact for every plan, within the budget of objects."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar, Self

from service.planning.plan import Plan
from service.planning.rows import Result
from service.planning.scan import Scan
from service.planning.strategies.base import Budget, Description, PlanFacts, Searchable, over_budget, result_of_scan


@dataclass(frozen=True)
class Objects:
    """The query finds at least the matching objects; the plan's condition is tested on each."""

    plan: Plan
    facts: PlanFacts
    ordered: bool
    """Whether a metric depends on the order of arrival."""

    name: ClassVar[str] = "objects"

    @classmethod
    def propose(cls, plan: Plan, facts: PlanFacts) -> Self:
        return cls(plan, facts, any(metric.kind.ordered for metric in plan.metrics))

    def describe(self) -> Description:
        return Description(self.name, [{"query": self.facts.query}], reads_objects=True)

    async def run(self, source: Searchable, budget: Budget) -> Result:
        scan = Scan(self.plan)
        read = 0
        async with source.view() as view:
            async for page in view.objects(self.facts.query, ordered=self.ordered):
                read += len(page)
                if read > budget.object_budget:
                    raise over_budget("objects to be read one by one", budget.object_budget)
                await asyncio.to_thread(scan.take, page)
                if len(scan.groups) > budget.group_budget:
                    raise over_budget("groups", budget.group_budget)
        return await result_of_scan(self.plan, scan, self.facts.fields, self.name)
