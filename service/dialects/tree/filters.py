"""Filters of the records API: each a query for OpenSearch and an equivalent test in Python (contract, 2)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from service import dsl
from service.conditions.base import MATCH_ALL, MATCH_NONE, Clause, Condition, Query, Use
from service.conditions.logic import And, Not, Or
from service.conditions.ordering import COMPARE, number_bound
from service.dialects.tree.properties import INT32, INTEGERS, NUMBERS, TOP, PropertyColumn, instant, timestamp, wrong
from service.dialects.tree.references import (
    VIEWS,
    References,
    counted,
    keys_of,
    measured,
    of_object,
    refusal,
    reject,
    shown,
)
from service.errors import Location
from service.fields import Fields
from service.spelling import did_you_mean
from service.tokens import LONG_MAX, LONG_MIN
from service.values import Json, identity, index_date

MAX_NODES: Final = 100
MAX_DEPTH: Final = 10
HAS: Final = "@has"
"""The index field with a token for each container and each json property of which a record has a value."""

OPERATORS: Final = (
    "and", "or", "not", "matchAll", "exists", "equals", "in", "range", "prefix", "hasData", "containsAll",
    "containsAny",
)  # fmt: skip

_ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    "text": frozenset({"equals", "in", "prefix", "exists"}),
    **{type: frozenset({"range", "equals", "in", "exists"}) for type in (*NUMBERS, "timestamp", "date")},
    "boolean": frozenset({"equals", "exists"}),
    "enum": frozenset({"equals", "in", "exists"}),
    "direct": frozenset({"equals", "in", "exists"}),
    "json": frozenset({"exists"}),
}
_LISTS: Final = frozenset({"containsAll", "containsAny", "exists"})
_TIMES: Final = ("createdTime", "lastUpdatedTime")
_IDS: Final = ("space", "externalId")

_CLAUSES: Final = 8
_GATHER: Final = "Set found = new HashSet(); for (v in doc[params.f]) {{ found.add({each}); }} "
_SCRIPT: Final = "for (v in params.values) {{ if (!found.contains({each})) return false; }} return true"
_READ: Final[Mapping[str, tuple[str, str]]] = {
    **dict.fromkeys(INTEGERS, ("(long) v", "((Number) v).longValue()")),
    **dict.fromkeys(NUMBERS - INTEGERS, ("(double) v", "((Number) v).doubleValue()")),
    **dict.fromkeys(("timestamp", "date"), ("v.toInstant().toEpochMilli()", "((Number) v).longValue()")),
}
_ALL_OF: Final = {
    type: _GATHER.format(each=_READ.get(type, ("v", "v"))[0]) + _SCRIPT.format(each=_READ.get(type, ("v", "v"))[1])
    for type in _ALLOWED
}
"""Whether a record has all of the given values; only run on records that have some."""

Record = Mapping[str, Any]


@dataclass(frozen=True)
class RecordFilter:
    """A query for records in OpenSearch and the test of a single record, like a condition on objects.

    Properties are declared, so no observed fields are needed, and every query is exact.
    """

    query: Query
    test: Callable[[Record], bool]

    @classmethod
    def of(cls, condition: Condition) -> "RecordFilter":
        """The filter for a combined condition."""
        return cls(condition.compile(_NO_FIELDS).query, condition.test)

    def compile(self, fields: Fields) -> Clause:
        return Clause(self.query)

    def uses(self) -> Iterable[Use]:
        return ()


_NO_FIELDS: Final = Fields({})
EVERYTHING: Final = RecordFilter.of(And(()))
NOTHING: Final = RecordFilter.of(Or(()))


def read_filter(given: Json, at: Location, references: References) -> RecordFilter:
    """Parses a filter; raises `BadRequest` with the location."""
    return EVERYTHING if given is None else _FilterReader(references, at).read(given, at, 1)


@dataclass
class _FilterReader:
    references: References
    at: Location
    nodes: int = field(default=0)

    def read(self, given: Json, at: Location, depth: int) -> RecordFilter:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            reject(self.at, f"a filter has at most {MAX_NODES} nodes; this one has {self.nodes} or more")
        if depth > MAX_DEPTH:
            reject(self.at, f"a filter is nested at most {MAX_DEPTH} deep; this one is {depth} or more")
        if not isinstance(given, dict) or len(given) != 1:
            reject(at, f"a filter is an object with one operator, not {keys_of(given)}")
        ((name, operand),) = given.items()
        location = (*at, name)
        match name:
            case "and" | "or":
                if not isinstance(operand, list) or not 1 <= len(operand) <= 99:
                    reject(location, f"an array of 1 to 99 filters is needed, not {counted(operand)}")
                parts = tuple(self.read(each, (*location, number), depth + 1) for number, each in enumerate(operand))
                return RecordFilter.of(And(parts) if name == "and" else Or(parts))
            case "not":
                return RecordFilter.of(Not(self.read(operand, location, depth + 1)))
            case "matchAll":
                if of_object(operand, location, ()) != {}:
                    reject(location, "matchAll takes {}")
                return EVERYTHING
            case "hasData":
                return self._has_data(operand, location)
            case "exists" | "equals" | "in" | "range" | "prefix" | "containsAll" | "containsAny":
                return self._on_property(name, operand, location)
        raise refusal(
            location, f"unknown operator {name!r}{did_you_mean(name, OPERATORS)}; known: {', '.join(OPERATORS)}"
        )

    def _has_data(self, given: Json, at: Location) -> RecordFilter:
        if not isinstance(given, list) or not 1 <= len(given) <= 10:
            reject(at, f"an array of 1 to 10 containers is needed, not {counted(given)}")
        parts = []
        for number, each in enumerate(given):
            location = (*at, number)
            if isinstance(each, dict) and each.get("type") == "view":
                reject(location, VIEWS)
            found = of_object(each, location, ("type", "space", "externalId"), ("type", "space", "externalId"))
            if found["type"] != "container":
                reject((*location, "type"), f"container, not {shown(found['type'])}")
            key = (found["space"], found["externalId"])
            columns = self.references.columns.get(key)
            if columns is None:
                reject(location, f"unknown container {shown(key)}", missing=[{"space": key[0], "externalId": key[1]}])
            parts.append(has_container(tuple(columns.values())))
        return RecordFilter.of(And(tuple(parts)))

    def _on_property(self, name: str, given: Json, at: Location) -> RecordFilter:
        known = {
            "exists": ("property",),
            "equals": ("property", "value"),
            "prefix": ("property", "value"),
            "range": ("property", "gte", "gt", "lte", "lt"),
        }.get(name, ("property", "values"))
        operands = of_object(given, at, known, () if name == "range" else known)
        location = (*at, "property")
        tops = {"equals": (*_IDS, *_TIMES), "in": (*_IDS, *_TIMES), "range": _TIMES, "prefix": _IDS}.get(name, ())
        column = self.references.column(operands.get("property"), location, tops)
        allowed = _LISTS if column.listed else _ALLOWED[column.type]
        if column.listed and column.type == "json":
            allowed = frozenset({"exists"})
        if name not in allowed and not (column.top and name == "prefix"):
            reject(
                location,
                f"the property {'/'.join(filter(None, column.key))} is {column.label}, to which {name} does not apply; "
                f"for {column.label} there are {', '.join(sorted(allowed))}",
            )
        match name:
            case "exists":
                return exists(column)
            case "equals":
                return within(column, [self._operand(column, operands["value"], (*at, "value"))])
            case "prefix":
                return _prefix(column, operands["value"], (*at, "value"))
            case "range":
                return self._range(column, operands, at)
        values = self._operands(column, operands["values"], (*at, "values"))
        return _contains_all(column, values) if name == "containsAll" else within(column, values)

    def _operands(self, column: PropertyColumn, given: Json, at: Location) -> list[Json]:
        if not isinstance(given, list) or not 1 <= len(given) <= 100:
            reject(at, f"an array of 1 to 100 values is needed, not {counted(given)}")
        return [self._operand(column, value, (*at, number)) for number, value in enumerate(given)]

    def _operand(self, column: PropertyColumn, value: Json, at: Location) -> Json:
        if column.top and column.type == "timestamp":
            return time_of(value, at)
        wanted = wrong(column, value, operand=True)
        if wanted is not None:
            reject(at, f"{wanted} is needed for {column.label}, not {shown(value)}")
        return value

    def _range(self, column: PropertyColumn, operands: Mapping[str, Json], at: Location) -> RecordFilter:
        bounds = {name: value for name, value in operands.items() if name != "property"}
        if not bounds:
            reject(at, "at least one of gte, gt, lte, lt is needed")
        for pair in (("gte", "gt"), ("lte", "lt")):
            if bounds.keys() >= set(pair):
                reject(at, f"{pair[0]} and {pair[1]} exclude each other")
        bounds = {name: self._operand(column, value, (*at, name)) for name, value in bounds.items()}
        queries = [bound_of(column, name, value) for name, value in bounds.items()]
        compared = {name: canonical(column, value) for name, value in bounds.items()}

        def test(record: Record) -> bool:
            return any(
                all(COMPARE[name](canonical(column, value), bound) for name, bound in compared.items())
                for value in column.values(record)
            )

        query: Query = dsl.filtered(*queries) if len(queries) > 1 else queries[0]
        return RecordFilter(query, test)


def within(column: PropertyColumn, values: list[Json]) -> RecordFilter:
    """The property's value, or an element of its list, is one of these."""
    terms = [term for value in values if (term := _term(column, value)) is not None]
    wanted = {canonical(column, value) for value in values}

    def test(record: Record) -> bool:
        return any(canonical(column, value) in wanted for value in column.values(record))

    if not terms:
        return RecordFilter(MATCH_NONE, test)
    return RecordFilter(dsl.terms(column.field, terms) if len(terms) > 1 else dsl.term(column.field, terms[0]), test)


