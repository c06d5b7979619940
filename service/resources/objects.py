"""Objects: created one by one and in batches, read, changed, deleted."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec
from pydantic import BaseModel

from service.errors import Invalid, NotFound, TallyError, Unavailable
from service.resources.buckets import Bucket, Buckets, Policy
from service.resources.incoming import read_incoming
from service.resources.namespaces import now_millis
from service.resources.writing import ROUNDS, Write, Writer
from service.storage.document import Parts, Stored
from service.storage.objects import ObjectStore
from service.values import Json

Line = tuple[int, bytes | None]
"""A line's number (from 1) and what it holds, None for one that is too long."""

_ERRORS: Final = 20
"""Errors that the answer to an import tells one by one."""


class ImportSummary(BaseModel):
    """What became of an import."""

    lines: int = 0
    succeeded_count: int = 0
    failed_count: int = 0
    bytes: int = 0
    seconds: float = 0.0
    errors: list[dict[str, Any]] = []
    """The first errors: line (from 1), error_type, error."""


class Objects:
    """The use cases of objects."""

    def __init__(self, buckets: Buckets, store: ObjectStore, field_budget: int) -> None:
        self._buckets = buckets
        self._store = store
        self._writer = Writer(store, field_budget)

    async def create(self, namespace: str, bucket: str, raw: bytes, policy: Policy | None) -> Parts:
        home = await self._buckets.find(namespace, bucket)
        write = Write(0, raw)
        await self._writer.run(home, [write], policy)
        if write.error:
            raise write.error
        return write.answer

    async def batch(
        self, namespace: str, bucket: str, raws: Sequence[msgspec.Raw], policy: Policy | None
    ) -> list[Write]:
        """Each object for itself: what fails carries its error, the others are stored."""
        home = await self._buckets.find(namespace, bucket)
        writes = [Write(position, raw) for position, raw in enumerate(raws)]
        await self._writer.run(home, writes, policy)
        return writes

    async def load(
        self, namespace: str, bucket: str, batches: AsyncIterator[list[Line]], policy: Policy | None
    ) -> ImportSummary:
        """Stores numbered lines batch by batch as they come; visible when it has answered.

        The next batch is read while the last one is written; two is the most there ever is in memory.
        """
        home = await self._buckets.find(namespace, bucket)
        summary = ImportSummary()
        started = time.perf_counter()
        arrival, created = self._writer.arrival(), now_millis()
        # With a unique key the order of lines matters, so one batch ends before the next begins.
        ahead = 0 if home.unique_key else 1
        running: deque[asyncio.Task[list[Write]]] = deque()

        async def store(batch: list[Line]) -> list[Write]:
            writes = [Write(number, raw, error=None if raw is not None else _too_long()) for number, raw in batch]
            await self._writer.run(home, writes, policy, arrival, created, refresh=False)
            return writes

        try:
            async for batch in batches:
                summary.bytes += sum(len(raw) + 1 for _, raw in batch if raw is not None)
                running.append(asyncio.create_task(store(batch)))
                while len(running) > ahead:
                    _count(summary, await running.popleft())
            while running:
                _count(summary, await running.popleft())
        finally:
            for task in running:
                task.cancel()
            await self._store.refresh(home.scope)
        summary.seconds = round(time.perf_counter() - started, 3)
        return summary

    async def get(self, namespace: str, bucket: str, id: str) -> Parts:
        home = await self._buckets.find(namespace, bucket)
        return Stored.load((await self._read(home, id))["_source"]).answer()

    async def update(self, namespace: str, bucket: str, id: str, raw: bytes) -> Parts:
        """PUT and PATCH: metadata is merged, other fields are replaced, what is not given stays."""
        home = await self._buckets.find(namespace, bucket)
        incoming = read_incoming(raw)
        for _ in range(ROUNDS):
            found = await self._read(home, id)
            write = Write(0, incoming=incoming, id=id, retried=True)
            self._writer.change(home, write, found)
            await self._writer.store(home, [write])
            if write.error:
                raise write.error
            if write.action:
                await self._store.refresh(home.scope)
                return write.answer
        raise Unavailable("the object is being changed by too many at once", retry_after=1)

    async def delete(self, namespace: str, bucket: str, id: str) -> None:
        home = await self._buckets.find(namespace, bucket)
        await self._read(home, id)
        (item,) = await self._store.write(home.scope, [({"delete": {"_id": id}}, None)])
        if item["status"] == 404:
            raise NotFound("Object", id)
        await self._store.refresh(home.scope)

    async def _read(self, home: Bucket, id: str) -> Json:
        (found,) = await self._store.read(home.scope, [id])
        if not found.get("found") or found["_source"]["bucket_id"] != home.id:
            raise NotFound("Object", id)
        return found


def _count(summary: ImportSummary, writes: list[Write]) -> None:
    summary.lines += len(writes)
    for write in writes:
        if write.error is None:
            summary.succeeded_count += 1
            continue
        summary.failed_count += 1
        if len(summary.errors) < _ERRORS:
            summary.errors.append({"line": write.position, **_told(write.error)})


def _too_long() -> Invalid:
    return Invalid.at(("body",), "the line is longer than a request body may be", "too_long")


def failure(write: Write) -> dict[str, Json]:
    """The documented entry of `failed` in a batch's answer."""
    return {"object_index": write.position, **_told(write.error)}


def _told(error: TallyError | None) -> dict[str, Json]:
    assert error is not None  # noqa: S101 - asked only of writes that failed
    text = error.text() if isinstance(error, Invalid) else error.message
    return {"error": text, "error_type": error.type}
