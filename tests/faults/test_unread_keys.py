"""What a request says is read, or refused: unknown keys, misspelt keys and wrong types, of every route.

The sweep is generated from the declared routes and their examples, so a new route is covered without a line here.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from service.web.inputs import JSON
from service.web.openapi import document
from service.web.route import Route
from tests.support.client import Client
from tests.support.contract import problem, validator
from tests.support.examples import Home, routes, told

Json = Any
Place = tuple[str | int, ...]

UNKNOWN = "zz_unknown"
LARGEST = 60
"""Mutations of one example that are sent."""


def objects_in(value: Json, place: Place = ()) -> Iterator[tuple[Place, dict[str, Json]]]:
    if isinstance(value, dict):
        yield place, value
        for name, each in value.items():
            yield from objects_in(each, (*place, name))
    elif isinstance(value, list):
        for number, each in enumerate(value[:2]):
            yield from objects_in(each, (*place, number))


def at(value: Json, place: Place) -> Json:
    for step in place:
        value = value[step]
    return value


def misspelt(name: str) -> str:
    return name[:-1] if len(name) > 3 else name + "x"


def wrong(value: Json) -> Json:
    """A value of another type."""
    return {"zz": []} if isinstance(value, str | int | float) or value is None else "zz-text"


def mutations(body: Json) -> Iterator[tuple[str, str, Json]]:
    """What was done, the key that it was done to, and the body with it."""
    for place, each in objects_in(body):
        for name in (UNKNOWN, *each):
            changed = copy.deepcopy(body)
            inner = at(changed, place)
            if name == UNKNOWN:
                inner[name] = 1
                yield f"unknown key at {place}", name, changed
                continue
            inner[misspelt(name)] = inner.pop(name)
            yield f"misspelt key at {place}", misspelt(name), changed
            changed = copy.deepcopy(body)
            at(changed, place)[name] = wrong(each[name])
            yield f"wrong type at {place}", name, changed


def documented(route: Route, body: Json) -> bool:
    """Whether the document allows such a body: what users may name as they like, such as an object's own fields."""
    place = ("paths", route.path, route.method, "requestBody", "content", JSON, "schema")
    return problem(validator(*place), body) is None


async def test_no_body_with_a_key_that_nobody_reads(client: Client) -> None:
    accepted, unnamed = [], []
    sent = 0
    async with Home.made(client) as home:
        for route in routes():
            operation = document()["paths"][route.path][route.method]
            if JSON not in operation.get("requestBody", {}).get("content", {}):
                continue
            for title, body in home.bodies(route):
                tried = [each for each in mutations(body) if not documented(route, each[2])][:LARGEST]
                for what, key, changed in tried:
                    status, text = await home.send(route, changed)
                    sent += 1
                    if not 400 <= status < 500:
                        accepted.append((route.id, title, what, key, status, text[:200]))
                    elif "key" in what and key not in text:
                        unnamed.append((route.id, title, what, key, text[:300]))
    assert accepted == []
    assert unnamed == []
    assert sent > 600


async def test_no_query_with_a_key_that_nobody_reads(client: Client) -> None:
    accepted = []
    async with Home.made(client) as home:
        for route in routes():
            _, body = next(home.bodies(route))
            operation = document()["paths"][route.path][route.method]
            known = [
                each["name"]
                for each in operation["parameters"]
                if each.get("in") == "query" and each["name"] != "metadata"
            ]
            queries = [f"?{UNKNOWN}=1", "?Limit=1", "?stauts=x", *(f"?{misspelt(name)}=1" for name in known)]
            queries += [f"?{name}=1&{name}=2" for name in known if name != "usedFor"]
            for query in queries:
                status, text = await home.send(route, body, query)
                if status not in (400, 422):
                    accepted.append((route.id, query, status, text[:200]))
    assert accepted == []


async def test_no_query_with_a_value_of_a_wrong_type(client: Client) -> None:
    accepted = []
    async with Home.made(client) as home:
        for route in routes():
            _, body = next(home.bodies(route))
            for each in document()["paths"][route.path][route.method]["parameters"]:
                schema = each.get("schema", {})
                if each.get("in") != "query" or (schema.get("type") == "string" and "enum" not in schema):
                    continue
                if each["name"] == "metadata":
                    continue
                status, text = await home.send(route, body, f"?{each['name']}=zz")
                if status not in (400, 422):
                    accepted.append((route.id, each["name"], status, text[:200]))
    assert accepted == []


