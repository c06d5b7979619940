"""Objects: create singly and in batches, read, update, delete."""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
import structlog
from pydantic import BaseModel, Field, StrictBool

from service import deadline
from service.catalog.buckets import BucketService, OpenBucket, Policy
from service.catalog.tasks import TaskService
from service.clock import arrival as new_arrival
from service.clock import now_millis
from service.conditions.base import MATCH_ALL, Clause
from service.dialects.flat.listing import ListRequest, read_path
from service.errors import Invalid, NotFound, Problem, TallyError, Unavailable
from service.listing.base import ListPage
from service.listing.cursors import Cursors
from service.listing.pages import everything, matching, page_of, warned_of
from service.listing.sources import ObjectListSource
from service.objects.deletion import DELETION, Deletion
from service.objects.incoming import read_incoming
from service.objects.restoring import second_address
from service.objects.writing import ROUNDS, Write, Writer
from service.paths import Path
from service.planning.warnings import widening
from service.storage.bulk import WriteOutcome
from service.storage.catalog import Entry
from service.storage.document import Answer, millis, render_stored
from service.storage.objects import ObjectStore
from service.values import Json
from service.wire import WireModel

log = structlog.get_logger()

Line = tuple[int, bytes | None]
"""A line's number (from 1) and its content, None if it is too long."""

_PATIENCE: Final = 20.0
"""Seconds that an answer waits for work before it continues in the background."""

_INLINE: Final = 100
"""Maximum number of objects rendered in the event loop."""

_ERRORS: Final = 20
"""Maximum number of errors listed in an import's answer."""


class ImportSummary(BaseModel):
    """What became of an import."""

    lines: int = 0
    succeeded_count: int = 0
    failed_count: int = 0
    replayed_count: int = 0
    """Of those that succeeded, the ones that were there already."""
    bytes: int = 0
    seconds: float = 0.0
    errors: list[dict[str, Any]] = []
    """The first errors: line (from 1), error_type, error."""


class ObjectLimits(Protocol):
    """Limits on the cost of a bucket and of one answer."""

    field_budget: int
    object_budget: int


class DeleteObjects(WireModel):
    """Which objects are to go; the whole bucket has a route of its own."""

    filters: dict[str, Any] = Field(min_length=1)
    case_sensitive: StrictBool = False


