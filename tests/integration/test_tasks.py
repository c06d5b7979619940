"""What goes on in the background: deletes of buckets and namespaces, over restarts, and invisible at once."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from service.catalog.tasks import TaskService
from service.maintenance.caretaker import Caretaker
from service.serving import served
from service.settings import Settings
from service.storage.catalog import Catalog
from service.storage.gateway import Gateway, Refresher
from tests.conftest import KEY
from tests.support.client import Client

Json = Any


@pytest.fixture
async def opensearch(opensearch_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(opensearch_url) as session:
        yield session


@pytest.fixture
async def space(client: Client) -> AsyncIterator[str]:
    name = f"tasks-{os.urandom(4).hex()}"
    await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    yield name
    await client.call("DELETE", f"/v1/namespaces/{name}", namespace=None)


async def filled(client: Client, space: str, count: int = 3_000) -> Json:
    bucket = await client.ok("POST", "/v1/buckets", {"bucket_name": "full"}, namespace=space)
    lines = "\n".join(json.dumps({"n": n}) for n in range(count))
    await client.ok("POST", f"/v1/buckets/{bucket['bucket_id']}/objects/import", data=lines, namespace=space)
    return bucket


async def left(opensearch: aiohttp.ClientSession, bucket: str) -> int:
    await opensearch.post("/tally-objects-*/_refresh")
    async with opensearch.post("/tally-objects-*/_count", json={"query": {"term": {"bucket_id": bucket}}}) as response:
        return int((await response.json())["count"])


async def test_deleting_a_bucket(client: Client, space: str, opensearch: aiohttp.ClientSession) -> None:
    bucket = await filled(client, space)
    told = await client.ok("DELETE", "/v1/buckets/full", namespace=space)
    assert told == {
        "bucket_id": bucket["bucket_id"],
        "bucket_name": "full",
        "object_count": 3_000,
        "status": "PENDING",
        "task_id": f"task_{bucket['bucket_id']}",
    }
    assert (await client.ok("GET", "/v1/buckets", namespace=space))["total_count"] == 0
    assert (await client.ok("GET", f"/v1/namespaces/{space}", namespace=None))["object_count"] == 0
    task = await client.task(told["task_id"])
    assert (task["task_type"], task["status"]) == ("api_buckets_delete", "COMPLETED")
    assert task["additional_data"]["deleted_count"] == 3_000
    assert await left(opensearch, bucket["bucket_id"]) == 0


async def test_deleting_a_namespace(client: Client, space: str, opensearch: aiohttp.ClientSession) -> None:
    bucket = await filled(client, space, 10)
    made = await client.ok("GET", f"/v1/namespaces/{space}", namespace=None)
    told = await client.ok("DELETE", f"/v1/namespaces/{space}", namespace=None)
    assert told["status"] == "PENDING"
    assert (await client.call("GET", f"/v1/namespaces/{space}", namespace=None))[0] == 404
    assert (await client.call("GET", "/v1/buckets", namespace=space))[0] == 404
    search = {"search": space}
    assert (await client.ok("POST", "/v1/namespaces/list", search, namespace=None))["total_count"] == 0
    await client.ok("POST", "/v1/namespaces", {"namespace_name": space}, namespace=None)
    assert (await client.ok("GET", "/v1/buckets", namespace=space))["total_count"] == 0, "the name is free at once"
    task = await client.task(told["task_id"])
    assert (task["task_type"], task["status"]) == ("api_namespaces_delete", "COMPLETED")
    async with opensearch.get(f"/_cat/indices/tally-*{made['namespace_id']}*?format=json") as response:
        assert await response.json() == []
    assert await left(opensearch, bucket["bucket_id"]) == 0


async def test_a_delete_survives_a_restart(
    client: Client, settings: Settings, space: str, opensearch: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that answered does nothing more; another one does."""
    bucket = await filled(client, space, 500)
    once = Caretaker.once

    async def idle(self: Caretaker, every: float = 0) -> int:
        return 0

    monkeypatch.setattr(Caretaker, "once", idle)
    async with served(settings, KEY) as address, Client(address, KEY, space) as other:
        told = await other.ok("DELETE", "/v1/buckets/full")
        assert (await other.ok("GET", f"/v1/tasks/{told['task_id']}"))["status"] == "PENDING"
        assert (await client.call("GET", "/v1/buckets/full", namespace=space))[0] == 404
    assert await left(opensearch, bucket["bucket_id"]) == 500
    assert (await client.ok("GET", f"/v1/tasks/{told['task_id']}", namespace=None))["status"] == "PENDING"
    monkeypatch.setattr(Caretaker, "once", once)
    async with served(settings, KEY):
        assert (await client.task(told["task_id"]))["status"] == "COMPLETED"
    assert await left(opensearch, bucket["bucket_id"]) == 0


