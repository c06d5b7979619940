"""OpenSearch counts the combinations of whole values that a plan needs; they are grouped here.

Each combination counts as an object that occurs that many times. Arrays are JSON, so MongoDB's semantics hold in full.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import msgspec

from service.fields import Field
from service.paths import Path, text
from service.planning.columns import KeyColumn, column
from service.planning.grouping import PAGE, Grouping
from service.planning.plan import Key, Plan
from service.planning.rows import Result
from service.planning.scan import Scan, paths_of
from service.planning.strategies.base import (
    Budget,
    Description,
    PlanFacts,
    Rejection,
    Searchable,
    in_thread_if_large,
    over_budget,
    pages,
    result_of_scan,
)
from service.values import Json


@dataclass(frozen=True)
class Tuples:
    """The values that make up a combination: their paths and composite sources."""

    plan: Plan
    facts: PlanFacts
    grouping: Grouping
    paths: Sequence[Path]

    name: ClassVar[str] = "tuples"

    @classmethod
    def propose(cls, plan: Plan, facts: PlanFacts) -> Self | Rejection:
        """Rejected unless the index holds whole values for all paths that the plan needs."""
        if not facts.exact:
            return Rejection(cls.name, "the index can only narrow these filters, not decide them", "filters")
        for position, metric in enumerate(plan.metrics):
            where = f"aggregations.{position}"
            if metric.kind.ordered:
                return Rejection(cls.name, f"{metric.kind.name} depends on the order of arrival", where)
            if metric.kind.distinguishes_null and "null" in facts.fields.get(metric.kind.path).traits:
                return Rejection(cls.name, "a combination cannot distinguish null from a missing value", where)
        paths = paths_of(plan)
        if any(path == ("blobs",) or path[:2] == ("blobs", "data") for path in paths):
            return Rejection(cls.name, "the content of blobs is not in the index", "blobs")
        wanted = paths | ({plan.unwind} if plan.unwind else set())
        roots = {root.name: root for root in map(facts.fields.root, sorted(wanted))}
        columns: list[KeyColumn] = []
        for position, root in enumerate(roots.values()):
            whole = _whole(f"k{position}", root)
            if whole is None:
                return Rejection(cls.name, "the index does not hold the whole value", text(root.path))
            columns.append(whole)
        return cls(plan, facts, Grouping(facts.query, columns), [root.path for root in roots.values()])

    def describe(self) -> Description:
        return Description(self.name, [self.grouping.body(None, PAGE)])

    async def run(self, source: Searchable, budget: Budget) -> Result:
        scan = Scan(self.plan)
        seen = 0
        async with source.view() as view:
            async for page in pages(self.grouping, view, min(PAGE, budget.group_budget + 1)):
                seen += len(page.buckets)
                if seen > budget.group_budget:
                    raise over_budget("combinations of values", budget.group_budget)
                await in_thread_if_large(len(page.buckets), self._scan, scan, page.buckets)
                if len(scan.groups) > budget.group_budget:
                    raise over_budget("groups", budget.group_budget)
        return await result_of_scan(self.plan, scan, self.facts.fields, self.name)

    def _scan(self, scan: Scan, buckets: Sequence[msgspec.Raw]) -> None:
        for row, count in self.grouping.rows(buckets, 0):
            item: dict[str, Json] = {}
            for path, value in zip(self.paths, row.cells, strict=True):
                if value is not None:
                    _set_at(item, path, value)
            scan.add(item, count)


def _whole(name: str, root: Field) -> KeyColumn | None:
    if "array" not in root.traits:
        return column(Key("", root.path), root, name)
    if root.json is None:
        return None
    return KeyColumn({name: {"terms": {"field": root.json, "missing_bucket": True}}}, _read_json)


def _read_json(values: Sequence[Any]) -> Json:
    return None if values[0] is None else msgspec.json.decode(values[0])


def _set_at(item: dict[str, Json], path: Path, value: Json) -> None:
    for step in path[:-1]:
        item = item.setdefault(step, {})
    item[path[-1]] = value
