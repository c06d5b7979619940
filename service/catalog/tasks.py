"""Tasks: work that continues after the response; `GET /v1/tasks/{id}` shows them."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from service import dsl
from service.clock import arrival, now_millis
from service.errors import NotFound, TallyError
from service.storage.catalog import Catalog, Entry
from service.storage.gateway import Conflict
from service.storage.watch import Watch
from service.values import Json, render_date

KEPT: Final = 7 * 86_400_000
"""Milliseconds for which a finished task can still be looked up."""

LEASE: Final = 60_000
"""Milliseconds for which a process must see a lease unchanged before taking it over."""

UNFINISHED: Final = frozenset({"PENDING", "IN_PROGRESS", "INTERRUPTED"})
ENDED: Final = frozenset({"COMPLETED", "FAILED", "INTERRUPTED"})


class TaskService:
    """Tasks as catalogue entries, so that every replica can report them and they survive a restart."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._watch = Watch()
        self._turns: dict[str, tuple[int, float]] = {}
        """Turn → number of times it was done, and when (monotonic) this process first saw that number."""

    async def start(self, id: str, type: str, data: Mapping[str, Json], work: Mapping[str, Json] | None = None) -> str:
        """Creates a pending task and returns its id; an existing one is kept.

        `work`: what another process needs to continue it.
        """
        now = now_millis()
        body: dict[str, Any] = {
            "task_id": id,
            "task_type": type,
            "status": "PENDING",
            "created_at": now,
            "updated_at": now,
            "arrival": arrival(),
            "additional_data": dict(data),
            **({"work": dict(work)} if work is not None else {}),
        }
        with suppress(Conflict):
            await self._catalog.create(task_key(id), "task", "", id, body, _view(body))
        return id

    async def start_removal(self, entry: Entry, data: Mapping[str, Json]) -> str:
        """Creates the task for removing the resource of an entry."""
        return await self.start(removal_of(entry), f"api_{entry.kind}s_delete", data)

    async def get(self, id: str) -> Json:
        (entry,) = await self._catalog.get(task_key(id))
        if entry is None or entry.kind != "task":
            raise NotFound("Task", id)
        body = entry.body
        lost = body["status"] == "IN_PROGRESS" and body["updated_at"] < now_millis() - 10 * LEASE
        return {
            "task_id": id,
            "task_type": body["task_type"],
            "status": "INTERRUPTED" if lost else body["status"],
            "additional_data": body["additional_data"],
            "error": body.get("error"),
            "created_at": render_date(body["created_at"]),
            "updated_at": render_date(body["updated_at"]),
        }

    async def record(self, id: str, status: str, error: str | None = None, **data: Json) -> None:
        """Records a task's progress; a task removed meanwhile is not created again."""
        for _ in range(5):
            (entry,) = await self._catalog.get(task_key(id))
            if entry is None:
                return
            body = {**entry.body, "status": status, "updated_at": now_millis(), "error": error}
            body["additional_data"] = {**entry.body["additional_data"], **data}
            try:
                await self._catalog.replace(entry, body, view=_view(body))
            except Conflict:
                continue
            return

    async def unfinished(self, type: str) -> list[Entry]:
        """The unfinished tasks of a type that another process can continue."""
        left = [dsl.term("kind", "task"), dsl.terms("status", sorted(UNFINISHED))]
        found = await self._catalog.find(dsl.filtered(*left))
        return [entry for entry in found if entry.body["task_type"] == type and "work" in entry.body]

    async def forget_old(self) -> None:
        old = dsl.in_range("updated_at@double", lt=now_millis() - KEPT)
        ended = dsl.terms("status", sorted(ENDED))
        for entry in await self._catalog.find(dsl.filtered(dsl.term("kind", "task"), ended, old)):
            await self._catalog.delete(entry.id)

    @asynccontextmanager
    async def once_per_period(self, name: str, every: float) -> AsyncIterator[bool]:
        """Whether this replica should now do work that one replica does every so many seconds."""
        key = f"turn:{name}"
        (entry,) = await self._catalog.get(key)
        if entry is None:
            with suppress(Conflict):
                await self._catalog.create(key, "turn", "", name, {"done": 0})
            (entry,) = await self._catalog.get(key)
        if entry is None or not self._due(entry, every):
            yield False
            return
        async with self.lease(entry.id) as ours:
            yield ours
            if ours:
                await self._count(entry.id)

    def _due(self, turn: Entry, every: float) -> bool:
        """Whether this process, by its own clock, has not seen it done for so many seconds."""
        done, now = turn.body.get("done", 0), time.monotonic()
        seen = self._turns.get(turn.id)
        if seen is None:
            self._turns[turn.id] = (done, float("-inf"))
        elif seen[0] != done:
            self._turns[turn.id] = (done, now)
        return self._turns[turn.id][1] <= now - every

    async def _count(self, id: str) -> None:
        with suppress(Conflict):
            (fresh,) = await self._catalog.get(id)
            if fresh is not None:
                done = fresh.body.get("done", 0) + 1
                await self._catalog.amend(fresh, done=done)
                self._turns[id] = (done, time.monotonic())

    @asynccontextmanager
    async def lease(self, id: str) -> AsyncIterator[bool]:
        """Whether this process holds the lease on an entry's resource: no other one works on it until the block ends.

        No clocks are compared: the holder renews the lease, which changes the entry's version; a process that has
        seen the same version for a full lease period takes it over.
        """
        token = secrets.token_hex(8)
        if not await self._acquire(id, token):
            yield False
            return
        keeper = asyncio.create_task(self._renew(id, token))
        try:
            yield True
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            with suppress(Conflict, TallyError):
                (fresh,) = await self._catalog.get(id)
                if fresh is not None and fresh.body.get("lease") == token:
                    await self._catalog.amend(fresh, lease=None)

    async def _renew(self, id: str, token: str) -> None:
        while True:
            await asyncio.sleep(LEASE / 3_000)
            with suppress(Conflict, TallyError):  # OpenSearch may be back at the next one
                (fresh,) = await self._catalog.get(id)
                if fresh is None or fresh.body.get("lease") != token:
                    return
                await self._catalog.amend(fresh, lease=token)

    async def _acquire(self, id: str, token: str) -> bool:
        (fresh,) = await self._catalog.get(id)
        if fresh is None:
            return False
        if fresh.body.get("lease") and self._watch.unchanged(fresh) < LEASE / 1_000:
            return False
        try:
            await self._catalog.amend(fresh, lease=token)
        except Conflict:
            return False
        return True


def _view(body: Mapping[str, Json]) -> dict[str, Json]:
    return {"status": body["status"], "updated_at": body["updated_at"]}


def removal_of(entry: Entry) -> str:
    """The id of the task that removes a bucket or namespace."""
    return f"task_{entry.id.partition(':')[2]}"


def task_key(id: str) -> str:
    return f"task:{id}"
