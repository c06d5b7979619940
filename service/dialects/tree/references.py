"""Resolves the properties that a request names, and reports unknown ones (contract, 1 Properties)."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

import msgspec

from service.dialects.tree.properties import TOP, PropertyColumn
from service.errors import BadRequest, Location, dotted
from service.spelling import did_you_mean, unknown_key
from service.values import Json

VIEWS: Final = "views are not supported, name the container"

Columns = Mapping[tuple[str, str], Mapping[str, PropertyColumn]]
"""(space, container) → property → column."""


def refusal(at: Location, message: str, **details: Json) -> BadRequest:
    """A 400 with the location."""
    return BadRequest(f"{dotted(at)}: {message}", details)


def reject(at: Location, message: str, **details: Json) -> NoReturn:
    raise refusal(at, message, **details)


@dataclass(frozen=True)
class References:
    """The containers that a request may name."""

    columns: Columns

    def column(self, given: Json, at: Location, tops: tuple[str, ...] = ()) -> PropertyColumn:
        """The column for `[space, container, property]`, or for one of the `tops`."""
        if isinstance(given, list) and any(isinstance(each, dict) and each.get("type") == "view" for each in given):
            reject(at, VIEWS)
        if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
            reject(at, f"a property is an array of strings: [space, container, property], not {shown(given)}")
        if len(given) == 1:
            if given[0] in tops:
                return TOP[given[0]]
            known = f"; alone can stand here: {', '.join(tops)}{did_you_mean(given[0], tops)}" if tops else ""
            reject(at, f"a property is [space, container, property], not {shown(given)}{known}")
        if len(given) != 3:
            reject(at, f"a property is [space, container, property], not {shown(given)}")
        space, container, name = given
        if "/" in container:
            reject(at, VIEWS)
        known_here = self.columns.get((space, container))
        if known_here is None:
            reject(at, f"no container declares the property {shown(given)}: there is no container {space}/{container}")
        if name not in known_here:
            reject(at, f"no container declares the property {shown(given)}{did_you_mean(name, known_here)}")
        return known_here[name]


def shown(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}…"


def keys_of(value: Json) -> str:
    """For messages about an object that must have exactly one key."""
    if not isinstance(value, dict):
        return shown(value)
    return f"the keys {', '.join(name[:60] for name in list(value)[:10])}" if value else "an empty one"


def counted(value: Json) -> str:
    """For messages about an array's length."""
    return f"{len(value):,}" if isinstance(value, list) else shown(value)


def measured(value: Json) -> str:
    """For messages about a text's length."""
    return f"one of {len(value):,}: {shown(value)}" if isinstance(value, str) else shown(value)


def of_object(given: Json, at: Location, known: tuple[str, ...], needed: tuple[str, ...] = ()) -> dict[str, Json]:
    """An object with known keys only; null counts as absent."""
    if not isinstance(given, dict):
        reject(at, f"an object is needed, not {shown(given)}")
    for name in given:
        if name not in known:
            problem = unknown_key(at, name, known)
            reject(problem.location, problem.message)
    found = given
    if None in given.values():
        found = {name: value for name, value in given.items() if value is not None}
    for name in needed:
        if name not in found:
            reject(at, f"{name} is needed")
    return found


def named(body: Json) -> set[tuple[str, str]]:
    """The containers that a request appears to name anywhere, so that they can be read together."""
    found: set[tuple[str, str]] = set()
    stack = [body]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            space, container = value.get("space"), value.get("externalId")
            if isinstance(space, str) and isinstance(container, str):
                found.add((space, container))
            stack += value.values()
        elif isinstance(value, list):
            if len(value) == 3 and all(isinstance(each, str) for each in value):
                found.add((value[0], value[1]))
            else:
                stack += value
    return found


def decode_key(text: str) -> Json:
    """A bucket's key from JSON; raises `ValueError` for invalid JSON and for numbers beyond the range of doubles."""
    key = msgspec.json.decode(text)
    if isinstance(key, int) and abs(key) > sys.float_info.max:
        raise ValueError(text)
    return key
