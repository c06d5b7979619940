"""MongoDB-style filters: paths with operators below them, and $and, $or, $nor."""

from dataclasses import dataclass

from service.conditions.arrays import ElemMatch, Size
from service.conditions.base import Condition
from service.conditions.existence import Exists
from service.conditions.logic import And, Not, Or
from service.conditions.text import Contains, EndsWith, StartsWith, Text
from service.dialects.flat.filters.mistakes import (
    LOGICAL,
    OPERATORS,
    check_element_key,
    check_key,
    check_literal,
    check_value,
    check_values,
    is_explicit,
    resembles_condition,
)
from service.dialects.flat.filters.operands import (
    Builder,
    ConditionTarget,
    FilterLimits,
    boolean_of,
    kind_of,
    list_of,
    path_of,
    string_of,
)
from service.errors import Invalid, Location
from service.spelling import did_you_mean
from service.values import Json


@dataclass(frozen=True)
class MongoReader:
    """Reads one request's filters; raises `Invalid` that names the place."""

    build: Builder
    limits: FilterLimits

    def filter(self, filters: Json, at: Location, depth: int, element_of: ConditionTarget | None = None) -> Condition:
        """All that an object says of an object, or of an element of the array at `element_of`."""
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
            place = (*at, key)
            if key in LOGICAL:
                conditions.append(self._logical(key, value, place, depth, element_of))
            elif key.startswith("$"):
                raise Invalid.at(
                    place,
                    f"unknown operator {key!r} here{did_you_mean(key, LOGICAL)}; known at this level: "
                    f'{", ".join(LOGICAL)}; the others stand below a field: {{"field": {{"$eq": …}}}}',
                    "unknown_operator",
                )
            elif element_of is None:
                check_key(key, value, place, listed=False)
                conditions.append(self.on_target(ConditionTarget.of(path_of(key, place)), value, place, depth + 1))
            else:
                check_element_key(key, value, place)
                conditions.append(self.on_target(element_of.inside(path_of(key, place)), value, place, depth + 1))
        return conditions[0] if len(conditions) == 1 else And(tuple(conditions))

    def on_target(self, target: ConditionTarget, value: Json, at: Location, depth: int) -> Condition:
        """The right side of a path: operators, or a value to be equal to."""
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
            self._operator(target, key, operand, options, (*at, key), depth)
            for key, operand in value.items()
            if key != "$options"
        )
        return conditions[0] if len(conditions) == 1 else And(conditions)

    def _logical(
        self, key: str, value: Json, at: Location, depth: int, element_of: ConditionTarget | None
    ) -> Condition:
        if not isinstance(value, list) or not value:
            raise Invalid.at(at, f"{key} takes an array of at least one filter", "list_type")
        parts = tuple(self.filter(item, (*at, place), depth + 1, element_of) for place, item in enumerate(value))
        if key == "$and":
            return And(parts)
        return Or(parts) if key == "$or" else Not(Or(parts))

    def _operator(
        self, target: ConditionTarget, key: str, operand: Json, options: Json, at: Location, depth: int
    ) -> Condition:
        path, folded = target.path, target.folded
        match key:
            case "$eq":
                return self.build.equals(target, (operand,), at)
            case "$ne":
                return Not(self.build.equals(target, (operand,), at))
            case "$in" | "$nin":
                values = list_of(operand, key, at)
                check_values(values, key, at)
                within = self.build.equals(target, tuple(values), at)
                return within if key == "$in" else Not(within)
            case "$gt" | "$gte" | "$lt" | "$lte":
                check_value(operand, key, at)
                return self.build.compare(target, key[1:], operand, at)  # type: ignore[arg-type]
            case "$exists":
                return Exists(path) if boolean_of(operand, key, at) else Not(Exists(path))
            case "$regex":
                flags = string_of(options, "$options", (*at[:-1], "$options"))
                return self.build.regex(target, string_of(operand, key, at), flags, at)
            case "$not":
                if not isinstance(operand, dict) or not all(name.startswith("$") for name in operand) or not operand:
                    raise Invalid.at(at, '$not takes operators: {"$not": {"$gt": 5}}', "dict_type")
                return Not(self.on_target(target, operand, at, depth + 1))
            case "$all":
                return self._all(target, list_of(operand, key, at), at, depth)
            case "$size":
                if not isinstance(operand, int) or isinstance(operand, bool) or operand < 0:
                    raise Invalid.at(at, "$size takes an integer from 0 on", "int_type")
                return Size(path, operand)
            case "$contains":
                check_value(operand, key, at)
                return Contains(path, operand, folded)
            case "$startsWith":
                return StartsWith(path, string_of(operand, key, at), folded)
            case "$endsWith":
                return EndsWith(path, string_of(operand, key, at), folded)
            case "$text":
                return Text(path, string_of(operand, key, at))
            case _:
                return self._element(target, operand, at, depth)

    def _all(self, target: ConditionTarget, operands: list[Json], at: Location, depth: int) -> Condition:
        """Every value is there, or for every `$elemMatch` an element; both at once MongoDB refuses. Empty: nothing."""
        if not any(isinstance(each, dict) and "$elemMatch" in each for each in operands):
            self.limits.add(at, len(operands))
            check_values(operands, "$all", at)
            return And(tuple(self.build.equals(target, (each,), at) for each in operands)) if operands else Or(())
        elements = []
        for place, each in enumerate(operands):
            if not isinstance(each, dict) or each.keys() != {"$elemMatch"}:
                raise Invalid.at(
                    (*at, place), '$all takes values, or in every place {"$elemMatch": …} alone', "value_error"
                )
            inner = (*at, place, "$elemMatch")
            self._enter(inner, depth)
            elements.append(self._element(target, each["$elemMatch"], inner, depth))
        return And(tuple(elements))

    def _element(self, target: ConditionTarget, operand: Json, at: Location, depth: int) -> Condition:
        if not isinstance(operand, dict):
            raise Invalid.at(at, "$elemMatch takes operators, or a filter on the element's fields", "dict_type")
        if operand and all(key.startswith("$") and key not in LOGICAL for key in operand):
            return ElemMatch(target.path, self.on_target(target.inside(()), operand, at, depth + 1), objects=False)
        return ElemMatch(target.path, self.filter(operand, at, depth + 1, target), objects=True)

    def _enter(self, at: Location, depth: int) -> None:
        self.limits.within(at, depth)
        self.limits.add(at)
