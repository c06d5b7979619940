"""An export comes back: same ids, times, order and answers, in another bucket, another namespace, and the same one."""

import json
import os
from typing import Any

import pytest

from tests.support.client import Client

Json = Any


async def new_bucket(client: Client, **more: Json) -> str:
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": f"restore-{os.urandom(5).hex()}", **more})
    return str(made["bucket_id"])


async def export(client: Client, bucket: str, body: Json = None) -> list[bytes]:
    status, text, _ = await client.send("POST", f"/v1/buckets/{bucket}/objects/export", body or {})
    assert status == 200, text
    return text.encode().splitlines()


async def restore(client: Client, bucket: str, lines: list[bytes], query: str = "") -> Json:
    path = f"/v1/buckets/{bucket}/objects/import?restore=true{query}"
    return await client.ok("POST", path, data=b"\n".join(lines))


def comparable(lines: list[bytes]) -> list[Json]:
    """All but the bucket that an object is in."""
    return [{name: value for name, value in json.loads(line).items() if name != "bucket_id"} for line in lines]


SPECS: list[Json] = [
    {
        "group_by": [{"field": "metadata.kind", "alias": "kind"}],
        "aggregations": [
            {"function": "count", "alias": "count"},
            {"function": "sum", "field": "metadata.n", "alias": "sum"},
            {"function": "first", "field": "metadata.n", "alias": "first"},
            {"function": "last", "field": "metadata.n", "alias": "last"},
            {"function": "push", "field": "metadata.n", "alias": "push"},
        ],
    },
    {"group_by": [{"field": "status"}], "aggregations": [{"function": "count", "alias": "count"}]},
    {
        "group_by": [{"field": "created_at"}],
        "aggregations": [{"function": "last", "field": "updated_at", "alias": "u"}],
    },
    {"group_by": [{"field": "blobs.property"}], "aggregations": [{"function": "count", "alias": "count"}]},
    {"group_by": [{"field": "blobs.properties"}], "aggregations": [{"function": "count", "alias": "count"}]},
    {"group_by": [{"field": "title"}], "aggregations": [{"function": "max", "field": "metadata.big", "alias": "max"}]},
]


async def answers(client: Client, bucket: str) -> list[Json]:
    return [(await client.aggregate(bucket, spec))["results"] for spec in SPECS]


@pytest.fixture(scope="module")
async def filled(client: Client) -> str:
    """Objects of every kind: written one by one, in imports, changed, deleted, with blobs and statuses."""
    bucket = await new_bucket(client)
    rows = [{"metadata": {"n": n, "kind": "abc"[n % 3], "x": n / 3}} for n in range(1_200)]
    await client.ok("POST", f"/v1/buckets/{bucket}/objects/import", data="\n".join(map(json.dumps, rows)))
    blob = {"property": "scan", "type": "text", "data": {"a": 1}, "metadata": {"page": 2}}
    one = await client.create(bucket, {"metadata": {"n": -1, "kind": "b"}, "blobs": [blob], "status": "active"})
    two = await client.create(bucket, {"title": "été", "metadata": {"big": 2**63 - 1, "n": 1.10}, "key_prefix": "/a"})
    three = await client.create(bucket, {"title": None, "metadata": {}, "blobs": []})
    path = f"/v1/buckets/{bucket}/objects"
    await client.ok("PATCH", f"{path}/{one['object_id']}", {"metadata": {"n": -2}})
    await client.ok("DELETE", f"{path}/{three['object_id']}")
    await client.ok("PUT", f"{path}/{two['object_id']}", {"status": "archived", "idempotency_key": "k"})
    await client.ok("POST", f"{path}/import", data="\n".join(map(json.dumps, rows[:50])))
    return bucket


async def test_another_bucket_of_the_same_namespace(client: Client, filled: str) -> None:
    lines = await export(client, filled)
    assert len(lines) == 1_252
    other = await new_bucket(client)
    summary = await restore(client, other, lines)
    assert (summary["succeeded_count"], summary["failed_count"], summary["replayed_count"]) == (1_252, 0, 0)
    assert comparable(await export(client, other)) == comparable(lines)
    assert await answers(client, other) == await answers(client, filled)
    id = json.loads(lines[7])["object_id"]
    path = f"/v1/buckets/{other}/objects/{id}"
    assert (await client.ok("GET", path))["bucket_id"] == other
    assert (await client.ok("PATCH", path, {"metadata": {"n": 70}}))["object_id"] == id
    assert (await client.ok("GET", f"/v1/buckets/{filled}/objects/{id}"))["metadata"]["n"] == 7
    assert (await client.ok("GET", path))["metadata"]["n"] == 70
    assert (await client.send("DELETE", path))[0] == 204
    assert (await client.call("GET", path))[0] == 404
    assert (await client.call("GET", f"/v1/buckets/{filled}/objects/{id}"))[0] == 200


async def test_another_namespace(client: Client, filled: str) -> None:
    name = f"restore-{os.urandom(4).hex()}"
    await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": "back"}, namespace=name)
    lines = await export(client, filled)
    path = f"/v1/buckets/{made['bucket_id']}/objects"
    await client.ok("POST", f"{path}/import?restore=true", data=b"\n".join(lines), namespace=name)
    _, text, _ = await client.send("GET", f"{path}/export", namespace=name)
    assert comparable(text.encode().splitlines()) == comparable(lines)
    await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)


