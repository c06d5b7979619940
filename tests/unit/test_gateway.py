"""The gateway: what it sends again, what it waits for, and what each answer of OpenSearch is to its callers."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from service import deadline
from service.errors import InsufficientStorage, TimedOut, TooManyRequests, Unavailable
from service.storage.gateway import Absent, Conflict, Gateway, Rejected, next_page

Json = Any
Answer = tuple[int, Json]

WHOLE = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}


def found(*hits: Json) -> Answer:
    return 200, {"took": 1, "timed_out": False, "_shards": WHOLE, "hits": {"hits": list(hits)}}


def failed(status: int, type: str, reason: str = "", **more: Json) -> Answer:
    cause = {"type": type, "reason": reason, **more}
    return status, {"error": {**cause, "root_cause": [cause]}, "status": status}


STARTING = failed(503, "search_phase_execution_exception", "all shards failed", failed_shards=[])
BUSY = failed(429, "rejected_execution_exception")


class Script:
    """An OpenSearch that gives its answers in turn, the last one for ever, and keeps what it was asked."""

    def __init__(self, answers: Sequence[Answer | float]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, Json]] = []

    async def answer(self, request: web.Request) -> web.Response:
        text = await request.text()
        self.asked.append((request.method, request.path_qs, json.loads(text) if text else None))
        now = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not isinstance(now, tuple):
            await asyncio.sleep(now)
            now = found()
        status, body = now
        return web.json_response(body, status=status)


@asynccontextmanager
async def scripted(*answers: Answer | float, timeout: float = 5.0) -> AsyncIterator[tuple[Gateway, Script]]:
    script, app = Script(answers), web.Application()
    app.router.add_route("*", "/{path:.*}", script.answer)
    async with TestServer(app) as server:
        gateway = Gateway(str(server.make_url("")).rstrip("/"), timeout=timeout)
        try:
            yield gateway, script
        finally:
            await gateway.close()


async def test_what_a_node_on_the_way_refuses_is_sent_again() -> None:
    async with scripted((502, {}), (503, {}), found()) as (gateway, script):
        _, again = await gateway.request_once_or_again("POST", "/i/_search", {})
        assert again
        assert len(script.asked) == 3
    async with scripted((503, {})) as (gateway, script):
        with pytest.raises(Unavailable):
            await gateway.request("POST", "/i/_search", {})
        assert len(script.asked) == 3


async def test_a_read_waits_for_shards_that_start() -> None:
    async with scripted(STARTING, STARTING, STARTING, STARTING, found()) as (gateway, script):
        await gateway.search("tally-*", {})
        assert len(script.asked) == 5
    async with scripted(STARTING) as (gateway, script):
        started = time.monotonic()
        with pytest.raises(Unavailable):
            await gateway.search("tally-*", {})
        assert 1.5 < time.monotonic() - started < 4


async def test_waiting_for_shards_is_no_failure() -> None:
    async with scripted(*[STARTING] * 4, (502, {}), (502, {}), found()) as (gateway, script):
        await gateway.search("tally-*", {})
        assert len(script.asked) == 7


async def test_it_waits_no_longer_than_its_request_may() -> None:
    async with scripted(STARTING) as (gateway, _):
        deadline.start(0.3)
        started = time.monotonic()
        with pytest.raises(TimedOut):
            await gateway.search("tally-*", {})
        assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (failed(404, "resource_not_found_exception"), Absent),
        (failed(404, "index_not_found_exception", index="i"), Absent),
        (failed(409, "version_conflict_engine_exception"), Conflict),
        (failed(400, "parsing_exception", "no"), Rejected),
        (BUSY, TooManyRequests),
        (
            failed(403, "cluster_block_exception", "index [i] blocked by: [TOO_MANY_REQUESTS/12/disk];"),
            InsufficientStorage,
        ),
        (failed(400, "index_closed_exception"), Unavailable),
        (failed(500, "node_closed_exception"), Unavailable),
        ((200, {"took": 1, "timed_out": False, "_shards": {**WHOLE, "total": 2}, "hits": {}}), Unavailable),
        ((200, {"took": 1, "timed_out": True, "_shards": WHOLE, "hits": {}}), Unavailable),
        ((200, {"took": 1, "timed_out": False, "_shards": {**WHOLE, "failed": 1}, "hits": {}}), Unavailable),
    ],
)
async def test_no_answer_but_a_whole_one_passes(answer: Answer, error: type[Exception]) -> None:
    async with scripted(answer) as (gateway, script):
        with pytest.raises(error):
            await gateway.search("i", {})
        assert len(script.asked) == 1


async def test_no_answer_in_time() -> None:
    async with scripted(3.0, timeout=0.3) as (gateway, _):
        with pytest.raises(TimedOut):
            await gateway.request("GET", "/")


async def test_opensearch_is_told_how_long_it_has() -> None:
    async with scripted(found()) as (gateway, script):
        deadline.start(2.0)
        await gateway.search("i", {})
        _, path, _ = script.asked[0]
        (milliseconds,) = [each.split("=")[1] for each in path.split("?")[1].split("&") if "cancel_after" in each]
        assert 1_500 < int(milliseconds.removesuffix("ms")) <= 2_000
        assert "allow_partial_search_results=false" in path


async def test_a_full_disk_is_noted_once_it_is_met() -> None:
    full = failed(403, "cluster_block_exception", "index [i] blocked by: [TOO_MANY_REQUESTS/12/disk];")
    async with scripted(full) as (gateway, _):
        with pytest.raises(InsufficientStorage):
            await gateway.request("PUT", "/i/_doc/1", {})
        assert gateway.write_block is not None


async def test_documents_by_id() -> None:
    there = {"_id": "a", "found": True, "_source": {}}
    starting = {"_id": "a", "error": {"type": "no_shard_available_action_exception", "reason": ""}}
    async with scripted((200, {"docs": [starting]}), (200, {"docs": [there]})) as (gateway, script):
        assert await gateway.get_many("i", ["a"], ["b"], ["part"]) == [there]
        assert script.asked[0][2] == {"docs": [{"_id": "a"}, {"_id": "b", "_source": ["part"]}]}
    async with scripted((200, {"docs": [{"error": {"type": "index_not_found_exception"}}]})) as (gateway, _):
        with pytest.raises(Absent):
            await gateway.get_many("i", ["a"])
    async with scripted(found()) as (gateway, script):
        assert await gateway.get_many("i", []) == []
        assert script.asked == []


async def test_a_walk_has_every_page_once() -> None:
    hits = [{"_id": str(n), "sort": [n]} for n in range(250)]
    async with scripted(found(*hits[:200]), found(*hits[200:])) as (gateway, script):

        def read(text: str) -> list[tuple[Json, str]]:
            return [(hit["sort"], hit["_id"]) for hit in json.loads(text)["hits"]["hits"]]

        pages = [page async for page in gateway.pages("pit", {"sort": ["n"]}, read)]
        assert [id for page in pages for id in page] == [hit["_id"] for hit in hits]
        first, second = (body for _, _, body in script.asked)
        assert first["pit"]["id"] == "pit"
        assert "search_after" not in first
        assert second["search_after"] == [199]
        assert second["size"] == next_page(200, len(json.dumps(found(*hits[:200])[1])))


async def test_a_point_in_time_is_closed_whatever_happens() -> None:
    async with scripted((200, {"pit_id": "p", "_shards": WHOLE}), found()) as (gateway, script):
        with pytest.raises(ZeroDivisionError):
            async with gateway.point_in_time("i"):
                raise ZeroDivisionError
        assert [(method, path.split("?")[0]) for method, path, _ in script.asked] == [
            ("POST", "/i/_search/point_in_time"),
            ("DELETE", "/_search/point_in_time"),
        ]
