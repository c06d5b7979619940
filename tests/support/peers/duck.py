"""DuckDB: a table with a column for each scalar path, GROUP BY, UNNEST, HAVING, ORDER BY.

A value is a STRUCT of its type's place in BSON's order, its number and its text, so that values of several types lie in
one column, apart and in order. Numbers are DECIMAL(38, 3), which holds every number of the data exactly.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

import duckdb

from tests.support.oracle.paths import split

from . import LeftOut, descending, order_column

Json: TypeAlias = Any

DATES: Final = ("metadata.when", "shot_at", "created_at")
COLUMNS: Final = (
    *DATES,
    "metadata.kind",
    "metadata.score",
    "metadata.price",
    "metadata.flag",
    "metadata.mixed",
    "metadata.deep.level",
    "metadata.absent",
    "metadata.big",
    "metadata.long",
    "metadata.words",
    "status",
    "key_prefix",
    "rank",
    "label",
)
"""Paths that hold scalars only."""

ELEMENTS: Final[Mapping[str, Sequence[str]]] = {
    "blobs": ("type", "metadata.lang", "metadata.size"),
    "metadata.items": ("sku", "qty", "tags"),
    "metadata.tags": (),
    "metadata.kind": (),
    "metadata.absent": (),
}
"""Paths that are unwound, and the scalars (of `tags`: the array) in each element."""

VALUE: Final = {"rank": "TINYINT", "num": "DECIMAL(38,3)", "txt": "VARCHAR"}
WEEKDAYS: Final = ("monday", "sunday", "saturday", "friday", "thursday", "wednesday", "tuesday")
"""By the days that a week starts before Monday."""

PARTS: Final = {"isoYear": "isoyear", "dayOfWeek": "dow", "dayOfYear": "doy"}
COMPARISONS: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "eq": "=", "ne": "<>"}
FUNCTIONS: Final = {
    "sum": "coalesce(sum({n}), 0)",
    "avg": "avg({n}::DOUBLE)",
    "median": "median({n}::DOUBLE)",
    "percentile": "quantile_cont({n}::DOUBLE, {share})",
    "stddev": "stddev_pop({n}::DOUBLE)",
    "stddev_samp": "stddev_samp({n}::DOUBLE)",
    "variance": "var_pop({n}::DOUBLE)",
    "variance_samp": "var_samp({n}::DOUBLE)",
}
FLOATING: Final = frozenset(FUNCTIONS) - {"sum"}
_NOTHING: Final = object()


def _at(thing: Json, path: str) -> Json:
    """A plain path through objects."""
    for name in split(path):
        if not isinstance(thing, dict) or name not in thing:
            return _NOTHING
        thing = thing[name]
    return thing


def _cell(value: Json) -> Json:
    """A scalar as a STRUCT: rank 0 is null, NULL is missing."""
    match value:
        case None:
            return {"rank": 0, "num": "0", "txt": ""}
        case bool():
            return {"rank": 5, "num": str(int(value)), "txt": ""}
        case int() | float():
            return {"rank": 1, "num": str(Decimal(value)), "txt": ""}
        case str():
            return {"rank": 2, "num": "0", "txt": value}
    return None


def _cells(value: Json) -> list[Json]:
    """What unwind makes of a value: a scalar counts as one element; missing, null and [] give nothing."""
    if value is _NOTHING or value is None:
        return []
    return [_cell(item) for item in (value if isinstance(value, list) else [value])]


def _element(path: str, value: Json) -> Json:
    """An element as a STRUCT of its scalars."""
    fields = ELEMENTS[path]
    if not fields:
        return _cell(value)
    found = {name: _at(value, name) for name in fields}
    return {_column(name): _cells(item) if name == "tags" else _cell(item) for name, item in found.items()}


def _column(path: str) -> str:
    return path.replace(".", "_")


def _quoted(path: str) -> str:
    return f'"{_column(path)}"'


def _date(value: str) -> str:
    """The instant of a text by DuckDB's own parser, which would also take `24-01-01` for a date."""
    return (
        rf"(CASE WHEN regexp_matches({value}.txt, '^\d{{4}}-\d\d-\d\d') THEN "
        f"date_trunc('millisecond', TRY_CAST({value}.txt AS TIMESTAMPTZ)) END)"
    )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


STRUCTURE: Final[dict[str, Json]] = {
    **{_column(path): VALUE for path in COLUMNS},
    **{
        f"all_{_column(path)}": [{_column(name): [VALUE] if name == "tags" else VALUE for name in fields} or VALUE]
        for path, fields in ELEMENTS.items()
    },
}
"""The table's columns."""


