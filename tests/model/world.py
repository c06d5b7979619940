"""A catalogue in memory, and the order in which several services get at it.

The code under test is the service's own; what is made up is the storage below it (`MemoryDocuments`, which passes the
same contract test as the real one) and the scheduler. Every request is one step; at each step a chooser says who goes
on and what befalls the request:

    done      it is done and answered
    again     it is done, its answer is lost, and the client sends it once more
    late      it is not answered; the client sends it once more, and the first one is done at some later moment
    unheard   it is done, but neither it nor its repetitions are answered: the caller gets an error
    failed    it is not done, and the caller gets an error
    crash     the process dies here
"""

import random
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from service.errors import TallyError, Unavailable
from service.storage.documents import Version
from service.storage.gateway import Conflict
from service.values import Json

FAULTS: Final = ("again", "late", "unheard", "failed", "crash")
STEPS: Final = 3_000


class Crash(BaseException):
    """The process is gone; nothing that it still wants to do is done."""


class Endless(AssertionError):
    """An operation does not come to its end."""


class Chooser(Protocol):
    def choose(self, count: int) -> int:
        """A number from 0 to count - 1."""
        ...


class AtRandom:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def choose(self, count: int) -> int:
        return self._random.randrange(count)


class InTurn:
    """All choices there are, one run after the other: `path` is what was chosen, `advance` goes to the next one."""

    def __init__(self) -> None:
        self.path: list[tuple[int, int]] = []
        self._at = 0

    def choose(self, count: int) -> int:
        if self._at == len(self.path):
            self.path.append((0, count))
        chosen = self.path[self._at][0]
        self._at += 1
        return chosen

    def advance(self) -> bool:
        """False if there is no other one."""
        while self.path and self.path[-1][0] + 1 == self.path[-1][1]:
            self.path.pop()
        if not self.path:
            return False
        chosen, count = self.path[-1]
        self.path[-1] = (chosen + 1, count)
        self._at = 0
        return True


@types.coroutine
def step(writes: bool) -> Generator[bool, str, str]:
    """Waits for its turn; what befalls the request. `writes`: it can be done without being answered."""
    return (yield writes)


@dataclass
class Process:
    """A service; when it dies, all that it is doing dies."""

    name: str
    dead: bool = False


@dataclass
class Running:
    process: Process
    work: Coroutine[Any, Any, Any]
    started: bool = False
    writes: bool = False


@dataclass
class World:
    """What is stored, who is running, and what still may happen."""

    chooser: Chooser
    faults: int
    """How many there may be in a run."""
    hidden: bool = False
    """Only faults that the service has to hide from its clients."""
    switches: int | None = None
    """How often the turn may change without need, None for any number."""
    documents: dict[str, tuple[Mapping[str, Json], int]] = field(default_factory=dict)
    number: int = 0
    changes: int = 0
    running: list[Running] = field(default_factory=list)
    late: list[Callable[[], object]] = field(default_factory=list)
    check: Callable[[], None] = lambda: None
    """Called after every step."""
    story: list[str] = field(default_factory=list)

    def start(self, process: Process, work: Coroutine[Any, Any, Any]) -> None:
        if process.dead:
            work.close()
        else:
            self.running.append(Running(process, work))

    def run(self) -> None:
        """Until everybody is at the end, or dead."""
        current: Running | None = None
        for _ in range(STEPS):
            if not self.running:
                while self.late:
                    self._do_late()
                return
            current = self._next(current)
            if current is not None:
                self._advance(current, self._fate(current))
            self.check()
        raise Endless

    def _next(self, current: Running | None) -> Running | None:
        """None if a late request is done instead."""
        if current not in self.running:
            current = None
        if current is not None and self.switches is not None and self.switches <= 0:
            return current
        others = [each for each in self.running if each is not current]
        options: list[Running | None] = [*([current] if current else []), *others, *([None] if self.late else [])]
        chosen = options[self.chooser.choose(len(options))] if len(options) > 1 else options[0]
        if chosen is None:
            self._do_late()
        elif current is not None and chosen is not current and self.switches is not None:
            self.switches -= 1
        return chosen

    def _do_late(self) -> None:
        try:
            self.late.pop(0)()
            self.story.append("late request done")
        except Conflict:
            self.story.append("late request refused")

    def _fate(self, running: Running) -> str:
        if not running.started or not self.faults:
            return "done"
        if self.hidden:
            options: tuple[str, ...] = ("done", "again", "late") if running.writes else ("done",)
        else:
            options = ("done", *(FAULTS if running.writes else ("failed", "crash")))
        # Most steps go well, or no operation would get far.
        if isinstance(self.chooser, AtRandom) and self.chooser.choose(4):
            return "done"
        fate = options[self.chooser.choose(len(options))]
        self.faults -= fate != "done"
        return fate

    def _advance(self, running: Running, fate: str) -> None:
        try:
            if fate == "crash":
                running.process.dead = True
                running.work.throw(Crash())
            elif running.started:
                running.writes = running.work.send(fate)
            else:
                running.started = True
                running.writes = running.work.send(None)
        except (StopIteration, Crash, TallyError, Conflict):  # what is done in the background may fail
            self.running.remove(running)
        if running.process.dead:
            self._bury(running.process)

    def end(self) -> None:
        """Nobody does anything any more."""
        while self.running:
            self.running[0].process.dead = True
            self._bury(self.running[0].process)

    def _bury(self, process: Process) -> None:
        self.story.append(f"{process.name} dies")
        for each in [each for each in self.running if each.process is process]:
            self.running.remove(each)
            with suppress(StopIteration, Crash, RuntimeError):  # it may have come to its end just now
                if each.started:
                    each.work.throw(Crash())
                each.work.close()


