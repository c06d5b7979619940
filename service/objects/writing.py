"""Writes to a bucket: resolved by the policy, encoded, stored, and retried after a lost race."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from service.catalog.buckets import OpenBucket, Policy
from service.clock import arrival as new_arrival
from service.clock import now_millis
from service.encoding import ObservedField
from service.errors import AlreadyExists, Invalid, NotFound, TallyError, Unavailable
from service.fields import Leaf
from service.objects.incoming import (
    EncodedBatch,
    Incoming,
    location_of,
    merged,
    object_id,
    read_incoming,
    unique_values,
    validate,
    with_blobs,
)
from service.objects.restoring import Restored, is_same, read_restored, second_address
from service.storage.bulk import BulkItem, WriteOutcome
from service.storage.document import Answer, Stored
from service.storage.objects import FullIndex, ObjectStore, Renamed
from service.values import Json

ROUNDS: Final = 10
"""Maximum attempts for a write while others change the same object or add the same fields."""

_SLICE: Final = 25
"""Objects encoded before yielding to the event loop (about 2 ms)."""


@dataclass
class Write:
    """The write of one object and its outcome."""

    position: int
    raw: bytes | msgspec.Raw | None = None
    incoming: Incoming | None = None
    id: str = ""
    """Its document id: the object's id, except for some restored objects."""
    restored: Restored | None = None
    """Its earlier ids and times, for a restored object."""
    stored: Stored | None = None
    value: Mapping[str, Json] = field(default_factory=dict)
    action: dict[str, Any] = field(default_factory=dict)
    error: TallyError | None = None
    replayed: bool = False
    retried: bool = False
    """Whether a lost race is resolved again (update, upsert) instead of being an error."""
    lost_race: bool = False
    """Another request changed the object first, so nothing was written."""
    races: int = 0
    """Number of races lost so far."""

    @property
    def answer(self) -> Answer:
        assert self.stored is not None  # noqa: S101 - asked only of writes without an error
        answer = self.stored.answer()
        return {**answer, "replayed": True} if self.replayed else answer


