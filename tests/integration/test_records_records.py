"""Records: what is written is what is read, filtered, sorted and aggregated; mutable and immutable streams."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.serving import served
from service.settings import Settings
from service.storage import bulk
from service.storage.gateway import Gateway
from tests.conftest import KEY
from tests.support.client import Client
from tests.support.records import TYPES, Project, container, property_of, record, set_time, source_of

Json = Any
DAY = 86_400_000
BIG = 2**53 + 1
TEXT, TEXTS, I64, I32 = (property_of(name) for name in ("text", "texts", "i64", "i32"))


@pytest.fixture(scope="module", params=[1, 3], ids=["one shard", "three shards"])
async def project(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Project]:
    async with (
        served(settings.model_copy(update={"shards": request.param}), KEY) as address,
        Client(address, KEY) as client,
        Project.made(client) as project,
    ):
        await project.spaces("s", "s2")
        await project.containers(container(TYPES), container({"a": TYPES["text"], "n": TYPES["i64"]}, "s2", "c2"))
        await project.containers(container(TYPES, id="unused"))
        yield project


@pytest.fixture
async def stream(project: Project) -> str:
    return await project.stream()


@pytest.fixture
async def archive(project: Project) -> str:
    return await project.stream(template="ImmutableTestStream")


def lately(days: float = 6) -> Json:
    return {"gt": int(time.time() * 1000 - days * DAY)}


# Mutable streams


async def test_an_id_that_is_taken(project: Project, stream: str) -> None:
    await project.ingest(stream, record("a", {"i32": 1}), record("b", {"i32": 1}))
    error = (await project.ingest(stream, *(record(id, {"i32": 2}) for id in "abcd"), wanted=409))["error"]
    assert [(each["externalId"], each["code"]) for each in error["partial"]] == [
        ("a", 409), ("b", 409), ("c", 202), ("d", 202),
    ]  # fmt: skip
    assert error["code"] == 409
    assert all(each["space"] == "s" for each in error["partial"])
    assert all(("message" in each) == (each["code"] != 202) for each in error["partial"])
    assert "s/a" in error["message"]
    assert await project.values(stream, "i32") == {"a": 1, "b": 1, "c": 2, "d": 2}
    error = (await project.ingest(stream, record("a", {"i32": 3}), wanted=409))["error"]
    assert len(error["partial"]) == 1


async def test_a_request_whose_first_answer_was_lost(
    project: Project, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client of OpenSearch sends it again: what is there by then is the request's own, and no conflict."""
    once = bulk._bulk

    async def twice(gateway: Gateway, writes: Json) -> list[bulk.BulkItem]:
        await once(gateway, writes)
        return await once(gateway, writes)

    await project.ingest(stream, record("a", {"i32": 1}))
    monkeypatch.setattr(bulk, "_bulk", twice)
    await project.ingest(stream, record("b", {"i32": 2, "text": "x" * 40_000}), record("c", {"f64": 0.1}))
    error = (await project.ingest(stream, record("a", {"i32": 1}), record("d", {}), wanted=409))["error"]
    assert [(each["externalId"], each["code"]) for each in error["partial"]] == [("a", 409), ("d", 202)]


@pytest.mark.parametrize("route", ["", "/upsert"])
async def test_an_id_twice_in_one_request(project: Project, stream: str, route: str) -> None:
    body = {"items": [record("a"), record("b"), record("a", {"i32": 1}), record("a", space="s2")]}
    error = await project.refused(f"/streams/{stream}/records{route}", body, 422, "s/a")
    assert error["duplicated"] == [{"space": "s", "externalId": "a"}]
    assert await project.consumed(stream) == 0


async def test_upsert_replaces_the_whole_record(project: Project, stream: str) -> None:
    more = source_of({"a": "x", "n": BIG}, "s2", "c2")
    await project.ingest(stream, record("a", {"i32": 1, "text": "x"}, more))
    (before,) = await project.filter(stream)
    assert before["createdTime"] == before["lastUpdatedTime"]
    assert before["properties"] == {"s": {"c": {"i32": 1, "text": "x"}}, "s2": {"c2": {"a": "x", "n": BIG}}}
    await project.upsert(stream, record("a", {"i64": BIG}), record("new"))
    after, new = await project.filter(stream, sort=[{"property": ["externalId"]}])
    assert after["properties"] == {"s": {"c": {"i64": BIG}}}
    assert after["createdTime"] == before["createdTime"] < after["lastUpdatedTime"]
    assert new["externalId"] == "new"
    assert await project.ids(stream, {"exists": {"property": TEXT}}) == []
    assert await project.ids(stream, {"hasData": [{"type": "container", "space": "s2", "externalId": "c2"}]}) == []


