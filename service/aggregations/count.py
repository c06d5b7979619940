"""count"""

from service.aggregations.base import Accumulator, Aggregation, Native, Raw, Selector
from service.fields import Field
from service.values import Json, Missing


class Count(Aggregation):
    """The number of objects in the group (of elements, after `unwind`)."""

    name = "count"
    nullable = False
    needs_field = False
    operands = ()

    def native(self, field: Field) -> Native:
        return Native((), selector=Selector({"a": "_count"}))

    def read(self, field: Field, raw: Raw, documents: int) -> int:
        return documents

    def accumulator(self) -> Accumulator:
        return _Counted()


class _Counted:
    def __init__(self) -> None:
        self.total = 0

    def add(self, value: Json | Missing, count: int = 1) -> None:
        self.total += count

    def result(self) -> int:
        return self.total
