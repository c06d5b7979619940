"""The records API and its oracle agree over generated containers, records and requests, on three layouts of the index.

`make test` runs a seeded few hundred cases, `make prove` over ten thousand and prints how many of each kind, filter,
level, type, interval and function ran; none under `LEAST`. Many requests are asked of one load.
"""

import os
from collections.abc import AsyncIterator

import pytest

from service.serving import served
from service.settings import Settings
from service.storage.gateway import Gateway
from tests.conftest import KEY
from tests.support.client import Client
from tests.support.proof_records import WANTED, Report, prove

DATASETS = max(1, int(os.environ.get("TALLY_PROVE_DATASETS", "10")) // 4)
"""A load costs much and a request little, so there are fewer data sets than for objects, and more requests for each."""
SPECS = 50
SEED = int(os.environ.get("TALLY_PROVE_SEED", "1"))
LEAST = int(os.environ.get("TALLY_PROVE_LEAST", "1"))

CONCURRENCY = "search.concurrent_segment_search.mode"
LAYOUTS = ("one shard", "four shards", "concurrent segments")
total = Report()


@pytest.fixture(scope="module", params=LAYOUTS)
async def layout(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[tuple[str, Client]]:
    """The layout's name, and a client of a service whose new streams are laid out so."""
    shards = 4 if request.param == "four shards" else 1
    mode = "all" if request.param == "concurrent segments" else None
    gateway = Gateway(str(settings.opensearch_url))
    await gateway.request("PUT", "/_cluster/settings", {"transient": {CONCURRENCY: mode}})
    async with served(settings.model_copy(update={"shards": shards}), KEY) as address, Client(address, KEY) as client:
        yield request.param, client
    await gateway.request("PUT", "/_cluster/settings", {"transient": {CONCURRENCY: None}})
    await gateway.close()


async def test_agrees_with_the_oracle(layout: tuple[str, Client]) -> None:
    name, client = layout
    report = await prove(client, f"{SEED}-{LAYOUTS.index(name)}", DATASETS, SPECS)
    total.add(report)
    assert not report.mismatches, f"{len(report.mismatches)} mismatches\n" + "\n".join(report.mismatches[:5])


def test_enough_of_everything_ran() -> None:
    print(f"\n{total.table()}")
    assert total.cases == len(LAYOUTS) * DATASETS * SPECS
    assert total.refused < total.cases / 5
    rare = {name: total.exercised[name] for name in WANTED if total.exercised[name] < LEAST}
    assert not rare
