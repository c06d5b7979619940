"""variance_samp"""

from service.aggregations.base import NUMBERS, Accumulator, Aggregation
from service.aggregations.variance import MomentsAccumulator


class VarianceSamp(Aggregation):
    """The sample variance of the numbers (divided by n - 1); null with fewer than two."""

    name = "variance_samp"
    takes = NUMBERS

    def accumulator(self) -> Accumulator:
        return _Sample()


class _Sample(MomentsAccumulator):
    freedom = 1
