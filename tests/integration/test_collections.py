"""Collections: what is derived from their source, counted, listed, aggregated, and kept in step with schemas."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from service.storage.gateway import Gateway
from service.telemetry import backend
from tests.support.client import Client
from tests.support.shapes import lacks

Json = Any
ROUTE = "/v1/collections"

VIDEO = {"AND": [{"field": "blobs.type", "operator": "eq", "value": "video"}]}
EXTRACTOR = {
    "feature_extractor_name": "multimodal_extractor",
    "version": "v1",
    "feature_extractor_id": "multimodal_extractor_v1",
    "parameters": {},
    "input_mappings": {"image": "product_image", "text": "title"},
    "field_passthrough": [{"source_path": "title", "target_path": "title", "default": "Unknown", "required": False}],
    "include_all_source_fields": False,
}
SOURCE = {
    "type": "bucket",
    "bucket_ids": ["bkt_marketing_videos"],
    "source_filters": {"description": "Filter only video content", "filters": VIDEO},
}
ANSWERED = {
    "results": [
        {
            "collection_name": "<string>",
            "input_schema": {"properties": {}},
            "output_schema": {"properties": {}},
            "feature_extractor": EXTRACTOR,
            "source": {**SOURCE, "collection_id": None, "collection_ids": None, "inherited_bucket_ids": None},
            "collection_id": "<string>",
            "description": "Video frames extracted at 1 FPS with CLIP embeddings",
            "source_bucket_schemas": None,
            "source_lineage": [],
            "vector_indexes": [],
            "payload_indexes": [],
            "enabled": True,
            "metadata": {"environment": "production", "project": "Q4_campaign", "team": "data-science"},
            "created_at": "2023-11-07T05:31:56Z",
            "updated_at": "2023-11-07T05:31:56Z",
            "document_count": 123,
            "schema_version": 1,
            "last_schema_sync": "2023-11-07T05:31:56Z",
            "schema_sync_enabled": True,
            "taxonomy_applications": None,
            "cluster_applications": None,
            "taxonomy_count": 123,
            "retriever_count": 123,
        }
    ],
    "pagination": {
        "total": 123,
        "page": 123,
        "page_size": 123,
        "total_pages": 123,
        "next_page": None,
        "previous_page": None,
    },
    "total_count": 123,
    "stats": {
        "total_documents": 0,
        "avg_documents_per_collection": 0,
        "collections_with_taxonomies": 0,
        "total_feature_extractors": 0,
        "total_taxonomies": 0,
        "total_retrievers": 0,
    },
}
"""The answer of pages/list-collections.txt, and parts of it as what is sent."""

REQUEST = {
    "filters": {},
    "sort": {"field": "created_at", "direction": "desc"},
    "search": "<string>",
    "case_sensitive": False,
}


class Space:
    """A namespace with buckets of a few objects."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name

    async def ok(self, method: str, path: str, body: Json = None) -> Json:
        return await self.client.ok(method, path, body, namespace=self.name)

    async def call(self, method: str, path: str, body: Json = None) -> tuple[int, Json]:
        return await self.client.call(method, path, body, namespace=self.name)

    async def bucket(self, kinds: str, **given: Json) -> str:
        """A bucket with an object for each letter: v has a video, t a text."""
        made = await self.ok("POST", "/v1/buckets", {"bucket_name": os.urandom(4).hex(), **given})
        types = {"v": "video", "t": "text"}
        objects = [
            {"metadata": {"kind": kind, "n": n}, "blobs": [{"property": "p", "type": types[kind], "data": "x"}]}
            for n, kind in enumerate(kinds)
        ]
        await self.ok("POST", f"/v1/buckets/{made['bucket_id']}/objects/batch", {"objects": objects})
        return str(made["bucket_id"])

    async def collection(self, *buckets: str, filters: Json = None, **given: Json) -> Json:
        source: Json = {"type": "bucket", "bucket_ids": list(buckets)}
        if filters:
            source["source_filters"] = {"filters": filters}
        return await self.make(source=source, **given)

    async def make(self, **given: Json) -> Json:
        return await self.ok("POST", ROUTE, {"collection_name": f"c-{os.urandom(4).hex()}", **given})


