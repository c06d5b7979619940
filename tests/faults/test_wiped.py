"""OpenSearch comes back without its data under a running service: empty, or with objects but no catalogue."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import aiohttp
import pytest

from service.cli.embedded import EmbeddedNode, default_cache, ensure_home
from service.errors import Unavailable
from service.serving import served
from service.settings import Settings
from service.storage.bootstrap import bootstrap
from service.storage.gateway import Gateway
from tests.conftest import KEY
from tests.support.client import Client
from tests.support.records import Project, container, record


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    """An OpenSearch of its own, since it is wiped."""
    with EmbeddedNode(ensure_home(default_cache()), heap="512m") as node:
        yield node.url


@pytest.fixture
async def own(node: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(node) as session:
        yield session
        await wipe(session)


@pytest.fixture
async def served_there(settings: Settings, node: str, own: aiohttp.ClientSession) -> AsyncIterator[Client]:
    changed = settings.model_copy(update={"opensearch_url": node})
    async with served(changed, KEY) as address, Client(address, KEY, "default") as client:
        await client.ok("POST", "/v1/buckets", {"bucket_name": "full"})
        await client.ok("POST", "/v1/buckets/full/objects", {"n": 1})
        yield client


async def indices(session: aiohttp.ClientSession) -> set[str]:
    async with session.get("/_cat/indices/tally-*?format=json&expand_wildcards=all") as response:
        return {each["index"] for each in await response.json()}


async def wipe(session: aiohttp.ClientSession) -> None:
    for index in await indices(session):
        async with session.delete(f"/{index}"):
            pass
    for route in ("_index_template", "_component_template"):
        async with session.delete(f"/{route}/tally-*"):
            pass


REQUESTS: Sequence[tuple[str, str, Any]] = (
    ("POST", "/v1/buckets", {"bucket_name": "other"}),
    ("POST", "/v1/namespaces", {"namespace_name": "other"}),
    ("GET", "/v1/buckets/full", None),
    ("POST", "/v1/buckets/list", {}),
    ("PATCH", "/v1/buckets/full", {"description": "x"}),
    ("DELETE", "/v1/buckets/full", None),
    ("POST", "/v1/buckets/full/objects", {"n": 2}),
    ("POST", "/v1/buckets/full/objects/list", {}),
    ("GET", "/v1/tasks/task_1", None),
    ("GET", "/api/v1/projects/default/streams", None),
    ("POST", "/api/v1/projects/default/models/spaces", {"items": [{"space": "s"}]}),
)


async def test_an_empty_cluster_is_set_up_again(served_there: Client, own: aiohttp.ClientSession) -> None:
    await wipe(own)
    for method, path, body in REQUESTS:
        status, answer = await served_there.call(method, path, body)
        # It may be set up again already; then there is nothing in it.
        assert status in (200, 201, 404, 409, 503), (method, path, status, answer)
    deadline = time.monotonic() + 60
    while (await served_there.call("POST", "/v1/buckets", {"bucket_name": "anew"}))[0] not in (200, 409):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    assert "tally-catalog" not in await indices(own)
    await served_there.ok("POST", "/v1/buckets/anew/objects", {"n": 1})
    assert (await served_there.ok("GET", "/v1/buckets/anew"))["object_count"] == 1
    async with own.get("/tally-catalog/_mapping") as response:
        (mapping,) = (await response.json()).values()
    assert mapping["mappings"]["dynamic"] == "false"


async def test_data_without_a_catalogue_is_left_alone(
    served_there: Client, own: aiohttp.ClientSession, node: str
) -> None:
    before = await indices(own)
    async with own.delete("/tally-catalog-000001"):
        pass
    for method, path, body in REQUESTS:
        status, answer = await served_there.call(method, path, body)
        assert status == 503, (method, path, status, answer)
        assert "catalogue" in str(answer["error"]["message"])
    await asyncio.sleep(1)
    assert await indices(own) == before - {"tally-catalog-000001"}, "nothing was made"
    gateway = Gateway(node)
    with pytest.raises(Unavailable, match="restore"):
        await bootstrap(gateway)
    # An index in the place of the alias, as releases before this one made it.
    async with own.put("/tally-catalog/_doc/1", json={"a": 1}) as response:
        assert response.status == 201
    with pytest.raises(Unavailable, match="Delete that index"):
        await bootstrap(gateway)
    await gateway.close()
    await wipe(own)
    deadline = time.monotonic() + 60
    while (answer := await served_there.call("POST", "/v1/buckets", {"bucket_name": "anew"}))[0] != 200:
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.5)


async def test_new_indices_need_no_templates(served_there: Client, own: aiohttp.ClientSession) -> None:
    """Whoever deletes them, or is faster than the service that puts them there, gets no guessed mapping."""
    for route in ("_index_template", "_component_template"):
        async with own.delete(f"/{route}/tally-*") as response:
            assert response.status == 200
    await served_there.ok("POST", "/v1/namespaces", {"namespace_name": "bare"}, namespace=None)
    await served_there.ok("POST", "/v1/buckets", {"bucket_name": "b"}, namespace="bare")
    await served_there.ok("POST", "/v1/buckets/b/objects", {"metadata": {"k": "two words"}}, namespace="bare")
    spec = {"group_by": [{"field": "metadata.k"}], "aggregations": [{"function": "count", "alias": "n"}]}
    answer = await served_there.ok("POST", "/v1/buckets/b/objects/aggregate", spec, namespace="bare")
    assert [row["group"]["metadata.k"] for row in answer["results"]] == ["two words"]
    project = Project(served_there, "bare")
    await project.spaces("s")
    await project.containers(container({"text": {"type": "text"}}))
    stream = await project.stream()
    await project.ingest(stream, record("a", {"text": "two words"}))
    assert await project.values(stream, "text") == {"a": "two words"}
    for pattern in ("tally-objects-*", "tally-records-*"):
        async with own.get(f"/{pattern}/_mapping") as response:
            assert {each["mappings"]["dynamic"] for each in (await response.json()).values()} == {"strict"}
