"""What the objects API answers, and the bodies that no model of the service reads: for the document only.

Handlers build plain dictionaries; these types say of which form, and the tests compare every answer with them.
"""

from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import ConfigDict, Field, StrictStr, with_config
from pydantic.config import JsonDict
from typing_extensions import TypedDict

from service.aggregations.base import Accuracy
from service.catalog.buckets import Policy
from service.catalog.schema import TYPES
from service.objects.incoming import MAX_SIZE, RESERVED, STATUSES
from service.planning.strategies import STRATEGIES

CLOSED: Final = ConfigDict(extra="forbid")
OPEN: Final = ConfigDict(extra="allow")
"""What users, or later versions, add is kept."""

Time = Annotated[str, Field(pattern="Z$", description="ISO-8601, UTC.", json_schema_extra={"format": "date-time"})]
NamespaceId = Annotated[str, Field(pattern="^ns_")]
BucketId = Annotated[str, Field(pattern="^bkt_")]
CollectionId = Annotated[str, Field(pattern="^col_")]
ObjectId = Annotated[str, Field(pattern="^obj_")]
TaskId = Annotated[str, Field(pattern="^task_", description="For `GET /v1/tasks/{task_id}`.")]
Count = Annotated[int, Field(ge=0)]
Link = Annotated[str | None, Field(description="Path and query of that page; null where there is none.")]
Status = Annotated[str, Field(json_schema_extra={"enum": list(STATUSES)})]
AnyStatus = Annotated[str, Field(description=f"{', '.join(STATUSES)}; in any letter case.")]
Omitted = Annotated[
    list[str], Field(description="Statistics that are null because more would have to be counted than may be.")
]


# Errors


@with_config(CLOSED)
class ValidationProblem(TypedDict):
    """One thing that is wrong in a request: where, of which kind, and what to do."""

    type: str
    location: Annotated[list[str | int], Field(examples=[["body", "group_by", 0, "field"]])]
    message: str


@with_config(CLOSED)
class ValidationDetails(TypedDict):
    """`details` of a 422."""

    validation_errors: list[ValidationProblem]


# Lists


@with_config(CLOSED)
class Pagination(TypedDict):
    """Where a page lies, and how to get to its neighbours."""

    total: Annotated[int, Field(ge=0, description="Everything that matched.")]
    page: Annotated[int, Field(ge=1)]
    page_size: Annotated[int, Field(ge=1)]
    total_pages: Count
    next_page: Link
    previous_page: Link
    next_cursor: Annotated[str | None, Field(description="Reaches any depth; null where there is no next page.")]


@with_config(CLOSED)
class ObjectPagination(Pagination):
    """The same, with the older shape beside the newer."""

    has_more: bool
    limit: Annotated[int, Field(ge=1)]
    skip: Count


# Namespaces


@with_config(OPEN)
class NamedExtractor(TypedDict):
    """A feature extractor; stored and returned, never run."""

    feature_extractor_id: Annotated[str, Field(description="`name_version`.")]


@with_config(CLOSED)
class Namespace(TypedDict):
    """A namespace: what keeps tenants apart. A project of the records API is one, too."""

    namespace_id: NamespaceId
    namespace_name: str
    description: str | None
    feature_extractors: list[NamedExtractor]
    payload_indexes: list[Any]
    status: Literal["ACTIVE"]
    created_at: Time
    updated_at: Time
    ttl_seconds: Annotated[int | None, Field(ge=1, description="As it was sent last.")]
    expires_at: Annotated[Time | None, Field(description="When it is deleted with all its data; null: never.")]
    bucket_count: Count
    collection_count: Count
    object_count: Count
    namespace_ready: Literal[True]


@with_config(CLOSED)
class StandaloneNamespace(Namespace):
    """A namespace as the newest client reads it."""

    mode: Literal["standalone"]
    document_count: Count


@with_config(CLOSED)
class NamespaceStats(TypedDict):
    """Over all namespaces that matched, not the page."""

    total_namespaces: Count
    total_buckets: Count | None
    total_collections: Count | None
    total_objects: Count | None
    avg_buckets_per_namespace: float | None
    avg_collections_per_namespace: float | None
    avg_objects_per_namespace: float | None
    omitted: NotRequired[Omitted]


