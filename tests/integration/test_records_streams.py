"""Spaces, containers and streams: their routes, their life, and that no project sees another one's."""

import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import aiohttp.web
import pytest

from service.app import create_app
from service.catalog import streams
from service.catalog.streams import StreamService
from service.serving import served
from service.settings import TEMPLATES, Settings, StreamTemplate
from service.web.keys import STREAMS
from tests.conftest import KEY
from tests.support.client import Client
from tests.support.records import TYPES, Project, container, fresh, ids, property_of, record, set_time, source_of

Json = Any
DAY = 86_400_000


async def care(streams: StreamService) -> None:
    for _, work in await streams.overdue():
        await work()


@pytest.fixture
async def project(client: Client) -> AsyncIterator[Project]:
    async with Project.made(client) as project:
        await project.spaces("s")
        await project.containers(container(TYPES))
        yield project


@pytest.fixture
async def opensearch(opensearch_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(opensearch_url, raise_for_status=True) as session:
        yield session


async def indices(opensearch: aiohttp.ClientSession, stream: str) -> list[str]:
    async with opensearch.get(f"/tally-records-*.{stream}.*/_settings") as answer:
        return sorted(await answer.json())


# Spaces and containers


async def test_spaces(project: Project) -> None:
    (made,) = await project.post_items("/models/spaces", {"space": "t", "name": "T", "description": "of tests"})
    assert made == {
        "space": "t",
        "name": "T",
        "description": "of tests",
        "isGlobal": False,
        "createdTime": made["createdTime"],
        "lastUpdatedTime": made["createdTime"],
    }
    (again,) = await project.post_items("/models/spaces", {"space": "t", "name": "U"})
    assert (again["name"], again["createdTime"], "description" in again) == ("U", made["createdTime"], False)
    assert again["lastUpdatedTime"] >= made["createdTime"]
    assert await project.post_items("/models/spaces/byids", {"space": "t"}, {"space": "nope"}) == [again]
    assert [each["space"] for each in (await project.get("/models/spaces"))["items"]] == ["s", "t"]
    assert await project.post_items("/models/spaces/delete", {"space": "t"}, {"space": "nope"}) == [{"space": "t"}]
    assert await project.post_items("/models/spaces/delete", {"space": "t"}) == []
    assert await project.post_items("/models/spaces/byids", {"space": "t"}) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
async def test_lists_go_on(project: Project, limit: int) -> None:
    await project.spaces(*(f"s{n}" for n in range(6)))
    await project.containers(*(container({"a": TYPES["text"]}, id=f"c{n}") for n in range(6)))
    for n in range(3):
        await project.stream(f"stream{n}")
    for kind, wanted in (
        ("models/spaces", ["s", *(f"s{n}" for n in range(6))]),
        ("models/containers", ["c", *(f"c{n}" for n in range(6))]),
        ("streams", [f"stream{n}" for n in range(3)]),
    ):
        own = "" if kind == "streams" else "&includeGlobal=false"
        found, route = [], f"/{kind}?limit={limit}{own}"
        while True:
            page = await project.get(route)
            assert len(page["items"]) <= limit
            found += [each.get("externalId", each.get("space")) for each in page["items"]]
            if "nextCursor" not in page:
                break
            route = f"/{kind}?limit={limit}&cursor={page['nextCursor']}"
        assert found == wanted


@pytest.mark.parametrize("kind", ["models/spaces", "models/containers", "streams"])
async def test_wrong_pages(project: Project, kind: str) -> None:
    for wrong in ("0", "-1", "1001", "x", "1.5", ""):
        status, answer = await project.call("GET", f"/{kind}?limit={wrong}")
        assert (status, answer["error"]["code"]) == (400, 400)
        assert "limit" in answer["error"]["message"]
    status, answer = await project.call("GET", f"/{kind}?cursor=x")
    assert status == 400
    assert "cursor" in answer["error"]["message"]


async def test_containers(project: Project) -> None:
    definition = {
        **container({"a": {"type": TYPES["text"], "name": "A", "description": "text", "nullable": False}}, id="made"),
        "name": "Made",
    }
    sent = {**definition, "constraints": {}, "indexes": {}}
    sent["properties"]["a"] |= {"immutable": False, "autoIncrement": False, "defaultValue": "x"}
    sent["properties"]["a"]["type"] = {"type": "text", "list": False, "collation": "ucs_basic"}
    (made,) = await project.containers(sent)
    assert made["isGlobal"] is False
    assert (made["constraints"], made["indexes"], made["usedFor"], made["name"]) == ({}, {}, "record", "Made")
    assert made["createdTime"] == made["lastUpdatedTime"]
    told = made["properties"]["a"]
    assert told["type"] == {"type": "text", "list": False, "collation": "ucs_basic"}
    assert (told["nullable"], told["immutable"], told["autoIncrement"]) == (False, False, False)
    assert (told["defaultValue"], told["name"], told["constraintState"]) == ("x", "A", {})
    id = {"space": "s", "externalId": "made"}
    assert await project.post_items("/models/containers/byids", id, {**id, "externalId": "nope"}) == [made]
    listed = [each["externalId"] for each in (await project.get("/models/containers?space=s"))["items"]]
    assert listed == ["c", "made"]
    assert (await project.get("/models/containers?space=t"))["items"] == []
    assert (await project.get("/models/containers?usedFor=node&usedFor=edge"))["items"] == []
    both = await project.get("/models/containers?usedFor=node&usedFor=record&usedFor=all&limit=10")
    assert ids(both["items"]) == ["c", "made"]
    assert await project.post_items("/models/containers/delete", id) == [id]
    assert await project.post_items("/models/containers/delete", id) == []
    for nothing in ("constraints", "indexes"):
        body = {"space": "s", "containerExternalId": "c", "identifier": "x"}
        assert await project.post_items(f"/models/containers/{nothing}/delete", body) == []


async def test_a_container_grows_but_does_not_change(project: Project) -> None:
    await project.containers(container({"b": TYPES["i32"]}))
    stream = await project.stream()
    await project.ingest(stream, record("x", {"b": 1, "text": "t"}))
    for type in ({"type": "int64"}, {"type": "text"}, {"type": "int32", "list": True}):
        body = {"items": [container({"new": TYPES["text"], "b": type})]}
        status, answer = await project.call("POST", "/models/containers", body)
        assert status in (400, 409)
        assert "'b'" in answer["error"]["message"]
    await project.refused(f"/streams/{stream}/records", {"items": [record("y", {"new": "x"})]}, 400, "new")
    (grown,) = await project.containers(container({"new": TYPES["text"]}))
    assert {"b", "new", "text"} <= grown["properties"].keys()
    await project.ingest(stream, record("y", {"new": "x"}))
    assert await project.ids(stream, {"exists": {"property": property_of("new")}}) == ["y"]


async def test_what_holds_records_cannot_be_deleted(project: Project) -> None:
    for template in ("MutableTestStream", "ImmutableTestStream"):
        stream = await project.stream(template=template)
        await project.ingest(stream, record("x", {"i32": 1}), wait=False)
        body = {"items": [{"space": "s", "externalId": "c"}]}
        await project.refused("/models/containers/delete", body, 400, "'c'", "records")
        await project.refused("/models/spaces/delete", {"items": [{"space": "s"}]}, 400, "'s'")
        assert ids((await project.get("/models/containers"))["items"]) == ["c"]
        if template == "MutableTestStream":
            await project.delete(stream, "x")
    await project.spaces("other")
    await project.ingest(stream, {**record("y", {"i32": 1}), "space": "other"})
    await project.refused("/models/spaces/delete", {"items": [{"space": "other"}]}, 400, "'other'", "records")


async def test_records_of_a_deleted_stream_hold_nothing(project: Project) -> None:
    stream = await project.stream()
    await project.ingest(stream, record("x", {"i32": 1}))
    await project.delete_stream(stream)
    id = {"space": "s", "externalId": "c"}
    assert await project.post_items("/models/containers/delete", id) == [id]
    assert await project.post_items("/models/spaces/delete", {"space": "s"}) == [{"space": "s"}]


async def test_a_container_made_again_with_other_types(project: Project) -> None:
    """The same name in the same stream, with other types, and nothing of the old values."""
    stream = await project.stream()
    await project.ingest(stream, record("old", {"text": "x", "i32": 1}))
    await project.delete(stream, "old")
    id = {"space": "s", "externalId": "c"}
    assert await project.post_items("/models/containers/delete", id) == [id]
    await project.refused(f"/streams/{stream}/records", {"items": [record("x", {"text": "x"})]}, 400, "s/c")
    (made,) = await project.containers(container({"text": TYPES["i64"], "other": TYPES["flag"]}))
    assert made["properties"].keys() == {"text", "other"}
    assert made["createdTime"] == made["lastUpdatedTime"]
    await project.ingest(stream, record("new", {"text": 2**60 + 1}))
    assert await project.one(stream, {"max": {"property": property_of("text")}}) == {"max": 2**60 + 1}
    assert await project.ids(stream, {"range": {"property": property_of("text"), "gte": 2**60 + 1}}) == ["new"]
    held = {"hasData": [{"type": "container", **id}]}
    assert await project.ids(stream, held) == ["new"]


async def test_names_that_only_differ_in_where_they_are_cut(project: Project) -> None:
    """Spaces, containers and properties with - and _ never share a field."""
    await project.spaces("a", "a_b", "a-b", "a_b_c", "A")
    names = [
        ("a", "b_c", "d"),
        ("a_b", "c", "d"),
        ("a-b", "c", "d"),
        ("a_b_c", "d", "d"),
        ("a", "b", "c_d"),
        ("a", "b", "c-d"),
        ("a", "b_c_d", "d"),
        ("a", "B", "c_d"),
        ("A", "b", "c_d"),
        ("a", "b", "C_d"),
    ]
    for space, id, name in names:
        await project.containers(container({name: TYPES["i32"]}, space, id))
    stream = await project.stream()
    for n, (space, id, name) in enumerate(names):
        item = {"space": "s", "externalId": f"{n}", "sources": [source_of({name: n}, space, id)]}
        await project.ingest(stream, item)
    for n, path in enumerate(names):
        assert await project.ids(stream, {"exists": {"property": list(path)}}) == [f"{n}"]
        assert await project.one(stream, {"uniqueValues": {"property": list(path)}}) == {
            "uniqueValueBuckets": [{"value": n, "count": 1}]
        }
        held = {"hasData": [{"type": "container", "space": path[0], "externalId": path[1]}]}
        same = [f"{m}" for m, other in enumerate(names) if other[:2] == path[:2]]
        assert sorted(await project.ids(stream, held)) == same


# Streams


async def test_the_documented_templates(project: Project) -> None:
    for name, template in TEMPLATES.items():
        id = fresh("templated")
        body = {"items": [{"externalId": id, "settings": {"template": {"name": name}}}]}
        (made,) = (await project.post("/streams", body, 201))["items"]
        lifecycle: Json = {"retainedAfterSoftDelete": template.retained_after_soft_delete}
        limits: Json = {
            "maxRecordsTotal": {"provisioned": template.max_records},
            "maxGigaBytesTotal": {"provisioned": template.max_gigabytes},
        }
        if template.data_deleted_after:
            lifecycle["dataDeletedAfter"] = template.data_deleted_after
        if template.max_filtering_interval:
            limits["maxFilteringInterval"] = template.max_filtering_interval
        assert made == {
            "externalId": id,
            "createdTime": made["createdTime"],
            "createdFromTemplate": name,
            "type": template.type,
            "settings": {"lifecycle": lifecycle, "limits": limits},
        }
        assert abs(made["createdTime"] - time.time() * 1000) < 60_000
        assert await project.get(f"/streams/{id}") == made
        assert await project.get(f"/streams/{id}?includeStatistics=false") == made
        told = (await project.get(f"/streams/{id}?includeStatistics=true"))["settings"]["limits"]
        assert told["maxRecordsTotal"] == {"provisioned": template.max_records, "consumed": 0}
        assert told["maxGigaBytesTotal"] == {"provisioned": template.max_gigabytes, "consumed": 0}
    assert len((await project.get("/streams"))["items"]) == len(TEMPLATES)


async def test_streams_that_are_not_there(project: Project) -> None:
    for method, route, body in (
        ("GET", "/streams/nope", None),
        ("POST", "/streams/nope/records", {"items": [record("x")]}),
        ("POST", "/streams/nope/records/upsert", {"items": [record("x")]}),
        ("POST", "/streams/nope/records/delete", {"items": [{"space": "s", "externalId": "x"}]}),
        ("POST", "/streams/nope/records/filter", {}),
        ("POST", "/streams/nope/records/sync", {"initializeCursor": "1d-ago"}),
        ("POST", "/streams/nope/records/aggregate", {"aggregates": {"n": {"count": {}}}}),
    ):
        status, answer = await project.call(method, route, body)
        assert (status, answer["error"]["code"]) == (404, 404), route
        assert answer["error"]["missing"] == [{"externalId": "nope"}]
    await project.delete_stream("nope")
    assert (await project.call("DELETE", "/streams/nope"))[0] == 410
    stream = await project.stream()
    status, answer = await project.call("DELETE", f"/streams/{stream}")
    assert status == 410
    assert "/streams/delete" in answer["error"]["message"]
    assert (await project.call("GET", f"/streams/{stream}"))[0] == 200


async def test_a_name_is_taken_once(project: Project) -> None:
    stream = await project.stream()
    body = {"items": [{"externalId": stream, "settings": {"template": {"name": "BasicArchive"}}}]}
    error = await project.refused("/streams", body, 409, stream)
    assert error["duplicated"] == [{"externalId": stream}]
    assert (await project.get(f"/streams/{stream}"))["createdFromTemplate"] == "MutableTestStream"


async def test_a_stream_made_again_is_empty(project: Project, opensearch: aiohttp.ClientSession) -> None:
    stream = await project.stream()
    await project.ingest(stream, record("x"))
    await project.delete_stream(stream)
    assert (await project.call("GET", f"/streams/{stream}"))[0] == 404
    assert (await project.call("POST", f"/streams/{stream}/records", {"items": [record("y")]}))[0] == 404
    await project.stream(stream, "ImmutableTestStream")
    assert await project.consumed(stream) == 0
    await project.ingest(stream, record("x"), record("y"))
    since = {"gt": int(time.time() * 1000) - DAY}
    assert sorted(await project.ids(stream, lastUpdatedTime=since)) == ["x", "y"]
    assert len(await indices(opensearch, stream)) == 2


async def test_deleted_streams_are_removed_later(
    settings: Settings, project: Project, opensearch: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(settings.model_copy(update={"caretaking_seconds": 10_000.0}), KEY)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    try:
        stream, other = await project.stream(), await project.stream()
        for each in (stream, other):
            await project.ingest(each, record("x"))
        await project.delete_stream(stream)
        await care(app[STREAMS])
        assert len(await indices(opensearch, stream)) == 1
        now = int(time.time() * 1000)
        monkeypatch.setattr(streams, "now_millis", lambda: now + DAY + 1000)
        await care(app[STREAMS])
        assert await indices(opensearch, stream) == []
        assert await project.count(other) == 1
    finally:
        await runner.cleanup()


async def test_expired_records(
    settings: Settings, project: Project, opensearch: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not seen as soon as their time is over, and go by whole indices."""
    app = create_app(settings.model_copy(update={"caretaking_seconds": 10_000.0}), KEY)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    try:
        stream = await project.stream(template="ImmutableTestStream")
        now = int(time.time() * 1000)
        for days in (9, 8, 6, 0):
            set_time(monkeypatch, now - days * DAY)
            await project.ingest(stream, record(f"{days}"))
        # At the very border: 7 days less and more a minute.
        for minutes, id in ((1, "just not"), (-1, "just")):
            set_time(monkeypatch, now - 7 * DAY + minutes * 60_000)
            await project.ingest(stream, record(id))
        monkeypatch.undo()
        seen = []
        for span in ({"gte": now - 10 * DAY, "lt": now - 5 * DAY}, {"gte": now - 5 * DAY}):
            seen += await project.ids(stream, lastUpdatedTime=span)
        assert sorted(seen) == ["0", "6", "just not"]
        assert await project.count(stream, lastUpdatedTime={"gte": now - 10 * DAY, "lt": now - 7 * DAY}) == 0
        assert sorted(ids((await project.news(stream))[0])) == ["0", "6", "just not"]
        before = await indices(opensearch, stream)  # another service may have removed some by now
        await care(app[STREAMS])
        left = await indices(opensearch, stream)
        first = datetime.fromtimestamp((now - 7 * DAY) / 1000, UTC)
        assert left == [index for index in before if index.rsplit("-", 1)[1] >= f"{first:%Y%m%d}"]
        assert 2 <= len(left) <= 4
    finally:
        await runner.cleanup()


async def test_templates_of_the_operator(settings: Settings, client: Client, project: Project) -> None:
    mine = {
        "Daily": StreamTemplate(
            type="Immutable",
            max_records=100,
            max_gigabytes=1,
            retained_after_soft_delete="P2D",
            data_deleted_after="P400D",
            max_filtering_interval="P30D",
        ),
        "BasicLiveData": StreamTemplate(
            type="Mutable", max_records=5, max_gigabytes=1, retained_after_soft_delete="P1D"
        ),
    }
    async with (
        served(settings.model_copy(update={"stream_templates": mine}), KEY) as address,
        Client(address, KEY) as own,
    ):
        there = project.at(own)
        await there.stream("daily", "Daily")
        await there.stream("live", "BasicLiveData")
        told = await there.get("/streams/daily")
        assert told["settings"]["lifecycle"] == {"retainedAfterSoftDelete": "P2D", "dataDeletedAfter": "P400D"}
        assert told["settings"]["limits"]["maxFilteringInterval"] == "P30D"
    # A service without the template knows what the stream was made with.
    assert await project.get("/streams/daily") == told
    now = int(time.time() * 1000)
    body: Json = {"lastUpdatedTime": {"gt": now - 31 * DAY}}
    await project.refused("/streams/daily/records/filter", body, 400, "P30D")
    await project.refused("/streams/live/records", {"items": [record(f"{n}") for n in range(6)]}, 400, "5", "6")
    body = {"items": [{"externalId": "x", "settings": {"template": {"name": "Daily"}}}]}
    await project.refused("/streams", body, 400, "Daily")


# Who may


async def test_unknown_projects(client: Client, project: Project) -> None:
    stream = await project.stream()
    for name in (fresh("nobody"), "*", "%2A", "..%2F..", "tally-*", "ä"):
        nobody = Project(client, name)
        for method, route, body in (
            ("GET", "/streams", None),
            ("GET", f"/streams/{stream}", None),
            ("POST", "/streams", {"items": [{"externalId": "x", "settings": {"template": {"name": "BasicArchive"}}}]}),
            ("GET", "/models/spaces", None),
            ("POST", "/models/spaces", {"items": [{"space": "s"}]}),
            ("POST", "/models/containers/byids", {"items": [{"space": "s", "externalId": "c"}]}),
            ("POST", f"/streams/{stream}/records", {"items": [record("x")]}),
            ("POST", f"/streams/{stream}/records/delete", {"items": [{"space": "s", "externalId": "x"}]}),
            ("POST", f"/streams/{stream}/records/filter", {}),
            ("POST", f"/streams/{stream}/records/sync", {"initializeCursor": "1d-ago"}),
            ("POST", f"/streams/{stream}/records/aggregate", {"aggregates": {"n": {"count": {}}}}),
        ):
            status, answer = await nobody.call(method, route, body)
            assert (status, answer["error"]["code"]) == (401, 401), (name, route, answer)
    status, text, headers = await client.send(
        "GET", f"/api/v1/projects/{project.name}/streams", namespace=None, headers={"Authorization": "Bearer nope"}
    )
    assert (status, json.loads(text)["error"]["code"]) == (401, 401)
    assert headers["X-Request-Id"]


async def test_every_answer_has_its_request_id(project: Project) -> None:
    stream = await project.stream()
    for method, route, wanted in (
        ("GET", "/streams", 200),
        ("GET", "/streams/nope", 404),
        ("GET", "/models/views", 404),
        ("POST", "/models/views/byids", 404),
        ("PUT", "/streams", 405),
        ("DELETE", f"/streams/{stream}", 410),
        ("POST", f"/streams/{stream}/records", 400),
    ):
        path = f"/api/v1/projects/{project.name}{route}"
        status, text, headers = await project.client.send(
            method, path, namespace=None, headers={"X-Request-Id": "mine-1", "cdf-version": "20230101-beta"}
        )
        assert (status, headers["X-Request-Id"]) == (wanted, "mine-1")
        if status >= 400:
            assert json.loads(text).keys() == {"error"}
            assert json.loads(text)["error"]["code"] == status


async def test_projects_do_not_see_each_other(client: Client, opensearch: aiohttp.ClientSession) -> None:
    """Not even if the name of one begins with that of another, or all they have is named alike."""
    name = fresh("tenant")
    async with Project.made(client, name) as mine, Project.made(client, f"{name}-2") as theirs:
        for n, each in enumerate((mine, theirs)):
            await each.spaces("s")
            await each.containers(container({"own": TYPES["i32"], f"only{n}": TYPES["text"]}))
            for stream in ("logs-x", "logs"[:3]):
                await each.stream(stream)
                await each.ingest(stream, record("same", {"own": n}), record(f"of-{n}", {"own": n}))
        cursor = (await theirs.page("logs-x"))["nextCursor"]
        lists = await theirs.get("/models/spaces?limit=1")
        assert lists["items"][0]["space"] == "s"
        for n, each in enumerate((mine, theirs)):
            assert await each.values("logs-x", "own") == {"same": n, f"of-{n}": n}
            assert await each.one("logs-x", {"sum": {"property": property_of("own")}}) == {"sum": 2 * n}
            assert len((await each.news("logs-x"))[0]) == 2
            assert len((await each.get("/streams"))["items"]) == 2
            (found,) = (await each.get("/models/containers"))["items"]
            assert found["properties"].keys() == {"own", f"only{n}"}
            unknown = {"aggregates": {"x": {"count": {"property": property_of(f"only{1 - n}")}}}}
            await each.refused("/streams/logs-x/records/aggregate", unknown, 400, f"only{1 - n}")
        await mine.refused("/streams/logs-x/records/sync", {"cursor": cursor}, 400, "cursor")
        await mine.delete("logs-x", "same", "of-1")
        await mine.delete_stream("log")
        await mine.delete("logs-x", "of-0")
        assert await mine.post_items("/models/containers/delete", {"space": "s", "externalId": "c"}) != []
        assert await theirs.values("logs-x", "own") == {"same": 1, "of-1": 1}
        assert await theirs.count("log") == 2
        async with opensearch.get("/_cat/indices/tally-records-*?h=index&format=json") as answer:
            before = {each["index"] for each in await answer.json()}
        await client.ok("DELETE", f"/v1/namespaces/{mine.name}", namespace=None)
        for _ in range(100):
            async with opensearch.get("/_cat/indices/tally-records-*?h=index&format=json") as answer:
                left = {each["index"] for each in await answer.json()}
            if len(before - left) >= 2:
                break
        assert (await mine.call("GET", "/streams"))[0] == 401
        assert await theirs.values("logs-x", "own") == {"same": 1, "of-1": 1}
        assert (await theirs.get("/models/containers"))["items"] != []
        await client.ok("POST", "/v1/namespaces", {"namespace_name": mine.name}, namespace=None)
        assert (await mine.get("/streams"))["items"] == []
        assert (await mine.get("/models/containers"))["items"] == []
        assert (await mine.get("/models/spaces"))["items"] == []
