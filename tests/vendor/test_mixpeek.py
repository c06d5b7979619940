"""The vendor's own clients, both of them, drive the objects API unmodified: all they have for our resources.

Their models read every answer. What was called, and how it ended, is the table in docs/clients-objects.md.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import pytest

from tests.conftest import KEY, ROOT
from tests.support.client import Client
from tests.vendor.mixpeek_calls import (
    Calls,
    MixpeekAPIError,
    Row,
    Vendor,
    generated_operations,
    hand_written_methods,
    least_arguments,
    mixpeek,
)

DOCS: Final = ROOT / "docs" / "clients-objects.md"
NAMESPACE: Final = f"vendor-{os.getpid()}"

OUTSIDE: Final = {
    "NamespacesApi.ensure_namespace_indexes": "indexes need no care here",
    "NamespacesApi.get_namespace_stats": "the counts are in the namespace itself",
    "NamespacesApi.get_namespace_stats_batch": "the counts are in the list of namespaces",
    "BYODocumentsApi": "documents with vectors of one's own",
    "CustomModelsApi": "models for inference",
    "NamespaceCloneApi": "copies of vectors and retrievers",
    "NamespaceExtractorsApi": "runs no extractors",
    "NamespaceMigrationsApi": "copies between vector stores",
    "NamespaceSnapshotsApi": "OpenSearch has snapshots of its own",
    "BucketObjectsApi.bulk_soft_delete_objects_buckets": "hides documents of collections; delete the objects instead",
    "BucketBatchesApi": "batches are runs of extractors",
    "BucketSyncsApi": "brings files from other storage",
    "BucketUploadsApi": "uploads to cloud storage",
    "SourceAdapterApi": "brings files from other storage",
    "CollectionsApi.clone_collection": "create another one with the same source",
    "CollectionsApi": "runs no extractors, keeps no documents",
    "CollectionDocumentsApi.count_documents": "the count is in the collection itself",
    "CollectionDocumentsApi.distinct_document_values": "an aggregate tells the values and their counts",
    "CollectionDocumentsApi": "documents come from extractors; list the objects instead",
    "CollectionLifecycleApi": "moves vectors between kinds of storage",
    "CollectionSchemaApi": "the schema is the source bucket's at any time",
    "CollectionTaxonomiesApi": "classifies documents",
    "DocumentLineageApi": "documents come from extractors",
    "FeatureExtractorsApi": "runs no extractors (public at the vendor's: the client sends no key)",
    "FeaturesApi": "runs no extractors (public at the vendor's: the client sends no key)",
    "TasksApi": "tasks are deletions, each told by its id, and nothing stops them",
    "Mixpeek.search": "retrievers",
    "Mixpeek.namespaces.clone": "copies of vectors and retrievers",
    "Mixpeek.namespaces.promote": "vectors of one's own",
    "Mixpeek.namespaces.documents": "documents with vectors of one's own",
    "Mixpeek.collections.clone": "create another one with the same source",
    "Mixpeek.collections": "runs no extractors",
    "Mixpeek.documents": "documents come from extractors; list the objects instead",
    "Mixpeek.batches": "batches are runs of extractors",
    "Mixpeek.tasks": "tasks are deletions, each told by its id, and nothing stops them",
}
"""What is not for this service, by method or class, and why. A class stands for what it has beside `SERVED`."""

KEYLESS: Final = ("FeatureExtractorsApi", "FeaturesApi")
"""Classes whose routes are public at the vendor's: the client sends no key."""

SERVED: Final = {
    *(f"NamespacesApi.{verb}_namespace" for verb in ("create", "get", "update", "patch", "delete")),
    "NamespacesApi.list_namespaces",
    "NamespacesApi.list_namespaces_get",
    "BYODocumentsApi.create_standalone_namespace",
    *(f"BucketsApi.{verb}_bucket" for verb in ("create", "get", "update", "patch", "delete")),
    "BucketsApi.list_buckets",
    "BucketsApi.list_buckets_get",
    *(f"BucketObjectsApi.{verb}_object_buckets" for verb in ("create", "get", "update", "patch", "delete")),
    "BucketObjectsApi.create_objects_batch_buckets",
    "BucketObjectsApi.list_objects_buckets",
    "BucketObjectsApi.list_objects_get_buckets",
    "BucketObjectsApi.aggregate_objects_buckets",
    *(f"CollectionsApi.{verb}_collection" for verb in ("create", "get", "update", "delete")),
    "CollectionsApi.list_collections",
    "CollectionsApi.list_collections_get",
    "CollectionDocumentsApi.aggregate_documents",
    "TasksApi.get_task",
    "Mixpeek.index",
    *(f"Mixpeek.namespaces.{verb}" for verb in ("create", "get", "list", "delete")),
    *(f"Mixpeek.buckets.{verb}" for verb in ("create", "get", "list", "delete", "upload", "list_objects")),
    *(f"Mixpeek.collections.{verb}" for verb in ("create", "get", "list", "update", "delete")),
    "Mixpeek.tasks.get",
}
"""What must answer; everything else must say cleanly that it is not there."""


@pytest.fixture(scope="module")
def calls() -> Calls:
    return Calls()


@pytest.fixture(scope="module")
async def vendor(address: str, calls: Calls) -> AsyncIterator[Vendor]:
    """The clients in a namespace that they made themselves."""
    first = Vendor(address, KEY, None, calls)
    made = await first.hand.namespaces.create(name=NAMESPACE)
    vendor = Vendor(address, KEY, NAMESPACE, calls)
    calls.places |= {NAMESPACE: "{namespace}", made.namespace_id: "{namespace}"}
    yield vendor
    await first.hand.namespaces.delete(NAMESPACE)
    first.close()
    vendor.close()


