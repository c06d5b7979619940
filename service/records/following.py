"""Sync: what was written to a stream after a cursor, in the order in which OpenSearch numbered the writes.

A shard numbers its writes and knows its global checkpoint, up to which all of them are complete; acknowledged writes
are at or below it. A cursor advances in rounds. A round records the checkpoints of all shards as its goals, refreshes
so that everything up to them is visible, and returns page by page the writes between the previous round's marks and the
goals. A record changed meanwhile moves beyond its shard's goal into the next round; busy shards do not delay others.

Deletions come last in a round, from a separate index, where each is written before the record is deleted. It names the
version to delete: if exactly that one still exists, the process that wanted to delete it is about to or has died, so it
is deleted here, and the deletion is reported only once it has happened. If a different version exists, the deletion
lost a race and will be reported if it is retried.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from service import dsl
from service.conditions.base import MATCH_ALL, Query
from service.errors import Unavailable
from service.storage import names
from service.storage.bulk import settled
from service.storage.records import RecordStore, Shard, StreamLocation
from service.values import Json, index_date

MAX_SYNC: Final = 10_000_000
"""Maximum bytes of a page."""

_FIRST: Final = 50
"""Records requested while their size is unknown."""
_AROUND: Final = 250
"""Bytes of a record in an answer in addition to its properties and id."""
_MARGIN: Final = 600_000
"""Milliseconds by which clocks may differ."""


@dataclass
class ShardPosition:
    """A cursor's position in one shard."""

    uuid: str
    """The ids of the index and of the shard's history: a different history numbers its writes anew."""
    at: int
    """Everything up to this number was delivered."""
    goal: int
    """This round delivers up to this number."""
    since: int | None = None
    """For a shard new to the cursor: the earliest `lastUpdatedTime` to deliver, None for any."""