async def test_a_body_that_nobody_reads_is_refused(client: Client) -> None:
    async with Home.made(client) as home:
        for route in routes():
            if route.body is None and route.raw_body is None and route.method in ("get", "delete"):
                status, text = await home.send(route, {"filters": {"metadata.x": 1}})
                assert status in (400, 422), (route.id, status, text[:200])


OBJECTS = "/v1/buckets/home/objects"
COUNT = {"group_by": [{"field": "metadata.tags"}], "aggregations": [{"function": "count", "alias": "n"}]}
LATE = {"field": "metadata.state", "operator": "ne", "value": "keep"}
CASES: list[tuple[str, str, Json, str, str | None]] = [
    ("POST", f"{OBJECTS}/aggregate", {**COUNT, "filter": {"metadata.x": 1}}, "filter", "filters"),
    ("POST", f"{OBJECTS}/aggregate", {**COUNT, "sortby": "n"}, "sortby", "sort_by"),
    ("POST", f"{OBJECTS}/aggregate", {**COUNT, "sortBy": "n"}, "sortBy", "sort_by"),
    ("POST", f"{OBJECTS}/aggregate", {**COUNT, "offset": 3}, "offset", None),
    ("POST", f"{OBJECTS}/aggregate", {**COUNT, "order": "asc"}, "order", None),
    ("POST", f"{OBJECTS}/aggregate", {**COUNT, "totals": True}, "totals", None),
    ("POST", f"{OBJECTS}/aggregate", {**COUNT, "rangeBuckets": []}, "rangeBuckets", "range_buckets"),
    ("POST", f"{OBJECTS}/aggregate", {**COUNT, "Limit": 3}, "Limit", "limit"),
    ("POST", f"{OBJECTS}/aggregate", {**COUNT, "group_by": [{"field": "a", "timezone": "Europe/Berlin"}]},
     "timezone", "time_zone"),
    ("POST", f"{OBJECTS}/aggregate", {**COUNT, "group_by": [{"field": "a", "dateTrunc": "day"}]},
     "dateTrunc", "date_trunc"),
    ("POST", f"{OBJECTS}/aggregate", {**COUNT, "group_by": [{"field": "a", "interval": "day"}]}, "interval", None),
    ("POST", f"{OBJECTS}/aggregate", {**COUNT, "aggregations": [{"function": "count", "alias": "n", "filter": {}}]},
     "filter", None),
    ("POST", f"{OBJECTS}/aggregate",
     {**COUNT, "aggregations": [{"function": "first", "field": "a", "alias": "n", "sort_by": "b"}]}, "sort_by", None),
    ("POST", f"{OBJECTS}/aggregate", {**COUNT, "having": [{"field": "n", "op": "gt", "operator": "gt", "value": 1}]},
     "op", "operator"),
    ("POST", f"{OBJECTS}/aggregate", {**COUNT, "range_buckets": [{"field": "a", "boundary": [1], "boundaries": [1]}]},
     "boundary", "boundaries"),
    ("POST", f"{OBJECTS}/list", {"filter": {"AND": []}}, "filter", "filters"),
    ("POST", f"{OBJECTS}/list", {"sort": {"field": "a", "order": "desc"}}, "order", None),
    ("POST", f"{OBJECTS}/export", {"filter": {}}, "filter", "filters"),
    ("POST", f"{OBJECTS}/delete", {"filters": {"metadata.x": 1}, "caseSensitive": True},
     "caseSensitive", "case_sensitive"),
    ("POST", f"{OBJECTS}/batch", {"objects": [], "polcy": "upsert"}, "polcy", None),
    ("POST", "/v1/buckets/list", {"filter": {}}, "filter", "filters"),
    ("POST", "/v1/buckets/create", {"bucket_name": "b", "ttl_second": 5}, "ttl_second", "ttl_seconds"),
    ("POST", "/v1/buckets", {"bucket_name": "b", "unique_keys": {"fields": ["a"]}}, "unique_keys", "unique_key"),
    ("POST", "/v1/buckets/create", {"bucket_name": "b", "unique_key": {"fields": ["a"], "policy": "upsert"}},
     "policy", None),
    ("POST", "/v1/buckets/create", {"bucket_name": "b", "bucket_schema": {"propertis": {}}},
     "propertis", "properties"),
    ("POST", "/v1/buckets/create",
     {"bucket_name": "b", "bucket_schema": {"properties": {"a": {"type": "string", "require": True}}}},
     "require", "required"),
    ("PUT", "/v1/buckets/home", {"descripton": "x"}, "descripton", "description"),
    ("POST", "/v1/collections", {"collection_name": "ccc", "source": {"type": "bucket", "bucket_ids": ["home"],
     "source_filter": {"filters": {}}}}, "source_filter", "source_filters"),
    ("POST", "/v1/collections", {"collection_name": "ccc", "source": {"type": "bucket", "bucket_ids": ["home"],
     "source_filters": {"filter": {}}}}, "filter", "filters"),
    ("PATCH", "/v1/collections/all", {"enable": False}, "enable", "enabled"),
    ("PATCH", "/v1/collections/all", {"feature_extractor": {"feature_extractor_name": "x", "input_mapings": {}}},
     "input_mapings", "input_mappings"),
    ("PATCH", "/v1/collections/all", {"feature_extractor": {"feature_extractor_name": "x",
     "field_passthrough": [{"source_path": "a", "targt_path": "b"}]}}, "targt_path", "target_path"),
    ("POST", "/v1/collections/all/documents/aggregate", {**COUNT, "filter": {}}, "filter", "filters"),
    ("POST", "/v1/namespaces", {"namespace_name": "nnn", "descripton": "x"}, "descripton", "description"),
    ("POST", "/v1/namespaces", {"namespace_name": "nnn", "feature_extractors": [{"feature_extractor_nme": "a"}]},
     "feature_extractor_nme", "feature_extractor_name"),
    ("POST", "/v1/namespaces", {"namespace_name": "nnn", "payload_indexes": [{"field_name": "a", "typ": "integer"}]},
     "typ", "type"),
]  # fmt: skip