async def test_delete_and_make_again(project: Project, stream: str) -> None:
    await project.ingest(stream, record("a", {"i32": 1}), record("b"))
    assert await project.delete(stream, "a", "nobody", "a") == {}
    assert await project.ids(stream) == ["b"]
    assert await project.delete(stream, "a") == {}
    assert await project.delete(stream, "b", space="nowhere") == {}
    await project.ingest(stream, record("a", {"i64": 2}))
    (again,) = await project.filter(stream, {"equals": {"property": ["externalId"], "value": "a"}})
    assert again["properties"] == {"s": {"c": {"i64": 2}}}
    assert again["createdTime"] == again["lastUpdatedTime"]
    assert await project.consumed(stream) == 2


async def test_writes_are_seen_within_about_a_second(project: Project, stream: str, archive: str) -> None:
    for name in (stream, archive):
        await project.ingest(name, record("a"), wait=False)
        started = time.monotonic()
        while not await project.count(name, lastUpdatedTime=lately()):
            assert time.monotonic() - started < 3
            await asyncio.sleep(0.05)
    for wrong in ("x", "1", "WAIT_FOR"):
        await project.refused(f"/streams/{stream}/records?refresh={wrong}", {"items": [record("b")]}, 400, "refresh")


async def test_many_upserts_of_one_record(project: Project, stream: str) -> None:
    await project.ingest(stream, record("a", {"i32": 0}))
    (before,) = await project.filter(stream)
    await asyncio.gather(*(project.upsert(stream, record("a", {"i32": n}), wait=False) for n in range(8)))
    await project.upsert(stream, record("z"))
    after = (await project.filter(stream, {"equals": {"property": ["externalId"], "value": "a"}}))[0]
    assert after["createdTime"] == before["createdTime"]
    assert after["properties"]["s"]["c"]["i32"] in range(8)
    assert await project.consumed(stream) == 2


ODD = [
    "a", "A", " ", "a b", "a/b", "a:b", ":", "#", "a?b=c&d", "%2F", "../..", "*", "_all", "é", "e\u0301", "😀", "\n",
    "\t", '"', "\\", "'", "\u200b", "\u2028", "null", "true", "1", "1.0", "-0", "_id", "@has", "{}", "[]", "<script>",
    "x" * 256, "😀" * 256, "y" * 255 + "é", "a@1.1", "\x01", "\x7f", "\ufffd",
]  # fmt: skip


async def test_ids_with_any_characters(project: Project, stream: str, archive: str) -> None:
    await project.ingest(stream, *(record(id, {"text": id}) for id in ODD))
    assert await project.values(stream, "text") == {id: id for id in ODD}
    ordered = await project.ids(stream, sort=[{"property": ["externalId"]}])
    assert ordered == sorted(ODD)
    for id in ODD:
        assert await project.ids(stream, {"equals": {"property": ["externalId"], "value": id}}) == [id]
    assert (await project.ingest(stream, *(record(id) for id in ODD), wanted=409))["error"]["code"] == 409
    found, _ = await project.news(stream)
    assert sorted(each["externalId"] for each in found) == sorted(ODD)
    await project.delete(stream, *ODD[::2])
    assert sorted(await project.ids(stream)) == sorted(ODD[1::2])
    await project.ingest(archive, *(record(id, {"text": id}) for id in ODD))
    assert await project.values(archive, "text", lastUpdatedTime=lately()) == {id: id for id in ODD}


async def test_spaces_keep_ids_apart(project: Project, stream: str) -> None:
    await project.ingest(stream, record("a", {"i32": 1}), record("a", {"i32": 2}, space="s2"))
    spaces = await project.one(stream, {"uniqueValues": {"property": ["space"]}})
    assert spaces == {"uniqueValueBuckets": [{"value": "s", "count": 1}, {"value": "s2", "count": 1}]}
    await project.delete(stream, "a", space="s2")
    assert await project.values(stream, "i32") == {"a": 1}
    error = await project.refused(
        f"/streams/{stream}/records", {"items": [{**record("b"), "space": "nowhere"}]}, 400, "nowhere"
    )
    assert error["missing"] == [{"space": "nowhere"}]
    body = {"items": [{"space": "s", "externalId": "b", "sources": [source_of({}, "s", "nope")]}]}
    error = await project.refused(f"/streams/{stream}/records", body, 400, "s/nope")
    assert error["missing"] == [{"space": "s", "externalId": "nope"}]


