"""What a release leaves in OpenSearch, as files: recorded once, and put into a clean node by tests of later releases.

indices.json       name → aliases, mappings, settings
templates.json     route → name → body
documents.ndjson   one document a line: _index, _id, _source; of an index in the order of their writes
answers.ndjson     one question a line, and what the release answered
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from tests.conftest import ROOT
from tests.support.client import Client
from tests.support.records import TYPES, Project, container, record, source_of

Json = Any
DATA = ROOT / "tests/data"
NAMESPACE = "previous"
KEY = "sk_release_0123456789"
"""Cursors are sealed with it, so later releases have to have the same."""

_KINDS = {"_component_template": "component_templates", "_index_template": "index_templates"}
_OWN = ("uuid", "creation_date", "provided_name", "version")
"""Settings that OpenSearch makes itself."""

FLIGHTS: Sequence[Json] = [
    {"metadata": {"carrier": "UA", "delay": 12, "price": 99.5, "at": "2013-01-01T10:00:00Z", "tags": ["a", "b"]}},
    {"metadata": {"carrier": "AA", "delay": -3, "price": 120, "at": "2013-01-02T11:30:00+02:00", "tags": []}},
    {"metadata": {"carrier": "ua", "delay": None, "price": 0.1, "at": "2013-02-01", "tags": ["b"]}},
    {"metadata": {"carrier": "Été", "delay": 7, "price": 0.2, "legs": [{"to": "JFK", "miles": 700}, {"to": "EWR"}]}},
    {"metadata": {"carrier": None, "delay": "late", "price": 10, "legs": [{"to": "LGA", "miles": 1400}]}},
    {"metadata": {"carrier": "ÉTÉ", "delay": 7, "big": 9007199254740993, "open": True}, "status": "ACTIVE"},
    {"metadata": {"carrier": "AA", "big": 2, "open": False, "a.b": {"c/d": 1}}, "title": "root", "score": 1.5},
    {"metadata": {}, "blobs": [{"property": "video", "type": "video", "data": "s3://x/1.mp4"}], "key_prefix": "/x"},
]
"""Every type, mixed types, absent and null, arrays, objects in arrays, texts of both cases, an integer above 2^53."""

ORDERS: Sequence[Json] = [
    {"sku": f"s-{n}", "metadata": {"n": n, "half": n / 2, "group": f"g{n % 3}"}} for n in range(12)
]


def by(field: str, *aggregations: Json, **more: Json) -> Json:
    return {
        "group_by": [{"field": field, "alias": "key", **more.pop("key", {})}],
        "aggregations": [{"function": "count", "alias": "count"}, *aggregations],
        **more,
    }


AGGREGATES: Sequence[Json] = [
    by("metadata.carrier"),
    by("metadata.delay", {"function": "avg", "field": "metadata.price", "alias": "mean"}),
    by("metadata.tags"),
    by("metadata.at", key={"date_trunc": "month"}),
    by("metadata.open", {"function": "sum", "field": "metadata.big", "alias": "sum"}),
    by("status", {"function": "push", "field": "metadata.carrier", "alias": "all"}),
    by("metadata.a.b"),
    by("status", {"function": "median", "field": "metadata.price", "alias": "median"}),
    by("metadata.legs.to", {"function": "max", "field": "metadata.legs.miles", "alias": "most"}),
    by("metadata.carrier", filters={"field": "metadata.carrier", "operator": "text", "value": "É"}),
    by("metadata.group", having=[{"field": "count", "operator": "gt", "value": 3}], sort_by="count", limit=3),
    by("metadata.group", {"function": "stddev", "field": "metadata.half", "alias": "spread"}),
]
LISTS: Sequence[Json] = [
    {},
    {"filters": {"metadata.carrier": "ua"}, "sort": {"field": "metadata.price", "direction": "desc"}},
    {"filters": {"field": "metadata.carrier", "operator": "starts_with", "value": "É"}, "case_sensitive": True},
    {"filters": {"field": "metadata.delay", "operator": "exists", "value": True}, "sort": {"field": "metadata.delay"}},
    {"search": "été"},
    {"filters": {"blobs.type": "video"}},
    {"filters": {"metadata.n": {"$gte": 3}}, "limit": 4, "offset": 2, "select": ["metadata.half"]},
]
TREES: Sequence[Json] = [
    {
        "a": {
            "uniqueValues": {
                "property": ["s", "c", "text"],
                "aggregates": {"mean": {"avg": {"property": ["s", "c", "i32"]}}},
            }
        }
    },
    {"a": {"sum": {"property": ["s", "c", "i64"]}}, "b": {"max": {"property": ["s", "c", "time"]}}},
    {"a": {"numberHistogram": {"property": ["s", "c", "f64"], "interval": 1}}},
    {"a": {"timeHistogram": {"property": ["s", "c", "time"], "calendarInterval": "1M"}}},
    {"a": {"uniqueValues": {"property": ["s", "c", "texts"]}}, "b": {"count": {"property": ["s", "c", "flag"]}}},
]


def values_of(n: int) -> Json:
    """What a record holds; not every one holds everything."""
    values: dict[str, Json] = {
        "text": ("a", "B", "é")[n % 3],
        "flag": n % 2 == 0,
        "f32": 0.1,
        "f64": n / 4,
        "i32": n,
        "i64": 9007199254740993 + n,
        "time": f"2020-0{1 + n % 3}-01T00:00:00.123Z",
        "day": "2020-02-29",
        "json": {"n": [n]},
        "level": ("low", "high")[n % 2],
        "texts": ["x", f"y{n}"],
        "i64s": [n, n],
    }
    return {name: value for place, (name, value) in enumerate(values.items()) if (n + place) % 7}


@dataclass(frozen=True)
class Made:
    """Where what was made lies."""

    flights: str
    orders: str
    collection: str
    objects: Sequence[tuple[str, str]]
    """Bucket and object."""


async def make(client: Client) -> Made:
    """Puts everything into a running service, as users do."""
    await client.ok("POST", "/v1/namespaces", {"namespace_name": NAMESPACE, "description": "kept"}, namespace=None)
    client.namespace = NAMESPACE
    schema = {"properties": {"carrier": {"type": "string"}}}
    flights = await client.ok(
        "POST", "/v1/buckets", {"bucket_name": "flights", "bucket_schema": schema, "metadata": {"team": "Ärzte"}}
    )
    key = {"fields": ["sku"], "default_policy": "upsert"}
    orders = await client.ok("POST", "/v1/buckets", {"bucket_name": "orders", "unique_key": key})
    objects = []
    for bucket, items in ((flights["bucket_id"], FLIGHTS), (orders["bucket_id"], ORDERS)):
        answer = await client.batch(bucket, items)
        assert not answer["failed"], answer["failed"]
        objects += [(bucket, each["object_id"]) for each in answer["succeeded"]]
    place, id = objects[0]
    await client.ok("PATCH", f"/v1/buckets/{place}/objects/{id}", {"metadata": {"updated": "2024-02-30 no date"}})
    await client.ok("DELETE", f"/v1/buckets/{objects[-1][0]}/objects/{objects[-1][1]}")
    collection = await client.ok(
        "POST",
        "/v1/collections",
        {
            "collection_name": "late",
            "source": {"type": "bucket", "bucket_ids": [flights["bucket_id"]]},
            "source_filters": {"field": "metadata.delay", "operator": "gt", "value": 5},
        },
    )
    project = Project(client, NAMESPACE)
    await project.spaces("s", "other")
    await project.containers(container(TYPES), container({"v": {"type": "int64"}}, id="more"))
    live, log = await project.stream("live", "BasicLiveData"), await project.stream("log", "BasicArchive")
    for stream in (live, log):
        items = [record(f"r{n}", values_of(n), source_of({"v": n}, container="more")) for n in range(15)]
        await project.ingest(stream, *items)
    await project.upsert(live, record("r3", {"text": "changed"}))
    await project.delete(live, "r4", "r5")
    return Made(flights["bucket_id"], orders["bucket_id"], collection["collection_id"], objects[:-1])


def questions(made: Made, day: tuple[int, int]) -> Iterator[Json]:
    """Method, path and body of everything that is asked; `day`: when the records were stored, in epoch milliseconds."""
    yield "GET", f"/v1/namespaces/{NAMESPACE}", None
    yield "POST", "/v1/buckets/list", {"filters": {"metadata.team": "äRZTE"}}
    yield "POST", "/v1/buckets/list", {"sort": {"field": "bucket_name", "direction": "desc"}}
    yield "POST", "/v1/collections/list", {}
    yield "GET", f"/v1/collections/{made.collection}", None
    yield "POST", f"/v1/collections/{made.collection}/documents/aggregate", by("metadata.carrier")
    for bucket, id in made.objects:
        yield "GET", f"/v1/buckets/{bucket}/objects/{id}", None
    for bucket in (made.flights, made.orders):
        yield "GET", f"/v1/buckets/{bucket}", None
        for each in AGGREGATES:
            yield "POST", f"/v1/buckets/{bucket}/objects/aggregate", each
        for each in LISTS:
            yield "POST", f"/v1/buckets/{bucket}/objects/list", each
    api = f"/api/v1/projects/{NAMESPACE}"
    yield "GET", f"{api}/streams", None
    yield "GET", f"{api}/models/containers", None
    span = {"lastUpdatedTime": {"gte": day[0], "lt": day[1]}}
    for stream in ("live", "log"):
        records = f"{api}/streams/{stream}/records"
        some = {"filter": {"prefix": {"property": ["s", "c", "text"], "value": "a"}}}
        yield "POST", f"{records}/filter", {"limit": 1000, **span}
        yield "POST", f"{records}/filter", {**some, **span, "sort": [{"property": ["s", "c", "i32"]}]}
        for tree in TREES:
            yield "POST", f"{records}/aggregate", {"aggregates": tree, **span}
        yield "POST", f"{records}/sync", {"initializeCursor": "36500d-ago", "limit": 1000}


def lasting(answer: Json) -> Json:
    """What an answer says for ever: without cursors, costs and deletions, which are told for some weeks only."""
    if isinstance(answer, dict):
        passing = ("next_cursor", "nextCursor", "query_info")
        return {name: lasting(each) for name, each in answer.items() if name not in passing}
    if isinstance(answer, list):
        return [lasting(each) for each in answer if not (isinstance(each, dict) and each.get("status") == "deleted")]
    return answer


def lines(file: Path) -> list[Json]:
    return [orjson.loads(line) for line in file.read_bytes().splitlines()]


async def dump(url: str, folder: Path) -> None:
    """Everything of Tally's that lies in an OpenSearch, but no task and nothing that is being deleted."""
    async with aiohttp.ClientSession(url, raise_for_status=True) as session:

        async def get(path: str, body: Json = None) -> Json:
            async with session.get(path, json=body) as response:
                return orjson.loads(await response.read())

        indices = await get("/tally-*")
        for each in indices.values():
            each["settings"] = {name: v for name, v in each["settings"]["index"].items() if name not in _OWN}
        templates = {
            route: {each["name"]: each[kind.removesuffix("s")] for each in (await get(f"/{route}/tally-*"))[kind]}
            for route, kind in _KINDS.items()
        }
        documents: list[bytes] = []
        for index in sorted(indices):
            await get(f"/{index}/_refresh")
            found = await get(f"/{index}/_search", {"size": 10_000, "sort": ["_seq_no"]})
            documents += [
                orjson.dumps({n: hit[n] for n in ("_index", "_id", "_source")}) for hit in found["hits"]["hits"]
            ]
    (folder / "indices.json").write_bytes(_told(indices))
    (folder / "templates.json").write_bytes(_told(templates))
    (folder / "documents.ndjson").write_bytes(b"\n".join(documents) + b"\n")


def _told(value: Json) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


async def restore(url: str, folder: Path) -> None:
    """Puts what was dumped into a clean OpenSearch; the indices first, so that no template changes them."""
    indices: Mapping[str, Json] = orjson.loads((folder / "indices.json").read_bytes())
    templates: Mapping[str, Json] = orjson.loads((folder / "templates.json").read_bytes())
    async with aiohttp.ClientSession(url, raise_for_status=True) as session:
        for index, body in indices.items():
            await session.put(f"/{index}", json=body)
        for route, bodies in templates.items():
            for name, body in bodies.items():
                await session.put(f"/{route}/{name}", json=body)
        bulk = b"".join(
            orjson.dumps({"index": {"_index": each["_index"], "_id": each["_id"]}})
            + b"\n"
            + orjson.dumps(each["_source"])
            + b"\n"
            for each in lines(folder / "documents.ndjson")
        )
        headers = {"Content-Type": "application/x-ndjson"}
        async with session.post("/_bulk?refresh=true", data=bulk, headers=headers) as response:
            assert not (await response.json())["errors"]
