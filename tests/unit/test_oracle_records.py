"""The records oracle against answers worked out by hand: each rule of the contract at least once."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.support.generate_records import Pool, make_body, make_dataset, spell, spoil
from tests.support.proof_records import features, reductions
from tests.support.records_oracle import Catalogue, Record, Refusal, Stream, aggregate, same, select, stored
from tests.support.records_oracle.times import calendar, fixed, read_instant, write_instant

Json = Any
TYPES = (
    *("text", "boolean", "float32", "float64", "int32", "int64", "timestamp", "date", "json", "direct"),
    "enum",
)


def container(name: str = "c", space: str = "s", **properties: Json) -> Json:
    """A container with a property of each type, named by it, `…s` for the list; and those that are given."""
    every: dict[str, Json] = {kind: {"type": kind} for kind in TYPES}
    every |= {f"{kind}s": {"type": kind, "list": True} for kind in TYPES if kind != "enum"}
    every["enum"]["values"] = {"low": {}, "high": {}}
    named = properties or every
    return {
        "space": space,
        "externalId": name,
        "usedFor": "record",
        "properties": {key: {"type": type} for key, type in named.items()},
    }


CONTAINERS = [container(), container("other", "s-2", text={"type": "text"})]
CATALOGUE = Catalogue.of(CONTAINERS)


def records(name: str, *values: Json) -> list[Record]:
    """A record for each value, in a property of `c`; `...` leaves it out. The times are 0, 1000, 2000, …"""
    return [
        {
            "space": f"s{number % 2}",
            "externalId": f"id{number}",
            "createdTime": number * 1_000,
            "lastUpdatedTime": number * 1_000,
            "properties": {"s": {"c": {} if value is ... else {name: value}}},
        }
        for number, value in enumerate(values)
    ]


def p(name: str) -> list[str]:
    return ["s", "c", name]


def ask(found: list[Record], kind: str, name: str = "", **more: Json) -> Json:
    """One aggregate's result."""
    inner = {"property": p(name), **more} if name else more
    return aggregate(CATALOGUE, found, {"aggregates": {"a": {kind: inner}}})["a"]


def metric(kind: str, name: str, *values: Json) -> Json:
    return ask(records(name, *values), kind, name)[kind]


def buckets(kind: str, name: str, *values: Json, **more: Json) -> list[tuple[Json, int]]:
    """What the buckets of these values are named by, and their counts."""
    (made,) = ask(records(name, *values), kind, name, **more).values()
    return [(bucket.get("value", bucket.get("intervalStart")), bucket["count"]) for bucket in made]


def hits(filter: Json, name: str, *values: Json) -> list[Json]:
    """The values whose records pass."""
    found = records(name, *values)
    passed = [record["externalId"] for record in select(CATALOGUE, found, filter)]
    return [value for record, value in zip(found, values, strict=True) if record["externalId"] in passed]


def refused(body: Json, stream: Stream | None = None, found: list[Record] | None = None) -> str:
    with pytest.raises(Refusal) as refusal:
        aggregate(CATALOGUE, found or [], body, stream)
    return refusal.value.kind


def refused_filter(filter: Json) -> str:
    return refused({"aggregates": {"n": {"count": {}}}, "filter": filter})


def refused_entry(kind: str, **inner: Json) -> str:
    return refused({"aggregates": {"a": {kind: inner}}})


# ---- The documented examples ------------------------------------------------------------------------------------


def test_the_example_of_the_page() -> None:
    """The request and the answer of the page, but that its mean is of `price`: a manufacturer's name has none."""
    numbers = {"type": "int64", "list": True}
    mine = container(
        "myContainer",
        "mySpace",
        manufacturer={"type": "text"},
        price={"type": "int64"},
        region={"type": "text", "list": True},
        myProperty=numbers,
    )
    weights = container("my_container", "my_space", my_weight={"type": "float64"})

    def item(manufacturer: str, price: int | None, region: list[str], weight: float = 0.5) -> Record:
        mine = {"manufacturer": manufacturer, "price": price, "region": region, "myProperty": [10012, 1, 10011]}
        made = {"sources": [{"source": {"space": "mySpace", "externalId": "myContainer"}, "properties": mine}]}
        made["sources"].append(
            {
                "source": {"space": "my_space", "externalId": "my_container"},
                "properties": {"my_weight": weight},
            }
        )
        return stored({"space": "mySpace", "externalId": "x", **made}, 1705341600001, 1705341600001)

    prices: list[int | None] = [13, 69, *[17] * 28, *[16] * 12]
    found = [item("Cognite", price, ["us1", "ie1"] if place < 7 else ["us1"]) for place, price in enumerate(prices)]
    found += [
        item("AkerBP", price, ["us1"] if place < 11 else []) for place, price in enumerate([99, 999, *[None] * 19])
    ]
    found += [item("Cognite", 1, ["us1"], -1.0), item("Cognite", 1, ["us1"])]
    dropped = dict(found[-1], lastUpdatedTime=1705341600000)
    body = {
        "aggregates": {
            "my_avg_aggregate1": {"avg": {"property": ["mySpace", "myContainer", "price"]}},
            "my_terms_aggregate2": {
                "uniqueValues": {
                    "property": ["mySpace", "myContainer", "manufacturer"],
                    "aggregates": {
                        "my_sub_aggregate1": {"min": {"property": ["mySpace", "myContainer", "price"]}},
                        "my_sub_aggregate2": {"max": {"property": ["mySpace", "myContainer", "price"]}},
                        "my_sub_aggregate3": {"uniqueValues": {"property": ["mySpace", "myContainer", "region"]}},
                    },
                }
            },
        },
        "lastUpdatedTime": {"gt": 1705341600000, "lt": "2030-05-15T18:00:00.00Z"},
        "filter": {
            "and": [
                {"containsAll": {"property": ["mySpace", "myContainer", "myProperty"], "values": [10011, 10012]}},
                {"range": {"property": ["my_space", "my_container", "my_weight"], "gte": 0}},
            ]
        },
    }
    expected = {
        "my_avg_aggregate1": {"avg": 42},
        "my_terms_aggregate2": {
            "uniqueValueBuckets": [
                {
                    "value": "Cognite",
                    "count": 42,
                    "aggregates": {
                        "my_sub_aggregate1": {"min": 13},
                        "my_sub_aggregate2": {"max": 69},
                        "my_sub_aggregate3": {
                            "uniqueValueBuckets": [{"value": "us1", "count": 42}, {"value": "ie1", "count": 7}]
                        },
                    },
                },
                {
                    "value": "AkerBP",
                    "count": 21,
                    "aggregates": {
                        "my_sub_aggregate1": {"min": 99},
                        "my_sub_aggregate2": {"max": 999},
                        "my_sub_aggregate3": {"uniqueValueBuckets": [{"value": "us1", "count": 11}]},
                    },
                },
            ]
        },
    }
    assert aggregate([mine, weights], [*found[:-1], dropped], body) == expected


