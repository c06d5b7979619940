"""Reads `filters`, MongoDB-style or in the AND/OR/NOT form, into conditions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from service import paths
from service.conditions import regex
from service.conditions.arrays import ElemMatch, Size
from service.conditions.base import Condition
from service.conditions.equality import Equals
from service.conditions.existence import Exists
from service.conditions.logic import ALWAYS, And, Not, Or
from service.conditions.lookup import Computed, Lookup
from service.conditions.ordering import Compare
from service.conditions.text import Contains, EndsWith, Phrase, Regex, StartsWith, Text, Words
from service.errors import Invalid, Location
from service.fields import OWN_FIELDS
from service.paths import Path
from service.values import Json, is_number

MAX_DEPTH: Final = 20
MAX_CONDITIONS: Final = 1_000
MAX_LIST_DEPTH: Final = 10
MAX_LIST_CONDITIONS: Final = 100
LIST_KEYS: Final = frozenset({"AND", "OR", "NOT", "case_sensitive"})

OPERATORS: Final = (
    "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$regex", "$not",
    "$all", "$size", "$contains", "$startsWith", "$endsWith", "$text", "$elemMatch",
)  # fmt: skip
LOGICAL: Final = ("$and", "$or", "$nor")
LIST_OPERATORS: Final = (
    "eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "contains", "starts_with", "ends_with",
    "regex", "exists", "is_null", "text", "phrase", "words",
)  # fmt: skip

Instant = Callable[[Path], bool]


@dataclass(frozen=True)
class Resource:
    """What filters of the list form are about: its fields; any other path is looked up under `metadata`."""

    fields: frozenset[str]
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Shorter names of fields: `name`."""
    open: bool = False
    """Users may have fields of their own at the root."""
    computed: frozenset[str] = frozenset()
    """Fields that are counted when they are asked for."""

    def place(self, path: Path, known: Callable[[Path], bool]) -> Path:
        """Where a path lies for all resources at once, as sorting needs it; `known`: some have this root field."""
        path = (self.aliases.get(path[0], path[0]), *path[1:])
        if path[0] in self.fields or (self.open and known(path[:1])):
            return path
        return ("metadata", *path)


OBJECT: Final = Resource(frozenset((*OWN_FIELDS, "blobs", "metadata")), open=True)


def read_filters(filters: Json, location: Location, instant: Instant) -> Condition:
    """The condition that the `filters` of an aggregate spell, in either form; case counts.

    `instant` tells the paths whose equality compares instants (date fields). Raises `Invalid`, which names
    the place of what is wrong in `filters`.
    """
    return _Reader(instant, OBJECT).any_form(filters, location, 0, True)


def read_list_filters(
    filters: Json, location: Location, instant: Instant, resource: Resource, *, case_sensitive: bool
) -> tuple[Condition, bool]:
    """The condition that the `filters` of a list spell, and whether it needs a computed field; raises `Invalid`."""
    reader = _Reader(instant, resource, MAX_LIST_DEPTH, MAX_LIST_CONDITIONS)
    condition = ALWAYS if filters is None else reader.list_form(filters, location, 0, case_sensitive)
    return condition, reader.computes


