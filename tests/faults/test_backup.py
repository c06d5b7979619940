"""`tally backup` and `tally restore`, while two services run and others write."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.app import backups
from service.cli.embedded import EmbeddedNode, default_cache, ensure_home
from service.errors import BadRequest
from service.settings import Settings
from tests.faults.test_restored import again, counted, two_services
from tests.support.client import Client
from tests.support.processes import ROOT
from tests.support.records import Project, container, record

Json = Any


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("backups")
    with EmbeddedNode(ensure_home(default_cache()), heap="512m", settings={"path.repo": str(folder)}) as node:
        yield node.url, folder


@pytest.fixture(scope="module")
async def there(settings: Settings, node: tuple[str, Path]) -> Settings:
    url, folder = node
    async with aiohttp.ClientSession(url) as session:
        body = {"type": "fs", "settings": {"location": str(folder)}}
        async with session.put("/_snapshot/safe", json=body) as response:
            assert response.status == 200
    return settings.model_copy(update={"opensearch_url": url})


@pytest.fixture
async def both(there: Settings) -> AsyncIterator[tuple[Client, Client]]:
    async with two_services(there, str(there.opensearch_url)) as clients:
        yield clients


async def tally(settings: Settings, *arguments: str) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
    environment["TALLY_OPENSEARCH_URL"] = str(settings.opensearch_url)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service", *arguments,
        cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_everything_comes_back_under_running_services(there: Settings, both: tuple[Client, Client]) -> None:
    first, second = both
    await first.create("b", {"kind": "before", "n": 1})
    stop = asyncio.Event()
    written: list[int] = []

    async def write() -> None:
        """New fields and records all the time."""
        while not stop.is_set():
            number = len(written)
            status, _ = await second.call("POST", "/v1/buckets/b/objects", {"kind": "while", f"f{number}": "x"})
            if status == 200:
                written.append(number)
            await asyncio.sleep(0.02)

    async with Project.made(first, f"p{os.urandom(4).hex()}") as project:
        await project.spaces("s")
        await project.containers(container({"n": {"type": "int64"}}))
        stream = await project.stream()
        await project.ingest(stream, record("a", {"n": 1}))
        writer = asyncio.create_task(write())
        await asyncio.sleep(0.5)
        before = len(written)
        code, output = await tally(there, "backup", "safe", "one")
        after = len(written)
        assert code == 0, output
        assert output.endswith("backup one is complete\n")
        await project.upsert(stream, record("a", {"n": 2}), record("b", {"n": 2}))
        await first.ok("POST", "/v1/buckets", {"bucket_name": "later"})
        await first.create("later", {"kind": "later"})
        code, output = await tally(there, "restore", "safe", "one", "--replace")
        assert code == 0, output
        stop.set()
        await writer
        total = (await again(second, "/v1/buckets/b/objects/list", {"filters": {"kind": "while"}}))["total_count"]
        # The last ones were written after the restore.
        assert before <= total <= after + len(written)
        found = [n for n in written if await counted(first, "b", f"f{n}", "x") == [1, 1]]
        assert len(found) == total, "what is there is found by its own field"
        assert set(range(before)) <= set(found), "what was acknowledged before the backup is in it"
        for client in both:
            assert (await client.call("GET", "/v1/buckets/later"))[0] == 404
            assert await counted(client, "b", "kind", "before") == [1, 1]
            assert await project.at(client).values(stream, "n") == {"a": 1}
        await first.create("b", {"kind": "after", "another": 1})
        assert await counted(second, "b", "another", 1) == [1, 1]


async def test_into_an_empty_cluster(there: Settings, both: tuple[Client, Client]) -> None:
    """As after a loss: services set the empty cluster up, or do not; either way the backup comes back."""
    await both[0].create("b", {"kind": "kept"})
    await tally(there, "backup", "safe", "two")
    async with aiohttp.ClientSession(str(there.opensearch_url)) as session:
        async with session.get("/_cat/indices/tally-*?format=json") as response:
            indices = [each["index"] for each in await response.json()]
        for index in indices:
            async with session.delete(f"/{index}"):
                pass
    code, output = await tally(there, "restore", "safe", "two", "--replace")
    assert code == 0, output
    for client in both:
        assert await counted(client, "b", "kind", "kept") == [1, 1]


async def test_what_was_deleted_while_it_was_taken_stays_deleted(
    there: Settings, both: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = both
    name = f"g{os.urandom(4).hex()}"
    await first.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    await first.create("b", {"kind": "kept"})
    gone = await first.ok("POST", "/v1/buckets", {"bucket_name": "gone"})
    await first.create("gone", {"kind": "gone"})

    async def between() -> None:
        for path, space in ((f"/v1/buckets/{gone['bucket_id']}", first.namespace), (f"/v1/namespaces/{name}", None)):
            deleted = await first.ok("DELETE", path, namespace=space)
            await first.task(deleted["task_id"])
        await first.ok("POST", "/v1/namespaces", {"namespace_name": f"{name}x"}, namespace=None)

    said: list[str] = []
    async with backups(there, "safe", said.append) as store:
        snapshot = store._snapshot

        async def delayed(snapshot_name: str, indices: str) -> Any:
            if snapshot_name.endswith("-catalog"):
                await between()
            return await snapshot(snapshot_name, indices)

        monkeypatch.setattr(store, "_snapshot", delayed)
        await store.take("three")
        await store.restore("three", replace=True)
    assert any("a namespace that was deleted" in line for line in said)
    assert any("deleted 1 objects of buckets" in line for line in said)
    assert any("made an index" in line for line in said)
    told = await second.ok("GET", f"/v1/namespaces/{first.namespace}", namespace=None)
    assert told["object_count"] == 1
    assert (await second.call("GET", f"/v1/namespaces/{name}", namespace=None))[0] == 404
    await second.ok("POST", "/v1/buckets", {"bucket_name": "b"}, namespace=f"{name}x")
    await second.ok("POST", "/v1/buckets/b/objects", {"a": 1}, namespace=f"{name}x")


async def test_mistakes_are_told(there: Settings, both: tuple[Client, Client]) -> None:
    code, output = await tally(there, "backup", "unsafe")
    assert code == 1
    assert "no snapshot repository 'unsafe'" in output
    code, output = await tally(there, "restore", "safe", "nothing", "--replace")
    assert code == 1
    assert "'nothing' is not a complete backup" in output
    async with backups(there, "safe", lambda _: None) as store:
        await store.take("four")
        with pytest.raises(BadRequest, match="has a snapshot 'four-data' already"):
            await store.take("four")
        with pytest.raises(BadRequest, match="--replace"):
            await store.restore("four")
        with pytest.raises(BadRequest, match="not a valid name for a backup"):
            await store.take("Four/4")
        assert "four" in await store.complete()
