"""Routes of buckets."""

from typing import Final

from aiohttp import web

from service.dialects.flat.listing import ListRequest
from service.resources.buckets import CreateBucket, UpdateBucket
from service.web.answers import answer, large_answer
from service.web.keys import BUCKETS, CARETAKER
from service.web.lists import envelope, from_parts, is_list, list_request
from service.web.reading import model_of, namespace_of, optional_json_of, validated

routes = web.RouteTableDef()

BUCKET: Final = "/v1/buckets/{bucket:[^/]+}"
"""A name may hold braces, which aiohttp's own pattern does not take."""


@routes.post("/v1/buckets")
async def create_or_list(request: web.Request) -> web.Response:
    """Creates (since late 2025) or lists (before), which the keys of the body tell."""
    body = await optional_json_of(request)
    if not is_list(body, ("bucket_name", "name")):
        return answer(await request.app[BUCKETS].create(namespace_of(request), validated(CreateBucket, body)))
    # Of this era alone the namespace may be left out.
    return await _listed(request, namespace_of(request, default="default"), from_parts(request, body))


@routes.post("/v1/buckets/create")
async def create(request: web.Request) -> web.Response:
    namespace = namespace_of(request)
    return answer(await request.app[BUCKETS].create(namespace, await model_of(request, CreateBucket)))


@routes.get("/v1/buckets")
@routes.post("/v1/buckets/list")
async def list_all(request: web.Request) -> web.Response:
    return await _listed(request, namespace_of(request), await list_request(request))


async def _listed(request: web.Request, namespace: str, asked: ListRequest) -> web.Response:
    page, results = await request.app[BUCKETS].list(namespace, asked)
    return await large_answer(envelope(request, asked, page, results), len(results))


@routes.get(BUCKET)
async def get(request: web.Request) -> web.Response:
    return answer(await request.app[BUCKETS].get(namespace_of(request), request.match_info["bucket"]))


@routes.put(BUCKET)
@routes.patch(BUCKET)
async def update(request: web.Request) -> web.Response:
    namespace = namespace_of(request)
    changes = await model_of(request, UpdateBucket)
    return answer(await request.app[BUCKETS].update(namespace, request.match_info["bucket"], changes))


@routes.delete(BUCKET)
async def delete(request: web.Request) -> web.Response:
    told = await request.app[BUCKETS].delete(namespace_of(request), request.match_info["bucket"])
    request.app[CARETAKER].wake()
    return answer(told)