def fresh(prefix: str) -> str:
    return f"{prefix}-{os.urandom(4).hex()}"


async def ended(ask: Callable[[], Awaitable[Any]]) -> Any:
    """A task when it is over, asked for as the vendor documents it: again and again."""
    for _ in range(600):
        task = await ask()
        if task.status in ("COMPLETED", "FAILED"):
            break
        await asyncio.sleep(0.1)
    return task


async def bucket_of(vendor: Vendor, **given: Any) -> Any:
    """A new bucket through the generated client."""
    body = {"bucket_name": fresh("b"), "bucket_schema": {"properties": {"clip": {"type": "text"}}}, **given}
    made = await vendor.api("BucketsApi").create_bucket(mixpeek.BucketCreateRequest.from_dict(body))
    vendor.calls.places |= {made.bucket_id: "{bucket}", made.bucket_name: "{bucket}"}
    return made


async def walked(ask: Callable[[str | None], Awaitable[Any]]) -> list[Any]:
    """All pages, by their cursors; the last one may be empty, as nobody knows before what comes meanwhile."""
    pages: list[Any] = []
    cursor = None
    while cursor is not None or not pages:
        pages.append(await ask(cursor))
        cursor = pages[-1].pagination.next_cursor
        assert len(pages) < 20
    return pages


async def object_of(vendor: Vendor, bucket: str, body: Any, **options: Any) -> Any:
    """A new object through the generated client."""
    request = mixpeek.CreateObjectRequest.from_dict(body)
    made = await vendor.api("BucketObjectsApi").create_object_buckets(bucket, request, **options)
    vendor.calls.places[made.object_id] = "{object}"
    return made


async def test_namespaces(vendor: Vendor) -> None:
    api, name = vendor.api("NamespacesApi"), fresh("ns")
    vendor.calls.places |= {name: "{namespace}", f"{name}-2": "{namespace}"}
    extractor = {"feature_extractor_name": "passthrough_extractor", "version": "v1", "params": {"deep": [1]}}
    request = {
        "namespace_name": name,
        "description": "d",
        "feature_extractors": [extractor],
        "payload_indexes": [{"field_name": "metadata.year", "type": "integer"}],
    }
    made = await api.create_namespace(mixpeek.CreateNamespaceRequest.from_dict(request))
    vendor.calls.places[made.namespace_id] = "{namespace}"
    assert (made.namespace_name, made.description, made.namespace_ready) == (name, "d", True)
    assert re.fullmatch(r"ns_[0-9a-f]{10,}", made.namespace_id)
    (read,) = made.feature_extractors
    assert (read.feature_extractor_name, read.version, read.params) == ("passthrough_extractor", "v1", {"deep": [1]})
    assert read.feature_extractor_id == "passthrough_extractor_v1"
    assert [(each.field_name, each.type.value) for each in made.payload_indexes] == [("metadata.year", "integer")]
    assert made.created_at == made.updated_at
    assert made.created_at.utcoffset().total_seconds() == 0
    assert await api.get_namespace(name) == await api.get_namespace(made.namespace_id) == made

    patched = await api.patch_namespace(name, mixpeek.PatchNamespaceRequest(description="e"))
    assert (patched.description, patched.feature_extractors) == ("e", made.feature_extractors)
    renamed = await api.update_namespace(name, mixpeek.UpdateNamespaceRequest(namespace_name=f"{name}-2"))
    assert (renamed.namespace_id, renamed.namespace_name, renamed.description) == (made.namespace_id, f"{name}-2", "e")

    task = (await api.delete_namespace(f"{name}-2", force=True))["task_id"]
    vendor.calls.places[task] = "{task}"
    done = await ended(lambda: vendor.api("TasksApi").get_task(task))
    assert (done.task_id, done.task_type.value, done.status.value) == (task, "api_namespaces_delete", "COMPLETED")
    with pytest.raises(mixpeek.exceptions.NotFoundException):
        await api.get_namespace(made.namespace_id)


async def test_lists_of_namespaces(vendor: Vendor) -> None:
    api, prefix = vendor.api("NamespacesApi"), fresh("list")
    names = [f"{prefix}-{number}" for number in range(3)]
    for name in names:
        vendor.calls.places[name] = "{namespace}"
        await api.create_namespace(mixpeek.CreateNamespaceRequest(namespace_name=name))
    request = {"search": prefix.upper(), "sort": {"field": "namespace_name", "direction": "desc"}, "limit": 2}
    found = await api.list_namespaces(list_namespaces_request=mixpeek.ListNamespacesRequest.from_dict(request))
    assert [each.namespace_name for each in found.results] == names[:0:-1]
    assert (found.total_count, found.pagination.total_pages, found.stats.total_buckets) == (3, 2, 0)
    request = {"filters": {"AND": [{"field": "namespace_name", "operator": "eq", "value": names[1]}]}}
    found = await api.list_namespaces(list_namespaces_request=mixpeek.ListNamespacesRequest.from_dict(request))
    assert [each.namespace_name for each in found.results] == [names[1]]
    # Of all namespaces only one is looked at: what other tests put into theirs need not be readable for this client.
    page = await api.list_namespaces(limit=1, include_system=False, view="full", include_total=True)
    assert page.results == (await api.list_namespaces_get(limit=1)).results
    assert len(page.results) == page.pagination.page_size == 1
    assert page.total_count == page.pagination.total == page.pagination.total_pages >= len([NAMESPACE, *names])
    for name in names:
        await api.delete_namespace(name)


