"""The documented body of an aggregate request on the objects API."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictFloat, StrictInt, StrictStr
from pydantic_core import PydanticCustomError

from service.aggregations import BY_NAME
from service.planning.plan import Comparison, Part, Unit
from service.wire import WireModel

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Number = StrictInt | Annotated[StrictFloat, Field(allow_inf_nan=False)]


class GroupByField(WireModel):
    """A grouping key: a field, or a date's unit or part."""

    field: StrictStr = Field(min_length=1, description="Dotted path.", examples=["metadata.carrier"])
    alias: StrictStr | None = Field(None, min_length=1, description="Name in `group`; the path by default.")
    date_trunc: Unit | None = Field(None, description="The start of the unit that the date lies in.")
    date_part: Part | None = Field(None, description="One part of the date.")
    time_zone: StrictStr | None = Field(None, description="IANA name; UTC by default.", examples=["Europe/Berlin"])
    start_of_week: Weekday | None = Field(None, description="First day of a truncated week; sunday by default.")


class AggregationOperation(WireModel):
    """One metric of each group."""

    function: StrictStr = Field(description="The aggregation kind.", json_schema_extra={"enum": [*BY_NAME]})
    alias: StrictStr = Field(min_length=1, description="Name in `metrics`.")
    field: StrictStr | None = Field(
        None,
        min_length=1,
        description="Dotted path; `count` without it counts objects, with it values that are not null.",
    )
    distinct_field: StrictStr | None = Field(
        None, min_length=1, description="The field of `count_distinct`; `field` does as well."
    )
    percent: Number | None = Field(None, ge=0, le=100, description="The percentile that is meant, 0 to 100.")


class HavingCondition(WireModel):
    """A condition on a metric of finished groups."""

    field: StrictStr = Field(description="Alias of an aggregation.")
    operator: Comparison = Field(description="A null metric satisfies only `ne`, and `eq` with null.")
    value: StrictBool | Number | StrictStr | None = Field(description="Values of different types never match.")


class RangeBucket(WireModel):
    """Groups a number by the range (lo, hi] that it lies in."""

    field: StrictStr = Field(min_length=1, description="Dotted path.")
    boundaries: list[Number] = Field(
        min_length=1, max_length=1_000, description="Ascending; the ends of the ranges, which are labelled `lo-hi`."
    )
    default_bucket: StrictStr | None = Field(
        None, description="The label of everything else; without it, what is outside has ranges of its own, or null."
    )
    alias: StrictStr | None = Field(None, min_length=1, description="Name in `group`; the path by default.")


def _some_key(group_by: Any) -> Any:
    if group_by in ([], None):
        raise PydanticCustomError(
            "too_short",
            "at least one key is needed; for a grand total take a field that is the same in all objects: {example}",
            {"example": '[{"field": "bucket_id"}]'},
        )
    return group_by


class AggregateRequest(WireModel):
    """match → unwind → group → having → sort → limit."""

    group_by: Annotated[list[GroupByField], BeforeValidator(_some_key)] = Field(
        min_length=1, max_length=32, description="The keys; for a grand total `bucket_id`, which all objects share."
    )
    aggregations: list[AggregationOperation] = Field(min_length=1, max_length=64, description="The metrics.")
    filters: dict[str, Any] | None = Field(
        None, description="Which objects count: MongoDB's operators, or `AND`/`OR`/`NOT` of conditions."
    )
    having: list[HavingCondition] | None = Field(
        None, max_length=64, description="Which groups stay: all conditions have to hold."
    )
    unwind: StrictStr | None = Field(
        None, min_length=1, description="Path of an array: each element counts as an object of its own."
    )
    range_buckets: list[RangeBucket] | None = Field(
        None, max_length=32, description="Further keys: numbers by the range that they lie in."
    )
    sort_by: StrictStr | None = Field(None, description="Alias of a key or a metric; the keys by default.")
    sort_direction: StrictStr = Field("desc", description="`asc` or `desc`, in any letter case.")
    limit: StrictInt | None = Field(None, gt=0, description="Rows at most; every group by default.")
    description: StrictStr | None = Field(None, description="For readers of the request; not read.")


class DocumentsRequest(AggregateRequest):
    """The same over a collection, where nothing to group by makes one group of all."""

    group_by: list[GroupByField] = Field(default_factory=list, max_length=32)