class ObjectService:
    """The use cases of objects."""

    def __init__(
        self, buckets: BucketService, store: ObjectStore, tasks: TaskService, cursors: Cursors, limits: ObjectLimits
    ) -> None:
        self._buckets = buckets
        self._store = store
        self._tasks = tasks
        self._cursors = cursors
        self._limits = limits
        self._running: set[asyncio.Task[None]] = set()
        self._writer = Writer(store, limits.field_budget)
        self._deletion = Deletion(buckets, store, tasks, cursors)

    async def create(self, namespace: str, bucket: str, raw: bytes, policy: Policy | None) -> Answer:
        home = await self._buckets.find(namespace, bucket)
        write = Write(0, raw)
        await self._writer.run(home, [write], policy)
        if write.error:
            raise write.error
        return write.answer

    async def batch(
        self, namespace: str, bucket: str, raws: Sequence[msgspec.Raw], policy: Policy | None
    ) -> list[Write]:
        """Each object independently: a failed one has its error, the others are stored."""
        home = await self._buckets.find(namespace, bucket)
        writes = [Write(position, raw) for position, raw in enumerate(raws)]
        await self._writer.run(home, writes, policy)
        return writes

    async def load(
        self,
        namespace: str,
        bucket: str,
        batches: AsyncIterator[list[Line]],
        policy: Policy | None,
        *,
        restore: bool = False,
        first_line: int = 1,
    ) -> ImportSummary:
        """Stores numbered lines batch by batch as they arrive; visible when it has answered.

        `restore`: the lines are exported objects, which keep their ids, times and order. `first_line`: the number
        of the first line, if they are part of a file.

        The next batch is read while the last one is written; at most two are in memory.
        """
        home = await self._buckets.find(namespace, bucket)
        summary = ImportSummary()
        started = time.perf_counter()
        arrival, created = new_arrival(), now_millis()
        # With a unique key the order of lines matters, so one batch ends before the next begins.
        ahead = 0 if home.unique_key else 1
        running: deque[asyncio.Task[list[Write]]] = deque()

        async def store(batch: list[Line]) -> list[Write]:
            deadline.renew()
            # If the bucket was deleted meanwhile, nobody would remove further writes.
            now = await self._buckets.find(home.scope.namespace_id, home.id)
            writes = [
                Write(number + first_line - 1, raw, error=None if raw is not None else _too_long())
                for number, raw in batch
            ]
            await self._writer.run(now, writes, policy, arrival, created, refresh=False, restore=restore)
            return writes

        try:
            async for batch in batches:
                summary.bytes += sum(len(raw) + 1 for _, raw in batch if raw is not None)
                running.append(asyncio.create_task(store(batch)))
                while len(running) > ahead:
                    _count(summary, await running.popleft())
            while running:
                _count(summary, await running.popleft())
            deadline.renew()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self._store.refresh(home.scope)
        summary.seconds = round(time.perf_counter() - started, 3)
        return summary

    async def get(self, namespace: str, bucket: str, id: str) -> Answer:
        home = await self._buckets.find(namespace, bucket)
        return render_stored((await self._read(home, id))["_source"])

    async def update(self, namespace: str, bucket: str, id: str, raw: bytes) -> Answer:
        """PUT and PATCH: metadata is merged, other given fields are replaced, the rest is kept."""
        home = await self._buckets.find(namespace, bucket)
        incoming = read_incoming(raw)
        self._writer.look(home)
        for _ in range(ROUNDS):
            found = await self._read(home, id)
            write = Write(0, incoming=incoming, id=id, retried=True)
            self._writer.change(home, write, found)
            await self._writer.store(home, [write])
            if write.error:
                raise write.error
            if not write.lost_race:
                await self._store.refresh(home.scope)
                return write.answer
        raise Unavailable("the object is being changed by too many requests at once", retry_after=1)

    async def delete(self, namespace: str, bucket: str, id: str) -> None:
        home = await self._buckets.find(namespace, bucket)
        found = await self._read(home, id)
        (item,) = await self._store.write(home.scope, [({"delete": {"_id": found["_id"]}}, None)])
        if item.outcome is WriteOutcome.ABSENT and not item.again:  # deleted by another request since it was read
            raise NotFound("Object", id)
        if not item.done and item.outcome is not WriteOutcome.ABSENT:
            raise item.error
        await self._store.refresh(home.scope)

    async def list(self, namespace: str, bucket: str, request: ListRequest) -> tuple[ListPage, list[Json]]:
        """One page of objects; recomputed if new fields appeared meanwhile, as for an aggregate."""
        source = await self._buckets.source(namespace, bucket)
        select = _selected(request)
        for _ in range(ROUNDS):
            listed = ObjectListSource(source, self._cursors.lifetime)
            page = await page_of(request, listed, self._cursors, self._limits.object_budget)
            newer = None if page.settled else await source.refreshed()
            if newer is None:
                return page, await _render_all(select, page.sources)
            source = newer
            if page.opened is not None:
                await listed.close(page.opened)
        raise Unavailable("new fields keep being written; try again", retry_after=1)

    async def export(
        self, namespace: str, bucket: str, request: ListRequest
    ) -> tuple[Sequence[str], AsyncIterator[bytes]]:
        """Warnings as for lists, and all matching objects as lines of JSON, from one state of the bucket."""
        listed = ObjectListSource(await self._buckets.source(namespace, bucket), self._cursors.lifetime)
        select = _selected(request)
        matching(request, listed)

        def lines(sources: Sequence[Json]) -> bytes:
            return b"".join(msgspec.json.encode(select(each["_source"])) + b"\n" for each in sources)

        async def pages() -> AsyncIterator[bytes]:
            async for sources in everything(request, listed):
                yield await asyncio.to_thread(lines, sources)

        return warned_of(request, listed), pages()

    async def delete_matching(self, namespace: str, bucket: str, request: DeleteObjects) -> Json:
        """Removes matching objects; a long removal continues in the background, and its task shows the progress."""
        source = await self._buckets.source(namespace, bucket)
        asked = ListRequest(filters=request.filters, case_sensitive=request.case_sensitive)
        listed = ObjectListSource(source, self._cursors.lifetime)
        condition, clause = matching(asked, listed)
        if clause == Clause(MATCH_ALL):
            raise Invalid.at(
                ("body", "filters"), "these filters match everything; to empty a bucket, delete it", "too_short"
            )
        if not listed.fields.empty and (wide := widening(condition, listed.fields)):
            raise Invalid([Problem(("body", "filters"), text, "unknown_field") for text in wide])
        task = f"task_{secrets.token_hex(8)}"
        bucket = source.buckets[0].bucket_id
        recorded = {
            "namespace_id": source.scope.namespace_id,
            "bucket_id": bucket,
            "filters": request.filters,
            "case_sensitive": request.case_sensitive,
        }
        named = {"bucket_id": bucket, "deleted_count": 0}
        await self._tasks.start(task, DELETION, named, recorded)
        work = deadline.detached(self._deletion.run(task, asked, listed))
        self._running.add(work)
        work.add_done_callback(self._running.discard)
        await asyncio.wait([work], timeout=min(_PATIENCE, deadline.left(_PATIENCE) / 2))
        state = await self._tasks.get(task)
        rendered = {"task_id": task, "status": state["status"], **state["additional_data"]}
        return {**rendered, "error": state["error"]} if state["error"] else rendered

    async def go_on(self, task: Entry) -> None:
        """Continues an unfinished delete by filter of any process."""
        await self._deletion.go_on(task)

    async def close(self) -> None:
        """Stops background work and records that in its tasks."""
        for work in self._running:
            work.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _read(self, home: OpenBucket, id: str) -> Json:
        found = await self._lookup(home, [id, second_address(home.id, id)], id)
        if found is None and home.unique_key:
            # A restored object is stored under the document id of its key.
            found = await self._lookup(
                home, list((await self._store.addresses(home.scope, home.id, [id])).values()), id
            )
        if found is None:
            raise NotFound("Object", id)
        before = home.snapshot.expired_before
        if before is not None and millis(found["_source"]["created_at"]) < before:
            raise NotFound("Object", id)
        return found

    async def _lookup(self, home: OpenBucket, places: Sequence[str], id: str) -> Json:
        """The bucket's object with this id under one of these document ids, or None."""
        for found in await self._store.read(home.scope, places):
            source = found["_source"] if found.get("found") else {}
            if (source.get("bucket_id"), source.get("object_id")) == (home.id, id):
                return found
        return None


