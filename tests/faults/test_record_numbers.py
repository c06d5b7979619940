"""Numbers at the ends of what doubles, integers and decimals can say, over records."""

import json
from collections.abc import AsyncIterator
from fractions import Fraction
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.records import TYPES, Project, container, property_of, record

Json = Any
HUGE = int(1e308)
ENDLESS = 10**400
F, N, SMALL, FS, NS, T = (property_of(name) for name in ("f64", "i64", "i32", "f64s", "i64s", "time"))


@pytest.fixture(scope="module")
async def project(client: Client) -> AsyncIterator[Project]:
    async with Project.made(client) as project:
        await project.spaces("s")
        await project.containers(container({**TYPES, "f64s": {"type": "float64", "list": True}}))
        yield project


async def filled(project: Project, name: str, values: list[Json]) -> str:
    stream = await project.stream()
    await project.ingest(stream, *(record(str(n), {name: value}) for n, value in enumerate(values)))
    return stream


async def asked(project: Project, stream: str, aggregates: Json, wanted: int = 200, **more: Json) -> Json:
    body = {"aggregates": aggregates, **more}
    return await project.post(f"/streams/{stream}/records/aggregate?info=true", body, wanted)


def moving(function: str, path: str = "sum", window: int = 3) -> Json:
    return {"movingFunction": {"bucketsPath": path, "window": window, "function": f"MovingFunctions.{function}"}}


def histogram(path: list[str], interval: float, **more: Json) -> Json:
    return {"h": {"numberHistogram": {"property": path, "interval": interval, **more}}}


def starts(answer: Json, kind: str = "number") -> list[tuple[Json, int]]:
    buckets = answer["aggregates"]["h"][f"{kind}HistogramBuckets"]
    return [(bucket["intervalStart"], bucket["count"]) for bucket in buckets if bucket["count"]]


# Sums


@pytest.mark.parametrize(
    ("values", "total", "mean"),
    [
        ([1e308, 1e308], 2 * HUGE, 1e308),
        ([1e308, 1e308, 0.5], 2 * HUGE, float((2 * Fraction(1e308) + Fraction(0.5)) / 3)),
        ([1e308, 1e308, -1e308], 1e308, float(Fraction(1e308) / 3)),
        ([1.7976931348623157e308, -1.7976931348623157e308], 0, 0),
        ([5e-324, 5e-324], 1e-323, 5e-324),
        ([-0.0, 0], 0, 0),
    ],
)
async def test_sums_of_doubles(project: Project, values: list[float], total: Json, mean: float) -> None:
    stream = await filled(project, "f64", values)
    metrics = {"total": {"sum": {"property": F}}, "mean": {"avg": {"property": F}}}
    answer = await asked(project, stream, metrics)
    assert answer["aggregates"] == {"total": {"sum": total}, "mean": {"avg": mean}}
    exact = answer["info"]["strategy"] == "records"
    assert answer["info"]["accuracy"] == dict.fromkeys(metrics, "exact" if exact else "double")


async def test_sums_are_labelled(project: Project) -> None:
    """1e16 + 1 - 1e16 may be 0 in doubles, and then is not told as exact."""
    stream = await filled(project, "f64", [1e16, 1, -1e16])
    tree = {
        "total": {"sum": {"property": F}}, "mean": {"avg": {"property": F}}, "least": {"min": {"property": F}},
        "whole": {"sum": {"property": N}},
        "days": {
            "timeHistogram": {
                "property": ["createdTime"], "calendarInterval": "1d",
                "aggregates": {
                    "inner": {"sum": {"property": F}}, "sliding": moving("sum", "inner"),
                    "counted": moving("max", "_count"), "top": {"uniqueValues": {"property": F, "aggregates": {
                        "deep": {"avg": {"property": F}}}}},
                },
            }
        },
    }  # fmt: skip
    info = (await asked(project, stream, tree))["info"]
    double = {"total", "mean", "inner", "sliding", "deep"}
    others = {"least", "whole", "days", "counted", "top"}
    assert info["accuracy"] == {**dict.fromkeys(double, "double"), **dict.fromkeys(others, "exact")}
    assert info["strategy"] == "single"


