"""The vendor's Python client, unmodified: all methods of its spaces, containers, streams and records, in both faces."""

import asyncio
import functools
import inspect
import logging
import math
import os
import re
import time
from abc import ABC
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from cognite.client import AsyncCogniteClient, ClientConfig, CogniteClient, _http_client, global_config
from cognite.client._api.data_modeling.containers import ContainersAPI
from cognite.client._api.data_modeling.records import RecordsAPI
from cognite.client._api.data_modeling.spaces import SpacesAPI
from cognite.client._api.data_modeling.streams import StreamsAPI
from cognite.client.credentials import Token
from cognite.client.data_classes import filters as f
from cognite.client.data_classes.data_modeling import (
    ContainerApply,
    ContainerId,
    ContainerPropertyApply,
    InstanceSort,
    SpaceApply,
    ViewId,
)
from cognite.client.data_classes.data_modeling import aggregates as a
from cognite.client.data_classes.data_modeling.data_types import (
    Boolean,
    Date,
    DirectRelation,
    Enum,
    EnumValue,
    Float32,
    Float64,
    Int32,
    Int64,
    Json,
    Text,
    Timestamp,
    UnitReference,
)
from cognite.client.data_classes.data_modeling.records import (
    RecordId,
    RecordSource,
    RecordSourceSelector,
    RecordTargetUnits,
    RecordWrite,
    TimeRange,
)
from cognite.client.data_classes.data_modeling.streams import (
    Stream,
    StreamLimitSettings,
    StreamTemplate,
    StreamWrite,
    StreamWriteSettings,
)
from cognite.client.data_classes.shared import Geometry
from cognite.client.exceptions import (
    CogniteAPIError,
    CogniteDuplicatedError,
    CogniteNotFoundError,
    CogniteProjectAccessError,
)

from tests.conftest import KEY, ROOT
from tests.support.client import Client

# It would look for a newer version of itself on the internet, and warn that its records are new.
global_config.disable_pypi_version_check = True
global_config.silence_feature_preview_warnings = True

APIS = {"spaces": SpacesAPI, "containers": ContainersAPI, "streams": StreamsAPI, "records": RecordsAPI}
FACES = ("async", "sync")
SENT = logging.getLogger("httpx2")

Test = Callable[..., Awaitable[None]]
Row = tuple[str, str]
TESTS: list[str] = []
PASSED: defaultdict[tuple[str, str, str], bool] = defaultdict(lambda: True)
"""By what was called, its route and the face: whether all tests with it have passed."""


def fresh(prefix: str) -> str:
    return f"{prefix}_{os.urandom(5).hex()}"


@contextmanager
def routes_sent() -> Iterator[list[str]]:
    """The routes that the client asks meanwhile, as its HTTP library logs them."""
    routes: list[str] = []

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            method, url = record.args[:2] if isinstance(record.args, tuple) else ("", "")
            path = re.sub(r"^/api/v1/projects/[^/]+", "", urlsplit(str(url)).path)
            routes.append(f"{method} {re.sub(r'^/streams/(?!delete$)[^/]+', '/streams/{streamId}', path)}")

    notes, level, propagate = Notes(), SENT.level, SENT.propagate
    SENT.addHandler(notes)
    SENT.setLevel(logging.INFO)
    SENT.propagate = False
    try:
        yield routes
    finally:
        SENT.removeHandler(notes)
        SENT.setLevel(level)
        SENT.propagate = propagate


def typed(value: object) -> Iterator[str]:
    """The aggregates and filters in an argument, however deep."""
    if isinstance(value, a.Aggregate | f.Filter):
        yield f"{'aggregates' if isinstance(value, a.Aggregate) else 'filters'}.{type(value).__name__}"
        value = vars(value)
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from typed(each)


class Vendor:
    """One face of the client; notes which routes its methods, aggregates and filters took."""

    def __init__(self, face: str, address: str, project: str, token: str = KEY) -> None:
        config = ClientConfig("tally-tests", project, Token(token), base_url=address)
        self.face = face
        self.client = AsyncCogniteClient(config) if face == "async" else CogniteClient(config)
        self.took: set[Row] = set()

    async def __call__(self, name: str, *given: Any, **options: Any) -> Any:
        """What a method answers; all of it, if it iterates. `spaces()` is the iteration over spaces."""
        api, method = name.removesuffix("()"), "__call__"
        if api == name:
            api, method = name.split(".")
        function = getattr(getattr(self.client.data_modeling, api), method)
        with routes_sent() as routes:
            try:
                if self.face == "sync":
                    return await asyncio.to_thread(_exhausted, function, given, options)
                answer = function(*given, **options)
                return [each async for each in answer] if inspect.isasyncgen(answer) else await answer
            finally:
                self.took |= {(who, route) for who in (name, *typed([given, options])) for route in routes}


def _exhausted(function: Callable[..., Any], given: Sequence[Any], options: Mapping[str, Any]) -> Any:
    answer = function(*given, **options)
    return list(answer) if isinstance(answer, Iterator) else answer


def proves(test: Test) -> Test:
    """What a test called has passed when the test has, and every other test that called it."""

    @functools.wraps(test)
    async def run(vendor: Vendor, **given: Any) -> None:
        passed = False
        try:
            await test(vendor=vendor, **given)
            passed = True
        finally:
            for name, route in vendor.took:
                PASSED[name, route, vendor.face] &= passed

    TESTS.append(run.__name__)
    return run


@pytest.fixture(scope="module")
async def project(client: Client) -> AsyncIterator[str]:
    """A namespace, which is what the vendor calls a project."""
    name = fresh("vendor")
    await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    yield name
    # The client cannot close what it opened, and a socket that is left open is a warning.
    for loop, http in _http_client._global_async_httpx_clients.items():
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(http.aclose(), loop))
    _http_client._global_async_httpx_clients.clear()
    await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)


@pytest.fixture(params=FACES)
async def vendor(request: pytest.FixtureRequest, address: str, project: str) -> Vendor:
    return Vendor(request.param, address, project)


async def until(question: Callable[[], Awaitable[Any]], expected: object) -> None:
    """Waits until a write is seen; that takes about a second."""
    deadline = time.monotonic() + 15
    while (found := await question()) != expected:
        assert time.monotonic() < deadline, (found, expected)
        await asyncio.sleep(0.1)


