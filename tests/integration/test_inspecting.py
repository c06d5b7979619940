"""Looking into a namespace: its indices, and its fields with counts that a walk over the objects confirms."""

import asyncio
import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import aiohttp
import pytest

from service.serving import served
from service.settings import Settings
from tests.support.client import Client
from tests.support.generate import make_dataset

Json = Any

ODD: Sequence[Json] = [
    {"metadata": {"carrier": "UA", "n": 1, "when": "2024-05-01"}, "tags": ["a", "b"]},
    {"metadata": {"carrier": "ua", "n": 2.5, "when": "later"}, "tags": []},
    {"metadata": {"carrier": None, "n": "1", "a.b": True}, "tags": "a"},
    {"metadata": {"carrier": ["UA", None, 7], "n": 2**60, "when": "0001-01-01T00:00:00Z"}},
    {"metadata": {"carrier": {"code": "UA"}, "n": False, "items": [{"sku": "x"}, {"sku": None}, {}]}},
    {"metadata": {"items": [{}], "n": -0.0, "text": "long " * 4000}},
    {"metadata": {"items": [], "n": [[1], [2]]}, "key_prefix": "/A", "status": "active"},
    {
        "metadata": {"items": {"sku": ["y", "z"]}, "été": "ÉTÉ"},
        "blobs": [{"property": "p", "type": "text", "data": "d"}],
    },
    {},
]
OWN = ("object_id", "bucket_id", "key_prefix", "status", "created_at", "updated_at")
KINDS = {
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
    list: "array",
    dict: "object",
}


async def get(client: Client, path: str, namespace: Json = None, **query: Json) -> Json:
    text = "&".join(f"{name}={value}" for name, value in query.items())
    return await client.ok("GET", f"/v1/namespaces/{namespace or client.namespace}/{path}?{text}", namespace=None)


@pytest.fixture
async def space(client: Client) -> AsyncIterator[str]:
    """A namespace of its own."""
    name = f"Look-{os.urandom(4).hex()}"
    await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    yield name
    await client.call("DELETE", f"/v1/namespaces/{name}", namespace=None)


async def filled(client: Client, space: str, bucket: str, objects: Sequence[Json]) -> list[Json]:
    """A bucket with objects, as they are told."""
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": bucket}, namespace=space)
    path = f"/v1/buckets/{made['bucket_id']}/objects"
    stored = await client.ok("POST", f"{path}/batch", {"objects": list(objects)}, namespace=space)
    assert stored["failed_count"] == 0, stored["failed"]
    return list(stored["succeeded"])


def spelled(path: tuple[str, ...]) -> str:
    return ".".join(step.replace("\\", "\\\\").replace(".", "\\.") for step in path)


def walked(value: Json, path: tuple[str, ...], inside: bool = False) -> Iterator[tuple[str, str]]:
    """(path, JSON type) of everything in an object; an array in an array is one value."""
    if path:
        yield spelled(path), KINDS[type(value)]
    if isinstance(value, dict):
        for name, child in value.items():
            if (*path, name) != ("blobs", "data"):
                yield from walked(child, (*path, name), inside)
    elif isinstance(value, list):
        for item in value:
            if not isinstance(item, list):
                yield from walked(item, path, True)


