"""No name, id or path from outside reaches an index, and no namespace reaches into another."""

import os
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.support.client import Client

Json = Any

HOSTILE = [
    "*", "tally-*", "tally-objects-*", "tally-catalog", "tally-catalog-000001", "_all", "_search", "_mapping", "..",
    "../..", "../_search", "<tally-{now/d}>", "<logstash-{now/d}>", "a,b", "-a", "+a", "ns_*", "ns_0123456789/_search",
    "%2e%2e", "a%2F..%2F_search", "a?pretty", "a#b", "x:y", "remote:index", "\x00", "", " ", "a b", '"', "\\",
    "_cluster",
]  # fmt: skip
"""What would do harm as an index name or in a path."""


@pytest.fixture(scope="module")
async def opensearch(opensearch_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(opensearch_url, raise_for_status=True) as session:
        yield session


@pytest.fixture(scope="module")
async def theirs(client: Client) -> AsyncIterator[Json]:
    """Another namespace with a bucket and an object; its names are as ours."""
    name = f"theirs-{os.urandom(5).hex()}"
    made = await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    bucket = await client.ok("POST", "/v1/buckets", {"bucket_name": "secrets"}, namespace=name)
    path = f"/v1/buckets/{bucket['bucket_id']}/objects"
    item = await client.ok("POST", path, {"metadata": {"secret": "s3cret"}}, namespace=name)
    yield {"name": name, "id": made["namespace_id"], "bucket": bucket["bucket_id"], "object": item["object_id"]}
    await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)


OURS = re.compile(
    r"tally-catalog-000001|tally-objects-ns_[0-9a-f]{10}-000001|tally-records-ns_[0-9a-f]{10}\.[a-z0-9_.+-]+"
    r"|regex-lucene-test|\..+"
)
"""Every index that there may be: ours by their scheme, another test's, OpenSearch's own."""


@pytest.fixture(scope="module")
async def before(opensearch: aiohttp.ClientSession) -> set[str]:
    """What somebody else keeps in a shared cluster."""
    return await strangers(opensearch)


async def strangers(opensearch: aiohttp.ClientSession) -> set[str]:
    async with opensearch.get("/_cat/indices?format=json&expand_wildcards=all") as response:
        return {each["index"] for each in await response.json() if not OURS.fullmatch(each["index"])}


async def raw(client: Client, method: str, path: str, namespace: Json = None, body: Json = None) -> tuple[int, Json]:
    """A request whose path is sent as it is written."""
    headers = {"Authorization": f"Bearer {client.key}"}
    if namespace is not None:
        headers["X-Namespace"] = namespace
    url = URL(client.address + path, encoded=True)
    async with client.session.request(method, url, headers=headers, json=body) as response:
        return response.status, await response.json()


async def test_namespaces_that_try_to_be_index_names(
    client: Client, opensearch: aiohttp.ClientSession, before: set[str]
) -> None:
    for name in HOSTILE:
        if re.fullmatch("[a-z0-9_-]{3,64}", name):
            continue
        await client.problems("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
        quoted = "".join(f"%{byte:02X}" for byte in name.encode())
        if name.strip():
            status, answer = await raw(client, "GET", f"/v1/namespaces/{quoted}")
            assert (status, answer["error"]["type"]) == (404, "NotFoundError"), name
        status, answer = await raw(client, "GET", f"/v1/buckets/x?namespace={quoted}")
        assert (status, answer["error"]["type"]) in ((404, "NotFoundError"), (400, "BadRequestError")), name
        if name.isprintable() and name.strip():
            status, answer = await raw(client, "GET", "/v1/buckets/x", namespace=name)
            assert (status, answer["error"]["details"]) == (404, {"resource": "Namespace", "id": name})
    assert await strangers(opensearch) <= before


async def test_namespaces_that_are_called_like_an_index(
    client: Client, opensearch: aiohttp.ClientSession, before: set[str]
) -> None:
    """Their names are valid and mean nothing to OpenSearch."""
    for name in ("tally-catalog", "_all"):
        made = await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
        assert (await client.ok("GET", f"/v1/namespaces/{name}", namespace=None)) == made
        bucket = await client.ok("POST", "/v1/buckets", {"bucket_name": name}, namespace=name)
        assert bucket["object_count"] == 0
        await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)
    assert await strangers(opensearch) <= before
    assert (await client.ok("GET", "/v1/namespaces/default", namespace=None))["namespace_ready"]


async def test_buckets_that_try_to_be_index_names(
    client: Client, opensearch: aiohttp.ClientSession, before: set[str]
) -> None:
    for name in (name for name in HOSTILE if name):
        quoted = "".join(f"%{byte:02X}" for byte in name.encode())
        assert (await raw(client, "GET", f"/v1/buckets/{quoted}", client.namespace))[0] == 404, name
        made = await client.ok("POST", "/v1/buckets", {"bucket_name": name})
        found = await raw(client, "GET", f"/v1/buckets/{quoted}", client.namespace)
        assert found == (200, made), name
        assert (await raw(client, "GET", f"/v1/buckets/x/objects/{quoted}", client.namespace))[0] == 404
        assert (await client.ok("DELETE", f"/v1/buckets/{made['bucket_id']}"))["object_count"] == 0
    assert await strangers(opensearch) <= before