async def count(vendor: Vendor, stream: str) -> Any:
    result = await vendor("records.aggregate", {"n": a.Count()}, stream_id=stream)
    return result["n"].value


def moment(text: object) -> datetime:
    assert isinstance(text, str), text
    return datetime.fromisoformat(text)


# The games: as many a day, and as high their best points, as in the documented examples of movingFunction.

SPACE = "games"
STREAM = "games-live"
GAME = ContainerId(SPACE, "game")
NOTE = ContainerId(SPACE, "note")
DAYS = [(10, 13), (5, 7), (12, 100), (1, 1), (20, 1)]
PLAYERS = ["ada", "bob", "eve"]
BIG = 2**53 + 1
"""The first integer that is not a double."""


def _games() -> dict[str, dict[str, Any]]:
    games: dict[str, dict[str, Any]] = {}
    for day, (many, best) in enumerate(DAYS, 1):
        for n in range(many):
            i = len(games)
            games[f"g{i:02}"] = {
                **({} if i % 8 == 7 else {"player": PLAYERS[i % 3]}),
                **({} if i % 4 == 3 else {"tags": ["home"] if i % 3 else ["home", "cup"]}),
                "points": max(1, best - n),
                "score": max(1, best - n) / 2,
                "ratio": 0.25,
                "serial": BIG + 2 * i,
                "won": n % 2 == 0,
                "level": "hard" if i % 5 == 0 else "easy",
                "day": f"2025-05-0{day}",
                "played": f"2025-05-0{day}T{10 + n % 10}:30:00.000Z",
                "rival": {"space": SPACE, "externalId": f"r{i % 2}"},
                "sheet": {"n": i, "deep": [{"a": None}]},
            }
    return games


GAMES = _games()
NOTED = {f"g{i:02}" for i in range(0, 48, 7)}
TYPES: dict[str, Any] = {
    "player": Text(),
    "tags": Text(is_list=True),
    "points": Int32(),
    "score": Float64(),
    "ratio": Float32(),
    "serial": Int64(),
    "won": Boolean(),
    "level": Enum({"easy": EnumValue(), "hard": EnumValue("Hard", "for grown-ups")}),
    "day": Date(),
    "played": Timestamp(),
    "rival": DirectRelation(),
    "sheet": Json(),
}


def of(name: str) -> list[str]:
    """The path of a property of the games."""
    return [GAME.space, GAME.external_id, name]


def values(name: str) -> list[Any]:
    return [game[name] for game in GAMES.values() if name in game]


def stream_of(name: str, template: str) -> StreamWrite:
    return StreamWrite(name, StreamWriteSettings(StreamTemplate(template)))


def record_of(id: str, properties: dict[str, Any], *more: RecordSource) -> RecordWrite:
    return RecordWrite(SPACE, id, [RecordSource(GAME, properties), *more])


def game(points: int, **more: Any) -> dict[str, Any]:
    return {"points": points, **more}


@pytest.fixture(scope="module")
async def games(address: str, project: str) -> str:
    """The stream that the reading tests share."""
    vendor = Vendor("async", address, project)
    properties = {name: ContainerPropertyApply(type_, nullable=name != "points") for name, type_ in TYPES.items()}
    await vendor("spaces.apply", SpaceApply(SPACE))
    await vendor(
        "containers.apply",
        [
            ContainerApply(SPACE, GAME.external_id, properties, used_for="record"),
            ContainerApply(SPACE, NOTE.external_id, {"text": ContainerPropertyApply(Text())}, used_for="record"),
        ],
    )
    await vendor("streams.create", stream_of(STREAM, "MutableTestStream"))
    records = [
        record_of(id, game, *([RecordSource(NOTE, {"text": f"about {id}"})] if id in NOTED else []))
        for id, game in GAMES.items()
    ]
    await vendor("records.ingest", records, stream_id=STREAM)
    await until(lambda: count(vendor, STREAM), len(GAMES))
    return STREAM


@pytest.fixture
async def live(vendor: Vendor, games: str) -> str:
    """A mutable stream that a test may write to, with the containers of the games."""
    name = fresh("live")
    await vendor("streams.create", stream_of(name, "MutableTestStream"))
    return name


@pytest.fixture
async def archive(vendor: Vendor, games: str) -> str:
    """An immutable one."""
    name = fresh("archive")
    await vendor("streams.create", stream_of(name, "ImmutableTestStream"))
    return name


def last_hour() -> TimeRange:
    return TimeRange(gte=int((time.time() - 3600) * 1000))


@proves
async def test_spaces(vendor: Vendor) -> None:
    one, two, three = sorted(fresh("s") for _ in range(3))
    made = await vendor("spaces.apply", SpaceApply(one, description="d", name="n"))
    assert (made.space, made.name, made.description, made.is_global) == (one, "n", "d", False)
    assert 0 <= time.time() * 1000 - made.created_time < 60_000
    assert made.last_updated_time == made.created_time
    assert (await vendor("spaces.apply", [SpaceApply(two), SpaceApply(three)])).as_ids() == [two, three]
    again = await vendor("spaces.apply", SpaceApply(one, description="D", name="n"))
    assert (again.description, again.created_time) == ("D", made.created_time)
    assert again.last_updated_time >= made.last_updated_time

    assert (await vendor("spaces.retrieve", one)).dump() == again.dump()
    assert await vendor("spaces.retrieve", fresh("none")) is None
    assert sorted((await vendor("spaces.retrieve", [one, fresh("none"), two])).as_ids()) == [one, two]

    everything = (await vendor("spaces.list", limit=None)).as_ids()
    assert {one, two, three} <= set(everything)
    assert len(set(everything)) == len(everything)
    assert (await vendor("spaces.list", limit=2)).as_ids() == everything[:2]
    assert set(everything) <= set((await vendor("spaces.list", limit=None, include_global=True)).as_ids())
    assert [space.space for space in await vendor("spaces()")] == everything
    assert [space.space for space in await vendor("spaces()", limit=2)] == everything[:2]
    chunks = [chunk.as_ids() for chunk in await vendor("spaces()", chunk_size=2)]
    assert [id for chunk in chunks for id in chunk] == everything
    assert {len(chunk) for chunk in chunks[:-1]} == {2}

    assert await vendor("spaces.delete", one) == [one]
    assert sorted(await vendor("spaces.delete", [one, two, three])) == [two, three], "only what there was"
    assert len(await vendor("spaces.retrieve", [one, two, three])) == 0


