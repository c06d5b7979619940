"""Whether answers are what the OpenAPI document says: status, media type and body, of every answer that tests get.

What a request that was accepted had as its body is compared, too: so the document takes all that the service takes.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from service.web.inputs import JSON, NDJSON
from service.web.openapi import document

Json = Any

SAMPLE: Final = 20
"""Elements of a long array that are looked at."""

_HOME: Final = "urn:tally"


@cache
def registry() -> Registry[Any]:
    empty: Registry[Any] = Registry()
    whole: Registry[Any] = empty.with_resource(_HOME, DRAFT202012.create_resource(document()))
    return whole


def at(*place: str) -> str:
    """The address of a part of the document."""
    steps = (
        step.replace("~", "~0").replace("/", "~1").replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
        for step in place
    )
    return f"{_HOME}#/{'/'.join(steps)}"


@cache
def validator(*place: str) -> Draft202012Validator:
    """Of the schema that lies there; made once."""
    return Draft202012Validator({"$ref": at(*place)}, registry=registry())


def problem(checked: Draft202012Validator, value: Json) -> str | None:
    """What is wrong, in a line, None if nothing is."""
    error = next(iter(checked.iter_errors(value)), None)
    if error is None:
        return None
    found = best_match(checked.iter_errors(value)) or error
    where = "/".join(map(str, found.absolute_path))
    return f"at {where or 'the root'}: {found.message[:500]}"


def sampled(value: Json) -> Json:
    """The beginning of everything long: checking thousands of rows of one form takes time and tells nothing more."""
    if isinstance(value, list):
        return [sampled(each) for each in value[:SAMPLE]]
    if isinstance(value, dict):
        return {name: sampled(each) for name, each in value.items()}
    return value


@cache
def _routes(method: str) -> list[tuple[re.Pattern[str], str]]:
    """Expressions and paths of a method; what is named whole comes before what has parameters."""
    paths = [path for path, item in document()["paths"].items() if method in item]
    paths.sort(key=lambda path: [step.startswith("{") for step in path.split("/")])
    return [(re.compile(re.sub(r"\\\{[^/]*?\\\}", "[^/]+", re.escape(path)) + r"\Z"), path) for path in paths]


def route_of(method: str, url: str) -> str | None:
    """The path of the document that a request went to."""
    place = urlsplit(url).path
    if method.lower() in ("get", "head", "post") and place.endswith("/") and not place.endswith("//"):
        place = place[:-1]  # the same route (docs/decisions.md)
    return next((path for pattern, path in _routes(method.lower()) if pattern.match(place)), None)


def resolved(part: Json) -> Json:
    while "$ref" in part:
        target: Any = document()
        for step in part["$ref"].removeprefix("#/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        part = target
    return part


async def checked(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """A middleware of a client session: an answer that is not as documented fails; what is streamed is not read."""
    response = await handler(request)
    streamed = response.content_type == NDJSON
    text = None if streamed or request.method == "HEAD" else await response.text()
    check_answer(request.method, request.url.raw_path_qs, response.status, text, response.headers)
    return response


def check_answer(method: str, url: str, status: int, text: str | None, headers: Mapping[str, str]) -> None:
    """Fails if an answer is not as documented; `text`: None for what is not to be looked at."""
    told = f"{method} {url} → {status}"
    method = "get" if method == "HEAD" else method.lower()
    assert headers.get("X-Request-Id"), f"{told}: no X-Request-Id"
    path = route_of(method, url)
    if path is None:
        _check_unknown(told, url, status, text)
        return
    operation = document()["paths"][path][method]
    if str(status) not in operation["responses"]:
        allowed = ", ".join(operation["responses"])
        raise AssertionError(f"{told}: the document has {allowed} for {operation['operationId']}; {text}"[:2000])
    answer = operation["responses"][str(status)]
    place: tuple[str, ...] = ("paths", path, method, "responses", str(status))
    if "$ref" in answer:
        place = tuple(answer["$ref"].removeprefix("#/").split("/"))
    content = resolved(answer).get("content")
    if content is None:
        assert not text, f"{told}: the document has no body here: {text}"[:2000]
        return
    media = headers.get("Content-Type", "").partition(";")[0]
    assert media in content, f"{told}: {media!r}, where the document has {', '.join(content)}"
    if text is None:
        return
    value = sampled(json.loads(text)) if media == JSON else text
    wrong = problem(validator(*place, "content", media, "schema"), value)
    assert wrong is None, f"{told}: not as documented {wrong}; {text}"[:2000]


def check_accepted(method: str, url: str, body: Json) -> None:
    """Fails if the JSON body of a request that was accepted is not as documented."""
    path = route_of(method.lower(), url)
    assert path is not None, f"{method} {url}"
    schema = validator("paths", path, method.lower(), "requestBody", "content", JSON, "schema")
    wrong = problem(schema, sampled(body))
    assert wrong is None, f"{method} {url}: accepted, but not as documented {wrong}; {json.dumps(body)}"[:2000]


def _check_unknown(told: str, url: str, status: int, text: str | None) -> None:
    """A route or a method that there is not: the envelope of the API that the path belongs to."""
    assert status in (400, 401, 404, 405), f"{told}: a route that the document has not"
    if not text:
        return
    error = json.loads(text)
    if url.startswith("/api/"):
        assert error["error"]["code"] == status, told
    else:
        assert error["status"] == status, told
        assert error["success"] is False, told
