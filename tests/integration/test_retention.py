"""Objects that expire are there for nobody from that moment on, and are removed soon after."""

import asyncio
import json
import os
from typing import Any

import aiohttp
import pytest

from service.serving import served
from service.settings import Settings
from tests.conftest import KEY
from tests.support.client import Client

Json = Any
COUNT = {"group_by": [{"field": "metadata.k"}], "aggregations": [{"function": "count", "alias": "n"}]}


async def test_an_expired_object_is_there_for_nobody(client: Client, settings: Settings) -> None:
    name = f"ttl-{os.urandom(4).hex()}"
    bucket = await client.ok("POST", "/v1/buckets", {"bucket_name": name, "ttl_seconds": 3})
    assert bucket["ttl_seconds"] == 3
    path = f"/v1/buckets/{name}/objects"
    old = (await client.batch(name, [{"metadata": {"k": 1}, "blobs": [{"data": "abc"}]}] * 5))["succeeded"]
    source = {"type": "bucket", "bucket_ids": [bucket["bucket_id"]]}
    collection = await client.ok("POST", "/v1/collections", {"collection_name": name, "source": source})
    assert collection["document_count"] == 5
    assert (await client.ok("GET", f"/v1/buckets/{name}"))["object_count"] == 5
    await asyncio.sleep(3.1)
    new = await client.create(name, {"metadata": {"k": 1}})
    for item in old:
        one = f"{path}/{item['object_id']}"
        for method, body in (("GET", None), ("PATCH", {"a": 1}), ("DELETE", None)):
            assert (await client.call(method, one, body))[0] == 404, method
    listed = await client.ok("POST", f"{path}/list")
    assert [each["object_id"] for each in listed["results"]] == [new["object_id"]]
    assert listed["stats"]["total_objects"] == 1
    inexact = {"filters": {"field": "metadata.k", "operator": "nin", "value": [["x"]]}}
    assert (await client.ok("POST", f"{path}/list", inexact))["total_count"] == 1
    assert (await client.aggregate(name, COUNT))["results"] == [{"group": {"metadata.k": 1}, "metrics": {"n": 1}}]
    assert (await client.send("GET", f"{path}/export"))[1].count("\n") == 1
    told = await client.ok("GET", f"/v1/buckets/{name}")
    assert (told["object_count"], told["total_size_bytes"]) == (1, 0)
    (told,) = (await client.ok("POST", "/v1/buckets/list", {"filters": {"name": name}}))["results"]
    assert told["object_count"] == 1
    assert (await client.ok("GET", f"/v1/collections/{name}"))["document_count"] == 1
    assert (await client.ok("POST", f"{path}/delete", {"filters": {"metadata.k": 2}}))["deleted_count"] == 0


async def test_expired_objects_are_removed(client: Client, settings: Settings, opensearch_url: str) -> None:
    quick = settings.model_copy(update={"caretaking_seconds": 0.3})
    bucket = (await client.ok("POST", "/v1/buckets", {"bucket_name": os.urandom(4).hex(), "ttl_seconds": 1}))[
        "bucket_id"
    ]
    await client.batch(bucket, [{"n": n} for n in range(20)])
    query = {"query": {"term": {"bucket_id": bucket}}}
    async with served(quick, KEY), aiohttp.ClientSession(opensearch_url) as opensearch:
        for _ in range(100):
            await opensearch.post("/tally-objects-*/_refresh")
            async with opensearch.post("/tally-objects-*/_count", json=query) as response:
                left = (await response.json())["count"]
            if not left:
                break
            await asyncio.sleep(0.1)
    assert left == 0


async def test_the_setting_changes(client: Client) -> None:
    bucket = (await client.ok("POST", "/v1/buckets", {"bucket_name": os.urandom(4).hex()}))["bucket_id"]
    item = await client.create(bucket, {"a": 1})
    path = f"/v1/buckets/{bucket}"
    assert (await client.ok("PATCH", path, {"ttl_seconds": 3_600}))["object_count"] == 1
    assert (await client.ok("PATCH", path, {"description": "x"}))["ttl_seconds"] == 3_600
    await asyncio.sleep(1.1)
    assert (await client.ok("PATCH", path, {"ttl_seconds": 1}))["object_count"] == 0
    assert (await client.call("GET", f"{path}/objects/{item['object_id']}"))[0] == 404
    assert (await client.ok("PATCH", path, {"ttl_seconds": None}))["ttl_seconds"] is None


@pytest.mark.parametrize("value", [0, -1, 1.5, "60", True, 10**11])
async def test_a_wrong_setting(client: Client, value: Json) -> None:
    ((at, _),) = await client.problems("POST", "/v1/buckets", {"bucket_name": "x", "ttl_seconds": value})
    assert at == ["body", "ttl_seconds"]


# Delete by filter


@pytest.fixture
async def filled(client: Client, bucket: str) -> str:
    tags = [["a", "ÉTÉ"], ["b"], "été", "x%"]
    lines = [{"n": n, "metadata": {"type": "v" if n % 2 else "w", "tags": tags[n % 4]}} for n in range(2_500)]
    await client.ok("POST", f"/v1/buckets/{bucket}/objects/import", data="\n".join(map(json.dumps, lines)))
    return f"/v1/buckets/{bucket}/objects"


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"filters": {"metadata.type": "v"}}, 1250),
        ({"filters": {"metadata.type": "V"}}, 1250),
        ({"filters": {"metadata.type": "V"}, "case_sensitive": True}, 0),
        ({"filters": {"AND": [{"field": "n", "operator": "lt", "value": 100}]}}, 100),
        ({"filters": {"field": "metadata.tags", "operator": "text", "value": "e\u0301t"}}, 1250),
        ({"filters": {"field": "metadata.tags", "operator": "words", "value": "x"}}, 625),
        ({"filters": {"field": "metadata.tags", "operator": "contains", "value": "%"}}, 625),
    ],
)
async def test_delete_by_filter(client: Client, filled: str, body: Json, count: int) -> None:
    answer = await client.ok("POST", f"{filled}/delete", body)
    assert (answer["status"], answer["deleted_count"]) == ("COMPLETED", count)
    assert (await client.ok("POST", f"{filled}/list"))["total_count"] == 2_500 - count
    task = await client.ok("GET", f"/v1/tasks/{answer['task_id']}", namespace=None)
    assert (task["status"], task["additional_data"]["deleted_count"]) == ("COMPLETED", count)
    assert (await client.ok("POST", f"{filled}/delete", body))["deleted_count"] == 0


async def test_a_delete_needs_filters(client: Client, bucket: str) -> None:
    path = f"/v1/buckets/{bucket}/objects/delete"
    await client.create(bucket, {"a": 1})
    for body, at in (
        ({}, ["filters"]),
        ({"filters": {}}, ["filters"]),
        ({"filters": None}, ["filters"]),
        ({"filter": {"a": 1}}, ["filters"]),
        ({"filters": {"a": 1}, "limit": 5}, ["limit"]),
        ({"filters": {"field": "a", "operator": "like"}}, ["filters", "operator"]),
    ):
        assert ["body", *at] in [place for place, _ in await client.problems("POST", path, body)]
    nothing: tuple[Json, ...] = ({"AND": []}, {"OR": []}, {"case_sensitive": True}, {"AND": [{"OR": []}]})
    for empty in nothing:
        await client.problems("POST", path, {"filters": empty})
    assert (await client.ok("POST", f"/v1/buckets/{bucket}/objects/list"))["total_count"] == 1
