"""Writes: one object that the next question sees, and imports with the service's memory watched."""

import itertools
import random
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson
from rich.progress import Progress

from bench.measure import add, comparison, console, side_by_side, watched
from bench.system import System
from service.cli.loading import SAMPLE_SIZES, flights


async def single(system: System, rounds: int) -> None:
    """A create is a write and a refresh; so is what it stands beside."""
    await system.ask("POST", "/v1/buckets", {"bucket_name": "single"})
    await system.ask_bare("PUT", "/bare", {"settings": {"number_of_replicas": 0}, "mappings": {"dynamic": True}})
    numbers = itertools.count()

    def item() -> dict[str, Any]:
        return {"metadata": {"carrier": "UA", "n": next(numbers), "dep_delay": 2, "origin": "JFK"}}

    ours, bare = await side_by_side(
        rounds,
        30,
        lambda: system.ask("POST", "/v1/buckets/single/objects", item()),
        lambda: system.ask_bare("POST", "/bare/_doc?refresh=true", item()),
    )
    table = comparison("One object created, visible to the next question")
    add(table, "create", ours, bare, "index, refresh=true")
    console.print(table)
    console.print(f"create p50 {ours.p50:.1f} ms: {'at most' if ours.p50 <= 30 else 'MORE THAN'} 30 ms\n")


async def all_flights(system: System) -> None:
    await system.ask("POST", "/v1/buckets", {"bucket_name": "flights"})
    await _import(system, "flights", flights("full"), SAMPLE_SIZES["full"], "the flights of 2013")


async def generated(system: System, megabytes: int) -> None:
    """Objects of about 1 kB, each different."""
    bucket = f"generated-{megabytes}"
    await system.ask("POST", "/v1/buckets", {"bucket_name": bucket})
    count = megabytes * 1_000_000 // len(next(_objects(1)))
    await _import(system, bucket, _objects(count), count, f"{megabytes} MB generated")


def _objects(count: int) -> Iterator[bytes]:
    chance = random.Random(2013)
    words = [f"{chance.getrandbits(40):x}" for _ in range(2_000)]
    for number in range(count):
        yield orjson.dumps(
            {
                "metadata": {
                    "number": number,
                    "group": words[number % 500],
                    "price": chance.randrange(1_000_000) / 100,
                    "good": number % 3 == 0,
                    "when": f"2013-{number % 12 + 1:02}-{number % 28 + 1:02}T10:00:00Z",
                    "tags": chance.sample(words, 5),
                    "note": " ".join(chance.choices(words, k=75)),
                }
            }
        )


async def _import(system: System, bucket: str, lines: Iterator[bytes], total: int, what: str) -> None:
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(f"Importing {what}", total=total)

        async def body() -> AsyncIterator[bytes]:
            while block := list(itertools.islice(lines, 250)):
                yield b"\n".join(block) + b"\n"
                progress.advance(task, len(block))

        async with watched(system.pid) as memory:
            started = time.perf_counter()
            async with system.tally.post(f"/v1/buckets/{bucket}/objects/import", data=body()) as response:
                answer = await response.json()
            seconds = time.perf_counter() - started
    if response.status != 200 or answer["failed_count"]:
        raise RuntimeError(str(answer))
    megabyte = 1_000_000
    console.print(
        f"import of {what}: {answer['succeeded_count']:,} objects, {answer['bytes'] / megabyte:,.1f} MB in "
        f"{seconds:,.1f} s = {answer['succeeded_count'] / seconds:,.0f} objects/s, "
        f"{answer['bytes'] / megabyte / seconds:,.1f} MB/s\n"
        f"  resident memory of the service: {memory.start / megabyte:,.0f} MB before, "
        f"peak {memory.peak / megabyte:,.0f} MB, so {(memory.peak - memory.start) / megabyte:,.0f} MB for the import\n",
        highlight=False,
    )
