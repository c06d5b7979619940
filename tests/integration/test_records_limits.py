"""Every limit of the records API is tried at, below and above it; a refusal names place, limit and value."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import pytest

from service.catalog import streams
from service.serving import served
from service.settings import Settings, StreamTemplate
from tests.conftest import KEY
from tests.support.client import Client
from tests.support.records import TYPES, Project, container, fresh, property_of, record, set_time, source_of

Json = Any
MB10 = 10 * 1024 * 1024
DAY = 86_400_000
TEMPLATES = {
    "Small": StreamTemplate(type="Mutable", max_records=10, max_gigabytes=1, retained_after_soft_delete="P1D"),
    "SmallArchive": StreamTemplate(
        type="Immutable",
        max_records=10,
        max_gigabytes=1,
        retained_after_soft_delete="P1D",
        data_deleted_after="P2D",
        max_filtering_interval="P3D",
    ),
}
BUCKETS = 20
"""The bucket limit of the service here, small enough to be met."""


@pytest.fixture(scope="module")
async def project(settings: Settings) -> AsyncIterator[Project]:
    mine = settings.model_copy(update={"stream_templates": TEMPLATES, "bucket_limit": BUCKETS})
    async with served(mine, KEY) as address, Client(address, KEY) as client, Project.made(client) as project:
        await project.spaces("s")
        await project.containers(container(TYPES), *(container({"a": TYPES["text"]}, id=f"c{n}") for n in range(99)))
        await project.containers(*(container({"a": TYPES["text"]}, id=f"c{n}") for n in range(99, 101)))
        yield project


@pytest.fixture(scope="module")
async def stream(project: Project) -> str:
    """With 25 records: i32 is 0 to 24, i64 is 0 but for one of 9,999 and one of 10,000."""
    name = await project.stream()
    await project.ingest(name, *(record(f"r{n:02}", {"i32": n, "i64": 0, "time": at(n)}) for n in range(23)))
    await project.ingest(name, record("r23", {"i32": 23, "i64": 9_999}), record("r24", {"i32": 24, "i64": 10_000}))
    return name


def at(n: int) -> str:
    return f"2025-01-01T00:00:{n:02}Z"


Test = Callable[..., Awaitable[None]]


class Case(NamedTuple):
    """A body, and the words of its refusal; none if it is answered."""

    name: str
    body: Json
    words: Sequence[str] = ()


def cases(*given: Case) -> Callable[[Test], Test]:
    return pytest.mark.parametrize("case", [pytest.param(each, id=each.name) for each in given])


async def tried(project: Project, route: str, body: Json, words: Sequence[str], good: int, bad: int = 400) -> Json:
    if words:
        return await project.refused(route, body, bad, *words)
    return await project.post(route, body, good)


# ---- Aggregates -----------------------------------------------------------------------------------------------------

COUNT: Json = {"count": {}}
I32, I64, TIME, TEXT = (property_of(name) for name in ("i32", "i64", "time", "text"))
FEW: Json = {"range": {"property": I32, "lt": 2}}


def level(many: int) -> Json:
    return {f"a{n}": COUNT for n in range(many)}


def nested(deep: int) -> Json:
    tree: Json = {f"d{deep}": COUNT}
    for n in range(deep - 1, 0, -1):
        tree = {f"d{n}": {"uniqueValues": {"property": TEXT, "aggregates": tree}}}
    return tree


def forest(many: int) -> Json:
    """Trees of at most five with at most five in each of their levels."""
    trees: Json = {}
    for n in range(many):
        tree = trees.setdefault(f"t{n // 5}", {"uniqueValues": {"property": TEXT, "aggregates": {}}})
        if n % 5:
            tree["uniqueValues"]["aggregates"][f"t{n // 5}-{n}"] = COUNT
    for tree in trees.values():
        if not tree["uniqueValues"]["aggregates"]:
            del tree["uniqueValues"]["aggregates"]
    return trees


def unique(**more: Json) -> Json:
    return {"x": {"uniqueValues": {"property": I32, **more}}}


def numbers(**more: Json) -> Json:
    return {"x": {"numberHistogram": {"property": I32, "interval": 10, **more}}}


def times(**more: Json) -> Json:
    return {"x": {"timeHistogram": {"property": TIME, **more}}}


def filters(*counts: int) -> Json:
    return {f"f{n}": {"filters": {"filters": [{"matchAll": {}}] * count}} for n, count in enumerate(counts)}


def moving(path: Json = "_count", window: Json = 3, function: Json = "MovingFunctions.sum", **siblings: Json) -> Json:
    given = {"bucketsPath": path, "window": window, "function": function}
    return numbers(aggregates={**siblings, "m": {"movingFunction": given}})


def path_of(length: int) -> str:
    return 'u["' + "a" * (length - len('u[""]>_count')) + '"]>_count'


X = "aggregates.x"
BOUNDS = f"{X}.timeHistogram.hardBounds"
BY_TEXT = {"u": {"uniqueValues": {"property": TEXT}}}

AGGREGATES = [
    Case("level of 1", level(1)),
    Case("level of 4", level(4)),
    Case("level of 5", level(5)),
    Case("level of 6", level(6), ("aggregates", "5", "6")),
    Case("level of 0", {}, ("aggregates", "1 to 5")),
    Case("inner level of 6", unique(aggregates=level(6)), (f"{X}.uniqueValues.aggregates", "5", "6")),
    Case("inner level of 0", unique(aggregates={}), (f"{X}.uniqueValues.aggregates", "1 to 5")),
    Case("no object", [], ("aggregates",)),
    Case("depth 4", nested(4)),
    Case("depth 5", nested(5)),
    Case("depth 6", nested(6), ("d1.uniqueValues.aggregates.d2.uniqueValues", "5", "6")),
    Case("15 in all", forest(15)),
    Case("16 in all", forest(16)),
    Case("17 in all", forest(17), ("aggregates", "16", "17")),
    *(Case(f"identifier of {n}", {"i" * n: COUNT}) for n in (1, 254, 255)),
    *(Case(f"identifier of {n}", {"i" * n: COUNT}, ("aggregates", "255", str(n))) for n in (0, 256)),
    Case("identifier of other signs", {"é \n\"'<{}_count": COUNT}),
    *(
        Case(f"identifier {id}", {id: COUNT}, ("aggregates", repr(id)))
        for id in ("_count", "_bucket_count", "a[", "a]", "a>b", "a.b")
    ),
    Case("identifier twice", {"x": {"uniqueValues": {"property": TEXT, "aggregates": {"x": COUNT}}}}, ("x", "twice")),
    Case("two kinds", {"x": {**COUNT, "avg": {"property": I32}}}, (X, "one key")),
    Case("no kind", {"x": {}}, (X, "one key")),
    Case("unknown kind", {"x": {"median": {"property": I32}}}, (f"{X}.median", "unknown")),
    *(Case(f"size {n}", unique(size=n)) for n in (1, 2, 9_999, 10_000)),
    *(
        Case(f"size {n}", unique(size=n), (f"{X}.uniqueValues.size", "10,000", repr(n)))
        for n in (0, -1, 10_001, 1.5, 10.0, True, "1", 2**60)
    ),
    *(
        Case(f"unknown key in {kind}", {"x": {kind: {**body, "foo": 1}}}, (f"{X}.{kind}.foo", "unknown key"))
        for kind, body in (
            ("avg", {"property": I32}),
            ("count", {}),
            ("uniqueValues", {"property": I32}),
            ("numberHistogram", {"property": I32, "interval": 1}),
            ("timeHistogram", {"property": TIME, "fixedInterval": "1d"}),
            ("filters", {"filters": [{"matchAll": {}}]}),
        )
    ),
    *(
        Case(f"aggregates in {kind}", {"x": {kind: {"property": I32, "aggregates": level(1)}}}, (f"{X}.{kind}",))
        for kind in ("avg", "sum", "min", "max", "count")
    ),
    *(Case(f"interval {n}", numbers(interval=n)) for n in (0.1, 1, 2**53, 1e300)),
    *(
        Case(f"interval {n}", numbers(interval=n), (f"{X}.numberHistogram.interval", "greater than 0", repr(n)))
        for n in (0, -1, -0.5, True, "1")
    ),
    Case("interval 1e-9", numbers(interval=1e-9), (f"{X}.numberHistogram", "10,000", "10,001")),
    Case("no interval", {"x": {"numberHistogram": {"property": I32}}}, (f"{X}.numberHistogram", "interval")),
    *(Case(f"bounds {b}", numbers(hardBounds=b)) for b in ({}, {"min": 5}, {"max": 5}, {"min": 5, "max": 5})),
    Case("bounds 6 5", numbers(hardBounds={"min": 6, "max": 5}), (f"{X}.numberHistogram.hardBounds", "6", "5")),
    Case("bounds text", numbers(hardBounds={"min": "6"}), (f"{X}.numberHistogram.hardBounds.min", "number", "'6'")),
    Case("bounds other", numbers(hardBounds={"low": 6}), (f"{X}.numberHistogram.hardBounds.low", "unknown key")),
    *(Case(f"calendar {unit}", times(calendarInterval=unit)) for unit in ("1m", "1h", "1d", "1w", "1M", "1q", "1y")),
    *(
        Case(
            f"calendar {unit}", times(calendarInterval=unit), (f"{X}.timeHistogram.calendarInterval", "1q", repr(unit))
        )
        for unit in ("2d", "d", "", "1ms", "1Y", 1)
    ),
    *(Case(f"fixed {unit}", times(fixedInterval=unit)) for unit in ("2000ms", "30s", "90m", "1h", "36500d")),
    *(
        Case(f"fixed {unit}", times(fixedInterval=unit), (f"{X}.timeHistogram.fixedInterval", repr(unit)))
        for unit in ("0s", "1.5h", "1w", "01h", "-1h", "h", "1 h", "", 5)
    ),
    Case("both intervals", times(fixedInterval="1d", calendarInterval="1d"), (f"{X}.timeHistogram", "exactly one")),
    Case("no time interval", times(), (f"{X}.timeHistogram", "exactly one")),
    *(
        Case(f"time bounds {b}", times(fixedInterval="1d", hardBounds=b))
        for b in (
            {},
            {"min": "2024-12-31T23:59:59.999999999+01:30"},
            {"max": "2030-01-01T00:00:00Z"},
            {"min": "2025-01-01T00:00:00Z", "max": "2025-01-01T01:00:00+01"},
        )
    ),
    *(
        Case(f"time bound {b!r}", times(fixedInterval="1d", hardBounds={"max": b}), (f"{BOUNDS}.max", "zone", repr(b)))
        for b in (1735689600000, "2025-01-01", "2025-01-01T00:00:00", "2025-01-01T25:00:00Z", "x", "")
    ),
    Case(
        "time bounds that cross",
        times(fixedInterval="1d", hardBounds={"min": "2025-01-02T00:00:00Z", "max": "2025-01-01T00:00:00Z"}),
        (BOUNDS, "min", "max", "2025-01-02"),
    ),
    Case("filters 1", filters(1)),
    Case("filters 10", filters(10)),
    Case("filters 11", filters(11), ("aggregates.f0.filters.filters", "10", "11")),
    Case("filters 0", filters(0), ("aggregates.f0.filters.filters", "10", "0")),
    Case("filters 20 in all", filters(9, 9, 2)),
    Case("filters 31 in all", filters(10, 10, 10, 1), ("aggregates.f3.filters.filters", "30", "31")),
    Case("moving outside", {"x": {"movingFunction": {}}}, (f"{X}.movingFunction", "histogram")),
    *(
        Case(
            f"moving inside {kind}",
            {"x": {kind: {**body, "aggregates": {"m": {"movingFunction": {}}}}}},
            ("m.movingFunction", "histogram"),
        )
        for kind, body in (("uniqueValues", {"property": I32}), ("filters", {"filters": [{"matchAll": {}}]}))
    ),
    *(Case(f"window {n}", moving(window=n)) for n in (1, 2, 100_000, 2**40)),
    *(
        Case(f"window {n}", moving(window=n), ("m.movingFunction.window", "1", repr(n)))
        for n in (0, -1, 1.0, True, "1", None)
        if n is not None
    ),
    Case("function", moving(function="MovingFunctions.stdDev"), ("function", "MovingFunctions.max", "stdDev")),
    *(Case(f"path of {n}", moving(path_of(n), **BY_TEXT)) for n in (1_279, 1_280)),
    Case("path of 1281", moving(path_of(1_281), **BY_TEXT), ("bucketsPath", "1,280", "1,281")),
    Case("path of 0", moving(""), ("bucketsPath", "1,280")),
    *(
        Case(f"path {path}", moving(path, **BY_TEXT), ("bucketsPath",))
        for path in ("x", "u", "u.v", "u>", ">u", "_count>u", "u[1", 'u["a"]["b"]>_count', "u[5]>_count", 7)
    ),
    *(
        Case(f"unknown property {each}", {"x": {"max": {"property": each}}}, (f"{X}.max.property",))
        for each in (
            ["s", "c", "nope"],
            ["s", "nope", "i32"],
            ["nope", "c", "i32"],
            ["i32"],
            ["s", "c"],
            [],
            "i32",
            [1],
        )
    ),
    *(
        Case(f"view {each}", {"x": {"max": {"property": each}}}, (f"{X}.max.property", "views are not supported"))
        for each in (["s", "c/v1", "i32"], [{"type": "view", "space": "s", "externalId": "c", "version": "1"}, "i32"])
    ),
]


@cases(*AGGREGATES)
async def test_trees(project: Project, stream: str, case: Case) -> None:
    body = {"aggregates": case.body, "filter": FEW}
    await tried(project, f"/streams/{stream}/records/aggregate", body, case.words, 200)


@cases(
    Case("search", {"search": {}}, ("search", "unknown")),
    Case("limit", {"limit": 1}, ("limit", "unknown")),
    Case("units", {"targetUnits": {"unitSystemName": "SI"}}, ("targetUnits", "units")),
    Case("typing", {"includeTyping": 1}, ("includeTyping", "1")),
    Case("nothing more", {"lastUpdatedTime": None, "filter": None}),
)
async def test_aggregate_bodies(project: Project, stream: str, case: Case) -> None:
    body = {"aggregates": level(1), **case.body}
    await tried(project, f"/streams/{stream}/records/aggregate", body, case.words, 200)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("avg", "text flag time day json link level texts i64s times jsons"),
        ("sum", "text flag time day json link level texts i64s times jsons"),
        ("min", "text flag day json link level texts jsons"),
        ("max", "text flag day json link level texts jsons"),
        ("uniqueValues", "json jsons"),
        ("numberHistogram", "text flag time day json link level texts times jsons"),
        ("timeHistogram", "text flag f32 f64 i32 i64 json link level texts i64s jsons"),
    ],
)
async def test_kinds_of_properties(project: Project, stream: str, kind: str, names: str) -> None:
    intervals: Json = {"numberHistogram": {"interval": 1}, "timeHistogram": {"calendarInterval": "1d"}}
    extra = intervals.get(kind, {})
    for name in TYPES:
        body = {"aggregates": {"x": {kind: {"property": property_of(name), **extra}}}, "filter": FEW}
        type = TYPES[name]["type"]
        words = (f"{X}.{kind}.property", name, type) if name in names.split() else ()
        await tried(project, f"/streams/{stream}/records/aggregate", body, words, 200)


@pytest.mark.parametrize("kind", ["numberHistogram", "timeHistogram"])
async def test_histograms_of_ten_thousand_buckets(address: str, client: Client, project: Project, kind: str) -> None:
    """With the service's own limit of buckets."""
    usual = project.at(client)
    name = await usual.stream()
    items = [record(f"{n}", {"i64": n, "time": f"1970-01-01T00:00:{n // 1000:02}.{n % 1000:03}Z"}) for n in (0, 9_999)]
    await usual.ingest(name, *items)
    extra: Json = {"interval": 1} if kind == "numberHistogram" else {"fixedInterval": "1ms"}
    histogram = {kind: {"property": I64 if kind == "numberHistogram" else TIME, **extra}}
    assert len((await usual.one(name, histogram))[f"{kind}Buckets"]) == 10_000
    await usual.ingest(name, record("10000", {"i64": 10_000, "time": "1970-01-01T00:00:10Z"}))
    body = {"aggregates": {"x": histogram}}
    await usual.refused(f"/streams/{name}/records/aggregate", body, 400, f"{X}.{kind}", "10,000", "10,001")
    high: Json = 9_999 if kind == "numberHistogram" else "1970-01-01T00:00:10Z"
    histogram[kind]["hardBounds"] = {"max": high}
    assert len((await usual.one(name, histogram))[f"{kind}Buckets"]) == 10_000


