"""Bad aggregate requests: a 422 that names the place of everything that is wrong."""

import json
import os
import time
from typing import Any

import pytest

from tests.support.client import Client

Json = Any

COUNT = {"function": "count", "alias": "n"}
GOOD: dict[str, Json] = {"group_by": [{"field": "metadata.g"}], "aggregations": [COUNT]}


@pytest.fixture(scope="module")
async def listed(client: Client) -> str:
    """A bucket with a few objects of every shape, so that a spec which gets through is really run."""
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": f"bad-{os.urandom(5).hex()}"})
    values: list[Json] = ["a", "b", 1, 2.5, True, None, ["a", [1]], {"x": "a"}, "2024-01-31", "x" * 9_000, 2**60]
    items = [{"metadata": {"g": value, "v": value, "s": "text", "n": place}} for place, value in enumerate(values)]
    assert (await client.batch(made["bucket_id"], items))["failed"] == []
    return f"/v1/buckets/{made['bucket_id']}/objects/aggregate"


def spec(**changes: Json) -> Json:
    return {**GOOD, **changes}


def key(**more: Json) -> Json:
    return spec(group_by=[{"field": "metadata.g", **more}])


def metric(**more: Json) -> Json:
    return spec(aggregations=[{"function": "sum", "alias": "s", "field": "metadata.n", **more}])


def having(**more: Json) -> Json:
    return spec(having=[{"field": "n", "operator": "gt", "value": 0, **more}])


def ranges(**more: Json) -> Json:
    return spec(range_buckets=[{"field": "metadata.n", "boundaries": [0, 5], **more}])


LIMITS: list[Json] = [0, -1, "5", True, 1.0, 1.5, [], 1e30]

