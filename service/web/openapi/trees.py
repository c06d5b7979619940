"""What the records API takes and answers, where no model of the service reads it: for the document only.

Filters and aggregates are read by hand (`service.dialects.tree`), as their errors name places and types; here is their
form. Null is as good as absent in a request.
"""

from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from service.dialects.tree.buckets import CALENDAR
from service.dialects.tree.moving import FUNCTIONS, MAX_PATH
from service.dialects.tree.properties import CONTAINER, SPACE
from service.dialects.tree.request import MAX_LEVEL, MAX_UNIQUE
from service.resources.ingest import MAX_ID, MAX_ITEMS, MAX_SOURCES
from service.resources.streams import STREAM
from service.settings import DURATION
from service.web.openapi.answers import CLOSED, OPEN, Count

ONE: Final = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1, "maxProperties": 1})
"""An object with one of its keys, which is its kind."""

Millis = Annotated[int, Field(description="Milliseconds since 1970, UTC.")]
Duration = Annotated[str, Field(pattern=DURATION, examples=["P7D"])]
SpaceId = Annotated[str, Field(pattern=SPACE)]
ContainerId = Annotated[str, Field(pattern=CONTAINER)]
RecordId = Annotated[str, Field(min_length=1, max_length=MAX_ID)]
Cursor = Annotated[str, Field(description="Goes on from here.")]
Path = Annotated[
    list[str],
    Field(
        min_length=1,
        max_length=3,
        description="`[space, container, property]`, or one of what every record has: `space`, `externalId`, "
        "`createdTime`, `lastUpdatedTime`, where it makes sense.",
        json_schema_extra={"not": {"minItems": 2, "maxItems": 2}},
    ),
]
TimeBound = Annotated[int | str, Field(description="Milliseconds since 1970, or ISO-8601.")]
Operand = str | int | float | bool | dict[str, Any]
Operands = Annotated[list[Any], Field(min_length=1, max_length=100)]


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
class SpaceNames(TypedDict):
    """Spaces, by their ids."""

    items: Annotated[list[SpaceName], Field(min_length=1, max_length=100)]
    ignoreUnknownIds: NotRequired[Any]


@with_config(CLOSED)
class ContainerNames(TypedDict):
    """Containers, by their ids."""

    items: Annotated[list[ContainerName], Field(min_length=1, max_length=100)]
    ignoreUnknownIds: NotRequired[Any]


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

    type: Literal[
        "text", "boolean", "float32", "float64", "int32", "int64", "timestamp", "date", "json", "direct", "enum"
    ]
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


@with_config(OPEN)
class Identifiers(TypedDict):
    """Constraints or indexes of containers, which have none."""

    items: NotRequired[list[Any]]


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


# Filters


@with_config(CLOSED)
class ContainerReference(TypedDict):
    """A container, as filters name it."""

    type: Literal["container"]
    space: str
    externalId: str


@with_config(CLOSED)
class OfProperty(TypedDict):
    """A property, and nothing else."""

    property: Path


@with_config(CLOSED)
class WithValue(TypedDict):
    """A property and one value."""

    property: Path
    value: Operand


@with_config(CLOSED)
class WithValues(TypedDict):
    """A property and several values."""

    property: Path
    values: Operands


@with_config(CLOSED)
class WithPrefix(TypedDict):
    """A text property, and how it begins."""

    property: Path
    value: Annotated[str, Field(min_length=1, max_length=500)]


@with_config(ConfigDict(extra="forbid", json_schema_extra={"minProperties": 2}))
class WithBounds(TypedDict):
    """A property and its bounds: at least one, never two on one side."""

    property: Path
    gte: NotRequired[str | int | float | None]
    gt: NotRequired[str | int | float | None]
    lte: NotRequired[str | int | float | None]
    lt: NotRequired[str | int | float | None]


_Filter = TypedDict(
    "_Filter",
    {
        "and": NotRequired["Annotated[list[Filter], Field(min_length=1, max_length=99)]"],
        "or": NotRequired["Annotated[list[Filter], Field(min_length=1, max_length=99)]"],
        "not": NotRequired["Filter"],
        "matchAll": NotRequired[dict[str, None]],
        "exists": NotRequired[OfProperty],
        "equals": NotRequired[WithValue],
        "in": NotRequired[WithValues],
        "range": NotRequired[WithBounds],
        "prefix": NotRequired[WithPrefix],
        "hasData": NotRequired[Annotated[list[ContainerReference], Field(min_length=1, max_length=10)]],
        "containsAll": NotRequired[WithValues],
        "containsAny": NotRequired[WithValues],
    },
)


@with_config(ONE)
class Filter(_Filter):
    """One operator and what it applies to; at most 100 of them, nested at most 10 deep."""


@with_config(CLOSED)
class LastUpdated(TypedDict):
    """The time of a record's last write; a lower bound is needed, and never two on one side."""

    gte: NotRequired[TimeBound | None]
    gt: NotRequired[TimeBound | None]
    lte: NotRequired[TimeBound | None]
    lt: NotRequired[TimeBound | None]


# Aggregates

AggregateId = Annotated[str, Field(pattern=r"^[^\[\]>.]{1,255}$")]


@with_config(CLOSED)
class CountOf(TypedDict):
    """Records; with a property its values."""

    property: NotRequired[Path | None]


@with_config(CLOSED)
class UniqueValues(TypedDict):
    """A bucket for each value, by count descending."""

    property: Path
    size: NotRequired[Annotated[int, Field(ge=1, le=MAX_UNIQUE)] | None]
    aggregates: NotRequired["Aggregates | None"]