class MemoryDocuments:
    """What `service.storage.documents.Documents` does, in memory, one step for each request of one process."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    async def read(self, ids: Sequence[str], versions: Sequence[str] = ()) -> list[Json]:
        found: list[Json] = await self._request(False, lambda: [self._found(id) for id in (*ids, *versions)])
        return found

    async def there(self, answer: Awaitable[Any]) -> Any:
        return await answer

    async def put(self, id: str, source: Mapping[str, Json], version: Version | None) -> Version:
        written: Version = await self._request(True, lambda: self._put(id, source, version), f"put {id}")
        return written

    async def patch(self, id: str, changes: Mapping[str, Json], version: Version) -> Version:
        def patched() -> Version:
            self._guard(id, version)
            return self._put(id, _merged(self._world.documents[id][0], changes), version)

        written: Version = await self._request(True, patched, f"patch {id}")
        return written

    async def remove(self, id: str, version: Version | None) -> None:
        def removed() -> None:
            if version is not None:
                self._guard(id, version)
            self._world.documents.pop(id, None)
            self._world.changes += 1

        await self._request(True, removed, f"remove {id}")

    async def _request(self, writes: bool, do: Callable[[], Any], told: str = "") -> Any:
        if self._process.dead:
            raise Crash
        fate = await step(writes)
        if told:
            self._world.story.append(f"{self._process.name}: {told}, {fate}")
        if fate == "failed":
            raise Unavailable("it failed")
        if fate == "late":
            self._world.late.append(do)
        elif fate in ("again", "unheard"):
            with suppress(Conflict):
                do()
            if fate == "unheard":
                raise Unavailable("nothing was heard")
            await step(False)  # others go on until it is sent again
        return do()

    def _found(self, id: str) -> Json:
        if id not in self._world.documents:
            return {"_id": id, "found": False}
        source, number = self._world.documents[id]
        return {"_id": id, "found": True, "_source": source, "_seq_no": number, "_primary_term": 1}

    def _guard(self, id: str, version: Version) -> None:
        if id not in self._world.documents or (self._world.documents[id][1], 1) != version[:2]:
            raise Conflict

    def _put(self, id: str, source: Mapping[str, Json], version: Version | None) -> Version:
        if version is not None:
            self._guard(id, version)
        elif id in self._world.documents:
            raise Conflict
        self._world.number += 1
        self._world.changes += 1
        self._world.documents[id] = (source, self._world.number)
        return Version.of(self._found(id))


def _merged(old: Mapping[str, Json], new: Mapping[str, Json]) -> dict[str, Json]:
    merged = dict(old)
    for name, value in new.items():
        inside = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merged(merged[name], value) if inside else value
    return merged
