"""Routes of objects, and of the aggregate over them."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, ClassVar, Final

import msgspec
import structlog
from aiohttp import web
from pydantic import Field

from service.aggregate import aggregate, explain
from service.catalog.buckets import Policy
from service.dialects.flat.listing import POSITION_KEYS, SIZE_KEYS, ListRequest
from service.dialects.flat.spec import AggregateRequest
from service.errors import AlreadyExists, Gone, Invalid, NotFound, OverBudget, TallyError
from service.objects.use_cases import DeleteObjects, Line, failure, raise_if_only_the_backend_failed
from service.spelling import unknown_key
from service.values import Json, no_json
from service.web import schemas
from service.web.buckets import BucketPath
from service.web.inputs import NDJSON, Body, ListQuery, Namespace, NdjsonBody
from service.web.keys import OBJECTS, REASON, SETTINGS, SOURCE
from service.web.lists import envelope, list_request, lists_objects
from service.web.reading import json_from
from service.web.render import answer
from service.web.route import Answer, Routes
from service.wire import WireModel, read

routes = Routes("Objects", "objects", "/v1/buckets/{bucket_identifier}/objects")

log = structlog.get_logger()

WARNINGS: Final = "X-Tally-Warnings"

_HEADER: Final = 4_000
"""Maximum bytes of warnings in a header; clients accept 8 kB."""

_ONE: Final = "/{object_identifier}"


class ObjectPath(BucketPath):
    object_identifier: str = Field(description="The object's id.", examples=["obj_3f1c9a7be02d4c58a1b2c3d4"])


class PolicyQuery(WireModel):
    """What happens to an object that is there already."""

    unsupported: ClassVar = {"auto_process": "Tally runs no feature extractors"}

    policy: Policy | None = Field(
        None,
        description="What happens if an object with the same unique key is there; by default what the bucket's key "
        "says. Example: `upsert`.",
    )


class ImportQuery(PolicyQuery):
    """How the lines of an import are meant."""

    restore: bool = Field(
        False,
        description="The lines are exported objects: each keeps its `object_id`, times and status, and all keep their "
        "order. One that is there already is passed over if it is the same, and fails if it is not.",
    )
    first_line: int = Field(
        1, ge=1, le=10**12, description="The number of the first line, where the body is a part of a file."
    )


class CreateOrListQuery(PolicyQuery, ListQuery):
    """Of both."""

    unsupported: ClassVar = {**PolicyQuery.unsupported, **ListQuery.unsupported}


class ObjectQuery(WireModel):
    """What the vendor's client sends by itself."""

    unsupported: ClassVar = {"return_presigned_urls": "Tally stores no files that a URL could lead to"}

    include_document_count: bool = Field(True, description="Accepted: no documents are made of objects here.")


_PAGING: Final = POSITION_KEYS | SIZE_KEYS

NewObject = Annotated[bytes, Body(schemas.NewObject)]


@routes.post("", errors=(NotFound, AlreadyExists, Gone))
async def create_or_list_objects(
    request: web.Request,
    namespace: Namespace,
    path: BucketPath,
    query: CreateOrListQuery,
    body: Annotated[bytes, Body(schemas.NewObject | ListRequest, required=False)],
) -> schemas.Object | schemas.ObjectList:
    """Create an object, or list (until mid-2025).

    Creates, unless the body is missing or empty, has `filters` or `sort` as objects, paging keys
    only, or list keys only with `sorts` as an array: then it
    lists, as it did until mid-2025. Where all of its keys are list keys, misspelt ones among them, and it would
    create all the same, it is refused. With `policy` in the query it always creates.
    """
    if query.policy is None and lists_objects(body):
        asked = list_request(query, read(ListRequest, json_from(body) if body else {}))
        return await _list(request, namespace, path, asked)
    for name in sorted(query.model_fields_set - {"policy"}):
        raise Invalid.at(("query", name), f"`{name}` is for lists; this body creates an object", "extra_forbidden")
    made: Json = await request.app[OBJECTS].create(namespace, path.bucket_identifier, body, query.policy)
    return made


@routes.get("", id="listObjectsByQuery", errors=(NotFound, Gone))
@routes.post("/list", errors=(NotFound, Gone))
async def list_objects(
    request: web.Request, namespace: Namespace, path: BucketPath, query: ListQuery, body: ListRequest | None
) -> schemas.ObjectList:
    """List objects.

    A page of objects. A path that is no field of an object is looked up under `metadata`. `select` chooses the paths of
    each object that are given back. The query string takes precedence over the body. `stats` cover everything that
    matched.
    """
    return await _list(request, namespace, path, list_request(query, body))


