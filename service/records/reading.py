"""Reading records: filter and sync (contract, records, 2 and 3)."""

import re
from collections.abc import Sequence
from typing import Final

from service import dsl
from service.catalog.models import container_key
from service.catalog.streams import OpenStream
from service.clock import now_millis
from service.conditions.base import MATCH_ALL, Query
from service.dialects.tree.filters import read_filter
from service.dialects.tree.references import Columns, References, named
from service.dialects.tree.wire import FilterRequest, Selection, SyncRequest
from service.errors import BadRequest
from service.listing.cursors import Cursors
from service.records.following import Follower, ShardPosition
from service.records.opening import Opening
from service.records.selection import (
    STORED,
    change,
    properties_in,
    record,
    sort_clauses,
    typing_of,
    unexpired,
    wanted_properties,
    where,
)
from service.storage.catalog import Catalog
from service.storage.records import RecordStore
from service.values import Json

MAX_ANSWER: Final = 20_000_000
"""Maximum bytes of the records in one answer."""
_ENDLESS: Final = 10 * 365 * 86_400.0 * 10
"""Lifetime of a sync cursor in seconds."""

_AGO = re.compile(r"([1-9][0-9]{0,6})(m|h|d)-ago", re.ASCII)
_UNITS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


class RecordReader:
    """The use cases that return records."""

    def __init__(self, opening: Opening, catalog: Catalog, store: RecordStore, cursors: Cursors) -> None:
        self._opening = opening
        self._catalog = catalog
        self._store = store
        self._cursors = Cursors(cursors.secret, _ENDLESS)

    async def filter(self, project: str, stream_id: str, body: FilterRequest) -> Json:
        stream, columns, _ = await self._opening.with_containers(project, stream_id, named(list(body.mentions())))
        references = References(columns)
        query, indices = where(stream, body, references)
        sources = wanted_properties(body.sources, columns)
        search = {
            "size": body.limit,
            "query": query,
            "sort": sort_clauses(body.sort, references),
            "track_total_hits": False,
            "_source": STORED,
        }
        answer = await self._store.search(indices, search)
        hits = answer["hits"]["hits"]
        if sum(len(hit["_source"]["@raw"]) for hit in hits) > MAX_ANSWER:
            raise BadRequest(f"the answer would have more than {MAX_ANSWER:,} bytes; ask for fewer records (limit)")
        items = [record(hit["_source"], sources) for hit in hits]
        return {"items": items, **await self._typing(stream, body, items, columns)}

    async def _typing(self, stream: OpenStream, body: Selection, items: Sequence[Json], columns: Columns) -> Json:
        """The types of the properties in the items and the filter, if requested."""
        if not body.include_typing:
            return {}
        mentioned: dict[tuple[str, str], set[str]] = {}
        for item in items:
            for space, inside in item.get("properties", {}).items():
                for container, properties in inside.items():
                    mentioned.setdefault((space, container), set()).update(properties)
        for space, container, name in properties_in(body.filter):
            if name in columns.get((space, container), {}):
                mentioned.setdefault((space, container), set()).add(name)
        found = await self._catalog.get(*(container_key(stream.scope, *key) for key in mentioned)) if mentioned else []
        return {"typing": typing_of([entry for entry in found if entry], mentioned)}

    async def sync(self, project: str, stream_id: str, body: SyncRequest) -> Json:
        """Writes after a cursor, each record in its current state; no acknowledged write is left out."""
        stream, columns, _ = await self._opening.with_containers(project, stream_id, named(list(body.mentions())))
        wanted = read_filter(body.filter, ("filter",), References(columns))
        sources = wanted_properties(body.sources, columns)
        bound = f"sync {stream.location.prefix}"
        state = self._started(body, bound)
        marks = {key: ShardPosition(*mark) for key, mark in state["marks"].items()}
        filters = [each for each in (wanted.query, *unexpired(stream)) if each != MATCH_ALL]
        query: Query = dsl.filtered(*filters) if filters else MATCH_ALL
        follower = Follower(self._store, stream.location, state["since"], marks, query)
        found, more = await follower.page(body.limit)
        items = [change(source, sources, gone=gone) for source, gone in found]
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