async def test_a_misspelt_key_is_named_with_the_nearest_known_one(client: Client) -> None:
    async with Home.made(client) as home:
        for method, path, body, key, meant in CASES:
            status, text = await home.send_raw(method, path, body)
            assert status == 422, (path, body, status, text)
            errors = told(text)["details"]["validation_errors"]
            (error,) = [each for each in errors if each["location"][-1] == key]
            assert error["type"] == "extra_forbidden", error
            assert error["location"][0] == "body"
            assert (f"did you mean `{meant}`?" in error["message"]) == (meant is not None), error


UNSUPPORTED: list[tuple[str, str, Json, str]] = [
    ("POST", "/v1/buckets/create", {"bucket_name": "b", "source_adapter": {"type": "s3"}}, "source_adapter"),
    ("POST", "/v1/buckets/create", {"bucket_name": "b", "destination": {"bucket": "x"}}, "destination"),
    ("POST", "/v1/buckets", {"bucket_name": "b", "storage_class": "cold"}, "storage_class"),
    ("PATCH", "/v1/buckets/home", {"ingest_filter": {"a": 1}}, "ingest_filter"),
    ("POST", "/v1/namespaces", {"namespace_name": "nnn", "vector_configs": [{"name": "v"}]}, "vector_configs"),
    ("POST", "/v1/namespaces", {"namespace_name": "nnn", "trusted_issuers": [{}]}, "trusted_issuers"),
    ("POST", "/v1/namespaces", {"namespace_name": "nnn", "namespace_id": "ns_0123456789"}, "namespace_id"),
    ("POST", "/v1/collections", {"collection_name": "ccc", "source": {"type": "bucket", "bucket_ids": ["home"]},
     "retriever_transform": {"retriever_id": "r"}}, "retriever_transform"),
    ("POST", "/v1/collections", {"collection_name": "ccc", "source": {"type": "bucket", "bucket_ids": ["home"]},
     "schedule": {"cron": "0 0 * * *"}}, "schedule"),
    ("POST", "/v1/collections", {"collection_name": "ccc", "source": {"type": "bucket", "bucket_ids": ["home"],
     "field_map": {"a": []}}}, "field_map"),
    ("POST", "/v1/collections/list", {"include_system": True}, "include_system"),
    ("POST", f"{OBJECTS}/list", {"return_presigned_urls": True}, "return_presigned_urls"),
    ("POST", f"{OBJECTS}/create", {"blobs": [{"property": "a", "type": "text", "upload_id": "upl_1"}]}, "upload_id"),
    ("POST", f"{OBJECTS}/batch", {"objects": [{"blobs": [{"property": "a", "upload_id": "upl_1"}]}]}, "upload_id"),
    ("POST", f"{OBJECTS}/create", {"upload_id": "upl_1"}, "upload_id"),
    ("POST", OBJECTS, {"upload_id": "upl_1", "metadata": {"a": 1}}, "upload_id"),
]  # fmt: skip


