"""No object can match: the filters require values that were never written, so OpenSearch is not queried."""

from dataclasses import dataclass
from typing import ClassVar, Self

from service.conditions.base import MATCH_NONE
from service.planning.plan import Plan
from service.planning.rows import Result
from service.planning.strategies.base import Budget, Description, PlanFacts, Searchable


@dataclass(frozen=True)
class EmptyStrategy:
    """Safe because known fields only grow and callers check them again afterwards, so no concurrent write is missed."""

    plan: Plan

    name: ClassVar[str] = "empty"

    @classmethod
    def propose(cls, plan: Plan, facts: PlanFacts) -> Self | None:
        return cls(plan) if facts.query == MATCH_NONE else None

    def describe(self) -> Description:
        return Description(self.name, [])

    async def run(self, source: Searchable, budget: Budget) -> Result:
        return Result([], 0, 0, self.name, {metric.name: "exact" for metric in self.plan.metrics})
