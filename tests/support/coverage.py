"""What a case exercises, by name, for the report of what has been compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from .oracle.paths import look_up, split
from .oracle.values import MISSING, is_number, parse_date

Json: TypeAlias = Any


def shape(value: Json) -> str:
    """The type of a value, arrays by what they hold."""
    if value is MISSING:
        return "missing"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if is_number(value):
        if isinstance(value, int) and abs(value) > 2**53:
            return "big integer"
        return "number" if isinstance(value, int) else "fraction"
    if isinstance(value, str):
        return "date" if parse_date(value) else "long string" if len(value) > 1000 else "string"
    return "object" if isinstance(value, dict) else f"array of {array_of(value)}"


def array_of(values: Sequence[Json]) -> str:
    """What an array holds."""
    kinds = {
        "arrays" if isinstance(value, list) else "objects" if isinstance(value, dict) else "scalars" for value in values
    }
    return kinds.pop() if len(kinds) == 1 else "mixed" if kinds else "nothing"


def _operators(filters: Json) -> Iterator[str]:
    if isinstance(filters, list):
        for entry in filters:
            yield from _operators(entry)
    elif isinstance(filters, dict):
        if isinstance(filters.get("field"), str) and "value" in filters:
            yield f"operator:{filters.get('operator', 'eq')}"
            return
        for key, value in filters.items():
            if key in ("AND", "OR", "NOT", "case_sensitive") or key.startswith("$"):
                yield f"operator:{key}"
            elif not isinstance(value, dict) or not any(name.startswith("$") for name in value):
                yield "operator:shorthand"
            yield from _operators(value)


def _operands(filters: Json) -> Iterator[str]:
    if isinstance(filters, list):
        for entry in filters:
            yield from _operands(entry)
    elif isinstance(filters, dict):
        for key, value in filters.items():
            if key.startswith("$") and not isinstance(value, list | dict):
                yield f"operand:{key} {shape(value)}"
            yield from _operands(value)


def _values(dataset: Iterable[Json], path: str) -> Iterator[str]:
    for thing in dataset:
        yield shape(look_up(thing, split(path)))


def features(spec: Json, dataset: Sequence[Json]) -> list[str]:
    """Every function, operator, date unit, key type, array shape and unwind kind, each once."""
    found: set[str] = set()
    for key in spec["group_by"]:
        dated = False
        for name, label in (("date_trunc", "unit"), ("date_part", "part"), ("start_of_week", "week from")):
            if key.get(name):
                found.add(f"{label}:{key[name]}")
                dated = True
        if key.get("time_zone"):
            found.add(f"zone:{key['time_zone']}")
        system = key["field"] in ("created_at", "updated_at")
        kinds = ["date"] if system else list(_values(dataset, key["field"]))
        found |= {f"{'dated key' if dated else 'key'}:{kind}" for kind in kinds}
    found.add(f"keys:{len(spec['group_by'])}")
    for entry in spec["aggregations"]:
        found.add(f"function:{entry['function']}")
        field = entry.get("distinct_field") or entry.get("field")
        if field:
            found |= {f"{entry['function']} of:{kind}" for kind in _values(dataset, field)}
    if spec.get("unwind"):
        found.add(f"unwind path:{spec['unwind']}")
        found |= {
            f"unwind:{kind.removeprefix('array of ')}" if kind.startswith("array") else f"unwind a:{kind}"
            for kind in _values(dataset, spec["unwind"])
        }
    for entry in spec.get("range_buckets") or []:
        found.add(f"ranges:{'default' if entry.get('default_bucket') else 'plain'}")
        found.add(f"boundaries:{'one' if len(entry['boundaries']) == 1 else 'several'}")
    found |= set(_operators(spec.get("filters"))) | set(_operands(spec.get("filters")))
    found |= {f"having:{entry['operator']} {shape(entry['value'])}" for entry in spec.get("having") or []}
    if spec.get("sort_by"):
        metric = spec["sort_by"] in {entry["alias"] for entry in spec["aggregations"]}
        direction = (spec.get("sort_direction") or "desc").lower()
        found.add(f"sort:{'metric' if metric else 'key'} {direction}")
    if spec.get("limit"):
        found.add("limit")
    return sorted(found)
