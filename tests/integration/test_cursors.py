"""Walks by cursor: to the end while others write, from one replica to the next, and what is no cursor."""

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from service.serving import served
from service.settings import Settings
from tests.conftest import KEY
from tests.support.client import Client

Json = Any


@pytest.fixture(scope="module")
async def opensearch(opensearch_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(opensearch_url, raise_for_status=True) as session:
        yield session


async def walk(client: Client, bucket: str, body: Json, first: str | None = None) -> AsyncIterator[list[Json]]:
    """The pages from the beginning to the end."""
    cursor = first
    while True:
        page = {**body, "cursor": cursor} if cursor else body
        answer = await client.ok("POST", f"/v1/buckets/{bucket}/objects/list", page)
        yield answer["results"]
        cursor = answer["pagination"]["next_cursor"]
        if cursor is None:
            return


async def told(client: Client, bucket: str, body: Json, first: str | None = None) -> list[str]:
    return [each["object_id"] async for page in walk(client, bucket, body, first) for each in page]


async def loaded(client: Client, bucket: str, count: int) -> list[str]:
    lines = "\n".join(json.dumps({"n": n, "metadata": {"rank": n * 7919 % count}}) for n in range(count))
    await client.ok("POST", f"/v1/buckets/{bucket}/objects/import", data=lines)
    return await told(client, bucket, {"limit": 1000})


@pytest.mark.parametrize("sort", [None, {"field": "metadata.rank"}, {"field": "created_at", "direction": "desc"}])
async def test_a_walk_while_others_write(client: Client, bucket: str, sort: Json) -> None:
    """Nothing twice, and all that existed throughout; what was written meanwhile may be told or not."""
    count = 5_000 if sort else 25_000
    before = await loaded(client, bucket, count)
    assert len(set(before)) == count
    path = f"/v1/buckets/{bucket}/objects"
    gone: set[str] = set()
    ended = asyncio.Event()
    chance = random.Random(5)

    async def write() -> None:
        while not ended.is_set():
            some = chance.sample(before, 6)
            await client.batch(bucket, [{"n": -1, "metadata": {"rank": chance.randrange(count)}}] * 5)
            for id in some[:3]:
                if id not in gone:
                    await client.call("PATCH", f"{path}/{id}", {"metadata": {"rank": chance.randrange(count)}})
            for id in some[3:]:
                gone.add(id)
                await client.call("DELETE", f"{path}/{id}")

    writing = asyncio.create_task(write())
    try:
        body = {"limit": 1000, **({"sort": sort} if sort else {})}
        seen = await told(client, bucket, body, "*" if sort else None)
    finally:
        ended.set()
        await writing
    assert len(seen) == len(set(seen)), "nothing twice"
    assert set(before) - gone <= set(seen), "nothing skipped"


async def test_a_sorted_walk_shows_one_state(client: Client, bucket: str) -> None:
    await loaded(client, bucket, 500)
    body = {"limit": 100, "sort": {"field": "metadata.rank"}}
    ranks: list[int] = []
    async for page in walk(client, bucket, body, "*"):
        ranks += [each["metadata"]["rank"] for each in page]
        await client.create(bucket, {"metadata": {"rank": 499}})
        await client.ok("PATCH", f"/v1/buckets/{bucket}/objects/{page[0]['object_id']}", {"metadata": {"rank": 1000}})
    assert ranks == list(range(500))


@pytest.mark.parametrize("first", [None, "*"])
async def test_a_new_kind_of_value_meanwhile(client: Client, bucket: str, first: str | None) -> None:
    await loaded(client, bucket, 50)
    body = {"limit": 20, "sort": {"field": "metadata.rank", "direction": "desc"}}
    new = [{"metadata": {"rank": rank}} for rank in ("text", True, 2**60 + 1, ["2024-01-01"], None)]
    ranks: list[Json] = []
    async for page in walk(client, bucket, body, first):
        ranks += [each["metadata"]["rank"] for each in page]
        await client.batch(bucket, new)
    assert [rank for rank in ranks if type(rank) is int and rank < 50] == list(range(49, -1, -1))


async def test_past_ten_thousand(client: Client, bucket: str) -> None:
    ids = await loaded(client, bucket, 12_345)
    assert len(ids) == 12_345
    filters = {"field": "metadata.rank", "operator": "gte", "value": 0}
    assert await told(client, bucket, {"limit": 999, "filters": filters}) == ids
    inexact = {"field": "missing", "operator": "nin", "value": [["x"]]}
    assert await told(client, bucket, {"limit": 1000, "filters": inexact}) == ids


async def test_totals_stats_and_the_last_page(client: Client, bucket: str) -> None:
    await loaded(client, bucket, 300)
    answer = await client.ok("POST", f"/v1/buckets/{bucket}/objects/list", {"limit": 100})
    for page in (2, 3):
        cursor = answer["pagination"]["next_cursor"]
        answer = await client.ok("GET", f"/v1/buckets/{bucket}/objects?limit=100&cursor={cursor}")
        assert (answer["pagination"]["page"], answer["pagination"]["total"]) == (page, 300)
        assert answer["stats"]["total_objects"] == 300
    assert answer["pagination"]["next_cursor"] is None
    assert answer["pagination"]["has_more"] is False


async def test_what_is_no_cursor(client: Client, bucket: str) -> None:
    await loaded(client, bucket, 30)
    path = f"/v1/buckets/{bucket}/objects/list"
    cursor = (await client.ok("POST", path, {"limit": 10}))["pagination"]["next_cursor"]
    for torn in (
        cursor[:-1],
        cursor[1:],
        cursor[:20] + ("B" if cursor[20] == "A" else "A") + cursor[21:],
        "x",
        "**",
        "é",
        "." * 9,
        "a.b",
        "\x00",
    ):
        ((at, message),) = await client.problems("POST", path, {"cursor": torn})
        assert at == ["body", "cursor"]
        assert "changed or cut" in message
    for other in ({"search": "x"}, {"sort": {"field": "n"}}, {"filters": {"n": 1}}, {"case_sensitive": True}):
        ((at, message),) = await client.problems("POST", path, {"cursor": cursor, **other})
        assert at == ["body", "cursor"]
        assert "another list" in message
    async with asyncio.TaskGroup() as group:
        group.create_task(client.problems("POST", "/v1/buckets/list", {"cursor": cursor}))
        group.create_task(client.problems("POST", "/v1/collections/list", {"cursor": cursor}))
    other_bucket = await client.ok("POST", "/v1/buckets", {"bucket_name": os.urandom(4).hex()})
    await client.problems("POST", f"/v1/buckets/{other_bucket['bucket_id']}/objects/list", {"cursor": cursor})
    assert len((await client.ok("POST", path, {"limit": 15, "cursor": cursor}))["results"]) == 15
    assert (await client.ok("POST", path, {"cursor": ""}))["pagination"]["page"] == 1, "none at all"


async def test_a_cursor_of_another_namespace(client: Client) -> None:
    """A bucket's name may be the same; the cursor is not."""
    name, bucket = f"other-{os.urandom(4).hex()}", os.urandom(4).hex()
    await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    for namespace in (name, str(client.namespace)):
        await client.ok("POST", "/v1/buckets", {"bucket_name": bucket}, namespace=namespace)
        items = {"objects": [{"n": n} for n in range(20)]}
        await client.ok("POST", f"/v1/buckets/{bucket}/objects/batch", items, namespace=namespace)
    path = f"/v1/buckets/{bucket}/objects/list"
    cursor = (await client.ok("POST", path, namespace=name))["pagination"]["next_cursor"]
    await client.problems("POST", path, {"cursor": cursor})
    cursor = (await client.ok("POST", "/v1/buckets/list?limit=1", namespace=str(client.namespace)))["pagination"]
    await client.problems("POST", "/v1/buckets/list", {"cursor": cursor["next_cursor"]}, namespace=name)
    await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)