@proves
async def test_containers(vendor: Vendor) -> None:
    space = fresh("s")
    await vendor("spaces.apply", SpaceApply(space))
    properties = {
        **{name: ContainerPropertyApply(type_) for name, type_ in TYPES.items()},
        "short": ContainerPropertyApply(Text(max_text_size=9), False, name="n", default_value="x", description="d"),
        "pressure": ContainerPropertyApply(Float64(unit=UnitReference("pressure:bar", "BAR"))),
        "some": ContainerPropertyApply(Int64(is_list=True, max_list_size=7)),
        "kind": ContainerPropertyApply(Enum({"A": EnumValue(), "B": EnumValue("b")}, unknown_value="A")),
    }
    sent = ContainerApply(space, "all", properties, description="d", name="n", used_for="record")
    made = await vendor("containers.apply", sent)
    assert made.as_apply() == sent, "what was sent, with all its defaults"
    assert (made.is_global, made.constraints, made.indexes) == (False, {}, {})
    assert 0 <= time.time() * 1000 - made.created_time < 60_000
    one = {"p": ContainerPropertyApply(Text())}
    names = ["c0", "c1", "c2"]
    added = await vendor("containers.apply", [ContainerApply(space, name, one, used_for="record") for name in names])
    assert [each.external_id for each in added] == names
    wider = {**one, "q": ContainerPropertyApply(Int32())}
    changed = await vendor("containers.apply", ContainerApply(space, "c0", wider, used_for="record"))
    assert changed.properties.keys() == {"p", "q"}
    assert changed.created_time == added[0].created_time

    assert (await vendor("containers.retrieve", (space, "all"))).dump() == made.dump()
    assert await vendor("containers.retrieve", (space, "none")) is None
    assert (await vendor("containers.retrieve", [(space, "none"), (space, "c1")])).as_ids() == [
        ContainerId(space, "c1")
    ]

    ids = (await vendor("containers.list", space=space, limit=None)).as_ids()
    assert sorted(id.external_id for id in ids) == ["all", *names]
    assert (await vendor("containers.list", space=space, limit=3)).as_ids() == ids[:3]
    assert (await vendor("containers.list", space=space, used_for="record", include_global=True)).as_ids() == ids
    assert len(await vendor("containers.list", space=space, used_for=["node", "edge", "all"])) == 0
    assert set(ids) <= set((await vendor("containers.list", limit=None)).as_ids())
    assert [each.as_id() for each in await vendor("containers()", space=space)] == ids
    chunks = await vendor("containers()", chunk_size=3, space=space)
    assert [chunk.as_ids() for chunk in chunks] == [ids[:3], ids[3:]]

    id = ContainerId(space, "all")
    assert await vendor("containers.delete_constraints", [(id, "none")]) == []
    assert await vendor("containers.delete_indexes", [(id, "none")]) == []
    assert await vendor("containers.delete", (space, "all")) == [id]
    assert sorted(each.external_id for each in await vendor("containers.delete", ids)) == names
    assert len(await vendor("containers.list", space=space)) == 0


@proves
async def test_streams(vendor: Vendor) -> None:
    immutable, mutable = fresh("i"), fresh("m")
    made = await vendor("streams.create", stream_of(immutable, "ImmutableTestStream"))
    assert isinstance(made, Stream)
    assert (made.external_id, made.type) == (immutable, "Immutable")
    assert made.created_from_template == "ImmutableTestStream"
    assert 0 <= time.time() * 1000 - made.created_time < 60_000
    lifecycle, limits = made.settings.lifecycle, made.settings.limits
    assert (lifecycle.retained_after_soft_delete, lifecycle.data_deleted_after) == ("P1D", "P7D")
    assert (_provisioned(limits), limits.max_filtering_interval) == ((50_000_000, 50), "P7D")
    assert (limits.max_records_total.consumed, limits.max_giga_bytes_total.consumed) == (None, None)
    (other,) = await vendor("streams.create", [stream_of(mutable, "BasicLiveData")])
    assert (other.type, _provisioned(other.settings.limits)) == ("Mutable", (5_000_000, 15))
    assert (other.settings.lifecycle.data_deleted_after, other.settings.limits.max_filtering_interval) == (None, None)

    found = {stream.external_id: stream for stream in await vendor("streams.list")}
    assert found[immutable].dump() == made.dump()
    assert mutable in found
    assert (await vendor("streams.retrieve", mutable)).dump() == other.dump()
    assert (await vendor("streams.retrieve", mutable, include_statistics=False)).dump() == other.dump()
    limits = (await vendor("streams.retrieve", mutable, include_statistics=True)).settings.limits
    assert (limits.max_records_total.consumed, limits.max_giga_bytes_total.consumed) == (0, 0)
    assert await vendor("streams.retrieve", fresh("none")) is None

    with pytest.raises(CogniteDuplicatedError) as error:
        await vendor("streams.create", stream_of(mutable, "BasicLiveData"))
    assert error.value.code == 409
    assert mutable in str(error.value.duplicated)

    assert await vendor("streams.delete", immutable) is None
    assert await vendor("streams.delete", [mutable, fresh("none")]) is None
    assert not {immutable, mutable} & {stream.external_id for stream in await vendor("streams.list")}
    assert await vendor("streams.retrieve", mutable) is None


def _provisioned(limits: StreamLimitSettings) -> tuple[float, float]:
    return limits.max_records_total.provisioned, limits.max_giga_bytes_total.provisioned