def moving(path: str, window: int, function: str = "unweightedAvg") -> Json:
    return {"movingFunction": {"bucketsPath": path, "window": window, "function": f"MovingFunctions.{function}"}}


def series(found: list[Record], histogram: Json, name: str = "moved") -> list[Json]:
    ((_, inner),) = histogram.items()
    (made,) = aggregate(CATALOGUE, found, {"aggregates": {"per": histogram}})["per"].values()
    assert "aggregates" in inner
    return [bucket["aggregates"][name]["fnValue"] for bucket in made]


def test_a_documented_moving_mean_of_counts() -> None:
    days = [f"2025-05-{25 + day}T08:00:00Z" for day, many in enumerate((10, 5, 12, 1, 20)) for _ in range(many)]
    per_day = {"property": p("timestamp"), "calendarInterval": "1d", "aggregates": {"moved": moving("_count", 3)}}
    assert series(records("timestamp", *days), {"timeHistogram": per_day}) == [0, 7.5, 9, 6, 11]


def test_a_documented_moving_mean_of_a_metric() -> None:
    found = records("int32", 0, 1, 2, 3, 4, 4)
    for record, value in zip(found, (13, 7, 100, 1, 1, 0), strict=True):
        record["properties"]["s"]["c"]["float64"] = value
    greatest = {"max": {"property": p("float64")}}
    nested = {"greatest": greatest, "moved": moving("greatest", 100_000)}
    each = {"property": p("int32"), "interval": 1, "aggregates": nested}
    assert series(found, {"numberHistogram": each}) == [0, 10, 40, 30.25, 24.4]


def test_the_documented_start_of_a_day() -> None:
    made = ask(records("timestamp", "2025-05-25T23:59:59.999Z"), "timeHistogram", "timestamp", calendarInterval="1d")
    assert made == {"timeHistogramBuckets": [{"intervalStart": "2025-05-25T00:00:00Z", "count": 1}]}


# ---- Times --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "milliseconds", "shown"),
    [
        ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
        ("1970-01-01T01:00:00+01:00", 0, "1970-01-01T00:00:00Z"),
        ("1969-12-31T18:30:00-0530", 0, "1970-01-01T00:00:00Z"),
        ("1970-01-01T00:00:00", 0, "1970-01-01T00:00:00Z"),
        ("1969-12-31T23:59:59.5Z", -500, "1969-12-31T23:59:59.5Z"),
        ("1969-12-31T23:59:59.999999999Z", -1, "1969-12-31T23:59:59.999Z"),
        ("1969-12-31T23:59:59.9990001Z", -1, "1969-12-31T23:59:59.999Z"),
        ("2024-02-29T12:34:56.120Z", 1709210096120, "2024-02-29T12:34:56.12Z"),
        ("0001-01-01T00:00:00Z", -62135596800000, "0001-01-01T00:00:00Z"),
    ],
)
def test_times_are_milliseconds(text: str, milliseconds: int, shown: str) -> None:
    assert read_instant(text) == milliseconds
    assert write_instant(milliseconds) == shown


@pytest.mark.parametrize(
    "text",
    [
        *("2024-01-01", "2024-02-30T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:00Z", "2024-01-01 00:00:00Z"),
        *("2024-01-01T00:00:00.Z", "2024-01-01T00:00:00.1234567890Z", "0001-01-01T00:00:00+01:00", "soon"),
    ],
)
def test_no_times(text: str) -> None:
    with pytest.raises(ValueError):
        read_instant(text)


@pytest.mark.parametrize(
    ("interval", "instant", "begins"),
    [
        ("1s", "1969-12-31T23:59:59.25Z", "1969-12-31T23:59:59Z"),
        ("1m", "2024-01-01T00:00:59.9Z", "2024-01-01T00:00:00Z"),
        ("1h", "1955-06-15T08:59:00Z", "1955-06-15T08:00:00Z"),
        ("1d", "1969-12-31T01:00:00Z", "1969-12-31T00:00:00Z"),
        ("1w", "2024-01-07T23:59:59Z", "2024-01-01T00:00:00Z"),
        ("1w", "1970-01-01T00:00:00Z", "1969-12-29T00:00:00Z"),
        ("1M", "2024-02-29T00:00:00Z", "2024-02-01T00:00:00Z"),
        ("1q", "1969-12-31T00:00:00Z", "1969-10-01T00:00:00Z"),
        ("1y", "1583-03-01T00:00:00Z", "1583-01-01T00:00:00Z"),
    ],
)
def test_calendar_intervals(interval: str, instant: str, begins: str) -> None:
    cut = calendar(interval)
    number = cut.number(read_instant(instant))
    assert write_instant(cut.start(number)) == begins
    assert cut.number(cut.start(number + 1)) == number + 1
    assert cut.number(cut.start(number + 1) - 1) == number