def expected(objects: Sequence[Json]) -> dict[str, dict[str, int]]:
    """Path → JSON type → objects that have such a value there."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for each in objects:
        # What an answer says of blobs beyond what was sent is not stored.
        item = {
            **each,
            "blobs": [{k: v for k, v in blob.items() if k in ("property", "type", "data")} for blob in each["blobs"]],
        }
        for path, kind in set(walked(item, ())):
            counts[path][kind] += 1
    return {path: dict(kinds) for path, kinds in counts.items()}


def told(answer: Json) -> dict[str, dict[str, int]]:
    return {
        each["field"]: {kind["type"]: kind["count"] for kind in each["types"] if kind["count"]}
        for each in answer["results"]
    }


async def test_types_and_counts_are_those_of_the_objects(client: Client, space: str) -> None:
    stored = await filled(client, space, "odd", ODD)
    answer = await get(client, "fields", space)
    assert answer["objects"] == len(ODD)
    wanted = expected(stored)
    found = {path: kinds for path, kinds in told(answer).items() if not path.startswith("blobs.")}
    assert found == {path: kinds for path, kinds in wanted.items() if not path.startswith("blobs.")}
    for path in ("blobs.property", "blobs.type"):
        assert told(answer)[path] == wanted[path]
    assert "blobs.data" not in told(answer)
    assert answer["total_count"] == len(answer["results"]) == len({each["field"] for each in answer["results"]})


@pytest.mark.parametrize("seed", range(4))
async def test_generated_objects(client: Client, space: str, seed: int) -> None:
    """The same of the objects that the aggregates are proved with."""
    stored = await filled(client, space, "generated", make_dataset(random.Random(seed), "full")[:500])
    answer = await get(client, "fields", space, limit=500)
    wanted = expected(stored)
    found = {path: kinds for path, kinds in told(answer).items() if not path.startswith("blobs.")}
    assert found == {path: kinds for path, kinds in wanted.items() if not path.startswith("blobs.")}


async def test_a_count_is_what_exists_finds(client: Client, space: str) -> None:
    """Null, an empty array and an object count; so they do for `$exists`."""
    await filled(client, space, "odd", ODD)
    for each in (await get(client, "fields", space))["results"]:
        spec = {
            "filters": {each["field"]: {"$exists": True}},
            "aggregations": [{"function": "count", "alias": "n"}],
            "group_by": [{"field": "bucket_id"}],
        }
        rows = (await client.ok("POST", "/v1/buckets/odd/objects/aggregate", spec, namespace=space))["results"]
        assert each["count"] == (rows[0]["metrics"]["n"] if rows else 0), each
        assert each["share"] == each["count"] / len(ODD)


async def test_the_index_fields_are_those_that_dashboards_sees(client: Client, space: str, opensearch_url: str) -> None:
    """Every field that is named is mapped with its type and holds values; every mapped user field is named."""
    await filled(client, space, "odd", ODD)
    answer = await get(client, "fields", space)
    id = answer["namespace_id"]
    async with aiohttp.ClientSession(opensearch_url, raise_for_status=True) as opensearch:
        async with opensearch.get(f"/tally-objects-{id}/_field_caps?fields=*") as response:
            caps = {name: set(kinds) for name, kinds in (await response.json())["fields"].items()}
        lies = [
            (kind["count"], each)
            for field in answer["results"]
            for kind in field["types"]
            if kind["count"]
            for each in kind["index"]
        ]
        for count, each in lies:
            assert caps[each["name"]] == {each["type"]}, each
            query = (
                {"exists": {"field": each["name"]}} if "term" not in each else {"term": {each["name"]: each["term"]}}
            )
            async with opensearch.post(f"/tally-objects-{id}/_count", json={"query": query}) as response:
                found = (await response.json())["count"]
            if "term" in each:
                assert found == count, each
            elif each["name"].endswith("@json"):
                assert found >= count, "it holds whatever lies where an array lay before, too"
            else:
                assert 0 < found <= count, each
    named = {each["name"] for _, each in lies}
    own = {"@timestamp", "@arrival", "@position", "@size_bytes", "@blob_count", "@raw", "@idempotency_key"}
    mapped = {name for name, kinds in caps.items() if not name.startswith("_") and kinds != {"object"}}
    assert mapped - own == named


async def test_examples_ends_and_dates(client: Client, space: str) -> None:
    objects: list[Json] = [{"metadata": {"c": "UA", "d": 3.5, "long": 2**60, "text": "x" * 9_000}}] * 3
    objects += [{"metadata": {"c": "B6", "d": -2, "t": "2024-05-01T10:00:00Z"}}, {"metadata": {"c": 7, "t": "no date"}}]
    await filled(client, space, "b", objects)
    fields = {each["field"]: each for each in (await get(client, "fields", space, prefix="metadata."))["results"]}
    c = fields["metadata.c"]
    assert c["examples"][0] == {"value": "UA", "count": 3}
    assert sorted(map(json.dumps, c["examples"][1:])) == ['{"value": "B6", "count": 1}', '{"value": 7, "count": 1}']
    assert [kind["index"] for kind in c["types"] if kind["type"] == "number"] == [
        [{"name": "metadata.c@double", "type": "double"}]
    ]
    (number,) = fields["metadata.d"]["types"]
    assert (number["min"], number["max"]) == (-2, 3.5)
    (long,) = fields["metadata.long"]["types"]
    # A double rounds it, so no end is told; the example is exact.
    assert (long["min"], long["max"]) == (None, None)
    assert fields["metadata.long"]["examples"] == [{"value": 2**60, "count": 3}]
    (text,) = fields["metadata.t"]["types"]
    assert text["dates"] == {"count": 1, "min": "2024-05-01T10:00:00Z", "max": "2024-05-01T10:00:00Z"}
    assert fields["metadata.text"]["examples"] == [{"value": "x" * 100 + "…", "count": 3, "shortened": True}]


async def test_on_several_shards_nothing_inexact_is_told(settings: Settings) -> None:
    """Each shard tells its own most frequent values: counts and ends stay exact, an example's count is so or null."""
    words = [f"w{number % 97 * (number % 3)}" for number in range(1_500)]
    several = settings.model_copy(update={"shards": 4, "port": 0})
    async with served(several, "k") as address, Client(address, "k") as client:
        name = f"shards-{os.urandom(4).hex()}"
        await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
        await filled(client, name, "b", [{"metadata": {"word": word, "n": len(word)}} for word in words[:1_000]])
        await client.ok(
            "POST",
            "/v1/buckets/b/objects/batch",
            [{"metadata": {"word": each}} for each in words[1_000:]],
            namespace=name,
        )
        (index,) = (await get(client, "indices", name))["results"]
        fields = {each["field"]: each for each in (await get(client, "fields", name))["results"]}
        await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)
    assert (index["primary_shards"], index["documents"]) == (4, len(words))
    truth = Counter(words)
    told = fields["metadata.word"]
    assert (told["count"], told["share"]) == (len(words), 1)
    assert len(told["examples"]) == 5
    for example in told["examples"]:
        assert example["count"] in (None, truth[example["value"]]), example
        assert truth[example["value"]] > 0
    assert any(example["count"] is None for example in told["examples"]), "otherwise this shows nothing"
    numbers = fields["metadata.n"]
    assert (numbers["count"], numbers["share"]) == (1_000, 1_000 / 1_500)
    lengths = Counter(len(word) for word in words[:1_000])
    assert {each["value"]: each["count"] for each in numbers["examples"]} == dict(lengths)