BAD: list[tuple[str, Json, list[Json]]] = [
    ("no group_by", {"aggregations": [COUNT]}, ["group_by"]),
    ("group_by null", spec(group_by=None), ["group_by"]),
    ("group_by empty", spec(group_by=[]), ["group_by"]),
    ("group_by no array", spec(group_by={"field": "a"}), ["group_by"]),
    ("group_by of strings", spec(group_by=["a"]), ["group_by", 0]),
    ("no aggregations", {"group_by": [{"field": "a"}]}, ["aggregations"]),
    ("aggregations empty", spec(aggregations=[]), ["aggregations"]),
    ("too many keys", spec(group_by=[{"field": f"f{n}"} for n in range(100)]), ["group_by"]),
    ("too many metrics", spec(aggregations=[{**COUNT, "alias": f"a{n}"} for n in range(100)]), ["aggregations"]),
    # A key
    ("key without field", spec(group_by=[{"alias": "x"}]), ["group_by", 0, "field"]),
    ("second key without field", spec(group_by=[{"field": "a"}, {}]), ["group_by", 1, "field"]),
    ("key's field empty", key(field=""), ["group_by", 0, "field"]),
    ("key's field a number", key(field=5), ["group_by", 0, "field"]),
    ("key's field a list", key(field=["a"]), ["group_by", 0, "field"]),
    ("key's path with empty steps", key(field="a..b"), ["group_by", 0, "field"]),
    ("key's path ends in a dot", key(field="a."), ["group_by", 0, "field"]),
    ("key's path begins with a dot", key(field=".a"), ["group_by", 0, "field"]),
    ("key's path with a stray backslash", key(field="a\\b"), ["group_by", 0, "field"]),
    ("key's alias empty", key(alias=""), ["group_by", 0, "alias"]),
    ("key's alias a number", key(alias=5), ["group_by", 0, "alias"]),
    ("unknown date_trunc", key(date_trunc="decade"), ["group_by", 0, "date_trunc"]),
    ("date_trunc in capitals", key(date_trunc="MONTH"), ["group_by", 0, "date_trunc"]),
    ("unknown date_part", key(date_part="day_of_week"), ["group_by", 0, "date_part"]),
    ("both date keys", key(date_trunc="month", date_part="month"), ["group_by", 0]),
    ("unknown zone", key(date_trunc="day", time_zone="Mars/Olympus"), ["group_by", 0, "time_zone"]),
    ("a zone that is a path", key(date_trunc="day", time_zone="../../etc/passwd"), ["group_by", 0, "time_zone"]),
    ("a zone without a date", key(time_zone="UTC"), ["group_by", 0, "time_zone"]),
    ("unknown start of week", key(date_trunc="week", start_of_week="someday"), ["group_by", 0, "start_of_week"]),
    ("two keys of one name", spec(group_by=[{"field": "a"}, {"field": "b", "alias": "a"}]), ["group_by", 0, "alias"]),
    ("key and metric of one name", spec(group_by=[{"field": "n"}]), ["aggregations", 0, "alias"]),
    ("a field without dates", key(field="metadata.s", date_trunc="day"), ["group_by", 0, "field"]),
    ("a field that nobody has, as date", key(field="metadata.none", date_part="year"), ["group_by", 0, "field"]),
    # A metric
    ("unknown function", metric(function="summe"), ["aggregations", 0, "function"]),
    ("function in capitals", metric(function="SUM"), ["aggregations", 0, "function"]),
    ("no function", spec(aggregations=[{"alias": "x"}]), ["aggregations", 0, "function"]),
    ("function null", metric(function=None), ["aggregations", 0, "function"]),
    ("no alias", spec(aggregations=[{"function": "count"}]), ["aggregations", 0, "alias"]),
    ("alias empty", metric(alias=""), ["aggregations", 0, "alias"]),
    *(
        (f"{name} without field", metric(function=name, field=None), ["aggregations", 0, "field"])
        for name in ("sum", "avg", "min", "max", "count_distinct")
    ),
    ("metric's path", metric(field="a..b"), ["aggregations", 0, "field"]),
    ("metric's field a number", metric(field=1), ["aggregations", 0, "field"]),
    ("alias twice", spec(aggregations=[COUNT, COUNT]), ["aggregations", 1, "alias"]),
    ("distinct path", metric(function="count_distinct", distinct_field="a."), ["aggregations", 0, "distinct_field"]),
    # having
    ("having on nothing", having(field="nothing"), ["having", 0, "field"]),
    ("having on a key", having(field="metadata.g"), ["having", 0, "field"]),
    ("having's unknown operator", having(operator="$gt"), ["having", 0, "operator"]),
    ("having without operator", spec(having=[{"field": "n", "value": 1}]), ["having", 0, "operator"]),
    ("having without value", spec(having=[{"field": "n", "operator": "gt"}]), ["having", 0, "value"]),
    ("having no array", spec(having={"field": "n"}), ["having"]),
    # sort and limit
    ("sort_by nothing", spec(sort_by="nothing"), ["sort_by"]),
    ("sort_by empty", spec(sort_by=""), ["sort_by"]),
    ("sort_by a number", spec(sort_by=1), ["sort_by"]),
    ("sort_direction", spec(sort_by="n", sort_direction="up"), ["sort_direction"]),
    ("sort_direction -1", spec(sort_by="n", sort_direction=-1), ["sort_direction"]),
    ("sort_direction alone", spec(sort_direction="sideways"), ["sort_direction"]),
    *((f"limit {limit!r}", spec(limit=limit), ["limit"]) for limit in LIMITS),
    # unwind
    ("unwind empty", spec(unwind=""), ["unwind"]),
    ("unwind a number", spec(unwind=5), ["unwind"]),
    ("unwind path", spec(unwind="a..b"), ["unwind"]),
    ("unwind in MongoDB's spelling", spec(unwind={"path": "$a"}), ["unwind"]),
    # ranges
    ("boundaries empty", ranges(boundaries=[]), ["range_buckets", 0, "boundaries"]),
    ("boundaries descend", ranges(boundaries=[5, 0]), ["range_buckets", 0, "boundaries"]),
    ("boundaries twice", ranges(boundaries=[0, 0.0]), ["range_buckets", 0, "boundaries"]),
    ("no boundaries", spec(range_buckets=[{"field": "a"}]), ["range_buckets", 0, "boundaries"]),
    ("range without field", spec(range_buckets=[{"boundaries": [1]}]), ["range_buckets", 0, "field"]),
    ("range path", ranges(field="a..b"), ["range_buckets", 0, "field"]),
    ("range and key of one name", ranges(alias="metadata.g"), ["range_buckets", 0, "alias"]),
]


@pytest.mark.parametrize(("body", "at"), [pytest.param(body, at, id=name) for name, body, at in BAD])
async def test_the_place_is_named(client: Client, listed: str, body: Json, at: list[Json]) -> None:
    problems = await client.problems("POST", listed, body)
    assert ["body", *at] in [place for place, _ in problems], problems
    assert all(message for _, message in problems)


