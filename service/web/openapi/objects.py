"""Operations on objects, and the aggregate over them."""

from typing import Annotated, Any, Final

from pydantic import Field

from service.dialects.flat.listing import ListRequest
from service.dialects.flat.spec import AggregateRequest
from service.resources.objects import DeleteObjects
from service.web.openapi.answers import (
    AggregateAnswer,
    Batch,
    BatchSummary,
    ImportAnswer,
    NewObject,
    Object,
    ObjectList,
    ObjectsDeletion,
)
from service.web.openapi.parts import LIST, NDJSON, Content, Op

_TAG: Final = "Objects"
_OBJECTS: Final = "/v1/buckets/{bucket_identifier}/objects"
_ONE: Final = _OBJECTS + "/{object_identifier}"
_SPACE: Final = ("X-Namespace", "namespace")

_OBJECT: Final[dict[str, Any]] = {
    "object_id": "obj_123abc456def",
    "bucket_id": "bkt_9xy8z7",
    "key_prefix": "/contract-2024",
    "blobs": [],
    "status": "DRAFT",
    "metadata": {"category": "contracts", "year": 2024},
    "created_at": "2024-10-21T10:30:00Z",
    "updated_at": "2024-10-21T10:30:00Z",
}
_WITH_BLOB: Final = _OBJECT | {
    "blobs": [
        {
            "property": "body",
            "type": "text",
            "data": "This agreement …",
            "blob_id": "blob_5f2b9c01d7e8",
            "details": {"size_bytes": 18},
            "properties": {"data": "This agreement …"},
        }
    ],
}
_NEW: Final = {
    "key_prefix": "/contract-2024",
    "blobs": [{"property": "body", "type": "text", "data": "This agreement …"}],
    "metadata": {"category": "contracts", "year": 2024},
}
_PAGE: Final = {
    "results": [_OBJECT],
    "pagination": {
        "total": 1,
        "page": 1,
        "page_size": 10,
        "total_pages": 1,
        "next_page": None,
        "previous_page": None,
        "next_cursor": None,
        "has_more": False,
        "limit": 10,
        "skip": 0,
    },
    "total_count": 1,
    "stats": {
        "total_objects": 1,
        "total_blobs": 0,
        "avg_blobs_per_object": 0.0,
        "objects_by_status": {"DRAFT": 1},
    },
}
_SELECTED: Final = _PAGE | {
    "results": [{"object_id": "obj_123abc456def", "bucket_id": "bkt_9xy8z7", "metadata": {"year": 2024}}]
}
_FIND: Final = {
    "filters": {"AND": [{"field": "metadata.category", "operator": "eq", "value": "contracts"}]},
    "sort": {"field": "created_at", "direction": "desc"},
    "limit": 10,
}
_SUMMARY: Final = {
    "succeeded": [_OBJECT],
    "failed": [
        {
            "object_index": 1,
            "error": "body.sku: the bucket's schema requires this field",
            "error_type": "ValidationError",
        }
    ],
    "total_requested": 2,
    "succeeded_count": 1,
    "failed_count": 1,
}
_LINES: Final = '{"metadata": {"sku": "a-1", "price": 12.5}}\n{"metadata": {"sku": "a-2", "price": 8}}\n'
_EXPORTED: Final = (
    '{"object_id":"obj_123abc456def","bucket_id":"bkt_9xy8z7","key_prefix":"/contract-2024","blobs":[],'
    '"status":"DRAFT","metadata":{"category":"contracts","year":2024},"created_at":"2024-10-21T10:30:00Z",'
    '"updated_at":"2024-10-21T10:30:00Z"}\n'
)
_BY_STATUS: Final = {
    "aggregations": [{"alias": "total", "function": "count"}],
    "description": "Count objects by status",
    "group_by": [{"alias": "status", "field": "status"}],
    "sort_by": "total",
    "sort_direction": "desc",
}
_PER_MONTH: Final = {
    "filters": {"created_at": {"$gte": "2024-01-01"}, "metadata.type": "video"},
    "group_by": [{"field": "created_at", "alias": "month", "date_trunc": "month", "time_zone": "Europe/Berlin"}],
    "aggregations": [
        {"function": "count", "alias": "videos"},
        {"function": "avg", "field": "metadata.duration", "alias": "duration"},
    ],
    "having": [{"field": "videos", "operator": "gt", "value": 10}],
    "sort_by": "month",
    "sort_direction": "asc",
}
_PER_TAG: Final = {
    "unwind": "metadata.tags",
    "group_by": [{"field": "metadata.tags", "alias": "tag"}],
    "aggregations": [{"function": "count_distinct", "distinct_field": "metadata.author", "alias": "authors"}],
    "range_buckets": [{"field": "metadata.size", "boundaries": [0, 10, 20], "default_bucket": "other"}],
    "limit": 50,
}
AGGREGATES: Final = {
    "Count by status": _BY_STATUS,
    "Per month, with having": _PER_MONTH,
    "Elements of an array": _PER_TAG,
}
AGGREGATED: Final = {
    "By status": {
        "results": [
            {"group": {"status": "completed"}, "metrics": {"total": 1523}},
            {"group": {"status": "pending"}, "metrics": {"total": 87}},
        ],
        "total_groups": 2,
        "query_info": {
            "execution_time_ms": 45,
            "pipeline_stages": 2,
            "groups_matched": 2,
            "groups_before_having": 2,
            "strategy": "composite",
            "accuracy": {"total": "exact"},
            "warnings": [],
        },
    }
}
MEANING: Final = (
    "match → unwind → group → having → sort → limit, with the meaning of MongoDB's pipeline. Answers are exact, or say "
    "per metric that they are not, or the request is refused: nothing is cut silently. Values of different JSON types "
    "are different keys; missing and null are one group, `null`. `filters` are MongoDB's (`$eq $ne $gt $gte $lt $lte "
    "$in $nin $exists $regex $not $and $or $nor $all $size $contains $startsWith $endsWith $text $elemMatch`) or the "
    "list form (`AND`, `OR`, `NOT`). Without `sort_by` rows come in the order of their keys."
)
_LISTS: Final = (
    "`filters` has `AND`, `OR` and `NOT` of conditions, each `{field, operator, value}`; a path that is no field of an "
    "object is looked up under `metadata`. `select` chooses what is told of each object. What stands in the query "
    "counts more than what stands in the body. `stats` cover everything that matched."
)
_CREATED: Final = Content(Object, {"The object": _WITH_BLOB})
_CHANGES: Final = "`metadata` is merged, other fields are replaced, what is not given stays."
_CHANGE: Final = Content(NewObject, {"A status and one more field": {"status": "active", "metadata": {"signed": True}}})
_CHANGED: Final = Content(
    Object,
    {
        "The object": _OBJECT
        | {
            "status": "ACTIVE",
            "metadata": {"category": "contracts", "year": 2024, "signed": True},
            "updated_at": "2024-10-22T08:00:00Z",
        }
    },
)

