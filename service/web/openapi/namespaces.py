"""Operations on namespaces."""

from typing import Final

from service.dialects.flat.listing import ListRequest
from service.resources.namespaces import CreateNamespace, CreateStandalone, UpdateNamespace
from service.web.openapi.answers import (
    FieldList,
    IndexList,
    Namespace,
    NamespaceDeletion,
    NamespaceList,
    StandaloneNamespace,
)
from service.web.openapi.parts import LIST, Content, Op

_TAG: Final = "Namespaces"
_ONE: Final = "/v1/namespaces/{namespace_identifier}"

_NAMESPACE: Final = {
    "namespace_id": "ns_9f8e7d6c5b",
    "namespace_name": "production",
    "description": "The shop's data",
    "feature_extractors": [],
    "payload_indexes": [],
    "status": "ACTIVE",
    "created_at": "2026-11-22T10:30:00Z",
    "updated_at": "2026-11-22T10:30:00Z",
    "bucket_count": 2,
    "collection_count": 1,
    "object_count": 1610,
    "namespace_ready": True,
}
_NEW: Final = _NAMESPACE | {"bucket_count": 0, "collection_count": 0, "object_count": 0}
_PAGE: Final = {
    "results": [_NAMESPACE],
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
        "total_namespaces": 1,
        "total_buckets": 2,
        "total_collections": 1,
        "total_objects": 1610,
        "avg_buckets_per_namespace": 2.0,
        "avg_collections_per_namespace": 1.0,
        "avg_objects_per_namespace": 1610.0,
    },
}
_INDEX: Final = {
    "name": "tally-objects-ns_9f8e7d6c5b-000001",
    "alias": "tally-objects.production",
    "holds": "objects",
    "documents": 1610,
    "deleted_documents": 0,
    "size_bytes": 1048576,
    "primary_size_bytes": 1048576,
    "primary_shards": 1,
    "replicas": 0,
    "health": "green",
    "created_at": "2026-11-22T10:30:00Z",
}
_FIELD: Final = {
    "field": "metadata.sku",
    "count": 1610,
    "share": 1.0,
    "types": [
        {
            "type": "string",
            "count": 1610,
            "index": [
                {"name": "metadata.sku", "type": "keyword"},
                {"name": "metadata.sku@fold", "type": "keyword"},
            ],
        }
    ],
    "examples": [{"value": "a-1", "count": 87}],
}
_PROPERTY: Final = {
    "space": "nyc",
    "container": "weather",
    "property": "windGust",
    "type": "float64",
    "list": False,
    "index": {"name": "nyc/weather/windGust", "type": "double"},
}
_NAMED: Final = {"namespace_id": "ns_9f8e7d6c5b", "namespace_name": "production"}
_FIELDS: Final = {
    **_NAMED,
    "bucket_id": None,
    "objects": 1610,
    "results": [_FIELD],
    "records": [_PROPERTY],
    "total_count": 1,
    "next_cursor": None,
    "next_page": None,
}
_CHANGES: Final = "What is given changes; what is not given stays. The name may change, the id never does."
_CHANGE: Final = Content(UpdateNamespace, {"A description": {"description": "The shop's data"}})
_CHANGED: Final = Content(Namespace, {"The namespace": _NAMESPACE})

OPERATIONS: Final = (
    Op(
        "post", "/v1/namespaces", "createNamespace", "Create a namespace",
        "A namespace keeps tenants apart: buckets, collections, objects and streams lie in one, and no request sees "
        "into another. It is a project of the records API, too.",
        _TAG,
        Content(Namespace, {"The new namespace": _NEW}),
        says="The namespace.",
        body=Content(
            CreateNamespace,
            {"A name": {"namespace_name": "production", "description": "The shop's data"}},
        ),
        errors=(409,),
    ),
    Op(
        "post", "/v1/namespaces/standalone", "createStandaloneNamespace", "Create a namespace (newest client)",
        "The same in the words of the newest client: `namespace_id` is the name that it wants.",
        _TAG,
        Content(StandaloneNamespace, {"The new namespace": _NEW | {"mode": "standalone", "document_count": 0}}),
        says="The namespace.",
        body=Content(CreateStandalone, {"A name": {"namespace_id": "production"}}),
        errors=(409,),
    ),
    Op(
        "get", "/v1/namespaces", "listNamespacesByQuery", "List namespaces (by query)",
        "A page of namespaces, chosen by the query alone.",
        _TAG,
        Content(NamespaceList, {"One page": _PAGE}),
        says="A page.",
        query=LIST,
        errors=(410, 422),
    ),
    Op(
        "post", "/v1/namespaces/list", "listNamespaces", "List namespaces",
        "A page of namespaces. What stands in the query counts more than what stands in the body.",
        _TAG,
        Content(NamespaceList, {"One page": _PAGE}),
        says="A page.",
        body=Content(
            ListRequest,
            {"By name": {"filters": {"AND": [{"field": "name", "operator": "starts_with", "value": "prod"}]}}},
            needed=False,
        ),
        query=LIST,
        errors=(410, 422),
    ),
    Op(
        "get", _ONE, "getNamespace", "A namespace", "One namespace, with counts of what lies in it.",
        _TAG,
        Content(Namespace, {"The namespace": _NAMESPACE}),
        says="The namespace.",
    ),
    Op(
        "put", _ONE, "updateNamespace", "Change a namespace", _CHANGES,
        _TAG, _CHANGED, says="The namespace as it is now.", body=_CHANGE, errors=(409,),
    ),
    Op(
        "patch", _ONE, "patchNamespace", "Change a namespace (PATCH)", f"The same as PUT. {_CHANGES}",
        _TAG, _CHANGED, says="The namespace as it is now.", body=_CHANGE, errors=(409,),
    ),
    Op(
        "delete", _ONE, "deleteNamespace", "Delete a namespace",
        "Gone at once for everybody, with everything in it; the data is removed in the background.",
        _TAG,
        Content(
            NamespaceDeletion,
            {
                "It is gone": {
                    "namespace_id": "ns_9f8e7d6c5b",
                    "namespace_name": "production",
                    "status": "PENDING",
                    "task_id": "task_ns_9f8e7d6c5b",
                }
            },
        ),
        says="It is gone.",
    ),
    Op(
        "get", f"{_ONE}/indices", "listIndices", "Indices of a namespace",
        "What lies in OpenSearch for it: readable names, documents and sizes, of objects and of streams.",
        _TAG,
        Content(IndexList, {"One index": {**_NAMED, "results": [_INDEX], "total_count": 1}}),
        says="All of them, by name.",
    ),
    Op(
        "get", f"{_ONE}/fields", "listFields", "Fields of a namespace",
        "The fields of its objects with their types, exact counts and examples, and the properties of its containers.",
        _TAG,
        Content(FieldList, {"A page": _FIELDS}),
        says="A page.",
        query=("fields_bucket", "fields_prefix", "fields_limit", "fields_cursor"),
        errors=(410, 422),
    ),
)  # fmt: skip
