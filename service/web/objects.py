"""Routes of objects, and of the aggregate over them."""

from typing import Final, cast, get_args

import msgspec
from aiohttp import web

from service.aggregate import aggregate
from service.dialects.flat.spec import AggregateRequest
from service.errors import Invalid
from service.resources.buckets import Policy
from service.resources.objects import failure
from service.web.answers import answer, large_answer
from service.web.buckets import BUCKET
from service.web.keys import OBJECTS, SETTINGS, SOURCE
from service.web.reading import body_of, lines_of, model_of, namespace_of

routes = web.RouteTableDef()

_OBJECTS: Final = f"{BUCKET}/objects"


class _Batch(msgspec.Struct):
    objects: list[msgspec.Raw]


_batch = msgspec.json.Decoder(_Batch | list[msgspec.Raw]).decode


@routes.post(_OBJECTS)
@routes.post(f"{_OBJECTS}/create")
async def create(request: web.Request) -> web.Response:
    namespace, bucket, policy = namespace_of(request), request.match_info["bucket"], _policy(request)
    return answer(await request.app[OBJECTS].create(namespace, bucket, await body_of(request), policy))


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
