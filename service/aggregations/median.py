"""median"""

from fractions import Fraction

from service.aggregations.base import NUMBERS, Accumulator, Aggregation, Native, Raw
from service.aggregations.percentile import Percentile, Ranked
from service.fields import Field


class Median(Aggregation):
    """The middle of the numbers, the mean of the two middle ones where there are two; null without any."""

    name = "median"
    takes = NUMBERS
    estimates = True

    def estimate(self, field: Field) -> Native | None:
        """OpenSearch's t-digest."""
        return Percentile(self.path).estimate(field)

    def read(self, field: Field, raw: Raw, documents: int) -> float | None:
        return Percentile(self.path).read(field, raw, documents)

    def accumulator(self) -> Accumulator:
        return Ranked(Fraction(1, 2))
