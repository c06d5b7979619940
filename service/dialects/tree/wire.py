"""The bodies of requests about records: models, and the form of what `request` and `filters` read by hand.

Filters and aggregates are read by hand, as their errors depend on the declared types; their form is here for the
document. Null is as good as absent in a request.
"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Final, Literal, NotRequired

from pydantic import ConfigDict, Field, StrictBool, StrictInt, StrictStr, field_validator, model_validator, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from service.dialects.tree.buckets import CALENDAR
from service.dialects.tree.moving import FUNCTIONS, MAX_PATH
from service.dialects.tree.references import VIEWS
from service.dialects.tree.request import MAX_LEVEL, MAX_UNIQUE
from service.values import Json
from service.wire import CamelModel, ReadByHand

CLOSED: Final = ConfigDict(extra="forbid")
ONE: Final = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1, "maxProperties": 1})
"""An object with one of its keys, which is its kind."""

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


# Requests


class SpaceRef(CamelModel):
    """A space, by its id."""

    space: StrictStr


class SpaceIds(CamelModel):
    """Spaces, by their ids."""

    items: list[SpaceRef] = Field(min_length=1, max_length=100)
    ignore_unknown_ids: bool = Field(True, description="Ids that do not exist are left out in any case.")

    @property
    def names(self) -> list[str]:
        return [each.space for each in self.items]


class ContainerRef(CamelModel):
    """A container, by its id."""

    space: StrictStr
    external_id: StrictStr


class ContainerIds(CamelModel):
    """Containers, by their ids."""

    items: list[ContainerRef] = Field(min_length=1, max_length=100)
    ignore_unknown_ids: bool = Field(True, description="Ids that do not exist are left out in any case.")

    @property
    def names(self) -> list[tuple[str, str]]:
        return [(each.space, each.external_id) for each in self.items]


class Identifier(CamelModel):
    """A constraint or an index of a container."""

    space: StrictStr
    container_external_id: StrictStr
    identifier: StrictStr


class Identifiers(CamelModel):
    """Constraints or indexes of containers, which have none."""

    items: list[Identifier] = Field(min_length=1, max_length=100)


class RecordRef(CamelModel):
    """A record, by its id."""

    space: StrictStr
    external_id: StrictStr


class RecordIds(CamelModel):
    """Records, by their ids."""

    items: list[RecordRef] = Field(min_length=1, max_length=1_000)


class SourceContainer(CamelModel):
    """A container, as a choice of properties names it."""

    type: StrictStr = Field("container", json_schema_extra={"enum": ["container"]})
    space: StrictStr
    external_id: StrictStr

    @field_validator("type")
    @classmethod
    def _no_view(cls, type: str) -> str:
        if type != "container":
            raise PydanticCustomError("views", VIEWS)
        return type


class SourceProperties(CamelModel):
    """Properties of a container that are given back."""

    source: SourceContainer
    properties: list[StrictStr] = Field(description="Names; `*` for all.")


class Sort(CamelModel):
    """One property and a direction."""

    property: Annotated[Json, ReadByHand(Path)]
    direction: Literal["ascending", "descending"] = "ascending"
    nulls_first: StrictBool = False


Limit = Annotated[StrictInt, Field(ge=1, le=1_000)]
Sources = Annotated[list[SourceProperties], Field(min_length=1, max_length=10)]


class Selection(CamelModel):
    """Which records, and whether their types are given, too."""

    filter: Annotated[Json, ReadByHand(Filter | None)] = None
    include_typing: StrictBool = False

    def mentions(self) -> Iterator[Json]:
        """Where containers may be named."""
        yield self.filter


class WithSources(Selection):
    """With a choice of properties and a page."""

    sources: Sources | None = Field(None, description="What is given back of a record; all by default.")
    limit: Limit = Field(10, description="Records at most.")

    def mentions(self) -> Iterator[Json]:
        yield from super().mentions()
        for each in self.sources or ():
            yield {"space": each.source.space, "externalId": each.source.external_id}


class FilterRequest(WithSources):
    """Which records, in which order, and what of them."""

    last_updated_time: Annotated[Json, ReadByHand(LastUpdated | None)] = None
    sort: Annotated[list[Sort], Field(min_length=1, max_length=5)] | None = None

    def mentions(self) -> Iterator[Json]:
        yield from super().mentions()
        yield from (each.property for each in self.sort or ())


_NO_UNITS: Final = "units are not supported"


class SyncRequest(WithSources):
    """Where to go on, and which records; exactly one of `cursor` and `initializeCursor` is needed."""

    unsupported: ClassVar = {"targetUnits": _NO_UNITS}

    cursor: StrictStr | None = Field(None, description="`nextCursor` of the page before.")
    initialize_cursor: StrictStr | None = Field(
        None, pattern="^[1-9][0-9]{0,6}(m|h|d)-ago$", description="Such as 7d-ago, 12h-ago, 90m-ago."
    )

    @model_validator(mode="after")
    def _begins_somewhere(self) -> "SyncRequest":
        if (self.cursor is None) == (self.initialize_cursor is None):
            raise PydanticCustomError("missing", "exactly one of cursor and initializeCursor is needed")
        return self


class RecordsAggregate(Selection):
    """Aggregates over the records of a stream that a filter finds."""

    unsupported: ClassVar = {"targetUnits": _NO_UNITS}

    aggregates: Annotated[Json, ReadByHand(Aggregates)]
    last_updated_time: Annotated[Json, ReadByHand(LastUpdated | None)] = None

    def mentions(self) -> Iterator[Json]:
        yield from super().mentions()
        yield self.aggregates
