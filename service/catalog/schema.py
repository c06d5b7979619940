"""Bucket schemas: their form, and validation of objects against them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from service.errors import Invalid, Location, Problem
from service.paths import Path
from service.spelling import unknown_key
from service.values import MISSING, Json, identity, is_number, parse_date

_MEDIA: Final = ("image", "audio", "video", "pdf", "excel", "file", "document", "spreadsheet", "presentation")


def _string(value: Json) -> bool:
    return isinstance(value, str)


def _number(value: Json) -> bool:
    return is_number(value)


def _integer(value: Json) -> bool:
    return is_number(value) and (isinstance(value, int) or value.is_integer())


def _boolean(value: Json) -> bool:
    return isinstance(value, bool)


def _object(value: Json) -> bool:
    return isinstance(value, dict)


def _array(value: Json) -> bool:
    return isinstance(value, list)


def _date(value: Json) -> bool:
    return isinstance(value, str) and parse_date(value) is not None


def _vector(value: Json) -> bool:
    return isinstance(value, list) and all(map(is_number, value))


def _media(value: Json) -> bool:
    return isinstance(value, str | dict)


def _anything(value: Json) -> bool:
    return True


TYPES: Final[Mapping[str, Callable[[Json], bool]]] = {
    "string": _string,
    "number": _number,
    "integer": _integer,
    "float": _number,
    "boolean": _boolean,
    "object": _object,
    "array": _array,
    "date": _date,
    "datetime": _date,
    "text": _string,
    **dict.fromkeys(_MEDIA, _media),
    "json": _anything,
    "dense_vector": _vector,
    "sparse_vector": _object,
    "int8_vector": _vector,
    "automatic": _anything,
}
"""The field types of a schema (contract, Writing), each with its value check."""


FIELD_KEYS: Final = ("type", "required", "default", "items", "properties", "enum", "examples", "description")
"""The keys allowed in a field definition (contract, Writing)."""


def read_schema(schema: Json, at: Location) -> dict[str, Json] | None:
    """The schema with its types in lower case; raises `Invalid` for an unknown type."""
    if schema is None:
        return None
    problems = [unknown_key(at, name, ("properties",)) for name in schema if name != "properties"]
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        raise Invalid.at((*at, "properties"), "an object: name → {type, …}", "dict_type")
    read = {**schema, "properties": _properties(properties, (*at, "properties"), problems)}
    if problems:
        raise Invalid(problems)
    return read


def _properties(properties: Mapping[str, Json], at: Location, problems: list[Problem]) -> dict[str, Json]:
    read: dict[str, Json] = {}
    for name, spec in properties.items():
        location = (*at, name)
        if not isinstance(spec, dict) or not isinstance(spec.get("type"), str):
            problems.append(Problem(location, 'a property is an object with a type: {"type": "string"}', "dict_type"))
            continue
        problems += [unknown_key(location, key, FIELD_KEYS) for key in spec if key not in FIELD_KEYS]
        kind = spec["type"].lower()
        if kind not in TYPES:
            problems.append(
                Problem((*location, "type"), f"unknown type {spec['type']!r}; known: {', '.join(TYPES)}", "enum")
            )
        if not isinstance(spec.get("required"), bool | None):
            problems.append(Problem((*location, "required"), "required is true or false", "bool_type"))
        if "enum" in spec and not isinstance(spec["enum"], list | None):
            problems.append(Problem((*location, "enum"), "enum is an array of values", "list_type"))
        read[name] = {**spec, "type": kind}
        if isinstance(spec.get("properties"), dict):
            read[name]["properties"] = _properties(spec["properties"], (*location, "properties"), problems)
        if isinstance(spec.get("items"), dict) and isinstance(spec["items"].get("type"), str):
            read[name]["items"] = _properties({"items": spec["items"]}, location, problems).get("items", spec["items"])
    return read


def date_paths(schema: Mapping[str, Any] | None) -> list[Path]:
    """The paths that the schema declares date or datetime, at the root and under metadata."""
    found: list[Path] = []
    for name, spec in ((schema or {}).get("properties") or {}).items():
        if spec["type"] in ("date", "datetime"):
            found += [(name,), ("metadata", name)]
        found += [
            prefix + path[1:]
            for path in date_paths(spec)
            if path[0] == "metadata"
            for prefix in [(name,), ("metadata", name)]
        ]
    return found


def check(item: Mapping[str, Json], schema: Mapping[str, Any] | None) -> Iterator[Problem]:
    """Problems of an object; declared fields are at its root, under metadata, or a blob's property."""
    blobs = item.get("blobs")
    given = {blob.get("property") for blob in blobs if isinstance(blob, dict)} if isinstance(blobs, list) else set()
    metadata = item.get("metadata")
    for name, spec in ((schema or {}).get("properties") or {}).items():
        places: list[tuple[Location, Json]] = []
        if name in item and name not in ("metadata", "blobs"):
            places.append(((name,), item[name]))
        if isinstance(metadata, dict) and name in metadata:
            places.append((("metadata", name), metadata[name]))
        if not places and name not in given and spec.get("required") and spec.get("default") is None:
            yield Problem(("body", name), "the bucket's schema requires this field", "missing")
        for place, value in places:
            yield from _check(value, spec, ("body", *place))


def _check(value: Json, spec: Mapping[str, Any], at: Location) -> Iterator[Problem]:
    if value is None:
        if spec.get("required"):
            yield Problem(at, "the bucket's schema requires a value here, not null", "missing")
        return
    kind = spec["type"]
    if not TYPES[kind](value):
        yield Problem(at, f"the bucket's schema wants {kind} here, not {_shown(value)}", f"{kind}_type")
        return
    choices = spec.get("enum")
    if choices and identity(value) not in set(map(identity, choices)):
        yield Problem(at, f"one of {choices}, not {_shown(value)}", "enum")
    if isinstance(value, list) and isinstance(spec.get("items"), dict) and spec["items"].get("type") in TYPES:
        for position, item in enumerate(value):
            yield from _check(item, spec["items"], (*at, position))
    if isinstance(value, dict) and isinstance(spec.get("properties"), dict):
        for name, inner in spec["properties"].items():
            found = value.get(name, MISSING)
            if found is not MISSING:
                yield from _check(found, inner, (*at, name))
            elif inner.get("required"):
                yield Problem((*at, name), "the bucket's schema requires this field", "missing")


def _shown(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
