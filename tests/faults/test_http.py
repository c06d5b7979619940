"""What is no HTTP is answered in the envelope and leaves one line in the log; a trailing slash is no other route."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from yarl import URL

from service.serving import served
from service.settings import Settings
from tests.support.client import Client
from tests.support.processes import Service, free_port, until

Json = Any

SECRET = "sk_of_which_no_log_tells"
ROUTE = b"GET /v1/namespaces HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /v1/namespaces HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"

MALFORMED = {
    "a control character in the key": ROUTE + b"Authorization: Bearer %s\x01\r\n\r\n",
    "a zero in the key": ROUTE + b"Authorization: Bearer %s\x00%s\r\n\r\n",
    "an escape in the key": ROUTE + b"Authorization: Bearer \x1b%s\r\n\r\n",
    "delete in the key": ROUTE + b"Authorization: Bearer %s\x7f\r\n\r\n",
    "a carriage return in the key": ROUTE + b"Authorization: Bearer %s\r%s\r\n\r\n",
    "a control character in a name": ROUTE + b"Authorization\x02: Bearer %s\r\n\r\n",
    "white space before the colon": ROUTE + b"Authorization : Bearer %s\r\n\r\n",
    "a header without a name": ROUTE + b": %s\r\n\r\n",
    "a header that is folded": b"GET /healthz HTTP/1.1\r\nHost: x\r\n %s\r\n\r\n",
    "a header too long": ROUTE + b"Authorization: Bearer " + b"%s" * 1_000 + b"\r\n\r\n",
    "a path too long": b"GET /" + b"%s" * 1_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "too many headers": ROUTE + b"X-A: %s\r\n" * 300 + b"\r\n",
    "no request line": b"%s\r\n\r\n",
    "a wrong method": b"GE(T /%s HTTP/1.1\r\nHost: x\r\n\r\n",
    "a version that there is not": b"GET /%s HTTP/9.9\r\nHost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n%s",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03%s",
    "lines without carriage returns": b"GET /healthz HTTP/1.1\nAuthorization: Bearer %s\n\n",
    "a path that is none": b"GET http://[::1 HTTP/1.1\r\nAuthorization: Bearer %s\r\n\r\n",
    "a control character in the path": b"GET /a\x01b HTTP/1.1\r\nAuthorization: Bearer %s\r\n\r\n",
    "bytes in the path": b"GET \xff\xfe HTTP/1.1\r\nAuthorization: Bearer %s\r\n\r\n",
    "a chunk without a size": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n%s\r\n0\r\n\r\n",
    "a negative length": POST + b"Content-Length: -5\r\n\r\n%s",
    "a length that is no number": POST + b"Content-Length: five\r\n\r\n%s",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n%s",
    "a length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n%s",
    "garbage after a request": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n%s %s %s\r\n\r\n",
    "an expectation": ROUTE + b"Authorization: Bearer %s\r\nExpect: %s\r\n\r\n",
}


async def exchange(address: str, *parts: bytes) -> bytes:
    """What is answered to bytes that are sent in parts, until the other side ends."""
    url = URL(address)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.05)
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


@pytest.fixture(scope="module")
def process(opensearch_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own, whose log is read."""
    settings = {"OPENSEARCH_URL": opensearch_url, "PORT": free_port(), "API_KEY": SECRET, "LOG_FORMAT": "json"}
    with Service("serve", folder=tmp_path_factory.mktemp("http"), settings=settings) as service:
        service.says("serving")
        yield service


@pytest.fixture(scope="module")
def logged(process: Service) -> str:
    """Its address."""
    return str(json.loads(process.line_with('"serving"'))["address"])


def line_of(process: Service, id: str) -> Json:
    """The one line of the log about a request."""
    until(lambda: any(id in line for line in process.err), 5, f"a line about {id}")
    (line,) = [each for each in process.err if id in each]
    return json.loads(line)


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_no_http_is_answered_in_the_envelope(process: Service, logged: str, name: str) -> None:
    answer = await exchange(logged, MALFORMED[name].replace(b"%s", SECRET.encode()))
    heads, _, body = answer.decode().rpartition("\r\n\r\n")
    head = heads.rpartition("HTTP/1.")[2].lower()
    assert head.split()[1] == "400", answer
    assert "content-type: application/json" in head
    told = json.loads(body)
    assert list(told) == ["success", "status", "error"]
    assert told["status"] == 400
    assert told["error"]["type"] == "BadRequestError"
    line = line_of(process, head.partition("x-request-id: ")[2].partition("\r\n")[0])
    assert (line["event"], line["status"], line["level"]) == ("request", 400, "info")
    assert line["reason"] in told["error"]["message"]
    for place in (answer.decode(), process.text):
        assert SECRET not in place
        assert "Traceback" not in place
    assert all(each.startswith("{") for each in process.err), "structured lines and nothing else"


