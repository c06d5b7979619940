"""A node of an aggregate tree: what OpenSearch computes for it, how that is read, and its meaning in Python.

A node asks for sub-aggregations under names of its own (`a0`, `a1` …) and finds their answers there. `evaluate` is the
same over records in memory, for what OpenSearch cannot be trusted with.
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
    """How OpenSearch is asked: cheaply first, and with more effort where that could not be proved exact."""

    shards: int = 1
    careful: bool = False


@dataclass
class Reading:
    """What reading an answer needs to know, and how many buckets it has given."""

    limit: int
    texts: Mapping[str, str] = field(default_factory=dict)
    """Terms of long texts → the texts."""
    buckets: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    """Identifier of a uniqueValues → what the buckets beyond its `size` count, in all buckets that it lies in."""

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
    """As the client calls it."""
    at: Location
    name: str
    """Its name in the request to OpenSearch."""

    @property
    def accuracy(self) -> Accuracy:
        """Of what OpenSearch computes; `evaluate` is exact."""
        return "exact"

    def accuracies(self) -> dict[str, Accuracy]:
        """Of this node and all below it, by their ids."""
        return {self.id: self.accuracy}

    def compile(self, how: QueryEffort) -> dict[str, Json]:
        raise NotImplementedError

    def read(self, raw: Raw, documents: int, reading: Reading) -> Json:
        """From the answers of the bucket that the node lies in, which has so many records; raises `Inexact`."""
        raise NotImplementedError

    def evaluate(self, records: Records, reading: Reading) -> Json:
        raise NotImplementedError

    def empty(self, reading: Reading) -> Json:
        """Over no records."""
        return self.evaluate((), reading)


Children = Mapping[str, Node]


def accuracies(children: Children) -> dict[str, Accuracy]:
    """Of all nodes of a tree, by their ids."""
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
    """Raises `Inexact` unless a terms aggregation is sure of its counts; -1 stands for unknown."""
    if raw["doc_count_error_upper_bound"] != 0:
        raise Inexact
