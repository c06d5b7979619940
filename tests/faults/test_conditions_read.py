"""What a filter says is read, or refused: a misspelt, dropped or swapped key never asks for something else."""

import json
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.records import TYPES, Project, container, property_of

Json = Any

ITEMS = [
    {"metadata": {"state": "keep", "n": 1, "field": "f", "value": "v", "operator": "o"}},
    {"metadata": {"state": "keep", "n": 2, "and": "x"}},
    {"metadata": {"state": "old", "n": 3, "tags": ["a", "b"]}},
    {"metadata": {"n": 4}},
]
FIELD = "metadata.state"


@pytest.fixture(scope="module")
async def listed(client: Client) -> AsyncIterator[str]:
    """A bucket with the items; nobody may delete any of them."""
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": f"conditions-{os.urandom(4).hex()}"})
    assert (await client.batch(made["bucket_id"], ITEMS))["failed"] == []
    yield f"/v1/buckets/{made['bucket_id']}/objects"
    await client.call("DELETE", f"/v1/buckets/{made['bucket_id']}")


async def everywhere(client: Client, listed: str, filters: Json) -> list[list[tuple[Json, str]]]:
    """The problems that each route has with the filters: aggregate, list, export, delete."""
    metrics = [{"function": "count", "alias": "n"}]
    spec = {"group_by": [{"field": "metadata.n"}], "aggregations": metrics, "filters": filters}
    return [
        await client.problems("POST", f"{listed}/aggregate", spec),
        *[await client.problems("POST", f"{listed}/{route}", {"filters": filters}) for route in ("list", "delete")],
    ]


async def count(client: Client, listed: str) -> int:
    total: int = (await client.ok("GET", listed))["pagination"]["total"]
    return total


