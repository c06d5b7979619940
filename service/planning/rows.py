"""Finished groups as rows, and the steps on them: having, order, limit."""

import operator
from collections.abc import Callable, Hashable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any, Final

from service.paths import Path
from service.planning.plan import Having, Plan
from service.values import Json, identity, is_number, order, parse_date


@dataclass(slots=True)
class GroupRow:
    """One group: the cells of its keys (truncated dates as epoch milliseconds) and its metrics."""

    cells: tuple[Json, ...]
    metrics: list[Json]

    @property
    def group(self) -> Hashable:
        return tuple(map(identity, self.cells))


@dataclass
class Result:
    """The answer to a plan, independent of dialect."""

    rows: list[GroupRow]
    matched: int
    """Groups after having, before limit."""
    before_having: int | None
    """Total groups; None where OpenSearch dropped some."""
    strategy: str
    accuracy: Mapping[str, str]
    warnings: list[str] = field(default_factory=list)
    met: Set[Path] = frozenset()
    """Paths below the unwound one at which an element had a value, if elements were read."""


_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def fulfils(value: Json, having: Having, dates: bool = False) -> bool:
    """A null metric satisfies only `ne` and `eq null` (contract, HavingCondition); types do not mix.

    A metric that returns dates compares with a date by instant.
    """
    if dates and isinstance(value, str) and isinstance(having.value, str):
        mine, theirs = parse_date(value), parse_date(having.value)
        if mine is not None and theirs is not None:
            return fulfils(mine, replace(having, value=theirs))
    if having.comparison in ("eq", "ne"):
        return (identity(value) == identity(having.value)) is (having.comparison == "eq")
    comparable = (is_number(value) and is_number(having.value)) or (
        isinstance(value, str) and isinstance(having.value, str)
    )
    return comparable and _COMPARE[having.comparison](value, having.value)


def finish(rows: list[GroupRow], plan: Plan, ascending: bool = False) -> tuple[list[GroupRow], int]:
    """The remaining rows, in order, and their number before the limit; `ascending`: already sorted by keys."""
    for having in plan.having:
        rows = [
            row for row in rows if fulfils(row.metrics[having.metric], having, plan.metrics[having.metric].kind.dates)
        ]
    if not ascending:
        rows.sort(key=lambda row: tuple(map(order, row.cells)))
    if plan.order is not None:
        # The sort is stable in both directions, so ties stay ascending by group keys.
        index = plan.order.index
        if plan.order.column == "key":
            rows.sort(key=lambda row: order(row.cells[index]), reverse=plan.order.descending)
        else:
            rows.sort(key=lambda row: order(row.metrics[index]), reverse=plan.order.descending)
    return rows[: plan.limit], len(rows)