async def test_pages_and_prefix(client: Client, space: str) -> None:
    await filled(client, space, "wide", [{"metadata": {f"f{number:03}": number for number in range(230)}}])
    whole = await get(client, "fields", space, limit=500)
    assert whole["total_count"] == len(whole["results"]) == 230 + len(("metadata", "blobs")) + len(OWN)
    for limit in (7, 100, len(whole["results"])):
        pages, path = [], f"/v1/namespaces/{space}/fields?limit={limit}"
        while path:
            page = await client.ok("GET", path, namespace=None)
            assert len(page["results"]) <= limit
            pages += page["results"]
            path = page["next_page"]
        assert pages == whole["results"], limit
    some = await get(client, "fields", space, prefix="metadata.f01")
    assert [each["field"] for each in some["results"]] == [f"metadata.f01{digit}" for digit in range(10)]
    assert some["total_count"] == 10
    cursor = (await get(client, "fields", space, limit=7))["next_cursor"]
    problems = await client.problems("GET", f"/v1/namespaces/{space}/fields?prefix=x&cursor={cursor}", namespace=None)
    assert [place for place, _ in problems] == [["query", "cursor"]]
    for limit_text in ("0", "501", "x", "1.5", "-1"):
        path = f"/v1/namespaces/{space}/fields?limit={limit_text}"
        ((place, message),) = await client.problems("GET", path, namespace=None)
        assert (place, limit_text in message) == (["query", "limit"], True)


async def test_buckets_of_one_index_are_kept_apart(client: Client, space: str) -> None:
    """Both lie in one index; what one has is not told of the other, nor is what is deleted or has expired."""
    await filled(client, space, "one", [{"metadata": {"shared": "secret-one", "only_one": 1}}] * 2)
    await filled(client, space, "two", [{"metadata": {"shared": 5}}] * 3)
    two = await get(client, "fields", space, bucket="two")
    text = json.dumps(two)
    assert "secret-one" not in text
    assert "only_one" not in text
    assert two["objects"] == 3
    shared = next(each for each in two["results"] if each["field"] == "metadata.shared")
    assert shared["types"] == [
        {
            "type": "number",
            "count": 3,
            "index": [{"name": "metadata.shared@double", "type": "double"}],
            "min": 5,
            "max": 5,
        }
    ]
    both = next(each for each in (await get(client, "fields", space))["results"] if each["field"] == "metadata.shared")
    assert (both["count"], {kind["type"]: kind["count"] for kind in both["types"]}) == (5, {"string": 2, "number": 3})
    task = (await client.ok("DELETE", "/v1/buckets/one", namespace=space))["task_id"]
    after = await get(client, "fields", space)
    assert "secret-one" not in json.dumps(after)
    assert after["objects"] == 3
    await client.task(task)


