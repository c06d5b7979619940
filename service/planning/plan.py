"""What to compute, independent of dialect: condition, unwind, keys, metrics, having, order, limit."""

from dataclasses import dataclass
from typing import Literal

from service.aggregations.base import Aggregation
from service.conditions.base import Condition
from service.paths import Path
from service.values import Json

Unit = Literal["year", "quarter", "month", "week", "day", "hour", "minute", "second"]
Part = Literal[
    "year", "isoYear", "quarter", "month", "week", "dayOfWeek", "dayOfYear", "day", "hour", "minute", "second"
]
Comparison = Literal["gt", "gte", "lt", "lte", "eq", "ne"]


@dataclass(frozen=True)
class Truncate:
    """The start of a date's unit, by the clock of a time zone. `week_start`: 0 Monday … 6 Sunday."""

    unit: Unit
    zone: str = "UTC"
    week_start: int = 6


@dataclass(frozen=True)
class Extract:
    """One part of a date, by the clock of a time zone."""

    part: Part
    zone: str = "UTC"


@dataclass(frozen=True)
class Ranges:
    """The range (lo, hi] that contains a number; `default` labels values outside all ranges or not numbers."""

    boundaries: tuple[int | float, ...]
    default: str | None = None


Transform = Truncate | Extract | Ranges | None


@dataclass(frozen=True)
class Key:
    """One grouping key: its column's name, its path, and the value's transformation."""

    name: str
    path: Path
    transform: Transform = None


@dataclass(frozen=True)
class Metric:
    """One aggregation and its column's name."""

    name: str
    kind: Aggregation


@dataclass(frozen=True)
class Having:
    """A comparison with a metric's column (its position)."""

    metric: int
    comparison: Comparison
    value: Json


@dataclass(frozen=True)
class Order:
    """Sort by a key's or a metric's column."""

    column: Literal["key", "metric"]
    index: int
    descending: bool


@dataclass(frozen=True)
class Plan:
    """One interpreted aggregate request."""

    condition: Condition
    filtered: bool
    unwind: Path | None
    keys: tuple[Key, ...]
    metrics: tuple[Metric, ...]
    having: tuple[Having, ...]
    order: Order | None
    limit: int | None

    @property
    def stages(self) -> int:
        """How many stages of match → unwind → group → having → sort → limit apply."""
        optional = (self.filtered, self.unwind, self.having, self.order, self.limit)
        return 1 + sum(1 for stage in optional if stage)