def _selected(request: ListRequest) -> Callable[[Mapping[str, Any]], Answer]:
    """The function that renders an object: whole, or the selected paths and its ids."""
    if request.select is None:
        return render_stored
    chosen = [read_path(text, ("body", "select", position)) for position, text in enumerate(request.select)]

    def select(source: Mapping[str, Any]) -> Answer:
        item = msgspec.json.decode(msgspec.json.encode(render_stored(source)))
        kept: Answer = {"object_id": item["object_id"], "bucket_id": item["bucket_id"]}
        for path in chosen:
            _copy_path(kept, item, path)
        return kept

    return select


async def _render_all(
    select: Callable[[Mapping[str, Any]], Answer], documents: Sequence[Mapping[str, Any]]
) -> list[Answer]:
    """Renders documents, many of them in a thread so as not to block other requests."""

    def work() -> list[Answer]:
        return [select(each["_source"]) for each in documents]

    return work() if len(documents) <= _INLINE else await asyncio.to_thread(work)


def _copy_path(kept: dict[str, Json], item: Json, path: Path) -> None:
    """Copies the value at a path, through arrays of objects element by element."""
    step, rest = path[0], path[1:]
    if not isinstance(item, dict) or step not in item:
        return
    value = item[step]
    if not rest:
        kept[step] = value
    elif isinstance(value, dict):
        inner = kept.setdefault(step, {})
        if isinstance(inner, dict):
            _copy_path(inner, value, rest)
    elif isinstance(value, list):
        elements = kept.setdefault(step, [{} for _ in value])
        for position, each in enumerate(value):
            if isinstance(elements[position], dict):
                _copy_path(elements[position], each, rest)


def raise_if_only_the_backend_failed(writes: Sequence[Write]) -> None:
    """Raises if all failures are the backend's: the objects are fine, and the client should send all of them again."""
    errors = [write.error for write in writes]
    backend = [error for error in errors if error and (error.status == 429 or error.status >= 500)]
    if backend and len(backend) == len(errors):
        raise backend[0]


def _count(summary: ImportSummary, writes: list[Write]) -> None:
    """Raises if a whole batch failed for reasons that are not its own: later batches would fail, too."""
    try:
        raise_if_only_the_backend_failed(writes)
    except TallyError as error:
        error.details |= {"succeeded_count": summary.succeeded_count, "first_line_not_stored": writes[0].position}
        raise
    summary.lines += len(writes)
    for write in writes:
        if write.error is None:
            summary.succeeded_count += 1
            summary.replayed_count += write.replayed
            continue
        summary.failed_count += 1
        if len(summary.errors) < _ERRORS:
            summary.errors.append({"line": write.position, **_error_entry(write.error)})


def _too_long() -> Invalid:
    return Invalid.at(("body",), "the line is longer than a request body may be", "too_long")


def failure(write: Write) -> dict[str, Json]:
    """The documented entry of `failed` in a batch's answer."""
    return {"object_index": write.position, **_error_entry(write.error)}


def _error_entry(error: TallyError | None) -> dict[str, Json]:
    assert error is not None  # noqa: S101 - asked only of writes that failed
    text = error.text() if isinstance(error, Invalid) else error.message
    return {"error": text, "error_type": error.type}