async def test_expired_objects_do_not_count(client: Client, space: str) -> None:
    await filled(client, space, "brief", [{"metadata": {"word": "gone-soon"}}])
    await client.ok("PATCH", "/v1/buckets/brief", {"ttl_seconds": 1}, namespace=space)
    for _ in range(60):
        answer = await get(client, "fields", space)
        if answer["objects"] == 0:
            break
        await asyncio.sleep(0.05)
    assert answer["objects"] == 0
    assert "gone-soon" not in json.dumps(answer)


async def test_no_answer_has_anything_of_another_namespace(client: Client, space: str) -> None:
    other = f"{space}-other"
    await client.ok("POST", "/v1/namespaces", {"namespace_name": other}, namespace=None)
    await filled(client, other, "theirs", [{"metadata": {"theirs": "their-value"}}])
    await stream(client, other, "their-stream")
    await filled(client, space, "mine", [{"metadata": {"mine": 1}}])
    await stream(client, space, "my-stream")
    id = (await client.ok("GET", f"/v1/namespaces/{other}", namespace=None))["namespace_id"]
    bucket = (await client.ok("GET", "/v1/buckets/theirs", namespace=other))["bucket_id"]
    for path in ("indices", "fields", "fields?prefix=metadata.", "fields?limit=3"):
        text = json.dumps(await client.ok("GET", f"/v1/namespaces/{space}/{path}", namespace=None))
        for theirs in ("their", id, bucket, other):
            assert theirs not in text, path
    for name in (bucket, "theirs"):
        status, answer = await client.call("GET", f"/v1/namespaces/{space}/fields?bucket={name}", namespace=None)
        assert (status, answer["error"]["details"]) == (404, {"resource": "Bucket", "id": name})
    cursor = (await get(client, "fields", other, limit=3))["next_cursor"]
    await client.problems("GET", f"/v1/namespaces/{space}/fields?limit=3&cursor={cursor}", namespace=None)
    await client.ok("DELETE", f"/v1/namespaces/{other}", namespace=None)


@pytest.mark.parametrize("path", ["indices", "fields"])
async def test_unknown_namespaces_and_strangers(client: Client, address: str, space: str, path: str) -> None:
    status, answer = await client.call("GET", f"/v1/namespaces/nobody/{path}", namespace=None)
    assert (status, answer["error"]["type"]) == (404, "NotFoundError")
    assert answer["error"]["details"] == {"resource": "Namespace", "id": "nobody"}
    await client.ok("DELETE", f"/v1/namespaces/{space}", namespace=None)
    assert (await client.call("GET", f"/v1/namespaces/{space}/{path}", namespace=None))[0] == 404
    async with Client(address, "wrong") as stranger:
        assert (await stranger.call("GET", f"/v1/namespaces/{client.namespace}/{path}"))[0] == 401


async def stream(client: Client, project: str, id: str, template: str = "MutableTestStream", records: int = 2) -> None:
    """A stream with records of a container with a property of each kind that matters here."""
    base = f"/api/v1/projects/{project}"
    space_name = id.replace("-", "_")
    properties = {
        "name": {"type": {"type": "text"}},
        "sizes": {"type": {"type": "float64", "list": True}},
        "notes": {"type": {"type": "json"}},
        "at": {"type": {"type": "timestamp"}},
    }
    container = {"space": space_name, "externalId": "things", "usedFor": "record", "properties": properties}
    source = {"type": "container", "space": space_name, "externalId": "things"}
    made = {"externalId": id, "settings": {"template": {"name": template}}}
    for path, items in (
        ("models/spaces", [{"space": space_name}]),
        ("models/containers", [container]),
        ("streams", [made]),
        (
            f"streams/{id}/records",
            [
                {
                    "space": space_name,
                    "externalId": f"r{number}",
                    "sources": [{"source": source, "properties": {"name": f"{id}-{number}", "sizes": [number]}}],
                }
                for number in range(records)
            ],
        ),
    ):
        status, text, _ = await client.send("POST", f"{base}/{path}", {"items": items}, namespace=None)
        assert status in (200, 201, 202), text