@cases(
    Case("19 values", unique(size=19)),
    Case("20 values", unique(size=20)),
    Case("21 values", unique(size=21), ("20", "21", "buckets")),
    Case("10 values in 1 bucket each", unique(size=10, aggregates={"f": filters(1)["f0"]})),
    Case("10 values in 2 buckets each", unique(size=10, aggregates={"f": filters(2)["f0"]}), ("20", "buckets")),
    Case("two filters of 10", filters(10, 10)),
    Case("three filters of 7", filters(7, 7, 7), ("20", "21", "buckets")),
    Case("20 gaps", numbers(interval=1, hardBounds={"max": 19})),
    Case("21 gaps", numbers(interval=1, hardBounds={"max": 20}), ("20", "21", "buckets")),
    Case("a wide histogram", {"x": {"numberHistogram": {"property": I64, "interval": 1}}}, ("buckets",)),
)
async def test_buckets_in_all(project: Project, stream: str, case: Case) -> None:
    await tried(project, f"/streams/{stream}/records/aggregate", {"aggregates": case.body}, case.words, 200)


# ---- Filters --------------------------------------------------------------------------------------------------------

LEAF: Json = {"equals": {"property": I32, "value": 1}}
TEXTS, I64S = property_of("texts"), property_of("i64s")