# Immutable streams


async def test_immutable_streams_drop_what_is_equal(project: Project, archive: str) -> None:
    same = record("a", {"i32": 1, "texts": ["x", "y"], "json": {"a": 1, "b": [2]}, "time": "2025-01-01T00:00:00Z"})
    spelled = record(
        "a", {"time": "2025-01-01T01:00:00+01:00", "json": {"b": [2], "a": 1}, "texts": ["x", "y"], "i32": 1}
    )
    await project.ingest(archive, same, same)
    await project.ingest(archive, same, spelled)
    assert await project.consumed(archive) == 1
    others = [
        record("a", {"i32": 2, "texts": ["x", "y"], "json": {"a": 1, "b": [2]}, "time": "2025-01-01T00:00:00Z"}),
        record("a", {"i32": 1, "texts": ["y", "x"], "json": {"a": 1, "b": [2]}, "time": "2025-01-01T00:00:00Z"}),
        record("a", {"i32": 1, "texts": ["x", "y"], "json": {"a": 1, "b": [3]}, "time": "2025-01-01T00:00:00Z"}),
        record("a", {"i32": 1}),
        record("a", {"i32": 1}, source_of({}, "s2", "c2")),
        record("a", {"i32": 1}, space="s2"),
        record("a"),
        record("b", {"i32": 1}),
    ]
    await project.ingest(archive, *others)
    assert await project.consumed(archive) == 1 + len(others)
    await project.ingest(archive, *others, same)
    assert await project.consumed(archive) == 1 + len(others)


