"""A plan that was made before a writer elsewhere brought a new kind of value is made anew."""

import os
from collections.abc import AsyncIterator

import pytest

from service.aggregate import aggregate
from service.catalog.buckets import BucketService
from service.catalog.namespaces import NamespaceService
from service.catalog.tasks import TaskService
from service.dialects.flat.spec import AggregateRequest
from service.listing.cursors import Cursors, Secret
from service.serving import served
from service.settings import Settings
from service.storage.catalog import Catalog
from service.storage.gateway import Gateway, Refresher
from service.storage.objects import ObjectStore
from tests.conftest import KEY
from tests.support.client import Client


@pytest.fixture
async def buckets(settings: Settings) -> AsyncIterator[BucketService]:
    """Another process's view of the same OpenSearch."""
    gateway = Gateway(str(settings.opensearch_url))
    refresher = Refresher(gateway)
    catalog = Catalog(gateway, refresher.refresh)
    store = ObjectStore(gateway, catalog, refresher, 1, 0)
    tasks = TaskService(catalog)
    namespaces = NamespaceService(catalog, store, tasks, Cursors(Secret("a secret"), 300), settings.object_budget)
    yield BucketService(namespaces, catalog, store, tasks)
    await gateway.close()


@pytest.mark.parametrize(
    ("before", "after", "rows"),
    [
        ("a", ["a", "b"], [("a", 1), (["a", "b"], 1)]),
        ("a", 7, [(7, 1), ("a", 1)]),
        (5, 2**53 + 1, [(5, 1), (2**53 + 1, 1)]),
    ],
)
async def test_new_kinds_of_values_are_seen(
    client: Client,
    settings: Settings,
    buckets: BucketService,
    bucket: str,
    before: object,
    after: object,
    rows: list[object],
) -> None:
    await client.create(bucket, {"metadata": {"x": before}})
    stale = await buckets.source(str(client.namespace), bucket)
    await client.create(bucket, {"metadata": {"x": after}})
    request = {
        "group_by": [{"field": "metadata.x", "alias": "x"}],
        "aggregations": [{"function": "count", "alias": "n"}],
    }
    answer = await aggregate(AggregateRequest.model_validate(request), stale, settings)
    assert [(row["group"]["x"], row["metrics"]["n"]) for row in answer["results"]] == rows


async def test_a_refusal_is_looked_at_again(
    client: Client, settings: Settings, buckets: BucketService, bucket: str
) -> None:
    await client.create(bucket, {"metadata": {"at": "soon"}})
    stale = await buckets.source(str(client.namespace), bucket)
    await client.create(bucket, {"metadata": {"at": "2024-05-01"}})
    key = {"field": "metadata.at", "alias": "year", "date_trunc": "year"}
    request = {"group_by": [key], "aggregations": [{"function": "count", "alias": "n"}]}
    answer = await aggregate(AggregateRequest.model_validate(request), stale, settings)
    assert [row["group"]["year"] for row in answer["results"]] == [None, "2024-01-01T00:00:00Z"]


@pytest.fixture
async def elsewhere(settings: Settings, client: Client) -> AsyncIterator[Client]:
    """Another replica, which knows nothing of what the first one is told."""
    async with served(settings, KEY) as address, Client(address, KEY) as other:
        other.namespace = client.namespace
        yield other


COUNT = {"group_by": [{"field": "metadata.x"}], "aggregations": [{"function": "count", "alias": "n"}]}


async def test_another_bucket_of_the_same_name(client: Client, elsewhere: Client) -> None:
    name = f"again-{os.urandom(4).hex()}"
    counts = []
    for number in (1, 2):
        made = await client.ok("POST", "/v1/buckets", {"bucket_name": name})
        for _ in range(number):
            await client.create(made["bucket_id"], {"metadata": {"x": 1}})
        answer = await elsewhere.ok("POST", f"/v1/buckets/{name}/objects/aggregate", COUNT)
        counts.append(answer["results"][0]["metrics"]["n"])
        await client.ok("DELETE", f"/v1/buckets/{name}")
        status, told = await elsewhere.call("POST", f"/v1/buckets/{name}/objects/aggregate", COUNT)
        assert (status, told["error"]["type"]) == (404, "NotFoundError")
    assert counts == [1, 2]


async def test_another_namespace_of_the_same_name(client: Client, elsewhere: Client) -> None:
    name = f"again-{os.urandom(4).hex()}"
    for wanted in (1, 2):
        await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
        await client.ok("POST", "/v1/buckets", {"bucket_name": "b"}, namespace=name)
        for _ in range(wanted):
            await client.ok("POST", "/v1/buckets/b/objects", {"metadata": {"x": 1}}, namespace=name)
        answer = await elsewhere.ok("POST", "/v1/buckets/b/objects/aggregate", COUNT, namespace=name)
        assert answer["results"][0]["metrics"]["n"] == wanted
        await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)
        status, _ = await elsewhere.call("POST", "/v1/buckets/b/objects/aggregate", COUNT, namespace=name)
        assert status == 404


async def test_another_container_of_the_same_name(client: Client, elsewhere: Client) -> None:
    """A property that changes its type between two questions is asked as what it is now."""
    base = f"/api/v1/projects/{client.namespace}"
    stream = f"s{os.urandom(4).hex()}"
    container = {"type": "container", "space": stream, "externalId": "c"}
    await client.ok("POST", f"{base}/models/spaces", {"items": [{"space": stream}]})
    settings = {"template": {"name": "MutableTestStream"}}
    status, _ = await client.call("POST", f"{base}/streams", {"items": [{"externalId": stream, "settings": settings}]})
    assert status == 201
    records = f"{base}/streams/{stream}/records"
    tree = {"aggregates": {"u": {"uniqueValues": {"property": [stream, "c", "x"]}}}}
    for type, value in (("text", "a"), ("int64", 7)):
        made = {"space": stream, "externalId": "c", "usedFor": "record", "properties": {"x": {"type": {"type": type}}}}
        await client.ok("POST", f"{base}/models/containers", {"items": [made]})
        record = {
            "space": stream,
            "externalId": type,
            "sources": [{"source": container, "properties": {"x": value}}],
        }
        status, _ = await client.call("POST", f"{records}?refresh=true", {"items": [record]})
        assert status == 202
        told = await elsewhere.ok("POST", f"{records}/aggregate", tree)
        assert told["aggregates"]["u"]["uniqueValueBuckets"] == [{"value": value, "count": 1}]
        named = {"items": [{"space": stream, "externalId": type}]}
        await client.ok("POST", f"{records}/delete?refresh=true", named)
        await client.ok("POST", f"{base}/models/containers/delete", {"items": [{"space": stream, "externalId": "c"}]})
        status, _ = await elsewhere.call("POST", f"{records}/aggregate", tree)
        assert status == 400
