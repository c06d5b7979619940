"""Structured logs: set-up, and the data collected for a request's log line."""

import logging
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

import structlog


@dataclass
class Backend:
    """The cost of one request in OpenSearch."""

    id: str = ""
    """The request's id; OpenSearch shows it in its logs and task lists, as X-Opaque-Id."""
    requests: int = 0
    took: int = 0
    """Milliseconds, as reported by OpenSearch."""


backend: ContextVar[Backend | None] = ContextVar("backend", default=None)


def note_backend(took: int = 0) -> None:
    """Adds one OpenSearch request to the current request's cost."""
    cost = backend.get()
    if cost is not None:
        cost.requests += 1
        cost.took += took


def set_up(style: Literal["auto", "json", "console"], level: str) -> None:
    """Sends logs to stderr: one JSON object per line, or coloured text for a terminal."""
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    renderer = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # The client logs each failed attempt with the request's body; we log failures once ourselves.
    logging.getLogger("opensearch").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
