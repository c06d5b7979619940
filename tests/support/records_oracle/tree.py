"""Reading the `aggregates` of a request (contract, section 1, Tree and Properties): nodes, or a Refusal."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from .properties import NUMBERS, TIMES, Catalogue, Column, Json, Refusal, is_integer, is_number, only_keys
from .select import Test, compile_filter
from .times import Interval, calendar, fixed, read_instant

MOST_ON_A_LEVEL: Final = 5
DEEPEST: Final = 5
MOST_AGGREGATES: Final = 16
MOST_FILTERS: Final = 30
MOST_VALUES: Final = 10_000
IDENTIFIER: Final = re.compile(r"[^\[\]>.]{1,255}", re.DOTALL)
RESERVED: Final = ("_count", "_bucket_count")
FUNCTIONS: Final = ("max", "min", "sum", "unweightedAvg", "linearWeightedAvg")

METRICS: Final = ("avg", "sum", "min", "max", "count")
HISTOGRAMS: Final = ("numberHistogram", "timeHistogram")
BUCKETS: Final = ("uniqueValues", *HISTOGRAMS, "filters")
KEYS: Final = {
    **dict.fromkeys(METRICS, ("property",)),
    "uniqueValues": ("property", "size", "aggregates"),
    "numberHistogram": ("property", "interval", "hardBounds", "aggregates"),
    "timeHistogram": ("property", "calendarInterval", "fixedInterval", "hardBounds", "aggregates"),
    "filters": ("filters", "aggregates"),
    "movingFunction": ("bucketsPath", "window", "function"),
}
"""Every kind, and the keys inside it."""

ANY: Final = NUMBERS | {"text", "boolean", "enum", "direct", "timestamp", "date", "json"}
TYPES: Final[Mapping[str, frozenset[str]]] = {
    "avg": NUMBERS,
    "sum": NUMBERS,
    "min": NUMBERS | {"timestamp"},
    "max": NUMBERS | {"timestamp"},
    "count": ANY,
    "uniqueValues": ANY - {"json"},
    "numberHistogram": NUMBERS,
    "timeHistogram": frozenset(("timestamp", "date")),
}
"""The types of property that each kind takes."""

SINGLE_ONLY: Final = ("avg", "sum")
"""The kinds that take no list."""

TOP_LEVEL: Final = {"min": TIMES, "max": TIMES, "timeHistogram": TIMES, "uniqueValues": ("space",)}

Bound = int | float
Key = str | int | float | bool


@dataclass(frozen=True)
class Node:
    """One aggregate of the tree; what does not belong to its kind is empty."""

    kind: str
    column: Column | None = None
    children: dict[str, Node] = field(default_factory=dict)
    size: int = 10
    width: int | float = 1
    interval: Interval | None = None
    within: tuple[Bound | None, Bound | None] = (None, None)
    tests: tuple[Test, ...] = ()
    path: tuple[str, ...] = ()
    key: Key | None = None
    window: int = 1
    function: str = ""


def read_tree(catalogue: Catalogue, body: Json) -> dict[str, Node]:
    """The aggregates of the first level, with everything below them."""
    return _Reader(catalogue).level(body, 1, parent="")


class _Reader:
    """Reads one tree, counting what is limited in all of it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.names: set[str] = set()
        self.filters = 0

    def level(self, body: Json, depth: int, parent: str) -> dict[str, Node]:
        if not isinstance(body, dict) or not 1 <= len(body) <= MOST_ON_A_LEVEL:
            raise Refusal("aggregates on a level")
        if depth > DEEPEST:
            raise Refusal("aggregates too deep")
        nodes = {}
        for name, entry in body.items():
            if IDENTIFIER.fullmatch(name) is None or name in RESERVED:
                raise Refusal("identifier")
            if name in self.names:
                raise Refusal("duplicate identifier")
            self.names.add(name)
            if len(self.names) > MOST_AGGREGATES:
                raise Refusal("too many aggregates")
            nodes[name] = self.node(entry, depth, parent)
        for node in nodes.values():
            if node.kind == "movingFunction":
                check_path(nodes, node)
        return nodes

    def node(self, entry: Json, depth: int, parent: str) -> Node:
        if not isinstance(entry, dict) or len(entry) != 1:
            raise Refusal("aggregate shape")
        ((kind, inner),) = entry.items()
        if kind not in KEYS:
            raise Refusal("unknown aggregate")
        body = only_keys(inner, KEYS[kind], "aggregate shape")
        if kind == "movingFunction":
            return self.moving_function(body, parent)
        column = None
        if "property" in KEYS[kind] and not (kind == "count" and "property" not in body):
            column = self.column(kind, body.get("property"))
        read: Callable[[Json, Node], Node] = getattr(self, _READERS.get(kind, "metric"))
        node = read(body, Node(kind, column))
        children = self.level(body["aggregates"], depth + 1, kind) if "aggregates" in body else {}
        return _with(node, children=children)

    def column(self, kind: str, path: Json) -> Column:
        column = self.catalogue.column(path, TOP_LEVEL.get(kind, ()))
        if column.type not in TYPES[kind] or (column.many and kind in SINGLE_ONLY):
            raise Refusal("type of property", column.name)
        return column

    def metric(self, _: Json, node: Node) -> Node:
        return node

    def unique_values(self, body: Json, node: Node) -> Node:
        size = body.get("size", 10)
        if not is_integer(size) or not 1 <= size <= MOST_VALUES:
            raise Refusal("size")
        return _with(node, size=size)

    def number_histogram(self, body: Json, node: Node) -> Node:
        width = body.get("interval")
        if not is_number(width) or not math.isfinite(width) or width <= 0:
            raise Refusal("interval")
        bounds = only_keys(body.get("hardBounds", {}), ("min", "max"), "hardBounds")
        if not all(is_number(bound) for bound in bounds.values()):
            raise Refusal("hardBounds")
        return _with(node, width=width, within=_ordered(bounds.get("min"), bounds.get("max")))

    def time_histogram(self, body: Json, node: Node) -> Node:
        given = [name for name in ("calendarInterval", "fixedInterval") if name in body]
        if len(given) != 1 or not isinstance(body[given[0]], str):
            raise Refusal("interval")
        bounds = only_keys(body.get("hardBounds", {}), ("min", "max"), "hardBounds")
        try:
            interval = (calendar if given[0] == "calendarInterval" else fixed)(body[given[0]])
        except ValueError:
            raise Refusal("interval") from None
        try:
            instants = {name: read_instant(bound, zoned=True) for name, bound in bounds.items()}
        except (TypeError, ValueError):
            raise Refusal("hardBounds") from None
        return _with(node, interval=interval, within=_ordered(instants.get("min"), instants.get("max")))

    def filter_buckets(self, body: Json, node: Node) -> Node:
        filters = body.get("filters")
        if not isinstance(filters, list) or not 1 <= len(filters) <= 10:
            raise Refusal("filters")
        self.filters += len(filters)
        if self.filters > MOST_FILTERS:
            raise Refusal("too many filters")
        return _with(node, tests=tuple(compile_filter(self.catalogue, each) for each in filters))

    def moving_function(self, body: Json, parent: str) -> Node:
        if parent not in HISTOGRAMS:
            raise Refusal("movingFunction outside a histogram")
        window, function = body.get("window"), body.get("function")
        if not is_integer(window) or window < 1:
            raise Refusal("window")
        names = [name for name in FUNCTIONS if function == f"MovingFunctions.{name}"]
        if not names:
            raise Refusal("function")
        path, key = read_path(body.get("bucketsPath"))
        return Node("movingFunction", window=window, function=names[0], path=path, key=key)


