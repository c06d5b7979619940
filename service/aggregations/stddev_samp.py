"""stddev_samp"""

from service.aggregations.base import NUMBERS, Accumulator, Aggregation
from service.aggregations.variance import MomentsAccumulator, root


class StdDevSamp(Aggregation):
    """The sample standard deviation of the numbers (n - 1); null with fewer than two."""

    name = "stddev_samp"
    takes = NUMBERS

    def accumulator(self) -> Accumulator:
        return _SampleDeviation()


class _SampleDeviation(MomentsAccumulator):
    freedom = 1

    def result(self) -> int | float | None:
        return root(self.variance())
