"""last"""

from service.aggregations.base import Accumulator
from service.aggregations.ends import End
from service.values import MISSING, Json, Missing


class Last(End):
    """The value of the last object of the group in order of arrival; null if it lacks the field."""

    name = "last"
    direction = "desc"

    def accumulator(self) -> Accumulator:
        return _Last()


class _Last:
    def __init__(self) -> None:
        self.value: Json | Missing = MISSING

    def add(self, value: Json | Missing, count: int = 1) -> None:
        self.value = value

    def result(self) -> Json:
        return None if self.value is MISSING else self.value
