"""The golden cases, without a network: each search asked is the one in the file, and so is the response."""

from pathlib import Path

import pytest

from service.aggregate import aggregate
from service.dialects.flat.spec import AggregateRequest
from service.settings import Settings
from tests.golden.case import CASES, Case, Replay, settled


@pytest.mark.parametrize("path", sorted(CASES.glob("*.md")), ids=lambda path: path.stem)
async def test_golden(path: Path) -> None:
    case = Case.read(path)
    replay = Replay(case)
    response = await aggregate(AggregateRequest.model_validate(case.request), replay, Settings())
    assert settled(response) == case.response
    assert replay.position == len(case.searches)
