"""What an answer may cost: over the budget it is refused, never cut, and the message tells how to narrow."""

import pytest

from service.serving import served
from service.settings import Settings
from tests.conftest import KEY
from tests.support.client import Client

COUNT = {"function": "count", "alias": "n"}


@pytest.fixture(scope="module")
async def bucket_of_50(client: Client) -> str:
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": "budgets"})
    await client.batch("budgets", [{"metadata": {"k": f"k{n}", "few": n % 5, "tags": [n]}} for n in range(50)])
    return str(made["bucket_id"])


async def test_more_groups_than_the_budget(client: Client, settings: Settings, bucket_of_50: str) -> None:
    tight = settings.model_copy(update={"group_budget": 20})
    async with served(tight, KEY) as address, Client(address, KEY, client.namespace) as narrow:
        spec = {"group_by": [{"field": "metadata.few"}, {"field": "metadata.k"}], "aggregations": [COUNT]}
        status, answer = await narrow.call("POST", f"/v1/buckets/{bucket_of_50}/objects/aggregate", spec)
        assert status == 400
        assert answer["error"]["details"]["limit"] == 20
        assert answer["error"]["details"]["matched"] == 50
        assert answer["error"]["details"]["keys"] == {"metadata.few": 5, "metadata.k": 50}
        assert "narrow it" in answer["error"]["message"]
        # having and limit come after the groups; filters and fewer keys make less of them.
        for fits in ({"filters": {"metadata.few": 1}}, {"group_by": [{"field": "metadata.few"}]}):
            assert (await narrow.aggregate(bucket_of_50, {**spec, **fits}))["total_groups"] > 0


async def test_more_objects_than_the_budget(client: Client, settings: Settings, bucket_of_50: str) -> None:
    tight = settings.model_copy(update={"object_budget": 49})
    async with served(tight, KEY) as address, Client(address, KEY, client.namespace) as narrow:
        pushed = {"function": "push", "field": "metadata.tags", "alias": "tags"}
        spec = {"group_by": [{"field": "metadata.k"}], "aggregations": [pushed]}
        status, answer = await narrow.call("POST", f"/v1/buckets/{bucket_of_50}/objects/aggregate", spec)
        assert (status, answer["error"]["details"]["limit"]) == (400, 49)
        answer = await narrow.aggregate(bucket_of_50, {**spec, "filters": {"metadata.few": {"$ne": 0}}})
        assert answer["total_groups"] == 40


async def test_a_median_of_more_values_than_the_budget_is_labelled(
    client: Client, settings: Settings, bucket: str
) -> None:
    """Contract, AggregationOperation: exact within the budget, else t-digest, labelled."""
    await client.batch(bucket, [{"metadata": {"n": n, "mixed": 2**60 + n if n % 2 else n}} for n in range(50)])
    tight = settings.model_copy(update={"group_budget": 20})
    async with served(tight, KEY) as address, Client(address, KEY, client.namespace) as narrow:
        median = {"function": "median", "field": "metadata.n", "alias": "m"}
        spec = {"group_by": [{"field": "status"}], "aggregations": [median, COUNT]}
        answer = await narrow.aggregate(bucket, spec)
        assert answer["query_info"]["accuracy"] == {"m": "estimate", "n": "exact"}
        assert answer["results"][0]["metrics"]["m"] == pytest.approx(24.5, abs=1)
        exact = await client.aggregate(bucket, spec)
        assert exact["query_info"]["accuracy"] == {"m": "exact", "n": "exact"}
        assert exact["results"][0]["metrics"]["m"] == 24.5
        spec["aggregations"] = [{**median, "field": "metadata.mixed"}]
        status, refused = await narrow.call("POST", f"/v1/buckets/{bucket}/objects/aggregate", spec)
        assert (status, refused["error"]["details"]["limit"]) == (400, 20)
