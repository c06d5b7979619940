"""The strategies, cheapest first. To add one: a file here, a line in `STRATEGIES`, and its tests."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from service.planning.plan import Plan
from service.planning.strategies.base import PlanFacts, Rejection, Strategy
from service.planning.strategies.composite import Composite
from service.planning.strategies.empty import EmptyStrategy
from service.planning.strategies.objects import Objects
from service.planning.strategies.tuples import Tuples

STRATEGIES: Final = (EmptyStrategy, Composite, Tuples, Objects)
"""The last one accepts every plan."""


@dataclass(frozen=True)
class Choice:
    """The first strategy that can answer, and why those before it cannot."""

    strategy: Strategy
    rejected: Sequence[Rejection] = field(default_factory=tuple)


def choose(plan: Plan, facts: PlanFacts) -> Choice:
    rejected: list[Rejection] = []
    for each in STRATEGIES:
        proposal = each.propose(plan, facts)
        if isinstance(proposal, Rejection):
            rejected.append(proposal)
        elif proposal is not None:
            return Choice(proposal, tuple(rejected))
    raise AssertionError("the last strategy takes every plan")
