"""What has to be done after an answer was given: deleted buckets and namespaces emptied, expired objects removed.

All of it stands in the catalogue, so any replica can go on where another one stopped.
"""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from service.errors import Invalid, TallyError
from service.resources.buckets import Buckets, id_of
from service.resources.buckets import view as bucket_view
from service.resources.expiry import before_expiry
from service.resources.namespaces import Namespaces, hidden_objects, view
from service.resources.streams import Streams
from service.resources.tasks import Tasks
from service.scope import Scope
from service.storage.catalog import Catalog, Entry
from service.storage.gateway import Absent, Conflict
from service.storage.objects import ObjectStore

log = structlog.get_logger()

_MOST: Final = 10_000


class Caretaker:
    """Works in the background of every replica; `once` does all there is to do now."""

    def __init__(
        self,
        catalog: Catalog,
        store: ObjectStore,
        namespaces: Namespaces,
        buckets: Buckets,
        tasks: Tasks,
        streams: Streams,
    ) -> None:
        self._streams = streams
        self._catalog = catalog
        self._store = store
        self._namespaces = namespaces
        self._buckets = buckets
        self._tasks = tasks
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There is something to do."""
        self._woken.set()

    async def upgrade(self) -> None:
        """Makes lists find what an earlier version put into the catalogue."""
        kinds = {"terms": {"kind": ["bucket", "namespace"]}}
        unlisted = {"bool": {"must_not": [{"exists": {"field": "@arrival"}}]}}
        old = {"bool": {"filter": [kinds], "should": [unlisted, before_expiry()], "minimum_should_match": 1}}
        for entry in await self._catalog.find(old, _MOST):
            told = (
                view(entry.namespace_id, entry.body)
                if entry.kind == "namespace"
                else bucket_view(id_of(entry), entry.body)
            )
            try:
                await self._catalog.replace(entry, entry.body, view=told)
            except Conflict:  # changed just now, by somebody who knows
                continue
            except Invalid as error:
                log.warning("lists cannot filter by all of a resource", id=entry.id, message=error.text())
                await self._catalog.replace(entry, entry.body, view={**told, "description": None, "metadata": {}})

    async def run(self, every: float) -> None:
        """For ever: at once when woken, else each so many seconds."""
        while True:
            try:
                await self.once(every)
            except TallyError as error:
                log.warning("caretaking failed, will be tried again", message=error.message)
            except Exception:
                log.exception("caretaking failed")
            try:
                await asyncio.wait_for(self._woken.wait(), every)
            except TimeoutError:
                continue
            self._woken.clear()

    async def once(self, every: float = 0) -> int:
        """The number of things done; what time has made superfluous only if nobody looked in so many seconds."""
        return await self._remove_all() + await self._care(every)

    async def _remove_all(self) -> int:
        """What was deleted or, as a namespace, has expired: each is taken by one replica, whichever comes first."""
        await self._namespaces.end_expired()
        leaving = {"bool": {"filter": [{"terms": {"kind": ["bucket", "namespace"]}}, {"term": {"status": "DELETING"}}]}}
        done = 0
        for entry in await self._catalog.find(leaving, _MOST):
            if await self._tasks.take(entry):
                await self._remove(entry)
                done += 1
        return done

    async def _care(self, every: float) -> int:
        """What time has made superfluous: looked for once in so many seconds, by one replica."""
        mortal = {"bool": {"filter": [{"term": {"kind": "bucket"}}, {"exists": {"field": "ttl_seconds@double"}}]}}
        done = 0
        # Two turns: where there are many streams, objects need not wait for them.
        async with self._tasks.turn("objects", every) as ours:
            if ours:
                for entry in await self._catalog.find(mortal, _MOST):
                    done += await self._expire(entry)
                await self._tasks.forget_old()
        async with self._tasks.turn("streams", every) as ours:
            if ours:
                done += await self._streams.care()
        return done

    async def _remove(self, entry: Entry) -> None:
        # Of a process that stopped right after it marked the entry there is no task yet.
        task = await self._tasks.start_removal(entry, {f"{entry.kind}_id": id_of(entry)})
        await self._tasks.tell(task, "IN_PROGRESS")
        if entry.kind == "namespace":
            await self._namespaces.remove(entry)
        else:
            await self._empty(entry, task)
            await self._store.forget_fields(id_of(entry))
            await self._catalog.delete(entry.id)
        await self._tasks.tell(task, "COMPLETED")

    async def _empty(self, entry: Entry, task: str) -> None:
        (home,) = await self._catalog.get(f"namespace:{entry.namespace_id}")
        scope = Scope(entry.namespace_id, home.name if home else entry.namespace_id)
        query = {"term": {"bucket_id": id_of(entry)}}
        deleted = 0
        with suppress(Absent):  # the namespace was deleted meanwhile
            async for count in self._store.remove(scope, query):
                deleted += count
                await self._tasks.tell(task, "IN_PROGRESS", deleted_count=deleted)
                await self._tasks.keep(entry)

    async def _expire(self, entry: Entry) -> int:
        if entry.body["status"] != "ACTIVE":
            return 0
        scope = Scope(entry.namespace_id, entry.namespace_id)
        removed = 0
        with suppress(Absent):
            async for count in self._store.remove(scope, hidden_objects(entry)):
                removed += count
        return removed