async def test_folded_sums_are_exact(project: Project) -> None:
    """Where one sum has to be made of the records themselves, all of them are, and are exact."""
    stream = await project.stream()
    await project.ingest(
        stream,
        *(record(str(n), {"f64": value, "f32": 0.1}) for n, value in enumerate([1e308, 1e308, 1, -1e308, -1e308])),
    )
    answer = await asked(
        project, stream, {"total": {"sum": {"property": F}}, "part": {"sum": {"property": property_of("f32")}}}
    )
    assert answer["aggregates"]["total"] == {"sum": 1}
    assert answer["aggregates"]["part"] == {"sum": float(5 * Fraction(0.1))}
    assert answer["info"]["accuracy"] == {"total": "exact", "part": "exact"}
    assert answer["info"]["strategy"] == "records"


# Moving functions


@pytest.mark.parametrize(
    ("function", "path", "window", "expected"),
    [
        ("sum", "sum", 3, [0, 2 * HUGE, 2 * HUGE - HUGE, 1e308, 0]),
        ("sum", "sum", 1, [0, 1e308, -1e308, 1e308, 0]),
        ("unweightedAvg", "sum", 2, [0, 1e308, 0, 0, 5e307]),
        ("linearWeightedAvg", "sum", 2, [0, 1e308, -1e308 / 3, 1e308 / 3, 1e308 / 3]),
        ("max", "sum", 2, [0, 1e308, 1e308, 1e308, 1e308]),
        ("min", "sum", 10**30, [0, 1e308, -1e308, -1e308, -1e308]),
        ("sum", "_count", 2**70, [0, 2, 3, 4, 4]),
        ("max", "_count", 2, [0, 1, 1, 1, 1]),
    ],
)
async def test_moving_functions(project: Project, function: str, path: str, window: int, expected: list[Json]) -> None:
    stream = await project.stream()
    values = [(0, 1e308), (1, 1e308), (2, -1e308), (3, 1e308), (4, None)]
    items = [record(str(n), {"i32": n, "f64": value}) for n, value in values if value is not None]
    await project.ingest(stream, *items, record("filler", {"i32": 5, "f64": 1}))
    inner = {"sum": {"sum": {"property": F}}, "moved": moving(function, path, window)}
    answer = await asked(project, stream, histogram(SMALL, 1, aggregates=inner))
    found = [bucket["aggregates"]["moved"]["fnValue"] for bucket in answer["aggregates"]["h"]["numberHistogramBuckets"]]
    assert found[:5] == pytest.approx(expected, rel=1e-15) if "Avg" in function else found[:5] == expected


async def test_a_sum_within_a_bucket_beyond_the_range(project: Project) -> None:
    """A path may end in a sum that no double can hold."""
    stream = await filled(project, "f64", [1e308, 1e308, 1e308])
    inner = {"only": {"filters": {"filters": [{"matchAll": {}}], "aggregates": {"sum": {"sum": {"property": F}}}}},
             "m": moving("sum", "only>sum")}  # fmt: skip
    body = {"h": {"timeHistogram": {"property": ["createdTime"], "calendarInterval": "1y", "aggregates": inner}}}
    (bucket,) = (await asked(project, stream, body))["aggregates"]["h"]["timeHistogramBuckets"]
    assert bucket["aggregates"]["only"]["filterBuckets"][0]["aggregates"] == {"sum": {"sum": 3 * HUGE}}


# Histograms of decimals

TENTHS = [0.05, 0.1, 0.15, 0.3, 0.35, 0.45, 0.6, 0.7, -0.1, -0.25, -0.3]


@pytest.fixture(scope="module")
async def tenths(project: Project) -> str:
    return await filled(project, "f64", TENTHS)


@pytest.mark.parametrize(
    ("interval", "bounds", "expected"),
    [
        (0.1, {}, [(-0.3, 2), (-0.1, 1), (0, 1), (0.1, 2), (0.3, 2), (0.4, 1), (0.6, 1), (0.7, 1)]),
        (0.1, {"max": 0.3}, [(-0.3, 2), (-0.1, 1), (0, 1), (0.1, 2), (0.3, 2)]),
        (0.1, {"min": 0.3}, [(0.3, 2), (0.4, 1), (0.6, 1), (0.7, 1)]),
        (0.1, {"min": 0.3, "max": 0.3}, [(0.3, 2)]),
        (0.1, {"min": 0.30000000000000004, "max": 0.6}, [(0.4, 1), (0.6, 1)]),
        (0.1, {"min": -0.3, "max": -0.1}, [(-0.3, 2), (-0.1, 1)]),
        (0.1, {"max": 0.29999999999999993}, [(-0.3, 2), (-0.1, 1), (0, 1), (0.1, 2)]),
        (0.3, {}, [(-0.3, 3), (0, 3), (0.3, 3), (0.6, 2)]),
        (0.7, {"max": 0}, [(-0.7, 3), (0, 7)]),
        (1, {}, [(-1, 3), (0, 8)]),
        (1e300, {}, [(-1e300, 3), (0, 8)]),
        (10**400, {"min": 0}, [(0, 8)]),
        (1.7976931348623157e308, {"max": 1e308, "min": 0}, [(0, 8)]),
    ],
)  # fmt: skip
async def test_starts_and_bounds_are_decimals(
    project: Project, tenths: str, interval: float, bounds: Json, expected: list[Json]
) -> None:
    answer = await asked(project, tenths, histogram(F, interval, hardBounds=bounds))
    assert starts(answer) == expected


