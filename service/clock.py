"""The time: OpenSearch's, so that all replicas agree, whatever their own clocks say.

It is measured as the offset of OpenSearch's clock from this machine's monotonic one, which is never set. Without a
measurement the machine's own clock is used.
"""

import time
from typing import Final

TOLERATED: Final = 5.0
"""Seconds between the machine's clock and OpenSearch's above which a warning is logged."""

_AGREEING: Final = 0.1
"""Seconds within which two clocks count as equal."""

_last_arrival = 0
_offset: float | None = None
"""OpenSearch's time minus the monotonic one, in seconds."""


def measured(remote: float, before: float, after: float) -> float:
    """Adopts OpenSearch's time (seconds), read between two values of `time.monotonic`.

    A measurement that agrees with the current time within its precision changes nothing, so that time does not jump.
    Returns how far this machine's clock is ahead of OpenSearch's.
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
    """Strictly increasing microseconds, so that one process's writes keep their order."""
    global _last_arrival
    _last_arrival = max(int(now() * 1_000_000), _last_arrival + 1)
    return _last_arrival
