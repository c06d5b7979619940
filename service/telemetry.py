"""Structured logs: set-up, and what one request gathers for its line."""

import logging
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

import structlog


@dataclass
class Backend:
    """What one request cost in OpenSearch."""

    id: str = ""
    """The request's; OpenSearch tells it in its own logs and task lists, as X-Opaque-Id."""
    requests: int = 0
    took: int = 0
    """Milliseconds, as OpenSearch tells them."""


backend: ContextVar[Backend | None] = ContextVar("backend", default=None)


def note_backend(took: int = 0) -> None:
    """Counts one OpenSearch request towards the request at hand."""
    cost = backend.get()
    if cost is not None:
        cost.requests += 1
        cost.took += took


def set_up(style: Literal["auto", "json", "console"], level: str) -> None:
    """Logs go to stderr: one JSON object a line, or colours for a terminal."""
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
    # The client logs each failed try with the request's body; ours are logged once, by us.
    logging.getLogger("opensearch").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
