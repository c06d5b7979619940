"""Filters: the MongoDB form and the list form (contract, Filters and List filters)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import trunc
from typing import Final

from .operators import ORDERS, equal, has_words, operand_list, ordered, searched, within
from .paths import join, leaves, split
from .values import MISSING, Json, OracleRefusal

OBJECT_FIELDS: Final = frozenset(
    ("object_id", "bucket_id", "key_prefix", "blobs", "status", "metadata", "created_at", "updated_at")
)
SYSTEM_DATES: Final = frozenset(("created_at", "updated_at"))
STATUS: Final = ("status",)
"""The root field that compares in any case (contract, Filters)."""

_NAMES: Final = frozenset(
    {"eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "exists", "regex", "options", "not", "and", "or", "nor"}
    | {"all", "size", "mod", "contains", "startswith", "endswith", "text", "elemmatch", "isnull", "phrase", "words"}
    | {">", ">=", "<", "<=", "=", "==", "!=", "<>"}
)
"""Operators without `$`, in small letters and without underscores."""


@dataclass(frozen=True)
class Context:
    """What a condition knows besides its field: the date fields, the path so far, and whether case counts.

    `listed` is the filter of a list route, where a shorthand key is a condition like any other.
    """

    date_fields: frozenset[str] = SYSTEM_DATES
    path: tuple[str, ...] = ()
    folded: bool = False
    expand: bool = True
    fields: frozenset[str] = OBJECT_FIELDS
    listed: bool = False

    @property
    def dates(self) -> bool:
        return join(*self.path) in self.date_fields


def matches(
    document: Json,
    filters: Json,
    date_fields: Iterable[str] = (),
    *,
    folded: bool = False,
    fields: frozenset[str] = OBJECT_FIELDS,
    listed: bool = False,
) -> bool:
    """Whether an object matches, or another resource with its `fields`.

    `date_fields` are the paths whose schema says date or datetime.
    """
    dates = SYSTEM_DATES | frozenset(date_fields)
    context = Context(date_fields=dates, folded=folded, fields=fields, listed=listed)
    return not filters or _filter(document, filters, context)


def _found(document: Json, path: str, context: Context) -> tuple[str, ...]:
    """The names of a path. What is no field of this resource is looked up under `metadata`."""
    names = split(path)
    return names if names[0] in context.fields or names[0] in document else ("metadata", *names)


def _filter(document: Json, filters: Json, context: Context) -> bool:
    """One object that is a filter in either form: everything in it has to hold."""
    if not isinstance(filters, dict):
        raise OracleRefusal("a filter is an object")
    if isinstance(filters.get("case_sensitive"), bool):
        context = replace(context, folded=not filters["case_sensitive"])
    if is_condition(filters):
        return _condition(document, filters, context)
    return all(_entry(document, key, value, context) for key, value in filters.items() if key != "case_sensitive")


def _entry(document: Json, key: str, value: Json, context: Context) -> bool:
    def each(inner: Json) -> list[bool]:
        return [_filter(document, item, context) for item in operand_list(inner, key)]

    match key:
        case "$and" | "AND":
            return all(each(value))
        case "$or":
            return any(each(value))
        case "OR":
            return not value or any(each(value))
        case "$nor":
            return not any(each(value))
        case "NOT":
            return not any(each([value] if isinstance(value, dict) else value))
        case "$not":
            return not _filter(document, value, context)
    names = _found(document, key, context) if context.listed else split(key)
    return _mongo(list(leaves(document, names)), value, _at(context, context.path + names))


def _at(context: Context, path: tuple[str, ...]) -> Context:
    return replace(context, path=path, folded=context.folded or path == STATUS)


def literal(value: Json) -> None:
    """An object whose keys are operators without `$` is no value, unless `$eq` says so (contract, Filters)."""
    if isinstance(value, dict) and value and all(key.replace("_", "").lower() in _NAMES for key in value):
        raise OracleRefusal("operators begin with $; literally it is meant by $eq")


def _plain_values(operand: Json, name: str) -> Sequence[Json]:
    """The values of `$in`, `$nin` and `$all`: operators inside of them are a 422 (contract, Filters)."""
    values = operand_list(operand, name)
    for value in values:
        if isinstance(value, dict) and any(key.startswith("$") for key in value):
            raise OracleRefusal(f"{name} takes values, no operators")
        literal(value)
    return values


def _seen(values: Sequence[Json], context: Context) -> list[Json]:
    """What a scalar condition is tried on: every leaf, and the elements of the leaves that are arrays."""
    if not context.expand:
        return list(values)
    inside = [element for value in values if isinstance(value, list) for element in value]
    return [*values, *inside]


def _any(values: Sequence[Json], context: Context, test: Callable[[Json], bool]) -> bool:
    return any(test(value) for value in _seen(values, context))


def _equals(values: Sequence[Json], operand: Json, context: Context) -> bool:
    """MongoDB: the value, the whole array, or an element of it."""
    return _any(values, context, lambda value: equal(value, operand, dates=context.dates, folded=context.folded))


def _contains(values: Sequence[Json], operand: Json, context: Context) -> bool:
    """A substring of a string, or an element of an array (contract, List filters)."""
    return any(
        _equals(value, operand, replace(context, expand=False))
        if isinstance(value, list)
        else within(value, operand, "contains", folded=context.folded)
        for value in values
    )


def _mongo(values: Sequence[Json], condition: Json, context: Context) -> bool:
    """The right side of a field: operators, or a value that has to be equal."""
    if not isinstance(condition, dict) or not any(key.startswith("$") for key in condition):
        literal(condition)
        return _equals(values, condition, context)
    return all(
        _operator(values, key, operand, condition, context) for key, operand in condition.items() if key != "$options"
    )


def _operator(values: Sequence[Json], key: str, operand: Json, beside: Json, context: Context) -> bool:
    name = key[1:]
    match key:
        case "$eq":
            return _equals(values, operand, context)
        case "$ne":
            return not _equals(values, operand, context)
        case "$gt" | "$gte" | "$lt" | "$lte":
            return _any(
                values, context, lambda value: ordered(value, name, operand, dates=context.dates, folded=context.folded)
            )
        case "$in":
            return any(_equals(values, item, context) for item in _plain_values(operand, key))
        case "$nin":
            return not any(_equals(values, item, context) for item in _plain_values(operand, key))
        case "$all":
            return _all(values, operand_list(operand, key), context)
        case "$exists":
            return any(value is not MISSING for value in values) is bool(operand)
        case "$not":
            return not _mongo(values, operand, context)
        case "$size":
            return any(isinstance(value, list) and len(value) == operand for value in values)
        case "$mod":
            return _any(values, context, lambda value: _remainder(value, operand[0]) == operand[1])
        case "$regex":
            flags = beside.get("$options", "")
            return _any(values, context, lambda value: searched(value, operand, flags, folded=context.folded))
        case "$contains":
            return _contains(values, operand, context)
        case "$startsWith" | "$endsWith":
            how = "starts_with" if key == "$startsWith" else "ends_with"
            return _any(values, context, lambda value: within(value, operand, how, folded=context.folded))
        case "$text":
            return _any(values, context, lambda value: within(value, operand, "contains", folded=True))
        case "$elemMatch":
            return _some_element(values, operand, context)
    raise OracleRefusal(f"unknown operator {key}")


def _remainder(value: Json, divisor: int) -> int | None:
    """Of a number's whole part, with the number's sign; None for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    whole = trunc(value)
    return whole - divisor * trunc(Fraction(whole, divisor))


