"""The time: OpenSearch's, so that all replicas have the same one, whatever their own clocks say.

What is measured is how far OpenSearch's clock is from this machine's monotonic one, which nobody sets. Before the first
measurement, and where there is none, the machine's own clock counts.
"""

import time
from typing import Final

TOLERATED: Final = 5.0
"""Seconds between the machine's clock and OpenSearch's above which a warning is logged."""

_AGREEING: Final = 0.1
"""Seconds within which two clocks are taken for one."""

_last_arrival = 0
_offset: float | None = None
"""OpenSearch's time less the monotonic one, in seconds."""


def measured(remote: float, before: float, after: float) -> float:
    """Takes OpenSearch's time (seconds), read between two moments of `time.monotonic`, for the time from now on.

    What agrees with the time so far, as well as the measurement can tell, changes nothing, so that time does not jump.
    Gives how far this machine's clock is ahead of OpenSearch's.
    """
    global _offset
    seen = remote - (before + after) / 2
    mine = time.time() - time.monotonic()
    current = mine if _offset is None else _offset
    _offset = current if abs(seen - current) <= (after - before) / 2 + _AGREEING else seen
    return mine - seen


def now() -> float:
    """Seconds since 1970."""
    return time.time() if _offset is None else time.monotonic() + _offset


def now_millis() -> int:
    return int(now() * 1_000)


def arrival() -> int:
    """Microseconds that only grow, so that what one process makes keeps its order."""
    global _last_arrival
    _last_arrival = max(int(now() * 1_000_000), _last_arrival + 1)
    return _last_arrival
