"""Routes of objects, and of the aggregate over them."""

from typing import Final, cast, get_args

import msgspec
import structlog
from aiohttp import web

from service.aggregate import aggregate
from service.dialects.flat.listing import ListRequest
from service.dialects.flat.spec import AggregateRequest
from service.errors import Invalid, TallyError
from service.resources.buckets import Policy
from service.resources.objects import DeleteObjects, failure
from service.web.answers import answer, large_answer
from service.web.buckets import BUCKET
from service.web.keys import OBJECTS, SETTINGS, SOURCE
from service.web.lists import envelope, from_parts, list_request, lists_objects
from service.web.reading import body_of, json_from, lines_of, model_of, namespace_of

routes = web.RouteTableDef()

log = structlog.get_logger()

_OBJECTS: Final = f"{BUCKET}/objects"


class _Batch(msgspec.Struct):
    objects: list[msgspec.Raw]


_batch = msgspec.json.Decoder(_Batch | list[msgspec.Raw]).decode


@routes.post(_OBJECTS)
async def create_or_list(request: web.Request) -> web.Response:
    """Creates (since late 2025) or lists (before), which the keys of the body tell; with a `policy` it creates."""
    raw = await body_of(request)
    if "policy" in request.query or not lists_objects(raw):
        return await _created(request, raw)
    return await _listed(request, from_parts(request, json_from(raw) if raw else None))


@routes.get(_OBJECTS)
@routes.post(f"{_OBJECTS}/list")
async def list_all(request: web.Request) -> web.Response:
    return await _listed(request, await list_request(request))


async def _listed(request: web.Request, asked: ListRequest) -> web.Response:
    page, results = await request.app[OBJECTS].list(namespace_of(request), request.match_info["bucket"], asked)
    return await large_answer(envelope(request, asked, page, results, skips=True), len(results))


@routes.get(f"{_OBJECTS}/export")
@routes.post(f"{_OBJECTS}/export")
async def export(request: web.Request) -> web.StreamResponse:
    """NDJSON; a stream that could not be told to its end is cut off, so that nobody takes it for whole."""
    asked = await list_request(request)
    pages = await request.app[OBJECTS].export(namespace_of(request), request.match_info["bucket"], asked)
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    first = await anext(pages, b"")
    await response.prepare(request)
    try:
        await response.write(first)
        async for lines in pages:
            await response.write(lines)
    except Exception as error:
        log.warning("export cut off", cause=str(error), exc_info=not isinstance(error, TallyError | OSError))
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


@routes.post(f"{_OBJECTS}/delete")
async def delete_matching(request: web.Request) -> web.Response:
    wanted = await model_of(request, DeleteObjects)
    return answer(
        await request.app[OBJECTS].delete_matching(namespace_of(request), request.match_info["bucket"], wanted)
    )


@routes.post(f"{_OBJECTS}/create")
async def create(request: web.Request) -> web.Response:
    return await _created(request, await body_of(request))


async def _created(request: web.Request, raw: bytes) -> web.Response:
    namespace, bucket, policy = namespace_of(request), request.match_info["bucket"], _policy(request)
    return answer(await request.app[OBJECTS].create(namespace, bucket, raw, policy))


@routes.post(f"{_OBJECTS}/batch")
async def batch(request: web.Request) -> web.Response:
    """`{"objects": […]}` in, a summary out; a bare array in, a bare array out (older era)."""
    namespace, bucket, policy = namespace_of(request), request.match_info["bucket"], _policy(request)
    try:
        body = _batch(await body_of(request))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid.at(
            ("body",), f'send {{"objects": […]}} or an array of objects: {error}', "json_invalid"
        ) from None
    except RecursionError:
        raise Invalid.at(("body",), "nested too deep", "too_deep") from None
    raws = body.objects if isinstance(body, _Batch) else body
    limit = request.app[SETTINGS].batch_limit
    if len(raws) > limit:
        raise Invalid.at(
            ("body", "objects"),
            f"at most {limit} objects in a batch, not {len(raws)}; import takes any number",
            "too_long",
        )
    writes = await request.app[OBJECTS].batch(namespace, bucket, raws, policy)
    succeeded = [write.answer for write in writes if write.error is None]
    failed = [failure(write) for write in writes if write.error is not None]
    if not isinstance(body, _Batch) and not failed:
        return answer(succeeded)
    return answer(
        {
            "succeeded": succeeded,
            "failed": failed,
            "total_requested": len(writes),
            "succeeded_count": len(succeeded),
            "failed_count": len(failed),
        }
    )


@routes.post(f"{_OBJECTS}/import")
async def load(request: web.Request) -> web.Response:
    """NDJSON of any size, plain or gzip."""
    namespace, bucket, policy = namespace_of(request), request.match_info["bucket"], _policy(request)
    batches = lines_of(request, request.app[SETTINGS].body_limit)
    return answer((await request.app[OBJECTS].load(namespace, bucket, batches, policy)).model_dump())


@routes.post(f"{_OBJECTS}/aggregate")
async def aggregate_objects(request: web.Request) -> web.Response:
    source = await request.app[SOURCE](namespace_of(request), request.match_info["bucket"])
    spec = await model_of(request, AggregateRequest)
    result = await aggregate(spec, source, request.app[SETTINGS])
    return await large_answer(result, result["total_groups"])


@routes.get(_OBJECTS + "/{object}")
async def get(request: web.Request) -> web.Response:
    return answer(await request.app[OBJECTS].get(*_place(request)))


@routes.put(_OBJECTS + "/{object}")
@routes.patch(_OBJECTS + "/{object}")
async def update(request: web.Request) -> web.Response:
    return answer(await request.app[OBJECTS].update(*_place(request), await body_of(request)))


@routes.delete(_OBJECTS + "/{object}")
async def delete(request: web.Request) -> web.Response:
    await request.app[OBJECTS].delete(*_place(request))
    return web.Response(status=204)


def _place(request: web.Request) -> tuple[str, str, str]:
    return namespace_of(request), request.match_info["bucket"], request.match_info["object"]


def _policy(request: web.Request) -> Policy | None:
    policy = request.query.get("policy")
    if policy is not None and policy not in get_args(Policy):
        raise Invalid.at(("query", "policy"), f"insert, update or upsert, not {policy!r}", "literal_error")
    return cast(Policy | None, policy)