def _contains_all(column: PropertyColumn, values: list[Json]) -> RecordFilter:
    """A hundred filters of a hundred values exceed Lucene's clause limit: the first few search, a script checks."""
    first = RecordFilter.of(And(tuple(within(column, [value]) for value in values[:_CLAUSES])))
    if len(values) <= _CLAUSES:
        return first
    terms = [_term(column, value) for value in values]
    if any(term is None for term in terms):
        return NOTHING
    if column.type in ("timestamp", "date"):
        terms = [instant(value) for value in values]
    script = {"source": _ALL_OF[column.type], "params": {"f": column.field, "values": terms}}
    wanted = {canonical(column, value) for value in values}

    def test(record: Record) -> bool:
        return wanted <= {canonical(column, value) for value in column.values(record)}

    return RecordFilter(dsl.filtered(first.query, {"script": {"script": script}}), test)


def time_of(value: Json, at: Location) -> int:
    """Epoch milliseconds of a top-level time: an integer or ISO-8601."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    millis = timestamp(value) if isinstance(value, str) and len(value) > 10 else None
    if millis is None:
        reject(at, f"epoch milliseconds or an ISO-8601 time is needed, not {shown(value)}")
    return millis


def exists(column: PropertyColumn) -> RecordFilter:
    query: Query = dsl.exists(column.field)
    if column.type == "json":
        query = dsl.term(HAS, column.field)
    return RecordFilter(query, lambda record: bool(column.values(record)))


def has_container(columns: tuple[PropertyColumn, ...]) -> RecordFilter:
    token = container_token(columns[0])
    return RecordFilter(dsl.term(HAS, token), lambda record: any(column.values(record) for column in columns))


def container_token(column: PropertyColumn) -> str:
    """The token for a column's container."""
    token = "/".join(column.key[:2])
    return token if column.generation == 1 else f"{token}@{column.generation}"