async def _list(request: web.Request, namespace: str, path: BucketPath, asked: ListRequest) -> schemas.ObjectList:
    page, results = await request.app[OBJECTS].list(namespace, path.bucket_identifier, asked)
    return envelope(request, asked, page, results, skips=True)


@routes.get("/export", id="exportObjectsByQuery", errors=(NotFound, Gone))
@routes.post("/export", errors=(NotFound, Gone))
async def export_objects(
    request: web.Request, namespace: Namespace, path: BucketPath, query: ListQuery, body: ListRequest | None
) -> Annotated[str, Answer((NDJSON,), (WARNINGS,))]:
    """Export objects.

    All objects that match, from one state of the bucket, a line of JSON each; the body is that of a list, and what a
    list would warn of is in the header `X-Tally-Warnings`. The connection is cut when the export cannot be finished, so
    that nobody takes it for complete.
    """
    asked = list_request(query, body)
    for name in sorted(_PAGING & (query.model_fields_set | (body.model_fields_set if body else set()))):
        place = "query" if name in query.model_fields_set else "body"
        raise Invalid.at((place, name), "an export has no pages: it is everything that matches", "extra_forbidden")
    warnings, pages = await request.app[OBJECTS].export(namespace, path.bucket_identifier, asked)
    response: Any = web.StreamResponse(headers={"Content-Type": NDJSON})
    if warnings:
        response.headers[WARNINGS] = _in_header(warnings)
    first = await anext(pages, b"")
    await response.prepare(request)
    try:
        await response.write(first)
        async for lines in pages:
            await response.write(lines)
    except Exception as error:
        log.warning("export cut off", cause=str(error), exc_info=not isinstance(error, TallyError | OSError))
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def _in_header(warnings: Sequence[str]) -> str:
    """Warnings as ASCII JSON; the last ones are dropped if the header would be too long."""
    while len(warnings) > 1 and len(json.dumps(warnings)) > _HEADER:
        warnings = warnings[:-1]
    return json.dumps(warnings)


@routes.post("/delete", errors=(NotFound,))
async def delete_objects(
    request: web.Request, namespace: Namespace, path: BucketPath, body: DeleteObjects
) -> schemas.ObjectsDeletion:
    """Delete objects by filter.

    Removes what matches; what takes long goes on in the background, and the task tells how far it is. Filters that
    match everything are refused: to empty a bucket, delete it.
    """
    return await request.app[OBJECTS].delete_matching(namespace, path.bucket_identifier, body)


@routes.post("/create", errors=(NotFound, AlreadyExists))
async def create_object(
    request: web.Request, namespace: Namespace, path: BucketPath, query: PolicyQuery, body: NewObject
) -> schemas.Object:
    """Create an object.

    Any further field at the root is stored and can be filtered and grouped by. Once a write returns 200, every later
    read sees it. A known `idempotency_key` gives the first object again.
    """
    made: Json = await request.app[OBJECTS].create(namespace, path.bucket_identifier, body, query.policy)
    return made


_members = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[msgspec.Raw]).decode
_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode


def _batch(body: bytes) -> tuple[list[msgspec.Raw], bool]:
    """The unparsed objects, and whether the body is a bare array (older era)."""
    try:
        value = _members(body)
        if isinstance(value, list):
            return value, True
        problems = [unknown_key(("body",), name, ("objects",)) for name in value if name != "objects"]
        if problems:
            raise Invalid(problems)
        raw = bytes(value.get("objects", b"null"))
        if body.replace(raw, b"", 1).count(b":") > 1:
            raise Invalid.at(("body", "objects"), "the key `objects` is given twice in one object", "repeated")
        return _elements(raw), False
    except msgspec.ValidationError:
        message = 'send {"objects": […]} or an array of objects'
        raise Invalid.at(("body",), message, "type_error") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid.at(("body",), no_json(error, body), "json_invalid") from None
    except RecursionError:
        raise Invalid.at(("body",), "nested too deep", "too_deep") from None