@pytest.mark.parametrize(
    ("interval", "instant", "begins"),
    [
        ("250ms", "1969-12-31T23:59:59.9Z", "1969-12-31T23:59:59.75Z"),
        ("90s", "1970-01-01T00:02:00Z", "1970-01-01T00:01:30Z"),
        ("36h", "1970-01-02T13:00:00Z", "1970-01-02T12:00:00Z"),
        ("7d", "1969-12-31T00:00:00Z", "1969-12-25T00:00:00Z"),
    ],
)
def test_fixed_intervals_are_aligned_to_1970(interval: str, instant: str, begins: str) -> None:
    cut = fixed(interval)
    assert write_instant(cut.start(cut.number(read_instant(instant)))) == begins


# ---- Metrics ------------------------------------------------------------------------------------------------------

BIG = 2**53


@pytest.mark.parametrize(
    ("kind", "name", "values", "expected"),
    [
        ("avg", "int32", (1, 2, ..., None), 1.5),
        ("avg", "int64", (2**60, -(2**60) + 1), 0.5),
        ("avg", "float64", (), 0),
        ("sum", "int64", (BIG, 1, ...), BIG + 1),
        ("sum", "int64", (2**63 - 1, 2**63 - 1), 2**64 - 2),
        ("sum", "float32", (0.5, 1, -0.25), 1.25),
        ("sum", "int32", (None, ...), 0),
        ("min", "int64", (BIG + 1, BIG + 2), BIG + 1),
        ("max", "int64", (BIG + 1, BIG), BIG + 1),
        ("min", "float32", (0.1, 3), 0.1),
        ("max", "int32s", ([1, 9], [], None, [3]), 9),
        ("min", "timestamp", ("2024-01-01T00:00:00Z", "1969-12-31T23:59:59.5000Z"), "1969-12-31T23:59:59.5Z"),
        ("min", "timestamp", ("1970-01-01T00:00:00Z",), "1970-01-01T00:00:00Z"),
        ("max", "timestamps", (["1970-01-01T00:00:00Z", "2024-01-01T02:00:00+02:00"],), "2024-01-01T00:00:00Z"),
        ("max", "timestamp", (None,), 0),
        ("count", "text", ("", "a", None, ...), 2),
        ("count", "texts", (["a", "b", "a"], [], None), 3),
        ("count", "json", ({}, [], 0, None), 3),
        ("count", "jsons", ([{}, [1, 2]],), 2),
    ],
)
def test_metrics(kind: str, name: str, values: tuple[Json, ...], expected: Json) -> None:
    assert metric(kind, name, *values) == expected


def test_counting_records() -> None:
    assert ask(records("text", "a", ..., None), "count") == {"count": 3}


def test_metrics_of_the_two_times() -> None:
    body = {"aggregates": {"a": {"max": {"property": ["createdTime"]}}}}
    assert aggregate(CATALOGUE, records("text", *"abc"), body) == {"a": {"max": "1970-01-01T00:00:02Z"}}


# ---- uniqueValues -------------------------------------------------------------------------------------------------


def direct(space: str, name: str) -> Json:
    return {"space": space, "externalId": name}


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("text", ("b", "🙂", "a", "\uffff", "b", None, ...), [("b", 2), ("a", 1), ("\uffff", 1), ("🙂", 1)]),
        ("int64", (10, 9, BIG + 1, BIG, 10), [(10, 2), (9, 1), (BIG, 1), (BIG + 1, 1)]),
        ("float64", (2, 2.0, -0.0, 0, 0.1), [(0, 2), (2, 2), (0.1, 1)]),
        ("boolean", (True, False), [(False, 1), (True, 1)]),
        ("enum", ("low", "high", "low"), [("low", 2), ("high", 1)]),
        (
            "timestamp",
            ("2024-01-01T01:00:00+01:00", "2024-01-01T00:00:00.000Z", "1969-01-01T00:00:00.0009Z"),
            [("2024-01-01T00:00:00Z", 2), ("1969-01-01T00:00:00Z", 1)],
        ),
        ("date", ("2024-01-02", "2024-01-01"), [("2024-01-01", 1), ("2024-01-02", 1)]),
        (
            "direct",
            (direct("b", "a"), direct("a", "z"), direct("a", "b")),
            [(direct("a", "b"), 1), (direct("a", "z"), 1), (direct("b", "a"), 1)],
        ),
        ("texts", (["a", "b", "a"], ["b"], [], None), [("b", 2), ("a", 1)]),
        ("booleans", ([True, True, False],), [(False, 1), (True, 1)]),
    ],
)
def test_unique_values(name: str, values: tuple[Json, ...], expected: Json) -> None:
    assert buckets("uniqueValues", name, *values) == expected


def test_unique_values_are_cut_after_ordering() -> None:
    values = [str(number) for number in range(12)]
    assert len(buckets("uniqueValues", "text", *values)) == 10
    assert buckets("uniqueValues", "text", *values, "9", size=2) == [("9", 2), ("0", 1)]


def test_unique_values_of_the_space() -> None:
    body = {"aggregates": {"a": {"uniqueValues": {"property": ["space"]}}}}
    made = aggregate(CATALOGUE, records("text", *"abc"), body)["a"]["uniqueValueBuckets"]
    assert made == [{"value": "s0", "count": 2}, {"value": "s1", "count": 1}]


def test_nested_aggregates_see_the_whole_record() -> None:
    nested = {"b": {"uniqueValues": {"property": p("int32s")}}, "n": {"count": {}}}
    found = records("int32s", [1, 2, 2], [2])
    made = ask(found, "uniqueValues", "int32s", size=1, aggregates=nested)["uniqueValueBuckets"]
    inner = {"uniqueValueBuckets": [{"value": 2, "count": 2}, {"value": 1, "count": 1}]}
    assert made == [{"value": 2, "count": 2, "aggregates": {"b": inner, "n": {"count": 2}}}]