def nested(depth: int, inside: Json, operator: str = "$and") -> Json:
    for _ in range(depth):
        inside = {operator: [inside]}
    return inside


G = "metadata.g"
BAD_FILTERS: list[tuple[str, Json, list[Json]]] = [
    ("a list", [], []),
    ("a string", "g=1", []),
    ("unknown operator", {G: {"$like": "a"}}, [G, "$like"]),
    ("operator without dollar is a value", {G: {"$gt": 1, "lt": 2}}, [G, "lt"]),
    ("unknown operator at the top", {"$foo": []}, ["$foo"]),
    ("a field's operator at the top", {"$gt": 5}, ["$gt"]),
    ("$and no array", {"$and": {}}, ["$and"]),
    ("$or empty", {"$or": []}, ["$or"]),
    ("$or of numbers", {"$or": [{G: 1}, 5]}, ["$or", 1]),
    ("deep inside", {"$or": [{G: 1}, {"$and": [{G: {"$nope": 1}}]}]}, ["$or", 1, "$and", 0, G, "$nope"]),
    ("$in no array", {G: {"$in": "a"}}, [G, "$in"]),
    ("$nin null", {G: {"$nin": None}}, [G, "$nin"]),
    ("$all no array", {G: {"$all": "a"}}, [G, "$all"]),
    ("$exists a number", {G: {"$exists": 1}}, [G, "$exists"]),
    ("$size negative", {G: {"$size": -1}}, [G, "$size"]),
    ("$size true", {G: {"$size": True}}, [G, "$size"]),
    ("a path of 10,000 characters", {"x" * 10_000: 1}, ["x" * 10_000]),
    ("$mod of nothing", {G: {"$mod": []}}, [G, "$mod"]),
    ("$mod without a remainder", {G: {"$mod": [2]}}, [G, "$mod"]),
    ("$mod of three", {G: {"$mod": [2, 1, 0]}}, [G, "$mod"]),
    ("$mod by 0", {G: {"$mod": [0, 1]}}, [G, "$mod"]),
    ("$mod by a fraction", {G: {"$mod": [2.5, 1]}}, [G, "$mod"]),
    ("$mod by a text", {G: {"$mod": ["2", 1]}}, [G, "$mod"]),
    ("$mod by true", {G: {"$mod": [True, 1]}}, [G, "$mod"]),
    ("$mod beyond 64 bits", {G: {"$mod": [2**63, 1]}}, [G, "$mod"]),
    ("$size a fraction", {G: {"$size": 1.5}}, [G, "$size"]),
    ("$gt of an operator", {G: {"$gt": {"$date": "2024-01-01"}}}, [G, "$gt", "$date"]),
    ("$not a value", {G: {"$not": 5}}, [G, "$not"]),
    ("$not empty", {G: {"$not": {}}}, [G, "$not"]),
    ("$not of a filter", {G: {"$not": {"a": 1}}}, [G, "$not"]),
    ("$not with an unknown operator", {G: {"$not": {"$nope": 1}}}, [G, "$not", "$nope"]),
    ("$elemMatch a value", {G: {"$elemMatch": 5}}, [G, "$elemMatch"]),
    ("$elemMatch with an unknown operator", {G: {"$elemMatch": {"$nope": 1}}}, [G, "$elemMatch", "$nope"]),
    ("$startsWith a number", {G: {"$startsWith": 1}}, [G, "$startsWith"]),
    ("$endsWith null", {G: {"$endsWith": None}}, [G, "$endsWith"]),
    ("$text a list", {G: {"$text": ["a"]}}, [G, "$text"]),
    ("$regex a number", {G: {"$regex": 1}}, [G, "$regex"]),
    ("$options alone", {G: {"$options": "i"}}, [G, "$options"]),
    ("$options unknown", {G: {"$regex": "a", "$options": "x"}}, [G, "$regex"]),
    ("broken: bracket", {G: {"$regex": "[a"}}, [G, "$regex"]),
    ("broken: group", {G: {"$regex": "(a"}}, [G, "$regex"]),
    ("broken: star", {G: {"$regex": "*"}}, [G, "$regex"]),
    ("broken: backslash", {G: {"$regex": "a\\"}}, [G, "$regex"]),
    ("look-ahead", {G: {"$regex": "a(?=b)"}}, [G, "$regex"]),
    ("negative look-ahead", {G: {"$regex": "^(?!a)"}}, [G, "$regex"]),
    ("look-behind", {G: {"$regex": "(?<=a)b"}}, [G, "$regex"]),
    ("back-reference", {G: {"$regex": "(a)\\1"}}, [G, "$regex"]),
    ("too many repetitions", {G: {"$regex": "(a{1000}){1000}"}}, [G, "$regex"]),
    ("too long a pattern", {G: {"$regex": "a" * 5_000}}, [G, "$regex"]),
    ("empty path", {"": 1}, [""]),
    ("path with empty steps", {"a..b": 1}, ["a..b"]),
    ("list form: unknown operator", {"AND": [{"field": G, "operator": "like", "value": 1}]}, ["AND", 0, "operator"]),
    ("list form: no array", {"OR": {"field": G}}, ["OR"]),
    ("list form: broken pattern", {"field": G, "operator": "regex", "value": "("}, ["value"]),
    ("list form: field a number", {"AND": [{"field": 5, "value": 1}]}, ["AND", 0, "field"]),
    ("list form: case_sensitive", {"AND": [], "case_sensitive": "no"}, ["case_sensitive"]),
    ("both forms", {"AND": [], "$or": [{G: 1}]}, ["$or"]),
]


