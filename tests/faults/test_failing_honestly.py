"""Faults are told as what they are: a search that lacks a part, a full disk, a block, a batch that failed whole."""

import json
import os
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from service.errors import InsufficientStorage, TallyError, Unavailable
from service.storage.gateway import Gateway
from tests.integration.test_metrics import scraped
from tests.support.client import Client

Json = Any


@pytest.fixture(scope="module")
async def opensearch(opensearch_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(opensearch_url) as session:
        yield session


@pytest.fixture(scope="module")
async def gateway(opensearch_url: str) -> AsyncIterator[Gateway]:
    gateway = Gateway(opensearch_url, timeout=20)
    yield gateway
    await gateway.close()


# Every search is whole or raises


@pytest.fixture(scope="module")
async def halved(opensearch: aiohttp.ClientSession) -> AsyncIterator[str]:
    """A pattern of two indices: one that answers, one whose shard no node may hold."""
    name = f"halved-{os.urandom(4).hex()}"
    nowhere = {"settings": {"index.routing.allocation.require._name": "nobody", "number_of_replicas": 0}}
    for index, body in ((f"{name}-a", {}), (f"{name}-b", nowhere)):
        async with opensearch.put(f"/{index}?wait_for_active_shards=0", json=body) as made:
            assert made.status == 200
    async with opensearch.put(f"/{name}-a/_doc/1?refresh=true", json={"n": 1}) as stored:
        assert stored.status == 201
    yield f"{name}-*"
    for index in (f"{name}-a", f"{name}-b"):
        await opensearch.delete(f"/{index}")


_MATCH_ALL: Json = {"query": {"match_all": {}}}
_TWO_SEARCHES = b'{"index":"%s"}\n{"size":0}\n{"index":"%s-a"}\n{"size":0}\n'


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/{}/_search", {"size": 0}),
        ("GET", "/{}/_search", {"size": 10}),
        ("POST", "/{}/_search?allow_partial_search_results=true", {"size": 0, "aggs": {"n": {"sum": {"field": "n"}}}}),
        ("POST", "/{}/_search?scroll=10s", {"size": 1}),
        ("POST", "/{}/_search?preference=_local", {"size": 0}),
        ("POST", "/{}/_count", _MATCH_ALL),
        ("GET", "/{}/_count", None),
        ("POST", "/{}/_search/point_in_time?keep_alive=1s", None),
        ("POST", "/_msearch", _TWO_SEARCHES),
        ("POST", "/{}/_search?filter_path=hits", {"size": 0}),
    ],
)
async def test_an_answer_without_one_of_the_shards_is_an_error(
    gateway: Gateway, halved: str, method: str, path: str, body: Json
) -> None:
    """OpenSearch sends these with a 200, or with a 503; either way they are a 503 here."""
    if isinstance(body, bytes):
        body = body.replace(b"%s-a", halved.replace("*", "a").encode()).replace(b"%s", halved.encode())
    path, _, query = path.format(halved).partition("?")
    params = dict(each.split("=") for each in query.split("&")) if query else {}
    headers = {"content-type": "application/x-ndjson"} if isinstance(body, bytes) else None
    with pytest.raises(Unavailable):
        await gateway.request(method, path, body, params=params, headers=headers)


async def test_the_ways_that_the_service_searches_are_whole_or_raise(gateway: Gateway, halved: str) -> None:
    with pytest.raises(Unavailable):
        await gateway.search(halved, {"size": 0})
    with pytest.raises(Unavailable):
        await gateway.search(f"{halved}*", {"size": 0})
    with pytest.raises(Unavailable):
        async with gateway.point_in_time(halved):
            raise AssertionError("a point in time of half of the data")


@pytest.mark.parametrize("index", ["a", "nothing-*"])
async def test_what_is_whole_is_answered(gateway: Gateway, halved: str, index: str) -> None:
    index = halved.replace("*", index)
    count = 1 if index.endswith("-a") else 0
    for body in (
        {"track_total_hits": True},
        {"size": 0, "track_total_hits": True, "aggs": {"of": {"terms": {"field": "n"}}}},
        {"size": 0, "aggs": {"of": {"composite": {"size": 1, "sources": [{"n": {"terms": {"field": "n"}}}]}}}},
    ):
        assert json.loads(await gateway.search(index, body))["hits"]["total"]["value"] == count
    assert (await gateway.json("POST", f"/{index}/_count", _MATCH_ALL))["count"] == count


