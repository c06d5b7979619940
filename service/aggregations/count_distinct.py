"""count_distinct"""

from collections.abc import Hashable

from service.aggregations.base import Accumulator, Aggregation
from service.values import MISSING, Json, Missing, identity


class CountDistinct(Aggregation):
    """The number of distinct values that are not null, typed as group keys are; a whole array is one value.

    Counted from the values themselves: OpenSearch's own cardinality is an estimate.
    """

    name = "count_distinct"
    nullable = False
    operands = ("distinct_field", "field")

    def accumulator(self) -> Accumulator:
        return _Distinct()


class _Distinct:
    def __init__(self) -> None:
        self.seen: set[Hashable] = set()

    def add(self, value: Json | Missing, count: int = 1) -> None:
        if value is not None and value is not MISSING:
            self.seen.add(identity(value))

    def result(self) -> int:
        return len(self.seen)
