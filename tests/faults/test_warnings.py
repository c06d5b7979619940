"""Where a question means nothing, the answer says so: unknown paths, values of another type, no objects."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from tests.support.client import Client

Json = Any

OBJECTS: Final[list[Json]] = [
    {
        "name": "first",
        "metadata": {
            "carrier": "AA", "delay": 3, "year": "2024", "day": "2024-01-31", "on": True, "tags": ["a", "b"],
            "origin": {"code": "EWR", "place": {"lat": 1.5}}, "empty": [], "gone": None,
            "items": [{"sku": "x", "qty": 2, "parts": [{"no": 1}]}], "matrix": [[{"deep": 1}]], "a.b": 1,
            "days": ["2024-01-31"], "either": "2024-01-31",
        },
        "blobs": [{"property": "video", "type": "video", "data": "x", "metadata": {"lang": "de"}}],
    },
    {"metadata": {"carrier": "UA", "delay": 1, "year": "2023", "day": "2024-02-01", "mixed": 1}},
    {"metadata": {"carrier": "UA", "mixed": "one", "either": "soon"}},
]  # fmt: skip

COUNT: Final = [{"function": "count", "alias": "n"}]
TOTAL: Final = [{"field": "bucket_id"}]


@pytest.fixture(scope="module")
async def flights(client: Client) -> AsyncIterator[str]:
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": "warned"})
    await client.batch(made["bucket_id"], OBJECTS)
    yield made["bucket_id"]
    await client.ok("DELETE", f"/v1/buckets/{made['bucket_id']}")


def no_object(places: str, path: str, nearest: str | None = None) -> str:
    return f"{places}: no object has `{path}`" + (f"; there is `{nearest}`" if nearest else "")


def holds(path: str, held: str, wanted: str) -> str:
    text = f"filters: `{path}` holds only {held}, the condition is about {wanted}"
    return f"{text}; values of different types never match"


async def warnings(client: Client, bucket: str, **spec: Json) -> list[str]:
    request = {"group_by": TOTAL, "aggregations": COUNT, **spec}
    found: list[str] = (await client.aggregate(bucket, request))["query_info"]["warnings"]
    return found


def total(path: str, function: str = "sum", **more: Json) -> Json:
    return [{"function": function, "field": path, "alias": "n", **more}]


UNKNOWN: Final[dict[str, tuple[Json, str]]] = {
    "a key": ({"group_by": [{"field": "carrier"}]}, no_object("group_by", "carrier", "metadata.carrier")),
    "a misspelt key": (
        {"group_by": [{"field": "metadata.carier"}]},
        no_object("group_by", "metadata.carier", "metadata.carrier"),
    ),
    "another case": (
        {"group_by": [{"field": "metadata.Carrier"}]},
        no_object("group_by", "metadata.Carrier", "metadata.carrier"),
    ),
    "a misspelt parent": (
        {"group_by": [{"field": "metdata.carrier"}]},
        no_object("group_by", "metdata.carrier", "metadata.carrier"),
    ),
    "both misspelt": (
        {"group_by": [{"field": "metdata.carier"}]},
        no_object("group_by", "metdata.carier", "metadata.carrier"),
    ),
    "nothing like it": ({"group_by": [{"field": "metadata.zzzz"}]}, no_object("group_by", "metadata.zzzz")),
    "a metric": ({"aggregations": total("delay")}, no_object("n", "delay", "metadata.delay")),
    "a distinct_field": (
        {"aggregations": [{"function": "count_distinct", "distinct_field": "metadata.carriers", "alias": "n"}]},
        no_object("n", "metadata.carriers", "metadata.carrier"),
    ),
    "count of a field": (
        {"aggregations": total("metadata.dely", "count")},
        no_object("n", "metadata.dely", "metadata.delay"),
    ),
    "push": (
        {"aggregations": total("metadata.orign.code", "push")},
        no_object("n", "metadata.orign.code", "metadata.origin.code"),
    ),
    "a percentile": (
        {"aggregations": total("metadata.delays", "percentile", percent=50)},
        no_object("n", "metadata.delays", "metadata.delay"),
    ),
    "a filter": ({"filters": {"metadata.carier": "AA"}}, no_object("filters", "metadata.carier", "metadata.carrier")),
    "a negated filter": (
        {"filters": {"metadata.carier": {"$ne": "AA"}}},
        no_object("filters", "metadata.carier", "metadata.carrier"),
    ),
    "a filter for null": ({"filters": {"carrier": None}}, no_object("filters", "carrier", "metadata.carrier")),
    "a nested filter": (
        {"filters": {"$or": [{"metadata.carrier": "AA"}, {"$nor": [{"metadata.yaer": {"$not": {"$exists": True}}}]}]}},
        no_object("filters", "metadata.yaer", "metadata.year"),
    ),
    "below $elemMatch": (
        {"filters": {"metadata.items": {"$elemMatch": {"skuu": "x", "qty": {"$gt": 1}}}}},
        no_object("filters", "metadata.items.skuu", "metadata.items.sku"),
    ),
    "the list form": (
        {"filters": {"AND": [{"field": "carier", "value": "AA"}, {"NOT": {"delay": {"$gt": 5}}}]}},
        no_object("filters", "carier", "metadata.carrier"),
    ),
    "an unwind": ({"unwind": "items"}, no_object("unwind", "items", "metadata.items")),
    "a range": (
        {"range_buckets": [{"field": "dalay", "boundaries": [1]}]},
        no_object("range_buckets", "dalay", "metadata.delay"),
    ),
    "below an array": (
        {"group_by": [{"field": "metadata.items.skus"}]},
        no_object("group_by", "metadata.items.skus", "metadata.items.sku"),
    ),
    "below an unwound array": (
        {"unwind": "metadata.items", "group_by": [{"field": "metadata.items.qnt"}]},
        no_object("group_by", "metadata.items.qnt", "metadata.items"),
    ),
    "relative to an unwound array": (
        {"unwind": "metadata.items", "group_by": [{"field": "sku"}]},
        no_object("group_by", "sku", "metadata.items.sku"),
    ),
    "two arrays deep": (
        {"unwind": "metadata.items.parts", "aggregations": total("metadata.items.no")},
        no_object("n", "metadata.items.no", "metadata.items.parts.no"),
    ),
    "below a text": (
        {"group_by": [{"field": "metadata.carrier.zzz"}]},
        no_object("group_by", "metadata.carrier.zzz", "metadata.carrier"),
    ),
    "a blob's field": (
        {"unwind": "blobs", "group_by": [{"field": "blobs.typ"}]},
        no_object("group_by", "blobs.typ", "blobs.type"),
    ),
    "an own field": ({"group_by": [{"field": "createdAt"}]}, no_object("group_by", "createdAt", "created_at")),
    "the namespace": ({"group_by": [{"field": "namespace_id"}]}, no_object("group_by", "namespace_id")),
    "a name with a dot": (
        {"group_by": [{"field": "metadata.a.b"}]},
        no_object("group_by", "metadata.a.b", "metadata.a\\.b"),
    ),
    "one path in several places": (
        {"group_by": [{"field": "carrier"}], "filters": {"carrier": "AA"}, "aggregations": total("carrier", "first")},
        no_object("group_by, n, filters", "carrier", "metadata.carrier"),
    ),
}


@pytest.mark.parametrize("case", UNKNOWN)
async def test_a_path_that_no_object_has(client: Client, flights: str, case: str) -> None:
    spec, expected = UNKNOWN[case]
    assert await warnings(client, flights, **spec) == [expected]


KNOWN: Final[dict[str, Json]] = {
    "own fields": {
        "group_by": [
            {"field": name}
            for name in (
                "object_id",
                "bucket_id",
                "key_prefix",
                "status",
                "created_at",
                "updated_at",
                "metadata",
                "blobs",
                "name",
            )
        ]
    },
    "parents": {
        "group_by": [{"field": "metadata.origin"}, {"field": "metadata.origin.place"}, {"field": "metadata.items"}]
    },
    "only null": {"group_by": [{"field": "metadata.gone"}], "filters": {"metadata.gone": {"$ne": "x"}}},
    "only an empty array": {"group_by": [{"field": "metadata.empty"}], "filters": {"metadata.empty": {"$ne": 5}}},
    "through arrays": {"group_by": [{"field": "metadata.items.sku"}, {"field": "metadata.items.parts.no"}]},
    "unwound": {"unwind": "metadata.items.parts", "group_by": [{"field": "metadata.items.parts.no"}]},
    "in arrays in arrays": {"unwind": "metadata.matrix", "group_by": [{"field": "metadata.matrix.deep"}]},
    "blobs": {
        "group_by": [
            {"field": "blobs.type"},
            {"field": "blobs.data"},
            {"field": "blobs.metadata.lang"},
            {"field": "blobs.blob_id"},
        ]
    },
    "looked up in metadata": {
        "filters": {"AND": [{"field": "carrier", "value": "AA"}, {"name": "first"}, {"delay": {"$gt": 1, "$lt": 5}}]}
    },
    "a value that no object has": {"filters": {"metadata.carrier": "ZZ"}},
    "some of the type": {
        "filters": {"metadata.mixed": {"$gt": 0}, "metadata.tags": "zz", "metadata.delay": {"$in": ["x", 3]}}
    },
    "dates and texts": {
        "filters": {"metadata.day": {"$gt": "2024-01-31T12:00:00Z"}, "metadata.year": {"$gte": "2023"}}
    },
    "elements": {
        "filters": {
            "metadata.tags": {"$elemMatch": {"$gte": "a"}, "$size": 2},
            "metadata.items": {"$elemMatch": {"qty": {"$gt": 1}}},
        }
    },
    "a whole object": {"filters": {"metadata.origin": {"$ne": {"code": "x"}}}},
    "nothing left by a filter": {"filters": {"metadata.delay": {"$gt": 1000}}},
}


@pytest.mark.parametrize("case", KNOWN)
async def test_what_means_something_is_not_warned_of(client: Client, flights: str, case: str) -> None:
    assert await warnings(client, flights, **KNOWN[case]) == []


WRONG_TYPE: Final[dict[str, tuple[Json, str]]] = {
    "a range of numbers over texts": ({"metadata.carrier": {"$gt": 5}}, holds("metadata.carrier", "texts", "numbers")),
    "a range of numbers over dates": (
        {"metadata.day": {"$lt": 1706659200000}},
        holds("metadata.day", "dates", "numbers"),
    ),
    "a range of texts over numbers": ({"metadata.delay": {"$gte": "1"}}, holds("metadata.delay", "numbers", "texts")),
    "a year that is a text": ({"metadata.year": 2024}, holds("metadata.year", "texts", "numbers")),
    "not a number": ({"metadata.delay": {"$ne": "3"}}, holds("metadata.delay", "numbers", "texts")),
    "one of some": (
        {"metadata.delay": {"$in": ["3", "5", True]}},
        holds("metadata.delay", "numbers", "texts and booleans"),
    ),
    "a boolean": ({"metadata.on": "true"}, holds("metadata.on", "booleans", "texts")),
    "a pattern": ({"metadata.delay": {"$regex": "^1"}}, holds("metadata.delay", "numbers", "texts")),
    "a size": ({"metadata.carrier": {"$size": 2}}, holds("metadata.carrier", "texts", "arrays")),
    "elements": ({"metadata.tags": {"$elemMatch": {"$gt": 5}}}, holds("metadata.tags", "texts and arrays", "numbers")),
    "below elements": (
        {"metadata.items": {"$elemMatch": {"qty": "2"}}},
        holds("metadata.items.qty", "numbers and arrays", "texts"),
    ),
    "an object": ({"metadata.origin": "EWR"}, holds("metadata.origin", "objects", "texts")),
    "the list form": (
        {"AND": [{"field": "delay", "operator": "gt", "value": "1"}]},
        holds("metadata.delay", "numbers", "texts"),
    ),
    "a word": (
        {"AND": [{"field": "delay", "operator": "words", "value": "one"}]},
        holds("metadata.delay", "numbers", "texts"),
    ),
}


@pytest.mark.parametrize("case", WRONG_TYPE)
async def test_a_condition_about_values_of_another_type(client: Client, flights: str, case: str) -> None:
    filters, expected = WRONG_TYPE[case]
    assert await warnings(client, flights, filters=filters) == [expected]
    if "$ne" not in str(filters):
        answer = await client.ok("POST", f"/v1/buckets/{flights}/objects/list", {"filters": filters})
        assert answer["total_count"] == 0


def no_date(path: str, value: str, meant: str = "dates are written as 2026-01-31 or 2026-01-31T10:30:00Z") -> str:
    return f"filters: `{path}` holds no texts but dates, and `{value}` is none: it is compared as a text; {meant}"


NO_DATE: Final[dict[str, tuple[Json, list[str]]]] = {
    "an impossible day": ({"metadata.day": {"$gte": "2026-13-45"}}, [no_date("metadata.day", "2026-13-45")]),
    "a word": ({"metadata.day": {"$lt": "yesterday"}}, [no_date("metadata.day", "yesterday")]),
    "equal to a word": ({"metadata.day": "yesterday"}, [no_date("metadata.day", "yesterday")]),
    "not equal": ({"metadata.day": {"$not": {"$eq": "31.01.2024"}}}, [no_date("metadata.day", "31.01.2024")]),
    "one of several": (
        {"metadata.day": {"$in": ["2024-01-31", "2024-02-30", "2024-02-31"]}},
        [no_date("metadata.day", "2024-02-30").replace(" is none", " (like 1 more) is none")],
    ),
    "another form": (
        {"metadata.day": {"$gt": "2024-W05-3"}},
        [no_date("metadata.day", "2024-W05-3", "as a date it is written 2024-01-31T00:00:00Z")],
    ),
    "in elements": ({"metadata.days": {"$elemMatch": {"$gt": "later"}}}, [no_date("metadata.days", "later")]),
    "the list form": (
        {"AND": [{"field": "day", "operator": "gt", "value": "31/01/2024"}]}, [no_date("metadata.day", "31/01/2024")],
    ),
    "a month": ({"metadata.day": {"$gte": "2024-02", "$lt": "2025"}}, []),
    "a month that there is not": ({"metadata.day": {"$gte": "2024-13"}}, [no_date("metadata.day", "2024-13")]),
    "a month that equals nothing": (
        {"metadata.day": "2024-01"},
        [no_date("metadata.day", "2024-01", "as a date it is written 2024-01-01T00:00:00Z")],
    ),
    "any text": ({"metadata.day": {"$gt": "", "$ne": ""}}, []),
    "a part of a text": ({"metadata.day": {"$startsWith": "2024-01"}, "metadata.days": {"$regex": "^2024"}}, []),
    "small letters": (
        {"case_sensitive": False, "AND": [{"field": "metadata.day", "value": "2024-01-31t00:00:00z"}]}, [],
    ),
    "dates and other texts": ({"metadata.either": {"$lt": "soon"}}, []),
    "no dates": ({"metadata.year": {"$lt": "soon"}}, []),
}  # fmt: skip


@pytest.mark.parametrize("case", NO_DATE)
async def test_a_mistyped_date(client: Client, flights: str, case: str) -> None:
    filters, expected = NO_DATE[case]
    assert await warnings(client, flights, filters=filters) == expected
    answer = await client.ok("POST", f"/v1/buckets/{flights}/objects/list", {"filters": filters})
    assert answer.get("warnings", []) == expected


async def test_a_mistyped_date_in_having(client: Client, flights: str) -> None:
    for function in ("min", "last"):
        for value, operator, warned in (
            ("yesterday", "lt", True), ("2024-01", "gt", False), ("2024-01", "eq", True), ("2024-02-01", "gt", False),
        ):  # fmt: skip
            conditions = [{"field": "n", "operator": operator, "value": value}]
            found = await warnings(client, flights, aggregations=total("metadata.day", function), having=conditions)
            assert [each.partition(":")[0] for each in found] == ["having"] * warned
            assert not warned or f"`n` gives only dates, and `{value}` is none" in found[0]


@pytest.mark.parametrize(
    "filters",
    [
        {"metadata.day": {"$lt": "yesterday"}},
        {"AND": [{"field": "day", "operator": "gte", "value": "2024-13-01"}]},
        {"NOT": [{"field": "day", "value": "31.01.2024"}]},
    ],
)
async def test_nothing_is_deleted_by_a_mistyped_date(client: Client, flights: str, filters: Json) -> None:
    """Every date comes before `yesterday`, as a text."""
    ((place, message),) = await client.problems("POST", f"/v1/buckets/{flights}/objects/delete", {"filters": filters})
    assert place == ["body", "filters"]
    assert "`metadata.day` holds no texts but dates" in message


async def test_ranges_over_texts(client: Client, flights: str) -> None:
    for path, held in (("metadata.carrier", "texts"), ("metadata.day", "dates"), ("metadata.origin", "objects")):
        ranges = [{"field": path, "boundaries": [1, 2], "default_bucket": "rest"}]
        assert await warnings(client, flights, range_buckets=ranges) == [
            f"range_buckets: `{path}` holds only {held}, which lie in no range of numbers"
        ]
    assert await warnings(client, flights, range_buckets=[{"field": "metadata.mixed", "boundaries": [1]}]) == []


def having(metric: str, says: str) -> str:
    return f"having: `{metric}` {says}"


def gives(metric: str, held: str, wanted: str) -> str:
    return having(metric, f"gives only {held}, the condition is about {wanted}; values of different types never match")


HAVING: Final[dict[str, tuple[Json, str, Json, list[str]]]] = {
    "a count and a text": (COUNT, "gt", "1", [gives("n", "numbers", "texts")]),
    "a count and a boolean": (COUNT, "eq", True, [gives("n", "numbers", "booleans")]),
    "a count and null": (COUNT, "eq", None, [having("n", "is never null")]),
    "not null": (COUNT, "ne", None, [having("n", "is never null")]),
    "greater than null": (
        total("metadata.delay", "avg"),
        "gt",
        None,
        [having("n", "compares with null by `eq` and `ne` only: `gt` is never true")],
    ),
    "a mean and null": (total("metadata.delay", "avg"), "eq", None, []),
    "a mean and a text": (total("metadata.delay", "avg"), "ne", "2", [gives("n", "numbers", "texts")]),
    "a sum over texts": (total("metadata.carrier"), "gte", "0", [gives("n", "numbers", "texts")]),
    "a percentile": (
        total("metadata.delay", "percentile", percent=50), "lt", "5", [gives("n", "numbers", "texts")],
    ),
    "a distinct count": (
        total("metadata.carrier", "count_distinct"), "lte", False, [gives("n", "numbers", "booleans")],
    ),
    "a minimum of numbers": (total("metadata.delay", "min"), "lt", "5", [gives("n", "numbers", "texts")]),
    "a maximum of dates": (total("metadata.day", "max"), "lt", 5, [gives("n", "dates", "numbers")]),
    "a date": (total("metadata.day", "max"), "gt", "2024-01-01", []),
    "a first number": (total("metadata.delay", "first"), "eq", "3", [gives("n", "numbers", "texts")]),
    "a last text": (total("metadata.carrier", "last"), "eq", "UA", []),
    "a first of either": (total("metadata.mixed", "first"), "eq", "one", []),
    "a first boolean": (total("metadata.on", "first"), "eq", True, []),
    "an array": (total("metadata.carrier", "push"), "eq", "UA", [gives("n", "arrays", "texts")]),
    "a set": (total("metadata.delay", "add_to_set"), "gt", 1, [gives("n", "arrays", "numbers")]),
    "a number": (COUNT, "gt", 1, []),
    "of a path that is told already": (
        total("metadata.dely", "max"), "gt", "x", [no_object("n", "metadata.dely", "metadata.delay")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HAVING)
async def test_having_about_values_of_another_type(client: Client, flights: str, case: str) -> None:
    metrics, operator, value, expected = HAVING[case]
    conditions = [{"field": "n", "operator": operator, "value": value}]
    found = await warnings(client, flights, aggregations=metrics, having=conditions)
    assert [each for each in found if "ignores" not in each] == expected


async def test_unwinding_what_is_never_an_array(client: Client, flights: str) -> None:
    assert await warnings(client, flights, unwind="metadata.carrier") == [
        "unwind: no object has an array at `metadata.carrier`; what is no array counts as one element"
    ]


async def test_a_date_key_without_dates_names_the_nearest_path(client: Client, flights: str) -> None:
    spec = {"group_by": [{"field": "day", "date_trunc": "month"}], "aggregations": COUNT}
    ((location, message),) = await client.problems("POST", f"/v1/buckets/{flights}/objects/aggregate", spec)
    assert location == ["body", "group_by", 0, "field"]
    assert message.endswith("; no object has `day`; there is `metadata.day`")


async def test_a_bucket_without_objects(client: Client, bucket: str) -> None:
    empty = ["there are no objects, so the answer is empty"]
    fieldless = ["there are no objects that have any field, so the answer is empty"]
    assert await warnings(client, bucket, group_by=[{"field": "a"}]) == empty
    request = {"group_by": [{"field": "a"}, {"field": "b"}], "filters": {"c": {"$gt": 1}}, "unwind": "d"}
    assert await warnings(client, bucket, **request) == fieldless
    listed = await client.ok("POST", f"/v1/buckets/{bucket}/objects/list", {"filters": {"a": 1}})
    assert listed["warnings"] == fieldless
    assert "warnings" not in await client.ok("POST", f"/v1/buckets/{bucket}/objects/list", {})
    made = await client.create(bucket, {"metadata": {"a": 1}})
    assert await warnings(client, bucket) == []
    # What was met stays known, but an answer without rows tells that nothing is left.
    await client.ok("DELETE", f"/v1/buckets/{bucket}/objects/{made['object_id']}")
    assert await warnings(client, bucket, group_by=[{"field": "metadata.a"}]) == empty
    assert await warnings(client, bucket, group_by=[{"field": "metadata.b"}], filters={"metadata.a": 1}) == [
        no_object("group_by", "metadata.b")
    ]


async def test_an_object_without_anything_is_an_object(client: Client, bucket: str) -> None:
    await client.ok("POST", f"/v1/buckets/{bucket}/objects/create", {})
    assert await warnings(client, bucket) == []
    assert await warnings(client, bucket, group_by=[{"field": "metadata.x"}]) == [no_object("group_by", "metadata.x")]


async def test_over_a_collection(client: Client, flights: str) -> None:
    source = {"type": "bucket", "bucket_ids": [flights], "source_filters": {"filters": {"metadata.nowhere": None}}}
    made = await client.ok("POST", "/v1/collections", {"collection_name": "warned", "source": source})
    path = f"/v1/collections/{made['collection_id']}/documents/aggregate"
    try:
        answer = await client.ok("POST", path, {"group_by": [{"field": "carrier"}], "aggregations": COUNT})
        assert answer["query_info"]["warnings"] == [no_object("group_by", "carrier", "metadata.carrier")]
        answer = await client.ok("POST", path, {"aggregations": COUNT})
        assert (answer["results"], answer["query_info"]["warnings"]) == ([{"group": {}, "metrics": {"n": 3}}], [])
    finally:
        await client.ok("DELETE", f"/v1/collections/{made['collection_id']}")


LISTS: Final[dict[str, tuple[Json, list[str]]]] = {
    "nothing": ({}, []),
    "known": ({"filters": {"carrier": "AA"}, "sort": {"field": "delay"}, "search": "x"}, []),
    "a filter": ({"filters": {"carier": "AA"}}, [no_object("filters", "carier", "metadata.carrier")]),
    "a sort": ({"sort": {"field": "dely"}}, [no_object("sort", "dely", "metadata.delay")]),
    "a root field": ({"sort": {"field": "create_at"}}, [no_object("sort", "create_at", "created_at")]),
    "both": (
        {"filters": {"metadata.dely": 1}, "sort": {"field": "metadata.dely", "direction": "desc"}},
        [no_object("filters, sort", "metadata.dely", "metadata.delay")],
    ),
    "a type": (
        {"filters": {"field": "delay", "operator": "gt", "value": "1"}},
        [holds("metadata.delay", "numbers", "texts")],
    ),
}


@pytest.mark.parametrize("case", LISTS)
async def test_lists(client: Client, flights: str, case: str) -> None:
    body, expected = LISTS[case]
    answer = await client.ok("POST", f"/v1/buckets/{flights}/objects/list", body)
    assert answer.get("warnings", []) == expected
    assert ("warnings" in answer) == bool(expected)


@pytest.mark.parametrize("case", LISTS)
async def test_exports_have_them_in_a_header(client: Client, flights: str, case: str) -> None:
    body, expected = LISTS[case]
    data = json.dumps(body).encode()
    status, _, headers = await client.send("POST", f"/v1/buckets/{flights}/objects/export", data=data)
    assert status == 200
    assert json.loads(headers.get("X-Tally-Warnings", "[]")) == expected
    assert ("X-Tally-Warnings" in headers) == bool(expected)


async def test_warnings_in_a_header_are_ascii(client: Client, flights: str) -> None:
    path = f"/v1/buckets/{flights}/objects/export"
    data = json.dumps({"filters": {f"größe\n{n}" * 20: 1 for n in range(45)}}).encode()
    status, _, headers = await client.send("POST", path, data=data)
    assert (status, len(headers["X-Tally-Warnings"]) < 4_000) == (200, True)
    assert json.loads(headers["X-Tally-Warnings"])[0].startswith("filters: no object has `größe\n0")


async def test_lists_by_query_and_by_cursor(client: Client, flights: str) -> None:
    place = f"/v1/buckets/{flights}/objects"
    answer = await client.ok("GET", f"{place}?metadata.carier=AA&sort_field=dely")
    assert len(answer["warnings"]) == 2
    body = {"cursor": "*", "limit": 1, "sort": {"field": "dely"}}
    page = await client.ok("POST", f"{place}/list", body)
    following = await client.ok("POST", f"{place}/list", {**body, "cursor": page["pagination"]["next_cursor"]})
    assert page["warnings"] == following["warnings"] == [no_object("sort", "dely", "metadata.delay")]


async def test_lists_of_buckets_have_no_warnings(client: Client, flights: str) -> None:
    for kind in ("buckets", "collections", "namespaces"):
        answer = await client.ok(
            "POST", f"/v1/{kind}/list", {"filters": {"metadata.nowhere": 1}, "sort": {"field": "x"}}
        )
        assert "warnings" not in answer


@pytest.mark.parametrize("group_by", [[], None])
async def test_no_key_points_to_a_grand_total(client: Client, flights: str, group_by: Json) -> None:
    place = f"/v1/buckets/{flights}/objects/aggregate"
    metrics = [*COUNT, {"function": "sum", "field": "metadata.delay", "alias": "delay"}]
    ((location, message),) = await client.problems("POST", place, {"group_by": group_by, "aggregations": metrics})
    assert location == ["body", "group_by"]
    assert message.startswith("at least one key is needed; for a grand total")
    way_out = json.loads(message[message.index("[{") :])
    answer = await client.aggregate(flights, {"group_by": way_out, "aggregations": metrics})
    assert answer["results"] == [{"group": {"bucket_id": flights}, "metrics": {"n": 3, "delay": 4}}]
    assert answer["query_info"]["strategy"] == "composite"
