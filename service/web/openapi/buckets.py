"""Operations on buckets."""

from typing import Final

from service.dialects.flat.listing import ListRequest
from service.resources.buckets import CreateBucket, UpdateBucket
from service.web.openapi.answers import Bucket, BucketDeletion, BucketList
from service.web.openapi.parts import LIST, Content, Op

_TAG: Final = "Buckets"
_ONE: Final = "/v1/buckets/{bucket_identifier}"
_SPACE: Final = ("X-Namespace", "namespace")

_BUCKET: Final = {
    "bucket_id": "bkt_0a1b2c3d4e",
    "bucket_name": "orders",
    "description": "Orders of the shop",
    "bucket_schema": {"properties": {"sku": {"type": "string", "required": True}, "price": {"type": "number"}}},
    "metadata": {"team": "shop"},
    "unique_key": {"fields": ["sku"], "default_policy": "upsert"},
    "ttl_seconds": None,
    "status": "ACTIVE",
    "created_at": "2026-11-22T10:30:00Z",
    "updated_at": "2026-11-22T10:30:00Z",
    "object_count": 1523,
    "total_size_bytes": 48211,
    "last_upload_at": "2026-11-22T11:02:17.250Z",
}
_NEW: Final = _BUCKET | {"object_count": 0, "total_size_bytes": 0, "last_upload_at": None}
_PAGE: Final = {
    "results": [_BUCKET],
    "pagination": {
        "total": 12,
        "page": 1,
        "page_size": 1,
        "total_pages": 12,
        "next_page": "/v1/buckets/list?limit=1&offset=1",
        "previous_page": None,
        "next_cursor": "eyJvZiI6ImI0In0.c2lnbmVk",
    },
    "total_count": 12,
    "stats": {
        "total_objects": 18276,
        "total_size_bytes": 578532,
        "avg_objects_per_bucket": 1523.0,
        "avg_size_per_bucket": 48211.0,
    },
}
_FIND: Final = {
    "filters": {
        "AND": [{"field": "name", "operator": "contains", "value": "order"}],
        "OR": [
            {"field": "metadata.team", "operator": "eq", "value": "shop"},
            {"field": "object_count", "operator": "gte", "value": 1000},
        ],
        "NOT": [{"field": "metadata.location", "operator": "eq", "value": "remote"}],
        "case_sensitive": True,
    },
    "sort": {"field": "created_at", "direction": "desc"},
    "search": "shop",
}
_CREATE: Final = {
    "bucket_name": "orders",
    "description": "Orders of the shop",
    "bucket_schema": {"properties": {"sku": {"type": "string", "required": True}, "price": {"type": "number"}}},
    "metadata": {"team": "shop"},
    "unique_key": {"fields": ["sku"], "default_policy": "upsert"},
}
_LISTS: Final = (
    "`filters` has `AND`, `OR` and `NOT` of conditions, each `{field, operator, value}`; any other key is shorthand "
    "equality. Operators: eq ne gt gte lt lte in nin contains starts_with ends_with regex exists is_null text phrase "
    "words. What stands in the query counts more than what stands in the body. `stats` cover everything that matched."
)
_CHANGES: Final = "What is given changes; what is not given stays; `metadata` is merged."
_CHANGE: Final = Content(
    UpdateBucket, {"Another name and more metadata": {"bucket_name": "orders", "metadata": {"team": "shop"}}}
)
_CHANGED: Final = Content(Bucket, {"The bucket": _BUCKET})

OPERATIONS: Final = (
    Op(
        "post", "/v1/buckets", "createOrListBuckets", "Create a bucket, or list (until mid-2025)",
        "Creates when the body has `bucket_name` (or `name`); lists, as it did until mid-2025, when it has nothing but "
        "keys of a list. Anything else is a 422, so that a typing error never lists. "
        f"Only a list may leave the namespace out: then it is `default`. {_LISTS}",
        _TAG,
        Content(Bucket | BucketList, {"The new bucket": _NEW, "A page": _PAGE}),
        says="The bucket, or a page of buckets.",
        body=Content(CreateBucket | ListRequest, {"Create": _CREATE, "List": _FIND}, needed=False),
        query=("X-Namespace-optional", "namespace", *LIST),
        errors=(404, 409, 410),
    ),
    Op(
        "post", "/v1/buckets/create", "createBucket", "Create a bucket (until mid-2025)",
        "Always creates. `bucket_schema` declares fields that objects are checked against; `unique_key` makes writes "
        "with the same values meet the same object; with `ttl_seconds` objects expire.",
        _TAG,
        Content(Bucket, {"The new bucket": _NEW}),
        says="The bucket.",
        body=Content(CreateBucket, {"With a schema and a key": _CREATE}),
        query=_SPACE,
        errors=(409,),
    ),
    Op(
        "get", "/v1/buckets", "listBucketsByQuery", "List buckets (by query)",
        "A page of buckets, chosen by the query alone.",
        _TAG,
        Content(BucketList, {"A page": _PAGE}),
        says="A page.",
        query=(*_SPACE, *LIST),
        errors=(410, 422),
    ),
    Op(
        "post", "/v1/buckets/list", "listBuckets", "List buckets",
        f"A page of buckets. {_LISTS}",
        _TAG,
        Content(BucketList, {"A page": _PAGE}),
        says="A page.",
        body=Content(ListRequest, {"Filters, order and search": _FIND}, needed=False),
        query=(*_SPACE, *LIST),
        errors=(410,),
    ),
    Op(
        "get", _ONE, "getBucket", "A bucket", "One bucket, with counts.",
        _TAG,
        Content(Bucket, {"The bucket": _BUCKET}),
        says="The bucket.",
        query=_SPACE,
    ),
    Op(
        "put", _ONE, "updateBucket", "Change a bucket", _CHANGES,
        _TAG, _CHANGED, says="The bucket as it is now.", body=_CHANGE, query=_SPACE, errors=(409,),
    ),
    Op(
        "patch", _ONE, "patchBucket", "Change a bucket (PATCH)", f"The same as PUT. {_CHANGES}",
        _TAG, _CHANGED, says="The bucket as it is now.", body=_CHANGE, query=_SPACE, errors=(409,),
    ),
    Op(
        "delete", _ONE, "deleteBucket", "Delete a bucket",
        "Gone at once for everybody; its objects are removed in the background. A bucket that a collection reads is "
        "not deleted (409).",
        _TAG,
        Content(
            BucketDeletion,
            {
                "It is gone": {
                    "bucket_id": "bkt_0a1b2c3d4e",
                    "bucket_name": "orders",
                    "object_count": 1523,
                    "status": "PENDING",
                    "task_id": "task_bkt_0a1b2c3d4e",
                }
            },
        ),
        says="It is gone.",
        query=_SPACE,
        errors=(409,),
    ),
)  # fmt: skip
