"""The golden cases, without a network: each search asked is the one in the file, and so is the response."""

from pathlib import Path

import pytest

from service.aggregate import aggregate
from service.dialects.flat.spec import AggregateRequest
from service.dialects.tree.nodes import QueryEffort
from service.settings import Settings
from tests.golden.case import CASES, Case, Replay, settled
from tests.golden.tree import TREES, TreeCase, asked, result_of


@pytest.mark.parametrize("path", sorted(CASES.glob("*.md")), ids=lambda path: path.stem)
async def test_golden(path: Path) -> None:
    case = Case.read(path)
    replay = Replay(case)
    response = await aggregate(AggregateRequest.model_validate(case.request), replay, Settings())
    assert settled(response) == case.response
    assert replay.position == len(case.searches)


@pytest.mark.parametrize("path", sorted(TREES.glob("*.md")), ids=lambda path: path.stem)
def test_golden_tree(path: Path) -> None:
    case = TreeCase.read(path)
    efforts = [QueryEffort(), QueryEffort(careful=True)]
    results = []
    for how, (body, answered) in zip(efforts, case.searches, strict=False):
        assert asked(case.tree, how) == body
        results.append(result_of(case.tree, answered))
    assert results.pop() == case.response
    assert not any(results), "the cheap answer was good enough"