@pytest.fixture
async def space(client: Client) -> AsyncIterator[Space]:
    name = f"collections-{os.urandom(4).hex()}"
    await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    yield Space(client, name)
    await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)


@contextmanager
def requests_counted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What OpenSearch is asked for requests: method, path, body; the background's requests belong to none."""
    sent: list[tuple[str, str, Json]] = []
    request = Gateway.request

    async def noted(self: Gateway, method: str, path: str, body: Any = None, **options: Any) -> str:
        if backend.get() is not None:
            sent.append((method, path, body))
        return await request(self, method, path, body, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Gateway, "request", noted)
        yield sent


async def test_the_documented_list(space: Space) -> None:
    bucket = await space.bucket("vvt", bucket_schema={"properties": {"title": {"type": "string"}}})
    source = {**SOURCE, "bucket_ids": [bucket]}
    for _ in range(2):
        made = await space.make(
            source=source,
            feature_extractor=EXTRACTOR,
            description="<string>",
            metadata=ANSWERED["results"][0]["metadata"],  # type: ignore[index]
        )
    child = await space.make(
        source={"type": "collection", "collection_ids": [made["collection_id"]]}, description="<STRING>"
    )
    answer = await space.ok("POST", f"{ROUTE}/list", REQUEST)
    assert [each["collection_id"] for each in answer["results"]][:2] == [child["collection_id"], made["collection_id"]]
    assert list(lacks(ANSWERED, {**answer, "results": answer["results"][1:]})) == []
    for result in answer["results"]:
        assert result.keys() == ANSWERED["results"][0].keys(), "exactly the fields of the page"  # type: ignore[index]
    assert answer.keys() == ANSWERED.keys()
    assert answer["pagination"].keys() - ANSWERED["pagination"].keys() == {"next_cursor"}  # type: ignore[attr-defined]
    assert answer["stats"] == {
        "total_documents": 6,
        "avg_documents_per_collection": 2.0,
        "collections_with_taxonomies": 0,
        "total_feature_extractors": 2,
        "total_taxonomies": 0,
        "total_retrievers": 0,
    }
    one = answer["results"][1]
    assert one == made
    assert one["feature_extractor"] == EXTRACTOR
    assert one["source"]["source_filters"] == SOURCE["source_filters"]
    assert one["output_schema"] == {"properties": {"title": {"type": "string"}}}
    (step,) = answer["results"][0]["source_lineage"]
    assert step == {name: one[name] for name in ("feature_extractor", "output_schema")} | {
        "source_config": one["source"]
    }


async def test_counts_follow_objects_and_filters(space: Space) -> None:
    bucket, other = await space.bucket("vvt"), await space.bucket("tv")
    for filters, buckets, count in (
        (None, [bucket], 3),
        (VIDEO, [bucket], 2),
        (VIDEO, [bucket, other], 3),
        ({"field": "metadata.kind", "operator": "eq", "value": "V"}, [bucket], 2),
        ({"metadata.kind": "V", "case_sensitive": True}, [bucket], 0),
        ({"field": "metadata.n", "operator": "gte", "value": 1}, [bucket, other], 3),
        ({"NOT": {"field": "blobs.type", "value": "video"}}, [bucket, other], 2),
        ({"field": "metadata.kind", "operator": "words", "value": "v"}, [bucket, other], 3),
    ):
        made = await space.collection(*buckets, filters=filters)
        assert made["document_count"] == count, filters
        assert (await space.ok("GET", f"{ROUTE}/{made['collection_name']}"))["document_count"] == count
    await space.ok("POST", f"/v1/buckets/{bucket}/objects", {"blobs": [{"property": "p", "type": "video"}]})
    answer = await space.ok("POST", f"{ROUTE}/list", {"sort": {"field": "created_at"}})
    assert [each["document_count"] for each in answer["results"]] == [4, 3, 4, 2, 0, 3, 2, 3]
    assert answer["stats"]["total_documents"] == 21
    body = {"sort": {"field": "document_count", "direction": "desc"}, "filters": {"document_count": {"$gte": 3}}}
    answer = await space.ok("POST", f"{ROUTE}/list", body)
    assert [each["document_count"] for each in answer["results"]] == [4, 4, 3, 3, 3]