@proves
async def test_records_are_written_and_read(vendor: Vendor, live: str) -> None:
    full = GAMES["g01"]
    await vendor("records.ingest", record_of("one", full), stream_id=live)
    await vendor("records.ingest", [record_of("two", game(2)), record_of("six", game(6))], stream_id=live)
    await until(lambda: count(vendor, live), 3)
    by_points = InstanceSort(of("points"), "descending")
    first, six, two = await vendor("records.filter", live, sort=by_points)
    assert [each.as_id() for each in (first, six, two)] == [RecordId(SPACE, id) for id in ("one", "six", "two")]
    assert 0 <= time.time() * 1000 - first.created_time < 60_000
    assert first.last_updated_time == first.created_time
    kept = first.properties[SPACE]["game"]
    assert moment(kept.pop("played")) == moment(full["played"])
    assert {**kept, "played": full["played"]} == full
    assert six.as_write().dump() == record_of("six", game(6)).dump()

    await vendor("records.upsert", record_of("one", game(10)), stream_id=live)
    await vendor("records.upsert", [record_of("new", game(1))], stream_id=live)
    await vendor("records.delete", RecordId(SPACE, "two"), stream_id=live)
    await vendor("records.delete", [RecordId(SPACE, "two"), RecordId(SPACE, "none")], stream_id=live)

    async def points() -> Any:
        records = await vendor("records.filter", live, sort=[by_points])
        return {record.external_id: record.properties[SPACE]["game"] for record in records}

    await until(points, {"one": game(10), "six": game(6), "new": game(1)})
    (again,) = await vendor("records.filter", live, sort=by_points, limit=1)
    assert (again.external_id, again.created_time) == ("one", first.created_time)
    assert again.last_updated_time > first.last_updated_time


@proves
async def test_large_writes_go_in_parts(vendor: Vendor, live: str) -> None:
    records = [record_of(f"r{i}", game(i)) for i in range(2001)]
    with routes_sent() as routes:
        await vendor("records.ingest", records, stream_id=live)
    assert len(routes) == 3
    await until(lambda: count(vendor, live), 2001)
    result = await vendor("records.aggregate", {"sum": a.Sum(of("points"))}, stream_id=live)
    assert result["sum"].value == sum(range(2001))
    assert len(await vendor("records.filter", live, limit=1000)) == 1000
    chunks = await vendor("records.sync", live, initialize_cursor="1h-ago", chunk_size=700)
    assert len({record.external_id for chunk in chunks for record in chunk}) == 2001
    await vendor("records.delete", [record.as_id() for record in records], stream_id=live)
    await until(lambda: count(vendor, live), 0)


@proves
async def test_immutable_streams(vendor: Vendor, archive: str) -> None:
    records = [record_of("one", game(1)), record_of("one", game(2)), record_of("one", game(1))]
    await vendor("records.ingest", records, stream_id=archive)
    await vendor("records.ingest", records[0], stream_id=archive)

    async def points() -> Any:
        found = await vendor("records.filter", archive, last_updated_time=last_hour())
        return sorted(record.properties[SPACE]["game"]["points"] for record in found)

    await until(points, [1, 2])
    total = {"n": a.Count(), "sum": a.Sum(of("points"))}
    result = await vendor("records.aggregate", total, stream_id=archive, last_updated_time=last_hour())
    assert (result["n"].value, result["sum"].value) == (2, 3)
    ends = TimeRange(gt=last_hour().gte, lt=datetime.now(UTC).isoformat().replace("+00:00", "Z"))
    result = await vendor("records.aggregate", total, stream_id=archive, last_updated_time=ends)
    assert result["n"].value == 2
    start = last_hour().gte
    past = TimeRange(gte=start, lte=start)
    result = await vendor("records.aggregate", total, stream_id=archive, last_updated_time=past)
    assert (result["n"].value, result["sum"].value) == (0, 0)


@pytest.mark.parametrize("method", ["records.aggregate", "records.filter"])
async def test_immutable_streams_want_a_span(vendor: Vendor, archive: str, method: str) -> None:
    given: tuple[Any, ...] = ({"n": a.Count()},) if method == "records.aggregate" else ()
    week = timedelta(days=7, minutes=1)
    for span in (None, TimeRange(lt=1), TimeRange(gt=(datetime.now(UTC) - week).isoformat())):
        with pytest.raises(CogniteAPIError) as error:
            await vendor(method, *given, stream_id=archive, last_updated_time=span)
        assert error.value.code == 400
        assert "lastUpdatedTime" in error.value.message
    assert re.search(r"P7D|7 days", error.value.message), "the limit is told"


