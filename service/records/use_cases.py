"""Records: written into streams, read, followed and aggregated (contract, records, 1 to 3)."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

import msgspec

from service import metrics, tracing
from service.aggregations.base import Inexact
from service.catalog.models import columns_of, container_key, space_key
from service.catalog.namespaces import NamespaceService
from service.catalog.streams import OpenStream, StreamService
from service.clock import now_millis
from service.conditions.base import MATCH_ALL, Query
from service.dialects.tree.filters import between, read_filter, updated_within
from service.dialects.tree.nodes import QueryEffort, Reading, accuracies, compiled, evaluate_all, read_all
from service.dialects.tree.properties import TOP, Key
from service.dialects.tree.references import Columns, References, named, reject, shown
from service.dialects.tree.request import Tree, read_tree
from service.dialects.tree.warnings import Named, cut_off
from service.dialects.tree.wire import (
    FilterRequest,
    RecordIds,
    RecordsAggregate,
    Selection,
    Sort,
    SourceProperties,
    SyncRequest,
)
from service.errors import AlreadyExists, BadRequest, Invalid, Location, OverBudget, Problem, Unavailable
from service.listing.cursors import Cursors
from service.records.following import TOMBSTONE_FIELDS, Follower, ShardPosition, deletion, tombstone_id, version_of
from service.records.ingest import Identity, PreparedRecord, Preparing, read_items
from service.scope import Scope
from service.spelling import did_you_mean
from service.storage import names
from service.storage.bulk import BulkItem, WriteOutcome, settled
from service.storage.catalog import Catalog, Entry, Version
from service.storage.records import RecordStore
from service.tokens import string_term
from service.values import Json

ROUNDS: Final = 10
MAX_ANSWER: Final = 20_000_000
_ENDLESS: Final = 10 * 365 * 86_400.0 * 10
_RECOUNT: Final = 10.0
"""Seconds for which a stream's number of records is taken for known."""
_CLOSE: Final = 600_000
"""Milliseconds around the change from one index of an immutable stream to the next."""
_SLICE: Final = 25
_KNOWN: Final = 1_000
"""Combinations of stream and containers that are kept in mind."""

_AGO = re.compile(r"([1-9][0-9]{0,6})(m|h|d)-ago", re.ASCII)
_UNITS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TOKENS: Final = "sha256:"
_TOKEN = re.compile(rf"…{_TOKENS}[0-9a-f]{{64}}$")

T = TypeVar("T")


class RecordLimits(Protocol):
    """How much one answer may cost."""

    bucket_limit: int
    fold_budget: int


@dataclass
class _Fill:
    """How many records a stream has, as far as this process knows."""

    records: int = 0
    size: int = 0
    coming: int = 0
    """Records that are being written."""
    at: float = float("-inf")
    turn: asyncio.Condition = field(default_factory=asyncio.Condition)


@dataclass(frozen=True)
class _KnownStream:
    """A stream and containers as the catalogue told them last."""

    stream: OpenStream
    columns: Columns
    versions: tuple[Version | None, ...]


@dataclass(frozen=True)
class _Computed:
    """Aggregates, how they were computed, and what `info` says of them."""

    result: Json
    strategy: str
    reading: Reading
    unknown: Sequence[str]
    """Warnings about properties that no record has."""


