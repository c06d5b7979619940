"""The service's Prometheus metrics: no namespace, bucket or key is ever a label."""

import asyncio
import os
import time
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MANY: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable for the folder in which one service's processes share their metrics (prometheus-client's name)."""

_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

registry: Final = CollectorRegistry()

requests: Final = Counter(
    "tally_requests", "Requests answered, by route and status.", ("method", "route", "status"), registry=registry
)
latency: Final = Histogram(
    "tally_request_seconds",
    "Seconds from a request's head to its answer.",
    ("method", "route"),
    buckets=_SECONDS,
    registry=registry,
)
refusals: Final = Counter(
    "tally_refusals",
    "Requests refused, by the code of the error.",
    ("code",),
    registry=registry,
)
answered: Final = Counter("tally_response_bytes", "Bytes of answers.", registry=registry)
groups: Final = Counter("tally_groups", "Groups and buckets in answers to aggregates.", registry=registry)
strategies: Final = Counter(
    "tally_aggregates", "Aggregates answered, by the strategy that answered them.", ("strategy",), registry=registry
)
searches: Final = Counter("tally_opensearch_requests", "Requests to OpenSearch.", registry=registry)
took: Final = Counter("tally_opensearch_took_seconds", "Seconds that OpenSearch says it took.", registry=registry)
write_blocked: Final = Gauge(
    "tally_opensearch_write_blocked",
    "1 while OpenSearch takes no writes: its disk is full, or an operator blocked them.",
    registry=registry,
    multiprocess_mode="livemax",
)
views: Final = Gauge(
    "tally_open_points_in_time",
    "Points in time opened and not closed by this service.",
    registry=registry,
    multiprocess_mode="livesum",
)
in_flight: Final = Gauge(
    "tally_requests_in_flight", "Requests being worked on.", registry=registry, multiprocess_mode="livesum"
)
clock_ahead: Final = Gauge(
    "tally_clock_ahead_seconds",
    "How far this machine's clock is ahead of OpenSearch's, whose time counts.",
    registry=registry,
    multiprocess_mode="mostrecent",
)
lag: Final = Histogram(
    "tally_event_loop_lag_seconds",
    "How much later than planned the event loop comes to a timer, looked at four times a second.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
    registry=registry,
)


def exposition() -> bytes:
    """All metrics in Prometheus' text format; of all processes if there are several."""
    if MANY not in os.environ:
        return generate_latest(registry)
    whole = CollectorRegistry()
    MultiProcessCollector(whole)  # type: ignore[no-untyped-call]
    return generate_latest(whole)


async def watch_loop(every: float = 0.25) -> None:
    """Runs forever: measures the event loop's lag."""
    while True:
        planned = time.perf_counter() + every
        await asyncio.sleep(every)
        lag.observe(max(0.0, time.perf_counter() - planned))
