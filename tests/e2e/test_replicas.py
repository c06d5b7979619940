"""Two replicas: one is stopped, one is killed, under load; tests/chaos has a minute of it."""

import signal
from pathlib import Path

from tests.chaos.replicas import run

KEY = "sk_two_0123456789"


async def test_a_stop_is_noticed_by_nobody_and_a_kill_cuts_only_what_it_owes(
    opensearch_url: str, tmp_path: Path
) -> None:
    balancer = await run(opensearch_url, tmp_path, [(0, signal.SIGTERM), (1, signal.SIGKILL)], pause=0.7, size=2)
    assert not balancer.differences, balancer.differences[:20]
    assert balancer.counts["SIGTERM: lost answers"] == 0
    assert balancer.counts["objects"] > 50
    assert balancer.counts["walks"] > 1
