"""Numbers at the ends of what doubles, integers and JSON can say; names sent to OpenSearch are never those of users."""

import json
import os
from fractions import Fraction
from typing import Any

import aiohttp
import pytest

from tests.support.client import Client

Json = Any
ENDLESS = "1" + "0" * 5_000
HUGE = int(1e308)
"""What the double 1e308 is, to the last digit."""
TWO_THIRDS = float((2 * Fraction(1e308) + Fraction(0.5)) / 3)
DOUBLES = [
    *({"g": "twice", "x": 1e308} for _ in "ab"),
    *({"g": "with a half", "x": x} for x in (1e308, 1e308, 0.5)),
    *({"g": "and back", "x": x} for x in (1e308, 1e308, -1e308)),
    *({"g": "apart", "x": x} for x in (1e200, -1e200)),
    *({"g": "ends", "x": x} for x in (1.7976931348623157e308, -1.7976931348623157e308)),
    *({"g": "cancels", "x": x} for x in (1e16, 1, -1e16)),
    *({"g": "subnormal", "x": x} for x in (5e-324, 5e-324)),
    *({"g": "zero", "x": x} for x in (-0.0, 0)),
    *({"g": "integers", "x": x} for x in (2**53 + 1, 2**63 - 1, -(2**63))),
]
ONE_GROUP = [{"field": "nothing", "alias": "all"}]


@pytest.fixture(scope="module")
async def doubles(client: Client) -> str:
    return await filled(client, DOUBLES)


async def filled(client: Client, objects: list[Json]) -> str:
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": f"numbers-{id(objects)}"})
    assert (await client.batch(made["bucket_id"], objects))["failed"] == []
    return str(made["bucket_id"])


def metric(function: str, field: str = "x", **more: Json) -> Json:
    return {"function": function, "field": field, "alias": "m", **more}


async def grouped(client: Client, bucket: str, *metrics: Json, **more: Json) -> dict[Json, Json]:
    """The metrics of each group of `g`, by its key."""
    request = {"group_by": [{"field": "g"}], "aggregations": list(metrics), **more}
    answer = await client.aggregate(bucket, request)
    return {row["group"]["g"]: row["metrics"] for row in answer["results"]}


@pytest.mark.parametrize("strategy", ["composite", "tuples", "objects"])
@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (
            "sum",
            {
                "twice": 2 * HUGE, "with a half": 2 * HUGE, "and back": 1e308, "apart": 0, "ends": 0, "cancels": 1,
                "subnormal": 1e-323, "zero": 0, "integers": 2**53,
            },
        ),
        (
            "avg",
            {
                "twice": 1e308, "with a half": TWO_THIRDS, "and back": 3.3333333333333333e307, "apart": 0,
                "ends": 0, "cancels": 1 / 3, "subnormal": 5e-324, "zero": 0, "integers": 2**53 / 3,
            },
        ),
        (
            "variance",
            {"twice": 0, "apart": int(1e200) ** 2, "ends": int(1.7976931348623157e308) ** 2, "zero": 0, "subnormal": 0},
        ),
        ("variance_samp", {"twice": 0, "apart": 2 * int(1e200) ** 2, "subnormal": 0}),
        ("stddev", {"twice": 0, "apart": 1e200, "ends": 1.7976931348623157e308}),
        ("stddev_samp", {"apart": 1.414213562373095e200}),
        ("median", {"twice": 1e308, "apart": 0, "ends": 0, "and back": 1e308, "integers": 2**53 + 1}),
        ("min", {"and back": -1e308, "ends": -1.7976931348623157e308, "zero": 0, "integers": -(2**63)}),
        ("max", {"twice": 1e308, "subnormal": 5e-324, "integers": 2**63 - 1}),
        ("first", {"twice": 1e308, "apart": 1e200, "subnormal": 5e-324, "integers": 2**53 + 1}),
        ("count_distinct", {"twice": 1, "and back": 2, "subnormal": 1, "zero": 1}),
        ("add_to_set", {"twice": [1e308], "apart": [-1e200, 1e200], "zero": [0]}),
    ],
)  # fmt: skip
async def test_doubles_near_the_end(
    client: Client, doubles: str, function: str, expected: dict[str, Json], strategy: str
) -> None:
    """Each group has the exact value, rounded once; what no double can hold is an integer. In every strategy."""
    more: Json = {"composite": [], "tuples": [], "objects": [metric("push") | {"alias": "all"}]}[strategy]
    found = await grouped(client, doubles, metric(function), *more, **({"unwind": "g"} if strategy == "tuples" else {}))
    assert {group: found[group]["m"] for group in expected} == expected


