"""Random filters with every operator, in the MongoDB form and in the list form."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias

from .oracle.paths import join, leaves, split
from .oracle.values import parse_date

Flavour: TypeAlias = Literal["core", "full"]
Json: TypeAlias = Any

CORE_SCALARS: Final = (
    "metadata.kind",
    "metadata.score",
    "metadata.price",
    "metadata.flag",
    "metadata.when",
    "metadata.mixed",
    "metadata.deep.level",
    "metadata.absent",
    "shot_at",
    "created_at",
    "status",
    "rank",
    "label",
)
CORE_ARRAYS: Final = ("metadata.tags",)
FULL_SCALARS: Final = (
    *CORE_SCALARS,
    "metadata.obj",
    "metadata.big",
    "metadata.long",
    "metadata.words",
    "metadata.any",
    "metadata.any.a",
    "loose",
    join("metadata", "odd.name"),
    join("metadata", "back\\slash"),
    join("metadata", "$dollar"),
)
FULL_ARRAYS: Final = (*CORE_ARRAYS, "metadata.matrix", "metadata.items.tags", "metadata.any")
OBJECT_ARRAYS: Final = ("blobs",)
THROUGH: Final = ("blobs.type", "blobs.metadata.lang", "blobs.metadata.size")
DATED: Final = frozenset(
    ("shot_at", "metadata.shot_at", "about.due", "metadata.about.due", "created_at", "updated_at", "last_upload_at")
)
"""The date fields of the data sets: the service's own times, and what their schemas declare."""
DATES: Final = ("2024-03-31T01:00:00Z", "2024-01-01", "2024-10-27T02:30:00+02:00", "2099-12-31T23:59:59.999Z")
FALLBACK: Final = (0, 1, "video", "2024-01-01", True, None, 2.5, "", "2024", "2024-03-31T01:00:00Z", "vid")
PATTERNS: Final = (
    "^vid",
    "e",
    "(?i)VIDEO",
    "[a-m]o$",
    "^$",
    "text|image",
    r"^\d{4}",
    "^20[0-9]{2}-(01|03)",
    ".",
    "v.*o",
    "^[^v]+$",
    r"-c$|\.",
    "(?:re|bl)[du]",
)
BROAD: Final = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists")
TEXTUAL: Final = ("$regex", "$startsWith", "$endsWith", "$text", "$contains")
RANGES: Final = ("$gt", "$gte", "$lt", "$lte")
LISTED: Final = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "contains", "starts_with", "ends_with")
LISTED_MORE: Final = ("regex", "exists", "is_null", "text", "phrase", "words")


def fitting(rng: random.Random, path: str, operand: Json) -> Json:
    """The operand, or a date where the path is a date field and it is none: tests/faults/test_time.py has those."""
    if path not in DATED or operand is None or (isinstance(operand, str) and parse_date(operand.upper()) is not None):
        return operand
    return rng.choice(DATES)


def _operand(rng: random.Random, path: str, dataset: Sequence[Json], *, scalar: bool = True) -> Json:
    """Mostly a value that is there, or an element of it; at times another one."""
    return fitting(rng, path, _any_operand(rng, path, dataset, scalar=scalar))


def _any_operand(rng: random.Random, path: str, dataset: Sequence[Json], *, scalar: bool) -> Json:
    if dataset and rng.random() < 0.8:
        found = list(leaves(rng.choice(dataset), split(path)))
        value = rng.choice(found) if found else None
        if isinstance(value, list) and value and (scalar or rng.random() < 0.6):
            value = rng.choice(value)
        if path == "status" and isinstance(value, str):
            return rng.choice((value, value.lower(), value.title()))
        if value is None or isinstance(value, str | int | float | bool):
            return value
        if isinstance(value, list | dict) and not scalar:
            return value
    return rng.choice(FALLBACK)


def _piece(rng: random.Random, path: str, dataset: Sequence[Json], end: str = "") -> str:
    """Part of a string that is there."""
    value = _operand(rng, path, dataset)
    text = value if isinstance(value, str) and value else "video"
    size = rng.randint(1, min(4, len(text)))
    start = {"$startsWith": 0, "$endsWith": len(text) - size}.get(end, rng.randint(0, len(text) - size))
    return text[start : start + size]


def _range_operand(rng: random.Random, path: str, dataset: Sequence[Json], *, scalar: bool = True) -> Json:
    """In the full flavour at times an object or array, which compare in BSON's order."""
    if not scalar and rng.random() < 0.15:
        return fitting(
            rng,
            path,
            rng.choice(([], [1], [0, 1], [1, 0], ["red"], [None], [[0]], {}, {"a": 1}, {"b": "x"}, {"a": [1]})),
        )
    value = _operand(rng, path, dataset, scalar=scalar)
    return value if value is not None or rng.random() < 0.2 else fitting(rng, path, 1)


