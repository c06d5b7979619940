"""A plan that was made before a writer elsewhere brought a new kind of value is made anew."""

from collections.abc import AsyncIterator

import pytest

from service.aggregate import aggregate
from service.dialects.flat.spec import AggregateRequest
from service.listing import Cursors
from service.resources.buckets import Buckets
from service.resources.namespaces import Namespaces
from service.resources.tasks import Tasks
from service.settings import Settings
from service.storage.catalog import Catalog
from service.storage.gateway import Gateway, Refresher
from service.storage.objects import ObjectStore
from tests.support.client import Client


@pytest.fixture
async def buckets(settings: Settings) -> AsyncIterator[Buckets]:
    """Another process's view of the same OpenSearch."""
    gateway = Gateway(str(settings.opensearch_url))
    refresher = Refresher(gateway)
    catalog = Catalog(gateway, refresher.refresh)
    store = ObjectStore(gateway, catalog, refresher, 1, 0)
    tasks = Tasks(catalog)
    namespaces = Namespaces(catalog, store, tasks, Cursors("", 300), settings.object_budget)
    yield Buckets(namespaces, catalog, store, tasks)
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
    client: Client, settings: Settings, buckets: Buckets, bucket: str, before: object, after: object, rows: list[object]
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


async def test_a_refusal_is_looked_at_again(client: Client, settings: Settings, buckets: Buckets, bucket: str) -> None:
    await client.create(bucket, {"metadata": {"at": "soon"}})
    stale = await buckets.source(str(client.namespace), bucket)
    await client.create(bucket, {"metadata": {"at": "2024-05-01"}})
    key = {"field": "metadata.at", "alias": "year", "date_trunc": "year"}
    request = {"group_by": [key], "aggregations": [{"function": "count", "alias": "n"}]}
    answer = await aggregate(AggregateRequest.model_validate(request), stale, settings)
    assert [row["group"]["year"] for row in answer["results"]] == [None, "2024-01-01T00:00:00Z"]