@dataclass
class SyncPage:
    """A page under construction: the latest state of each record."""

    limit: int
    found: dict[str, tuple[Json, bool]] = field(default_factory=dict)
    """Id → the record, or its deletion (true)."""
    size: int = 0
    full: bool = False

    @property
    def room(self) -> int:
        """How many more records may fit."""
        left = self.limit - len(self.found)
        if not self.found:
            return min(left, _FIRST)
        return min(left, max(1, (MAX_SYNC - self.size) * len(self.found) // self.size))

    def take(self, id: str, source: Json, *, gone: bool) -> bool:
        """Adds a record; returns False and adds nothing if the page would become too large."""
        size = _AROUND + len(source["externalId"].encode()) + len(source.get("@raw", "").encode())
        if self.found and self.size + size > MAX_SYNC:
            self.full = True
            return False
        self.found.pop(id, None)
        self.found[id] = (source, gone)
        self.size += size
        self.full = len(self.found) >= self.limit
        return True


@dataclass(frozen=True)
class Follower:
    """Follows one stream from one cursor."""

    store: RecordStore
    location: StreamLocation
    since: int
    marks: dict[str, ShardPosition]
    query: Query

    async def page(self, limit: int) -> tuple[list[tuple[Json, bool]], bool]:
        """Records and deletions (true), and whether there are more; advances `marks`."""
        shards = await self._shards()
        page = SyncPage(limit)
        await self._emit_all(shards, page)
        if not page.full:
            await self._begin(shards)
            await self._emit_all(shards, page)
        return list(page.found.values()), any(self._behind(shard) for shard in shards)

    async def _emit_all(self, shards: Sequence[Shard], page: SyncPage) -> None:
        for shard in shards:
            if self._unfinished(shard):
                await self._emit(shard, page)

    async def _shards(self) -> list[Shard]:
        """Records before deletions: the last item about an id is its state."""
        patterns = [self.location.pattern]
        if self.location.mutable:
            patterns.append(names.tombstones(self.location.prefix))
        shards = [shard for pattern in patterns for shard in await self.store.shards_of(pattern)]
        unseen = self.marks.keys() - {self._key(shard) for shard in shards}
        if unseen:
            there = await self.store.uuids(f"{self.location.prefix}-*")
            for key in unseen:
                uuid = there.get(f"{self.location.prefix}-{key.rpartition('.')[0]}")
                if uuid is not None and self.marks[key].uuid.startswith(uuid):
                    raise Unavailable("a part of the stream is not available; try again", retry_after=5)
                del self.marks[key]  # its index expired, or was recreated with fewer shards
        return shards

    def _key(self, shard: Shard) -> str:
        return f"{shard.index.removeprefix(self.location.prefix)[1:]}.{shard.number}"

    def _unfinished(self, shard: Shard) -> bool:
        mark = self.marks.get(self._key(shard))
        return mark is not None and mark.uuid == shard.uuid and mark.at < mark.goal

    def _behind(self, shard: Shard) -> bool:
        """Whether there are undelivered writes."""
        mark = self.marks.get(self._key(shard))
        return mark is None or mark.uuid != shard.uuid or mark.at < max(mark.goal, shard.checkpoint)

    async def _begin(self, shards: Sequence[Shard]) -> None:
        """Starts a new round."""
        first = not self.marks
        for shard in shards:
            mark = self.marks.get(self._key(shard))
            if mark is not None and mark.uuid == shard.uuid:
                mark.goal, mark.since = max(mark.at, shard.checkpoint), None
                continue
            # A new index has only undelivered records; a recreated one also has records delivered before.
            since = self.since if first else self.since - _MARGIN if mark is not None else None
            self.marks[self._key(shard)] = ShardPosition(shard.uuid, -1, shard.checkpoint, since)
        if any(map(self._unfinished, shards)):
            await self.store.refresh_whole(f"{self.location.prefix}-*")

    async def _emit(self, shard: Shard, page: SyncPage) -> None:
        """Advances the mark past what was delivered or need not be."""
        mark = self.marks[self._key(shard)]
        gone = shard.index == names.tombstones(self.location.prefix)
        filters: list[Query] = [] if gone or self.query == MATCH_ALL else [self.query]
        if mark.since is not None:
            filters.append(dsl.in_range("lastUpdatedTime", gte=index_date(mark.since)))
        while mark.at < mark.goal and not page.full:
            asked = page.room
            hits = await self.store.written(shard, mark.at, mark.goal, filters, asked)
            ids = await self._deleted(hits) if gone else {hit["_id"]: hit["_id"] for hit in hits}
            for hit in hits:
                id = ids.get(hit["_id"])
                if id is not None and not page.take(id, hit["_source"], gone=gone):
                    return
                mark.at = hit["_seq_no"]
            if len(hits) < asked:
                mark.at = mark.goal

    async def _deleted(self, hits: Sequence[Json]) -> dict[str, str]:
        """The announced deletions that have happened: their ids → the records' ids."""
        announced = {hit["_id"]: victim(hit) for hit in hits}
        index = names.live(self.location.prefix)
        there = await self._there(index, list(announced.values()))
        pending = [
            (hit, there[id])
            for hit in hits
            if (id := announced[hit["_id"]]) in there and _same(hit["_source"], there[id])
        ]
        if pending:
            settled(await self.store.write([(deletion(index, found), None) for _, found in pending]))
            there = await self._there(index, list(announced.values()))
            if any(_same(hit["_source"], there.get(found["_id"])) for hit, found in pending):
                raise Unavailable("a deletion cannot be finished; try again", retry_after=5)
        return {key: id for key, id in announced.items() if id not in there}

    async def _there(self, index: str, ids: Sequence[str]) -> dict[str, Json]:
        found = await self.store.read(index, ids, source=["lastUpdatedTime"])
        return {each["_id"]: each for each in found if each["found"]}


TOMBSTONE_FIELDS: Final[Mapping[str, Json]] = {"@of": {"type": "long", "index": False, "doc_values": False}}
"""The additional fields of an announced deletion."""


def tombstone_id(found: Json) -> str:
    """Unique per version of a record, so that racing deletions do not hide each other."""
    return f"{found['_id']}@{found['_seq_no']}.{found['_primary_term']}"


def version_of(found: Json) -> list[int]:
    """The version of a record as its deletion names it; the time distinguishes versions of recreated indices."""
    return [found["_seq_no"], found["_primary_term"], found["_source"]["lastUpdatedTime"]]


def deletion(index: str, found: Json) -> dict[str, Any]:
    """The bulk action that deletes exactly this version of a record."""
    guard = {"if_seq_no": found["_seq_no"], "if_primary_term": found["_primary_term"]}
    return {"delete": {"_index": index, "_id": found["_id"], **guard}}


def victim(hit: Json) -> str:
    """The id of the record in an announced deletion."""
    return str(hit["_id"]).rpartition("@")[0]


def _same(announced: Mapping[str, Json], found: Json | None) -> bool:
    return found is not None and announced["@of"] == version_of(found)