REFUSED: list[tuple[Json, list[Json], str]] = [
    # The place, and what the message has to say.
    ({"AND": [{"field": FIELD, "op": "ne", "value": "keep"}]}, ["AND", 0, "op"], "did you mean `operator`?"),
    ({"AND": [{"field": FIELD, "oper": "ne", "value": "keep"}]}, ["AND", 0, "oper"], "did you mean `operator`?"),
    ({"OR": [{"field": FIELD, "Operator": "ne", "value": "keep"}]}, ["OR", 0, "Operator"], "`operator`"),
    ({"NOT": {"field": FIELD, "val": "keep"}}, ["NOT", 0, "val"], "did you mean `value`?"),
    ({"field": FIELD, "operator": "in", "values": ["keep"]}, ["values"], "did you mean `value`?"),
    ({"field": FIELD, "value": 1, "caseSensitive": True}, ["caseSensitive"], "did you mean `case_sensitive`?"),
    ({"field": FIELD, "value": 1, "description": "x"}, ["description"], "known keys: case_sensitive, field, operator"),
    ({"fild": FIELD, "operator": "ne", "value": "keep"}, ["fild"], "did you mean `field`?"),
    ({"Field": FIELD, "Operator": "ne", "Value": "keep"}, ["Field"], "did you mean `field`?"),
    ({"feild": FIELD, "value": "keep"}, ["feild"], "did you mean `field`?"),
    ({"path": FIELD, "operator": "ne", "value": "keep"}, ["path"], "known keys"),
    ({"key": FIELD, "op": "exists"}, ["key"], "known keys"),
    ({"operator": "ne", "value": "keep"}, ["field"], "needs `field`"),
    ({"field": FIELD}, ["value"], "needs `value`"),
    ({"field": FIELD, "operator": "ne"}, ["value"], "needs `value`"),
    ({"AND": [{"field": FIELD, "operator": "gt"}]}, ["AND", 0, "value"], "needs `value`"),
    ({"field": FIELD, "operator": "starts_with"}, ["value"], "needs `value`"),
    ({"field": FIELD, "operator": "in"}, ["value"], "needs `value`"),
    ({"field": FIELD, "value": "keep", "AND": []}, ["AND"], "unknown key `AND`"),
    ({"field": FIELD, "value": "keep", "and": []}, ["and"], "unknown key `and`"),
    ({"field": FIELD, "value": "keep", "status": "ACTIVE"}, ["status"], "unknown key `status`"),
    # Operators
    ({"field": FIELD, "operator": "neq", "value": 1}, ["operator"], "did you mean `ne`?"),
    ({"field": FIELD, "operator": "$ne", "value": 1}, ["operator"], "did you mean `ne`?"),
    ({"field": FIELD, "operator": "startsWith", "value": "a"}, ["operator"], "did you mean `starts_with`?"),
    ({"field": FIELD, "operator": "NE", "value": 1}, ["operator"], "did you mean `ne`?"),
    ({"field": FIELD, "operator": "", "value": 1}, ["operator"], "known: eq, ne"),
    # Wrong types
    ({"field": FIELD, "operator": 5, "value": 1}, ["operator"], "takes a string"),
    ({"field": FIELD, "operator": ["ne"], "value": 1}, ["operator"], "takes a string"),
    ({"field": 5, "value": 1}, ["field"], "takes a string"),
    ({"field": None, "value": 1}, ["field"], "takes a string"),
    ({"field": ["a"], "value": 1}, ["field"], "takes a string"),
    ({"field": FIELD, "value": 1, "case_sensitive": "no"}, ["case_sensitive"], "true or false"),
    ({"AND": [], "case_sensitive": 1}, ["case_sensitive"], "true or false"),
    ({"field": FIELD, "operator": "exists", "value": "yes"}, ["value"], "true or false"),
    ({"field": FIELD, "operator": "is_null", "value": 0}, ["value"], "true or false"),
    ({"field": "", "value": 1}, ["field"], "empty"),
    ({"AND": {"field": FIELD, "value": 1}}, ["AND"], "array"),
    ({"OR": "x"}, ["OR"], "array"),
    ({"AND": [[]]}, ["AND", 0], "object"),
    # Groups in other spellings
    ({"AND": [{"or": [{"field": FIELD, "value": 1}]}]}, ["AND", 0, "or"], "did you mean `OR`?"),
    ({"AND": [], "Not": {"field": FIELD, "value": 1}}, ["Not"], "did you mean `NOT`?"),
    ({"AND": [{"and": "x"}]}, ["AND", 0, "and"], "did you mean `AND`?"),
    ({"AND": [], "ANDD": [{"field": FIELD, "value": 1}]}, ["ANDD"], "did you mean `AND`?"),
    ({"NOT": [{"NTO": [{"metadata.state": "keep"}]}]}, ["NOT", 0, "NTO"], "did you mean `NOT`?"),
    ({"AND": [], "all_of": [{"field": FIELD, "operator": "eq", "value": 1}]}, ["all_of"], "unknown key"),
    ({"AND": [], "caseSensitive": True}, ["caseSensitive"], "did you mean `case_sensitive`?"),
    ({"AND": [], "$or": [{FIELD: 1}]}, ["$or"], "did you mean `OR`?"),
    # Values that are conditions
    ({"AND": [{FIELD: {"operator": "ne", "value": "keep"}}]}, ["AND", 0, FIELD], "`field`"),
    ({"AND": [{FIELD: {"ne": "keep"}}]}, ["AND", 0, FIELD, "ne"], "did you mean `$ne`?"),
    ({"AND": [{FIELD: {"$neq": "keep"}}]}, ["AND", 0, FIELD, "$neq"], "did you mean `$ne`?"),
    ({"AND": [{FIELD: {"$ne": "keep", "in": []}}]}, ["AND", 0, FIELD, "in"], "did you mean `$in`?"),
    ({"filter": {"AND": [{"field": FIELD, "value": 1}]}, "AND": []}, ["filter", "AND"], "AND"),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: json.dumps(case[0]))
async def test_a_condition_is_read_or_refused(client: Client, listed: str, case: tuple[Json, list[Json], str]) -> None:
    filters, at, told = case
    for problems in await everywhere(client, listed, filters):
        place, message = problems[0]
        assert place == ["body", "filters", *at], message
        assert told in message


