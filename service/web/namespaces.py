"""Routes of namespaces."""

from aiohttp import web

from service.resources.namespaces import CreateNamespace, CreateStandalone, UpdateNamespace
from service.web.answers import answer
from service.web.keys import CARETAKER, NAMESPACES
from service.web.lists import envelope, list_request
from service.web.reading import model_of

routes = web.RouteTableDef()


@routes.post("/v1/namespaces")
async def create(request: web.Request) -> web.Response:
    return answer(await request.app[NAMESPACES].create(await model_of(request, CreateNamespace)))


@routes.post("/v1/namespaces/standalone")
async def create_standalone(request: web.Request) -> web.Response:
    made = await request.app[NAMESPACES].create(await model_of(request, CreateStandalone))
    return answer({**made, "mode": "standalone", "document_count": 0})


@routes.get("/v1/namespaces")
@routes.post("/v1/namespaces/list")
async def list_all(request: web.Request) -> web.Response:
    asked = await list_request(request)
    page, results = await request.app[NAMESPACES].list(asked)
    return answer(envelope(request, asked, page, results))


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
    told = await request.app[NAMESPACES].delete(request.match_info["namespace"])
    request.app[CARETAKER].wake()
    return answer(told)