async def test_a_chunked_body_that_breaks_off_in_the_middle(client: Client, bucket: str) -> None:
    head = (
        f"POST /v1/buckets/{bucket}/objects HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.key}\r\n"
        f"X-Namespace: {client.namespace}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    answer = await exchange(client.address, head.encode(), b'9\r\n{"a":"b"}\r\n', b"no size\r\n\r\n")
    assert answer.split()[1] == b"400", answer
    assert b'"type":"BadRequestError"' in answer
    assert b"x-request-id" in answer.lower()
    assert (await client.ok("GET", f"/v1/buckets/{bucket}"))["object_count"] == 0


async def test_a_good_request_after_a_malformed_one(client: Client) -> None:
    await exchange(client.address, b"nonsense\r\n\r\n")
    await client.ok("GET", "/healthz")


# A trailing slash


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/healthz", None),
        ("GET", "/readyz", None),
        ("GET", "/v1/namespaces", None),
        ("GET", "/v1/namespaces/{space}", None),
        ("GET", "/v1/namespaces/{space}/indices", None),
        ("GET", "/v1/buckets", None),
        ("GET", "/v1/buckets?limit=1", None),
        ("GET", "/v1/buckets/{bucket}", None),
        ("GET", "/v1/buckets/{bucket}/objects", None),
        ("GET", "/v1/buckets/{bucket}/objects/{object}", None),
        ("POST", "/v1/buckets/list", {}),
        ("POST", "/v1/buckets/{bucket}/objects/list", {}),
        ("POST", "/v1/buckets/{bucket}/objects/batch", {"objects": []}),
        ("GET", "/api/v1/projects/{space}/models/spaces", None),
        ("GET", "/api/v1/projects/{space}/models/containers", None),
        ("GET", "/api/v1/projects/{space}/models/containers?limit=2&usedFor=record", None),
        ("GET", "/api/v1/projects/{space}/streams", None),
        ("POST", "/api/v1/projects/{space}/models/spaces/byids", {"items": [{"space": "none"}]}),
    ],
)
async def test_a_trailing_slash_is_the_same_route(
    client: Client, bucket: str, method: str, path: str, body: Json
) -> None:
    stored = await client.create(bucket, {"metadata": {"n": 1}})
    path = path.format(space=client.namespace, bucket=bucket, object=stored["object_id"])
    plain, mark, query = path.partition("?")
    expected = await client.call(method, path, body)
    async with client.session.request(
        method,
        f"{plain}/{mark}{query}",
        json=body,
        headers={"Authorization": f"Bearer {client.key}", "X-Namespace": str(client.namespace)},
        allow_redirects=False,
    ) as answer:
        assert (answer.status, _steady(await answer.json())) == (expected[0], _steady(expected[1]))


def _steady(answer: Json) -> Json:
    """Without what grows while nothing is written: the sizes of indices."""
    if "pagination" in answer:  # of lists the counts may change, as what other tests left is removed
        return {
            name: each for name, each in answer.items() if name not in ("results", "pagination", "stats", "total_count")
        }
    return {name: value for name, value in answer.items() if name != "results" or not _indices(value)}


def _indices(value: Json) -> bool:
    return bool(value) and "primary_shards" in value[0]


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH"])
async def test_a_name_that_is_empty_never_stands_for_what_it_is_a_part_of(
    client: Client, bucket: str, method: str
) -> None:
    """A client that fills an empty object id into a path must not change or delete the bucket."""
    for path in (f"/v1/buckets/{bucket}/", f"/v1/namespaces/{client.namespace}/", f"/v1/buckets/{bucket}/objects/"):
        status, _ = await client.call(method, path, {"description": "changed"} if method != "DELETE" else None)
        assert status in (404, 405), path
    assert (await client.ok("GET", f"/v1/buckets/{bucket}"))["description"] != "changed"


@pytest.mark.parametrize("path", ["/v1/buckets//", "//", "/v1//buckets", "/v1/nothing/", "/"])
async def test_other_slashes_are_no_routes(client: Client, path: str) -> None:
    assert (await client.call("GET", path))[0] == 404


