"""first"""

from service.aggregations.base import Accumulator
from service.aggregations.ends import End
from service.values import MISSING, Json, Missing


class First(End):
    """The value of the first object of the group in order of arrival; null if it lacks the field."""

    name = "first"
    direction = "asc"

    def accumulator(self) -> Accumulator:
        return _First()


class _First:
    def __init__(self) -> None:
        self.value: Json | Missing = MISSING
        self.empty = True

    def add(self, value: Json | Missing, count: int = 1) -> None:
        if self.empty:
            self.value, self.empty = value, False

    def result(self) -> Json:
        return None if self.value is MISSING else self.value
