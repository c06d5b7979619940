"""The vocabulary in which operations are told: as data, with shared parameters and the errors of both APIs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
from openapi_pydantic.v3.v3_1 import (
    Example,
    Header,
    MediaType,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Response,
    Schema,
)

from service import errors
from service.dialects.flat.listing import MAX_LIMIT, WINDOW
from service.dialects.tree.properties import SPACE
from service.resources.streams import STREAM
from service.settings import Settings
from service.values import Json

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
TEXT: Final = "text/plain"

Face = Literal["objects", "records", "service"]
"""Whose errors an operation has."""


@dataclass(frozen=True, eq=False)
class Content:
    """A body: its type in Python, examples by what they show, and its media type."""

    type: Any
    examples: Mapping[str, Json]
    media: str = JSON
    needed: bool = True


@dataclass(frozen=True)
class Op:
    """One operation. Path parameters and the headers that all have are not told again."""

    method: str
    path: str
    id: str
    summary: str
    description: str
    tag: str
    answer: Content | None
    more: Sequence[Content] = ()
    """The answer in other media types."""
    says: str = "Done."
    """What the answer means."""
    status: int = 200
    body: Content | None = None
    query: Sequence[str] = ()
    """Parameters in the query, and headers that others have not: their names in `PARAMETERS`."""
    errors: Sequence[int] = ()
    """Statuses beside those that every operation of its kind may have."""
    also: Mapping[int, tuple[str, Content | None]] | None = None
    """Further answers that are no errors in the envelope."""
    headers: Sequence[str] = ()
    """Of the answer, beside those that all have: their names in `HEADERS`."""
    public: bool = False

    @property
    def face(self) -> Face:
        if self.path.startswith("/api/"):
            return "records"
        return "objects" if "/v1/" in self.path or self.path.startswith("/documents/") else "service"

    @property
    def contents(self) -> list[Content]:
        """All bodies, the request's first."""
        others = [content for _, content in (self.also or {}).values()]
        return [content for content in (self.body, self.answer, *self.more, *others) if content is not None]


def _parameter(place: str, name: str, description: str, schema: Schema, example: Json, **more: Any) -> Parameter:
    """What may be left out has its example in the description: the page would send it as if it were asked for."""
    told = {"name": name, "in": place, "description": description, "schema": schema, **more}
    if more.get("required"):
        told["example"] = example
    elif example is not None:
        shown = example if isinstance(example, str) else msgspec.json.encode(example).decode()
        told["description"] = f"{description} Example: `{shown}`."
    return Parameter.model_validate(told)


def _path(name: str, description: str, example: str, **schema: Any) -> Parameter:
    return _parameter("path", name, description, Schema(type="string", **schema), example, required=True)


def _query(
    name: str, description: str, example: Json = None, *, schema: Schema | None = None, **more: Any
) -> Parameter:
    return _parameter("query", name, description, schema or Schema(type="string"), example, **more)


def _header(name: str, description: str, example: str, *, needed: bool = False, **schema: Any) -> Parameter:
    return _parameter("header", name, description, Schema(type="string", **schema), example, required=needed)


def _ref(kind: str, name: str) -> Reference:
    return Reference.model_validate({"$ref": f"#/components/{kind}/{name}"})


def _one_of(*values: str, default: str | None = None) -> Schema:
    return Schema(type="string", enum=list(values), default=default)


def _integer(least: int, most: int | None = None, default: int | None = None) -> Schema:
    return Schema(type="integer", minimum=least, maximum=most, default=default)


_SPACE_HELP: Final = "The namespace: its id (`ns_…`) or its name."

