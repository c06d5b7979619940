"""Routes of buckets."""

from aiohttp import web

from service.resources.buckets import CreateBucket, UpdateBucket
from service.web.answers import answer
from service.web.keys import BUCKETS
from service.web.reading import model_of, namespace_of

routes = web.RouteTableDef()


@routes.post("/v1/buckets")
@routes.post("/v1/buckets/create")
async def create(request: web.Request) -> web.Response:
    namespace = namespace_of(request)
    return answer(await request.app[BUCKETS].create(namespace, await model_of(request, CreateBucket)))


@routes.get("/v1/buckets/{bucket}")
async def get(request: web.Request) -> web.Response:
    return answer(await request.app[BUCKETS].get(namespace_of(request), request.match_info["bucket"]))


@routes.put("/v1/buckets/{bucket}")
@routes.patch("/v1/buckets/{bucket}")
async def update(request: web.Request) -> web.Response:
    namespace = namespace_of(request)
    changes = await model_of(request, UpdateBucket)
    return answer(await request.app[BUCKETS].update(namespace, request.match_info["bucket"], changes))


@routes.delete("/v1/buckets/{bucket}")
async def delete(request: web.Request) -> web.Response:
    return answer(await request.app[BUCKETS].delete(namespace_of(request), request.match_info["bucket"]))
