"""Many at once, and two instances on one OpenSearch: nothing is lost, doubled or seen late."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest

from service.serving import served
from service.settings import Settings
from tests.support.client import Client

Json = Any


@pytest.fixture(scope="module")
async def other(settings: Settings, client: Client) -> AsyncIterator[Client]:
    """A second instance, which knows nothing of what the first one remembers."""
    async with served(settings, "k") as address, Client(address, "k", client.namespace) as other:
        yield other


async def make(client: Client, **given: Json) -> str:
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": f"race-{os.urandom(5).hex()}", **given})
    return str(made["bucket_id"])


async def statuses(calls: list[Awaitable[tuple[int, Json]]]) -> Counter[int]:
    return Counter(status for status, _ in await asyncio.gather(*calls))


async def counted(client: Client, bucket: str, filters: Json = None) -> int:
    spec = {"group_by": [{"field": "bucket_id"}], "aggregations": [{"function": "count", "alias": "n"}]}
    rows = (await client.aggregate(bucket, {**spec, "filters": filters}))["results"]
    return sum(row["metrics"]["n"] for row in rows)


# Names


async def test_of_100_creates_of_one_bucket_name_one_succeeds(client: Client, other: Client) -> None:
    body = {"bucket_name": f"race-{os.urandom(5).hex()}"}
    calls = [(client, other)[turn % 2].call("POST", "/v1/buckets", body) for turn in range(100)]
    assert await statuses(list(calls)) == {200: 1, 409: 99}
    assert (await other.ok("GET", f"/v1/buckets/{body['bucket_name']}"))["object_count"] == 0


async def test_of_many_creates_of_one_namespace_name_one_succeeds(client: Client, other: Client) -> None:
    body = {"namespace_name": f"race-{os.urandom(5).hex()}"}
    calls = [(client, other)[turn % 2].call("POST", "/v1/namespaces", body, namespace=None) for turn in range(20)]
    assert await statuses(list(calls)) == {200: 1, 409: 19}
    await client.ok("DELETE", f"/v1/namespaces/{body['namespace_name']}", namespace=None)


async def test_of_many_renames_to_one_name_one_succeeds(client: Client) -> None:
    buckets = [await make(client) for _ in range(8)]
    body = {"bucket_name": f"race-{os.urandom(5).hex()}"}
    calls = [client.call("PATCH", f"/v1/buckets/{bucket}", body) for bucket in buckets]
    assert await statuses(list(calls)) == {200: 1, 409: 7}
    names = Counter([(await client.ok("GET", f"/v1/buckets/{bucket}"))["bucket_name"] for bucket in buckets])
    assert names[body["bucket_name"]] == 1


async def test_an_instance_forgets_a_name_that_moved(client: Client, other: Client) -> None:
    first, second = await make(client), await make(client)
    old = (await other.ok("GET", f"/v1/buckets/{first}"))["bucket_name"]
    assert (await other.ok("GET", f"/v1/buckets/{old}"))["bucket_id"] == first
    await client.ok("PATCH", f"/v1/buckets/{first}", {"bucket_name": f"{old}-moved"})
    assert (await other.call("GET", f"/v1/buckets/{old}"))[0] == 404
    await client.ok("PATCH", f"/v1/buckets/{second}", {"bucket_name": old})
    assert (await other.ok("GET", f"/v1/buckets/{old}"))["bucket_id"] == second
    await client.ok("DELETE", f"/v1/buckets/{second}")
    assert (await other.call("POST", f"/v1/buckets/{old}/objects", {"a": 1}))[0] == 404


# Unique keys


@pytest.mark.parametrize(
    ("policy", "expected"), [("insert", {200: 1, 409: 29}), ("upsert", {200: 30}), ("update", {404: 30})]
)
async def test_concurrent_creates_with_one_unique_key(
    client: Client, other: Client, policy: str, expected: dict[int, int]
) -> None:
    bucket = await make(client, unique_key={"fields": ["k"]})
    path = f"/v1/buckets/{bucket}/objects?policy={policy}"
    calls = [
        (client, other)[turn % 2].call("POST", path, {"k": 1, "metadata": {f"m{turn}": turn}}) for turn in range(30)
    ]
    assert await statuses(list(calls)) == expected
    assert await counted(client, bucket) == (0 if policy == "update" else 1)
    if policy == "upsert":
        ((_, row),) = [(key, row) for key, row in enumerate(await every(client, bucket))]
        assert row == {f"m{turn}": turn for turn in range(30)}, "no upsert overwrote another's fields"


async def every(client: Client, bucket: str) -> list[Json]:
    spec = {"group_by": [{"field": "metadata"}], "aggregations": [{"function": "count", "alias": "n"}]}
    return [row["group"]["metadata"] for row in (await client.aggregate(bucket, spec))["results"]]


async def test_a_batch_applies_upserts_of_one_key_in_order(client: Client) -> None:
    bucket = await make(client, unique_key={"fields": ["k"], "default_policy": "upsert"})
    answer = await client.batch(bucket, [{"k": turn % 2, "last": turn} for turn in range(60)])
    assert answer["failed"] == []
    assert [item["last"] for item in answer["succeeded"]] == list(range(60))
    assert await counted(client, bucket, {"last": {"$in": [58, 59]}}) == 2


# Updates


async def test_concurrent_updates_lose_nothing(client: Client, other: Client, bucket: str) -> None:
    made = await client.create(bucket, {"metadata": {"start": 1}})
    path = f"/v1/buckets/{bucket}/objects/{made['object_id']}"
    calls = [(client, other)[turn % 2].call("PATCH", path, {"metadata": {f"m{turn}": turn}}) for turn in range(30)]
    answers = await asyncio.gather(*calls)
    done = {turn for turn, (status, _) in enumerate(answers) if status == 200}
    assert {status for status, _ in answers} <= {200, 503}, "at worst one is told to try again"
    assert len(done) >= 20
    found = await other.ok("GET", path)
    assert found["metadata"] == {"start": 1, **{f"m{turn}": turn for turn in sorted(done)}}


async def test_an_update_and_a_delete_at_once(client: Client, other: Client, bucket: str) -> None:
    """Whoever comes first, the object is gone in the end: an update never brings it back."""
    items = (await client.batch(bucket, [{"a": 1}] * 10))["succeeded"]
    for item in items:
        path = f"/v1/buckets/{bucket}/objects/{item['object_id']}"
        changed, deleted = await asyncio.gather(client.call("PATCH", path, {"b": 1}), other.call("DELETE", path))
        assert changed[0] in (200, 404)
        assert deleted[0] == 204
    assert await counted(client, bucket) == 0


async def test_an_object_is_deleted_once(client: Client, other: Client, bucket: str) -> None:
    made = await client.create(bucket, {"a": 1})
    path = f"/v1/buckets/{bucket}/objects/{made['object_id']}"
    assert await statuses([(client, other)[turn % 2].call("DELETE", path) for turn in range(10)]) == {204: 1, 404: 9}


# Idempotency


async def test_an_idempotency_key_makes_one_object_of_many_tries(client: Client, other: Client, bucket: str) -> None:
    path = f"/v1/buckets/{bucket}/objects"
    body = {"idempotency_key": "once", "metadata": {"a": 1}}
    answers = await asyncio.gather(*((client, other)[turn % 2].call("POST", path, body) for turn in range(20)))
    assert {status for status, _ in answers} == {200}
    assert len({answer["object_id"] for _, answer in answers}) == 1
    assert sum(answer.get("replayed", False) for _, answer in answers) == 19
    assert await counted(client, bucket) == 1


# Read your writes


async def test_every_acknowledged_create_is_in_the_next_aggregate(client: Client, other: Client, bucket: str) -> None:
    """Whichever instance is asked, while others write."""

    async def write_and_look(turn: int) -> None:
        writer, reader = (client, other) if turn % 2 else (other, client)
        for step in range(4):
            mark = f"{turn}-{step}"
            made = await writer.create(bucket, {"metadata": {"mark": mark}})
            assert await counted(reader, bucket, {"metadata.mark": mark}) == 1
            assert await counted(writer, bucket, {"metadata.mark": mark}) == 1
            assert (await reader.ok("GET", f"/v1/buckets/{bucket}/objects/{made['object_id']}")) == made

    await asyncio.gather(*map(write_and_look, range(8)))
    assert await counted(client, bucket) == 32


VALUES: list[Json] = ["text", 2, 2.5, True, None, "2024-01-31", 2**60, [1, "a"], {"deep": 1}, "x" * 9_000, [], [None]]


async def test_the_other_instance_knows_new_types_at_once(client: Client, other: Client, bucket: str) -> None:
    """One writes a field that changes its shape each time; the other aggregates right after."""
    seen: list[Json] = []
    for turn, value in enumerate(VALUES):
        writer, reader = (client, other) if turn % 2 else (other, client)
        await writer.create(bucket, {"shape": value, f"new{turn}": value})
        seen.append(value)
        for field, expected in (("shape", seen), (f"new{turn}", [value] + [None] * turn)):
            spec = {"group_by": [{"field": field}], "aggregations": [{"function": "count", "alias": "n"}]}
            rows = (await reader.aggregate(bucket, spec))["results"]
            found = {repr(row["group"][field]): row["metrics"]["n"] for row in rows}
            assert found == Counter(map(repr, expected)), (turn, field)


async def test_two_instances_bring_the_same_new_fields_in_other_types(
    client: Client, other: Client, bucket: str
) -> None:
    for turn in range(3):
        values: list[Json] = ["text", 1, True, {"x": 1}]
        items = [{f"f{turn}-{field}": values[(field + writer) % 4] for field in range(4)} for writer in range(4)]
        await asyncio.gather(*((client, other)[writer % 2].create(bucket, item) for writer, item in enumerate(items)))
        for field in range(4):
            for value in values:
                assert await counted((client, other)[field % 2], bucket, {f"f{turn}-{field}": value}) == 1


async def test_imports_and_batches_at_once_count_up(client: Client, other: Client, bucket: str) -> None:
    lines = b"".join(b'{"metadata":{"n":%d}}\n' % number for number in range(500))
    path = f"/v1/buckets/{bucket}/objects"
    answers = await asyncio.gather(
        *((client, other)[turn % 2].ok("POST", f"{path}/import", data=lines) for turn in range(4)),
        *((client, other)[turn % 2].batch(bucket, [{"metadata": {"n": -1}}] * 100) for turn in range(4)),
    )
    assert sum(answer["succeeded_count"] for answer in answers) == 2_400
    assert await counted(client, bucket) == await counted(other, bucket) == 2_400


async def test_a_namespace_deleted_under_writers_answers_404(client: Client, other: Client) -> None:
    """Whoever writes meanwhile is answered or told that it is gone; nothing is a failure of the service."""
    name = f"gone-{os.urandom(5).hex()}"
    await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    bucket = (await client.ok("POST", "/v1/buckets", {"bucket_name": "b"}, namespace=name))["bucket_id"]

    async def write(turn: int) -> set[int]:
        found = set()
        for step in range(12):
            item = {"metadata": {f"f{turn}{step}": step}}
            status, _ = await (client, other)[turn % 2].call(
                "POST", f"/v1/buckets/{bucket}/objects", item, namespace=name
            )
            found.add(status)
        return found

    async def delete() -> None:
        await asyncio.sleep(0.1)
        await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)

    *found, _ = await asyncio.gather(*(write(turn) for turn in range(4)), delete())
    assert set().union(*(each for each in found if each)) <= {200, 404}
