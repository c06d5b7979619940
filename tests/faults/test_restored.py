"""A snapshot is restored under running services: what they knew of mappings and entries is true no more."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.cli.embedded import EmbeddedNode, default_cache, ensure_home
from service.serving import served
from service.settings import Settings
from tests.conftest import KEY
from tests.support.client import Client
from tests.support.records import Project, container, record

Json = Any


class Snapshots:
    """The repository of a node of its own, with one snapshot of all that Tally has there."""

    def __init__(self, session: aiohttp.ClientSession, folder: Path) -> None:
        self._session = session
        self._folder = str(folder)

    async def ask(self, method: str, path: str, body: Json = None) -> Json:
        async with self._session.request(method, path, json=body) as response:
            answer = await response.json()
            assert response.status < 300, answer
            return answer

    async def take(self) -> None:
        await self.ask("PUT", "/_snapshot/r", {"type": "fs", "settings": {"location": self._folder}})
        await self.ask("PUT", "/_snapshot/r/s?wait_for_completion=true", {"indices": "tally-*"})

    async def restore(self, *, delete: bool = True) -> None:
        """As an operator does: all of Tally's indices, deleted or closed before."""
        for index in await self.ask("GET", "/_cat/indices/tally-*?format=json&expand_wildcards=all"):
            if delete:
                await self.ask("DELETE", f"/{index['index']}")
            else:
                await self.ask("POST", f"/{index['index']}/_close")
        body = {"indices": "tally-*"}
        answer = await self.ask("POST", "/_snapshot/r/s/_restore?wait_for_completion=true", body)
        assert answer["snapshot"]["shards"]["failed"] == 0


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("snapshots")
    with EmbeddedNode(ensure_home(default_cache()), heap="512m", settings={"path.repo": str(folder)}) as node:
        yield node.url, folder


@pytest.fixture
async def snapshots(node: tuple[str, Path]) -> AsyncIterator[Snapshots]:
    url, folder = node
    async with aiohttp.ClientSession(url) as session:
        yield Snapshots(session, folder / os.urandom(4).hex())


@asynccontextmanager
async def two_services(settings: Settings, url: str) -> AsyncIterator[tuple[Client, Client]]:
    """On one OpenSearch, with a namespace of their own that has the buckets `b` and `other`."""
    changed = settings.model_copy(update={"opensearch_url": url})
    name = f"r{os.urandom(4).hex()}"
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(2):
            address = await stack.enter_async_context(served(changed, KEY))
            clients.append(await stack.enter_async_context(Client(address, KEY, name)))
        await clients[0].ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
        for bucket in ("b", "other"):
            await clients[0].ok("POST", "/v1/buckets", {"bucket_name": bucket})
        yield clients[0], clients[1]


@pytest.fixture
async def both(settings: Settings, node: tuple[str, Path]) -> AsyncIterator[tuple[Client, Client]]:
    async with two_services(settings, node[0]) as clients:
        yield clients


async def again(client: Client, path: str, body: Json) -> Json:
    """What is unavailable for a moment is asked again."""
    deadline = time.monotonic() + 30
    while True:
        status, answer = await client.call("POST", path, body)
        if status < 300:
            return answer
        assert status == 503, answer
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.2)


async def counted(client: Client, bucket: str, field: str, value: Json) -> list[int]:
    """How many objects have a value: by a list, and by an aggregate grouped by it."""
    listed = await again(client, f"/v1/buckets/{bucket}/objects/list", {"filters": {field: value}})
    spec = {
        "filters": {field: value},
        "group_by": [{"field": field, "alias": "key"}],
        "aggregations": [{"function": "count", "alias": "n"}],
    }
    rows = (await again(client, f"/v1/buckets/{bucket}/objects/aggregate", spec))["results"]
    assert [row["group"]["key"] for row in rows] == [value] * len(rows)
    return [listed["total_count"], sum(row["metrics"]["n"] for row in rows)]


@pytest.mark.parametrize("delete", [True, False], ids=["deleted", "closed"])
async def test_objects_with_fields_that_the_snapshot_lacks(
    snapshots: Snapshots, both: tuple[Client, Client], delete: bool
) -> None:
    first, second = both
    await first.create("b", {"old": 1})
    await snapshots.take()
    for client in both:
        await client.create("b", {"old": 1, "new": "x", "metadata": {"deep": {"n": 1}}, "list": [1, "a"]})
        assert await counted(client, "b", "new", "x") == [1 + (client is second)] * 2
    await snapshots.restore(delete=delete)
    for client in both:
        assert await counted(client, "b", "new", "x") == [0, 0]
        assert await counted(client, "b", "old", 1) == [1, 1]
    await again(
        first, "/v1/buckets/b/objects", {"old": 2, "new": "x", "metadata": {"deep": {"n": 1}}, "list": [1, "a"]}
    )
    for client in both:
        for field, value in (("new", "x"), ("metadata.deep.n", 1), ("list", 1), ("list", "a")):
            listed = await client.ok("POST", "/v1/buckets/b/objects/list", {"filters": {field: value}})
            assert listed["total_count"] == 1, field
        assert await counted(client, "b", "new", "x") == [1, 1]
    made = await second.ok("POST", "/v1/buckets/b/objects/list", {"filters": {"new": "x"}})
    path = f"/v1/buckets/b/objects/{made['results'][0]['object_id']}"
    await second.ok("PATCH", path, {"newest": True})
    for client in both:
        assert await counted(client, "b", "newest", True) == [1, 1]