class RecordService:
    """The use cases of records."""

    def __init__(
        self,
        namespaces: NamespaceService,
        streams: StreamService,
        catalog: Catalog,
        store: RecordStore,
        cursors: Cursors,
        limits: RecordLimits,
    ) -> None:
        self._namespaces = namespaces
        self._streams = streams
        self._catalog = catalog
        self._store = store
        self._cursors = Cursors(cursors.secret, _ENDLESS)
        self._limits = limits
        self._fills: dict[str, _Fill] = {}
        self._known_slices: dict[str, tuple[str, float, list[str]]] = {}
        """Stream → its current index, and for how long which ones are taken for all of them."""
        self._preparing = asyncio.Lock()
        self._known_columns: dict[tuple[object, ...], _KnownStream] = {}

    # Writing

    async def ingest(self, project: str, stream_id: str, body: bytes, *, refresh: bool) -> None:
        """New records; an equal one of an immutable stream is dropped, an id that is taken of a mutable one told."""
        stream, prepared = await self._prepared(project, stream_id, body)
        async with self._room(stream, prepared):
            try:
                await (self._create if stream.mutable else self._append)(stream, prepared)
            finally:
                # The others are stored even if one is refused.
                if refresh:
                    await self._store.refresh(stream.place)

    async def upsert(self, project: str, stream_id: str, body: bytes, *, refresh: bool) -> None:
        """Records that replace those of the same id."""
        stream, prepared = await self._prepared(project, stream_id, body, changing=True)
        async with self._room(stream, prepared):
            await self._settle(stream, prepared, self._replacing)
        if refresh:
            await self._store.refresh(stream.place)

    async def delete(self, project: str, stream_id: str, body: RecordIds, *, refresh: bool) -> None:
        """Unknown ids are ignored; sync tells of those that were there."""
        stream = await self._streams.find(project, stream_id)
        _only_mutable(stream)
        known = (Identity(each.space, each.external_id) for each in body.items)
        identities = list({each.id: each for each in known}.values())
        await self._store.ensure(stream.place, names.tombstones(stream.place.prefix), TOMBSTONE_FIELDS)
        await self._settle(stream, identities, self._deleting)
        if refresh:
            await self._store.refresh(stream.place)

    async def _prepared(
        self, project: str, stream_id: str, body: bytes, *, changing: bool = False
    ) -> tuple[OpenStream, list[PreparedRecord]]:
        items = read_items(body)
        used = dict.fromkeys(key for item in items for key in item.sources)
        used_spaces = dict.fromkeys(item.space for item in items)
        stream, columns, spaces = await self._opened(project, stream_id, used, used_spaces)
        if changing:
            _only_mutable(stream)
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
        # One after the other: taking turns, all would be ready late and at once, and OpenSearch idle until then.
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
        await self._store.ensure(stream.place, stream.place.slice(now), fields)
        return stream, prepared

    async def _opened(
        self, project: str, stream_id: str, containers: Iterable[tuple[str, str]], spaces: Iterable[str] = ()
    ) -> tuple[OpenStream, Columns, set[str]]:
        """The stream, the columns of containers, and which of the spaces there are, by one look at the catalogue."""
        containers, spaces = list(containers), list(spaces)

        def keys(scope: Scope) -> list[str]:
            return [
                *(container_key(scope, *key) for key in containers),
                *(space_key(scope, space) for space in spaces),
            ]

        stream, entries = await self._streams.open(project, stream_id, keys)
        found = _living(entries[: len(containers)])
        there = {space for space, entry in zip(spaces, entries[len(containers) :], strict=True) if entry and entry.live}
        return stream, columns_of(found), there

    @asynccontextmanager
    async def _room(self, stream: OpenStream, prepared: Sequence[PreparedRecord]) -> AsyncIterator[None]:
        """Raises `BadRequest` if the stream would hold more than its template allows."""
        fill = self._fills.setdefault(stream.place.prefix, _Fill())
        more = len(prepared)
        async with fill.turn:
            if time.monotonic() - fill.at >= _RECOUNT:
                fill.records, fill.size = await self._store.size(stream.place)
                fill.at = time.monotonic()
            if fill.records + fill.coming + more > 0.95 * stream.max_records:
                # Near the limit one after the other, so that none is refused, or let in, because of another.
                await fill.turn.wait_for(lambda: not fill.coming)
                fill.records = await self._store.count(stream.place)
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
        """What is there already takes no more room."""
        if fill.records + len(prepared) <= stream.max_records:
            return
        there = await self._store.present(stream.place.pattern, [each.id for each in prepared], ())
        more = len({each.id for each in prepared} - there)
        if fill.records + more > stream.max_records:
            raise BadRequest(
                f"the stream {stream.id!r} holds {fill.records:,} records of at most {stream.max_records:,}; "
                f"{more:,} more do not fit",
                {"limit": stream.max_records},
            )

    async def _create(self, stream: OpenStream, prepared: Sequence[PreparedRecord]) -> None:
        index = stream.place.slice(0)
        actions = [({"create": {"_index": index, "_id": each.id}}, each.document()) for each in prepared]
        results = await self._store.write(actions)
        codes = [_code(item) for item in results]
        await self._own(index, prepared, codes)
        if all(code == 202 for code in codes):
            return
        _raise_partial_failure(prepared, codes, results, "is stored already; use upsert to replace it")

    async def _own(self, index: str, prepared: Sequence[PreparedRecord], codes: list[int]) -> None:
        """Of a request that was sent again, as its first answer was lost, the records are there already: its own."""
        taken = [place for place, code in enumerate(codes) if code == 409]
        there = await self._store.read(index, [prepared[place].id for place in taken], source=["createdTime", "@raw"])
        for place, found in zip(taken, there, strict=True):
            mine = prepared[place]
            if found["found"] and found["_source"] == {"createdTime": mine.now, "@raw": mine.raw.decode()}:
                codes[place] = 202

    async def _append(self, stream: OpenStream, prepared: Sequence[PreparedRecord]) -> None:
        """Equal records have equal ids, in whichever index they lie."""
        now = prepared[0].now
        index = stream.place.slice(now)
        others = [each for each in await self._slices(stream, index) if each != index]
        ids = [each.id for each in prepared]
        there = await self._store.present(stream.place.named(others), ids, _unexpired(stream))
        # Around the change from one index to the next, of which others may think otherwise, a refresh may be to come.
        for near in {stream.place.slice(now - _CLOSE), stream.place.slice(now + _CLOSE)} - {index}:
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
        key = stream.place.prefix
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
        """Writes what is decided upon what is there; what somebody else changed meanwhile is decided again."""
        left = list(items)
        index = names.live(stream.place.prefix)
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
        raise Unavailable("the records are being changed by too many at once", retry_after=1)

    async def _replacing(
        self, stream: OpenStream, items: Sequence[PreparedRecord], found: Sequence[Json]
    ) -> list[tuple[PreparedRecord, list[tuple[Json, bytes | None]]]]:
        index = names.live(stream.place.prefix)
        decided: list[tuple[PreparedRecord, list[tuple[Json, bytes | None]]]] = []
        for item, old in zip(items, found, strict=True):
            if old["found"]:
                guard = {"if_seq_no": old["_seq_no"], "if_primary_term": old["_primary_term"]}
                before = old["_source"]
                # Later than its creation: that is how sync knows an update.
                updated = max(item.now, before["lastUpdatedTime"], before["createdTime"] + 1)
                document = item.document(before["createdTime"], updated)
                decided.append((item, [({"index": {"_index": index, "_id": item.id, **guard}}, document)]))
            else:
                decided.append((item, [({"create": {"_index": index, "_id": item.id}}, item.document())]))
        return decided

    async def _deleting(
        self, stream: OpenStream, items: Sequence[Identity], found: Sequence[Json]
    ) -> list[tuple[Identity, list[tuple[Json, bytes | None]]]]:
        """The deletion is announced first, so that sync tells of it even if this process dies in between."""
        live, gone = names.live(stream.place.prefix), names.tombstones(stream.place.prefix)
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

    # Reading

    async def filter(self, project: str, stream_id: str, body: FilterRequest) -> Json:
        stream, columns, _ = await self._opened(project, stream_id, named(list(body.mentions())))
        references = References(columns)
        query, indices = _where(stream, body, references)
        sources = _sources(body.sources, columns)
        search = {
            "size": body.limit,
            "query": query,
            "sort": _sort(body.sort, references),
            "track_total_hits": False,
            "_source": _SOURCE,
        }
        answer = await self._store.search(indices, search)
        hits = answer["hits"]["hits"]
        if sum(len(hit["_source"]["@raw"]) for hit in hits) > MAX_ANSWER:
            raise BadRequest(f"the answer would have more than {MAX_ANSWER:,} bytes; ask for fewer records (limit)")
        items = [_record(hit["_source"], sources) for hit in hits]
        return {"items": items, **await self._typing(stream, body, items, columns)}

    async def _typing(self, stream: OpenStream, body: Selection, items: Sequence[Json], columns: Columns) -> Json:
        """The types of what the items hold and the filter names, if asked for."""
        if not body.include_typing:
            return {}
        mentioned: dict[tuple[str, str], set[str]] = {}
        for item in items:
            for space, inside in item.get("properties", {}).items():
                for container, properties in inside.items():
                    mentioned.setdefault((space, container), set()).update(properties)
        for space, container, name in _properties_in(body.filter):
            if name in columns.get((space, container), {}):
                mentioned.setdefault((space, container), set()).add(name)
        found = await self._catalog.get(*(container_key(stream.scope, *key) for key in mentioned)) if mentioned else []
        return {"typing": typing_of([entry for entry in found if entry], mentioned)}

    async def aggregate(self, project: str, stream_id: str, body: RecordsAggregate, *, info: bool) -> Json:
        async def rendered(stream: OpenStream, columns: Columns) -> Json:
            return await self._aggregated(stream, columns, body, info=info)

        return await self._meanwhile(project, stream_id, named(list(body.mentions())), rendered)

    async def _aggregated(self, stream: OpenStream, columns: Columns, body: RecordsAggregate, *, info: bool) -> Json:
        with tracing.span("plan"):
            references = References(columns)
            tree = read_tree(body.aggregates, references)
            query, indices = _where(stream, body, references)
        with tracing.span("answer") as span:
            named_properties = Named.of({"aggregates": body.aggregates, "filter": body.filter}, columns if info else {})
            found = await self._computed(stream, tree, query, indices, named_properties)
            if span is not None:
                span.set_attribute("tally.strategy", found.strategy)
        metrics.strategies.labels(f"records {found.strategy}").inc()
        rendered: dict[str, Json] = {"aggregates": found.result}
        if body.include_typing:
            rendered["typing"] = await self._typing_of_named(stream, body, columns)
        if info:
            accuracy = accuracies(tree.nodes)
            if found.strategy == "records":
                accuracy = dict.fromkeys(accuracy, "exact")
            warnings = [*found.unknown, *cut_off(found.reading)]
            rendered["info"] = {"accuracy": accuracy, "strategy": found.strategy, "warnings": warnings}
            if found.reading.left_out:
                rendered["info"]["otherRecords"] = found.reading.left_out
        return rendered

    async def _meanwhile(
        self,
        project: str,
        stream_id: str,
        containers: Iterable[tuple[str, str]],
        work: Callable[[OpenStream, Columns], Awaitable[T]],
    ) -> T:
        """Reads with what was known last while the catalogue is looked at; once more if that has changed."""
        containers = sorted(containers)
        key = (project, stream_id, *containers)
        known = self._known_columns.get(key)
        look = self._streams.open(
            project, stream_id, lambda scope: [container_key(scope, *each) for each in containers]
        )
        if known is None:
            stream, entries = await look
        else:
            seen, result = await asyncio.gather(look, work(known.stream, known.columns), return_exceptions=True)
            if isinstance(seen, BaseException):
                raise seen
            stream, entries = seen
            if known.stream == stream and known.versions == _versions(entries):
                if isinstance(result, BaseException):
                    raise result
                return result
        if len(self._known_columns) >= _KNOWN:
            self._known_columns.clear()
        fresh = self._known_columns[key] = _KnownStream(stream, columns_of(_living(entries)), _versions(entries))
        return await work(stream, fresh.columns)

    async def _computed(self, stream: OpenStream, tree: Tree, query: Query, indices: str, named: Named) -> _Computed:
        """From one request; where that cannot be proved exact from a more careful one, else from the records."""
        how = QueryEffort(self._store.shards if stream.mutable else 2)
        for _ in range(ROUNDS):
            text = await self._asked(tree, query, indices, how, named)
            answer = await self._store.read_answer(text)
            shards = answer["_shards"]["total"]
            unknown = named.unknown(answer.get("aggregations"))
            reading = Reading(self._limits.bucket_limit)
            if shards > how.shards and how.shards == 1:
                how = QueryEffort(shards, how.careful)
                continue
            try:
                # Most answers name no long text, which is told by the text faster than by the answer.
                tokens = list(_tokens(answer.get("aggregations"))) if _TOKENS in text else []
                result = await self._read(stream, tree, answer, tokens, reading)
            except Inexact:
                if how.careful:
                    reading = Reading(self._limits.bucket_limit)
                    result = await self._evaluate(tree, query, indices, reading)
                    return _Computed(result, "records", reading, unknown)
                how = QueryEffort(max(shards, 1), careful=True)
                continue
            return _Computed(result, "careful" if how.careful else "single", reading, unknown)
        raise Unavailable("the indices of the stream are changing; try again", retry_after=1)

    async def _asked(self, tree: Tree, query: Query, indices: str, how: QueryEffort, named: Named) -> str:
        body = {
            "size": 0,
            "track_total_hits": any(not node.compile(how) for node in tree.nodes.values()),
            "query": query,
            "aggs": {**compiled(tree.nodes, how), **named.counting()},
        }
        return await self._store.search_text(indices, body)

    async def _read(
        self, stream: OpenStream, tree: Tree, answer: Json, tokens: Sequence[str], reading: Reading
    ) -> Json:
        aggregations = answer.get("aggregations")
        if aggregations is None and answer["_shards"]["total"] == 0:
            return evaluate_all(tree.nodes, (), reading)
        total = answer["hits"].get("total", {}).get("value", 0)
        if tokens:
            reading.texts = await self._texts(stream, tree, tokens)
        return (
            await asyncio.to_thread(read_all, tree.nodes, aggregations or {}, total, reading)
            if _large(aggregations)
            else read_all(tree.nodes, aggregations or {}, total, reading)
        )

    async def _texts(self, stream: OpenStream, tree: Tree, tokens: Sequence[str]) -> dict[str, str]:
        """Long texts are in the index as tokens: what they stand for is read from a record that has one."""
        columns = [column for column in tree.columns if column.type in ("text", "direct", "enum")]
        should = [{"terms": {column.field: list(tokens)}} for column in columns]
        body: dict[str, Json] = {
            "size": 0,
            "query": {"bool": {"should": should, "minimum_should_match": 1}},
            "aggs": {
                str(place): {
                    "terms": {"field": column.field, "include": list(tokens), "size": len(tokens)},
                    "aggs": {"one": {"top_hits": {"size": 1, "_source": ["@raw"]}}},
                }
                for place, column in enumerate(columns)
            },
        }
        answer = await self._store.search(stream.place.pattern, body)
        texts: dict[str, str] = {}
        for place, column in enumerate(columns):
            for bucket in answer["aggregations"][str(place)]["buckets"]:
                hit = bucket["one"]["hits"]["hits"][0]["_source"]
                record = {"properties": msgspec.json.decode(hit["@raw"])}
                for value in column.values(record):
                    text = f"{value['space']} {value['externalId']}" if column.type == "direct" else value
                    texts[string_term(text)] = text
        return texts

    async def _evaluate(self, tree: Tree, query: Query, indices: str, reading: Reading) -> Json:
        records: list[Json] = []
        async with self._store.gateway.point_in_time(indices) as pit:
            after: Json = None
            while True:
                body = {
                    "size": 5_000,
                    "query": query,
                    "sort": [{"_shard_doc": "asc"}],
                    "_source": _SOURCE,
                    "track_total_hits": False,
                    "pit": {"id": pit, "keep_alive": "2m"},
                    **({"search_after": after} if after else {}),
                }
                hits = msgspec.json.decode(await self._store.gateway.search(None, body))["hits"]["hits"]
                records += [_record(hit["_source"], None) for hit in hits]
                if len(records) > self._limits.fold_budget:
                    raise OverBudget(
                        f"an exact answer needs more than {self._limits.fold_budget:,} records to be looked at one by "
                        "one, which is the budget of one answer; narrow it with `filter` or `lastUpdatedTime`",
                        {"limit": self._limits.fold_budget},
                    )
                if len(hits) < 5_000:
                    break
                after = hits[-1]["sort"]
        return await asyncio.to_thread(evaluate_all, tree.nodes, records, reading)

    async def _typing_of_named(self, stream: OpenStream, body: RecordsAggregate, columns: Columns) -> Json:
        mentioned: dict[tuple[str, str], set[str]] = {}
        for space, container, name in _properties_in([body.aggregates, body.filter]):
            if name in columns.get((space, container), {}):
                mentioned.setdefault((space, container), set()).add(name)
        found = await self._catalog.get(*(container_key(stream.scope, *key) for key in mentioned)) if mentioned else []
        return typing_of([entry for entry in found if entry], mentioned)

    # Following

    async def sync(self, project: str, stream_id: str, body: SyncRequest) -> Json:
        """What was written after a cursor, each record as it is now; nothing that was acknowledged is left out."""
        stream, columns, _ = await self._opened(project, stream_id, named(list(body.mentions())))
        wanted = read_filter(body.filter, ("filter",), References(columns))
        sources = _sources(body.sources, columns)
        bound = f"sync {stream.place.prefix}"
        state = self._started(body, bound)
        marks = {key: ShardPosition(*mark) for key, mark in state["marks"].items()}
        filters = [each for each in (wanted.query, *_unexpired(stream)) if each != MATCH_ALL]
        query: Query = {"bool": {"filter": filters}} if filters else MATCH_ALL
        follower = Follower(self._store, stream.place, state["since"], marks, query)
        found, more = await follower.page(body.limit)
        items = [_synced(source, sources, gone=gone) for source, gone in found]
        positions = {key: [mark.uuid, mark.at, mark.goal, mark.since] for key, mark in marks.items()}
        cursor = self._cursors.seal(of=bound, marks=positions, since=state["since"])
        return {
            "items": items,
            "nextCursor": cursor,
            "hasNext": more,
            **await self._typing(stream, body, items, columns),
        }

    def _started(self, body: SyncRequest, bound: str) -> Json:
        if body.cursor is not None:
            return self._cursors.open(body.cursor, bound, ("cursor",))
        match = _AGO.fullmatch(body.initialize_cursor or "")
        assert match is not None  # noqa: S101 - the model has the same pattern, and wants one of the two
        since = now_millis() - int(match[1]) * _UNITS[match[2]]
        return {"marks": {}, "since": max(since, 0)}