def nots(deep: int) -> Json:
    filter = LEAF
    for _ in range(deep - 1):
        filter = {"not": filter}
    return filter


def mixed(deep: int) -> Json:
    filter: Json = {"range": {"property": I32, "gte": 1, "lt": 2}}
    for n in range(deep - 1):
        filter = ({"and": [filter]}, {"or": [filter, LEAF]}, {"not": filter})[n % 3]
    return filter


def of_nodes(count: int) -> Json:
    """Two levels, so that no array is too long."""
    half = (count - 3) // 2
    return {"or": [{"and": [LEAF] * half}, {"and": [LEAF] * (count - 3 - half)}]}


def has(many: int) -> Json:
    return {"hasData": [{"type": "container", "space": "s", "externalId": f"c{n}"} for n in range(many)]}


def valued(operator: str, many: int, first: int = 0) -> Json:
    return {operator: {"property": I32 if operator == "in" else I64S, "values": list(range(first, first + many))}}


def ranged(**bounds: Json) -> Json:
    return {"range": {"property": I32, **bounds}}


FILTERS = [
    *(Case(f"{n} nodes", of_nodes(n)) for n in (5, 99, 100)),
    Case("101 nodes", of_nodes(101), ("filter", "100", "101")),
    *(Case(f"{n} deep", nots(n)) for n in (1, 9, 10)),
    Case("11 deep", nots(11), ("filter", "10", "11")),
    Case("10 deep of all", mixed(10)),
    Case("11 deep of all", mixed(11), ("filter", "10", "11")),
    *(Case(f"{name} of {n}", {name: [LEAF] * n}) for name in ("and", "or") for n in (1, 2, 98, 99)),
    *(Case(f"{name} of 100", {name: [LEAF] * 100}, (f"filter.{name}", "99", "100")) for name in ("and", "or")),
    *(Case(f"{name} of 0", {name: []}, (f"filter.{name}", "99", "0")) for name in ("and", "or")),
    *(Case(f"{name} of one", {name: LEAF}, (f"filter.{name}", "99")) for name in ("and", "or")),
    Case("not of a list", {"not": [LEAF]}, ("filter.not",)),
    *(
        Case(f"{name} of {n} values", valued(name, n))
        for name in ("in", "containsAny", "containsAll")
        for n in (1, 100)
    ),
    *(
        Case(f"{name} of {n} values", valued(name, n), (f"filter.{name}.values", "100", str(n)))
        for name in ("in", "containsAny", "containsAll")
        for n in (0, 101)
    ),
    *(
        Case(f"99 {name} of 100", {"or": [valued(name, 100, 100 * n) for n in range(99)]})
        for name in ("in", "containsAny", "containsAll")
    ),
    *(Case(f"prefix of {n}", {"prefix": {"property": TEXT, "value": "é" * n}}) for n in (1, 499, 500)),
    *(
        Case(f"prefix of {n}", {"prefix": {"property": TEXT, "value": "é" * n}}, ("filter.prefix.value", "500", str(n)))
        for n in (0, 501)
    ),
    *(Case(f"hasData of {n}", has(n)) for n in (1, 9, 10)),
    *(Case(f"hasData of {n}", has(n), ("filter.hasData", "10", str(n))) for n in (0, 11)),
    Case(
        "hasData of a view",
        {"hasData": [{"type": "view", "space": "s", "externalId": "c", "version": "v"}]},
        ("filter.hasData[0]", "views are not supported"),
    ),
    Case("two operators", {"matchAll": {}, **LEAF}, ("filter", "one operator")),
    Case("no operator", {}, ("filter", "one operator")),
    Case("matchAll with more", {"matchAll": {"x": 1}}, ("filter.matchAll",)),
    *(Case(name, {name: {}}, (f"filter.{name}", "unknown operator")) for name in ("overlaps", "nested", "invalid", "")),
    *(Case(f"range of {b}", ranged(**b)) for b in ({"gt": 1}, {"gte": 1, "lt": 2}, {"lte": 1.5}, {"gt": -(2**70)})),
    Case("range of none", ranged(), ("filter.range", "gte")),
    Case("range of two below", ranged(gt=1, gte=1), ("filter.range", "gte", "gt")),
    Case("range of two above", ranged(lt=1, lte=1), ("filter.range", "lte", "lt")),
    Case("range of text", ranged(lt="1"), ("filter.range.lt", "number", "'1'")),
    Case("null operand", {"equals": {"property": I32, "value": None}}, ("filter.equals", "value")),
    *(
        Case(f"{name} of {type}", {name: {"property": property_of(type), **operand}}, (type, TYPES[type]["type"], name))
        for type, name, operand in (
            ("text", "range", {"gt": "a"}),
            ("texts", "equals", {"value": "a"}),
            ("texts", "in", {"values": ["a"]}),
            ("texts", "prefix", {"value": "a"}),
            ("i64s", "range", {"gt": 1}),
            ("i32", "prefix", {"value": "a"}),
            ("i32", "containsAny", {"values": [1]}),
            ("flag", "in", {"values": [True]}),
            ("flag", "range", {"gt": False}),
            ("level", "prefix", {"value": "a"}),
            ("level", "range", {"gt": "a"}),
            ("link", "range", {"gt": 1}),
            ("json", "equals", {"value": 1}),
            ("jsons", "containsAny", {"values": [1]}),
        )
    ),
    Case("epoch of a property", {"range": {"property": TIME, "gt": 5}}, ("filter.range.gt", "ISO-8601", "5")),
    Case("epoch of the record", {"range": {"property": ["createdTime"], "gt": 5}}),
    Case("exists of the record", {"exists": {"property": ["space"]}}, ("filter.exists.property",)),
]


