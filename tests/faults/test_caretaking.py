"""Background work of one customer that cannot be done stops nobody else's."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from service.serving import served
from service.settings import Settings
from tests.conftest import KEY
from tests.support.client import Client

Json = Any


@pytest.fixture
async def opensearch(opensearch_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(opensearch_url) as session:
        yield session


@pytest.fixture
async def spaces(settings: Settings) -> AsyncIterator[tuple[Client, list[Json]]]:
    """Two namespaces of a service that takes care each second; the first one was there before the other."""
    changed = settings.model_copy(update={"caretaking_seconds": 1})
    async with served(changed, KEY) as address, Client(address, KEY) as client:
        made = [
            await client.ok("POST", "/v1/namespaces", {"namespace_name": f"care-{os.urandom(4).hex()}"}, namespace=None)
            for _ in range(2)
        ]
        yield client, made
        for space in made:
            await client.call("DELETE", f"/v1/namespaces/{space['namespace_id']}", namespace=None)


async def block(opensearch: aiohttp.ClientSession, space: Json, how: str) -> None:
    alias = f"tally-objects-{space['namespace_id']}"
    if how == "closed":
        async with opensearch.post(f"/{alias}-000001/_close") as answer:
            assert answer.status == 200
    else:
        async with opensearch.put(f"/{alias}/_settings", json={"index.blocks.write": True}) as answer:
            assert answer.status == 200


async def count(opensearch: aiohttp.ClientSession, space: Json) -> int:
    """What lies in the index, seen or not."""
    alias = f"tally-objects-{space['namespace_id']}"
    async with opensearch.post(f"/{alias}/_refresh"), opensearch.get(f"/{alias}/_count") as answer:
        return int((await answer.json())["count"])


async def until_empty(opensearch: aiohttp.ClientSession, space: Json) -> None:
    end = time.monotonic() + 30
    while await count(opensearch, space):
        assert time.monotonic() < end, "nothing was removed"
        await asyncio.sleep(0.3)


@pytest.mark.parametrize("how", ["closed", "blocked"])
async def test_objects_expire_beside_an_index_that_takes_no_writes(
    spaces: tuple[Client, list[Json]], opensearch: aiohttp.ClientSession, how: str
) -> None:
    client, (first, second) = spaces
    for space in (first, second):
        client.namespace = space["namespace_id"]
        made = await client.ok("POST", "/v1/buckets", {"bucket_name": "mortal", "ttl_seconds": 4})
        await client.create(made["bucket_id"], {"n": 1})
    await block(opensearch, first, how)
    await until_empty(opensearch, second)


@pytest.mark.parametrize("how", ["closed", "blocked"])
async def test_a_deletion_goes_on_beside_one_that_cannot(
    spaces: tuple[Client, list[Json]], opensearch: aiohttp.ClientSession, how: str
) -> None:
    """A delete by filter that was interrupted is tried again each time; deletions and expiry come after it."""
    client, (first, second) = spaces
    client.namespace = first["namespace_id"]
    stuck = (await client.ok("POST", "/v1/buckets", {"bucket_name": "stuck"}))["bucket_id"]
    await client.create(stuck, {"n": 1})
    await block(opensearch, first, "blocked")
    removal = await client.ok("POST", f"/v1/buckets/{stuck}/objects/delete", {"filters": {"n": 1}})
    assert (await client.ok("GET", f"/v1/tasks/{removal['task_id']}", namespace=None))["status"] == "INTERRUPTED"
    await block(opensearch, first, how)

    client.namespace = second["namespace_id"]
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": "mortal", "ttl_seconds": 2})
    await client.create(made["bucket_id"], {"n": 1})
    other = await client.ok("POST", "/v1/buckets", {"bucket_name": "other"})
    gone = await client.ok("DELETE", f"/v1/buckets/{other['bucket_id']}")
    assert (await client.task(gone["task_id"]))["status"] == "COMPLETED"
    await until_empty(opensearch, second)