@with_config(CLOSED)
class NamespaceList(TypedDict):
    """A page of namespaces."""

    results: list[Namespace]
    pagination: Pagination
    total_count: Count
    stats: NamespaceStats


@with_config(CLOSED)
class NamespaceDeletion(TypedDict):
    """Gone at once for everybody; its data is removed in the background."""

    namespace_id: NamespaceId
    namespace_name: str
    status: Literal["PENDING"]
    task_id: TaskId


# Looking into a namespace


@with_config(CLOSED)
class IndexTold(TypedDict):
    """An index of OpenSearch; what one that is not whole cannot tell is null."""

    name: str
    alias: Annotated[str | None, Field(description="The readable name, for Dashboards.")]
    holds: Literal["objects", "records", "tombstones"]
    stream: NotRequired[str]
    stream_status: NotRequired[Literal["ACTIVE", "DELETING"]]
    documents: Count | None
    deleted_documents: Annotated[int | None, Field(ge=0, description="Marked and not yet removed by OpenSearch.")]
    size_bytes: Annotated[int | None, Field(ge=0, description="Of all copies.")]
    primary_size_bytes: Count | None
    primary_shards: Count
    replicas: Count
    health: Literal["green", "yellow", "red"]
    created_at: Time


@with_config(CLOSED)
class IndexList(TypedDict):
    """All indices of a namespace, by name."""

    namespace_id: NamespaceId
    namespace_name: str
    results: list[IndexTold]
    total_count: Count


@with_config(CLOSED)
class IndexField(TypedDict):
    """A field as Dashboards lists it."""

    name: str
    type: str
    term: NotRequired[Annotated[str, Field(description="The value there that stands for what is meant.")]]


@with_config(CLOSED)
class FieldDates(TypedDict):
    """How many of the strings are dates, and the first and the last."""

    count: Count
    min: Time | None
    max: Time | None


@with_config(CLOSED)
class FieldType(TypedDict):
    """A JSON type that was met at a field, and the objects that have it there now."""

    type: Literal["string", "number", "boolean", "null", "array", "object"]
    count: Count
    index: list[IndexField]
    min: NotRequired[float | int | None]
    max: NotRequired[float | int | None]
    dates: NotRequired[FieldDates]


@with_config(CLOSED)
class FieldExample(TypedDict):
    """One of the most frequent values; `count` is null where several shards cannot tell it exactly."""

    value: str | bool | int | float
    count: Count | None
    shortened: NotRequired[Literal[True]]


@with_config(CLOSED)
class FieldTold(TypedDict):
    """A field of objects."""

    field: Annotated[str, Field(description="The path, as filters and group keys spell it.")]
    count: Annotated[int, Field(ge=0, description="Objects that have it, as `$exists` means it. Exact.")]
    share: Annotated[float, Field(ge=0, le=1)]
    types: list[FieldType]
    examples: Annotated[list[FieldExample], Field(max_length=5)]


@with_config(CLOSED)
class RecordField(TypedDict):
    """A property of a container; `index` is null for json, which is not searched."""

    space: str
    container: str
    property: str
    type: str
    list: bool
    index: IndexField | None


@with_config(CLOSED)
class FieldList(TypedDict):
    """A page of fields: those of objects first, then the properties of containers."""

    namespace_id: NamespaceId
    namespace_name: str
    bucket_id: BucketId | None
    objects: Annotated[int, Field(ge=0, description="Of the namespace, or of the bucket.")]
    results: list[FieldTold]
    records: list[RecordField]
    total_count: Annotated[int, Field(ge=0, description="Fields of objects.")]
    next_cursor: str | None
    next_page: Link


# Buckets


@with_config(OPEN)
class SchemaField(TypedDict):
    """A declared field: its type, and what JSON Schema's users would expect beside it."""

    type: Annotated[str, Field(json_schema_extra={"enum": list(TYPES)})]


@with_config(OPEN)
class Schema(TypedDict):
    """The declared fields of a bucket's objects, at their root or under `metadata`."""

    properties: dict[str, SchemaField]


@with_config(CLOSED)
class StoredKey(TypedDict):
    """The fields that together make an object one of a kind in its bucket."""

    fields: list[str]
    default_policy: Policy


