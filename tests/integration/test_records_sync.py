"""Sync: a cursor misses nothing, shows each record as it is, and tells of deletions, whatever happens meanwhile."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from service.serving import served
from service.settings import Settings
from service.storage.records import RecordStore
from tests.chaos.streams import Chaos
from tests.conftest import KEY
from tests.support.client import Client
from tests.support.records import TYPES, Project, container, ids, property_of, record, set_time, statuses

Json = Any
DAY = 86_400_000


@pytest.fixture(scope="module", params=[1, 4], ids=["one shard", "four shards"])
async def project(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Project]:
    async with (
        served(settings.model_copy(update={"shards": request.param}), KEY) as address,
        Client(address, KEY) as client,
        Project.made(client) as project,
    ):
        await project.spaces("s")
        await project.containers(container(TYPES))
        yield project


@pytest.fixture
async def stream(project: Project) -> str:
    return await project.stream()


@pytest.fixture
async def opensearch(opensearch_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(opensearch_url, raise_for_status=True) as session:
        yield session


async def index_of(opensearch: aiohttp.ClientSession, stream: str, ending: str) -> str:
    async with opensearch.get(f"/tally-records-*.{stream}.*-{ending}/_settings") as answer:
        (index,) = await answer.json()
    return str(index)


def many(count: int, start: int = 0, **properties: Json) -> list[Json]:
    return [record(f"r{n:04}", {"i32": n, **properties}) for n in range(start, start + count)]


async def test_what_is_new_is_told_once(project: Project, stream: str) -> None:
    assert (await project.news(stream))[0] == []
    await project.ingest(stream, *many(3), wait=False)
    items, cursor = await project.news(stream)
    assert sorted(statuses(items)) == [("r0000", "created"), ("r0001", "created"), ("r0002", "created")]
    assert (await project.news(stream, cursor))[0] == []
    assert items[0].keys() == {"space", "externalId", "createdTime", "lastUpdatedTime", "properties", "status"}

    await project.upsert(stream, record("r0001", {"i32": 7}), record("new"), wait=False)
    items, cursor = await project.news(stream, cursor)
    assert sorted(statuses(items)) == [("new", "created"), ("r0001", "updated")]
    assert {"s": {"c": {"i32": 7}}} in [item["properties"] for item in items]

    await project.delete(stream, "r0002", "nobody", wait=False)
    items, cursor = await project.news(stream, cursor)
    assert statuses(items) == [("r0002", "deleted")]
    assert items[0].keys() == {"space", "externalId", "createdTime", "lastUpdatedTime", "status"}
    assert items[0]["lastUpdatedTime"] >= items[0]["createdTime"]

    await project.ingest(stream, record("r0002", {"i32": 2}), wait=False)
    items, cursor = await project.news(stream, cursor)
    assert statuses(items) == [("r0002", "created")]


async def test_an_upsert_right_after_the_ingest_is_an_update(project: Project, stream: str) -> None:
    for n in range(20):
        await project.ingest(stream, record(f"r{n}"), wait=False)
        await project.upsert(stream, record(f"r{n}"), wait=False)
    items, _ = await project.news(stream)
    assert {status for _, status in statuses(items)} == {"updated"}
    assert all(item["lastUpdatedTime"] > item["createdTime"] for item in items)


@pytest.mark.parametrize("limit", [1, 2, 7, 10, 19, 20, 1000])
async def test_pages_are_cut_anywhere(project: Project, stream: str, limit: int) -> None:
    await project.ingest(stream, *many(20), wait=False)
    await project.delete(stream, *(f"r{n:04}" for n in range(5)), wait=False)
    cursor, told = None, []
    for _ in range(40):
        page = await project.page(stream, cursor, limit=limit)
        assert len(page["items"]) <= limit
        cursor = page["nextCursor"]
        told += statuses(page["items"])
        if not page["hasNext"]:
            break
    wanted = {f"r{n:04}": "deleted" if n < 5 else "created" for n in range(20)}
    assert sorted(told) == sorted(wanted.items())


@pytest.mark.parametrize("old", [7_200_000, 2 * DAY])
async def test_old_records_on_later_pages_are_not_missed(
    project: Project, stream: str, monkeypatch: pytest.MonkeyPatch, old: int
) -> None:
    now = int(time.time() * 1000)
    set_time(monkeypatch, lambda: now - old)
    await project.ingest(stream, *many(60), wait=False)
    await project.delete(stream, "r0003", wait=False)
    monkeypatch.undo()
    items, _ = await project.news(stream, limit=7)
    assert len(statuses(items)) == 60
    assert ("r0003", "deleted") in statuses(items)


async def test_initialize_cursor_shows_what_was_written_since(
    project: Project, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(time.time() * 1000)
    for days, id in ((2.5, "five"), (1.5, "three"), (0.5, "one")):
        set_time(monkeypatch, int(now - days * DAY))
        await project.ingest(stream, record(id), record(f"gone-{id}"))
        await project.delete(stream, f"gone-{id}")
    monkeypatch.undo()

    async def begun(ago: str) -> list[str]:
        return sorted(ids((await project.page(stream, initializeCursor=ago))["items"]))

    assert await begun("1d-ago") == ["gone-one", "one"]
    assert await begun("48h-ago") == ["gone-one", "gone-three", "one", "three"]
    assert await begun("4320m-ago") == sorted(
        f"{kind}{id}" for id in ("five", "three", "one") for kind in ("", "gone-")
    )
    assert await begun("9999999d-ago") == await begun("3d-ago")
    assert await begun("1m-ago") == []


async def test_a_writer_whose_clock_is_slow_is_not_missed(
    project: Project, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`initializeCursor` says from when on; after it the clock of no writer matters."""
    page = await project.page(stream, initializeCursor="1m-ago")
    set_time(monkeypatch, lambda: int(time.time() * 1000) - 30 * 60_000)
    await project.ingest(stream, *many(3), wait=False)
    await project.delete(stream, "r0001", wait=False)
    items, _ = await project.news(stream, page["nextCursor"])
    assert sorted(statuses(items)) == [("r0000", "created"), ("r0001", "deleted"), ("r0002", "created")]


