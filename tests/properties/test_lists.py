"""The list routes and the oracle agree over generated data and requests: what is listed, in which order, page by page.

`make test` sends some four hundred requests, `make prove` over ten thousand and prints how many of each operator, kind
of sort, search and paging ran; none under `LEAST`.
"""

import os
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings

from service.serving import served
from service.settings import Settings
from tests.conftest import KEY
from tests.support.client import Client
from tests.support.generate_lists import Question, cases
from tests.support.proof_lists import Report, compare, load, prove_buckets, prove_objects

DATASETS = max(1, int(os.environ.get("TALLY_PROVE_DATASETS", "10")) // 10)
"""Buckets full of objects on each layout, and namespaces full of buckets; each is asked `REQUESTS` times."""
REQUESTS = int(os.environ.get("TALLY_PROVE_REQUESTS", "140"))
SEED = int(os.environ.get("TALLY_PROVE_SEED", "1"))
SHRUNK = int(os.environ.get("TALLY_PROVE_EXAMPLES", "25"))
LEAST = int(os.environ.get("TALLY_PROVE_LEAST", "0"))

COUNTED = ("operator:", "sort:", "search:", "paging:", "folding:", "case_sensitive", "path:", "listing:")
"""What must run `LEAST` times; the table tells finer divisions, too."""

SHARDS = (1, 4)
total = Report()


@pytest.fixture(scope="module", params=SHARDS, ids=lambda shards: f"{shards} shards")
async def layout(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Client]:
    """A client of a service whose new namespaces have so many shards, in such a namespace."""
    name = f"prove-lists-{os.getpid()}-{request.param}"
    changed = settings.model_copy(update={"shards": request.param})
    async with served(changed, KEY) as address, Client(address, KEY) as client:
        await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
        client.namespace = name
        yield client
        await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)


def judge(report: Report) -> None:
    total.add(report)
    assert not report.mismatches, f"{len(report.mismatches)} mismatches\n" + "\n".join(report.mismatches[:5])


async def test_objects_agree_with_the_oracle(layout: Client) -> None:
    judge(await prove_objects(layout, f"{SEED}-{str(layout.namespace)[-1]}", DATASETS, REQUESTS))


async def test_buckets_agree_with_the_oracle(client: Client) -> None:
    judge(await prove_buckets(client, str(SEED), DATASETS, REQUESTS))


def test_enough_of_everything_ran() -> None:
    print(f"\n{total.table()}")
    assert total.requests >= (len(SHARDS) + 1) * DATASETS * REQUESTS
    rare = {name: count for name, count in total.exercised.items() if name.startswith(COUNTED) and count < LEAST}
    assert not rare


def test_a_difference_is_told_by_its_smallest_case(
    elsewhere: Callable[[Callable[[Client], Coroutine[Any, Any, Any]]], Any],
) -> None:
    """Hypothesis draws further cases and shrinks one that fails."""

    @hypothesis_settings(
        max_examples=SHRUNK,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(cases())
    def agrees(case: tuple[list[Any], Question]) -> None:
        payloads, question = case

        async def check(client: Client) -> str | None:
            listed = await load(client, payloads)
            difference = await compare(client, listed, question, Report())
            await client.call("DELETE", listed.older.removesuffix("/objects"))
            return difference

        difference = elsewhere(check)
        assert difference is None, difference

    agrees()
