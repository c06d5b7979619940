"""add_to_set"""

from collections.abc import Hashable

from service.aggregations.base import Accumulator, Aggregation
from service.fields import Field, JsonType
from service.values import MISSING, Json, Missing, identity, order


class AddToSet(Aggregation):
    """The distinct values of the group, null among them, in ascending order; missing fields are skipped."""

    name = "add_to_set"
    nullable = False
    distinguishes_null = True

    def gives(self, field: Field) -> frozenset[JsonType]:
        return frozenset({"array"})

    def accumulator(self) -> Accumulator:
        return _Set()


class _Set:
    def __init__(self) -> None:
        self.values: dict[Hashable, Json] = {}

    def add(self, value: Json | Missing, count: int = 1) -> None:
        if value is not MISSING:
            self.values.setdefault(identity(value), value)

    def result(self) -> list[Json]:
        return sorted(self.values.values(), key=order)
