"""Detects misspelt conditions and operators that would otherwise be read as fields and values.

Any key may be a field name, and any object a value to compare with. So a typo such as `{"fild": …, "operator": …}`,
`{"or": […]}` or `{"n": {"gt": 5}}` would silently query fields of that name. Each of them is refused; the message says
how to express the literal meaning, which is always `$eq`.
"""

from collections.abc import Mapping
from typing import Final, NoReturn

from service.dialects.flat.filters.operands import list_of
from service.dialects.flat.filters.operators import LIST_OPERATORS, LOGICAL, OPERATORS, Operand, Operator, is_element
from service.errors import Invalid, Location
from service.spelling import misspelt, nearest
from service.values import Json

GROUPS: Final = ("AND", "OR", "NOT")
CONDITION_KEYS: Final = ("field", "operator", "value", "case_sensitive")

_SIGNS: Final = {
    ">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte", "=": "$eq", "==": "$eq", "!=": "$ne", "<>": "$ne",
}  # fmt: skip
_COMPARISONS: Final = frozenset({"eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"})
_BY_PLAIN_NAME: Final = {
    name.strip("$").replace("_", "").lower(): name for name in (*LIST_OPERATORS, *LOGICAL, *OPERATORS, "$options")
}


def is_explicit(value: Json) -> bool:
    """Whether there are operators with `$` below the key, so that the key must be a field."""
    return isinstance(value, dict) and any(key.startswith("$") for key in value)


def resembles_condition(filters: Mapping[str, Json]) -> bool:
    """Whether the object is a condition of the list form, possibly misspelt.

    True if it has `field`; or keys that resemble two of `field`, `operator` and `value`; or one like `operator` whose
    value is an operator.
    """
    if "field" in filters and not is_explicit(filters["field"]):
        return True
    meant: set[str] = set()
    for key, value in filters.items():
        if key.startswith("$") or is_explicit(value):
            continue
        if isinstance(value, str) and value in LIST_OPERATORS and nearest(key, CONDITION_KEYS) == "operator":
            return True
        if (name := misspelt(key, CONDITION_KEYS)) is not None:
            meant.add(name)
    return len(meant - {"case_sensitive"}) > 1


def check_key(key: str, value: Json, at: Location, *, listed: bool) -> None:
    """Raises `Invalid` for a key read as a field that is a misspelt logical operator or `case_sensitive`."""
    if is_explicit(value):
        return
    if key.casefold() in ("and", "or", "nor", "not"):
        _refuse_key(key, at, _logical(key.casefold(), listed))
    if misspelt(key, ("case_sensitive",)) is not None:
        _refuse_key(key, at, "case_sensitive")
    if isinstance(value, list):
        objects = [each for each in value if isinstance(each, dict)]
        if any(map(resembles_condition, objects)):
            _refuse_key(key, at, nearest(key, GROUPS))
        if key.isupper() and objects and (group := _group(key)) is not None:
            _refuse_key(key, at, group)


def check_element_key(key: str, value: Json, at: Location) -> None:
    """The same for an element's field in `$elemMatch`, where a comparison may lack its `$`."""
    check_key(key, value, at, listed=False)
    if not is_explicit(value) and (key.casefold() in _COMPARISONS or key in _SIGNS):
        _refuse_key(key, at, _operator(key))


def check_literal(value: Json, at: Location) -> None:
    """Raises `Invalid` for an object read as a literal value that has operators without `$` or is a filter."""
    if not isinstance(value, dict) or not value:
        return
    first = next(iter(value))
    if all(_operator(key) is not None for key in value):
        _refuse_literal(
            first, (*at, first), f"`{first}` is an operator without its $; did you mean `{_operator(first)}`?"
        )
    operator = value.get("operator")
    if value.keys() <= set(CONDITION_KEYS) and isinstance(operator, str) and operator in LIST_OPERATORS:
        _refuse_literal("operator", at, "a condition does not stand below a path, but names it in `field`.")
    for group in GROUPS:
        if isinstance(value.get(group), list):
            _refuse_literal(group, (*at, group), f"{group} does not stand below a path.")


def check_operand(operator: Operator, of: Operand) -> None:
    """Raises `Invalid` for operators inside values, which MongoDB also refuses."""
    if operator.takes == "other":
        return
    if operator.takes == "value":
        _check_value(of.value, of.name, of.at)
        return
    values = list_of(of.value, of.name, of.at)
    if operator.takes == "values or elements" and any(map(is_element, values)):
        return
    for position, value in enumerate(values):
        _check_value(value, of.name, (*of.at, position))
        check_literal(value, (*of.at, position))


def _check_value(value: Json, name: str, at: Location) -> None:
    """Raises `Invalid` for operators inside the operand of an operator that takes a value."""
    operator = next((key for key in value if key.startswith("$")), None) if isinstance(value, dict) else None
    if operator is not None:
        raise Invalid.at(
            (*at, operator),
            f"{name} takes values, and `{operator}` is not applied inside of it. Operators stand below a path: "
            f'{{"path": {{"{operator}": …}}}}, several of them in $and or $or. '
            f'An object that is meant literally is compared by {{"path": {{"$eq": {{"{operator}": …}}}}}}',
            "unknown_operator",
        )


def _operator(key: str) -> str | None:
    """The operator that a key spells without `$`, in any case."""
    return _SIGNS.get(key) or _BY_PLAIN_NAME.get(key.replace("_", "").lower())


def _group(key: str) -> str | None:
    """The group that a key misspells; in three letters a transposition does not count as similar."""
    return misspelt(key, GROUPS) or next((each for each in GROUPS if sorted(each) == sorted(key)), None)


def _logical(name: str, listed: bool) -> str:
    if listed:
        return "NOT" if name == "nor" else name.upper()
    return "$nor" if name == "not" else f"${name}"


def _refuse_key(key: str, at: Location, meant: str | None) -> NoReturn:
    key = _short(key)
    suggestion = f"did you mean `{meant}`? " if meant else ""
    way = f'A field of this name is compared by {{"{key}": {{"$eq": …}}}}'
    raise Invalid.at(at, f"unknown key `{key}`; {suggestion}{way}", "extra_forbidden")


def _refuse_literal(key: str, at: Location, why: str) -> NoReturn:
    raise Invalid.at(
        at,
        f'{why} An object that is meant literally is compared by {{"path": {{"$eq": {{"{_short(key)}": …}}}}}}',
        "unknown_operator",
    )


def _short(key: str) -> str:
    return key if len(key) <= 60 else key[:59] + "…"
