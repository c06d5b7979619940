"""Streams' records in their indices: creating, writing, reading, searching, and following in write order."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import orjson

from service import dsl
from service.storage import names
from service.storage.bulk import BulkItem, WriteOutcome, bulk, delete_by_query
from service.storage.gateway import OPEN, OPEN_OR_CLOSED, Absent, Gateway, Refresher, Rejected
from service.storage.index_settings import index_settings
from service.storage.templates import index_body
from service.values import Json, index_date, moment

_MOST: Final = 10_000
"""Maximum number of streams queried together."""
_EXPLICIT: Final = 40
_LINE: Final = 3_000
"""Characters of index names that are listed in a request; for more, a pattern is used."""

DAY: Final = 86_400_000


@dataclass(frozen=True)
class StreamLocation:
    """Where a stream's records are stored."""

    prefix: str
    mutable: bool
    slice_days: int = 1
    """Days of one index of an immutable stream."""
    alias: str = ""

    @property
    def pattern(self) -> str:
        """The index pattern of the stream's records; always a pattern, so it may match nothing."""
        return _exactly(names.live(self.prefix)) if self.mutable else f"{self.prefix}-*"

    def slice(self, millis: int) -> str:
        """The index for records stored at a given time."""
        if self.mutable:
            return names.live(self.prefix)
        return self._slice(self._number(millis))

    def slices(self, low: int | None, high: int | None) -> str:
        """The indices that can hold records of a time span."""
        if self.mutable or low is None or high is None:
            return self.pattern
        first, last = self._number(low), self._number(high)
        if not 0 <= last - first < _EXPLICIT:
            return self.pattern
        return self.named(list(map(self._slice, range(first, last + 1))))

    def named(self, indices: Sequence[str]) -> str:
        """Some of the stream's indices, which need not exist; all of them if the list would be too long."""
        text = ",".join(map(_exactly, indices))
        return text if len(text) <= _LINE else self.pattern

    def ends(self, index: str) -> int:
        """Epoch milliseconds before which all records in an index of an immutable stream were stored."""
        begins = datetime.strptime(index.rsplit("-", 1)[1], "%Y%m%d").replace(tzinfo=UTC)
        return int(begins.timestamp()) * 1_000 + self.slice_days * DAY

    def _slice(self, number: int) -> str:
        return f"{self.prefix}-{moment(number * self.slice_days * DAY):%Y%m%d}"

    def _number(self, millis: int) -> int:
        return max(0, millis) // (self.slice_days * DAY)


def _exactly(index: str) -> str:
    """A pattern that matches one index, since the suffixes of a stream's indices have equal length.

    For a plain name OpenSearch treats a missing index as an error, or also skips closed ones; a pattern does neither.
    """
    return f"{index}*"


@dataclass(frozen=True)
class Shard:
    """One shard of an index, and up to which write it is complete."""

    index: str
    uuid: str
    """The id of its history: a different history numbers its writes anew."""
    number: int
    checkpoint: int


_PRIMARY: Final = {"preference": "_primary"}
"""The primary is the first to have unacknowledged writes."""
_TOLD: Final = ["space", "externalId", "createdTime", "lastUpdatedTime", "@raw", "@of"]