async def test_equal_records_in_other_slices_of_time(
    project: Project, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(time.time() * 1000)
    for days in (5, 3, 2.5, 2, 1, 0.001, 0):
        set_time(monkeypatch, int(now - days * DAY))
        await project.ingest(archive, record("same", {"i32": 1}), record(f"{days}", {"i32": 1}))
    monkeypatch.undo()
    assert await project.consumed(archive) == 8
    assert await project.count(archive, lastUpdatedTime=lately()) == 8
    same = {"equals": {"property": ["externalId"], "value": "same"}}
    (found,) = await project.filter(archive, same, lastUpdatedTime=lately())
    assert found["createdTime"] == now - 5 * DAY
    assert await project.count(archive, lastUpdatedTime=lately(4)) == 6


async def test_an_expired_record_may_come_again(
    project: Project, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody sees any more is not there, even if its index still is."""
    now = int(time.time() * 1000)
    set_time(monkeypatch, lambda: now - 7 * DAY - 60_000)
    await project.ingest(archive, record("a", {"i32": 1}))
    monkeypatch.undo()
    when = {"gt": now - 8 * DAY, "lt": now - DAY}
    assert await project.count(archive, lastUpdatedTime=when) == 0
    await project.ingest(archive, record("a", {"i32": 1}))
    assert await project.count(archive, lastUpdatedTime=lately()) == 1
    assert await project.count(archive, lastUpdatedTime=when) == 0


async def test_clocks_that_differ_around_midnight(
    project: Project, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes put a record into different slices; it is dropped nevertheless, seen or not."""
    midnight = int(time.time() * 1000) // DAY * DAY
    for seconds in (30, -30, 45, -5):
        set_time(monkeypatch, midnight + seconds * 1000)
        await project.ingest(archive, record("a", {"i32": 1}), wait=False)
    monkeypatch.undo()
    assert await project.consumed(archive) == 1


async def test_immutable_streams_do_not_change(project: Project, archive: str) -> None:
    await project.ingest(archive, record("a"))
    path = f"/streams/{archive}/records"
    await project.refused(f"{path}/upsert", {"items": [record("a", {"i32": 1})]}, 422, archive, "immutable")
    await project.refused(f"{path}/delete", {"items": [{"space": "s", "externalId": "a"}]}, 422, archive, "immutable")
    assert await project.consumed(archive) == 1


async def test_only_the_slices_asked_for(project: Project, archive: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = int(time.time() * 1000)
    for days in range(6, -1, -1):
        set_time(monkeypatch, now - days * DAY)
        await project.ingest(archive, record(f"{days}", {"i32": days}))
    monkeypatch.undo()
    for low in range(6, -1, -1):
        for high in range(low, -1, -1):
            span = {"gte": now - low * DAY, "lte": now - high * DAY}
            wanted = [f"{days}" for days in range(low, high - 1, -1)]
            assert await project.ids(archive, lastUpdatedTime=span) == wanted
    assert await project.one(archive, {"sum": {"property": I32}}, lastUpdatedTime=lately(6.5)) == {"sum": 21}


# Values


LONG = ["x" * 8_000, "x" * 8_001, "x" * 8_001 + "y", "é" * 20_000, "😀" * 9_000, "z" * 40_000, "z" * 40_000 + "!"]


async def test_long_texts(project: Project, stream: str) -> None:
    """Beyond what a term of Lucene holds (32,766 bytes): stored, found, counted, grouped."""
    for n, text in enumerate(LONG):
        await project.ingest(stream, record(f"{n}", {"text": text, "texts": [text, "short", text]}))
    await project.ingest(stream, record("again", {"text": LONG[5]}))
    for n, text in enumerate(LONG):
        wanted = sorted([f"{n}", *(["again"] if n == 5 else [])])
        assert sorted(await project.ids(stream, {"equals": {"property": TEXT, "value": text}})) == wanted
        assert sorted(await project.ids(stream, {"in": {"property": TEXT, "values": [text, "no"]}})) == wanted
        assert await project.ids(stream, {"containsAll": {"property": TEXTS, "values": [text, "short"]}}) == [f"{n}"]
        prefix = {"prefix": {"property": TEXT, "value": text[:500]}}
        assert set(wanted) <= set(await project.ids(stream, prefix))
    found = await project.one(stream, {"uniqueValues": {"property": TEXT}})
    counts = [(LONG[5], 2), *((text, 1) for text in sorted(LONG) if text != LONG[5])]
    assert [(each["value"], each["count"]) for each in found["uniqueValueBuckets"]] == counts
    found = await project.one(stream, {"uniqueValues": {"property": TEXTS}})
    assert [each["value"] for each in found["uniqueValueBuckets"]] == ["short", *sorted(LONG)]
    assert await project.one(stream, {"count": {"property": TEXTS}}) == {"count": 21}
    assert await project.one(stream, {"count": {"property": TEXT}}) == {"count": 8}


INTS = [0, 1, -1, 2**53, BIG, BIG + 1, -BIG, 2**62 + 1, 2**63 - 1, 2**63 - 2, -(2**63), -(2**63) + 1]


async def test_integers_beyond_doubles(project: Project, stream: str) -> None:
    """All digits everywhere."""
    items = [record(f"{n}", {"i64": value, "i64s": [value, value]}) for n, value in enumerate(INTS)]
    await project.ingest(stream, *items)
    assert await project.values(stream, "i64") == {f"{n}": value for n, value in enumerate(INTS)}
    for n, value in enumerate(INTS):
        assert await project.ids(stream, {"equals": {"property": I64, "value": value}}) == [f"{n}"]
        above = {"range": {"property": I64, "gt": value}}
        assert len(await project.ids(stream, above)) == sum(other > value for other in INTS)
        assert await project.ids(stream, {"containsAny": {"property": property_of("i64s"), "values": [value]}}) == [
            f"{n}"
        ]
    by_value = await project.ids(stream, sort=[{"property": I64, "direction": "descending"}])
    assert by_value == [f"{INTS.index(value)}" for value in sorted(INTS, reverse=True)]
    assert await project.one(stream, {"max": {"property": I64}}) == {"max": 2**63 - 1}
    assert await project.one(stream, {"min": {"property": I64}}) == {"min": -(2**63)}
    found = await project.one(stream, {"uniqueValues": {"property": I64, "size": 100}})
    assert [each["value"] for each in found["uniqueValueBuckets"]] == sorted(INTS)
    few = {"in": {"property": I64, "values": [BIG, BIG + 1, 2**62 + 1]}}
    assert await project.one(stream, {"sum": {"property": I64}}, filter=few) == {"sum": 2 * BIG + 1 + 2**62 + 1}
    most = {"range": {"property": I64, "gt": 0}}
    path = f"/api/v1/projects/{project.name}/streams/{stream}/records/aggregate"
    body = {"aggregates": {"x": {"sum": {"property": I64}}}, "filter": most}
    _, text, _ = await project.client.send("POST", path, body, namespace=None)
    total = json.loads(text)["aggregates"]["x"]["sum"]
    assert total in (exact := sum(value for value in INTS if value > 0), float(exact))
    histogram = {"numberHistogram": {"property": I64, "interval": 2, "hardBounds": {"min": BIG - 1, "max": BIG + 1}}}
    found = await project.one(stream, histogram, filter={"range": {"property": I64, "gte": BIG - 1, "lte": BIG + 1}})
    assert [(each["intervalStart"], each["count"]) for each in found["numberHistogramBuckets"]] == [
        (BIG - 1, 2), (BIG + 1, 1),
    ]  # fmt: skip


async def test_every_type_comes_back(project: Project, stream: str, archive: str) -> None:
    values: Json = {
        "text": "é😀\n", "flag": False, "f32": 0.1, "f64": -1e-300, "i32": -(2**31), "i64": 2**63 - 1,
        "time": "1969-12-31T23:59:59.5Z", "day": "1600-02-29", "json": {"a": [None, {"b": []}]}, "level": "low",
        "link": {"space": "s", "externalId": "a b"}, "texts": ["b", "a", "b"], "i64s": [BIG], "times": [],
        "jsons": [{}, [], "", 0, False],
    }  # fmt: skip
    for name in (stream, archive):
        await project.ingest(name, record("a", values))
        (found,) = await project.filter(name, lastUpdatedTime=lately())
        assert found["properties"] == {"s": {"c": values}}
        assert found.keys() == {"space", "externalId", "createdTime", "lastUpdatedTime", "properties"}
        (synced,), _ = await project.news(name)
        assert synced["properties"] == {"s": {"c": values}}
        for each in TYPES:
            there = await project.ids(name, {"exists": {"property": property_of(each)}}, lastUpdatedTime=lately())
            assert there == ([] if each == "times" else ["a"]), each
        assert await project.one(name, {"count": {"property": property_of("jsons")}}, lastUpdatedTime=lately()) == {
            "count": 5
        }
    # Null is no value.
    await project.upsert(stream, record("b", dict.fromkeys(values)))
    assert (await project.filter(stream, {"not": {"exists": {"property": TEXT}}}))[0]["properties"] in (
        {"s": {"c": {}}},
        {},
    )


# Pages


async def test_sorts(project: Project, stream: str) -> None:
    rows: Json = {
        "a": {"i32": 2, "text": "x"},
        "b": {"i32": 1, "text": "x"},
        "c": {"text": "y"},
        "d": {"i32": 2},
        "e": {},
    }
    for id, values in rows.items():
        await project.ingest(stream, record(id, values))

    async def by(*sort: Json) -> str:
        return "".join(await project.ids(stream, sort=list(sort)))

    up, down = {"property": I32, "direction": "ascending"}, {"property": I32, "direction": "descending"}
    text = {"property": TEXT}
    assert "".join(await project.ids(stream)) == "abcde"
    assert await by(up) == "badce"
    assert await by(down) == "adbce"
    assert await by({**up, "nullsFirst": True}) == "cebad"
    assert await by({**down, "nullsFirst": True}) == "ceadb"
    assert await by({**down, "nullsFirst": False}) == "adbce"
    assert await by(text, up) == "bacde"
    assert await by(text, down) == "abcde"
    assert await by({"property": ["lastUpdatedTime"], "direction": "descending"}) == "edcba"
    assert await by({"property": ["createdTime"], "direction": "ascending"}) == "abcde"
    assert await by({"property": ["externalId"], "direction": "descending"}) == "edcba"
    assert await by({"property": ["s2", "c2", "n"], "direction": "descending"}) == "abcde"


async def test_sources(project: Project, stream: str) -> None:
    await project.ingest(stream, record("a", {"i32": 1, "text": "x"}, source_of({"a": "x", "n": 1}, "s2", "c2")))
    first = {"type": "container", "space": "s", "externalId": "c"}
    second = {"type": "container", "space": "s2", "externalId": "c2"}

    async def chosen(*given: tuple[Json, list[str]]) -> Json:
        sources = [{"source": source, "properties": properties} for source, properties in given]
        (found,) = await project.filter(stream, sources=sources)
        return found["properties"]

    assert await chosen((first, ["*"])) == {"s": {"c": {"i32": 1, "text": "x"}}}
    assert await chosen((first, ["text", "i64"]), (second, ["n"])) == {
        "s": {"c": {"text": "x"}},
        "s2": {"c2": {"n": 1}},
    }
    assert await chosen((first, ["i64"])) == {}
    unknown = [{"source": {**first, "externalId": "nope"}, "properties": ["*"]}]
    error = await project.refused(f"/streams/{stream}/records/filter", {"sources": unknown}, 400, "nope")
    assert error["missing"] == [{"space": "s", "externalId": "nope"}]
    view = [{"source": {"type": "view", "space": "s", "externalId": "c", "version": "1"}, "properties": ["*"]}]
    await project.refused(f"/streams/{stream}/records/filter", {"sources": view}, 400, "views are not supported")


async def test_typing(project: Project, stream: str) -> None:
    await project.ingest(stream, record("a", {"i32": 1, "level": "low"}, source_of({"a": "x"}, "s2", "c2")))
    body: Json = {"includeTyping": True, "filter": {"not": {"exists": {"property": TEXTS}}}}
    typing = (await project.post(f"/streams/{stream}/records/filter", body))["typing"]
    assert {each: set(typing[each]) for each in typing} == {"s": {"c"}, "s2": {"c2"}}
    assert typing["s"]["c"].keys() == {"i32", "level", "texts"}
    assert typing["s"]["c"]["texts"]["type"] == {"type": "text", "list": True}
    assert typing["s"]["c"]["level"]["type"]["values"] == {"low": {}, "high": {}}
    told = typing["s2"]["c2"]["a"]
    assert (told["nullable"], told["immutable"], told["autoIncrement"]) == (True, False, False)
    body["aggregates"] = {
        "x": {"filters": {"filters": [{"exists": {"property": I64}}]}},
        "n": {"max": {"property": I32}},
    }
    answer = await project.post(f"/streams/{stream}/records/aggregate", body)
    assert answer["typing"]["s"]["c"].keys() == {"i32", "i64", "texts"}
    body = {"includeTyping": True, "aggregates": {"n": {"count": {}}}}
    assert (await project.post(f"/streams/{stream}/records/aggregate", body))["typing"] == {}


async def test_answers_of_at_most_twenty_megabytes(project: Project, stream: str) -> None:
    for n in range(5):
        await project.ingest(stream, record(f"{n}", {"json": "x" * 4_500_000}), wait=n == 4)
    assert len(await project.filter(stream, limit=4)) == 4
    await project.refused(f"/streams/{stream}/records/filter", {"limit": 5}, 400, "20,000,000", "limit")


async def test_gzip(project: Project, stream: str) -> None:
    path = f"/api/v1/projects/{project.name}/streams/{stream}/records"
    headers = {"Content-Encoding": "gzip"}

    async def sent(route: str, data: bytes) -> tuple[int, Json]:
        status, text, _ = await project.client.send("POST", path + route, data=data, headers=headers, namespace=None)
        return status, json.loads(text)

    packed = gzip.compress(json.dumps({"items": [record("a", {"i32": 1})]}).encode())
    assert await sent("?refresh=wait_for", packed) == (202, {})
    assert await sent("/aggregate", gzip.compress(b'{"aggregates":{"n":{"count":{}}}}')) == (
        200,
        {"aggregates": {"n": {"count": 1}}},
    )
    for broken in (packed[:-5], packed[:20], b"nonsense"):
        status, answer = await sent("/upsert", broken)
        assert (status, answer["error"]["code"]) == (400, 400)
    assert await project.consumed(stream) == 1


# What no record has used yet


def each_kind(container: str) -> Json:
    def of(name: str) -> list[str]:
        return property_of(name, container=container)

    return {
        "avg": {"avg": {"property": of("f64")}},
        "sum": {"sum": {"property": of("i64")}},
        "min": {"min": {"property": of("time")}},
        "max": {"max": {"property": of("i32")}},
        "count": {"count": {"property": of("texts")}},
    }, {
        "text": {"uniqueValues": {"property": of("text"), "aggregates": {"inner": {"count": {}}}}},
        "link": {"uniqueValues": {"property": of("link")}},
        "number": {"numberHistogram": {"property": of("i64"), "interval": 5, "aggregates": {"m": moved()}}},
        "time": {"timeHistogram": {"property": of("time"), "calendarInterval": "1d"}},
        "json": {"count": {"property": of("json")}},
    }


def moved() -> Json:
    return {"movingFunction": {"bucketsPath": "_count", "window": 3, "function": "MovingFunctions.max"}}


@pytest.mark.parametrize("filled", [False, True], ids=["no records", "a record"])
@pytest.mark.parametrize("template", ["MutableTestStream", "ImmutableTestStream"])
async def test_a_container_that_no_record_uses(project: Project, template: str, filled: bool) -> None:
    stream = await project.stream(template=template)
    when = {"lastUpdatedTime": lately()}
    if filled:
        await project.ingest(stream, record("a", {"text": "x"}))
    metrics, buckets = each_kind("unused")
    assert await project.aggregate(stream, metrics, **when) == {
        "avg": {"avg": 0}, "sum": {"sum": 0}, "min": {"min": 0}, "max": {"max": 0}, "count": {"count": 0},
    }  # fmt: skip
    assert await project.aggregate(stream, buckets, **when) == {
        "text": {"uniqueValueBuckets": []},
        "link": {"uniqueValueBuckets": []},
        "number": {"numberHistogramBuckets": []},
        "time": {"timeHistogramBuckets": []},
        "json": {"count": 0},
    }
    here = ["a"] if filled else []
    for name in TYPES:
        of = property_of(name, container="unused")
        assert await project.ids(stream, {"exists": {"property": of}}, **when) == []
        assert await project.ids(stream, {"not": {"exists": {"property": of}}}, **when) == here
        if not TYPES[name].get("list") and name != "json":
            assert await project.ids(stream, sort=[{"property": of, "direction": "descending"}], **when) == here
    text = property_of("text", container="unused")
    for filter in (
        {"equals": {"property": text, "value": "x"}},
        {"in": {"property": text, "values": ["x"]}},
        {"prefix": {"property": text, "value": "x"}},
        {"range": {"property": property_of("time", container="unused"), "gt": "2000-01-01T00:00:00Z"}},
        {"range": {"property": property_of("i32", container="unused"), "gt": -5}},
        {"containsAny": {"property": property_of("texts", container="unused"), "values": ["x"]}},
        {"containsAll": {"property": property_of("i64s", container="unused"), "values": list(range(50))}},
        {"hasData": [{"type": "container", "space": "s", "externalId": "unused"}]},
    ):
        assert await project.ids(stream, filter, **when) == []
        assert await project.ids(stream, {"not": filter}, **when) == here
        found = await project.one(stream, {"filters": {"filters": [filter, {"not": filter}]}}, **when)
        assert found == {"filterBuckets": [{"count": 0}, {"count": len(here)}]}


async def test_contains_all_of_many(project: Project, stream: str) -> None:
    """Of each type of list, with one value more than there is, and just those."""
    lists: dict[str, list[Json]] = {
        "text": [f"t{n}" for n in range(99)] + ["x" * 9_000],
        "boolean": [True, False] * 10,
        "float64": [n / 8 for n in range(100)],
        "int32": list(range(-50, 50)),
        "int64": [BIG + n for n in range(100)],
        "timestamp": [f"1969-12-31T23:59:{n % 60:02}.{n:03}Z" for n in range(100)],
        "date": [f"19{n:02}-02-03" for n in range(100)],
        "direct": [{"space": "s", "externalId": f"{n}"} for n in range(100)],
    }
    await project.containers(container({name: {"type": name, "list": True} for name in lists}, id="lists"))
    missing: Json = {
        "text": "t100", "boolean": None, "float64": 0.3, "int32": 50, "int64": BIG - 1,
        "timestamp": "1969-12-31T23:59:59.100Z", "date": "1850-01-01", "direct": {"space": "s", "externalId": "100"},
    }  # fmt: skip
    full = {"space": "s", "externalId": "full", "sources": [source_of(lists, container="lists")]}
    part = {name: values[:-1] if name != "boolean" else [True] for name, values in lists.items()}
    await project.ingest(stream, full, {**full, "externalId": "part", "sources": [source_of(part, container="lists")]})
    for name, values in lists.items():
        of = property_of(name, container="lists")
        assert await project.ids(stream, {"containsAll": {"property": of, "values": values}}) == ["full"], name
        if missing[name] is not None:
            more = [*values[:-1], missing[name]]
            assert await project.ids(stream, {"containsAll": {"property": of, "values": more}}) == [], name
