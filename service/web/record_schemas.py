"""What the records API answers, and the records that it takes: for the document, and for the tests that compare."""

from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from service.aggregations.base import Accuracy
from service.catalog.streams import STREAM
from service.dialects.tree.properties import CONTAINER, SPACE, TypeName
from service.records.ingest import MAX_ID, MAX_ITEMS, MAX_SOURCES
from service.settings import DURATION
from service.web.schemas import CLOSED, OPEN, Count

ONE: Final = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1, "maxProperties": 1})
"""An object with one of its keys, which is its kind."""

Millis = Annotated[int, Field(description="Milliseconds since 1970, UTC.")]
Duration = Annotated[str, Field(pattern=DURATION, examples=["P7D"])]
SpaceId = Annotated[str, Field(pattern=SPACE)]
ContainerId = Annotated[str, Field(pattern=CONTAINER)]
RecordId = Annotated[str, Field(min_length=1, max_length=MAX_ID)]
Cursor = Annotated[str, Field(description="Goes on from here.")]

# Errors


@with_config(CLOSED)
class Name(TypedDict):
    """What an error is about: a space, a container, a stream or a record, by its ids."""

    space: NotRequired[str]
    externalId: NotRequired[str]


@with_config(CLOSED)
class Partial(TypedDict):
    """What became of one record of a request of which some were refused."""

    space: str
    externalId: str
    code: Literal[202, 409, 500, 503]
    message: NotRequired[str]


# Spaces and containers


@with_config(CLOSED)
class Nothing(TypedDict):
    """Done."""


@with_config(CLOSED)
class SpaceName(TypedDict):
    """A space, by its id."""

    space: str


@with_config(CLOSED)
class ContainerName(TypedDict):
    """A container, by its id."""

    space: str
    externalId: str


@with_config(CLOSED)
class DeletedSpaces(TypedDict):
    """What was there, and is there no more."""

    items: list[SpaceName]


@with_config(CLOSED)
class DeletedContainers(TypedDict):
    """What was there, and is there no more."""

    items: list[ContainerName]


@with_config(CLOSED)
class StoredSpace(TypedDict):
    """A space: what containers and records are named in."""

    space: SpaceId
    name: NotRequired[str]
    description: NotRequired[str]
    createdTime: Millis
    lastUpdatedTime: Millis
    isGlobal: Literal[False]


@with_config(CLOSED)
class StoredSpaces(TypedDict):
    """Spaces as they are now."""

    items: list[StoredSpace]
    nextCursor: NotRequired[Cursor]


@with_config(CLOSED)
class StoredType(TypedDict):
    """The type of a property."""

    type: TypeName
    list: NotRequired[bool]
    maxListSize: NotRequired[int]
    maxTextSize: NotRequired[int]
    collation: NotRequired[Literal["ucs_basic"]]
    unit: NotRequired[dict[str, Any]]
    container: NotRequired[dict[str, Any]]
    values: NotRequired[Annotated[dict[str, dict[str, Any]], Field(min_length=1, max_length=32)]]
    unknownValue: NotRequired[str]


@with_config(CLOSED)
class Typing(TypedDict):
    """What a property is declared as."""

    type: StoredType
    nullable: bool
    immutable: Literal[False]
    autoIncrement: Literal[False]
    defaultValue: NotRequired[Any]
    name: NotRequired[str]
    description: NotRequired[str]


@with_config(CLOSED)
class StoredProperty(Typing):
    """A property of a container."""

    constraintState: Nothing


@with_config(CLOSED)
class StoredContainer(TypedDict):
    """A container: named, typed properties of records."""

    space: SpaceId
    externalId: ContainerId
    name: NotRequired[str]
    description: NotRequired[str]
    usedFor: Literal["record"]
    properties: dict[str, StoredProperty]
    createdTime: Millis
    lastUpdatedTime: Millis
    isGlobal: Literal[False]
    constraints: Nothing
    indexes: Nothing


@with_config(CLOSED)
class StoredContainers(TypedDict):
    """Containers as they are now."""

    items: list[StoredContainer]
    nextCursor: NotRequired[Cursor]


@with_config(CLOSED)
class NoItems(TypedDict):
    """None of them was there."""

    items: Annotated[list[Any], Field(max_length=0)]


# Streams


@with_config(CLOSED)
class Quota(TypedDict):
    """How much there may be, and how much there is."""

    provisioned: Count
    consumed: NotRequired[Annotated[int, Field(ge=0, description="Only with `includeStatistics=true`.")]]


@with_config(CLOSED)
class Lifecycle(TypedDict):
    """For how long data is kept."""

    retainedAfterSoftDelete: Duration
    dataDeletedAfter: NotRequired[Duration]


@with_config(CLOSED)
class StreamLimits(TypedDict):
    """How much a stream may hold and be asked for."""

    maxRecordsTotal: Quota
    maxGigaBytesTotal: Quota
    maxFilteringInterval: NotRequired[Duration]