PARAMETERS: Final[Mapping[str, Parameter]] = {
    # In paths
    "namespace_identifier": _path("namespace_identifier", _SPACE_HELP, "production"),
    "bucket_identifier": _path("bucket_identifier", "The bucket: its id (`bkt_…`) or its name.", "orders"),
    "object_identifier": _path("object_identifier", "The object's id.", "obj_3f1c9a7be02d4c58a1b2c3d4"),
    "collection_identifier": _path("collection_identifier", "The collection: its id (`col_…`) or its name.", "paid"),
    "task_id": _path("task_id", "As the answer to a delete told it.", "task_bkt_0a1b2c3d4e"),
    "project": _path("project", "The project, which is a namespace: its name or its id.", "production"),
    "streamId": _path("streamId", "The stream.", "test1", pattern=STREAM, minLength=1, maxLength=100),
    "asset": _path("asset", "A file of the page.", "swagger-ui.css"),
    # Headers
    "X-Namespace": _header(
        "X-Namespace", f"{_SPACE_HELP} Everything that is asked for lies in it.", "production", needed=True
    ),
    "X-Namespace-optional": _header(
        "X-Namespace",
        f"{_SPACE_HELP} A list may leave it out, as its era did: then it is of the namespace `default`.",
        "production",
    ),
    "X-Request-Id": _header(
        "X-Request-Id",
        "An id of your own for this request, given back and written to the log.",
        "order-import-17",
        pattern="^[A-Za-z0-9._:-]{1,100}$",
    ),
    "Content-Encoding": _header(
        "Content-Encoding", "How the caller has packed the body.", "gzip", enum=["identity", "gzip", "x-gzip"]
    ),
    "cdf-version": _header("cdf-version", "Any is accepted; there is one version.", "20230101"),
    "If-None-Match": _header("If-None-Match", "The `ETag` of what you have: a 304 says that it is still so.", '"5f2b"'),
    # In the query, objects API
    "namespace": _query("namespace", "In place of the header `X-Namespace`, which counts more.", "production"),
    "limit": _query("limit", f"Results of a page, 1 to {MAX_LIMIT:,}.", 10, schema=_integer(1, MAX_LIMIT, default=10)),
    "offset": _query(
        "offset", f"Results to skip; reaches {WINDOW:,} results, `cursor` reaches all.", 0, schema=_integer(0, WINDOW)
    ),
    "page": _query("page", "Number of the page, from 1; in place of `offset`.", 1, schema=_integer(1)),
    "page_size": _query("page_size", "The same as `limit`.", 10, schema=_integer(1, MAX_LIMIT)),
    "cursor": _query("cursor", "`next_cursor` of the page before; `*` begins a walk over one state of the data.", "*"),
    "next_cursor": _query("next_cursor", "Another spelling of `cursor`.", "*"),
    "after": _query("after", "Another spelling of `cursor`.", "*"),
    "search": _query("search", "A part of an id, a name or a description; of objects in `metadata`, too.", "invoice"),
    "sort_field": _query("sort_field", "The field to sort by: a dotted path.", "created_at"),
    "sort_direction": _query("sort_direction", "With `sort_field`.", "desc", schema=_one_of("asc", "desc")),
    "case_sensitive": _query(
        "case_sensitive",
        "Whether filters and `search` tell upper from lower case.",
        "false",
        schema=_one_of("true", "false", default="false"),
    ),
    "fields_bucket": _query("bucket", "Fields of this bucket only: its id or its name.", "orders"),
    "fields_prefix": _query("prefix", "Fields whose path begins so.", "metadata."),
    "fields_limit": _query("limit", "Fields of a page, 1 to 500.", 100, schema=_integer(1, 500, default=100)),
    "fields_cursor": _query("cursor", "`next_cursor` of the page before."),
    "metadata": _query(
        "metadata",
        "Further conditions, each a dotted path and a value: `metadata.type=video`. A number or a truth value matches "
        "as such, too.",
        {"metadata.type": "video"},
        schema=Schema(
            type="object", patternProperties={r"^metadata\.": Schema(type="string")}, additionalProperties=False
        ),
        style="form",
        explode=True,
    ),
    "policy": _query(
        "policy",
        "What happens if an object with the same unique key is there; by default what the bucket's key says.",
        "upsert",
        schema=_one_of("insert", "update", "upsert"),
    ),
    # In the query, records API
    "items_limit": _query("limit", "Items of a page.", 100, schema=_integer(1, 1_000)),
    "items_cursor": _query("cursor", "`nextCursor` of the page before."),
    "includeGlobal": _query(
        "includeGlobal", "Nothing is global here.", "false", schema=_one_of("true", "false", default="false")
    ),
    "space": _query("space", "Containers of this space only.", "mySpace", schema=Schema(type="string", pattern=SPACE)),
    "usedFor": _query(
        "usedFor",
        "Containers for these only; may be repeated. Without `record` among them there are none.",
        ["record"],
        schema=Schema(type="array", items=_one_of("node", "edge", "record", "all")),
        style="form",
        explode=True,
    ),
    "includeStatistics": _query(
        "includeStatistics",
        "Tell how much the stream holds (`consumed`).",
        "true",
        schema=_one_of("true", "false", default="false"),
    ),
    "refresh": _query(
        "refresh",
        "`wait_for`: answer when the write is visible to filter and aggregate; without it, it will be within about a "
        "second.",
        "wait_for",
        schema=_one_of("wait_for", "true", "false", default="false"),
    ),
    "info": _query(
        "info",
        "Tell how the answer came about.",
        "true",
        schema=_one_of("true", "false", default="false"),
    ),
}
"""By the names under which operations ask for them; two that differ share one on the wire."""

