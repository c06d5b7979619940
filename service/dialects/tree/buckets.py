"""uniqueValues, numberHistogram, timeHistogram, filters: buckets of records, each with its own aggregates."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from service import dsl
from service.aggregations.base import Accuracy, Inexact
from service.dialects.tree.filters import NOTHING, RecordFilter, canonical, within
from service.dialects.tree.moving import MovingFunctionNode
from service.dialects.tree.nodes import (
    MAX_HISTOGRAM,
    Children,
    Node,
    QueryEffort,
    Raw,
    Reading,
    Records,
    accuracies,
    certain,
    evaluate_all,
    read_all,
    with_children,
)
from service.dialects.tree.properties import NUMBERS, PropertyColumn, render_time, timestamp, wrong
from service.dialects.tree.references import decode_key, refusal, shown
from service.errors import Location
from service.planning.dates import calendar
from service.planning.zones import CYCLE
from service.values import Json, index_date, is_instant, is_number

_CAREFUL: Final = 65_000
_WIDE: Final = 10_000
"""Values returned by each of several shards, so that the most frequent ones are certain."""


@dataclass(frozen=True)
class Bucketing(Node):
    children: Children
    result: ClassVar[str]

    def accuracies(self) -> dict[str, Accuracy]:
        return super().accuracies() | accuracies(self.children)

    def bucket(self, head: dict[str, Json], count: int, aggregates: Mapping[str, Json]) -> dict[str, Json]:
        rendered = {**head, "count": count}
        return {**rendered, "aggregates": aggregates} if self.children else rendered

    def chosen(self, key: Json, at: Location) -> RecordFilter:
        """The filter for the bucket that a path's key names; raises `BadRequest`."""
        raise NotImplementedError

    @property
    def only(self) -> RecordFilter | None:
        """The filter for its only bucket, if it cannot have more."""
        return None

    def total(self, raw: Raw) -> int:
        """The sum of all buckets' counts."""
        raise NotImplementedError

    def total_evaluated(self, records: Records) -> int:
        raise NotImplementedError


@dataclass(frozen=True)
class UniqueValuesNode(Bucketing):
    """A bucket for each value, by count descending, then by value; a list is in one for each of its values."""

    column: PropertyColumn
    size: int
    result = "uniqueValueBuckets"

    def compile(self, how: QueryEffort) -> dict[str, Json]:
        terms: dict[str, Json] = {
            "field": self.column.field,
            "size": self.size,
            "order": [{"_count": "desc"}, {"_key": "asc"}],
        }
        if how.shards > 1:
            terms["shard_size"] = _CAREFUL if how.careful else max(self.size, _WIDE if not self.children else 1_000)
        return {self.name: with_children({"terms": terms}, self.children, how)}

    def read(self, raw: Raw, documents: int, reading: Reading) -> Json:
        answer = raw[self.name]
        certain(answer)
        buckets = answer["buckets"]
        reading.count(len(buckets))
        if reading.texts and any(bucket["key"] in reading.texts for bucket in buckets):
            if answer["sum_other_doc_count"]:
                raise Inexact  # terms do not show the order of long texts with the same beginning
            buckets = [{**bucket, "key": reading.texts.get(bucket["key"], bucket["key"])} for bucket in buckets]
            buckets.sort(key=lambda bucket: (-bucket["doc_count"], bucket["key"]))
        reading.leave_out(self.id, answer["sum_other_doc_count"])
        found = []
        for bucket in buckets:
            key = bucket["key"]
            aggregates = read_all(self.children, bucket, bucket["doc_count"], reading) if self.children else {}
            found.append(self.bucket({"value": self.column.shown(key)}, bucket["doc_count"], aggregates))
        return {self.result: found}

    def evaluate(self, records: Records, reading: Reading) -> Json:
        groups = self.grouped(records)
        ranked = sorted(groups, key=lambda value: (-len(groups[value]), value))[: self.size]
        reading.count(len(ranked))
        reading.leave_out(self.id, sum(map(len, groups.values())) - sum(len(groups[value]) for value in ranked))
        return {
            self.result: [
                self.bucket(
                    {"value": self._told(value)},
                    len(groups[value]),
                    evaluate_all(self.children, groups[value], reading) if self.children else {},
                )
                for value in ranked
            ]
        }

    def grouped(self, records: Records) -> dict[Any, list[Mapping[str, Any]]]:
        groups: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
        for record in records:
            for value in {canonical(self.column, value) for value in self.column.values(record)}:
                groups[value].append(record)
        return groups

    def _told(self, value: Any) -> Json:
        if self.column.type == "direct":
            return {"space": value[0], "externalId": value[1]}
        return self.column.shown(value)

    def total(self, raw: Raw) -> int:
        answer = raw[self.name]
        certain(answer)
        listed: int = sum(bucket["doc_count"] for bucket in answer["buckets"])
        return listed + int(answer["sum_other_doc_count"])

    def total_evaluated(self, records: Records) -> int:
        return sum(map(len, self.grouped(records).values()))

    def chosen(self, key: Json, at: Location) -> RecordFilter:
        column = self.column
        if column.type == "direct":
            raise refusal(at, "a bucket of direct relations cannot be named")
        key = spelled(key) if column.type in NUMBERS or column.type == "boolean" else key
        if column.type in NUMBERS and not is_number(key):
            raise refusal(at, f"a bucket of {column.type} is named by a number, not {shown(key)}")
        if wrong(column, key, operand=True) is not None:
            raise refusal(
                at, f"a bucket of {column.type} is named by {wrong(column, key, operand=True)}, not {shown(key)}"
            )
        return within(column, [key])