@with_config(CLOSED)
class Bucket(TypedDict):
    """A bucket, with counts that are computed."""

    bucket_id: BucketId
    bucket_name: str
    description: str | None
    bucket_schema: Schema | None
    metadata: dict[str, Any]
    unique_key: StoredKey | None
    ttl_seconds: Annotated[int | None, Field(description="Seconds after its creation that an object expires.")]
    status: Literal["ACTIVE"]
    created_at: Time
    updated_at: Time
    object_count: Count
    total_size_bytes: Count
    last_upload_at: Time | None


@with_config(CLOSED)
class BucketStats(TypedDict):
    """Over all buckets that matched, not the page."""

    total_objects: Count | None
    total_size_bytes: Count | None
    avg_objects_per_bucket: float | None
    avg_size_per_bucket: float | None
    omitted: NotRequired[Omitted]


@with_config(CLOSED)
class BucketList(TypedDict):
    """A page of buckets."""

    results: list[Bucket]
    pagination: Pagination
    total_count: Count
    stats: BucketStats


@with_config(CLOSED)
class BucketDeletion(TypedDict):
    """Gone at once for everybody; its objects are removed in the background."""

    bucket_id: BucketId
    bucket_name: str
    object_count: Count
    status: Literal["PENDING"]
    task_id: TaskId


# Objects


@with_config(OPEN)
class BlobDetails(TypedDict):
    """What is known of a blob's content."""

    size_bytes: Annotated[int, Field(ge=0, le=MAX_SIZE)]


@with_config(OPEN)
class Blob(TypedDict):
    """A part of an object, as it was sent, with its id and size."""

    blob_id: str
    details: BlobDetails
    properties: Annotated[dict[str, Any], Field(description="`data` and `metadata` merged; not stored.")]
    property: NotRequired[str | None]
    type: NotRequired[str | None]


@with_config(OPEN)
class Edge(TypedDict):
    """A relationship to another object. Its type, its attributes and further keys are the user's own."""

    type: str
    target_object_id: str
    target_collection_id: NotRequired[str | None]
    direction: NotRequired[Literal["out", "in"] | None]
    attributes: NotRequired[dict[str, Any] | None]


@with_config(OPEN)
class Object(TypedDict):
    """An object: what the service sets, and the user's own fields as they were sent."""

    object_id: ObjectId
    bucket_id: BucketId
    key_prefix: str | None
    blobs: list[Blob] | None
    status: Status
    metadata: dict[str, Any] | None
    created_at: Time
    updated_at: Time
    edges: NotRequired[list[Edge] | None]
    replayed: NotRequired[Annotated[bool, Field(description="The `idempotency_key` was known: nothing was written.")]]


@with_config(
    ConfigDict(
        extra="allow",
        json_schema_extra={
            "not": {"required": ["key_prefix", "blobs", "status", "metadata", "created_at", "updated_at"]}
        },
    )
)
class SelectedObject(TypedDict):
    """The selected paths of an object, and its ids."""

    object_id: ObjectId
    bucket_id: BucketId


@with_config(CLOSED)
class ObjectStats(TypedDict):
    """Over all objects that matched, not the page."""

    total_objects: Count
    total_blobs: Count
    avg_blobs_per_object: float
    objects_by_status: dict[str, Count]


@with_config(CLOSED)
class ObjectList(TypedDict):
    """A page of objects."""

    results: list[Object | SelectedObject]
    pagination: ObjectPagination
    total_count: Count
    stats: ObjectStats
    warnings: NotRequired[
        Annotated[list[str], Field(description="Paths in filters or sort that no object has, and the like; if any.")]
    ]


@with_config(OPEN)
class NewDetails(TypedDict):
    """What the caller knows of a blob's content."""

    size_bytes: NotRequired[Annotated[int, Field(ge=0, le=MAX_SIZE)] | None]


@with_config(OPEN)
class NewBlob(TypedDict):
    """A part of an object; its content is inline or elsewhere, and never fetched."""

    property: NotRequired[str | None]
    type: NotRequired[str | None]
    key_prefix: NotRequired[Any]
    data: NotRequired[Any]
    metadata: NotRequired[Any]
    details: NotRequired[NewDetails | None]


_NOT_RESERVED: Final[JsonDict] = {"propertyNames": {"not": {"enum": [*sorted(RESERVED)]}}}