@dataclass
class _Reader:
    instant: Instant
    resource: Resource
    max_depth: int = MAX_DEPTH
    max_conditions: int = MAX_CONDITIONS
    count: int = field(default=0)
    computes: bool = False
    folded: bool = False
    """Case does not count below a path, for MongoDB's operators in a filter of the list form."""

    def any_form(self, filters: Json, at: Location, depth: int, sensitive: bool) -> Condition:
        if filters is None:
            return ALWAYS
        if not isinstance(filters, dict):
            raise Invalid.at(at, f"filters are an object, not {_kind(filters)}", "dict_type")
        if filters.keys() & LIST_KEYS or (
            "field" in filters and filters.keys() <= {"field", "operator", "value", "case_sensitive"}
        ):
            return self.list_form(filters, at, depth, sensitive)
        return self.mongo(filters, at, depth)

    # MongoDB-style

    def mongo(self, filters: Json, at: Location, depth: int, base: Path = ()) -> Condition:
        self._deeper(at, depth)
        if not isinstance(filters, dict):
            raise Invalid.at(at, f"a filter is an object, not {_kind(filters)}", "dict_type")
        conditions = []
        for key, value in filters.items():
            place = (*at, key)
            if key in LOGICAL:
                conditions.append(self._logical(key, value, place, depth))
            elif key.startswith("$"):
                raise Invalid.at(
                    place,
                    f"unknown operator {key!r} here; known at this level: {', '.join(LOGICAL)}; "
                    f'the others stand below a field: {{"field": {{"$eq": …}}}}',
                    "unknown_operator",
                )
            else:
                conditions.append(self._on_path(self._path(key, place), value, place, depth + 1))
        return conditions[0] if len(conditions) == 1 else And(tuple(conditions))

    def _logical(self, key: str, value: Json, at: Location, depth: int) -> Condition:
        if not isinstance(value, list) or not value:
            raise Invalid.at(at, f"{key} takes an array of at least one filter", "list_type")
        parts = tuple(self.mongo(item, (*at, place), depth + 1) for place, item in enumerate(value))
        if key == "$and":
            return And(parts)
        return Or(parts) if key == "$or" else Not(Or(parts))

    def _on_path(self, path: Path, value: Json, at: Location, depth: int) -> Condition:
        self._deeper(at, depth)
        if not (isinstance(value, dict) and any(key.startswith("$") for key in value)):
            return self._equals(path, (value,), self.folded)
        unknown = [key for key in value if key not in OPERATORS and key != "$options"]
        if unknown:
            raise Invalid.at(
                (*at, unknown[0]),
                f"unknown operator {unknown[0]!r}; known: {', '.join(OPERATORS)}",
                "unknown_operator",
            )
        if "$options" in value and "$regex" not in value:
            raise Invalid.at((*at, "$options"), "$options belongs to $regex", "value_error")
        self._count(at, len(value) - 1)
        options = value.get("$options", "")
        conditions = tuple(
            self._operator(path, key, operand, options, (*at, key), depth)
            for key, operand in value.items()
            if key != "$options"
        )
        return conditions[0] if len(conditions) == 1 else And(conditions)

    def _operator(self, path: Path, key: str, operand: Json, options: Json, at: Location, depth: int) -> Condition:
        folded = self.folded
        match key:
            case "$eq":
                return self._equals(path, (operand,), folded)
            case "$ne":
                return Not(self._equals(path, (operand,), folded))
            case "$in" | "$nin":
                within = self._equals(path, tuple(_list(operand, key, at)), folded)
                return within if key == "$in" else Not(within)
            case "$gt" | "$gte" | "$lt" | "$lte":
                return self._compare(path, key[1:], operand, key, at, folded)
            case "$exists":
                return Exists(path) if _truth(operand, key, at) else Not(Exists(path))
            case "$regex":
                return self._regex(path, operand, options, at, folded)
            case "$not":
                if not isinstance(operand, dict) or not all(name.startswith("$") for name in operand) or not operand:
                    raise Invalid.at(at, '$not takes operators: {"$not": {"$gt": 5}}', "dict_type")
                return Not(self._on_path(path, operand, at, depth + 1))
            case "$all":
                items = _list(operand, key, at)
                self._count(at, len(items))
                return And(tuple(self._equals(path, (item,), folded) for item in items)) if items else Or(())
            case "$size":
                if not isinstance(operand, int) or isinstance(operand, bool) or operand < 0:
                    raise Invalid.at(at, "$size takes an integer from 0 on", "int_type")
                return Size(path, operand)
            case "$contains":
                return Contains(path, operand, folded)
            case "$startsWith":
                return StartsWith(path, _string(operand, key, at), folded)
            case "$endsWith":
                return EndsWith(path, _string(operand, key, at), folded)
            case "$text":
                return Text(path, _string(operand, key, at))
            case _:
                return self._element(path, operand, at, depth)

    def _element(self, path: Path, operand: Json, at: Location, depth: int) -> Condition:
        if not isinstance(operand, dict) or not operand:
            raise Invalid.at(at, "$elemMatch takes operators, or a filter on the element's fields", "dict_type")
        if all(key.startswith("$") and key not in LOGICAL for key in operand):
            return ElemMatch(path, self._on_path((), operand, at, depth + 1), objects=False)
        return ElemMatch(path, self.mongo(operand, at, depth + 1), objects=True)

    def _regex(self, path: Path, operand: Json, options: Json, at: Location, folded: bool = False) -> Condition:
        pattern = _string(operand, "$regex", at)
        flags = _string(options, "$options", (*at[:-1], "$options"))
        try:
            regex.check(pattern, flags)
        except ValueError as error:
            raise Invalid.at(at, str(error), "regular_expression") from None
        return Regex(path, pattern, folded, flags)

    def _equals(self, path: Path, operands: tuple[Json, ...], folded: bool = False) -> Equals:
        return Equals(path, operands, bool(path) and self.instant(path), folded)

    def _compare(
        self, path: Path, comparator: Any, operand: Json, key: str, at: Location, folded: bool = False
    ) -> Condition:
        if operand is None:
            return self._equals(path, (None,)) if comparator in ("gte", "lte") else Or(())
        if not isinstance(operand, str | bool) and not is_number(operand):
            raise Invalid.at(
                at, f"{key} takes a number, a string, a boolean or null, not {_kind(operand)}", "value_error"
            )
        return Compare(path, comparator, operand, folded)

    # AND / OR / NOT

    def list_form(self, filters: Json, at: Location, depth: int, sensitive: bool) -> Condition:
        self._within(at, depth)
        if not isinstance(filters, dict):
            raise Invalid.at(at, f"a condition is an object, not {_kind(filters)}", "dict_type")
        if "case_sensitive" in filters:
            sensitive = _truth(filters["case_sensitive"], "case_sensitive", (*at, "case_sensitive"))
        if "field" in filters and not filters.keys() & {"AND", "OR", "NOT"}:
            return self._listed(filters, at, sensitive)
        conditions: list[Condition] = []
        for key, value in filters.items():
            place = (*at, key)
            if key == "case_sensitive":
                continue
            if key in ("AND", "OR", "NOT"):
                conditions.append(self._group(key, value, place, depth, sensitive))
            elif key.startswith("$"):
                raise Invalid.at(
                    place, "MongoDB's operators and AND/OR/NOT do not stand in one filter", "unknown_operator"
                )
            else:
                conditions.append(self._shorthand(self._path(key, place), value, place, depth, sensitive))
        return conditions[0] if len(conditions) == 1 else And(tuple(conditions))

    def _group(self, key: str, value: Json, at: Location, depth: int, sensitive: bool) -> Condition:
        if key == "NOT" and isinstance(value, dict):
            value = [value]
        if not isinstance(value, list):
            raise Invalid.at(at, f"{key} takes an array of conditions", "list_type")
        parts = tuple(self.list_form(item, (*at, place), depth + 1, sensitive) for place, item in enumerate(value))
        if key == "NOT":
            return Not(Or(parts))
        return Or(parts) if key == "OR" and parts else And(parts)

    def _shorthand(self, path: Path, value: Json, at: Location, depth: int, sensitive: bool) -> Condition:
        if isinstance(value, dict) and any(key.startswith("$") for key in value):
            self.folded = not sensitive
            return self._located(path, lambda place: self._on_path(place, value, at, depth))
        self._count(at, 1)
        return self._located(path, lambda place: self._equals(place, (value,), not sensitive))

    def _located(self, path: Path, make: Callable[[Path], Condition]) -> Condition:
        """The condition on the resource's field, or on what lies under `metadata`."""
        path = (self.resource.aliases.get(path[0], path[0]), *path[1:])
        if path[0] in self.resource.computed:
            self.computes = True
            return Computed(make(path))
        if path[0] in self.resource.fields:
            return make(path)
        below = make(("metadata", *path))
        return Lookup(path[:1], make(path), below) if self.resource.open else below

    def _listed(self, condition: dict[str, Json], at: Location, sensitive: bool) -> Condition:
        self._count(at, 1)
        path = self._path(_string(condition["field"], "field", (*at, "field")), (*at, "field"))
        return self._located(path, lambda place: self._condition(place, condition, at, sensitive))

    def _condition(self, path: Path, condition: dict[str, Json], at: Location, sensitive: bool) -> Condition:
        operator, value, place = condition.get("operator", "eq"), condition.get("value"), (*at, "value")
        folded = not sensitive
        match operator:
            case "eq" | "ne":
                equal = self._equals(path, (value,), folded)
                return equal if operator == "eq" else Not(equal)
            case "in" | "nin":
                within = self._equals(path, tuple(_list(value, operator, place)), folded)
                return within if operator == "in" else Not(within)
            case "gt" | "gte" | "lt" | "lte":
                return self._compare(path, operator, value, operator, place, folded)
            case "contains":
                return Contains(path, value, folded)
            case "regex":
                return self._regex(path, value, "", place, folded)
            case "exists":
                return Exists(path) if _truth(condition.get("value", True), operator, place) else Not(Exists(path))
            case "is_null":
                null = self._equals(path, (None,))
                return null if _truth(condition.get("value", True), operator, place) else Not(null)
            case "starts_with" | "ends_with" | "text" | "words" | "phrase":
                # Nothing starts with a number (contract: no match, no error).
                return self._on_text(path, operator, value, folded) if isinstance(value, str) else Or(())
        raise Invalid.at(
            (*at, "operator"),
            f"unknown operator {operator!r}; known: {', '.join(LIST_OPERATORS)}",
            "unknown_operator",
        )

    def _on_text(self, path: Path, operator: str, text: str, folded: bool) -> Condition:
        match operator:
            case "starts_with":
                return StartsWith(path, text, folded)
            case "ends_with":
                return EndsWith(path, text, folded)
            case "text":
                return Text(path, text)
            case "words":
                return Words(path, text, folded)
        return Phrase(path, text, folded)

    # Both

    def _path(self, name: str, at: Location) -> Path:
        try:
            return paths.parse(name)
        except ValueError as error:
            raise Invalid.at(at, str(error), "path") from None

    def _deeper(self, at: Location, depth: int) -> None:
        self._within(at, depth)
        self._count(at, 1)

    def _within(self, at: Location, depth: int) -> None:
        if depth > self.max_depth:
            raise Invalid.at(at[:8], f"filters are nested at most {self.max_depth} deep", "too_deep")

    def _count(self, at: Location, more: int) -> None:
        self.count += more
        if self.count > self.max_conditions:
            raise Invalid.at(at[:8], f"filters have at most {self.max_conditions} conditions", "too_many")


def _list(value: Json, name: str, at: Location) -> list[Json]:
    if not isinstance(value, list):
        raise Invalid.at(at, f"{name} takes an array, not {_kind(value)}", "list_type")
    return value


def _string(value: Json, name: str, at: Location) -> str:
    if not isinstance(value, str):
        raise Invalid.at(at, f"{name} takes a string, not {_kind(value)}", "string_type")
    return value


def _truth(value: Json, name: str, at: Location) -> bool:
    if not isinstance(value, bool):
        raise Invalid.at(at, f"{name} takes true or false, not {_kind(value)}", "bool_type")
    return value


def _kind(value: Json) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
