"""The service's OpenAPI 3.1 document, built once from the declared routes (`service.web.route`)."""

import inspect
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from openapi_pydantic.v3.v3_1 import (
    Components,
    Example,
    Header,
    Info,
    License,
    MediaType,
    OpenAPI,
    Operation,
    Parameter,
    PathItem,
    Reference,
    RequestBody,
    Response,
    Schema,
    SecurityScheme,
    Server,
    Tag,
)
from pydantic import AliasChoices, BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from service import __version__, errors
from service.catalog import streams
from service.settings import Settings
from service.values import Json
from service.web.inputs import JSON
from service.web.record_schemas import Name, Partial
from service.web.route import Api, Route
from service.web.routes import ROUTES
from service.web.schemas import ValidationDetails

_TAGS: Final = {
    "Namespaces": "What keeps tenants apart; a namespace is a project of the records API, too.",
    "Buckets": "What objects belong to: with a schema, a unique key, a retention.",
    "Objects": "JSON objects: written, listed, exported, and aggregated.",
    "Collections": "Named selections of objects, aggregated like a bucket.",
    "Spaces": "What containers and records are named in.",
    "Containers": "Typed properties of records.",
    "Streams": "What records are written to.",
    "Records": "Typed records: written, found, followed, and aggregated in trees.",
    "Tasks": "What goes on in the background.",
    "Service": "Health, metrics, this document.",
}

_ABOUT: Final = """\
Tally answers *how many, how much, per what, having what* over JSON objects and typed records in your own OpenSearch. An
answer is **exact, or it says so; complete, or it says so**.

Two APIs: the **objects API** under `/v1` (flat specs in, rows out; the namespace in the header `X-Namespace`), and the
**records API** under `/api/v1/projects/{project}` (nested trees; the namespace is the project). Each has an error
envelope of its own. Bodies are JSON, whatever their `Content-Type` says, and may be compressed with gzip. Keys that
nothing reads are refused, in bodies and in query strings.
"""

_LIMIT: Final = Settings.model_fields["body_limit"].default
_EXAMPLES: Final[Sequence[errors.TallyError]] = (
    errors.BadRequest("name the namespace: header X-Namespace (its id or name), or ?namespace= in the query"),
    errors.Unauthorized("send a valid key: header Authorization: Bearer <key>"),
    errors.NotFound("Bucket", "orders"),
    errors.AlreadyExists("there is already a bucket named 'orders'", {"bucket_name": "orders"}),
    errors.Gone("the cursor is no longer valid: it was not used for 300 seconds; begin again with cursor \"*\""),
    errors.TooLarge(f"the request body is larger than {_LIMIT:,} bytes; use the import route for volumes",
                    {"limit": _LIMIT}),
    errors.Invalid.at(("body", "group_by"), "this key is needed", "missing"),
    errors.TooManyRequests("OpenSearch is overloaded", retry_after=2),
    errors.Internal("the service failed; its log knows more under this request's id"),
    errors.Unavailable("OpenSearch cannot be reached", retry_after=5),
    errors.TimedOut("OpenSearch did not answer in time", retry_after=5),
    errors.InsufficientStorage("the disk of OpenSearch is full", retry_after=60),
)  # fmt: skip
_ERRORS: Final[Sequence[tuple[errors.TallyError, str]]] = tuple(
    (example, " ".join(inspect.getdoc(each) or "" for each in errors.ERRORS if each.status == example.status))
    for example in _EXAMPLES
)
_RECORD_ERRORS: Final[Sequence[tuple[errors.TallyError, str]]] = (
    (errors.BadRequest("aggregates.a.avg.property: no container declares the property ['s', 'c', 'x']: "
                       "there is no container s/c"),
     "The request is wrong: the message names the place."),
    (errors.Unauthorized("send a valid key: header Authorization: Bearer <key>"),
     "No key, a wrong one, or no access to this project, or no such project."),
    (streams.unknown("test1"), "There is no such stream."),
    (errors.AlreadyExists("there is already a stream named 'test1'", {"duplicated": [{"externalId": "test1"}]}),
     "It exists already (`duplicated`), or cannot become what is asked; of records some were not stored "
     "(`partial`), and the others were."),
    (errors.Gone("this route is gone; send POST /streams/delete"), "It existed; the message says how to go on."),
    (errors.TooLarge("the request body is larger than 10,485,760 bytes; send it in parts"), "The body is too large."),
    (errors.Invalid([errors.Problem((), "the stream 'test1' is immutable: its records cannot be changed or deleted")]),
     "It cannot be done with this stream, or names a record twice (`duplicated`)."),
    *_ERRORS[-5:],
)  # fmt: skip