class Writer:
    """Completes writes: stored, or with an error."""

    def __init__(self, store: ObjectStore, field_budget: int) -> None:
        self._store = store
        self._budget = field_budget

    async def run(
        self,
        home: OpenBucket,
        writes: list[Write],
        policy: Policy | None,
        arrival: int | None = None,
        created: int | None = None,
        *,
        refresh: bool = True,
        restore: bool = False,
    ) -> None:
        """Completes each write: stored, or with an error; with `refresh`, visible when it returns.

        `restore`: the objects were exported, and keep their ids and times.
        """
        key = home.unique_key
        policy = policy or (key.default_policy if key else "insert")
        if policy != "insert" and key is None:
            raise Invalid.at(("query", "policy"), f"policy {policy!r} needs a bucket with a unique_key")
        self.look(home)
        arrival, created = arrival or new_arrival(), created or now_millis()
        for index, write in enumerate(writes):
            if index % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
            if write.error is not None:
                continue
            try:
                if restore:
                    self._back(home, write)
                else:
                    write.incoming = read_incoming(write.raw or b"")
                    write.id = object_id(home.id, write.incoming, key)
                    if policy == "insert":
                        self._new(home, write, arrival, created)
                write.retried = restore or policy != "insert"
            except TallyError as error:
                write.error = error
            write.raw = None
        left = [write for write in writes if write.error is None]
        while left:
            now, later = _first_of_each(left)
            if restore:
                await self._place(home, now)
            elif policy != "insert":
                await self._decide(home, now, policy, arrival, created)
            await self.store(home, [write for write in now if write.error is None and write.action])
            if not restore:
                await self._replays(home, [write for write in now if isinstance(write.error, AlreadyExists)])
            # A write that lost a race precedes later ones of the same object.
            left = [write for write in now if _is_decided_again(write)] + later
        if refresh and any(write.error is None for write in writes):
            await self._store.refresh(home.scope)

    def look(self, home: OpenBucket) -> None:
        """Before a request writes: drops cached fields unless they are at the version just read from the catalogue."""
        self._store.forget_if_changed(home.scope, home.id, home.fields_version)

    def _new(self, home: OpenBucket, write: Write, arrival: int, created: int) -> None:
        """Prepares a new object; a random id needs no check, so a retry is harmless."""
        assert write.incoming is not None  # noqa: S101
        validate(write.incoming, home.schema)
        incoming, size = with_blobs(write.incoming)
        write.stored = Stored(
            write.id,
            home.id,
            incoming.status or "DRAFT",
            created,
            created,
            arrival,
            write.position,
            size,
            incoming.parts,
            incoming.idempotency_key,
        )
        write.value = incoming.value
        known = home.unique_key is not None or incoming.idempotency_key is not None
        write.action = {"create" if known else "index": {"_id": write.id}}

    def _back(self, home: OpenBucket, write: Write) -> None:
        """Prepares an exported object with its original ids and times."""
        write.incoming, write.restored = read_restored(write.raw or b"")
        incoming, restored = write.incoming, write.restored
        before = home.snapshot.expired_before
        if before is not None and restored.created_at < before:
            raise Invalid.at(
                ("body", "created_at"), "it is older than the bucket keeps objects (ttl_seconds)", "expired"
            )
        validate(incoming, home.schema)
        incoming, size = with_blobs(incoming)
        write.stored = Stored(
            restored.object_id,
            home.id,
            incoming.status or "DRAFT",
            restored.created_at,
            restored.updated_at,
            restored.arrival,
            write.position,
            size,
            incoming.parts,
        )
        write.value = incoming.value
        # Lines with the same id must see each other, whatever their document id.
        write.id = restored.object_id

    async def _place(self, home: OpenBucket, writes: list[Write]) -> None:
        """Determines the document ids of restored objects, and detects those that already exist.

        An object's document id is its own id. A copy of another bucket's object in the same namespace gets a second
        one, and an object in a bucket with a unique key the one derived from its key.
        """
        places = [self._places(home, write) for write in writes]
        found = iter(await self._store.read(home.scope, [each for group in places for each in group]))
        # The key's document id says nothing about an object with this id and another key.
        foreign = [write.id for write, group in zip(writes, places, strict=True) if write.id not in group[:1]]
        elsewhere = await self._store.addresses(home.scope, home.id, foreign) if home.unique_key else {}
        for write, group in zip(writes, places, strict=True):
            there = {each["_id"]: each for each in (next(found) for _ in group) if each.get("found")}
            mine = [each for each in there.values() if each["_source"]["bucket_id"] == home.id]
            assert write.stored is not None  # noqa: S101
            same = next((each for each in mine if each["_source"]["object_id"] == write.id), None)
            if same is not None and is_same(Stored.load(same["_source"]), write.stored):
                write.stored, write.replayed = Stored.load(same["_source"]), True
            elif same is not None or write.id in elsewhere:
                write.error = AlreadyExists(
                    "the bucket has another object with this id; delete it first", {"object_id": write.id}
                )
            elif home.unique_key and group[0] in there:
                write.error = AlreadyExists(
                    "an object with this key exists already", {"object_id": there[group[0]]["_source"]["object_id"]}
                )
            else:
                free = next(each for each in group if each not in there)
                write.action = {"create": {"_id": free}}

    def _places(self, home: OpenBucket, write: Write) -> list[str]:
        assert write.incoming is not None  # noqa: S101
        ids = [write.id, second_address(home.id, write.id)]
        key = home.unique_key
        return [object_id(home.id, write.incoming, key), *ids] if key else ids

    def change(self, home: OpenBucket, write: Write, found: Json) -> None:
        """Prepares an existing object with the incoming fields applied; written only if it is unchanged since."""
        assert write.incoming is not None  # noqa: S101
        before = Stored.load(found["_source"])
        incoming = merged(before, write.incoming)
        validate(incoming, home.schema)
        key = home.unique_key
        if key and object_id(home.id, incoming, key) != found["_id"]:
            raise AlreadyExists(
                "the fields of the bucket's unique_key cannot change; delete the object and create another",
                {"unique_key": key.fields},
            )
        incoming, size = with_blobs(incoming)
        write.stored = Stored(
            before.object_id,
            home.id,
            incoming.status or before.status,
            before.created_at,
            max(now_millis(), before.updated_at),
            before.arrival,
            before.position,
            size,
            incoming.parts,
            before.idempotency_key,
        )
        write.value = incoming.value
        write.action = {
            "index": {
                "_id": found["_id"],
                "if_seq_no": found["_seq_no"],
                "if_primary_term": found["_primary_term"],
            }
        }

    async def _decide(self, home: OpenBucket, writes: list[Write], policy: Policy, arrival: int, created: int) -> None:
        if not writes:
            return
        for write, found in zip(writes, await self._store.read(home.scope, [each.id for each in writes]), strict=True):
            try:
                if found.get("found"):
                    self.change(home, write, found)
                elif policy == "update":
                    raise NotFound("Object", str(unique_values(write.incoming, home.unique_key)))  # type: ignore[arg-type]
                else:
                    self._new(home, write, arrival, created)
            except TallyError as error:
                write.error = error

    async def store(self, home: OpenBucket, writes: list[Write]) -> None:
        """Writes what can be indexed. After a `lost_race` the caller resolves the write again."""
        for _ in range(ROUNDS):
            documents = await self._encoded(home, writes)
            pairs = [(write, document) for write, document in documents if write.error is None]
            if not pairs:
                return
            items = await self._store.write(home.scope, [(write.action, document) for write, document in pairs])
            for (write, _), item in zip(pairs, items, strict=True):
                write.error = self._settled(write, item)
            writes = [
                write for (write, _), item in zip(pairs, items, strict=True) if item.outcome is WriteOutcome.UNMAPPED
            ]
            if not writes:
                return
            # An older index was restored from a snapshot.
            self._store.forget(home.scope, home.id)
        for write, item in zip(writes, [item for item in items if item.outcome is WriteOutcome.UNMAPPED], strict=True):
            write.error = item.error

    def _settled(self, write: Write, item: BulkItem) -> TallyError | None:
        if item.done or item.outcome is WriteOutcome.UNMAPPED:
            return None
        if item.outcome is not WriteOutcome.CONFLICT:
            return item.error
        if write.retried:
            write.lost_race = True
            return None
        return AlreadyExists("an object with this key exists already", {"object_id": write.id})

    async def _encoded(self, home: OpenBucket, writes: list[Write]) -> list[tuple[Write, dict[str, Any]]]:
        for _ in range(ROUNDS):
            primary_types = await self._store.primary_types(home.scope)
            known = await self._store.known(home.id)
            batch = EncodedBatch(primary_types, known, self._budget)
            documents: list[tuple[Write, dict[str, Any]]] = []
            for index, write in enumerate(writes):
                if index % _SLICE == _SLICE - 1:
                    await asyncio.sleep(0)
                if write.error is None and write.stored is not None:
                    try:
                        documents.append((write, batch.document(write.stored, write.value)))
                    except Invalid as error:
                        write.error = error
            try:
                await self._store.learn(home.scope, home.id, batch.observed, batch.leaves)
            except Renamed:
                continue
            except FullIndex:
                await self._refuse_new_fields(home, documents, known)
                continue
            return documents
        raise Unavailable("too many writers bring new fields at once", retry_after=1)

    async def _refuse_new_fields(
        self, home: OpenBucket, documents: list[tuple[Write, dict[str, Any]]], known: Mapping[str, ObservedField]
    ) -> None:
        """The namespace's index is full: refuses objects with new fields, as they could not be searched."""
        for write, _ in documents:
            alone = EncodedBatch(await self._store.primary_types(home.scope), known, self._budget)
            assert write.stored is not None  # noqa: S101
            alone.document(write.stored, write.value)
            missing: dict[str, Leaf] = {
                name: leaf for name, leaf in alone.leaves.items() if not await self._store.maps(home.scope, name)
            }
            if missing:
                write.error = Invalid.at(
                    location_of(next(iter(missing))),
                    "the namespace's index has as many fields as it can hold; use another namespace",
                    "field_budget",
                )

    async def _replays(self, home: OpenBucket, writes: list[Write]) -> None:
        """Distinguishes existing objects from those this same request stored, and honours idempotency keys."""
        if not writes:
            return
        for write, found in zip(writes, await self._store.read(home.scope, [each.id for each in writes]), strict=True):
            if not found.get("found") or write.incoming is None or write.stored is None:
                continue
            stored, mine = Stored.load(found["_source"]), write.stored
            if (stored.arrival, stored.position) == (mine.arrival, mine.position):
                # The first attempt was stored although its answer was lost.
                write.error = None
            elif stored.idempotency_key is not None and stored.idempotency_key == mine.idempotency_key:
                write.stored, write.error, write.replayed = stored, None, True
            elif stored.object_id != write.id and write.error is not None:
                write.error = AlreadyExists(write.error.message, {"object_id": stored.object_id})


def _is_decided_again(write: Write) -> bool:
    """Whether a write that lost a race is resolved again; false after the last attempt."""
    if not write.lost_race:
        return False
    write.lost_race, write.action = False, {}
    write.races += 1
    if write.races >= ROUNDS:
        write.error = Unavailable("the object is being changed by too many requests at once", retry_after=1)
    return write.error is None


def _first_of_each(writes: list[Write]) -> tuple[list[Write], list[Write]]:
    """The first write of each id, and the rest, which must see the first."""
    seen: set[str] = set()
    first: list[Write] = []
    rest: list[Write] = []
    for write in writes:
        (rest if write.id in seen else first).append(write)
        seen.add(write.id)
    return first, rest
