"""Filters of the list form: conditions under AND, OR and NOT, and shorthand equality."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from service.conditions.base import Condition
from service.conditions.logic import And, Not, Or
from service.conditions.lookup import ComputedCondition, Lookup
from service.dialects.flat.filters.mistakes import (
    CONDITION_KEYS,
    GROUPS,
    check_key,
    check_literal,
    check_operand,
    resembles_condition,
)
from service.dialects.flat.filters.mongo import MongoReader
from service.dialects.flat.filters.operands import ConditionTarget, boolean_of, kind_of, path_of, string_of
from service.dialects.flat.filters.operators import LIST_OPERATORS, Operand
from service.dialects.flat.filters.resource import Resource
from service.errors import Invalid, Location, Problem
from service.paths import Path
from service.spelling import did_you_mean, unknown_key
from service.values import Json

LIST_KEYS: Final = frozenset({*GROUPS, "case_sensitive"})

_WITHOUT_VALUE: Final = frozenset({"exists", "is_null"})
"""Operators whose `value` defaults to true."""


@dataclass
class ListReader:
    """Parses one request's filters; raises `Invalid` with the location."""

    mongo: MongoReader
    resource: Resource
    computes: bool = False
    """Whether a condition uses a computed field."""

    def filter(self, filters: Json, at: Location, depth: int, sensitive: bool) -> Condition:
        self.mongo.limits.within(at, depth)
        if not isinstance(filters, dict):
            raise Invalid.at(at, f"a condition is an object, not {kind_of(filters)}", "dict_type")
        if filters.get("case_sensitive") is not None:
            sensitive = boolean_of(filters["case_sensitive"], "case_sensitive", (*at, "case_sensitive"))
        if resembles_condition(filters):
            return self._condition(filters, at, sensitive)
        conditions: list[Condition] = []
        for key, value in filters.items():
            location = (*at, key)
            if key == "case_sensitive":
                continue
            if key in GROUPS:
                if value is not None:
                    conditions.append(self._group(key, value, location, depth, sensitive))
            elif key.startswith("$"):
                raise Invalid.at(
                    location,
                    f"unknown operator {key!r} here{did_you_mean(key.lstrip('$'), GROUPS)}; MongoDB's operators and "
                    "AND/OR/NOT do not stand in one filter",
                    "unknown_operator",
                )
            else:
                check_key(key, value, location, listed=True)
                conditions.append(self._shorthand(path_of(key, location), value, location, depth, sensitive))
        return conditions[0] if len(conditions) == 1 else And(tuple(conditions))

    def _group(self, key: str, value: Json, at: Location, depth: int, sensitive: bool) -> Condition:
        if key == "NOT" and isinstance(value, dict):
            value = [value]
        if not isinstance(value, list):
            raise Invalid.at(at, f"{key} takes an array of conditions", "list_type")
        parts = tuple(self.filter(item, (*at, position), depth + 1, sensitive) for position, item in enumerate(value))
        if key == "NOT":
            return Not(Or(parts))
        return Or(parts) if key == "OR" and parts else And(parts)

    def _shorthand(self, path: Path, value: Json, at: Location, depth: int, sensitive: bool) -> Condition:
        return self._located(path, sensitive, lambda target: self.mongo.on_target(target, value, at, depth))

    def _located(self, path: Path, sensitive: bool, make: Callable[[ConditionTarget], Condition]) -> Condition:
        """The condition on the resource's field, or on the path under `metadata`."""
        path = self.resource.resolved(path)
        if path[0] in self.resource.computed:
            self.computes = True
            return ComputedCondition(make(ConditionTarget.of(path, not sensitive)))
        if path[0] in self.resource.fields:
            return make(ConditionTarget.of(path, not sensitive))
        below = make(ConditionTarget.of(("metadata", *path), not sensitive))
        return Lookup(path[:1], make(ConditionTarget.of(path, not sensitive)), below) if self.resource.open else below

    def _condition(self, condition: dict[str, Json], at: Location, sensitive: bool) -> Condition:
        unknown = [unknown_key(at, key, CONDITION_KEYS) for key in condition if key not in CONDITION_KEYS]
        if unknown:
            raise Invalid(unknown)
        operator = self._operator_of(condition, at)
        absent = [
            Problem((*at, name), f"a condition needs `{name}`{way}", "missing")
            for name, way in (
                ("field", ": the path that it is about"),
                ("value", f", as `{operator}` compares with it (null is a value, too)"),
            )
            if name not in condition and not (name == "value" and operator in _WITHOUT_VALUE)
        ]
        if absent:
            raise Invalid(absent)
        self.mongo.limits.add(at)
        location = (*at, "field")
        path = path_of(string_of(condition["field"], "field", location), location)
        return self._located(path, sensitive, lambda target: self._operation(target, operator, condition, at))

    def _operator_of(self, condition: dict[str, Json], at: Location) -> str:
        """The operator, `eq` if none is given."""
        if condition.get("operator") is None:
            return "eq"
        operator = string_of(condition["operator"], "operator", (*at, "operator"))
        if operator not in LIST_OPERATORS:
            raise Invalid.at(
                (*at, "operator"),
                f"unknown operator {operator!r}{did_you_mean(operator, LIST_OPERATORS)}; "
                f"known: {', '.join(LIST_OPERATORS)}",
                "unknown_operator",
            )
        return operator

    def _operation(self, target: ConditionTarget, name: str, condition: dict[str, Json], at: Location) -> Condition:
        operator, of = LIST_OPERATORS[name], Operand(name, target, condition.get("value"), (*at, "value"))
        check_operand(operator, of)
        if condition.get("operator") is None:
            check_literal(of.value, of.at)
        return operator.read(self.mongo, of)
