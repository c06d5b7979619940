"""The OpenAPI document: all routes and no other, described, with examples that are as their schemas say."""

import re
from typing import Any

import pytest
from aiohttp import web
from openapi_spec_validator import OpenAPIV31SpecValidator

from service.app import create_app
from service.settings import Settings
from service.web.openapi import document, encoded
from service.web.routes import ROUTES
from tests.support.contract import problem, resolved, validator

Json = Any

NO_SUCCESS = {"deleteStreamByPath"}
"""Routes that answer with an error alone."""


def shape(path: str) -> str:
    """Without the names of its parameters, which the router and the documented pages spell differently."""
    return re.sub(r"\{[^/]*\}", "{}", path)


def routes() -> set[tuple[str, str]]:
    """Of the real application; HEAD comes with every GET and is not told."""
    app = create_app(Settings(opensearch_url="http://127.0.0.1:9"), "k")
    found = {(route.method, shape(canonical(route))) for route in app.router.routes()}
    assert {("GET", path) for method, path in found if method == "HEAD"} <= found
    return {(method.lower(), path) for method, path in found if method != "HEAD"}


def canonical(route: web.AbstractRoute) -> str:
    assert route.resource is not None
    return route.resource.canonical


def operations() -> list[Any]:
    """Path, method and operation."""
    return [
        pytest.param(path, method, operation, id=operation["operationId"])
        for path, item in document()["paths"].items()
        for method, operation in item.items()
    ]


def test_all_routes_and_no_other() -> None:
    told = {(method, shape(path)) for path, item in document()["paths"].items() for method in item}
    assert sorted(routes() - told) == [], "routes that the document has not"
    assert sorted(told - routes()) == [], "the document has what is no route"


def test_operations_are_told_once() -> None:
    assert len({op.id for op in ROUTES}) == len(ROUTES)
    assert len({(op.method, op.path) for op in ROUTES}) == len(ROUTES)
    assert len({(op.method, shape(op.path)) for op in ROUTES}) == len(ROUTES)


def test_is_valid() -> None:
    assert [str(error)[:500] for error in OpenAPIV31SpecValidator(document()).iter_errors()] == []


def test_no_two_models_of_one_name() -> None:
    assert [name for name in document()["components"]["schemas"] if "__" in name] == []


def test_is_made_once() -> None:
    assert document() is document()
    assert encoded() is encoded()


@pytest.mark.parametrize(("path", "method", "operation"), operations())
def test_is_described(path: str, method: str, operation: Json) -> None:
    assert operation["summary"]
    assert operation["description"]
    (tag,) = operation["tags"]
    assert tag in {each["name"] for each in document()["tags"]}
    parameters = [resolved(each) for each in operation["parameters"]]
    assert all(each["description"] for each in parameters)
    named = [(each["name"], each["in"]) for each in parameters]
    assert len(set(named)) == len(named)
    in_path = {each["name"] for each in parameters if each["in"] == "path"}
    assert in_path == set(re.findall(r"\{([^/]*)\}", path))
    codes = set(operation["responses"])
    assert "500" in codes
    assert ("401" in codes) == (operation.get("security") != [])
    if operation["operationId"] not in NO_SUCCESS:
        assert any(code.startswith("2") for code in codes)
    if "requestBody" in operation:
        assert {"400", "413"} <= codes
        assert "Content-Encoding" in {name for name, _ in named}


@pytest.mark.parametrize(("path", "method", "operation"), operations())
def test_examples_are_as_documented(path: str, method: str, operation: Json) -> None:
    parts: dict[tuple[str, ...], Json] = (
        {("requestBody",): operation["requestBody"]} if "requestBody" in operation else {}
    )
    parts |= {("responses", code): answer for code, answer in operation["responses"].items()}
    for place, part in parts.items():
        home = tuple(part["$ref"].removeprefix("#/").split("/")) if "$ref" in part else ("paths", path, method, *place)
        for media, content in resolved(part).get("content", {}).items():
            checked = validator(*home, "content", media, "schema")
            values = [each["value"] for each in content.get("examples", {}).values()]
            values += [content["example"]] if "example" in content else []
            assert values, (place, media)
            for value in values:
                assert problem(checked, value) is None, (place, problem(checked, value))


def test_every_parameter_has_an_example_that_fits() -> None:
    for name, parameter in document()["components"]["parameters"].items():
        if "example" in parameter:
            checked = validator("components", "parameters", name, "schema")
            assert problem(checked, parameter["example"]) is None, name