async def test_a_page_costs_a_constant_number_of_requests(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    buckets = [await space.bucket("v") for _ in range(3)]
    for turn in range(12):
        await space.collection(buckets[0], filters=VIDEO if turn % 2 else None)
    for path in (ROUTE, "/v1/buckets"):
        costs = []
        for limit in (1, 2, 12):
            await space.ok("GET", f"{path}?limit={limit}")
            with requests_counted(monkeypatch) as sent:
                await space.ok("GET", f"{path}?limit={limit}")
            costs.append(len(sent))
            searches = [body for _, at, body in sent if "tally-objects" in at and "_search" in at]
            if path == ROUTE:
                selections = [len(body["aggs"]["all"]["filters"]["filters"]) for body in searches]
                assert max(selections) <= 2, "equal selections are counted once"
        assert costs[0] == costs[1] == costs[2] <= 12, costs


async def test_collections_on_collections(space: Space) -> None:
    schema = {"properties": {"title": {"type": "string"}, "price": {"type": "number"}}}
    bucket, other = await space.bucket("vvt", bucket_schema=schema), await space.bucket("tv")
    videos = await space.collection(bucket, other, filters=VIDEO)
    assert videos["source_bucket_schemas"] == {bucket: schema, other: {"properties": {}}}
    assert videos["input_schema"] == videos["output_schema"] == schema
    first = {"field": "metadata.n", "operator": "eq", "value": 0}
    child = await space.make(
        source={"type": "collection", "collection_id": videos["collection_name"], "source_filters": {"filters": first}}
    )
    assert child["source"]["collection_id"] == videos["collection_id"]
    assert child["source"]["collection_ids"] == [videos["collection_id"]]
    assert child["source"]["inherited_bucket_ids"] == [bucket, other]
    assert child["document_count"] == 1
    grandchild = await space.make(source={"type": "collection", "collection_ids": [child["collection_id"]]})
    assert [step["source_config"]["type"] for step in grandchild["source_lineage"]] == ["bucket", "collection"]
    assert grandchild["source"]["inherited_bucket_ids"] == [bucket, other]
    assert grandchild["document_count"] == 1
    for path in (f"/v1/buckets/{bucket}", f"{ROUTE}/{videos['collection_id']}", f"{ROUTE}/{child['collection_id']}"):
        status, answer = await space.call("DELETE", path)
        assert (status, answer["error"]["type"]) == (409, "AlreadyExistsError"), path
        assert answer["error"]["details"]["collections"]
    for each in (grandchild, child, videos):
        await space.ok("DELETE", f"{ROUTE}/{each['collection_id']}")
        assert (await space.call("GET", f"{ROUTE}/{each['collection_id']}"))[0] == 404
    await space.ok("DELETE", f"/v1/buckets/{bucket}")


async def test_schemas_are_kept_in_step(space: Space) -> None:
    bucket = await space.bucket("v", bucket_schema={"properties": {"title": {"type": "string"}}})
    parent = await space.collection(bucket)
    still = await space.collection(bucket, schema_sync_enabled=False)
    child = await space.make(source={"type": "collection", "collection_ids": [parent["collection_id"]]})
    wider = {"properties": {"title": {"type": "string"}, "year": {"type": "integer"}}}
    await space.ok("PATCH", f"/v1/buckets/{bucket}", {"bucket_schema": wider})
    for before, version in ((parent, 2), (child, 2), (still, 1)):
        now = await space.ok("GET", f"{ROUTE}/{before['collection_id']}")
        assert now["schema_version"] == version
        assert (now["input_schema"] == wider) is (version == 2)
        assert (now["output_schema"] == wider) is (version == 2)
        assert (now["last_schema_sync"] > before["last_schema_sync"]) is (version == 2)
        assert now["schema_sync_enabled"] is (version == 2)
    assert (await space.ok("GET", f"{ROUTE}/{child['collection_id']}"))["source_lineage"][0]["output_schema"] == wider
    await space.ok("PATCH", f"/v1/buckets/{bucket}", {"description": "x", "bucket_schema": wider})
    assert (await space.ok("GET", f"{ROUTE}/{parent['collection_id']}"))["schema_version"] == 2, "the same schema"
    (found,) = (await space.ok("POST", f"{ROUTE}/list", {"filters": {"schema_version": 1}}))["results"]
    assert found["collection_id"] == still["collection_id"]


async def test_taxonomies_and_clusters_are_stored_counted_and_found(space: Space) -> None:
    bucket = await space.bucket("v")
    applied = [{"taxonomy_id": "tax_123", "execution_mode": "materialize"}, {"taxonomy_id": "tax_9"}]
    one = await space.collection(bucket, taxonomy_applications=applied)
    two = await space.collection(bucket, cluster_applications=[{"cluster_id": "clu_1"}])
    assert (one["taxonomy_count"], one["taxonomy_applications"]) == (2, applied)
    by_taxonomy = {"AND": [{"field": "taxonomy_applications.taxonomy_id", "operator": "eq", "value": "tax_123"}]}
    by_cluster = {"AND": [{"field": "cluster_applications.cluster_id", "operator": "eq", "value": "CLU_1"}]}
    for filters, wanted in (
        (by_taxonomy, [one]),
        (by_cluster, [two]),
        ({"taxonomy_count": {"$gt": 0}}, [one]),
        ({"source.bucket_ids": bucket}, [one, two]),
        ({"feature_extractor.feature_extractor_id": "passthrough_extractor_v1"}, [one, two]),
    ):
        answer = await space.ok("POST", f"{ROUTE}/list", {"filters": filters})
        assert [each["collection_id"] for each in answer["results"]] == [each["collection_id"] for each in wanted]
    assert answer["stats"]["collections_with_taxonomies"] == 1
    assert answer["stats"]["total_taxonomies"] == 2
    await space.ok("PATCH", f"{ROUTE}/{one['collection_id']}", {"taxonomy_applications": []})
    assert (await space.ok("GET", ROUTE))["stats"]["collections_with_taxonomies"] == 0


async def test_update(space: Space) -> None:
    bucket = await space.bucket("v")
    made, other = await space.collection(bucket, metadata={"a": 1}), await space.collection(bucket)
    path = f"{ROUTE}/{made['collection_id']}"
    changed = await space.ok("PATCH", path, {"metadata": {"b": 2}, "enabled": False, "description": "d"})
    assert (changed["metadata"], changed["enabled"], changed["description"]) == ({"a": 1, "b": 2}, False, "d")
    assert await space.ok("PATCH", path, {}) == {**changed, "updated_at": (await space.ok("GET", path))["updated_at"]}
    assert (await space.call("PATCH", path, {"collection_name": other["collection_name"]}))[0] == 409
    assert (await space.ok("PATCH", path, {"collection_name": "renamed"}))["collection_name"] == "renamed"
    assert (await space.ok("GET", f"{ROUTE}/renamed"))["collection_id"] == made["collection_id"]
    assert (await space.call("GET", f"{ROUTE}/{made['collection_name']}"))[0] == 404
    again = await space.collection(bucket, collection_name=made["collection_name"])
    assert again["collection_id"] != made["collection_id"]
    status, answer = await space.call("PATCH", path, {"source": {"type": "bucket", "bucket_ids": [bucket]}})
    assert (status, answer["error"]["details"]["validation_errors"][0]["location"]) == (422, ["body", "source"])


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"collection_name": "ab"}, ["collection_name"]),
        ({"collection_name": "x" * 101}, ["collection_name"]),
        ({"collection_name": "col_0123456789"}, ["collection_name"]),
        ({"source": None}, ["source"]),
        ({"source": {"type": "bucket"}}, ["source"]),
        ({"source": {"type": "collection", "bucket_ids": ["x"]}}, ["source"]),
        ({"source": {"type": "cloud", "bucket_ids": ["x"]}}, ["source", "type"]),
        ({"enabled": "yes"}, ["enabled"]),
        ({"feature_extractor": {"version": "v1"}}, ["feature_extractor", "feature_extractor_name"]),
        ({"input_schema": {"properties": {"a": {"type": "x"}}}}, ["input_schema", "properties", "a", "type"]),
    ],
)
async def test_a_bad_body(space: Space, changes: Mapping[str, Json], at: list[str]) -> None:
    bucket = await space.bucket("v")
    body = {"collection_name": "name", "source": {"type": "bucket", "bucket_ids": [bucket]}, **changes}
    ((place, _),) = await space.client.problems("POST", ROUTE, body, namespace=space.name)
    assert place == ["body", *at]
    assert (await space.ok("GET", ROUTE))["total_count"] == 0
    await space.collection(bucket, collection_name="name")