async def test_what_the_vendor_documents_and_tally_does_not_do_is_refused_with_the_reason(client: Client) -> None:
    async with Home.made(client) as home:
        for method, path, body, key in UNSUPPORTED:
            status, text = await home.send_raw(method, path, body)
            assert status == 422, (path, body, status, text)
            assert key in text
            assert "not supported" in text, text


async def test_what_asks_for_nothing_is_accepted(client: Client) -> None:
    """A documented `description`, null for an optional key, and what the vendor's clients send by themselves."""
    async with Home.made(client) as home:
        one = {"alias": "n", "function": "count", "field": None, "distinct_field": None, "percent": None}
        spec = {**COUNT, "aggregations": [one], "description": "read by people", "filters": None,
                "having": None, "unwind": None, "range_buckets": None, "sort_by": None, "limit": None,
                "sort_direction": None}  # fmt: skip
        await home.ok("POST", f"{OBJECTS}/aggregate", spec)
        nothing = {"filters": None, "sort": None, "sorts": None, "search": None, "select": None, "limit": None,
                   "offset": None, "page": None, "page_size": None, "cursor": None, "case_sensitive": None,
                   "include_system": False, "return_presigned_urls": False, "include_total": True}  # fmt: skip
        for path in (f"{OBJECTS}/list", "/v1/buckets/list", "/v1/collections/list", "/v1/namespaces/list"):
            await home.ok("POST", path, nothing)
        bucket = {"bucket_name": "with-nulls", "storage_class": None, "destination": None, "source_adapter": None,
                  "ingest_filter": None, "metadata": None, "unique_key": None, "ttl_seconds": None}  # fmt: skip
        await home.ok("POST", "/v1/buckets", bucket)
        flags = {"skip_duplicates": False, "canonicalize_source": True, "force_remirror": False, "metadata": {"a": 1}}
        made = await home.ok("POST", f"{OBJECTS}/create", flags)
        assert not made.keys() & flags.keys() - {"metadata"}


@pytest.mark.parametrize(
    "body",
    [
        {"filters": {"AND": [{"field": "metadata.state", "op": "ne", "value": "keep"}]}},
        {"filter": {"metadata.state": "drop"}},
        {"filters": {"AND": [{"field": "metadata.state", "operator": "ne"}]}},
        {"filters": {"AND": [{"field": "metadata.state", "operator": "eq"}]}},
        {"filters": {}},
        {"filters": None},
        {},
        {"filters": {"AND": []}},
        {"filters": {"metadata.state": "drop"}, "limit": 1},
        {"filters": {"AND": [{"field": "metadata.sate", "operator": "ne", "value": "keep"}]}},
        {"filters": {"metadata.state": "drop", "metadata.sate": {"$ne": "keep"}}},
        {"filters": {"NOT": [{"field": "metadata.sate", "operator": "eq", "value": "keep"}]}},
        {"filters": {"AND": [{"field": "metadata.sate", "operator": "exists", "value": False}]}},
        {"filters": {"OR": [{"metadata.state": "drop"}, {"field": "metdata.state", "operator": "is_null"}]}},
    ],
)
async def test_a_misspelt_delete_deletes_nothing(client: Client, bucket: str, body: Json) -> None:
    for state in ("keep", "drop"):
        await client.ok("POST", f"/v1/buckets/{bucket}/objects", {"metadata": {"state": state}})
    await client.ok("POST", f"/v1/buckets/{bucket}/objects", {"metadata": {}})
    status, answer = await client.call("POST", f"/v1/buckets/{bucket}/objects/delete", body)
    assert status == 422, answer
    left = await client.ok("POST", f"/v1/buckets/{bucket}/objects/list", {})
    assert left["pagination"]["total"] == 3