@cases(*FILTERS)
async def test_filters(project: Project, stream: str, case: Case) -> None:
    records = f"/streams/{stream}/records"
    await tried(project, f"{records}/filter", {"filter": case.body}, case.words, 200)
    await tried(project, f"{records}/sync", {"filter": case.body, "initializeCursor": "1d-ago"}, case.words, 200)
    await tried(project, f"{records}/aggregate", {"filter": case.body, "aggregates": level(1)}, case.words, 200)
    inner = {"x": {"filters": {"filters": [case.body]}}}
    words = [word.replace("filter", f"{X}.filters.filters[0]", 1) if "filter" in word else word for word in case.words]
    await tried(project, f"{records}/aggregate", {"aggregates": inner}, words, 200)


async def test_nodes_are_counted_for_each_filter(project: Project, stream: str) -> None:
    """The filter of the request and each one of a filters aggregate may have its hundred."""
    tree = {"x": {"filters": {"filters": [of_nodes(100)] * 10}}}
    await project.aggregate(stream, tree, filter=of_nodes(100))


# ---- Reading --------------------------------------------------------------------------------------------------------


def chosen(many: int, properties: Json = None) -> Json:
    return [
        {"source": {"type": "container", "space": "s", "externalId": f"c{n}"}, "properties": properties or ["*"]}
        for n in range(many)
    ]


def sorts(many: int) -> Json:
    return [{"property": I32, "direction": "ascending"}] * many


@cases(
    *(Case(f"limit {n}", {"limit": n}) for n in (1, 999, 1000)),
    *(Case(f"limit {n}", {"limit": n}, ("limit", "1,000", json.dumps(n))) for n in (0, 1001, -1, 1.5, True)),
    Case("limit of text", {"limit": "1"}, ("limit", "1,000", "'1'")),
    *(Case(f"{n} sources", {"sources": chosen(n)}) for n in (1, 10)),
    *(Case(f"{n} sources", {"sources": chosen(n)}, ("sources", "10", str(n))) for n in (0, 11)),
    Case("an unknown property", {"sources": chosen(1, ["b"])}, ("sources[0].properties", "'b'")),
    Case("no list of properties", {"sources": [{**chosen(1)[0], "properties": "*"}]}, ("sources[0].properties",)),
    Case("no properties", {"sources": [{"source": chosen(1)[0]["source"]}]}, ("sources[0]", "properties")),
    Case("unknown key", {"foo": 1}, ("foo", "unknown")),
    Case("typing", {"includeTyping": "yes"}, ("includeTyping", "'yes'")),
)
async def test_pages(project: Project, stream: str, case: Case) -> None:
    await tried(project, f"/streams/{stream}/records/filter", case.body, case.words, 200)
    body = {"initializeCursor": "1d-ago", **case.body}
    await tried(project, f"/streams/{stream}/records/sync", body, case.words, 200)


@cases(
    *(Case(f"{n} sorts", {"sort": sorts(n)}) for n in (1, 5)),
    *(Case(f"{n} sorts", {"sort": sorts(n)}, ("sort", "5", str(n))) for n in (0, 6)),
    Case("sort of a list", {"sort": [{"property": TEXTS}]}, ("sort[0].property", "list")),
    Case("sort of json", {"sort": [{"property": property_of("json")}]}, ("sort[0].property", "json")),
    Case("direction", {"sort": [{"property": I32, "direction": "down"}]}, ("sort[0].direction", "ascending", "'down'")),
    Case("nulls", {"sort": [{"property": I32, "nullsFirst": "x"}]}, ("sort[0].nullsFirst", "'x'")),
    *(Case(f"sort by {name}", {"sort": [{"property": [name]}]}) for name in ("space", "externalId", "createdTime")),
    Case("cursor", {"cursor": "x"}, ("cursor", "unknown")),
)
async def test_sorted_pages(project: Project, stream: str, case: Case) -> None:
    await tried(project, f"/streams/{stream}/records/filter", case.body, case.words, 200)


async def test_the_default_limit_is_ten(project: Project, stream: str) -> None:
    records = f"/streams/{stream}/records"
    assert len((await project.post(f"{records}/filter", {}))["items"]) == 10
    page = await project.post(f"{records}/sync", {"initializeCursor": "1d-ago"})
    assert len(page["items"]) == 10
    assert page["hasNext"]
    assert len((await project.one(stream, {"uniqueValues": {"property": I32}}))["uniqueValueBuckets"]) == 10


NOW = 1_750_000_000_000
"""About 2025-06-15T15:06:40Z, which is now for these tests."""
AGO = "2025-06-08T15:06:40Z"
"""Seven days before."""

