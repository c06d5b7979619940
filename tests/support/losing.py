"""A proxy in front of OpenSearch that loses answers: what was asked is done, and nobody hears of it."""

import asyncio
from types import TracebackType
from typing import Final, Self

import aiohttp
from aiohttp import web

_ENDS: Final = ("_update", "_bulk", "_delete_by_query", "_aliases")
_HOP: Final = frozenset({"host", "content-length", "connection", "transfer-encoding"})


class LosingProxy:
    """Counts the writes that pass; `lose` and `die` say what befalls a later one."""

    def __init__(self, url: str) -> None:
        self._target = url
        self.writes = 0
        self._lost: int | None = None
        self._last: int | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(self._target, auto_decompress=False)
        app = web.Application(client_max_size=2**28)
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        await self._session.close()

    def lose(self, number: int | None) -> None:
        """From now on the answer of just that write (from 1) is lost; None for none."""
        self.writes, self._lost, self._last = 0, number, None

    def die(self, number: int) -> None:
        """From now on nothing passes after so many writes, nor the answer of the last one."""
        self.writes, self._lost, self._last = 0, None, number

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if self._last is not None and self.writes >= self._last:
            return self._cut(request)
        write = request.method in ("PUT", "DELETE") or request.path.endswith(_ENDS)
        write = write and "point_in_time" not in request.path
        self.writes += write
        mine = self.writes
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        async with self._session.request(request.method, request.raw_path, data=body, headers=headers) as answer:
            text = await answer.read()
            if write and mine in (self._lost, self._last):
                return self._cut(request)
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            return web.Response(status=answer.status, body=text, headers=kept)

    def _cut(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        raise asyncio.CancelledError
