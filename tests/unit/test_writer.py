"""The writer: policies, lost races, lost answers, an index that knows less or takes no more, over a store in memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest

from service.catalog.buckets import OpenBucket, Policy
from service.encoding import ObservedField, unite
from service.errors import AlreadyExists, Invalid, NotFound, Unavailable
from service.fields import Leaf
from service.objects.writing import ROUNDS, Write, Writer
from service.scope import Scope
from service.storage.bulk import BulkItem, WriteOutcome
from service.storage.catalog import Entry
from service.storage.objects import FullIndex, Renamed

Json = Any
SCOPE = Scope("ns_1", "shop")


@dataclass
class MemoryStore:
    """What the writer needs of `ObjectStore`; `before` is called before each bulk request, and may answer for it."""

    documents: dict[str, tuple[Json, int]] = field(default_factory=dict)
    observed: dict[str, ObservedField] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    writes: int = 0
    refreshed: int = 0
    forgotten: int = 0
    before: Callable[[Sequence[Mapping[str, Any]]], WriteOutcome | None] = lambda actions: None
    learning: Callable[[Mapping[str, Leaf]], None] = lambda leaves: None

    def forget_if_changed(self, *_: object) -> None: ...

    def forget(self, *_: object) -> None:
        self.forgotten += 1

    async def refresh(self, scope: Scope) -> None:
        self.refreshed += 1

    async def primary_types(self, scope: Scope) -> dict[str, str]:
        return dict(self.names)

    async def known(self, bucket_id: str) -> dict[str, ObservedField]:
        return self.observed

    async def maps(self, scope: Scope, leaf: str) -> bool:
        return not leaf.startswith("metadata.new")

    async def learn(
        self, scope: Scope, bucket_id: str, observed: Mapping[str, ObservedField], leaves: Mapping[str, Leaf]
    ) -> None:
        self.learning(leaves)
        self.observed = unite(self.observed, observed) or self.observed

    async def read(self, scope: Scope, ids: Sequence[str]) -> list[Json]:
        return [
            {"_id": id, "found": True, "_source": self.documents[id][0], "_seq_no": self.documents[id][1]}
            | {"_primary_term": 1}
            if id in self.documents
            else {"_id": id, "found": False}
            for id in ids
        ]

    async def write(self, scope: Scope, actions: Sequence[tuple[Mapping[str, Any], Json]]) -> list[BulkItem]:
        outcome = self.before([action for action, _ in actions])
        return [BulkItem(outcome or self.put(action, document)) for action, document in actions]

    def put(self, action: Mapping[str, Any], document: Json) -> WriteOutcome:
        ((verb, details),) = action.items()
        there = self.documents.get(details["_id"])
        if (verb == "create" and there) or ("if_seq_no" in details and (not there or there[1] != details["if_seq_no"])):
            return WriteOutcome.CONFLICT
        self.writes += 1
        self.documents[details["_id"]] = (document, self.writes)
        return WriteOutcome.STORED


def home(**body: Json) -> OpenBucket:
    entry = Entry("bucket:bkt_1", "bucket", "ns_1", "b", body, 1, 1)
    return OpenBucket(SCOPE, "bkt_1", "b", body, entry, None, entry)


KEYED = home(unique_key={"fields": ["metadata.k"]})


def incoming(*values: Json) -> list[Write]:
    return [Write(position, msgspec.json.encode(value)) for position, value in enumerate(values)]


async def written(store: MemoryStore, bucket: OpenBucket, writes: list[Write], policy: Policy | None = None) -> None:
    await Writer(cast(Any, store), 100).run(bucket, writes, policy)


def keyed(n: int, k: str = "x") -> Json:
    return {"metadata": {"k": k, "n": n}}


def numbers(store: MemoryStore) -> list[int]:
    return [msgspec.json.decode(document["@raw"])["metadata"]["n"] for document, _ in store.documents.values()]


async def test_each_object_has_an_end_of_its_own() -> None:
    store = MemoryStore()
    writes = incoming({"metadata": {"n": 1}}, {"metadata": 5}, {"metadata": {"n": 2**64}}, {"metadata": {"n": 2}})
    await written(store, home(), writes)
    assert [type(write.error) for write in writes] == [type(None), Invalid, Invalid, type(None)]
    assert numbers(store) == [1, 2]
    assert store.refreshed == 1


async def test_of_one_key_the_first_is_stored() -> None:
    store = MemoryStore()
    writes = incoming(keyed(1), keyed(2), keyed(3, "y"))
    await written(store, KEYED, writes, "insert")
    assert [type(write.error) for write in writes] == [type(None), AlreadyExists, type(None)]
    assert numbers(store) == [1, 3]


async def test_later_writes_of_a_request_see_earlier_ones() -> None:
    store = MemoryStore()
    writes = incoming(keyed(1), {"metadata": {"k": "x", "more": True}}, keyed(3))
    await written(store, KEYED, writes, "upsert")
    assert not any(write.error for write in writes)
    ((document, _),) = store.documents.values()
    assert msgspec.json.decode(document["@raw"])["metadata"] == {"k": "x", "n": 3, "more": True}


async def test_an_update_needs_an_object() -> None:
    store = MemoryStore()
    (write,) = writes = incoming(keyed(1))
    await written(store, KEYED, writes, "update")
    assert isinstance(write.error, NotFound)
    assert not store.documents


async def test_a_lost_race_is_decided_again() -> None:
    store = MemoryStore()
    await written(store, KEYED, incoming(keyed(1)))
    ((id, (other, _)),) = store.documents.items()
    losses = 3

    def race(actions: Sequence[Mapping[str, Any]]) -> None:
        nonlocal losses
        if losses:
            losses -= 1
            store.put({"index": {"_id": id}}, other)

    store.before = race
    (write,) = writes = incoming({"metadata": {"k": "x", "more": 1}})
    await written(store, KEYED, writes, "update")
    assert write.error is None
    assert write.races == 3
    assert numbers(store) == [1]


async def test_a_race_that_is_always_lost_ends() -> None:
    store = MemoryStore()
    await written(store, KEYED, incoming(keyed(1)))
    store.before = lambda actions: WriteOutcome.CONFLICT
    (write,) = writes = incoming(keyed(2))
    await written(store, KEYED, writes, "upsert")
    assert isinstance(write.error, Unavailable)
    assert write.races == ROUNDS
    assert numbers(store) == [1]


async def test_a_request_that_was_sent_twice_knows_its_own_object() -> None:
    """The first sending was stored, its answer was lost, and the second meets a conflict."""
    store = MemoryStore()
    writer = Writer(cast(Any, store), 100)
    for _ in range(2):
        writes = incoming(keyed(1))
        await writer.run(KEYED, writes, "insert", arrival=7, created=7)
        assert writes[0].error is None
    assert len(store.documents) == 1


async def test_an_idempotency_key_gives_the_object_of_the_first_request() -> None:
    store = MemoryStore()
    first, second = (
        incoming({"idempotency_key": "i", "metadata": {"n": 1}}),
        incoming({"idempotency_key": "i", "metadata": {"n": 2}}),
    )
    await written(store, home(), first)
    await written(store, home(), second)
    assert second[0].replayed
    assert second[0].answer["object_id"] == first[0].answer["object_id"]
    assert numbers(store) == [1]


async def test_an_index_that_knows_less_is_taught_again() -> None:
    store = MemoryStore()
    outcomes = iter([WriteOutcome.UNMAPPED])
    store.before = lambda actions: next(outcomes, None)
    (write,) = writes = incoming({"metadata": {"n": 1}})
    await written(store, home(), writes)
    assert write.error is None
    assert store.forgotten == 1
    assert numbers(store) == [1]


async def test_names_that_another_writer_gave_are_used() -> None:
    store = MemoryStore()

    def renamed(leaves: Mapping[str, Leaf]) -> None:
        if not store.names:
            store.names = {"metadata.n": "keyword"}
            raise Renamed

    store.learning = renamed
    await written(store, home(), incoming({"metadata": {"n": 1}}))
    ((document, _),) = store.documents.values()
    assert document["metadata"] == {"n@double": 1}


async def test_a_full_index_refuses_only_what_it_lacks() -> None:
    store = MemoryStore()

    def full(leaves: Mapping[str, Leaf]) -> None:
        if any(leaf.startswith("metadata.new") for leaf in leaves):
            raise FullIndex

    store.learning = full
    writes = incoming({"metadata": {"n": 1}}, {"metadata": {"new": 1, "n": 2}}, {"metadata": {"n": 3}})
    await written(store, home(), writes)
    assert [write.error is None for write in writes] == [True, False, True]
    assert isinstance(writes[1].error, Invalid)
    (problem,) = writes[1].error.problems
    assert (problem.location, problem.type) == (("body", "metadata", "new"), "field_budget")
    assert numbers(store) == [1, 3]


@pytest.mark.parametrize("policy", ["update", "upsert"])
async def test_a_policy_needs_a_key(policy: Policy) -> None:
    with pytest.raises(Invalid):
        await written(MemoryStore(), home(), incoming({"metadata": {}}), policy)


async def test_what_failed_is_told_and_nothing_is_refreshed() -> None:
    store = MemoryStore()
    store.before = lambda actions: WriteOutcome.UNAVAILABLE
    (write,) = writes = incoming({"metadata": {"n": 1}})
    await written(store, home(), writes)
    assert write.error is not None
    assert store.refreshed == 0
