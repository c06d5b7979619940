"""variance"""

import math
from fractions import Fraction

from service.aggregations.base import NUMBERS, Accumulator, Aggregation
from service.numbers import nearest
from service.values import Json, Missing, is_number


class Variance(Aggregation):
    """The population variance of the numbers; null without any.

    Folded from the values: the difference of OpenSearch's sums of squares loses all digits when the values
    are large beside their spread.
    """

    name = "variance"
    takes = NUMBERS

    def accumulator(self) -> Accumulator:
        return MomentsAccumulator()


class MomentsAccumulator:
    """The exact sums of the numbers and of their squares."""

    freedom = 0
    """What is taken off the number of values: 1 for a sample."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = Fraction(0)
        self.squares = Fraction(0)

    def add(self, value: Json | Missing, count: int = 1) -> None:
        if is_number(value):
            exact = Fraction(value)
            self.count += count
            self.sum += exact * count
            self.squares += exact * exact * count

    def variance(self) -> Fraction | None:
        """Exact; None where there are no more values than `freedom`."""
        if self.count <= self.freedom:
            return None
        return (self.squares - self.sum * self.sum / self.count) / (self.count - self.freedom)

    def result(self) -> int | float | None:
        variance = self.variance()
        return None if variance is None else nearest(variance)


def root(variance: Fraction | None) -> int | float | None:
    """Rounded once, whatever the size of the variance."""
    if variance is None:
        return None
    scale = 2 ** max(0, 128 - variance.numerator.bit_length() // 2 * 2)
    return nearest(
        Fraction(math.isqrt(variance.numerator * variance.denominator * scale * scale), variance.denominator * scale)
    )