_SOURCE: Final = ["space", "externalId", "createdTime", "lastUpdatedTime", "@raw"]


def _living(entries: Sequence[Entry | None]) -> list[Entry]:
    return [each for each in entries if each and not each.body.get("gone")]


def _versions(entries: Sequence[Entry | None]) -> tuple[Version | None, ...]:
    return tuple(each.version if each else None for each in entries)


def _only_mutable(stream: OpenStream) -> None:
    if not stream.mutable:
        raise Invalid([Problem((), f"the stream {stream.id!r} is immutable: its records cannot be changed or deleted")])


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
    """Of one record among others: 202, 409, 500 or 503 (contract, records, 6), whatever the whole request would be."""
    if item.done:
        return 202
    if item.outcome is WriteOutcome.CONFLICT:
        return 409
    return 500 if item.error.status == 500 else 503


def _raise_partial_failure(
    prepared: Sequence[PreparedRecord], codes: Sequence[int], items: Sequence[BulkItem], message: str
) -> None:
    """Which records are stored and which are not; where none could be stored, for one reason, that is the error."""
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


def _where(stream: OpenStream, body: FilterRequest | RecordsAggregate, references: References) -> tuple[Query, str]:
    """The query of a request, and the indices in which its records can lie."""
    now = now_millis()
    low, high = updated_within(
        body.last_updated_time, ("lastUpdatedTime",), widest=stream.widest, needed=not stream.mutable, now=now
    )
    wanted = read_filter(body.filter, ("filter",), references)
    if not stream.mutable and stream.kept is not None:
        low = max(low or 0, now - stream.kept)
    filters = [each for each in (wanted.query, *between(low, high)) if each != MATCH_ALL]
    query: Query = {"bool": {"filter": filters}} if filters else MATCH_ALL
    until = min(high, now + 60_000) if high is not None else now + 60_000
    return query, stream.place.slices(low, until)


