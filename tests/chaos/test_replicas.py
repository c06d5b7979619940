"""A minute of two replicas that are stopped and killed in turn; nobody who is patient notices."""

import os
import signal
from pathlib import Path

from tests.chaos.replicas import run

ROUNDS = int(os.environ.get("TALLY_CHAOS_ROUNDS", "2"))


async def test_replicas_are_stopped_and_killed_in_turn(opensearch_url: str, tmp_path: Path) -> None:
    ends = [(place, number) for number in (signal.SIGTERM, signal.SIGKILL) for place in (0, 1)] * ROUNDS
    balancer = await run(opensearch_url, tmp_path, ends, pause=1.5, size=3)
    print(f"\n{dict(sorted(balancer.counts.items()))}")
    assert not balancer.differences, balancer.differences[:20]
    assert balancer.counts["SIGTERM: lost answers"] == 0
    assert balancer.counts["objects"] > 500