def _constant(value: Json) -> str:
    cell = _cell(value)
    if cell is None:
        raise LeftOut("DuckDB: arrays and objects as values")
    return f"{{'rank': {cell['rank']}::TINYINT, 'num': {cell['num']}::DECIMAL(38, 3), 'txt': {_text(cell['txt'])}}}"


class Duck:
    """A table in DuckDB; `arrival` numbers the objects."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, objects: Sequence[Json]) -> None:
        self.connection = connection
        self.objects = objects
        self.unwound: str | None = None
        connection.execute("SET TimeZone = 'UTC'")
        things = json.dumps([{"arrival": number, **dict(self._row(thing))} for number, thing in enumerate(objects)])
        dates = ", ".join(f'{_date(_quoted(path))} AS "date_{_column(path)}"' for path in DATES)
        structure = json.dumps([{"arrival": "INTEGER", **STRUCTURE}])
        connection.execute(
            f"CREATE OR REPLACE TABLE objects AS SELECT *, {dates} FROM "
            f"(SELECT unnest(from_json(?::JSON, {_text(structure)}), max_depth := 2))",
            [things],
        )

    def _row(self, thing: Json) -> Iterator[tuple[str, Json]]:
        for path in COLUMNS:
            yield _column(path), _cell(_at(thing, path))
        for path in ELEMENTS:
            found = _at(thing, path)
            elements = [] if found is _NOTHING or found is None else found if isinstance(found, list) else [found]
            yield f"all_{_column(path)}", [_element(path, item) for item in elements]

    # What is compared

    def begin(self) -> None:
        """Another request."""
        self.unwound = None

    def unwind(self, path: str) -> None:
        if path not in (*ELEMENTS, "metadata.items.tags"):
            raise LeftOut("DuckDB: arrays and objects as values")
        self.unwound = path

    def filters(self, filters: Json) -> None:
        self._filter(filters)

    def key(self, entry: Json) -> None:
        self._value(entry["field"])
        if entry.get("date_trunc") or entry.get("date_part"):
            self._dated(entry)

    def ranges(self, entry: Json) -> None:
        self._value(entry["field"])

    def metric(self, entry: Json) -> None:
        if entry["function"] == "count" and "field" not in entry:
            return
        path = entry.get("distinct_field") or entry["field"]
        self._value(path)
        if entry["function"] in FLOATING and path == "metadata.big":
            raise LeftOut("both: integers beyond 2^53 in doubles")

    def having(self, condition: Json, metric: Json) -> None:
        if metric["function"] not in ("count", "sum", "avg", "count_distinct", "median"):
            raise LeftOut("DuckDB: one type in a comparison")
        if isinstance(condition["value"], str):
            raise LeftOut("DuckDB: one type in a comparison")

    def order(self, spec: Json) -> None:
        """Every order can be compared: a struct sorts by rank, number, text."""

    # The request in SQL

    def rows(self, spec: Json) -> list[Json]:
        keys = [self._key(entry) for entry in spec["group_by"]]
        keys += [self._range(entry) for entry in spec.get("range_buckets", [])]
        metrics = [self._metric(entry) for entry in spec["aggregations"]]
        where = self._filter(spec["filters"]) if spec.get("filters") else "true"
        inner = ", ".join(f"{key} AS k{place}" for place, key in enumerate(keys))
        outer = ", ".join([f"k{place}" for place in range(len(keys))] + [f"{m} AS m{i}" for i, m in enumerate(metrics)])
        names = [f"k{place}" for place in range(len(keys))]
        places = {entry["alias"]: place for place, entry in enumerate(spec["aggregations"])}
        having = [_having(metrics[places[each["field"]]], each) for each in spec["having"]]
        first: list[str] = []
        if column := order_column(spec):
            direction = "DESC NULLS LAST" if descending(spec) else "ASC NULLS FIRST"
            first = [f"{column[0][0]}{column[1]} {direction}"]
        order = ", ".join([*first, *(f"{name} ASC NULLS FIRST" for name in names)])
        query = (
            f"SELECT {outer} FROM (SELECT *, {inner} FROM ({self._source(where)})) GROUP BY {', '.join(names)}"
            + (f" HAVING {' AND '.join(having)}" if having else "")
            + f" ORDER BY {order}"
            + (f" LIMIT {spec['limit']}" if spec.get("limit") else "")
        )
        entries = [*spec["group_by"], *spec.get("range_buckets", [])]
        aliases = [entry.get("alias") or entry["field"] for entry in entries]
        readers = [_label if "boundaries" in entry else _json for entry in entries]
        return [
            {
                "group": {
                    alias: read(row[place]) for place, (alias, read) in enumerate(zip(aliases, readers, strict=True))
                },
                "metrics": {
                    entry["alias"]: _json(row[len(keys) + place]) for place, entry in enumerate(spec["aggregations"])
                },
            }
            for row in self.connection.execute(query).fetchall()
        ]

    def _source(self, where: str) -> str:
        """The rows that are grouped: objects, or their elements; `place` keeps the order of a metric's values."""
        if self.unwound is None:
            return f"SELECT *, 0 AS place FROM objects WHERE {where}"
        path = "metadata.items" if self.unwound == "metadata.items.tags" else self.unwound
        name = f'"all_{_column(path)}"'
        source = f"SELECT *, unnest({name}) AS e, generate_subscripts({name}, 1) AS place FROM objects WHERE {where}"
        if self.unwound == path:
            return source
        deeper = "unnest(e.tags) AS d, place * 1000 + generate_subscripts(e.tags, 1) AS place"
        return f"SELECT * EXCLUDE (place), {deeper} FROM ({source})"

    def _value(self, path: str) -> str:
        """The column or, after unwind, the element's field."""
        if self.unwound == "metadata.items.tags" and path == "metadata.items.tags":
            return "d"
        above = "metadata.items" if self.unwound == "metadata.items.tags" else self.unwound
        if above is not None and path == above and not ELEMENTS[above]:
            return "e"
        if above is not None and path.startswith(above + "."):
            name = path.removeprefix(above + ".")
            if name in ELEMENTS[above] and name != "tags":
                return f'e."{_column(name)}"'
        if path not in COLUMNS:
            raise LeftOut("DuckDB: arrays and objects as values")
        return f'"{_column(path)}"'

    def _key(self, entry: Json) -> str:
        if entry.get("date_trunc") or entry.get("date_part"):
            return self._dated(entry)
        value = self._value(entry["field"])
        # Null and missing are one group.
        return f"CASE WHEN coalesce({value}.rank, 0) > 0 THEN {value} END"

    def _dated(self, entry: Json) -> str:
        if entry["field"] not in DATES:
            raise LeftOut("DuckDB: arrays and objects as values")
        date = f'"date_{_column(entry["field"])}"'
        if not self.connection.execute(f"SELECT count({date}) FROM objects").fetchall()[0][0]:
            raise LeftOut("both: a key without any date")
        zone = _text(entry.get("time_zone") or "UTC")
        local = f"timezone({zone}, {date})"
        if entry.get("date_part"):
            unit = entry["date_part"]
            part = f"date_part('{PARTS.get(unit, unit)}', {local})"
            return f"{part} + 1" if unit == "dayOfWeek" else part
        unit = entry["date_trunc"]
        if unit in ("hour", "minute", "second"):
            # What has passed of the unit by the local clock is taken off the instant: the hour that a clock shows
            # twice stays two hours.
            start = f"{date} - ({local} - date_trunc('{unit}', {local}))"
        else:
            days = WEEKDAYS.index(entry.get("start_of_week") or "sunday") if unit == "week" else 0
            shift = f"INTERVAL {days} DAY"
            start = f"timezone({zone}, date_trunc('{unit}', {local} + {shift}) - {shift})"
        offset = f"epoch(timezone({zone}, {start}) - timezone('UTC', {start}))"
        return f"CASE WHEN {date} IS NOT NULL THEN {{'ms': epoch_ms({start}), 'offset': {offset}::INTEGER}} END"

    def _range(self, entry: Json) -> str:
        """{rank, label}: "ranges are (lo, hi], the first inner one also takes its lower boundary"."""
        value, bounds, default = self._value(entry["field"]), entry["boundaries"], entry.get("default_bucket")
        labels = [json.dumps(int(bound) if float(bound).is_integer() else bound) for bound in bounds]
        ends = [bounds[0]] if len(bounds) == 1 else []
        inner = [
            (f"n {'>=' if place == 0 else '>'} {low} AND n <= {high}", f"{labels[place]}-{labels[place + 1]}")
            for place, (low, high) in enumerate(zip(bounds, bounds[1:], strict=False))
        ]
        below = (f"n {'<=' if ends else '<'} {bounds[0]}", default or f"<{labels[0]}")
        above = (f"n > {bounds[-1]}", default or f">{labels[-1]}")
        number = f"CASE WHEN {value}.rank = 1 THEN {value}.num END"
        cases = " ".join(
            f"WHEN {test.replace('n ', f'({number}) ')} THEN "
            f"{{'place': {99 if label == default else place}, 'label': {_text(label)}}}"
            for place, (test, label) in enumerate([below, *inner, above])
        )
        rest = f"{{'place': 99, 'label': {_text(default)}}}" if default else "NULL"
        return f"CASE {cases} ELSE {rest} END"

    def _metric(self, entry: Json) -> str:
        function = entry["function"]
        if function == "count" and "field" not in entry:
            return "count(*)"
        value = self._value(entry.get("distinct_field") or entry["field"])
        number = f"CASE WHEN {value}.rank = 1 THEN {value}.num END"
        order = "arrival, place"
        if function in FUNCTIONS:
            share = entry.get("percent", 0) / 100
            return FUNCTIONS[function].format(n=f"({number})", share=share)
        match function:
            case "min" | "max":
                # A number is below any date, as in BSON.
                path = entry["field"]
                date = f'"date_{_column(path)}"' if path in DATES else _date(value)
                found = f"CASE WHEN {value}.rank = 1 OR {date} IS NOT NULL THEN "
                whole = f"{{'rank': {value}.rank, 'num': ({number}), 'ms': epoch_ms({date})}}"
                return f"{function}({found}{whole} END)"
            case "count":
                return f"count(CASE WHEN {value}.rank > 0 THEN 1 END)"
            case "count_distinct":
                return f"count(DISTINCT CASE WHEN {value}.rank > 0 THEN {value} END)"
            case "first" | "last":
                direction = order if function == "first" else "arrival DESC, place DESC"
                edge = f"first({value} ORDER BY {direction})"
                return f"CASE WHEN {edge}.rank > 0 THEN {edge} END"
            case "push":
                return f"coalesce(list({value} ORDER BY {order}) FILTER (WHERE {value} IS NOT NULL), [])"
            case _:
                return f"coalesce(list_sort(list(DISTINCT {value}) FILTER (WHERE {value} IS NOT NULL)), [])"

    # Filters

    def _filter(self, filters: Json) -> str:
        if isinstance(filters.get("field"), str):
            return self._condition(filters)
        parts: list[str] = []
        for key, value in filters.items():
            inner = [f"({self._filter(item)})" for item in value] if isinstance(value, list) else []
            match key:
                case "case_sensitive":
                    if not value:
                        raise LeftOut("both: filters that fold case")
                case "$and" | "AND":
                    parts.append(" AND ".join(inner))
                case "$or" | "OR":
                    parts.append(f"({' OR '.join(inner)})")
                case "$nor" | "NOT":
                    parts.append(f"NOT ({' OR '.join(inner)})")
                case _:
                    parts.append(self._tests(key, value))
        return " AND ".join(parts) or "true"

    def _condition(self, condition: Json) -> str:
        path, name, operand = condition["field"], condition.get("operator", "eq"), condition.get("value")
        if split(path)[0] not in ("metadata", "status", "created_at"):
            raise LeftOut("both: the list form's lookup under metadata")
        if name in ("phrase", "words"):
            raise LeftOut("both: phrase and words")
        renamed = {"starts_with": "startsWith", "ends_with": "endsWith"}
        if name in ("exists", "is_null"):
            operand = condition.get("value", True)
        if name == "is_null":
            return self._tests(path, {"$eq" if operand else "$ne": None})
        return self._tests(path, {f"${renamed.get(name, name)}": operand})

    def _tests(self, path: str, test: Json) -> str:
        if path == "status":
            raise LeftOut("both: filters that fold case")
        if path not in COLUMNS:
            raise LeftOut("DuckDB: arrays and objects as values")
        if not isinstance(test, dict) or not any(key.startswith("$") for key in test):
            test = {"$eq": test}
        parts = [self._test(path, key, operand, test) for key, operand in test.items() if key != "$options"]
        return " AND ".join(f"coalesce({part}, false)" for part in parts)

    def _test(self, path: str, key: str, operand: Json, beside: Json) -> str:
        value = f'objects."{_column(path)}"'
        text = f"CASE WHEN {value}.rank = 2 THEN {value}.txt END"
        match key:
            case "$eq":
                return self._equal(path, value, operand)
            case "$ne":
                return f"NOT coalesce({self._equal(path, value, operand)}, false)"
            case "$in" | "$nin":
                tests = " OR ".join(f"coalesce({self._equal(path, value, item)}, false)" for item in operand)
                return f"({tests})" if key == "$in" else f"NOT ({tests})"
            case "$mod":
                divisor, remainder = operand
                return f"({value}.rank = 1 AND trunc({value}.num) % {divisor} = {remainder})"
            case "$all":
                return " AND ".join(f"coalesce({self._equal(path, value, item)}, false)" for item in operand)
            case "$exists":
                return f"{value} IS {'NOT ' if operand else ''}NULL"
            case "$not":
                return f"NOT ({self._tests(path, operand)})"
            case "$gt" | "$gte" | "$lt" | "$lte":
                return _range_test(value, text, COMPARISONS[key[1:]], operand)
            case "$contains" | "$startsWith" | "$endsWith" | "$text" | "$regex" if isinstance(operand, str):
                function = {"$startsWith": "starts_with", "$endsWith": "ends_with"}.get(key, "contains")
                if key == "$regex":
                    flags = f"(?{beside['$options']})" if beside.get("$options") else ""
                    return f"regexp_matches({text}, {_text(flags + operand)})"
                if key == "$text":
                    return f"contains(lower({text}), lower({_text(operand)}))"
                return f"{function}({text}, {_text(operand)})"
        raise LeftOut("DuckDB: arrays and objects as values")

    def _equal(self, path: str, value: str, operand: Json) -> str:
        if operand is None:
            return f"coalesce({value}.rank, 0) = 0"
        same = f"{value} = {_constant(operand)}"
        if isinstance(operand, str) and path in ("shot_at", "created_at"):
            # A date field by its schema: two spellings of one instant are equal.
            return f'(coalesce({same}, false) OR "date_{_column(path)}" = {_date(_constant(operand))})'
        return same


