"""What a movingFunction computes over its window: fed a bucket's number at a time, exact, in constant time for each."""

from collections import deque
from fractions import Fraction
from typing import Protocol

from service.numbers import nearest, rounded
from service.values import Json

Number = int | float


class Window(Protocol):
    """The last numbers of a series."""

    def __init__(self, size: int) -> None: ...

    def moved(self, value: Number) -> Json:
        """The function over the last `size` numbers, of which this is the newest."""
        ...


class _Totals:
    """The sum of the window, and the sum in which the oldest number weighs 1, the next 2 and so on. Nothing rounds."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.values: deque[int | Fraction] = deque()
        self.total: int | Fraction = 0
        self.weighted: int | Fraction = 0

    def take(self, value: Number) -> None:
        exact = value if isinstance(value, int) else Fraction(value)
        if len(self.values) == self.size:
            # Each weight falls by one, so that the oldest number has none left.
            self.weighted -= self.total
            self.total -= self.values.popleft()
        self.values.append(exact)
        self.total += exact
        self.weighted += len(self.values) * exact


class SumWindow(_Totals):
    def moved(self, value: Number) -> Json:
        self.take(value)
        return self.total if isinstance(self.total, int) else rounded(self.total)


class MeanWindow(_Totals):
    def moved(self, value: Number) -> Json:
        self.take(value)
        return nearest(Fraction(self.total) / len(self.values))


class WeightedMeanWindow(_Totals):
    def moved(self, value: Number) -> Json:
        self.take(value)
        count = len(self.values)
        return nearest(Fraction(self.weighted) * 2 / (count * (count + 1)))


class _Extreme:
    """The numbers that can still become the extreme, the present one first: each is beaten by none that came later."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.position = 0
        self.candidates: deque[tuple[int, Number]] = deque()

    def beats(self, value: Number, other: Number) -> bool:
        raise NotImplementedError

    def moved(self, value: Number) -> Json:
        while self.candidates and not self.beats(self.candidates[-1][1], value):
            self.candidates.pop()
        self.candidates.append((self.position, value))
        if self.candidates[0][0] <= self.position - self.size:
            self.candidates.popleft()
        self.position += 1
        return self.candidates[0][1]


class MaxWindow(_Extreme):
    def beats(self, value: Number, other: Number) -> bool:
        return value > other


class MinWindow(_Extreme):
    def beats(self, value: Number, other: Number) -> bool:
        return value < other