async def test_a_path_that_no_object_has_may_stand_where_it_widens_nothing(client: Client, bucket: str) -> None:
    await client.ok("POST", f"/v1/buckets/{bucket}/objects", {"metadata": {"state": "drop"}})
    route = f"/v1/buckets/{bucket}/objects/delete"
    nothing = await client.ok("POST", route, {"filters": {"metadata.expired": True}})
    assert (nothing["status"], nothing["deleted_count"]) == ("COMPLETED", 0)
    one = await client.ok("POST", route, {"filters": {"OR": [{"metadata.expired": True}, {"metadata.state": "drop"}]}})
    assert one["deleted_count"] == 1


@pytest.mark.parametrize(
    "operation",
    [
        {"function": "count", "distinct_field": "metadata.state"},
        {"function": "sum", "field": "metadata.n", "distinct_field": "metadata.n"},
        {"function": "avg", "field": "metadata.n", "percent": 50},
        {"function": "median", "field": "metadata.n", "percent": 50},
        {"function": "count_distinct", "field": "metadata.n", "percent": 5},
        {"function": "count_distinct", "field": "metadata.n", "distinct_field": "metadata.m"},
    ],
)
async def test_a_metric_has_no_key_that_its_function_does_not_read(
    client: Client, bucket: str, operation: Json
) -> None:
    body = {"group_by": [{"field": "bucket_id"}], "aggregations": [{**operation, "alias": "x"}]}
    ((place, _),) = await client.problems("POST", f"/v1/buckets/{bucket}/objects/aggregate", body)
    assert place[:3] == ["body", "aggregations", 0]


TWICE = [
    b'{"filters": {"metadata.state": "drop"}, "filters": {"metadata.state": "keep"}}',
    b'{"filters": {"AND": [{"field": "metadata.state", "value": "drop", "value": "keep"}]}}',
    b'{"filters": {"metadata.state": "a:b\\"c"}, "case_sensitive": true, "case_sens\\u0069tive": false}',
]


@pytest.mark.parametrize("body", TWICE)
async def test_a_key_that_is_given_twice_is_refused(client: Client, bucket: str, body: bytes) -> None:
    for route in ("delete", "list", "export"):
        status, text, _ = await client.send("POST", f"/v1/buckets/{bucket}/objects/{route}", data=body)
        assert status == 422, text
        assert "given twice" in text


WRITTEN_TWICE = [
    ("", b'{"metadata": {"a": 1}, "metadata": {"a": 2}}'),
    ("", b'{"metadata":{"a":1,"a":2}}'),
    ("", b'{"metadata": {"a": "x\\":", "b" : [{"c": 1, "c": 1}]}}'),
    ("/create", b'{"status": "draft", "status": "active"}'),
    ("/batch", b'{"objects": [{"metadata": {"a": 1}}], "objects": []}'),
    ("/batch", b'{"objects":[],"objects":[{"metadata":{"a":1}}]}'),
    ("/batch", b'{"objects": [{"metadata": {"a": 1, "a": 2}}]}'),
    ("/batch", b'[{"metadata": {"a": 1, "a": 2}}]'),
]


async def test_a_write_with_a_key_given_twice_is_refused(client: Client, bucket: str) -> None:
    route = f"/v1/buckets/{bucket}/objects"
    for path, body in WRITTEN_TWICE:
        status, text, _ = await client.send("POST", route + path, data=body)
        assert status == 422, (path, body, text)
        assert "given twice" in text
    lines = b'{"metadata":{"a":1,"a":2}}\n{"metadata":{"a":3}}\n{"a":"\\":\\"","b":{"a":1}}\n'
    summary = json.loads((await client.send("POST", f"{route}/import", data=lines))[1])
    assert (summary["succeeded_count"], summary["failed_count"]) == (2, 1)
    assert "given twice" in summary["errors"][0]["error"]
    restored = b'{"object_id":"obj_a","object_id":"obj_b","created_at":"2024-01-01T00:00:00Z"}\n'
    summary = json.loads((await client.send("POST", f"{route}/import?restore=true", data=restored))[1])
    assert (summary["succeeded_count"], summary["failed_count"]) == (0, 1)
    made = await client.create(bucket, {"a": 1})
    body = b'{"metadata": {"z": 1}, "metadata": {"y": 1}}'
    status, text, _ = await client.send("PATCH", f"{route}/{made['object_id']}", data=body)
    assert status == 422, text