@pytest.mark.parametrize(("filters", "at"), [pytest.param(body, at, id=name) for name, body, at in BAD_FILTERS])
async def test_the_place_in_filters_is_named(client: Client, listed: str, filters: Json, at: list[Json]) -> None:
    ((place, message),) = await client.problems("POST", listed, spec(filters=filters))
    assert place == ["body", "filters", *at], message
    assert message


@pytest.mark.parametrize("depth", [25, 99, 50_000])
@pytest.mark.parametrize("operator", ["$and", "$or", "$nor", "AND", "OR", "NOT"])
async def test_deep_filters_are_refused(client: Client, listed: str, operator: str, depth: int) -> None:
    text = json.dumps(spec(filters="…")).replace(
        '"\\u2026"', f'{{"{operator}":[' * depth + f'{{"{G}":1}}' + "]}" * depth
    )
    ((place, message),) = await client.problems("POST", listed, data=text)
    assert place[0] == "body"
    assert "nested" in message or "depth" in message


@pytest.mark.parametrize(
    "filters",
    [
        {"$or": [{G: n} for n in range(5_000)]},
        {G: {"$all": list(range(5_000))}},
        {"$and": [{G: {"$ne": n, "$exists": True, "$nin": [n]}} for n in range(500)]},
        {f"f{n}": n for n in range(5_000)},
    ],
    ids=["$or", "$all", "operators", "fields"],
)
async def test_too_many_conditions_are_refused(client: Client, listed: str, filters: Json) -> None:
    ((place, message),) = await client.problems("POST", listed, spec(filters=filters))
    assert place[:2] == ["body", "filters"]
    assert "1000" in message


@pytest.mark.parametrize(
    "condition",
    [
        {"$ne": "a"},
        {"$gt": 0},
        {"$gt": "2024-01-31"},
        {"$exists": False},
        {"$in": ["a", 1, True, 2**60, None]},
        {"$gte": None},
    ],
    ids=json.dumps,
)
async def test_many_conditions_are_answered_or_refused(client: Client, listed: str, condition: Json) -> None:
    """However many clauses each of them becomes: a failure of the service it never is."""
    status, answer = await client.call("POST", listed, spec(filters={"$or": [{"metadata.v": condition}] * 450}))
    assert status in (200, 400, 422), answer
    if status == 200:
        assert (
            answer["results"] == (await client.ok("POST", listed, spec(filters={"metadata.v": condition})))["results"]
        )


@pytest.mark.parametrize("make", [int, str, float], ids=["integers", "strings", "fractions"])
async def test_a_huge_in(client: Client, listed: str, make: Json) -> None:
    """100,000 values are more than one terms query takes."""
    values = [make(number) + (make("5") / 10 if make is float else make()) for number in range(100_000)]
    answer = await client.ok("POST", listed, spec(filters={"metadata.v": {"$in": [*values, "a", 2.5]}}))
    found = [row["group"][G] for row in answer["results"]]
    expected: list[Json] = [2.5, "a", ["a", [1]]]
    assert found == ([1, *expected] if make is int else expected)