async def test_indices(client: Client, space: str, opensearch_url: str) -> None:
    """Numbers as OpenSearch's own statistics have them."""
    stored = await filled(client, space, "b", [{"metadata": {"n": number}} for number in range(5)])
    await client.send("DELETE", f"/v1/buckets/b/objects/{stored[0]['object_id']}", namespace=space)
    await stream(client, space, "live-one")
    await stream(client, space, "log", "ImmutableTestStream", 3)
    base = f"/api/v1/projects/{space}/streams"
    gone = {"items": [{"space": "live_one", "externalId": "r0"}]}
    await client.send("POST", f"{base}/live-one/records/delete", gone, namespace=None)
    answer = await get(client, "indices", space)
    names = [each["name"] for each in answer["results"]]
    assert names == sorted(names)
    assert answer["total_count"] == len(names)
    small = "".join(f"+{letter.lower()}" if letter.isupper() else letter for letter in space)
    holds = [(each["holds"], each.get("stream"), each["alias"], each["documents"]) for each in answer["results"]]
    assert holds == [
        ("objects", None, f"tally-objects.{small}", 4),
        ("tombstones", "live-one", None, 1),
        ("records", "live-one", f"tally-records.{small}.live-one", 1),
        ("records", "log", f"tally-records.{small}.log", 3),
    ]
    async with aiohttp.ClientSession(opensearch_url, raise_for_status=True) as opensearch:
        async with opensearch.get(f"/{','.join(names)}/_stats/docs,store") as response:
            stats = (await response.json())["indices"]
        async with opensearch.get(f"/{','.join(names)}/_settings?flat_settings=true") as response:
            settings = {name: each["settings"] for name, each in (await response.json()).items()}
    for each in answer["results"]:
        docs, store = stats[each["name"]]["primaries"]["docs"], stats[each["name"]]["total"]["store"]
        assert (each["documents"], each["deleted_documents"]) == (docs["count"], docs["deleted"])
        assert each["size_bytes"] == store["size_in_bytes"] > 0
        assert each["primary_size_bytes"] == stats[each["name"]]["primaries"]["store"]["size_in_bytes"]
        mine = settings[each["name"]]
        shards, replicas = int(mine["index.number_of_shards"]), int(mine["index.number_of_replicas"])
        assert (each["primary_shards"], each["replicas"]) == (shards, replicas)
        assert each["health"] in ("green", "yellow")
        assert each["created_at"].startswith("20")
        assert each["created_at"].endswith("Z")
    delete = await client.send("POST", f"{base}/delete", {"items": [{"externalId": "log"}]}, namespace=None)
    assert delete[0] == 200, delete
    again = {each["name"]: each for each in (await get(client, "indices", space))["results"]}
    assert {each["stream_status"] for each in again.values() if each.get("stream") == "log"} == {"DELETING"}
    assert {each["stream_status"] for each in again.values() if each.get("stream") == "live-one"} == {"ACTIVE"}


async def test_fields_of_records(client: Client, space: str) -> None:
    await stream(client, space, "s")
    await filled(client, space, "b", [{"metadata": {"n": 1}}])
    answer = await get(client, "fields", space)
    records: list[Mapping[str, Json]] = answer["records"]
    about = {"space": "s", "container": "things"}
    assert records == [
        {
            **about,
            "property": "at",
            "type": "timestamp",
            "list": False,
            "index": {"name": "s/things/at", "type": "date"},
        },
        {
            **about,
            "property": "name",
            "type": "text",
            "list": False,
            "index": {"name": "s/things/name", "type": "keyword"},
        },
        {**about, "property": "notes", "type": "json", "list": False, "index": None},
        {
            **about,
            "property": "sizes",
            "type": "float64",
            "list": True,
            "index": {"name": "s/things/sizes", "type": "double"},
        },
    ]
    assert (await get(client, "fields", space, bucket="b"))["records"] == []
    some = await get(client, "fields", space, prefix="s/things/n")
    assert [each["property"] for each in some["records"]] == ["name", "notes"]
    for limit in (1, 2, len(answer["results"]), len(answer["results"]) + 1):
        pages: list[Json] = []
        path = f"/v1/namespaces/{space}/fields?limit={limit}"
        while path:
            page = await client.ok("GET", path, namespace=None)
            assert len(page["results"]) + len(page["records"]) <= limit
            pages += [*page["results"], *page["records"]]
            path = page["next_page"]
        assert pages == [*answer["results"], *records]


async def test_too_many_buckets_for_one_answer(client: Client, space: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused with the way out, not told in part."""
    monkeypatch.setattr("service.inspection.use_cases._BUCKETS", 1)
    await filled(client, space, "one", [{"a": 1}])
    assert (await get(client, "fields", space))["objects"] == 1
    await filled(client, space, "two", [{"a": 1}])
    status, answer = await client.call("GET", f"/v1/namespaces/{space}/fields", namespace=None)
    assert (status, answer["error"]["details"]) == (400, {"limit": 1})
    assert "?bucket=" in answer["error"]["message"]
    assert (await get(client, "fields", space, bucket="two"))["objects"] == 1
