"""Filters have MongoDB's meaning: $elemMatch, $all, arrays in arrays, BSON's order; and `status` in any case."""

import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.client import Client

Json = Any

VALUES: dict[str, Json] = {
    "missing": ...,
    "null": None,
    "five": 5,
    "text": "red",
    "empty": [],
    "[5]": [5],
    "[[5]]": [[5]],
    "[1,2]": [1, 2],
    "[1,3]": [1, 3],
    "[2]": [2],
    "[[1,2]]": [[1, 2]],
    "[[]]": [[]],
    "[{}]": [{}],
    "{}": {},
    "{a:1}": {"a": 1},
    "{a:2}": {"a": 2},
    "{b:1}": {"b": 1},
    "{a:'x'}": {"a": "x"},
    "[{a:1},{a:2}]": [{"a": 1}, {"a": 2}],
    "[{a:null}]": [{"a": None}],
    "[[{a:1}]]": [[{"a": 1}]],
    "[null]": [None],
    "[red,blue]": ["red", "blue"],
    "[[red]]": [["red"]],
    "true": True,
    "deep": {"a": [{"b": [1, 5]}, {"b": [9]}]},
}
ARRAYS = [name for name, value in VALUES.items() if isinstance(value, list)]
FILLED = [name for name in ARRAYS if name != "empty"]
EVERYTHING = list(VALUES)


def but(*names: str) -> list[str]:
    return [name for name in EVERYTHING if name not in names]