async def test_namespaces_by_hand(vendor: Vendor) -> None:
    spaces, name = vendor.hand.namespaces, fresh("hand")
    vendor.calls.places[name] = "{namespace}"
    made = await spaces.create(name=name, description="d")
    assert (made.namespace_name, made["description"]) == (name, "d")
    assert await spaces.get(name) == await spaces.get(made.namespace_id) == made
    listed = await spaces.list()
    assert len(listed.results) == min(listed.total_count, 10)
    gone = await spaces.delete(name)
    assert gone.namespace_id == made.namespace_id
    vendor.calls.places[gone.task_id] = "{task}"
    assert (await ended(lambda: vendor.hand.tasks.get(gone.task_id))).status == "COMPLETED"

    # Without a name it asks for a standalone namespace, under the id that the caller chose.
    made = await spaces.create(namespace_id=name)
    assert made.namespace_name == name
    assert (await spaces.get(name)).namespace_id == made.namespace_id
    await spaces.delete(name)


async def test_a_standalone_namespace_is_called_what_the_caller_chose(vendor: Vendor) -> None:
    name = fresh("alone")
    vendor.calls.places[name] = "{namespace}"
    request = mixpeek.CreateStandaloneNamespaceRequestModel(namespace_id=name)
    made = await vendor.api("BYODocumentsApi").create_standalone_namespace(request)
    found = await vendor.api("NamespacesApi").get_namespace(name)
    assert found.namespace_id == made.namespace_id
    await vendor.api("NamespacesApi").delete_namespace(name)


EVERY_TYPE: Final = {kind.value: {"type": kind.value} for kind in mixpeek.BucketSchemaFieldType}


async def test_buckets(vendor: Vendor) -> None:
    api = vendor.api("BucketsApi")
    properties = {
        **EVERY_TYPE,
        "array": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "integer"}}}},
        "string": {"type": "string", "enum": ["a", "b"], "default": "a", "description": "d", "examples": ["a"]},
    }
    name = fresh("b")
    made = await bucket_of(
        vendor,
        bucket_name=name,
        description="d",
        metadata={"team": {"x": 1}},
        bucket_schema={"properties": properties},
        unique_key={"fields": ["number"], "default_policy": "upsert"},
    )
    assert (made.bucket_name, made.description, made.metadata) == (name, "d", {"team": {"x": 1}})
    assert re.fullmatch(r"bkt_[0-9a-f]{10,}", made.bucket_id)
    assert (made.object_count, made.total_size_bytes, made.status.value) == (0, 0, "ACTIVE")
    assert (made.unique_key.fields, made.unique_key.default_policy) == (["number"], "upsert")
    assert {name: spec.type.value for name, spec in made.bucket_schema.properties.items()} == {
        kind: kind for kind in EVERY_TYPE
    }
    assert made.bucket_schema.properties["array"].items.properties["x"].type.value == "integer"
    assert made.bucket_schema.properties["string"].enum == ["a", "b"]
    assert made.last_upload_at is None
    assert await api.get_bucket(name) == await api.get_bucket(made.bucket_id) == made

    await object_of(vendor, name, {"number": 1, "blobs": [{"property": "text", "type": "text", "data": "four"}]})
    counted = await api.get_bucket(name)
    assert (counted.object_count, counted.total_size_bytes) == (1, 4)
    assert counted.last_upload_at >= counted.created_at

    patched = await api.patch_bucket(
        name, mixpeek.BucketPatchRequest(metadata={"more": True}), force_schema_break=False
    )
    assert patched.metadata == {"team": {"x": 1}, "more": True}
    vendor.calls.places[f"{name}/2"] = "{bucket}"
    renamed = await api.update_bucket(name, mixpeek.BucketUpdateRequest(bucket_name=f"{name}/2"))
    assert (renamed.bucket_id, renamed.bucket_name, renamed.object_count) == (made.bucket_id, f"{name}/2", 1)
    assert (await api.get_bucket(f"{name}/2")).bucket_id == made.bucket_id

    gone = await api.delete_bucket(f"{name}/2", force_foreclose=True)
    assert (gone["bucket_id"], gone["bucket_name"], gone["object_count"]) == (made.bucket_id, f"{name}/2", 1)
    vendor.calls.places[gone["task_id"]] = "{task}"
    done = await ended(lambda: vendor.api("TasksApi").get_task(gone["task_id"]))
    assert (done.task_type.value, done.status.value) == ("api_buckets_delete", "COMPLETED")
    with pytest.raises(mixpeek.exceptions.NotFoundException):
        await api.get_bucket(made.bucket_id)


async def test_lists_of_buckets(vendor: Vendor) -> None:
    api, prefix = vendor.api("BucketsApi"), fresh("list")
    made = [await bucket_of(vendor, bucket_name=f"{prefix}-{number}") for number in range(3)]
    for _ in range(3):
        await object_of(vendor, made[2].bucket_id, {"metadata": {}})
    request = mixpeek.ListBucketsRequest(
        filters={"AND": [{"field": "bucket_name", "operator": "starts_with", "value": prefix}]},
        sort={"field": "bucket_name", "direction": "desc"},
    )
    found = await api.list_buckets(limit=2, list_buckets_request=request)
    assert found.results == [await api.get_bucket(each.bucket_id) for each in made[:0:-1]]
    assert (found.total_count, found.pagination.total, found.pagination.total_pages) == (3, 3, 2)
    assert (found.pagination.page, found.pagination.page_size, found.pagination.previous_page) == (1, 2, None)
    assert found.pagination.next_page
    assert (found.stats.total_objects, found.stats.avg_objects_per_bucket, found.stats.total_size_bytes) == (3, 1, 0)
    rest = await api.list_buckets(cursor=found.pagination.next_cursor, limit=2, list_buckets_request=request)
    assert [each.bucket_id for each in rest.results] == [made[0].bucket_id]
    assert rest.pagination.next_cursor is None
    request = mixpeek.ListBucketsRequest(search=prefix, page=2, page_size=2, sorts=[{"field": "bucket_name"}])
    found = await api.list_buckets(list_buckets_request=request)
    assert [each.bucket_name for each in found.results] == [f"{prefix}-2"]
    found = await api.list_buckets_get(search=prefix, page_size=1, page=3, include_total=True)
    assert (len(found.results), found.total_count, found.pagination.page) == (1, 3, 3)
    assert len((await api.list_buckets()).results) == min(10, (await api.list_buckets_get(limit=1)).total_count)
    for each in made:
        await api.delete_bucket(each.bucket_id)