async def test_filter_and_sources(project: Project, stream: str) -> None:
    await project.ingest(stream, *many(10, text="x"), wait=False)
    wanted = {"range": {"property": property_of("i32"), "gte": 4, "lt": 6}}
    chosen = [{"source": {"type": "container", "space": "s", "externalId": "c"}, "properties": ["text"]}]
    items, cursor = await project.news(stream, filter=wanted, sources=chosen, limit=1)
    assert sorted(ids(items)) == ["r0004", "r0005"]
    assert [item["properties"] for item in items] == [{"s": {"c": {"text": "x"}}}] * 2
    await project.upsert(stream, record("r0004", {"i32": 5}), record("r0000", {"i32": 0}), wait=False)
    await project.delete(stream, "r0009", wait=False)
    items, _ = await project.news(stream, cursor, filter=wanted)
    assert statuses(items) == [("r0004", "updated"), ("r0009", "deleted")]


async def test_typing_of_items_and_filter(project: Project, stream: str) -> None:
    await project.ingest(stream, record("a", {"i32": 1}), wait=False)
    unused = {"not": {"exists": {"property": property_of("texts")}}}
    page = await project.page(stream, filter=unused, includeTyping=True)
    typing = page["typing"]["s"]["c"]
    assert {name: each["type"]["type"] for name, each in typing.items()} == {"i32": "int32", "texts": "text"}


