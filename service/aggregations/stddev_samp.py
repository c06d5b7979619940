"""stddev_samp"""

from service.aggregations.base import NUMBERS, Accumulator, Aggregation
from service.aggregations.variance import Spread, root


class StdDevSamp(Aggregation):
    """The sample standard deviation of the numbers (n - 1); null with fewer than two."""

    name = "stddev_samp"
    takes = NUMBERS

    def accumulator(self) -> Accumulator:
        return _Deviation()


class _Deviation(Spread):
    freedom = 1

    def result(self) -> int | float | None:
        return root(self.variance())
