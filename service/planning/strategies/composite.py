"""OpenSearch groups, and computes the metrics that are exact there; others take further passes over their values.

Groups come in pages; if there is more than one, from one state of the index.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from service import dsl
from service.aggregations.base import Accumulator
from service.conditions.base import Query
from service.fields import Fields
from service.paths import Path
from service.planning.columns import KeyColumn, column
from service.planning.grouping import PAGE, CompositePage, Grouping, PushedMetric, ignored, selector
from service.planning.plan import Extract, Key, Plan, Truncate
from service.planning.rows import GroupRow, Result, finish
from service.planning.strategies.base import (
    Budget,
    Description,
    PlanFacts,
    Rejection,
    Searchable,
    TooManyValues,
    View,
    in_thread_if_large,
    over_budget,
    pages,
    require_dates,
)
from service.planning.warnings import ignored as ignored_values
from service.values import MISSING


@dataclass(frozen=True)
class Composite:
    """One grouping by the keys, plus one by keys and value for each path whose values are needed."""

    plan: Plan
    fields: Fields
    main: Grouping
    folds: Mapping[Path, tuple[Grouping, tuple[int, ...]]]
    """Path → the grouping by keys and value, and the metrics evaluated from it."""

    name: ClassVar[str] = "composite"

    @classmethod
    def propose(cls, plan: Plan, facts: PlanFacts) -> Self | Rejection:
        fields = facts.fields
        if plan.unwind and "array" in fields.get(plan.unwind).traits:
            return Rejection(
                cls.name, "a group's elements of one array cannot be distinguished from those of another", "unwind"
            )
        if not facts.exact:
            return Rejection(cls.name, "the index can only narrow these filters, not decide them", "filters")
        columns: list[KeyColumn] = []
        for position, key in enumerate(plan.keys):
            found = column(key, fields.get(key.path), f"k{position}")
            if found is None:
                return Rejection(cls.name, "the index does not hold the whole value", f"group_by.{position}")
            columns.append(found)

        computed: list[PushedMetric] = []
        folds: dict[Path, tuple[Grouping, tuple[int, ...]]] = {}
        for position, metric in enumerate(plan.metrics):
            of = facts.field_of(plan, position)
            whole = metric.kind.counts_arrays or "array" not in of.traits
            pushdown = metric.kind.pushdown(of) if whole and position not in facts.fold else None
            if pushdown is None and position in facts.estimate and "array" not in of.traits:
                pushdown = metric.kind.estimate(of)
            if pushdown is not None:
                computed.append(PushedMetric(position, metric, of, pushdown))
                continue
            where = f"aggregations.{position}"
            if metric.kind.ordered:
                return Rejection(cls.name, f"{metric.kind.name} depends on the order of arrival", where)
            if metric.kind.distinguishes_null and "null" in of.traits:
                return Rejection(cls.name, "a group's values cannot distinguish null from a missing value", where)
            value = column(Key("", metric.kind.path), of, "value")
            if value is None:
                return Rejection(cls.name, "the index does not hold the whole value", where)
            before = folds.get(of.path, (None, ()))[1]
            folds[of.path] = (Grouping(facts.query, (*columns, value)), (*before, position))

        selectors = _selectors(plan, computed)
        beside = {
            f"{what}{position}": counted
            for position, metric in enumerate(plan.metrics)
            if metric.kind.path
            for what, counted in ignored(fields.get(metric.kind.path), metric.kind.takes).items()
        }
        if selectors:
            beside |= _dated(plan.keys, fields)
        return cls(plan, fields, Grouping(facts.query, columns, computed, selectors, beside), folds)

    @property
    def page(self) -> int:
        """Maximum number of groups per request to OpenSearch."""
        return min([PAGE, *(each.pushdown.page for each in self.main.computed)])

    @property
    def selected(self) -> bool:
        """Whether OpenSearch applies `having`, so that the number of groups before it is unknown."""
        return bool(self.main.selectors)

    def describe(self) -> Description:
        further = [grouping.body(None, PAGE) for grouping, _ in self.folds.values()]
        return Description(self.name, [self.main.body(None, self.page), *further])

    async def run(self, source: Searchable, budget: Budget) -> Result:
        if not self.folds:
            # A search is consistent in itself: one page needs no point in time.
            size = min(self.page, budget.group_budget + 1)
            page = await source.search(self.main.body(None, size))
            if page.after_key is None or (len(page.buckets) < size and not self.selected):
                return await self._result(await self._rows(page), page)
        async with source.view() as view:
            rows, first = await self._all_rows(view, budget)
            for grouping, positions in self.folds.values():
                await self._evaluate(grouping, positions, view, rows, budget)
            return await self._result(rows, first)

    async def _all_rows(self, view: View, budget: Budget) -> tuple[list[GroupRow], CompositePage]:
        rows: list[GroupRow] = []
        first: CompositePage | None = None
        async for page in pages(self.main, view, min(self.page, budget.group_budget + 1)):
            first = first or page
            rows += await self._rows(page)
            if len(rows) > budget.group_budget:
                widths = self.main.widths_of_keys(await view.widths(self.main.widths))
                named = {self.plan.keys[position].name: width for position, width in widths.items()}
                raise over_budget("groups", budget.group_budget, first.matched, named)
        assert first is not None  # noqa: S101 - `pages` gives at least one
        return rows, first

    async def _rows(self, page: CompositePage) -> list[GroupRow]:
        buckets, width = page.buckets, len(self.plan.metrics)
        return await in_thread_if_large(len(buckets), lambda: [row for row, _ in self.main.rows(buckets, width)])

    async def _evaluate(
        self, grouping: Grouping, positions: tuple[int, ...], view: View, rows: list[GroupRow], budget: Budget
    ) -> None:
        """Fills the metrics evaluated from each group's values and their counts."""
        kinds = [self.plan.metrics[position].kind for position in positions]
        groups: dict[Hashable, list[Accumulator]] = {row.group: [kind.accumulator() for kind in kinds] for row in rows}
        width = len(self.plan.keys)
        seen = 0

        def add(page: CompositePage) -> int:
            count = 0
            for row, documents in grouping.rows(page.buckets, 0):
                count += 1
                value = MISSING if row.cells[width] is None else row.cells[width]
                row.cells = row.cells[:width]
                # A group that `having` dropped has no row.
                for accumulator in groups.get(row.group, ()):
                    accumulator.add(value, documents)
            return count

        async for page in pages(grouping, view, min(PAGE, budget.group_budget + 1)):
            seen += await in_thread_if_large(len(page.buckets), add, page)
            if seen > budget.group_budget:
                if all(kind.estimates for kind in kinds):
                    raise TooManyValues(positions)
                raise over_budget("combinations of group and value", budget.group_budget)
        for row in rows:
            for position, accumulator in zip(positions, groups[row.group], strict=True):
                row.metrics[position] = accumulator.result()

    async def _result(self, rows: list[GroupRow], first: CompositePage) -> Result:
        plan = self.plan
        if first.matched:
            dated = [_has_date(rows, position, first.beside) for position in range(len(plan.keys))]
            require_dates(plan, self.fields, dated)
        before = None if self.selected else len(rows)
        kept, matched = await in_thread_if_large(len(rows), finish, rows, plan, self.main.ascending)
        pushed = {each.position: each.pushdown.accuracy for each in self.main.computed}
        accuracy = {metric.name: pushed.get(position, "exact") for position, metric in enumerate(plan.metrics)}
        counts = {
            (position, what): first.beside[f"{what}{position}"]
            for position in range(len(plan.metrics))
            for what in ("arrays", "others")
            if f"{what}{position}" in first.beside
        }
        return Result(kept, matched, before, self.name, accuracy, ignored_values(plan, counts))


def _has_date(rows: Sequence[GroupRow], position: int, counted: Mapping[str, int]) -> bool:
    if f"dated{position}" in counted:
        return counted[f"dated{position}"] > 0
    return any(row.cells[position] is not None for row in rows)


def _selectors(plan: Plan, computed: Sequence[PushedMetric]) -> dict[str, object]:
    by_position = {each.position: each for each in computed}
    selectors: dict[str, object] = {}
    for index, having in enumerate(plan.having):
        of = by_position.get(having.metric)
        if of is not None and (body := selector(having, of)) is not None:
            selectors[f"h{index}"] = body
    return selectors


def _dated(keys: Sequence[Key], fields: Fields) -> dict[str, Query]:
    """Filters that count objects with a date for each key that needs one, as `having` may drop their groups."""
    return {
        f"dated{position}": dsl.exists(dates) if dates else {"match_none": {}}
        for position, key in enumerate(keys)
        if isinstance(key.transform, Truncate | Extract)
        for dates in [fields.get(key.path).dates]
    }
