"""Lists of all eras: the documented pages, how an era is known, filters, order, pages, links and what is refused."""

import asyncio
import os
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.shapes import lacks

Json = Any

LIST_BUCKETS = {
    "filters": {
        "AND": [
            {"field": "name", "operator": "eq", "value": "John"},
            {"field": "age", "operator": "gte", "value": 30},
        ],
        "OR": [
            {"field": "status", "operator": "eq", "value": "active"},
            {"field": "role", "operator": "eq", "value": "admin"},
        ],
        "NOT": [
            {"field": "department", "operator": "eq", "value": "HR"},
            {"field": "location", "operator": "eq", "value": "remote"},
        ],
        "case_sensitive": True,
    },
    "sort": {"field": "created_at", "direction": "desc"},
    "search": "<string>",
}
"""The request of pages/list-buckets.txt."""

BUCKETS_ANSWERED = {
    "results": [
        {
            "bucket_id": "<string>",
            "bucket_name": "<string>",
            "description": "<string>",
            "bucket_schema": {"properties": {}},
            "metadata": {},
            "object_count": 123,
            "total_size_bytes": 123,
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
}

OBJECTS_ANSWERED = {
    "pagination": {"has_more": False, "limit": 10, "skip": 0},
    "results": [
        {
            "blobs": [],
            "bucket_id": "bkt_9xy8z7",
            "created_at": "2024-10-21T10:30:00Z",
            "key_prefix": "/contract-2024",
            "metadata": {"category": "contracts", "year": 2024},
            "object_id": "obj_123abc456def",
            "status": "DRAFT",
            "updated_at": "2024-10-21T10:30:00Z",
        }
    ],
}
"""The answer of pages/list-objects.txt."""

BEYOND = {
    "results": {"unique_key", "ttl_seconds", "created_at", "updated_at", "last_upload_at", "status"},
    "pagination": {"next_cursor", "total", "page", "page_size", "total_pages", "next_page", "previous_page"},
}
"""What the contract lists beside the documented fields (`ttl_seconds` is the bucket's retention)."""


@pytest.fixture
async def space(client: Client) -> Any:
    """A namespace of its own, by name."""
    name = f"lists-{os.urandom(4).hex()}"
    await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    yield name
    await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)


async def bucket_of(client: Client, space: str, **given: Json) -> Json:
    return await client.ok("POST", "/v1/buckets", {"bucket_name": os.urandom(4).hex(), **given}, namespace=space)


def ids(answer: Json, name: str = "object_id") -> list[str]:
    return [each[name] for each in answer["results"]]


# The documented pages


async def test_the_documented_list_of_buckets(client: Client, space: str) -> None:
    """Its `name` finds one bucket, as names are unique; three match when it asks for a name that begins so.

    Its `active` is every bucket's status, whatever the case.
    """
    common = {"description": "for <string>s", "bucket_schema": {"properties": {"title": {"type": "string"}}}}
    for name, metadata in (
        ("John", {"age": 30, "role": "admin"}),
        ("John 2", {"age": 31.5, "role": "admin", "department": "IT"}),
        ("john", {"age": 50, "role": "admin"}),
        ("John 3", {"age": 29, "role": "admin"}),
        ("John 4", {"age": 40, "role": "user"}),
        ("John 5", {"age": 40, "role": "admin", "location": "remote"}),
    ):
        await bucket_of(client, space, bucket_name=name, metadata=metadata, **common)
    answer = await client.ok("POST", "/v1/buckets", LIST_BUCKETS, namespace=space)
    assert [each["bucket_name"] for each in answer["results"]] == ["John"]
    assert list(lacks(BUCKETS_ANSWERED, answer)) == []

    wider = {**LIST_BUCKETS, "filters": {**LIST_BUCKETS["filters"], "AND": [dict(each) for each in _and()]}}  # type: ignore[dict-item]
    answer = await client.ok("POST", "/v1/buckets", wider, namespace=space)
    assert [each["bucket_name"] for each in answer["results"]] == ["John 4", "John 2", "John"]
    assert list(lacks(BUCKETS_ANSWERED, answer)) == []
    for result in answer["results"]:
        assert result.keys() - BUCKETS_ANSWERED["results"][0].keys() == BEYOND["results"]  # type: ignore[index]
    assert answer.keys() == {"results", "pagination", "total_count", "stats"}
    assert answer["pagination"].keys() - BUCKETS_ANSWERED["pagination"].keys() == {"next_cursor"}  # type: ignore[attr-defined]
    assert answer["total_count"] == 3


def _and() -> list[Json]:
    return [
        {"field": "name", "operator": "starts_with", "value": "John"},
        {"field": "age", "operator": "gte", "value": 30},
    ]


async def test_the_documented_list_of_objects(client: Client, bucket: str) -> None:
    for year in (2023, 2024):
        await client.create(
            bucket, {"key_prefix": "/contract-2024", "metadata": {"category": "contracts", "year": year}}
        )
    answer = await client.ok("POST", f"/v1/buckets/{bucket}/objects/list")
    assert list(lacks(OBJECTS_ANSWERED, answer)) == []
    assert len(answer["results"]) == 2
    for result in answer["results"]:
        assert result.keys() == OBJECTS_ANSWERED["results"][0].keys()  # type: ignore[index]
    assert answer["pagination"].keys() - OBJECTS_ANSWERED["pagination"].keys() == BEYOND["pagination"]  # type: ignore[attr-defined]
    assert answer["stats"] == {
        "total_objects": 2,
        "total_blobs": 0,
        "avg_blobs_per_object": 0,
        "objects_by_status": {"DRAFT": 2},
    }


# The eras


async def test_every_route_that_lists(client: Client, space: str) -> None:
    bucket = await bucket_of(client, space)
    path = f"/v1/buckets/{bucket['bucket_id']}/objects"
    made = await client.ok("POST", path, {"a": 1}, namespace=space)
    for method, route, body in (
        ("POST", "/v1/buckets", None),
        ("POST", "/v1/buckets", {}),
        ("POST", "/v1/buckets", {"limit": 5, "filters": None}),
        ("POST", "/v1/buckets/list", None),
        ("GET", "/v1/buckets", None),
    ):
        answer = await client.ok(method, route, body, namespace=space)
        assert ids(answer, "bucket_id") == [bucket["bucket_id"]], (method, route, body)
    requests: list[tuple[str, str, Json]] = [
        ("POST", path, None),
        ("POST", path, {}),
        ("POST", path, {"limit": 5}),
        ("POST", path, {"filters": {"a": 1}}),
        ("POST", path, {"sort": {"field": "a"}}),
        ("POST", f"{path}/list", None),
        ("POST", f"{path}/list", {"search": made["object_id"]}),
        ("GET", path, None),
    ]
    for method, route, body in requests:
        assert ids(await client.ok(method, route, body, namespace=space)) == [made["object_id"]], (method, route, body)
    for method, route in (("GET", "/v1/namespaces"), ("POST", "/v1/namespaces/list")):
        found = await client.ok(method, route, None if method == "GET" else {"search": space}, namespace=None)
        assert found["total_count"] >= 1
    for method, route in (("GET", "/v1/collections"), ("POST", "/v1/collections/list")):
        assert (await client.ok(method, route, namespace=space))["results"] == []


async def test_what_creates(client: Client, bucket: str) -> None:
    path = f"/v1/buckets/{bucket}/objects"
    for body in ({"filters": "a"}, {"limit": 5, "title": "x"}, {"filters": None}):
        assert "object_id" in await client.ok("POST", path, body), body
    assert "object_id" in await client.ok("POST", f"{path}/create", {"filters": {"a": 1}})
    assert "object_id" in await client.ok("POST", f"{path}?policy=insert", {})
    assert (await client.ok("POST", f"{path}/list"))["pagination"]["total"] == 5
    for unclear in ({"sort": ["x"]}, {"search": "x"}):  # may be meant as a list
        assert (await client.call("POST", path, unclear))[0] == 422
    assert (await client.call("POST", path, data="null"))[0] == 422


@pytest.mark.parametrize(
    ("body", "key", "words"),
    [
        ({"bucket_nam": "x"}, "bucket_nam", "`bucket_name`"),
        ({"description": "x"}, "description", "bucket_name is missing"),
        ({"filters": {}, "serch": "x"}, "serch", "`search`"),
        ({"limit": "5"}, "limit", "needed, not '5'"),
        ({"limit": True}, "limit", "needed, not true"),
        ({"filters": []}, "filters", "an object is needed"),
        ({"sort": "name"}, "sort", "object is needed, not 'name'"),
        ({"search": 5}, "search", "a text is needed, not 5"),
        ({"case_sensitive": 1}, "case_sensitive", "true or false is needed, not 1"),
    ],
)
async def test_a_typo_never_lists(client: Client, body: Json, key: str, words: str) -> None:
    ((at, message),) = await client.problems("POST", "/v1/buckets", body)
    assert at == ["body", key]
    assert words in message


async def test_the_oldest_route_needs_no_namespace(client: Client) -> None:
    name = f"default-{os.urandom(4).hex()}"
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": name}, namespace="default")
    body = {"filters": {"name": name}}
    assert ids(await client.ok("POST", "/v1/buckets", body, namespace=None), "bucket_id") == [made["bucket_id"]]
    assert (await client.call("GET", "/v1/buckets", namespace=None))[0] == 400
    assert (await client.call("POST", "/v1/buckets/list", body, namespace=None))[0] == 400
    await client.ok("DELETE", f"/v1/buckets/{made['bucket_id']}", namespace="default")


# Filters, order, search, select


@pytest.fixture(scope="module")
async def listed(client: Client) -> str:
    """Thirty objects, in a bucket of their own."""
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": f"listed-{os.urandom(4).hex()}"})
    items: list[Json] = [
        {
            "n": n,
            "metadata": {"type": ("video", "Text")[n % 2], "odd": VALUES[n % len(VALUES)], "late": n > 20},
            "blobs": [{"property": "p", "type": "video", "data": "x"}] * (n % 3),
            "status": ("draft", "active")[n % 2],
        }
        for n in range(30)
    ]
    assert (await client.batch(made["bucket_id"], items))["failed"] == []
    return f"/v1/buckets/{made['bucket_id']}/objects"


VALUES = [
    "50%",
    "50*",
    "50?",
    "50\\",
    '50"',
    "50'",
    "ÉTÉ",
    "été",
    "e\u0301te\u0301",
    "a.b",
    "[a-z]",
    "x OR y",
    "${n}",
    "*",
]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("operator", ["eq", "in", "starts_with", "ends_with", "contains", "text", "phrase"])
async def test_a_value_is_no_pattern(client: Client, listed: str, operator: str, value: str) -> None:
    for sensitive in (True, False):
        operand = [value] if operator == "in" else value
        body = {
            "filters": {"field": "metadata.odd", "operator": operator, "value": operand},
            "case_sensitive": sensitive,
            "limit": 100,
        }
        found = {each["metadata"]["odd"] for each in (await client.ok("POST", f"{listed}/list", body))["results"]}
        assert value in found or (operator == "phrase" and not value.isalnum()), (operator, value)
        if operator != "phrase":
            same = {"ÉTÉ", "été", "e\u0301te\u0301"} if value in ("ÉTÉ", "été", "e\u0301te\u0301") else {value}
            wanted = same if not sensitive or operator == "text" else {value}
            if value == "*" and operator not in ("eq", "in"):
                wanted = {"*", "50*"} if operator != "starts_with" else {"*"}
            assert found == wanted


async def test_query_parameters(client: Client, listed: str) -> None:
    answer = await client.ok("POST", f"{listed}/list?metadata.type=video&sort_field=n&sort_direction=desc&limit=3")
    assert [each["n"] for each in answer["results"]] == [28, 26, 24]
    answer = await client.ok("GET", f"{listed}?metadata.late=true&sort_field=n")
    assert [each["n"] for each in answer["results"]] == list(range(21, 30))


async def test_select(client: Client, listed: str) -> None:
    body = {"select": ["metadata.type", "blobs.type", "nothing.there"], "limit": 3}
    answer = await client.ok("POST", f"{listed}/list", body)
    kept = [{name: each[name] for name in each if name not in ("object_id", "bucket_id")} for each in answer["results"]]
    assert kept == [
        {"metadata": {"type": "video"}, "blobs": []},
        {"metadata": {"type": "Text"}, "blobs": [{"type": "video"}]},
        {"metadata": {"type": "video"}, "blobs": [{"type": "video"}, {"type": "video"}]},
    ]


async def test_stats_are_over_everything_that_matched(client: Client, listed: str) -> None:
    for filters in (
        {"metadata.type": "video"},
        # Not exact in the index, so that it is tested here.
        {"AND": [{"metadata.type": "video"}, {"field": "metadata.odd", "operator": "words", "value": ""}]},
    ):
        answer = await client.ok("POST", f"{listed}/list", {"filters": filters, "limit": 2})
        assert answer["stats"] == {
            "total_objects": 15,
            "total_blobs": 15,
            "avg_blobs_per_object": 1.0,
            "objects_by_status": {"DRAFT": 15},
        }
        assert answer["pagination"]["total"] == answer["total_count"] == 15


async def test_sorts_of_several_types_and_missing_last(client: Client, bucket: str) -> None:
    values: list[Json] = [True, "b", 3, None, 2**60 + 1, "a", 2**60, False, 2.5, [7, 1], {}, "2024-01-01"]
    await client.batch(bucket, [{"x": value} if value is not None else {"y": 1} for value in values])
    path = f"/v1/buckets/{bucket}/objects/list?limit=100"
    told = [each.get("x") for each in (await client.ok("POST", path, {"sort": {"field": "x"}}))["results"]]
    assert told == [[7, 1], 2.5, 3, 2**60, 2**60 + 1, "2024-01-01", "a", "b", False, True, None, {}]
    body = {"sort": {"field": "x", "direction": "DESC"}}
    told = [each.get("x") for each in (await client.ok("POST", path, body))["results"]]
    assert told == [True, False, "b", "a", "2024-01-01", 2**60 + 1, 2**60, [7, 1], 3, 2.5, None, {}]


async def test_resources_sort_and_search(client: Client, space: str) -> None:
    values: list[Json] = [3, "b", True, 10, -1.5, None, "a", 2**60 + 1, 2**60]
    for place, value in enumerate(values):
        metadata = {} if value is None else {"x": value}
        await bucket_of(client, space, bucket_name=f"b{place} 100%", description="Größe", metadata=metadata)
    for direction, wanted in (
        ("asc", [-1.5, 3, 10, 2**60, 2**60 + 1, "a", "b", True, None]),
        ("desc", [True, "b", "a", 2**60 + 1, 2**60, 10, 3, -1.5, None]),
    ):
        body = {"sort": {"field": "metadata.x", "direction": direction}}
        answer = await client.ok("POST", "/v1/buckets/list", body, namespace=space)
        assert [each["metadata"].get("x") for each in answer["results"]] == wanted
    for text, count in (("GRÖSSE", 9), ("0%", 9), ("b3 ", 1), ("b*", 0), ("", 9)):
        answer = await client.ok("POST", "/v1/buckets/list", {"search": text}, namespace=space)
        assert answer["total_count"] == count, text
    answer = await client.ok("POST", "/v1/buckets/list", {"search": "GRÖSSE", "case_sensitive": True}, namespace=space)
    assert answer["total_count"] == 0


# Pages


@pytest.mark.parametrize(("first", "size"), [("limit=7", 7), ("page=1&page_size=7", 7), ("limit=30", 30), ("", 10)])
async def test_links_work_with_the_same_body(client: Client, listed: str, first: str, size: int) -> None:
    body = {"sort": {"field": "n", "direction": "desc"}, "filters": {"n": {"$lt": 25}}}
    link: Any = f"{listed}/list?{first}"
    told: list[int] = []
    pages: list[str] = []
    while link is not None:
        pages.append(link)
        answer = await client.ok("POST", link, body)
        assert len(answer["results"]) <= size
        told += [each["n"] for each in answer["results"]]
        last, link = answer, answer["pagination"]["next_page"]
    assert told == list(range(24, -1, -1))
    back = [last]
    while (link := back[-1]["pagination"]["previous_page"]) is not None:
        back.append(await client.ok("POST", link, body))
    assert len(back) == len(pages)
    assert [each["n"] for answer in reversed(back) for each in answer["results"]] == told


async def test_links_of_a_get_keep_its_query(client: Client, listed: str) -> None:
    answer = await client.ok("GET", f"{listed}?metadata.type=video&sort_field=n&limit=10&case_sensitive=true")
    answer = await client.ok("GET", answer["pagination"]["next_page"])
    assert [each["n"] for each in answer["results"]] == [20, 22, 24, 26, 28]
    assert answer["pagination"]["next_page"] is None


async def test_beyond_the_end(client: Client, listed: str) -> None:
    answer = await client.ok("POST", f"{listed}/list", {"offset": 100, "limit": 10})
    assert answer["results"] == []
    assert answer["pagination"]["total"] == 30
    assert answer["pagination"]["next_page"] is None
    assert answer["pagination"]["next_cursor"] is None


async def test_offset_past_the_window_names_the_cursor(client: Client, listed: str) -> None:
    for body in ({"offset": 9_995, "limit": 10}, {"page": 1001, "page_size": 10}):
        ((at, message),) = await client.problems("POST", f"{listed}/list", body)
        assert at == ["body", "offset" if "offset" in body else "page"]
        assert "cursor" in message
    ((at, _),) = await client.problems("POST", f"{listed}/list?offset=20000")
    assert at == ["query", "offset"]


# What is refused


@pytest.mark.parametrize(
    ("given", "at"),
    [
        ({"limit": 0}, ["limit"]),
        ({"limit": 1001}, ["limit"]),
        ({"limit": 2.5}, ["limit"]),
        ({"page_size": 0}, ["page_size"]),
        ({"page": 0}, ["page"]),
        ({"offset": -1}, ["offset"]),
        ({"search": 5}, ["search"]),
        ({"sort": {"field": ""}}, ["sort", "field"]),
        ({"sort": {"direction": "asc"}}, ["sort", "field"]),
        ({"sort": {"field": "a..b"}}, ["sort", "field"]),
        ({"sort": {"field": "n", "direction": "up"}}, ["sort", "direction"]),
        ({"select": "a"}, ["select"]),
        ({"filters": []}, ["filters"]),
        ({"filters": {"AND": {}}}, ["filters", "AND"]),
        ({"filters": {"AND": [5]}}, ["filters", "AND", 0]),
        ({"filters": {"field": "n", "operator": "like", "value": 5}}, ["filters", "operator"]),
        ({"filters": {"OR": [{"field": "n", "operator": "in", "value": 5}]}}, ["filters", "OR", 0, "value"]),
        ({"filters": {"NOT": {"field": "n", "operator": "nin", "value": "x"}}}, ["filters", "NOT", 0, "value"]),
        ({"filters": {"field": "n", "operator": "regex", "value": "(a"}}, ["filters", "value"]),
        ({"filters": {"field": "n", "operator": "regex", "value": "(?=a)"}}, ["filters", "value"]),
        ({"filters": {"field": "n", "operator": "regex", "value": "(a{1,1000}){1,1000}"}}, ["filters", "value"]),
        ({"filters": {"n": {"$foo": 1}}}, ["filters", "n", "$foo"]),
        ({"filters": {"$or": [{"n": 1}]}}, ["filters", "$or"]),
        ({"filters": {"field": "n", "operator": "exists", "value": "yes"}}, ["filters", "value"]),
        ({"filters": {"case_sensitive": 1}}, ["filters", "case_sensitive"]),
        ({"cursor": "nonsense"}, ["cursor"]),
    ],
)
async def test_bad_input_is_refused_with_its_place(client: Client, listed: str, given: Json, at: list[str]) -> None:
    for path in (f"{listed}/list", "/v1/buckets/list", "/v1/collections/list", "/v1/namespaces/list"):
        ((place, _),) = await client.problems("POST", path, given)
        assert place == ["body", *at], path


@pytest.mark.parametrize("pair", ["limit=0", "limit=1001", "limit=x", "offset=-1", "page=0", "limit=1e3", "cursor=x"])
async def test_bad_parameters_are_refused_with_their_place(client: Client, listed: str, pair: str) -> None:
    for path in (listed, "/v1/buckets", "/v1/collections", "/v1/namespaces"):
        ((place, _),) = await client.problems("GET", f"{path}?{pair}")
        assert place == ["query", pair.partition("=")[0]]


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){20}", "^(([a-z])+.)+[A-Z]([a-z])+$"])
async def test_no_regular_expression_runs_for_ever(client: Client, bucket: str, pattern: str) -> None:
    await client.create(bucket, {"metadata": {"text": "a" * 5_000 + "!", "tags": ["a" * 5_000 + "!", "É"]}})
    for field in ("metadata.text", "metadata.tags"):
        body = {"filters": {"field": field, "operator": "regex", "value": pattern}}
        async with asyncio.timeout(10):
            status, _ = await client.call("POST", f"/v1/buckets/{bucket}/objects/list", body)
        assert status in (200, 422)


