"""What was acknowledged is true: lost answers, operations that stop half-way, blocks, closed and moved indices."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from service.serving import served
from service.settings import Settings
from tests.conftest import KEY
from tests.support.client import Client
from tests.support.proxy import Proxy
from tests.support.records import Project, container, record

Json = Any


def fresh() -> str:
    return f"a{os.urandom(5).hex()}"


@pytest.fixture
async def opensearch(opensearch_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(opensearch_url) as session:
        yield session


@pytest.fixture(scope="module")
async def proxy(opensearch_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(opensearch_url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
async def lossy(settings: Settings, proxy: Proxy, client: Client) -> AsyncIterator[Client]:
    """A service whose OpenSearch is behind the proxy; it cares for nothing by itself."""
    changed = settings.model_copy(update={"opensearch_url": proxy.url, "caretaking_seconds": 3_600})
    async with served(changed, KEY) as address, Client(address, KEY, client.namespace) as other:
        yield other


@pytest.fixture(scope="module")
async def project(client: Client) -> AsyncIterator[Project]:
    async with Project.made(client, fresh()) as project:
        await project.spaces("s")
        await project.containers(container({"n": {"type": "int64"}}))
        yield project


@pytest.fixture
async def space(client: Client) -> AsyncIterator[str]:
    """A namespace with a bucket `full` of three objects."""
    name = fresh()
    await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    await client.ok("POST", "/v1/buckets", {"bucket_name": "full"}, namespace=name)
    batch = {"objects": [{"n": n} for n in range(3)]}
    await client.ok("POST", "/v1/buckets/full/objects/batch", batch, namespace=name)
    yield name
    await client.call("DELETE", f"/v1/namespaces/{name}", namespace=None)


async def index_of(client: Client, opensearch: aiohttp.ClientSession, space: str) -> str:
    """The index of a namespace's objects."""
    id = (await client.ok("GET", f"/v1/namespaces/{space}", namespace=None))["namespace_id"]
    async with opensearch.get(f"/tally-objects-{id}/_alias") as response:
        (index,) = await response.json()
    return str(index)


async def ask(opensearch: aiohttp.ClientSession, method: str, path: str, body: Json = None) -> Json:
    async with opensearch.request(method, path, json=body) as response:
        answer = await response.json()
        assert response.status < 300, answer
        return answer


# Answers that are lost


@dataclass(frozen=True)
class Named:
    """A kind of resource with a name."""

    route: str
    field: str
    more: Callable[[str], Json] = lambda bucket: {}

    def body(self, name: str, bucket: str) -> Json:
        return {self.field: name, **self.more(bucket)}


KINDS: Mapping[str, Named] = {
    "namespace": Named("/v1/namespaces", "namespace_name"),
    "bucket": Named("/v1/buckets", "bucket_name"),
    "collection": Named(
        "/v1/collections", "collection_name", lambda bucket: {"source": {"type": "bucket", "bucket_ids": [bucket]}}
    ),
}


async def answers_lost(proxy: Proxy, work: Callable[[], Awaitable[None]]) -> None:
    """With half of the answers of its writes lost; it has to succeed all the same.

    Each answer alone, one after the other, is lost in `make chaos`.
    """
    proxy.lossy = 0.5
    try:
        for _ in range(3):
            await work()
    finally:
        proxy.calm()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_name_with_lost_answers(lossy: Client, client: Client, bucket: str, proxy: Proxy, kind: str) -> None:
    named = KINDS[kind]

    async def work() -> None:
        name, new = fresh(), fresh()
        made = await lossy.ok("POST", named.route, named.body(name, bucket))
        id = made[f"{kind}_id"]
        assert (await client.ok("GET", f"{named.route}/{name}"))[f"{kind}_id"] == id
        assert (await client.call("POST", named.route, named.body(name, bucket)))[0] == 409
        await lossy.ok("PATCH", f"{named.route}/{name}", {named.field: new})
        assert (await client.ok("GET", f"{named.route}/{new}"))[f"{kind}_id"] == id
        assert (await client.call("GET", f"{named.route}/{name}"))[0] == 404
        await lossy.ok("DELETE", f"{named.route}/{new}")
        assert (await client.call("GET", f"{named.route}/{id}"))[0] == 404
        for each in (name, new):
            await client.ok("POST", named.route, named.body(each, bucket))
            await client.ok("DELETE", f"{named.route}/{each}")

    await answers_lost(proxy, work)


