"""Is the process alive (/healthz), should it get requests (/readyz), and how is it doing (/metrics)."""

import asyncio
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from service.errors import NotFound, TallyError
from service.metrics import exposition
from service.web.answers import answer
from service.web.keys import READY, SETTINGS, STATE

routes = web.RouteTableDef()

_PATIENCE: Final = 3.0
"""Seconds; less than the probes of k8s/ wait."""


@routes.get("/healthz")
async def healthz(request: web.Request) -> web.Response:
    return answer({"status": "ok"})


@routes.get("/readyz")
async def readyz(request: web.Request) -> web.Response:
    if request.app[STATE].draining:
        return answer({"status": "draining"}, 503)
    if not request.app[STATE].begun.is_set():
        return answer({"status": "starting"}, 503)
    try:
        ready = await asyncio.wait_for(request.app[READY](), _PATIENCE)
    except (TallyError, TimeoutError):
        return answer({"status": "opensearch unreachable"}, 503)
    if not ready:
        return answer({"status": "not set up; run bootstrap"}, 503)
    return answer({"status": "ready"})


@routes.get("/metrics")
async def metrics(request: web.Request) -> web.Response:
    """For those who have the key: what all tenants do together is not for each of them to know."""
    if not request.app[SETTINGS].metrics:
        raise NotFound("Route", "GET /metrics (TALLY_METRICS is off)")
    return web.Response(body=exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})
