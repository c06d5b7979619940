"""What an aggregation kind is: parameters, what OpenSearch computes for it, and its exact meaning in Python."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, Protocol

from service.fields import SAFE_INTEGER, Field, JsonType
from service.paths import Path
from service.values import Json, Missing, parse_date

Accuracy = Literal["exact", "double", "estimate"]
"""exact: the one right value. double: summed in IEEE doubles, so that the last digits may differ.
estimate: by a sketch, because the values are more than the budget."""

Raw = Sequence[Mapping[str, Any]]
"""The answers to `Native.bodies`, in their order."""


class Inexact(Exception):
    """What OpenSearch answered cannot be proved exact; the planner takes the values themselves instead."""


class InexactMetrics(Exception):
    """The metrics, by their positions in the plan, of which an answer is `Inexact` in at least one group."""

    def __init__(self, positions: frozenset[int]) -> None:
        super().__init__(positions)
        self.positions = positions


@dataclass(frozen=True)
class Selector:
    """How a bucket_selector compares a metric: `{op}` is the comparison, `params.value` the operand."""

    variables: Mapping[str, int | str]
    """Script variable → index in `Native.bodies`, or a path: `_count`, `{0}>_count` of the first of `Native.bodies`."""
    script: str = "params.a {op} params.value"


@dataclass(frozen=True)
class Pushdown:
    """Sub-aggregations that OpenSearch computes in each group."""

    bodies: Sequence[Json]
    accuracy: Accuracy = "exact"
    selector: Selector | None = None
    """None where the number that OpenSearch compares might not be the exact one."""
    page: int = 65_535
    """Groups that OpenSearch can be asked for at once."""


class Accumulator(Protocol):
    """The exact value over a group, fed one value at a time in order of arrival."""

    def add(self, value: Json | Missing, count: int = 1) -> None:
        """Take a value that occurs `count` times; MISSING where the object lacks the field."""
        ...

    def result(self) -> Json: ...


@dataclass(frozen=True)
class Aggregation:
    """Base of the kinds. `path` is empty for a kind that has no field."""

    path: Path

    name: ClassVar[str]
    """How the objects API spells the function."""
    needs_field: ClassVar[bool] = True
    """A request without a path is refused."""
    operands: ClassVar[tuple[str, ...]] = ("field",)
    """The keys of the operation that may name the field, the first one given wins."""
    nullable: ClassVar[bool] = True
    """A group may have null here."""
    dates: ClassVar[bool] = False
    """A text result is a date."""
    counts_arrays: ClassVar[bool] = False
    """`pushdown` also holds where arrays were met, as each is one value there."""
    ordered: ClassVar[bool] = False
    """The result depends on the order of arrival, so that it needs the objects themselves."""
    estimates: ClassVar[bool] = False
    """There is an `estimate`, which answers are labelled with."""
    distinguishes_null: ClassVar[bool] = False
    """A null value counts, a missing one does not, so the two must be distinguished."""
    parameters: ClassVar[tuple[str, ...]] = ()
    """Further keys of the operation that it needs."""
    takes: ClassVar[frozenset[str]] = frozenset()
    """The traits of the values that it counts; others are ignored and warned of. Empty: all of them."""

    def gives(self, field: Field) -> frozenset[JsonType]:
        """The JSON types of results that are not null, by what is known of the field; empty: nothing is."""
        return frozenset({"number"})

    def pushdown(self, field: Field) -> Pushdown | None:
        """What OpenSearch is asked for, None where only the values give an exact result."""
        return None

    def estimate(self, field: Field) -> Pushdown | None:
        """What OpenSearch is asked for when the values are too many to be folded."""
        return None

    def read(self, field: Field, raw: Raw, documents: int) -> Json:
        """The result of a group with so many documents; raises `Inexact`."""
        raise NotImplementedError

    def accumulator(self) -> Accumulator:
        raise NotImplementedError


NUMBERS: Final = frozenset({"double", "long"})


def exact_as_double(field: Field) -> bool:
    """Every number met here is itself as a double."""
    return field.bits <= 53


def sums_exactly(field: Field, documents: int) -> bool:
    """No sum of so many of the integers met here leaves what doubles hold."""
    return documents << field.bits <= SAFE_INTEGER


def finite(value: float | str) -> float:
    """A number of OpenSearch's; raises `Inexact` for a text, which it gives where doubles overflowed on the way."""
    if isinstance(value, str):
        raise Inexact
    return value


def instant(value: Json | Missing) -> int | None:
    """Epoch milliseconds of a value that is a date."""
    return parse_date(value) if isinstance(value, str) else None
