"""Tasks: what goes on after an answer was given, told by `GET /v1/tasks/{id}`."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from service.errors import NotFound, TallyError
from service.resources.clock import arrival, now_millis
from service.storage.catalog import Catalog, Entry
from service.storage.gateway import Absent, Conflict
from service.values import Json, render_date

KEPT: Final = 7 * 86_400_000
"""Milliseconds for which a task that has ended is still told."""

LEASE: Final = 60_000
"""Milliseconds after which a task whose process said nothing is taken over by another one."""

ENDED: Final = frozenset({"COMPLETED", "FAILED", "INTERRUPTED"})


class Tasks:
    """Entries of the catalogue, so that every replica can tell of them, and they outlive a restart."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def start(self, id: str, type: str, data: Mapping[str, Json]) -> str:
        """A task that waits to be worked on; its id. One that is there already stays."""
        now = now_millis()
        body: dict[str, Any] = {
            "task_id": id,
            "task_type": type,
            "status": "PENDING",
            "created_at": now,
            "updated_at": now,
            "arrival": arrival(),
            "additional_data": dict(data),
        }
        with suppress(Conflict):
            await self._catalog.create(task_key(id), "task", "", id, body, _view(body))
        return id

    async def start_removal(self, entry: Entry, data: Mapping[str, Json]) -> str:
        """The task of what an entry stands for being deleted."""
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

    async def tell(self, id: str, status: str, error: str | None = None, **data: Json) -> None:
        """Notes how far a task is; one that is forgotten meanwhile stays forgotten."""
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

    async def forget_old(self) -> None:
        old = {"range": {"updated_at@double": {"lt": now_millis() - KEPT}}}
        ended = {"terms": {"status": sorted(ENDED)}}
        for entry in await self._catalog.find({"bool": {"filter": [{"term": {"kind": "task"}}, ended, old]}}):
            await self._catalog.delete(entry.id)

    @asynccontextmanager
    async def turn(self, name: str, every: float) -> AsyncIterator[bool]:
        """Whether what one of the replicas does once in so many seconds is ours to do now."""
        entry = await self._turn(name, every)
        if entry is None:
            yield False
            return
        keeper = asyncio.create_task(self._keep_on(entry))
        done: dict[str, Json] = {}
        try:
            yield True
            done["done_at"] = now_millis()
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            (fresh,) = await self._catalog.get(entry.id)
            if fresh is not None:
                with suppress(Conflict, Absent):
                    await self._catalog.amend(fresh, taken_until=0, **done)

    async def _turn(self, name: str, every: float) -> Entry | None:
        key = f"turn:{name}"
        (entry,) = await self._catalog.get(key)
        if entry is None:
            with suppress(Conflict):
                await self._catalog.create(key, "turn", "", name, {"done_at": 0})
            (entry,) = await self._catalog.get(key)
        due = entry is not None and entry.body["done_at"] <= now_millis() - every * 1_000
        return entry if entry is not None and due and await self.take(entry) else None

    async def _keep_on(self, entry: Entry) -> None:
        while True:
            await asyncio.sleep(LEASE / 3_000)
            with suppress(TallyError):  # OpenSearch may be back at the next one
                await self.keep(entry)

    async def take(self, entry: Entry) -> bool:
        """Whether what an entry stands for is ours to work on: no other process has it just now."""
        (fresh,) = await self._catalog.get(entry.id)
        if fresh is None or fresh.body.get("taken_until", 0) > now_millis():
            return False
        return await self._hold(fresh)

    async def keep(self, entry: Entry) -> None:
        """What is worked on stays ours."""
        (fresh,) = await self._catalog.get(entry.id)
        if fresh is not None:
            await self._hold(fresh)

    async def _hold(self, entry: Entry) -> bool:
        try:
            await self._catalog.amend(entry, taken_until=now_millis() + LEASE)
        except (Conflict, Absent):
            return False
        return True


def _view(body: Mapping[str, Json]) -> dict[str, Json]:
    return {"status": body["status"], "updated_at": body["updated_at"]}


def removal_of(entry: Entry) -> str:
    """The id of the task that removes a bucket or namespace."""
    return f"task_{entry.id.partition(':')[2]}"


def task_key(id: str) -> str:
    return f"task:{id}"