async def test_lists_of_decimals(project: Project) -> None:
    """A value of a list lies in its own bucket, whatever the others are."""
    stream = await filled(project, "f64s", [[0.3, 0.35, 0.3], [0.3, 0.7], [0.05], [-0.1, 5e-324]])
    answer = await asked(project, stream, histogram(FS, 0.1, hardBounds={"max": 0.6}))
    assert starts(answer) == [(-0.1, 1), (0, 2), (0.3, 2)]
    answer = await asked(project, stream, histogram(FS, 0.7))
    assert starts(answer) == [(-0.7, 1), (0, 4), (0.7, 1)]


async def test_lists_that_the_stream_never_had(project: Project, tenths: str) -> None:
    await project.containers(container({"f64s": {"type": "float64", "list": True}}, id="unused"))
    answer = await asked(project, tenths, histogram(property_of("f64s", container="unused"), 0.1))
    assert starts(answer) == []


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("h2[0.3]>_count", 2), ('h2["0.3"]>_count', 2), ("h2[0.30000000000000004]>_count", 0), ("h2[-0.3]>_count", 2),
        ("h2[0.7]>_count", 1), ("h2[0]>_count", 1), ("h2[0.30]>_count", 2), ("h2[3e-1]>_count", 2),
        ("h2[1e300]>_count", 0), ("h2[5e-324]>_count", 0),
    ],
)  # fmt: skip
async def test_buckets_are_named_by_decimals(project: Project, tenths: str, path: str, count: int) -> None:
    inner = {**histogram(F, 0.1), "m": moving("max", path)}
    inner["h2"] = inner.pop("h")
    outer = {"numberHistogram": {"property": F, "interval": 5e307, "aggregates": inner}}
    answer = await asked(project, tenths, {"outer": outer})
    assert answer["info"]["strategy"] in ("single", "careful")
    stream = await project.stream()
    await project.ingest(stream, *(record(f"{n}", {"i32": 1, "f64": value}) for n, value in enumerate(TENTHS)),
                         record("before", {"i32": 0}))  # fmt: skip
    outer["numberHistogram"] |= {"property": SMALL, "interval": 1}
    answer = await asked(project, stream, {"outer": outer})
    values = [each["aggregates"]["m"]["fnValue"] for each in answer["aggregates"]["outer"]["numberHistogramBuckets"]]
    assert values == [0, count]


async def test_a_large_value_lies_at_its_start(project: Project) -> None:
    """However many intervals it is away from 0; the others are kept out, so that there are no gaps to fill."""
    values = [1e300, 123456789012345680000.0, 1e21, -1e21, -1e308]
    stream = await filled(project, "f64", values)
    for value in values:
        for interval in (0.1, 1e-9, 1, 7e19):
            only: Json = {"filter": {"equals": {"property": F, "value": value}}}
            ((start, count),) = starts(await asked(project, stream, histogram(F, interval), **only))
            assert start <= value
            assert count == 1


@pytest.mark.parametrize(
    ("values", "interval", "expected"),
    [
        ([1], 5e-324, [(1, 1)]),
        ([1, 1, 1], 1e-300, [(1, 3)]),
        ([0], 5e-324, [(0, 1)]),
        ([3, 6, 9], 0.3, [(3, 1), (6, 1), (9, 1)]),
        ([1, 2, 3], 0.1, [(1, 1), (2, 1), (3, 1)]),
        ([-1, -1], 5e-324, [(-1, 2)]),
        ([2**53 - 1, 2**53, 2**53 + 1], 1, [(2**53 - 1, 1), (2**53, 1), (2**53 + 1, 1)]),
        ([2**63 - 1, -(2**63)], 2**62, [(-(2**63), 1), (2**62, 1)]),
        ([2**63 - 1, -(2**63)], 1e300, [(-1e300, 1), (0, 1)]),
        ([2**63 - 1, -1], 10**400, [(-(10**400), 1), (0, 1)]),
        ([7], 2.0, [(6, 1)]),
        ([2**60 + 1, 2**60 + 2], 0.5, [(2**60 + 1, 1), (2**60 + 2, 1)]),
    ],
)
async def test_intervals_over_integers(project: Project, values: list[int], interval: float, expected: Json) -> None:
    stream = await filled(project, "i64", values)
    assert starts(await asked(project, stream, histogram(N, interval))) == expected