UPDATED = [
    Case("gt", {"gt": NOW - DAY}),
    Case("gte", {"gte": "2025-06-15T00:00:00.123456789Z"}),
    Case("both", {"gte": NOW - DAY, "lt": "2025-06-16T00:00:00Z"}),
    Case("lower above upper", {"gt": NOW, "lt": NOW - 5}),
    Case("nothing below", {"lt": NOW}, ("lastUpdatedTime", "lower bound")),
    Case("nothing", {}, ("lastUpdatedTime", "lower bound")),
    Case("two below", {"gt": NOW - 5, "gte": NOW - 5}, ("lastUpdatedTime", "gte", "gt")),
    Case("two above", {"gt": NOW - 5, "lt": NOW, "lte": NOW}, ("lastUpdatedTime", "lte", "lt")),
    Case("unknown key", {"gt": NOW - 5, "eq": NOW}, ("lastUpdatedTime.eq", "unknown")),
    *(
        Case(f"bound {wrong!r}", {"gt": wrong}, ("lastUpdatedTime.gt", "ISO-8601", repr(wrong)))
        for wrong in (1.5, True, "x", "2025-06-15", "2025-13-01T00:00:00Z", str(NOW), ["x"])
    ),
]
SPANS = [
    Case("7 days less 1 ms until now", {"gte": NOW - 7 * DAY + 1}),
    Case("7 days until now", {"gte": NOW - 7 * DAY}),
    Case("7 days and 1 ms until now", {"gte": NOW - 7 * DAY - 1}, ("lastUpdatedTime", "P7D", "604,800,001")),
    Case("7 days", {"gte": AGO, "lt": NOW}),
    Case("7 days and 1 ms", {"gte": AGO, "lt": NOW + 1}, ("lastUpdatedTime", "P7D", "604,800,001")),
    Case("7 days long ago", {"gt": 0, "lte": 7 * DAY}),
    Case("7 days and 1 ms long ago", {"gt": 0, "lte": 7 * DAY + 1}, ("lastUpdatedTime", "P7D", "604,800,001")),
    Case("until 1970", {"gt": -8 * DAY, "lt": 0}, ("lastUpdatedTime", "P7D", "691,200,000")),
    Case("until the end", {"gt": NOW, "lt": 253_402_300_799_999}, ("lastUpdatedTime", "P7D")),
]


@pytest.mark.parametrize("template", ["MutableTestStream", "ImmutableTestStream"])
@cases(*UPDATED, *SPANS, Case("absent", None))
async def test_last_updated_time(project: Project, monkeypatch: pytest.MonkeyPatch, template: str, case: Case) -> None:
    name = template.lower()
    if (await project.call("GET", f"/streams/{name}"))[0] == 404:
        await project.stream(name, template)
    set_time(monkeypatch, lambda: NOW)
    words = case.words
    if template == "MutableTestStream" and case in SPANS:
        words = ()
    if template == "ImmutableTestStream" and case.body is None:
        words = ("lastUpdatedTime", "mandatory")
    body = {} if case.body is None else {"lastUpdatedTime": case.body}
    await tried(project, f"/streams/{name}/records/aggregate", {"aggregates": level(1), **body}, words, 200)
    await tried(project, f"/streams/{name}/records/filter", body, words, 200)


@pytest.mark.parametrize("far", [10**15, -(10**15), 2**63 - 1, -(2**63)])
async def test_times_beyond_the_calendar(project: Project, stream: str, far: int) -> None:
    seen = 25 if far < 0 else 0
    assert await project.count(stream, lastUpdatedTime={"gt": far}) == seen
    for name in ("createdTime", "lastUpdatedTime"):
        assert await project.count(stream, filter={"range": {"property": [name], "gt": far}}) == seen
        assert await project.count(stream, filter={"equals": {"property": [name], "value": far}}) == 0


# ---- Writing --------------------------------------------------------------------------------------------------------


def in_containers(many: int) -> Json:
    return {"space": "s", "externalId": "x", "sources": [source_of({"a": "x"}, container=f"c{n}") for n in range(many)]}


def sent(item: Json) -> Json:
    return {"items": [item]}


def item(**changed: Json) -> Json:
    return {k: v for k, v in {**record("x"), **changed}.items() if v is not None}


WRITES = [
    *(Case(f"{n} items", {"items": [record(f"{i}") for i in range(n)]}) for n in (1, 999, 1000)),
    Case("0 items", {"items": []}, ("items", "1,000", "0")),
    Case("1001 items", {"items": [record(f"{i}") for i in range(1001)]}, ("items", "1,000", "1,001")),
    Case("no items", {}, ("items",)),
    Case("items object", {"items": {}}, ("items", "1,000")),
    Case("unknown key", {"items": [record("x")], "replace": True}, ("replace", "unknown")),
    *(Case(f"{n} sources", sent(in_containers(n))) for n in (1, 100)),
    *(Case(f"{n} sources", sent(in_containers(n)), ("items[0].sources", "100", str(n))) for n in (0, 101)),
    *(Case(f"id of {n}", sent(item(externalId=c * n))) for n in (1, 255, 256) for c in "a😀"),
    *(
        Case(f"id of {n}", sent(item(externalId="a" * n)), ("items[0].externalId", "256", str(n)))
        for n in (0, 257, 999)
    ),
    Case("id with NUL", sent(item(externalId="a\0b")), ("items[0].externalId", "NUL")),
    Case("id of another kind", sent(item(externalId=5)), ("items[0].externalId", "5")),
    Case("no id", sent(item(externalId=None)), ("items[0]", "externalId")),
    *(
        Case(f"space {wrong!r:.60}", sent(item(space=wrong)), ("items[0].space",))
        for wrong in ("", "a" * 44, "-a", "1a", "ä", "a.b", "a\n", 5)
    ),
    Case("space unknown", sent(item(space="unknown")), ("unknown",)),
    *(
        Case(f"container {wrong!r:.60}", sent(item(sources=[source_of({}, container=wrong)])), ("items[0].sources[0]",))
        for wrong in ("", "a" * 256, "a-b", "a_", "1a", "a\n")
    ),
    Case("container unknown", sent(item(sources=[source_of({}, container="nope")])), ("s/nope",)),
    Case("container twice", sent(item(sources=[source_of({}), source_of({})])), ("items[0].sources[1]", "twice")),
    Case(
        "a view",
        sent(item(sources=[{"source": {"type": "view", "space": "s", "externalId": "c"}, "properties": {}}])),
        ("items[0].sources[0]", "views are not supported"),
    ),
    Case("property unknown", sent(record("x", {"nope": 1})), ("items[0]", "nope", "s/c", "s/x")),
    Case("property of another", {"items": [record("x"), record("y", {"a": 1})]}, ("items[1]", "a", "s/y")),
    Case("no properties", sent(item(sources=[{"source": source_of({})["source"]}])), ("items[0].sources[0]",)),
    Case("no object", {"items": ["x"]}, ("items[0]",)),
]


@pytest.fixture(scope="module")
async def empty(project: Project) -> tuple[str, str]:
    """A mutable and an immutable stream in which nothing ever is."""
    return await project.stream(), await project.stream(template="ImmutableTestStream")


@cases(*WRITES)
async def test_writes(project: Project, empty: tuple[str, str], case: Case) -> None:
    for stream, route in ((empty[0], ""), (empty[0], "/upsert"), (empty[1], "")):
        name = stream if case.words else await project.stream()
        await tried(project, f"/streams/{name}/records{route}", case.body, case.words, 202)
        assert await project.consumed(name) == (0 if case.words else len(case.body["items"]))


