"""Which records a request is about: filters (contract, section 2) and `lastUpdatedTime` (section 1)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from .properties import (
    FLOATS,
    NUMBERS,
    TIMES,
    Catalogue,
    Column,
    Json,
    Record,
    Refusal,
    Value,
    is_integer,
    is_number,
    only_keys,
    to_double,
    typed,
)
from .times import read_instant

Test: TypeAlias = Callable[[Record], bool]

MOST_NODES: Final = 100
DEEPEST: Final = 10
ORDERED: Final = ("range", "equals", "in", "exists")
SINGLE: Final[dict[str, tuple[str, ...]]] = {
    "text": ("equals", "in", "prefix", "exists"),
    "boolean": ("equals", "exists"),
    "enum": ("equals", "in", "exists"),
    "direct": ("equals", "in", "exists"),
    "timestamp": ORDERED,
    "date": ORDERED,
    "json": ("exists",),
    **dict.fromkeys(NUMBERS, ORDERED),
}
"""The operators of each type; a list has its own three."""
TOP_LEVEL: Final = {
    "equals": ("space", "externalId", *TIMES),
    "in": ("space", "externalId", *TIMES),
    "range": TIMES,
    "prefix": ("space", "externalId"),
}
BOUNDS: Final[dict[str, Callable[[Value, Value], bool]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
LOWER: Final = ("gt", "gte")
UPPER: Final = ("lt", "lte")


@dataclass(frozen=True)
class Stream:
    """What a stream asks of `lastUpdatedTime`: whether it is mandatory, and how wide it may be, in milliseconds."""

    mandatory: bool = False
    widest: int | None = None
    now: int = 0


def select(
    catalogue: Catalogue,
    records: Iterable[Record],
    filter: Json = None,
    last_updated: Json = None,
    stream: Stream | None = None,
) -> list[Record]:
    """The records that pass the filter and lie in the range of time, in the order they came in."""
    within = updated_within(last_updated, stream or Stream())
    passes = compile_filter(catalogue, filter) if filter is not None else everything
    return [record for record in records if within(record) and passes(record)]


def everything(_: Record) -> bool:
    return True


def updated_within(body: Json, stream: Stream) -> Test:
    """The test that `lastUpdatedTime` is."""
    if body is None:
        if stream.mandatory:
            raise Refusal("lastUpdatedTime missing")
        return everything
    body = only_keys(body, tuple(BOUNDS), "lastUpdatedTime")
    lower = [name for name in LOWER if name in body]
    if len(lower) != 1 or len([name for name in UPPER if name in body]) > 1:
        raise Refusal("lastUpdatedTime bounds")
    bounds = {name: _instant(bound, "lastUpdatedTime") for name, bound in body.items()}
    upper = max((bounds[name] for name in UPPER if name in bounds), default=stream.now)
    if stream.widest is not None and upper - bounds[lower[0]] > stream.widest:
        raise Refusal("lastUpdatedTime span")
    return lambda record: all(BOUNDS[name](record["lastUpdatedTime"], bound) for name, bound in bounds.items())


def _instant(value: Json, kind: str) -> int:
    """Epoch milliseconds or ISO-8601, as the two top-level times take them."""
    if is_integer(value):
        return value
    try:
        return int(typed("timestamp", value))
    except ValueError:
        raise Refusal(kind) from None


def compile_filter(catalogue: Catalogue, body: Json) -> Test:
    """The test that a filter is; a Refusal if it is none."""
    return _Compiler(catalogue).node(body, 1)


class _Compiler:
    """Reads one filter, counting its nodes."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.nodes = 0

    def node(self, body: Json, depth: int) -> Test:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise Refusal("filter nodes")
        if depth > DEEPEST:
            raise Refusal("filter depth")
        if not isinstance(body, dict) or len(body) != 1:
            raise Refusal("filter shape")
        ((name, inner),) = body.items()
        match name:
            case "and" | "or":
                parts = [self.node(part, depth + 1) for part in _listed(inner, 99, "filter list")]
                combine = all if name == "and" else any
                return lambda record: combine(part(record) for part in parts)
            case "not":
                negated = self.node(inner, depth + 1)
                return lambda record: not negated(record)
            case "matchAll":
                only_keys(inner, (), "filter shape")
                return everything
            case "hasData":
                return self.has_data(inner)
            case "exists":
                column = self.column(name, only_keys(inner, ("property",), "filter shape"))
                return lambda record: bool(column.values(record))
            case "equals":
                return self.equals(inner)
            case "in" | "containsAll" | "containsAny":
                return self.among(name, inner)
            case "range":
                return self.range(inner)
            case "prefix":
                return self.prefix(inner)
        raise Refusal("unknown filter")

    def column(self, name: str, body: Json) -> Column:
        """The property of a leaf, which has to be of a type that the operator is for."""
        path = body.get("property")
        column = self.catalogue.column(path, TOP_LEVEL.get(name, ()))
        if len(column.path) == 1:
            return column
        allowed = SINGLE[column.type]
        if column.many and column.type != "json":
            allowed = ("containsAll", "containsAny", "exists")
        if name not in allowed:
            raise Refusal("operator", column.name, column.type, name)
        return column

    def equals(self, body: Json) -> Test:
        column = self.column("equals", only_keys(body, ("property", "value"), "filter shape"))
        wanted = _operand(column, body.get("value"))
        return lambda record: wanted in column.values(record)

    def among(self, name: str, body: Json) -> Test:
        column = self.column(name, only_keys(body, ("property", "values"), "filter shape"))
        wanted = {_operand(column, value) for value in _listed(body.get("values"), 100, "filter values")}
        if name == "containsAll":
            return lambda record: wanted <= set(column.values(record))
        return lambda record: not wanted.isdisjoint(column.values(record))

    def range(self, body: Json) -> Test:
        column = self.column("range", only_keys(body, ("property", *BOUNDS), "filter shape"))
        bounds = {name: _operand(column, bound) for name, bound in body.items() if name != "property"}
        sides = [len([name for name in side if name in bounds]) for side in (LOWER, UPPER)]
        if not bounds or max(sides) > 1:
            raise Refusal("range bounds")
        return lambda record: any(
            all(BOUNDS[name](value, bound) for name, bound in bounds.items()) for value in column.values(record)
        )

    def prefix(self, body: Json) -> Test:
        column = self.column("prefix", only_keys(body, ("property", "value"), "filter shape"))
        start = body.get("value")
        if not isinstance(start, str) or not 1 <= len(start) <= 500:
            raise Refusal("prefix")
        return lambda record: any(value.startswith(start) for value in column.values(record))

    def has_data(self, body: Json) -> Test:
        """Data in all of the containers: in each, at least one property has a value."""
        wanted: list[Sequence[Column]] = []
        for entry in _listed(body, 10, "hasData"):
            reference = only_keys(entry, ("type", "space", "externalId", "version"), "hasData")
            if reference.get("type") == "view":
                raise Refusal("view", "views are not supported, name the container")
            if reference.get("type") != "container" or "version" in reference:
                raise Refusal("hasData")
            names = (reference.get("space"), reference.get("externalId"))
            if not all(isinstance(name, str) for name in names):
                raise Refusal("hasData")
            columns = self.catalogue.container(str(names[0]), str(names[1]))
            if not columns:
                raise Refusal("unknown container", str(names[1]))
            wanted.append(columns)
        return lambda record: all(any(column.values(record) for column in columns) for columns in wanted)


def _listed(values: Json, most: int, kind: str) -> list[Json]:
    if not isinstance(values, list) or not 1 <= len(values) <= most:
        raise Refusal(kind)
    return values


def _operand(column: Column, value: Json) -> Value:
    """An operand in the type of its property. Integers are compared with any number, exactly."""
    if len(column.path) == 1 and column.type == "timestamp":
        return _instant(value, "operand")
    if column.type in NUMBERS and is_number(value):
        return to_double(value) if column.type in FLOATS else value
    try:
        return read_instant(value) if column.type == "timestamp" else typed(column.type, value)
    except (TypeError, ValueError):
        raise Refusal("operand") from None
