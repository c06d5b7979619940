"""mongomock, whose pipeline is MongoDB's: $match, $unwind, $group, $match, $sort, $limit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import mongomock
from mongomock.filtering import BsonComparable

from tests.support.oracle.paths import leaves, look_up, split, unwind
from tests.support.oracle.values import MISSING, is_number

from . import LeftOut, descending, order_column

Json: TypeAlias = Any

DATES: Final = {"metadata.when": "when_", "shot_at": "shot_", "created_at": "made_"}
"""Paths of dates, and the root fields that hold them as BSON dates beside the strings."""

PARTS: Final = {
    "year": "$year",
    "month": "$month",
    "day": "$dayOfMonth",
    "dayOfWeek": "$dayOfWeek",
    "dayOfYear": "$dayOfYear",
    "hour": "$hour",
    "minute": "$minute",
    "second": "$second",
}
RANGES: Final = ("gt", "gte", "lt", "lte")
SAFE: Final = 2**53


def as_date(value: Json) -> datetime | None:
    """A BSON date (no zone, UTC) by Python's own ISO-8601 parser."""
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\d", value):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _document(value: Json) -> Json:
    """As it is stored: fields in one order, without the names that MongoDB cannot address."""
    if isinstance(value, dict):
        return {name: _document(value[name]) for name in sorted(value) if not re.search(r"[.$]", name)}
    return [_document(item) for item in value] if isinstance(value, list) else value


def _scalars(value: Json) -> Iterator[Json]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _scalars(item)
    else:
        yield value


def _mixes(values: Sequence[Json]) -> bool:
    """Booleans beside numbers, at any depth: Python's own equality."""
    found = list(_scalars(list(values)))
    return any(isinstance(value, bool) for value in found) and any(map(is_number, found))


def _straight(value: Json, names: tuple[str, ...], arrays: int = 1) -> bool:
    """Objects lead to the end, through one array at most whose elements all have the field."""
    if not names or (isinstance(value, dict) and names[0] not in value):
        return not names or arrays == 1
    if isinstance(value, dict):
        return _straight(value[names[0]], names[1:], arrays)
    if isinstance(value, list):
        return arrays == 1 and all(isinstance(item, dict) and _straight(item, names, 0) for item in value)
    return arrays == 1


def _broken(value: Json, names: tuple[str, ...]) -> bool:
    """The path goes on below something that is there and is neither object nor array."""
    if not names:
        return False
    if isinstance(value, dict):
        return names[0] in value and _broken(value[names[0]], names[1:])
    if isinstance(value, list):
        return any(isinstance(item, dict) and _broken(item, names) for item in value)
    return True