async def test_a_stream_with_lost_answers(lossy: Client, project: Project, proxy: Proxy) -> None:
    other = project.at(lossy)

    async def work() -> None:
        id = await other.stream()
        await other.ingest(id, record("a", {"n": 1}), record("b", {"n": 2}))
        await other.upsert(id, record("a", {"n": 3}), record("c", {"n": 4}))
        await other.delete(id, "b")
        assert await project.values(id, "n") == {"a": 3, "c": 4}
        await other.delete_stream(id)
        assert (await project.call("GET", f"/streams/{id}"))[0] == 404
        await project.stream(id)
        assert await project.consumed(id) == 0
        await project.delete_stream(id)

    await answers_lost(proxy, work)


async def test_a_model_with_lost_answers(lossy: Client, project: Project, proxy: Proxy) -> None:
    other = project.at(lossy)

    async def work() -> None:
        name = f"s{os.urandom(4).hex()}"
        await other.spaces(name)
        await other.containers(container({"n": {"type": "int64"}}, space=name))
        await other.post("/models/containers/delete", {"items": [{"space": name, "externalId": "c"}]})
        await other.post("/models/spaces/delete", {"items": [{"space": name}]})
        wanted = {"items": [{"space": name}]}
        assert (await project.post("/models/spaces/byids", wanted))["items"] == []

    await answers_lost(proxy, work)


async def test_objects_with_lost_answers(lossy: Client, client: Client, space: str, proxy: Proxy) -> None:
    path = "/v1/buckets/full/objects"

    async def work() -> None:
        made = await lossy.ok("POST", path, {"n": -1}, namespace=space)
        await lossy.ok("PATCH", f"{path}/{made['object_id']}", {"n": -2}, namespace=space)
        assert (await client.ok("GET", f"{path}/{made['object_id']}", namespace=space))["n"] == -2
        await lossy.ok("DELETE", f"{path}/{made['object_id']}", namespace=space)
        assert (await client.call("GET", f"{path}/{made['object_id']}", namespace=space))[0] == 404
        batch = {"objects": [{"n": -3}, {"n": -3, "idempotency_key": fresh()}]}
        assert (await lossy.ok("POST", f"{path}/batch", batch, namespace=space))["succeeded_count"] == 2
        told = await lossy.ok("POST", f"{path}/delete", {"filters": {"n": -3}}, namespace=space)
        assert (told["status"], told["deleted_count"]) == ("COMPLETED", 2)
        assert (await client.ok("POST", f"{path}/list", namespace=space))["total_count"] == 3

    await answers_lost(proxy, work)


# Races and operations that stop half-way


