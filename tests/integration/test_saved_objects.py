"""`tally dashboards`: what it writes has the form that OpenSearch Dashboards imports, and finds the documents.

Dashboards itself is not run here. The form is checked against what its sources declare (the attributes in the mappings
of each type, how references are named); every search and aggregation is run on a real OpenSearch.
"""

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from itertools import combinations
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from jsonschema import Draft202012Validator

from service.cli.dashboards import TallyClient, saved_objects
from tests.conftest import KEY, ROOT
from tests.integration.test_inspecting import filled, stream
from tests.support.client import Client

Json = Any

TEXT = {"type": "string"}
META = {
    "type": "object",
    "properties": {"searchSourceJSON": TEXT},
    "required": ["searchSourceJSON"],
    "additionalProperties": False,
}
ATTRIBUTES: dict[str, tuple[Json, Sequence[str]]] = {
    "index-pattern": ({"title": TEXT, "timeFieldName": TEXT}, ["title", "timeFieldName"]),
    "search": (
        {
            "title": TEXT,
            "description": TEXT,
            "hits": {"type": "integer"},
            "columns": {"type": "array", "items": TEXT},
            "sort": {"type": "array", "items": {"type": "array", "prefixItems": [TEXT, {"enum": ["asc", "desc"]}]}},
            "version": {"type": "integer"},
            "kibanaSavedObjectMeta": META,
        },
        ["title", "columns", "sort", "kibanaSavedObjectMeta"],
    ),
    "visualization": (
        {
            "title": TEXT,
            "description": TEXT,
            "uiStateJSON": TEXT,
            "visState": TEXT,
            "version": {"type": "integer"},
            "kibanaSavedObjectMeta": META,
        },
        ["title", "visState", "uiStateJSON", "kibanaSavedObjectMeta"],
    ),
    "dashboard": (
        {
            "title": TEXT,
            "description": TEXT,
            "hits": {"type": "integer"},
            "panelsJSON": TEXT,
            "optionsJSON": TEXT,
            "timeRestore": {"type": "boolean"},
            "timeFrom": TEXT,
            "timeTo": TEXT,
            "version": {"type": "integer"},
            "kibanaSavedObjectMeta": META,
        },
        ["title", "panelsJSON", "optionsJSON", "kibanaSavedObjectMeta"],
    ),
}
"""Of each type the attributes that its mapping has (a `strict` one refuses others), and those that must be there."""

MIGRATIONS = {"index-pattern": "7.6.0", "search": "7.9.3", "visualization": "7.10.0", "dashboard": "7.9.3"}
REFERENCE = {
    "type": "object",
    "properties": {"name": TEXT, "type": TEXT, "id": TEXT},
    "required": ["name", "type", "id"],
    "additionalProperties": False,
}


def schema(type: str) -> Json:
    attributes, required = ATTRIBUTES[type]
    shape = {"type": "object", "properties": attributes, "required": required, "additionalProperties": False}
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string", "minLength": 1},
            "type": {"const": type},
            "attributes": shape,
            "references": {"type": "array", "items": REFERENCE},
            "migrationVersion": {"const": {type: MIGRATIONS[type]}},
        },
        "required": ["id", "type", "attributes", "references", "migrationVersion"],
        "additionalProperties": False,
    }


