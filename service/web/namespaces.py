"""Routes of namespaces."""

from aiohttp import web

from service.resources.namespaces import CreateNamespace, UpdateNamespace
from service.web.answers import answer
from service.web.keys import NAMESPACES
from service.web.reading import model_of

routes = web.RouteTableDef()


@routes.post("/v1/namespaces")
@routes.post("/v1/namespaces/standalone")
async def create(request: web.Request) -> web.Response:
    return answer(await request.app[NAMESPACES].create(await model_of(request, CreateNamespace)))


@routes.get("/v1/namespaces/{namespace}")
async def get(request: web.Request) -> web.Response:
    return answer(await request.app[NAMESPACES].get(request.match_info["namespace"]))


@routes.put("/v1/namespaces/{namespace}")
@routes.patch("/v1/namespaces/{namespace}")
async def update(request: web.Request) -> web.Response:
    changes = await model_of(request, UpdateNamespace)
    return answer(await request.app[NAMESPACES].update(request.match_info["namespace"], changes))


@routes.delete("/v1/namespaces/{namespace}")
async def delete(request: web.Request) -> web.Response:
    return answer(await request.app[NAMESPACES].delete(request.match_info["namespace"]))