@cases(
    Case("1 id", 1),
    Case("1000 ids", 1000),
    Case("0 ids", 0, ("items", "1,000", "0")),
    Case("1001 ids", 1001, ("items", "1,000", "1,001")),
)
async def test_deletes(project: Project, case: Case) -> None:
    name = await project.stream()
    await project.ingest(name, record("0"), record("x"))
    body = {"items": [{"space": "s", "externalId": f"{n}"} for n in range(case.body)]}
    await tried(project, f"/streams/{name}/records/delete", body, case.words, 200)
    assert await project.consumed(name) == (2 if case.words else 1)


@pytest.mark.parametrize("route", ["", "/upsert", "/delete"])
@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
async def test_ten_megabytes(project: Project, route: str, more: int, packed: bool) -> None:
    """Of decoded bytes."""
    name = await project.stream()
    one = {"space": "s", "externalId": "x"} if route == "/delete" else record("x")
    data = json.dumps({"items": [one]}).encode().ljust(MB10 + more)
    headers = {"Content-Encoding": "gzip"} if packed else {}
    body: Any = gzip.compress(data) if packed else data
    path = f"/api/v1/projects/{project.name}/streams/{name}/records{route}"
    status, text, _ = await project.client.send("POST", path, data=body, headers=headers, namespace=None)
    assert status == (413 if more > 0 else 200 if route == "/delete" else 202)
    if more > 0:
        error = json.loads(text)["error"]
        assert error["code"] == 413
        assert "10,485,760" in error["message"]
    assert await project.consumed(name) == (0 if more > 0 or route == "/delete" else 1)


GOOD: dict[str, Sequence[Json]] = {
    "text": ("", "x", "\u0000", "é😀", "x" * 100_000),
    "flag": (True, False),
    "f32": (0, 1, -1.5, 3.4028234663852886e38, -3.4028234663852886e38, 1e-60, 2**60),
    "f64": (0, 1.7976931348623157e308, -1.7976931348623157e308, 5e-324, 2**70, 10**308),
    "i32": (0, 2**31 - 1, -(2**31)),
    "i64": (0, 2**53 + 1, 2**63 - 1, -(2**63)),
    "time": (
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
        "2025-01-01T00:00:00",
        "2025-01-01T00:00:00.1+05:30",
        "2025-01-01T00:00:00-0800",
        "2025-01-01T00:00:00+01",
        "2024-02-29T00:00:00Z",
    ),
    "day": ("0001-01-01", "9999-12-31", "2024-02-29"),
    "json": (0, "", [], {}, {"a": [None, {"b": 1.5}]}, [1, "x"], False, 2**63 - 1, 10**25, -(10**25)),
    "link": ({"space": "s", "externalId": "x"}, {"space": "s", "externalId": "x y"}),
    "level": ("low", "high"),
    "texts": ([], ["x"], ["x", "x"], ["x"] * 2000),
    "i64s": ([2**63 - 1, -(2**63)],),
    "times": (["2025-01-01T00:00:00Z"],),
    "jsons": ([1, "x", {}], [[None]]),
}
WRONG: dict[str, Sequence[tuple[Json, str]]] = {
    "text": ((1, "string"), (True, "string"), (["x"], "string"), ({}, "string")),
    "flag": ((1, "true or false"), ("true", "true or false")),
    "f32": ((3.41e38, "3.4028"), (-3.41e38, "3.4028"), (10**400, "number"), ("1", "number"), (True, "number")),
    "f64": ((10**309, "number"), ("1", "number"), (False, "number"), ([1.0], "number")),
    "i32": (
        (2**31, "2147483647"),
        (-(2**31) - 1, "-2147483648"),
        (1.0, "integer"),
        ("1", "integer"),
        (True, "integer"),
    ),
    "i64": ((2**63, "9223372036854775807"), (-(2**63) - 1, "-9223372036854775808"), (1.5, "integer"), (1e3, "integer")),
    "time": tuple(
        (wrong, "ISO-8601")
        for wrong in (
            "2025-01-01",
            "2025-13-01T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2025-01-01T24:00:01Z",
            "2025-01-01T00:00Z",
            "10000-01-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "2025-01-01 00:00:00Z",
            "2025-01-01T00:00:00.1234567890Z",
            1735689600000,
            "",
        )
    ),
    "day": tuple((wrong, "date") for wrong in ("2025-01-01T00:00:00Z", "2025-02-30", "25-01-01", 5, "")),
    "link": tuple(
        (wrong, "direct relation")
        for wrong in ("s:x", {"space": "s"}, {"space": "s", "externalId": 1}, {"space": "s", "externalId": "x", "z": 1})
    ),
    "level": (("middle", "low"), ("LOW", "low"), ("", "low"), (1, "low")),
    "texts": (("x", "array"), ([1], "string"), ([None], "string"), (["x"] * 2001, "2,000")),
    "i64s": (([2**63], "9223372036854775807"), ([1.5], "integer"), (5, "array")),
    "times": ((["2025-01-01"], "ISO-8601"),),
    "jsons": (([None], "value"), ({}, "array")),
}


@pytest.mark.parametrize("name", GOOD)
async def test_values_of_each_type(project: Project, name: str) -> None:
    stream = await project.stream()
    await project.ingest(stream, *(record(f"{n}", {name: value}) for n, value in enumerate(GOOD[name])))
    found = await project.values(stream, name)
    kind: Any = float if name in ("f32", "f64") else lambda value: value
    assert [kind(found[f"{n}"]) for n in range(len(GOOD[name]))] == [kind(value) for value in GOOD[name]]
    assert await project.count(stream) == len(GOOD[name])


@pytest.mark.parametrize("name", WRONG)
async def test_values_of_no_type(project: Project, name: str) -> None:
    stream = await project.stream()
    for value, limit in WRONG[name]:
        body = {"items": [record("fine", {name: GOOD[name][0]}), record("wrong", {name: value})]}
        for route in ("", "/upsert"):
            words = (f"items[1].properties.{name}", limit, "s/wrong")
            await project.refused(f"/streams/{stream}/records{route}", body, 400, *words)
    assert await project.consumed(stream) == 0


async def test_numbers_that_no_double_holds(project: Project) -> None:
    stream = await project.stream()
    for number in ("1e400", "-1e400", "NaN", "Infinity"):
        text = json.dumps({"items": [record("x", {"f64": 0})]}).replace('"f64": 0', f'"f64": {number}')
        path = f"/api/v1/projects/{project.name}/streams/{stream}/records"
        status, answer, _ = await project.client.send("POST", path, data=text, namespace=None)
        assert (status, json.loads(answer)["error"]["code"]) == (400, 400)
    assert await project.consumed(stream) == 0


async def test_sizes_of_texts_and_lists(project: Project) -> None:
    properties = {
        "short": {"type": "text", "maxTextSize": 5},
        "few": {"type": "int32", "list": True, "maxListSize": 3},
        "notes": {"type": "text", "list": True, "maxListSize": 2, "maxTextSize": 2},
        "many": {"type": "int32", "list": True},
    }
    await project.containers(container(properties, id="sized"))
    stream = await project.stream()

    def sized(name: str, value: Json) -> Json:
        return {"space": "s", "externalId": "x", "sources": [source_of({name: value}, container="sized")]}

    good = (("short", "12345"), ("short", "éé1"), ("few", [1, 2, 3]), ("notes", ["12", "é"]), ("many", [1] * 2000))
    for name, value in good:
        await project.upsert(stream, sized(name, value), wait=False)
    await project.delete(stream, "x")
    wrong = (
        ("short", "123456", ("short", "5", "6")),
        ("short", "ééé", ("short", "5", "6")),
        ("few", [1, 2, 3, 4], ("few", "3", "4")),
        ("notes", ["1", "2", "3"], ("notes", "2", "3")),
        ("notes", ["1", "123"], ("notes", "2", "3")),
        ("many", [1] * 2001, ("many", "2,000", "2,001")),
    )
    for name, value, words in wrong:
        await project.refused(f"/streams/{stream}/records", {"items": [sized(name, value)]}, 400, *words)
    assert await project.consumed(stream) == 0


