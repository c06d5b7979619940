"""percentile"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from service.aggregations.base import NUMBERS, Accumulator, Aggregation, Pushdown, Raw, finite
from service.fields import Field
from service.numbers import rounded
from service.values import Json, Missing, is_number


@dataclass(frozen=True)
class Percentile(Aggregation):
    """The value below which `percent` of the numbers lie, interpolated linearly; null without any number."""

    percent: int | float = 50

    name = "percentile"
    takes = NUMBERS
    estimates = True
    parameters = ("percent",)

    def estimate(self, field: Field) -> Pushdown | None:
        """OpenSearch's t-digest; None where the numbers lie in two index fields, as two digests do not add up."""
        if len(field.numbers) > 1:
            return None
        return Pushdown(
            [{"percentiles": {"field": leaf, "percents": [float(self.percent)]}} for leaf in field.numbers],
            accuracy="estimate",
        )

    def read(self, field: Field, raw: Raw, documents: int) -> float | None:
        for answer in raw:
            (value,) = answer["values"].values()
            return None if value is None else float(finite(value))
        return None

    def accumulator(self) -> Accumulator:
        return QuantileAccumulator(Fraction(self.percent) / 100)


class QuantileAccumulator:
    """Every number and how often it occurs."""

    def __init__(self, share: Fraction) -> None:
        self.share = share
        self.counts: Counter[int | float] = Counter()

    def add(self, value: Json | Missing, count: int = 1) -> None:
        if is_number(value):
            self.counts[value] += count

    def result(self) -> int | float | None:
        total = self.counts.total()
        if not total:
            return None
        rank = self.share * (total - 1)
        lower = int(rank)
        ascending = sorted(self.counts)
        below, above = self._at(ascending, lower), self._at(ascending, min(lower + 1, total - 1))
        exact = Fraction(below) + (Fraction(above) - Fraction(below)) * (rank - lower)
        return rounded(exact)

    def _at(self, ascending: Sequence[int | float], position: int) -> int | float:
        for value in ascending:
            position -= self.counts[value]
            if position < 0:
                return value
        raise IndexError(position)
