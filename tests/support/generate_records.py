"""Random containers, records, filters and aggregates of the records API, with every trap that the contract names.

Everything is a function over `random.Random`. Pools are small, so that values collide; operands are mostly taken from
the data, so that filters hit and miss. A `Dataset` is what is written; requests are made for its records as stored.
"""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypeAlias, TypeVar

from .records_oracle import Catalogue, Column, Record, Refusal, aggregate, select
from .records_oracle.properties import INTEGERS, NUMBERS, TIMES
from .records_oracle.select import SINGLE
from .records_oracle.times import DAY, EPOCH, read_instant, write_instant
from .records_oracle.tree import BUCKETS, DEEPEST, FUNCTIONS, HISTOGRAMS, METRICS, MOST_FILTERS, SINGLE_ONLY, TYPES
from .records_oracle.tree import TOP_LEVEL as TOP_LEVEL_KINDS

Json: TypeAlias = Any
T = TypeVar("T")
Path: TypeAlias = tuple[str, ...]

# ---- Values -------------------------------------------------------------------------------------------------------

SPACES: Final = ("plant-a", "plant_a", "p", "Lager-9_x")
CONTAINERS: Final = ("pump", "Pump", "a_b", "pump_2", "x")
"""With the spaces: `p` + `a_b` and what a careless join makes the same, and names that differ by case alone."""
NAMES: Final = (
    *("name", "Name", "x-y", "x_y", "0", "1st", "count", "value", "a-b_c", "type", "space-id", "when", "tags", "temp"),
    *("pressure-bar", "is_open", "state", "link", "links", "raw", "doc", "level", "level-2", "x", "Y", "n0", "history"),
)
TEXTS: Final = (
    *(
        "video",
        "Video",
        "vidéo",
        "e\u0301te\u0301",
        "été",
        "",
        " ",
        "a b-c",
        "İ",
        "日本",
        "a\nb",
        "a\\b",
        'to"p',
        "top>sub",
    ),
    *("true", "1", "null", "2024-01-01T00:00:00Z", "🙂", "🙃", "\uffff", "\uffee", "x" * 300 + "a", "x" * 300 + "b"),
)
LONG: Final = tuple("y" * length + end for length in (9_000, 33_000) for end in ("a", "b"))
FEW: Final = ("red", "green", "blue", "Blue")
MEMBERS: Final = ("low", "High", "_off", "n1")
SMALL: Final = tuple(range(-3, 21))
BIG: Final = tuple(sign * (2**53 + k) for sign in (1, -1) for k in (-1, 0, 1, 2, 3))
EDGES: Final = {"int32": (-(2**31), 2**31 - 1, 0, 7), "int64": (-(2**63), 2**63 - 1, 2**63 - 2, 0, 7)}
EIGHTHS: Final = tuple(number / 8 for number in (-20, -8, -1, 0, 1, 4, 5, 8, 12, 80, 100))
DECIMALS: Final = (0.1, 0.2, 0.3, 0.6, 0.7, 0.9, -0.1, 1e-7, 1, 2, -0.0, 0.30000000000000004, 2.675)
LARGE: Final = (123456.789, 1e6, 2**52 + 0.5, 1e17, -0.001, 3)
SPELT: Final = {
    "seconds": ("2024-03-31T00:59:59Z", "2024-03-31T00:59:59.25Z", "2024-03-31T01:00:00Z", "2024-03-31T01:00:01.5Z"),
    "hours": (
        *("2024-02-29T00:00:00Z", "2024-02-29T00:59:59.999Z", "2024-02-29T01:00:00Z", "2024-02-29T12:15:00Z"),
        *("2024-02-29T23:59:59Z", "2024-03-01T00:00:00Z", "2024-03-01T06:44:59.5Z"),
    ),
    "months": (
        *("2024-01-01T00:00:00Z", "2024-01-07T23:59:59.999Z", "2024-01-08T00:00:00Z", "2024-02-29T12:34:56.12Z"),
        *("2024-03-31T00:59:59Z", "2024-03-31T01:00:00Z", "2024-04-01T00:00:00Z", "2023-12-31T23:59:59.001Z"),
    ),
    "old": (
        *("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.5Z", "1970-01-01T00:00:00Z", "1969-12-29T00:00:00Z"),
        *("1969-12-28T23:59:59.001Z", "1970-01-04T12:00:00Z", "1969-11-30T23:00:00Z", "1970-02-01T00:00:00.25Z"),
    ),
    "wide": (
        *("1583-01-01T00:00:00Z", "1899-12-31T23:59:59.999Z", "1955-06-15T08:00:00Z", "2000-02-29T00:00:00Z"),
        *("2024-12-30T12:00:00Z", "2100-02-28T23:59:59.99Z", "2262-04-12T00:00:00Z"),
    ),
}
INSTANTS: Final = {flavour: tuple(map(read_instant, spelt)) for flavour, spelt in SPELT.items()}
JSONS: Final[tuple[Json, ...]] = (
    {},
    [],
    {"a": 1},
    {"a": {"b": [1, None, "x"]}},
    [1, [2]],
    "text",
    0,
    True,
    {"a.b": 2**53 + 1},
)
LINKS: Final = tuple({"space": space, "externalId": name} for space in ("p", "plant-a") for name in ("a", "b:c", "ü"))

