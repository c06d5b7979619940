"""Writing records: create, append, replace, delete (contract, records, 2)."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from service.catalog.streams import OpenStream
from service.clock import now_millis
from service.dialects.tree.wire import RecordIds
from service.errors import AlreadyExists, BadRequest, Invalid, Problem, Unavailable
from service.records.following import TOMBSTONE_FIELDS, deletion, tombstone_id, version_of
from service.records.ingest import Identity, PreparedRecord, Preparing, read_items
from service.records.opening import Opening, require_mutable
from service.records.selection import unexpired
from service.storage import names
from service.storage.bulk import BulkItem, WriteOutcome, settled
from service.storage.records import RecordStore
from service.values import Json

ROUNDS: Final = 10
"""Maximum attempts for a record while others change it."""
_RECOUNT: Final = 10.0
"""Seconds for which a stream's record count stays valid."""
_CLOSE: Final = 600_000
"""Milliseconds around the switch from one index of an immutable stream to the next."""
_SLICE: Final = 25
"""Records prepared before yielding to the event loop."""

T = TypeVar("T")


@dataclass
class _Fill:
    """The number of records in a stream, as far as this process knows."""

    records: int = 0
    size: int = 0
    coming: int = 0
    """Records being written."""
    at: float = float("-inf")
    turn: asyncio.Condition = field(default_factory=asyncio.Condition)