ONE_TO_FOUR = {"$gt": 1, "$lt": 4}
CASES: list[tuple[Json, list[str]]] = [
    # $all of $elemMatch
    ({"$all": [{"$elemMatch": {"a": 1}}, {"$elemMatch": {"a": 2}}]}, ["[{a:1},{a:2}]"]),
    ({"$not": {"$all": [{"$elemMatch": {"a": 1}}, {"$elemMatch": {"a": 2}}]}}, but("[{a:1},{a:2}]")),
    ({"$all": [{"$elemMatch": {"$eq": 1}}, {"$elemMatch": ONE_TO_FOUR}]}, ["[1,2]", "[1,3]"]),
    ({"$not": {"$all": [{"$elemMatch": {"$eq": 1}}, {"$elemMatch": ONE_TO_FOUR}]}}, but("[1,2]", "[1,3]")),
    ({"$all": [{"$elemMatch": {"$gte": 5}}]}, ["[5]"]),
    ({"$all": [{"$elemMatch": {"$elemMatch": {"$eq": 2}}}]}, ["[[1,2]]"]),
    ({"$all": [{"$elemMatch": {}}, {"$elemMatch": {"a": 2}}]}, ["[{a:1},{a:2}]"]),
    ({"$all": []}, []),
    ({"$not": {"$all": []}}, EVERYTHING),
    ({"$all": [[5]]}, ["[5]", "[[5]]"]),
    ({"$all": ["red", "blue"]}, ["[red,blue]"]),
    # $elemMatch with operators takes the element as it is
    ({"$elemMatch": {"$eq": 5}}, ["[5]"]),
    ({"$elemMatch": {"$ne": 5}}, [name for name in FILLED if name != "[5]"]),
    ({"$elemMatch": {"$eq": [5]}}, ["[[5]]"]),
    ({"$elemMatch": {"$in": [5, "red"]}}, ["[5]", "[red,blue]"]),
    ({"$elemMatch": {"$nin": [5, "red", "blue"]}}, [name for name in FILLED if name not in ("[5]", "[red,blue]")]),
    ({"$elemMatch": {"$gt": 4}}, ["[5]"]),
    ({"$elemMatch": {"$not": {"$lt": 9}}}, [name for name in FILLED if name not in ("[5]", "[1,2]", "[1,3]", "[2]")]),
    ({"$elemMatch": {"$regex": "^r"}}, ["[red,blue]"]),
    ({"$elemMatch": {"$startsWith": "re"}}, ["[red,blue]"]),
    ({"$elemMatch": {"$endsWith": "ed"}}, ["[red,blue]"]),
    ({"$elemMatch": {"$text": "RED"}}, ["[red,blue]"]),
    ({"$elemMatch": {"$contains": "red"}}, ["[red,blue]", "[[red]]"]),
    ({"$elemMatch": {"$size": 1}}, ["[[5]]", "[[{a:1}]]", "[[red]]"]),
    ({"$elemMatch": {"$size": 0}}, ["[[]]"]),
    ({"$elemMatch": {"$elemMatch": {"$eq": 5}}}, ["[[5]]"]),
    ({"$elemMatch": {"$elemMatch": {"a": 1}}}, ["[[{a:1}]]"]),
    ({"$elemMatch": {"$all": [5]}}, ["[5]"]),
    ({"$elemMatch": {"$exists": True}}, FILLED),
    ({"$elemMatch": {"$exists": False}}, []),
    ({"$elemMatch": {"$eq": None}}, ["[null]"]),
    ({"$elemMatch": {"$ne": None}}, [name for name in FILLED if name != "[null]"]),
    ({"$not": {"$elemMatch": {"$eq": 5}}}, but("[5]")),
    # $elemMatch with fields: an array is an object without them, a scalar is none
    ({"$elemMatch": {}}, ["[[5]]", "[[1,2]]", "[[]]", "[{}]", "[{a:1},{a:2}]", "[{a:null}]", "[[{a:1}]]", "[[red]]"]),
    ({"$elemMatch": {"a": None}}, ["[[5]]", "[[1,2]]", "[[]]", "[{}]", "[{a:null}]", "[[{a:1}]]", "[[red]]"]),
    ({"$elemMatch": {"a": {"$exists": False}}}, ["[[5]]", "[[1,2]]", "[[]]", "[{}]", "[[{a:1}]]", "[[red]]"]),
    ({"$elemMatch": {"a": {"$exists": True}}}, ["[{a:1},{a:2}]", "[{a:null}]"]),
    ({"$elemMatch": {"$nor": [{"a": None}]}}, ["[{a:1},{a:2}]"]),
    ({"$elemMatch": {"a": {"$gt": 1}}}, ["[{a:1},{a:2}]"]),
    ({"$elemMatch": {"a": {"$ne": 1}}}, [
        "[[5]]", "[[1,2]]", "[[]]", "[{}]", "[{a:1},{a:2}]", "[{a:null}]", "[[{a:1}]]", "[[red]]",
    ]),
    # $mod takes numbers, and elements that are numbers
    ({"$mod": [2, 1]}, ["five", "[5]", "[1,2]", "[1,3]"]),
    ({"$mod": [4, 1.0]}, ["five", "[5]", "[1,2]", "[1,3]"]),
    ({"$elemMatch": {"$mod": [3, 2]}}, ["[5]", "[1,2]", "[2]"]),
    ({"$not": {"$mod": [1, 0]}}, but("five", "[5]", "[1,2]", "[1,3]", "[2]")),
    # Comparisons with arrays, in BSON's order: the whole array, or an array in it
    ({"$gte": [1, 2]}, [
        "[5]", "[[5]]", "[1,2]", "[1,3]", "[2]", "[[1,2]]", "[[]]", "[{}]", "[{a:1},{a:2}]", "[{a:null}]",
        "[[{a:1}]]", "[red,blue]", "[[red]]",
    ]),
    ({"$gt": [1, 2], "$lt": [3]}, ["[1,3]", "[2]", "[[1,2]]", "[[]]"]),  # for each a bound, as in MongoDB
    ({"$lte": [1, 2]}, ["empty", "[1,2]", "[null]", "[[1,2]]", "[[]]"]),
    ({"$lt": [1, 2]}, ["empty", "[null]", "[[]]"]),
    ({"$lt": []}, []),
    ({"$lte": []}, ["empty", "[[]]"]),
    ({"$not": {"$gte": []}}, [name for name in EVERYTHING if name not in ARRAYS]),
    ({"$gt": [True]}, []),
    ({"$elemMatch": {"$gte": [1]}}, ["[[5]]", "[[1,2]]", "[[{a:1}]]", "[[red]]"]),
    # … and with objects: type, name and value of each field
    ({"$gte": {"a": 1}}, ["{a:1}", "{a:2}", "{b:1}", "{a:'x'}", "[{a:1},{a:2}]", "deep"]),
    ({"$gt": {"a": 1}}, ["{a:2}", "{b:1}", "{a:'x'}", "[{a:1},{a:2}]", "deep"]),
    ({"$lt": {"a": 1}}, ["[{}]", "{}", "[{a:null}]"]),
    ({"$lte": {}}, ["[{}]", "{}"]),
    ({"$gt": {"a": 1}, "$lt": {"b": 0}}, ["{a:2}", "[{a:1},{a:2}]"]),
    ({"$gt": {"a": "r"}}, ["{a:'x'}", "deep"]),
    ({"$gte": {"a": 2, "b": 0}}, ["{b:1}", "{a:'x'}", "deep"]),
    # $eq takes an object literally, whatever its keys are called
    ({"$eq": {"gt": 1}}, []),
    ({"$eq": {"a": 1}}, ["{a:1}", "[{a:1},{a:2}]"]),
]  # fmt: skip


