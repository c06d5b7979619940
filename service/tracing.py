"""Spans of requests for OpenTelemetry. Off by default, and then none of it is imported.

OpenTelemetry's own environment variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME`)
set where they are sent, which are kept and under which name. Attributes follow its semantic conventions and never
contain users' data or requests.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

Attribute = str | int | float | bool
Kind = Literal["server", "client", "internal"]

_FLUSH: Final = 5_000
"""Milliseconds for sending the last spans when the service ends."""

_provider: "TracerProvider | None" = None
_tracer: "Tracer | None" = None


def set_up(version: str) -> None:
    """Sets tracing up; idempotent. Raises `SystemExit` if the packages are not installed."""
    global _provider, _tracer
    if _tracer is not None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SystemExit("TALLY_TRACES needs further packages: pip install 'tally-aggregations[traces]'") from None
    ours = Resource({SERVICE_NAME: "tally", SERVICE_VERSION: version})
    _provider = TracerProvider(resource=Resource.create().merge(ours).merge(OTELResourceDetector().detect()))
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = _provider.get_tracer("tally", version)


def flush() -> None:
    """Sends all pending spans and waits for it."""
    if _provider is not None:
        _provider.force_flush(_FLUSH)


@contextmanager
def span(
    name: str,
    attributes: Mapping[str, Attribute] | None = None,
    kind: Kind = "internal",
    within: Mapping[str, str] | None = None,
) -> Iterator["Span | None"]:
    """A span around the block: a child of the current one, or of the one in the HTTP headers `within`."""
    if _tracer is None:
        yield None
        return
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = None if within is None else TraceContextTextMapPropagator().extract(within)
    with _tracer.start_as_current_span(
        name, context, SpanKind[kind.upper()], dict(attributes or {}), record_exception=False
    ) as current:
        yield current


def headers() -> dict[str, str]:
    """Headers for an outgoing request: the W3C context of the current span."""
    if _tracer is None:
        return {}
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier


def trace_id(current: "Span") -> str:
    return f"{current.get_span_context().trace_id:032x}"
