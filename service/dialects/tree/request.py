"""The body of an aggregate request: parsed, checked against the tree's limits, compiled to nodes (contract, 1)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from service.dialects.tree.buckets import CALENDAR, FiltersNode, TimeHistogramNode, UniqueValuesNode
from service.dialects.tree.filters import RecordFilter, read_filter
from service.dialects.tree.metrics import AvgNode, CountNode, MaxNode, MinNode, SumNode
from service.dialects.tree.moving import FUNCTIONS, MovingFunctionNode, read_path
from service.dialects.tree.nodes import Node
from service.dialects.tree.number_histogram import NumberHistogramNode
from service.dialects.tree.properties import NUMBERS, PropertyColumn, timestamp
from service.dialects.tree.references import References, counted, keys_of, measured, of_object, refusal, reject, shown
from service.errors import Location
from service.spelling import did_you_mean
from service.values import Json, is_number

MAX_LEVEL: Final = 5
MAX_DEPTH: Final = 5
MAX_ALL: Final = 16
MAX_FILTERS: Final = 30
MAX_UNIQUE: Final = 10_000

KINDS: Final = (
    "avg", "sum", "min", "max", "count", "uniqueValues", "numberHistogram", "timeHistogram", "filters",
    "movingFunction",
)  # fmt: skip

_ID = re.compile(r"[^\[\]>.]{1,255}")
_FIXED = re.compile(r"[1-9][0-9]{0,15}(ms|s|m|h|d)", re.ASCII)
_TAKES: Final[Mapping[str, frozenset[str]]] = {
    "avg": NUMBERS,
    "sum": NUMBERS,
    "min": NUMBERS | {"timestamp"},
    "max": NUMBERS | {"timestamp"},
    "uniqueValues": NUMBERS | {"text", "boolean", "timestamp", "date", "direct", "enum"},
    "numberHistogram": NUMBERS,
    "timeHistogram": frozenset({"timestamp", "date"}),
}
_NO_LIST: Final = frozenset({"avg", "sum"})
_TIMES: Final = ("createdTime", "lastUpdatedTime")
_TOPS: Final[Mapping[str, tuple[str, ...]]] = {
    "min": _TIMES,
    "max": _TIMES,
    "timeHistogram": _TIMES,
    "uniqueValues": ("space",),
}


@dataclass(frozen=True)
class Tree:
    """The aggregates of a request, and the columns that they name."""

    nodes: Mapping[str, Node]
    columns: tuple[PropertyColumn, ...]


def read_tree(given: Json, references: References) -> Tree:
    """Parses a tree; raises `BadRequest` with the location."""
    reader = _TreeReader(references)
    nodes, _ = reader.level(given, ("aggregates",), 1, inside=None)
    return Tree(nodes, tuple(dict.fromkeys(reader.columns)))


@dataclass
class _TreeReader:
    references: References
    ids: set[str] = field(default_factory=set)
    filters: int = 0
    columns: list[PropertyColumn] = field(default_factory=list)

    def level(
        self, given: Json, at: Location, depth: int, inside: str | None
    ) -> tuple[dict[str, Node], list[tuple[str, Json, Location]]]:
        """The nodes of a level, and its moving functions, which need their siblings first."""
        if not isinstance(given, dict) or not given:
            reject(at, f"an object with 1 to {MAX_LEVEL} aggregates is needed")
        if len(given) > MAX_LEVEL:
            reject(at, f"at most {MAX_LEVEL} aggregates on one level, not {len(given)}")
        if depth > MAX_DEPTH:
            reject(at, f"aggregates are nested at most {MAX_DEPTH} deep, not {depth}")
        nodes: dict[str, Node] = {}
        moving: list[tuple[str, Json, Location]] = []
        for id, body in given.items():
            location = (*at, id)
            if not _ID.fullmatch(id) or id in ("_count", "_bucket_count"):
                reject(at, f"1 to 255 characters without [ ] > . are needed, and not _count; not {measured(id)}")
            if id in self.ids:
                reject(location, "the identifier is used twice; it is unique in the whole tree")
            self.ids.add(id)
            if len(self.ids) > MAX_ALL:
                reject(at, f"at most {MAX_ALL} aggregates in one request, not {len(self.ids)} or more")
            if not isinstance(body, dict) or len(body) != 1:
                reject(
                    location,
                    f"an aggregate is an object with one key, its type ({', '.join(KINDS)}), not {keys_of(body)}",
                )
            ((kind, operands),) = body.items()
            if kind not in KINDS:
                reject((*location, kind), f"unknown aggregate{did_you_mean(kind, KINDS)}; known: {', '.join(KINDS)}")
            if kind == "movingFunction":
                if inside not in ("numberHistogram", "timeHistogram"):
                    reject((*location, kind), "a movingFunction stands directly inside a histogram")
                moving.append((id, operands, (*location, kind)))
            else:
                nodes[id] = self._node(id, kind, operands, (*location, kind), depth)
        return nodes, moving

    def _node(self, id: str, kind: str, given: Json, at: Location, depth: int) -> Node:
        name = f"a{len(self.ids)}"
        match kind:
            case "avg" | "sum" | "min" | "max":
                of_object(given, at, ("property",), ("property",))
                metric = {"avg": AvgNode, "sum": SumNode, "min": MinNode, "max": MaxNode}[kind]
                return metric(id, at, name, self._column(given, kind, at))
            case "count":
                operands = of_object(given, at, ("property",))
                counted = self._column(operands, kind, at) if "property" in operands else None
                return CountNode(id, at, name, counted)
            case "uniqueValues":
                operands = of_object(given, at, ("property", "size", "aggregates"), ("property",))
                size = operands.get("size", 10)
                if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= MAX_UNIQUE:
                    reject((*at, "size"), f"an integer from 1 to {MAX_UNIQUE:,} is needed, not {shown(size)}")
                children, _ = self._children(operands, kind, at, depth)
                return UniqueValuesNode(id, at, name, children, self._column(operands, kind, at), size)
            case "filters":
                return self._filters(id, name, given, at, depth)
        return self._histogram(id, name, kind, given, at, depth)

    def _children(
        self, operands: Mapping[str, Json], kind: str, at: Location, depth: int
    ) -> tuple[dict[str, Node], list[tuple[str, Json, Location]]]:
        if "aggregates" not in operands:
            return {}, []
        return self.level(operands["aggregates"], (*at, "aggregates"), depth + 1, kind)

    def _filters(self, id: str, name: str, given: Json, at: Location, depth: int) -> Node:
        operands = of_object(given, at, ("filters", "aggregates"), ("filters",))
        filters = operands["filters"]
        if not isinstance(filters, list) or not 1 <= len(filters) <= 10:
            reject((*at, "filters"), f"an array of 1 to 10 filters is needed, not {counted(filters)}")
        self.filters += len(filters)
        if self.filters > MAX_FILTERS:
            problem = (
                f"at most {MAX_FILTERS} filters in all filters aggregates of a request, not {self.filters} or more"
            )
            reject((*at, "filters"), problem)
        read: list[RecordFilter] = []
        for number, each in enumerate(filters):
            if each is None:
                reject((*at, "filters", number), "a filter is needed, not null")
            read.append(read_filter(each, (*at, "filters", number), self.references))
        children, _ = self._children(operands, "filters", at, depth)
        return FiltersNode(id, at, name, children, read)

    def _histogram(self, id: str, name: str, kind: str, given: Json, at: Location, depth: int) -> Node:
        if kind == "numberHistogram":
            known: tuple[str, ...] = ("property", "interval", "hardBounds", "aggregates")
            operands = of_object(given, at, known, ("property", "interval"))
        else:
            known = ("property", "calendarInterval", "fixedInterval", "hardBounds", "aggregates")
            operands = of_object(given, at, known, ("property",))
        column = self._column(operands, kind, at)
        children, functions = self._children(operands, kind, at, depth)
        moving = [self._moving(*each, children, name, position) for position, each in enumerate(functions)]
        if kind == "numberHistogram":
            interval = operands["interval"]
            if not is_number(interval) or not 0 < interval < float("inf"):
                reject((*at, "interval"), f"a number greater than 0 is needed, not {shown(interval)}")
            bounds = self._bounds(operands, at, _number)
            return NumberHistogramNode(id, at, name, children, column, bounds, moving, interval)
        calendar, fixed = operands.get("calendarInterval"), operands.get("fixedInterval")
        if (calendar is None) == (fixed is None):
            reject(at, "exactly one of calendarInterval and fixedInterval is needed")
        if calendar is not None and not (isinstance(calendar, str) and calendar in CALENDAR):
            reject((*at, "calendarInterval"), f"one of {', '.join(CALENDAR)}, not {shown(calendar)}")
        if fixed is not None and not (isinstance(fixed, str) and _FIXED.fullmatch(fixed)):
            reject((*at, "fixedInterval"), f"a number and ms, s, m, h or d, such as 90m, not {shown(fixed)}")
        bounds = self._bounds(operands, at, _time)
        return TimeHistogramNode(id, at, name, children, column, bounds, moving, calendar, fixed)

    def _bounds(self, operands: Mapping[str, Json], at: Location, read: Any) -> tuple[Any, Any]:
        if "hardBounds" not in operands:
            return None, None
        location = (*at, "hardBounds")
        given = of_object(operands["hardBounds"], location, ("min", "max"))
        low, high = (read(given[name], (*location, name)) if name in given else None for name in ("min", "max"))
        if low is not None and high is not None and low > high:
            reject(location, f"min, {shown(given['min'])}, is greater than max, {shown(given['max'])}")
        return low, high

    def _moving(
        self, id: str, given: Json, at: Location, children: Mapping[str, Node], name: str, place: int
    ) -> MovingFunctionNode:
        operands = of_object(given, at, ("bucketsPath", "window", "function"), ("bucketsPath", "window", "function"))
        window, function = operands["window"], operands["function"]
        if not isinstance(window, int) or isinstance(window, bool) or window < 1:
            reject((*at, "window"), f"an integer from 1 on is needed, not {shown(window)}")
        if not isinstance(function, str) or function not in FUNCTIONS:
            reject((*at, "function"), f"one of {', '.join(FUNCTIONS)}, not {shown(function)}")
        path = read_path(operands["bucketsPath"], (*at, "bucketsPath"), children, f"{name}m{place}")
        return MovingFunctionNode(id, function, window, path)

    def _column(self, operands: Mapping[str, Json], kind: str, at: Location) -> PropertyColumn:
        location = (*at, "property")
        column = self.references.column(operands["property"], location, _TOPS.get(kind, ()))
        takes = _TAKES.get(kind)
        if takes is not None and (column.type not in takes or (column.listed and kind in _NO_LIST)):
            kinds = ", ".join(sorted(takes)) + ("; no lists" if kind in _NO_LIST else "")
            raise refusal(
                location,
                f"{kind} does not apply to {shown(operands['property'])}, which is {column.label}; it takes {kinds}",
            )
        self.columns.append(column)
        return column


def _number(value: Json, at: Location) -> int | float:
    if not is_number(value):
        reject(at, f"a number is needed, not {shown(value)}")
    return value


def _time(value: Json, at: Location) -> int:
    zoned = isinstance(value, str) and re.search(r"T.*(Z|[+-]\d\d(:?\d\d)?)$", value)
    millis = timestamp(value) if zoned else None
    if millis is None:
        reject(at, f"an ISO-8601 time with a zone is needed, such as 2024-01-31T00:00:00Z, not {shown(value)}")
    return millis
