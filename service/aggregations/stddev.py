"""stddev"""

from service.aggregations.base import NUMBERS, Accumulator, Aggregation
from service.aggregations.variance import MomentsAccumulator, root


class StdDev(Aggregation):
    """The population standard deviation of the numbers; null without any."""

    name = "stddev"
    takes = NUMBERS

    def accumulator(self) -> Accumulator:
        return _Deviation()


class _Deviation(MomentsAccumulator):
    def result(self) -> int | float | None:
        return root(self.variance())