def _all(values: Sequence[Json], wanted: Sequence[Json], context: Context) -> bool:
    """MongoDB: `$all` is an `$and` of equalities, or of `$elemMatch`, never of both; of nothing it is false."""
    elements = [isinstance(item, dict) and list(item) == ["$elemMatch"] for item in wanted]
    if any(elements):
        if not all(elements):
            raise OracleRefusal("$all takes values, or $elemMatch in every place")
        return all(_some_element(values, item["$elemMatch"], context) for item in wanted)
    return bool(wanted) and all(_equals(values, item, context) for item in _plain_values(wanted, "$all"))


def _some_element(values: Sequence[Json], condition: Json, context: Context) -> bool:
    """An element of an array that is a value fulfils it; an array in the array is one element."""
    elements = [element for value in values if isinstance(value, list) for element in value]
    return any(_element(element, condition, context) for element in elements)


def _element(element: Json, condition: Json, context: Context) -> bool:
    """`$elemMatch`: operators on the element itself, or a filter on the fields of an element.

    MongoDB takes an element that is an array for an object with numbers as names; no path names those here
    (decided), so that it is an object without fields. `{}` is a filter that every object fulfils.
    """
    if any(key.startswith("$") and key not in ("$and", "$or", "$nor") for key in condition):
        return _mongo([element], condition, replace(context, expand=False))
    fields = {} if isinstance(element, list) else element
    return isinstance(fields, dict) and _filter(fields, condition, replace(context, expand=True, listed=False))


def is_condition(filters: Json) -> bool:
    """`field` with an operator or a value; such an object alone is a filter too (contract, List filters)."""
    return (
        isinstance(filters.get("field"), str)
        and set(filters) <= {"field", "operator", "value", "case_sensitive"}
        and bool(set(filters) & {"operator", "value"})
    )


def _condition(document: Json, condition: Json, context: Context) -> bool:
    """One condition of the list form."""
    names = _found(document, condition["field"], context)
    context = _at(context, names)
    if "value" not in condition and condition.get("operator", "eq") not in ("exists", "is_null"):
        raise OracleRefusal("a condition needs a value")
    if condition.get("operator") is None:
        literal(condition.get("value"))
    return _list_operator(list(leaves(document, names)), condition, context)


def _list_operator(values: Sequence[Json], condition: Json, context: Context) -> bool:
    name, operand = condition.get("operator", "eq"), condition.get("value")
    folded = context.folded
    if name in ("eq", "ne", "in", "nin") or name in ORDERS:
        return _operator(values, f"${name}", operand, condition, context)
    match name:
        case "exists":
            return any(value is not MISSING for value in values) is (operand is not False)
        case "is_null":
            return _equals(values, None, context) is (operand is not False)
        case "contains":
            return _contains(values, operand, context)
        case "starts_with" | "ends_with":
            return _any(values, context, lambda value: within(value, operand, name, folded=folded))
        case "regex":
            return _operator(values, "$regex", operand, {}, context)
        case "text":
            return _operator(values, "$text", operand, {}, context)
        case "words" | "phrase":
            in_order = name == "phrase"
            return _any(values, context, lambda value: has_words(value, operand, folded=folded, in_order=in_order))
    raise OracleRefusal(f"unknown operator {name}")