WITH_SPACE = '"space":"other",'
MORE_REGION = ',"region":"b"'


def written(id: str, source: str = "", more: str = "") -> str:
    """A record as JSON text, with members added to its container and to its properties."""
    container = f'{{{source}"space":"mySpace","externalId":"myContainer"}}'
    properties = f'{{"region":"a\\":"{more}}}'
    return f'{{"space":"mySpace","externalId":"{id}","sources":[{{"source":{container},"properties":{properties}}}]}}'


async def test_records_with_a_key_given_twice_are_refused(client: Client) -> None:
    async with Home.made(client) as home:
        path = f"/api/v1/projects/{home.namespace}/streams/home/records"
        first, second = written("a", '"type":"container",'), written("b")
        for items in (
            f'"items":[{first}],"items":[{second}]',
            f'"items":[{written("a", more=MORE_REGION)}]',
            f'"items":[{written("a", source=WITH_SPACE)}]',
        ):
            status, text, _ = await client.send("POST", path, data=f"{{{items}}}".encode(), namespace=None)
            assert (status, "given twice" in text) == (400, True), (items, text)
        for each in (first, second):
            status, text, _ = await client.send("POST", path, data=f'{{"items": [{each}]}}'.encode(), namespace=None)
            assert status == 202, text


@pytest.mark.parametrize(
    "condition",
    [
        {"metadata.n": {"$ne": "3"}},
        {"metadata.n": {"$not": {"$in": ["3"]}}},
        {"metadata.n": {"$ne": {"kk": 3}}},
        {"NOT": [{"metadata.n": {"neq": 3}}]},
        {"NOT": [{"metadata.n": {"equals": 3}}]},
        {"NOT": [{"metadata.n": {"$in": []}}]},
    ],
)
async def test_a_delete_is_not_widened_by_a_condition_that_is_never_true(
    client: Client, bucket: str, condition: Json
) -> None:
    for n in (2, 3):
        await client.create(bucket, {"state": "drop", "n": n})
    body = {"filters": {"metadata.state": "drop", **condition}}
    status, answer = await client.call("POST", f"/v1/buckets/{bucket}/objects/delete", body)
    assert status == 422, answer


async def test_an_export_has_no_pages(client: Client, bucket: str) -> None:
    for query in ("?limit=1", "?offset=1", "?page=2&page_size=1", "?cursor=*"):
        status, text, _ = await client.send("GET", f"/v1/buckets/{bucket}/objects/export{query}")
        assert status == 422, text
    await client.problems("POST", f"/v1/buckets/{bucket}/objects/export", {"limit": 1})


async def test_a_day_has_no_first_weekday(client: Client, bucket: str) -> None:
    key = {"field": "created_at", "date_trunc": "day", "start_of_week": "monday"}
    ((place, _),) = await client.problems(
        "POST", f"/v1/buckets/{bucket}/objects/aggregate", {**COUNT, "group_by": [key]}
    )
    assert place[-1] == "start_of_week"


async def test_keys_that_look_alike_are_not_given_twice(client: Client, bucket: str) -> None:
    body = b'{"filters": {"AND": [{"field": "a", "value": "x:{}\\\\"}, {"field": "a", "value": "\\":\\""}]}}'
    status, text, _ = await client.send("POST", f"/v1/buckets/{bucket}/objects/list", data=body)
    assert status == 200, text