async def test_stddev_samp_beyond_the_range(client: Client, doubles: str) -> None:
    """√2 times the largest double is told as the integer that it is next to."""
    found = (await grouped(client, doubles, metric("stddev_samp")))["ends"]["m"]
    assert isinstance(found, int)
    assert str(found).startswith("25423220123072922")
    assert len(str(found)) == 309


@pytest.mark.parametrize(
    ("having", "kept"),
    [
        ({"operator": "gt", "value": 1.7976931348623157e308}, ["twice", "with a half"]),
        ({"operator": "eq", "value": 1e308}, ["and back"]),
        ({"operator": "lt", "value": 5e-323}, ["apart", "ends", "subnormal", "zero"]),
    ],
)
async def test_having_and_order_know_what_lies_beyond(
    client: Client, doubles: str, having: Json, kept: list[str]
) -> None:
    more = {"having": [{"field": "m", **having}], "sort_by": "m", "sort_direction": "asc"}
    assert sorted(await grouped(client, doubles, metric("sum"), **more)) == kept


async def test_order_by_a_sum_beyond_the_range(client: Client, doubles: str) -> None:
    answer = await client.aggregate(
        doubles,
        {"group_by": [{"field": "g"}], "aggregations": [metric("sum")], "sort_by": "m", "limit": 3},
    )
    assert [row["group"]["g"] for row in answer["results"]] == ["twice", "with a half", "and back"]


@pytest.mark.parametrize(
    "text",
    [
        '{"objects": [{"x": 1e400}]}', '{"objects": [{"metadata": {"x": [1e400]}}]}', '{"objects": [{"x": -1e400}]}',
        f'{{"objects": [{{"x": {10**400}}}]}}',
    ],
)  # fmt: skip
async def test_no_infinity_comes_in(client: Client, bucket: str, text: str) -> None:
    status, answer, _ = await client.send("POST", f"/v1/buckets/{bucket}/objects/batch", data=text)
    refused = status == 422 or json.loads(answer)["failed_count"] == 1
    assert refused, answer
    assert any(word in answer for word in ("infinity", "out of range", "64 bits")), answer
    status, answer, _ = await client.send("POST", f"/v1/buckets/{bucket}/objects/import", data='{"x": 1e400}\n{"x": 1}')
    assert json.loads(answer)["failed_count"] == 1, answer


@pytest.mark.parametrize(
    "part",
    [
        '"filters": {"x": {"$gt": 1e400}}',
        '"filters": {"AND": [{"field": "x", "operator": "gt", "value": -1e400}]}',
        '"range_buckets": [{"field": "x", "boundaries": [0, 1e400]}]',
        '"having": [{"field": "m", "operator": "gt", "value": 1e999}]',
        f'"having": [{{"field": "m", "operator": "gt", "value": {ENDLESS}}}]',
        '"limit": 1e400', '"limit": 0', '"limit": 1.5',
    ],
)  # fmt: skip
async def test_no_infinity_in_a_request(client: Client, doubles: str, part: str) -> None:
    text = f'{{"group_by": [{{"field": "g"}}], "aggregations": [{json.dumps(metric("sum"))}], {part}}}'
    status, answer, _ = await client.send("POST", f"/v1/buckets/{doubles}/objects/aggregate", data=text)
    assert status == 422, answer


