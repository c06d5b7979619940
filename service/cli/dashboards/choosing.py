"""Chooses fields to visualize: those of many documents, with neither a single value nor one value per document."""

from collections.abc import Iterable
from typing import Final

from service.cli.dashboards.facts import TIME, DashboardField, Facts

_COMMON: Final = 0.2
"""Minimum share of documents that have a field to show."""

_COVERED: Final = 0.1
"""Minimum share of a field's documents with its most frequent values; below it, it is an id rather than a category."""

_LUMPED: Final = 0.5
"""Numbers above this share rank lower: a field that nearly always has one of a few values shows no distribution."""

_OWN: Final = frozenset({"object_id", "bucket_id", "created_at", "updated_at", TIME})
COLUMNS: Final = 8
"""Columns of a saved search."""

_BUCKETS: Final = 100
_UNITS: Final = (("m", 60), ("h", 3_600), ("d", 86_400), ("w", 604_800), ("M", 2_629_800), ("y", 31_557_600))
"""Calendar intervals and their seconds."""


def categories(facts: Facts) -> list[DashboardField]:
    """Fields whose values divide the documents well, best first; including a namespace's buckets if several."""
    dated = {column.label for column in facts.columns if column.kind == "date"}
    found = [
        column
        for column in _common(facts)
        if column.kind in ("keyword", "boolean")
        and column.label not in dated
        and len(column.top) > 1
        and _coverage(column) >= _COVERED
    ]
    return sorted(found, key=lambda column: (-round(_share(facts, column), 1), -_coverage(column), column.label))


def measures(facts: Facts) -> list[DashboardField]:
    """Numbers that vary, best first: those with negative values or fractions are not ids, codes or parts of dates."""
    found = [column for column in _common(facts) if column.kind == "number" and _varies(column)]
    return sorted(
        found,
        key=lambda column: (not _measured(column), _coverage(column) > _LUMPED, -column.count, column.label),
    )


def dates(facts: Facts) -> list[DashboardField]:
    """The documents' own date fields that span some time, most common first."""
    found = [column for column in _common(facts) if column.kind == "date" and _varies(column)]
    return sorted(found, key=lambda column: (-column.count, column.label))


def columns(facts: Facts, first: Iterable[DashboardField]) -> list[str]:
    """The index fields for a table of documents: the visualized ones, then the most common ones."""
    rest = sorted(
        (column for column in _common(facts) if column.least is None or _varies(column)),
        key=lambda column: (-round(_share(facts, column), 1), len(column.top) < 2),
    )
    return list(dict.fromkeys(column.name for column in (*first, *rest)))[:COLUMNS]


def interval(low: float, high: float) -> int | float:
    """A round width that divides the range into about thirty intervals."""
    width = (high - low) / 30
    power: float = 1
    while power * 10 <= width:
        power *= 10
    while power > width:
        power /= 10
    round_width = next(power * step for step in (1, 2, 5, 10) if power * step >= width)
    return int(round_width) if round_width >= 1 else float(f"{round_width:.1g}")


def calendar(low: float, high: float) -> str:
    """The finest calendar interval that divides a span of epoch milliseconds into at most a hundred parts."""
    seconds = (high - low) / 1_000
    return next((unit for unit, length in _UNITS if seconds / length <= _BUCKETS), "y")


def _common(facts: Facts) -> list[DashboardField]:
    several = facts.bucket_id is None
    return [
        column
        for column in facts.columns
        if _share(facts, column) >= _COMMON and (column.label not in _OWN or (several and column.label == "bucket_id"))
    ]


def _share(facts: Facts, column: DashboardField) -> float:
    return column.count / facts.documents if facts.documents else 0


def _coverage(column: DashboardField) -> float:
    return sum(count for _, count in column.top) / column.count


def _varies(column: DashboardField) -> bool:
    return column.least is not None and column.most is not None and column.least < column.most


def _measured(column: DashboardField) -> bool:
    numbers = [column.least, column.most, *(value for value, _ in column.top)]
    return any(value is not None and (value < 0 or not float(value).is_integer()) for value in numbers)
