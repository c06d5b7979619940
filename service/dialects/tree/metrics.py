"""avg, sum, min, max, count: numbers over a bucket's records; 0 if there are no values (contract, 1)."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Final

from service.aggregations.base import Accuracy, Inexact, finite
from service.dialects.tree.filters import canonical
from service.dialects.tree.nodes import Node, QueryEffort, Raw, Reading, Records
from service.dialects.tree.properties import INTEGERS, PropertyColumn, render_time
from service.fields import SAFE_INTEGER
from service.numbers import nearest, rounded
from service.values import Json

_HALF: Final = (
    "if (!doc.containsKey(params.f) || doc[params.f].size() == 0) return 0L; long v = doc[params.f].value; "
    "return params.high ? v >> 32 : v & 4294967295L"
)
_HALVES: Final = 2**21
"""Maximum number of values whose sum of halves (up to 2^32 each) stays exact in a double."""


@dataclass(frozen=True)
class MetricNode(Node):
    column: PropertyColumn
    kind: ClassVar[str]

    @property
    def is_time(self) -> bool:
        """Whether the result is a text, not a number."""
        return False

    def value(self, raw: Raw, documents: int) -> Json:
        raise NotImplementedError

    def read(self, raw: Raw, documents: int, reading: Reading) -> Json:
        return {self.kind: self.value(raw, documents)}

    def evaluate(self, records: Records, reading: Reading) -> Json:
        values = [canonical(self.column, value) for record in records for value in self.column.values(record)]
        return {self.kind: self.of(values)}

    def of(self, values: list[Any]) -> Json:
        raise NotImplementedError


class Totalled(MetricNode):
    """Metrics computed from sum and count; for integers only if no intermediate double can have been rounded."""

    @property
    def accuracy(self) -> Accuracy:
        return "exact" if self.column.type in INTEGERS else "double"

    def compile(self, how: QueryEffort) -> dict[str, Json]:
        if how.careful and self.column.type == "int64":
            halves = {
                f"{self.name}_{half}": {
                    "sum": {"script": {"source": _HALF, "params": {"f": self.column.field, "high": half == "high"}}}
                }
                for half in ("high", "low")
            }
            return {**halves, self.name: {"value_count": {"field": self.column.field}}}
        # Only integers need the statistics of the summands.
        kind = "stats" if self.column.type in INTEGERS else self.kind
        return {self.name: {kind: {"field": self.column.field}}}

    def value(self, raw: Raw, documents: int) -> Json:
        if self.column.type in INTEGERS:
            return self.result(*self.total(raw))
        value = raw[self.name]["value"]
        return 0 if value is None else finite(value)

    def result(self, total: int, count: int) -> Json:
        """From integers."""
        raise NotImplementedError

    def total(self, raw: Raw) -> tuple[int, int]:
        answer = raw[self.name]
        if "value" in answer:
            count = answer["value"]
            if count > _HALVES:
                raise Inexact
            return (int(raw[f"{self.name}_high"]["value"]) << 32) + int(raw[f"{self.name}_low"]["value"]), count
        count = answer["count"]
        if count and max(abs(answer["min"]), abs(answer["max"])) * count >= SAFE_INTEGER:
            raise Inexact
        return int(answer["sum"]), count


class AvgNode(Totalled):
    """The mean of the values."""

    kind = "avg"

    def result(self, total: int, count: int) -> Json:
        return total / count if count else 0

    def of(self, values: list[Any]) -> Json:
        return nearest(sum(map(Fraction, values), Fraction()) / len(values)) if values else 0


class SumNode(Totalled):
    """The sum of the values; of integers at any size."""

    kind = "sum"

    def result(self, total: int, count: int) -> Json:
        return total

    def of(self, values: list[Any]) -> Json:
        if self.column.type in INTEGERS:
            return sum(values)
        return rounded(sum(map(Fraction, values), Fraction()))


class ExtremeNode(MetricNode):
    """The least or the greatest value; a time is ISO-8601."""

    @property
    def is_time(self) -> bool:
        return self.column.type == "timestamp"

    def compile(self, how: QueryEffort) -> dict[str, Json]:
        if how.careful and self.column.type == "int64":
            order = {"_key": "asc" if self.kind == "min" else "desc"}
            return {self.name: {"terms": {"field": self.column.field, "size": 1, "order": order}}}
        return {self.name: {self.kind: {"field": self.column.field}}}

    def value(self, raw: Raw, documents: int) -> Json:
        answer = raw[self.name]
        if "buckets" in answer:
            return answer["buckets"][0]["key"] if answer["buckets"] else 0
        value = answer["value"]
        if value is None:
            return 0
        if self.column.type in INTEGERS:
            if abs(value) >= SAFE_INTEGER:
                raise Inexact
            return int(value)
        return render_time(int(value)) if self.column.type == "timestamp" else value


class MinNode(ExtremeNode):
    kind = "min"

    def of(self, values: list[Any]) -> Json:
        return self.rendered(min(values)) if values else 0

    def rendered(self, value: Any) -> Json:
        return render_time(value) if self.column.type == "timestamp" else value


class MaxNode(MinNode):
    kind = "max"

    def of(self, values: list[Any]) -> Json:
        return self.rendered(max(values)) if values else 0


@dataclass(frozen=True)
class CountNode(Node):
    """Records, or the values of a property: each element of a list."""

    column: PropertyColumn | None

    def compile(self, how: QueryEffort) -> dict[str, Json]:
        if self.column is None:
            return {}
        if self.column.type == "json":
            return {f"{self.name}_extra": {"sum": {"field": self.column.extra}}}
        counted: dict[str, Json] = {self.name: {"value_count": {"field": self.column.field}}}
        if self.column.listed:
            counted[f"{self.name}_extra"] = {"sum": {"field": self.column.extra}}
        return counted

    def read(self, raw: Raw, documents: int, reading: Reading) -> Json:
        if self.column is None:
            return {"count": documents}
        count = raw[self.name]["value"] if self.name in raw else 0
        return {"count": count + int(raw.get(f"{self.name}_extra", {"value": 0})["value"])}

    def evaluate(self, records: Records, reading: Reading) -> Json:
        if self.column is None:
            return {"count": len(records)}
        return {"count": sum(len(self.column.values(record)) for record in records)}