@routes.post("/batch", errors=(NotFound,), also={422: schemas.BatchSummary | schemas.InvalidRequest})
async def create_objects(
    request: web.Request,
    namespace: Namespace,
    path: BucketPath,
    query: PolicyQuery,
    body: Annotated[bytes, Body(schemas.Batch | list[Any])],
) -> schemas.BatchSummary | list[schemas.Object]:
    """Create objects in a batch.

    Each object succeeds or fails for itself; if all fail, the answer is a 422. A bare array in (older era) is answered
    by a bare array if all were stored.
    """
    raws, bare = _batch(body)
    limit = request.app[SETTINGS].batch_limit
    if len(raws) > limit:
        raise Invalid.at(
            ("body", "objects"),
            f"at most {limit} objects in a batch, not {len(raws)}; import takes any number",
            "too_long",
        )
    writes = await request.app[OBJECTS].batch(namespace, path.bucket_identifier, raws, query.policy)
    succeeded: Any = [write.answer for write in writes if write.error is None]
    failed: Any = [failure(write) for write in writes if write.error is not None]
    if bare and not failed:
        return succeeded
    summary: Any = {
        "succeeded": succeeded,
        "failed": failed,
        "total_requested": len(writes),
        "succeeded_count": len(succeeded),
        "failed_count": len(failed),
    }
    if failed and not succeeded:
        raise_if_only_the_backend_failed(writes)
        request[REASON] = f"all of {len(failed)} objects failed, the first as {failed[0]['error']}"
        summary = answer(summary, 422)
    return summary


@routes.post("/import", errors=(NotFound,))
async def import_objects(
    request: web.Request,
    namespace: Namespace,
    path: BucketPath,
    query: ImportQuery,
    body: Annotated[
        AsyncIterator[list[Line]],
        NdjsonBody(Annotated[str, Field(description="An object on each line, as in the creation of one.")]),
    ],
) -> schemas.ImportAnswer:
    """Import objects.

    NDJSON of any size, plain or gzip (a gzip file is known by its first bytes, too): an object on each line. Lines that
    fail are counted, and the first ones are described. `restore` takes exported objects back.
    """
    if query.restore and query.policy is not None:
        raise Invalid.at(("query", "policy"), "a restored object keeps its id: policy does not go with restore")
    summary = await request.app[OBJECTS].load(
        namespace, path.bucket_identifier, body, query.policy, restore=query.restore, first_line=query.first_line
    )
    made: Json = summary.model_dump()
    return made


@routes.post("/aggregate", errors=(NotFound, OverBudget))
async def aggregate_objects(
    request: web.Request, namespace: Namespace, path: BucketPath, body: AggregateRequest
) -> schemas.AggregateAnswer:
    """Aggregate objects.

    How many, how much, per what, having what: match → unwind → group → having → sort → limit, with the meaning of
    MongoDB's pipeline. Answers are exact, or say per metric that they are not, or the request is refused: nothing is
    cut silently. Values of different JSON types are different keys; missing and null are one group, `null`. Without
    `sort_by` rows come in the order of their keys.
    """
    source = await request.app[SOURCE](namespace, path.bucket_identifier)
    rows: Json = await aggregate(body, source, request.app[SETTINGS])
    return rows


@routes.post("/aggregate/explain", errors=(NotFound,))
async def explain_aggregate(
    request: web.Request, namespace: Namespace, path: BucketPath, body: AggregateRequest
) -> schemas.Explanation:
    """Explain an aggregate.

    Which strategy would answer the request, why the cheaper ones cannot, and the first OpenSearch request of each pass.
    Nothing is computed. A metric whose result turns out not to be provably exact may need another pass.
    """
    source = await request.app[SOURCE](namespace, path.bucket_identifier)
    explanation: Json = await explain(body, source)
    return explanation


@routes.get(_ONE, errors=(NotFound,))
async def get_object(
    request: web.Request, namespace: Namespace, path: ObjectPath, query: ObjectQuery
) -> schemas.Object:
    """Get an object.

    One object, exactly as it was sent.
    """
    made: Json = await request.app[OBJECTS].get(namespace, path.bucket_identifier, path.object_identifier)
    return made


@routes.patch(_ONE, id="patchObject", errors=(NotFound, AlreadyExists))
@routes.put(_ONE, errors=(NotFound, AlreadyExists))
async def update_object(
    request: web.Request, namespace: Namespace, path: ObjectPath, body: NewObject
) -> schemas.Object:
    """Change an object.

    PUT and PATCH are the same: `metadata` is merged, other fields are replaced, what is not given stays.
    """
    made: Json = await request.app[OBJECTS].update(namespace, path.bucket_identifier, path.object_identifier, body)
    return made


@routes.delete(_ONE, status=204, errors=(NotFound,))
async def delete_object(request: web.Request, namespace: Namespace, path: ObjectPath) -> None:
    """Delete an object.

    Once this returns, no later read sees it.
    """
    await request.app[OBJECTS].delete(namespace, path.bucket_identifier, path.object_identifier)