class RecordWriter:
    """The use cases that change records."""

    def __init__(self, opening: Opening, store: RecordStore) -> None:
        self._opening = opening
        self._store = store
        self._fills: dict[str, _Fill] = {}
        self._known_slices: dict[str, tuple[str, float, list[str]]] = {}
        """Stream → its current index, the expiry of this entry, and the known indices of the stream."""
        self._preparing = asyncio.Lock()

    async def ingest(self, project: str, stream_id: str, body: bytes, *, refresh: bool) -> None:
        """Adds records; one that exists is dropped for an immutable stream, an error for a mutable one."""
        stream, prepared = await self._prepared(project, stream_id, body)
        async with self._room(stream, prepared):
            try:
                await (self._create if stream.mutable else self._append)(stream, prepared)
            finally:
                # The others are stored even if one is refused.
                if refresh:
                    await self._store.refresh(stream.location)

    async def upsert(self, project: str, stream_id: str, body: bytes, *, refresh: bool) -> None:
        """Writes records, replacing those with the same id."""
        stream, prepared = await self._prepared(project, stream_id, body, changing=True)
        async with self._room(stream, prepared):
            await self._settle(stream, prepared, self._replacing)
        if refresh:
            await self._store.refresh(stream.location)

    async def delete(self, project: str, stream_id: str, body: RecordIds, *, refresh: bool) -> None:
        """Unknown ids are ignored; sync reports those that existed."""
        stream = await self._opening.stream(project, stream_id)
        require_mutable(stream)
        known = (Identity(each.space, each.external_id) for each in body.items)
        identities = list({each.id: each for each in known}.values())
        await self._store.ensure(stream.location, names.tombstones(stream.location.prefix), TOMBSTONE_FIELDS)
        await self._settle(stream, identities, self._deleting)
        if refresh:
            await self._store.refresh(stream.location)

    async def _prepared(
        self, project: str, stream_id: str, body: bytes, *, changing: bool = False
    ) -> tuple[OpenStream, list[PreparedRecord]]:
        items = read_items(body)
        used = dict.fromkeys(key for item in items for key in item.sources)
        used_spaces = dict.fromkeys(item.space for item in items)
        stream, columns, spaces = await self._opening.with_containers(project, stream_id, used, used_spaces)
        if changing:
            require_mutable(stream)
        missing = [{"space": space} for space in used_spaces if space not in spaces]
        missing += [{"space": space, "externalId": id} for space, id in used if (space, id) not in columns]
        if missing:
            raise BadRequest(
                f"unknown spaces or containers: {', '.join('/'.join(each.values()) for each in missing[:10])}",
                {"missing": missing},
            )
        now = now_millis()
        preparing = Preparing(columns, now, content=not stream.mutable)
        prepared: list[PreparedRecord] = []
        # One at a time: interleaved, all would finish late and together, and OpenSearch would be idle until then.
        async with self._preparing:
            for number, item in enumerate(items):
                if number % _SLICE == _SLICE - 1:
                    await asyncio.sleep(0)
                prepared.append(preparing.prepare(item))
        if stream.mutable:
            _once(prepared)
        fields: dict[str, Json] = {}
        for key in used:
            for column in columns[key].values():
                if column.mapping is not None:
                    fields[column.field] = column.mapping
                if column.listed or column.mapping is None:
                    fields[column.extra] = {"type": "long", "index": False}
        await self._store.ensure(stream.location, stream.location.slice(now), fields)
        return stream, prepared

    @asynccontextmanager
    async def _room(self, stream: OpenStream, prepared: Sequence[PreparedRecord]) -> AsyncIterator[None]:
        """Raises `BadRequest` if the stream would hold more than its template allows."""
        fill = self._fills.setdefault(stream.location.prefix, _Fill())
        more = len(prepared)
        async with fill.turn:
            if time.monotonic() - fill.at >= _RECOUNT:
                fill.records, fill.size = await self._store.size(stream.location)
                fill.at = time.monotonic()
            if fill.records + fill.coming + more > 0.95 * stream.max_records:
                # Near the limit one at a time, so that none is refused, or admitted, because of another.
                await fill.turn.wait_for(lambda: not fill.coming)
                fill.records = await self._store.count(stream.location)
                await self._check_room(stream, prepared, fill)
            if fill.size > stream.max_bytes:
                raise BadRequest(
                    f"the stream {stream.id!r} holds {fill.size:,} bytes of at most {stream.max_bytes:,}",
                    {"limit": stream.max_bytes},
                )
            fill.coming += more
        try:
            yield
        finally:
            async with fill.turn:
                fill.coming -= more
                fill.records += more
                fill.turn.notify_all()

    async def _check_room(self, stream: OpenStream, prepared: Sequence[PreparedRecord], fill: "_Fill") -> None:
        """Raises as `_room` does; records that already exist do not count."""
        if fill.records + len(prepared) <= stream.max_records:
            return
        there = await self._store.present(stream.location.pattern, [each.id for each in prepared], ())
        more = len({each.id for each in prepared} - there)
        if fill.records + more > stream.max_records:
            raise BadRequest(
                f"the stream {stream.id!r} holds {fill.records:,} records of at most {stream.max_records:,}; "
                f"{more:,} more do not fit",
                {"limit": stream.max_records},
            )

    async def _create(self, stream: OpenStream, prepared: Sequence[PreparedRecord]) -> None:
        index = stream.location.slice(0)
        actions = [({"create": {"_index": index, "_id": each.id}}, each.document()) for each in prepared]
        results = await self._store.write(actions)
        codes = [_code(item) for item in results]
        await self._own(index, prepared, codes)
        if all(code == 202 for code in codes):
            return
        _raise_partial_failure(prepared, codes, results, "is stored already; use upsert to replace it")

    async def _own(self, index: str, prepared: Sequence[PreparedRecord], codes: list[int]) -> None:
        """Changes 409 to 202 for records that a retried request stored itself, in an attempt whose answer was lost."""
        taken = [place for place, code in enumerate(codes) if code == 409]
        there = await self._store.read(index, [prepared[place].id for place in taken], source=["createdTime", "@raw"])
        for place, found in zip(taken, there, strict=True):
            mine = prepared[place]
            if found["found"] and found["_source"] == {"createdTime": mine.now, "@raw": mine.raw.decode()}:
                codes[place] = 202

    async def _append(self, stream: OpenStream, prepared: Sequence[PreparedRecord]) -> None:
        """Drops existing records: equal records have equal ids, whichever index they are in."""
        now = prepared[0].now
        index = stream.location.slice(now)
        others = [each for each in await self._slices(stream, index) if each != index]
        ids = [each.id for each in prepared]
        there = await self._store.present(stream.location.named(others), ids, unexpired(stream))
        # Near the switch to the next index another process's clock may differ, and a refresh may be outstanding.
        for near in {stream.location.slice(now - _CLOSE), stream.location.slice(now + _CLOSE)} - {index}:
            there |= {each["_id"] for each in await self._store.read(near, ids, source=False) if each["found"]}
        actions = [
            ({"create": {"_index": index, "_id": each.id}}, each.document())
            for each in prepared
            if each.id not in there
        ]
        results = await self._store.write(actions) if actions else []
        codes = [202 if item.outcome is WriteOutcome.CONFLICT else _code(item) for item in results]
        if any(code != 202 for code in codes):
            left = [each for each in prepared if each.id not in there]
            _raise_partial_failure(left, codes, results, "could not be stored")

    async def _slices(self, stream: OpenStream, current: str) -> list[str]:
        key = stream.location.prefix
        known = self._known_slices.get(key)
        if known is None or known[0] != current or known[1] < time.monotonic():
            there = await self._store.indices(f"{key}-*")
            known = self._known_slices[key] = (current, time.monotonic() + _RECOUNT, there)
        return known[2]

    async def _settle(
        self,
        stream: OpenStream,
        items: Sequence[T],
        decide: Callable[
            [OpenStream, Sequence[T], Sequence[Json]], Awaitable[list[tuple[T, list[tuple[Json, bytes | None]]]]]
        ],
    ) -> None:
        """Writes what `decide` makes of the stored state; items changed concurrently are decided again."""
        left = list(items)
        index = names.live(stream.location.prefix)
        for _ in range(ROUNDS):
            found = await self._store.read(index, [item.id for item in left], source=["createdTime", "lastUpdatedTime"])  # type: ignore[attr-defined]
            decided = await decide(stream, left, found)
            actions = [action for _, mine in decided for action in mine]
            if not actions:
                return
            results = iter(await self._store.write(actions))
            lost = []
            for item, mine in decided:
                ended = [next(results) for _ in mine]
                settled(ended)
                if not all(each.done for each in ended):
                    lost.append(item)
            if not lost:
                return
            left = lost
        raise Unavailable("the records are being changed by too many requests at once", retry_after=1)

    async def _replacing(
        self, stream: OpenStream, items: Sequence[PreparedRecord], found: Sequence[Json]
    ) -> list[tuple[PreparedRecord, list[tuple[Json, bytes | None]]]]:
        index = names.live(stream.location.prefix)
        decided: list[tuple[PreparedRecord, list[tuple[Json, bytes | None]]]] = []
        for item, old in zip(items, found, strict=True):
            if old["found"]:
                guard = {"if_seq_no": old["_seq_no"], "if_primary_term": old["_primary_term"]}
                before = old["_source"]
                # Later than its creation, by which sync recognises an update.
                updated = max(item.now, before["lastUpdatedTime"], before["createdTime"] + 1)
                document = item.document(before["createdTime"], updated)
                decided.append((item, [({"index": {"_index": index, "_id": item.id, **guard}}, document)]))
            else:
                decided.append((item, [({"create": {"_index": index, "_id": item.id}}, item.document())]))
        return decided

    async def _deleting(
        self, stream: OpenStream, items: Sequence[Identity], found: Sequence[Json]
    ) -> list[tuple[Identity, list[tuple[Json, bytes | None]]]]:
        """Announces the deletion first, so that sync reports it even if this process dies in between."""
        live, gone = names.live(stream.location.prefix), names.tombstones(stream.location.prefix)
        now = now_millis()
        there = [(item, old) for item, old in zip(items, found, strict=True) if old["found"]]
        tombstones = [
            (
                {"index": {"_index": gone, "_id": tombstone_id(old)}},
                item.tombstone(
                    old["_source"]["createdTime"], max(now, old["_source"]["lastUpdatedTime"]), version_of(old)
                ),
            )
            for item, old in there
        ]
        for written in await self._store.write(tombstones) if tombstones else ():
            if not written.done:
                raise written.error
        return [(item, [(deletion(live, old), None)]) for item, old in there]