def _test(rng: random.Random, operator: str, path: str, flavour: Flavour, dataset: Sequence[Json]) -> Json:
    """`{operator: operand}` for a path."""
    full = flavour == "full"
    if operator in RANGES:
        return {operator: _range_operand(rng, path, dataset, scalar=not full)}
    if operator in ("$in", "$nin", "$all"):
        size = rng.randint(1, 2 if operator == "$all" else 3)
        return {operator: [_operand(rng, path, dataset) for _ in range(size)]}
    if operator == "$exists":
        return {operator: rng.random() < 0.5}
    if operator == "$size":
        return {operator: rng.randint(0, 4)}
    if operator == "$mod":
        return {operator: [rng.choice((2, 3, -3, 7, 2**40, 2**60)), rng.choice((0, 1, 2, -1))]}
    if operator == "$regex":
        options = {} if rng.random() < 0.7 else {"$options": rng.choice(("i", "is") if full else ("i",))}
        return {operator: rng.choice(PATTERNS), **options}
    if operator == "$contains" and path in (*CORE_ARRAYS, *FULL_ARRAYS):
        return {operator: _operand(rng, path, dataset)}
    if operator in TEXTUAL:
        piece = _piece(rng, path, dataset, operator)
        return {operator: piece.upper() if operator == "$text" and piece.isascii() else piece}
    if operator == "$not":
        return {operator: _test(rng, rng.choice((*BROAD, *TEXTUAL, "$mod")), path, flavour, dataset)}
    return {operator: _operand(rng, path, dataset, scalar=not full)}


def _element_tests(rng: random.Random, path: str, dataset: Sequence[Json], full: bool) -> Json:
    """Operators for the elements of an array of values."""
    tests: list[Json] = [
        {"$eq": _operand(rng, path, dataset)},
        {"$ne": _operand(rng, path, dataset)},
        {"$gte": 1, "$lt": 2},
        {"$in": ["red", 1]},
        {"$regex": "^b"},
        {"$not": {"$eq": "red"}},
    ]
    if full:
        tests += [
            {"$eq": rng.choice((0, 1, [0], [1], [], None))},
            {"$ne": rng.choice((0, 1, [0], [1]))},
            {rng.choice(RANGES): rng.choice((1, [0], [0, 1], [1], {}, None))},
            {"$nin": [0, [1, 1]]},
            {"$size": rng.randint(0, 2)},
            {"$mod": [2, 1]},
            {"$exists": rng.random() < 0.8},
            {"$all": [1]},
            {"$contains": rng.choice((1, "e"))},
            {"$startsWith": "b"},
            {"$elemMatch": {"$eq": rng.choice((0, 1))}},
            {"$not": {"$elemMatch": {"$gte": 1}}},
        ]
    return rng.choice(tests)


def _element_filter(rng: random.Random, full: bool) -> Json:
    """A filter on the fields of the elements of an array of objects (or of anything)."""
    inner: list[Json] = [
        {"type": rng.choice(("video", "text"))},
        {"type": "video", "metadata.lang": "de"},
        {"metadata.size": {"$gte": 1, "$lte": 2}},
        {"metadata.lang": {"$ne": "en"}},
        {"$or": [{"type": "image"}, {"metadata.size": {"$exists": False}}]},
    ]
    if full:
        name = rng.choice(("a", "sku", "qty", "tags", "status", "created_at"))
        inner += [
            {},
            {name: None},
            {name: {"$ne": rng.choice((1, "a", None))}},
            {name: {"$exists": rng.random() < 0.5}},
            {"$nor": [{name: {"$gt": 0}}]},
            {"tags": {"$elemMatch": {"$in": ["red", None]}}},
            {"a": {"$elemMatch": {}}},
        ]
    return rng.choice(inner)


def _elements(rng: random.Random, flavour: Flavour, dataset: Sequence[Json]) -> Json:
    """`$elemMatch` in both of its forms; alone, below `$not`, and several inside `$all`."""
    full = flavour == "full"
    of_values = rng.random() < 0.5
    if of_values:
        path = rng.choice((*FULL_ARRAYS, "metadata.matrix") if full else CORE_ARRAYS)
    else:
        path = rng.choice(("blobs", "metadata.items", "metadata.any", "metadata.matrix") if full else OBJECT_ARRAYS)

    def one() -> Json:
        return {"$elemMatch": _element_tests(rng, path, dataset, full) if of_values else _element_filter(rng, full)}

    test = {"$all": [one() for _ in range(rng.randint(1, 3))]} if rng.random() < 0.35 else one()
    return {path: {"$not": test} if rng.random() < 0.25 else test}