OPERATIONS: Final = (
    Op(
        "post", _OBJECTS, "createOrListObjects", "Create an object, or list (until mid-2025)",
        "Creates, unless the body is missing or empty, has `filters` or `sort` as objects, or paging keys only: then "
        "it lists, as it did until mid-2025. With `policy` in the query it always creates.",
        _TAG,
        Content(Object | ObjectList, {"The object": _WITH_BLOB, "A page": _PAGE}),
        says="The object, or a page of objects.",
        body=Content(NewObject | ListRequest, {"Create": _NEW, "List": _FIND}, needed=False),
        query=(*_SPACE, "policy", *LIST),
        errors=(409, 410),
    ),
    Op(
        "post", f"{_OBJECTS}/create", "createObject", "Create an object (until mid-2025)",
        "Always creates. Any further field at the root is kept and can be filtered and grouped by. What a 200 has "
        "acknowledged, the next question sees. A known `idempotency_key` gives the first object again.",
        _TAG, _CREATED, says="The object.",
        body=Content(NewObject, {"With a blob": _NEW}),
        query=(*_SPACE, "policy"),
        errors=(409,),
    ),
    Op(
        "get", _OBJECTS, "listObjectsByQuery", "List objects (by query)",
        "A page of objects, chosen by the query alone.",
        _TAG,
        Content(ObjectList, {"A page": _PAGE}),
        says="A page.",
        query=(*_SPACE, *LIST),
        errors=(410, 422),
    ),
    Op(
        "post", f"{_OBJECTS}/list", "listObjects", "List objects",
        f"A page of objects. {_LISTS}",
        _TAG,
        Content(ObjectList, {"A page": _PAGE, "Selected paths": _SELECTED}),
        says="A page.",
        body=Content(
            ListRequest,
            {"Filters and order": _FIND, "Selected paths": {"search": "contract", "select": ["metadata.year"]}},
            needed=False,
        ),
        query=(*_SPACE, *LIST),
        errors=(410,),
    ),
    Op(
        "get", f"{_OBJECTS}/export", "exportObjectsByQuery", "Export objects (by query)",
        "All objects that match, from one state of the bucket. A stream that could not be told to its end is cut off, "
        "so that nobody takes it for whole.",
        _TAG,
        Content(str, {"One object": _EXPORTED}, NDJSON),
        says="A line of JSON for each object.",
        query=(*_SPACE, *LIST),
        errors=(410, 422),
    ),
    Op(
        "post", f"{_OBJECTS}/export", "exportObjects", "Export objects",
        "All objects that match, from one state of the bucket; the body is that of a list. A stream that could not be "
        "told to its end is cut off, so that nobody takes it for whole.",
        _TAG,
        Content(str, {"One object": _EXPORTED}, NDJSON),
        says="A line of JSON for each object.",
        body=Content(ListRequest, {"Filters": {"filters": {"metadata.category": "contracts"}}}, needed=False),
        query=(*_SPACE, *LIST),
        errors=(410,),
    ),
    Op(
        "post", f"{_OBJECTS}/delete", "deleteObjects", "Delete objects by filter",
        "Removes what matches; what takes long goes on in the background, and the task tells how far it is. Filters "
        "that match everything are refused: to empty a bucket, delete it.",
        _TAG,
        Content(
            ObjectsDeletion,
            {
                "They are gone": {
                    "task_id": "task_5f2b9c01d7e8a4b6",
                    "status": "COMPLETED",
                    "bucket_id": "bkt_9xy8z7",
                    "deleted_count": 87,
                }
            },
        ),
        says="How far it is.",
        body=Content(DeleteObjects, {"What is pending": {"filters": {"metadata.state": "pending"}}}),
        query=_SPACE,
    ),
    Op(
        "post", f"{_OBJECTS}/batch", "createObjects", "Create objects in a batch",
        "Each object for itself: what fails is told, the others are stored. A bare array in (older era) is answered by "
        "a bare array if all were stored.",
        _TAG,
        Content(BatchSummary | list[Object], {"One of two": _SUMMARY, "Of a bare array": [_OBJECT]}),
        says="What became of it.",
        body=Content(
            Batch | list[Any],
            {"Two objects": {"objects": [_NEW, {"metadata": {"price": 8}}]}, "A bare array": [_NEW]},
        ),
        query=(*_SPACE, "policy"),
    ),
    Op(
        "post", f"{_OBJECTS}/import", "importObjects", "Import objects",
        "NDJSON of any size, plain or gzip (a gzip file is known by its first bytes, too): an object on each line. "
        "Lines that fail are counted, the first ones told.",
        _TAG,
        Content(
            ImportAnswer,
            {
                "One line failed": {
                    "lines": 27004,
                    "succeeded_count": 27003,
                    "failed_count": 1,
                    "bytes": 6_291_456,
                    "seconds": 2.41,
                    "errors": [
                        {"line": 17, "error": "body: this is no JSON: …", "error_type": "ValidationError"}
                    ],
                }
            },
        ),
        says="What became of it.",
        body=Content(
            Annotated[str, Field(description="An object on each line, as in the creation of one.")],
            {"Two objects": _LINES},
            NDJSON,
        ),
        query=(*_SPACE, "policy"),
    ),
    Op(
        "post", f"{_OBJECTS}/aggregate", "aggregateObjects", "Aggregate objects",
        f"How many, how much, per what, having what. {MEANING}",
        _TAG,
        Content(AggregateAnswer, AGGREGATED),
        says="A row for each group.",
        body=Content(AggregateRequest, AGGREGATES),
        query=_SPACE,
    ),
    Op(
        "get", _ONE, "getObject", "An object", "One object, to the letter as it was sent.",
        _TAG,
        Content(Object, {"The object": _OBJECT}),
        says="The object.",
        query=_SPACE,
    ),
    Op(
        "put", _ONE, "updateObject", "Change an object", _CHANGES,
        _TAG, _CHANGED, says="The object as it is now.", body=_CHANGE, query=_SPACE, errors=(409,),
    ),
    Op(
        "patch", _ONE, "patchObject", "Change an object (PATCH)", f"The same as PUT: {_CHANGES}",
        _TAG, _CHANGED, says="The object as it is now.", body=_CHANGE, query=_SPACE, errors=(409,),
    ),
    Op(
        "delete", _ONE, "deleteObject", "Delete an object", "It is gone for the next question.",
        _TAG, None, says="It is gone.", status=204, query=_SPACE,
    ),
)  # fmt: skip