FLAVOURS: Final = {
    "text": ("few", "odd", "long"),
    "int32": ("small", "edges"),
    "int64": ("small", "big", "edges"),
    "float32": ("eighths", "decimals", "large"),
    "float64": ("eighths", "decimals", "large"),
    "timestamp": ("seconds", "hours", "months", "old", "wide"),
    "date": ("months", "old", "wide"),
}
"""Where the values of a property come from; the other types have one pool each."""


def spell(rng: random.Random, instant: int) -> str:
    """One of the ways to write an instant: in a zone, with up to nine decimals, of which those past three are cut."""
    hours, minutes = rng.choice(((0, 0), (0, 0), (1, 0), (-5, 0), (5, 30), (-3, -30)))
    local = EPOCH + timedelta(milliseconds=instant, hours=hours, minutes=minutes)
    decimals = f"{instant % 1_000:03}" + "".join(rng.choice("0123456789") for _ in range(rng.choice((0, 0, 3, 6))))
    if instant % 1_000 == 0 and rng.random() < 0.6:
        decimals = rng.choice(("", "", "0", "00", "000000000"))
    elif len(decimals) == 3:
        decimals = decimals.rstrip("0") or "0"
    zone = "Z" if (hours, minutes) == (0, 0) else f"{'-' if hours < 0 else '+'}{abs(hours):02}:{abs(minutes):02}"
    return f"{local.year:04}-{local:%m-%dT%H:%M:%S}" + (f".{decimals}" if decimals else "") + zone


def make_value(rng: random.Random, type: str, flavour: str) -> Json:
    """A value as it is sent."""
    match type:
        case "text":
            if flavour == "long" and rng.random() < 0.1:
                return rng.choice(LONG)
            return rng.choice(FEW if flavour == "few" else TEXTS)
        case "boolean":
            return rng.random() < 0.5
        case "enum":
            return rng.choice(MEMBERS)
        case "int32" | "int64":
            return rng.choice({"small": SMALL, "big": (*BIG, 0, 1), "edges": EDGES[type]}[flavour])
        case "float32" | "float64":
            return rng.choice({"eighths": EIGHTHS, "decimals": DECIMALS, "large": LARGE}[flavour])
        case "timestamp":
            return spell(rng, rng.choice(INSTANTS[flavour]))
        case "date":
            return write_instant(rng.choice(INSTANTS[flavour]))[:10]
        case "direct":
            return dict(rng.choice(LINKS))
    return copy.deepcopy(rng.choice(JSONS))


# ---- Containers and records -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dataset:
    """What is written: batches of new records, then some again with other values, then some deleted."""

    containers: list[Json]
    flavours: dict[Path, str]
    batches: list[list[Json]]
    again: list[Json] = field(default_factory=list)
    deleted: list[Json] = field(default_factory=list)

    @property
    def spaces(self) -> list[str]:
        """Every space that is named."""
        named = {container["space"] for container in self.containers}
        return sorted(named | {item["space"] for batch in self.batches for item in batch})

    @property
    def final(self) -> list[Json]:
        """The items that are left in the end, in the order in which they came first."""
        items = {(item["space"], item["externalId"]): item for batch in (*self.batches, self.again) for item in batch}
        gone = {(item["space"], item["externalId"]) for item in self.deleted}
        return [item for name, item in items.items() if name not in gone]


def make_containers(rng: random.Random) -> tuple[list[Json], dict[Path, str]]:
    """Three to five containers with every type between them, and where the values of each property come from."""
    places = [(space, name) for space in rng.sample(SPACES, rng.randint(2, 3)) for name in CONTAINERS]
    made: list[Json] = [
        {"space": space, "externalId": name, "usedFor": "record", "properties": {}}
        for space, name in rng.sample(places, rng.randint(3, 5))
    ]
    wanted = [
        (type, flavour, many) for type in TYPED for flavour in FLAVOURS.get(type, ("",)) for many in (False, True)
    ]
    wanted = [(type, flavour, many) for type, flavour, many in wanted if not (type == "enum" and many)]
    wanted += rng.sample(wanted, 6)
    rng.shuffle(wanted)
    flavours: dict[Path, str] = {}
    for place, (type, flavour, many) in enumerate(wanted):
        container = made[place % len(made)]
        name = rng.choice([name for name in NAMES if name not in container["properties"]])
        definition: dict[str, Json] = {"type": type}
        if type == "enum":
            definition["values"] = {member: {"name": member.upper()} for member in MEMBERS}
        elif many or rng.random() < 0.3:
            definition["list"] = many
        container["properties"][name] = {"type": definition}
        if not many and rng.random() < 0.05:
            container["properties"][name]["nullable"] = False
        flavours[container["space"], container["externalId"], name] = flavour
    return made, flavours