@proves
async def test_sync(vendor: Vendor, live: str) -> None:
    await vendor("records.ingest", [record_of(f"r{i:02}", game(i)) for i in range(25)], stream_id=live)
    cursor, seen = "", {}

    async def follow() -> Any:
        nonlocal cursor
        start = {"cursor": cursor} if cursor else {"initialize_cursor": "1d-ago"}
        chunks = await vendor("records.sync", live, chunk_size=10, **start)
        assert [chunk.has_next for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
        assert all(len(chunk) <= 10 for chunk in chunks)
        cursor = chunks[-1].cursor
        for record in (record for chunk in chunks for record in chunk):
            properties = record.properties and record.properties[SPACE]["game"]
            seen[record.external_id] = (record.status, properties)
        return seen

    await until(follow, {f"r{i:02}": ("created", game(i)) for i in range(25)})
    seen.clear()
    await vendor("records.upsert", [record_of("r03", game(33)), record_of("new", game(1))], stream_id=live)
    await vendor("records.delete", RecordId(SPACE, "r04"), stream_id=live)
    await until(follow, {"r03": ("updated", game(33)), "new": ("created", game(1)), "r04": ("deleted", None)})
    seen.clear()
    assert await follow() == {}, "nothing is told twice"
    assert cursor

    (chunk,) = await vendor(
        "records.sync",
        live,
        initialize_cursor="60m-ago",
        filter=f.Range(of("points"), gt=23),
        sources=[RecordSourceSelector(GAME, ["points"])],
        include_typing=True,
    )
    assert {record.external_id for record in chunk if record.status != "deleted"} == {"r03", "r24"}
    assert chunk.typing[SPACE, "game", "points"].type == Int32()


@proves
async def test_filter_chooses_sorts_and_limits(vendor: Vendor, games: str) -> None:
    assert len(await vendor("records.filter", games)) == 10, "unless told otherwise"
    sort = [InstanceSort(of("points"), "descending"), InstanceSort(of("serial"))]
    records = await vendor("records.filter", games, sort=sort, limit=1000)
    assert [record.external_id for record in records] == sorted(GAMES, key=lambda each: (-GAMES[each]["points"], each))
    both = [RecordSourceSelector(GAME, ["points", "player"]), RecordSourceSelector(NOTE, ["*"])]
    records = await vendor("records.filter", games, sources=both, sort=sort, limit=48, include_typing=True)
    for record in records:
        game = GAMES[record.external_id]
        assert record.properties[SPACE]["game"] == {k: game[k] for k in ("points", "player") if k in game}
        note = record.properties[SPACE].get("note")
        assert note == ({"text": f"about {record.external_id}"} if record.external_id in NOTED else None)
    points, text = records.typing[SPACE, "game", "points"], records.typing[SPACE, "note", "text"]
    assert (points.type, points.nullable, points.auto_increment, points.immutable) == (Int32(), False, False, False)
    assert (text.type, text.nullable) == (Text(), True)
    with_player = [record.external_id for record in await vendor(
        "records.filter", games, sort=[InstanceSort(of("player")), *sort], limit=1000
    )]  # fmt: skip
    assert with_player == sorted(GAMES, key=lambda each: (GAMES[each].get("player", "~"), -GAMES[each]["points"], each))
    nulls = await vendor(
        "records.filter", games, sort=InstanceSort(of("player"), nulls_first=True), sources=both, limit=1
    )
    assert "player" not in nulls[0].properties[SPACE]["game"]
    last = max(record.last_updated_time for record in records)
    assert len(await vendor("records.filter", games, last_updated_time=TimeRange(gt=last))) == 0
    assert len(await vendor("records.filter", games, last_updated_time=TimeRange(gte=0, lte=last), limit=48)) == 48


Game = Mapping[str, Any]
FILTERS: list[tuple[f.Filter, Callable[[Game], bool]]] = [
    (f.MatchAll(), lambda game: True),
    (f.Equals(["space"], SPACE), lambda game: True),
    (f.Equals(of("player"), "ada"), lambda game: game.get("player") == "ada"),
    (f.Equals((GAME, "won"), True), lambda game: game["won"]),
    (f.Equals(of("level"), "hard"), lambda game: game["level"] == "hard"),
    (f.Equals(of("serial"), BIG + 2), lambda game: game["serial"] == BIG + 2),
    (f.Equals(of("rival"), {"space": SPACE, "externalId": "r1"}), lambda game: game["rival"]["externalId"] == "r1"),
    (f.Equals(of("played"), "2025-05-03T10:30:00Z"), lambda game: game["played"].startswith("2025-05-03T10:30")),
    (f.Equals("externalId", "g07"), lambda game: game["id"] == "g07"),
    (f.In(of("player"), ["ada", "eve"]), lambda game: game.get("player") in ("ada", "eve")),
    (f.In(["externalId"], ["g01", "g02", "none"]), lambda game: game["id"] in ("g01", "g02")),
    (f.Range(of("points"), gt=1, lte=13), lambda game: 1 < game["points"] <= 13),
    (f.Range(of("score"), gte=6.5), lambda game: game["score"] >= 6.5),
    (f.Range(of("day"), gte="2025-05-02", lt="2025-05-04"), lambda game: game["day"][-1] in "23"),
    (f.Range(["createdTime"], gt=0), lambda game: True),
    (f.Prefix(of("player"), "e"), lambda game: game.get("player", "").startswith("e")),
    (f.Prefix(["externalId"], "g1"), lambda game: game["id"].startswith("g1")),
    (f.Exists(of("player")), lambda game: "player" in game),
    (f.IsNull(of("tags")), lambda game: "tags" not in game),
    (f.HasData(containers=[GAME, NOTE]), lambda game: game["id"] in NOTED),
    (f.ContainsAny(of("tags"), ["cup", "none"]), lambda game: "cup" in game.get("tags", [])),
    (f.ContainsAll(of("tags"), ["home", "cup"]), lambda game: "cup" in game.get("tags", [])),
    (f.Not(f.Equals(of("won"), True)), lambda game: not game["won"]),
    (
        f.And(f.Equals(of("player"), "ada"), f.Range(of("points"), gt=1)),
        lambda game: game.get("player") == "ada" and game["points"] > 1,
    ),
    (
        f.Equals(of("player"), "ada") | f.Equals(of("player"), "bob"),
        lambda game: game.get("player") in ("ada", "bob"),
    ),
]  # fmt: skip


def meant_by(meant: Callable[[Game], bool]) -> set[str]:
    return {id for id, game in GAMES.items() if meant({**game, "id": id})}


LEFT_OUT = {"Overlaps", "Nested", "InstanceReferences", "SpaceFilter", "Search", "InAssetSubtree", "InvalidFilter"}
"""The filters of the client that records do not have; the GeoJSON ones neither."""


@proves
async def test_every_filter(vendor: Vendor, games: str) -> None:
    for condition, meant in FILTERS:
        expected = meant_by(meant)
        assert expected, condition.dump()
        found = await vendor("records.filter", games, filter=condition, limit=1000)
        assert {record.external_id for record in found} == expected, condition.dump()
        result = await vendor("records.aggregate", {"n": a.Count()}, stream_id=games, filter=condition)
        assert result["n"].value == len(expected), condition.dump()
        chunks = await vendor("records.sync", games, initialize_cursor="1d-ago", filter=condition)
        assert {record.external_id for chunk in chunks for record in chunk} == expected, condition.dump()


@proves
async def test_filters_aggregate(vendor: Vendor, games: str) -> None:
    for start in range(0, len(FILTERS), 10):
        part = FILTERS[start : start + 10]
        chosen = a.Filters([condition for condition, _ in part], {"most": a.Max(of("points"))})
        result = await vendor("records.aggregate", {"each": chosen}, stream_id=games)
        assert {type(each) for each in result.aggregates.values()} == {a.FiltersResult}
        for bucket, (condition, meant) in zip(result["each"].buckets, part, strict=True):
            points = [GAMES[id]["points"] for id in meant_by(meant)]
            assert (bucket.count, bucket.aggregates["most"].value) == (len(points), max(points)), condition.dump()
    plain = {"each": {"filters": {"filters": [{"matchAll": {}}, f.Equals(of("points"), -1).dump()]}}}
    result = await vendor("records.aggregate", plain, stream_id=games, filter={"exists": {"property": of("player")}})
    assert [bucket.count for bucket in result["each"].buckets] == [len(values("player")), 0]


@proves
async def test_metrics(vendor: Vendor, games: str) -> None:
    numbers = {
        "n": a.Count(),
        "players": a.Count(of("player")),
        "avg": a.Average(of("points")),
        "sum": a.Sum(of("score")),
        "min": a.Min(of("score")),
    }
    result = await vendor("records.aggregate", numbers, stream_id=games)
    assert result.typing is None
    assert {name: each.aggregate for name, each in result.aggregates.items()} == {
        "n": "count", "players": "count", "avg": "avg", "sum": "sum", "min": "min"
    }  # fmt: skip
    assert (result["n"].value, result["players"].value) == (48, len(values("player")))
    assert math.isclose(result["avg"].value, sum(values("points")) / 48)
    assert (result["sum"].value, result["min"].value) == (sum(values("score")), 0.5)

    ends: dict[str, Any] = {
        "big": a.Max(of("serial")),
        "small": a.Min((GAME, "serial")),
        "first": a.Min(of("played")),
        "last": {"max": {"property": of("played")}},
        "made": a.Max(["createdTime"]),
    }
    result = await vendor("records.aggregate", ends, stream_id=games, include_typing=True)
    assert (result["small"].value, result["big"].value) == (BIG, BIG + 94), "to the last digit"
    assert moment(result["first"].value) == moment(min(values("played")))
    assert moment(result["last"].value) == moment(max(values("played")))
    records = await vendor("records.filter", games, limit=48)
    assert moment(result["made"].value).timestamp() == max(record.created_time for record in records) / 1000
    assert result.typing[SPACE, "game", "serial"].type == Int64()
    assert result.typing[SPACE, "game", "played"].type == Timestamp()

    nothing = f.Equals(["externalId"], "none")
    for asked in (numbers, ends):
        result = await vendor("records.aggregate", asked, stream_id=games, filter=nothing)
        assert {each.value for each in result.aggregates.values()} == {0}, "a metric over no values is 0"


@proves
async def test_unique_values(vendor: Vendor, games: str) -> None:
    async def buckets(property: Any, **options: Any) -> list[tuple[Any, int]]:
        result = await vendor("records.aggregate", {"u": a.UniqueValues(property, **options)}, stream_id=games)
        assert {type(each) for each in result.aggregates.values()} == {a.UniqueValuesResult}
        return [(bucket.value, bucket.count) for bucket in result["u"].buckets]

    def counted(values: Sequence[Any]) -> list[tuple[Any, int]]:
        return sorted({value: values.count(value) for value in values}.items(), key=lambda each: (-each[1], each[0]))

    assert await buckets(of("player")) == counted(values("player"))
    assert await buckets(of("player"), size=1) == counted(values("player"))[:1]
    assert await buckets(of("points"), size=10_000) == counted(values("points"))
    assert len(await buckets(of("points"))) == 10, "unless told otherwise"
    assert await buckets(of("serial"), size=3) == [(BIG, 1), (BIG + 2, 1), (BIG + 4, 1)]
    assert await buckets(of("won")) == counted(values("won"))
    assert await buckets(of("tags")) == counted([tag for tags in values("tags") for tag in tags])
    assert await buckets(of("rival")) == [({"space": SPACE, "externalId": f"r{i}"}, 24) for i in range(2)]
    assert await buckets(["space"]) == [(SPACE, 48)]

    inner: dict[str, Any] = {"best": a.Max(of("points")), "won": a.UniqueValues(of("won"), {"n": a.Count()})}
    tree = {"who": a.UniqueValues(of("player"), inner)}
    result = await vendor("records.aggregate", tree, stream_id=games)
    for bucket in result["who"].buckets:
        games_of = [game for game in GAMES.values() if game.get("player") == bucket.value]
        assert bucket.aggregates["best"].value == max(game["points"] for game in games_of)
        won = bucket.aggregates["won"].buckets
        assert [(each.value, each.count) for each in won] == counted([game["won"] for game in games_of])
        assert [each.aggregates["n"].value for each in won] == [each.count for each in won]


@proves
async def test_number_histogram(vendor: Vendor, games: str) -> None:
    expected = dict.fromkeys(range(0, 101, 10), 0)
    for points in values("points"):
        expected[points // 10 * 10] += 1
    inner = {"sum": a.Sum(of("points"))}
    asked = {
        "all": a.NumberHistogram(of("points"), 10, inner),
        "some": a.NumberHistogram(of("points"), interval=10, hard_bounds={"min": 10, "max": 90}),
        "half": a.NumberHistogram(of("score"), 0.5, hard_bounds={"max": 0.5}),
    }
    result = await vendor("records.aggregate", asked, stream_id=games)
    assert {type(each) for each in result.aggregates.values()} == {a.NumberHistogramResult}
    starts = {name: {b.interval_start: b.count for b in result[name].buckets} for name in asked}
    assert starts["all"] == expected, "gaps are filled"
    assert list(starts["all"]) == sorted(expected)
    assert {start: n for start, n in starts["some"].items() if n} == {
        start: n for start, n in expected.items() if 10 <= start <= 90 and n
    }
    assert min(starts["some"]) >= 10
    assert max(starts["some"]) <= 90
    assert starts["half"] == {0.5: values("score").count(0.5)}
    for bucket in result["all"].buckets:
        start = bucket.interval_start
        assert bucket.aggregates["sum"].value == sum(p for p in values("points") if start <= p < start + 10)


@proves
async def test_time_histogram(vendor: Vendor, games: str) -> None:
    midnight = [f"2025-05-0{day}T00:00:00Z" for day in range(1, 6)]
    asked: dict[str, Any] = {
        "days": a.TimeHistogram(of("played"), calendar_interval="1d", aggregates={"best": a.Max(of("points"))}),
        "halves": a.TimeHistogram(of("played"), fixed_interval="12h"),
        "bounded": a.TimeHistogram(
            of("played"), calendar_interval="1d", hard_bounds={"min": midnight[1], "max": midnight[3]}
        ),
        "month": a.TimeHistogram(of("played"), calendar_interval="1M"),
        "stored": a.TimeHistogram(["lastUpdatedTime"], calendar_interval="1y"),
    }
    result = await vendor("records.aggregate", asked, stream_id=games)
    assert {type(each) for each in result.aggregates.values()} == {a.TimeHistogramResult}
    found = {name: [(b.interval_start, b.count) for b in result[name].buckets] for name in asked}
    assert found["days"] == [(start, n) for start, (n, _) in zip(midnight, DAYS, strict=True)]
    assert [b.aggregates["best"].value for b in result["days"].buckets] == [best for _, best in DAYS]
    noon = [start.replace("T00", "T12") for start in midnight]
    expected = dict.fromkeys([*midnight, *noon], 0)
    for played in values("played"):
        expected[f"{played[:10]}T{'00' if played[11:13] < '12' else '12'}:00:00Z"] += 1
    halves = sorted(expected.items())
    assert found["halves"] == halves[: max(i for i, (_, n) in enumerate(halves) if n) + 1]
    assert found["bounded"] == found["days"][1:3], "up to its end, but not with it"
    assert found["month"] == [(midnight[0], 48)]
    assert sum(n for _, n in found["stored"]) == 48


@proves
async def test_moving_function(vendor: Vendor, games: str) -> None:
    async def moved(path: str, window: int, function: Any, **beside: Any) -> list[float]:
        inner = {**beside, "fn": a.MovingFunction(path, window, function)}
        days = a.TimeHistogram(of("played"), calendar_interval="1d", aggregates=inner)
        result = await vendor("records.aggregate", {"days": days}, stream_id=games)
        assert all(isinstance(bucket.aggregates["fn"], a.MovingFunctionResult) for bucket in result["days"].buckets)
        return [bucket.aggregates["fn"].fn_value for bucket in result["days"].buckets]

    functions = a.MovingFunctions
    assert await moved("_count", 3, functions.UNWEIGHTED_AVG) == [0, 7.5, 9, 6, 11], "documented"
    best = {"best": a.Max(of("points"))}
    assert await moved("best", 100_000, functions.UNWEIGHTED_AVG, **best) == [0, 10, 40, 30.25, 24.4], "documented"
    assert await moved("_count", 3, functions.MAX) == [0, 10, 12, 12, 20]
    assert await moved("_count", 3, functions.MIN) == [0, 5, 5, 1, 1]
    assert await moved("_count", 3, functions.SUM) == [0, 15, 27, 18, 33]
    first, *linear = await moved("_count", 3, "linearWeightedAvg")
    assert first == 0
    counts = [n for n, _ in DAYS]
    windows = [counts[max(0, i - 2) : i + 1] for i in range(1, 5)]
    assert all(min(window) <= value <= max(window) for value, window in zip(linear, windows, strict=True))
    hard = {"level": a.UniqueValues(of("level"), {"most": a.Max(of("points"))})}
    per_day = [
        max((game["points"] for game in GAMES.values() if game["day"] == f"2025-05-0{day}" and game["level"] == "hard"),
            default=0)
        for day in range(1, 6)
    ]  # fmt: skip
    assert await moved('level["hard"]>most', 1, functions.SUM, **hard) == [0, *per_day[1:]]
    by_points = {"fn": a.MovingFunction("_count", 2, functions.SUM)}
    tree = {"h": a.NumberHistogram(of("points"), 10, by_points)}
    result = await vendor("records.aggregate", tree, stream_id=games)
    counts = [bucket.count for bucket in result["h"].buckets]
    sums = [bucket.aggregates["fn"].fn_value for bucket in result["h"].buckets]
    assert sums == [0, *(one + two for one, two in zip(counts, counts[1:], strict=False))], "gaps take part with 0"


async def test_bodies_are_compressed(address: str, project: str, games: str) -> None:
    """The client's default, seen on the request that it sent."""
    client = AsyncCogniteClient(ClientConfig("tally-tests", project, Token(KEY), base_url=address))
    url, body = f"/api/v1/projects/{project}/models/spaces/byids", {"items": [{"space": SPACE}]}
    response = await client.post(url, json=body)
    assert response.request.headers["content-encoding"] == "gzip"
    assert response.request.content[:2] == b"\x1f\x8b"
    assert [space["space"] for space in response.json()["items"]] == [SPACE]


async def test_pages(address: str, project: str, games: str) -> None:
    """The client asks for a thousand at once and goes on as long as there is a cursor; fewer make more pages."""
    client = AsyncCogniteClient(ClientConfig("tally-tests", project, Token(KEY), base_url=address))
    models = client.data_modeling
    await models.spaces.apply([SpaceApply(fresh("page")) for _ in range(5)])
    spaces, containers = await models.spaces.list(limit=None), await models.containers.list(limit=None)
    for route, everything in (("spaces", spaces.dump()), ("containers", containers.dump())):
        found: list[Any] = []
        page: dict[str, Any] = {"nextCursor": None}
        while "nextCursor" in page and len(found) < len(everything):
            params = {"limit": 2, "cursor": page["nextCursor"]} if found else {"limit": 2}
            url = f"/api/v1/projects/{project}/models/{route}"
            page = (await client.get(url, params=params)).json()
            assert 1 <= len(page["items"]) <= 2
            found += page["items"]
        assert "nextCursor" not in page
        assert [(each["space"], each.get("externalId")) for each in found] == [
            (each["space"], each.get("externalId")) for each in everything
        ]


async def refused(code: int, asked: Awaitable[Any]) -> CogniteAPIError:
    with pytest.raises(CogniteAPIError) as error:
        await asked
    assert error.value.code == code, error.value
    assert error.value.x_request_id
    return error.value


async def test_what_is_missing(vendor: Vendor, live: str) -> None:
    none, sources = fresh("none"), [RecordSource((SPACE, "none"), {"x": 1})]
    record, id = record_of("a", game(1)), RecordId(SPACE, "a")
    one = {"p": ContainerPropertyApply(Text())}
    asked: list[tuple[str, str, Any, dict[str, Any]]] = [
        (none, "records.ingest", record, {"stream_id": none}),
        (none, "records.upsert", record, {"stream_id": none}),
        (none, "records.delete", id, {"stream_id": none}),
        (none, "records.filter", none, {}),
        (none, "records.sync", none, {"initialize_cursor": "1d-ago"}),
        (none, "records.aggregate", {"n": a.Count()}, {"stream_id": none}),
        ("none", "records.ingest", RecordWrite(SPACE, "a", sources), {"stream_id": live}),
        (none, "records.ingest", RecordWrite(none, "a", record.sources), {"stream_id": live}),
        (none, "containers.apply", ContainerApply(none, "c", one, used_for="record"), {}),
    ]
    for name, method, given, options in asked:
        with pytest.raises(CogniteNotFoundError) as error:
            await vendor(method, given, **options)
        assert error.value.code in (400, 404)
        assert name in str(error.value.not_found)
        assert error.value.x_request_id


async def test_what_is_there_already(vendor: Vendor, live: str, archive: str) -> None:
    one, two = record_of("one", game(1)), record_of("two", game(2))
    twice = await refused(422, vendor("records.ingest", [one, one], stream_id=live))
    assert "one" in twice.message, "the client drops `duplicated` unless it is a 409"
    await vendor("records.ingest", one, stream_id=live)
    error = await refused(409, vendor("records.ingest", [one, two], stream_id=live))
    partial = (error.extra or {})["partial"]
    assert {each["externalId"]: each["code"] for each in partial} == {"one": 409, "two": 202}
    await until(lambda: count(vendor, live), 2)
    await refused(422, vendor("records.upsert", one, stream_id=archive))
    await refused(422, vendor("records.delete", RecordId(SPACE, "one"), stream_id=archive))


async def test_what_is_wrong(vendor: Vendor, live: str, games: str) -> None:
    bad = [record_of("good", game(1)), record_of("bad", {"points": "many"})]
    error = await refused(400, vendor("records.ingest", bad, stream_id=live))
    assert "bad" in error.message
    assert "points" in error.message
    await refused(400, vendor("records.ingest", record_of("none", {"score": 1}), stream_id=live))
    assert await count(vendor, live) == 0, "nothing of a refused request is stored"
    error = await refused(400, vendor("records.aggregate", {"n": a.Sum(of("nothing"))}, stream_id=games))
    assert "nothing" in error.message
    await refused(400, vendor("records.aggregate", {"n": a.Sum(of("player"))}, stream_id=games))
    await refused(400, vendor("records.aggregate", {f"n{i}": a.Count() for i in range(6)}, stream_id=games))
    await refused(400, vendor("records.sync", games, cursor="not-a-cursor"))
    units = RecordTargetUnits(unit_system_name="SI")
    await refused(400, vendor("records.aggregate", {"n": a.Count()}, stream_id=games, target_units=units))
    await refused(400, vendor("records.sync", games, initialize_cursor="1d-ago", target_units=units))
    await refused(400, vendor("spaces.delete", SPACE))
    await refused(400, vendor("containers.delete", GAME))
    one = {"p": ContainerPropertyApply(Text())}
    for used_for in ("node", "all", None):
        container = ContainerApply(SPACE, "for_nodes", one, used_for=used_for)
        error = await refused(400, vendor("containers.apply", container))
        assert "usedFor" in error.message
    text = dict.fromkeys(TYPES, ContainerPropertyApply(Text()))
    with pytest.raises(CogniteAPIError) as other:
        await vendor("containers.apply", ContainerApply(SPACE, "game", text, used_for="record"))
    assert other.value.code in (400, 409)
    await refused(400, vendor("streams.create", stream_of(fresh("x"), "NoSuchTemplate")))
    await refused(400, vendor("streams.create", stream_of("cdf_x", "MutableTestStream")))


async def test_what_records_do_not_have(vendor: Vendor, games: str) -> None:
    view = ViewId(SPACE, "game", "v1")
    conditions = [
        f.Overlaps(of("points"), of("score"), gt=1),
        f.Nested(of("rival"), f.Exists(of("points"))),
        f.InstanceReferences([(SPACE, "g01")]),
        f.Search(of("player"), "ada"),
        f.InAssetSubtree(of("player"), ["ada"]),
        f.GeoJSONWithin(of("sheet"), Geometry("Point", [1.5, 2.5])),
        f.SpaceFilter(SPACE),
        f.Equals(of("points"), f.PropertyReferenceValue(of("score"))),
        f.HasData(views=[view]),
        f.Exists((view, "points")),
    ]
    for condition in conditions:
        await refused(400, vendor("records.filter", games, filter=condition))
    asked: list[tuple[str, dict[str, Any]]] = [
        ("records.filter", {"sources": [RecordSourceSelector(view, ["*"])]}),
        ("records.aggregate", {"aggregates": {"n": a.Count((view, "points"))}}),
        ("records.ingest", {"items": RecordWrite(SPACE, "v", [RecordSource(view, game(1))])}),
    ]
    for method, options in asked:
        error = await refused(400, vendor(method, stream_id=games, **options))
        assert "views are not supported, name the container" in error.message


async def test_strangers(vendor: Vendor, address: str, project: str) -> None:
    for stranger in (
        Vendor(vendor.face, address, project, token="sk_wrong"),
        Vendor(vendor.face, address, fresh("nobody")),
    ):
        for name, given in (("streams.list", ()), ("spaces.apply", (SpaceApply(fresh("s")),))):
            with pytest.raises(CogniteProjectAccessError) as error:
                await stranger(name, *given)
            assert error.value.x_request_id


def methods() -> set[str]:
    """The public methods of the four classes."""
    found = {f"{api}.{name}" for api, cls in APIS.items() for name in vars(cls) if not name.startswith("_")}
    return found | {f"{api}()" for api, cls in APIS.items() if "__call__" in vars(cls)}


def builders() -> set[str]:
    """The aggregates and filters that the client can build, without those that records do not have."""
    own = {"Aggregate", "UnknownAggregate", "Filter", "UnknownFilter", *LEFT_OUT}
    found = set()
    for kind, module, base in (("aggregates", a, a.Aggregate), ("filters", f, f.Filter)):
        for name, cls in inspect.getmembers(module, inspect.isclass):
            concrete = issubclass(cls, base) and ABC not in cls.__bases__ and name not in own
            if concrete and not name.startswith("GeoJSON"):
                found.add(f"{kind}.{name}")
    return found


def table() -> str:
    """What was called, its routes, and the faces of the client in which that passed."""
    lines = ["| client | route | passed |", "|---|---|---|"]
    for name, route in sorted({(name, route) for name, route, _ in PASSED}):
        faces = [face for face in FACES if PASSED.get((name, route, face))]
        lines.append(f"| `{name}` | `{route}` | {', '.join(faces)} |")
    return "\n".join(lines)


def test_the_document_tells_what_passed(request: pytest.FixtureRequest) -> None:
    chosen = {getattr(item, "originalname", None) for item in request.session.items}
    if not chosen.issuperset(TESTS):
        pytest.skip("the table is made by all tests of this file")
    assert {name for name, _, _ in PASSED} == methods() | builders()
    document = (ROOT / "docs/clients-records.md").read_text()
    told = re.search(r"^\| client .*?(?=\n\n|\n*\Z)", document, re.M | re.S)
    assert told
    assert told[0] == table(), f"docs/clients-records.md should hold\n{table()}"
