"""A node of an aggregate tree: what OpenSearch computes for it, how the answer is read, and its evaluation in Python.

A node requests sub-aggregations under generated names (`a0`, `a1` …) and finds their answers under them. `evaluate`
does the same over records in memory, where OpenSearch's result is not provably exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from service.aggregations.base import Accuracy, Inexact
from service.errors import BadRequest, Location
from service.values import Json

Raw = Mapping[str, Any]
Records = Sequence[Mapping[str, Any]]

MAX_BUCKETS: Final = 65_535
MAX_HISTOGRAM: Final = 10_000


@dataclass(frozen=True)
class QueryEffort:
    """How OpenSearch is queried: cheaply first, and with more effort if the result could not be proved exact."""

    shards: int = 1
    careful: bool = False


@dataclass
class Reading:
    """State for reading an answer: its inputs, and the number of buckets returned so far."""

    limit: int
    texts: Mapping[str, str] = field(default_factory=dict)
    """Terms of long texts → the texts."""
    buckets: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    """Id of a uniqueValues → the total count of its buckets beyond `size`, over all parent buckets."""

    def leave_out(self, id: str, records: int) -> None:
        if records:
            self.left_out[id] = self.left_out.get(id, 0) + records

    def count(self, more: int) -> None:
        self.buckets += more
        if self.buckets > self.limit:
            raise BadRequest(
                f"at most {self.limit:,} buckets in one answer, not {self.buckets:,} or more; narrow it with `filter`, "
                "smaller `size`s or wider intervals",
                {"limit": self.limit},
            )


@dataclass(frozen=True)
class Node:
    """Base of the kinds."""

    id: str
    """The client's name for it."""
    at: Location
    name: str
    """The generated name in the request to OpenSearch."""

    @property
    def accuracy(self) -> Accuracy:
        """The accuracy of OpenSearch's result; `evaluate` is exact."""
        return "exact"

    def accuracies(self) -> dict[str, Accuracy]:
        """The accuracies of this node and all below it, by id."""
        return {self.id: self.accuracy}

    def compile(self, how: QueryEffort) -> dict[str, Json]:
        raise NotImplementedError

    def read(self, raw: Raw, documents: int, reading: Reading) -> Json:
        """The result from the answers within the parent bucket, which has `documents` records; raises `Inexact`."""
        raise NotImplementedError

    def evaluate(self, records: Records, reading: Reading) -> Json:
        raise NotImplementedError

    def empty(self, reading: Reading) -> Json:
        """The result over no records."""
        return self.evaluate((), reading)


Children = Mapping[str, Node]


def accuracies(children: Children) -> dict[str, Accuracy]:
    """The accuracies of all nodes of a tree, by id."""
    return {id: accuracy for child in children.values() for id, accuracy in child.accuracies().items()}


def compiled(children: Children, how: QueryEffort) -> dict[str, Json]:
    return {name: body for child in children.values() for name, body in child.compile(how).items()}


def with_children(body: Json, children: Children, how: QueryEffort, more: Mapping[str, Json] | None = None) -> Json:
    inner = {**compiled(children, how), **(more or {})}
    return {**body, "aggs": inner} if inner else body


def read_all(children: Children, raw: Raw, documents: int, reading: Reading) -> dict[str, Json]:
    return {id: child.read(raw, documents, reading) for id, child in children.items()}


def evaluate_all(children: Children, records: Records, reading: Reading) -> dict[str, Json]:
    return {id: child.evaluate(records, reading) for id, child in children.items()}


def certain(raw: Raw) -> None:
    """Raises `Inexact` unless a terms aggregation's counts are certain; -1 means unknown."""
    if raw["doc_count_error_upper_bound"] != 0:
        raise Inexact
