"""The operators of both forms of filters. To add one: its condition's file, a line in a list here, and its tests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from service.conditions.arrays import ElemMatch, Size
from service.conditions.base import Condition
from service.conditions.existence import Exists
from service.conditions.logic import And, Not, Or
from service.conditions.modulo import Modulo
from service.conditions.text import Contains, EndsWith, Phrase, StartsWith, Text, Words
from service.dialects.flat.filters.operands import (
    Builder,
    ConditionTarget,
    FilterLimits,
    boolean_of,
    string_of,
)
from service.errors import Invalid, Location
from service.tokens import LONG_MAX, LONG_MIN
from service.values import Json, is_number

LOGICAL: Final = ("$and", "$or", "$nor")


class FilterReader(Protocol):
    """The reader for operators that take nested filters."""

    @property
    def build(self) -> Builder: ...

    @property
    def limits(self) -> FilterLimits: ...

    def filter(
        self, filters: Json, at: Location, depth: int, element_of: ConditionTarget | None = None
    ) -> Condition: ...

    def on_target(self, target: ConditionTarget, value: Json, at: Location, depth: int) -> Condition: ...


@dataclass(frozen=True)
class Operand:
    """An operator's operand in a request: its target, value and location."""

    name: str
    target: ConditionTarget
    value: Json
    at: Location
    depth: int = 0
    options: Json = ""
    """`$options` of `$regex`."""

    @property
    def text(self) -> str:
        return string_of(self.value, self.name, self.at)

    @property
    def flag(self) -> bool:
        return boolean_of(self.value, self.name, self.at)


@dataclass(frozen=True)
class Operator:
    """How an operator's operand is parsed; raises `Invalid` with the location."""

    read: Callable[[FilterReader, Operand], Condition]
    takes: Literal["value", "values", "values or elements", "other"] = "other"
    """A value, or an array of values, in which no operator is allowed except, for elements, `$elemMatch`."""


def is_element(value: Json) -> bool:
    """Whether an operand of `$all` is an `$elemMatch`, not a value."""
    return isinstance(value, dict) and "$elemMatch" in value


def _equal(reader: FilterReader, of: Operand) -> Condition:
    return reader.build.equals(of.target, (of.value,), of.at)


def _within(reader: FilterReader, of: Operand) -> Condition:
    return reader.build.equals(of.target, tuple(of.value), of.at)


def _compare(comparator: Any) -> Callable[[FilterReader, Operand], Condition]:
    return lambda reader, of: reader.build.compare(of.target, comparator, of.value, of.at)


def _exists(reader: FilterReader, of: Operand) -> Condition:
    return Exists(of.target.path) if of.flag else Not(Exists(of.target.path))


def _regex(reader: FilterReader, of: Operand) -> Condition:
    flags = string_of(of.options, "$options", (*of.at[:-1], "$options"))
    return reader.build.regex(of.target, of.text, flags, of.at)


def _not(reader: FilterReader, of: Operand) -> Condition:
    operand = of.value
    if not isinstance(operand, dict) or not all(name.startswith("$") for name in operand) or not operand:
        raise Invalid.at(of.at, '$not takes operators: {"$not": {"$gt": 5}}', "dict_type")
    return Not(reader.on_target(of.target, operand, of.at, of.depth + 1))


def _all(reader: FilterReader, of: Operand) -> Condition:
    """Contains every value, or an element for every `$elemMatch`; MongoDB refuses a mix. Empty: matches nothing."""
    operands = of.value
    if not any(map(is_element, operands)):
        reader.limits.add(of.at, len(operands))
        equal = (reader.build.equals(of.target, (each,), of.at) for each in operands)
        return And(tuple(equal)) if operands else Or(())
    elements = []
    for position, each in enumerate(operands):
        if not isinstance(each, dict) or each.keys() != {"$elemMatch"}:
            raise Invalid.at(
                (*of.at, position), '$all takes values, or in every place {"$elemMatch": …} alone', "value_error"
            )
        at = (*of.at, position, "$elemMatch")
        reader.limits.within(at, of.depth)
        reader.limits.add(at)
        elements.append(_element(reader, Operand("$elemMatch", of.target, each["$elemMatch"], at, of.depth)))
    return And(tuple(elements))