async def test_bad_source_filters_are_refused_with_their_place(space: Space) -> None:
    bucket = await space.bucket("v")
    bad = {"AND": [{"field": "a", "operator": "like", "value": 1}]}
    source = {"type": "bucket", "bucket_ids": [bucket], "source_filters": {"filters": bad}}
    body = {"collection_name": "name", "source": source}
    ((place, _),) = await space.client.problems("POST", ROUTE, body, namespace=space.name)
    assert place == ["body", "source", "source_filters", "filters", "AND", 0, "operator"]


async def test_a_source_that_is_not_there(space: Space) -> None:
    for source in (
        {"type": "bucket", "bucket_ids": ["bkt_0000000000"]},
        {"type": "collection", "collection_id": "col_0000000000"},
    ):
        status, answer = await space.call("POST", ROUTE, {"collection_name": "name", "source": source})
        assert (status, answer["error"]["type"]) == (404, "NotFoundError")


async def test_aggregates(space: Space) -> None:
    one, two = await space.bucket("vvt"), await space.bucket("tvv")
    both = await space.collection(one, two)
    videos = await space.collection(one, two, filters=VIDEO)
    child = await space.make(
        source={
            "type": "collection",
            "collection_ids": [videos["collection_id"], both["collection_id"]],
            "source_filters": {"filters": {"field": "metadata.n", "operator": "lt", "value": 2}},
        }
    )
    by_kind: Json = {
        "group_by": [{"field": "metadata.kind", "alias": "kind"}],
        "aggregations": [{"function": "count", "alias": "n"}, {"function": "sum", "field": "metadata.n", "alias": "s"}],
    }
    for collection, rows in (
        (both, [("t", 2, 2), ("v", 4, 4)]),
        (videos, [("v", 4, 4)]),
        (child, [("t", 1, 0), ("v", 3, 2)]),
    ):
        for path in (
            f"{ROUTE}/{collection['collection_id']}/documents/aggregate",
            f"{ROUTE}/{collection['collection_name']}/documents/aggregate",
            f"/v1/documents/{collection['collection_id']}/aggregate",
        ):
            answer = await space.ok("POST", path, by_kind)
            assert [(each["group"]["kind"], *each["metrics"].values()) for each in answer["results"]] == rows
        whole = {"aggregations": [{"function": "count", "alias": "n"}]}
        answer = await space.ok("POST", f"{ROUTE}/{collection['collection_id']}/documents/aggregate", whole)
        assert answer["results"] == [{"group": {}, "metrics": {"n": sum(row[1] for row in rows)}}]
    inexact = await space.collection(one, filters={"field": "metadata.kind", "operator": "words", "value": "V"})
    path = f"{ROUTE}/{inexact['collection_id']}/documents/aggregate"
    assert (await space.ok("POST", path, by_kind))["results"] == [{"group": {"kind": "v"}, "metrics": {"n": 2, "s": 1}}]
    filtered = {**by_kind, "filters": {"metadata.n": {"$gt": 0}}}
    assert (await space.ok("POST", path, filtered))["results"] == [
        {"group": {"kind": "v"}, "metrics": {"n": 1, "s": 1}}
    ]
    assert (await space.call("POST", f"{ROUTE}/nothing/documents/aggregate", by_kind))[0] == 404
