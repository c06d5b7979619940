"""Is the process alive (/healthz), and should it get requests (/readyz)."""

import asyncio

from aiohttp import web

from service.errors import TallyError
from service.web.answers import answer
from service.web.keys import READY, STATE

routes = web.RouteTableDef()


@routes.get("/healthz")
async def healthz(request: web.Request) -> web.Response:
    return answer({"status": "ok"})


@routes.get("/readyz")
async def readyz(request: web.Request) -> web.Response:
    if request.app[STATE].draining:
        return answer({"status": "draining"}, 503)
    try:
        ready = await asyncio.wait_for(request.app[READY](), 5)
    except (TallyError, TimeoutError):
        return answer({"status": "opensearch unreachable"}, 503)
    if not ready:
        return answer({"status": "not set up; run bootstrap"}, 503)
    return answer({"status": "ready"})