@with_config(ConfigDict(extra="allow", json_schema_extra=_NOT_RESERVED))
class NewObject(TypedDict):
    """An object to be stored; any further field is kept as it is."""

    key_prefix: NotRequired[str | None]
    blobs: NotRequired[list[NewBlob] | None]
    edges: NotRequired[Annotated[list[Edge] | None, Field(description="Relationships to other objects.")]]
    metadata: NotRequired[dict[str, Any] | None]
    status: NotRequired[AnyStatus | None]
    idempotency_key: NotRequired[
        Annotated[str | None, Field(description="A second write with the same key gives the first one's object.")]
    ]


@with_config(OPEN)
class Batch(TypedDict):
    """Objects to be stored, each for itself."""

    objects: Annotated[list[Any], Field(description="Each as in the creation of one object.")]


@with_config(CLOSED)
class BatchFailure(TypedDict):
    """An object of a batch that was not stored."""

    object_index: Count
    error: str
    error_type: str


@with_config(CLOSED)
class BatchSummary(TypedDict):
    """What became of a batch."""

    succeeded: list[Object]
    failed: list[BatchFailure]
    total_requested: Count
    succeeded_count: Count
    failed_count: Count


@with_config(CLOSED)
class Invalidity(TypedDict):
    """What is wrong with the form of a request."""

    message: str
    type: Literal["ValidationError"]
    details: ValidationDetails


@with_config(CLOSED)
class InvalidRequest(TypedDict):
    """A request that does not have the documented form."""

    success: Literal[False]
    status: Literal[422]
    error: Invalidity


@with_config(CLOSED)
class LineFailure(TypedDict):
    """A line of an import that was not stored."""

    line: Annotated[int, Field(ge=1)]
    error: str
    error_type: str


@with_config(CLOSED)
class ImportAnswer(TypedDict):
    """What became of an import."""

    lines: Count
    succeeded_count: Count
    failed_count: Count
    replayed_count: Annotated[Count, Field(description="Of those that succeeded, the ones that were there already.")]
    bytes: Count
    seconds: float
    errors: Annotated[list[LineFailure], Field(max_length=20, description="The first ones.")]


@with_config(CLOSED)
class ObjectsDeletion(TypedDict):
    """How far a delete by filter is; what takes long goes on in the background."""

    task_id: TaskId
    status: Literal["PENDING", "IN_PROGRESS", "COMPLETED", "FAILED", "INTERRUPTED"]
    bucket_id: BucketId
    deleted_count: Count
    failed_count: NotRequired[Annotated[int, Field(ge=1, description="Objects that could not be deleted.")]]
    error: NotRequired[Annotated[str, Field(description="Why it was interrupted, or failed.")]]


# Aggregates


@with_config(CLOSED)
class Row(TypedDict):
    """One group: its keys and its metrics, by alias."""

    group: dict[str, Any]
    metrics: dict[str, Any]


StrategyName = Annotated[str, Field(json_schema_extra={"enum": [each.name for each in STRATEGIES]})]


@with_config(CLOSED)
class QueryInfo(TypedDict):
    """How the answer came about."""

    execution_time_ms: Count
    pipeline_stages: Annotated[int, Field(ge=1, description="Of filter, unwind, group, having, sort, limit.")]
    groups_matched: Annotated[int, Field(ge=0, description="After `having`, before `limit`.")]
    groups_before_having: NotRequired[Annotated[int, Field(ge=0, description="Where it is known.")]]
    strategy: StrategyName
    accuracy: Annotated[
        dict[str, Accuracy], Field(description="Of each metric: exact, a double's sum, or a labelled estimate.")
    ]
    warnings: list[str]


@with_config(CLOSED)
class AggregateAnswer(TypedDict):
    """Rows, and how they came about."""

    results: list[Row]
    total_groups: Annotated[int, Field(ge=0, description="Groups in `results`.")]
    query_info: QueryInfo


@with_config(CLOSED)
class RejectedStrategy(TypedDict):
    """A strategy that cannot answer the request."""

    strategy: StrategyName
    reason: str
    where: Annotated[str, Field(description="The part of the request that is the cause, or a path.")]


@with_config(CLOSED)
class Explanation(TypedDict):
    """How a request would be answered."""

    strategy: StrategyName
    rejected: Annotated[list[RejectedStrategy], Field(description="The cheaper ones, the cheapest first.")]
    reads_objects: Annotated[bool, Field(description="Stored objects are read one by one, within the budget.")]
    requests: Annotated[
        list[dict[str, Any]], Field(description="Bodies of the first `_search` of each pass; further pages follow.")
    ]


