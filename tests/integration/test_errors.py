"""Every error comes in the documented envelope, with a request id, and tells nothing of the inside."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from yarl import URL

from service.serving import served
from service.settings import Settings
from tests.support.client import Client
from tests.support.compressed import compressed

Json = Any

NAMES = {
    400: "BadRequestError",
    401: "UnauthorizedError",
    404: "NotFoundError",
    405: "MethodNotAllowedError",
    409: "AlreadyExistsError",
    413: "PayloadTooLargeError",
    422: "ValidationError",
    503: "ServiceUnavailableError",
}


def checked(status: int, text: str, headers: Mapping[str, str]) -> Json:
    """The `error` of an answer, whose form is checked."""
    answer = json.loads(text)
    assert list(answer) == ["success", "status", "error"]
    assert (answer["success"], answer["status"]) == (False, status)
    assert answer["error"]["type"] == NAMES[status]
    assert answer["error"]["message"]
    assert set(answer["error"]) <= {"message", "type", "details"}
    assert answer["error"].get("details") != {}, "left out when empty"
    assert headers["Content-Type"].startswith("application/json")
    assert headers["X-Request-Id"]
    for inside in ("Traceback", "File ", ".py", "opensearchpy", "_exception", "9200", "tally-objects-"):
        assert inside not in text
    return answer["error"]


AGGREGATE: Json = {"group_by": [{"field": "a"}], "aggregations": [{"function": "count", "alias": "n"}]}

CASES: list[tuple[int, str, str, Json]] = [
    (400, "GET", "/v1/buckets/x", None),
    (400, "POST", "/v1/buckets", {"bucket_name": "x"}),
    (400, "POST", "/v1/buckets/x/objects/aggregate", {}),
    (404, "GET", "/v1/buckets/x?namespace=nobody", None),
    (404, "GET", "/v1/namespaces/nobody", None),
    (404, "GET", "/", None),
    (404, "GET", "/v1", None),
    (404, "GET", "/v1/nothing", None),
    (404, "POST", "/v2/buckets", {}),
    (404, "GET", "/v1/buckets/x/objects/y/z?namespace=default", None),
    (404, "GET", "/v1/namespaces//", None),
    (405, "DELETE", "/v1/namespaces", None),
    (405, "TRACE", "/v1/buckets/x/objects/aggregate", None),
    (422, "POST", "/v1/namespaces", {"namespace_name": "?"}),
    (422, "POST", "/v1/namespaces", None),
    (409, "POST", "/v1/namespaces", {"namespace_name": "default"}),
]


@pytest.mark.parametrize(("status", "method", "path", "body"), CASES)
async def test_the_envelope(client: Client, status: int, method: str, path: str, body: Json) -> None:
    found, text, headers = await client.send(method, path, body, namespace=None)
    assert found == status, text
    error = checked(found, text, headers)
    if status == 405:
        assert "POST" in headers["Allow"]
        assert method in error["message"]
    if status == 404:
        assert set(error["details"]) == {"resource", "id"}


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "bearer sk_test",
        "Basic c2s6",
        "sk_test_0123456789",
        "Bearer é\u00ff",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/namespaces/default"), ("POST", "/v1/buckets"), ("GET", "/nothing"), ("PUT", "/healthz/")],
)
async def test_a_missing_or_wrong_key_is_401_everywhere(
    client: Client, authorization: str | None, method: str, path: str
) -> None:
    """Also where there is nothing: who has no key learns no routes."""
    headers = {"X-Namespace": "default"} | ({} if authorization is None else {"Authorization": authorization})
    async with client.session.request(method, path, headers=headers) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        checked(401, await response.text(), response.headers)


async def test_the_key_is_taken_in_every_spelling_of_the_scheme(client: Client) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {client.key}"}
        async with client.session.get("/v1/namespaces/default", headers=headers) as response:
            assert response.status == 200


async def test_health_needs_no_key(client: Client) -> None:
    for path in ("/healthz", "/readyz"):
        async with client.session.get(path) as response:
            assert response.status == 200


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("abc-123", True), ("a" * 100, True), ("a" * 101, False), ("a b", False), ('"}', False), ("", False)],
)
async def test_the_request_id_is_the_callers_if_it_is_harmless(client: Client, sent: str, kept: bool) -> None:
    _, _, headers = await client.send("GET", "/healthz", headers={"X-Request-Id": sent})
    assert (headers["X-Request-Id"] == sent) is kept
    assert headers["X-Request-Id"]
    _, _, other = await client.send("GET", "/healthz")
    assert other["X-Request-Id"] != headers["X-Request-Id"]


async def raw(address: str, head: bytes, body: bytes = b"") -> tuple[int, str]:
    """A request byte by byte, as no client library would send it."""
    url = URL(address)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        writer.write(head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        answer = await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
    top, _, text = answer.decode().partition("\r\n\r\n")
    return int(top.split()[1]), text


@pytest.mark.parametrize("namespace", [b"\xff\xfe", "é".encode(), "日本".encode(), b"\xed\xa0\x80"])
async def test_a_header_that_is_no_text(client: Client, namespace: bytes) -> None:
    head = b"GET /v1/buckets/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nX-Namespace: %s\r\n"
    status, text = await raw(client.address, head % (client.key.encode(), namespace))
    assert status == 404
    assert json.loads(text)["error"]["details"]["resource"] == "Namespace"


@pytest.mark.parametrize("path", [b"%ff%2F..", b"%00", b"%ED%A0%80", b"%zz", b"..%2f..%2f_search"])
async def test_a_path_that_is_no_text(client: Client, path: bytes) -> None:
    head = b"GET /v1/buckets/%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nX-Namespace: default\r\n"
    status, text = await raw(client.address, head % (path, client.key.encode()))
    assert status == 404
    assert json.loads(text)["error"]["type"] == "NotFoundError"


# Bodies


@pytest.fixture(scope="module")
async def small(settings: Settings, client: Client) -> AsyncIterator[Client]:
    """A service that takes bodies of up to 4 KB, on the same OpenSearch."""
    narrow = settings.model_copy(update={"body_limit": 4096})
    async with served(narrow, "k") as address, Client(address, "k", client.namespace) as small:
        yield small


@pytest.mark.parametrize("path", ["", "/x/objects", "/x/objects/batch", "/x/objects/aggregate"])
@pytest.mark.parametrize("packed", [False, True])
async def test_a_too_large_body_is_413(small: Client, path: str, packed: bool) -> None:
    """Unpacked, it counts what it becomes: 10 MB that come as 10 KB are 10 MB."""
    if path:
        name = f"big-{os.urandom(4).hex()}"
        await small.ok("POST", "/v1/buckets", {"bucket_name": name})
        path = path.replace("x", name, 1)
    body = b'{"a":"' + b"x" * (10_000_000 if packed else 5_000) + b'"}'
    headers = {"Content-Encoding": "gzip"} if packed else {}
    data = compressed(body) if packed else body
    found, text, answered = await small.send("POST", f"/v1/buckets{path}", data=data, headers=headers)
    assert found == 413, text
    assert checked(413, text, answered)["details"] == {"limit": 4096}


@pytest.mark.parametrize(
    ("data", "encoding", "status"),
    [
        (compressed(b'{"bucket_name":""}'), "gzip", 422),
        (compressed(b'{"bucket_name":""}'), "GZIP", 422),
        (compressed(b'{"bucket_name":""}')[:-4], "gzip", 400),
        (b"no gzip", "gzip", 400),
        (b'{"bucket_name":""}', "br", 400),
        (b'{"bucket_name":""}', "identity", 422),
    ],
)
async def test_encodings_of_a_body(client: Client, data: bytes, encoding: str, status: int) -> None:
    found, text, headers = await client.send("POST", "/v1/buckets", data=data, headers={"Content-Encoding": encoding})
    assert found == status
    checked(found, text, headers)


@pytest.mark.parametrize("text", [b"", b"{", b"nonsense", b"\xff", b'{"a":NaN}', b"{1:2}", b'{"a":"\\ud800"}', b"\x00"])
async def test_a_body_that_is_no_json(client: Client, text: bytes) -> None:
    found, answer, headers = await client.send("POST", "/v1/namespaces", data=text, namespace=None)
    assert found == 422
    (problem,) = checked(found, answer, headers)["details"]["validation_errors"]
    assert problem["location"] == ["body"]


# OpenSearch is gone


class Wire:
    """A TCP connection to OpenSearch that can be cut."""

    def __init__(self, url: str) -> None:
        self._to = URL(url)
        self._open: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[str]:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        finally:
            self.cut()

    def cut(self) -> None:
        self._server.close()
        for writer in self._open:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(self._to.host, self._to.port)
        self._open |= {writer, there_writer}
        await asyncio.gather(self._pump(reader, there_writer), self._pump(there_reader, writer), return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()


async def test_without_opensearch_everything_is_503_with_retry_after(settings: Settings, opensearch_url: str) -> None:
    wire = Wire(opensearch_url)
    async with wire.laid() as url:
        cut_off = settings.model_copy(update={"opensearch_url": url, "log_level": "error"})
        async with served(cut_off, "k") as address, Client(address, "k", "default") as client:
            assert (await client.call("GET", "/readyz"))[0] == 200
            assert (await client.call("GET", "/v1/namespaces/default"))[0] == 200
            wire.cut()
            for method, path, body in (
                ("GET", "/v1/namespaces/default", None),
                ("POST", "/v1/namespaces", {"namespace_name": "cut-off"}),
                ("POST", "/v1/buckets", {"bucket_name": "cut-off"}),
                ("POST", "/v1/buckets/x/objects", {"a": 1}),
                ("POST", "/v1/buckets/x/objects/batch", [{"a": 1}]),
                ("POST", "/v1/buckets/x/objects/import", {"a": 1}),
                ("POST", "/v1/buckets/x/objects/aggregate", AGGREGATE),
                ("DELETE", "/v1/buckets/x/objects/y", None),
            ):
                started = time.monotonic()
                status, text, headers = await client.send(method, path, body)
                assert status == 503, (method, path, text)
                checked(status, text, headers)
                assert int(headers["Retry-After"]) >= 1
                assert time.monotonic() - started < 5
            assert (await client.call("GET", "/healthz"))[0] == 200, "the process itself lives"
            assert (await client.call("GET", "/readyz"))[0] == 503