def _range_test(value: str, text: str, comparison: str, operand: Json) -> str:
    """Within one type; ISO dates by instant, other texts by code point."""
    match operand:
        case None:
            return f"coalesce({value}.rank, 0) = 0" if comparison in (">=", "<=") else "false"
        case bool():
            return f"{value}.rank = 5 AND {value}.num {comparison} {int(operand)}"
        case int() | float():
            return f"{value}.rank = 1 AND {value}.num {comparison} {Decimal(operand)}::DECIMAL(38, 3)"
        case str():
            mine, theirs = _date(value), _date(_constant(operand))
            return (
                f"CASE WHEN {mine} IS NOT NULL AND {theirs} IS NOT NULL THEN {mine} {comparison} {theirs} "
                f"ELSE {text} {comparison} {_text(operand)} END"
            )
    raise LeftOut("DuckDB: arrays and objects as values")


def _having(metric: str, condition: Json) -> str:
    """A null metric satisfies only `ne` and `eq null` (contract, HavingCondition)."""
    name, value = condition["operator"], condition["value"]
    if value is None:
        return {"eq": f"{metric} IS NULL", "ne": f"{metric} IS NOT NULL"}.get(name, "false")
    test = f"{metric} {COMPARISONS[name]} {value}"
    return f"({test} OR {metric} IS NULL)" if name == "ne" else test


