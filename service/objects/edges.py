"""`edges` of an object: a user field, in the only form that the vendor's clients can read."""

from collections.abc import Iterator
from typing import Final

from service.errors import Location, Problem
from service.values import Json

DIRECTIONS: Final = ("out", "in")

_FORM: Final = (
    "an edge is {type, target_object_id, target_collection_id?, direction?, attributes?}; put data of another form "
    "under metadata or another name"
)


def edge_problems(edges: Json, at: Location) -> list[Problem]:
    """Problems that keep a client from reading the edges. Their types, attributes and other keys are up to the user."""
    if edges is None:
        return []
    if not isinstance(edges, list):
        return [Problem((*at, "edges"), f"edges is an array of objects: {_FORM}", "list_type")]
    return [problem for position, edge in enumerate(edges) for problem in _problems(edge, (*at, "edges", position))]


def _problems(edge: Json, at: Location) -> Iterator[Problem]:
    if not isinstance(edge, dict):
        yield Problem(at, f"an edge is an object: {_FORM}", "dict_type")
        return
    for name in ("type", "target_object_id"):
        if name not in edge:
            yield Problem((*at, name), f"{name} is missing: {_FORM}", "missing")
        elif not isinstance(edge[name], str):
            yield Problem((*at, name), f"{name} is a string: {_FORM}", "string_type")
    if not isinstance(edge.get("target_collection_id"), str | None):
        yield Problem((*at, "target_collection_id"), "target_collection_id is a string", "string_type")
    if edge.get("direction") not in (None, *DIRECTIONS):
        yield Problem((*at, "direction"), f"direction is `out` or `in`, not {_shown(edge['direction'])}", "enum")
    if not isinstance(edge.get("attributes"), dict | None):
        yield Problem((*at, "attributes"), "attributes is an object", "dict_type")


def _shown(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