async def test_nesting_and_number_of_conditions_are_bounded(client: Client, listed: str) -> None:
    deep: Json = {"field": "n", "value": 1}
    for _ in range(11):
        deep = {"AND": [deep]}
    ((at, message),) = await client.problems("POST", f"{listed}/list", {"filters": deep})
    assert at[:2] == ["body", "filters"]
    assert "10 deep" in message
    many = {"OR": [{"field": "n", "value": n} for n in range(101)]}
    ((_, message),) = await client.problems("POST", f"{listed}/list", {"filters": many})
    assert "100 conditions" in message
    assert (await client.ok("POST", f"{listed}/list", {"filters": {"OR": many["OR"][:100]}}))["total_count"] == 30


async def test_values_of_another_type_match_nothing(client: Client, listed: str) -> None:
    for operator in ("starts_with", "ends_with", "text", "words", "phrase", "contains", "eq", "gt"):
        for value in (True, None if operator not in ("eq",) else False):
            body = {"filters": {"field": "metadata.type", "operator": operator, "value": value}}
            assert (await client.ok("POST", f"{listed}/list", body))["total_count"] == 0, (operator, value)


# Counts


async def test_counts_and_stats_of_buckets(client: Client, space: str) -> None:
    buckets = [await bucket_of(client, space, bucket_name=f"b{n}") for n in range(4)]
    for number, bucket in enumerate(buckets):
        data = [{"blobs": [{"data": "12345"}]}] * number
        path = f"/v1/buckets/{bucket['bucket_id']}/objects/batch"
        await client.ok("POST", path, {"objects": data}, namespace=space)
    answer = await client.ok("POST", "/v1/buckets/list", {"limit": 1}, namespace=space)
    assert answer["stats"] == {
        "total_objects": 6,
        "total_size_bytes": 30,
        "avg_objects_per_bucket": 1.5,
        "avg_size_per_bucket": 7.5,
    }
    body = {"sort": {"field": "object_count", "direction": "desc"}, "filters": {"object_count": {"$gte": 1}}}
    answer = await client.ok("POST", "/v1/buckets/list", {**body, "limit": 2}, namespace=space)
    assert [each["object_count"] for each in answer["results"]] == [3, 2]
    assert answer["stats"]["total_objects"] == 6
    answer = await client.ok("POST", answer["pagination"]["next_page"], body, namespace=space)
    assert [each["object_count"] for each in answer["results"]] == [1]
    by_cursor = await client.ok("POST", "/v1/buckets/list", {**body, "limit": 2}, namespace=space)
    cursor = by_cursor["pagination"]["next_cursor"]
    answer = await client.ok("POST", "/v1/buckets/list", {**body, "limit": 2, "cursor": cursor}, namespace=space)
    assert [each["object_count"] for each in answer["results"]] == [1]
    assert answer["pagination"]["next_cursor"] is None
    answer = await client.ok("GET", "/v1/namespaces?limit=1000", namespace=None)
    (mine,) = (each for each in answer["results"] if each["namespace_name"] == space)
    assert (mine["bucket_count"], mine["object_count"], mine["collection_count"]) == (4, 6, 0)


