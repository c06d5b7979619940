"""Deletes by filter: recorded in their task, so that any replica can continue an unfinished one."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog

from service.catalog.buckets import BucketService
from service.catalog.tasks import KEPT, TaskService, task_key
from service.clock import now_millis
from service.dialects.flat.listing import ListRequest
from service.errors import NotFound, TallyError
from service.listing.cursors import Cursors
from service.listing.pages import everything
from service.listing.sources import ObjectListSource
from service.storage.bulk import LOST, BulkItem, WriteOutcome
from service.storage.catalog import Entry
from service.storage.objects import ObjectStore
from service.values import Json

log = structlog.get_logger()

DELETION: Final = "api_objects_delete"

_HOPELESS: Final = frozenset({WriteOutcome.OVERLOADED, WriteOutcome.UNAVAILABLE, WriteOutcome.NO_INDEX})
"""Outcomes that the next page would have too, after waiting as long."""


@dataclass
class Progress:
    """Progress so far; `cause` is that of the first failure."""

    deleted: int = 0
    failed: int = 0
    cause: TallyError | None = None

    @property
    def data(self) -> dict[str, Any]:
        return {"deleted_count": self.deleted, **({"failed_count": self.failed} if self.failed else {})}

    def add(self, failures: Sequence[BulkItem]) -> None:
        self.failed += len(failures)
        if failures and self.cause is None:
            self.cause = failures[0].error


@dataclass(frozen=True)
class Deletion:
    """Removes the objects that matched at the time of the request."""

    buckets: BucketService
    store: ObjectStore
    tasks: TaskService
    cursors: Cursors

    async def go_on(self, task: Entry) -> None:
        """Continues the task; objects changed since the request are kept, as they would have been then."""
        recorded = task.body["work"]
        if task.body["created_at"] < now_millis() - KEPT:
            await self.tasks.record(task.name, "FAILED", task.body.get("error") or "it could not be finished in a week")
            return
        try:
            source = await self.buckets.source(recorded["namespace_id"], recorded["bucket_id"])
        except NotFound as error:
            await self.tasks.record(task.name, "FAILED", error.message)
            return
        listed = ObjectListSource(source, self.cursors.lifetime, task.body["created_at"])
        request = ListRequest(filters=recorded["filters"], case_sensitive=recorded["case_sensitive"])
        await self.run(task.name, request, listed, task.body["additional_data"].get("deleted_count", 0))

    async def run(self, task: str, request: ListRequest, listed: ObjectListSource, deleted: int = 0) -> None:
        """Runs until the task is done or interrupted; an interrupted one is continued later."""
        progress = Progress(deleted)
        async with self.tasks.lease(task_key(task)) as ours:
            if not ours:
                return
            try:
                await self.tasks.record(task, "IN_PROGRESS", **progress.data)
                await self._remove(task, request, listed, progress)
            except asyncio.CancelledError:
                await self.tasks.record(task, "INTERRUPTED", "the service was stopped", **progress.data)
                raise
            except TallyError as error:
                progress.cause = progress.cause or error
            except Exception:
                log.exception("delete by filter failed", task=task)
                await self.tasks.record(task, "FAILED", "the service failed; its log knows more", **progress.data)
                return
            if progress.cause is None:
                await self.tasks.record(task, "COMPLETED", **progress.data)
                return
            log.warning("delete by filter was interrupted", task=task, message=progress.cause.message)
            ended = "INTERRUPTED" if progress.cause.status >= 429 else "FAILED"
            with suppress(TallyError):  # if this write fails too, the lease expires
                await self.tasks.record(task, ended, progress.cause.message, **progress.data)

    async def _remove(self, task: str, request: ListRequest, listed: ObjectListSource, progress: Progress) -> None:
        source = listed.bucket
        async for page in everything(request, listed):
            items = await self.store.write(source.scope, [_deletion(each) for each in page])
            progress.deleted += sum(item.done for item in items) + await self._own(listed, page, items)
            failures = [item for item in items if not item.done and item.outcome not in LOST]
            progress.add(failures)
            await self.tasks.record(task, "IN_PROGRESS", **progress.data)
            if any(item.outcome in _HOPELESS for item in failures):
                break
        await self.store.refresh(source.scope)

    async def _own(self, listed: ObjectListSource, page: Sequence[Json], items: Sequence[BulkItem]) -> int:
        """Number of missing objects that a retried request deleted itself, in an attempt whose answer was lost."""
        unsure = [each["_id"] for each, item in zip(page, items, strict=True) if item.again and item.outcome in LOST]
        if not unsure:
            return 0
        return sum(not found.get("found") for found in await self.store.read(listed.bucket.scope, unsure))


def _deletion(found: Json) -> tuple[dict[str, Any], None]:
    """The action that deletes an object if it is unchanged since it matched."""
    guard = {"if_seq_no": found["_seq_no"], "if_primary_term": found["_primary_term"]}
    return {"delete": {"_id": found["_id"], **guard}}, None