def _parameter(name: str, place: str, description: str, schema: Schema, **more: Any) -> Parameter:
    return Parameter.model_validate({"name": name, "in": place, "description": description, "schema": schema, **more})


_NAMESPACE_HELP: Final = "The namespace: its id (`ns_…`) or its name."
_SHARED: Final[Mapping[str, Parameter]] = {
    "X-Namespace": _parameter(
        "X-Namespace", "header", f"{_NAMESPACE_HELP} What the request is about belongs to it.", Schema(type="string"),
        required=True, example="production",
    ),
    "X-Namespace-optional": _parameter(
        "X-Namespace", "header",
        f"{_NAMESPACE_HELP} A list may leave it out, as its era did: then it is the namespace `default`.",
        Schema(type="string"),
    ),
    "namespace": _parameter(
        "namespace", "query", "In place of the header `X-Namespace`, which counts more.", Schema(type="string")
    ),
    "X-Request-Id": _parameter(
        "X-Request-Id", "header",
        "An id of your own for this request, given back and written to the log. Example: `order-import-17`.",
        Schema(type="string", pattern="^[A-Za-z0-9._:-]{1,100}$"),
    ),
    "Content-Encoding": _parameter(
        "Content-Encoding", "header", "How the caller has compressed the body.",
        Schema(type="string", enum=["identity", "gzip", "x-gzip"]),
    ),
    "cdf-version": _parameter(
        "cdf-version", "header", "Any is accepted; there is one version.", Schema(type="string")
    ),
    "If-None-Match": _parameter(
        "If-None-Match", "header", "The `ETag` of what you have: a 304 says that it is still current.",
        Schema(type="string"),
    ),
}  # fmt: skip
_HEADERS: Final[Mapping[str, Header]] = {
    name: Header(description=description, param_schema=Schema(type=type))
    for name, description, type in (
        ("X-Request-Id", "The request's id, in the log, too.", "string"),
        ("Retry-After", "Seconds after which to try again.", "integer"),
        ("WWW-Authenticate", "The scheme that is wanted.", "string"),
        ("ETag", "Of this very content.", "string"),
        ("X-Tally-Warnings", "What means nothing in the request, as lists have it: a JSON array of texts.", "string"),
        ("Cache-Control", "For how long it may be kept.", "string"),
    )
}  # fmt: skip


