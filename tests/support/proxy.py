"""A proxy in front of OpenSearch that does what networks and busy servers do.

It loses answers (what was asked is done, and nobody hears of it), stops passing anything, makes everything slow, cuts
answers off or lets them drip, and says 429 to bulk requests, or to single items of them, which OpenSearch then never
sees.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import orjson
from aiohttp import web

Json = Any

_ENDS: Final = ("_update", "_bulk", "_delete_by_query", "_aliases")
_HOP: Final = frozenset({"host", "content-length", "connection", "transfer-encoding"})
_BUSY: Final = {
    "type": "rejected_execution_exception",
    "reason": "rejected execution of coordinating operation [said by the proxy]",
}
_DRIPS: Final = 10
"""Pieces in which an answer comes that drips."""


class Proxy:
    """One address for each node of a cluster. Counts the writes that pass, over all of them.

    `lose`, `die` and `interrupt` say what befalls a later write; the numbers below are in force until they are changed.
    """

    def __init__(self, *urls: str) -> None:
        self._targets = urls
        self.writes = 0
        self._lost: int | None = None
        self._last: int | None = None
        self._then: Callable[[], Awaitable[None]] | None = None
        self.lossy = 0.0
        """The share of writes whose answers are lost, never two in a row."""
        self._was_lost = False
        self._chance = random.Random(1)
        self.latency = 0.0
        """Seconds that each request waits before it is passed on."""
        self.cut = 0.0
        """The share of answers that end in the middle."""
        self.drip = 0.0
        """Seconds between the pieces of each answer; 0: answers are not divided."""
        self.busy = 0.0
        """The share of bulk requests that are refused with a 429."""
        self.busy_items = 0.0
        """The share of the items of bulk requests that are refused with a 429."""

    async def __aenter__(self) -> Self:
        self._sessions = [aiohttp.ClientSession(url, auto_decompress=False) for url in self._targets]
        self._runners: list[web.AppRunner] = []
        for session in self._sessions:
            app = web.Application(client_max_size=2**28)
            app.router.add_route("*", "/{path:.*}", self._handler(session))
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self._runners.append(runner)
        self.urls = [f"http://127.0.0.1:{runner.addresses[0][1]}" for runner in self._runners]
        self.url = ",".join(self.urls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(runner.cleanup() for runner in self._runners))
        for session in self._sessions:
            await session.close()

    def lose(self, number: int | None) -> None:
        """From now on the answer of just that write (from 1) is lost; None for none."""
        self.writes, self._lost, self._last, self._then = 0, number, None, None

    def die(self, number: int) -> None:
        """From now on nothing passes after so many writes, nor the answer of the last one."""
        self.writes, self._lost, self._last, self._then = 0, None, number, None

    def interrupt(self, number: int, then: Callable[[], Awaitable[None]]) -> None:
        """When just that write is done, and before its answer is lost, something happens: its sender is killed."""
        self.writes, self._lost, self._last, self._then = 0, number, None, then

    def calm(self) -> None:
        """Everything passes again."""
        self.lose(None)
        self.latency = self.cut = self.lossy = self.drip = self.busy = self.busy_items = 0.0

    def _handler(self, session: aiohttp.ClientSession) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def passed(request: web.Request) -> web.StreamResponse:
            return await self._pass(session, request)

        return passed

    async def _pass(self, session: aiohttp.ClientSession, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if self.latency:
            await asyncio.sleep(self.latency)
        if self._last is not None and self.writes >= self._last:
            return self._abort(request)
        is_bulk = request.path.endswith("_bulk")
        if is_bulk and self._chance.random() < self.busy:
            return web.json_response({"error": {"root_cause": [_BUSY], **_BUSY}, "status": 429}, status=429)
        write = request.method in ("PUT", "DELETE") or request.path.endswith(_ENDS)
        write = write and "point_in_time" not in request.path
        self.writes += write
        mine = self.writes
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        refused: Sequence[bool] = ()
        if is_bulk and self.busy_items:
            headers = {name: value for name, value in headers.items() if name.lower() != "accept-encoding"}
            headers["Accept-Encoding"] = "identity"
            body, refused = self._divided(body)
            if not body:
                return web.json_response({"took": 0, "errors": True, "items": _united([], refused)})
        try:
            async with session.request(request.method, request.raw_path, data=body, headers=headers) as answer:
                text = await answer.read()
                status, received = answer.status, dict(answer.headers)
        except (aiohttp.ClientError, ConnectionError):
            return self._abort(request)
        if write and mine == self._lost and self._then is not None:
            await self._then()
        if write and (mine in (self._lost, self._last) or self._is_lost_now()):
            return self._abort(request)
        if any(refused) and status == 200:
            told = orjson.loads(text)
            text = orjson.dumps({**told, "errors": True, "items": _united(told["items"], refused)})
        kept = {name: value for name, value in received.items() if name.lower() not in _HOP}
        return await self._answered(request, status, text, kept)

    async def _answered(
        self, request: web.Request, status: int, text: bytes, headers: dict[str, str]
    ) -> web.StreamResponse:
        is_cut = self._chance.random() < self.cut
        if not text or not (is_cut or self.drip):
            return web.Response(status=status, body=text, headers=headers)
        response = web.StreamResponse(status=status, headers=headers | {"Content-Length": str(len(text))})
        await response.prepare(request)
        size = max(1, len(text) // _DRIPS)
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        for piece in pieces[: len(pieces) // 2] if is_cut else pieces:
            await response.write(piece)
            await asyncio.sleep(self.drip)
        if is_cut:
            return self._abort(request)
        await response.write_eof()
        return response

    def _is_lost_now(self) -> bool:
        self._was_lost = not self._was_lost and self._chance.random() < self.lossy
        return self._was_lost

    def _divided(self, body: bytes) -> tuple[bytes, list[bool]]:
        """What of a bulk request is passed on, and which of its items are refused."""
        kept: list[bytes] = []
        refused: list[bool] = []
        lines = iter(body.splitlines(keepends=True))
        for line in lines:
            ((verb, _),) = json.loads(line).items()
            item = [line] if verb == "delete" else [line, next(lines)]
            refused.append(self._chance.random() < self.busy_items)
            if not refused[-1]:
                kept += item
        return b"".join(kept), refused

    def _abort(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        raise asyncio.CancelledError


def _united(items: list[Json], refused: Sequence[bool]) -> list[Json]:
    rest = iter(items)
    return [{"index": {"status": 429, "error": _BUSY}} if each else next(rest) for each in refused]
