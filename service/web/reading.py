"""Reads requests: the namespace, JSON bodies into models, lines of an import."""

from collections.abc import AsyncIterator
from typing import Any, Final, TypeVar

import orjson
from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError
from pydantic import BaseModel, ValidationError

from service.errors import BadRequest, Invalid, Problem, TooLarge
from service.values import Json
from service.web.keys import SETTINGS

M = TypeVar("M", bound=BaseModel)

_BATCH_LINES: Final = 1_000
_BATCH_BYTES: Final = 4 * 1024 * 1024
_CHUNK: Final = 256 * 1024


def namespace_of(request: web.Request) -> str:
    """`X-Namespace`, else `?namespace=`."""
    namespace = request.headers.get("X-Namespace") or request.query.get("namespace")
    if not namespace:
        raise BadRequest("name the namespace: header X-Namespace (its id or name), or ?namespace= in the query")
    return namespace


async def body_of(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge(
            "the request body is too large; use the import route for volumes",
            {"limit": request.app[SETTINGS].body_limit},
        ) from None
    except (ContentEncodingError, web.RequestPayloadError) as error:
        raise BadRequest(f"the body's Content-Encoding does not hold: {error}") from None


async def json_of(request: web.Request) -> Json:
    body = await body_of(request)
    if not body:
        raise Invalid.at(("body",), "a JSON body is needed", "missing")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid.at(("body",), f"this is no JSON: {error}", "json_invalid") from None


async def model_of(request: web.Request, model: type[M]) -> M:
    return validated(model, await json_of(request))


def validated(model: type[M], value: Json) -> M:
    """The model, or `Invalid` with the place of everything that is wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise Invalid([_problem(each) for each in error.errors(include_url=False)]) from None


def _problem(error: Any) -> Problem:
    message = error["msg"]
    if isinstance(error.get("input"), str | int | float | bool) and error["type"] != "missing":
        shown = repr(error["input"])
        message += f", not {shown if len(shown) <= 60 else shown[:57] + '…'}"
    return Problem(("body", *error["loc"]), message, error["type"])


async def lines_of(request: web.Request, limit: int) -> AsyncIterator[list[tuple[int, bytes | None]]]:
    """Batches of numbered lines of a body of any size; empty lines are passed over, too long ones are None."""
    batch: list[tuple[int, bytes | None]] = []
    size, number, rest, skipping = 0, 0, b"", False
    try:
        async for chunk in request.content.iter_chunked(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                number += 1
                if skipping:
                    batch.append((number, None))
                    skipping = False
                elif line := line.strip():
                    batch.append((number, line))
                    size += len(line)
                if len(batch) >= _BATCH_LINES or size >= _BATCH_BYTES:
                    yield batch
                    batch, size = [], 0
            if skipping or len(rest) > limit:
                rest, skipping = b"", True
    except (ContentEncodingError, web.RequestPayloadError) as error:
        raise BadRequest(f"the body ended after line {number}: {error}; the lines before may be stored") from None
    if skipping:
        batch.append((number + 1, None))
    elif rest := rest.strip():
        batch.append((number + 1, rest))
    if batch:
        yield batch
