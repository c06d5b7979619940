"""Service and oracle agree over generated data and specs (`make prove` runs many more)."""

import os

import pytest

from tests.support.client import Client
from tests.support.generate import Flavour
from tests.support.proof import prove

DATASETS = int(os.environ.get("TALLY_PROVE_DATASETS", "25"))
SPECS = int(os.environ.get("TALLY_PROVE_SPECS", "12"))
SEED = int(os.environ.get("TALLY_PROVE_SEED", "1"))


@pytest.mark.parametrize("flavour", ["core", "full"])
async def test_agrees_with_the_oracle(client: Client, flavour: Flavour) -> None:
    report = await prove(client, flavour, SEED, DATASETS, SPECS)
    print(f"\n{flavour}: {report.table()}")
    assert not report.mismatches, f"{len(report.mismatches)} mismatches\n" + "\n".join(report.mismatches[:5])