# ---- Histograms ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values", "more", "expected"),
    [
        ("int32", (1, 12, -1, 25), {"interval": 10}, [(-10, 1), (0, 1), (10, 1), (20, 1)]),
        ("int32", (1, 35), {"interval": 10}, [(0, 1), (10, 0), (20, 0), (30, 1)]),
        ("int64", (BIG + 1, BIG + 2), {"interval": 2.0}, [(BIG, 1), (BIG + 2, 1)]),
        ("float64", (0.5, 0.75, -0.25), {"interval": 0.5}, [(-0.5, 1), (0, 0), (0.5, 2)]),
        ("float64", (0.3, 0.9), {"interval": 0.3}, [(0.3, 1), (0.6, 0), (0.9, 1)]),
        ("int32s", ([1, 2, 11], [], [12]), {"interval": 10}, [(0, 1), (10, 2)]),
        (
            "int32",
            (1, 11, 31, 41),
            {"interval": 10, "hardBounds": {"min": 10, "max": 30}},
            [(10, 1), (20, 0), (30, 1)],
        ),
        ("int32", (1, 11), {"interval": 10, "hardBounds": {"min": 1}}, [(10, 1)]),
        ("int32", (1, 11), {"interval": 10, "hardBounds": {"max": -1}}, []),
        ("int32", (None, ...), {"interval": 10}, []),
    ],
)
def test_number_histograms(name: str, values: tuple[Json, ...], more: Json, expected: Json) -> None:
    assert buckets("numberHistogram", name, *values, **more) == expected


@pytest.mark.parametrize(
    ("name", "values", "more", "expected"),
    [
        (
            "timestamp",
            ("1969-12-31T12:00:00Z", "1970-01-02T00:00:00Z", None),
            {"calendarInterval": "1d"},
            [("1969-12-31T00:00:00Z", 1), ("1970-01-01T00:00:00Z", 0), ("1970-01-02T00:00:00Z", 1)],
        ),
        (
            "timestamps",
            (["2024-01-07T00:00:00Z", "2024-01-01T00:00:00Z", "2024-01-08T00:00:00Z"],),
            {"calendarInterval": "1w"},
            [("2024-01-01T00:00:00Z", 1), ("2024-01-08T00:00:00Z", 1)],
        ),
        (
            "timestamp",
            ("2024-01-01T00:30:00Z", "2024-01-01T01:00:00Z", "2024-01-01T02:00:00Z"),
            {
                "fixedInterval": "1h",
                "hardBounds": {"min": "2024-01-01T01:00:00+00:00", "max": "2024-01-01T03:00:00+01:00"},
            },
            [("2024-01-01T01:00:00Z", 1)],
        ),
        ("date", ("2024-02-29",), {"calendarInterval": "1M"}, [("2024-02-01T00:00:00Z", 1)]),
    ],
)
def test_time_histograms(name: str, values: tuple[Json, ...], more: Json, expected: Json) -> None:
    assert buckets("timeHistogram", name, *values, **more) == expected


def test_a_gap_has_its_aggregates() -> None:
    nested = {
        "sum": {"sum": {"property": p("int32")}},
        "unique": {"uniqueValues": {"property": p("int32")}},
        "filters": {"filters": {"filters": [{"matchAll": {}}]}},
        "moved": moving("sum", 2, "sum"),
    }
    made = ask(records("int32", 1, 3), "numberHistogram", "int32", interval=1, aggregates=nested)
    gap = made["numberHistogramBuckets"][1]
    assert gap == {
        "intervalStart": 2,
        "count": 0,
        "aggregates": {
            "sum": {"sum": 0},
            "unique": {"uniqueValueBuckets": []},
            "filters": {"filterBuckets": [{"count": 0}]},
            "moved": {"fnValue": 1},
        },
    }


@pytest.mark.parametrize(("last", "many"), [(9_999, 10_000), (10_000, None)])
def test_too_many_buckets_in_a_histogram(last: int, many: int | None) -> None:
    if many:
        assert len(buckets("numberHistogram", "int32", 0, last, interval=1)) == many
    else:
        body = {"aggregates": {"a": {"numberHistogram": {"property": p("int32"), "interval": 1}}}}
        assert refused(body, found=records("int32", 0, last)) == "too many buckets in a histogram"


def test_too_many_buckets() -> None:
    inner: Json = {"b": {"filters": {"filters": [{"matchAll": {}}] * 6}}}
    body = {"aggregates": {"a": {"numberHistogram": {"property": p("int32"), "interval": 1, "aggregates": inner}}}}
    found = records("int32", 0, 9_361)
    assert len(aggregate(CATALOGUE, found, body)["a"]["numberHistogramBuckets"]) == 9_362
    assert refused(body, found=records("int32", 0, 9_362)) == "too many buckets"


# ---- filters and movingFunction -----------------------------------------------------------------------------------


def test_filter_buckets() -> None:
    filters = [{"equals": {"property": p("int32"), "value": 1}}, {"matchAll": {}}, {"not": {"matchAll": {}}}]
    made = ask(records("int32", 1, 2), "filters", filters=filters)
    assert made == {"filterBuckets": [{"count": 1}, {"count": 2}, {"count": 0}]}


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("max", [0, 4, 4, 1]),
        ("min", [0, 2, 0, 0]),
        ("sum", [0, 6, 4, 1]),
        ("unweightedAvg", [0, 3, 2, 0.5]),
        ("linearWeightedAvg", [0, 10 / 3, 4 / 3, 2 / 3]),
    ],
)
def test_moving_functions(function: str, expected: list[float]) -> None:
    """Over the counts 2, 4, 0, 1: the gap takes part."""
    found = records("int32", 0, 0, 1, 1, 1, 1, 3)
    nested = {"moved": moving("_count", 2, function)}
    each = {"numberHistogram": {"property": p("int32"), "interval": 1, "aggregates": nested}}
    assert series(found, each) == pytest.approx(expected)


