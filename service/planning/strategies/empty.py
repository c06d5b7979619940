"""No object can be meant: the filters ask for what was never written, so there is nothing to ask OpenSearch."""

from dataclasses import dataclass
from typing import ClassVar, Self

from service.planning.plan import Plan
from service.planning.rows import Result
from service.planning.strategies.base import Budget, Description, PlanFacts, Searchable


@dataclass(frozen=True)
class EmptyStrategy:
    """What was met only grows, and whoever asks looks again afterwards: an object that came meanwhile is not missed."""

    plan: Plan

    name: ClassVar[str] = "empty"

    @classmethod
    def propose(cls, plan: Plan, facts: PlanFacts) -> Self | None:
        return cls(plan) if facts.none else None

    def describe(self) -> Description:
        return Description(self.name, [])

    async def run(self, source: Searchable, budget: Budget) -> Result:
        return Result([], 0, 0, self.name, {metric.name: "exact" for metric in self.plan.metrics})