def canonical(column: PropertyColumn, value: Json) -> Any:
    """A form that is equal for equal values and sorts in value order."""
    match column.type:
        case "timestamp" | "date":
            return instant(value)
        case "float32" | "float64":
            return float(value)
        case "direct":
            return (value["space"], value["externalId"])
        case "json":
            return identity(value)
    return value


def _term(column: PropertyColumn, value: Json) -> Json:
    """The term, None for a value that no record can have."""
    if column.type in ("timestamp", "date"):
        return _time_term(instant(value))
    if column.type in INTEGERS:
        low, high = (-INT32, INT32 - 1) if column.type == "int32" else (LONG_MIN, LONG_MAX)
        integral = isinstance(value, int) or value.is_integer()
        return int(value) if integral and low <= value <= high else None
    return column.indexed(value)


def _time_term(millis: int) -> str | None:
    try:
        return index_date(millis)
    except OverflowError:
        return None


def bound_of(column: PropertyColumn, name: str, value: Json) -> Query:
    """One side of a range, clamped to the field's value range."""
    if column.type in ("timestamp", "date"):
        text = _time_term(instant(value))
        if text is None:
            return MATCH_ALL if (instant(value) < 0) == (name in ("gt", "gte")) else MATCH_NONE
        return dsl.in_range(column.field, **{name: text})
    bound = number_bound(name, value, "long" if column.type in INTEGERS else "double")
    if bound is not None and column.type == "int32":
        ((side, limit),) = bound.items()
        if limit > INT32 - 1:
            bound = None if side == "gte" else {"lte": INT32 - 1}
        elif limit < -INT32:
            bound = None if side == "lte" else {"gte": -INT32}
    return MATCH_NONE if bound is None else dsl.in_range(column.field, **bound)