async def test_what_must_be_there(project: Project) -> None:
    properties = {
        "must": {"type": {"type": "int32"}, "nullable": False},
        "may": {"type": {"type": "int32"}},
        "usual": {"type": {"type": "int32"}, "nullable": False, "defaultValue": 7},
    }
    await project.containers(container(properties, id="strict"))
    stream = await project.stream()

    def strict(id: str, properties: Json) -> Json:
        return {"space": "s", "externalId": id, "sources": [source_of(properties, container="strict")]}

    for wrong in ({}, {"may": 1}, {"must": None}):
        body = {"items": [strict("ok", {"must": 1}), strict("bad", wrong)]}
        await project.refused(f"/streams/{stream}/records", body, 400, "items[1]", "must", "nullable", "s/bad")
    body = {"items": [strict("bad", {"must": 1, "usual": None})]}
    await project.refused(f"/streams/{stream}/records", body, 400, "items[0]", "usual", "nullable", "s/bad")
    assert await project.consumed(stream) == 0
    await project.ingest(stream, strict("a", {"must": 1, "may": None}), strict("b", {"must": 1, "usual": 8}))
    found = {each["externalId"]: each["properties"]["s"]["strict"] for each in await project.filter(stream)}
    assert found == {"a": {"must": 1, "usual": 7}, "b": {"must": 1, "usual": 8}}
    seven = {"equals": {"property": ["s", "strict", "usual"], "value": 7}}
    assert await project.ids(stream, seven) == ["a"]


# ---- Spaces, containers, streams ------------------------------------------------------------------------------------


@pytest.mark.parametrize("good", ["a", "Z", "a1", "a-b_c", "a-", "a" * 43])
async def test_space_ids(project: Project, good: str) -> None:
    assert (await project.spaces(good))[0]["space"] == good
    assert await project.post("/models/spaces/delete", {"items": [{"space": good}]}) == {"items": [{"space": good}]}


@pytest.mark.parametrize("wrong", ["", "1a", "-a", "_a", "a.b", "a b", "ä", "a" * 44, "a\n", 5, None])
async def test_wrong_space_ids(project: Project, wrong: Json) -> None:
    body = {"items": [{"space": "fine"}, {"space": wrong}]}
    await project.refused("/models/spaces", body, 400, "items[1].space")
    assert await project.post("/models/spaces/byids", {"items": [{"space": "fine"}]}) == {"items": []}


@pytest.mark.parametrize("kind", ["spaces", "containers"])
async def test_how_many_at_once(project: Project, kind: str) -> None:
    await project.spaces("batch")

    def batch(many: int) -> Json:
        if kind == "spaces":
            return {"items": [{"space": f"batch{n}"} for n in range(many)]}
        return {"items": [container({"a": TYPES["text"]}, "batch", f"c{n}") for n in range(many)]}

    for many in (0, 101):
        await project.refused(f"/models/{kind}", batch(many), 400, "items", "1" if many == 0 else "100")
    assert len((await project.post(f"/models/{kind}", batch(100)))["items"]) == 100
    ids = [{name: each[name] for name in ("space", "externalId") if name in each} for each in batch(100)["items"]]
    for many in (0, 101):
        wrong = {"items": (ids * 2)[:many]}
        await project.refused(f"/models/{kind}/byids", wrong, 400, "items", "100", str(many))
        await project.refused(f"/models/{kind}/delete", wrong, 400, "items", "100", str(many))
    assert len((await project.post(f"/models/{kind}/delete", {"items": ids}))["items"]) == 100


def with_property(id: str = "a", **spec: Json) -> Json:
    return container({id: {"type": {"type": "text"}, **spec}}, id="made")


def typed(**type: Json) -> Json:
    return with_property(type=type)


def members(many: int) -> Json:
    return typed(type="enum", values={f"v{n}": {} for n in range(many)})


def wide(many: int) -> Json:
    return container({f"p{n}": TYPES["i32"] for n in range(many)}, id="made")


RESERVED = (
    "space", "externalId", "createdTime", "lastUpdatedTime", "deletedTime", "extensions", "edge_id", "node_id",
    "project_id", "property_group", "seq", "tg_table_name",
)  # fmt: skip

DEFINITIONS = [
    *(Case(f"{n} properties", wide(n)) for n in (1, 999, 1000)),
    *(Case(f"{n} properties", wide(n), ("items[0].properties",)) for n in (0, 1001)),
    *(Case(f"{n} members", members(n)) for n in (1, 32)),
    *(Case(f"{n} members", members(n), ("items[0].properties.a.type.values",)) for n in (0, 33)),
    Case("no members", typed(type="enum"), ("items[0].properties.a.type", "1–32")),
    Case("enum list", typed(type="enum", values={"a": {}}, list=True), ("items[0].properties.a.type", "list")),
    Case("values of text", typed(type="text", values={"a": {}}), ("items[0].properties.a.type", "enum")),
    *(Case(f"type {name}", typed(type=name), ("items[0].properties.a.type",)) for name in ("string", "", "Text", 5)),
    *(Case(f"property {name:.50}", with_property(name)) for name in ("a", "1", "A-b_c", "a" * 255, "type", "0-0")),
    *(
        Case(f"property {name!r:.50}", with_property(name), ("items[0].properties",))
        for name in ("", "_a", "-a", "a.b", "a/b", "a b", "é", "a" * 256, "a\n")
    ),
    *(Case(f"property {name}", with_property(name), (name, "reserved")) for name in RESERVED),
    *(
        Case(f"{name} {value}", with_property("a", **{name: value}))
        for name, value in (("immutable", False), ("autoIncrement", False), ("nullable", False), ("name", "n" * 255))
    ),
    *(
        Case(f"{name} {value!s:.20}", with_property("a", **{name: value}), (f"items[0].properties.a.{name}",))
        for name, value in (("immutable", True), ("autoIncrement", True), ("nullable", 1), ("name", "n" * 256))
    ),
    Case("collation", typed(type="text", collation="ucs_basic")),
    Case("other collation", typed(type="text", collation="default"), ("collation", "ucs_basic")),
    *(Case(f"{n} in a list", typed(type="text", list=True, maxListSize=n)) for n in (1, 10_000)),
    *(Case(f"{n} in a list", typed(type="text", list=True, maxListSize=n), ("maxListSize",)) for n in (0, 10_001)),
    *(Case(f"text of {n}", typed(type="text", maxTextSize=n)) for n in (1, 128_000)),
    *(Case(f"text of {n}", typed(type="text", maxTextSize=n), ("maxTextSize",)) for n in (0, 128_001)),
    *(
        Case(f"default {value!r} of {type['type']}", with_property(type=type, defaultValue=value))
        for type, value in ((TYPES["i32"], 5), (TYPES["text"], ""), (TYPES["level"], "low"), (TYPES["flag"], False))
    ),
    *(
        Case(f"default {value!r} of {type['type']}", with_property(type=type, defaultValue=value), ("defaultValue",))
        for type, value in ((TYPES["i32"], "x"), (TYPES["i32"], 2**31), (TYPES["level"], "x"), (TYPES["text"], 1))
    ),
    *(Case(f"id {id:.50}", {**with_property(), "externalId": id}) for id in ("a", "A_b", "a" * 255)),
    *(
        Case(f"id {id!r:.50}", {**with_property(), "externalId": id}, ("items[0].externalId",))
        for id in ("", "1", "a_", "a-b", "a" * 256, "a b", "é", 5)
    ),
    *(
        Case(f"usedFor {used}", {**with_property(), "usedFor": used}, ("items[0].usedFor",))
        for used in ("node", "all", "edge", "", None)
    ),
    Case("constraints", {**with_property(), "constraints": {}, "indexes": {}}),
    Case("a constraint", {**with_property(), "constraints": {"u": {"properties": ["a"]}}}, ("items[0].constraints",)),
    Case("an index", {**with_property(), "indexes": {"i": {"properties": ["a"]}}}, ("items[0].indexes",)),
    Case("unknown space", {**with_property(), "space": "nowhere"}, ("nowhere",)),
]