def by_day(values: Json, path: str, **siblings: Json) -> list[Json]:
    """The moving sum of a path over one bucket for each value of `int32`, with `text` beside it."""
    found = records("int32", *[number for number, _ in values])
    for record, (_, text) in zip(found, values, strict=True):
        record["properties"]["s"]["c"]["text"] = text
    nested = {**siblings, "moved": moving(path, 1, "sum")}
    return series(found, {"numberHistogram": {"property": p("int32"), "interval": 1, "aggregates": nested}})


VALUES = [(0, "a"), (1, "a"), (1, "a"), (1, "top>b"), (2, "b"), (3, "top>b")]
SUM = {"subsub": {"sum": {"property": ["s", "c", "int32"]}}}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ('multi["a"]>_count', [0, 2, 0, 0]),
        ('multi["top>b"]>_count', [0, 1, 0, 1]),
        ("multi>_count", [0, 3, 1, 1]),
        ('multi["top>b"]>sub>subsub', [0, 1, 0, 3]),
        ('multi["top>b"]>sub>_count', [0, 1, 0, 1]),
        ('multi["b"]>total', [0, 0, 2, 0]),
        ("sub>subsub", [0, 3, 2, 3]),
        ('sub["0"]>subsub', [0, 3, 2, 3]),
        ("sub[0]>_count", [0, 3, 1, 1]),
        ("all", [0, 3, 1, 1]),
    ],
)
def test_buckets_paths(path: str, expected: list[float]) -> None:
    """A bucket that is not there gives 0, and `size` hides none."""
    one = {"filters": {"filters": [{"matchAll": {}}], "aggregates": SUM}}
    if path.startswith("sub"):
        assert by_day(VALUES, path, sub=one) == expected
    elif path == "all":
        assert by_day(VALUES, path, all={"count": {}}) == expected
    else:
        nested = {"sub": one, "total": {"sum": {"property": p("int32")}}}
        multi = {"uniqueValues": {"property": p("text"), "size": 1, "aggregates": nested}}
        assert by_day(VALUES, path, multi=multi) == expected


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("int32", '["1"]'),
        ("int32", "[1]"),
        ("int32", "[1.0]"),
        ("boolean", "[true]"),
        ("timestamp", '["1970-01-01T01:00:00+01:00"]'),
    ],
)
def test_keys_of_typed_values(name: str, key: str) -> None:
    held = {"int32": 1, "boolean": True, "timestamp": "1970-01-01T00:00:00.000Z"}
    found = records("int64", 0, 1)
    for record in found:
        record["properties"]["s"]["c"] |= held
    nested = {"multi": {"uniqueValues": {"property": p(name)}}, "moved": moving(f"multi{key}>_count", 1, "sum")}
    assert series(found, {"numberHistogram": {"property": p("int64"), "interval": 1, "aggregates": nested}}) == [0, 1]


@pytest.mark.parametrize(
    "path",
    [
        *("", "nothing", "multi", 'multi["a"]', "multi>subsub", 'multi["a"]>nothing', "moved", "number>_count"),
        *("a.b", "multi[]>_count", 'multi["a">_count', 'multi["a"]>sub["0"]>_count', "_count>_count", "two>subsub"),
        *("times", "two[2]>_count", "two[0.5]>_count", 'multi["a"]>', "_bucket_count", "links[1]>_count", "x" * 1281),
        *("multi[1]>_count", "number[1]", "moved>_count", "multi[null]>_count"),
    ],
)
def test_buckets_paths_that_are_refused(path: str) -> None:
    siblings = {
        "multi": {"uniqueValues": {"property": p("text"), "aggregates": SUM}},
        "number": {"count": {}},
        "times": {"max": {"property": p("timestamp")}},
        "two": {"filters": {"filters": [{"matchAll": {}}, {"matchAll": {}}]}},
    }
    if path.startswith("links"):
        siblings = {"links": {"uniqueValues": {"property": p("direct")}}}
    inner = {**siblings, "moved": moving(path, 1)}
    body = {"aggregates": {"a": {"numberHistogram": {"property": p("int32"), "interval": 1, "aggregates": inner}}}}
    assert refused(body) == "bucketsPath"


# ---- Filters ------------------------------------------------------------------------------------------------------


def test_every_filter() -> None:
    f = {"property": p("int32")}
    assert hits({"matchAll": {}}, "int32", 1, ...) == [1, ...]
    assert hits({"exists": f}, "int32", 0, ..., None) == [0]
    assert hits({"equals": {**f, "value": 1}}, "int32", 1, 2, ...) == [1]
    assert hits({"not": {"equals": {**f, "value": 1}}}, "int32", 1, 2, ...) == [2, ...]
    assert hits({"in": {**f, "values": [1, 3]}}, "int32", 1, 2, 3) == [1, 3]
    assert hits({"range": {**f, "gt": 1, "lte": 3}}, "int32", 1, 2, 3, 4, ...) == [2, 3]
    assert hits({"and": [{"range": {**f, "gte": 2}}, {"range": {**f, "lt": 3}}]}, "int32", 1, 2, 3) == [2]
    assert hits({"or": [{"equals": {**f, "value": 1}}, {"equals": {**f, "value": 3}}]}, "int32", 1, 2, 3) == [1, 3]
    assert hits({"prefix": {"property": p("text"), "value": "É"}}, "text", "École", "école", "") == ["École"]
    lists = {"property": p("texts"), "values": ["a", "b"]}
    assert hits({"containsAll": lists}, "texts", ["b", "c", "a"], ["a"], [], None) == [["b", "c", "a"]]
    assert hits({"containsAny": lists}, "texts", ["b"], ["c"], [], ...) == [["b"]]
    reference = {"type": "container", "space": "s", "externalId": "c"}
    assert hits({"hasData": [reference]}, "texts", ["b"], [], None, ..., [""]) == [["b"], [""]]
    other = {**reference, "space": "s-2", "externalId": "other"}
    assert hits({"hasData": [reference, other]}, "text", "b") == []