def _field(rng: random.Random, flavour: Flavour, dataset: Sequence[Json]) -> Json:
    """One field of a MongoDB filter."""
    full = flavour == "full"
    chance = rng.random()
    if chance < 0.14:
        return _elements(rng, flavour, dataset)
    if chance < 0.34:
        path = rng.choice(FULL_ARRAYS if full else CORE_ARRAYS)
        operator = rng.choice(("$all", "$size", "$mod", "$contains", "$eq", "$ne", "$in", "$exists", "$gt"))
        if chance < 0.17:
            return {OBJECT_ARRAYS[0]: {"$size": rng.randint(0, 3)}}
        return {path: _test(rng, operator, path, flavour, dataset)}
    if chance < 0.43:
        path = rng.choice(THROUGH)
        return {path: _test(rng, rng.choice(("$eq", "$ne", "$in", "$nin", "$gte")), path, flavour, dataset)}
    path = rng.choice(FULL_SCALARS if full else CORE_SCALARS)
    if chance < 0.53:
        return {path: _operand(rng, path, dataset)}
    operator = rng.choice((*BROAD, *TEXTUAL, "$mod", "$not", "$all"))
    tests = _test(rng, operator, path, flavour, dataset)
    if rng.random() < 0.15 and operator != "$ne":
        tests |= {"$ne": _operand(rng, path, dataset)}
    if operator in ("$gt", "$gte") and rng.random() < 0.4:
        tests |= {rng.choice(("$lt", "$lte")): _range_operand(rng, path, dataset)}
    return {path: tests}


def _mongo(rng: random.Random, flavour: Flavour, dataset: Sequence[Json], depth: int = 2) -> Json:
    filters: dict[str, Json] = {}
    for _ in range(rng.randint(1, 2)):
        if depth and rng.random() < 0.35:
            parts = [_mongo(rng, flavour, dataset, depth - 1) for _ in range(rng.randint(1, 3))]
            filters[rng.choice(("$and", "$or", "$nor"))] = parts
        else:
            filters |= _field(rng, flavour, dataset)
    return filters


def _condition(rng: random.Random, flavour: Flavour, dataset: Sequence[Json]) -> Json:
    """A condition of the list form."""
    full = flavour == "full"
    path = rng.choice((*FULL_SCALARS, *FULL_ARRAYS) if full else (*CORE_SCALARS, *CORE_ARRAYS))
    operator = rng.choice((*LISTED, *LISTED_MORE))
    value: Json
    if operator in ("exists", "is_null"):
        value = rng.random() < 0.5
    elif operator in ("in", "nin"):
        value = [_operand(rng, path, dataset) for _ in range(rng.randint(1, 3))]
    elif operator == "regex":
        value = rng.choice(PATTERNS)
    elif operator in ("words", "phrase"):
        value = rng.choice(("video", "a b", "b c", "red", "c a"))
    elif operator in ("starts_with", "ends_with", "text", "contains"):
        end = {"starts_with": "$startsWith", "ends_with": "$endsWith"}.get(operator, "")
        value = _piece(rng, path, dataset, end)
    elif operator in ("gt", "gte", "lt", "lte"):
        value = _range_operand(rng, path, dataset, scalar=not full)
    else:
        value = _operand(rng, path, dataset)
    condition = {"field": path, "operator": operator, "value": value}
    if operator == "eq" and rng.random() < 0.4:
        del condition["operator"]
    if value is True and operator in ("exists", "is_null") and rng.random() < 0.5:
        del condition["value"]
    return condition


def _listed(rng: random.Random, flavour: Flavour, dataset: Sequence[Json], depth: int = 1) -> Json:
    filters: dict[str, Json] = {}
    for key in rng.sample(("AND", "OR", "NOT"), rng.randint(1, 2)):
        filters[key] = [
            _listed(rng, flavour, dataset, depth - 1)
            if depth and rng.random() < 0.25
            else _condition(rng, flavour, dataset)
            for _ in range(rng.randint(1, 2))
        ]
    if rng.random() < 0.4:
        filters["case_sensitive"] = rng.random() < 0.3
    return filters


def make_filters(rng: random.Random, flavour: Flavour, dataset: Sequence[Json]) -> Json:
    """A filter in one of the forms."""
    if rng.random() < 0.2:
        return _condition(rng, flavour, dataset) if rng.random() < 0.2 else _listed(rng, flavour, dataset)
    return _mongo(rng, flavour, dataset)