@pytest.fixture(scope="module")
async def shelf(client: Client) -> AsyncIterator[str]:
    """A bucket with an object for each value."""
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": f"filters-{os.urandom(4).hex()}"})
    bucket: str = made["bucket_id"]
    items = [
        {
            "metadata": {"id": name, **({} if value is ... else {"x": value})},
            "status": "active" if place % 2 else "FAILED",
        }
        for place, (name, value) in enumerate(VALUES.items())
    ]
    assert (await client.batch(bucket, items))["failed"] == []
    yield f"/v1/buckets/{bucket}/objects"
    await client.call("DELETE", f"/v1/buckets/{bucket}")


def counted(filters: Json) -> Json:
    return {
        "group_by": [{"field": "metadata.id"}],
        "aggregations": [{"function": "count", "alias": "n"}],
        "filters": filters,
    }


async def grouped(client: Client, shelf: str, filters: Json) -> set[str]:
    answer = await client.ok("POST", f"{shelf}/aggregate", counted(filters))
    return {row["group"]["metadata.id"] for row in answer["results"]}


async def listed(client: Client, shelf: str, filters: Json) -> set[str]:
    answer = await client.ok("POST", f"{shelf}/list", {"filters": filters, "limit": 100})
    return {each["metadata"]["id"] for each in answer["results"]}


@pytest.mark.parametrize("case", CASES, ids=lambda case: json.dumps(case[0]))
async def test_operators_mean_what_they_mean_in_mongodb(
    client: Client, shelf: str, case: tuple[Json, list[str]]
) -> None:
    """In aggregates, below $and, and below a path of the list form."""
    condition, expected = case
    assert await grouped(client, shelf, {"metadata.x": condition}) == set(expected)
    assert await grouped(client, shelf, {"$nor": [{"metadata.x": condition}]}) == set(EVERYTHING) - set(expected)
    assert await listed(client, shelf, {"x": condition, "case_sensitive": True}) == set(expected)


async def test_elements_below_a_path_through_arrays(client: Client, shelf: str) -> None:
    for condition, found in (
        ({"$elemMatch": {"$gt": 5}}, True),
        ({"$all": [{"$elemMatch": {"$eq": 1}}, {"$elemMatch": {"$gt": 5}}]}, True),
        ({"$elemMatch": {"$gt": 9}}, False),
        ({"$gte": [9]}, True),
        ({"$gt": [9]}, False),
    ):
        expected = {"deep"} if found else set()
        assert await grouped(client, shelf, {"metadata.x.a.b": condition}) == expected, condition
    one = {"metadata.x.a": {"$elemMatch": {"b": {"$all": [{"$elemMatch": {"$eq": 1}}, {"$elemMatch": {"$gt": 5}}]}}}}
    assert await grouped(client, shelf, one) == set()


