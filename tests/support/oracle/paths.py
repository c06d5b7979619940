"""Dotted paths, as MongoDB resolves them: once for filters, once for keys and metrics, once for `unwind`."""

from __future__ import annotations

from collections.abc import Iterator

from .values import MISSING, Json


def split(path: str) -> tuple[str, ...]:
    r"""The names in a path. A dot inside a name is written `\.`, a backslash `\\` (decided)."""
    names = [""]
    characters = iter(path)
    for character in characters:
        if character == "\\":
            following = next(characters, "")
            names[-1] += following if following in (".", "\\") else character + following
        elif character == ".":
            names.append("")
        else:
            names[-1] += character
    return tuple(names)


def join(*names: str) -> str:
    """The path that `split` takes apart into these names."""
    return ".".join(name.replace("\\", "\\\\").replace(".", "\\.") for name in names)


def leaves(value: Json, names: tuple[str, ...]) -> Iterator[Json]:
    """What a filter sees at a path: one value, or one per object of every array on the way.

    MongoDB: an array on the way yields its objects only (scalars and arrays inside it yield nothing, not even
    "missing"); a name that is a number indexes nothing (decided). An array at the path's end is one leaf.
    """
    if not names:
        yield value
    elif isinstance(value, dict):
        if names[0] in value:
            yield from leaves(value[names[0]], names[1:])
        else:
            yield MISSING
    elif isinstance(value, list):
        for element in value:
            if isinstance(element, dict):
                yield from leaves(element, names)
    else:
        yield MISSING


def look_up(value: Json, names: tuple[str, ...]) -> Json:
    """What a key or a metric sees at a path (contract, Meaning).

    "A path that leads through an array of objects (`blobs.type` → `["video","text"]`, elements without the
    field left out, no array: null)".
    """
    if not names:
        return value
    if isinstance(value, dict):
        return look_up(value[names[0]], names[1:]) if names[0] in value else MISSING
    if isinstance(value, list):
        found = [look_up(element, names) for element in value if isinstance(element, dict)]
        return [item for item in found if item is not MISSING]
    return MISSING


def unwind(value: Json, names: tuple[str, ...]) -> Iterator[Json]:
    """One copy of the object per element of the array at the path, each level in turn.

    Contract, Meaning: "duplicates counted; a scalar counts as one element; missing, null and `[]` drop the
    object"; "arrays inside arrays stay arrays". A null that is an element is an element, as in MongoDB.
    """
    if not names:
        yield value
        return
    if not isinstance(value, dict):
        return
    name, rest = names[0], names[1:]
    inside = value.get(name)
    if inside is None:
        return
    for element in inside if isinstance(inside, list) else [inside]:
        for unwound in unwind(element, rest):
            yield {**value, name: unwound}