@pytest.mark.parametrize("kind", KINDS)
async def test_the_same_rename_at_once(lossy: Client, client: Client, bucket: str, proxy: Proxy, kind: str) -> None:
    named = KINDS[kind]
    proxy.lose(None)
    for _ in range(5):
        name, new = fresh(), fresh()
        id = (await client.ok("POST", named.route, named.body(name, bucket)))[f"{kind}_id"]
        calls = [each.call("PATCH", f"{named.route}/{name}", {named.field: new}) for each in (client, lossy) * 2]
        statuses = [status for status, _ in await asyncio.gather(*calls)]
        assert 200 in statuses
        assert set(statuses) <= {200, 404, 409}
        assert (await lossy.ok("GET", f"{named.route}/{new}"))[f"{kind}_id"] == id
        assert (await client.call("GET", f"{named.route}/{name}"))[0] == 404
        assert (await client.call("POST", named.route, named.body(new, bucket)))[0] == 409
        await client.ok("POST", named.route, named.body(name, bucket))
        await asyncio.gather(*(client.ok("DELETE", f"{named.route}/{each}") for each in (name, new)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("writes", [1, 2, 3, 4])
async def test_a_rename_that_stops(
    settings: Settings, client: Client, bucket: str, opensearch_url: str, kind: str, writes: int
) -> None:
    """The service reaches OpenSearch no more after so many of its writes; another one finds everything in order."""
    named = KINDS[kind]
    name, new = fresh(), fresh()
    async with Proxy(opensearch_url) as proxy:
        changed = settings.model_copy(
            update={"opensearch_url": proxy.url, "caretaking_seconds": 3_600, "opensearch_timeout": 5}
        )
        async with served(changed, KEY) as address, Client(address, KEY, client.namespace) as dying:
            id = (await client.ok("POST", named.route, named.body(name, bucket)))[f"{kind}_id"]
            proxy.die(writes)
            status, _ = await dying.call("PATCH", f"{named.route}/{name}", {named.field: new})
            assert status in (200, 503, 504)
    now = (await client.ok("GET", f"{named.route}/{id}"))[named.field]
    assert now in (name, new)
    other = name if now == new else new
    assert (await client.ok("GET", f"{named.route}/{now}"))[f"{kind}_id"] == id
    assert (await client.call("GET", f"{named.route}/{other}"))[0] == 404
    assert (await client.call("POST", named.route, named.body(now, bucket)))[0] == 409
    await client.ok("POST", named.route, named.body(other, bucket))
    assert (await client.ok("GET", f"{named.route}/{now}"))[f"{kind}_id"] == id
    await asyncio.gather(*(client.ok("DELETE", f"{named.route}/{each}") for each in (name, new)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("writes", [1, 2, 3])
async def test_a_create_that_stops(
    settings: Settings, client: Client, bucket: str, opensearch_url: str, kind: str, writes: int
) -> None:
    named, name = KINDS[kind], fresh()
    async with Proxy(opensearch_url) as proxy:
        changed = settings.model_copy(
            update={"opensearch_url": proxy.url, "caretaking_seconds": 3_600, "opensearch_timeout": 5}
        )
        async with served(changed, KEY) as address, Client(address, KEY, client.namespace) as dying:
            proxy.die(writes)
            status, _ = await dying.call("POST", named.route, named.body(name, bucket))
            assert status in (503, 504)
    status, found = await client.call("GET", f"{named.route}/{name}")
    if status == 404:
        found = await client.ok("POST", named.route, named.body(name, bucket))
    assert (await client.call("POST", named.route, named.body(name, bucket)))[0] == 409
    await client.ok("DELETE", f"{named.route}/{found[f'{kind}_id']}")


@pytest.mark.parametrize("writes", [1, 2, 3])
async def test_a_stream_whose_deletion_stops(
    settings: Settings, project: Project, opensearch_url: str, writes: int
) -> None:
    id = await project.stream()
    await project.ingest(id, record("a", {"n": 1}))
    async with Proxy(opensearch_url) as proxy:
        changed = settings.model_copy(
            update={"opensearch_url": proxy.url, "caretaking_seconds": 3_600, "opensearch_timeout": 5}
        )
        async with served(changed, KEY) as address, Client(address, KEY) as dying:
            proxy.die(writes)
            status, _ = await project.at(dying).call("POST", "/streams/delete", {"items": [{"externalId": id}]})
            assert status in (200, 503, 504)
    assert (await project.call("GET", f"/streams/{id}"))[0] == 404
    await project.stream(id)
    await project.ingest(id, record("b", {"n": 2}))
    assert await project.values(id, "n") == {"b": 2}
    await project.delete_stream(id)


# Blocks


@pytest.mark.parametrize("block", ["read_only_allow_delete", "write", "read_only"])
async def test_a_blocked_index(client: Client, opensearch: aiohttp.ClientSession, space: str, block: str) -> None:
    path = "/v1/buckets/full/objects"
    index = await index_of(client, opensearch, space)
    listed = await client.ok("POST", f"{path}/list", namespace=space)
    id = listed["results"][0]["object_id"]
    await ask(opensearch, "PUT", f"/{index}/_settings", {f"index.blocks.{block}": True})
    refused = (429, 503, 507)
    assert (await client.call("DELETE", f"{path}/{id}", namespace=space))[0] in refused
    assert (await client.call("POST", path, {"n": 1}, namespace=space))[0] in refused
    assert (await client.call("PATCH", f"{path}/{id}", {"n": 1}, namespace=space))[0] in refused
    status, told = await client.call("POST", f"{path}/delete", {"filters": {"n": {"$gte": 0}}}, namespace=space)
    if status == 200:
        assert (told["status"], told["deleted_count"], told["failed_count"]) == ("INTERRUPTED", 0, 3)
        assert told["error"]
        task = await client.ok("GET", f"/v1/tasks/{told['task_id']}", namespace=None)
        assert (task["status"], task["error"]) == ("INTERRUPTED", told["error"])
    assert (await client.ok("POST", f"{path}/list", namespace=space))["total_count"] == 3
    await ask(opensearch, "PUT", f"/{index}/_settings", {f"index.blocks.{block}": None})
    assert (await client.call("DELETE", f"{path}/{id}", namespace=space))[0] in (200, 204)


async def test_an_interrupted_delete_is_gone_on_with(
    client: Client, settings: Settings, opensearch: aiohttp.ClientSession, space: str
) -> None:
    path = "/v1/buckets/full/objects"
    index = await index_of(client, opensearch, space)
    await ask(opensearch, "PUT", f"/{index}/_settings", {"index.blocks.write": True})
    told = await client.ok("POST", f"{path}/delete", {"filters": {"n": {"$gte": 0}}}, namespace=space)
    assert told["status"] == "INTERRUPTED"
    await ask(opensearch, "PUT", f"/{index}/_settings", {"index.blocks.write": None})
    await client.ok("POST", path, {"n": 7}, namespace=space)  # after the delete was asked for
    async with served(settings, KEY):  # whose caretaker looks at once
        for _ in range(300):
            task = await client.ok("GET", f"/v1/tasks/{told['task_id']}", namespace=None)
            if task["status"] == "COMPLETED":
                break
            await asyncio.sleep(0.1)
    assert (task["status"], task["additional_data"]["deleted_count"]) == ("COMPLETED", 3)
    left = await client.ok("POST", f"{path}/list", namespace=space)
    assert [each["n"] for each in left["results"]] == [7]


async def test_a_blocked_stream(opensearch: aiohttp.ClientSession, project: Project) -> None:
    id = await project.stream()
    await project.ingest(id, record("a", {"n": 1}))
    (index,) = await ask(opensearch, "GET", f"/tally-records-*.{id}.*-live/_alias")
    await ask(opensearch, "PUT", f"/{index}/_settings", {"index.blocks.write": True})
    for route, body in (
        ("", {"items": [record("b", {"n": 1})]}),
        ("/upsert", {"items": [record("a", {"n": 2})]}),
        ("/delete", {"items": [{"space": "s", "externalId": "a"}]}),
    ):
        assert (await project.call("POST", f"/streams/{id}/records{route}", body))[0] in (429, 503, 507)
    # The deletion is announced, and whoever follows the stream would finish it.
    status, answer = await project.call("POST", f"/streams/{id}/records/sync", {"initializeCursor": "1d-ago"})
    assert status == 503
    assert "index.blocks.write" in answer["error"]["message"]
    await ask(opensearch, "PUT", f"/{index}/_settings", {"index.blocks.write": None})
    assert await project.values(id, "n") == {"a": 1}
    await project.delete_stream(id)


# Closed, moved and deleted indices


async def test_a_closed_index_of_objects(client: Client, opensearch: aiohttp.ClientSession, space: str) -> None:
    index = await index_of(client, opensearch, space)
    path = "/v1/buckets/full"
    listed = await client.ok("POST", f"{path}/objects/list", namespace=space)
    id = listed["results"][0]["object_id"]
    await ask(opensearch, "POST", f"/{index}/_close")
    for method, route, body in (
        ("POST", f"{path}/objects/list", {}),
        ("GET", f"{path}/objects/{id}", None),
        ("DELETE", f"{path}/objects/{id}", None),
        ("POST", f"{path}/objects", {"n": 1}),
        ("POST", f"{path}/objects/export", {}),
        ("GET", path, None),
        ("GET", f"/v1/namespaces/{space}", None),
    ):
        status, answer = await client.call(method, route, body, namespace=space)
        assert status == 503, (method, route, status, answer)
        assert "closed" in answer["error"]["message"] or "read" in answer["error"]["message"]
    await ask(opensearch, "POST", f"/{index}/_open?wait_for_active_shards=1")
    assert (await client.ok("GET", path, namespace=space))["object_count"] == 3


async def test_a_closed_index_of_records(opensearch: aiohttp.ClientSession, project: Project) -> None:
    for template in ("MutableTestStream", "ImmutableTestStream"):
        id = await project.stream(template=template)
        await project.ingest(id, record("a", {"n": 1}))
        (index,) = await ask(opensearch, "GET", f"/tally-records-*.{id}.*/_alias")
        await ask(opensearch, "POST", f"/{index}/_close")
        recent = {"lastUpdatedTime": {"gt": _recent()}}
        for method, route, body in (
            ("POST", "/records/filter", recent),
            ("POST", "/records/aggregate", {"aggregates": {"n": {"count": {}}}, **recent}),
            ("POST", "/records/sync", {"initializeCursor": "1d-ago"}),
            ("GET", "?includeStatistics=true", None),
            ("POST", "/records", {"items": [record("b", {"n": 1})]}),
        ):
            status, answer = await project.call(method, f"/streams/{id}{route}", body)
            assert status == 503, (template, route, status, answer)
        await ask(opensearch, "POST", f"/{index}/_open?wait_for_active_shards=1")
        assert await project.consumed(id) == 1
        await project.delete_stream(id)


def _recent() -> int:
    return int((time.time() - 3_600) * 1_000)


async def test_an_index_behind_its_alias(client: Client, opensearch: aiohttp.ClientSession, space: str) -> None:
    """Moved by an operator: copied to another index, which takes the aliases."""
    old = await index_of(client, opensearch, space)
    new = old.replace("-000001", "-000002")
    mapping = (await ask(opensearch, "GET", f"/{old}/_mapping"))[old]["mappings"]
    await ask(opensearch, "PUT", f"/{new}", {"mappings": mapping})
    copy = {"source": {"index": old}, "dest": {"index": new}}
    await ask(opensearch, "POST", "/_reindex?refresh=true", copy)
    moved = [
        {action: {"index": index, "alias": alias}}
        for alias in (await ask(opensearch, "GET", f"/{old}/_alias"))[old]["aliases"]
        for action, index in (("remove", old), ("add", new))
    ]
    await ask(opensearch, "POST", "/_aliases", {"actions": moved})
    assert (await client.ok("GET", f"/v1/namespaces/{space}", namespace=None))["object_count"] == 3
    assert (await client.ok("GET", "/v1/buckets/full", namespace=space))["object_count"] == 3
    await client.ok("POST", "/v1/buckets/full/objects", {"n": 3, "s": "new field"}, namespace=space)
    assert (await client.ok("GET", f"/v1/namespaces/{space}", namespace=None))["object_count"] == 4
    name = fresh()
    await client.ok("PATCH", f"/v1/namespaces/{space}", {"namespace_name": name}, namespace=None)
    aliases = (await ask(opensearch, "GET", f"/{new}/_alias"))[new]["aliases"]
    assert {each for each in aliases if "objects." in each} == {f"tally-objects.{name}"}
    told = await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)
    assert (await client.task(told["task_id"]))["status"] == "COMPLETED"
    async with opensearch.get(
        f"/_cat/indices/{old.removesuffix('-000001')}*?format=json&expand_wildcards=all"
    ) as response:
        assert await response.json() == []


async def test_a_deleted_index(client: Client, opensearch: aiohttp.ClientSession, space: str) -> None:
    """Not by Tally: that is told as what it is, and the namespace can be deleted."""
    path = "/v1/buckets/full"
    await ask(opensearch, "DELETE", f"/{await index_of(client, opensearch, space)}")
    for method, route, body in (
        ("POST", f"{path}/objects/list", {}),
        ("GET", f"{path}/objects/obj_1", None),
        ("POST", f"{path}/objects", {"n": 1}),
        ("POST", f"{path}/objects/export", {}),
        ("GET", path, None),
        ("GET", f"/v1/namespaces/{space}", None),
    ):
        status, answer = await client.call(method, route, body, namespace=space)
        assert status == 503, (method, route, status, answer)
        assert space in answer["error"]["message"]
        assert "restore" in answer["error"]["message"]
    told = await client.ok("DELETE", f"/v1/namespaces/{space}", namespace=None)
    assert (await client.task(told["task_id"]))["status"] == "COMPLETED"
