"""Routes of buckets."""

from typing import Annotated

from aiohttp import web
from pydantic import Field

from service.catalog.buckets import CreateBucket, UpdateBucket
from service.dialects.flat.listing import ListRequest
from service.errors import AlreadyExists, Gone, Invalid, NotFound
from service.values import Json
from service.web import schemas
from service.web.inputs import JsonBody, ListQuery, Namespace, NamespaceOrDefault
from service.web.keys import BUCKETS, CARETAKER
from service.web.lists import envelope, is_list, list_request
from service.web.reading import namespace_of
from service.web.route import Routes
from service.wire import WireModel, read

routes = Routes("Buckets", "objects")


class BucketPath(WireModel):
    bucket_identifier: str = Field(description="The bucket: its id (`bkt_…`) or its name.", examples=["orders"])


class UpdateBucketQuery(WireModel):
    force_schema_break: bool = Field(False, description="Accepted: a change of the schema is never refused here.")


class DeleteBucketQuery(WireModel):
    force_foreclose: bool = Field(False, description="Accepted: a delete never waits for anything.")


@routes.post("/v1/buckets", errors=(NotFound, AlreadyExists, Gone))
async def create_or_list_buckets(
    request: web.Request,
    namespace: NamespaceOrDefault,
    query: ListQuery,
    body: Annotated[Json, JsonBody(CreateBucket | ListRequest, required=False)],
) -> schemas.Bucket | schemas.BucketList:
    """Create a bucket, or list (until mid-2025).

    Creates when the body has `bucket_name` (or `name`); lists, as it did until mid-2025, when it has nothing but keys
    of a list. Anything else is a 422, so that a misspelt key never lists. Only a list may leave the namespace out: then
    it is `default`.
    """
    if is_list(body, CreateBucket, ("bucket_name", "name")):
        return await _list(request, namespace, list_request(query, read(ListRequest, body or {})))
    if query.model_fields_set:
        name = next(iter(sorted(query.model_fields_set)))
        raise Invalid.at(("query", name), f"`{name}` is for lists; this body creates a bucket", "extra_forbidden")
    return await request.app[BUCKETS].create(namespace_of(request), read(CreateBucket, body))


@routes.post("/v1/buckets/create", errors=(NotFound, AlreadyExists))
async def create_bucket(request: web.Request, namespace: Namespace, body: CreateBucket) -> schemas.Bucket:
    """Create a bucket.

    `bucket_schema` declares fields that objects are checked against; `unique_key` makes writes with the same values
    meet the same object; with `ttl_seconds` objects expire.
    """
    return await request.app[BUCKETS].create(namespace, body)


@routes.get("/v1/buckets", id="listBucketsByQuery", errors=(NotFound, Gone))
@routes.post("/v1/buckets/list", errors=(NotFound, Gone))
async def list_buckets(
    request: web.Request, namespace: Namespace, query: ListQuery, body: ListRequest | None
) -> schemas.BucketList:
    """List buckets.

    A page of buckets. The query string takes precedence over the body. `stats` cover everything that matched.
    """
    return await _list(request, namespace, list_request(query, body))


async def _list(request: web.Request, namespace: str, asked: ListRequest) -> schemas.BucketList:
    page, results = await request.app[BUCKETS].list(namespace, asked)
    return envelope(request, asked, page, results)


@routes.get("/v1/buckets/{bucket_identifier}", errors=(NotFound,))
async def get_bucket(request: web.Request, namespace: Namespace, path: BucketPath) -> schemas.Bucket:
    """Get a bucket.

    One bucket, with counts.
    """
    return await request.app[BUCKETS].get(namespace, path.bucket_identifier)


@routes.patch("/v1/buckets/{bucket_identifier}", id="patchBucket", errors=(NotFound, AlreadyExists))
@routes.put("/v1/buckets/{bucket_identifier}", errors=(NotFound, AlreadyExists))
async def update_bucket(
    request: web.Request, namespace: Namespace, path: BucketPath, query: UpdateBucketQuery, body: UpdateBucket
) -> schemas.Bucket:
    """Change a bucket.

    PUT and PATCH are the same: keys that are given change, the others stay; `metadata` is merged.
    """
    return await request.app[BUCKETS].update(namespace, path.bucket_identifier, body)


@routes.delete("/v1/buckets/{bucket_identifier}", errors=(NotFound, AlreadyExists))
async def delete_bucket(
    request: web.Request, namespace: Namespace, path: BucketPath, query: DeleteBucketQuery
) -> schemas.BucketDeletion:
    """Delete a bucket.

    It is gone for everybody at once; its objects are removed in the background. A bucket that a collection reads is not
    deleted (409).
    """
    deletion = await request.app[BUCKETS].delete(namespace, path.bucket_identifier)
    request.app[CARETAKER].wake()
    return deletion
