"""Routes of buckets."""

from typing import Final

from aiohttp import web

from service.resources.buckets import CreateBucket, UpdateBucket
from service.web.answers import answer
from service.web.keys import BUCKETS
from service.web.reading import model_of, namespace_of

routes = web.RouteTableDef()

BUCKET: Final = "/v1/buckets/{bucket:[^/]+}"
"""A name may hold braces, which aiohttp's own pattern does not take."""


@routes.post("/v1/buckets")
@routes.post("/v1/buckets/create")
async def create(request: web.Request) -> web.Response:
    namespace = namespace_of(request)
    return answer(await request.app[BUCKETS].create(namespace, await model_of(request, CreateBucket)))


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
    return answer(await request.app[BUCKETS].delete(namespace_of(request), request.match_info["bucket"]))
