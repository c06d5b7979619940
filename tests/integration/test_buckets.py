"""Buckets: made, found by id or name, changed, counted, deleted."""

import asyncio
import os
import re
from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from tests.support.client import Client

ROUTE = "/v1/buckets"
Json = Any


def fresh() -> str:
    return f"b-{os.urandom(5).hex()}"


async def make(client: Client, **given: Json) -> Json:
    return await client.ok("POST", ROUTE, {"bucket_name": fresh(), **given})


async def test_create_answers_the_bucket(client: Client) -> None:
    name = fresh()
    made = await make(client, bucket_name=name, description="d", metadata={"team": "x"})
    assert re.fullmatch(r"bkt_[0-9a-f]{10}", made["bucket_id"])
    assert made.pop("created_at") == made.pop("updated_at")
    assert made == {
        "bucket_id": made["bucket_id"],
        "bucket_name": name,
        "description": "d",
        "bucket_schema": None,
        "metadata": {"team": "x"},
        "unique_key": None,
        "ttl_seconds": None,
        "object_count": 0,
        "total_size_bytes": 0,
        "status": "ACTIVE",
        "last_upload_at": None,
    }


async def test_the_older_names_of_keys_and_route(client: Client) -> None:
    schema = {"properties": {"title": {"type": "STRING"}}}
    made = await client.ok("POST", f"{ROUTE}/create", {"name": (name := fresh()), "schema": schema})
    assert made["bucket_name"] == name
    assert made["bucket_schema"] == {"properties": {"title": {"type": "string"}}}, "types are echoed in lower case"


ODD_NAMES = [
    "a/b", "..", ".", "a b", " ", "%", "%2F", "{x}", "<tally-{now/d}>", "tally-*", "*", "_all", "list", "create",
    "aggregate", "é", "e\u0301", "🙂" * 200, "?x#y", "a\nb", "\\", "'\"", "ns_0123456789", "bkt_", "A", "a",
]  # fmt: skip


async def test_any_text_is_a_name_and_finds_its_bucket(client: Client) -> None:
    made = [await client.ok("POST", ROUTE, {"bucket_name": name}) for name in ODD_NAMES]
    for bucket in made:
        assert await client.ok("GET", f"{ROUTE}/{bucket['bucket_id']}") == bucket
        url = URL(f"{client.address}{ROUTE}/{quote(bucket['bucket_name'], safe='')}", encoded=True)
        headers = {"Authorization": f"Bearer {client.key}", "X-Namespace": str(client.namespace)}
        async with client.session.get(url, headers=headers) as response:
            assert (response.status, await response.json()) == (200, bucket), bucket["bucket_name"]
    await asyncio.gather(*(client.ok("DELETE", f"{ROUTE}/{bucket['bucket_id']}") for bucket in made))


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({"description": "x"}, ["description"]),
        ({"bucket_name": ""}, ["bucket_name"]),
        ({"bucket_name": None}, ["bucket_name"]),
        ({"bucket_name": 7}, ["bucket_name"]),
        ({"bucket_name": "x" * 201}, ["bucket_name"]),
        ({"bucket_name": "bkt_0123456789"}, ["bucket_name"]),
        ({"bucket_name": "x", "description": 5}, ["description"]),
        ({"bucket_name": "x", "metadata": []}, ["metadata"]),
        ({"bucket_name": "x", "bucket_schema": "string"}, ["bucket_schema"]),
        ({"bucket_name": "x", "bucket_schema": {"properties": []}}, ["bucket_schema", "properties"]),
        ({"bucket_name": "x", "bucket_schema": {"properties": {"a": "string"}}}, ["bucket_schema", "properties", "a"]),
        ({"bucket_name": "x", "bucket_schema": {"properties": {"a": {}}}}, ["bucket_schema", "properties", "a"]),
        (
            {"bucket_name": "x", "bucket_schema": {"properties": {"a": {"type": "strnig"}}}},
            ["bucket_schema", "properties", "a", "type"],
        ),
        (
            {"bucket_name": "x", "bucket_schema": {"properties": {"a": {"type": "string", "enum": "b"}}}},
            ["bucket_schema", "properties", "a", "enum"],
        ),
        (
            {
                "bucket_name": "x",
                "bucket_schema": {"properties": {"a": {"type": "object", "properties": {"b": {"type": "x"}}}}},
            },
            ["bucket_schema", "properties", "a", "properties", "b", "type"],
        ),
        ({"bucket_name": "x", "unique_key": {"fields": []}}, ["unique_key", "fields"]),
        ({"bucket_name": "x", "unique_key": {"fields": ["a..b"]}}, ["unique_key", "fields"]),
        ({"bucket_name": "x", "unique_key": {"fields": [""]}}, ["unique_key", "fields"]),
        ({"bucket_name": "x", "unique_key": {}}, ["unique_key", "fields"]),
        (
            {"bucket_name": "x", "unique_key": {"fields": ["a"], "default_policy": "merge"}},
            ["unique_key", "default_policy"],
        ),
        ([], []),
        ("x", []),
    ],
)
async def test_a_bad_body_is_refused_with_its_place(client: Client, body: Json, at: list[str]) -> None:
    problems = await client.problems("POST", ROUTE, body)
    assert [place for place, _ in problems] == [["body", *at]]


