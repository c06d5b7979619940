"""Work left after a response: emptying deleted buckets and namespaces, removing expired objects.

All of it is recorded in the catalogue, so any replica can continue where another one stopped.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Final

import structlog

from service import dsl
from service.catalog.buckets import BucketService, id_of
from service.catalog.buckets import view as bucket_view
from service.catalog.expiry import before_expiry
from service.catalog.namespaces import NamespaceService, hidden_objects, view
from service.catalog.streams import StreamService
from service.catalog.tasks import TaskService
from service.errors import Invalid, TallyError
from service.objects.deletion import DELETION
from service.scope import Scope
from service.storage.catalog import Catalog, Entry
from service.storage.gateway import Absent, Conflict
from service.storage.objects import ObjectStore
from service.storage.operations import Operations
from service.storage.watch import Watch
from service.values import Json

log = structlog.get_logger()

_MOST: Final = 10_000

ABANDONED: Final = 30.0
"""Seconds for which this process must see an operation unchanged before treating it as stopped and undoing it."""


class Caretaker:
    """Runs in the background of every replica; `once` does all work currently due.

    `go_on_deleting` continues a delete by filter.
    """

    def __init__(
        self,
        catalog: Catalog,
        store: ObjectStore,
        namespaces: NamespaceService,
        buckets: BucketService,
        tasks: TaskService,
        streams: StreamService,
        go_on_deleting: Callable[[Entry], Awaitable[None]],
    ) -> None:
        self._streams = streams
        self._catalog = catalog
        self._store = store
        self._namespaces = namespaces
        self._buckets = buckets
        self._tasks = tasks
        self._operations: Operations = namespaces.operations
        self._watch = Watch()
        self._woken = asyncio.Event()
        self._go_on_deleting = go_on_deleting

    def wake(self) -> None:
        """Signals that there is work."""
        self._woken.set()

    async def upgrade(self) -> None:
        """Makes entries written by an earlier version visible to lists."""
        kinds = dsl.terms("kind", ["bucket", "namespace"])
        unlisted = dsl.filtered(without=[dsl.exists("@arrival")])
        undecided = [dsl.exists("intent.do")]
        old = {
            "bool": {
                "filter": [kinds],
                "should": [unlisted, before_expiry()],
                "minimum_should_match": 1,
                "must_not": undecided,
            }
        }
        for entry in await self._catalog.find(old, _MOST):
            rendered = (
                view(entry.namespace_id, entry.body)
                if entry.kind == "namespace"
                else bucket_view(id_of(entry), entry.body)
            )
            try:
                await self._catalog.replace(entry, entry.body, view=rendered)
            except Conflict:  # just changed by another process, which knows the new form
                continue
            except Invalid as error:
                log.warning("lists cannot filter by all of a resource", id=entry.id, message=error.text())
                await self._catalog.replace(entry, entry.body, view={**rendered, "description": None, "metadata": {}})

    async def run(self, every: float) -> None:
        """Runs forever: at once when woken, else every so many seconds."""
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
        """Returns the number of things done; expired data is handled only if no replica did so for `every` seconds."""
        await self._namespaces.end_expired()
        return await self._go_on() + await self._delete_matching() + await self._care(every)

    async def _each(self, works: Iterable[tuple[str, Callable[[], Awaitable[int]]]]) -> int:
        """Does the work items one by one; a failure (one customer's blocked index) does not stop the others.

        Each has an id for the log, and returns the number of things that it did.
        """
        done = 0
        for id, work in works:
            try:
                done += await work()
            except Conflict:  # another process was faster
                continue
            except TallyError as error:
                log.warning("background work failed, will be tried again", id=id, message=error.message)
            except Exception:
                log.exception("background work failed, will be tried again", id=id)
        return done

    async def _delete_matching(self) -> int:
        """Continues unfinished deletes by filter."""

        async def go_on(task: Entry) -> int:
            await self._go_on_deleting(task)
            return 1

        return await self._each((task.id, partial(go_on, task)) for task in await self._tasks.unfinished(DELETION))

    async def _go_on(self) -> int:
        """Continues unfinished operations: deletions always, others if they have stopped."""
        deleted = [dsl.terms("kind", ["bucket", "namespace"]), dsl.term("status", "DELETING")]  # by version 0.1
        unfinished = [dsl.exists("intent.do"), dsl.filtered(*deleted)]
        found = await self._catalog.find(dsl.either(*unfinished), _MOST)
        return await self._each((entry.id, partial(self._step, entry.id)) for entry in found)

    async def _step(self, id: str) -> bool:
        (entry,) = await self._catalog.get(id)
        if entry is None:
            return False
        if entry.body.get("status") == "DELETING":
            if entry.kind == "stream":
                await self._streams.finish(entry)
                return True
            async with self._tasks.lease(entry.id) as ours:
                if ours:
                    await self._remove(entry)
                return ours
        return await self._operations.go_on(entry, stopped=self._watch.unchanged(entry) >= ABANDONED)

    async def _care(self, every: float) -> int:
        """Removes expired data; done by one replica every so many seconds."""
        mortal = dsl.filtered(dsl.term("kind", "bucket"), dsl.exists("ttl_seconds@double"))
        done = 0
        # Two turns, so that objects need not wait for many streams.
        async with self._tasks.once_per_period("objects", every) as ours:
            if ours:
                found = await self._catalog.find(mortal, _MOST)
                done += await self._each((entry.id, partial(self._expire, entry)) for entry in found)
                await self._tasks.forget_old()
        async with self._tasks.once_per_period("streams", every) as ours:
            if ours:
                done += await self._each(await self._streams.overdue())
        return done

    async def _remove(self, entry: Entry) -> None:
        if entry.kind == "collection" or entry.body.get("undone"):
            await self._remove_data(entry, None)
            return
        # If a process stopped right after marking the entry, there is no task yet.
        task = await self._tasks.start_removal(entry, {f"{entry.kind}_id": id_of(entry)})
        await self._tasks.record(task, "IN_PROGRESS")
        try:
            await self._remove_data(entry, task)
        except TallyError as error:
            # The task stays in progress: the next turn, of any replica, continues it.
            await self._tasks.record(task, "IN_PROGRESS", error.message, **_failed(error))
            raise
        await self._tasks.record(task, "COMPLETED")

    async def _remove_data(self, entry: Entry, task: str | None) -> None:
        if entry.kind == "namespace":
            await self._namespaces.remove(entry)
            return
        await self._operations.let_go(entry)
        if entry.kind == "bucket":
            await self._empty(entry, task)
            await self._store.forget_fields(id_of(entry))
        await self._catalog.delete(entry.id)

    async def _empty(self, entry: Entry, task: str | None) -> None:
        (home,) = await self._catalog.get(f"namespace:{entry.namespace_id}")
        scope = Scope(entry.namespace_id, home.name if home else entry.namespace_id)
        query = dsl.term("bucket_id", id_of(entry))
        deleted = 0
        with suppress(Absent):  # the namespace was deleted meanwhile
            async for count in self._store.remove(scope, query):
                deleted += count
                if task is not None:
                    await self._tasks.record(task, "IN_PROGRESS", deleted_count=deleted)

    async def _expire(self, entry: Entry) -> int:
        if not entry.live:
            return 0
        scope = Scope(entry.namespace_id, entry.namespace_id)
        removed = 0
        with suppress(Absent):
            async for count in self._store.remove(scope, hidden_objects(entry)):
                removed += count
        return removed


def _failed(error: TallyError) -> dict[str, Json]:
    count = error.details.get("failed_count")
    return {} if count is None else {"failed_count": count}