async def test_pages_of_at_most_ten_megabytes(project: Project, stream: str) -> None:
    await project.containers(container({"note": {"type": "json"}}, id="notes"))
    for n in range(8):
        big = [
            {
                "space": "s",
                "externalId": f"big{n}-{m}",
                "sources": [
                    {
                        "source": {"type": "container", "space": "s", "externalId": "notes"},
                        "properties": {"note": {"é": "é" * 400_000}},
                    }
                ],
            }
            for m in range(2)
        ]
        await project.ingest(stream, *big, wait=False)
    await project.ingest(stream, *many(300), wait=False)
    cursor, told, pages = None, [], 0
    while True:
        start = {"cursor": cursor} if cursor else {"initializeCursor": "1d-ago"}
        path = f"/api/v1/projects/{project.name}/streams/{stream}/records/sync"
        status, text, _ = await project.client.send("POST", path, {"limit": 1000, **start}, namespace=None)
        assert status == 200
        assert len(text.encode()) <= 10_000_000
        page = json.loads(text)
        told += ids(page["items"])
        cursor, pages = page["nextCursor"], pages + 1
        if not page["hasNext"]:
            break
    assert len(told) == len(set(told)) == 316
    assert 2 <= pages <= 5


# Cursors


async def test_cursors_are_bound_to_their_stream(project: Project, stream: str) -> None:
    _, cursor = await project.news(stream)
    other = await project.stream()
    for wrong in (cursor + "x", cursor[:-1], "", "x", "é", 5):
        await project.refused(f"/streams/{stream}/records/sync", {"cursor": wrong}, 400, "cursor")
    await project.refused(f"/streams/{other}/records/sync", {"cursor": cursor}, 400, "cursor")
    await project.delete_stream(stream)
    await project.stream(stream)
    await project.refused(f"/streams/{stream}/records/sync", {"cursor": cursor}, 400, "cursor")
    async with Project.made(project.client) as stranger:
        await stranger.stream(stream)
        await stranger.refused(f"/streams/{stream}/records/sync", {"cursor": cursor}, 400, "cursor")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "cursor"),
        ({"cursor": "x", "initializeCursor": "1d-ago"}, "cursor"),
        *(
            ({"initializeCursor": wrong}, "initializeCursor")
            for wrong in ("", "1d", "0d-ago", "-1d-ago", "1w-ago", "1.5d-ago", "1 d-ago", "now", 7, "1s-ago", "d-ago")
        ),
        ({"initializeCursor": "1d-ago", "targetUnits": {"unitSystemName": "SI"}}, "targetUnits"),
        ({"initializeCursor": "1d-ago", "sort": []}, "sort"),
        ({"initializeCursor": "1d-ago", "lastUpdatedTime": {"gt": 0}}, "lastUpdatedTime"),
    ],
)
async def test_refused(project: Project, stream: str, body: Json, words: str) -> None:
    await project.refused(f"/streams/{stream}/records/sync", body, 400, words)


async def test_over_a_restart_of_the_service(project: Project, stream: str, settings: Settings) -> None:
    await project.ingest(stream, *many(30), wait=False)
    page = await project.page(stream, limit=13)
    async with served(settings, KEY) as address, Client(address, KEY) as client:
        other = project.at(client)
        await other.ingest(stream, *many(5, 30), wait=False)
        await other.delete(stream, "r0000", wait=False)
        items, cursor = await other.news(stream, page["nextCursor"], limit=7)
    assert {*ids(page["items"]), *ids(items)} == {f"r{n:04}" for n in range(35)}
    assert (await project.news(stream, cursor))[0] == []


async def test_an_index_that_was_made_anew(project: Project, stream: str, opensearch: aiohttp.ClientSession) -> None:
    """Nothing is missed when an operator reindexes, in the middle of a round or between two."""
    await project.ingest(stream, *many(30))
    cut = await project.page(stream, limit=11)
    _, whole = await project.news(stream)
    index = await index_of(opensearch, stream, "live")
    async with opensearch.get(f"/{index}") as answer:
        old = (await answer.json())[index]
    mapping = {"mappings": old["mappings"], "aliases": old["aliases"]}
    for source, dest in ((index, f"{index}.copy"), (f"{index}.copy", index)):
        if dest == index:
            await opensearch.delete(f"/{index}")
        await opensearch.put(f"/{dest}", json=mapping)
        await opensearch.post("/_reindex?refresh=true", json={"source": {"index": source}, "dest": {"index": dest}})
    await opensearch.delete(f"/{index}.copy")
    await project.upsert(stream, record("r0000"))
    await project.delete(stream, "r0001")
    for cursor, before in ((cut["nextCursor"], ids(cut["items"])), (whole, [f"r{n:04}" for n in range(30)])):
        items, after = await project.news(stream, cursor)
        assert {*before, *ids(items)} == {f"r{n:04}" for n in range(30)}
        assert {("r0000", "updated"), ("r0001", "deleted")} <= set(statuses(items))
        assert (await project.news(stream, after))[0] == []


