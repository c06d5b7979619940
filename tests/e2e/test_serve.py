"""`serve` and its neighbours on an OpenSearch that is there already: health, a gentle stop, workers, logs, files."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import aiohttp
import psutil  # type: ignore[import-untyped]
import pyarrow
import pyarrow.parquet
import pytest

from tests.support.client import Client
from tests.support.processes import Service, free_port, listens, until, using

KEY = "sk_e2e_of_which_no_log_may_tell"
PASSWORD = "pw_e2e_of_which_no_log_may_tell"
SPACE = f"serve-{os.getpid()}"


def start(folder: Path, url: str, *arguments: str, **settings: object) -> Service:
    """`url`: empty for commands that ask no OpenSearch."""
    defaults: dict[str, object] = {"PORT": free_port(), "API_KEY": KEY, "LOG_FORMAT": "json"}
    defaults |= {"OPENSEARCH_URL": url} if url else {}
    return Service(*(arguments or ("serve",)), folder=folder, settings=defaults | settings)


def address_of(service: Service) -> str:
    service.says('"event": "serving"')
    address: str = json.loads(service.line_with('"event": "serving"'))["address"]
    return address


async def status_of(address: str, path: str) -> int | None:
    """None where nobody listens; on a connection of its own, as a probe has it."""
    timeout = aiohttp.ClientTimeout(10)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(address + path) as response:
            return response.status
    except aiohttp.ClientConnectionError:
        return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serve")


@pytest.fixture(scope="module")
def service(folder: Path, opensearch_url: str) -> Iterator[Service]:
    with start(folder, opensearch_url) as service:
        address = address_of(service)
        yield service
        # The OpenSearch may be one that others use, too.
        gone = Request(f"{address}/v1/namespaces/{SPACE}", method="DELETE", headers={"Authorization": f"Bearer {KEY}"})
        with build_opener(ProxyHandler({})).open(gone, timeout=30):
            pass


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with Client(address_of(service), KEY, SPACE) as client:
        await client.call("POST", "/v1/namespaces", {"namespace_name": SPACE}, namespace=None)
        yield client


@pytest.fixture
async def bucket(client: Client) -> str:
    name: str = f"b-{os.urandom(4).hex()}"
    await client.ok("POST", "/v1/buckets", {"bucket_name": name})
    return name


# Health and a gentle stop


async def test_health_needs_no_key(client: Client) -> None:
    for path, wanted in (("/healthz", "ok"), ("/readyz", "ready")):
        status, answer = await client.call("GET", path, headers={"Authorization": ""}, namespace=None)
        assert (status, answer["status"]) == (200, wanted)


async def test_a_stop_lets_requests_finish_and_is_not_ready(client: Client, opensearch_url: str, folder: Path) -> None:
    await client.ok("POST", "/v1/buckets", {"bucket_name": "slow"})
    with start(folder, opensearch_url) as other:
        address = address_of(other)
        assert await status_of(address, "/readyz") == 200
        go_on, under_way = asyncio.Event(), asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield b'{"metadata":{"n":1}}\n'
            under_way.set()
            await go_on.wait()
            yield b'{"metadata":{"n":2}}\n'

        async with Client(address, KEY, SPACE) as slow:
            request = asyncio.create_task(slow.send("POST", "/v1/buckets/slow/objects/import", data=body()))
            await under_way.wait()
            await asyncio.sleep(0.3)
            other.send(signal.SIGTERM)
            sent = time.monotonic()
            while await status_of(address, "/readyz") != 503:
                assert time.monotonic() - sent < 2
            assert await status_of(address, "/healthz") == 200
            assert other.process.poll() is None
            go_on.set()
            status, text, _ = await request
            assert status == 200
            assert json.loads(text)["succeeded_count"] == 2
        assert other.ended(10) == 0
        assert await status_of(address, "/healthz") is None
    assert await values(client, "slow", "n") == [(1, 1), (2, 1)]


async def test_a_stop_is_told_while_everybody_is_served(opensearch_url: str, folder: Path) -> None:
    with start(folder, opensearch_url, DRAIN_SECONDS=3) as other:
        async with Client(address_of(other), KEY) as client:
            status, _, headers = await client.send("GET", "/v1/namespaces/default")
            assert (status, headers.get("Connection")) == (200, None)
            other.send(signal.SIGTERM)
            sent = time.monotonic()
            while await status_of(client.address, "/readyz") != 503:
                assert time.monotonic() - sent < 1
            # On the connection that was kept, then on new ones.
            for _ in range(5):
                status, _, headers = await client.send("GET", "/v1/namespaces/default")
                assert (status, headers.get("Connection")) == (200, "close")
                await asyncio.sleep(0.3)
            assert await status_of(client.address, "/healthz") == 200
            assert other.process.poll() is None
            assert await asyncio.to_thread(other.ended, 10) == 0
            assert time.monotonic() - sent >= 3
            assert await status_of(client.address, "/healthz") is None


@pytest.mark.parametrize("signals", [(signal.SIGINT,), (signal.SIGTERM, signal.SIGINT)])
async def test_ctrl_c_does_not_wait(opensearch_url: str, folder: Path, signals: tuple[signal.Signals, ...]) -> None:
    with start(folder, opensearch_url, DRAIN_SECONDS=60) as other:
        await asyncio.to_thread(address_of, other)
        for number in signals:
            other.send(number)
            await asyncio.sleep(0.3)
        assert await asyncio.to_thread(other.ended, 10) == 0


async def test_a_request_that_never_ends_is_cut(client: Client, opensearch_url: str, folder: Path) -> None:
    await client.ok("POST", "/v1/buckets", {"bucket_name": "endless"})
    with start(folder, opensearch_url, SHUTDOWN_SECONDS=1) as other:

        async def body() -> AsyncIterator[bytes]:
            while True:
                yield b'{"metadata":{"n":1}}\n'
                await asyncio.sleep(0.1)

        async with Client(address_of(other), KEY, SPACE) as slow:
            request = asyncio.create_task(slow.send("POST", "/v1/buckets/endless/objects/import", data=body()))
            await asyncio.sleep(0.5)
            other.send(signal.SIGTERM)
            assert await asyncio.to_thread(other.ended, 10) == 0
            with pytest.raises(aiohttp.ClientError):
                await request


@asynccontextmanager
async def forwarded(url: str) -> AsyncIterator[tuple[str, Any]]:
    """A way to OpenSearch that can be closed: its address, and a switch."""
    where = urlsplit(url)
    open_ways: set[asyncio.StreamWriter] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(65536):
                writer.write(chunk)
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward, back = await asyncio.open_connection(where.hostname, where.port)
        open_ways.update((writer, back))
        await asyncio.gather(copy(reader, back), copy(onward, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    def close() -> None:
        server.close()
        for way in open_ways:
            way.close()

    yield f"http://tally:{PASSWORD}@127.0.0.1:{port}", close
    close()


async def test_an_unreachable_opensearch_is_told(opensearch_url: str, tmp_path: Path) -> None:
    async with forwarded(opensearch_url) as (url, close):
        with start(tmp_path, url, OPENSEARCH_PASSWORD=PASSWORD, OPENSEARCH_USER="tally") as other:
            await asyncio.to_thread(other.says, '"event": "serving"')
            address = address_of(other)
            assert await status_of(address, "/readyz") == 200
            close()
            assert await status_of(address, "/readyz") == 503
            assert await status_of(address, "/healthz") == 200
            async with Client(address, KEY, SPACE) as client:
                status, text, headers = await client.send("GET", "/v1/buckets/any")
            assert status == 503
            assert int(headers["Retry-After"]) > 0
            answer = json.loads(text)
            assert (answer["success"], answer["status"]) == (False, 503)
            assert answer["error"]["type"] == "ServiceUnavailableError"
            assert "127.0.0.1" not in text
            other.send(signal.SIGTERM)
            assert await asyncio.to_thread(other.ended) == 0
        assert PASSWORD not in other.text
        assert all(json.loads(line) for line in other.err)


# Workers


def workers_of(service: Service) -> list[int]:
    return [child.pid for child in psutil.Process(service.process.pid).children() if "--child" in child.cmdline()]


async def test_workers_share_a_port_are_healed_and_end_with_their_parent(opensearch_url: str, tmp_path: Path) -> None:
    with start(tmp_path, opensearch_url, "serve", "--workers", "2") as service:

        def both() -> bool:
            return sum('"event": "serving"' in line for line in service.err) >= 2

        await asyncio.to_thread(until, both, 60, "two workers")
        address = address_of(service)
        first, second = workers_of(service)
        for _ in range(10):
            assert await status_of(address, "/readyz") == 200
        os.kill(first, signal.SIGKILL)

        def healed() -> bool:
            return sum('"event": "serving"' in line for line in service.err) >= 3

        await asyncio.to_thread(until, healed, 30, "a new worker")
        now = workers_of(service)
        assert len(now) == 2
        assert second in now
        assert first not in now
        assert await status_of(address, "/readyz") == 200
        service.send(signal.SIGKILL)
        until(lambda: not using(tmp_path), 25, "workers left")
        assert not listens(int(address.rpartition(":")[2]))


async def test_workers_stop_gently(opensearch_url: str, tmp_path: Path) -> None:
    with start(tmp_path, opensearch_url, "serve", "--workers", "2") as service:
        await asyncio.to_thread(service.says, '"event": "serving"')
        service.send(signal.SIGTERM)
        assert await asyncio.to_thread(service.ended) == 0
        assert not using(tmp_path)


# Logs


async def test_logs_are_lines_of_json_without_secrets(service: Service, client: Client, bucket: str) -> None:
    await client.create(bucket, {"metadata": {"n": 1}})
    spec = {
        "group_by": [{"field": "metadata.n", "alias": "n"}],
        "aggregations": [{"function": "count", "alias": "count"}],
    }
    await client.send("POST", f"/v1/buckets/{bucket}/objects/aggregate", spec, headers={"X-Request-Id": "asked-by-me"})
    await client.send("GET", f"/v1/buckets/{bucket}?key={KEY}&api_key={KEY}")
    await client.send("GET", f"/v1/{KEY}")
    await client.send("GET", "/v1/buckets/none", headers={"Authorization": f"Bearer {KEY}x"})
    await client.send("POST", f"/v1/buckets/{bucket}/objects", data=f'{{"metadata": "{KEY}"')
    await client.send("GET", f"/v1/buckets/{bucket}?namespace={SPACE}", namespace=None)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(client.address.rpartition(":")[2]))
    writer.write(b"NO HTTP " + KEY.encode() + b"\r\n\r\n")
    await reader.read()
    writer.close()
    await asyncio.sleep(0.2)

    assert KEY not in service.text
    lines = [json.loads(line) for line in service.err]
    (mine,) = [line for line in lines if line.get("request_id") == "asked-by-me"]
    assert mine["event"] == "request"
    assert mine["level"] == "info"
    assert mine["route"] == "/v1/buckets/{bucket_identifier}/objects/aggregate"
    assert mine["namespace"] == SPACE
    assert (mine["method"], mine["status"]) == ("POST", 200)
    assert mine["ms"] > 0
    assert mine["took"] >= 0
    assert mine["searches"] > 0
    requests = [line for line in lines if line["event"] == "request"]
    assert all(line["request_id"] and "timestamp" in line for line in requests)
    *requests, last, broken = requests
    assert last["namespace"] == SPACE  # named in the query
    assert (broken["status"], bool(broken["reason"])) == (400, True)  # no HTTP
    assert not any(line["route"] == "/readyz" for line in (*requests, last))


# The other commands


async def test_run_logs_requests_where_the_level_says_so(opensearch_url: str, tmp_path: Path) -> None:
    """The foreground is for a person: `run` begins at warnings (docs/running.md)."""
    for settings, lines in (({}, 0), ({"LOG_LEVEL": "info"}, 1)):
        with start(tmp_path, opensearch_url, "run", SAMPLE="0", **settings) as service:
            service.says("Ctrl-C stops")
            address = service.line_with("Tally  ").split()[1]
            assert await status_of(address, "/v1/namespaces") == 401
            if lines:
                service.says('"event": "request"', 10)
            service.send(signal.SIGTERM)
            service.ended()
            assert sum('"event": "request"' in line for line in service.err) == lines


def said(folder: Path, url: str, *arguments: str, **settings: object) -> tuple[int, list[str], list[str]]:
    with start(folder, url, *arguments, **settings) as command:
        return command.ended(60), command.out, command.err


def test_bootstrap_does_no_harm_twice(opensearch_url: str, folder: Path) -> None:
    for _ in range(2):
        code, out, err = said(folder, opensearch_url, "bootstrap")
        assert (code, err) == (0, [])
    assert out == ["everything is there already"]


def test_sweep_removes_and_tells(opensearch_url: str, folder: Path) -> None:
    code, out, err = said(folder, opensearch_url, "sweep")
    assert (code, err) == (0, [])
    assert out[-1].split()[1:] == ["things", "removed"]


def test_bootstrap_without_opensearch_is_one_line(folder: Path) -> None:
    code, _, err = said(folder, f"http://127.0.0.1:{free_port()}", "bootstrap")
    assert code == 1
    assert err[-1] == "OpenSearch cannot be reached"


def test_serve_needs_an_opensearch(folder: Path) -> None:
    with Service("serve", folder=folder, settings={"PORT": free_port()}) as command:
        assert command.ended() == 2
        assert len(command.err) == 1
        assert "TALLY_OPENSEARCH_URL" in command.err[0]


async def loaded(client: Client, folder: Path, file: Path, bucket: str) -> tuple[int, list[str], list[str]]:
    arguments = ("load", str(file), bucket, "--namespace", SPACE, "--url", client.address)
    code, out, err = await asyncio.to_thread(said, folder, "", *arguments)
    return code, out, [line for line in err if not line.startswith("made the ")]


async def values(client: Client, bucket: str, *fields: str) -> list[Any]:
    spec = {
        "group_by": [{"field": f"metadata.{field}", "alias": field} for field in fields],
        "aggregations": [{"function": "count", "alias": "count"}],
    }
    rows = (await client.aggregate(bucket, spec))["results"]
    return [(*row["group"].values(), row["metrics"]["count"]) for row in rows]


async def test_ndjson_tells_the_lines_that_are_bad(client: Client, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson"
    file.write_bytes(b'{"metadata":{"n":1}}\r\n\n{"metadata":{"n":2}}\n{"metadata":\n[1]\n{"metadata":{"n":3}}')
    code, out, err = await loaded(client, folder, file, "ndjson")
    assert code == 1
    assert out[-1].startswith("3 objects stored, 2 refused")
    assert [line.partition(":")[0] for line in err] == ["line 4", "line 5"]
    assert await values(client, "ndjson", "n") == [(1, 1), (2, 1), (3, 1)]


async def test_csv_keeps_types_and_tells_bad_rows(client: Client, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("n,text,score\n1,a,1.5\n2,b\n3,,inf\n4,d,nan\n")
    code, out, err = await loaded(client, folder, file, "csv")
    assert code == 1
    assert out[-1].startswith("3 objects stored, 1 refused")
    assert [line.partition(":")[0] for line in err] == ["line 3"]
    assert await values(client, "csv", "n", "text", "score") == [
        (1, "a", "1.5", 1),
        (3, "", "inf", 1),
        (4, "d", "nan", 1),
    ]


async def test_parquet_is_loaded(client: Client, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    table = pyarrow.table({"n": [1, 2, 2], "text": ["a", None, None]})
    pyarrow.parquet.write_table(table, file)
    code, out, err = await loaded(client, folder, file, "parquet")
    assert (code, err) == (0, [])
    assert out[-1].startswith("3 objects stored, 0 refused")
    assert await values(client, "parquet", "n", "text") == [(1, "a", 1), (2, None, 2)]


async def test_an_interrupted_load_says_where_to_go_on(client: Client, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "long.csv"
    file.write_text("n\n" + "".join(f"{row}\n" for row in range(300_000)))
    arguments = ("load", str(file), "long", "--namespace", SPACE, "--url", client.address)
    with start(folder, "", *arguments) as command:
        for _ in range(600):
            found = await client.call("GET", "/v1/buckets/long")
            if found[0] == 200 and found[1]["object_count"] > 5_000:
                break
            await asyncio.sleep(0.1)
        command.send(signal.SIGINT)
        assert await asyncio.to_thread(command.ended, 60) == 130
    (line,) = (each for each in command.err if not each.startswith("made the "))
    words = re.fullmatch(
        r"interrupted; the first ([\d,]+) of 300,000 rows are done; go on with --skip-rows (\d+) "
        r"\(no row is stored twice\)",
        line,
    )
    assert words, line
    assert int(words[1].replace(",", "")) == int(words[2]) > 0


async def test_a_file_that_cannot_be_read_is_one_line(client: Client, folder: Path, tmp_path: Path) -> None:
    for name in ("a.parquet", "a.xls"):
        (tmp_path / name).write_text("neither table nor lines")
        code, _, err = await loaded(client, folder, tmp_path / name, "broken")
        assert code == 1
        assert len(err) == 1
        assert err[0].startswith(f"{name}: ")


def test_help_and_settings_tell_all() -> None:
    def told(*arguments: str) -> str:
        environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb"}
        done = subprocess.run(
            [sys.executable, "-m", "service", *arguments], capture_output=True, text=True, env=environment, check=True
        )
        return done.stdout

    help = told("--help")
    assert all(command in help for command in ("serve", "run", "load", "bootstrap", "settings"))
    assert "--workers" in told("serve", "--help")
    lines = told("settings").splitlines()
    names = lines[::2]
    assert any(name.startswith("TALLY_PORT  (8080)") for name in names)
    assert all(name.startswith("TALLY_") for name in names)
    assert all(meaning.startswith("    ") and len(meaning) > 10 for meaning in lines[1::2])