@pytest.mark.parametrize(
    ("name", "operand", "values", "expected"),
    [
        ("int64", BIG + 1, (BIG, BIG + 1, BIG + 2), [BIG + 1]),
        ("int64", 2.5, (2, 3), []),
        ("int64", 3.0, (2, 3), [3]),
        ("float64", BIG + 1, (BIG,), [BIG]),
        ("float32", 0.1, (0.1, 0.2), [0.1]),
        ("boolean", False, (True, False, ...), [False]),
        ("text", "a", ("a", "A", "a "), ["a"]),
        ("enum", "low", ("low", "high"), ["low"]),
        ("enum", "unknown", ("low", "high"), []),
        ("date", "2024-01-01", ("2024-01-01", "2024-01-02"), ["2024-01-01"]),
        (
            "timestamp",
            "2024-01-01T01:00:00.0001+01:00",
            ("2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z"),
            ["2024-01-01T00:00:00Z"],
        ),
        ("direct", direct("a", "b"), (direct("a", "b"), direct("b", "a")), [direct("a", "b")]),
    ],
)
def test_equality_by_type(name: str, operand: Json, values: tuple[Json, ...], expected: list[Json]) -> None:
    assert hits({"equals": {"property": p(name), "value": operand}}, name, *values) == expected
    if name != "boolean":
        assert hits({"in": {"property": p(name), "values": [operand]}}, name, *values) == expected


def test_top_level_names_in_filters() -> None:
    found = records("text", *"abc")

    def ids(filter: Json) -> list[str]:
        return [record["externalId"] for record in select(CATALOGUE, found, filter)]

    assert ids({"equals": {"property": ["space"], "value": "s0"}}) == ["id0", "id2"]
    assert ids({"in": {"property": ["externalId"], "values": ["id1", "id9"]}}) == ["id1"]
    assert ids({"prefix": {"property": ["externalId"], "value": "id"}}) == ["id0", "id1", "id2"]
    assert ids({"equals": {"property": ["createdTime"], "value": 1000}}) == ["id1"]
    assert ids({"range": {"property": ["lastUpdatedTime"], "gte": "1970-01-01T00:00:01Z", "lt": 2000}}) == ["id1"]


@pytest.mark.parametrize(
    ("operator", "name"),
    [
        *(("range", name) for name in ("text", "boolean", "enum", "direct", "json", "int32s")),
        *(("in", name) for name in ("boolean", "json", "texts")),
        *(("equals", name) for name in ("json", "texts")),
        *(("prefix", name) for name in ("enum", "int32", "texts")),
        *(("containsAny", name) for name in ("text", "jsons")),
    ],
)
def test_operators_of_other_types_are_refused(operator: str, name: str) -> None:
    operands: Json = {"range": {"gte": 1}, "equals": {"value": "a"}, "prefix": {"value": "a"}}
    with pytest.raises(Refusal) as refusal:
        select(CATALOGUE, [], {operator: {"property": p(name), **operands.get(operator, {"values": ["a"]})}})
    assert refusal.value.kind == "operator"
    assert refusal.value.says == (name, name.removesuffix("s"), operator)


@pytest.mark.parametrize(
    ("filter", "kind"),
    [
        ({}, "filter shape"),
        ({"matchAll": {}, "not": {"matchAll": {}}}, "filter shape"),
        ({"matchAll": {"x": 1}}, "unknown key"),
        ({"overlaps": {}}, "unknown filter"),
        ({"nested": {}}, "unknown filter"),
        ({"and": []}, "filter list"),
        ({"or": [{"matchAll": {}}] * 100}, "filter list"),
        ({"and": [{"or": [{"matchAll": {}}] * 50}] * 2}, "filter nodes"),
        ({"equals": {"property": p("nothing"), "value": 1}}, "unknown property"),
        ({"equals": {"property": p("int32"), "value": "1"}}, "operand"),
        ({"equals": {"property": p("int32"), "value": True}}, "operand"),
        ({"equals": {"property": p("int32"), "value": None}}, "operand"),
        ({"equals": {"property": p("int32")}}, "operand"),
        ({"equals": {"property": p("text"), "value": 1}}, "operand"),
        ({"equals": {"property": p("timestamp"), "value": 0}}, "operand"),
        ({"equals": {"property": p("timestamp"), "value": "2024-01-01"}}, "operand"),
        ({"equals": {"property": p("date"), "value": "2024-01-01T00:00:00Z"}}, "operand"),
        ({"equals": {"property": p("direct"), "value": "a"}}, "operand"),
        ({"equals": {"property": p("int32"), "value": 1, "x": 1}}, "unknown key"),
        ({"equals": {"property": ["createdTime"], "value": 1.5}}, "operand"),
        ({"exists": {"property": ["space"]}}, "top-level property"),
        ({"range": {"property": ["space"], "gte": "a"}}, "top-level property"),
        ({"exists": {"property": ["s", "c"]}}, "property"),
        ({"exists": {"property": ["s", "c/v1", "text"]}}, "view"),
        ({"hasData": [{"type": "view", "space": "s", "externalId": "v", "version": "1"}]}, "view"),
        ({"hasData": [{"type": "container", "space": "s", "externalId": "nothing"}]}, "unknown container"),
        ({"hasData": []}, "hasData"),
        ({"in": {"property": p("int32"), "values": []}}, "filter values"),
        ({"in": {"property": p("int32"), "values": [1] * 101}}, "filter values"),
        ({"range": {"property": p("int32")}}, "range bounds"),
        ({"range": {"property": p("int32"), "gt": 1, "gte": 1}}, "range bounds"),
        ({"prefix": {"property": p("text"), "value": ""}}, "prefix"),
        ({"prefix": {"property": p("text"), "value": "x" * 501}}, "prefix"),
    ],
)
def test_filters_that_are_refused(filter: Json, kind: str) -> None:
    assert refused_filter(filter) == kind


