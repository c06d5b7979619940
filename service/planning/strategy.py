"""Chooses how a plan is answered: what OpenSearch computes, and what is folded from values or objects."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from service.conditions.base import MATCH_ALL, Clause, Query, all_of, clauses_in
from service.conditions.existence import present
from service.fields import Field, Fields
from service.paths import Path
from service.planning.columns import KeyColumn, column
from service.planning.composite import PAGE, Grouping, PushedMetric, ignored, selector
from service.planning.plan import Extract, Key, Plan, Truncate
from service.planning.tuples import Tuples, tuples

MAX_CLAUSES: Final = 900
"""Of one query; Lucene takes 1,024 (`indices.query.bool.max_clause_count`)."""


@dataclass(frozen=True)
class Composite:
    """OpenSearch groups; metrics that need the values come from further passes, one for each path."""

    main: Grouping
    page: int = PAGE
    folds: dict[Path, tuple[Grouping, tuple[int, ...]]] = field(default_factory=dict)
    """Path → keys and value as one grouping, and the metrics that are folded from it."""
    selected: bool = False
    """`having` is applied by OpenSearch, so the groups before it are not known."""
    name: str = "composite"

    @property
    def accuracy(self) -> dict[int, str]:
        return {computed.position: computed.pushdown.accuracy for computed in self.main.computed}


@dataclass(frozen=True)
class ObjectScan:
    """The objects are read and grouped here; `query` finds at least those that are meant."""

    query: Query
    ordered: bool
    name: str = "objects"


def choose(
    plan: Plan,
    fields: Fields,
    bucket: Query,
    *,
    fold: frozenset[int] = frozenset(),
    estimate: frozenset[int] = frozenset(),
) -> Composite | Tuples | ObjectScan:
    """The strategy.

    `fold` names metrics whose pushdown result could not be proved exact, `estimate` those whose values are more
    than the budget.
    """
    clause = plan.condition.compile(fields)
    if clauses_in(clause.query) > MAX_CLAUSES:
        clause = Clause(MATCH_ALL, exact=False)
    unwound = fields.get(plan.unwind) if plan.unwind else None
    if unwound:
        # What lacks the array, or has null there, has no row.
        clause = all_of([clause, present(unwound, null=False)])
    query: Query = all_of([Clause(bucket), clause]).query
    ordered = any(metric.kind.ordered for metric in plan.metrics)
    reading: Tuples | ObjectScan | None = tuples(plan, fields, query) if clause.exact else None
    reading = reading or ObjectScan(query, ordered)
    columns = _columns(plan.keys, fields)
    if (unwound and "array" in unwound.traits) or not clause.exact or columns is None:
        return reading

    computed: list[PushedMetric] = []
    folds: dict[Path, tuple[Grouping, tuple[int, ...]]] = {}
    for position, metric in enumerate(plan.metrics):
        of = fields.get(metric.kind.path) if metric.kind.path else Field((), "")
        whole = metric.kind.counts_arrays or "array" not in of.traits
        pushdown = metric.kind.pushdown(of) if whole and position not in fold else None
        if pushdown is None and position in estimate and "array" not in of.traits:
            pushdown = metric.kind.estimate(of)
        if pushdown is not None:
            computed.append(PushedMetric(position, metric, of, pushdown))
            continue
        value = column(Key("", metric.kind.path), of, "value")
        if value is None or metric.kind.ordered or (metric.kind.distinguishes_null and "null" in of.traits):
            return reading
        before = folds.get(of.path, (None, ()))[1]
        folds[of.path] = (Grouping(query, (*columns, value)), (*before, position))

    selectors = _selectors(plan, computed)
    beside = {
        f"{what}{position}": counted
        for position, metric in enumerate(plan.metrics)
        if metric.kind.path
        for what, counted in ignored(fields.get(metric.kind.path), metric.kind.takes).items()
    }
    if selectors:
        beside |= _dated(plan.keys, fields)
    page = min([PAGE, *(each.pushdown.page for each in computed)])
    return Composite(Grouping(query, columns, computed, selectors, beside), page, folds, bool(selectors))


def _columns(keys: Sequence[Key], fields: Fields) -> list[KeyColumn] | None:
    columns: list[KeyColumn] = []
    for position, key in enumerate(keys):
        found = column(key, fields.get(key.path), f"k{position}")
        if found is None:
            return None
        columns.append(found)
    return columns


def _selectors(plan: Plan, computed: Sequence[PushedMetric]) -> dict[str, object]:
    by_position = {each.position: each for each in computed}
    selectors: dict[str, object] = {}
    for index, having in enumerate(plan.having):
        of = by_position.get(having.metric)
        if of is not None and (body := selector(having, of)) is not None:
            selectors[f"h{index}"] = body
    return selectors


def _dated(keys: Sequence[Key], fields: Fields) -> dict[str, Query]:
    """Counts the objects that have a date for each key that needs one: their groups may be dropped by having."""
    return {
        f"dated{position}": {"exists": {"field": dates}} if dates else {"match_none": {}}
        for position, key in enumerate(keys)
        if isinstance(key.transform, Truncate | Extract)
        for dates in [fields.get(key.path).dates]
    }
