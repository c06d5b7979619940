"""Random aggregate requests; operands are mostly taken from the data, so that filters hit and miss."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from .generate_filters import fitting, make_filters
from .oracle import matches
from .oracle.dates import PARTS, TRUNC_UNITS, WEEKDAYS
from .oracle.paths import join, look_up, split
from .oracle.values import parse_date

Flavour: TypeAlias = Literal["core", "full"]
Json: TypeAlias = Any

ZONES: Final = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland")
MORE_ZONES: Final = (*ZONES, "America/Sao_Paulo", "Asia/Kathmandu", "Europe/London")
DATE_PATHS: Final = ("metadata.when", "shot_at", "created_at")
CORE_KEYS: Final = (
    "metadata.kind",
    "metadata.score",
    "metadata.price",
    "metadata.flag",
    "metadata.when",
    "metadata.mixed",
    "metadata.deep.level",
    "metadata.absent",
    "status",
    "key_prefix",
    "rank",
    "label",
)
FULL_KEYS: Final = (
    *CORE_KEYS,
    "metadata.tags",
    "metadata.items",
    "metadata.items.sku",
    "metadata.items.tags",
    "metadata.matrix",
    "metadata.obj",
    "metadata.big",
    "metadata.long",
    "metadata.words",
    "metadata.any",
    "metadata.any.a",
    "loose",
    "blobs.type",
    "blobs.metadata",
    "blobs.metadata.lang",
    join("metadata", "odd.name"),
    join("metadata", "back\\slash"),
    join("metadata", "späce ü"),
    join("metadata", "$dollar"),
    join("metadata", "0"),
)
CORE_NUMBERS: Final = ("metadata.score", "metadata.price", "rank", "metadata.mixed", "metadata.kind")
FULL_NUMBERS: Final = (
    *CORE_NUMBERS,
    "metadata.big",
    "metadata.any",
    "metadata.items.qty",
    "blobs.metadata.size",
    "metadata.tags",
)
UNWINDS: Final = (
    "blobs",
    "metadata.tags",
    "metadata.items",
    "metadata.items.tags",
    "metadata.matrix",
    "metadata.any",
    "metadata.any.a",
    "metadata.kind",
    "metadata.obj",
    "metadata.absent",
)
CORE_FUNCTIONS: Final = ("count", "sum", "avg", "min", "max", "count_distinct")
FULL_FUNCTIONS: Final = (
    *CORE_FUNCTIONS,
    "first",
    "last",
    "push",
    "add_to_set",
    "median",
    "percentile",
    "stddev",
    "variance",
    "stddev_samp",
    "variance_samp",
)
INEXACT: Final = frozenset(("percentile", "stddev", "variance", "stddev_samp", "variance_samp"))
BOUNDARIES: Final = ([0, 10, 20], [5], [-1, 0, 1], [0.5, 2.5], [1.0, 2.0, 3.0, 10.0], [0], [-2.5, 10])
HAVING: Final = ("gt", "gte", "lt", "lte", "eq", "ne")


@dataclass(frozen=True)
class Pools:
    """What a flavour chooses from."""

    keys: Sequence[str]
    numbers: Sequence[str]
    functions: Sequence[str]
    zones: Sequence[str]


POOLS: Final = {
    "core": Pools(CORE_KEYS, CORE_NUMBERS, CORE_FUNCTIONS, ZONES),
    "full": Pools(FULL_KEYS, FULL_NUMBERS, FULL_FUNCTIONS, MORE_ZONES),
}


def _towards(pools: Pools, path: str) -> Pools:
    """The same pools, with what lies at and below an unwound path more often."""
    keys = [path, *(key for key in pools.keys if key.startswith(path))]
    numbers = [path, *(key for key in pools.numbers if key.startswith(path))]
    return replace(pools, keys=(*pools.keys, *keys * 8), numbers=(*pools.numbers, *numbers * 3))


def _group_key(rng: random.Random, pools: Pools) -> Json:
    if rng.random() < 0.35:
        entry: dict[str, Json] = {"field": rng.choice(DATE_PATHS)}
        if rng.random() < 0.5:
            entry["date_trunc"] = rng.choice(TRUNC_UNITS)
            if entry["date_trunc"] == "week" and rng.random() < 0.8:
                entry["start_of_week"] = rng.choice(WEEKDAYS)
        else:
            entry["date_part"] = rng.choice(PARTS)
        if rng.random() < 0.5:
            entry["time_zone"] = rng.choice(pools.zones)
    else:
        entry = {"field": rng.choice(pools.keys)}
    if rng.random() < 0.6:
        entry["alias"] = rng.choice(("k1", "k2", "k3", "Schlüssel", "a.b"))
    return entry


def _operation(rng: random.Random, pools: Pools, number: int) -> Json:
    function = rng.choice(pools.functions)
    entry: dict[str, Json] = {"function": function, "alias": f"m{number}"}
    if function == "count" and rng.random() < 0.6:
        return entry
    if function in ("min", "max"):
        fields = (*pools.numbers, "metadata.when", "shot_at")
    elif function in ("count", "count_distinct", "first", "last", "push", "add_to_set"):
        fields = (*pools.keys, *pools.numbers)
    else:
        fields = tuple(pools.numbers)
    name = "distinct_field" if function == "count_distinct" and rng.random() < 0.5 else "field"
    entry[name] = rng.choice(fields)
    if function == "percentile":
        entry["percent"] = rng.choice((0, 10, 25, 50, 75, 90, 99.5, 100))
    return entry


def _having(rng: random.Random, operations: Sequence[Json]) -> Json:
    usable = [entry for entry in operations if entry["function"] not in INEXACT]
    if not usable:
        return None
    entry = rng.choice(usable)
    values: tuple[Json, ...] = (0, 0, 1, 1, 2, 3, 1.5, -1, 5, 10, None)
    if entry["function"] in ("min", "max"):
        values = (*values, "2024-01-01T00:00:00Z", "2024-03-31T01:00:00Z", "video")
    elif entry["function"] in ("first", "last"):
        values = (*values, "video", "text", "")
    operator = rng.choice(HAVING)
    value = rng.choice(values)
    if entry["function"] in ("min", "max"):
        value = fitting(rng, entry["field"], value)
    return {"field": entry["alias"], "operator": operator, "value": value}


def _distinctly_named(entries: Sequence[Json]) -> list[Json]:
    kept: dict[str, Json] = {}
    for entry in entries:
        kept.setdefault(entry.get("alias") or entry["field"], entry)
    return list(kept.values())


def _some(rng: random.Random, make: Callable[[], Json], most: int) -> list[Json]:
    return [make() for _ in range(rng.randint(1, most))]


def _has_old_dates(dataset: Sequence[Json], path: str) -> bool:
    """Dates before 1950, when zones kept seconds that ISO-8601 cannot write: truncated in UTC."""
    dates = [parse_date(look_up(thing, split(path))) for thing in dataset]
    return any(date is not None and date.ms < -631_152_000_000 for date in dates)


def _telling_filters(rng: random.Random, flavour: Flavour, dataset: Sequence[Json]) -> Json:
    """A filter that mostly matches something, so that there are rows to compare."""
    system: dict[str, Json] = {
        "created_at": "2026-01-01T00:00:00Z",
        "status": "DRAFT",
        "key_prefix": None,
        "blobs": [],
    }
    filters = make_filters(rng, flavour, dataset)
    for _ in range(4):
        if any(matches(system | thing, filters) for thing in dataset):
            break
        filters = make_filters(rng, flavour, dataset)
    return filters


def make_spec(rng: random.Random, flavour: Flavour, dataset: Sequence[Json]) -> dict[str, Json]:
    """A valid request. What it refers to may be missing in the data; a date key may find no date (422)."""
    pools = POOLS[flavour]
    unwound = rng.choice(UNWINDS) if flavour == "full" and rng.random() < 0.45 else None
    if unwound:
        pools = _towards(pools, unwound)
    keys = _distinctly_named(_some(rng, lambda: _group_key(rng, pools), 3))
    for key in keys:
        if "time_zone" in key and _has_old_dates(dataset, key["field"]):
            key["time_zone"] = "UTC"
    operations = [_operation(rng, pools, number) for number in range(rng.randint(1, 4))]
    ranges: list[Json] = []
    spec: dict[str, Json] = {"group_by": keys, "aggregations": operations}
    if unwound:
        spec["unwind"] = unwound
    if flavour == "full" and rng.random() < 0.3:
        ranges = [{"field": rng.choice(pools.numbers), "boundaries": rng.choice(BOUNDARIES), "alias": "range"}]
        if rng.random() < 0.5:
            ranges[0]["default_bucket"] = "rest"
        spec["range_buckets"] = ranges
    if rng.random() < 0.6:
        spec["filters"] = _telling_filters(rng, flavour, dataset)
    if rng.random() < 0.3:
        conditions = _some(rng, lambda: _having(rng, operations), rng.choice((1, 1, 2)))
        conditions = [condition for condition in conditions if condition]
        if conditions:
            spec["having"] = conditions
    if rng.random() < 0.55:
        names = [entry["alias"] for entry in operations if entry["function"] not in INEXACT]
        names += [entry.get("alias") or entry["field"] for entry in (*keys, *ranges)]
        fields = [entry["field"] for entry in keys]
        names += [field for field in fields if fields.count(field) == 1]
        spec["sort_by"] = rng.choice(names)
        if rng.random() < 0.7:
            spec["sort_direction"] = rng.choice(("asc", "desc", "ASC", "Desc"))
    if rng.random() < 0.3:
        spec["limit"] = rng.choice((1, 2, 3, 5, 10, 1000))
    return spec
