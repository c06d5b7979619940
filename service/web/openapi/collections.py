"""Operations on collections, and the aggregate over what they select."""

from typing import Any, Final

from service.dialects.flat.listing import ListRequest
from service.dialects.flat.spec import DocumentsRequest
from service.resources.collections import CreateCollection, UpdateCollection
from service.web.openapi.answers import AggregateAnswer, Collection, CollectionDeletion, CollectionList
from service.web.openapi.objects import AGGREGATED, AGGREGATES, MEANING
from service.web.openapi.parts import LIST, Content, Op

_TAG: Final = "Collections"
_ONE: Final = "/v1/collections/{collection_identifier}"
_SPACE: Final = ("X-Namespace", "namespace")

_SOURCE: Final = {
    "type": "bucket",
    "bucket_ids": ["bkt_marketing_videos"],
    "source_filters": {
        "description": "Filter only video content",
        "filters": {"AND": [{"field": "blobs.type", "operator": "eq", "value": "video"}]},
    },
}
_EXTRACTOR: Final = {
    "feature_extractor_name": "frames",
    "version": "v1",
    "input_mappings": {"image": "product_image", "text": "title"},
    "field_passthrough": [{"source_path": "title", "target_path": "title", "default": "Unknown", "required": False}],
}
_COLLECTION: Final[dict[str, Any]] = {
    "collection_name": "video-frames",
    "input_schema": {"properties": {"title": {"type": "string"}}},
    "output_schema": {"properties": {"title": {"type": "string"}}},
    "feature_extractor": {
        **_EXTRACTOR,
        "feature_extractor_id": "frames_v1",
        "parameters": {},
        "include_all_source_fields": False,
    },
    "source": {**_SOURCE, "collection_id": None, "collection_ids": None, "inherited_bucket_ids": None},
    "collection_id": "col_video_frames",
    "description": "Video frames extracted at 1 FPS with CLIP embeddings",
    "source_bucket_schemas": None,
    "source_lineage": [],
    "vector_indexes": [],
    "payload_indexes": [],
    "enabled": True,
    "metadata": {"environment": "production", "project": "Q4_campaign", "team": "data-science"},
    "created_at": "2023-11-07T05:31:56Z",
    "updated_at": "2023-11-07T05:31:56Z",
    "document_count": 123,
    "schema_version": 1,
    "last_schema_sync": "2023-11-07T05:31:56Z",
    "schema_sync_enabled": True,
    "taxonomy_applications": None,
    "cluster_applications": None,
    "taxonomy_count": 0,
    "retriever_count": 0,
}
_PAGE: Final = {
    "results": [_COLLECTION],
    "pagination": {
        "total": 1,
        "page": 1,
        "page_size": 10,
        "total_pages": 1,
        "next_page": None,
        "previous_page": None,
        "next_cursor": None,
    },
    "total_count": 1,
    "stats": {
        "total_documents": 123,
        "avg_documents_per_collection": 123.0,
        "collections_with_taxonomies": 0,
        "total_feature_extractors": 1,
        "total_taxonomies": 0,
        "total_retrievers": 0,
    },
}
_FIND: Final = {
    "filters": {"AND": [{"field": "taxonomy_applications.taxonomy_id", "operator": "eq", "value": "tax_123"}]},
    "sort": {"field": "created_at", "direction": "desc"},
    "search": "video",
    "case_sensitive": False,
}
_CREATE: Final = Content(
    CreateCollection,
    {
        "Videos of a bucket": {
            "collection_name": "video-frames",
            "description": "Video frames extracted at 1 FPS with CLIP embeddings",
            "source": _SOURCE,
            "feature_extractor": _EXTRACTOR,
            "metadata": {"environment": "production", "project": "Q4_campaign", "team": "data-science"},
        }
    },
)
_CREATES: Final = (
    "A named selection of buckets' objects, or of other collections', by filters of the list form. Schemas, lineage "
    "and counts are derived from the sources; feature extractors are kept and told, never run."
)
_NEW: Final = Content(Collection, {"The collection": _COLLECTION})
_CHANGES: Final = "What is given changes; what is not given stays; `metadata` is merged; the source cannot change."
_CHANGE: Final = Content(UpdateCollection, {"A description": {"description": "Frames of all videos"}})
_CHANGED: Final = Content(Collection, {"The collection": _COLLECTION | {"description": "Frames of all videos"}})
_AGGREGATES: Final = {"All of it": {"aggregations": [{"function": "count", "alias": "total"}]}, **AGGREGATES}
_AGGREGATE: Final = Content(DocumentsRequest, _AGGREGATES)
_OVER: Final = f"Over the objects that the collection selects. Without `group_by` there is one group of all. {MEANING}"