async def test_buckets_by_hand(vendor: Vendor) -> None:
    buckets, name = vendor.hand.buckets, fresh("hand")
    vendor.calls.places[name] = "{bucket}"
    schema = {"properties": {"clip": {"type": "VIDEO"}, "year": {"type": "integer"}}}
    made = await buckets.create(name=name, bucket_schema=schema)
    vendor.calls.places[made.bucket_id] = "{bucket}"
    assert await buckets.get(name) == await buckets.get(made.bucket_id) == made
    listed = await buckets.list()
    assert listed.total_count == listed.pagination.total >= 1

    # It reads the schema to know which property an upload is, so types must come back in lower case.
    url = "https://example.org/a.mp4"
    loaded = await buckets.upload(made.bucket_id, url=url, metadata={"year": 2024})
    assert [(blob["property"], blob["type"]) for blob in loaded.blobs] == [("clip", "video")]
    assert loaded.metadata == {"year": 2024}
    await buckets.upload(name, blobs=[], metadata={"year": 2025})
    first = await buckets.list_objects(name, page_size=1)
    assert (len(first.results), first.pagination.total, first.stats.total_blobs) == (1, 2, 1)
    pages = await walked(lambda cursor: buckets.list_objects(name, page_size=1, cursor=cursor))
    assert sorted(each.metadata.year for page in pages for each in page.results) == [2024, 2025]
    gone = await buckets.delete(name)
    assert (gone.bucket_id, gone.object_count) == (made.bucket_id, 2)


async def test_index_takes_the_first_bucket_of_the_namespace(address: str, vendor: Vendor) -> None:
    name = fresh("index")
    vendor.calls.places[name] = "{namespace}"
    await vendor.hand.namespaces.create(name=name)
    inside = Vendor(address, KEY, name, vendor.calls)
    made = await bucket_of(inside)
    stored = await inside.hand.index("a text", metadata={"n": 1})
    assert (stored.bucket_id, stored.metadata) == (made.bucket_id, {"n": 1})
    assert [(blob["property"], blob["type"]) for blob in stored.blobs] == [("clip", "text")]
    inside.close()
    await vendor.hand.namespaces.delete(name)


async def test_objects(vendor: Vendor, client: Client) -> None:
    api, bucket = vendor.api("BucketObjectsApi"), await bucket_of(vendor)
    blob = {"property": "clip", "type": "text", "data": "four", "metadata": {"lang": "en"}, "key_prefix": "/k"}
    body = {"key_prefix": "/2024", "blobs": [blob], "metadata": {"year": 2024, "none": None}, "mine": [1, {"a": 2.5}]}
    made = await object_of(vendor, bucket.bucket_id, body, auto_process=False)
    assert re.fullmatch(r"obj_[0-9a-f]{10,}", made.object_id)
    assert (made.bucket_id, made.key_prefix, made.status.value) == (bucket.bucket_id, "/2024", "DRAFT")
    assert made.created_at == made.updated_at
    assert made.additional_properties == {"metadata": body["metadata"], "mine": body["mine"]}, "its flags are no data"
    (read,) = made.blobs
    assert (read.var_property, read.type.value, read.details.size_bytes) == ("clip", "text", 4)
    assert read.properties == {"data": "four", "lang": "en"}
    assert read.key_prefix == "/k"
    assert read.blob_id
    place = (bucket.bucket_name, made.object_id)
    assert await api.get_object_buckets(*place, return_presigned_urls=False, include_document_count=True) == made

    updated = await api.update_object_buckets(
        *place, mixpeek.UpdateObjectRequest(metadata={"year": 2025}, key_prefix="/2025", skip_duplicates=True)
    )
    assert updated.additional_properties["metadata"] == {"year": 2025, "none": None}
    assert updated.key_prefix == "/2025"
    patch = mixpeek.PatchObjectRequest.from_dict({"mine": "x", "skip_duplicates": False})
    patched = await api.patch_object_buckets(*place, patch)
    assert patched.additional_properties == {"metadata": {"year": 2025, "none": None}, "mine": "x"}
    assert patched.updated_at >= updated.updated_at >= made.updated_at
    assert patched.blobs == made.blobs

    again = {"idempotency_key": "k", "metadata": {"n": 1}}
    first, second = [await object_of(vendor, bucket.bucket_id, again) for _ in range(2)]
    assert first.object_id == second.object_id
    assert await api.delete_object_buckets(*place) is None
    with pytest.raises(mixpeek.exceptions.NotFoundException):
        await api.get_object_buckets(*place)
    with pytest.raises(mixpeek.exceptions.NotFoundException):
        await api.delete_object_buckets(*place)