async def test_a_search_that_was_told_to_end_early_is_no_whole_one(gateway: Gateway, halved: str) -> None:
    index = f"ended-{halved.removesuffix('-*')}"
    for n in range(3):
        await gateway.request("PUT", f"/{index}/_doc/{n}", {"n": n}, params={"refresh": "true"})
    assert json.loads(await gateway.request("POST", f"/{index}/_search", {"terminate_after": 9}))["hits"]["hits"]
    with pytest.raises(Unavailable):
        await gateway.request("POST", f"/{index}/_search", {"terminate_after": 1})
    with pytest.raises(Unavailable):
        await gateway.request("POST", f"/{index}/_count", None, params={"terminate_after": "1"})
    await gateway.request("DELETE", f"/{index}")


async def test_a_deletion_by_query_that_failed_in_part_raises(
    gateway: Gateway, opensearch: aiohttp.ClientSession
) -> None:
    index = f"blocked-{os.urandom(4).hex()}"
    await opensearch.put(f"/{index}/_doc/1?refresh=true", json={"n": 1})
    try:
        await opensearch.put(f"/{index}/_settings", json={"index.blocks.write": True})
        for operation in ("_delete_by_query", "_update_by_query"):
            with pytest.raises(Unavailable, match=r"index\.blocks\.write"):
                await gateway.request("POST", f"/{index}/{operation}", _MATCH_ALL)
    finally:
        await opensearch.delete(f"/{index}")


# A full disk, and other blocks


@pytest.fixture
async def home(client: Client, opensearch: aiohttp.ClientSession) -> AsyncIterator[tuple[Client, str, str]]:
    """A namespace of its own with a bucket `b`, a stream `s` and something in both; and the pattern of its indices."""
    name = f"full-{os.urandom(4).hex()}"
    made = await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    async with Client(client.address, client.key, name) as own:
        await own.ok("POST", "/v1/buckets", {"bucket_name": "b"})
        stored = await own.create("b", {"metadata": {"n": 1}})
        project = f"/api/v1/projects/{name}"
        for path, item in (
            ("models/spaces", {"space": "sp"}),
            (
                "models/containers",
                {
                    "space": "sp",
                    "externalId": "c",
                    "usedFor": "record",
                    "properties": {"n": {"type": {"type": "int64"}}},
                },
            ),
            ("streams", {"externalId": "s", "settings": {"template": {"name": "MutableTestStream"}}}),
        ):
            status, answer = await own.call("POST", f"{project}/{path}", {"items": [item]})
            assert status in (200, 201), answer
        status, answer = await own.call("POST", f"{project}/streams/s/records", {"items": [_record("r1")]})
        assert status == 202, answer
        pattern = f"tally-*{made['namespace_id']}*"
        yield own, pattern, stored["object_id"]
        for block in ("read_only_allow_delete", "read_only", "write", "read", "metadata"):
            await opensearch.put(f"/{pattern}/_settings", json={f"index.blocks.{block}": None})
        await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)


def _record(id: str) -> Json:
    source = {"type": "container", "space": "sp", "externalId": "c"}
    return {"space": "sp", "externalId": id, "sources": [{"source": source, "properties": {"n": 1}}]}


async def block(opensearch: aiohttp.ClientSession, pattern: str, name: str) -> None:
    # OpenSearch takes the block of a full disk away by itself, twice a minute, where the disk is not full.
    async with opensearch.put(f"/{pattern}/_settings", json={f"index.blocks.{name}": True}) as answer:
        assert answer.status == 200, await answer.text()