@with_config(CLOSED)
class NumberBounds(TypedDict):
    """The least and the greatest start of a bucket, both inclusive."""

    min: NotRequired[float | None]
    max: NotRequired[float | None]


@with_config(CLOSED)
class NumberHistogram(TypedDict):
    """A bucket for each interval of numbers."""

    property: Path
    interval: Annotated[float, Field(gt=0)]
    hardBounds: NotRequired[NumberBounds | None]
    aggregates: NotRequired["Aggregates | None"]


@with_config(CLOSED)
class TimeBounds(TypedDict):
    """ISO-8601 with a zone: [min, max)."""

    min: NotRequired[str | None]
    max: NotRequired[str | None]


@with_config(CLOSED)
class TimeHistogram(TypedDict):
    """A bucket for each interval of time; exactly one of the two intervals is needed."""

    property: Path
    calendarInterval: NotRequired[Annotated[str, Field(json_schema_extra={"enum": list(CALENDAR)})] | None]
    fixedInterval: NotRequired[Annotated[str, Field(pattern=r"^[1-9][0-9]*(ms|s|m|h|d)$")] | None]
    hardBounds: NotRequired[TimeBounds | None]
    aggregates: NotRequired["Aggregates | None"]


@with_config(CLOSED)
class Filters(TypedDict):
    """A bucket for each filter."""

    filters: Annotated[list[Filter], Field(min_length=1, max_length=10)]
    aggregates: NotRequired["Aggregates | None"]


@with_config(CLOSED)
class MovingFunction(TypedDict):
    """Over the last buckets of the histogram that it stands in."""

    bucketsPath: Annotated[str, Field(min_length=1, max_length=MAX_PATH, examples=["_count", "sub>_count"])]
    window: Annotated[int, Field(ge=1)]
    function: Annotated[str, Field(json_schema_extra={"enum": list(FUNCTIONS)})]


@with_config(ONE)
class Aggregate(TypedDict):
    """One kind and what it applies to."""

    avg: NotRequired[OfProperty]
    sum: NotRequired[OfProperty]
    min: NotRequired[OfProperty]
    max: NotRequired[OfProperty]
    count: NotRequired[CountOf]
    uniqueValues: NotRequired[UniqueValues]
    numberHistogram: NotRequired[NumberHistogram]
    timeHistogram: NotRequired[TimeHistogram]
    filters: NotRequired[Filters]
    movingFunction: NotRequired[MovingFunction]


Aggregates = Annotated[
    dict[AggregateId, Aggregate],
    Field(
        min_length=1,
        max_length=MAX_LEVEL,
        description="By identifiers of your own, unique in the whole tree; at most 5 levels and 16 aggregates.",
        json_schema_extra={"additionalProperties": False},
    ),
]

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
class AggregateQuery(TypedDict):
    """Aggregates over the records of a stream that a filter finds."""

    aggregates: Aggregates
    lastUpdatedTime: NotRequired[LastUpdated | None]
    filter: NotRequired[Filter | None]
    includeTyping: NotRequired[bool | None]


@with_config(CLOSED)
class AggregateInfo(TypedDict):
    """How the answer came about."""

    accuracy: Literal["exact"]
    strategy: Literal["single", "careful", "records"]


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


@with_config(CLOSED)
class RecordName(TypedDict):
    """A record, by its id."""

    space: str
    externalId: str


@with_config(CLOSED)
class RecordNames(TypedDict):
    """Records, by their ids."""

    items: Annotated[list[RecordName], Field(min_length=1, max_length=MAX_ITEMS)]


@with_config(CLOSED)
class WantedContainer(TypedDict):
    """A container, as a choice of properties names it."""

    type: NotRequired[Literal["container"] | None]
    space: str
    externalId: str


@with_config(CLOSED)
class WantedSource(TypedDict):
    """Properties of a container that are to be told; `*` for all."""

    source: WantedContainer
    properties: list[str]


WantedSources = Annotated[
    list[WantedSource], Field(min_length=1, max_length=10, description="What is told of a record; all by default.")
]
PageSize = Annotated[int, Field(ge=1, le=1_000, description="10 by default.")]


@with_config(CLOSED)
class Sort(TypedDict):
    """One property and a direction."""

    property: Path
    direction: NotRequired[Literal["ascending", "descending"] | None]
    nullsFirst: NotRequired[bool | None]


@with_config(CLOSED)
class FilterQuery(TypedDict):
    """Which records, in which order, and what of them."""

    filter: NotRequired[Filter | None]
    lastUpdatedTime: NotRequired[LastUpdated | None]
    sources: NotRequired[WantedSources | None]
    sort: NotRequired[Annotated[list[Sort], Field(min_length=1, max_length=5)] | None]
    limit: NotRequired[PageSize | None]
    includeTyping: NotRequired[bool | None]


@with_config(CLOSED)
class SyncQuery(TypedDict):
    """Where to go on, and which records; exactly one of `cursor` and `initializeCursor` is needed."""

    cursor: NotRequired[Annotated[str, Field(description="`nextCursor` of the page before.")] | None]
    initializeCursor: NotRequired[Annotated[str, Field(pattern="^[1-9][0-9]{0,6}(m|h|d)-ago$")] | None]
    filter: NotRequired[Filter | None]
    sources: NotRequired[WantedSources | None]
    limit: NotRequired[PageSize | None]
    includeTyping: NotRequired[bool | None]


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