MONGO_REFUSED: list[tuple[Json, list[Json], str]] = [
    ({"or": [{FIELD: "keep"}]}, ["or"], "did you mean `$or`?"),
    ({"And": [{FIELD: "keep"}]}, ["And"], "did you mean `$and`?"),
    ({"not": {FIELD: "keep"}}, ["not"], "did you mean `$nor`?"),
    ({"NOR": [{FIELD: "keep"}]}, ["NOR"], "did you mean `$nor`?"),
    ({"$OR": [{FIELD: "keep"}]}, ["$OR"], "did you mean `$or`?"),
    ({"$ands": [{FIELD: "keep"}]}, ["$ands"], "did you mean `$and`?"),
    ({"$and": [{"AND": [{FIELD: "keep"}]}]}, ["$and", 0, "AND"], "did you mean `$and`?"),
    ({"$and": [{"field": FIELD, "operator": "ne", "value": "keep"}]}, ["$and", 0], "AND/OR/NOT"),
    ({"$nor": [{"feild": FIELD, "value": "keep"}]}, ["$nor", 0], "AND/OR/NOT"),
    ({"$or": [{FIELD: {"$elemMatch": {"or": [{"a": 1}]}}}]}, ["$or", 0, FIELD, "$elemMatch", "or"], "`$or`"),
    ({"case_sensitiv": True, FIELD: "keep"}, ["case_sensitiv"], "did you mean `case_sensitive`?"),
    ({FIELD: {"$startswith": "k"}}, [FIELD, "$startswith"], "did you mean `$startsWith`?"),
    ({FIELD: {"$ge": "k"}}, [FIELD, "$ge"], "did you mean `$g"),
    ({FIELD: {"$exist": True}}, [FIELD, "$exist"], "did you mean `$exists`?"),
    ({FIELD: {"$regex": "k", "$option": "i"}}, [FIELD, "$option"], "unknown operator"),
    ({FIELD: {"$nin": ["keep"], "nin": []}}, [FIELD, "nin"], "did you mean `$nin`?"),
    ({"conditions": [{"field": FIELD, "operator": "eq", "value": 1}]}, ["conditions"], "unknown key"),
]


@pytest.mark.parametrize("case", MONGO_REFUSED, ids=lambda case: json.dumps(case[0]))
async def test_a_filter_in_mongodbs_form_is_read_or_refused(
    client: Client, listed: str, case: tuple[Json, list[Json], str]
) -> None:
    filters, at, told = case
    metrics = [{"function": "count", "alias": "n"}]
    spec = {"group_by": [{"field": "metadata.n"}], "aggregations": metrics, "filters": filters}
    place, message = (await client.problems("POST", f"{listed}/aggregate", spec))[0]
    assert place == ["body", "filters", *at], message
    assert told in message


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"field": FIELD, "value": "keep"}, [1, 2]),
        ({"field": FIELD, "operator": None, "value": "keep"}, [1, 2]),
        ({"field": FIELD, "operator": "eq", "value": None}, [4]),
        ({"field": FIELD, "operator": "exists"}, [1, 2, 3]),
        ({"field": FIELD, "operator": "exists", "value": None}, [1, 2, 3]),
        ({"field": FIELD, "operator": "exists", "value": False}, [4]),
        ({"field": FIELD, "operator": "is_null"}, [4]),
        ({"field": FIELD, "operator": "eq", "value": "KEEP", "case_sensitive": None}, [1, 2]),
        ({"field": FIELD, "operator": "eq", "value": "KEEP", "case_sensitive": True}, []),
        ({"AND": None, "OR": None, "NOT": [{"field": FIELD, "value": "keep"}]}, [3, 4]),
        ({"AND": [{"field": FIELD, "value": "keep"}], "case_sensitive": None}, [1, 2]),
        # Fields that are called like the keys of conditions and operators
        ({"metadata.field": "f"}, [1]),
        ({"field": {"$eq": "f"}}, [1]),
        ({"field": {"$eq": "f"}, "value": {"$eq": "v"}, "operator": {"$eq": "o"}}, [1]),
        ({"AND": [{"value": "v"}]}, [1]),
        ({"AND": [{"operator": "o"}]}, [1]),
        ({"field": "field", "operator": "eq", "value": "f"}, [1]),
        ({"and": {"$eq": "x"}}, [2]),
        ({"field": "and", "value": "x"}, [2]),
        ({"tags": ["a", "b"]}, [3]),
        ({"tags": {"$eq": ["a", "b"]}}, [3]),
    ],
    ids=json.dumps,
)
async def test_what_is_right_is_answered(client: Client, listed: str, filters: Json, expected: list[int]) -> None:
    answer = await client.ok("POST", f"{listed}/list", {"filters": filters})
    assert [each["metadata"]["n"] for each in answer["results"]] == expected


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"filters": None},
        {"filters": {}},
        {"filters": []},
        {"filters": {"AND": []}},
        {"filters": {"OR": []}},
        {"filters": {"AND": None}},
        {"filters": {"NOT": []}},
        {"filters": {"case_sensitive": True}},
        {"filters": {"AND": [{}]}},
        {"filters": {"AND": [{"OR": []}]}},
        {"filters": {"object_id": {"$exists": True}}},
        {"filters": {"object_id": {"$ne": None}}},
        {"filters": {"metadata.stat": {"$ne": "keep"}}},
        {"filters": {"field": "metadata.stat", "operator": "ne", "value": "keep"}},
        {"filters": {"field": "metadata.stat", "operator": "nin", "value": ["keep"]}},
        {"filters": {"field": "metadata.stat", "operator": "exists", "value": False}},
        {"filters": {"field": "metadata.stat", "operator": "is_null"}},
        {"filters": {"NOT": [{"field": "metadata.stat", "operator": "eq", "value": "keep"}]}},
        {"filters": {"metadata.state": {"$not": {"$in": []}}}},
        {"filter": {"field": FIELD, "operator": "eq", "value": "old"}},
        {"filters": {"field": FIELD, "operator": "eq", "value": "x"}, "case_sensitiv": True},
        {"field": FIELD, "operator": "eq", "value": "old"},
    ],
    ids=json.dumps,
)
async def test_a_delete_of_everything_is_refused(client: Client, listed: str, body: Json) -> None:
    status, answer = await client.call("POST", f"{listed}/delete", body)
    assert status == 422, answer
    assert await count(client, listed) == len(ITEMS)


