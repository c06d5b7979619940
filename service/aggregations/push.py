"""push"""

from service.aggregations.base import Accumulator, Aggregation
from service.fields import Field, JsonType
from service.values import MISSING, Json, Missing


class Push(Aggregation):
    """Every value of the group in order of arrival, nulls kept; missing fields are skipped."""

    name = "push"
    nullable = False
    ordered = True

    def gives(self, field: Field) -> frozenset[JsonType]:
        return frozenset({"array"})

    def accumulator(self) -> Accumulator:
        return _Pushed()


class _Pushed:
    def __init__(self) -> None:
        self.values: list[Json] = []

    def add(self, value: Json | Missing, count: int = 1) -> None:
        if value is not MISSING:
            self.values.extend([value] * count)

    def result(self) -> list[Json]:
        return self.values
