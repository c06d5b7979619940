"""Answers as JSON."""

import asyncio
import json
from typing import Any, Final

import msgspec
from aiohttp import web

from service import metrics
from service.errors import TallyError, record_envelope

_INLINE_ROWS: Final = 500


def answer(value: Any, status: int = 200) -> web.Response:
    return _json(encode(value), status)


def _json(body: bytes, status: int = 200) -> web.Response:
    metrics.answered.inc(len(body))
    return web.Response(body=body, status=status, content_type="application/json")


async def large_answer(value: Any, rows: int, status: int = 200) -> web.Response:
    """Serialized in a thread if there are many rows, so as not to block other requests."""
    if rows <= _INLINE_ROWS:
        return answer(value, status)
    return _json(await asyncio.to_thread(encode, value), status)


def error_answer(error: TallyError, path: str = "") -> web.Response:
    """The error in the envelope of the path's API."""
    status, body = record_envelope(error) if path.startswith("/api/") else (error.status, error.envelope())
    response = answer(body, status)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def encode(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except OverflowError:
        # Integers beyond 64 bits, which exact sums can reach.
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_raw).encode()


def _raw(value: Any) -> Any:
    return msgspec.json.decode(value)