@pytest.mark.parametrize("interval", [5e-324, 1e-320, 1e-9])
async def test_too_small_an_interval_is_named(project: Project, interval: float) -> None:
    stream = await filled(project, "i64", [1, 2])
    body = {"aggregates": histogram(N, interval)}
    await project.refused(f"/streams/{stream}/records/aggregate", body, 400, "numberHistogram", "10,000 buckets")


# Operands


@pytest.mark.parametrize(
    "filter",
    [
        {"equals": {"property": N, "value": ENDLESS}}, {"in": {"property": N, "values": [1, -ENDLESS]}},
        {"range": {"property": N, "gt": -ENDLESS}}, {"range": {"property": SMALL, "lte": ENDLESS}},
        {"range": {"property": ["createdTime"], "lt": ENDLESS}},
        {"equals": {"property": ["createdTime"], "value": ENDLESS}},
        {"containsAny": {"property": NS, "values": [ENDLESS, 1]}},
        {"containsAll": {"property": NS, "values": [*range(20), ENDLESS]}},
        {"range": {"property": F, "gt": 1e308}}, {"equals": {"property": F, "value": -0.0}},
        {"range": {"property": F, "gt": ENDLESS}}, {"equals": {"property": F, "value": ENDLESS}},
        {"in": {"property": F, "values": [2**1024]}}, {"containsAny": {"property": FS, "values": [ENDLESS]}},
    ],
)  # fmt: skip
async def test_operands_beyond_everything(project: Project, tenths: str, filter: Json) -> None:
    """An answer, or a 400 that names the place and the value."""
    status, answer = await project.call("POST", f"/streams/{tenths}/records/filter", {"filter": filter})
    if status != 200:
        assert status == 400, answer
        assert answer["error"]["message"].startswith("filter."), answer
        assert "1000000" in answer["error"]["message"] or "17976931348" in answer["error"]["message"], answer
    await asked(project, tenths, {"f": {"filters": {"filters": [filter]}}}, status)


@pytest.mark.parametrize(
    ("part", "status"),
    [
        (f'"lastUpdatedTime": {{"gt": {ENDLESS}}}', 200), (f'"lastUpdatedTime": {{"gt": -{ENDLESS}}}', 200),
        (f'"lastUpdatedTime": {{"gte": 0, "lt": {ENDLESS}}}', 200), ('"lastUpdatedTime": {"gt": 1e400}', 400),
        ('"filter": {"range": {"property": ["s", "c", "i64"], "gt": 1e400}}', 400),
        ('"filter": {"range": {"property": ["s", "c", "i64"], "gt": 1' + "0" * 5_000 + "}}", 400),
    ],
)  # fmt: skip
async def test_times_and_texts_beyond_everything(project: Project, tenths: str, part: str, status: int) -> None:
    route = f"/api/v1/projects/{project.name}/streams/{tenths}/records"
    found, text, _ = await project.client.send("POST", f"{route}/filter", data=f"{{{part}}}", namespace=None)
    assert found == status, text
    body = f'{{"aggregates": {{"n": {{"count": {{}}}}}}, {part}}}'
    found, text, _ = await project.client.send("POST", f"{route}/aggregate", data=body, namespace=None)
    assert found == status, text


