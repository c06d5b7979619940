"""Spans that a collector gets from a real service, and what OpenSearch is told of each request."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.client import Client
from tests.support.processes import Service, free_port

KEY = "sk_traces_0123456789"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@dataclass
class Heard:
    """What the service sent: spans to the collector, headers to OpenSearch."""

    spans: list[Any] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    headers: list[tuple[str, Any]] = field(default_factory=list)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def collector(heard: Heard) -> AsyncIterator[str]:
    async def take(request: web.Request) -> web.Response:
        told = ExportTraceServiceRequest.FromString(await request.read())
        for group in told.resource_spans:
            names = {each.key: each.value.string_value for each in group.resource.attributes}
            heard.services.add(names["service.name"])
            heard.spans += [span for scope in group.scope_spans for span in scope.spans]
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.fixture
async def opensearch(heard: Heard, opensearch_url: str) -> AsyncIterator[str]:
    """OpenSearch behind somebody who reads the headers."""

    async def passed_on(request: web.Request) -> web.Response:
        heard.headers.append((request.path, request.headers))
        kept = {
            name: value for name, value in request.headers.items() if name.lower() not in ("host", "content-length")
        }
        async with session.request(
            request.method, opensearch_url + request.path_qs, data=await request.read(), headers=kept
        ) as response:
            return web.Response(
                body=await response.read(), status=response.status, content_type=response.content_type or "text/plain"
            )

    app = web.Application(client_max_size=10**8)
    app.router.add_route("*", "/{path:.*}", passed_on)
    async with aiohttp.ClientSession() as session, TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.mark.parametrize("on", [True, False])
async def test_a_request_and_all_that_is_done_for_it(
    heard: Heard, collector: str, opensearch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, on: bool
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
    settings: dict[str, object] = {
        "PORT": free_port(),
        "OPENSEARCH_URL": opensearch,
        "API_KEY": KEY,
        "LOG_FORMAT": "json",
    }
    if on:
        settings["TRACES"] = "true"
    with Service("serve", folder=tmp_path, settings=settings) as service:
        await asyncio.to_thread(service.says, '"event": "serving"')
        async with Client(f"http://127.0.0.1:{settings['PORT']}", KEY, "default") as client:
            made = await client.ok("POST", "/v1/buckets", {"bucket_name": f"traced-{settings['PORT']}"})
            bucket = made["bucket_id"]
            await client.create(bucket, {"metadata": {"secret": "nobody-else-reads-this"}})
            spec = {
                "group_by": [{"field": "metadata.secret"}],
                "aggregations": [{"function": "count", "alias": "n"}],
            }
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "asked-here"}
            await client.ok("POST", f"/v1/buckets/{bucket}/objects/aggregate", spec, headers=headers)
            await client.ok("DELETE", f"/v1/buckets/{bucket}")
        service.send(signal.SIGTERM)
        assert await asyncio.to_thread(service.ended) == 0
    assert {each.get("X-Opaque-Id") for path, each in heard.headers if path.endswith("/_search")} >= {"asked-here"}
    if not on:
        assert not heard.spans
        assert not any("traceparent" in each for _, each in heard.headers)
        return
    assert heard.services == {"tally"}
    mine = [span for span in heard.spans if span.trace_id.hex() == TRACE]
    (root,) = [span for span in mine if span.parent_span_id.hex() == PARENT]
    assert root.name == "POST /v1/buckets/{bucket_identifier}/objects/aggregate"
    assert _attributes(root) | {"tally.id": "asked-here", "http.response.status_code": 200} == _attributes(root)
    parents = {span.span_id: span for span in mine}
    stages = [span.name for span in mine if span.parent_span_id == root.span_id]
    assert [name for name in stages if " " not in name] == ["plan", "answer", "render"]
    (search,) = [span for span in mine if span.name == "_search opensearch"]
    assert parents[search.parent_span_id].name == "answer"
    sent = f"00-{TRACE}-{search.span_id.hex()}-01"
    assert sent in {each.get("traceparent") for path, each in heard.headers if path.endswith("/_search")}
    assert "nobody-else-reads-this" not in "".join(map(str, heard.spans)), "what users store stays where it is"
    assert any(f'"trace_id": "{TRACE}"' in line for line in service.err), "log lines name the trace"


def _attributes(span: Any) -> dict[str, Any]:
    return {each.key: each.value.int_value or each.value.string_value for each in span.attributes}
