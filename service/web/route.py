"""A route is declared once: its handler's signature defines the inputs, its docstring and types the documentation.

```python
@routes.post("/v1/buckets/{bucket_identifier}/objects/aggregate", errors=(OverBudget,))
async def aggregate_objects(request: web.Request, namespace: Namespace, path: InBucket, body: AggregateRequest) -> Rows:
    \"\"\"Aggregate objects.

    How many, how much, per what, having what.
    \"\"\"
```

Parsing, validation and the OpenAPI document (`service.web.openapi`) all derive from this. The operation's id is the
function's name in camel case; its examples are under that id in `examples/`, and the tests send them.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from aiohttp import web
from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from service.errors import Invalid, Problem, TallyError
from service.web.inputs import NAMESPACE_KEY, Body, Empty, NamespaceParameter, read_body, read_query, refuse_body
from service.web.render import large_answer
from service.wire import read

H = TypeVar("H", bound=Callable[..., Awaitable[Any]])
Api = Literal["objects", "records", "service"]
"""The API that determines a route's errors and error envelope."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Answer:
    """For return annotations: a media type other than JSON, or several."""

    media: Sequence[str]
    headers: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Route:
    """One operation: its path and method, and its handler."""

    method: str
    path: str
    id: str
    handler: Callable[..., Awaitable[Any]]
    examples: str
    """The operation whose examples apply."""
    api: Api
    tag: str
    status: int
    errors: Sequence[type[TallyError]]
    also: Mapping[int, Any]
    """Additional answers other than enveloped errors: status → type, None for no body."""
    public: bool
    """Whether no API key is needed."""

    @cached_property
    def hints(self) -> Mapping[str, Any]:
        return get_type_hints(self.handler, include_extras=True)

    @property
    def summary(self) -> str:
        return self._doc[0].rstrip(".")

    @property
    def description(self) -> str:
        return self._doc[1] or self._doc[0]

    @property
    def _doc(self) -> tuple[str, str]:
        summary, _, description = (inspect.getdoc(self.handler) or "").partition("\n\n")
        return summary, re.sub(r"(?<!\n)\n(?!\n)", " ", description.strip())

    @property
    def path_model(self) -> type[BaseModel]:
        return self.hints.get("path", Empty)

    @property
    def query_model(self) -> type[BaseModel]:
        return self.hints.get("query", Empty)

    @property
    def body(self) -> tuple[Any, bool] | None:
        """The type of a body read by a model, and whether it is required."""
        hint = self.hints.get("body")
        if hint is None or self.marker("body") is not None:
            return None
        if get_origin(hint) in (Union, UnionType):
            (model,) = (each for each in get_args(hint) if each is not NoneType)
            return model, False
        return hint, True

    def marker(self, name: str) -> Any:
        """The marker that reads a parameter, None if there is none."""
        hint = self.hints.get(name)
        return next((each for each in get_args(hint)[1:] if hasattr(each, "read")), None)

    @property
    def namespace(self) -> NamespaceParameter | None:
        marker = self.marker("namespace")
        return marker if isinstance(marker, NamespaceParameter) else None

    @property
    def raw_body(self) -> Body | None:
        marker = self.marker("body")
        return marker if isinstance(marker, Body) else None

    @property
    def answer(self) -> tuple[Any, Answer]:
        """Type and media types of the answer; the type is None if there is no body."""
        hint = self.hints.get("return")
        if get_origin(hint) is Annotated:
            type, *markers = get_args(hint)
            for each in markers:
                if isinstance(each, Answer):
                    return type, each
        return (None if hint is NoneType else hint), Answer(("application/json",))

    @property
    def pattern(self) -> str:
        """The path as an aiohttp pattern; a name in it may contain anything but a slash."""
        return _PLACEHOLDER.sub(r"{\1:[^/]+}", self.path)

    def register(self, router: web.UrlDispatcher) -> None:
        if self.method == "get":
            router.add_get(self.pattern, self.answered)  # includes HEAD
        else:
            router.add_route(self.method, self.pattern, self.answered)

    async def answered(self, request: web.Request) -> web.StreamResponse:
        given = await self._given(request)
        result = await self.handler(**given)
        if isinstance(result, web.StreamResponse):
            return result
        if result is None:
            return web.Response(status=self.status)
        rows = len(result.get("results") or result.get("items") or ()) if isinstance(result, dict) else len(result)
        return await large_answer(result, rows, self.status)

    async def _given(self, request: web.Request) -> dict[str, Any]:
        """All inputs; raises `Invalid` with the problems of all of them."""
        given: dict[str, Any] = {}
        problems: list[Problem] = []
        for name, reader in self._readers:
            try:
                given[name] = await reader(request)
            except Invalid as invalid:
                problems += invalid.problems
        if problems:
            raise Invalid(problems)
        return {name: each for name, each in given.items() if name in self.hints}

    @cached_property
    def _readers(self) -> Sequence[tuple[str, Callable[[web.Request], Awaitable[Any]]]]:
        return tuple(self._make_readers())

    def _make_readers(self) -> Iterator[tuple[str, Callable[[web.Request], Awaitable[Any]]]]:
        path, query, body = self.path_model, self.query_model, self.body
        others = frozenset({NAMESPACE_KEY}) if self.namespace else frozenset()

        async def read_request(request: web.Request) -> web.Request:
            return request

        async def read_path(request: web.Request) -> BaseModel:
            return read(path, dict(request.match_info), ("path",))

        async def read_parameters(request: web.Request) -> BaseModel:
            return read_query(query, request.query, but=others)

        async def read_model(request: web.Request) -> BaseModel | None:
            assert body is not None  # noqa: S101 - it exists, or another reader was chosen
            return await read_body(request, body[0], required=body[1] and request.method != "GET")

        yield "request", read_request
        for name in self.hints:
            if (marker := self.marker(name)) is not None and name != "return":
                yield name, marker.read
        yield "path", read_path
        yield "query", read_parameters
        if body is not None:
            yield "body", read_model
        elif self.raw_body is None:
            yield "body", refuse_body


class Routes:
    """The routes of one subject, in order of declaration."""

    def __init__(self, tag: str, api: Api, prefix: str = "") -> None:
        self.declared: list[Route] = []
        self._tag = tag
        self._api = api
        self._prefix = prefix

    def get(self, path: str, **options: Any) -> Callable[[H], H]:
        return self._add("get", path, **options)

    def post(self, path: str, **options: Any) -> Callable[[H], H]:
        return self._add("post", path, **options)

    def put(self, path: str, **options: Any) -> Callable[[H], H]:
        return self._add("put", path, **options)

    def patch(self, path: str, **options: Any) -> Callable[[H], H]:
        return self._add("patch", path, **options)

    def delete(self, path: str, **options: Any) -> Callable[[H], H]:
        return self._add("delete", path, **options)

    def _add(
        self,
        method: str,
        path: str,
        *,
        id: str | None = None,
        tag: str | None = None,
        status: int = 200,
        errors: Sequence[type[TallyError]] = (),
        also: Mapping[int, Any] | None = None,
        public: bool = False,
    ) -> Callable[[H], H]:
        """`id`: if one function serves several routes, the id of all but one of them."""

        def declare(handler: H) -> H:
            name = to_camel(handler.__name__)
            route = Route(
                method, self._prefix + path, id or name, handler, name, self._api, tag or self._tag, status, errors,
                also or {}, public,
            )  # fmt: skip
            self.declared.append(route)
            return handler

        return declare