TYPED: Final = ("text", "boolean", "enum", *sorted(NUMBERS), "timestamp", "date", "json", "direct")


def make_properties(rng: random.Random, container: Json, flavours: dict[Path, str]) -> dict[str, Json]:
    """What a record holds in a container: some of it missing, some null, some lists empty."""
    held: dict[str, Json] = {}
    for name, definition in container["properties"].items():
        type, flavour = definition["type"]["type"], flavours[container["space"], container["externalId"], name]
        chance = rng.random() if definition.get("nullable", True) else 1.0
        if chance < 0.15:
            continue
        if chance < 0.23:
            held[name] = None
        elif definition["type"].get("list"):
            held[name] = [make_value(rng, type, flavour) for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 5)))]
        else:
            held[name] = make_value(rng, type, flavour)
    return held


def make_sources(rng: random.Random, containers: Sequence[Json], flavours: dict[Path, str]) -> list[Json]:
    """The sources of a record: at least one container, mostly more."""
    chosen = [container for container in containers if rng.random() < 0.75] or [rng.choice(containers)]
    return [
        {
            "source": {"type": "container", "space": container["space"], "externalId": container["externalId"]},
            "properties": make_properties(rng, container, flavours),
        }
        for container in chosen
    ]


def make_dataset(rng: random.Random) -> Dataset:
    """Containers and up to 150 records in several batches."""
    containers, flavours = make_containers(rng)
    spaces = [container["space"] for container in containers] + ["only-records"]
    ids: dict[tuple[str, str], None] = {}
    for number in range(rng.choice((rng.randint(0, 3), 12, 30, 60, 60, 100, 150))):
        ending = rng.choice(("", "é", " x", "/y", "🙂", '"'))
        ids[rng.choice(spaces), f"{rng.choice(('pump', 'Pump', 'r'))}-{number // 2}{ending}"] = None

    def item(name: tuple[str, str]) -> Json:
        return {"space": name[0], "externalId": name[1], "sources": make_sources(rng, containers, flavours)}

    items = [item(name) for name in ids]
    cuts = sorted(rng.randint(0, len(items)) for _ in range(3))
    batches = [items[low:high] for low, high in zip([0, *cuts], [*cuts, len(items)], strict=True)]
    again = [item(name) for name in ids if rng.random() < 0.1]
    deleted = [{"space": space, "externalId": name} for space, name in ids if rng.random() < 0.05]
    return Dataset(containers, flavours, [batch for batch in batches if batch], again, deleted)


# ---- Requests -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pool:
    """What requests are made from: the properties, and the records as they are stored."""

    catalogue: Catalogue
    records: Sequence[Record]
    flavours: dict[Path, str]

    @classmethod
    def of(cls, dataset: Dataset, records: Sequence[Record]) -> Pool:
        return cls(Catalogue.of(dataset.containers), records, dataset.flavours)

    def columns(self, suits: Callable[[Column], bool]) -> list[Column]:
        return [column for column in self.catalogue.columns.values() if suits(column)]

    def sent(self, column: Column) -> list[Json]:
        """The values of a property as they were sent."""
        if len(column.path) == 1:
            return [record[column.path[0]] for record in self.records]
        space, container, name = column.path
        held = [record["properties"].get(space, {}).get(container, {}).get(name) for record in self.records]
        present = [value for value in held if value is not None]
        return [value for values in present for value in values] if column.many else present


def make_operand(rng: random.Random, pool: Pool, column: Column) -> Json:
    """A value that a filter compares with, mostly one that occurs."""
    sent = pool.sent(column)
    if len(column.path) == 1 and column.type == "timestamp":
        instant = rng.choice(sent or [0]) + rng.choice((0, 0, 0, 1, -1))
        return instant if rng.random() < 0.5 else spell(rng, instant)
    if len(column.path) == 1:
        return rng.choice([*sent, "p", "nothing"])
    flavour = pool.flavours[column.path]
    if not sent or rng.random() < 0.2:
        return make_value(rng, column.type, flavour)
    value = rng.choice(sent)
    if column.type == "timestamp":
        return spell(rng, read_instant(value) + rng.choice((0, 0, 0, 1, -1)))
    if column.type in INTEGERS and rng.random() < 0.1:
        return rng.choice((value + 0.5 if abs(value) < 2**40 else 0.5, 2**70, -(2**70), float(value)))
    if column.type == "enum" and rng.random() < 0.05:
        return "unknown"
    return copy.deepcopy(value)


def _top(rng: random.Random, names: Sequence[str]) -> Column:
    name = rng.choice(names)
    return Column((name,), "timestamp" if name in TIMES else "text")


