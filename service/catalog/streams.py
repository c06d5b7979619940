"""Streams of a project: created from templates, shown with what they hold, deleted (contract, records, 4)."""

import re
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from service import dsl
from service.catalog.expiry import is_live
from service.catalog.models import Listing
from service.catalog.namespaces import NamespaceService, namespace_key
from service.clock import arrival, now_millis
from service.errors import AlreadyExists, BadRequest, NotFound, TallyError, Unavailable
from service.listing.cursors import Cursors
from service.scope import Scope
from service.settings import StreamTemplate
from service.spelling import did_you_mean
from service.storage import names
from service.storage.catalog import Catalog, Entry
from service.storage.gateway import Conflict
from service.storage.records import DAY, RecordStore, StreamLocation
from service.values import Json
from service.wire import CamelModel

STREAM: Final = r"^[a-z]([a-z0-9_-]{0,98}[a-z0-9])?$"

_ROUNDS: Final = 10
_GIGABYTE: Final = 1024**3
_TOMBSTONES: Final = 3 * DAY
"""Minimum time for which sync reports deletions (contract)."""


def _not_reserved(id: str) -> str:
    if id in ("logs", "records") or id.startswith(("cdf_", "cognite_")):
        raise PydanticCustomError("reserved", "{id} is reserved", {"id": id})
    return id


class Template(CamelModel):
    name: str


class StreamSettings(CamelModel):
    template: Template


class StreamItem(CamelModel):
    external_id: Annotated[str, Field(pattern=STREAM), AfterValidator(_not_reserved)]
    settings: StreamSettings


class CreateStreams(CamelModel):
    items: list[StreamItem] = Field(min_length=1, max_length=1)


class StreamId(CamelModel):
    external_id: str


class DeleteStreams(CamelModel):
    items: list[StreamId] = Field(min_length=1, max_length=1)


@dataclass(frozen=True)
class OpenStream:
    """A stream of a project that the caller may use."""

    scope: Scope
    id: str
    body: Mapping[str, Json]

    @property
    def mutable(self) -> bool:
        return bool(self.body["type"] == "Mutable")

    @property
    def location(self) -> StreamLocation:
        return location_of(self.scope.namespace_id, self.scope.namespace_name, self.body)

    @property
    def max_records(self) -> int:
        return int(self.body["max_records"])

    @property
    def max_bytes(self) -> int:
        return int(self.body["max_gigabytes"]) * _GIGABYTE

    @property
    def widest(self) -> int | None:
        """The widest span of a lastUpdatedTime filter, in milliseconds."""
        return _days(self.body["max_filtering_interval"])

    @property
    def kept(self) -> int | None:
        """Milliseconds after which records are deleted."""
        return _days(self.body["data_deleted_after"])

    @property
    def tombstones_kept(self) -> int:
        return max(_TOMBSTONES, _days(self.body["retained_after_soft_delete"]) or 0)


def _days(duration: str | None) -> int | None:
    return None if duration is None else int(re.sub(r"\D", "", duration)) * DAY


def location_of(namespace_id: str, namespace_name: str, body: Mapping[str, Json]) -> StreamLocation:
    kept = _days(body["data_deleted_after"])
    return StreamLocation(
        names.records_prefix(namespace_id, body["externalId"], body["making"]),
        body["type"] == "Mutable",
        # Records expire by whole indices; without expiry, fewer indices do.
        1 if kept is not None and kept <= 60 * DAY else 30,
        names.records_alias(namespace_name, body["externalId"]),
    )


