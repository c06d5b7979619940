"""Applied to every request: id and log line, API key, errors in the documented envelope."""

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from service import deadline, metrics, tracing
from service.errors import (
    BadRequest,
    Internal,
    Invalid,
    MethodNotAllowed,
    NotFound,
    TallyError,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from service.telemetry import Backend, backend
from service.web.keys import ERROR_CODE, REASON, SETTINGS, STATE
from service.web.render import error_answer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PUBLIC: Final = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs"})
_PUBLIC_FILES: Final = "/docs/assets/"

_WITHOUT_OPENSEARCH: Final = PUBLIC | {"/metrics"}

log = structlog.get_logger()
_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")
_REQUEST: Final = web.RequestKey("request_id", str)
_UNEXPLAINED: Final = frozenset({401, 404})
"""Statuses whose reason adds nothing."""

_SHOWN: Final = 500
"""Maximum characters of a reason in the log."""


async def identified(request: web.Request, response: web.StreamResponse) -> None:
    """Adds the request's id to every answer; here, since a streamed one sends its headers before its handler ends."""
    if _REQUEST in request:
        response.headers["X-Request-Id"] = request[_REQUEST]


@web.middleware
async def logged(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Logs one line per request, and sets its id."""
    given = request.headers.get("X-Request-Id", "")
    id = given if _ID.fullmatch(given) else secrets.token_hex(8)
    request[_REQUEST] = id
    cost = Backend(id)
    backend.set(cost)
    deadline.start(request.app[SETTINGS].opensearch_timeout)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=id)
    started = time.perf_counter()
    status = 499
    resource = request.match_info.route.resource
    route = resource.canonical if resource else "(unknown)"
    try:
        with _traced(request, route, id) as span:
            response = await handler(request)
            status = response.status
            if span is not None:
                span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    span.set_attribute("error.type", str(status))
        return response
    finally:
        if request.app[SETTINGS].metrics:
            _count(request.method if resource else "(unknown)", route, status, time.perf_counter() - started, cost)
        level = log.debug if route in PUBLIC else log.info
        level(
            "request",
            method=request.method,
            route=route,
            namespace=request.headers.get("X-Namespace") or request.query.get("namespace"),
            status=status,
            **({"error": request[ERROR_CODE]} if ERROR_CODE in request else {}),
            **({"reason": request[REASON][:_SHOWN]} if REASON in request else {}),
            ms=round((time.perf_counter() - started) * 1000, 1),
            took=cost.took,
            searches=cost.requests,
        )


@contextmanager
def _traced(request: web.Request, route: str, id: str) -> Iterator[Any]:
    """Traces the request as a span, unless traces are off. Its log lines name the trace."""
    if route in PUBLIC:
        yield None
        return
    attributes = {
        "http.request.method": request.method,
        "http.route": route,
        "url.scheme": request.scheme,
        "tally.id": id,
    }
    with tracing.span(f"{request.method} {route}", attributes, "server", request.headers) as span:
        if span is not None:
            structlog.contextvars.bind_contextvars(trace_id=tracing.trace_id(span))
        yield span


def _count(method: str, route: str, status: int, seconds: float, cost: Backend) -> None:
    metrics.requests.labels(method, route, str(status)).inc()
    metrics.latency.labels(method, route).observe(seconds)
    metrics.searches.inc(cost.requests)
    metrics.took.inc(cost.took / 1_000)


@web.middleware
async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Counts the requests in flight, so that a shutdown can wait for them."""
    state = request.app[STATE]
    state.in_flight += 1
    metrics.in_flight.inc()
    try:
        return await handler(request)
    finally:
        state.in_flight -= 1
        metrics.in_flight.dec()
        if not state.in_flight:
            state.idle.set()


@web.middleware
async def error_envelope(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Renders every error in the envelope; unexpected ones are logged and not shown."""
    try:
        return await handler(request)
    except TallyError as error:
        metrics.refusals.labels(error.code).inc()
        request[ERROR_CODE] = error.code
        if error.status not in _UNEXPLAINED:
            request[REASON] = error.text() if isinstance(error, Invalid) else error.message
        if error.status >= 500:
            log.warning("failed", status=error.status, message=error.message)
        return error_answer(error, request.path)
    except web.HTTPNotFound:
        return error_answer(NotFound("Route", f"{request.method} {request.path}"), request.path)
    except web.HTTPMethodNotAllowed as error:
        response = error_answer(MethodNotAllowed(f"{request.method} is not for {request.path}"), request.path)
        response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        return response
    except web.HTTPRequestEntityTooLarge:
        return error_answer(TooLarge("the request body is too large; use the import route for volumes"), request.path)
    except web.HTTPException as error:
        return error_answer(BadRequest(error.reason), request.path)
    except asyncio.CancelledError:
        raise
    except ConnectionResetError:
        raise
    except Exception:
        log.exception("unexpected")
        failed = Internal("the service failed; its log knows more under this request's id")
        return error_answer(failed, request.path)


def authorized(key: str) -> Middleware:
    """Lets only bearers of the key in."""
    wanted = hashlib.sha256(key.encode()).digest()

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in PUBLIC and not request.path.startswith(_PUBLIC_FILES):
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            digest = hashlib.sha256(given.strip().encode("utf-8", "surrogateescape")).digest()
            if scheme.lower() != "bearer" or not hmac.compare_digest(digest, wanted):
                raise Unauthorized("send a valid key: header Authorization: Bearer <key>")
        return await handler(request)

    return middleware


@web.middleware
async def reject_until_ready(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Rejects requests that need OpenSearch until it is set up."""
    if not request.app[STATE].opensearch_ready.is_set() and request.path not in _WITHOUT_OPENSEARCH:
        raise Unavailable("Tally is starting; OpenSearch is not available yet", retry_after=5)
    return await handler(request)


async def close_when_draining(request: web.Request, response: web.StreamResponse) -> None:
    """While the process stops, asks clients to close their connections."""
    if request.app[STATE].draining:
        response.headers["Connection"] = "close"
        response.force_close()