def _column(rng: random.Random, pool: Pool, operator: str) -> Column:
    """A property that the operator is for, each type as often as the others."""
    lists = operator in ("containsAll", "containsAny", "exists")
    single = operator not in ("containsAll", "containsAny")
    usable = pool.columns(
        lambda column: (
            (column.type != "json" or operator == "exists")
            and (lists if column.many else single and operator in SINGLE[column.type])
        )
    )
    type = rng.choice(sorted({column.type for column in usable}))
    return rng.choice([column for column in usable if column.type == type])


LEAVES: Final = ("matchAll", "exists", "equals", "in", "range", "prefix", "hasData", "containsAll", "containsAny")


def make_leaf(rng: random.Random, pool: Pool) -> Json:
    """One of the nine filters that hold no others."""
    operator = rng.choice(LEAVES)
    if operator == "matchAll":
        return {operator: {}}
    if operator == "hasData":
        known = sorted({path[:2] for path in pool.catalogue.columns})
        chosen = rng.sample(known, rng.choice((1, 1, 2, len(known))))
        return {operator: [{"type": "container", "space": space, "externalId": name} for space, name in chosen]}
    tops = {"range": TIMES, "prefix": ("space", "externalId"), "equals": ALL_TOPS, "in": ALL_TOPS}
    top = operator in tops and rng.random() < 0.2
    column = _top(rng, tops[operator]) if top else _column(rng, pool, operator)
    inner: dict[str, Json] = {"property": list(column.path)}
    match operator:
        case "equals":
            inner["value"] = make_operand(rng, pool, column)
        case "in" | "containsAny" | "containsAll":
            most = 2 if operator == "containsAll" else 4
            inner["values"] = [make_operand(rng, pool, column) for _ in range(rng.randint(1, most))]
        case "range":
            sides = rng.choice(((("gt", "gte"),), (("lt", "lte"),), (("gt", "gte"), ("lt", "lte"))))
            inner |= {rng.choice(side): make_operand(rng, pool, column) for side in sides}
        case "prefix":
            text = make_operand(rng, pool, column) or "a"
            inner["value"] = text[: rng.randint(1, min(len(text), 500))]
    return {operator: inner}


ALL_TOPS: Final = ("space", "externalId", *TIMES)


def make_filter(rng: random.Random, pool: Pool, depth: int = 1) -> Json:
    """A filter: mostly small, now and then as deep or as large as is allowed."""
    if depth == 1 and rng.random() < 0.015:
        return _largest(rng, pool)
    chance = rng.random()
    if chance < 0.62 or depth > 4:
        return make_leaf(rng, pool)
    if chance < 0.72:
        return {"not": make_filter(rng, pool, depth + 1)}
    name = "and" if chance < 0.85 else "or"
    return {name: [make_filter(rng, pool, depth + 1) for _ in range(rng.choice((1, 2, 2, 3)))]}


def _largest(rng: random.Random, pool: Pool) -> Json:
    """Ten deep, or a hundred nodes."""
    if rng.random() < 0.5:
        made = make_leaf(rng, pool)
        for _ in range(9):
            made = rng.choice(({"not": made}, {"and": [made]}, {"or": [made]}))
        return made
    return {"or": [make_leaf(rng, pool) for _ in range(99)]}


def make_range(rng: random.Random, pool: Pool) -> Json:
    """A `lastUpdatedTime`."""
    column = Column(("lastUpdatedTime",), "timestamp")
    made = {rng.choice(("gt", "gte")): make_operand(rng, pool, column)}
    if rng.random() < 0.7:
        made = {name: value - 60_000 if isinstance(value, int) else value for name, value in made.items()}
    if rng.random() < 0.5:
        made[rng.choice(("lt", "lte"))] = make_operand(rng, pool, column)
    return made


def _telling(make: Callable[[], T], passes: Callable[[T], bool]) -> T:
    """What mostly lets something through, so that there is something to compare."""
    made = make()
    for _ in range(4):
        if passes(made):
            break
        made = make()
    return made


# ---- Trees ----------------------------------------------------------------------------------------------------------

LABELS: Final = ("a", "n", "per day", "größe", "top", "x-y", "count", '"q"', "_counts", "🙂")