async def test_an_old_cursor_is_gone(settings: Settings, client: Client, bucket: str) -> None:
    await loaded(client, bucket, 30)
    brief = settings.model_copy(update={"cursor_seconds": 1.0})
    path = f"/v1/buckets/{bucket}/objects/list"
    async with served(brief, KEY) as address, Client(address, KEY, client.namespace) as other:
        plain: Json = {"limit": 10}
        sorted_by: Json = {"limit": 10, "sort": {"field": "metadata.rank"}}
        cursors = [
            (await other.ok("POST", path, body))["pagination"]["next_cursor"]
            for body in (plain, sorted_by, {**sorted_by, "cursor": "*"})
        ]
        await asyncio.sleep(1.2)
        for cursor, body in zip(cursors, (plain, sorted_by, sorted_by), strict=True):
            status, answer = await other.call("POST", path, {**body, "cursor": cursor})
            assert status == 410, answer
            assert "1 seconds" in answer["error"]["message"]
            assert "begin again" in answer["error"]["message"]


async def test_replicas_share_cursors(settings: Settings, client: Client, bucket: str) -> None:
    before = await loaded(client, bucket, 5_000)
    async with served(settings, KEY) as address, Client(address, KEY, client.namespace) as other:
        for body in ({"limit": 500}, {"limit": 500, "sort": {"field": "metadata.rank"}, "cursor": "*"}):
            seen: list[str] = []
            cursor = body.get("cursor")
            for turn in range(20):
                asker = (client, other)[turn % 2]
                page = {**body, "cursor": cursor} if cursor else body
                answer = await asker.ok("POST", f"/v1/buckets/{bucket}/objects/list", page)
                seen += [each["object_id"] for each in answer["results"]]
                cursor = answer["pagination"]["next_cursor"]
                if cursor is None:
                    break
            assert sorted(seen) == sorted(before)