@pytest.mark.parametrize(
    ("filters", "at"),
    [
        ({"metadata.x": {"$in": [1, {"$gt": 5}]}}, ["metadata.x", "$in", 1, "$gt"]),
        ({"metadata.x": {"$nin": [{"$gt": 5}]}}, ["metadata.x", "$nin", 0, "$gt"]),
        ({"metadata.x": {"$all": [{"$gt": 5}]}}, ["metadata.x", "$all", 0, "$gt"]),
        ({"metadata.x": {"$in": [{"$regex": "a"}]}}, ["metadata.x", "$in", 0, "$regex"]),
        ({"metadata.x": {"$in": [{"$elemMatch": {"$eq": 1}}]}}, ["metadata.x", "$in", 0, "$elemMatch"]),
        ({"metadata.x": {"$in": [{"$nope": 1}]}}, ["metadata.x", "$in", 0, "$nope"]),
        ({"metadata.x": {"$not": {"$in": [{"$gt": 5}]}}}, ["metadata.x", "$not", "$in", 0, "$gt"]),
        ({"metadata.x": {"$elemMatch": {"$in": [{"$gt": 5}]}}}, ["metadata.x", "$elemMatch", "$in", 0, "$gt"]),
        ({"metadata.x": {"$all": [{"$elemMatch": {"$eq": 1}}, 5]}}, ["metadata.x", "$all", 1]),
        ({"metadata.x": {"$all": [5, {"$elemMatch": {"$eq": 1}}]}}, ["metadata.x", "$all", 0]),
        ({"metadata.x": {"$all": [{"$elemMatch": {"$eq": 1}, "$size": 1}]}}, ["metadata.x", "$all", 0]),
        ({"metadata.x": {"$all": [{"$elemMatch": {"$nope": 1}}]}}, ["metadata.x", "$all", 0, "$elemMatch", "$nope"]),
        ({"metadata.x": {"$all": [{"$elemMatch": 5}]}}, ["metadata.x", "$all", 0, "$elemMatch"]),
        ({"metadata.x": {"$gte": {"$date": "2024-01-01"}}}, ["metadata.x", "$gte", "$date"]),
        ({"metadata.x": {"$contains": {"$eq": 1}}}, ["metadata.x", "$contains", "$eq"]),
        ({"field": "x", "operator": "in", "value": [{"$gt": 5}]}, ["value", 0, "$gt"]),
        ({"field": "x", "operator": "ne", "value": {"$gt": 5}}, ["value", "$gt"]),
        ({"field": "x", "value": {"$gt": 5}}, ["value", "$gt"]),
        # Operators without their $ are no values, either.
        ({"metadata.x": {"gt": 1}}, ["metadata.x", "gt"]),
        ({"metadata.x": {"gte": 1, "lt": 5}}, ["metadata.x", "gte"]),
        ({"metadata.x": {"GT": 1}}, ["metadata.x", "GT"]),
        ({"metadata.x": {"starts_with": "a"}}, ["metadata.x", "starts_with"]),
        ({"metadata.x": {"elemmatch": {"a": 1}}}, ["metadata.x", "elemmatch"]),
        ({"metadata.x": {"or": [1, 2]}}, ["metadata.x", "or"]),
        ({"metadata.x": {">=": 1}}, ["metadata.x", ">="]),
        ({"metadata.x": {"!=": 1}}, ["metadata.x", "!="]),
        ({"metadata.x": {"$in": [{"gt": 1}]}}, ["metadata.x", "$in", 0, "gt"]),
        ({"metadata.x": {"$not": {"gt": 1}}}, ["metadata.x", "$not"]),
        ({"metadata.x": {"$elemMatch": {"gt": 1}}}, ["metadata.x", "$elemMatch", "gt"]),
        ({"AND": [{"x": {"gt": 1}}]}, ["AND", 0, "x", "gt"]),
        ({"field": "x", "value": {"gt": 1}}, ["value", "gt"]),
        ({"metadata.x": {"operator": "gt", "value": 1}}, ["metadata.x"]),
        ({"metadata.x": {"AND": [{"field": "a", "value": 1}]}}, ["metadata.x", "AND"]),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
async def test_operators_are_never_taken_for_values(client: Client, shelf: str, filters: Json, at: list[Json]) -> None:
    ((place, message),) = await client.problems("POST", f"{shelf}/aggregate", counted(filters))
    assert place == ["body", "filters", *at]
    assert "$" in message


async def test_what_looks_like_operators_is_meant_literally_by_eq(client: Client, bucket: str) -> None:
    shelf = f"/v1/buckets/{bucket}/objects"
    for name, value in (("gt", {"gt": 1}), ("$gt", {"$gt": 1}), ("size", [{"size": 3}])):
        await client.create(bucket, {"metadata": {"id": name, "x": value}})
    for filters, expected in (
        ({"metadata.x": {"$eq": {"gt": 1}}}, {"gt"}),
        ({"metadata.x": {"$eq": {"$gt": 1}}}, {"$gt"}),
        ({"metadata.x": {"$ne": {"gt": 1}}}, {"$gt", "size"}),
        ({"metadata.x": {"$elemMatch": {"size": 3}}}, {"size"}),
        ({"metadata.x": {"$elemMatch": {"$eq": {"size": 3}}}}, {"size"}),
        ({"metadata.x": {"gt": 1, "other": 2}}, set()),
        ({"field": "metadata.x", "operator": "eq", "value": {"gt": 1}}, {"gt"}),
        ({"x": {"$eq": {"gt": 1}}, "AND": []}, {"gt"}),
    ):
        assert await grouped(client, shelf, filters) == expected, filters


async def test_the_objects_status_compares_in_any_case(client: Client, shelf: str) -> None:
    """Stored upper-case, and lower-case on the documented pages: in every operator, whatever `case_sensitive` says."""
    names = list(VALUES)
    active, failed = set(names[1::2]), set(names[::2])
    for condition, expected in (
        ("active", active),
        ("Active", active),
        ({"$eq": "FAILED"}, failed),
        ({"$ne": "active"}, failed),
        ({"$in": ["active", "none"]}, active),
        ({"$nin": ["active"]}, failed),
        ({"$all": ["failed"]}, failed),
        ({"$not": {"$eq": "failed"}}, active),
        ({"$regex": "^act"}, active),
        ({"$startsWith": "act"}, active),
        ({"$endsWith": "ed"}, failed),
        ({"$contains": "ctiv"}, active),
        ({"$text": "fail"}, failed),
        ({"$gt": "b"}, failed),
        ({"$lte": "b"}, active),
    ):
        assert await grouped(client, shelf, {"status": condition}) == expected, condition
        for case_sensitive in (True, False):
            filters = {"status": condition, "case_sensitive": case_sensitive}
            assert await listed(client, shelf, filters) == expected, condition
    for operator, value, expected in (
        ("eq", "active", active),
        ("ne", "active", failed),
        ("in", ["active"], active),
        ("nin", ["failed"], active),
        ("starts_with", "fail", failed),
        ("regex", "^fail", failed),
        ("words", "active", active),
        ("phrase", "failed", failed),
    ):
        one = {"AND": [{"field": "status", "operator": operator, "value": value}], "case_sensitive": True}
        assert await grouped(client, shelf, one) == await listed(client, shelf, one) == expected, one


async def test_only_the_root_status_compares_in_any_case(client: Client, bucket: str) -> None:
    shelf = f"/v1/buckets/{bucket}/objects"
    await client.create(bucket, {"metadata": {"id": "a", "status": "Open", "x": [{"status": "Open"}]}})
    for filters, expected in (
        ({"metadata.status": "open"}, set()),
        ({"metadata.status": "Open"}, {"a"}),
        ({"metadata.x": {"$elemMatch": {"status": "open"}}}, set()),
        ({"metadata.x": {"$elemMatch": {"status": "Open"}}}, {"a"}),
        ({"metadata.x.status": "open"}, set()),
        ({"status": "draft", "metadata.x.status": "Open"}, {"a"}),
    ):
        assert await grouped(client, shelf, filters) == expected, filters


async def test_objects_are_deleted_by_status_in_any_case(client: Client, bucket: str) -> None:
    await client.batch(bucket, [{"status": "ACTIVE"}, {"status": "failed"}])
    body = {"filters": {"status": "active"}, "case_sensitive": True}
    assert (await client.ok("POST", f"/v1/buckets/{bucket}/objects/delete", body))["deleted_count"] == 1
    left = await client.ok("GET", f"/v1/buckets/{bucket}/objects")
    assert [each["status"] for each in left["results"]] == ["FAILED"]


async def test_a_field_of_an_element_is_no_date_field_of_the_object(client: Client) -> None:
    schema = {"properties": {"seen": {"type": "datetime"}}}
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": os.urandom(4).hex(), "bucket_schema": schema})
    shelf = f"/v1/buckets/{made['bucket_id']}/objects"
    text, same = "2024-01-01T01:00:00+01:00", "2024-01-01T00:00:00Z"
    await client.create(made["bucket_id"], {"metadata": {"id": "a", "x": [{"seen": text}]}, "seen": text})
    for filters, expected in (
        ({"seen": same}, {"a"}),
        ({"metadata.x": {"$elemMatch": {"seen": same}}}, set()),
        ({"metadata.x": {"$elemMatch": {"seen": text}}}, {"a"}),
    ):
        assert await grouped(client, shelf, filters) == expected, filters
    await client.ok("DELETE", f"/v1/buckets/{made['bucket_id']}")