def test_filters_are_ten_deep() -> None:
    deep: Json = {"matchAll": {}}
    for _ in range(9):
        deep = {"not": deep}
    assert len(select(CATALOGUE, records("text", "a"), deep)) == 0
    assert refused_filter({"not": deep}) == "filter depth"


# ---- lastUpdatedTime ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("range", "expected"),
    [
        ({"gt": 0}, ["id1", "id2"]),
        ({"gte": "1970-01-01T00:00:00Z", "lt": 2000}, ["id0", "id1"]),
        ({"gte": 1000, "lte": "1970-01-01T01:00:01.0009+01:00"}, ["id1"]),
        ({"gte": 2000, "lte": 1000}, []),
    ],
)
def test_last_updated_time(range: Json, expected: list[str]) -> None:
    found = select(CATALOGUE, records("text", *"abc"), None, range)
    assert [record["externalId"] for record in found] == expected


@pytest.mark.parametrize(
    ("range", "kind"),
    [
        ({}, "lastUpdatedTime bounds"),
        ({"lt": 1}, "lastUpdatedTime bounds"),
        ({"gt": 1, "gte": 1}, "lastUpdatedTime bounds"),
        ({"gt": 1, "lt": 1, "lte": 1}, "lastUpdatedTime bounds"),
        ({"gt": 1.5}, "lastUpdatedTime"),
        ({"gt": True}, "lastUpdatedTime"),
        ({"gt": "now"}, "lastUpdatedTime"),
        ({"gt": 1, "eq": 2}, "unknown key"),
        (None, "lastUpdatedTime missing"),
        ({"gt": 0}, "lastUpdatedTime span"),
        ({"gt": 0, "lt": 1001}, "lastUpdatedTime span"),
    ],
)
def test_last_updated_time_that_is_refused(range: Json, kind: str) -> None:
    stream = Stream(mandatory=True, widest=1000, now=1001)
    assert refused({"aggregates": {"n": {"count": {}}}, "lastUpdatedTime": range}, stream) == kind
    within = {"gt": 1, "lt": 1001}
    assert aggregate(CATALOGUE, [], {"aggregates": {"n": {"count": {}}}, "lastUpdatedTime": within}, stream)


# ---- The tree -----------------------------------------------------------------------------------------------------


def nest(depth: int) -> Json:
    inner: Json = {"count": {}}
    for level in range(depth - 1):
        inner = {"uniqueValues": {"property": ["space"], "aggregates": {f"a{level}": inner}}}
    return {"aggregates": {"top": inner}}


def test_the_size_of_a_tree() -> None:
    assert aggregate(CATALOGUE, [], nest(5))
    assert refused(nest(6)) == "aggregates too deep"
    assert refused({"aggregates": {}}) == "aggregates on a level"
    assert refused({}) == "aggregates on a level"
    assert refused({"aggregates": {f"a{number}": {"count": {}} for number in range(6)}}) == "aggregates on a level"

    def tree(more: int) -> Json:
        """Three filters aggregates, with 10 and some more aggregates below them."""
        branches = {}
        for name, many in (("a", 5), ("b", 5), ("c", more)):
            inner: Json = {f"{name}{number}": {"count": {}} for number in range(many)}
            branches[name] = {"filters": {"filters": [{"matchAll": {}}], "aggregates": inner}}
        return {"aggregates": branches}

    assert aggregate(CATALOGUE, [], tree(3))
    assert refused(tree(4)) == "too many aggregates"


@pytest.mark.parametrize(("name", "good"), [("a b", True), ("x" * 255, True), ("ü\n", True), ("_counts", True)])
def test_identifiers(name: str, good: bool) -> None:
    assert (name in aggregate(CATALOGUE, [], {"aggregates": {name: {"count": {}}}})) is good


@pytest.mark.parametrize("name", ["", "x" * 256, "a[b", "a]", "a>b", "a.b", "_count", "_bucket_count"])
def test_bad_identifiers(name: str) -> None:
    assert refused({"aggregates": {name: {"count": {}}}}) == "identifier"


def test_an_identifier_is_used_once_in_the_tree() -> None:
    inner = {"filters": {"filters": [{"matchAll": {}}], "aggregates": {"a": {"count": {}}}}}
    assert refused({"aggregates": {"a": inner}}) == "duplicate identifier"


@pytest.mark.parametrize(
    ("kind", "inner", "refusal"),
    [
        ("avg", {"property": p("timestamp")}, "type of property"),
        ("avg", {"property": p("text")}, "type of property"),
        ("sum", {"property": p("int32s")}, "type of property"),
        ("sum", {}, "property"),
        ("min", {"property": p("date")}, "type of property"),
        ("min", {"property": p("boolean")}, "type of property"),
        ("count", {"property": ["space"]}, "top-level property"),
        ("count", {"property": p("text"), "x": 1}, "unknown key"),
        ("uniqueValues", {"property": p("json")}, "type of property"),
        ("uniqueValues", {"property": ["externalId"]}, "top-level property"),
        ("uniqueValues", {"property": p("text"), "size": 0}, "size"),
        ("uniqueValues", {"property": p("text"), "size": 10_001}, "size"),
        ("uniqueValues", {"property": p("text"), "size": 10.0}, "size"),
        ("uniqueValues", {"property": p("text"), "aggregates": {}}, "aggregates on a level"),
        ("uniqueValues", {"property": ["s", "nothing", "text"]}, "unknown property"),
        ("uniqueValues", {"property": "text"}, "property"),
        ("numberHistogram", {"property": p("text"), "interval": 1}, "type of property"),
        ("numberHistogram", {"property": p("int32")}, "interval"),
        ("numberHistogram", {"property": p("int32"), "interval": 0}, "interval"),
        ("numberHistogram", {"property": p("int32"), "interval": True}, "interval"),
        ("numberHistogram", {"property": p("int32"), "interval": 1, "hardBounds": {"min": 2, "max": 1}}, "hardBounds"),
        ("numberHistogram", {"property": p("int32"), "interval": 1, "hardBounds": {"min": "2"}}, "hardBounds"),
        ("timeHistogram", {"property": p("int32"), "calendarInterval": "1d"}, "type of property"),
        ("timeHistogram", {"property": p("timestamp")}, "interval"),
        ("timeHistogram", {"property": p("timestamp"), "calendarInterval": "2d"}, "interval"),
        ("timeHistogram", {"property": p("timestamp"), "fixedInterval": "0d"}, "interval"),
        ("timeHistogram", {"property": p("timestamp"), "fixedInterval": "1w"}, "interval"),
        ("timeHistogram", {"property": p("timestamp"), "fixedInterval": "1d", "calendarInterval": "1d"}, "interval"),
        (
            "timeHistogram",
            {"property": p("timestamp"), "fixedInterval": "1d", "hardBounds": {"min": 0}},
            "hardBounds",
        ),
        (
            "timeHistogram",
            {"property": p("timestamp"), "fixedInterval": "1d", "hardBounds": {"min": "2024-01-01T00:00:00"}},
            "hardBounds",
        ),
        ("filters", {"filters": []}, "filters"),
        ("filters", {"filters": [{"matchAll": {}}] * 11}, "filters"),
        ("movingFunction", {"bucketsPath": "_count", "window": 1, "function": "MovingFunctions.max"}, None),
        ("median", {"property": p("int32")}, "unknown aggregate"),
    ],
)
def test_aggregates_that_are_refused(kind: str, inner: Json, refusal: str | None) -> None:
    assert refused_entry(kind, **inner) == (refusal or "movingFunction outside a histogram")