@dataclass(frozen=True)
class Histogram(Bucketing):
    """Buckets of one width, gaps between the first and the last filled; moving functions see them in order."""

    column: PropertyColumn
    bounds: tuple[Any, Any]
    """The lowest and highest start to keep, None for no bound."""
    moving: Sequence[MovingFunctionNode]

    def accuracies(self) -> dict[str, Accuracy]:
        return super().accuracies() | {each.id: each.path.accuracy for each in self.moving}

    def aggregation(self, how: QueryEffort) -> Json:
        raise NotImplementedError

    def helpers(self, how: QueryEffort) -> dict[str, Json]:
        """Additional aggregations in each bucket, so that `start` is certain."""
        return {}

    def start(self, bucket: Raw) -> Any:
        """The start of an OpenSearch bucket; raises `Inexact`."""
        raise NotImplementedError

    def starts(self, first: Any, last: Any) -> Iterator[Any]:
        """All starts from `first` to `last`."""
        raise NotImplementedError

    def start_of(self, value: Any) -> Any:
        """The start of the bucket that contains a value."""
        raise NotImplementedError

    def rendered(self, start: Any) -> Json:
        raise NotImplementedError

    def within_bounds(self, start: Any) -> bool:
        raise NotImplementedError

    def compile(self, how: QueryEffort) -> dict[str, Json]:
        helpers = {name: body for each in self.moving for name, body in each.path.compile(how).items()}
        return {self.name: with_children(self.aggregation(how), self.children, how, helpers | self.helpers(how))}

    def read(self, raw: Raw, documents: int, reading: Reading) -> Json:
        found = self.found(raw)

        def one(start: Any) -> tuple[int, dict[str, Json], list[Any]]:
            bucket = found[start]
            count = bucket["doc_count"]
            aggregates = read_all(self.children, bucket, count, reading) if self.children else {}
            return count, aggregates, [each.path.value(bucket, count, aggregates) for each in self.moving]

        return self._series(sorted(found), one, reading)

    def found(self, raw: Raw) -> dict[Any, Raw]:
        """OpenSearch's buckets by start; raises `Inexact` if two of them have the same start."""
        found: dict[Any, Raw] = {}
        for bucket in raw[self.name]["buckets"]:
            start = self.start(bucket)
            if start in found:
                raise Inexact
            found[start] = bucket
        return {start: bucket for start, bucket in found.items() if self.within_bounds(start)}

    def evaluate(self, records: Records, reading: Reading) -> Json:
        groups: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
        for record in records:
            values = self.column.values(record)
            for start in {self.start_of(canonical(self.column, value)) for value in values}:
                if self.within_bounds(start):
                    groups[start].append(record)

        def one(start: Any) -> tuple[int, dict[str, Json], list[Any]]:
            mine = groups[start]
            aggregates = evaluate_all(self.children, mine, reading) if self.children else {}
            return len(mine), aggregates, [each.path.evaluated(mine, aggregates) for each in self.moving]

        return self._series(sorted(groups), one, reading)

    def _series(self, have: Sequence[Any], one: Any, reading: Reading) -> Json:
        """Buckets from the first to the last; moving functions are computed over all of them."""
        starts: list[Any] = []
        if have:
            for start in self.starts(have[0], have[-1]):
                starts.append(start)
                if len(starts) > MAX_HISTOGRAM:
                    raise refusal(
                        self.at,
                        f"at most {MAX_HISTOGRAM:,} buckets in a histogram, not {len(starts):,} or more between "
                        f"{self.rendered(have[0])} and {self.rendered(have[-1])}; "
                        "take a wider interval, or hardBounds",
                    )
        reading.count(len(starts))
        there = set(have)
        windows = [function.started() for function in self.moving]
        buckets: list[dict[str, Json]] = []
        for start in starts:
            if start in there:
                count, aggregates, values = one(start)
            else:
                count, values = 0, [0 for _ in self.moving]
                aggregates = {id: child.empty(reading) for id, child in self.children.items()}
            for function, window, value in zip(self.moving, windows, values, strict=True):
                aggregates[function.id] = {"fnValue": window.moved(value)}
            head = {"intervalStart": self.rendered(start)}
            buckets.append(self.bucket(head, count, aggregates))
        return {self.result: buckets}

    def bucket(self, head: dict[str, Json], count: int, aggregates: Mapping[str, Json]) -> dict[str, Json]:
        rendered = {**head, "count": count}
        return {**rendered, "aggregates": aggregates} if self.children or self.moving else rendered

    def total(self, raw: Raw) -> int:
        return sum(bucket["doc_count"] for bucket in self.found(raw).values())

    def total_evaluated(self, records: Records) -> int:
        total = 0
        for record in records:
            starts = {self.start_of(canonical(self.column, value)) for value in self.column.values(record)}
            total += sum(1 for start in starts if self.within_bounds(start))
        return total

    def keyed(self, key: Json, at: Location) -> Any:
        """The start named by a key, None if no bucket can start there."""
        raise NotImplementedError

    def chosen(self, key: Json, at: Location) -> RecordFilter:
        start = self.keyed(key, at)
        if start is None or not self.within_bounds(start):
            return NOTHING

        def test(record: Mapping[str, Any]) -> bool:
            return any(self.start_of(canonical(self.column, value)) == start for value in self.column.values(record))

        return RecordFilter(self.between(start), test)

    def between(self, start: Any) -> Json:
        """The query for a bucket's records."""
        raise NotImplementedError


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = 1_000
_FIXED: Final = {"ms": 1, "s": _SECOND, "m": 60 * _SECOND, "h": 3_600 * _SECOND, "d": 86_400 * _SECOND}
_CALENDAR: Final = {"1s": _SECOND, "1m": 60 * _SECOND, "1h": 3_600 * _SECOND, "1d": 86_400 * _SECOND}
_MONTHS: Final = {"1M": 1, "1q": 3, "1y": 12}
_ALL_TIME: Final = 10**15
"""Milliseconds, more than in the years 1 to 9999: longer intervals give the same buckets."""
CALENDAR: Final = (*_CALENDAR, "1w", *_MONTHS)