class RecordStore:
    """All streams' records."""

    def __init__(self, gateway: Gateway, refresher: Refresher, shards: int, replicas: int | None) -> None:
        self.gateway = gateway
        self._refresher = refresher
        self.shards = shards
        self._settings = index_settings(shards, replicas)
        self._mapped: dict[str, dict[str, Json]] = {}
        """Index → its fields, as far as this process knows."""

    # Indices

    async def ensure(self, location: StreamLocation, index: str, fields: Mapping[str, Json]) -> None:
        """Creates the index if it does not exist, and any fields that it lacks."""
        mapped = self._mapped.get(index)
        if mapped is None:
            await self._make(location, index)
            mapped = self._mapped[index] = {}
        missing = {name: body for name, body in fields.items() if name not in mapped}
        if missing:
            try:
                await self._map(index, missing)
            except Absent:
                # It was removed meanwhile: a new index lacks all fields.
                self._mapped.pop(index, None)
                await self._make(location, index)
                await self._map(index, fields)
                mapped = self._mapped[index] = {}
            mapped |= fields

    async def _map(self, index: str, fields: Mapping[str, Json]) -> None:
        await self.gateway.request("PUT", f"/{index}/_mapping", {"dynamic": "strict", "properties": fields})

    async def _make(self, location: StreamLocation, index: str) -> None:
        body = index_body("tally-records", self._settings)
        if location.alias and not index.endswith("-gone"):
            body["aliases"] = {location.alias: {}}
        try:
            await self.gateway.request("PUT", f"/{index}", body)
        except Rejected as rejected:
            if rejected.kind != "resource_already_exists_exception":
                raise

    async def drop(self, prefix: str) -> None:
        """Removes all indices of a stream."""
        for index in await self.indices(f"{prefix}-*"):
            with suppress(Absent):
                await self.gateway.request("DELETE", f"/{index}")
            self._mapped.pop(index, None)

    async def drop_index(self, index: str) -> None:
        with suppress(Absent):
            await self.gateway.request("DELETE", f"/{index}")
        self._mapped.pop(index, None)

    async def indices(self, pattern: str) -> list[str]:
        return sorted(await self.uuids(pattern))

    async def uuids(self, pattern: str) -> dict[str, str]:
        """Index UUIDs by name, including unavailable indices."""
        answer = await self.gateway.json("GET", f"/{pattern}/_settings/index.uuid", params={"allow_no_indices": "true"})
        return {index: each["settings"]["index"]["uuid"] for index, each in answer.items()}

    async def size(self, location: StreamLocation) -> tuple[int, int]:
        """Records and bytes of a stream."""
        answer = await self.gateway.json("GET", f"/{location.pattern}/_stats/docs,store", params=OPEN_OR_CLOSED)
        found = answer["_all"]["primaries"]
        return (found["docs"]["count"], found["store"]["size_in_bytes"]) if found else (0, 0)

    async def count(self, location: StreamLocation, query: Json | None = None) -> int:
        """Number of records in a stream, including ones not refreshed yet."""
        await self.refresh(location)
        body = {"query": query} if query else None
        answer = await self.gateway.json("POST", f"/{location.pattern}/_count", body, params=OPEN_OR_CLOSED)
        return int(answer["count"])

    async def refresh(self, location: StreamLocation) -> None:
        await self._refresher.refresh(location.pattern)

    # Documents

    async def write(self, actions: Sequence[tuple[Mapping[str, Any], bytes | None]]) -> list[BulkItem]:
        """Bulk-writes (action, document) pairs; not yet visible."""
        lines = [
            [orjson.dumps(action)] if document is None else [orjson.dumps(action), document]
            for action, document in actions
        ]
        items = await bulk(self.gateway, lines)
        unmapped = [position for position, item in enumerate(items) if item.outcome is WriteOutcome.UNMAPPED]
        if unmapped:
            # An older index was restored from a snapshot.
            for index in {details["_index"] for position in unmapped for details in actions[position][0].values()}:
                # One dropped meanwhile is no longer known, or does not exist: its items fail again.
                with suppress(Absent):
                    await self._map(index, self._mapped.get(index, {}))
            for position, item in zip(
                unmapped, await bulk(self.gateway, [lines[each] for each in unmapped]), strict=True
            ):
                items[position] = item
        return items

    async def read(self, index: str, ids: Sequence[str], *, source: Any = True) -> list[Json]:
        """Documents by id, including ones not refreshed yet."""
        if not ids:
            return []
        docs = [{"_id": id, "_source": source} for id in ids]
        try:
            return await self.gateway.multi_get(index, docs, _PRIMARY)
        except Absent:
            return [{"found": False}] * len(ids)

    async def present(self, indices: str, ids: Sequence[str], filters: Sequence[Json]) -> set[str]:
        """Which ids are in any of the indices, as of the last refresh."""
        if not indices or not ids:
            return set()
        query = dsl.filtered({"ids": {"values": list(ids)}}, *filters)
        body = {"size": len(ids), "query": query, "_source": False}
        answer = msgspec.json.decode(await self.gateway.search(indices, body))
        return {hit["_id"] for hit in answer["hits"]["hits"]}

    async def search(self, indices: str, body: Mapping[str, Any]) -> Json:
        """The answer; an empty one if there is no index."""
        return await self.read_answer(await self.search_text(indices, body))

    async def search_text(self, indices: str, body: Mapping[str, Any]) -> str:
        """The unparsed answer."""
        return await self.gateway.search(indices, body)

    async def read_answer(self, text: str) -> Json:
        """Parses an answer of `search_text`."""
        return msgspec.json.decode(text) if len(text) < 200_000 else await asyncio.to_thread(msgspec.json.decode, text)

    async def with_tombstones(self, before: int) -> set[str]:
        """The indices of deletions, over all streams, that hold one from before that time."""
        old = dsl.in_range("lastUpdatedTime", lt=index_date(before))
        aggs = {"indices": {"terms": {"field": "_index", "size": _MOST}}}
        pattern = names.tombstones(names.ALL_RECORDS)
        answer = await self.read_answer(
            await self.gateway.search(pattern, {"size": 0, "query": old, "aggs": aggs}, OPEN)
        )
        found = answer.get("aggregations", {"indices": {"buckets": []}})
        return {bucket["key"] for bucket in found["indices"]["buckets"]}

    async def forget_tombstones(self, location: StreamLocation, before: int) -> None:
        old = dsl.in_range("lastUpdatedTime", lt=index_date(before))
        with suppress(Absent):
            (await delete_by_query(self.gateway, names.tombstones(location.prefix), old, {})).check()

    async def holds(self, namespace_id: str, query: Json, but: Sequence[str]) -> bool:
        """Whether any stream of a namespace, except indices with these prefixes, has a record that matches a query."""
        pattern = f"{names.PREFIX}-records-{namespace_id}.*"
        await self._refresher.refresh(pattern)
        deleted = [{"prefix": {"_index": f"{prefix}-"}} for prefix in but]
        body = {"size": 0, "track_total_hits": 1, "query": dsl.filtered(query, without=deleted)}
        answer = await self.search(f"{pattern},-{pattern}-gone", body)
        return bool(answer["hits"]["total"]["value"])

    async def drop_all(self, namespace_id: str) -> None:
        await self.drop(f"{names.PREFIX}-records-{namespace_id}.*")

    # In write order

    async def shards_of(self, pattern: str) -> list[Shard]:
        """The shards of the indices; acknowledged writes are at or below their checkpoints, or will be soon."""
        params = {"level": "shards", **OPEN_OR_CLOSED}
        try:
            answer = await self.gateway.json("GET", f"/{pattern}/_stats/docs", params=params)
        except Absent:
            return []
        found = [
            Shard(
                index,
                f"{stats['uuid']}{copy['commit']['user_data']['history_uuid'][:8]}",
                int(number),
                copy["seq_no"]["global_checkpoint"],
            )
            for index, stats in answer["indices"].items()
            for number, copies in stats["shards"].items()
            for copy in copies
            if copy["routing"]["primary"] and copy["routing"]["state"] in ("STARTED", "RELOCATING")
        ]
        return sorted(found, key=lambda shard: (shard.index, shard.number))

    async def refresh_whole(self, pattern: str) -> None:
        """Raises `Unavailable` if any shard could not be refreshed."""
        await self.gateway.request("POST", f"/{pattern}/_refresh")

    async def written(self, shard: Shard, after: int, until: int, filters: Sequence[Json], size: int) -> list[Json]:
        """A shard's writes with numbers above `after` up to `until`, in order."""
        span = dsl.in_range("_seq_no", gt=after, lte=until)
        body = {
            "size": size,
            "query": dsl.filtered(span, *filters),
            "sort": [{"_seq_no": "asc"}],
            "seq_no_primary_term": True,
            "track_total_hits": False,
            "_source": _TOLD,
        }
        try:
            text = await self.gateway.search(shard.index, body, preference=f"_shards:{shard.number}|_primary")
        except Absent:
            return []
        hits: list[Json] = msgspec.json.decode(text)["hits"]["hits"]
        return hits