@with_config(CLOSED)
class StoredSettings(TypedDict):
    """What the template of a stream says."""

    lifecycle: Lifecycle
    limits: StreamLimits


@with_config(CLOSED)
class Stream(TypedDict):
    """A stream: what records are written to."""

    externalId: Annotated[str, Field(pattern=STREAM)]
    createdTime: Millis
    createdFromTemplate: str
    type: Literal["Immutable", "Mutable"]
    settings: StoredSettings


@with_config(CLOSED)
class Streams(TypedDict):
    """Streams as they are now."""

    items: list[Stream]
    nextCursor: NotRequired[Cursor]


# Results of aggregates

Results = dict[str, "AggregateResult"]


@with_config(CLOSED)
class ValueBucket(TypedDict):
    """The records with one value."""

    value: str | int | float | bool | ContainerName
    count: Count
    aggregates: NotRequired[Results]


@with_config(CLOSED)
class NumberBucket(TypedDict):
    """The records in one interval of numbers."""

    intervalStart: float
    count: Count
    aggregates: NotRequired[Results]


@with_config(CLOSED)
class TimeBucket(TypedDict):
    """The records in one interval of time."""

    intervalStart: Annotated[str, Field(pattern="Z$")]
    count: Count
    aggregates: NotRequired[Results]


@with_config(CLOSED)
class FilterBucket(TypedDict):
    """The records that a filter finds."""

    count: Count
    aggregates: NotRequired[Results]


@with_config(ONE)
class AggregateResult(TypedDict):
    """The result of one aggregate, under the key of its kind; 0 where there was no value."""

    avg: NotRequired[float]
    sum: NotRequired[float]
    min: NotRequired[float | str]
    max: NotRequired[float | str]
    count: NotRequired[Count]
    fnValue: NotRequired[float]
    uniqueValueBuckets: NotRequired[list[ValueBucket]]
    numberHistogramBuckets: NotRequired[list[NumberBucket]]
    timeHistogramBuckets: NotRequired[list[TimeBucket]]
    filterBuckets: NotRequired[list[FilterBucket]]


@with_config(CLOSED)
class AggregateInfo(TypedDict):
    """How the answer came about."""

    accuracy: Annotated[
        dict[str, Accuracy], Field(description="Of each aggregate: exact, or double for sums and means of doubles.")
    ]
    strategy: Literal["single", "careful", "records"]
    warnings: Annotated[list[str], Field(description="Properties that no record has, buckets that were left out.")]
    otherRecords: NotRequired[
        Annotated[
            dict[str, int],
            Field(description="By `uniqueValues` that had more values than `size`: what the other buckets count."),
        ]
    ]


Typings = Annotated[dict[str, dict[str, dict[str, Typing]]], Field(description="By space, container and property.")]


@with_config(CLOSED)
class AggregateResults(TypedDict):
    """Results by the identifiers of the request."""

    aggregates: Results
    typing: NotRequired[Typings]
    info: NotRequired[AggregateInfo]


# Records


@with_config(OPEN)
class WrittenContainer(TypedDict):
    """A container, as records name it."""

    type: NotRequired[Literal["container"] | None]
    space: str
    externalId: ContainerId


@with_config(CLOSED)
class WrittenSource(TypedDict):
    """Values of one container's properties."""

    source: WrittenContainer
    properties: Annotated[dict[str, Any], Field(description="By property; of the declared types.")]


@with_config(CLOSED)
class WrittenRecord(TypedDict):
    """A record to be stored."""

    space: SpaceId
    externalId: RecordId
    sources: Annotated[list[WrittenSource], Field(min_length=1, max_length=MAX_SOURCES)]


@with_config(CLOSED)
class WrittenRecords(TypedDict):
    """Records to be stored: all of them, or none if one is wrong."""

    items: Annotated[list[WrittenRecord], Field(min_length=1, max_length=MAX_ITEMS)]


Properties = Annotated[dict[str, dict[str, dict[str, Any]]], Field(description="By space, container and property.")]


@with_config(CLOSED)
class Record(TypedDict):
    """A record as it is now."""

    space: SpaceId
    externalId: RecordId
    createdTime: Millis
    lastUpdatedTime: Millis
    properties: Properties


@with_config(CLOSED)
class Records(TypedDict):
    """The records that a filter found."""

    items: list[Record]
    typing: NotRequired[Typings]


@with_config(CLOSED)
class SyncedRecord(TypedDict):
    """A record as it is now, or that it is deleted: then without properties."""

    space: SpaceId
    externalId: RecordId
    createdTime: Millis
    lastUpdatedTime: Millis
    properties: NotRequired[Properties]
    status: Literal["created", "updated", "deleted"]


@with_config(CLOSED)
class SyncedRecords(TypedDict):
    """What was written after a cursor."""

    items: list[SyncedRecord]
    nextCursor: Cursor
    hasNext: bool
    typing: NotRequired[Typings]