def _prefix(column: PropertyColumn, value: Json, at: Location) -> RecordFilter:
    if not isinstance(value, str) or not 1 <= len(value) <= 500:
        reject(at, f"a string of 1 to 500 characters is needed, not {measured(value)}")
    return RecordFilter(
        {"prefix": {column.field: {"value": value}}},
        lambda record: any(each.startswith(value) for each in column.values(record)),
    )


def updated_within(
    given: Json, at: Location, *, widest: int | None, needed: bool, now: int
) -> tuple[int | None, int | None]:
    """The bounds of `lastUpdatedTime` as [from, to) in epoch milliseconds; `widest`: of the span (milliseconds)."""
    if given is None:
        if needed:
            reject(at, "lastUpdatedTime is mandatory for immutable streams: give gt or gte")
        return None, None
    bounds = of_object(given, at, ("gt", "gte", "lt", "lte"))
    for pair in (("gte", "gt"), ("lte", "lt")):
        if bounds.keys() >= set(pair):
            reject(at, f"{pair[0]} and {pair[1]} exclude each other")
    if not bounds.keys() & {"gt", "gte"}:
        reject(at, "a lower bound is needed: gt or gte")
    times = {name: time_of(value, (*at, name)) for name, value in bounds.items()}
    low = times["gte"] if "gte" in times else times["gt"] + 1
    high = times["lt"] if "lt" in times else times["lte"] + 1 if "lte" in times else None
    end = (times.get("lt") or times.get("lte") or now) if high is not None else now
    span = end - (times["gte"] if "gte" in times else times["gt"])
    if widest is not None and span > widest:
        days = widest // 86_400_000
        reject(at, f"spans {span:,} ms; this stream can be asked for at most P{days}D at once: make several requests")
    return low, high


def between(low: int | None, high: int | None) -> list[Query]:
    bounds = {}
    if low is not None:
        bounds["gte"] = min(max(low, _EARLIEST), _LATEST)
    if high is not None:
        bounds["lt"] = min(max(high, _EARLIEST), _LATEST)
    texts = {name: index_date(value) for name, value in bounds.items()}
    return [dsl.in_range(TOP["lastUpdatedTime"].field, **texts)] if texts else []


_EARLIEST: Final = -62_135_596_800_000
_LATEST: Final = 253_402_300_799_999