async def test_a_policy_for_objects_of_one_key(vendor: Vendor) -> None:
    bucket = await bucket_of(vendor, unique_key={"fields": ["sku"]})
    made = await object_of(vendor, bucket.bucket_id, {"sku": "a", "metadata": {"n": 1}})
    put = await object_of(vendor, bucket.bucket_id, {"sku": "a", "metadata": {"n": 2}}, policy="upsert")
    assert (put.object_id, put.additional_properties["metadata"]) == (made.object_id, {"n": 2})
    with pytest.raises(mixpeek.exceptions.ConflictException):
        await object_of(vendor, bucket.bucket_id, {"sku": "a"}, policy="insert")


async def test_a_batch_of_objects(vendor: Vendor) -> None:
    schema = {"properties": {"year": {"type": "integer"}}}
    api, bucket = vendor.api("BucketObjectsApi"), await bucket_of(vendor, bucket_schema=schema)
    objects = [{"metadata": {"year": 2024}}, {"metadata": {"year": "no"}}, {"year": 2025, "idempotency_key": "k"}]
    request = mixpeek.CreateObjectsBatchRequest.from_dict({"objects": objects})
    answer = await api.create_objects_batch_buckets(bucket.bucket_id, request, auto_process=False)
    assert (answer.total_requested, answer.succeeded_count, answer.failed_count) == (3, 2, 1)
    assert [each.additional_properties for each in answer.succeeded] == [
        {"metadata": {"year": 2024}},
        {"metadata": {}, "year": 2025},
    ]
    assert {each.bucket_id for each in answer.succeeded} == {bucket.bucket_id}
    (failed,) = answer.failed
    assert (failed.object_index, failed.error_type) == (1, "ValidationError")
    assert "integer" in failed.error
    request = mixpeek.CreateObjectsBatchRequest.from_dict({"objects": objects[2:]})
    answer = await api.create_objects_batch_buckets(bucket.bucket_id, request)
    assert [each.replayed for each in answer.succeeded] == [True]
    empty = await api.create_objects_batch_buckets(bucket.bucket_id, mixpeek.CreateObjectsBatchRequest(objects=[]))
    assert (empty.succeeded, empty.failed, empty.total_requested) == ([], [], 0)


async def shop(vendor: Vendor) -> Any:
    """A bucket of ten orders."""
    bucket = await bucket_of(vendor)
    orders = [
        {
            "key_prefix": f"/{number}",
            "metadata": {
                "kind": "ab"[number % 2],
                "price": number * 1.5,
                "day": f"2024-0{1 + number % 3}-05T10:00:00Z",
                "tags": ["x", "y"][: number % 3],
            },
            "blobs": [{"property": "clip", "type": "text", "data": "t"}] * (number % 2),
        }
        for number in range(10)
    ]
    request = mixpeek.CreateObjectsBatchRequest.from_dict({"objects": orders})
    answer = await vendor.api("BucketObjectsApi").create_objects_batch_buckets(bucket.bucket_id, request)
    assert answer.succeeded_count == 10
    return bucket


async def test_lists_of_objects(vendor: Vendor) -> None:
    api, bucket = vendor.api("BucketObjectsApi"), await shop(vendor)

    async def listed(request: Any, **options: Any) -> Any:
        body = mixpeek.ListObjectsRequest.from_dict(request)
        return await api.list_objects_buckets(bucket.bucket_id, list_objects_request=body, **options)

    found = await listed(
        {
            "filters": {
                "AND": [{"field": "metadata.kind", "operator": "eq", "value": "A"}],
                "NOT": [{"field": "metadata.price", "operator": "in", "value": [0, 3]}],
            },
            "sort": {"field": "metadata.price", "direction": "desc"},
        },
        limit=2,
    )
    assert [each.additional_properties["metadata"]["price"] for each in found.results] == [12, 9]
    assert (found.pagination.total, found.pagination.total_pages) == (3, 2)
    assert (found.stats.total_objects, found.stats.total_blobs, found.stats.avg_blobs_per_object) == (3, 0, 0)
    assert found.stats.objects_by_status == {"DRAFT": 3}
    nested = {"OR": [{"AND": [{"field": "key_prefix", "operator": "ends_with", "value": "7"}]}]}
    assert [each.key_prefix for each in (await listed({"filters": nested})).results] == ["/7"]
    assert [each.key_prefix for each in (await listed({"search": "/3"})).results] == ["/3"]
    (one,) = (await listed({"search": "/3", "select": ["metadata.kind"]})).results
    assert one.additional_properties == {"metadata": {"kind": "b"}}
    assert one.bucket_id == bucket.bucket_id

    everything = await api.list_objects_buckets(bucket.bucket_id, limit=1000)
    assert len(everything.results) == everything.pagination.total == everything.stats.total_objects == 10
    assert everything.stats.avg_blobs_per_object == 0.5
    pages = await walked(lambda cursor: api.list_objects_get_buckets(bucket.bucket_name, limit=4, cursor=cursor))
    assert [each.object_id for page in pages for each in page.results] == [
        each.object_id for each in everything.results
    ]
    assert {page.pagination.total for page in pages} == {10}
    page = await api.list_objects_get_buckets(bucket.bucket_id, offset=8, page_size=5)
    assert len(page.results) == 2