@pytest.mark.parametrize(
    "path",
    ["*", "metadata.*", "_id", "_index", "_source", "@raw", "@shape", "<a-{now}>", "a/b", "a@double", "bucket_id@x"],
)
async def test_paths_that_try_to_be_fields_of_the_index(client: Client, bucket: str, path: str) -> None:
    """They are names like any other: without such a field in the object there is nothing to see."""
    await client.create(bucket, {"metadata": {"carrier": "UA"}, "a": {"b": 1}})
    spec = {
        "group_by": [{"field": path}],
        "aggregations": [
            {"function": "count_distinct", "field": path, "alias": "d"},
            {"function": "max", "field": path, "alias": "m"},
        ],
    }
    answer = await client.aggregate(bucket, spec)
    assert answer["results"] == [{"group": {path: None}, "metrics": {"d": 0, "m": None}}]
    assert (await client.aggregate(bucket, {**spec, "filters": {path: {"$exists": True}}}))["results"] == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"description": "mine"}),
        ("DELETE", "", None),
        ("POST", "/objects", {"a": 1}),
        ("POST", "/objects/batch", [{"a": 1}]),
        ("POST", "/objects/import", {"a": 1}),
        (
            "POST",
            "/objects/aggregate",
            {"group_by": [{"field": "a"}], "aggregations": [{"function": "count", "alias": "n"}]},
        ),
        ("GET", "/objects/{object}", None),
        ("PATCH", "/objects/{object}", {"a": 1}),
        ("DELETE", "/objects/{object}", None),
    ],
)
async def test_another_namespaces_bucket_answers_like_an_unknown_one(
    client: Client, theirs: Json, method: str, path: str, body: Json
) -> None:
    """Word for word: its existence is not told."""
    answers = []
    for bucket in (theirs["bucket"], "bkt_0123456789", "secrets"):
        status, text, _ = await client.send(method, f"/v1/buckets/{bucket}{path.format(**theirs)}", body)
        assert status == 404
        answers.append(text.replace(bucket, "…"))
    assert len(set(answers)) == 1


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PATCH", {"a": 1}), ("PUT", {"a": 1}), ("DELETE", None)])
async def test_an_object_is_found_in_its_own_bucket_only(
    client: Client, theirs: Json, bucket: str, method: str, body: Json
) -> None:
    other = await client.ok("POST", "/v1/buckets", {"bucket_name": f"t-{os.urandom(5).hex()}"})
    neighbour = await client.create(other["bucket_id"], {"a": 1})
    answers = []
    for id in (theirs["object"], neighbour["object_id"], "obj_" + "0" * 24):
        status, text, _ = await client.send(method, f"/v1/buckets/{bucket}/objects/{id}", body)
        assert status == 404
        answers.append(text.replace(id, "…"))
    assert len(set(answers)) == 1
    kept = await client.ok("GET", f"/v1/buckets/{other['bucket_id']}/objects/{neighbour['object_id']}")
    assert kept == neighbour


async def test_same_names_in_two_namespaces_are_two_things(client: Client, theirs: Json) -> None:
    mine = await client.ok("POST", "/v1/buckets", {"bucket_name": "secrets"})
    assert mine["bucket_id"] != theirs["bucket"]
    spec = {"group_by": [{"field": "metadata.secret"}], "aggregations": [{"function": "count", "alias": "n"}]}
    assert (await client.aggregate("secrets", spec))["results"] == []
    there = await client.ok("POST", "/v1/buckets/secrets/objects/aggregate", spec, namespace=theirs["id"])
    assert there["results"] == [{"group": {"metadata.secret": "s3cret"}, "metrics": {"n": 1}}]
    await client.ok("DELETE", "/v1/buckets/secrets")
    assert (await client.ok("GET", "/v1/buckets/secrets", namespace=theirs["name"]))["object_count"] == 1


async def test_a_unique_key_is_unique_in_its_bucket_only(client: Client) -> None:
    ids = set()
    for _ in range(2):
        body = {"bucket_name": f"t-{os.urandom(5).hex()}", "unique_key": {"fields": ["k"]}}
        bucket = (await client.ok("POST", "/v1/buckets", body))["bucket_id"]
        ids.add((await client.create(bucket, {"k": 1, "idempotency_key": "same"}))["object_id"])
    assert len(ids) == 2


ODD_ALIASES = [
    "a>b", "[x]", "a.b", "a>b[c].d", "_count", "_key", "", "*", "m0_0", "k0", "groups", "value", "h0", "doc_count",
    "ü 🙂", "\x00", "a" * 3_000, '"', "\\", "@", "/", "%", " ", "all", "metadata.n",
]  # fmt: skip


async def test_odd_names_of_keys_and_metrics(client: Client, bucket: str) -> None:
    """Names of the answer are no names of the request to OpenSearch."""
    await client.batch(bucket, [{"metadata": {"n": n, "g": "a"}} for n in (1, 2)])
    for alias in (alias for alias in ODD_ALIASES if alias):
        spec = {
            "group_by": [{"field": "metadata.g", "alias": alias}, {"field": "metadata.none", "alias": f"{alias}2"}],
            "aggregations": [
                {"function": "avg", "field": "metadata.n", "alias": f"{alias}3"},
                {"function": "count_distinct", "field": "metadata.n", "alias": f"{alias}4"},
                {"function": "count", "alias": f"{alias}5"},
            ],
            "having": [{"field": f"{alias}3", "operator": "gt", "value": 1}],
            "sort_by": f"{alias}5",
        }
        (row,) = (await client.aggregate(bucket, spec))["results"]
        assert row["group"] == {alias: "a", f"{alias}2": None}
        assert row["metrics"] == {f"{alias}3": 1.5, f"{alias}4": 2, f"{alias}5": 2}