SAID: Final[list[tuple[str, Json, list[Json], str]]] = [
    ("aggregate", {"having": [{"field": "n", "operator": "gt", "value": [1]}]}, ["having", 0, "value"],
     "true or false, a number or a text is needed, not an array"),
    ("aggregate", {"aggregations": [{"function": "percentile", "field": "a", "alias": "n", "percent": 101}]},
     ["aggregations", 0, "percent"], "a number from 0 to 100 is needed, not 101"),
    ("aggregate", {"aggregations": [{"function": "percentile", "field": "a", "alias": "n", "percent": True}]},
     ["aggregations", 0, "percent"], "a number from 0 to 100 is needed, not true"),
    ("aggregate", {"range_buckets": [{"field": "a", "boundaries": ["x"]}]}, ["range_buckets", 0, "boundaries", 0],
     "a number is needed, not 'x'"),
    ("aggregate", {"limit": 0}, ["limit"], "an integer from 1 on is needed, not 0"),
    ("aggregate", {"limit": "5"}, ["limit"], "an integer from 1 on is needed, not '5'"),
    ("aggregate", {"group_by": [{}]}, ["group_by", 0, "field"], "this key is needed"),
    ("aggregate", {"group_by": [{"field": "a", "date_trunc": "months"}]}, ["group_by", 0, "date_trunc"],
     "'year', 'quarter', 'month', 'week', 'day', 'hour', 'minute' or 'second' is needed, not 'months'; did you mean "
     "`month`?"),
    ("aggregate", {"group_by": "a"}, ["group_by"], "an array is needed, not 'a'"),
    ("list", {"filters": [1]}, ["filters"], "an object is needed, not an array"),
    ("list", {"case_sensitive": "yes"}, ["case_sensitive"], "true or false is needed, not 'yes'"),
    ("list", {"sorts": [{"field": "n"}] * 9}, ["sorts"], "at most 8 elements are needed, not 9"),
]  # fmt: skip


@pytest.mark.parametrize("case", SAID)
async def test_what_is_needed_is_said_in_words(client: Client, bucket: str, case: tuple[str, Json, Json, str]) -> None:
    """Not in those of the library that reads it, and once for each place."""
    route, body, place, message = case
    asked = {**COUNT, **body} if route == "aggregate" else body
    found = await client.problems("POST", f"/v1/buckets/{bucket}/objects/{route}", asked)
    assert found == [(["body", *place], message)]


SYNTAX: Final = [
    (b'{"limit":', "it ends too early"),
    (b'{"limit" 1}', "expected ':' at column 10"),
    (b'{\n "limit": 1,\n "offset": }', "invalid character at line 3, column 12"),
    (b'{"\xc3\xa4\xc3\xb6" 1}', "expected ':' at column 7"),
    (b"[1,]", "trailing comma in array at column 4"),
    (b'\xef\xbb\xbf{"limit": 1}', "it begins with a byte order mark; send UTF-8 without one"),
    (b"\xff\xfe{\x00}\x00", "it begins with a byte order mark; send UTF-8 without one"),
    (b'{"search": "\xff"}', "a text in it is not UTF-8"),
    (b'{"search": "\\ud800"}', "half of a surrogate pair"),
    (b'{"limit": 1e999}', "a number is out of range, beyond what doubles hold"),
    (b"  ", "it is empty"),
]


@pytest.mark.parametrize(("body", "said"), SYNTAX)
async def test_what_is_no_json_is_said_as_an_editor_shows_it(
    client: Client, bucket: str, body: bytes, said: str
) -> None:
    for route in ("list", "create", "batch", "aggregate"):
        if route == "batch" and said.startswith(("a text", "half", "a number")):
            continue  # what an object holds is that object's matter
        path = f"/v1/buckets/{bucket}/objects/{route}"
        status, text, _ = await client.send("POST", path, data=body)
        (problem,) = json.loads(text)["error"]["details"]["validation_errors"]
        assert (status, problem["type"], problem["message"]) == (422, "json_invalid", f"not valid JSON: {said}"), route
    path = f"/api/v1/projects/{client.namespace}/streams/none/records"
    status, text, _ = await client.send("POST", path, data=body, namespace=None)
    assert status == 404 or said in json.loads(text)["error"]["message"]


async def test_a_line_that_is_no_json(client: Client, bucket: str) -> None:
    """A byte order mark begins many files, and is not a part of the first line."""
    lines = b'\xef\xbb\xbf{"n": 1}\n{"n" 2}\n'
    for query in ("", "?restore=true"):
        status, text, _ = await client.send("POST", f"/v1/buckets/{bucket}/objects/import{query}", data=lines)
        assert status == 200, text
        error = json.loads(text)["errors"][-1]
        assert (error["line"], error["error"]) == (2, "body: not valid JSON: expected ':' at column 6")


