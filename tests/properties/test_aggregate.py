"""Service and oracle agree over generated data and specs, on three layouts of the index.

`make test` runs a seeded few hundred cases, `make prove` over twenty thousand and prints how many of each function,
operator, unit, key type, array shape and unwind kind ran; none under `LEAST`.
"""

import os
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings

from service.serving import served
from service.settings import Settings
from service.storage import names
from service.storage.gateway import Gateway
from tests.conftest import KEY
from tests.support.client import Client
from tests.support.generate import Flavour, cases
from tests.support.proof import Report, compare, load, prove

DATASETS = int(os.environ.get("TALLY_PROVE_DATASETS", "10"))
SPECS = int(os.environ.get("TALLY_PROVE_SPECS", "14"))
SEED = int(os.environ.get("TALLY_PROVE_SEED", "1"))
SHRUNK = int(os.environ.get("TALLY_PROVE_EXAMPLES", "25"))
LEAST = int(os.environ.get("TALLY_PROVE_LEAST", "0"))

COUNTED = ("function:", "operator:", "unit:", "part:", "key:", "unwind:", "unwind path:")
"""What must run `LEAST` times; the table tells finer divisions, too."""

LAYOUTS = ("one shard", "four shards", "concurrent segments")
total = Report()


@pytest.fixture(scope="module", params=LAYOUTS)
async def layout(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Client]:
    """A client of a service whose new namespaces are laid out so, in such a namespace."""
    shards = 4 if request.param == "four shards" else 1
    name = f"prove-{os.getpid()}-{LAYOUTS.index(request.param)}"
    async with served(settings.model_copy(update={"shards": shards}), KEY) as address, Client(address, KEY) as client:
        made = await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
        if request.param == "concurrent segments":
            gateway = Gateway(str(settings.opensearch_url))
            mode = {"index.search.concurrent_segment_search.mode": "all"}
            await gateway.request("PUT", f"/{names.objects_alias(made['namespace_id'])}/_settings", mode)
            await gateway.close()
        client.namespace = name
        yield client
        await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)


@pytest.mark.parametrize("flavour", ["core", "full"])
async def test_agrees_with_the_oracle(layout: Client, flavour: Flavour) -> None:
    report = await prove(layout, flavour, f"{SEED}-{str(layout.namespace)[-1]}", DATASETS, SPECS)
    total.add(report)
    assert not report.mismatches, f"{len(report.mismatches)} mismatches\n" + "\n".join(report.mismatches[:5])


def test_enough_of_everything_ran() -> None:
    print(f"\n{total.table()}")
    assert total.cases == 2 * len(LAYOUTS) * DATASETS * SPECS
    rare = {name: count for name, count in total.exercised.items() if name.startswith(COUNTED) and count < LEAST}
    assert not rare


@pytest.mark.parametrize("flavour", ["core", "full"])
def test_a_difference_is_told_by_its_smallest_case(
    flavour: Flavour, elsewhere: Callable[[Callable[[Client], Coroutine[Any, Any, Any]]], Any]
) -> None:
    """Hypothesis draws further cases and shrinks one that fails."""

    @settings_of(SHRUNK)
    @given(cases(flavour))
    def agrees(case: tuple[list[Any], Any]) -> None:
        payloads, spec = case

        async def check(client: Client) -> str | None:
            bucket, objects = await load(client, payloads)
            difference = await compare(client, bucket, objects, spec, Report())
            await client.call("DELETE", f"/v1/buckets/{bucket}")
            return difference

        difference = elsewhere(check)
        assert difference is None, difference

    agrees()


def settings_of(examples: int) -> hypothesis_settings:
    return hypothesis_settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