def writes(own: Client, id: str) -> list[tuple[str, str, Json]]:
    objects, project = "/v1/buckets/b/objects", f"/api/v1/projects/{own.namespace}"
    return [
        ("POST", objects, {"metadata": {"n": 2}}),
        ("POST", f"{objects}/create", {"metadata": {"n": 2}}),
        ("POST", f"{objects}/batch", {"objects": [{"metadata": {"n": 2}}]}),
        ("POST", f"{objects}/batch", [{"metadata": {"n": 2}}] * 3),
        ("POST", f"{objects}/import", {"metadata": {"n": 2}}),
        ("PATCH", f"{objects}/{id}", {"metadata": {"n": 3}}),
        ("DELETE", f"{objects}/{id}", None),
        ("POST", f"{project}/streams/s/records", {"items": [_record("r2")]}),
        ("POST", f"{project}/streams/s/records/upsert", {"items": [_record("r1")]}),
        (
            "POST",
            f"{project}/streams/s/records/delete",
            {"items": [{"space": "sp", "externalId": "r1"}]},
        ),
    ]


def message(answer: Json) -> str:
    return str(answer["error"]["message"])


async def test_a_full_disk_is_a_507_with_its_cause(
    home: tuple[Client, str, str], opensearch: aiohttp.ClientSession
) -> None:
    own, pattern, id = home
    failed = []
    for method, path, body in writes(own, id):
        await block(opensearch, pattern, "read_only_allow_delete")
        status, text, headers = await own.send(method, path, body)
        if status != 507 or "disk of OpenSearch is full" not in text or int(headers["Retry-After"]) < 1:
            failed.append((method, path, status, text))
        elif not path.startswith("/api/"):
            assert json.loads(text)["error"]["type"] == "InsufficientStorageError"
        else:
            assert json.loads(text)["error"]["code"] == 507
    assert failed == []
    assert (await own.ok("GET", f"/v1/buckets/b/objects/{id}"))["metadata"] == {"n": 1}
    assert (await own.ok("POST", "/v1/buckets/b/objects/list", {}))["total_count"] == 1
    await block(opensearch, pattern, "read_only_allow_delete")
    ready = await own.ok("GET", "/readyz")
    assert ready["status"] == "ready", "everything can be read"
    assert ready["writes"].startswith("blocked: the disk of OpenSearch is full")
    assert (await scraped(own))["tally_opensearch_write_blocked", ()] == 1
    async with opensearch.put(f"/{pattern}/_settings", json={"index.blocks.read_only_allow_delete": None}):
        pass
    assert await own.ok("GET", "/readyz") == {"status": "ready"}
    assert (await scraped(own))["tally_opensearch_write_blocked", ()] == 0
    await own.create("b", {"metadata": {"n": 2}})


@pytest.mark.parametrize("name", ["write", "read_only"])
async def test_what_an_operator_blocked_is_a_503_that_names_the_setting(
    home: tuple[Client, str, str], opensearch: aiohttp.ClientSession, name: str
) -> None:
    own, pattern, id = home
    await block(opensearch, pattern, name)
    for method, path, body in writes(own, id):
        status, answer = await own.call(method, path, body)
        assert status == 503, (method, path, answer)
        assert f"index.blocks.{name}" in message(answer), (method, path, answer)
    assert (await own.ok("POST", "/v1/buckets/b/objects/list", {}))["total_count"] == 1
    ready = await own.ok("GET", "/readyz")
    assert f"index.blocks.{name}" in ready["writes"]


_AGGREGATE = {"group_by": [{"field": "metadata.n"}], "aggregations": [{"function": "count", "alias": "n"}]}


async def test_blocked_reads_are_a_503_that_names_the_setting(
    home: tuple[Client, str, str], opensearch: aiohttp.ClientSession
) -> None:
    own, pattern, id = home
    await block(opensearch, pattern, "read")
    project = f"/api/v1/projects/{own.namespace}/streams/s/records"
    for method, path, body in (
        ("POST", "/v1/buckets/b/objects/list", {}),
        ("GET", f"/v1/buckets/b/objects/{id}", None),
        ("POST", "/v1/buckets/b/objects/aggregate", _AGGREGATE),
        ("POST", f"{project}/filter", {}),
        ("POST", f"{project}/aggregate", {"aggregates": {"n": {"count": {}}}}),
        ("POST", f"{project}/delete", {"items": [{"space": "sp", "externalId": "r1"}]}),
    ):
        status, answer = await own.call(method, path, body)
        assert status == 503, (method, path, answer)
        assert "index.blocks.read" in message(answer), (method, path, answer)
    assert await own.ok("GET", "/readyz") == {"status": "ready"}, "nothing is wrong with writing"