def _unexpired(stream: OpenStream) -> list[Query]:
    """What finds the records that are not to be deleted yet."""
    return [] if stream.mutable or stream.kept is None else between(now_millis() - stream.kept, None)


def _sort(given: Sequence[Sort] | None, references: References) -> list[Json]:
    """OpenSearch's sort; ties by time, then by id."""
    ties = [{"lastUpdatedTime": {"order": "asc"}}, {"space": {"order": "asc"}}, {"externalId": {"order": "asc"}}]
    found: list[Json] = []
    for number, each in enumerate(given or ()):
        at: Location = ("sort", number, "property")
        column = references.column(each.property, at, tuple(TOP))
        if column.listed or column.type == "json":
            reject(at, f"a {column.label} has no order")
        order = {"order": each.direction[:-6], "missing": "_first" if each.nulls_first else "_last"}
        if column.mapping is not None and not column.top:
            order["unmapped_type"] = column.mapping["type"]
        found.append({column.field: order})
    return [*found, *ties]


def _sources(given: Sequence[SourceProperties] | None, columns: Columns) -> set[Key] | None:
    """The properties that are given back, None for all."""
    if given is None:
        return None
    found: set[Key] = set()
    for number, each in enumerate(given):
        key = (each.source.space, each.source.external_id)
        if key not in columns:
            missing = [{"space": key[0], "externalId": key[1]}]
            reject(("sources", number, "source"), f"unknown container {shown(key)}", missing=missing)
        for name in columns[key] if "*" in each.properties else each.properties:
            if name not in columns[key]:
                reject(
                    ("sources", number, "properties"),
                    f"no such property: {shown(name)}{did_you_mean(name, columns[key])}",
                )
            found.add((*key, name))
    return found


