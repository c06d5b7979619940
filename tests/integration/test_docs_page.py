"""/openapi.json and /docs: for everybody, the same for everybody, kept by the caller, from this service alone."""

import gzip
import json
from collections.abc import Mapping

import aiohttp
import pytest

from service.web.openapi import document
from tests.support.client import Client


async def get(client: Client, path: str, **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
    """Without a key."""
    async with (
        aiohttp.ClientSession(client.address, auto_decompress=False) as session,
        session.get(path, headers=headers) as answer,
    ):
        return answer.status, await answer.read(), answer.headers


async def test_the_document(client: Client) -> None:
    status, body, headers = await get(client, "/openapi.json")
    assert status == 200
    assert headers["Content-Type"] == "application/json"
    packed = gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
    assert json.loads(packed) == document()
    _, plain, _ = await get(client, "/openapi.json", **{"Accept-Encoding": "identity"})
    assert plain == packed


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/docs/assets/swagger-ui.css", "/docs/assets/docs.js"])
async def test_a_copy_is_kept(client: Client, path: str) -> None:
    status, body, headers = await get(client, path)
    assert status == 200
    assert body
    assert headers["Vary"] == "Accept-Encoding"
    status, body, again = await get(client, path, **{"If-None-Match": headers["ETag"]})
    assert (status, body) == (304, b"")
    assert again["ETag"] == headers["ETag"]
    assert again["Cache-Control"] == headers["Cache-Control"]
    status, body, _ = await get(client, path, **{"If-None-Match": '"another"'})
    assert status == 200
    assert body


@pytest.mark.parametrize(
    ("path", "media"),
    [
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/assets/swagger-ui.css", "text/css; charset=utf-8"),
        ("/docs/assets/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("/docs/assets/docs.js", "text/javascript; charset=utf-8"),
        ("/docs/assets/tally.svg", "image/svg+xml; charset=utf-8"),
    ],
)
async def test_the_page_and_its_files(client: Client, path: str, media: str) -> None:
    status, packed, headers = await get(client, path, **{"Accept-Encoding": "gzip"})
    assert status == 200
    assert headers["Content-Type"] == media
    assert headers["Content-Encoding"] == "gzip"
    assert headers["X-Content-Type-Options"] == "nosniff"
    _, plain, headers = await get(client, path, **{"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in headers
    assert gzip.decompress(packed) == plain


async def test_the_page_runs_nothing_from_elsewhere(client: Client) -> None:
    _, _, headers = await get(client, "/docs")
    told = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert told["default-src"] == "'none'"
    assert told["script-src"] == told["style-src"] == told["connect-src"] == "'self'"
    assert told["img-src"] == "'self' data:"
    assert "unsafe" not in headers["Content-Security-Policy"]


@pytest.mark.parametrize("name", ["nothing.js", "README.md", "index.html", "..%2Fdocs.py", "%2Fetc%2Fpasswd"])
async def test_no_other_file(client: Client, name: str) -> None:
    status, body, _ = await get(client, f"/docs/assets/{name}")
    assert status == 404
    assert json.loads(body)["error"]["type"] == "NotFoundError"


async def test_everything_else_wants_the_key(client: Client) -> None:
    for path in ("/docs/assets", "/openapi.yaml", "/metrics", "/v1/namespaces"):
        status, _, _ = await get(client, path)
        assert status == 401, path


async def test_an_answer_that_is_not_as_documented_is_found(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison of the tests' client can fail."""
    told = await client.ok("GET", "/v1/namespaces/default", namespace=None)
    assert told["status"] == "ACTIVE"
    schema = document()["components"]["schemas"]["Namespace"]
    monkeypatch.setitem(schema, "required", [*schema["required"], "something_new"])
    with pytest.raises(AssertionError, match="something_new"):
        await client.call("GET", "/v1/namespaces/default", namespace=None)
    monkeypatch.undo()
    answers = document()["paths"]["/v1/namespaces/{namespace_identifier}"]["get"]["responses"]
    monkeypatch.delitem(answers, "404")
    with pytest.raises(AssertionError, match="the document has"):
        await client.call("GET", "/v1/namespaces/nowhere-to-be-found", namespace=None)
    monkeypatch.undo()
    taken = document()["components"]["schemas"]["UpdateNamespace"]["properties"]
    monkeypatch.setitem(taken, "description", {"type": "integer"})
    with pytest.raises(AssertionError, match="accepted, but not as documented"):
        await client.call("PATCH", f"/v1/namespaces/{client.namespace}", {"description": "tests"}, namespace=None)