async def test_what_is_there_already(client: Client, filled: str) -> None:
    """The same again is passed over; another object with the id is refused; what was deleted comes back."""
    lines = (await export(client, filled))[:30]
    summary = await restore(client, filled, lines)
    assert (summary["succeeded_count"], summary["replayed_count"], summary["failed_count"]) == (30, 30, 0)
    other = await new_bucket(client)
    await restore(client, other, lines)
    changed = {**json.loads(lines[3]), "metadata": {"n": "other"}}
    summary = await restore(client, other, [lines[2], json.dumps(changed).encode(), lines[4]])
    assert (summary["succeeded_count"], summary["failed_count"]) == (2, 1)
    assert (summary["errors"][0]["line"], summary["errors"][0]["error_type"]) == (2, "AlreadyExistsError")
    id = json.loads(lines[5])["object_id"]
    await client.send("DELETE", f"/v1/buckets/{other}/objects/{id}")
    await restore(client, other, lines)
    assert comparable(await export(client, other)) == comparable(lines)


async def test_in_parts_the_lines_go_on(client: Client, filled: str) -> None:
    lines = await export(client, filled)
    other = await new_bucket(client)
    for start in (0, 500, 1_000):
        summary = await restore(client, other, lines[start : start + 500], f"&first_line={start + 1}")
        assert summary["failed_count"] == 0
    assert comparable(await export(client, other)) == comparable(lines)
    summary = await restore(client, other, [b"nonsense"], "&first_line=501")
    assert summary["errors"][0]["line"] == 501


async def test_a_bucket_with_a_unique_key(client: Client) -> None:
    key = {"unique_key": {"fields": ["sku"], "default_policy": "upsert"}}
    bucket, other = await new_bucket(client, **key), await new_bucket(client, **key)
    data = "\n".join(json.dumps({"metadata": {"sku": n, "v": 1}}) for n in range(20))
    await client.ok("POST", f"/v1/buckets/{bucket}/objects/import", data=data)
    lines = await export(client, bucket)
    for _ in range(2):
        assert (await restore(client, other, lines))["failed_count"] == 0
    assert comparable(await export(client, other)) == comparable(lines)
    first = json.loads(lines[0])
    again = await client.ok("POST", f"/v1/buckets/{other}/objects", {"metadata": {"sku": 0, "v": 2}})
    assert (again["object_id"], again["metadata"]) == (first["object_id"], {"sku": 0, "v": 2})
    got = await client.ok("GET", f"/v1/buckets/{other}/objects/{first['object_id']}")
    assert got["metadata"]["v"] == 2
    same_key = {**first, "object_id": "obj_another"}
    same_id = {**first, "metadata": {"sku": "new"}}
    summary = await restore(client, other, [json.dumps(each).encode() for each in (same_key, same_id)])
    assert [each["error_type"] for each in summary["errors"]] == ["AlreadyExistsError"] * 2
    status, answer = await client.call("POST", f"/v1/buckets/{other}/objects?policy=insert", {"metadata": {"sku": 1}})
    assert (status, answer["error"]["details"]) == (409, {"object_id": json.loads(lines[1])["object_id"]})
    path = f"/v1/buckets/{other}/objects/{first['object_id']}"
    assert (await client.send("DELETE", path))[0] == 204
    assert len(await export(client, other)) == 19


async def test_lines_that_no_export_writes(client: Client) -> None:
    bucket = await new_bucket(client, ttl_seconds=3_600)
    good: dict[str, Json] = {
        "object_id": "obj_1", "bucket_id": "bkt_x", "key_prefix": None, "blobs": [], "status": "DRAFT", "metadata": {},
        "created_at": "2999-01-01T00:00:00Z", "updated_at": "2999-01-01T00:00:00.5Z",
    }  # fmt: skip
    wrong: list[Json] = [
        *({**good, "object_id": id} for id in (None, 5, "", "x", "obj_", "obj_ä", "obj_/", "obj_" + "x" * 300)),
        *({**good, "created_at": at} for at in (None, 5, "soon", "2024-01-01", "2024-13-01T00:00:00Z")),
        {**good, "updated_at": "2024-01-01T00:00:00.1234567Z"},
        {**good, "created_at": "2001-01-01T00:00:00Z"},
        {**good, "status": "LOST"},
        {**good, "metadata": []},
        {**good, "document_count": 1},
        {"metadata": {}},
        [good],
    ]
    summary = await restore(client, bucket, [json.dumps(each).encode() for each in [*wrong, good]])
    assert (summary["succeeded_count"], summary["failed_count"]) == (1, len(wrong))
    assert [each["line"] for each in summary["errors"]] == list(range(1, 21))[: len(wrong)]
    assert {each["error_type"] for each in summary["errors"]} == {"ValidationError"}
    stored = await client.ok("GET", f"/v1/buckets/{bucket}/objects/obj_1")
    assert (stored["created_at"], stored["updated_at"]) == ("2999-01-01T00:00:00Z", "2999-01-01T00:00:00.500Z")


async def test_what_does_not_go_together(client: Client, bucket: str) -> None:
    path = f"/v1/buckets/{bucket}/objects/import"
    for query, place in (
        ("restore=true&policy=insert", "policy"), ("restore=perhaps", "restore"), ("first_line=0", "first_line"),
        ("first_line=x", "first_line"),
    ):  # fmt: skip
        ((at, _),) = await client.problems("POST", f"{path}?{query}", data=b"{}")
        assert at == ["query", place]