async def test_names_are_free_at_once_and_unique_under_races(client: Client, settings: Settings, space: str) -> None:
    async with served(settings, KEY) as address, Client(address, KEY, space) as other:
        source = {"type": "bucket", "bucket_ids": [(await filled(client, space, 1))["bucket_id"]]}
        for route, body, namespace in (
            ("/v1/namespaces", {"namespace_name": f"{space}-race"}, None),
            ("/v1/buckets", {"bucket_name": "race"}, space),
            ("/v1/collections", {"collection_name": "race", "source": source}, space),
        ):
            calls = [(client, other)[turn % 2].call("POST", route, body, namespace=namespace) for turn in range(100)]
            answers = await asyncio.gather(*calls)
            statuses = sorted(status for status, _ in answers)
            assert statuses == [200] + [409] * 99, route
            assert {answer["error"]["type"] for status, answer in answers if status == 409} == {"AlreadyExistsError"}
            (name,) = (value for key, value in body.items() if key.endswith("_name"))
            await client.ok("DELETE", f"{route}/{name}", namespace=namespace)
            await client.ok("POST", route, body, namespace=namespace)
        await client.ok("DELETE", f"/v1/namespaces/{space}-race", namespace=None)


async def test_what_is_no_task(client: Client) -> None:
    for id in ("task_nothing", "bkt_0123456789", "..%2F", "a%20b"):
        status, answer = await client.call("GET", f"/v1/tasks/{id}", namespace=None)
        assert (status, answer["error"]["details"]["resource"]) == (404, "Task")


@pytest.fixture
async def catalog(settings: Settings) -> AsyncIterator[Catalog]:
    gateway = Gateway(str(settings.opensearch_url))
    yield Catalog(gateway, Refresher(gateway).refresh)
    await gateway.close()


async def test_one_replica_has_a_turn(catalog: Catalog, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    replicas = [TaskService(catalog) for _ in range(6)]
    name = os.urandom(4).hex()

    async def takes(tasks: TaskService, every: float) -> bool:
        async with tasks.once_per_period(name, every) as ours:
            await asyncio.sleep(0.5 if ours else 0)
            return ours

    async def taken(every: float) -> int:
        return sum(await asyncio.gather(*(takes(each, every) for each in replicas)))

    assert await taken(60) == 1
    assert await taken(60) == 0, "it was done less than a minute ago"
    assert await taken(0) == 1
    with pytest.raises(ZeroDivisionError):
        async with replicas[0].once_per_period(name, 0):
            raise ZeroDivisionError
    assert await taken(0) == 1, "what failed is tried again"
    monkeypatch.setattr("service.catalog.tasks.LEASE", 300)
    lost = replicas[0].once_per_period(name, 0)
    assert await lost.__aenter__()
    assert await taken(0) == 0
    await asyncio.sleep(0.8)
    assert await taken(0) == 0, "whoever works keeps it"
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__name__", "") == "_renew":
            task.cancel()  # as if its process were gone
    assert await taken(0) == 0, "whoever takes it over has to have seen it unchanged"
    await asyncio.sleep(0.5)
    assert await taken(0) == 1
    await lost.__aexit__(None, None, None)
