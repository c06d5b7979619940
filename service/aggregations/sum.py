"""sum"""

from fractions import Fraction

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
from service.fields import Field
from service.numbers import rounded
from service.values import Json, Missing, is_number, number


class Sum(Aggregation):
    """The sum of the numbers; 0 without any. What is no number is ignored.

    Sums of integers are exact at any size. Sums with fractions are IEEE doubles (`accuracy: double`).
    """

    name = "sum"
    nullable = False
    takes = NUMBERS

    def pushdown(self, field: Field) -> Pushdown | None:
        if not exact_as_double(field):
            return None
        leaves = field.numbers
        fractions = "fraction" in field.traits
        certain = len(leaves) == 1 and not fractions and sums_exactly(field, 2**31)
        return Pushdown(
            [{"sum": {"field": leaf}} for leaf in leaves],
            accuracy="double" if fractions else "exact",
            selector=Selector({"a": 0}) if certain else None,
        )

    def read(self, field: Field, raw: Raw, documents: int) -> int | float:
        if "fraction" not in field.traits and not sums_exactly(field, documents):
            raise Inexact
        return number(finite(raw[0]["value"]) if len(raw) == 1 else sum(finite(answer["value"]) for answer in raw))

    def accumulator(self) -> Accumulator:
        return Total()


class Total:
    """Adds integers as integers and doubles as fractions, so that only the end rounds."""

    def __init__(self) -> None:
        self.exact = Fraction(0)
        self.count = 0
        self.integers = True
        """Each value was one, below 1e21."""

    def add(self, value: Json | Missing, count: int = 1) -> None:
        if is_number(value):
            self.exact += Fraction(value) * count
            self.count += count
            self.integers = self.integers and isinstance(number(value), int)

    def result(self) -> int | float | None:
        return rounded(self.exact, integers=self.integers)
