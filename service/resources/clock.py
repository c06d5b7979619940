"""The time, as resources note it."""

import time

_last_arrival = 0


def now_millis() -> int:
    return time.time_ns() // 1_000_000


def arrival() -> int:
    """Microseconds that only grow, so that what one process makes keeps its order."""
    global _last_arrival
    _last_arrival = max(time.time_ns() // 1_000, _last_arrival + 1)
    return _last_arrival