async def test_integers_beyond_every_double(client: Client, doubles: str) -> None:
    """In a request they are numbers like others."""
    end = 10**400
    more: Json = {"filters": {"x": {"$lt": end}}, "having": [{"field": "m", "operator": "lt", "value": end}]}
    found = await grouped(client, doubles, metric("sum"), **more, limit=2**70)
    assert found["twice"] == {"m": 2 * HUGE}
    more = {"filters": {"x": {"$gt": -end}}, "having": [{"field": "m", "operator": "gt", "value": end}]}
    assert await grouped(client, doubles, metric("sum"), **more) == {}
    assert await grouped(client, doubles, metric("sum"), filters={"x": {"$in": [end, -end]}}) == {}


@pytest.mark.parametrize("percent", ["1e400", "1e-400", "100.00000000000001", "-5e-324"])
async def test_percent_at_its_ends(client: Client, doubles: str, percent: str) -> None:
    part = f'{{"function": "percentile", "field": "x", "alias": "m", "percent": {percent}}}'
    text = f'{{"group_by": [{{"field": "g"}}], "aggregations": [{part}]}}'
    status, answer, _ = await client.send("POST", f"/v1/buckets/{doubles}/objects/aggregate", data=text)
    assert status == (200 if percent == "1e-400" else 422), answer


@pytest.mark.parametrize("operand", ["2e308", "1.8e308", "-1e309"])
async def test_filters_take_only_numbers(client: Client, doubles: str, operand: str) -> None:
    text = f'{{"filters": {{"AND": [{{"field": "x", "operator": "eq", "value": {operand}}}]}}}}'
    status, answer, _ = await client.send("POST", f"/v1/buckets/{doubles}/objects/list", data=text)
    assert status == 422, answer


# Labels and keys

LARGE = [1e20, 1e21, 1e22, 1.5e300, -1e21, 123456789012345680000.0, 2.0**63, 0.1, 1e-7]


@pytest.fixture(scope="module")
async def large(client: Client) -> str:
    return await filled(client, [{"x": x, "tags": [x]} for x in LARGE])


async def text_of(client: Client, bucket: str, **request: Json) -> str:
    spec = {"aggregations": [{"function": "count", "alias": "n"}], **request}
    status, text, _ = await client.send("POST", f"/v1/buckets/{bucket}/objects/aggregate", spec)
    assert status == 200, text
    return text


async def test_keys_in_the_shortest_spelling(client: Client, large: str) -> None:
    requests: list[Json] = [{"group_by": [{"field": "x"}]}, {"group_by": [{"field": "tags"}], "unwind": "tags"}]
    for request in requests:
        text = await text_of(client, large, group_by=request["group_by"], unwind=request.get("unwind"))
        for key in ("1e21", "1e22", "1.5e300", "-1e21", "0.1", "1e-7"):
            assert f":{key}}}" in text.replace("e+", "e"), (key, text)
        assert {row["group"][request["group_by"][0]["field"]] for row in json.loads(text)["results"]} == set(LARGE)


async def test_a_key_is_one_value_however_it_is_spelled(client: Client, bucket: str) -> None:
    line = '{"objects": [{"x": 1e21}, {"x": 1000e18}, {"x": 10.0e20}, {"x": 1E+21}]}'
    status, answer, _ = await client.send("POST", f"/v1/buckets/{bucket}/objects/batch", data=line)
    assert status == 200, answer
    answer = await client.aggregate(
        bucket, {"group_by": [{"field": "x"}], "aggregations": [{"function": "count", "alias": "n"}]}
    )
    assert [(row["group"]["x"], row["metrics"]["n"]) for row in answer["results"]] == [(1e21, 4)]


