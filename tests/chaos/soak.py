"""A mixed load for a quarter of an hour at four fifths of what the machine does: nothing fails, nothing grows.

`make soak`; TALLY_SOAK_MINUTES is how long. The load is what the other tests here have, on one node and one service.
"""

import asyncio
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
import psutil  # type: ignore[import-untyped]

from service.cli.embedded import EmbeddedNode, default_cache, ensure_home
from tests.chaos.cluster import Replica
from tests.chaos.oracle import Report
from tests.chaos.world import World

MINUTES = float(os.environ.get("TALLY_SOAK_MINUTES", "15"))
SHARE = 0.8
GROWTH = 1.0
"""MB a minute that the service's memory may grow in the last ten minutes."""
LAST = 600.0
MEASURED = 60.0
"""Seconds of the load as fast as it goes: the maximum, and everything is warm then."""
PART = 120.0
"""Seconds that a namespace is used before a new one is: what is read grows with what was written."""


@dataclass(frozen=True)
class Held:
    """What the service, and OpenSearch for it, hold on to."""

    points_in_time: int
    tasks: int
    connections: int


class Alone(Replica):
    """The only service, straight on one node, with the settings that it has by default."""

    def __init__(self, folder: Path, node: EmbeddedNode) -> None:
        self.node = node
        self._prepare(folder)

    async def __aenter__(self) -> Self:
        await self.start(OPENSEARCH_URL=self.node.url, OPENSEARCH_TIMEOUT=60, CARETAKING_SECONDS=30, REPLICAS=0)
        self.process = psutil.Process(self.service.process.pid)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def megabytes(self) -> float:
        return float(self.process.memory_info().rss) / 2**20

    async def held(self) -> Held:
        """Once what was asked last is done, and what nobody uses any more has ended."""
        await asyncio.sleep(5)
        async with aiohttp.ClientSession(self.node.url) as session:
            stats = await _json(session, "/_nodes/stats/indices/search")
            views = sum(each["indices"]["search"]["point_in_time_current"] for each in stats["nodes"].values())
            tasks = await _json(session, "/_tasks?actions=indices:*")
        port = int(self.node.url.rpartition(":")[2])
        there = [each for each in self.process.net_connections("tcp") if each.raddr and each.raddr.port == port]
        return Held(views, sum(len(each["tasks"]) for each in tasks["nodes"].values()), len(there))


async def _json(session: aiohttp.ClientSession, path: str) -> Any:
    async with session.get(path) as response:
        return await response.json()


@dataclass
class Run:
    """What a load met."""

    report: Report
    seconds: float
    memory: list[tuple[float, float]] = field(default_factory=list)
    """Moments, and MB of the service."""

    @property
    def rate(self) -> float:
        return self.report.requests / self.seconds

    @property
    def growth(self) -> float:
        """MB a minute in the last ten minutes, or the second half if that is shorter, by least squares."""
        end = self.memory[-1][0]
        points = [(x, y) for x, y in self.memory if x >= max(end - LAST, end - self.seconds / 2)]
        middle, mean = (sum(each) / len(points) for each in zip(*points, strict=True))
        return (
            60.0
            * float(sum((x - middle) * (y - mean) for x, y in points))
            / float(sum((x - middle) ** 2 for x, _ in points))
        )


async def run(alone: Alone, seconds: float, *, pause: float, rate: float | None = None) -> Run:
    """The load for so long, as fast as it goes, or at a rate; in new namespaces, so that each is as the one before."""
    report = Report("the load")
    found, end = Run(report, seconds), time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        world, number = World([alone], report, seed=number), number + 1
        await world.make()
        if rate is not None:
            world.limit(rate)
        part = min(end, time.monotonic() + PART)
        async with world.load(pause=pause):
            while time.monotonic() < part:
                await asyncio.sleep(min(5.0, max(0.1, part - time.monotonic())))
                found.memory.append((time.monotonic(), alone.megabytes))
        await world.check()
        await world.remove()
    return found


async def test_a_quarter_of_an_hour(tmp_path: Path) -> None:
    with EmbeddedNode(ensure_home(default_cache()), heap="1g") as node:
        async with Alone(tmp_path, node) as alone:
            warm = await run(alone, MEASURED, pause=0.0)
            before = await alone.held()
            soaked = await run(alone, MINUTES * 60, pause=0.0, rate=SHARE * warm.rate)
            after = await alone.held()
    print(
        f"\nat most {warm.rate:.1f} requests a second; {MINUTES:g} min at {soaked.rate:.1f}: "
        f"{soaked.report.requests:,} requests, errors {dict(soaked.report.errors)}, "
        f"{soaked.memory[0][1]:.0f} MB at the start, {soaked.memory[-1][1]:.0f} at the end, "
        f"{soaked.growth:+.2f} MB a minute\nbefore {before}\nafter {after}"
    )
    for each in (warm, soaked):
        assert each.report.clean, each.report.told
        assert not each.report.errors, each.report.told
    assert soaked.growth < GROWTH
    assert (after.points_in_time, after.tasks) == (before.points_in_time, before.tasks)
    assert after.connections <= before.connections, "connections that nobody closed"
