"""Containers, records and the typed values of a property.

A value is what is not null; a list holds as many as it has elements, an empty one none. In here a timestamp is its
milliseconds since 1970, a direct relation a pair, everything else what JSON makes of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeGuard

from .times import read_date, read_instant, write_instant

Json: TypeAlias = Any
Record: TypeAlias = Mapping[str, Any]
"""A record as `records/filter` answers it: ids, the two times in milliseconds, `properties[space][container][name]`."""

Value: TypeAlias = Any
"""A typed value: hashable (but JSON) and ordered among its own."""

INTEGERS: Final = frozenset(("int32", "int64"))
FLOATS: Final = frozenset(("float32", "float64"))
NUMBERS: Final = INTEGERS | FLOATS
TIMES: Final = ("createdTime", "lastUpdatedTime")
TOP_LEVEL: Final = {"space": "text", "externalId": "text", "createdTime": "timestamp", "lastUpdatedTime": "timestamp"}


class Refusal(Exception):
    """The contract answers this request with a 400; `says` is what the message has to name."""

    def __init__(self, kind: str, *says: str) -> None:
        super().__init__(kind, *says)
        self.kind = kind
        self.says = says


def is_number(value: Json) -> TypeGuard[int | float]:
    """Booleans are not numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_integer(value: Json) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def to_double(number: float) -> float:
    """The double nearest to a number; minus zero is zero."""
    try:
        return float(number) + 0.0
    except OverflowError:
        return math.copysign(math.inf, number)


def typed(type: str, value: Json) -> Value:
    """The value that a property of this type holds when this was sent; ValueError when it is of another type."""
    if type in INTEGERS and is_integer(value):
        return value
    if type in FLOATS and is_number(value):
        return to_double(value)
    if type == "boolean" and isinstance(value, bool):
        return value
    if type in ("text", "enum") and isinstance(value, str):
        return value
    if type == "timestamp" and isinstance(value, str):
        return read_instant(value)
    if type == "date" and isinstance(value, str):
        return read_date(value)
    if type == "direct" and isinstance(value, dict) and set(value) == {"space", "externalId"}:
        pair = (value["space"], value["externalId"])
        if all(isinstance(part, str) for part in pair):
            return pair
    if type == "json" and value is not None:
        return value
    raise ValueError(f"no {type}: {value!r}")


def written(type: str, value: Value) -> Json:
    """A value as an answer shows it."""
    if type == "timestamp":
        return write_instant(value)
    return {"space": value[0], "externalId": value[1]} if type == "direct" else value


@dataclass(frozen=True)
class Column:
    """A property that was looked up: where it lies and what it holds."""

    path: tuple[str, ...]
    type: str
    many: bool = False

    @property
    def name(self) -> str:
        """What a message calls it by."""
        return self.path[-1]

    def values(self, record: Record) -> list[Value]:
        """The values that a record has here, repeated ones too."""
        if len(self.path) == 1:
            return [record[self.path[0]]]
        space, container, name = self.path
        held = record["properties"].get(space, {}).get(container, {}).get(name)
        if held is None:
            return []
        return [typed(self.type, value) for value in (held if self.many else [held])]


@dataclass(frozen=True)
class Catalogue:
    """The containers of a project, and every property in them."""

    columns: dict[tuple[str, ...], Column] = field(default_factory=dict)

    @classmethod
    def of(cls, containers: Iterable[Json]) -> Catalogue:
        """The catalogue of container definitions as they are sent."""
        catalogue = cls()
        for container in containers:
            for name, definition in container["properties"].items():
                path = (container["space"], container["externalId"], name)
                type = definition["type"]
                catalogue.columns[path] = Column(path, type["type"], bool(type.get("list")))
        return catalogue

    def container(self, space: str, name: str) -> list[Column]:
        """The properties of a container; none if there is no such container."""
        return [column for path, column in self.columns.items() if path[:2] == (space, name)]

    def column(self, path: Json, top_level: Iterable[str] = ()) -> Column:
        """The property that a request names: one of a container, or one of these top-level names."""
        if not isinstance(path, list) or len(path) not in (1, 3) or not all(isinstance(part, str) for part in path):
            raise Refusal("property")
        if len(path) == 1:
            if path[0] not in top_level:
                raise Refusal("top-level property")
            return Column(tuple(path), TOP_LEVEL[path[0]])
        if "/" in path[1]:
            raise Refusal("view", "views are not supported, name the container")
        if tuple(path) not in self.columns:
            raise Refusal("unknown property", path[2])
        return self.columns[tuple(path)]


def stored(item: Json, created: int, updated: int) -> Record:
    """A written item as a record; `properties` keeps what was sent."""
    properties: dict[str, dict[str, Json]] = {}
    for source in item["sources"]:
        name = source["source"]
        properties.setdefault(name["space"], {})[name["externalId"]] = source["properties"]
    return {
        "space": item["space"],
        "externalId": item["externalId"],
        "createdTime": created,
        "lastUpdatedTime": updated,
        "properties": properties,
    }


def only_keys(body: Json, allowed: Sequence[str], kind: str) -> dict[str, Json]:
    """The body, if it is an object with no other keys than these."""
    if not isinstance(body, dict):
        raise Refusal(kind)
    unknown = [key for key in body if key not in allowed]
    if unknown:
        raise Refusal("unknown key", unknown[0])
    return body