_READERS: Final = {
    "uniqueValues": "unique_values",
    "numberHistogram": "number_histogram",
    "timeHistogram": "time_histogram",
    "filters": "filter_buckets",
}


def _with(node: Node, **more: Json) -> Node:
    return Node(**{**vars(node), **more})


def _ordered(low: Bound | None, high: Bound | None) -> tuple[Bound | None, Bound | None]:
    if low is not None and high is not None and low > high:
        raise Refusal("hardBounds")
    return low, high


# ---- bucketsPath --------------------------------------------------------------------------------------------------

_PATH: Final = re.compile(
    r"""(?P<first>[^\[\]>.]+)(?:\[(?P<key>"(?:[^"\\]|\\.)*"|[^\[\]"]+)\])?(?P<rest>(?:>[^\[\]>.]+)*)""", re.DOTALL
)


def read_path(path: Json) -> tuple[tuple[str, ...], Key | None]:
    """The names in `AGG([KEY])?(>AGG)*`, and the key, which is JSON."""
    if not isinstance(path, str) or not 1 <= len(path) <= 1280:
        raise Refusal("bucketsPath")
    found = _PATH.fullmatch(path)
    if found is None:
        raise Refusal("bucketsPath")
    names = (found["first"], *found["rest"].split(">")[1:])
    return names, None if found["key"] is None else _key(found["key"])


def _key(text: str) -> Key:
    try:
        key = json.loads(text)
    except ValueError:
        raise Refusal("bucketsPath") from None
    if not isinstance(key, str | int | float):
        raise Refusal("bucketsPath")
    return key


def check_path(siblings: Mapping[str, Node], moving: Node) -> None:
    """A path leads over bucket aggregates to a `_count` or to a number."""
    names, key = moving.path, moving.key
    if names == ("_count",) and key is None:
        return
    nodes = siblings
    for place, name in enumerate(names):
        last = place == len(names) - 1
        if name == "_count" and last and place > 0:
            return
        node = nodes.get(name)
        if node is None:
            raise Refusal("bucketsPath")
        keyed = place == 0 and key is not None
        if keyed:
            key_of(node, key)
        if last:
            instants = node.column is not None and node.column.type == "timestamp" and node.kind in ("min", "max")
            if node.kind not in METRICS or instants:
                raise Refusal("bucketsPath")
            return
        if node.kind not in BUCKETS:
            raise Refusal("bucketsPath")
        counted = place == len(names) - 2 and names[-1] == "_count"
        if not (keyed or counted or len(node.tests) == 1):
            raise Refusal("bucketsPath")
        nodes = node.children


def key_of(node: Node, key: Json) -> Json:
    """What a KEY names among the buckets of a node: a value, the start of an interval, a filter's position."""
    if node.kind not in BUCKETS or key is None:
        raise Refusal("bucketsPath")
    if node.kind == "filters":
        position = _number(key)
        if position not in range(len(node.tests)):
            raise Refusal("bucketsPath")
        return int(position)
    assert node.column is not None
    type = node.column.type
    if node.kind == "timeHistogram" or type == "timestamp":
        try:
            return read_instant(key)
        except (TypeError, ValueError):
            raise Refusal("bucketsPath") from None
    if type in NUMBERS:
        return _number(key)
    if type == "boolean" and key in (True, False, "true", "false"):
        return key in (True, "true")
    if type in ("text", "enum", "date") and isinstance(key, str):
        return key
    raise Refusal("bucketsPath")


def _number(key: Json) -> int | float:
    if isinstance(key, str):
        try:
            key = json.loads(key)
        except ValueError:
            raise Refusal("bucketsPath") from None
    if not is_number(key) or not math.isfinite(key):
        raise Refusal("bucketsPath")
    return key