class StreamService:
    """The use cases of streams."""

    def __init__(
        self,
        namespaces: NamespaceService,
        catalog: Catalog,
        store: RecordStore,
        cursors: Cursors,
        templates: Mapping[str, StreamTemplate],
    ) -> None:
        self._namespaces = namespaces
        self._catalog = catalog
        self._store = store
        self._cursors = cursors
        self._templates = templates

    async def create(self, project: str, request: CreateStreams) -> list[Json]:
        scope, _ = await self._namespaces.find(project)
        (item,) = request.items
        id, name = item.external_id, item.settings.template.name
        template = self._templates.get(name)
        if template is None:
            known, hint = ", ".join(self._templates), did_you_mean(name, self._templates)
            raise BadRequest(f"items[0].settings.template.name: unknown template {name!r}{hint}; known: {known}")
        now = now_millis()
        body: dict[str, Any] = {
            "externalId": id,
            "createdTime": now,
            "createdFromTemplate": name,
            **template.model_dump(),
            # Successive streams of one name have separate indices.
            "making": f"m{secrets.token_hex(4)}",
            "created_at": now,
            "arrival": arrival(),
        }
        stream = OpenStream(scope, id, body)
        for _ in range(_ROUNDS):
            with suppress(Conflict):
                await self._make(scope, id, body)
                break
        else:
            raise Unavailable(
                f"the stream {id!r} is being made and deleted by too many requests at once", retry_after=1
            )
        if stream.mutable:
            await self._store.ensure(stream.location, stream.location.slice(now), {})
        return [_render(body)]

    async def _make(self, scope: Scope, id: str, body: Mapping[str, Json]) -> None:
        """Raises `AlreadyExists`, or `Conflict` if the existing entry was changed concurrently."""
        (there,) = await self._catalog.get(_key(scope, id))
        if there is None:
            await self._catalog.create(_key(scope, id), "stream", scope.namespace_id, id, body, _view(body))
            return
        if there.live:
            raise AlreadyExists(f"there is already a stream named {id!r}", {"duplicated": [{"externalId": id}]})
        if there.body["status"] == "DELETING":
            there = await self._bury(there)
        await self._catalog.replace(there, body, view=_view(body))

    async def find(self, project: str, id: str) -> OpenStream:
        stream, _ = await self.open(project, id)
        return stream

    async def open(
        self, project: str, id: str, more: Callable[[Scope], Sequence[str]] = lambda scope: ()
    ) -> tuple[OpenStream, list[Entry | None]]:
        """The stream and further catalogue entries, with one read if the project was used before.

        Raises `NotFound` for the project or the stream.
        """
        guess = await self._namespaces.guess(project)
        if guess is not None:
            scope = Scope(guess, project)
            home, entry, *others = await self._catalog.get(namespace_key(guess), _key(scope, id), *more(scope))
            lives = home is not None and home.live and is_live(home.body, now_millis())
            if home and lives and project in (home.namespace_id, home.name):
                return _stream(Scope(guess, home.name), id, entry), others
        scope, _ = await self._namespaces.find(project)
        entry, *others = await self._catalog.get(_key(scope, id), *more(scope))
        return _stream(scope, id, entry), others

    async def get(self, project: str, id: str, *, statistics: bool) -> Json:
        stream = await self.find(project, id)
        if not statistics:
            return _render(stream.body)
        records = await self._store.count(stream.location)
        _, size = await self._store.size(stream.location)
        return _render(stream.body, records, -(-size // _GIGABYTE) if records else 0)

    async def list(self, project: str, page: Listing) -> Json:
        scope, _ = await self._namespaces.find(project)
        bound = f"stream {scope.namespace_id}"
        after = self._cursors.open(page.cursor, bound, ("cursor",))["after"] if page.cursor else ""
        query = [*_all(scope), dsl.in_range("order", gt=after)]
        found = await self._catalog.find(dsl.filtered(*query), page.limit + 1, by=("order",))
        items = found[: page.limit]
        answer: dict[str, Json] = {"items": [_render(entry.body) for entry in items]}
        if len(found) > len(items):
            answer["nextCursor"] = self._cursors.seal(of=bound, after=items[-1].name)
        return answer

    async def delete(self, project: str, request: DeleteStreams) -> None:
        """Takes effect at once for all callers; the data is removed after the template's retention period."""
        scope, _ = await self._namespaces.find(project)
        for item in request.items:
            for _ in range(_ROUNDS):
                (entry,) = await self._catalog.get(_key(scope, item.external_id))
                if entry is None or entry.body.get("status") == "DELETED":
                    break
                with suppress(Conflict):
                    await self._bury(await self._retire(entry) if entry.live else entry)
                    break
            else:
                raise Unavailable("the stream is being changed by too many requests at once", retry_after=1)

    # A stream is deleted in three repeatable steps: it is marked, and from then on absent for all callers; its data is
    # recorded for the caretaker; its name is freed. So a stream that accepts records is never recorded for removal, and
    # one that is recorded accepts none. The entry stays for the next stream of that name, so that a late duplicate of
    # the request that created the first one finds it and creates nothing.

    async def _retire(self, entry: Entry) -> Entry:
        """Raises `Conflict` if it was changed concurrently."""
        body = {**entry.body, "status": "DELETING", "deleted_at": now_millis()}
        view = {**_view(entry.body), "status": "DELETING"}
        return await self._catalog.replace(entry, body, view=view, intent={"do": "remove", "name": entry.name})

    async def _bury(self, entry: Entry) -> Entry:
        """The steps after marking, by any replica; raises `Conflict` if another one was faster."""
        prefix = location_of(entry.namespace_id, "", entry.body).prefix
        deleted = entry.body["deleted_at"]
        body = {
            "prefix": prefix,
            "drop_at": deleted + (_days(entry.body["retained_after_soft_delete"]) or 0),
            "created_at": deleted,
            "arrival": arrival(),
        }
        view = {"drop_at": body["drop_at"], "status": "DELETING"}
        with suppress(Conflict):
            await self._catalog.create(_gone(prefix), "stream-gone", entry.namespace_id, entry.name, body, view)
        buried = {**entry.body, "status": "DELETED"}
        return await self._catalog.replace(entry, buried, view={**_view(entry.body), "status": "DELETED"})

    # In the background

    async def overdue(self) -> Sequence[tuple[str, Callable[[], Awaitable[int]]]]:
        """Streams past retention or with expired records: for each an id and a callable that removes the data."""
        now = now_millis()
        over = dsl.in_range("drop_at@double", lte=now)
        gone = await self._catalog.find(dsl.filtered(dsl.term("kind", "stream-gone"), over))
        # Two queries for all streams: most have nothing to remove, and need no query of their own.
        there = await self._store.indices(names.ALL_RECORDS)
        deletions: Collection[str] | None = None
        with suppress(TallyError):  # one stream's index may lack a shard; then each is queried separately
            deletions = await self._store.with_tombstones(now - _TOMBSTONES)
        active = [dsl.term("kind", "stream"), dsl.term("status", "ACTIVE")]
        streams = await self._catalog.find(dsl.filtered(*active), 10_000)
        return [
            *((entry.id, partial(self._drop, entry)) for entry in gone),
            *((entry.id, partial(self._expire, entry, now, there, deletions)) for entry in streams if entry.live),
        ]

    async def _drop(self, gone: Entry) -> int:
        if not await self._lives(gone):
            await self._store.drop(gone.body["prefix"])
        await self._catalog.delete(gone.id)
        return 1

    async def finish(self, entry: Entry) -> None:
        """Completes the deletion of a stream; raises `Conflict` if another replica was faster."""
        await self._bury(entry)

    async def _lives(self, gone: Entry) -> bool:
        """Whether a stream recorded as deleted still exists: version 0.1 recorded it before deleting it."""
        (entry,) = await self._catalog.get(_key(Scope(gone.namespace_id, ""), gone.name))
        if entry is None or not entry.live:
            return False
        return bool(location_of(entry.namespace_id, "", entry.body).prefix == gone.body["prefix"])

    async def _expire(self, entry: Entry, now: int, there: Sequence[str], deletions: Collection[str] | None) -> int:
        """`there`: the indices of all streams; `deletions`: those of them with old tombstones, None if unknown."""
        stream = OpenStream(Scope(entry.namespace_id, entry.namespace_id), entry.name, entry.body)
        done = 0
        if stream.mutable:
            if deletions is None or names.tombstones(stream.location.prefix) in deletions:
                await self._store.forget_tombstones(stream.location, now - stream.tombstones_kept)
        elif stream.kept is not None:
            for index in there:
                if index.startswith(f"{stream.location.prefix}-") and stream.location.ends(index) < now - stream.kept:
                    await self._store.drop_index(index)
                    done += 1
        return done


def _stream(scope: Scope, id: str, entry: Entry | None) -> OpenStream:
    if entry is None or entry.kind != "stream" or not entry.live:
        raise unknown(id)
    return OpenStream(scope, id, entry.body)


def unknown(id: str) -> NotFound:
    error = NotFound("Stream", id)
    error.details["missing"] = [{"externalId": id}]
    return error


def _render(body: Mapping[str, Json], records: int | None = None, gigabytes: int | None = None) -> Json:
    limits: dict[str, Json] = {
        "maxRecordsTotal": {"provisioned": body["max_records"]},
        "maxGigaBytesTotal": {"provisioned": body["max_gigabytes"]},
    }
    if records is not None:
        limits["maxRecordsTotal"]["consumed"] = records
        limits["maxGigaBytesTotal"]["consumed"] = gigabytes
    lifecycle = {"retainedAfterSoftDelete": body["retained_after_soft_delete"]}
    if body["type"] == "Immutable":
        if body["data_deleted_after"]:
            lifecycle["dataDeletedAfter"] = body["data_deleted_after"]
        if body["max_filtering_interval"]:
            limits["maxFilteringInterval"] = body["max_filtering_interval"]
    return {
        "externalId": body["externalId"],
        "createdTime": body["createdTime"],
        "createdFromTemplate": body["createdFromTemplate"],
        "type": body["type"],
        "settings": {"lifecycle": lifecycle, "limits": limits},
    }


def _view(body: Mapping[str, Json]) -> dict[str, Json]:
    return {"order": body["externalId"], "status": "ACTIVE"}


def _all(scope: Scope) -> list[Json]:
    return [
        dsl.term("kind", "stream"),
        dsl.term("namespace_id", scope.namespace_id),
        dsl.term("status", "ACTIVE"),
    ]


def _gone(prefix: str) -> str:
    return f"stream-gone:{prefix}"


def _key(scope: Scope, id: str) -> str:
    return f"stream:{scope.namespace_id}:{id}"
