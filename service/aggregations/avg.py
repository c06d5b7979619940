"""avg"""

from service.aggregations.base import (
    NUMBERS,
    Accumulator,
    Aggregation,
    Inexact,
    Pushdown,
    Raw,
    Selector,
    exact_as_double,
    finite,
    sums_exactly,
)
from service.aggregations.sum import Total
from service.fields import Field
from service.numbers import nearest


class Avg(Aggregation):
    """The mean of the numbers; null without any. What is no number is ignored."""

    name = "avg"
    takes = NUMBERS

    def pushdown(self, field: Field) -> Pushdown | None:
        if not exact_as_double(field):
            return None
        leaves = field.numbers
        fractions = "fraction" in field.traits
        certain = len(leaves) == 1 and not fractions and sums_exactly(field, 2**31)
        return Pushdown(
            [{kind: {"field": leaf}} for leaf in leaves for kind in ("sum", "value_count")],
            accuracy="double" if fractions else "exact",
            selector=Selector({"s": 0, "c": 1}, "params.c > 0 && params.s / params.c {op} params.value")
            if certain
            else None,
        )

    def read(self, field: Field, raw: Raw, documents: int) -> float | None:
        if "fraction" not in field.traits and not sums_exactly(field, documents):
            raise Inexact
        count = sum(answer["value"] for answer in raw[1::2])
        return sum(finite(answer["value"]) for answer in raw[::2]) / count if count else None

    def accumulator(self) -> Accumulator:
        return _Mean()


class _Mean(Total):
    def result(self) -> int | float | None:
        return nearest(self.exact / self.count) if self.count else None