@pytest.mark.parametrize("depth", [150, 990, 100_000])
@pytest.mark.parametrize("key", ["metadata", "bucket_schema"])
async def test_endless_nesting_is_refused(client: Client, key: str, depth: int) -> None:
    text = f'{{"bucket_name": "deep", "{key}": ' + '{"a":' * depth + "1" + "}" * depth + "}"
    ((at, _),) = await client.problems("POST", ROUTE, data=text)
    assert at == ["body"]


async def test_all_problems_are_told_at_once(client: Client) -> None:
    schema = {"properties": {"a": {"type": "x"}, "b": {"type": "y"}}}
    problems = await client.problems("POST", ROUTE, {"bucket_name": "x", "bucket_schema": schema})
    assert [at[-2] for at, _ in problems] == ["a", "b"]
    assert "dense_vector" in problems[0][1], "the message lists what there is"


async def test_a_taken_name_is_a_conflict(client: Client) -> None:
    made = await make(client)
    status, answer = await client.call("POST", ROUTE, {"bucket_name": made["bucket_name"]})
    assert (status, answer["error"]["details"]) == (409, {"bucket_name": made["bucket_name"]})
    await make(client, bucket_name=made["bucket_name"].upper())


async def test_a_refused_create_takes_no_name(client: Client) -> None:
    name = fresh()
    await client.problems("POST", ROUTE, {"bucket_name": name, "bucket_schema": {"properties": {"a": {"type": "x"}}}})
    await make(client, bucket_name=name)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_update_merges_metadata_and_keeps_the_rest(client: Client, method: str) -> None:
    made = await make(client, description="d", metadata={"a": 1, "b": {"x": 1}})
    path = f"{ROUTE}/{made['bucket_id']}"
    changed = await client.ok(method, path, {"metadata": {"b": 2, "c": None}})
    assert changed["metadata"] == {"a": 1, "b": 2, "c": None}
    assert (changed["description"], changed["bucket_name"]) == ("d", made["bucket_name"])
    schema = {"properties": {"n": {"type": "Integer", "required": True}}}
    changed = await client.ok(method, path, {"bucket_schema": schema})
    assert changed["bucket_schema"]["properties"]["n"]["type"] == "integer"
    assert await client.ok("GET", path) == changed
    await client.problems("POST", f"{path}/objects", {"n": "no"})


async def test_rename(client: Client) -> None:
    made, other = await make(client), await make(client)
    item = await client.create(made["bucket_id"], {"a": 1})
    path, new = f"{ROUTE}/{made['bucket_name']}", fresh()
    assert (await client.call("PATCH", path, {"bucket_name": other["bucket_name"]}))[0] == 409
    assert (await client.ok("PATCH", path, {"bucket_name": new}))["bucket_id"] == made["bucket_id"]
    assert (await client.call("GET", path))[0] == 404
    assert await client.ok("GET", f"{ROUTE}/{new}/objects/{item['object_id']}") == item
    again = await make(client, bucket_name=made["bucket_name"])
    assert (await client.ok("GET", path))["bucket_id"] == again["bucket_id"], "the old name is free"
    ((at, _),) = await client.problems("PATCH", f"{ROUTE}/{new}", {"bucket_name": other["bucket_id"]})
    assert at == ["body", "bucket_name"]


async def test_counts_follow_the_objects(client: Client, bucket: str) -> None:
    first = await client.create(bucket, {"blobs": [{"data": "hello"}]})
    answer = await client.batch(bucket, [{"blobs": [{"data": "1234567"}, {"details": {"size_bytes": 1000}}]}, {}])
    found = await client.ok("GET", f"{ROUTE}/{bucket}")
    assert (found["object_count"], found["total_size_bytes"]) == (3, 1012)
    assert found["last_upload_at"] == answer["succeeded"][-1]["created_at"]
    await client.ok("DELETE", f"{ROUTE}/{bucket}/objects/{first['object_id']}")
    found = await client.ok("GET", f"{ROUTE}/{bucket}")
    assert (found["object_count"], found["total_size_bytes"]) == (2, 1007)


async def test_delete_is_seen_at_once_and_happens_once(client: Client) -> None:
    made = await make(client)
    item = await client.create(made["bucket_id"], {"a": 1})
    path = f"{ROUTE}/{made['bucket_id']}"
    deleted = await asyncio.gather(*(client.call("DELETE", path) for _ in range(5)))
    assert sorted(status for status, _ in deleted) == [200, 404, 404, 404, 404]
    told = next(answer for status, answer in deleted if status == 200)
    assert told == {
        "bucket_id": made["bucket_id"],
        "bucket_name": made["bucket_name"],
        "object_count": 1,
        "status": "PENDING",
        "task_id": f"task_{made['bucket_id']}",
    }
    for method, end in (
        ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/objects"), ("POST", "/objects/batch"),
        ("POST", "/objects/import"), ("POST", "/objects/aggregate"), ("GET", f"/objects/{item['object_id']}"),
    ):  # fmt: skip
        count = {"group_by": [{"field": "a"}], "aggregations": [{"function": "count", "alias": "n"}]}
        body: Json = [] if end.endswith("batch") else {} if method in ("POST", "PATCH") else None
        body = count if end.endswith("aggregate") else body
        status, answer = await client.call(method, path + end, body)
        assert (status, answer["error"]["type"]) == (404, "NotFoundError"), (method, end)
    again = await make(client, bucket_name=made["bucket_name"])
    assert (again["object_count"], again["bucket_id"] == made["bucket_id"]) == (0, False)