@pytest.mark.parametrize(
    "operands",
    [
        {"interval": 1, "hardBounds": {"max": ENDLESS}}, {"interval": 0.5, "hardBounds": {"min": -ENDLESS}},
        {"interval": 0.1, "hardBounds": {"min": ENDLESS}}, {"interval": ENDLESS}, {"interval": 2**1024},
    ],
)  # fmt: skip
async def test_histograms_of_endless_operands(project: Project, operands: Json) -> None:
    stream = await filled(project, "i64", [1, 2, 3])
    answer = await asked(project, stream, {"h": {"numberHistogram": {"property": N, **operands}}})
    counted = sum(count for _, count in starts(answer))
    assert counted == (0 if operands.get("hardBounds", {}).get("min") == ENDLESS else 3)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"h2[{10**400}]>_count", 400), ("h2[1e400]>_count", 400), (f"h2[{2**64}]>_count", 200),
        (f'top["{10**400}"]>_count', 400), (f"top[{2**64}]>_count", 200), ("top[1.5]>_count", 200),
    ],
)  # fmt: skip
async def test_keys_beyond_everything(project: Project, path: str, status: int) -> None:
    stream = await filled(project, "i64", [1, 2, 3])
    inner = {"h2": histogram(N, 1)["h"], "top": {"uniqueValues": {"property": N}}, "m": moving("sum", path)}
    answer = await asked(project, stream, histogram(N, 1, aggregates=inner), status)
    if status == 400:
        assert "bucketsPath" in answer["error"]["message"]


async def test_json_keeps_every_digit(project: Project) -> None:
    values = [2**64, 10**400, -(2**63) - 1, 1.5e308, [2**200, {"a": 10**300}]]
    stream = await filled(project, "json", values)
    assert list((await project.values(stream, "json")).values()) == values


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("i64", 2**63), ("i64", -(2**63) - 1), ("i64", 10**400), ("i64", 1.0), ("i32", 2**31), ("f32", 1e39),
        ("f64", 10**400), ("f64", 2**1024),
    ],
)  # fmt: skip
async def test_no_value_beyond_its_type(project: Project, tenths: str, name: str, value: Json) -> None:
    body = {"items": [record("x", {name: value})]}
    await project.refused(f"/streams/{tenths}/records", body, 400, f"items[0].properties.{name}")


# Times at the ends


def times(**operands: Json) -> Json:
    return {"h": {"timeHistogram": {"property": T, **operands}}}


@pytest.mark.parametrize(
    ("value", "interval", "expected"),
    [
        ("1970-01-01T00:00:00Z", "999999d", [("1970-01-01T00:00:00Z", 1)]),
        ("2024-05-05T05:05:05Z", "9999999999999999d", [("1970-01-01T00:00:00Z", 1)]),
        ("9999-12-31T23:59:59.999Z", "999999d", [("7445-10-23T00:00:00Z", 1)]),
        ("1969-12-31T23:59:59Z", "99999d", [("1696-03-18T00:00:00Z", 1)]),
        ("1969-12-31T23:59:59Z", "999999d", [("-000768-02-05T00:00:00Z", 1)]),
        ("0001-01-01T00:00:00Z", "999999d", [("-000768-02-05T00:00:00Z", 1)]),
        ("1969-12-31T23:59:59Z", "9999999999999999ms", [("-314918-08-13T06:13:20.001Z", 1)]),
        ("1969-12-31T23:59:59Z", "9999999999999999d", [("-27379070067916-12-04T00:00:00Z", 1)]),
    ],
)
async def test_long_intervals(project: Project, value: str, interval: str, expected: Json) -> None:
    stream = await filled(project, "time", [value])
    body = {"aggregates": times(fixedInterval=interval)}
    assert starts(await asked(project, stream, body["aggregates"]), "time") == expected


@pytest.mark.parametrize(
    ("interval", "key"),
    [
        ({"calendarInterval": "1d"}, "9999-12-31"), ({"calendarInterval": "1M"}, "9999-12-01"),
        ({"calendarInterval": "1y"}, "9999-01-01T00:00:00Z"), ({"calendarInterval": "1q"}, "9999-10-01"),
        ({"calendarInterval": "1w"}, "9999-12-27"), ({"calendarInterval": "1s"}, "9999-12-31T23:59:59Z"),
        ({"fixedInterval": "1ms"}, "9999-12-31T23:59:59.000Z"), ({"fixedInterval": "999999d"}, "7445-10-23"),
    ],
)  # fmt: skip
async def test_the_last_bucket_has_a_name(project: Project, interval: Json, key: str) -> None:
    stream = await project.stream()
    await project.ingest(stream, record("a", {"i32": 0}), record("b", {"i32": 1, "time": "9999-12-31T23:59:59Z"}))
    inner = {"h2": times(**interval)["h"], "m": moving("max", f'h2["{key}"]>_count')}
    answer = await asked(project, stream, histogram(SMALL, 1, aggregates=inner))
    values = [each["aggregates"]["m"]["fnValue"] for each in answer["aggregates"]["h"]["numberHistogramBuckets"]]
    assert values == [0, 1]
    json.dumps(answer, allow_nan=False)
