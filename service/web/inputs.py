"""Input declarations in handler signatures: how each input is read from a request, and its type.

A handler's parameters are filled by name: `request` is the request itself, `path`, `query` and `body` are models; any
other has one of the markers below in its annotation, such as `namespace: Namespace`.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Protocol

from aiohttp import web
from multidict import MultiMapping
from pydantic import Field

from service.dialects.flat.listing import ListParameters, ListRequest
from service.errors import Invalid, Problem
from service.values import Json
from service.web.keys import SETTINGS
from service.web.reading import body_of, json_from, lines_of, namespace_of
from service.wire import M, WireModel, read, spellings

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"

RECORDS_LIMIT: Final = 10 * 1024 * 1024
"""Maximum bytes of a request to the records API, decompressed (contract, records, 3)."""


class Marker(Protocol):
    """Reads one parameter of a handler."""

    async def read(self, request: web.Request) -> Any: ...


@dataclass(frozen=True)
class Body:
    """A body not read by a model: its schema for the document, and how the handler gets it."""

    type: Any
    media: str = JSON
    required: bool = True

    async def read(self, request: web.Request) -> bytes:
        return await body_of(request, limit_of(request))


@dataclass(frozen=True)
class NdjsonBody(Body):
    """NDJSON of any size: batches of numbered lines."""

    media: str = NDJSON

    async def read(self, request: web.Request) -> AsyncIterator[list[tuple[int, bytes | None]]]:  # type: ignore[override]
        return lines_of(request, request.app[SETTINGS].body_limit)


@dataclass(frozen=True)
class JsonBody(Body):
    """JSON that a dialect parses by hand."""

    async def read(self, request: web.Request) -> Json:
        return await _json(request, self.required)


@dataclass(frozen=True)
class NamespaceParameter:
    """The header `X-Namespace`, or `namespace` in the query; the header counts more."""

    default: str | None = None

    async def read(self, request: web.Request) -> str:
        return namespace_of(request, self.default)


Namespace = Annotated[str, NamespaceParameter()]
NamespaceOrDefault = Annotated[str, NamespaceParameter("default")]
"""Only for the oldest era, whose lists may omit it."""

NAMESPACE_KEY: Final = "namespace"


class Empty(WireModel):
    """No parameters."""


class ListQuery(ListParameters):
    """The page and the filters of a list; they count more than the same keys in the body."""

    unsupported: ClassVar = {
        **ListRequest.unsupported,
        "namespace_id": "name the namespace in the header `X-Namespace`",
    }
    open_keys: ClassVar[str] = "metadata."
    """Keys that begin so are conditions, as many as are given, in the field `metadata`."""

    sort_field: str | None = Field(None, min_length=1, description="The field to sort by: a dotted path.")
    sort_direction: str | None = Field(None, pattern="(?i)^(asc|desc)$", description="asc or desc; with `sort_field`.")
    metadata: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Further conditions, each a dotted path and a value: `metadata.type=video`. A number or a truth "
        "value matches as such, too.",
    )


_NO: Final = ("false", "0", "no")


def read_query(model: type[M], query: MultiMapping[str], *, but: frozenset[str] = frozenset()) -> M:
    """The model of a query string; `but`: keys read elsewhere. An empty text counts as absent."""
    given: dict[str, Any] = {}
    problems: list[Problem] = []
    prefix: str | None = getattr(model, "open_keys", None)
    lists = {
        spelling
        for each in model.model_fields.items()
        if "list[" in str(each[1].annotation)
        for spelling in spellings(each)
    }
    texts = {
        spelling
        for each in model.model_fields.items()
        if "str" in str(each[1].annotation)
        for spelling in spellings(each)
    }
    unsupported = getattr(model, "unsupported", {})
    for name in dict.fromkeys(query):
        values = query.getall(name)
        if name in but:
            continue
        if prefix and name.startswith(prefix):
            given.setdefault("metadata", {})[name] = values
        elif prefix and name == "metadata":
            problems.append(Problem(("query", name), f"name a path below it: `{prefix}type=video`", "value_error"))
        elif name in lists:
            given[name] = values
        elif len(values) > 1:
            problems.append(Problem(("query", name), "given more than once", "repeated"))
        elif (values[0] or name not in texts) and not (name in unsupported and values[0].lower() in _NO):
            given[name] = values[0]
    try:
        found = read(model, given, ("query",), but)
    except Invalid as invalid:
        problems += invalid.problems
    if problems:
        raise Invalid(problems)
    return found


async def read_body(request: web.Request, model: type[M], *, required: bool) -> M | None:
    """The model of a JSON body; None if an optional body is missing."""
    value = await _json(request, required)
    return None if value is None and not required else read(model, value)


async def refuse_body(request: web.Request) -> None:
    """Refuses a body that no input reads, unless it is empty."""
    if request.can_read_body and (await body_of(request, limit_of(request))).strip() not in (b"", b"{}", b"null"):
        raise Invalid.at(("body",), f"{request.method} {request.path} takes no body", "extra_forbidden")


def limit_of(request: web.Request) -> int | None:
    return RECORDS_LIMIT if request.path.startswith("/api/") else None


async def _json(request: web.Request, required: bool) -> Json:
    body = await body_of(request, limit_of(request))
    if body:
        return json_from(body)
    if required:
        raise Invalid.at(("body",), "a JSON body is needed", "missing")
    return None