async def test_aggregate(vendor: Vendor) -> None:
    api, bucket = vendor.api("BucketObjectsApi"), await shop(vendor)
    functions = ["sum", "avg", "min", "max", "first", "last", "push", "add_to_set"]
    request: Any = {
        "group_by": [{"field": "metadata.kind", "alias": "kind"}],
        "aggregations": [
            {"function": "count", "alias": "n"},
            {"function": "count_distinct", "alias": "days", "distinct_field": "metadata.day"},
            *({"function": name, "alias": name, "field": "metadata.price"} for name in functions),
        ],
        "sort_by": "kind",
        "sort_direction": "asc",
    }

    async def ask(request: Any) -> Any:
        return await api.aggregate_objects_buckets(
            bucket.bucket_id, mixpeek.ObjectAggregationRequest.from_dict(request)
        )

    answer = await ask(request)
    assert answer.total_groups == 2
    assert [each.group for each in answer.results] == [{"kind": "a"}, {"kind": "b"}]
    metrics = answer.results[0].metrics
    assert metrics.pop("push") == [0, 3, 6, 9, 12]
    assert sorted(metrics.pop("add_to_set")) == [0, 3, 6, 9, 12]
    assert metrics == {"n": 5, "days": 3, "sum": 30, "avg": 6, "min": 0, "max": 12, "first": 0, "last": 12}
    assert answer.query_info["execution_time_ms"] >= 0
    answer = await ask(
        {
            "group_by": [{"field": "metadata.day", "alias": "month", "date_trunc": "month"}],
            "aggregations": [{"function": "count", "alias": "n"}],
            "filters": {"metadata.price": {"$gt": 0}},
            "having": [{"field": "n", "operator": "eq", "value": 3}],
            "limit": 1,
        }
    )
    assert [(each.group, each.metrics) for each in answer.results] == [({"month": "2024-01-01T00:00:00Z"}, {"n": 3})]
    answer = await ask(
        {
            "group_by": [{"field": "metadata.tags", "alias": "tag"}],
            "aggregations": [{"function": "count", "alias": "n"}],
            "unwind": "metadata.tags",
            "range_buckets": [{"field": "metadata.price", "boundaries": [0, 7.5]}],
        }
    )
    assert {tuple(each.group.values()): each.metrics["n"] for each in answer.results} == {
        ("x", "0-7.5"): 4,
        ("x", ">7.5"): 2,
        ("y", "0-7.5"): 2,
        ("y", ">7.5"): 1,
    }
    answer = await ask({**request, "filters": {"metadata.kind": "none"}})
    assert (answer.results, answer.total_groups) == ([], 0)


EXTRACTOR: Final = {"feature_extractor_name": "text_extractor", "version": "v1"}


async def collection_of(vendor: Vendor, **given: Any) -> Any:
    """A new collection through the generated client."""
    body = {"collection_name": fresh("col"), "feature_extractor": EXTRACTOR, **given}
    made = await vendor.api("CollectionsApi").create_collection(mixpeek.CreateCollectionRequest.from_dict(body))
    vendor.calls.places |= {made.collection_id: "{collection}", made.collection_name: "{collection}"}
    return made


def filtered_source(bucket: str) -> dict[str, Any]:
    condition = {"field": "metadata.kind", "operator": "eq", "value": "a"}
    return {"type": "bucket", "bucket_ids": [bucket], "source_filters": {"filters": {"AND": [condition]}}}


async def test_collections(vendor: Vendor) -> None:
    api, bucket = vendor.api("CollectionsApi"), await shop(vendor)
    extractor = {
        **EXTRACTOR,
        "input_mappings": {"text": "clip"},
        "field_passthrough": [{"source_path": "metadata.kind"}],
    }
    made = await collection_of(
        vendor,
        feature_extractor=extractor,
        source=filtered_source(bucket.bucket_id),
        description="d",
        metadata={"team": "x"},
    )
    assert (made.description, made.metadata, made.enabled) == ("d", {"team": "x"}, True)
    assert re.fullmatch(r"col_[0-9a-f]{10,}", made.collection_id)
    assert made.document_count == 5
    assert made.source.bucket_ids == [bucket.bucket_id]
    (condition,) = made.source.source_filters.filters.var_and
    assert condition.actual_instance.additional_properties == {
        "field": "metadata.kind",
        "operator": "eq",
        "value": "a",
    }
    assert made.feature_extractor.feature_extractor_id == "text_extractor_v1"
    assert made.feature_extractor.input_mappings.actual_instance == {"text": "clip"}
    assert [each.source_path for each in made.feature_extractor.field_passthrough] == ["metadata.kind"]
    assert made.input_schema.properties["clip"].type.value == "text"
    assert made.output_schema is not None
    assert (made.schema_version, made.schema_sync_enabled) == (1, True)
    assert made.created_at == made.updated_at
    for lineage in made.source_lineage or []:
        assert lineage.feature_extractor.feature_extractor_id == "text_extractor_v1"
    assert await api.get_collection(made.collection_name) == await api.get_collection(made.collection_id) == made

    with pytest.raises(mixpeek.exceptions.ConflictException):
        await vendor.api("BucketsApi").delete_bucket(bucket.bucket_id)
    changed = await api.update_collection(made.collection_id, {"description": "e", "enabled": False})
    assert (changed.description, changed.enabled, changed.document_count) == ("e", False, 5)
    await api.delete_collection(made.collection_id)
    with pytest.raises(mixpeek.exceptions.NotFoundException):
        await api.get_collection(made.collection_id)
    await vendor.api("BucketsApi").delete_bucket(bucket.bucket_id)


async def test_a_collection_without_extractor_answers_one(vendor: Vendor) -> None:
    bucket = await bucket_of(vendor)
    made = await collection_of(
        vendor, feature_extractor=None, source={"type": "bucket", "bucket_ids": [bucket.bucket_id]}
    )
    extractor = made.feature_extractor
    assert extractor.feature_extractor_id == f"{extractor.feature_extractor_name}_{extractor.version}"
    assert made.document_count == 0


