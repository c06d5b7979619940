"""Whether answers are what the OpenAPI document says: status, media type and body, of every answer that tests get.

What a request that was accepted had as its body is compared, too: so the document takes all that the service takes.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from service.web.openapi import document

Json = Any

SAMPLE: Final = 20
"""Elements of a long array, and members of a large object that anything may be named in, that are looked at."""

_HOME: Final = "urn:tally"
_METHODS: Final = ("get", "put", "post", "delete", "patch")


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
    return next((path for pattern, path in _routes(method.lower()) if pattern.match(place)), None)


def resolved(part: Json) -> Json:
    while "$ref" in part:
        target: Any = document()
        for step in part["$ref"].removeprefix("#/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        part = target
    return part


def check(method: str, url: str, status: int, text: str, headers: Mapping[str, str], body: Json = None) -> None:
    """Fails if an answer is not as documented; `body`: of the request, None for none or for what is no JSON."""
    method = method.lower()
    told = f"{method.upper()} {url} → {status}"
    assert headers.get("X-Request-Id"), f"{told}: no X-Request-Id"
    path = route_of(method, url) if method in _METHODS else None
    if path is None:
        _check_unknown(told, url, status, text)
        return
    operation = document()["paths"][path][method]
    if str(status) not in operation["responses"]:
        allowed = ", ".join(operation["responses"])
        raise AssertionError(f"{told}: the document has {allowed} for {operation['operationId']}; {text[:500]}")
    answer = operation["responses"][str(status)]
    place: tuple[str, ...] = ("paths", path, method, "responses", str(status))
    if "$ref" in answer:
        place = tuple(answer["$ref"].removeprefix("#/").split("/"))
    content = resolved(answer).get("content")
    if content is None:
        assert not text, f"{told}: the document has no body here: {text[:500]}"
        return
    media = headers.get("Content-Type", "").partition(";")[0]
    assert media in content, f"{told}: {media!r}, where the document has {', '.join(content)}"
    value = sampled(json.loads(text)) if media == "application/json" else text
    wrong = problem(validator(*place, "content", media, "schema"), value)
    assert wrong is None, f"{told}: not as documented {wrong}; {text[:1000]}"
    if body is not None and status < 300:
        wrong = problem(
            validator("paths", path, method, "requestBody", "content", "application/json", "schema"), sampled(body)
        )
        assert wrong is None, f"{told}: accepted, but not as documented {wrong}; request {json.dumps(body)[:1000]}"


def _check_unknown(told: str, url: str, status: int, text: str) -> None:
    """A route or a method that there is not: the envelope of the API that the path belongs to."""
    assert status in (400, 401, 404, 405), f"{told}: a route that the document has not"
    if not text:
        return  # HEAD
    error = json.loads(text)
    if url.startswith("/api/"):
        assert error["error"]["code"] == status, told
    else:
        assert error["status"] == status, told
        assert error["success"] is False, told