@pytest.mark.parametrize(
    ("setting", "status", "words"),
    [
        ("cluster.blocks.read_only", 503, "cluster.blocks.read_only)"),
        ("cluster.blocks.read_only_allow_delete", 503, "cluster.blocks.read_only_allow_delete)"),
        ("cluster.blocks.create_index", 507, "cluster.blocks.create_index"),
    ],
)
async def test_blocks_of_the_whole_cluster(
    client: Client, opensearch: aiohttp.ClientSession, setting: str, status: int, words: str
) -> None:
    try:
        await opensearch.put("/_cluster/settings", json={"transient": {setting: True}})
        body = {"namespace_name": f"none-{os.urandom(4).hex()}"}
        found, answer = await client.call("POST", "/v1/namespaces", body, namespace=None)
        ready = await client.ok("GET", "/readyz")
    finally:
        await opensearch.put("/_cluster/settings", json={"transient": {setting: None}})
    assert (found, words in message(answer)) == (status, True), answer
    assert words.strip(")") in ready["writes"]
    assert await client.ok("GET", "/readyz") == {"status": "ready"}


async def test_a_closed_index_is_told_as_closed(
    home: tuple[Client, str, str], opensearch: aiohttp.ClientSession
) -> None:
    own, pattern, id = home
    async with opensearch.post(f"/{pattern}/_close") as closed:
        assert closed.status == 200
    try:
        for method, path, body in (writes(own, id)[0], ("POST", "/v1/buckets/b/objects/list", {})):
            status, answer = await own.call(method, path, body)
            assert (status, "closed the index" in message(answer)) == (503, True), answer
    finally:
        await opensearch.post(f"/{pattern}/_open?wait_for_active_shards=all")


async def test_no_space_left_on_the_device_is_a_full_disk() -> None:
    """What Lucene says when not even the flood stage came in time."""
    from opensearchpy import TransportError

    from service.storage.failures import translated

    cause = {"type": "i_o_exception", "reason": "No space left on device"}
    for info in (
        {"error": {"type": "exception", "reason": "failed", "root_cause": [cause]}},
        {"error": {"type": "translog_exception", "reason": "operation", "caused_by": cause}},
        {"failures": [{"index": "x", "cause": cause, "status": 500}]},
    ):
        error = translated(TransportError(500, "exception", info))
        assert isinstance(error, InsufficientStorage)
        assert isinstance(error, TallyError)
        assert "disk" in error.message


# A batch in which every object fails


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("bad", [7, {"status": 1}, {"object_id": 5}, [], None])
async def test_a_batch_in_which_everything_fails_is_a_422_with_the_same_body(
    client: Client, bucket: str, bare: bool, bad: Json
) -> None:
    def body(objects: list[Json]) -> Json:
        return objects if bare else {"objects": objects}

    path = f"/v1/buckets/{bucket}/objects/batch"
    status, answer = await client.call("POST", path, body([bad, bad]))
    assert status == 422, answer
    assert list(answer) == ["succeeded", "failed", "total_requested", "succeeded_count", "failed_count"]
    assert [answer[each] for each in ("succeeded", "total_requested", "succeeded_count", "failed_count")] == [
        [],
        2,
        0,
        2,
    ]
    assert [each["object_index"] for each in answer["failed"]] == [0, 1]
    status, mixed = await client.call("POST", path, body([bad, {"metadata": {"n": 1}}]))
    assert (status, mixed["succeeded_count"], mixed["failed_count"]) == (200, 1, 1)
    assert mixed["failed"] == answer["failed"][:1]
    assert (await client.call("POST", path, body([])))[0] == 200, "nothing failed"


async def test_a_batch_of_duplicates_is_a_422(client: Client) -> None:
    name = f"unique-{os.urandom(4).hex()}"
    await client.ok(
        "POST", "/v1/buckets", {"bucket_name": name, "unique_key": {"fields": ["sku"], "default_policy": "insert"}}
    )
    path = f"/v1/buckets/{name}/objects/batch"
    await client.ok("POST", path, {"objects": [{"sku": "a"}]})
    status, answer = await client.call("POST", path, {"objects": [{"sku": "a"}]})
    assert (status, answer["failed"][0]["error_type"]) == (422, "AlreadyExistsError"), answer
    await client.ok("DELETE", f"/v1/buckets/{name}")