OPERATIONS: Final = (
    Op(
        "post", "/v1/collections", "createCollection", "Create a collection", _CREATES,
        _TAG, _NEW, says="The collection.", body=_CREATE, query=_SPACE, errors=(409,),
    ),
    Op(
        "post", "/v1/collections/create", "createCollectionNamed", "Create a collection (until mid-2025)", _CREATES,
        _TAG, _NEW, says="The collection.", body=_CREATE, query=_SPACE, errors=(409,),
    ),
    Op(
        "get", "/v1/collections", "listCollectionsByQuery", "List collections (by query)",
        "A page of collections, chosen by the query alone.",
        _TAG,
        Content(CollectionList, {"A page": _PAGE}),
        says="A page.",
        query=(*_SPACE, *LIST),
        errors=(410, 422),
    ),
    Op(
        "post", "/v1/collections/list", "listCollections", "List collections",
        "A page of collections. Nested paths reach into arrays of objects: `taxonomy_applications.taxonomy_id`. What "
        "stands in the query counts more than what stands in the body. `stats` cover everything that matched.",
        _TAG,
        Content(CollectionList, {"A page": _PAGE}),
        says="A page.",
        body=Content(ListRequest, {"By taxonomy": _FIND}, needed=False),
        query=(*_SPACE, *LIST),
        errors=(410,),
    ),
    Op(
        "get", _ONE, "getCollection", "A collection", "One collection, with the number of objects that it selects.",
        _TAG,
        Content(Collection, {"The collection": _COLLECTION}),
        says="The collection.",
        query=_SPACE,
    ),
    Op(
        "put", _ONE, "updateCollection", "Change a collection", _CHANGES,
        _TAG, _CHANGED, says="The collection as it is now.", body=_CHANGE, query=_SPACE, errors=(409,),
    ),
    Op(
        "patch", _ONE, "patchCollection", "Change a collection (PATCH)", f"The same as PUT. {_CHANGES}",
        _TAG, _CHANGED, says="The collection as it is now.", body=_CHANGE, query=_SPACE, errors=(409,),
    ),
    Op(
        "delete", _ONE, "deleteCollection", "Delete a collection",
        "Gone at once; the objects that it selected stay where they are. One that other collections read is not "
        "deleted (409).",
        _TAG,
        Content(
            CollectionDeletion,
            {
                "It is gone": {
                    "collection_id": "col_video_frames",
                    "collection_name": "video-frames",
                    "status": "COMPLETED",
                    "success": True,
                }
            },
        ),
        says="It is gone.",
        query=_SPACE,
        errors=(409,),
    ),
    *(
        Op(
            "post", path, id, summary, _OVER,
            _TAG,
            Content(AggregateAnswer, AGGREGATED),
            says="A row for each group.",
            body=_AGGREGATE,
            query=_SPACE,
        )
        for path, id, summary in (
            (f"{_ONE}/documents/aggregate", "aggregateCollection", "Aggregate a collection"),
            ("/v1/documents/{collection_identifier}/aggregate", "aggregateDocuments", "Aggregate documents"),
            (
                "/documents/{collection_identifier}/aggregate",
                "aggregateDocumentsUnversioned",
                "Aggregate documents (without a version in the path)",
            ),
        )
    ),
)  # fmt: skip