# Refusals are logged with their reason


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "reason"),
    [
        ("POST", "/v1/namespaces", {"namespace_name": "?"}, 422, "namespace_name"),
        ("POST", "/v1/namespaces", "no object", 422, "body"),
        ("POST", "/v1/buckets/{bucket}/objects/list", {"limit": -1}, 422, "limit"),
        ("POST", "/v1/buckets/{bucket}/objects/aggregate", {"group_by": 3}, 422, "group_by"),
        ("POST", "/v1/buckets/{bucket}/objects/batch", {"objects": [7]}, 422, "all of 1 objects failed"),
        ("POST", "/v1/buckets/{bucket}/objects?policy=never", {"a": 1}, 422, "never"),
        ("POST", "/v1/buckets", {"bucket_name": "{bucket}", "unique_key": 5}, 422, "unique_key"),
        ("POST", "/api/v1/projects/{space}/streams", {"items": 5}, 400, "items"),
        ("GET", "/api/v1/projects/{space}/models/spaces?limit=0", None, 400, "limit"),
        ("POST", "/v1/namespaces", {"namespace_name": "default"}, 409, "default"),
    ],
)
async def test_a_refusal_is_logged_with_its_reason(
    process: Service,
    logged: str,
    client: Client,
    bucket: str,
    method: str,
    path: str,
    body: Json,
    status: int,
    reason: str,
) -> None:
    async with Client(logged, SECRET, client.namespace) as own:
        place = path.format(space=client.namespace, bucket=bucket)
        found, answer, headers = await own.send(method, place, body)
    assert found == status, answer
    line = line_of(process, headers["X-Request-Id"])
    assert line["status"] == status
    assert reason in line["reason"]


async def test_what_is_refused_for_want_of_a_key_or_a_thing_needs_no_reason(process: Service, logged: str) -> None:
    for key, path, status in (("wrong" * 5, "/v1/buckets", 401), (SECRET, "/v1/nothing", 404)):
        async with Client(logged, key, "default") as own:
            found, _, headers = await own.send("GET", path)
        assert found == status
        assert "reason" not in line_of(process, headers["X-Request-Id"])


async def test_a_long_reason_is_cut(process: Service, logged: str, client: Client, bucket: str) -> None:
    wrong = {"sort": [{"field": "x", "direction": "d" * 50}] * 99, "limit": "l" * 2_000, "offset": "o" * 2_000}
    async with Client(logged, SECRET, client.namespace) as own:
        found, _, headers = await own.send("POST", f"/v1/buckets/{bucket}/objects/list", wrong)
    assert found == 422
    assert 0 < len(line_of(process, headers["X-Request-Id"])["reason"]) <= 500


# Cursors do not depend on the API key


@pytest.fixture
async def rotated(settings: Settings, client: Client) -> AsyncIterator[Client]:
    """Another replica, with another key."""
    key = "sk_another_key_0123456789"
    async with served(settings, key) as address, Client(address, key, client.namespace) as other:
        yield other


async def test_a_cursor_outlives_the_key(client: Client, bucket: str, rotated: Client) -> None:
    await client.batch(bucket, [{"metadata": {"n": n}} for n in range(7)])
    seen: list[str] = []
    path, body = f"/v1/buckets/{bucket}/objects/list", {"limit": 2, "sort": {"field": "metadata.n"}, "cursor": "*"}
    turn = 0
    while body["cursor"] is not None:
        page = await (client, rotated)[turn % 2].ok("POST", path, body)
        seen += [each["object_id"] for each in page["results"]]
        body["cursor"] = page["pagination"]["next_cursor"]
        turn += 1
    assert len(seen) == len(set(seen)) == 7
    assert turn == 4


async def test_a_follower_goes_on_with_another_key(client: Client, rotated: Client) -> None:
    project, stream = f"/api/v1/projects/{client.namespace}", f"follow{os.urandom(3).hex()}"
    item = {"externalId": stream, "settings": {"template": {"name": "MutableTestStream"}}}
    assert (await client.call("POST", f"{project}/streams", {"items": [item]}))[0] == 201
    path = f"{project}/streams/{stream}/records/sync"
    first = await client.ok("POST", path, {"initializeCursor": "1d-ago"})
    after = await rotated.ok("POST", path, {"cursor": first["nextCursor"]})
    assert after["hasNext"] is False
    status, answer = await rotated.call("POST", path, {"cursor": "of.somebody-else"})
    assert status == 400, answer
    await client.call("POST", f"{project}/streams/delete", {"items": [{"externalId": stream}]})


@pytest.mark.parametrize("sent", [b"", b"GET /heal", ROUTE], ids=["nothing", "half a line", "half a head"])
async def test_a_connection_without_a_request_is_closed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr("service.serving._IDLE", 0.3)
    async with served(settings, "k") as address:
        url = URL(address)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(sent)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