KEPT = ["keep", "old"]
BASES: list[Json] = [
    {"field": FIELD, "operator": "ne", "value": "gone"},
    {"field": FIELD, "operator": "eq", "value": "gone"},
    {"AND": [{"field": FIELD, "operator": "nin", "value": KEPT}, {"field": "n", "operator": "lt", "value": 4}]},
    {"NOT": [{"field": FIELD, "operator": "exists", "value": True}, {"field": "n", "operator": "eq", "value": 4}]},
    {"OR": [{"AND": [{"field": FIELD, "operator": "gt", "value": "p"}]}], "case_sensitive": True},
    {"AND": [{FIELD: {"$in": ["gone"], "$exists": True}}], "NOT": {FIELD: "keep"}},
]  # fmt: skip


def misspelt(key: str) -> list[str]:
    swapped = key[:-2] + key[-1] + key[-2]
    return [key[:-1], key + key[-1], swapped, key.upper(), key.lower(), f"{key}s", f"_{key}"]


def typos(filters: Json, inside_condition: bool = False) -> Iterator[Json]:
    """Every key misspelt or dropped, and the values of any two keys of a condition swapped, at every level."""
    if isinstance(filters, list):
        for place, item in enumerate(filters):
            for changed in typos(item):
                yield [*filters[:place], changed, *filters[place + 1 :]]
        return
    if not isinstance(filters, dict):
        return
    condition = "field" in filters
    for key, value in filters.items():
        others = {name: each for name, each in filters.items() if name != key}
        if key != FIELD:
            for name in misspelt(key):
                if name != key and name not in filters:
                    yield {name: value, **others}
        # What is left without `operator` or without `NOT` is another question, rightly put.
        if condition and key in ("field", "value") and filters["operator"] != "exists":
            yield others
        for changed in typos(value):
            yield {**filters, key: changed}
    if condition:
        field, operator, value = (filters[name] for name in ("field", "operator", "value"))
        yield {"field": operator, "operator": field, "value": value}
        yield {"field": field, "operator": value, "value": operator}


async def test_no_typo_deletes_anything(client: Client, listed: str) -> None:
    """The filters themselves delete nothing, or would delete all that a typo in them could let go."""
    tried = 0
    for base in BASES:
        for filters in typos(base):
            status, answer = await client.call("POST", f"{listed}/delete", {"filters": filters})
            assert status == 422 or answer["deleted_count"] == 0, (filters, answer)
            tried += 1
    assert tried > 120
    assert await count(client, listed) == len(ITEMS)