class _Schemas(GenerateJsonSchema):
    """Omits titles, which only repeat the names; includes every spelling of a field that has several."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def generate_inner(self, schema: Any) -> JsonSchemaValue:
        made = super().generate_inner(schema)
        # Limits of union types use Python's keywords.
        for ours, theirs in (("ge", "minimum"), ("le", "maximum")):
            if ours in made:
                made[theirs] = made.pop(ours)
        return made

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        made.setdefault("additionalProperties", True)
        model = schema["cls"]
        for name in getattr(model, "unsupported", {}):
            made["properties"].setdefault(name, {"enum": [None, False, "", [], {}], "description": "Not supported."})
        for name in getattr(model, "_nullable", ()):
            if name in made["properties"]:
                made["properties"][name] = _or_null(made["properties"][name])
        for field in model.model_fields.values():
            if not isinstance(field.validation_alias, AliasChoices):
                continue
            first, *others = map(str, field.validation_alias.choices)
            for name in others:
                made["properties"][name] = {
                    **made["properties"][first],
                    "description": f"Another spelling of `{first}`.",
                }
            if first in made.get("required", ()):
                made["required"].remove(first)
                made["anyOf"] = [{"required": [name]} for name in (first, *others)]
        if not made.get("required", True):
            del made["required"]
        return made


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {name: schema.pop(name) for name in ("description", "default") if name in schema}
    return {**kept, "anyOf": [schema, {"type": "null"}]}


def _schemas_of(types: Sequence[Any]) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """The schema of each type, and the named ones that they reference; in one pass, so that names are unique."""
    together: Any = tuple.__class_getitem__(tuple(types))
    whole = TypeAdapter[Any](together).json_schema(
        ref_template="#/components/schemas/{model}", schema_generator=_Schemas
    )
    named = whole["$defs"]
    for schema in named.values():
        schema.pop("title", None)
    return whole["prefixItems"], named


@cache
def examples() -> Mapping[str, Mapping[str, Mapping[str, Json]]]:
    """Examples by operation, then by `request`, `response`, media type or status, then by what they show."""
    found: dict[str, Any] = {}
    for file in sorted((Path(__file__).parent / "examples").glob("*.json")):
        found |= json.loads(file.read_text(encoding="utf-8"))
    return found


@cache
def document() -> dict[str, Any]:
    """The document as JSON values; the first call takes a few tenths of a second."""
    types = [each for route in ROUTES for each in _types(route)]
    inline, named = _schemas_of([*types, ValidationDetails, Name, Partial])
    schemas = iter(inline)
    paths: dict[str, PathItem] = {}
    for route in ROUTES:
        described = _operation(route, [next(schemas) for _ in _types(route)])
        setattr(paths.setdefault(route.path, PathItem()), route.method, described)
    whole = OpenAPI(
        openapi="3.1.1",
        info=Info(
            title="Tally",
            version=__version__,
            summary="Exact aggregations over objects and records, on your own OpenSearch.",
            description=_ABOUT,
            license=License(name="Apache-2.0", identifier="Apache-2.0"),
        ),
        servers=[Server(url="/", description="Where this document comes from.")],
        security=[{"key": []}],
        tags=[Tag(name=name, description=text) for name, text in _TAGS.items()],
        paths=paths,
        components=Components(
            parameters=dict(_SHARED),
            headers=dict(_HEADERS),
            responses={**_error_responses("objects"), **_error_responses("records")},
            securitySchemes={
                "key": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    description="`Authorization: Bearer sk_…`: the key that the operator gave you.",
                )
            },
        ),
    )
    made: dict[str, Any] = whole.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
    made["components"]["schemas"] = dict(sorted(named.items()))
    return made


@cache
def encoded() -> bytes:
    """The document as sent."""
    return msgspec.json.encode(document())


def _types(route: Route) -> Iterator[Any]:
    """The types that need schemas, in a fixed order: body, answer, further answers."""
    if route.raw_body is not None:
        yield route.raw_body.type
    elif route.body is not None:
        yield route.body[0]
    if route.answer[0] is not None:
        yield route.answer[0]
    yield from (type for type in route.also.values() if type is not None)


def _operation(route: Route, schemas: list[dict[str, Any]]) -> Operation:
    shown = examples().get(route.examples, {})
    left = iter(schemas)
    parameters = [*_parameters(route.path_model, "path"), *_parameters(route.query_model, "query")]
    body = None
    if route.raw_body is not None:
        body = _body(route.raw_body.media, next(left), shown, required=route.raw_body.required)
    elif route.body is not None:
        schema = next(left)
        if route.method != "get":  # a GET's body is read, but OpenAPI gives it no meaning
            body = _body(JSON, schema, shown, required=route.body[1])
    type, answer = route.answer
    answers: dict[str, Response | Reference] = {}
    if route.status < 300:
        content = {}
        if type is not None:
            schema = next(left)
            content = {
                media: _media(schema, shown.get("more", {}).get(media) or shown.get("response", {}))
                for media in answer.media
            }
        answers[str(route.status)] = _response("Done.", content, answer.headers)
    for status, kind in route.also.items():
        content = {JSON: _media(next(left), shown.get("also", {}).get(str(status), {}))} if kind is not None else {}
        answers[str(status)] = _response(_ALSO[status], content, answer.headers)
    names = {error.status: _error_name(error, route.api) for error, _ in _ERRORS}
    shared = {str(status): _ref("responses", names[status]) for status in sorted(_statuses(route))}
    answers = {**shared, **answers}
    return Operation(
        operationId=route.id,
        summary=route.summary,
        description=route.description,
        tags=[route.tag],
        parameters=[*parameters, *(_ref("parameters", name) for name in _headers(route))],
        requestBody=body,
        responses=dict(sorted(answers.items())),
        security=[] if route.public else None,
    )


_ALSO: Final = {
    304: "It is still what you have.",
    422: "Nothing could be done, or the request does not have the documented form.",
    503: "Not just now.",
}


def _statuses(route: Route) -> set[int]:
    """The statuses of errors that a route may have in addition to the declared ones."""
    found = {500, *(error.status for error in route.errors)}
    found |= {422} if route.api != "records" else {400}
    if not route.public:
        found.add(401)
    if route.api != "service":
        found |= {400, 413, 429, 503, 504, 507}
    if route.namespace is not None:
        found.add(404)
    return found


def _headers(route: Route) -> Iterator[str]:
    if route.namespace is not None:
        yield "X-Namespace" if route.namespace.default is None else "X-Namespace-optional"
        yield "namespace"
    yield "X-Request-Id"
    if route.api == "records":
        yield "cdf-version"
    if route.raw_body is not None or (route.body is not None and route.method != "get"):
        yield "Content-Encoding"
    if 304 in route.also:
        yield "If-None-Match"


def _parameters(model: type[BaseModel], place: str) -> Iterator[Parameter]:
    """The parameters of a path or query."""
    made = model.model_json_schema(schema_generator=_Schemas)
    for name, schema in made.get("properties", {}).items():
        if name in getattr(model, "unsupported", {}):
            continue
        more: dict[str, Any] = {}
        if place == "path":
            more = {"required": True, "example": schema.pop("examples", [None])[0]}
        elif name == getattr(model, "open_keys", "").rstrip("."):
            more = {"style": "form", "explode": True}
            inner = {"patternProperties": {rf"^{name}\\.": {"type": "string"}}, "additionalProperties": False}
            schema = {"type": "object", "description": schema["description"], **inner}
        elif schema.get("type") == "array":
            more = {"style": "form", "explode": True}
        yield _parameter(name, place, schema.pop("description"), Schema.model_validate(_without_null(schema)), **more)


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Removes null from the schema of an optional parameter, which is never null."""
    kinds = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    kept = {name: each for name, each in schema.items() if name not in ("anyOf", "default")}
    default = {} if schema.get("default") is None else {"default": schema["default"]}
    return {**kept, **kinds[0], **default}