class _Grower:
    """Grows one tree within the limits of a request."""

    def __init__(self, rng: random.Random, pool: Pool) -> None:
        self.rng = rng
        self.pool = pool
        self.deep = rng.random() < 0.2
        self.left = rng.choice((6, 8, 16) if self.deep else (1, 2, 3, 4, 6, 8, 16))
        self.filters = MOST_FILTERS
        self.named = 0

    def level(self, depth: int, parent: str, share: int) -> dict[str, Json]:
        """The aggregates of a level; `share` is how many buckets each histogram in it may have."""
        rng = self.rng
        made: dict[str, Json] = {}
        many = rng.choice((1, 1, 2, 3, 5) if depth == 1 else (1, 1, 2, 2, 3))
        for place in range(min(many, self.left)):
            if self.left < 1:
                break
            kinds = (*BUCKETS, *BUCKETS) if self.filters > 0 else ("uniqueValues", *HISTOGRAMS)
            if not (self.deep and place == 0 and depth < DEEPEST):
                kinds = (*kinds, *METRICS, "count")
            kind = rng.choice(kinds)
            name = self.name()
            made[name] = {kind: self.body(kind, depth, share)}
        if parent in HISTOGRAMS and self.left > 0 and rng.random() < 0.6:
            made[self.name()] = {"movingFunction": self.moving(made)}
        return made

    def name(self) -> str:
        """An identifier that is not used yet."""
        self.left -= 1
        self.named += 1
        return f"{self.rng.choice(LABELS)}{self.named}"

    def body(self, kind: str, depth: int, share: int) -> Json:
        if kind == "count" and self.rng.random() < 0.4:
            return {}
        if kind in METRICS:
            return {"property": self.property(kind)}
        if kind == "filters":
            many = min(self.rng.choice((1, 1, 2, 3, 5, 10)), self.filters)
            self.filters -= many
            made: Json = {"filters": [make_filter(self.rng, self.pool) for _ in range(many)]}
            return made | self.below(kind, depth, share // 2)
        if kind == "uniqueValues":
            made = {"property": self.property(kind)}
            if self.rng.random() < 0.5:
                made["size"] = self.rng.choice((1, 2, 3, 5, 100, 10_000))
            return made | self.below(kind, depth, share // 3)
        made, buckets = self.number_histogram(share) if kind == "numberHistogram" else self.time_histogram(share)
        return made | self.below(kind, depth, share // max(2, buckets))

    def below(self, parent: str, depth: int, share: int) -> dict[str, Json]:
        wanted = depth < DEEPEST and self.left > 0 and (self.deep or self.rng.random() < 0.65)
        nested = self.level(depth + 1, parent, max(4, share)) if wanted else {}
        return {"aggregates": nested} if nested else {}

    def property(self, kind: str) -> list[str]:
        """A property that the kind takes, each type as often as the others."""
        rng = self.rng
        if kind in TOP_LEVEL_KINDS and rng.random() < 0.12:
            return [rng.choice(TOP_LEVEL_KINDS[kind])]
        usable = self.pool.columns(
            lambda column: column.type in TYPES[kind] and not (column.many and kind in SINGLE_ONLY)
        )
        types = sorted({column.type for column in usable})
        type = rng.choice([*types, "json", "json"] if kind == "count" else types)
        return list(rng.choice([column for column in usable if column.type == type]).path)

    def most(self, share: int) -> float:
        """How many buckets a histogram may have: mostly few, now and then too many."""
        chance = self.rng.random()
        return share if chance < 0.96 else 5 * share if chance < 0.995 else math.inf

    def number_histogram(self, share: int) -> tuple[dict[str, Json], int]:
        """One with at most `share` buckets, unless too many are wanted; and how many it will have."""
        rng = self.rng
        path = self.property("numberHistogram")
        values = self.pool.sent(self.pool.catalogue.column(path)) or [0]
        span = max(values) - min(values)
        most = self.most(share)
        widths = [width for width in WIDTHS if span / width < most] or WIDTHS[-1:]
        width = rng.choice(widths[:4])
        made: dict[str, Json] = {"property": path, "interval": float(width) if rng.random() < 0.1 else width}
        if rng.random() < 0.3:
            made["hardBounds"] = self.bounds(*sorted(rng.choice(values) + rng.choice((0, 0, 1, -1)) for _ in "ab"))
        return made, math.ceil(span / width)

    def time_histogram(self, share: int) -> tuple[dict[str, Json], int]:
        """The same for times."""
        rng = self.rng
        path = self.property("timeHistogram")
        times = [instant_of(value) for value in self.pool.sent(self.pool.catalogue.column(path, TIMES)) or [0]]
        span = max(times) - min(times)
        most = self.most(share)
        usable = [name for name, width in INTERVALS.items() if span / width < most] or [("calendarInterval", "1y")]
        kind, spelling = rng.choice(usable[:6])
        made: dict[str, Json] = {"property": path, kind: spelling}
        if rng.random() < 0.3:
            bounds = self.bounds(*sorted(rng.choice(times) + rng.choice((0, 0, 1, -1, DAY)) for _ in "ab"))
            made["hardBounds"] = {name: spell(rng, bound) for name, bound in bounds.items()}
        return made, math.ceil(span / INTERVALS[kind, spelling])

    def bounds(self, low: T, high: T) -> dict[str, T]:
        names = self.rng.choice((("min",), ("max",), ("min", "max"), ("min", "max"), ()))
        return {name: low if name == "min" else high for name in names}

    def moving(self, siblings: dict[str, Json]) -> Json:
        paths = ["_count", *(path for name, entry in siblings.items() for path in self.paths(name, entry))]
        return {
            "bucketsPath": self.rng.choice(paths),
            "window": self.rng.choice((1, 2, 2, 3, 5, 100_000)),
            "function": f"MovingFunctions.{self.rng.choice(FUNCTIONS)}",
        }

    def paths(self, name: str, entry: Json, *, keyed: bool = True) -> list[str]:
        """The paths that begin with this aggregate and end in a number."""
        ((kind, body),) = entry.items()
        if kind in METRICS:
            column = self.pool.catalogue.column(body["property"], TIMES) if "property" in body else None
            return [] if column and column.type == "timestamp" and kind in ("min", "max") else [name] * 3
        if kind not in BUCKETS:
            return []
        nested = body.get("aggregates", {}).items()
        inner = ["_count", *(path for child, below in nested for path in self.paths(child, below, keyed=False))]
        found = [f"{name}>_count"]
        if kind == "filters" and len(body["filters"]) == 1:
            found += [f"{name}>{path}" for path in inner]
        return found + [f"{name}[{key}]>{path}" for key in self.keys(kind, body) if keyed for path in inner]

    def keys(self, kind: str, body: Json) -> list[str]:
        """Keys of buckets, in JSON."""
        if kind == "filters":
            place = self.rng.randrange(len(body["filters"]))
            return [f"{place}", f'"{place}"']
        column = self.pool.catalogue.column(body["property"], ALL_TOPS)
        sent = [value for value in self.pool.sent(column) if not isinstance(value, str) or len(value) < 1_000]
        if column.type == "direct" or not sent:
            return []
        value = self.rng.choice(sent)
        if kind == "timeHistogram":
            value = write_instant(instant_of(value) // DAY * DAY)
        elif column.type == "timestamp":
            value = spell(self.rng, instant_of(value))
        elif kind == "numberHistogram":
            value = math.floor(value / body["interval"]) * body["interval"] if abs(value) < 2**50 else 0
        text = json.dumps(value)
        return [text] if isinstance(value, str) else [text, f'"{text}"']


WIDTHS: Final = (0.1, 0.25, 0.5, 1, 2.5, 3, 10, 100, 2**20, 2**31, 2**49, 2**53)
INTERVALS: Final = {
    ("fixedInterval", "250ms"): 250,
    ("calendarInterval", "1s"): 1_000,
    ("calendarInterval", "1m"): 60_000,
    ("fixedInterval", "90s"): 90_000,
    ("fixedInterval", "15m"): 900_000,
    ("calendarInterval", "1h"): 3_600_000,
    ("calendarInterval", "1d"): DAY,
    ("fixedInterval", "36h"): 36 * 3_600_000,
    ("calendarInterval", "1w"): 7 * DAY,
    ("fixedInterval", "7d"): 7 * DAY,
    ("calendarInterval", "1M"): 28 * DAY,
    ("calendarInterval", "1q"): 90 * DAY,
    ("calendarInterval", "1y"): 365 * DAY,
    ("fixedInterval", "10000d"): 10_000 * DAY,
}
"""How wide the buckets are, in milliseconds, the narrowest first, to tell how many there will be."""
MOST_AT_THE_TOP: Final = 130
"""How many buckets a histogram mostly has at most; those below it have fewer."""


def instant_of(value: Json) -> int:
    """The instant that a time, or the midnight of a date, was sent as."""
    if isinstance(value, int):
        return value
    return read_instant(value if "T" in value else f"{value}T00:00:00Z")


# ---- Whole requests -------------------------------------------------------------------------------------------------


def make_body(rng: random.Random, pool: Pool) -> dict[str, Json]:
    """A request; one in twenty has something that a 400 must tell, and few have too many buckets."""
    body = _valid(rng, pool)
    for _ in range(3):
        try:
            aggregate(pool.catalogue, pool.records, body)
            break
        except Refusal:
            if rng.random() < 0.1:
                break
        body = _valid(rng, pool)
    return spoil(rng, pool, body) if rng.random() < 0.05 else body


def _valid(rng: random.Random, pool: Pool) -> dict[str, Json]:
    body: dict[str, Json] = {"aggregates": _Grower(rng, pool).level(1, "", MOST_AT_THE_TOP)}
    if rng.random() < 0.55:
        body["filter"] = _telling(lambda: make_filter(rng, pool), lambda made: bool(_selected(pool, made, None)))
    if rng.random() < 0.25:
        body["lastUpdatedTime"] = _telling(
            lambda: make_range(rng, pool), lambda made: bool(_selected(pool, None, made))
        )
    if rng.random() < 0.1:
        body["includeTyping"] = True
    return body


def _selected(pool: Pool, filter: Json, updated: Json) -> list[Record]:
    return select(pool.catalogue, pool.records, filter, updated)


# ---- What must be refused -------------------------------------------------------------------------------------------

ALL: Final[Json] = {"matchAll": {}}


def spoil(rng: random.Random, pool: Pool, body: Json) -> dict[str, Json]:
    """The request with one fault."""
    made: dict[str, Json] = copy.deepcopy(body)
    fault = rng.choice(
        ("request", "tree", "buckets", "aggregate", "aggregate", "histogram", "filter", "filter", "updated")
    )
    if fault == "request":
        made[rng.choice(("search", "targetUnits", "sort", "Aggregates"))] = {}
    elif fault == "tree":
        made["aggregates"] = rng.choice(_bad_trees())
    elif fault == "buckets" and (heavy := _too_many_buckets(rng, pool)):
        made = {"aggregates": {"bad": heavy}}
    elif fault in ("aggregate", "buckets"):
        made["aggregates"] = {"bad": rng.choice(_bad_aggregates(rng, pool))}
    elif fault == "histogram":
        made["aggregates"] = {"bad": rng.choice(_bad_histograms(rng, pool))}
    elif fault == "filter":
        made["filter"] = rng.choice(_bad_filters(rng, pool))
        if rng.random() < 0.3:
            made["filter"] = {"not": {"and": [ALL, made["filter"]]}}
    else:
        made["lastUpdatedTime"] = rng.choice(
            ({}, {"lt": 1}, {"gt": 1, "gte": 1}, {"gt": 1, "lt": 9, "lte": 9}, {"gt": True}, {"gt": 1.5}, {"gt": "now"})
        )
    return made


def _nested(depth: int) -> Json:
    entry: Json = {"count": {}}
    for level in range(depth - 1):
        entry = {"filters": {"filters": [ALL], "aggregates": {f"n{level}": entry}}}
    return entry


def _too_many_buckets(rng: random.Random, pool: Pool) -> Json:
    """A histogram with over 10,000 buckets, or over 65,535 in and below it; None where the values are too close."""
    column = rng.choice(pool.columns(lambda column: column.type == "int32"))
    values = pool.sent(column) or [0]
    span = max(values) - min(values)
    if span < 100_000:
        return None
    body: dict[str, Json] = {"property": list(column.path), "interval": span // 20_000}
    if rng.random() < 0.5:
        inner = {"filters": {"filters": [ALL] * 10}}
        body |= {"interval": span // 6_500, "aggregates": {"more": inner}}
    return {"numberHistogram": body}


def _bad_trees() -> list[Json]:
    counts: list[Json] = [{f"{name}{number}": {"count": {}} for number in range(5)} for name in "abc"]
    return [
        {},
        {f"a{number}": {"count": {}} for number in range(6)},
        {"a": _nested(6)},
        {f"f{place}": {"filters": {"filters": [ALL], "aggregates": below}} for place, below in enumerate(counts)},
        {f"f{place}": {"filters": {"filters": [ALL] * many}} for place, many in enumerate((10, 10, 10, 1))},
        {"a": {"filters": {"filters": [ALL], "aggregates": {"a": {"count": {}}}}}},
        *({name: {"count": {}}} for name in ("", "a[b", "a]", "a>b", "a.b", "_count", "_bucket_count", "x" * 256)),
    ]


def _bad_aggregates(rng: random.Random, pool: Pool) -> list[Json]:
    def unsuitable(kind: str) -> list[str]:
        usable = pool.columns(lambda column: column.type not in TYPES[kind] or (column.many and kind in SINGLE_ONLY))
        return list(rng.choice(usable).path)

    known = next(iter(pool.catalogue.columns))
    kind = rng.choice([kind for kind in TYPES if kind != "count"])
    text = list(rng.choice(pool.columns(lambda column: column.type == "text")).path)
    extra: Json = {"calendarInterval": "1d"} if kind == "timeHistogram" else {}
    if kind == "numberHistogram":
        extra = {"interval": 1}
    return [
        *[{kind: {"property": unsuitable(kind), **extra}}] * 3,
        {kind: {"property": [*known[:2], "nothing-here"], **extra}},
        {kind: {"property": ["nowhere", *known[1:]], **extra}},
        {kind: {"property": [known[0], f"{known[1]}/v1", known[2]], **extra}},
        {kind: {"property": list(known[:2]), **extra}},
        {kind: {"property": ["externalId"], **extra}},
        {kind: extra},
        {"count": {"property": ["space"]}},
        {"count": {"field": "x"}},
        {"count": {}, "avg": {}},
        {"median": {"property": list(known)}},
        *({"uniqueValues": {"property": text, "size": size}} for size in (0, 10_001, "10", 2.5)),
        {"uniqueValues": {"property": text, "aggregates": {}}},
        {"uniqueValues": {"property": text, "aggregates": {"m": _moving("_count")}}},
        _moving("_count"),
        {"filters": {"filters": []}},
        {"filters": {"filters": [ALL] * 11}},
        {"filters": {"filters": [rng.choice(_bad_filters(rng, pool))]}},
    ]


def _moving(path: Json, window: Json = 2, function: str = "MovingFunctions.max") -> Json:
    return {"movingFunction": {"bucketsPath": path, "window": window, "function": function}}


def _bad_histograms(rng: random.Random, pool: Pool) -> list[Json]:
    def of(*types: str) -> list[str]:
        return list(rng.choice(pool.columns(lambda column: column.type in types)).path)

    number, time, text, link = of(*NUMBERS), of("timestamp"), of("text"), of("direct")
    siblings = {
        "s": {"uniqueValues": {"property": text, "aggregates": {"n": {"count": {}}}}},
        "l": {"uniqueValues": {"property": link}},
        "t": {"max": {"property": time}},
    }
    paths = ("", "x", "s", "s>n", 's["a"]', 's["a"]>x', "m", "t", "t>_count", "s.n", "s[", 's["a">n', "l[1]>_count", 7)
    moving = [_moving(path) for path in paths]
    moving += [_moving("_count", 0), _moving("_count", 1.5), _moving("_count", 1, "max"), _moving("_count", 1, "x")]
    bounds = ({"min": 0}, {"max": "2024-01-01T00:00:00"}, {"min": "soon"}, {"from": "2024-01-01T00:00:00Z"})
    return [
        *({"numberHistogram": {"property": number, "interval": width}} for width in (0, -1, "1", None, True)),
        {"numberHistogram": {"property": number}},
        {"numberHistogram": {"property": number, "interval": 2**53, "hardBounds": {"min": "1"}}},
        {"timeHistogram": {"property": time}},
        {"timeHistogram": {"property": time, "calendarInterval": "1y", "fixedInterval": "9999d"}},
        *({"timeHistogram": {"property": time, "calendarInterval": name}} for name in ("2d", "1Y", "day")),
        *({"timeHistogram": {"property": time, "fixedInterval": name}} for name in ("0d", "1w", "1.5h", "01m")),
        *({"timeHistogram": {"property": time, "calendarInterval": "1y", "hardBounds": each}} for each in bounds),
        *(
            {"timeHistogram": {"property": time, "calendarInterval": "1y", "aggregates": {**siblings, "m": each}}}
            for each in moving
        ),
    ]


def _bad_filters(rng: random.Random, pool: Pool) -> list[Json]:
    deep: Json = ALL
    for _ in range(10):
        deep = {"not": deep}
    known = next(iter(pool.catalogue.columns))
    container = {"type": "container", "space": known[0], "externalId": known[1]}

    def operators(column: Column) -> set[str]:
        if column.type == "json":
            return {"exists"}
        return {"containsAll", "containsAny", "exists"} if column.many else set(SINGLE[column.type])

    def of(type: str) -> list[str]:
        return list(rng.choice(pool.columns(lambda column: column.type == type and not column.many)).path)

    operands: Json = {"equals": {"value": "a"}, "prefix": {"value": "a"}, "range": {"gte": 1}}
    operator = rng.choice(("equals", "in", "range", "prefix", "containsAll", "containsAny"))
    other = rng.choice(pool.columns(lambda column: operator not in operators(column)))
    wrong: Json = {
        "text": 1,
        "int32": "1",
        "float64": True,
        "boolean": 0,
        "timestamp": 0,
        "date": "2024",
        "direct": "a",
    }
    return [
        *[{operator: {"property": list(other.path), **operands.get(operator, {"values": ["a"]})}}] * 4,
        *({"equals": {"property": of(type), "value": value}} for type, value in wrong.items()),
        {"equals": {"property": of("int64"), "value": None}},
        {"equals": {"property": of("int64")}},
        {"equals": {"property": [*known[:2], "nothing-here"], "value": 1}},
        {"equals": {"property": ["createdTime"], "value": "today"}},
        {"exists": {"property": [known[0], f"{known[1]}/v1", known[2]]}},
        {"in": {"property": of("int64"), "values": []}},
        {"in": {"property": of("int64"), "values": [1] * 101}},
        {"range": {"property": of("int64")}},
        {"range": {"property": of("int64"), "gt": 1, "gte": 1}},
        {"range": {"property": of("int64"), "gt": 1, "eq": 1}},
        {"prefix": {"property": of("text"), "value": ""}},
        {"prefix": {"property": of("text"), "value": "x" * 501}},
        {"hasData": []},
        {"hasData": [container] * 11},
        {"hasData": [{**container, "externalId": "nothing_here"}]},
        {"hasData": [{"type": "view", "space": known[0], "externalId": "v", "version": "1"}]},
        {},
        {"matchAll": {}, "not": ALL},
        {"matchAll": {"x": 1}},
        *({name: {"property": list(known)}} for name in ("overlaps", "nested", "search")),
        {"and": []},
        {"or": [ALL] * 100},
        {"and": [{"or": [ALL] * 50}] * 2},
        deep,
    ]
