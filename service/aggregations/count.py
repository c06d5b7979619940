"""count"""

from service import dsl
from service.aggregations.base import Accumulator, Aggregation, Pushdown, Raw, Selector
from service.fields import SHAPE, Field
from service.values import MISSING, Json, Missing


class Count(Aggregation):
    """The number of objects in the group (of elements, after `unwind`); with `field`, of values that are not null.

    A whole array is one value, an empty one too.
    """

    name = "count"
    nullable = False
    needs_field = False
    counts_arrays = True

    def pushdown(self, field: Field) -> Pushdown | None:
        if not self.path or field.never_null:
            return Pushdown((), selector=Selector({"a": "_count"}))
        if field.through:
            return None
        leaves, tokens = field.evidence
        if not leaves and not tokens:
            return Pushdown(())
        clauses: list[Json] = [dsl.exists(leaf) for leaf in leaves]
        if tokens:
            clauses.append(dsl.terms(SHAPE, tokens))
        query = clauses[0] if len(clauses) == 1 else dsl.either(*clauses)
        return Pushdown([{"filter": query}], selector=Selector({"a": "{0}>_count"}))

    def read(self, field: Field, raw: Raw, documents: int) -> int:
        if raw:
            return int(raw[0]["doc_count"])
        return documents if not self.path or field.never_null else 0

    def accumulator(self) -> Accumulator:
        return _Counted(nulls=not self.path)


class _Counted:
    def __init__(self, *, nulls: bool) -> None:
        self.total = 0
        self._nulls = nulls
        """What is null or missing counts, too: it is objects that are counted, not values."""

    def add(self, value: Json | Missing, count: int = 1) -> None:
        if self._nulls or (value is not None and value is not MISSING):
            self.total += count

    def result(self) -> int:
        return self.total