async def test_lists_of_collections(vendor: Vendor) -> None:
    api, bucket, prefix = vendor.api("CollectionsApi"), await shop(vendor), fresh("list")
    plain = {"type": "bucket", "bucket_ids": [bucket.bucket_id]}
    made = [
        await collection_of(vendor, collection_name=f"{prefix}-{number}", source=source)
        for number, source in enumerate([plain, filtered_source(bucket.bucket_id), plain])
    ]
    request = mixpeek.ListCollectionsRequest.from_dict(
        {
            "filters": {"AND": [{"field": "collection_name", "operator": "contains", "value": prefix}]},
            "sort": {"field": "collection_name", "direction": "desc"},
        }
    )
    found = await api.list_collections(limit=2, list_collections_request=request)
    assert found.results == made[:0:-1]
    assert (found.total_count, found.pagination.total, found.pagination.total_pages) == (3, 3, 2)
    assert (found.stats.total_documents, round(found.stats.avg_documents_per_collection, 6)) == (25, 8.333333)
    assert (found.stats.collections_with_taxonomies, found.stats.total_taxonomies) == (0, 0)
    rest = await api.list_collections(cursor=found.pagination.next_cursor, limit=2, list_collections_request=request)
    assert rest.results == made[:1]
    found = await api.list_collections_get(search=prefix, limit=1, page=2, include_system=False)
    assert (len(found.results), found.total_count, found.pagination.page) == (1, 3, 2)
    assert (await api.list_collections()).total_count >= 3
    for each in made:
        await api.delete_collection(each.collection_name)


async def test_collections_by_hand(vendor: Vendor) -> None:
    collections, bucket, name = vendor.hand.collections, await shop(vendor), fresh("hand")
    vendor.calls.places[name] = "{collection}"
    source = {"type": "bucket", "bucket_ids": [bucket.bucket_id]}
    made = await collections.create(name=name, feature_extractor=EXTRACTOR, source=source, description="d")
    vendor.calls.places[made.collection_id] = "{collection}"
    assert (made.collection_name, made.document_count) == (name, 10)
    assert await collections.get(name) == await collections.get(made.collection_id) == made
    changed = await collections.update(name, {"description": "e"}, metadata={"team": "x"})
    assert (changed.description, changed.metadata) == ("e", {"team": "x"})
    assert (await collections.list()).total_count >= 1
    await collections.delete(name)
    with pytest.raises(MixpeekAPIError) as caught:
        await collections.get(name)
    assert caught.value.status == 404


async def test_aggregate_of_a_collection(vendor: Vendor) -> None:
    api, bucket = vendor.api("CollectionDocumentsApi"), await shop(vendor)
    made = await collection_of(vendor, source=filtered_source(bucket.bucket_id))
    request: Any = {
        "group_by": [{"field": "metadata.kind", "alias": "kind"}],
        "aggregations": [
            {"function": "count", "alias": "n"},
            {"function": "sum", "field": "metadata.price", "alias": "sum"},
        ],
    }
    answer = await api.aggregate_documents(made.collection_id, mixpeek.DocumentAggregationRequest.from_dict(request))
    assert [(each.group, each.metrics) for each in answer.results] == [({"kind": "a"}, {"n": 5, "sum": 30})]
    # Unlike a bucket's, a collection's aggregate needs no group: it counts what a filter finds.
    request = {"aggregations": request["aggregations"][:1], "filters": {"metadata.price": {"$gt": 3}}}
    answer = await api.aggregate_documents(made.collection_name, mixpeek.DocumentAggregationRequest.from_dict(request))
    assert [(each.group, each.metrics) for each in answer.results] == [({}, {"n": 3})]


async def test_errors_are_the_clients_own(address: str, vendor: Vendor) -> None:
    api = vendor.api("BucketsApi")
    with pytest.raises(mixpeek.exceptions.NotFoundException) as missing:
        await api.get_bucket("nothing")
    assert (missing.value.data.status, missing.value.data.error.type) == (404, "NotFoundError")
    assert missing.value.data.error.details["id"] == "nothing"
    with pytest.raises(mixpeek.exceptions.UnprocessableEntityException) as wrong:
        await bucket_of(vendor, bucket_name="")
    assert wrong.value.data.error.details["validation_errors"][0]["location"][:2] == ["body", "bucket_name"]
    made = await bucket_of(vendor)
    with pytest.raises(mixpeek.exceptions.ConflictException):
        await bucket_of(vendor, bucket_name=made.bucket_name)
    with pytest.raises(MixpeekAPIError) as taken:
        await vendor.hand.buckets.create(name=made.bucket_name)
    assert (taken.value.status, taken.value.detail["error"]["type"]) == (409, "AlreadyExistsError")
    stranger = Vendor(address, "sk_wrong", NAMESPACE, vendor.calls)
    with pytest.raises(mixpeek.exceptions.UnauthorizedException) as denied:
        await stranger.api("BucketsApi").get_bucket(made.bucket_id)
    assert denied.value.data.error.type == "UnauthorizedError"
    with pytest.raises(MixpeekAPIError):
        await stranger.hand.buckets.get(made.bucket_id)
    stranger.close()
    homeless = Vendor(address, KEY, None, vendor.calls)
    with pytest.raises(mixpeek.exceptions.BadRequestException):
        await homeless.api("BucketsApi").get_bucket(made.bucket_id)
    homeless.close()


async def test_the_other_two_spellings_of_a_generated_method(vendor: Vendor) -> None:
    """Each has a twin that gives status and headers as well, and one that leaves the answer unread."""
    made = await bucket_of(vendor)
    api = mixpeek.BucketsApi(vendor.api_client)
    told = await asyncio.to_thread(api.get_bucket_with_http_info, made.bucket_id)
    assert (told.status_code, told.data) == (200, made)
    assert told.headers["X-Request-Id"]
    unread = await asyncio.to_thread(api.get_bucket_without_preload_content, made.bucket_id)
    assert json.loads(await asyncio.to_thread(unread.read))["bucket_name"] == made.bucket_name