async def test_filters_of_other_routes_are_read_alike(client: Client, listed: str) -> None:
    """Lists of resources, exports, and what a collection selects."""
    filters = {"AND": [{"field": "status", "op": "ne", "value": "x"}]}
    bucket = listed.split("/")[3]
    for path in ("/v1/buckets/list", "/v1/collections/list", f"{listed}/export", listed):
        ((place, message),) = await client.problems("POST", path, {"filters": filters})
        assert place == ["body", "filters", "AND", 0, "op"]
        assert "`operator`" in message
    ((place, _),) = await client.problems("POST", "/v1/namespaces/list", {"filters": filters}, namespace=None)
    assert place == ["body", "filters", "AND", 0, "op"]
    source = {"type": "bucket", "bucket_ids": [bucket], "source_filters": {"filters": filters}}
    body = {"collection_name": f"c-{os.urandom(4).hex()}", "source": source, "feature_extractor": {
        "feature_extractor_name": "text_extractor", "version": "v1"}}  # fmt: skip
    problems = await client.problems("POST", "/v1/collections", body)
    assert ["body", "source", "source_filters", "filters", "AND", 0, "op"] in [place for place, _ in problems]


async def test_having_names_its_operators(client: Client, listed: str) -> None:
    spec = {"group_by": [{"field": "metadata.n"}], "aggregations": [{"function": "count", "alias": "n"}]}
    for operator in ("neq", "$gt", "GT", "", None, 5):
        having = [{"field": "n", "operator": operator, "value": 1}]
        ((place, message),) = await client.problems("POST", f"{listed}/aggregate", {**spec, "having": having})
        assert place == ["body", "having", 0, "operator"]
        assert "gte" in message


@pytest.fixture(scope="module")
async def project(client: Client) -> AsyncIterator[Project]:
    async with Project.made(client) as project:
        await project.spaces("s")
        await project.containers(container(TYPES))
        yield project


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"equal": {}}, ("filter.equal", "did you mean `equals`?", "known: and, or")),
        ({"matchall": {}}, ("filter.matchall", "did you mean `matchAll`?")),
        ({"And": []}, ("filter.And", "did you mean `and`?")),
        ({"nor": []}, ("filter.nor", "did you mean")),
        ({"$or": []}, ("filter.$or", "did you mean `or`?")),
        ({"in": {"property": property_of("text"), "value": ["a"]}}, ("filter.in.value", "did you mean `values`?")),
        (
            {"equals": {"property": property_of("text"), "values": "a"}},
            ("filter.equals.values", "`value`", "known keys"),
        ),
        ({"equals": {"propertie": property_of("text"), "value": "a"}}, ("filter.equals.propertie", "`property`?")),
        ({"range": {"property": property_of("i32"), "get": 1}}, ("filter.range.get", "did you mean `gt`?", "lte")),
        ({"range": {"property": property_of("i32"), "gte": 1, "from": 1}}, ("filter.range.from", "known keys")),
        ({"not": {"exists": {"field": property_of("i32")}}}, ("filter.not.exists.field", "known keys: property")),
        ({"exists": {"property": property_of("i32"), "not": True}}, ("filter.exists.not", "unknown key `not`")),
        ({"prefix": {"property": property_of("text"), "prefix": "a"}}, ("filter.prefix.prefix", "value")),
        ({"and": [{"matchAll": {"all": 1}}]}, ("filter.and[0].matchAll.all", "unknown key `all`")),
        ({"equals": {"property": property_of("text")}}, ("filter.equals", "value is needed")),
    ],
    ids=json.dumps,
)
async def test_records_filters_are_read_or_refused(project: Project, filters: Json, words: tuple[str, ...]) -> None:
    stream = await project.stream()
    bodies: dict[str, Json] = {"filter": {}, "aggregate": {"aggregates": {"n": {"count": {}}}}}
    for route, more in bodies.items():
        await project.refused(f"/streams/{stream}/records/{route}", {"filter": filters, **more}, 400, *words)