def check(objects: Sequence[Json]) -> None:
    """The form of all of them, and that they are of one piece."""
    for each in objects:
        Draft202012Validator(schema(each["type"])).validate(each)
    types = [each["type"] for each in objects]
    assert types.count("index-pattern") == types.count("search") == types.count("dashboard") == 1
    assert 4 <= types.count("visualization") <= 6
    ids = {(each["type"], each["id"]) for each in objects}
    assert len(ids) == len(objects)
    known: set[tuple[str, str]] = set()
    for each in objects:
        assert {(to["type"], to["id"]) for to in each["references"]} <= known, "referred to before it is there"
        names = [to["name"] for to in each["references"]]
        assert len(names) == len(set(names))
        assert set(names) == named(each), "each reference is used, and each that is used is there"
        known.add((each["type"], each["id"]))
    (board,) = (each for each in objects if each["type"] == "dashboard")
    panels = json.loads(board["attributes"]["panelsJSON"])
    assert {(to["type"], to["id"]) for to in board["references"]} == {
        place for place in ids if place[0] in ("visualization", "search")
    }
    assert len({panel["panelIndex"] for panel in panels}) == len(panels)
    for panel in panels:
        grid = panel["gridData"]
        assert grid["i"] == panel["panelIndex"]
        assert 0 <= grid["x"] < grid["x"] + grid["w"] <= 48
        assert grid["h"] > 0
    for one, other in combinations([panel["gridData"] for panel in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"], (one, other)


def named(each: Json) -> set[str]:
    """The references that an object's JSON texts use."""
    if each["type"] == "dashboard":
        return {panel["panelRefName"] for panel in json.loads(each["attributes"]["panelsJSON"])}
    if each["type"] == "index-pattern":
        return set()
    source = source_of(each)
    return {source["indexRefName"], *(each["meta"]["indexRefName"] for each in source["filter"])}


def source_of(each: Json) -> Json:
    return json.loads(each["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])


# What Dashboards asks OpenSearch for a visualization, as far as these use it.

CALENDAR = {"m": "1m", "h": "1h", "d": "1d", "w": "1w", "M": "1M", "y": "1y"}


def aggregation(agg: Json) -> Json:
    params = agg["params"]
    field = {"field": params["field"]}
    match agg["type"]:
        case "date_histogram" if params["interval"] == "auto":
            return {"auto_date_histogram": {**field, "buckets": 50}}
        case "date_histogram":
            unit = {"calendar_interval": CALENDAR[params["interval"]]}
            return {"date_histogram": {**field, **unit, "min_doc_count": params["min_doc_count"]}}
        case "histogram":
            return {"histogram": {**field, "interval": params["interval"]}}
        case "terms":
            assert params["orderBy"] == "1"
            return {"terms": {**field, "size": params["size"], "order": {"_count": params["order"]}}}
        case "percentiles":
            return {"percentiles": {**field, "percents": params["percents"]}}
        case "sum":
            return {"sum": field}
    raise AssertionError(agg)


def body_of(objects: Sequence[Json], each: Json) -> Json:
    """The request: its filters, the dashboard's time, its aggregations."""
    (board,) = (other for other in objects if other["type"] == "dashboard")
    (pattern,) = (other for other in objects if other["type"] == "index-pattern")
    source = source_of(each)
    assert source["query"] == {"query": "", "language": "kuery"}
    span = {"gte": board["attributes"]["timeFrom"], "lte": board["attributes"]["timeTo"]}
    filters = [{"range": {pattern["attributes"]["timeFieldName"]: span}}, *(one["query"] for one in source["filter"])]
    body: Json = {"size": 0, "track_total_hits": True, "query": {"bool": {"filter": filters}}}
    if each["type"] == "search":
        return {**body, "size": 3, "sort": [{field: way} for field, way in each["attributes"]["sort"]]}
    aggs = json.loads(each["attributes"]["visState"])["aggs"]
    assert [agg["id"] for agg in aggs] == [str(number + 1) for number in range(len(aggs))]
    return {**body, "aggs": {agg["id"]: aggregation(agg) for agg in aggs if agg["type"] != "count"}}


@pytest.fixture(scope="module")
async def opensearch(opensearch_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(opensearch_url, raise_for_status=True) as session:
        yield session


@pytest.fixture
async def space(client: Client) -> AsyncIterator[str]:
    name = f"Pictured-{os.urandom(4).hex()}"
    await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    yield name
    await client.call("DELETE", f"/v1/namespaces/{name}", namespace=None)


async def made(
    address: str, namespace: str, *, bucket: str | None = None, of: str | None = None, title: str | None = None
) -> list[Json]:
    async with TallyClient(address, KEY) as tally:
        facts = await (tally.of_records(namespace, of, title) if of else tally.of_objects(namespace, bucket, title))
    objects: list[Json] = saved_objects(facts)
    check(objects)
    return objects


async def found(opensearch: aiohttp.ClientSession, objects: Sequence[Json], each: Json) -> Json:
    pattern = objects[0]["attributes"]["title"].replace("+", "%2B")
    async with opensearch.post(f"/{pattern}/_search", json=body_of(objects, each)) as response:
        return await response.json()


async def fields(opensearch: aiohttp.ClientSession, objects: Sequence[Json]) -> dict[str, Json]:
    """What Dashboards would list for the index pattern."""
    pattern = objects[0]["attributes"]["title"].replace("+", "%2B")
    async with opensearch.get(f"/{pattern}/_field_caps?fields=*") as response:
        caps = (await response.json())["fields"]
    return {name: next(iter(kinds.values())) for name, kinds in caps.items()}


def slots(objects: Sequence[Json]) -> list[tuple[str, str | None]]:
    """(kind of aggregation, field) of each visualization."""
    states = [json.loads(each["attributes"]["visState"]) for each in objects if each["type"] == "visualization"]
    return [(state["aggs"][-1]["type"], state["aggs"][-1]["params"].get("field")) for state in states]


ORDERS: Sequence[Json] = [
    {
        "metadata": {
            "sku": f"sku-{number}",
            "color": ["red", "green", "blue"][number % 3],
            "express": number % 4 == 0,
            "price": number * 1.25,
            "year": 2024,
            "at": f"2024-0{1 + number % 9}-01T10:00:00Z",
            **({"rare": "x"} if not number else {}),
        }
    }
    for number in range(60)
]


async def answers(opensearch: aiohttp.ClientSession, objects: Sequence[Json], documents: int) -> None:
    """Every search finds all the documents, and every aggregation has them."""
    caps = await fields(opensearch, objects)
    assert caps[objects[0]["attributes"]["timeFieldName"]]["type"] == "date"
    for each in objects:
        if each["type"] not in ("search", "visualization"):
            continue
        answer = await found(opensearch, objects, each)
        assert answer["hits"]["total"]["value"] == documents, each["attributes"]["title"]
        if each["type"] == "search":
            assert len(answer["hits"]["hits"]) == min(3, documents)
            assert set(each["attributes"]["columns"]) <= caps.keys()
            continue
        for agg in json.loads(each["attributes"]["visState"])["aggs"]:
            if agg["type"] == "count":
                continue
            assert caps[agg["params"]["field"]]["aggregatable"], agg
            told = answer["aggregations"][agg["id"]]
            if "buckets" in told:
                counted = sum(bucket["doc_count"] for bucket in told["buckets"])
                assert counted + told.get("sum_other_doc_count", 0) == documents, agg
                assert len(told["buckets"]) <= 110
            elif agg["type"] == "percentiles":
                assert all(value is not None for value in told["values"].values())
            else:
                assert told["value"] is not None


async def test_a_namespace(client: Client, address: str, opensearch: aiohttp.ClientSession, space: str) -> None:
    await filled(client, space, "orders", ORDERS)
    objects = await made(address, space)
    small = "".join(f"+{letter.lower()}" if letter.isupper() else letter for letter in space)
    assert objects[0]["attributes"] == {"title": f"tally-objects.{small}", "timeFieldName": "@timestamp"}
    assert slots(objects) == [
        ("count", None),
        ("date_histogram", "@timestamp"),
        ("date_histogram", "metadata.at@date"),
        ("terms", "metadata.color"),
        ("terms", "metadata.express"),
        ("histogram", "metadata.price"),
    ]
    columns = objects[1]["attributes"]["columns"]
    assert {"metadata.color", "metadata.price", "metadata.sku"} <= set(columns)
    assert not {"metadata.rare", "metadata.year"} & set(columns)
    await answers(opensearch, objects, len(ORDERS))
    assert objects[-1]["attributes"]["title"] == space
    assert (await made(address, space, title="Shop"))[-1]["attributes"]["title"] == "Shop"


async def test_one_bucket_of_several(
    client: Client, address: str, opensearch: aiohttp.ClientSession, space: str
) -> None:
    """They share an index: a filter keeps them apart, and there is one only if a bucket is named."""
    await filled(client, space, "orders", ORDERS)
    await filled(client, space, "others", [{"metadata": {"color": 7, "other": "theirs"}}] * 5)
    bucket = (await client.ok("GET", "/v1/buckets/orders", namespace=space))["bucket_id"]
    whole = await made(address, space)
    assert all(source_of(each)["filter"] == [] for each in whole if each["type"] in ("search", "visualization"))
    assert ("terms", "bucket_id") in slots(whole)
    one = await made(address, space, bucket="orders")
    for each in one:
        if each["type"] in ("search", "visualization"):
            (only,) = source_of(each)["filter"]
            assert only["query"] == {"match_phrase": {"bucket_id": bucket}}
    assert "metadata.other" not in json.dumps(one)
    await answers(opensearch, one, len(ORDERS))
    for each in whole:
        if each["type"] in ("search", "visualization"):
            assert (await found(opensearch, whole, each))["hits"]["total"]["value"] == len(ORDERS) + 5
    assert whole[0] == one[0], "one index, one index pattern"
    assert not {each["id"] for each in whole[1:]} & {each["id"] for each in one[1:]}


async def test_nothing_but_what_the_service_sets(
    client: Client, address: str, opensearch: aiohttp.ClientSession, space: str
) -> None:
    empty = await made(address, space)
    assert slots(empty) == [
        ("count", None),
        ("date_histogram", "@timestamp"),
        ("terms", "status"),
        ("sum", "@size_bytes"),
    ]
    await filled(client, space, "bare", [{}, {}])
    await answers(opensearch, await made(address, space), 2)


async def test_a_stream(client: Client, address: str, opensearch: aiohttp.ClientSession, space: str) -> None:
    await stream(client, space, "s", records=3)
    await client.send(
        "POST", f"/api/v1/projects/{space}/streams/s/records/upsert?refresh=wait_for", readings(20), namespace=None
    )
    objects = await made(address, space, of="s")
    small = "".join(f"+{letter.lower()}" if letter.isupper() else letter for letter in space)
    assert objects[0]["attributes"]["title"] == f"tally-records.{small}.s"
    assert slots(objects)[:4] == [
        ("count", None),
        ("date_histogram", "@timestamp"),
        ("date_histogram", "s/things/at"),
        ("terms", "s/things/name"),
    ]
    await answers(opensearch, objects, 20)


def readings(number: int) -> Json:
    """Records that replace those that `stream` made, and more."""
    source = {"type": "container", "space": "s", "externalId": "things"}
    return {
        "items": [
            {
                "space": "s",
                "externalId": f"r{each}",
                "sources": [
                    {
                        "source": source,
                        "properties": {
                            "name": f"n{each % 3}",
                            "sizes": [each, each + 0.5],
                            "at": f"2024-01-{1 + each:02}T00:00:00Z",
                        },
                    }
                ],
            }
            for each in range(number)
        ]
    }


async def test_again_gives_the_same_ids(client: Client, address: str, space: str) -> None:
    """So an import replaces what an earlier one brought; also when the namespace is called otherwise meanwhile."""
    await filled(client, space, "orders", ORDERS)
    first = await made(address, space)
    assert await made(address, space) == first
    await client.ok("PATCH", f"/v1/namespaces/{space}", {"namespace_name": f"{space}-2"}, namespace=None)
    renamed = await made(address, f"{space}-2")
    assert [each["id"] for each in renamed] == [each["id"] for each in first]
    assert renamed[0]["attributes"]["title"].endswith("-2")
    await client.ok("PATCH", f"/v1/namespaces/{space}-2", {"namespace_name": space}, namespace=None)


# The command


async def command(address: str, *arguments: str, **settings: str) -> tuple[int, bytes, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service", "dashboards", *arguments, "--tally", address),
        cwd=ROOT,
        env={**environment, "TALLY_API_KEY": KEY, "COLUMNS": "500", **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out, err.decode()


class Dashboards:
    """Takes imports as OpenSearch Dashboards does, and keeps them."""

    def __init__(self) -> None:
        self.requests: list[Json] = []
        self.answer: Json = None
        self.status = 200

    async def take(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        lines = [json.loads(line) for line in file.file.read().splitlines()]
        self.requests.append(
            {
                "path": request.path_qs,
                "xsrf": request.headers.get("osd-xsrf"),
                "authorization": request.headers.get("Authorization"),
                "type": request.content_type,
                "fields": list(form),
                "filename": file.filename,
                "objects": lines,
            }
        )
        answer = self.answer or {"success": True, "successCount": len(lines)}
        return web.json_response(answer, status=self.status)


@pytest.fixture
async def board() -> AsyncIterator[tuple[Dashboards, str]]:
    dashboards = Dashboards()
    app = web.Application()
    app.router.add_post("/base/api/saved_objects/_import", dashboards.take)
    async with TestServer(app) as server:
        yield dashboards, str(server.make_url("/base/"))


async def test_the_command_writes(client: Client, address: str, space: str, tmp_path: Any) -> None:
    await filled(client, space, "orders", ORDERS)
    wanted = await made(address, space, bucket="orders")
    code, out, err = await command(address, space, "--bucket", "orders")
    assert (code, err) == (0, "")
    assert [json.loads(line) for line in out.splitlines()] == wanted
    file = tmp_path / "board.ndjson"
    code, told, _ = await command(address, space, "--bucket", "orders", "--out", str(file))
    assert (code, told.decode().strip()) == (0, f"{len(wanted)} saved objects written to {file}")
    assert file.read_bytes() == out


async def test_the_command_sends(client: Client, address: str, space: str, board: tuple[Dashboards, str]) -> None:
    await filled(client, space, "orders", ORDERS)
    dashboards, url = board
    user = {"TALLY_DASHBOARDS_PASSWORD": "pass:word"}
    code, out, err = await command(address, space, "--url", url, "--user", "admin", **user)
    wanted = await made(address, space)
    assert (code, out.decode().strip(), err) == (0, f"{len(wanted)} saved objects imported", "")
    (request,) = dashboards.requests
    assert request == {
        "path": "/base/api/saved_objects/_import?overwrite=true",
        "xsrf": "true",
        "authorization": "Basic " + base64.b64encode(b"admin:pass:word").decode(),
        "type": "multipart/form-data",
        "fields": ["file"],
        "filename": "tally.ndjson",
        "objects": wanted,
    }


async def test_what_dashboards_refuses_is_told_line_by_line(
    client: Client, address: str, space: str, board: tuple[Dashboards, str]
) -> None:
    dashboards, url = board
    dashboards.answer = {
        "success": False,
        "successCount": 4,
        "errors": [
            {"id": "a", "type": "search", "title": "A", "meta": {"title": "A"}, "error": {"type": "conflict"}},
            {
                "id": "b",
                "type": "dashboard",
                "meta": {"title": "B"},
                "error": {"type": "unknown", "message": "too large", "statusCode": 413},
            },
        ],
    }
    code, out, err = await command(address, space, "--url", url)
    assert (code, out.decode().strip()) == (1, "4 saved objects imported")
    assert err.splitlines() == ["search 'A': conflict", "dashboard 'B': unknown (message: too large; statusCode: 413)"]
    assert dashboards.requests[0]["authorization"] is None
    dashboards.status, dashboards.answer = 401, {"statusCode": 401, "message": "Authentication required"}
    code, out, err = await command(address, space, "--url", url)
    assert (code, out) == (1, b"")
    (line,) = err.splitlines()
    assert line.endswith("answered 401: Authentication required")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nobody",), 1, "Namespace not found: nobody"),
        (("default", "--bucket", "nobody"), 1, "Bucket not found: nobody"),
        (("default", "--stream", "nobody"), 1, "no stream 'nobody'"),
        (("default", "--bucket", "b", "--stream", "s"), 2, "one of them"),
        (("default", "--out", "x", "--url", "http://x"), 2, "one of them"),
        (("default", "--url", "http://x", "--user", "u"), 2, "TALLY_DASHBOARDS_PASSWORD"),
        (("default", "--url", "http://127.0.0.1:9"), 1, "127.0.0.1:9"),
    ],
)
async def test_what_is_wrong_is_one_line(address: str, arguments: tuple[str, ...], code: int, words: str) -> None:
    found, out, err = await command(address, *arguments)
    assert (found, out) == (code, b"")
    (line,) = err.splitlines()
    assert words in line


def test_the_check_finds_what_is_wrong() -> None:
    """It can fail."""
    good = {
        "id": "x",
        "type": "index-pattern",
        "attributes": {"title": "a", "timeFieldName": "@timestamp"},
        "references": [],
        "migrationVersion": {"index-pattern": "7.6.0"},
    }
    validator = Draft202012Validator(schema("index-pattern"))
    assert validator.is_valid(good)
    for wrong in (
        {"migrationVersion": {"index-pattern": "8.0.0"}},
        {"attributes": {"title": "a", "more": 1}},
        {"id": ""},
    ):
        assert not validator.is_valid({**good, **wrong})
    with pytest.raises(AssertionError):
        check([good])