LIST: Final = (
    "limit", "offset", "page", "page_size", "cursor", "next_cursor", "after", "search", "sort_field", "sort_direction",
    "case_sensitive", "metadata",
)  # fmt: skip

HEADERS: Final[Mapping[str, Header]] = {
    "X-Request-Id": Header(description="The request's id, in the log, too.", param_schema=Schema(type="string")),
    "Retry-After": Header(description="Seconds after which to try again.", param_schema=Schema(type="integer")),
    "WWW-Authenticate": Header(description="The scheme that is wanted.", param_schema=Schema(type="string")),
    "ETag": Header(description="Of this very content.", param_schema=Schema(type="string")),
    "Cache-Control": Header(description="For how long it may be kept.", param_schema=Schema(type="string")),
}

_LIMIT: Final = Settings.model_fields["body_limit"].default
_FAILURES: Final[Sequence[tuple[errors.TallyError, str]]] = (
    (errors.BadRequest("name the namespace: header X-Namespace (its id or name), or ?namespace= in the query"),
     "The request cannot be answered as it is: a header is missing, a body is broken, a budget is exceeded."),
    (errors.Unauthorized("send a valid key: header Authorization: Bearer <key>"), "No key, or a wrong one."),
    (errors.Forbidden("this key may not write here"), "The key may not do this here."),
    (errors.NotFound("Bucket", "orders"), "Unknown, or not yours: the two are told apart by nothing."),
    (errors.AlreadyExists("a bucket is named 'orders' already", {"bucket_name": "orders"}),
     "It is there already, is in use, or was changed by somebody else meanwhile."),
    (errors.Gone("the cursor is no longer valid: it was not used for 300 seconds; begin again with cursor \"*\""),
     "It was there; the message says how to go on."),
    (errors.TooLarge(f"the request body is larger than {_LIMIT:,} bytes; use the import route for volumes",
                     {"limit": _LIMIT}),
     "The body is too large."),
    (errors.Invalid.at(("body", "group_by", 0, "field"), "Field required", "missing"),
     "The request does not have the documented form; every wrong place is told."),
    (errors.TooManyRequests("OpenSearch is overloaded", retry_after=2), "Too much at once."),
    (errors.Internal("the service failed; its log knows more under this request's id"), "A fault of the service."),
    (errors.Unavailable("OpenSearch could not be reached", retry_after=5), "OpenSearch is not there, or incomplete."),
    (errors.TimedOut("OpenSearch did not answer in time", retry_after=5), "It took too long and was cancelled."),
)  # fmt: skip
_RECORD_FAILURES: Final[Sequence[tuple[errors.TallyError, str]]] = (
    (errors.BadRequest("aggregates.a.avg.property: no container declares the property ['s', 'c', 'x']"),
     "The request is wrong: the message names the place."),
    (errors.Unauthorized("send a valid key: header Authorization: Bearer <key>"),
     "No key, a wrong one, or no access to this project, or no such project."),
    (errors.Forbidden("this key may not write here"), "The key may not do this here."),
    (errors.NotFound("Stream", "test1"), "There is no such stream."),
    (errors.AlreadyExists("a stream is named 'test1' already", {"duplicated": [{"externalId": "test1"}]}),
     "It is there already (`duplicated`), or cannot become what is asked; of records some were not stored "
     "(`partial`), and the others were."),
    (errors.Gone("this route is gone; send POST /streams/delete"), "It was there; the message says how to go on."),
    (errors.TooLarge("the request body is larger than 10,485,760 bytes"), "The body is too large."),
    (errors.Invalid([errors.Problem((), "the stream 'test1' is immutable: its records cannot be changed or deleted")]),
     "It cannot be done with this stream, or names a record twice (`duplicated`)."),
    *_FAILURES[-4:],
)  # fmt: skip


def failures(face: Face) -> dict[str, Response]:
    """The errors of an API as shared responses, by `BadRequestError` (records: `RecordBadRequestError`)."""
    records = face == "records"
    return {
        _failure_name(error, face): Response(
            description=says,
            headers={name: _ref("headers", name) for name in _error_headers(error)},
            content={
                JSON: MediaType(
                    media_type_schema=_envelope(error, face),
                    example=errors.record_envelope(error)[1] if records else error.envelope(),
                )
            },
        )
        for error, says in (_RECORD_FAILURES if records else _FAILURES)
    }


