"""numberHistogram: buckets [n·interval, (n+1)·interval), where interval, bounds and values are decimal numbers."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Final

from service import dsl
from service.aggregations.base import Inexact
from service.conditions.base import MATCH_NONE
from service.dialects.tree.buckets import Histogram, spelled
from service.dialects.tree.filters import bound_of
from service.dialects.tree.nodes import QueryEffort, Raw
from service.dialects.tree.properties import INTEGERS
from service.dialects.tree.references import refusal, shown
from service.errors import Location
from service.fields import SAFE_INTEGER
from service.numbers import LARGEST, as_sent, ceiling_double, nearest
from service.numbers import spelled as number_text
from service.values import IN_FULL, Json, is_number

_NUMBERED: Final = (
    "List found = new ArrayList(); if (!doc.containsKey(params.f)) { return found; } "
    "BigDecimal width = new BigDecimal(params.width); "
    "for (v in doc[params.f]) { BigDecimal value = new BigDecimal(v.toString()); "
    "BigDecimal number = value.divideToIntegralValue(width); "
    "if (number.multiply(width).compareTo(value) > 0) { number = number.subtract(BigDecimal.ONE); } "
    "found.add(Math.max(-1e300, Math.min(1e300, number.doubleValue()))); } "
    "return found"
)
"""The numbers of the buckets that contain a record's values; an index may lack the field.

Java prints doubles as JSON does, except subnormal ones.
"""
_NARROW: Final = 1e-290
"""Below this the spelling of subnormal values matters, and bucket numbers of integers exceed the range of doubles."""


@dataclass(frozen=True)
class NumberHistogramNode(Histogram):
    """A bucket is identified by its number n. OpenSearch divides doubles, so 0.3 falls below 3·0.1.

    For integers that is exact while interval and values are whole and below 2^53. Otherwise each bucket returns its
    minimum and maximum, which must fall into the same bucket by decimal division. If they do not, and for lists, where
    this check is not possible, a script divides decimals.
    """

    interval: int | float
    result = "numberHistogramBuckets"

    @cached_property
    def width(self) -> Fraction:
        return as_sent(self.interval)

    @cached_property
    def _whole(self) -> bool:
        """Whether OpenSearch's division is exact for all values below 2^53."""
        return self.column.type in INTEGERS and self.width.denominator == 1 and self.width < SAFE_INTEGER

    def _scripted(self, how: QueryEffort) -> bool:
        return not self._whole and (how.careful or self.column.listed)

    def aggregation(self, how: QueryEffort) -> Json:
        if self._scripted(how):
            params = {"f": self.column.field, "width": number_text(self.interval)}
            script = {"source": _NUMBERED, "params": params}
            return {"histogram": {"script": script, "interval": 1, "min_doc_count": 1}}
        interval = min(self.interval, LARGEST)
        return {"histogram": {"field": self.column.field, "interval": float(interval), "min_doc_count": 1}}

    def helpers(self, how: QueryEffort) -> dict[str, Json]:
        if self._whole or self._scripted(how):
            return {}
        return {f"{self.name}_{end}": {end: {"field": self.column.field}} for end in ("min", "max")}

    def compile(self, how: QueryEffort) -> dict[str, Json]:
        compiled = super().compile(how)
        if self.interval < 1 and not self._scripted(how):
            compiled[f"{self.name}_least"] = {"min": {"field": self.column.field}}
        return compiled

    def found(self, raw: Raw) -> dict[int, Raw]:
        if self.interval < _NARROW:
            raise Inexact
        least = raw.get(f"{self.name}_least", {"value": None})["value"]
        if least is not None and math.isinf(least / self.interval):
            # OpenSearch reports a bucket at infinity, but not one at minus infinity.
            raise Inexact
        return super().found(raw)

    def start(self, bucket: Raw) -> int:
        """The bucket's number; raises `Inexact` if the division of doubles may have misplaced a value."""
        key = bucket["key"]
        if isinstance(key, str):
            raise Inexact
        if self._whole:
            if abs(key) + self.interval >= SAFE_INTEGER:
                raise Inexact
            return int(key) // int(self.interval)
        if f"{self.name}_min" not in bucket:
            if abs(key) >= SAFE_INTEGER:
                raise Inexact
            return int(key)
        least, most = (self._value(bucket[f"{self.name}_{end}"]["value"]) for end in ("min", "max"))
        first, last = self.start_of(least), self.start_of(most)
        if first != last:
            raise Inexact
        return first

    def _value(self, value: float) -> int | float:
        if self.column.type not in INTEGERS:
            return value
        if abs(value) >= SAFE_INTEGER:
            raise Inexact
        return int(value)

    def start_of(self, value: Any) -> int:
        return as_sent(value) // self.width

    def starts(self, first: int, last: int) -> Iterator[int]:
        return iter(range(first, last + 1))

    def within_bounds(self, start: int) -> bool:
        low, high = self.bounds
        at = start * self.width
        return (low is None or at >= as_sent(low)) and (high is None or at <= as_sent(high))

    def rendered(self, start: int) -> Json:
        at = start * self.width
        integral = at.denominator == 1 and self.column.type in INTEGERS
        return at.numerator if integral and -IN_FULL < at < IN_FULL else nearest(at)

    def keyed(self, key: Json, at: Location) -> int | None:
        key = spelled(key)
        if not is_number(key):
            raise refusal(at, f"a bucket of a numberHistogram is named by its start, not {shown(key)}")
        start = self.start_of(key)
        return start if start * self.width == as_sent(key) else None

    def between(self, start: int) -> Json:
        bounds: dict[str, Json] = {}
        for side, at in (("gte", start * self.width), ("lt", (start + 1) * self.width)):
            edge = math.ceil(at) if self.column.type in INTEGERS else ceiling_double(at)
            if edge in (math.inf, -math.inf):
                if (edge > 0) == (side == "gte"):
                    return MATCH_NONE
                continue
            query = bound_of(self.column, side, edge)
            if "range" not in query:
                return query
            bounds |= query["range"][self.column.field]
        # One value of a list must be within both bounds: two separate queries could match two different values.
        return dsl.in_range(self.column.field, **bounds)