@pytest.mark.parametrize(
    ("boundaries", "labels"),
    [
        ([1e20, 1e21, 1e22], ["<100000000000000000000", "100000000000000000000-1e21", "1e21-1e22", ">1e22"]),
        ([-1e300, 1e300], ["-1e300-1e300", "<-1e300", ">1e300"]),
        ([1e-7, 10.0], ["1e-7-10", "<1e-7", ">10"]),
        ([2**63, 1e21], ["9223372036854775808-1e21", "<9223372036854775808", ">1e21"]),
        ([-0.0, 1.7976931348623157e308], ["0-1.7976931348623157e308", "<0"]),
        ([-(10**400), 0, 10**400], ["-1e400-0", "0-1e400"]),
        ([10**21, 10**22 + 1], ["<1e21", "1e21-10000000000000000000001", ">10000000000000000000001"]),
        ([5e-324, 9007199254740993], ["5e-324-9007199254740993", "<5e-324", ">9007199254740993"]),
    ],
)
async def test_labels_in_the_shortest_spelling(
    client: Client, large: str, boundaries: list[float], labels: list[str]
) -> None:
    request = {"group_by": ONE_GROUP, "range_buckets": [{"field": "x", "boundaries": boundaries}]}
    found = {row["group"]["x"] for row in json.loads(await text_of(client, large, **request))["results"]}
    assert found <= set(labels)
    assert len(found) >= len(labels) - 1


@pytest.mark.parametrize(
    ("boundaries", "default"),
    [
        ([0, 10, 20], "0-10"), ([0, 10, 20], "10-20"), ([0, 10, 20], "<0"), ([0, 10, 20], ">20"), ([5], ">5"),
        ([0.0, 10.0], "0-10"), ([1e21, 1e22], "1e21-1e22"), ([0.1, 0.5], "0.1-0.5"),
    ],
)  # fmt: skip
async def test_a_default_bucket_is_no_range(client: Client, large: str, boundaries: list[float], default: str) -> None:
    buckets = [{"field": "x", "boundaries": boundaries, "default_bucket": default}]
    request = {"group_by": ONE_GROUP, "range_buckets": buckets, "aggregations": [metric("count")]}
    ((location, message),) = await client.problems("POST", f"/v1/buckets/{large}/objects/aggregate", request)
    assert location == ["body", "range_buckets", 0, "default_bucket"]
    assert default in message


@pytest.mark.parametrize("default", ["0 - 10", "other", "", "0-20", "0–10"])
async def test_other_default_buckets_stay(client: Client, large: str, default: str) -> None:
    buckets = [{"field": "x", "boundaries": [0, 10, 20], "default_bucket": default}]
    answer = json.loads(await text_of(client, large, group_by=ONE_GROUP, range_buckets=buckets))
    assert [row["group"]["x"] for row in answer["results"]] == ["0-10", default]


# Names

NAMES = [
    "value", "groups", "all", "m0_0", "k0", "k0_keyword", "value_keyword", "value_double", "a_keyword", "arrays0", "h0",
    "_count", "a>b", "a[0]", "a.b", "ключ", "$x", " ", "dated0", "v0", "c", "c_double",
]  # fmt: skip


@pytest.fixture(scope="module")
async def mixed(client: Client) -> str:
    """Keys with a value of each type, so that each needs a source for each."""
    values = ["text", 1, 0.5, True, 2**60, None]
    return await filled(client, [{"a": value, "b": value, "x": n, "t": [n]} for n, value in enumerate(values)])


@pytest.mark.parametrize("name", NAMES)
async def test_aliases_never_collide(client: Client, mixed: str, name: str) -> None:
    """Keys and metrics of these names, beside each kind of metric and each strategy."""
    functions = [
        "median", "count_distinct", "add_to_set", "variance", "sum", "min", "first",
    ]  # fmt: skip
    metrics: list[Json] = [{"function": each, "field": "x", "alias": each} for each in functions]
    percentile: Json = {"function": "percentile", "field": "x", "percent": 50, "alias": "percentile"}
    metrics.append(percentile)
    expected: Json = None
    having: Json = {"having": [{"field": "sum", "operator": "gte", "value": 1}]}
    for key, other in (("plain", "other"), (name, "a"), ("a", name), (name, f"{name}_keyword")):
        group_by = [{"field": "a", "alias": key}, {"field": "b", "alias": other}]
        request = {"group_by": group_by, "aggregations": metrics}
        for more in ({}, having, {"unwind": "t"}) if key == name else ({},):
            answer = await client.aggregate(mixed, request | more)
            rows = [(row["group"][key], row["group"][other], row["metrics"]) for row in answer["results"]]
            assert len(rows) == (5 if "having" in more else 6)
            if more == {}:
                assert rows == (expected := expected or rows)
    answer = await client.aggregate(
        mixed, {"group_by": [{"field": "a"}], "aggregations": [{"function": "median", "field": "x", "alias": name}]}
    )
    assert sorted(row["metrics"][name] for row in answer["results"]) == [0, 1, 2, 3, 4, 5]