def _failure_name(error: errors.TallyError, face: Face) -> str:
    return f"Record{error.type}" if face == "records" else error.type


def _error_headers(error: errors.TallyError) -> Iterable[str]:
    yield "X-Request-Id"
    if error.retry_after is not None:
        yield "Retry-After"
    if error.status == 401:
        yield "WWW-Authenticate"


def _envelope(error: errors.TallyError, face: Face) -> Schema:
    """Of this error and no other: what `TallyError.envelope` and `record_envelope` make."""
    message = Schema(type="string")
    if face == "records":
        lists: dict[str, Reference | Schema] = {
            "missing": Schema(type="array", items=_ref("schemas", "Name"), minItems=1),
            "duplicated": Schema(type="array", items=_ref("schemas", "Name"), minItems=1),
            "partial": Schema(type="array", items=_ref("schemas", "Partial"), minItems=1),
        }
        body = _closed({"code": Schema(const=error.status), "message": message}, lists)
        return _closed({"error": body})
    told: dict[str, Reference | Schema] = {"message": message, "type": Schema(const=error.type)}
    if isinstance(error, errors.Invalid):
        body = _closed({**told, "details": _ref("schemas", "ValidationDetails")})
    else:
        body = _closed(told, {"details": Schema(type="object", minProperties=1)})
    return _closed({"success": Schema(const=False), "status": Schema(const=error.status), "error": body})


def _closed(
    needed: Mapping[str, Reference | Schema], optional: Mapping[str, Reference | Schema] | None = None
) -> Schema:
    properties = {**needed, **(optional or {})}
    return Schema(type="object", properties=properties, required=list(needed), additionalProperties=False)


def statuses(op: Op) -> list[int]:
    """Of the errors that an operation may have."""
    if op.face == "service":
        return sorted({500, *op.errors} | (set() if op.public else {401, 403}))
    every = {400, 401, 403, 429, 500, 503, 504}
    if op.body is not None:
        every |= {413} if op.face == "records" else {413, 422}
    if op.face == "objects" and (op.query[:1] == ("X-Namespace",) or "{" in op.path):
        every.add(404)
    return sorted(every | set(op.errors))


def operation(op: Op, schemas: Mapping[Content, Mapping[str, Any]]) -> Operation:
    """`schemas`: of what `op.contents` has."""
    names = [part[1:-1] for part in op.path.split("/") if part.startswith("{")]
    headers = ["X-Request-Id", *(["cdf-version"] if op.face == "records" else [])]
    if op.body is not None:
        headers.append("Content-Encoding")
    by_status = {error.status: _failure_name(error, op.face) for error, _ in _FAILURES}
    answers: dict[str, Response | Reference] = {}
    if op.status < 300:
        answers[str(op.status)] = _response(op.says, [op.answer, *op.more] if op.answer else [], op.headers, schemas)
    for status, (says, content) in (op.also or {}).items():
        answers[str(status)] = _response(says, [content] if content else [], op.headers, schemas)
    answers |= {str(status): _ref("responses", by_status[status]) for status in statuses(op)}
    return Operation(
        operationId=op.id,
        summary=op.summary,
        description=op.description,
        tags=[op.tag],
        parameters=[_ref("parameters", name) for name in (*names, *op.query, *headers)],
        requestBody=_body(op.body, schemas) if op.body else None,
        responses=dict(sorted(answers.items())),
        security=[] if op.public else None,
    )


def _response(
    says: str, contents: Sequence[Content], headers: Sequence[str], schemas: Mapping[Content, Mapping[str, Any]]
) -> Response:
    return Response(
        description=says,
        headers={name: _ref("headers", name) for name in ("X-Request-Id", *headers)},
        content={each.media: _media(each, schemas) for each in contents} if contents else None,
    )


def _body(content: Content, schemas: Mapping[Content, Mapping[str, Any]]) -> RequestBody:
    return RequestBody(content={content.media: _media(content, schemas)}, required=content.needed)


def _media(content: Content, schemas: Mapping[Content, Mapping[str, Any]]) -> MediaType:
    examples: dict[str, Example | Reference] = {
        _key(says): Example(summary=says, value=value) for says, value in content.examples.items()
    }
    return MediaType(media_type_schema=Schema.model_validate(schemas[content]), examples=examples)


def _key(text: str) -> str:
    return "-".join("".join(each if each.isalnum() else " " for each in text.lower()).split())