@pytest.mark.parametrize(
    ("inner", "kind"),
    [
        ({"bucketsPath": "_count", "window": 0, "function": "MovingFunctions.max"}, "window"),
        ({"bucketsPath": "_count", "window": 1.0, "function": "MovingFunctions.max"}, "window"),
        ({"bucketsPath": "_count", "window": 1, "function": "max"}, "function"),
        ({"bucketsPath": "_count", "window": 1, "function": "MovingFunctions.stdDev"}, "function"),
        ({"window": 1, "function": "MovingFunctions.max"}, "bucketsPath"),
    ],
)
def test_moving_functions_that_are_refused(inner: Json, kind: str) -> None:
    nested = {"m": {"movingFunction": inner}}
    assert refused_entry("timeHistogram", property=p("timestamp"), fixedInterval="1d", aggregates=nested) == kind


def test_filters_are_limited_in_the_whole_request() -> None:
    tens: Json = {f"f{number}": {"filters": {"filters": [{"matchAll": {}}] * 10}} for number in range(3)}
    assert aggregate(CATALOGUE, [], {"aggregates": tens})
    tens["f3"] = {"filters": {"filters": [{"matchAll": {}}]}}
    assert refused({"aggregates": tens}) == "too many filters"


@pytest.mark.parametrize("key", ["search", "targetUnits", "sort"])
def test_unknown_keys_of_the_request(key: str) -> None:
    assert refused({"aggregates": {"n": {"count": {}}}, key: {}}) == "unknown key"


# ---- Comparing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "got", "equal"),
    [
        ({"avg": 1.0}, {"avg": 1.0 + 1e-12}, True),
        ({"avg": 1.0}, {"avg": 1.000001}, False),
        ({"sum": 2**53 + 1}, {"sum": float(2**53)}, False),
        ({"sum": 2**70 + 1}, {"sum": float(2**70)}, True),
        ({"sum": 0.30000000000000004}, {"sum": 0.3}, True),
        ({"max": 0.30000000000000004}, {"max": 0.3}, False),
        ({"value": True}, {"value": 1}, False),
        ({"value": 3}, {"value": 3.0}, True),
        ([1, 2], [1], False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"min": 0}, {"min": None}, False),
    ],
)
def test_comparing(expected: Json, got: Json, equal: bool) -> None:
    assert (same(expected, got) is None) is equal


# ---- The generator ------------------------------------------------------------------------------------------------


def generated(seed: int) -> tuple[random.Random, Pool]:
    rng = random.Random(f"unit-{seed}")
    dataset = make_dataset(rng)
    found = [
        stored(item, 1_700_000_000_000 + place, 1_700_000_000_500 + place) for place, item in enumerate(dataset.final)
    ]
    return rng, Pool.of(dataset, found)


@pytest.mark.parametrize("seed", range(4))
def test_generated_requests_are_mostly_valid(seed: int) -> None:
    rng, pool = generated(seed)
    refusals = 0
    for _ in range(15):
        body = make_body(rng, pool)
        try:
            answer = aggregate(pool.catalogue, pool.records, body)
        except Refusal:
            refusals += 1
        else:
            assert same(answer, json.loads(json.dumps(answer))) is None
            assert features(body, pool) >= {"level:1"}
    assert refusals < 5


@pytest.mark.parametrize("seed", range(6))
def test_spoilt_requests_are_refused(seed: int) -> None:
    rng, pool = generated(seed)
    for _ in range(40):
        with pytest.raises(Refusal):
            aggregate(pool.catalogue, pool.records, spoil(rng, pool, {"aggregates": {"n": {"count": {}}}}))


def test_instants_are_spelt_in_many_ways() -> None:
    rng = random.Random(1)
    for instant in (0, -1, -500, 1_709_210_096_120, -12_212_553_600_000):
        spelt = {spell(rng, instant) for _ in range(50)}
        assert {read_instant(text) for text in spelt} == {instant}
        assert len(spelt) > 10


def test_requests_are_reduced_part_by_part() -> None:
    body = {"filter": {"and": [{"matchAll": {}}, {"not": {"matchAll": {}}}]}, "aggregates": {"n": {"count": {}}}}
    smaller = list(reductions(body))
    assert {"aggregates": {"n": {"count": {}}}} in smaller
    assert {**body, "filter": {"not": {"matchAll": {}}}} in smaller
    assert {**body, "filter": {"and": [{"matchAll": {}}]}} in smaller