def _once(prepared: Sequence[PreparedRecord]) -> None:
    seen: set[str] = set()
    twice = []
    for each in prepared:
        if each.id in seen:
            twice.append({"space": each.space, "externalId": each.external_id})
        seen.add(each.id)
    if twice:
        rendered = ", ".join(f"{each['space']}/{each['externalId']}" for each in twice[:10])
        error = Invalid([Problem((), f"the same record twice in one request: {rendered}")])
        error.details = {"duplicated": twice}
        raise error


def _code(item: BulkItem) -> int:
    """The status of one record: 202, 409, 500 or 503 (contract, records, 6), whatever that of the whole request."""
    if item.done:
        return 202
    if item.outcome is WriteOutcome.CONFLICT:
        return 409
    return 500 if item.error.status == 500 else 503


def _raise_partial_failure(
    prepared: Sequence[PreparedRecord], codes: Sequence[int], items: Sequence[BulkItem], message: str
) -> None:
    """Raises which records are stored and which are not; if all failed for one reason, raises that error."""
    if all(code not in (202, 409) for code in codes):
        raise items[0].error
    partial: list[Json] = []
    for each, code in zip(prepared, codes, strict=True):
        rendered: dict[str, Json] = {"space": each.space, "externalId": each.external_id, "code": code}
        if code != 202:
            rendered["message"] = message if code == 409 else "could not be stored; send it again"
        partial.append(rendered)
    refused = [each for each in partial if each["code"] != 202]
    ids = ", ".join(f"{each['space']}/{each['externalId']}" for each in refused[:10])
    raise AlreadyExists(f"{len(refused)} of {len(partial)} records were not stored: {ids}", {"partial": partial})