@pytest.mark.parametrize("operator", ["$eq", "$contains", "$startsWith", "$endsWith", "$text", "$gt", "$ne"])
@pytest.mark.parametrize("length", [100, 500, 3_000, 100_000])
async def test_a_long_operand(client: Client, listed: str, operator: str, length: int) -> None:
    for operand in ("y" * length, "a*?\\" * (length // 4)):
        answer = await client.ok("POST", listed, spec(filters={"metadata.s": {operator: operand}}))
        if operator != "$gt":
            assert len(answer["results"]) == (11 if operator == "$ne" else 0)


@pytest.mark.parametrize("operator", ["$eq", "$in", "$all", "$contains", "$elemMatch"])
async def test_a_deep_operand(client: Client, listed: str, operator: str) -> None:
    for depth in (50, 90, 500, 1_000):
        operand = "[" * depth + "]" * depth
        operand = f'{{"$in":[{operand}]}}' if operator == "$elemMatch" else operand
        text = json.dumps(spec(filters={"metadata.v": {operator: "…"}})).replace('"\\u2026"', operand)
        status, answer = await client.call("POST", listed, data=text)
        assert status == (200 if depth < 95 else 422), (depth, answer)


# Bodies


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "nonsense",
        "[1",
        "{1: 2}",
        "{true: 1}",
        '{"group_by": [}',
        "NaN",
        '{"limit": NaN}',
        '{"limit": 1e999}',
        "\ufeff",
    ],
)
async def test_a_body_that_is_no_json(client: Client, listed: str, text: str) -> None:
    ((place, _),) = await client.problems("POST", listed, data=text.encode())
    assert place == ["body"]


@pytest.mark.parametrize("text", ["[]", "5", '"x"', "null", "true"])
async def test_a_body_that_is_no_object(client: Client, listed: str, text: str) -> None:
    ((place, _),) = await client.problems("POST", listed, data=text)
    assert place == ["body"]


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('{"$and":[', "]}"), ("[", "")])
async def test_10_mb_of_nesting(client: Client, listed: str, opening: str, closing: str) -> None:
    depth = 10_000_000 // len(opening + closing)
    started = time.monotonic()
    for text in (opening * depth + closing * depth, f'{{"filters":{opening * depth}1{closing * depth}}}'):
        ((place, _),) = await client.problems("POST", listed, data=text)
        assert place == ["body"]
    assert time.monotonic() - started < 5


async def test_every_problem_is_told_at_once(client: Client, listed: str) -> None:
    body = {
        "group_by": [{"field": "a..b"}, {"field": "b", "time_zone": "x"}],
        "aggregations": [{"function": "nope", "alias": "x"}, {"function": "sum", "alias": "y"}],
        "having": [{"field": "z", "operator": "gt", "value": 1}],
        "sort_by": "nothing",
        "sort_direction": "up",
        "unwind": "c.",
        "filters": {"d": {"$nope": 1}},
    }
    places = [place[1:] for place, _ in await client.problems("POST", listed, body)]
    for place in (
        ["group_by", 0, "field"],
        ["group_by", 1, "time_zone"],
        ["aggregations", 0, "function"],
        ["aggregations", 1, "field"],
        ["having", 0, "field"],
        ["sort_by"],
        ["sort_direction"],
        ["unwind"],
        ["filters", "d", "$nope"],
    ):
        assert place in places


async def test_only_a_description_at_the_top_is_tolerated(client: Client, listed: str) -> None:
    """The documented example carries it."""
    assert (await client.ok("POST", listed, spec(description="x")))["total_groups"] > 5
    body = spec(group_by=[{"field": G, "description": "y"}], aggregations=[{**COUNT, "extra": 1}])
    places = [place for place, _ in await client.problems("POST", listed, body)]
    assert places == [["body", "group_by", 0, "description"], ["body", "aggregations", 0, "extra"]]


async def test_nulls_stand_for_absence(client: Client, listed: str) -> None:
    body = spec(filters=None, having=None, unwind=None, range_buckets=None, sort_by=None, limit=None)
    body["group_by"] = [{"field": G, "alias": None, "date_trunc": None, "date_part": None}]
    plain = await client.ok("POST", listed, GOOD)
    assert (await client.ok("POST", listed, body))["results"] == plain["results"]
