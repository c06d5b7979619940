"""Filters: the MongoDB form and the list form (contract, Filters and List filters)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from .operators import ORDERS, equal, has_words, operand_list, ordered, searched, within
from .paths import join, leaves, split
from .values import MISSING, Json, OracleRefusal

OBJECT_FIELDS: Final = frozenset(
    ("object_id", "bucket_id", "key_prefix", "blobs", "status", "metadata", "created_at", "updated_at")
)
SYSTEM_DATES: Final = frozenset(("created_at", "updated_at"))
_GROUPS: Final = ("AND", "OR", "NOT")


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
    return _mongo(list(leaves(document, names)), value, replace(context, path=context.path + names))


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
            return _any(values, context, lambda value: ordered(value, name, operand, folded=context.folded))
        case "$in":
            return any(_equals(values, item, context) for item in operand_list(operand, key))
        case "$nin":
            return not any(_equals(values, item, context) for item in operand_list(operand, key))
        case "$all":
            wanted = operand_list(operand, key)
            return bool(wanted) and all(_equals(values, item, context) for item in wanted)
        case "$exists":
            return any(value is not MISSING for value in values) is bool(operand)
        case "$not":
            return not _mongo(values, operand, context)
        case "$size":
            return any(isinstance(value, list) and len(value) == operand for value in values)
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
            elements = [element for value in values if isinstance(value, list) for element in value]
            return any(_element(element, operand, context) for element in elements)
    raise OracleRefusal(f"unknown operator {key}")


def _element(element: Json, condition: Json, context: Context) -> bool:
    """`$elemMatch`: operators on the element itself, or a filter on an element that is an object."""
    if any(key.startswith("$") and key not in ("$and", "$or", "$nor") for key in condition):
        return _mongo([element], condition, replace(context, expand=False))
    return isinstance(element, dict) and _filter(element, condition, replace(context, expand=True, listed=False))


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
    context = replace(context, path=names)
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