@dataclass(frozen=True)
class TimeHistogramNode(Histogram):
    """Buckets of time in UTC: of the calendar, or of one length from 1970 on."""

    calendar: str | None
    fixed: str | None
    result = "timeHistogramBuckets"

    def aggregation(self, how: QueryEffort) -> Json:
        interval = {"calendar_interval": self.calendar}
        if self.fixed is not None and self.width is not None:
            interval = {"fixed_interval": f"{min(self.width, _ALL_TIME)}ms"}
        return {"date_histogram": {"field": self.column.field, **interval, "min_doc_count": 1}}

    def start(self, bucket: Raw) -> Any:
        key = int(bucket["key"])
        if self.fixed is not None and self.width is not None and self.width > _ALL_TIME:
            return key // _ALL_TIME * self.width
        return key

    @property
    def width(self) -> int | None:
        """Milliseconds; None for months, which differ."""
        if self.fixed is not None:
            unit = self.fixed.lstrip("0123456789")
            return int(self.fixed.removesuffix(unit)) * _FIXED[unit]
        return _CALENDAR.get(self.calendar or "") or (7 * _FIXED["d"] if self.calendar == "1w" else None)

    def start_of(self, value: Any) -> Any:
        if self.width is None:
            return _first_of(_month(value) // self._months * self._months)
        # 1970 began on a Thursday; calendar weeks begin on Monday.
        shift = 3 * _FIXED["d"] if self.calendar == "1w" else 0
        return (value + shift) // self.width * self.width - shift

    def starts(self, first: Any, last: Any) -> Iterator[Any]:
        if self.width is not None:
            yield from range(first, last + 1, self.width)
            return
        for month in range(_month(first), _month(last) + 1, self._months):
            yield _first_of(month)

    @property
    def _months(self) -> int:
        return _MONTHS[self.calendar or ""]

    def within_bounds(self, start: Any) -> bool:
        low, high = self.bounds
        return (low is None or start >= low) and (high is None or start < high)

    def rendered(self, start: Any) -> Json:
        try:
            return render_time(start)
        except OverflowError:
            raise refusal(
                self.at,
                f"a bucket of {self.fixed or self.calendar} would start before the year 1, which no time can express; "
                "take a smaller interval, or a filter that leaves the earliest values out",
            ) from None

    def keyed(self, key: Json, at: Location) -> Any:
        start = timestamp(key)
        if start is None:
            raise refusal(at, f"a bucket of a timeHistogram is named by its start in ISO-8601, not {shown(key)}")
        return start if self.start_of(start) == start else None

    def between(self, start: Any) -> Json:
        following = start + self.width if self.width else _first_of(_month(start) + self._months)
        # Records' times, and times in queries, are within the years 1 to 9999.
        bounds = {"gte": start, "lt": following}
        return dsl.in_range(
            self.column.field, **{side: index_date(at) for side, at in bounds.items() if is_instant(at)}
        )


def spelled(key: Json) -> Json:
    """A number or boolean, possibly given as a text."""
    if not isinstance(key, str):
        return key
    try:
        return decode_key(key)
    except ValueError:
        return key


def _month(millis: int) -> int:
    """Months since the year 0."""
    moment, moved = calendar(millis)
    return (moment.year - moved * 400) * 12 + moment.month - 1


def _first_of(month: int) -> int:
    """Epoch milliseconds of the month's start; computed within 2000 to 2399 and shifted by multiples of 400 years."""
    cycles, month = divmod(month, 4_800)
    first = datetime(2000 + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return (first - _EPOCH) // timedelta(milliseconds=1) + (cycles - 5) * CYCLE


@dataclass(frozen=True)
class FiltersNode(Bucketing):
    """A bucket for each filter, in their order."""

    filters: Sequence[RecordFilter]
    result = "filterBuckets"

    def compile(self, how: QueryEffort) -> dict[str, Json]:
        body = {"filters": {"filters": [each.query for each in self.filters]}}
        return {self.name: with_children(body, self.children, how)}

    def read(self, raw: Raw, documents: int, reading: Reading) -> Json:
        buckets = raw[self.name]["buckets"]
        reading.count(len(buckets))
        return {
            self.result: [
                self.bucket({}, bucket["doc_count"], read_all(self.children, bucket, bucket["doc_count"], reading))
                for bucket in buckets
            ]
        }

    def evaluate(self, records: Records, reading: Reading) -> Json:
        reading.count(len(self.filters))
        found = []
        for each in self.filters:
            mine = [record for record in records if each.test(record)]
            found.append(self.bucket({}, len(mine), evaluate_all(self.children, mine, reading)))
        return {self.result: found}

    def total(self, raw: Raw) -> int:
        return sum(bucket["doc_count"] for bucket in raw[self.name]["buckets"])

    def total_evaluated(self, records: Records) -> int:
        return sum(1 for each in self.filters for record in records if each.test(record))

    @property
    def only(self) -> RecordFilter | None:
        return self.filters[0] if len(self.filters) == 1 else None

    def chosen(self, key: Json, at: Location) -> RecordFilter:
        key = spelled(key)
        if not isinstance(key, int) or isinstance(key, bool) or not 0 <= key < len(self.filters):
            raise refusal(at, f"a bucket of filters is named by its position, 0 to {len(self.filters) - 1}")
        return self.filters[key]