async def test_computed_fields_are_bounded(client: Client, space: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("service.listing.computed", "service.listing.sources", "service.catalog.buckets"):
        monkeypatch.setattr(f"{module}.COUNTED", 3)
    for _ in range(4):
        await bucket_of(client, space)
    for body, place in (
        ({"sort": {"field": "object_count"}}, "sort"),
        ({"filters": {"object_count": 0}}, "filters"),
    ):
        ((at, message),) = await client.problems("POST", "/v1/buckets/list", body, namespace=space)
        assert at == ["body", place]
        assert "object_count" in message
    answer = await client.ok("POST", "/v1/buckets/list", namespace=space)
    assert answer["total_count"] == 4
    assert answer["stats"] == dict.fromkeys(
        ("total_objects", "total_size_bytes", "avg_objects_per_bucket", "avg_size_per_bucket")
    ) | {
        "omitted": ["total_objects", "total_size_bytes", "avg_objects_per_bucket", "avg_size_per_bucket"],
    }
    assert [each["object_count"] for each in answer["results"]] == [0] * 4, "a page's own counts are told"


async def test_a_path_that_cannot_be_selected(client: Client, listed: str) -> None:
    ((at, _),) = await client.problems("POST", f"{listed}/list", {"select": ["n", "a..b"]})
    assert at == ["body", "select", 1]