def _record(source: Mapping[str, Json], wanted: set[Key] | None) -> dict[str, Json]:
    properties = msgspec.json.decode(source["@raw"])  # integers of any size
    if wanted is not None:
        kept: dict[str, dict[str, dict[str, Json]]] = {}
        for space, container, name in sorted(wanted):
            if name in properties.get(space, {}).get(container, {}):
                kept.setdefault(space, {}).setdefault(container, {})[name] = properties[space][container][name]
        properties = kept
    return {
        "space": source["space"],
        "externalId": source["externalId"],
        "createdTime": source["createdTime"],
        "lastUpdatedTime": source["lastUpdatedTime"],
        "properties": properties,
    }


def _synced(source: Mapping[str, Json], wanted: set[Key] | None, *, gone: bool) -> dict[str, Json]:
    if gone:
        rendered = {name: source[name] for name in ("space", "externalId", "createdTime", "lastUpdatedTime")}
        return {**rendered, "status": "deleted"}
    rendered = _record(source, wanted)
    return {**rendered, "status": "created" if rendered["createdTime"] == rendered["lastUpdatedTime"] else "updated"}


def typing_of(entries: Sequence[Entry], mentioned: Mapping[tuple[str, str], Iterable[str]]) -> Json:
    typing: dict[str, dict[str, dict[str, Json]]] = {}
    for entry in entries:
        space, container = entry.body["space"], entry.body["externalId"]
        for name in sorted(mentioned[(space, container)]):
            spec = entry.body["properties"].get(name)
            if spec is not None:
                rendered = {each: value for each, value in spec.items() if each != "constraintState"}
                typing.setdefault(space, {}).setdefault(container, {})[name] = rendered
    return typing


def _properties_in(value: Json) -> Iterable[Key]:
    if isinstance(value, dict):
        for name, each in value.items():
            if name == "property" and isinstance(each, list) and len(each) == 3:
                yield (each[0], each[1], each[2])
            else:
                yield from _properties_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from _properties_in(each)


def _tokens(value: Json) -> Iterable[str]:
    """The terms of long texts in an answer."""
    if isinstance(value, dict):
        key = value.get("key")
        if isinstance(key, str) and len(key) > 1_000 and _TOKEN.search(key):
            yield key
        for each in value.values():
            if isinstance(each, dict | list):
                yield from _tokens(each)
    elif isinstance(value, list):
        for each in value:
            yield from _tokens(each)


def _large(aggregations: Json) -> bool:
    return sum(len(each.get("buckets", ())) for each in (aggregations or {}).values()) > 500
