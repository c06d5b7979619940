"""Namespaces: made, found by id or name, renamed, deleted."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.client import Client

ROUTE = "/v1/namespaces"
Json = Any


def fresh(prefix: str = "ns") -> str:
    return f"{prefix}-{os.urandom(5).hex()}"


@pytest.fixture
async def space(client: Client) -> AsyncIterator[Json]:
    """A namespace that a test may change; deleted by its id."""
    made = await client.ok("POST", ROUTE, {"namespace_name": fresh(), "description": "before"}, namespace=None)
    yield made
    await client.call("DELETE", f"{ROUTE}/{made['namespace_id']}", namespace=None)


async def test_create_answers_the_namespace(space: Json) -> None:
    assert re.fullmatch(r"ns_[0-9a-f]{10}", space["namespace_id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", space["created_at"])
    assert space["created_at"] == space["updated_at"]
    assert space["description"] == "before"
    assert (space["feature_extractors"], space["payload_indexes"]) == ([], [])
    assert (space["bucket_count"], space["namespace_ready"]) == (0, True)


async def test_is_found_by_id_and_by_name(client: Client, space: Json) -> None:
    for identifier in (space["namespace_id"], space["namespace_name"]):
        found = await client.ok("GET", f"{ROUTE}/{identifier}", namespace=None)
        assert {**found, "bucket_count": 0} == space
        bucket = await client.ok("POST", "/v1/buckets", {"bucket_name": identifier}, namespace=identifier)
        path = f"/v1/buckets/{bucket['bucket_id']}?namespace={identifier}"
        assert await client.ok("GET", path, namespace=None) == bucket, "the query names it too"
    found = await client.ok("GET", f"{ROUTE}/{space['namespace_id']}", namespace=None)
    assert found["bucket_count"] == 2


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 65, "a b", "ünder", "a.b", "a/b", "*", "tally*", "<a-{now}>", "..x", "abc\n", None, 5]
)
async def test_refuses_a_bad_name(client: Client, name: Json) -> None:
    problems = await client.problems("POST", ROUTE, {"namespace_name": name}, namespace=None)
    assert [at for at, _ in problems] == [["body", "namespace_name"]]


async def test_a_name_is_needed(client: Client) -> None:
    ((at, _),) = await client.problems("POST", ROUTE, {"description": "no name"}, namespace=None)
    assert at == ["body", "namespace_name"]


async def test_a_name_cannot_look_like_an_id(client: Client, space: Json) -> None:
    """Else whoever took the name would get the requests that name the other by its id."""
    for method, path in (("POST", ROUTE), ("PATCH", f"{ROUTE}/{space['namespace_name']}")):
        body = {"namespace_name": space["namespace_id"]}
        ((at, _),) = await client.problems(method, path, body, namespace=None)
        assert at == ["body", "namespace_name"]


async def test_a_taken_name_is_a_conflict(client: Client, space: Json) -> None:
    body = {"namespace_name": space["namespace_name"]}
    for path in (ROUTE, f"{ROUTE}/standalone"):
        status, answer = await client.call("POST", path, body, namespace=None)
        assert (status, answer["error"]["type"]) == (409, "AlreadyExistsError")
        assert answer["error"]["details"] == body


async def test_unknown_is_404_for_every_verb(client: Client) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        body = {"description": "x"} if method in ("PUT", "PATCH") else None
        for identifier in ("nobody", "ns_0123456789"):
            status, answer = await client.call(method, f"{ROUTE}/{identifier}", body, namespace=None)
            assert status == 404
            assert answer["error"]["details"] == {"resource": "Namespace", "id": identifier}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_update_keeps_what_is_not_given(client: Client, space: Json, method: str) -> None:
    path = f"{ROUTE}/{space['namespace_id']}"
    changed = await client.ok(method, path, {"payload_indexes": [{"field_name": "a"}]}, namespace=None)
    assert changed["payload_indexes"] == [{"field_name": "a"}]
    assert changed["description"] == "before"
    changed = await client.ok(method, path, {"description": None}, namespace=None)
    assert changed["description"] is None
    assert changed["payload_indexes"] == [{"field_name": "a"}]
    assert changed["created_at"] == space["created_at"] <= changed["updated_at"]


async def test_rename_takes_everything_along(client: Client, space: Json) -> None:
    old, new = space["namespace_name"], fresh("new")
    bucket = (await client.ok("POST", "/v1/buckets", {"bucket_name": "b"}, namespace=old))["bucket_id"]
    item = await client.ok("POST", f"/v1/buckets/{bucket}/objects", {"metadata": {"a": 1}}, namespace=old)
    renamed = await client.ok("PATCH", f"{ROUTE}/{old}", {"namespace_name": new}, namespace=None)
    assert (renamed["namespace_id"], renamed["namespace_name"]) == (space["namespace_id"], new)

    path = f"/v1/buckets/b/objects/{item['object_id']}"
    for identifier in (new, space["namespace_id"]):
        assert await client.ok("GET", path, namespace=identifier) == item
    assert (await client.call("GET", path, namespace=old))[0] == 404, "the old name is nobody's"

    other = await client.ok("POST", ROUTE, {"namespace_name": old}, namespace=None)
    try:
        assert (await client.call("GET", path, namespace=old))[0] == 404, "and then somebody else's"
        status, _ = await client.call("PATCH", f"{ROUTE}/{new}", {"namespace_name": old}, namespace=None)
        assert status == 409
        assert (await client.ok("GET", f"{ROUTE}/{new}", namespace=None))["namespace_name"] == new
    finally:
        await client.ok("DELETE", f"{ROUTE}/{other['namespace_id']}", namespace=None)


async def test_delete_frees_the_name_and_takes_the_content(client: Client) -> None:
    name = fresh()
    first = await client.ok("POST", ROUTE, {"namespace_name": name}, namespace=None)
    await client.ok("POST", "/v1/buckets", {"bucket_name": "b"}, namespace=name)
    deleted = await asyncio.gather(*(client.call("DELETE", f"{ROUTE}/{name}", namespace=None) for _ in range(5)))
    assert sorted(status for status, _ in deleted) == [200, 404, 404, 404, 404], "of several, one deletes it"
    told = next(answer for status, answer in deleted if status == 200)
    assert (told["namespace_id"], told["namespace_name"]) == (first["namespace_id"], name)
    assert told["task_id"]
    for identifier in (name, first["namespace_id"]):
        assert (await client.call("GET", f"{ROUTE}/{identifier}", namespace=None))[0] == 404
        assert (await client.call("GET", "/v1/buckets/b", namespace=identifier))[0] == 404
    second = await client.ok("POST", ROUTE, {"namespace_name": name}, namespace=None)
    try:
        assert second["namespace_id"] != first["namespace_id"]
        assert (await client.call("GET", "/v1/buckets/b", namespace=name))[0] == 404
    finally:
        await client.ok("DELETE", f"{ROUTE}/{name}", namespace=None)


async def test_default_is_there_from_the_start(client: Client) -> None:
    assert (await client.ok("GET", f"{ROUTE}/default", namespace=None))["namespace_ready"] is True