async def test_a_budget_names_keys_of_any_name(client: Client, mixed: str, settings: Any) -> None:
    from service.serving import served
    from tests.conftest import KEY

    small = settings.model_copy(update={"group_budget": 2})
    async with served(small, KEY) as address, Client(address, KEY, client.namespace) as narrow:
        for keys in ([("a", "a>b[0]"), ("b", "_count")], [("t", "groups"), ("x", "x")]):
            group_by = [{"field": field, "alias": alias} for field, alias in keys]
            request = {"group_by": group_by, "aggregations": [{"function": "count", "alias": "n"}]}
            status, answer = await narrow.call("POST", f"/v1/buckets/{mixed}/objects/aggregate", request)
            assert (status, "budget" in answer["error"]["message"]) == (400, True), answer


async def test_fields_of_any_name_are_looked_into(client: Client, bucket: str) -> None:
    names = ["a[0]", "b>c", "_count", "min", "d.e", "f g"]
    await client.create(bucket, {"metadata": dict.fromkeys(names, 1)})
    route = f"/v1/namespaces/{client.namespace}/fields?bucket={bucket}"
    status, answer = await client.call("GET", route, namespace=None)
    assert status == 200, answer
    paths = json.dumps(answer)
    assert all(json.dumps(name)[1:-1] in paths for name in names if "." not in name), answer


# One spelling


async def test_a_number_is_spelled_in_one_way_by_every_strategy(client: Client, bucket: str) -> None:
    """An object gives back -0.0 and 2024.0 as they were sent; in answers they are 0 and 2024."""
    lines = b'{"n": -0.0, "a": [-0.0, 7.0], "o": {"x": 2024.0}}\n{"n": 2024.0, "a": [2024.0], "o": {"x": -0.0}}\n'
    await client.send("POST", f"/v1/buckets/{bucket}/objects/import", data=lines)
    kinds = ("first", "last", "min", "max", "add_to_set")
    seen: dict[str, set[str]] = {"n": set(), "a": set(), "o": set()}
    for path in seen:
        for more in ([], ["push"]):
            metrics = [{"function": kind, "field": path, "alias": kind} for kind in (*kinds, *more)]
            for unwound in ({}, {"unwind": "a"}):
                spec = {"group_by": [{"field": path}], "aggregations": metrics, **unwound}
                status, text, _ = await client.send(
                    "POST", f"/v1/buckets/{bucket}/objects/aggregate", data=json.dumps(spec).encode()
                )
                assert status == 200, text
                rows, _, info = text.partition('"query_info"')
                assert ".0" not in rows, (spec, rows)
                seen[path].add(json.loads("{" + '"query_info"' + info)["query_info"]["strategy"])
    assert seen["n"] == {"composite", "objects"}


# One unprovable metric


async def test_only_what_is_unprovable_is_folded(client: Client, bucket: str) -> None:
    """`big` cannot be proved; the sum of fractions beside it stays with OpenSearch, and says so."""
    objects = [{"g": n % 2, "big": 2**52 + 1, "part": 0.1, "few": n} for n in range(8)]
    assert (await client.batch(bucket, objects))["failed"] == []
    metrics = [{"function": "sum", "field": name, "alias": name} for name in ("big", "part", "few")]
    answer = await client.aggregate(bucket, {"group_by": [{"field": "g"}], "aggregations": metrics})
    assert answer["query_info"]["accuracy"] == {"big": "exact", "part": "double", "few": "exact"}
    assert answer["query_info"]["strategy"] == "composite"
    assert [row["metrics"]["big"] for row in answer["results"]] == [4 * (2**52 + 1)] * 2
    assert [row["metrics"]["few"] for row in answer["results"]] == [0 + 2 + 4 + 6, 1 + 3 + 5 + 7]