def _element(reader: FilterReader, of: Operand) -> Condition:
    operand = of.value
    if not isinstance(operand, dict):
        raise Invalid.at(of.at, "$elemMatch takes operators, or a filter on the element's fields", "dict_type")
    if operand and all(key.startswith("$") and key not in LOGICAL for key in operand):
        element = reader.on_target(of.target.inside(()), operand, of.at, of.depth + 1)
        return ElemMatch(of.target.path, element, objects=False)
    return ElemMatch(of.target.path, reader.filter(operand, of.at, of.depth + 1, of.target), objects=True)


def _size(reader: FilterReader, of: Operand) -> Condition:
    if not isinstance(of.value, int) or isinstance(of.value, bool) or of.value < 0:
        raise Invalid.at(of.at, "$size takes an integer from 0 on", "int_type")
    return Size(of.target.path, of.value)


def _mod(reader: FilterReader, of: Operand) -> Condition:
    given = [each for each in of.value if _is_long(each)] if isinstance(of.value, list) else []
    if len(given) != 2 or len(of.value) != 2 or not given[0]:
        raise Invalid.at(
            of.at, "$mod takes [divisor, remainder]: two integers of 64 bits, and not 0 as divisor", "value_error"
        )
    return Modulo(of.target.path, int(given[0]), int(given[1]))


def _is_long(value: Json) -> bool:
    integral = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return is_number(value) and integral and LONG_MIN <= value <= LONG_MAX


OPERATORS: Final[Mapping[str, Operator]] = {
    "$eq": Operator(_equal),
    "$ne": Operator(lambda reader, of: Not(_equal(reader, of))),
    "$gt": Operator(_compare("gt"), "value"),
    "$gte": Operator(_compare("gte"), "value"),
    "$lt": Operator(_compare("lt"), "value"),
    "$lte": Operator(_compare("lte"), "value"),
    "$in": Operator(_within, "values"),
    "$nin": Operator(lambda reader, of: Not(_within(reader, of)), "values"),
    "$exists": Operator(_exists),
    "$regex": Operator(_regex),
    "$not": Operator(_not),
    "$all": Operator(_all, "values or elements"),
    "$size": Operator(_size),
    "$mod": Operator(_mod),
    "$contains": Operator(lambda reader, of: Contains(of.target.path, of.value, of.target.folded), "value"),
    "$startsWith": Operator(lambda reader, of: StartsWith(of.target.path, of.text, of.target.folded)),
    "$endsWith": Operator(lambda reader, of: EndsWith(of.target.path, of.text, of.target.folded)),
    "$text": Operator(lambda reader, of: Text(of.target.path, of.text)),
    "$elemMatch": Operator(_element),
}
"""MongoDB's form: below a path."""


def _by_default(operator: Callable[[FilterReader, Operand], Condition]) -> Callable[[FilterReader, Operand], Condition]:
    """`value` is true if it is absent or null."""

    def read(reader: FilterReader, of: Operand) -> Condition:
        found = operator(reader, of)
        return found if of.value is None or of.flag else Not(found)

    return read


def _on_text(make: Callable[[Operand], Condition]) -> Callable[[FilterReader, Operand], Condition]:
    """An operand that is not a text, such as a number, matches nothing (contract: no match, no error)."""
    return lambda reader, of: make(of) if isinstance(of.value, str) else Or(())


LIST_OPERATORS: Final[Mapping[str, Operator]] = {
    "eq": Operator(_equal, "value"),
    "ne": Operator(lambda reader, of: Not(_equal(reader, of)), "value"),
    **{name: OPERATORS[f"${name}"] for name in ("gt", "gte", "lt", "lte", "in", "nin", "contains")},
    "starts_with": Operator(_on_text(lambda of: StartsWith(of.target.path, of.value, of.target.folded)), "value"),
    "ends_with": Operator(_on_text(lambda of: EndsWith(of.target.path, of.value, of.target.folded)), "value"),
    "regex": Operator(_regex, "value"),
    "exists": Operator(_by_default(lambda reader, of: Exists(of.target.path)), "value"),
    "is_null": Operator(_by_default(lambda reader, of: reader.build.equals(of.target, (None,), of.at)), "value"),
    "text": Operator(_on_text(lambda of: Text(of.target.path, of.value)), "value"),
    "phrase": Operator(_on_text(lambda of: Phrase(of.target.path, of.value, of.target.folded)), "value"),
    "words": Operator(_on_text(lambda of: Words(of.target.path, of.value, of.target.folded)), "value"),
}
"""The list form: in `operator`, beside `field` and `value`."""