def _body(media: str, schema: dict[str, Any], shown: Mapping[str, Any], *, required: bool) -> RequestBody:
    return RequestBody(content={media: _media(schema, shown.get("request", {}))}, required=required)


def _response(says: str, content: dict[str, MediaType], headers: Iterable[str]) -> Response:
    return Response(
        description=says,
        headers={name: _ref("headers", name) for name in ("X-Request-Id", *headers)},
        content=content or None,
    )


def _media(schema: dict[str, Any], shown: Mapping[str, Json]) -> MediaType:
    named: dict[str, Example | Reference] = {
        _key(says): Example(summary=says, value=value) for says, value in shown.items()
    }
    return MediaType(media_type_schema=Schema.model_validate(schema), examples=named)


def _key(text: str) -> str:
    return "-".join("".join(each if each.isalnum() else " " for each in text.lower()).split())


def _ref(kind: str, name: str) -> Reference:
    return Reference.model_validate({"$ref": f"#/components/{kind}/{name}"})


def _error_responses(api: Api) -> dict[str, Response]:
    """The errors of an API as shared responses, by `BadRequestError` (records: `RecordBadRequestError`)."""
    records = api == "records"
    return {
        _error_name(error, api): Response(
            description=says,
            headers={name: _ref("headers", name) for name in _error_headers(error)},
            content={
                JSON: MediaType(
                    media_type_schema=_envelope(error, api),
                    example=errors.record_envelope(error)[1] if records else error.envelope(),
                )
            },
        )
        for error, says in (_RECORD_ERRORS if records else _ERRORS)
    }


def _error_name(error: errors.TallyError, api: Api) -> str:
    return f"Record{error.type}" if api == "records" else error.type


def _error_headers(error: errors.TallyError) -> Iterable[str]:
    yield "X-Request-Id"
    if error.retry_after is not None:
        yield "Retry-After"
    if error.status == 401:
        yield "WWW-Authenticate"


def _envelope(error: errors.TallyError, api: Api) -> Schema:
    """The schema for exactly this error, as rendered by `TallyError.envelope` and `record_envelope`."""
    message = Schema(type="string")
    if api == "records":
        lists: dict[str, Reference | Schema] = {
            "missing": Schema(type="array", items=_ref("schemas", "Name"), minItems=1),
            "duplicated": Schema(type="array", items=_ref("schemas", "Name"), minItems=1),
            "partial": Schema(type="array", items=_ref("schemas", "Partial"), minItems=1),
        }
        return _closed({"error": _closed({"code": Schema(const=error.status), "message": message}, lists)})
    parts: dict[str, Reference | Schema] = {"message": message, "type": Schema(const=error.type)}
    if isinstance(error, errors.Invalid):
        body = _closed({**parts, "details": _ref("schemas", "ValidationDetails")})
    else:
        body = _closed(parts, {"details": Schema(type="object", minProperties=1)})
    return _closed({"success": Schema(const=False), "status": Schema(const=error.status), "error": body})


def _closed(
    required: Mapping[str, Reference | Schema], optional: Mapping[str, Reference | Schema] | None = None
) -> Schema:
    properties = {**required, **(optional or {})}
    return Schema(type="object", properties=properties, required=list(required), additionalProperties=False)
