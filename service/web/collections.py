"""Routes of collections, and of the aggregate over what they select."""

from typing import Final

from aiohttp import web

from service.aggregate import aggregate
from service.dialects.flat.spec import DocumentsRequest
from service.resources.collections import CreateCollection, UpdateCollection
from service.web.answers import answer, large_answer
from service.web.keys import COLLECTION_SOURCE, COLLECTIONS, SETTINGS
from service.web.lists import envelope, list_request
from service.web.reading import model_of, namespace_of

routes = web.RouteTableDef()

COLLECTION: Final = "/v1/collections/{collection:[^/]+}"


@routes.post("/v1/collections")
@routes.post("/v1/collections/create")
async def create(request: web.Request) -> web.Response:
    namespace = namespace_of(request)
    return answer(await request.app[COLLECTIONS].create(namespace, await model_of(request, CreateCollection)))


@routes.get("/v1/collections")
@routes.post("/v1/collections/list")
async def list_all(request: web.Request) -> web.Response:
    asked = await list_request(request)
    page, results = await request.app[COLLECTIONS].list(namespace_of(request), asked)
    return await large_answer(envelope(request, asked, page, results), len(results))


@routes.get(COLLECTION)
async def get(request: web.Request) -> web.Response:
    return answer(await request.app[COLLECTIONS].get(namespace_of(request), request.match_info["collection"]))


@routes.put(COLLECTION)
@routes.patch(COLLECTION)
async def update(request: web.Request) -> web.Response:
    namespace = namespace_of(request)
    changes = await model_of(request, UpdateCollection)
    return answer(await request.app[COLLECTIONS].update(namespace, request.match_info["collection"], changes))


@routes.delete(COLLECTION)
async def delete(request: web.Request) -> web.Response:
    return answer(await request.app[COLLECTIONS].delete(namespace_of(request), request.match_info["collection"]))


@routes.post(COLLECTION + "/documents/aggregate")
@routes.post("/v1/documents/{collection:[^/]+}/aggregate")
@routes.post("/documents/{collection:[^/]+}/aggregate")
async def aggregate_documents(request: web.Request) -> web.Response:
    source = await request.app[COLLECTION_SOURCE](namespace_of(request), request.match_info["collection"])
    spec = await model_of(request, DocumentsRequest)
    result = await aggregate(spec, source, request.app[SETTINGS])
    return await large_answer(result, result["total_groups"])
