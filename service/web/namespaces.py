"""Routes of namespaces."""

from typing import Final

from aiohttp import web

from service.errors import Invalid
from service.resources.inspecting import FieldsRequest
from service.resources.namespaces import CreateNamespace, CreateStandalone, UpdateNamespace
from service.web.answers import answer, large_answer
from service.web.keys import CARETAKER, INSPECTING, NAMESPACES
from service.web.lists import envelope, list_request
from service.web.reading import model_of

routes = web.RouteTableDef()

_MOST: Final = 500
"""Fields on a page."""


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


@routes.get("/v1/namespaces/{namespace}/indices")
async def indices(request: web.Request) -> web.Response:
    return answer(await request.app[INSPECTING].indices(request.match_info["namespace"]))


@routes.get("/v1/namespaces/{namespace}/fields")
async def fields(request: web.Request) -> web.Response:
    """A page; `next_page` is the path of the next one."""
    text = request.query.get("limit", "100")
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0
    if not 1 <= limit <= _MOST:
        raise Invalid.at(("query", "limit"), f"an integer from 1 to {_MOST}, not {text!r}", "int_parsing")
    query = request.query
    asked = FieldsRequest(query.get("bucket"), query.get("prefix", ""), limit, query.get("cursor"))
    told = await request.app[INSPECTING].fields(request.match_info["namespace"], asked)
    cursor = told["next_cursor"]
    next_page = None if cursor is None else str(request.rel_url.update_query(cursor=cursor))
    return await large_answer({**told, "next_page": next_page}, len(told["results"]))
