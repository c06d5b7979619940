"""Liveness (/healthz), readiness (/readyz) and metrics (/metrics)."""

import asyncio
from typing import Annotated, Any, Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from service.errors import NotFound, TallyError
from service.metrics import exposition
from service.web import schemas
from service.web.keys import READY, SETTINGS, STATE
from service.web.render import answer
from service.web.route import Answer, Routes

routes = Routes("Service", "service")

_TIMEOUT: Final = 3.0
"""Seconds; less than the timeout of the probes in k8s/."""


@routes.get("/healthz", public=True)
async def get_health(request: web.Request) -> schemas.Alive:
    """Is the process alive.

    Answers as long as the process does; it says nothing about OpenSearch.
    """
    return {"status": "ok"}


@routes.get("/readyz", public=True, also={503: schemas.NotReady})
async def get_readiness(request: web.Request) -> schemas.Ready:
    """Should it get requests.

    OpenSearch answers, its templates exist, and the process is not about to stop. While OpenSearch takes no writes, as
    its disk is full, the process stays ready, since everything can be read; `writes` has the cause.
    """
    status = await _status(request)
    found: Any = status if status["status"] == "ready" else answer(status, 503)
    return found


async def _status(request: web.Request) -> dict[str, str]:
    if request.app[STATE].draining:
        return {"status": "draining"}
    if not request.app[STATE].opensearch_ready.is_set():
        return {"status": "starting"}
    try:
        ready = await asyncio.wait_for(request.app[READY](), _TIMEOUT)
    except (TallyError, TimeoutError):
        return {"status": "opensearch unreachable"}
    if not ready.set_up:
        return {"status": "not set up; run bootstrap"}
    if ready.write_block is not None:
        # Everything can be read: if a load balancer removed the process, it would get worse.
        return {"status": "ready", "writes": f"blocked: {ready.write_block}"}
    return {"status": "ready"}


@routes.get("/metrics", errors=(NotFound,))
async def get_metrics(request: web.Request) -> Annotated[str, Answer(("text/plain",))]:
    """Metrics for Prometheus.

    Numbers of all processes and all tenants together; no namespace, bucket or key is a label. They need the key, as
    what all tenants do together is not for each of them to know.
    """
    if not request.app[SETTINGS].metrics:
        raise NotFound("Route", "GET /metrics (TALLY_METRICS is off)")
    response: Any = web.Response(body=exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})
    return response
