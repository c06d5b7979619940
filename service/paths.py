"""Dotted paths: their syntax, and how they resolve in an object (MongoDB's rules).

Steps are separated by dots. A dot or backslash within a field name is escaped by a backslash: `metadata.a\\.b`.
"""

from collections.abc import Iterator
from typing import Final

from service.values import MISSING, Json, Missing

Path = tuple[str, ...]

MAX_LENGTH: Final = 8_000
"""Characters of a path, in requests and in objects: as a term of `@shape` it must stay below Lucene's 32,766 bytes."""


def parse(text: str) -> Path:
    """The steps of a path; raises `ValueError` with the problem."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a path has at most {MAX_LENGTH:,} characters, not {len(text):,}: {text[:60]}…")
    steps: list[str] = []
    step = ""
    characters = iter(text)
    for character in characters:
        if character == ".":
            steps.append(step)
            step = ""
        elif character == "\\":
            escaped = next(characters, "")
            if escaped not in (".", "\\"):
                raise ValueError(f"a backslash stands only before a dot or a backslash in a path: {text!r}")
            step += escaped
        else:
            step += character
    steps.append(step)
    if "" in steps:
        raise ValueError(f"a path has no empty steps: {text!r}")
    return tuple(steps)


def text(path: Path) -> str:
    """The text that `parse` reads back."""
    return ".".join(step.replace("\\", "\\\\").replace(".", "\\.") for step in path)


def resolve(value: Json, path: Path) -> Json | Missing:
    """The value at the path for an expression: through an array of objects, the array of their values."""
    for position, step in enumerate(path):
        if isinstance(value, dict):
            if step not in value:
                return MISSING
            value = value[step]
        elif isinstance(value, list):
            found = (resolve(item, path[position:]) for item in value if isinstance(item, dict))
            return [item for item in found if item is not MISSING]
        else:
            return MISSING
    return value


def ends(value: Json, path: Path) -> Iterator[Json | Missing]:
    """The values at the path for a filter: one for each route there, arrays kept whole.

    Yields MISSING for an object that lacks the field; arrays at parent paths are entered one level deep.
    """
    if not path:
        yield value
    elif isinstance(value, dict):
        if path[0] in value:
            yield from ends(value[path[0]], path[1:])
        else:
            yield MISSING
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                yield from ends(item, path)
    else:
        yield MISSING


def candidates(value: Json, path: Path) -> Iterator[Json | Missing]:
    """The values that a condition on one value is tested on: each end of the path, and the elements of array ends.

    An empty path denotes an element of `$elemMatch`, whose own elements MongoDB does not test.
    """
    for end in ends(value, path):
        yield end
        if path and isinstance(end, list):
            yield from end
