"""median"""

from fractions import Fraction

from service.aggregations.base import NUMBERS, Accumulator, Aggregation, Pushdown, Raw
from service.aggregations.percentile import Percentile, QuantileAccumulator
from service.fields import Field


class Median(Aggregation):
    """The middle of the numbers, the mean of the two middle ones where there are two; null without any."""

    name = "median"
    takes = NUMBERS
    estimates = True

    def estimate(self, field: Field) -> Pushdown | None:
        """OpenSearch's t-digest."""
        return Percentile(self.path).estimate(field)

    def read(self, field: Field, raw: Raw, documents: int) -> float | None:
        return Percentile(self.path).read(field, raw, documents)

    def accumulator(self) -> Accumulator:
        return QuantileAccumulator(Fraction(1, 2))