def is_outside(method: str) -> bool:
    return method not in SERVED


def reason(method: str) -> str:
    """Why it is outside: by the method's name, else by its class's."""
    name = method
    while name not in OUTSIDE:
        name, dot, _ = name.rpartition(".")
        assert dot, f"{method} is neither served nor said to be outside"
    return OUTSIDE[name]


async def test_what_is_outside_says_so_cleanly(vendor: Vendor) -> None:
    """Every other method of the generated classes, on resources that exist, so that it is the route that is missing."""
    bucket = await shop(vendor)
    made = await collection_of(vendor, source={"type": "bucket", "bucket_ids": [bucket.bucket_id]})
    object_id = (await vendor.api("BucketObjectsApi").list_objects_buckets(bucket.bucket_id)).results[0].object_id
    vendor.calls.places[object_id] = "{object}"
    given = {
        **dict.fromkeys(("namespace_id", "namespace_identifier"), NAMESPACE),
        **dict.fromkeys(("bucket_id", "bucket_identifier"), bucket.bucket_id),
        **dict.fromkeys(("collection_id", "collection_identifier"), made.collection_id),
        "document_id": object_id,
    }
    vendor.calls.places["1"] = "{number}"
    problems = []
    for method in filter(is_outside, generated_operations()):
        api, _, name = method.partition(".")
        target = vendor.api(api)
        with pytest.raises(mixpeek.ApiException) as caught:
            await getattr(target, name)(**least_arguments(getattr(target._target, name), given))
        problems += not_clean(method, caught.value.status, caught.value.body)
    assert not problems


def not_clean(method: str, status: int, body: Any) -> list[str]:
    """Nothing, if the error is in the envelope and means that there is no such route.

    That is a 404, or the 405 of a path that is there for other methods; a client that sends no key gets a 401.
    """
    missing = (401,) if method.split(".")[0] in KEYLESS else (404, 405)
    clean = status in missing and f'"status":{status}' in str(body).replace("'", '"').replace(" ", "")
    return [] if clean else [f"{method}: {status} {body}"]


async def test_what_is_outside_says_so_cleanly_by_hand(vendor: Vendor) -> None:
    bucket = await shop(vendor)
    made = await collection_of(vendor, source={"type": "bucket", "bucket_ids": [bucket.bucket_id]})
    collection = made.collection_id
    hand = vendor.hand
    calls = [
        hand.search("red car"),
        hand.namespaces.clone(NAMESPACE, name="other"),
        hand.namespaces.promote(NAMESPACE),
        hand.namespaces.documents.upsert(namespace_id=NAMESPACE, documents=[]),
        hand.collections.trigger(collection),
        hand.collections.clone(collection, name="other"),
        hand.documents.list(collection),
        hand.documents.get(collection, "no-document"),
        hand.documents.delete(collection, "no-document"),
        hand.documents.update(collection, "no-document", update_data={"a": 1}),
        hand.documents.batch_update(collection, updates=[]),
        hand.documents.search(query="red car"),
        hand.batches.get(bucket.bucket_id, "no-batch"),
        hand.batches.audit(bucket.bucket_id, "no-batch"),
        hand.batches.failed_documents(bucket.bucket_id, "no-batch", limit=1),
        hand.tasks.list(),
        hand.tasks.delete("no-task"),
    ]
    problems = []
    for call in calls:
        with pytest.raises(MixpeekAPIError) as caught:
            await call
        problems += not_clean("Mixpeek", caught.value.status, caught.value.detail)
    assert not problems


async def test_the_table_is_complete_and_the_documented_one(vendor: Vendor, calls: Calls) -> None:
    """The last test of this file: it looks at what the others have called."""
    generated = generated_operations()
    wanted = generated.keys() | hand_written_methods(vendor.plain)
    missing = sorted(wanted - calls.rows.keys())
    assert not missing, "public methods of the clients that were not called; run this file as a whole"
    for method, request in generated.items():
        asked = calls.rows[method].request
        assert re.sub(r"\{\w+\}", "{}", asked) == re.sub(r"\{\w+\}", "{}", request), method
    served = [row for row in calls.rows.values() if not is_outside(row.method)]
    assert {row.method for row in served} == SERVED
    assert not [row for row in served if row.ended.isdigit()], "not answered"
    table = _table(list(calls.rows.values()))
    begin, end = "<!-- table: made by tests/vendor/test_mixpeek.py -->\n", "<!-- end of table -->"
    text = DOCS.read_text()
    documented = text.partition(begin)[2].partition(end)[0]
    if documented != table and os.environ.get("TALLY_WRITE_TABLE"):
        DOCS.write_text(text.replace(f"{begin}{documented}{end}", f"{begin}{table}{end}"))
    assert documented == table, f"what {DOCS.name} says is not what happened; TALLY_WRITE_TABLE=1 writes it anew"


def _table(rows: list[Row]) -> str:
    """The served methods with the model that read the answer, then what is outside with the reason."""
    rows.sort(
        key=lambda row: (is_outside(row.method), row.method.startswith("Mixpeek."), row.request.split()[1], row.method)
    )
    lines = ["| method | request | ended |", "|---|---|---|"]
    for row in rows:
        ended = f"outside, {row.ended}: {reason(row.method)}" if is_outside(row.method) else f"passed: {row.ended}"
        lines.append(f"| `{row.method}` | `{row.request}` | {ended} |")
    return "\n".join(["", *lines, "", ""])
