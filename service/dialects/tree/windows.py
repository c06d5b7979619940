"""The functions of a movingFunction: fed one bucket's number at a time, exact, in constant time per number."""

from collections import deque
from fractions import Fraction
from typing import Protocol

from service.numbers import nearest, rounded
from service.values import Json

Number = int | float


class Window(Protocol):
    """The latest numbers of a series."""

    def __init__(self, size: int) -> None: ...

    def moved(self, value: Number) -> Json:
        """The function over the last `size` numbers, including this newest one."""
        ...


class _Totals:
    """The window's sum, and its sum with weights 1 for the oldest number, 2 for the next and so on. No rounding."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.values: deque[int | Fraction] = deque()
        self.total: int | Fraction = 0
        self.weighted: int | Fraction = 0

    def take(self, value: Number) -> None:
        exact = value if isinstance(value, int) else Fraction(value)
        if len(self.values) == self.size:
            # Each weight decreases by one, so that the oldest number's becomes 0.
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
    """The numbers that can still become the extreme, the current one first: none is beaten by a later one."""

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