@cases(*DEFINITIONS)
async def test_containers(project: Project, case: Case) -> None:
    await tried(project, "/models/containers", sent(case.body), case.words, 200)
    id = {"space": "s", "externalId": case.body["externalId"]}
    if isinstance(id["externalId"], str):
        found = await project.post("/models/containers/delete", {"items": [id]})
        assert found["items"] == ([] if case.words else [id])


async def test_a_container_does_not_grow_beyond_a_thousand(project: Project) -> None:
    await project.containers(container({f"p{n}": TYPES["i32"] for n in range(600)}, id="growing"))
    more = container({f"q{n}": TYPES["i32"] for n in range(401)}, id="growing")
    await project.refused("/models/containers", {"items": [more]}, 400, "growing", "1,000", "1,001")
    del more["properties"]["q0"]
    (grown,) = await project.containers(more)
    assert len(grown["properties"]) == 1000
    stream = await project.stream()
    values = dict.fromkeys(grown["properties"], 1)
    await project.ingest(stream, {"space": "s", "externalId": "x", "sources": [source_of(values, container="growing")]})
    assert await project.count(stream, filter={"exists": {"property": ["s", "growing", "q400"]}}) == 1


@pytest.mark.parametrize("good", ["a", "a1", "a-b_c", "x" * 100, "log", "record", "cdf", "cognite", "delete"])
async def test_stream_ids(project: Project, good: str) -> None:
    await project.stream(good)
    await project.ingest(good, record("x"))
    assert await project.count(good) == 1
    await project.delete_stream(good)


@pytest.mark.parametrize(
    "wrong",
    ["", "A", "1a", "-a", "a-", "a_", "aB", "a.b", "é", "x" * 101, "logs", "records", "cdf_a", "cognite_a", "a\n", 5],
)
async def test_wrong_stream_ids(project: Project, wrong: Json) -> None:
    body = {"items": [{"externalId": wrong, "settings": {"template": {"name": "Small"}}}]}
    await project.refused("/streams", body, 400, "items[0].externalId")
    assert wrong not in [each["externalId"] for each in (await project.get("/streams"))["items"]]


async def test_one_stream_at_once(project: Project) -> None:
    one = {"externalId": fresh("one"), "settings": {"template": {"name": "Small"}}}
    for items in ([], [one, {**one, "externalId": fresh("two")}]):
        await project.refused("/streams", {"items": items}, 400, "items", "1")
        await project.refused("/streams/delete", {"items": items}, 400, "items", "1")
    unknown = {**one, "settings": {"template": {"name": "Nope"}}}
    await project.refused("/streams", {"items": [unknown]}, 400, "template.name", "Nope", "BasicLiveData", "Small")
    await project.refused("/streams", {"items": [{"externalId": "x"}]}, 400, "settings")


@pytest.mark.parametrize("template", ["Small", "SmallArchive"])
async def test_a_full_stream(project: Project, template: str) -> None:
    stream = await project.stream(template=template)
    route = f"/streams/{stream}/records"
    items = [record(f"{n}") for n in range(12)]
    await project.refused(route, {"items": items[:11]}, 400, stream, "10", "11")
    assert await project.consumed(stream) == 0
    await project.ingest(stream, *items[:9], wait=False)
    await project.refused(route, {"items": items[9:11]}, 400, stream, "9", "10", "2")
    await project.ingest(stream, items[9], wait=False)
    await project.refused(route, {"items": [items[10]]}, 400, stream, "10", "1")
    assert await project.consumed(stream) == 10
    told = await project.get(f"/streams/{stream}")
    assert told["settings"]["limits"]["maxRecordsTotal"] == {"provisioned": 10}
    if template == "Small":
        # What is there already takes no more room.
        await project.upsert(stream, *items[:10], wait=False)
        await project.refused(f"{route}/upsert", {"items": items[9:11]}, 400, stream, "10")
        await project.delete(stream, "0", wait=False)
        await project.upsert(stream, *items[1:11], wait=False)
    else:
        await project.ingest(stream, *items[:10], wait=False)
    assert await project.consumed(stream) == 10


async def test_a_stream_of_many_gigabytes(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """With gigabytes of three bytes each."""
    stream = await project.stream(template="SmallArchive")
    await project.ingest(stream, record("a"), wait=False)
    other = await project.stream(template="Small")
    monkeypatch.setattr(streams, "_GIGABYTE", 3)
    await project.refused(f"/streams/{other}/records", {"items": [record("a")]}, 400, other, "bytes of at most 3")
    monkeypatch.undo()
    assert (await project.consumed(stream), await project.consumed(other)) == (1, 0)


async def test_a_full_stream_with_many_writers(project: Project) -> None:
    stream = await project.stream(template="Small")
    calls = [project.call("POST", f"/streams/{stream}/records", {"items": [record(f"{n}")]}) for n in range(30)]
    codes = [status for status, _ in await asyncio.gather(*calls)]
    assert await project.consumed(stream) == codes.count(202) == 10
    assert codes.count(400) == 20


async def test_what_is_no_json(project: Project, stream: str) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    routes = [
        "/records",
        "/records/upsert",
        "/records/delete",
        "/records/filter",
        "/records/sync",
        "/records/aggregate",
    ]
    for route in routes:
        for text in ("", "{", "nonsense", '{"items": [}', '"x"', "5", "null", "[]", deep, '{"a":"\ud800"}'):
            path = f"/api/v1/projects/{project.name}/streams/{stream}{route}"
            data = text.encode("utf-8", "surrogatepass")
            status, answer, headers = await project.client.send("POST", path, data=data, namespace=None)
            assert status == 400, (route, text[:20], status, answer)
            assert json.loads(answer)["error"]["code"] == 400
            assert headers["X-Request-Id"]
    assert await project.count(stream) == 25


def test_now_is_later() -> None:
    assert time.time() * 1000 > NOW