async def test_a_name_that_got_another_type(snapshots: Snapshots, both: tuple[Client, Client]) -> None:
    """The first service takes `x` for a number; after the restore the second one's is a text."""
    first, second = both
    await first.create("b", {"a": 1})
    await snapshots.take()
    await first.create("b", {"x": 5})
    await first.create("other", {"x": 5})
    await snapshots.restore()
    await again(second, "/v1/buckets/other/objects", {"x": "5"})
    await first.create("b", {"x": 5})
    await first.batch("b", [{"x": "5"}, {"x": 5.5}])
    for client in both:
        for value in (5, "5", 5.5):
            assert await counted(client, "b", "x", value) == [1, 1], value
        assert await counted(client, "other", "x", "5") == [1, 1]
        assert await counted(client, "other", "x", 5) == [0, 0]


async def test_the_same_snapshot_twice(snapshots: Snapshots, both: tuple[Client, Client]) -> None:
    """OpenSearch gives the same sequence numbers and terms out again, for something else."""
    first, second = both
    await first.create("b", {"a": 1})
    await snapshots.take()
    for name, value in (("p", 1), ("q", "y"), ("p", "z")):
        await snapshots.restore()
        await again(first, "/v1/buckets/b/objects", {name: value})
        for client in (second, first):
            assert await counted(client, "b", name, value) == [1, 1]
            for other in {"p", "q"} - {name}:
                spec = {"filters": {other: {"$exists": True}}}
                assert (await client.ok("POST", "/v1/buckets/b/objects/list", spec))["total_count"] == 0


async def test_an_import_that_goes_on_meanwhile(snapshots: Snapshots, both: tuple[Client, Client]) -> None:
    """Whatever is stored after the restore is found."""
    first, second = both
    await first.create("b", {"a": 1})
    await snapshots.take()
    restored = asyncio.Event()

    async def lines() -> AsyncIterator[bytes]:
        # Enough for several batches before and after.
        for number in range(30_000):
            yield b'{"n":%d,"new":"x"}\n' % number
        await restored.wait()
        for number in range(30_000, 60_000):
            yield b'{"n":%d,"new":"x"}\n' % number

    running = asyncio.create_task(first.send("POST", "/v1/buckets/b/objects/import", data=lines()))
    await asyncio.sleep(2)
    await snapshots.restore()
    restored.set()
    status, text, _ = await running
    assert status in (200, 503), text
    everything = (await again(second, "/v1/buckets/b/objects/list", {}))["total_count"]
    found = (await again(second, "/v1/buckets/b/objects/list", {"filters": {"new": "x"}}))["total_count"]
    assert everything == found + 1
    assert status == 503 or found >= 30_000


async def test_records_with_properties_that_the_snapshot_lacks(
    snapshots: Snapshots, both: tuple[Client, Client]
) -> None:
    first, second = both
    assert first.namespace is not None
    async with Project.made(first, f"p{os.urandom(4).hex()}") as project:
        others = project.at(second)
        await project.spaces("s")
        await project.containers(container({"n": {"type": "int64"}, "m": {"type": "int64"}}))
        stream = await project.stream()
        await project.ingest(stream, record("a", {"n": 1}))
        await snapshots.take()
        for at, id in ((project, "b"), (others, "c")):
            await at.upsert(stream, record(id, {"n": 1, "m": 7}))
            await at.delete(stream, id)
        await snapshots.restore()
        for at, id in ((project, "b"), (others, "c")):
            for _ in range(50):
                status, answer = await at.call(
                    "POST", f"/streams/{stream}/records/upsert?refresh=wait_for", {"items": [record(id, {"m": 7})]}
                )
                if status == 202:
                    break
                assert status == 503, answer
                await asyncio.sleep(0.2)
        for at in (project, others):
            wanted = {
                "filter": {"equals": {"property": ["s", "c", "m"], "value": 7}},
                "aggregates": {"n": {"count": {}}},
            }
            answer = await at.post(f"/streams/{stream}/records/aggregate", wanted)
            assert answer["aggregates"]["n"]["count"] == 2
            assert await at.values(stream, "m") == {"b": 7, "c": 7, "a": None}
            await at.delete(stream, "a")
            await at.ingest(stream, record("a", {"n": 1}))
