"""The model: no interleaving, no lost answer and no crash loses a name or a resource."""

import os
from functools import partial

import pytest

from tests.model.mutations import MUTATIONS, Mutation, mutated
from tests.model.scenarios import PLANS, alone, exhaust, explore, light

PROVING = "TALLY_PROVE_INTERLEAVINGS" in os.environ
RUNS = int(os.environ.get("TALLY_PROVE_INTERLEAVINGS", "600"))
SEED = int(os.environ.get("TALLY_PROVE_SEED", "0"))
TRIES = 20_000


def test_any_interleaving() -> None:
    assert explore(RUNS, seed=SEED) == RUNS


def test_every_interleaving_with_few_changes_of_turn() -> None:
    runs = sum(exhaust(plan, faults=1, switches=1, most=max(20, RUNS // 100)) for plan in PLANS)
    print(f"\n{RUNS + runs:,} interleavings, 0 violations")


def test_a_lost_answer_is_hidden() -> None:
    assert alone(most=5_000) > 30


@pytest.mark.parametrize(
    "mutation", [each for each in MUTATIONS if PROVING or not each.rare], ids=lambda mutation: str(mutation.name)
)
def test_every_safeguard_is_needed(mutation: Mutation) -> None:
    plan = mutation.plan
    look = partial(alone, TRIES) if plan is None else partial(explore, TRIES, [plan])
    with light(), mutated(mutation), pytest.raises(AssertionError):
        look()
