"""Batches: each object for itself, what fails is told by its position."""

import os
from typing import Any

import pytest

from service.settings import Settings
from tests.support.client import Client

Json = Any


def route(bucket: str) -> str:
    return f"/v1/buckets/{bucket}/objects/batch"


async def test_what_fails_is_told_and_the_rest_is_stored(client: Client, bucket: str) -> None:
    sent: list[Json] = [
        {"metadata": {"n": 0}},
        {"metadata": 5},
        {"metadata": {"n": 2}},
        "no object",
        {"object_id": "mine"},
        {"metadata": {"n": 2**64}},
        {"status": "nonsense", "blobs": 1},
        None,
        {"metadata": {"n": 8}},
    ]
    answer = await client.batch(bucket, sent)
    assert [item["metadata"]["n"] for item in answer["succeeded"]] == [0, 2, 8]
    assert (answer["total_requested"], answer["succeeded_count"], answer["failed_count"]) == (9, 3, 6)
    assert [each["object_index"] for each in answer["failed"]] == [1, 3, 4, 5, 6, 7]
    assert {each["error_type"] for each in answer["failed"]} == {"ValidationError"}
    told = [each["error"] for each in answer["failed"]]
    for text, place in zip(told, ["metadata", "", "object_id", "metadata.n", "status", ""], strict=True):
        assert place in text
    assert "blobs" in told[4], "all that is wrong with one object"
    assert "18446744073709551616" in told[3]
    spec = {"group_by": [{"field": "metadata.n"}], "aggregations": [{"function": "count", "alias": "c"}]}
    rows = (await client.aggregate(bucket, spec))["results"]
    assert [row["group"]["metadata.n"] for row in rows] == [0, 2, 8]


async def test_order_is_kept(client: Client, bucket: str) -> None:
    answer = await client.batch(bucket, [{"metadata": {"n": n}} for n in range(200)])
    assert [item["metadata"]["n"] for item in answer["succeeded"]] == list(range(200))
    assert len({item["object_id"] for item in answer["succeeded"]}) == 200
    assert len({item["created_at"] for item in answer["succeeded"]}) == 1, "one request, one time"


async def test_the_older_era_speaks_in_bare_arrays(client: Client, bucket: str) -> None:
    answer = await client.ok("POST", route(bucket), [{"a": 1}, {"a": 2}])
    assert [item["a"] for item in answer] == [1, 2]
    answer = await client.ok("POST", route(bucket), [{"a": 1}, {"metadata": 1}])
    assert (answer["succeeded_count"], answer["failed"][0]["object_index"]) == (1, 1), "a failure needs the summary"


async def test_nothing_is_a_batch_too(client: Client, bucket: str) -> None:
    assert await client.batch(bucket, []) == {
        "succeeded": [],
        "failed": [],
        "total_requested": 0,
        "succeeded_count": 0,
        "failed_count": 0,
    }
    assert await client.ok("POST", route(bucket), []) == []


@pytest.mark.parametrize(
    "text",
    ["", "5", "null", '"x"', "{}", '{"objects": 5}', '{"objects": null}', '{"objects": {}}', "[{]", "[" * 100_000],
)
async def test_what_is_no_batch_is_refused_whole(client: Client, bucket_of_many: str, text: str) -> None:
    ((at, _),) = await client.problems("POST", route(bucket_of_many), data=text)
    assert at[0] == "body"


@pytest.fixture(scope="module")
async def bucket_of_many(client: Client) -> str:
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": f"batch-{os.urandom(5).hex()}"})
    return str(made["bucket_id"])


async def test_more_than_the_limit_is_refused_whole(client: Client, settings: Settings, bucket: str) -> None:
    most = settings.batch_limit
    ((at, message),) = await client.problems("POST", route(bucket), {"objects": [{}] * (most + 1)})
    assert at == ["body", "objects"]
    assert f"{most}" in message
    assert f"{most + 1}" in message
    assert (await client.ok("GET", f"/v1/buckets/{bucket}"))["object_count"] == 0


async def test_one_too_deep_object_fails_alone(client: Client, bucket: str) -> None:
    deep = '{"metadata": ' + '{"a":' * 300 + "1" + "}" * 300 + "}"
    arrays = '{"metadata": {"a": ' + "[" * 300 + "]" * 300 + "}}"
    answer = await client.ok("POST", route(bucket), data=f"[{{}}, {deep}, {arrays}, {{}}]")
    assert answer["succeeded_count"] == 2
    assert [each["object_index"] for each in answer["failed"]] == [1, 2]
    assert all("nested" in each["error"] for each in answer["failed"])


# Policies


@pytest.mark.parametrize(
    ("policy", "stored", "failed"),
    [
        # Objects with key 1 (there before), 2, 2 again, and none: which are stored, which fail how.
        ("insert", [1], {0: "AlreadyExistsError", 2: "AlreadyExistsError", 3: "ValidationError"}),
        ("update", [0], {1: "NotFoundError", 2: "NotFoundError", 3: "ValidationError"}),
        ("upsert", [0, 1, 2], {3: "ValidationError"}),
    ],
)
async def test_policies_decide_for_each_object(
    client: Client, policy: str, stored: list[int], failed: dict[int, str]
) -> None:
    body = {"bucket_name": f"batch-{os.urandom(5).hex()}", "unique_key": {"fields": ["k"]}}
    bucket = (await client.ok("POST", "/v1/buckets", body))["bucket_id"]
    await client.create(bucket, {"k": 1, "metadata": {"old": True}})
    sent = [{"k": 1, "metadata": {"a": 0}}, {"k": 2, "metadata": {"a": 1}}, {"k": 2, "metadata": {"b": 2}}, {}]
    answer = await client.ok("POST", f"{route(bucket)}?policy={policy}", {"objects": sent})
    assert {each["object_index"]: each["error_type"] for each in answer["failed"]} == failed
    merged = {0: {"old": True, "a": 0}, 1: {"a": 1}, 2: {"a": 1, "b": 2}}
    assert [item["metadata"] for item in answer["succeeded"]] == [merged[position] for position in stored]


async def test_idempotency_keys_replay_within_and_across_batches(client: Client, bucket: str) -> None:
    sent = [{"idempotency_key": "a", "n": 1}, {"idempotency_key": "b", "n": 2}, {"idempotency_key": "a", "n": 3}]
    first = (await client.batch(bucket, sent))["succeeded"]
    assert [item.get("replayed", False) for item in first] == [False, False, True]
    assert [item["n"] for item in first] == [1, 2, 1]
    second = (await client.batch(bucket, sent))["succeeded"]
    assert [item["replayed"] for item in second] == [True] * 3
    assert [item["object_id"] for item in second] == [item["object_id"] for item in first]
    assert (await client.ok("GET", f"/v1/buckets/{bucket}"))["object_count"] == 2