async def test_an_extractor_has_a_name(client: Client) -> None:
    """Its id is made of name and version: it was `None_v1`."""
    body = {"namespace_name": "nameless", "feature_extractors": [{"version": "v1"}]}
    ((place, message),) = await client.problems("POST", "/v1/namespaces", body, namespace=None)
    assert place == ["body", "feature_extractors", 0]
    assert message == "an extractor needs feature_extractor_name and version, or feature_extractor_id"


async def test_a_key_that_has_to_stay_empty(client: Client) -> None:
    item = {"space": "s", "externalId": "c", "usedFor": "record", "properties": {"a": {"type": {"type": "text"}}}}
    path = f"/api/v1/projects/{client.namespace}/models/containers"
    body = {"items": [{**item, "indexes": {"a": {}}}]}
    _, answer = await client.call("POST", path, body, namespace=None)
    assert answer["error"]["message"] == "items[0].indexes: leave this empty, or out; it has 1 key"


async def test_what_is_named_twice_in_a_list_is_refused(client: Client, bucket: str) -> None:
    for fields in (["a", "b", "a"], ["metadata.a", "metadata.a"]):
        body = {"bucket_name": "twice", "unique_key": {"fields": fields}}
        assert await client.problems("POST", "/v1/buckets", body) == [
            (["body", "unique_key", "fields"], f"{fields[-1]} is given twice; leave one out")
        ]
    for source in (
        {"type": "bucket", "bucket_ids": [bucket, bucket]},
        {"type": "collection", "collection_ids": ["one", "two", "one"]},
    ):
        ((place, message),) = await client.problems(
            "POST", "/v1/collections", {"collection_name": "twice", "source": source}
        )
        assert place[:2] == ["body", "source"]
        assert message.endswith("is given twice; leave one out")


async def test_a_walk_begins_at_its_offset(client: Client, bucket: str) -> None:
    await client.batch(bucket, [{"n": n} for n in range(7)])
    path = f"/v1/buckets/{bucket}/objects/list"
    for sort in ({"field": "created_at"}, {"field": "n"}):
        body = {"cursor": "*", "limit": 3, "sort": sort}
        page = await client.ok("POST", path, {**body, "offset": 2})
        cursor = page["pagination"]["next_cursor"]
        further = await client.ok("POST", path, {**body, "cursor": cursor})
        assert [each["n"] for each in page["results"] + further["results"]] == [2, 3, 4, 5, 6]


async def test_the_namespace_in_the_query_is_a_key_like_others(client: Client, bucket: str) -> None:
    for second in (client.namespace, "default"):
        query = f"?namespace={client.namespace}&namespace={second}"
        assert await client.problems("GET", f"/v1/buckets/{bucket}{query}") == [
            (["query", "namespace"], "given more than once")
        ]
    for key, hint in (("inof", ""), ("namespce", "; did you mean `namespace`?")):
        ((place, message),) = await client.problems("GET", f"/v1/buckets/{bucket}?{key}=1")
        assert place == ["query", key]
        assert message == f"unknown key `{key}`{hint} (known keys: namespace)"


async def test_two_namespaces_in_one_request_are_refused(client: Client, bucket: str) -> None:
    status, answer = await client.call("GET", f"/v1/buckets/{bucket}?namespace=default")
    assert status == 400
    assert "different namespaces" in answer["error"]["message"]
    await client.ok("GET", f"/v1/buckets/{bucket}?namespace={client.namespace}")


CONTRADICTIONS = [
    {"cursor": "*", "offset": 10_000},
    {"cursor": "*", "page": 2_000},
    {"limit": 5, "page_size": 6},
    {"limit": 5, "offset": 5, "page": 1},
    {"sort": {"field": "created_at"}, "sort_by": "x"},
]


@pytest.mark.parametrize("body", CONTRADICTIONS)
async def test_what_contradicts_itself_is_refused(client: Client, bucket: str, body: Json) -> None:
    await client.problems("POST", f"/v1/buckets/{bucket}/objects/list", body)
    assert await client.problems("GET", f"/v1/buckets/{bucket}/objects?sort_direction=desc")
