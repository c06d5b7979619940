"""Writers and readers of streams at the same time, and what each reader must know at the end.

Every writer has ids of its own, of which it knows what was acknowledged, and ids that all share. An answer that was
lost leaves both possible; what is so is read at the end, and then every reader must know just that.
"""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.support.records import Project, record

Json = Any
OWN = 30
SHARED = 12
Service = Callable[[], Project]
"""The project at the service that is to be asked next."""


@dataclass
class Report:
    """What happened."""

    counts: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    @property
    def writes(self) -> int:
        return sum(self.counts[name] for name in ("ingest", "upsert", "delete", "log"))


@dataclass
class Chaos:
    """A mutable stream and an immutable one that are written, read and followed for some seconds."""

    services: Sequence[Project]
    mutable: str
    immutable: str
    seconds: float
    writers: int
    readers: int
    seed: int = 1
    report: Report = field(default_factory=Report)
    possible: dict[str, set[int | None]] = field(default_factory=dict)
    """Own ids → what they may hold, None for no record."""
    logged: dict[str, bool] = field(default_factory=dict)
    """Ids of the immutable stream → whether they were acknowledged."""

    async def run(self) -> Report:
        self.until = time.monotonic() + self.seconds
        self.numbers = itertools.count(1)
        self.done = asyncio.Event()
        readers = [
            asyncio.create_task(self._read(random.Random(f"reader {self.seed} {n}"), n, stream))
            for n in range(self.readers)
            for stream in (self.mutable, self.immutable)
        ]
        async with asyncio.TaskGroup() as group:
            for n in range(self.writers):
                group.create_task(self._write(random.Random(f"writer {self.seed} {n}"), n))
        self.done.set()
        states = await asyncio.gather(*readers)
        truth = await self._truth()
        self._compare("what is there", {id: truth.get(id) for id in self.possible})
        for number, (stream, state) in enumerate(states):
            if stream == self.immutable:
                missed = [id for id, sure in self.logged.items() if sure and id not in state]
                self.report.differences += [f"reader {number} missed {id} of {stream}" for id in missed]
                continue
            for id in truth.keys() | state.keys():
                if truth.get(id) != state.get(id):
                    told = f"reader {number}: {id} is {truth.get(id)}, known as {state.get(id)}"
                    self.report.differences.append(told)
        return self.report

    def _compare(self, who: str, found: dict[str, int | None]) -> None:
        for id, may in self.possible.items():
            if found[id] not in may:
                self.report.differences.append(f"{who}: {id} is {found[id]}, acknowledged were {may}")

    async def _write(self, chance: random.Random, number: int) -> None:
        own = [f"w{number}-{n}" for n in range(OWN)]
        self.possible |= {id: {None} for id in own}
        while time.monotonic() < self.until:
            at = chance.choice(self.services)
            kind = chance.choice(("own", "own", "own", "shared", "log"))
            if kind == "log":
                await self._log(at, chance, number)
                continue
            ids = chance.sample(own if kind == "own" else [f"shared-{n}" for n in range(SHARED)], chance.randint(1, 6))
            await self._change(at, chance, ids, own=kind == "own")

    async def _change(self, at: Project, chance: random.Random, ids: list[str], *, own: bool) -> None:
        values = {id: next(self.numbers) for id in ids}
        what = chance.choice(("upsert", "upsert", "delete"))
        if own and all(self.possible[id] == {None} for id in ids):
            what = "ingest"
        items = [record(id, {"i32": value}) for id, value in values.items()]
        if what == "delete":
            route, items = "/delete", [{"space": "s", "externalId": id} for id in ids]
        else:
            route = "" if what == "ingest" else "/upsert"
        new: dict[str, int | None] = dict.fromkeys(ids) if what == "delete" else dict(values)
        status = await self._sent(at, f"/streams/{self.mutable}/records{route}", {"items": items})
        sure = status in (200, 202)
        self.report.counts[what if sure else f"{what} without an answer"] += 1
        if status is not None and not sure and status < 500 and status != 429:
            self.report.differences.append(f"{what} of {ids} was refused: {status}")
        if own:
            for id in ids:
                self.possible[id] = {new[id]} if sure else self.possible[id] | {new[id]}

    async def _log(self, at: Project, chance: random.Random, number: int) -> None:
        ids = [f"log-{number}-{next(self.numbers)}" for _ in range(chance.randint(1, 10))]
        body = {"items": [record(id, {"i32": number}) for id in ids]}
        sure = await self._sent(at, f"/streams/{self.immutable}/records", body) == 202
        self.report.counts["log" if sure else "log without an answer"] += 1
        self.logged |= dict.fromkeys(ids, sure)

    async def _sent(self, at: Project, route: str, body: Json) -> int | None:
        """The status, None if no answer came."""
        try:
            return (await at.call("POST", route, body))[0]
        except (aiohttp.ClientError, TimeoutError, ValueError):
            await asyncio.sleep(0.1)
            return None

    async def _read(self, chance: random.Random, number: int, stream: str) -> tuple[str, dict[str, int | None]]:
        """Follows a stream until the writers are done and nothing more comes."""
        await asyncio.sleep(self.seconds * 0.5 * (number % 3) / 2)
        state: dict[str, int | None] = {}
        cursor, last, deadline = None, False, None
        while True:
            start = {"cursor": cursor} if cursor else {"initializeCursor": "1d-ago"}
            finishing = self.done.is_set()
            body = {"limit": chance.choice((3, 10, 50, 300)), **start}
            try:
                status, page = await chance.choice(self.services).call("POST", f"/streams/{stream}/records/sync", body)
            except (aiohttp.ClientError, TimeoutError, ValueError):
                status, page = 0, None
            if status != 200:
                self.report.counts["page without an answer"] += 1
                deadline = deadline or (time.monotonic() + 60 if finishing else None)
                assert deadline is None or time.monotonic() < deadline, (status, page)
                await asyncio.sleep(0.1)
                continue
            self.report.counts["page"] += 1
            for item in page["items"]:
                self.report.counts[item["status"]] += 1
                gone = item["status"] == "deleted"
                state[item["externalId"]] = None if gone else item["properties"]["s"]["c"]["i32"]
            cursor = page["nextCursor"]
            if finishing and not page["hasNext"]:
                if last:
                    return stream, {id: value for id, value in state.items() if value is not None}
                last = True
            if not page["hasNext"]:
                await asyncio.sleep(chance.random() * 0.2)

    async def _truth(self) -> dict[str, int | None]:
        """What the mutable stream holds now."""
        at = self.services[0]
        await at.upsert(self.mutable, record("end", {"i32": 0}))
        values = await at.values(self.mutable, "i32")
        assert values.pop("end") == 0
        assert len(values) < 999
        return values
