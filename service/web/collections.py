"""Routes of collections, and of the aggregate over what they select."""

from aiohttp import web
from pydantic import Field

from service.aggregate import aggregate
from service.catalog.collections import CreateCollection, UpdateCollection
from service.dialects.flat.listing import ListRequest
from service.dialects.flat.spec import DocumentsRequest
from service.errors import AlreadyExists, Gone, NotFound, OverBudget
from service.values import Json
from service.web import schemas
from service.web.inputs import ListQuery, Namespace
from service.web.keys import COLLECTION_SOURCE, COLLECTIONS, SETTINGS
from service.web.lists import envelope, list_request
from service.web.route import Routes
from service.wire import WireModel

routes = Routes("Collections", "objects")


class CollectionPath(WireModel):
    collection_identifier: str = Field(description="The collection: its id (`col_…`) or its name.", examples=["paid"])


@routes.post("/v1/collections/create", id="createCollectionNamed", errors=(NotFound, AlreadyExists))
@routes.post("/v1/collections", errors=(NotFound, AlreadyExists))
async def create_collection(request: web.Request, namespace: Namespace, body: CreateCollection) -> schemas.Collection:
    """Create a collection.

    A named selection of buckets' objects, or of other collections', by filters of the list form. Schemas, lineage and
    counts are derived from the sources; feature extractors are stored and given back, never run.
    """
    return await request.app[COLLECTIONS].create(namespace, body)


@routes.get("/v1/collections", id="listCollectionsByQuery", errors=(NotFound, Gone))
@routes.post("/v1/collections/list", errors=(NotFound, Gone))
async def list_collections(
    request: web.Request, namespace: Namespace, query: ListQuery, body: ListRequest | None
) -> schemas.CollectionList:
    """List collections.

    A page of collections. Nested paths reach into arrays of objects: `taxonomy_applications.taxonomy_id`. The query
    string takes precedence over the body. `stats` cover everything that matched.
    """
    asked = list_request(query, body)
    page, results = await request.app[COLLECTIONS].list(namespace, asked)
    return envelope(request, asked, page, results)


@routes.get("/v1/collections/{collection_identifier}", errors=(NotFound,))
async def get_collection(request: web.Request, namespace: Namespace, path: CollectionPath) -> schemas.Collection:
    """Get a collection.

    One collection, with the number of objects that it selects.
    """
    return await request.app[COLLECTIONS].get(namespace, path.collection_identifier)


@routes.patch("/v1/collections/{collection_identifier}", id="patchCollection", errors=(NotFound, AlreadyExists))
@routes.put("/v1/collections/{collection_identifier}", errors=(NotFound, AlreadyExists))
async def update_collection(
    request: web.Request, namespace: Namespace, path: CollectionPath, body: UpdateCollection
) -> schemas.Collection:
    """Change a collection.

    PUT and PATCH are the same: keys that are given change, the others stay; `metadata` is merged; the source cannot
    change.
    """
    return await request.app[COLLECTIONS].update(namespace, path.collection_identifier, body)


@routes.delete("/v1/collections/{collection_identifier}", errors=(NotFound, AlreadyExists))
async def delete_collection(
    request: web.Request, namespace: Namespace, path: CollectionPath
) -> schemas.CollectionDeletion:
    """Delete a collection.

    It is gone at once; the objects that it selected stay where they are. One that other collections read is not deleted
    (409).
    """
    return await request.app[COLLECTIONS].delete(namespace, path.collection_identifier)


@routes.post(
    "/documents/{collection_identifier}/aggregate", id="aggregateDocumentsUnversioned", errors=(NotFound, OverBudget)
)
@routes.post("/v1/documents/{collection_identifier}/aggregate", id="aggregateDocuments", errors=(NotFound, OverBudget))
@routes.post("/v1/collections/{collection_identifier}/documents/aggregate", errors=(NotFound, OverBudget))
async def aggregate_collection(
    request: web.Request, namespace: Namespace, path: CollectionPath, body: DocumentsRequest
) -> schemas.AggregateAnswer:
    """Aggregate a collection.

    The aggregate of a bucket over the objects that the collection selects. Without `group_by` there is one group of
    all.
    """
    source = await request.app[COLLECTION_SOURCE](namespace, path.collection_identifier)
    rows: Json = await aggregate(body, source, request.app[SETTINGS])
    return rows
