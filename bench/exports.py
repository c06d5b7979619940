"""Exports: a whole bucket as NDJSON, as fast as a client on this machine can read it."""

import time

from bench.measure import console, watched
from bench.system import System


async def whole(system: System, bucket: str, rounds: int = 3) -> None:
    """The best of some rounds, so that what disturbs the machine counts least."""
    best, size, lines = float("inf"), 0, 0
    async with watched(system.pid) as memory:
        for _ in range(rounds):
            started = time.perf_counter()
            size = lines = 0
            async with system.tally.get(f"/v1/buckets/{bucket}/objects/export") as response:
                async for block in response.content.iter_any():
                    size += len(block)
                    lines += block.count(b"\n")
            best = min(best, time.perf_counter() - started)
    megabyte = 1_000_000
    console.print(
        f"export of {bucket}: {lines:,} objects, {size / megabyte:,.1f} MB in {best:,.1f} s = {lines / best:,.0f} "
        f"objects/s, {size / megabyte / best:,.1f} MB/s; {(memory.peak - memory.start) / megabyte:,.0f} MB more\n",
        highlight=False,
    )