async def test_new_slices_of_time(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = await project.stream(template="ImmutableTestStream")
    now = int(time.time() * 1000)
    cursor: str | None = None
    told: list[str] = []
    for days in range(5, -1, -1):
        set_time(monkeypatch, now - days * DAY)
        await project.ingest(stream, *many(4, 10 * days), wait=False)
        if days in (4, 1):
            page = await project.page(stream, cursor, limit=3)
            cursor, told = page["nextCursor"], told + ids(page["items"])
        if days == 2:
            items, cursor = await project.news(stream, cursor, limit=3)
            told += ids(items)
    monkeypatch.undo()
    items, _ = await project.news(stream, cursor, limit=3)
    told += ids(items)
    assert sorted(told) == sorted(f"r{10 * days + n:04}" for days in range(6) for n in range(4))


async def test_expired_slices_leave_the_cursor(
    project: Project, monkeypatch: pytest.MonkeyPatch, opensearch: aiohttp.ClientSession
) -> None:
    stream = await project.stream(template="ImmutableTestStream")
    set_time(monkeypatch, lambda: int(time.time() * 1000) - 5 * DAY)
    await project.ingest(stream, *many(4))
    old = await index_of(opensearch, stream, "*")
    monkeypatch.undo()
    await project.ingest(stream, *many(4, 4))
    page = await project.page(stream, limit=2)
    await opensearch.delete(f"/{old}")
    items, _ = await project.news(stream, page["nextCursor"])
    assert {f"r{n:04}" for n in range(4, 8)} <= {*ids(page["items"]), *ids(items)}


# Races: what happens between two steps of a writer or a reader


async def test_a_deletion_that_is_on_its_way(project: Project, stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that comes between the announcement of a deletion and the deletion does not miss it."""
    await project.ingest(stream, *many(3), wait=False)
    items, cursor = await project.news(stream)
    write = RecordStore.write
    told: list[Json] = []

    async def between(self: RecordStore, actions: Any) -> list[Json]:
        if "delete" in actions[0][0] and not told:
            told.append(None)
            told.append(await project.news(stream, cursor))
        return await write(self, actions)

    monkeypatch.setattr(RecordStore, "write", between)
    await project.delete(stream, "r0001", wait=False)
    monkeypatch.undo()
    items, after = told[1]
    items += (await project.news(stream, after))[0]
    assert set(statuses(items)) == {("r0001", "deleted")}


async def test_a_deleter_that_dies(project: Project, stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It announced the deletion and no more: whatever readers see is what is so."""
    await project.ingest(stream, *many(3))
    _, cursor = await project.news(stream)
    write = RecordStore.write

    async def dying(self: RecordStore, actions: Any) -> list[Json]:
        if "delete" in actions[0][0]:
            raise asyncio.CancelledError
        return await write(self, actions)

    monkeypatch.setattr(RecordStore, "write", dying)
    with pytest.raises(aiohttp.ClientError):
        await project.delete(stream, "r0001")
    monkeypatch.undo()
    items, _ = await project.news(stream, cursor)
    told = ("r0001", "deleted") in statuses(items)
    assert await project.consumed(stream) == (2 if told else 3)
    await project.upsert(stream, record("r0001"))
    assert ("r0001", "created" if told else "updated") in statuses((await project.news(stream, cursor))[0])


async def test_a_deletion_that_loses_against_an_update(
    project: Project, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two deleters and an upsert race; announcements of versions that are no more do not hide the true one."""
    await project.ingest(stream, record("a", {"i32": 1}), wait=False)
    _, cursor = await project.news(stream)
    write = RecordStore.write
    seen: list[Json] = []
    steps: list[str] = []

    async def between(self: RecordStore, actions: Any) -> list[Json]:
        if "delete" in actions[0][0] and not steps:
            steps.append("update")
            await project.upsert(stream, record("a", {"i32": 2}), wait=False)
            seen.append(await project.news(stream, cursor))
        elif "delete" in actions[0][0] and len(steps) == 1:
            steps.append("again")
            seen.append(await project.news(stream, seen[-1][1]))
        return await write(self, actions)

    monkeypatch.setattr(RecordStore, "write", between)
    await project.delete(stream, "a", wait=False)
    monkeypatch.undo()
    assert len(steps) == 2
    items, _ = await project.news(stream, seen[-1][1])
    told = [status for found, _ in seen for _, status in statuses(found)] + [status for _, status in statuses(items)]
    assert told[0] == "updated"
    assert told[-1] == "deleted"
    assert await project.consumed(stream) == 0


async def test_a_late_announcement_does_not_hide_another(
    project: Project, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow deleter announces the deletion of an old version just before another one deletes the new one."""
    await project.ingest(stream, record("a", {"i32": 1}), wait=False)
    _, cursor = await project.news(stream)
    write = RecordStore.write
    late: list[Any] = []
    results: list[list[Json]] = []
    seen: list[Json] = []

    async def between(self: RecordStore, actions: Any) -> list[Json]:
        action = actions[0][0]
        if not late and action.get("index", {}).get("_index", "").endswith("-gone"):
            late.append(actions)
            await project.upsert(stream, record("a", {"i32": 2}), wait=False)
            await project.delete(stream, "a", wait=False)
            return results[0]
        if late and not results and "delete" in action:
            results.append(await write(self, late[0]))
            seen.append(await project.news(stream, cursor))
        return await write(self, actions)

    monkeypatch.setattr(RecordStore, "write", between)
    await project.delete(stream, "a", wait=False)
    monkeypatch.undo()
    items, after = seen[0]
    items += (await project.news(stream, after))[0]
    assert statuses(items)[-1] == ("a", "deleted")
    assert await project.consumed(stream) == 0


async def test_records_made_again_between_two_pages(project: Project, stream: str) -> None:
    await project.ingest(stream, *many(10), wait=False)
    state: dict[str, str] = {}
    cursor = None
    for n in range(60):
        page = await project.page(stream, cursor, limit=2)
        cursor = page["nextCursor"]
        state |= {item["externalId"]: item["status"] for item in page["items"]}
        if n < 10:
            await project.delete(stream, f"r{n:04}", wait=False)
            await project.ingest(stream, record(f"r{n:04}", {"i32": -n}), wait=False)
            await project.delete(stream, f"r{(n + 5) % 10:04}", wait=False)
        elif not page["hasNext"]:
            break
    alive = set(ids((await project.news(stream))[0])) & {id for id, status in state.items() if status != "deleted"}
    await project.ingest(stream, record("last"))
    there = set(await project.ids(stream)) - {"last"}
    assert {id for id, status in state.items() if status != "deleted"} == there == alive


async def test_a_busy_shard_keeps_no_other_one_waiting(project: Project, stream: str) -> None:
    """Rounds end although more is written than a page shows."""
    await project.ingest(stream, *many(40), wait=False)
    cursor, told, rounds = None, set(), 0
    for _ in range(30):
        page = await project.page(stream, cursor, limit=5)
        cursor = page["nextCursor"]
        told |= set(ids(page["items"]))
        rounds += not page["hasNext"]
        await project.upsert(stream, *many(8), wait=False)
        if len(told) == 40:
            break
    assert len(told) == 40


# Many at once


async def test_many_writers_and_readers(project: Project) -> None:
    """The short form of `tests/chaos/test_sync.py`, in one process."""
    immutable = await project.stream(template="ImmutableTestStream")
    chaos = Chaos([project], await project.stream(), immutable, seconds=4, writers=5, readers=3)
    report = await chaos.run()
    assert report.writes > 20
    assert not report.differences, report.differences[:5]