async def test_two_unprovable_metrics_in_different_groups(client: Client, bucket: str) -> None:
    objects = [{"g": "a", "p": 2**52 + 1, "part": 0.5} for _ in range(4)]
    objects += [{"g": "b", "q": 2**52 + 3, "part": 0.25} for _ in range(4)]
    assert (await client.batch(bucket, objects))["failed"] == []
    metrics = [{"function": function, "field": name, "alias": f"{function} {name}"}
               for function in ("sum", "avg") for name in ("p", "q", "part")]  # fmt: skip
    answer = await client.aggregate(bucket, {"group_by": [{"field": "g"}], "aggregations": metrics})
    accuracy = answer["query_info"]["accuracy"]
    assert {name for name, label in accuracy.items() if label == "double"} == {"sum part", "avg part"}
    first, second = (row["metrics"] for row in answer["results"])
    assert (first["sum p"], first["avg q"], second["sum q"], second["avg q"]) == (
        4 * (2**52 + 1), None, 4 * (2**52 + 3), 2**52 + 3,
    )  # fmt: skip


async def test_a_number_in_the_catalogue_stops_nobody(client: Client, bucket: str, opensearch_url: str) -> None:
    """Background work reads what requests of everybody have left there."""
    id = f"bkt_{os.urandom(5).hex()}"
    left = {
        "kind": "bucket",
        "namespace_id": "ns_none",
        "name": id,
        "body": {"metadata": {"a": 10**400}, "created_at": 0, "status": "DELETING"},
        "intent": {"do": "remove", "name": id},
        "ops": [],
    }
    async with (
        aiohttp.ClientSession(opensearch_url) as opensearch,
        opensearch.put(f"/tally-catalog/_doc/bucket:{id}?refresh=true", json=left) as response,
    ):
        assert response.status == 201
    space = await client.ok("POST", "/v1/namespaces", {"namespace_name": f"ends-{bucket}"}, namespace=None)
    gone = await client.ok("DELETE", f"/v1/namespaces/{space['namespace_id']}", namespace=None)
    assert (await client.task(gone["task_id"]))["status"] == "COMPLETED"


@pytest.mark.parametrize("number", [2**64, 10**400])
async def test_numbers_that_are_kept_have_64_bits(
    client: Client, bucket: str, opensearch_url: str, number: int
) -> None:
    """What is refused for them leaves nothing in the catalogue."""
    extractor = {"feature_extractor_name": "e", "version": "v1", "params": {"a": [number]}}
    for method, path, body in (
        ("PATCH", f"/v1/buckets/{bucket}", {"bucket_name": f"renamed-{bucket}", "metadata": {"a": number}}),
        ("POST", "/v1/buckets", {"bucket_name": f"kept-{bucket}", "metadata": {"a": {"b": number}}}),
        ("POST", "/v1/namespaces", {"namespace_name": f"kept-{bucket}", "feature_extractors": [extractor]}),
    ):
        ((_, message),) = await client.problems(method, path, body)
        assert "outside 64 bits" in message
    async with (
        aiohttp.ClientSession(opensearch_url) as opensearch,
        opensearch.post("/tally-catalog/_refresh"),
        opensearch.get("/tally-catalog/_search?size=10000&_source=name,intent") as response,
    ):
        entries = (await response.json())["hits"]["hits"]
    assert any(entry["_id"] == f"bucket:{bucket}" for entry in entries)
    assert [entry for entry in entries if f"-{bucket}" in json.dumps(entry["_source"])] == []
