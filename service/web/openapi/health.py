"""The service itself: health, numbers, its description, background tasks."""

from typing import Any, Final

from service.web.openapi.answers import Alive, Document, NotReady, Ready, Task
from service.web.openapi.parts import TEXT, Content, Op

_METRICS: Final = """\
# HELP tally_requests_total Requests answered, by route and status.
# TYPE tally_requests_total counter
tally_requests_total{method="GET",route="/healthz",status="200"} 12.0
"""
_PAGE: Final = '<!doctype html>\n<html lang="en"><title>Tally\'s API</title></html>\n'
_DOCUMENT: Final[dict[str, Any]] = {
    "openapi": "3.1.1",
    "info": {"title": "Tally", "version": "0.1.0"},
    "paths": {},
}

OPERATIONS: Final = (
    Op(
        "get", "/healthz", "getHealth", "Is the process alive",
        "Answers as long as the process does; it says nothing about OpenSearch.",
        "Service",
        Content(Alive, {"It is": {"status": "ok"}}),
        says="It is.",
        public=True,
    ),
    Op(
        "get", "/readyz", "getReadiness", "Should it get requests",
        "OpenSearch answers, its templates are there, and the process is not about to stop.",
        "Service",
        Content(Ready, {"It should": {"status": "ready"}}),
        says="It should.",
        also={503: ("Not just now.", Content(NotReady, {"It is about to stop": {"status": "draining"}}))},
        public=True,
    ),
    Op(
        "get", "/metrics", "getMetrics", "How it is doing",
        "Numbers for Prometheus, of all processes and all tenants together; no namespace, bucket or key is a label.",
        "Service",
        Content(str, {"A counter": _METRICS}, TEXT),
        says="Prometheus' text format.",
        errors=(404,),
    ),
    Op(
        "get", "/openapi.json", "getOpenApi", "This document",
        "OpenAPI 3.1 of all routes, made from the service's models.",
        "Service",
        Content(Document, {"In outline": _DOCUMENT}),
        says="The document.",
        query=("If-None-Match",),
        headers=("ETag", "Cache-Control"),
        also={304: ("It is still what you have.", None)},
        public=True,
    ),
    Op(
        "get", "/docs", "getDocs", "This document to read",
        "A page that shows this document and lets you try it out; everything on it comes from this service.",
        "Service",
        Content(str, {"In outline": _PAGE}, "text/html"),
        says="The page.",
        query=("If-None-Match",),
        headers=("ETag", "Cache-Control"),
        also={304: ("It is still what you have.", None)},
        public=True,
    ),
    Op(
        "get", "/docs/assets/{asset}", "getDocsAsset", "A file of the page",
        "Script or style of `/docs`, packed where the caller takes gzip.",
        "Service",
        Content(str, {"A style": ".swagger-ui{color:#3b4151}"}, "text/css"),
        more=(
            Content(str, {"A script": 'SwaggerUIBundle({url: "/openapi.json"});'}, "text/javascript"),
            Content(str, {"An icon": '<svg xmlns="http://www.w3.org/2000/svg"/>'}, "image/svg+xml"),
        ),
        says="The file.",
        query=("If-None-Match",),
        headers=("ETag", "Cache-Control"),
        also={304: ("It is still what you have.", None)},
        errors=(404,),
        public=True,
    ),
    Op(
        "get", "/v1/tasks/{task_id}", "getTask", "A background task",
        "How far a delete is that goes on after its answer was given. Told for a week after it has ended.",
        "Tasks",
        Content(
            Task,
            {
                "A bucket is gone": {
                    "task_id": "task_bkt_0a1b2c3d4e",
                    "task_type": "api_buckets_delete",
                    "status": "COMPLETED",
                    "additional_data": {"bucket_id": "bkt_0a1b2c3d4e", "bucket_name": "orders", "object_count": 1523},
                    "error": None,
                    "created_at": "2026-11-22T10:30:00Z",
                    "updated_at": "2026-11-22T10:30:02.412Z",
                }
            },
        ),
        says="The task.",
    ),
)  # fmt: skip
