"""The pipeline: match → unwind → group → having → sort → limit (contract, Meaning)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .dates import part, truncate, written
from .filters import matches
from .metrics import compute
from .paths import look_up, split, unwind
from .values import (
    Canon,
    Instant,
    Json,
    OracleRefusal,
    canon,
    is_number,
    number_label,
    parse_date,
    plain,
)


@dataclass(frozen=True)
class Answer:
    """The rows in their documented order, and the counts before `limit` and before `having`."""

    rows: list[dict[str, Json]]
    groups_matched: int
    groups_before_having: int


@dataclass(frozen=True)
class Key:
    """One key of a group: name, field, and how to take it from a row: what it shows and what it sorts by."""

    alias: str
    field: str
    take: Callable[[Json], tuple[Json, Canon]]


@dataclass(frozen=True)
class Group:
    """A finished group: what its keys show, what they sort by, and its metrics."""

    shown: dict[str, Json]
    order: dict[str, Canon]
    metrics: dict[str, Json]


def aggregate(objects: Sequence[Json], spec: Json, date_fields: Iterable[str] = ()) -> Answer:
    """The answer to an aggregate request over these objects, which come in order of arrival."""
    matched = [thing for thing in objects if matches(thing, spec.get("filters"), date_fields)]
    path = spec.get("unwind")
    rows = [row for thing in matched for row in unwind(thing, split(path))] if path else matched
    keys = [_group_key(entry, rows) for entry in spec["group_by"]]
    keys += [_range_key(entry) for entry in spec.get("range_buckets") or []]
    names = [key.alias for key in keys] + [operation["alias"] for operation in spec["aggregations"]]
    if len(set(names)) < len(names):
        raise OracleRefusal("two keys or metrics have one name")
    groups = _grouped(rows, keys, spec["aggregations"])
    kept = [group for group in groups if _having(group, spec.get("having") or [])]
    _sort(kept, keys, spec)
    shown = [
        {
            "group": {alias: _rendered(value) for alias, value in group.shown.items()},
            "metrics": {alias: _rendered(value) for alias, value in group.metrics.items()},
        }
        for group in kept[: spec.get("limit")]
    ]
    return Answer(rows=shown, groups_matched=len(kept), groups_before_having=len(groups))


def _rendered(value: Json) -> Json:
    return written(value) if isinstance(value, Instant) else plain(value)


def _group_key(entry: Json, rows: Sequence[Json]) -> Key:
    field = entry["field"]
    names = split(field)
    trunc, wanted = entry.get("date_trunc"), entry.get("date_part")
    zone, week = entry.get("time_zone") or "UTC", entry.get("start_of_week") or "sunday"
    dated = bool(trunc or wanted)
    if trunc and wanted:
        raise OracleRefusal("date_trunc and date_part exclude each other")
    if dated and rows and all(parse_date(look_up(row, names)) is None for row in rows):
        raise OracleRefusal(f"no date in {field}")

    def take(row: Json) -> tuple[Json, Canon]:
        value = look_up(row, names)
        if dated:
            # "What is no date falls into the null group": an array of dates is none.
            instant = parse_date(value)
            if instant is None:
                value = None
            else:
                value = truncate(instant, trunc, zone, week) if trunc else part(instant, wanted, zone)
        return value, canon(value)

    return Key(entry.get("alias") or field, field, take)


def _range_key(entry: Json) -> Key:
    """Ranges are (lo, hi], the first inner one takes its lower boundary too; a lone boundary goes below."""
    field, bounds, default = entry["field"], entry["boundaries"], entry.get("default_bucket")
    names = split(field)
    labels = [number_label(bound) for bound in bounds]
    last = len(bounds)

    def place(value: float) -> int:
        """The number of the range: 0 is below the first boundary, `last` above the last one."""
        if len(bounds) > 1 and value == bounds[0]:
            return 1
        return sum(value > bound for bound in bounds)

    def take(row: Json) -> tuple[Json, Canon]:
        value = look_up(row, names)
        number = place(value) if is_number(value) else None
        if number is not None and 0 < number < last:
            return f"{labels[number - 1]}-{labels[number]}", (1, number)
        if default is not None:
            return default, (2,)
        if number is None:
            return None, (0,)
        return (f"<{labels[0]}" if number == 0 else f">{labels[-1]}"), (1, number)

    return Key(entry.get("alias") or field, field, take)


def _grouped(rows: Sequence[Json], keys: Sequence[Key], operations: Sequence[Json]) -> list[Group]:
    members: dict[tuple[Canon, ...], list[Json]] = {}
    shown: dict[tuple[Canon, ...], list[Json]] = {}
    for row in rows:
        taken = [key.take(row) for key in keys]
        identity = tuple(order for _, order in taken)
        members.setdefault(identity, []).append(row)
        shown.setdefault(identity, [value for value, _ in taken])
    aliases = [key.alias for key in keys]
    return [
        Group(
            shown=dict(zip(aliases, shown[identity], strict=True)),
            order=dict(zip(aliases, identity, strict=True)),
            metrics={operation["alias"]: compute(operation, inside) for operation in operations},
        )
        for identity, inside in members.items()
    ]


HAVING: Final[dict[str, Callable[[Json, Json], bool]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "eq": operator.eq,
    "ne": operator.ne,
}


def _having(group: Group, conditions: Sequence[Json]) -> bool:
    """Several are ANDed. "A null metric satisfies only `ne` and `eq null`"; other types satisfy only `ne`."""
    for condition in conditions:
        metric, name, value = group.metrics[condition["field"]], condition["operator"], condition["value"]
        # A date (from min or max) compares with an ISO date by instant, with any other string as text.
        if isinstance(metric, Instant):
            instant = parse_date(value)
            metric, value = (metric, instant) if instant else (written(metric), value)
        if metric is None or canon(metric)[0] != canon(value)[0]:
            both_null = metric is None and value is None
            holds = both_null if name == "eq" else name == "ne" and not both_null
        else:
            holds = HAVING[name](canon(metric), canon(value))
        if not holds:
            return False
    return True


def _sort(groups: list[Group], keys: Sequence[Key], spec: Json) -> None:
    """Ascending by the group's keys, then (stable, so this breaks ties) by what `sort_by` names."""
    groups.sort(key=lambda group: tuple(group.order.values()))
    name = spec.get("sort_by")
    if not name:
        return
    aliases = [key.alias for key in keys if key.alias == name]
    metrics = [operation["alias"] for operation in spec["aggregations"]]
    by_field = [key.alias for key in keys if key.field == name]
    if name not in metrics and not aliases and not by_field:
        raise OracleRefusal(f"sort_by names nothing: {name}")

    def order(group: Group) -> Canon:
        if not aliases and name in metrics:
            return canon(group.metrics[name])
        return group.order[(aliases or by_field)[0]]

    descending = (spec.get("sort_direction") or "desc").lower() == "desc"
    groups.sort(key=order, reverse=descending)
