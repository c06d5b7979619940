"""MongoDB-style filters: paths with operators, and $and, $or, $nor."""

from dataclasses import dataclass

from service.conditions.base import Condition
from service.conditions.logic import And, Not, Or
from service.dialects.flat.filters.mistakes import (
    check_element_key,
    check_key,
    check_literal,
    check_operand,
    is_explicit,
    resembles_condition,
)
from service.dialects.flat.filters.operands import Builder, ConditionTarget, FilterLimits, kind_of, path_of
from service.dialects.flat.filters.operators import LOGICAL, OPERATORS, Operand
from service.errors import Invalid, Location
from service.spelling import did_you_mean
from service.values import Json


@dataclass(frozen=True)
class MongoReader:
    """Parses one request's filters; raises `Invalid` with the location."""

    build: Builder
    limits: FilterLimits

    def filter(self, filters: Json, at: Location, depth: int, element_of: ConditionTarget | None = None) -> Condition:
        """The condition of one filter object, on an object or on an element of the array at `element_of`."""
        self._enter(at, depth)
        if not isinstance(filters, dict):
            raise Invalid.at(at, f"a filter is an object, not {kind_of(filters)}", "dict_type")
        if element_of is None and resembles_condition(filters):
            raise Invalid.at(
                at,
                "a condition with `field`, `operator` and `value` does not stand among MongoDB's operators: write "
                '{"path": {"$eq": …}}, or AND/OR/NOT above it; fields of these names are compared by '
                '{"field": {"$eq": …}}',
                "extra_forbidden",
            )
        conditions = []
        for key, value in filters.items():
            location = (*at, key)
            if key in LOGICAL:
                conditions.append(self._logical(key, value, location, depth, element_of))
            elif key.startswith("$"):
                raise Invalid.at(
                    location,
                    f"unknown operator {key!r} here{did_you_mean(key, LOGICAL)}; known at this level: "
                    f'{", ".join(LOGICAL)}; the others stand below a field: {{"field": {{"$eq": …}}}}',
                    "unknown_operator",
                )
            elif element_of is None:
                check_key(key, value, location, listed=False)
                conditions.append(
                    self.on_target(ConditionTarget.of(path_of(key, location)), value, location, depth + 1)
                )
            else:
                check_element_key(key, value, location)
                conditions.append(self.on_target(element_of.inside(path_of(key, location)), value, location, depth + 1))
        return conditions[0] if len(conditions) == 1 else And(tuple(conditions))

    def on_target(self, target: ConditionTarget, value: Json, at: Location, depth: int) -> Condition:
        """The right-hand side of a path: operators, or a value for equality."""
        self._enter(at, depth)
        if not is_explicit(value):
            check_literal(value, at)
            return self.build.equals(target, (value,), at)
        unknown = next((key for key in value if key not in OPERATORS and key != "$options"), None)
        if unknown is not None:
            raise Invalid.at(
                (*at, unknown),
                f"unknown operator {unknown!r}{did_you_mean(unknown, OPERATORS)}; known: {', '.join(OPERATORS)}",
                "unknown_operator",
            )
        if "$options" in value and "$regex" not in value:
            raise Invalid.at((*at, "$options"), "$options belongs to $regex", "value_error")
        self.limits.add(at, len(value) - 1)
        options = value.get("$options", "")
        conditions = tuple(
            self._operator(Operand(key, target, operand, (*at, key), depth, options))
            for key, operand in value.items()
            if key != "$options"
        )
        return conditions[0] if len(conditions) == 1 else And(conditions)

    def _logical(
        self, key: str, value: Json, at: Location, depth: int, element_of: ConditionTarget | None
    ) -> Condition:
        if not isinstance(value, list) or not value:
            raise Invalid.at(at, f"{key} takes an array of at least one filter", "list_type")
        parts = tuple(self.filter(item, (*at, position), depth + 1, element_of) for position, item in enumerate(value))
        if key == "$and":
            return And(parts)
        return Or(parts) if key == "$or" else Not(Or(parts))

    def _operator(self, of: Operand) -> Condition:
        operator = OPERATORS[of.name]
        check_operand(operator, of)
        return operator.read(self, of)

    def _enter(self, at: Location, depth: int) -> None:
        self.limits.within(at, depth)
        self.limits.add(at)