async def test_walks_leave_no_point_in_time_open(
    client: Client, bucket: str, opensearch: aiohttp.ClientSession
) -> None:
    async def opened() -> int:
        async with opensearch.get("/_search/point_in_time/_all") as response:
            return len((await response.json())["pits"])

    await loaded(client, bucket, 100)
    before = await opened()
    body = {"limit": 30, "sort": {"field": "metadata.rank"}}
    assert len(await told(client, bucket, body, "*")) == 100
    assert len(await told(client, bucket, body)) == 100
    inexact = {"field": "n", "operator": "nin", "value": [["x"]]}
    assert len(await told(client, bucket, {**body, "filters": inexact}, "*")) == 100
    await client.ok("POST", f"/v1/buckets/{bucket}/objects/list", {"limit": 5, "filters": inexact})
    assert (await client.send("GET", f"/v1/buckets/{bucket}/objects/export"))[0] == 200
    assert await opened() <= before


async def test_resources_have_cursors_too(client: Client) -> None:
    name = f"walked-{os.urandom(4).hex()}"
    await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    made = [
        await client.ok("POST", "/v1/buckets", {"bucket_name": f"b{n}", "metadata": {"n": -n}}, namespace=name)
        for n in range(7)
    ]
    for body, wanted in (({}, made), ({"sort": {"field": "n"}}, made[::-1]), ({"sort": {"field": "n"}}, made[::-1])):
        seen: list[str] = []
        cursor: Any = "*"
        while cursor is not None:
            page = {**body, "limit": 3, "cursor": cursor}
            answer = await client.ok("POST", "/v1/buckets/list", page, namespace=name)
            seen += [each["bucket_id"] for each in answer["results"]]
            assert answer["total_count"] == 7
            cursor = answer["pagination"]["next_cursor"]
        assert seen == [each["bucket_id"] for each in wanted]
    await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)
