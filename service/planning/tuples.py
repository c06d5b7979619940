"""The strategy between the two others: OpenSearch counts combinations of whole values, which are worked on here.

Each combination is an object that occurs so many times. Arrays come as JSON, so all of MongoDB's meaning holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from service.conditions.base import Query
from service.fields import Field, Fields
from service.paths import Path
from service.planning.columns import KeyColumn, column
from service.planning.composite import Grouping
from service.planning.plan import Key, Plan
from service.planning.scan import Scan, paths_of
from service.values import Json


@dataclass(frozen=True)
class Tuples:
    """The values that make a combination: their paths and their composite sources."""

    grouping: Grouping
    paths: Sequence[Path]
    name: str = "tuples"

    def take(self, scan: Scan, buckets: Sequence[msgspec.Raw]) -> None:
        for row, count in self.grouping.rows(buckets, 0):
            item: dict[str, Json] = {}
            for path, value in zip(self.paths, row.cells, strict=True):
                if value is not None:
                    _set_at(item, path, value)
            scan.add(item, count)


def tuples(plan: Plan, fields: Fields, query: Query) -> Tuples | None:
    """None if the index does not hold whole values for all that the plan needs."""
    if any(metric.kind.ordered for metric in plan.metrics):
        return None
    paths = paths_of(plan)
    if any(path == ("blobs",) or path[:2] == ("blobs", "data") for path in paths):
        return None  # the content of blobs is not in the index
    for metric in plan.metrics:
        if metric.kind.distinguishes_null and "null" in fields.get(metric.kind.path).traits:
            return None  # a combination does not tell null from missing
    roots = {root.name: root for root in map(fields.root, paths | ({plan.unwind} if plan.unwind else set()))}
    columns: list[KeyColumn] = []
    for position, root in enumerate(roots.values()):
        found = _whole(f"k{position}", root)
        if found is None:
            return None
        columns.append(found)
    return Tuples(Grouping(query, columns), [root.path for root in roots.values()])


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
