"""Routes of namespaces."""

from typing import Literal

from aiohttp import web
from pydantic import Field

from service.catalog.namespaces import CreateNamespace, CreateStandalone, UpdateNamespace
from service.dialects.flat.listing import ListRequest
from service.errors import AlreadyExists, Gone, NotFound
from service.inspection.use_cases import FieldsRequest
from service.values import Json
from service.web import schemas
from service.web.inputs import ListQuery
from service.web.keys import CARETAKER, INSPECTING, NAMESPACES
from service.web.lists import envelope, list_request
from service.web.route import Routes
from service.wire import WireModel

routes = Routes("Namespaces", "objects")


class NamespacePath(WireModel):
    namespace_identifier: str = Field(
        description="The namespace: its id (`ns_…`) or its name.", examples=["production"]
    )


class NamespacesQuery(ListQuery):
    view: Literal["full"] = Field("full", description="Accepted: namespaces are always given in full.")


class FieldsQuery(WireModel):
    """Which fields of a namespace."""

    bucket: str | None = Field(None, description="Fields of this bucket only: its id or its name. Example: `orders`.")
    prefix: str = Field("", description="Fields whose path begins so. Example: `metadata.`.")
    limit: int = Field(100, ge=1, le=500, description="Fields of a page.")
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")


class DeleteNamespaceQuery(WireModel):
    force: bool = Field(False, description="Accepted: a delete never waits for anything.")


@routes.post("/v1/namespaces", errors=(AlreadyExists,))
async def create_namespace(request: web.Request, body: CreateNamespace) -> schemas.Namespace:
    """Create a namespace.

    A namespace keeps tenants apart: buckets, collections, objects and streams belong to one, and no request sees into
    another. It is a project of the records API, too.
    """
    return await request.app[NAMESPACES].create(body)


@routes.post("/v1/namespaces/standalone", errors=(AlreadyExists,))
async def create_standalone_namespace(request: web.Request, body: CreateStandalone) -> schemas.StandaloneNamespace:
    """Create a namespace (newest client).

    The same in the words of the newest client: `namespace_id` is the name that it wants.
    """
    made: Json = await request.app[NAMESPACES].create(body)
    made |= {"mode": "standalone", "document_count": 0}
    return made


@routes.get("/v1/namespaces", id="listNamespacesByQuery", errors=(Gone,))
@routes.post("/v1/namespaces/list", errors=(Gone,))
async def list_namespaces(
    request: web.Request, query: NamespacesQuery, body: ListRequest | None
) -> schemas.NamespaceList:
    """List namespaces.

    A page of namespaces. The query string takes precedence over the body.
    """
    asked = list_request(query, body)
    page, results = await request.app[NAMESPACES].list(asked)
    return envelope(request, asked, page, results)


@routes.get("/v1/namespaces/{namespace_identifier}", errors=(NotFound,))
async def get_namespace(request: web.Request, path: NamespacePath) -> schemas.Namespace:
    """Get a namespace.

    One namespace, with counts of what belongs to it.
    """
    return await request.app[NAMESPACES].get(path.namespace_identifier)


@routes.patch("/v1/namespaces/{namespace_identifier}", id="patchNamespace", errors=(NotFound, AlreadyExists))
@routes.put("/v1/namespaces/{namespace_identifier}", errors=(NotFound, AlreadyExists))
async def update_namespace(request: web.Request, path: NamespacePath, body: UpdateNamespace) -> schemas.Namespace:
    """Change a namespace.

    PUT and PATCH are the same: keys that are given change, the others stay. The name may change, the id never does.
    """
    return await request.app[NAMESPACES].update(path.namespace_identifier, body)


@routes.delete("/v1/namespaces/{namespace_identifier}", errors=(NotFound,))
async def delete_namespace(
    request: web.Request, path: NamespacePath, query: DeleteNamespaceQuery
) -> schemas.NamespaceDeletion:
    """Delete a namespace.

    It is gone for everybody at once, with everything in it; the data is removed in the background.
    """
    deletion = await request.app[NAMESPACES].delete(path.namespace_identifier)
    request.app[CARETAKER].wake()
    return deletion


@routes.get("/v1/namespaces/{namespace_identifier}/indices", errors=(NotFound,))
async def list_indices(request: web.Request, path: NamespacePath) -> schemas.IndexList:
    """List the indices of a namespace.

    What OpenSearch holds for it: readable names, documents and sizes, of objects and of streams.
    """
    return await request.app[INSPECTING].indices(path.namespace_identifier)


@routes.get("/v1/namespaces/{namespace_identifier}/fields", errors=(NotFound, Gone))
async def list_fields(request: web.Request, path: NamespacePath, query: FieldsQuery) -> schemas.FieldList:
    """List the fields of a namespace.

    The fields of its objects with their types, exact counts and examples, and the properties of its containers.
    """
    asked = FieldsRequest(query.bucket, query.prefix, query.limit, query.cursor)
    fields: Json = await request.app[INSPECTING].fields(path.namespace_identifier, asked)
    cursor = fields["next_cursor"]
    fields["next_page"] = None if cursor is None else str(request.rel_url.update_query(cursor=cursor))
    return fields