# Collections


@with_config(OPEN)
class Extractor(TypedDict):
    """A feature extractor with every default filled in; stored and returned, never run."""

    feature_extractor_name: str
    version: str
    feature_extractor_id: Annotated[str, Field(description="`name_version`.")]
    parameters: dict[str, Any]
    input_mappings: dict[str, Any]
    field_passthrough: list[Any]
    include_all_source_fields: bool


@with_config(OPEN)
class StoredFilters(TypedDict):
    """Which of the source's objects are meant: filters of the list form."""

    filters: dict[str, Any] | None


@with_config(CLOSED)
class Source(TypedDict):
    """What a collection reads."""

    type: Literal["bucket", "collection"]
    bucket_ids: list[BucketId] | None
    collection_id: CollectionId | None
    collection_ids: list[CollectionId] | None
    inherited_bucket_ids: list[BucketId] | None
    source_filters: StoredFilters | None


@with_config(CLOSED)
class Lineage(TypedDict):
    """One step on the way from the buckets to a collection."""

    source_config: Source
    feature_extractor: Extractor
    output_schema: Schema


@with_config(CLOSED)
class Collection(TypedDict):
    """A collection: a named selection of objects, with what is derived from it."""

    collection_name: str
    input_schema: Schema
    output_schema: Schema
    feature_extractor: Extractor
    source: Source
    collection_id: CollectionId
    description: str | None
    source_bucket_schemas: dict[str, Schema | None] | None
    source_lineage: list[Lineage]
    vector_indexes: list[Any]
    payload_indexes: list[Any]
    enabled: bool
    metadata: dict[str, Any]
    created_at: Time
    updated_at: Time
    document_count: Annotated[int, Field(ge=0, description="Objects that it selects.")]
    schema_version: Annotated[int, Field(ge=1)]
    last_schema_sync: Time
    schema_sync_enabled: bool
    taxonomy_applications: list[dict[str, Any]] | None
    cluster_applications: list[dict[str, Any]] | None
    taxonomy_count: Count
    retriever_count: Literal[0]


@with_config(CLOSED)
class CollectionStats(TypedDict):
    """Over all collections that matched, not the page."""

    total_documents: Count | None
    avg_documents_per_collection: float | None
    collections_with_taxonomies: Count | None
    total_feature_extractors: Count | None
    total_taxonomies: Count | None
    total_retrievers: Count | None
    omitted: NotRequired[Omitted]


@with_config(CLOSED)
class CollectionList(TypedDict):
    """A page of collections."""

    results: list[Collection]
    pagination: Pagination
    total_count: Count
    stats: CollectionStats


@with_config(CLOSED)
class CollectionDeletion(TypedDict):
    """The collection is gone; the objects that it selected stay where they are."""

    collection_id: CollectionId
    collection_name: str
    status: Literal["COMPLETED"]
    success: Literal[True]


# The service itself


@with_config(CLOSED)
class Task(TypedDict):
    """What goes on after an answer was given."""

    task_id: TaskId
    task_type: Literal["api_buckets_delete", "api_namespaces_delete", "api_objects_delete"]
    status: Literal["PENDING", "IN_PROGRESS", "COMPLETED", "FAILED", "INTERRUPTED"]
    additional_data: dict[str, Any]
    error: str | None
    created_at: Time
    updated_at: Time


@with_config(CLOSED)
class Alive(TypedDict):
    """The process answers."""

    status: Literal["ok"]


@with_config(CLOSED)
class Ready(TypedDict):
    """It should get requests."""

    status: Literal["ready"]
    writes: NotRequired[Annotated[str, Field(description="Why OpenSearch takes no writes, while it does not.")]]


@with_config(CLOSED)
class NotReady(TypedDict):
    """It should get no requests just now, and why."""

    status: Literal["starting", "draining", "opensearch unreachable", "not set up; run bootstrap"]


@with_config(OPEN)
class Document(TypedDict):
    """An OpenAPI document."""

    openapi: Annotated[str, Field(pattern=r"^3\.1\.")]
    info: dict[str, StrictStr | dict[str, Any]]
    paths: dict[str, Any]
