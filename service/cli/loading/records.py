"""A container derived from a file's columns, and the rows as its records."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from service.cli.loading.errors import LoadError, UsageError
from service.cli.loading.table import ColumnDecision, FileRow, Survey
from service.dialects.tree.properties import RESERVED

_TYPES: Final = {
    "text": "text", "integer": "int64", "number": "float64", "boolean": "boolean", "date": "date",
    "timestamp": "timestamp", "object": "json", "null": "text", "list of pairs": "json",
}  # fmt: skip
_KINDS: Final = {
    "text": "text", "enum": "text", "int32": "integer", "int64": "integer", "float32": "number", "float64": "number",
    "boolean": "boolean", "date": "date", "timestamp": "timestamp",
}  # fmt: skip
_MOST: Final = 1_000
_LONGEST: Final = 255


@dataclass(frozen=True)
class RecordTarget:
    """Where records go: space, container, and names of its properties."""

    space: str
    container: str
    names: Mapping[str, str]
    """Column → property, if the names differ."""
    definition: Mapping[str, Any]

    def record(self, row: FileRow, digest: str) -> bytes:
        """The row as a record; its id is its key, else derived from its position in this file."""
        external_id = "|".join(row.key) if row.key else f"{digest}-{row.number}"
        source = {"type": "container", "space": self.space, "externalId": self.container}
        head = json.dumps({"space": self.space, "externalId": external_id})[:-1]
        return f'{head}, "sources": [{{"source": {json.dumps(source)}, "properties": '.encode() + row.body + b"}]}"


def target_of(survey: Survey, stream: str, space: str | None, container: str | None) -> RecordTarget:
    """The container for the columns; raises `LoadError` for columns that cannot be properties."""
    space = space or _named(stream, r"[^a-zA-Z0-9_-]", 43)
    container = container or _named(stream, r"[^a-zA-Z0-9_]", 255)
    if not survey.columns:
        raise LoadError("the file has no columns to make a container of")
    if len(survey.columns) > _MOST:
        raise LoadError(f"a container has at most {_MOST:,} properties; the file has {len(survey.columns):,} columns")
    names: dict[str, str] = {}
    properties: dict[str, Any] = {}
    for column in survey.columns:
        name = _named(column.name, r"[^a-zA-Z0-9_-]", _LONGEST)
        if name in RESERVED:
            name += "_"
            name = f"{name}1"
        if name in properties:
            other = next(each for each in survey.columns if names.get(each.name, each.name) == name)
            raise LoadError(
                f"the columns {other.name!r} and {column.name!r} would both be the property {name}; rename one of them"
            )
        if name != column.name:
            names[column.name] = name
            column.note = "; ".join(filter(None, (f"called {name}", column.note)))
        properties[name] = {"type": type_of(column)}
    definition = {"space": space, "externalId": container, "usedFor": "record", "properties": properties}
    return RecordTarget(space, container, names, definition)


def type_of(column: ColumnDecision) -> dict[str, Any]:
    kind = column.kind
    if kind in _TYPES:
        return {"type": _TYPES[kind]}
    element = kind.removeprefix("list of ")
    if element in _TYPES and element != "null":
        return {"type": _TYPES[element], "list": True}
    return {"type": "json"}


def kinds_there(container: Mapping[str, Any]) -> dict[str, str]:
    """The kinds that an existing container's properties require of the columns of the same name."""
    found = {}
    for name, each in container["properties"].items():
        kind = each["type"]
        if not kind.get("list") and kind["type"] in _KINDS:
            found[name] = _KINDS[kind["type"]]
    return found


def fitted(target: RecordTarget, there: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The definition with the existing container's types, since a type cannot change."""
    if there is None:
        return target.definition
    properties = dict(target.definition["properties"])
    for name, each in there["properties"].items():
        mine = properties.get(name, each)
        if mine["type"]["type"] != each["type"]["type"] and not _holds(each["type"], mine["type"]):
            raise LoadError(
                f"the container {target.space}/{target.container} has {name} as {each['type']['type']}, the file as "
                f"{mine['type']['type']}; say --types {name}={_KINDS.get(each['type']['type'], 'text')}, or name "
                "another --container"
            )
        properties[name] = {name: value for name, value in each.items() if name != "constraintState"}
    return {**target.definition, "properties": properties}


def _holds(wide: Mapping[str, Any], narrow: Mapping[str, Any]) -> bool:
    """Whether values of the narrow type are also values of the wide one; the service checks each again."""
    pairs = {
        "float64": ("int64",), "float32": ("int64", "float64"), "int32": ("int64",), "json": tuple(_TYPES.values()),
        "enum": ("text",), "text": ("date", "timestamp"), "timestamp": ("date",),
    }  # fmt: skip
    return bool(wide.get("list", False)) == bool(narrow.get("list", False)) and narrow["type"] in pairs.get(
        wide["type"], ()
    )


def _named(text: str, others: str, most: int) -> str:
    """The text as an id: invalid characters become `_`, and it begins and ends with a letter or digit."""
    name = re.sub(others, "_", text).strip("_-")[:most].strip("_-")
    if not name:
        raise UsageError(
            f"{text!r} has no letter or digit to make a name of; rename it, or use --space and --container"
        )
    return name