def _json(value: Json) -> Json:
    """A cell of an answer as JSON."""
    match value:
        case dict() if "offset" in value:
            return {"ms": value["ms"], "offset": value["offset"]}
        case dict() if "ms" in value:
            return _number(value["num"]) if value["rank"] == 1 else {"ms": value["ms"], "offset": 0}
        case dict():
            kinds: dict[int, Callable[[], Json]] = {
                0: lambda: None,
                1: lambda: _number(value["num"]),
                2: lambda: value["txt"],
                5: lambda: value["num"] == 1,
            }
            return kinds[value["rank"]]()
        case list():
            return [_json(item) for item in value]
        case Decimal() | float():
            return _number(value)
    return value


def _label(value: Json) -> Json:
    return None if value is None else value["label"]


def _number(value: Decimal | float) -> int | float:
    return int(value) if value == int(value) else float(value)


def instants(rows: Sequence[Json], spec: Json) -> list[Json]:
    """The oracle's rows with the dates that it made as DuckDB gives them: milliseconds and the zone's offset."""
    dated = {entry.get("alias") or entry["field"] for entry in spec["group_by"] if entry.get("date_trunc")}
    extremes = {entry["alias"] for entry in spec["aggregations"] if entry["function"] in ("min", "max")}
    return [
        {
            "group": {name: _instant(value) if name in dated else value for name, value in row["group"].items()},
            "metrics": {name: _instant(value) if name in extremes else value for name, value in row["metrics"].items()},
        }
        for row in rows
    ]


def _instant(value: Json) -> Json:
    if not isinstance(value, str):
        return value
    moment = datetime.fromisoformat(value)
    offset = moment.utcoffset()
    assert offset is not None
    naive = moment.replace(tzinfo=None) - offset
    milliseconds = (naive - datetime(1970, 1, 1)).total_seconds() * 1000
    return {"ms": round(milliseconds), "offset": int(offset.total_seconds())}
