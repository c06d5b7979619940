"""Times and memory, and the tables that show them."""

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psutil  # type: ignore[import-untyped]
from rich.console import Console
from rich.table import Table

console = Console(width=120)


@dataclass
class Times:
    """Milliseconds of many runs of one thing."""

    each: list[float] = field(default_factory=list)

    async def run(self, work: Callable[[], Awaitable[object]]) -> None:
        started = time.perf_counter()
        await work()
        self.each.append((time.perf_counter() - started) * 1000)

    @property
    def p50(self) -> float:
        return statistics.median(self.each)

    @property
    def p99(self) -> float:
        return sorted(self.each)[min(len(self.each) - 1, round(len(self.each) * 0.99))]


async def side_by_side(rounds: int, warm: int, *works: Callable[[], Awaitable[object]]) -> list[Times]:
    """In turns, so that what disturbs the machine disturbs all of them; the first rounds do not count."""
    for _ in range(warm):
        for work in works:
            await work()
    times = [Times() for _ in works]
    for _ in range(rounds):
        for one, work in zip(times, works, strict=True):
            await one.run(work)
    return times


def comparison(title: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    table.add_column("n", justify="right")
    for column in ("p50 ms", "p99 ms", "bare p50", "bare p99", "ratio p50", "bare request"):
        table.add_column(column, justify="right")
    return table


def add(table: Table, what: str, ours: Times, bare: Times, how: str) -> None:
    numbers = [f"{value:,.1f}" for value in (ours.p50, ours.p99, bare.p50, bare.p99)]
    table.add_row(what, str(len(ours.each)), *numbers, f"{ours.p50 / bare.p50:.2f}", how)


@dataclass
class Memory:
    """A process's resident bytes."""

    start: int
    peak: int


@asynccontextmanager
async def watched(pid: int) -> AsyncIterator[Memory]:
    process = psutil.Process(pid)
    memory = Memory(*[process.memory_info().rss] * 2)

    async def watch() -> None:
        while True:
            memory.peak = max(memory.peak, process.memory_info().rss)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(watch())
    try:
        yield memory
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