class Mongo:
    """A collection of mongomock; its insertion order is the order of arrival."""

    def __init__(self, objects: Sequence[Json]) -> None:
        self.objects = objects
        self.elements = list(objects)
        self.match: Json = None
        documents = []
        for number, thing in enumerate(objects):
            dates = {name: as_date(look_up(thing, split(path))) for path, name in DATES.items()}
            present = {name: date for name, date in dates.items() if date is not None}
            documents.append({"_id": number, **_document(thing), **present})
        self.collection = mongomock.MongoClient().peers.objects
        if documents:
            self.collection.insert_many(documents)

    # What is compared

    def begin(self) -> None:
        """Another request."""
        self.elements = list(self.objects)
        self.match = None

    def unwind(self, path: str) -> None:
        self._names(path)
        self.elements = [element for thing in self.objects for element in unwind(thing, split(path))]

    def filters(self, filters: Json) -> None:
        self.match = self._filter(filters)

    def key(self, entry: Json) -> None:
        if entry.get("date_trunc"):
            raise LeftOut("mongomock: no $dateTrunc")
        if entry.get("date_part"):
            if entry["date_part"] not in PARTS:
                raise LeftOut("mongomock: no ISO weeks, no quarters")
            dates = [as_date(value) for value in self._values(entry["field"])]
            if not any(dates):
                raise LeftOut("both: a key without any date")
            years = [date.year for date in dates if date is not None]
            if "time_zone" in entry and (min(years) < 1902 or max(years) > 2036):
                raise LeftOut("mongomock: time zones end in 2037")
        else:
            values = self._values(entry["field"])
            if _mixes(values):
                raise LeftOut("mongomock: 1 is true")

    def ranges(self, entry: Json) -> None:
        raise LeftOut("mongomock: no range_buckets")

    def metric(self, entry: Json) -> None:
        function = entry["function"]
        if function in ("median", "percentile") or function.startswith(("stddev", "variance")):
            raise LeftOut("mongomock: no $median, $percentile, $stdDev…")
        if function == "count" and "field" not in entry:
            return
        values = self._values(entry.get("distinct_field") or entry["field"])
        numbers = [value for value in values if is_number(value)]
        if function in ("min", "max") and any(isinstance(value, str) for value in values):
            dated = (entry.get("field") in DATES) and not numbers
            if not dated:
                raise LeftOut("MongoDB: min and max over every type")
        if function in ("sum", "avg") and any(isinstance(value, int) and abs(value) >= SAFE for value in numbers):
            raise LeftOut("both: integers beyond 2^53 in doubles")
        if function in ("count_distinct", "add_to_set") and _mixes(values):
            raise LeftOut("mongomock: 1 is true")

    def having(self, condition: Json, metric: Json) -> None:
        value = condition["value"]
        if metric["function"] not in ("count", "sum", "avg", "min", "max", "count_distinct"):
            raise LeftOut("MongoDB: $match looks into arrays and compares dates with dates only")
        dates = metric["function"] in ("min", "max") and metric["field"] in DATES
        if isinstance(value, str) or dates:
            raise LeftOut("MongoDB: $match looks into arrays and compares dates with dates only")
        if value is None and condition["operator"] in RANGES:
            raise LeftOut("MongoDB: null is a bound")

    def order(self, spec: Json) -> None:
        fields = [entry["field"] for entry in spec["group_by"]]
        column = order_column(spec)
        if column and column[0] == "metric":
            operation = spec["aggregations"][column[1]]
            if operation["function"] in ("push", "add_to_set"):
                raise LeftOut("MongoDB: arrays sort by their elements")
            if operation["function"] in ("first", "last"):
                fields.append(operation["field"])
        if any(isinstance(value, list) for field in fields for value in self._values(field)):
            raise LeftOut("MongoDB: arrays sort by their elements")

    # The request as a pipeline

    def rows(self, spec: Json) -> list[Json]:
        keys, operations = spec["group_by"], spec["aggregations"]
        pipeline: list[Json] = []
        if self.match is not None:
            pipeline.append({"$match": self.match})
        if spec.get("unwind"):
            names = spec["unwind"].split(".")
            pipeline += [{"$unwind": "$" + ".".join(names[:end])} for end in range(1, len(names) + 1)]
        group = {f"m{place}": self._accumulator(entry) for place, entry in enumerate(operations)}
        pipeline.append(
            {"$group": {"_id": {f"k{place}": self._key(entry) for place, entry in enumerate(keys)}, **group}}
        )
        counted = {
            f"m{place}": {"$size": {"$filter": {"input": f"$m{place}", "cond": {"$gt": ["$$this.v", None]}}}}
            for place, entry in enumerate(operations)
            if entry["function"] == "count_distinct"
        }
        if counted:
            pipeline.append({"$addFields": counted})
        places = {entry["alias"]: f"m{place}" for place, entry in enumerate(operations)}
        for condition in spec["having"]:
            test = {places[condition["field"]]: {f"${condition['operator']}": condition["value"]}}
            pipeline.append({"$match": test})
        sort: dict[str, int] = {}
        if column := order_column(spec):
            name = f"_id.k{column[1]}" if column[0] == "key" else f"m{column[1]}"
            sort[name] = -1 if descending(spec) else 1
        for place in range(len(keys)):
            sort.setdefault(f"_id.k{place}", 1)
        pipeline.append({"$sort": sort})
        if spec.get("limit"):
            pipeline.append({"$limit": spec["limit"]})
        aliases = [entry.get("alias") or entry["field"] for entry in keys]
        return [
            {
                "group": {alias: _plain(row["_id"][f"k{place}"]) for place, alias in enumerate(aliases)},
                "metrics": {entry["alias"]: _metric(entry, row[f"m{place}"]) for place, entry in enumerate(operations)},
            }
            for row in self.collection.aggregate(pipeline)
        ]

    def _key(self, entry: Json) -> Json:
        # $ifNull merges null and missing, as the contract does.
        if not entry.get("date_part"):
            return {"$ifNull": [f"${entry['field']}", None]}
        date: Json = f"${DATES[entry['field']]}"
        if entry.get("time_zone"):
            date = {"date": date, "timezone": entry["time_zone"]}
        return {"$ifNull": [{PARTS[entry["date_part"]]: date}, None]}

    def _accumulator(self, entry: Json) -> Json:
        function = entry["function"]
        if function == "count" and "field" not in entry:
            return {"$sum": 1}
        path = entry.get("distinct_field") or entry["field"]
        value = f"${path}"
        if function == "count":
            return {"$sum": {"$cond": [{"$ne": [{"$ifNull": [value, None]}, None]}, 1, 0]}}
        if function in ("min", "max") and path in DATES:
            return {f"${function}": f"${DATES[path]}"}
        if function in ("sum", "avg", "min", "max"):
            # mongomock's $isNumber has no answer for a missing field.
            value_or_null = {"$ifNull": [value, None]}
            return {f"${function}": {"$cond": [{"$isNumber": value_or_null}, value_or_null, None]}}
        if function in ("first", "last"):
            return {f"${function}": {"$ifNull": [value, None]}}
        # mongomock's $addToSet makes null of 0, "" and false, so the value lies in an object.
        return {"$push" if function == "push" else "$addToSet": {"v": value}}

    def _values(self, path: str) -> list[Json]:
        """What the path gives; raises `LeftOut` for a path that mongomock follows wrongly."""
        names = self._names(path)
        if not all(_straight(element, names) for element in self.elements):
            raise LeftOut("mongomock: paths through arrays")
        return [value for element in self.elements if (value := look_up(element, names)) is not MISSING]

    def _names(self, path: str) -> tuple[str, ...]:
        names = split(path)
        if any(name.isdecimal() or re.search(r"[.$\\]", name) for name in names):
            raise LeftOut("MongoDB: names with a dot, a dollar or only digits")
        return names

    # Filters

    def _filter(self, filters: Json) -> Json:
        if isinstance(filters.get("field"), str):
            return self._condition(filters)
        parts: list[Json] = []
        for key, value in filters.items():
            inner = [self._filter(item) for item in value] if isinstance(value, list) else []
            match key:
                case "case_sensitive":
                    if not value:
                        raise LeftOut("both: filters that fold case")
                case "$and" | "AND":
                    parts.append({"$and": inner})
                case "$or" | "OR":
                    parts.append({"$or": inner})
                case "$nor" | "NOT":
                    parts.append({"$nor": inner})
                case _:
                    parts += self._field(key, value)
        return {"$and": parts} if parts else {}

    def _condition(self, condition: Json) -> Json:
        path, name = condition["field"], condition.get("operator", "eq")
        operand = condition.get("value", True)
        if split(path)[0] not in ("metadata", "status", "created_at"):
            raise LeftOut("both: the list form's lookup under metadata")
        mongo: dict[str, Json] = {
            "contains": {"$contains": operand},
            "starts_with": {"$startsWith": operand},
            "ends_with": {"$endsWith": operand},
            "is_null": {"$eq": None} if operand else {"$ne": None},
        }
        if name in ("phrase", "words"):
            raise LeftOut("both: phrase and words")
        return {"$and": self._field(path, mongo.get(name, {f"${name}": operand}))}

    def _field(self, path: str, test: Json) -> list[Json]:
        names = self._names(path)
        if path == "status":
            raise LeftOut("both: filters that fold case")
        if any(_broken(thing, names) for thing in self.objects):
            raise LeftOut("mongomock: paths below scalars and null")
        if not isinstance(test, dict) or not any(key.startswith("$") for key in test):
            test = {"$eq": test}
        values = [value for thing in self.objects for value in leaves(thing, names) if value is not MISSING]
        through = any(
            isinstance(look_up(thing, names[:end]), list) for thing in self.objects for end in range(1, len(names))
        )
        return [
            self._operator(path, key, operand, test, values, through)
            for key, operand in test.items()
            if key != "$options"
        ]

    def _operator(
        self, path: str, key: str, operand: Json, beside: Json, values: Sequence[Json], through: bool
    ) -> Json:
        arrays = any(isinstance(value, list) for value in values)
        if key == "$all" and any(isinstance(each, dict) and "$elemMatch" in each for each in operand):
            return {"$and": [{path: {"$elemMatch": self._elements(each["$elemMatch"], values)}} for each in operand]}
        operands = operand if key in ("$in", "$nin", "$all") else [operand]
        if any(isinstance(each, list | dict) for each in operands) and key not in (
            *(f"${name}" for name in RANGES),
            "$not",
            "$elemMatch",
        ):
            raise LeftOut("mongomock: null, missing and arrays in filters")
        if key not in ("$exists", "$size", "$not", "$elemMatch") and _mixes([*values, *operands]):
            raise LeftOut("mongomock: 1 is true")
        if path in DATES and key in ("$eq", "$ne", "$in", "$nin", "$all", "$gt", "$gte", "$lt", "$lte"):
            return self._dates(path, key, operands)
        strings = [each for each in _scalars(list(values)) if isinstance(each, str)]
        if key[1:] in RANGES:
            if operand is None:
                raise LeftOut("mongomock: null, missing and arrays in filters")
            if as_date(operand) and any(map(as_date, strings)):
                raise LeftOut("MongoDB: dates in strings compare as strings")
        match key:
            case "$contains" if arrays:
                if through or any(isinstance(value, str) for value in values):
                    raise LeftOut("MongoDB: no $contains, $startsWith, $endsWith, $text")
                return {path: {"$elemMatch": {"$eq": operand}}}
            case "$contains" | "$startsWith" | "$endsWith" | "$text":
                if not isinstance(operand, str):
                    raise LeftOut("MongoDB: no $contains, $startsWith, $endsWith, $text")
                piece = re.escape(operand)
                pattern = {"$startsWith": rf"\A{piece}", "$endsWith": rf"{piece}\Z"}.get(key, piece)
                return {path: {"$regex": f"(?is){pattern}" if key == "$text" else pattern}}
            case "$regex":
                options = {"$options": beside["$options"]} if beside.get("$options") else {}
                return {path: {"$regex": operand, **options}}
            case "$mod":
                raise LeftOut("mongomock: no $mod")
            case "$size":
                if any(not isinstance(value, list) for value in values):
                    raise LeftOut("mongomock: $size of what is no array")
                return {path: {"$size": operand}}
            case "$all":
                if None in operands or through or not operands:
                    raise LeftOut("mongomock: null, missing and arrays in filters")
                # mongomock's $all sees arrays of arrays flattened; MongoDB says it is $and of $eq.
                return {"$and": [{path: {"$eq": each}} for each in operands]}
            case "$elemMatch":
                return {path: {"$elemMatch": self._elements(operand, values)}}
            case "$not":
                return {"$nor": [{"$and": self._field(path, operand)}]}
            case "$exists" if through:
                raise LeftOut("mongomock: null, missing and arrays in filters")
            case "$ne" | "$nin":
                # MongoDB: $ne and $nin are the negations of $eq and $in.
                return {"$nor": [{path: {"$eq" if key == "$ne" else "$in": operand}}]}
        if None in operands and (through or arrays):
            raise LeftOut("mongomock: null, missing and arrays in filters")
        return {path: {key: operand}}

    def _dates(self, path: str, key: str, operands: Sequence[Json]) -> Json:
        """Dates compare as BSON dates; on fields that are no dates by schema, equality is of strings."""
        date = DATES[path]
        tests: list[Json] = []
        for operand in operands:
            if key[1:] in RANGES and operand is None:
                raise LeftOut("mongomock: null, missing and arrays in filters")
            if (moment := as_date(operand)) is None or (key[1:] not in RANGES and path == "metadata.when"):
                tests.append({path: {key if key[1:] in RANGES else "$eq": operand}})
            elif key[1:] in RANGES:
                # "Dates compare as instants and other texts as texts".
                texts = {"$and": [{date: {"$exists": False}}, {path: {key: operand}}]}
                tests.append({"$or": [{date: {key: moment}}, texts]})
            else:
                tests.append({date: {"$eq": moment}})
        if key in ("$ne", "$nin"):
            return {"$nor": tests}
        return {"$and" if key == "$all" else "$or": tests}

    def _elements(self, condition: Json, values: Sequence[Json]) -> Json:
        """Inside `$elemMatch` only what both spell alike, on arrays of scalars or of objects."""
        elements = [element for value in values if isinstance(value, list) for element in value]
        fields = not any(key.startswith("$") for key in condition)
        if not condition or any(isinstance(each, list) or isinstance(each, dict) != fields for each in elements):
            raise LeftOut("mongomock: arrays and scalars in $elemMatch")
        if any("." in key for key in condition):
            raise LeftOut("mongomock: paths below scalars and null")
        tests = (
            [condition]
            if not fields
            else [each if isinstance(each, dict) else {"$eq": each} for each in condition.values()]
        )
        for test in tests:
            if not test.keys() <= {"$eq", "$in", "$gt", "$gte", "$lt", "$lte"}:
                raise LeftOut("mongomock: negations inside $elemMatch")
            operands = [
                each for operand in test.values() for each in (operand if isinstance(operand, list) else [operand])
            ]
            if any(each is None or isinstance(each, list | dict) for each in operands):
                raise LeftOut("mongomock: null, missing and arrays in filters")
            if _mixes([*elements, *operands]):
                raise LeftOut("mongomock: 1 is true")
        return condition


def _metric(entry: Json, value: Json) -> Json:
    if entry["function"] == "push":
        return [_plain(item["v"]) for item in value if "v" in item]
    if entry["function"] == "add_to_set":
        found = sorted((item["v"] for item in value if "v" in item), key=BsonComparable)
        return [_plain(item) for item in found]
    return _plain(value)


def _plain(value: Json) -> Json:
    """As JSON: integral numbers as integers, dates in ISO-8601."""
    if isinstance(value, datetime):
        thousandths = timedelta(microseconds=value.microsecond)
        return value.isoformat(timespec="milliseconds" if thousandths else "seconds") + "Z"
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
