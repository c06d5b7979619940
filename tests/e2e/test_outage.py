"""OpenSearch that is not there yet, hangs, dies and comes back, under a service that goes on throughout.

The tests run in the order written, on one node of their own.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.cli.embedded import EmbeddedNode, default_cache, ensure_home
from tests.support.client import Client
from tests.support.kinds import SPEC, TREE, House, Kind, Told, today, told
from tests.support.processes import Service, free_port
from tests.support.records import record

Json = Any
KEY = "sk_outage_0123456789"
TIMEOUT = 3.0
"""Seconds, the setting."""
SLACK = 2.0
"""Seconds that an answer may come later, on a machine that others use, too."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedNode]:
    """Not started."""
    node = EmbeddedNode(
        ensure_home(default_cache()), tmp_path_factory.mktemp("opensearch"), heap="512m", http_port=free_port()
    )
    yield node
    node.stop()


@pytest.fixture(scope="module")
def service(node: EmbeddedNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {
        "PORT": free_port(),
        "OPENSEARCH_URL": f"http://127.0.0.1:{node._port}",
        "OPENSEARCH_TIMEOUT": TIMEOUT,
        "CARETAKING_SECONDS": 1,
        "API_KEY": KEY,
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "warning",
    }
    with Service("serve", folder=tmp_path_factory.mktemp("service"), settings=settings) as service:
        service.address = f"http://127.0.0.1:{settings['PORT']}"  # type: ignore[attr-defined]
        yield service


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with Client(service.address, KEY, "outage") as client:  # type: ignore[attr-defined]
        yield client


async def probe(client: Client, path: str) -> tuple[int, float]:
    """Status and seconds, on a connection of its own, as a probe has it; status 0 where nobody listens."""
    started = time.monotonic()
    try:
        async with aiohttp.ClientSession(client.address) as session, session.get(path) as response:
            return response.status, time.monotonic() - started
    except aiohttp.ClientConnectionError:
        return 0, time.monotonic() - started


async def until_status(client: Client, path: str, wanted: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (status := (await probe(client, path))[0]) != wanted:
        assert time.monotonic() < deadline, f"{path} is {status}, not {wanted}, after {seconds} s"
        await asyncio.sleep(0.1)


async def check_health(client: Client) -> None:
    """Alive, not ready, and quick to say so."""
    for path, wanted, most in (("/healthz", 200, 1.0), ("/readyz", 503, 3.0 + SLACK)):
        status, seconds = await probe(client, path)
        assert status == wanted, path
        assert seconds < most, path


async def check_refused(client: Client, kinds: list[Kind], most: float) -> list[Told]:
    answers = await asyncio.gather(*(told(client, kind) for kind in kinds))
    for answer in answers:
        answer.refused()
    late = [(each.kind.name, round(each.seconds, 2)) for each in answers if each.seconds > most]
    assert not late, late
    return answers


async def state_of(house: House) -> Json:
    """What was acknowledged, as every way of asking tells it; without what tests of outages wrote."""
    client, project = house.client, house.project
    mine = {"filters": {"field": "metadata.n", "operator": "gte", "value": 0}}
    rows = (await client.aggregate(house.bucket, {**SPEC, **mine}))["results"]
    listed = await client.ok("POST", f"/v1/buckets/{house.bucket}/objects/list", {**mine, "limit": 1000})
    prefix = {"prefix": {"property": ["externalId"], "value": "r"}}
    got = [await client.ok("GET", f"/v1/buckets/{house.bucket}/objects/{id}") for id in house.ids[1:4]]
    return {
        "rows": rows,
        "listed": [each["object_id"] for each in listed["results"]],
        "got": got,
        "records": await project.ids(house.mutable, prefix),
        "sum": await project.aggregate(house.mutable, TREE["aggregates"], filter=prefix),
        "log": await project.aggregate(house.immutable, TREE["aggregates"], filter=prefix, **today()),
    }


async def test_a_service_starts_without_opensearch_and_is_ready_when_it_comes(
    node: EmbeddedNode, service: Service, client: Client
) -> None:
    await asyncio.to_thread(service.says, "not ready, will be tried again")
    await until_status(client, "/healthz", 200, 10)
    await check_health(client)
    for path in ("/v1/buckets/any", "/api/v1/projects/any/streams"):
        await check_refused(client, [Kind("first", "GET", path)], 1.0)
    assert (await client.send("GET", "/metrics"))[0] == 200
    assert (await client.call("GET", "/v1/buckets/any", headers={"Authorization": "Bearer no"}))[0] == 401
    await asyncio.to_thread(node.start)
    await until_status(client, "/readyz", 200, 30)
    assert service.process.poll() is None
    assert not any("Traceback" in line for line in service.err)


@pytest.fixture(scope="module")
async def house(service: Service) -> AsyncIterator[House]:
    async with Client(service.address, KEY) as client:  # type: ignore[attr-defined]
        yield await House.made(client, "outage")


async def check_all_answer(house: House, mark: str) -> None:
    answers = await asyncio.gather(*(told(house.client, kind) for kind in house.kinds(mark)))
    wanted = {"delete": (404,)}
    bad = [(a.kind.name, a.status, a.text[:300]) for a in answers if a.status not in wanted.get(a.kind.name, OK)]
    assert not bad, bad


OK = (200, 201, 202, 204)


async def test_everything_answers(house: House) -> None:
    await check_all_answer(house, "well")


async def test_a_hanging_opensearch_is_told_in_time(node: EmbeddedNode, service: Service, house: House) -> None:
    """It takes connections and says nothing."""
    before = await state_of(house)
    os.kill(node.pid, signal.SIGSTOP)
    try:
        await check_health(house.client)
        await check_refused(house.client, house.kinds("hung"), TIMEOUT + SLACK)
        await check_health(house.client)
        # Again, with every connection to it taken.
        await check_refused(house.client, house.kinds("hung2"), TIMEOUT + SLACK)
    finally:
        os.kill(node.pid, signal.SIGCONT)
    await until_status(house.client, "/readyz", 200, 10)
    assert await state_of(house) == before
    await check_all_answer(house, "after-hanging")
    assert not any("Traceback" in line for line in service.err)


async def test_a_service_starts_while_opensearch_hangs(node: EmbeddedNode, service: Service, tmp_path: Path) -> None:
    settings = {"PORT": free_port(), "OPENSEARCH_URL": node.url, "OPENSEARCH_TIMEOUT": TIMEOUT, "API_KEY": KEY}
    os.kill(node.pid, signal.SIGSTOP)
    try:
        with Service("serve", folder=tmp_path, settings={**settings, "LOG_FORMAT": "json"}) as other:
            async with Client(f"http://127.0.0.1:{settings['PORT']}", KEY) as client:
                await until_status(client, "/healthz", 200, 20)
                await check_health(client)
                os.kill(node.pid, signal.SIGCONT)
                await until_status(client, "/readyz", 200, 20)
                ready = json.loads(other.line_with('"event": "ready"'))
                assert ready["tries"] > 1
                assert (await client.call("GET", "/v1/namespaces/default"))[0] == 200
    finally:
        os.kill(node.pid, signal.SIGCONT)


@pytest.mark.parametrize("way", ["stop", "kill"])
async def test_a_dead_opensearch_is_told_and_its_return_heals_all(
    node: EmbeddedNode, service: Service, house: House, way: str
) -> None:
    """Stopped gently, or as by a power cut."""
    client, project = house.client, house.project
    before = await state_of(house)
    page = await client.ok("POST", f"/v1/buckets/{house.bucket}/objects/list", {"limit": 5})
    news, sync = await project.news(house.mutable)
    assert news
    back, odd = asyncio.Event(), []

    async def ask() -> None:
        """All the time while it ends and starts: an answer is whole, or a refusal that says to come again."""
        while not back.is_set():
            for kind in house.kinds("ending"):
                if kind.reads:
                    answer = await told(client, kind)
                    if answer.status not in (200, 503, 504) or answer.seconds > TIMEOUT + SLACK:
                        odd.append((kind.name, answer.status, answer.text[:300], answer.seconds))

    asking = asyncio.create_task(ask())
    await asyncio.to_thread(node.stop if way == "stop" else node.kill)
    await check_health(client)
    await check_refused(client, house.kinds(f"dead-{way}"), TIMEOUT + SLACK)
    await asyncio.to_thread(node.start)
    await until_status(client, "/readyz", 200, 20)
    back.set()
    await asking
    assert not odd, odd[:5]
    assert await state_of(house) == before
    await check_all_answer(house, f"after-{way}")
    body = {"limit": 5, "cursor": page["pagination"]["next_cursor"]}
    following = await client.ok("POST", f"/v1/buckets/{house.bucket}/objects/list", body)
    assert [each["metadata"]["n"] for each in following["results"]] == [5, 6, 7, 8, 9]
    await project.upsert(house.mutable, record(f"new-{way}", {"i32": 7}))
    told_now, _ = await project.news(house.mutable, sync)
    assert f"new-{way}" in [each["externalId"] for each in told_now]
    assert not {each["externalId"] for each in told_now} & {f"r{n}" for n in range(20)}
    assert service.process.poll() is None
    assert not any("Traceback" in line for line in service.err)
