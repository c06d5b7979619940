"""What explain says is what the aggregate does."""

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.serving import served
from service.settings import Settings
from tests.conftest import KEY
from tests.support.client import Client

Json = Any
COUNT = {"function": "count", "alias": "n"}


@pytest.fixture(scope="module")
async def orders(client: Client) -> AsyncIterator[str]:
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": "explained"})
    items: list[Json] = [
        {"metadata": {"state": "open", "tags": ["a", "b"], "by": {"id": 1}, "price": 2.5}},
        {"metadata": {"state": "done", "tags": [], "by": {"id": 2}, "price": 3}},
    ]
    await client.batch(made["bucket_id"], items)
    yield made["bucket_id"]
    await client.call("DELETE", f"/v1/buckets/{made['bucket_id']}")


@pytest.mark.parametrize(
    ("spec", "strategy", "rejected"),
    [
        ({"group_by": [{"field": "metadata.state"}]}, "composite", []),
        ({"group_by": [{"field": "metadata.state"}], "filters": {"metadata.price": "high"}}, "empty", []),
        ({"group_by": [{"field": "metadata.tags"}], "unwind": "metadata.tags"}, "tuples", [("composite", "unwind")]),
        (
            {"group_by": [{"field": "metadata.by"}]},
            "objects",
            [("composite", "group_by.0"), ("tuples", "metadata.by")],
        ),
    ],
)
async def test_the_strategy_is_the_one_that_answers(
    client: Client, orders: str, spec: Json, strategy: str, rejected: list[tuple[str, str]]
) -> None:
    spec = {**spec, "aggregations": [COUNT]}
    explained = await client.ok("POST", f"/v1/buckets/{orders}/objects/aggregate/explain", spec)
    answer = await client.aggregate(orders, spec)
    assert explained["strategy"] == answer["query_info"]["strategy"] == strategy
    assert [(each["strategy"], each["where"]) for each in explained["rejected"]] == rejected
    assert explained["reads_objects"] is (strategy == "objects")
    assert all(orders in str(request["query"]) for request in explained["requests"])


async def test_each_pass_has_a_request(client: Client, orders: str) -> None:
    median = {"function": "median", "field": "metadata.price", "alias": "m"}
    spec = {"group_by": [{"field": "metadata.state"}], "aggregations": [COUNT, median]}
    explained = await client.ok("POST", f"/v1/buckets/{orders}/objects/aggregate/explain", spec)
    assert len(explained["requests"]) == 2


async def test_what_the_aggregate_refuses_explain_refuses(client: Client, orders: str) -> None:
    spec = {"group_by": [{"field": "metadata.state"}], "aggregations": [{"function": "sun", "alias": "n"}]}
    path = f"/v1/buckets/{orders}/objects/aggregate"
    assert await client.problems("POST", f"{path}/explain", spec) == await client.problems("POST", path, spec)


async def test_what_another_replica_changed_is_seen(client: Client, settings: Settings) -> None:
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": f"explained-{os.urandom(4).hex()}"})
    path = f"/v1/buckets/{made['bucket_id']}/objects"
    spec = {"group_by": [{"field": "metadata.k"}], "aggregations": [COUNT]}
    async with served(settings, KEY) as address, Client(address, KEY, client.namespace) as other:
        await other.create(made["bucket_id"], {"metadata": {"k": "a"}})
        assert (await client.ok("POST", f"{path}/aggregate/explain", spec))["strategy"] == "composite"
        of_objects = {**spec, "filters": {"metadata.k.inner": 1}}
        assert (await client.aggregate(made["bucket_id"], of_objects))["query_info"]["strategy"] == "empty"
        await other.create(made["bucket_id"], {"metadata": {"k": {"inner": 1}}})
        assert len((await client.aggregate(made["bucket_id"], of_objects))["results"]) == 1
        assert (await client.ok("POST", f"{path}/aggregate/explain", spec))["strategy"] == "objects"
        await other.ok("DELETE", f"/v1/buckets/{made['bucket_id']}")
        assert (await client.call("POST", f"{path}/aggregate/explain", spec))[0] == 404
