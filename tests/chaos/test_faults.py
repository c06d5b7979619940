"""The faults of a cluster of three nodes and two services on it, one after the other, under a mixed load.

Whatever happens: no answer is wrong, nothing acknowledged is lost, nothing is there twice. The short form has the
faults that matter most; the full one (`make chaos`) writes what it saw into docs/quality.md.
"""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.chaos import table
from tests.chaos.cluster import Cluster, Replica, Replicas
from tests.chaos.faults import LINES, Line, Scene, short_form
from tests.chaos.oracle import Report
from tests.chaos.world import World

CHOSEN = [each for each in LINES if each.short or not short_form()]

Stage = tuple[Cluster, Replicas]


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("chaos")
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(Cluster(folder))
        replicas = [await stack.enter_async_context(Replica(folder / f"s{n}", cluster)) for n in range(2)]
        yield cluster, replicas


@pytest.fixture(scope="module")
async def reports() -> AsyncIterator[list[Report]]:
    found: list[Report] = []
    yield found
    print(f"\n{table.table([table.row(each) for each in found])}")
    if not short_form():
        table.write(found, [each.title for each in LINES])


@pytest.mark.parametrize("line", CHOSEN, ids=lambda line: line.act.__name__)
async def test_nothing_acknowledged_is_lost(stage: Stage, reports: list[Report], line: Line) -> None:
    cluster, replicas = stage
    await cluster.mend()
    for replica in replicas:
        await replica.mend()
    report = Report(line.title)
    reports.append(report)
    world, begun = World(replicas, report, seed=len(reports)), time.monotonic()
    try:
        await world.make()
        scene = Scene(cluster, replicas, world, report)
        await line.act(scene)
        await scene.world.check()
    except BaseException as error:
        report.wrong.append(f"it was not finished: {error!r}")
        raise
    finally:
        seconds = time.monotonic() - begun
        for replica in replicas:
            print("\n".join(line[:1_000] for line in replica.failures()[-5:]))
        print(f"\n{report.told}\nwell after {report.seconds or 0:.1f} s, all of it {seconds:.0f} s", flush=True)
    assert report.requests > 100
    assert report.clean, report.told
    await scene.world.remove()
