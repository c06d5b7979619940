"""Processes that cannot start say why in one message; those that are told to end twice end at once."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil  # type: ignore[import-untyped]
import pytest

from tests.e2e.test_serve import KEY, address_of, start, status_of
from tests.support.client import Client
from tests.support.processes import Service, free_port, until, using


async def serving(service: Service) -> str:
    """Its address, once it listens; starting takes long where many start at once."""
    await asyncio.to_thread(service.says, '"event": "serving"', 180)
    return address_of(service)


def ended(folder: Path, *arguments: str, **settings: object) -> tuple[int, str]:
    with Service(*arguments, folder=folder, settings=settings) as service:
        code = service.ended(180)
        return code, "\n".join(service.err)


@pytest.mark.parametrize(
    ("command", "key"), [(("serve",), ""), (("serve", "--workers", "2"), "  "), (("run",), "short_key")]
)
def test_no_service_starts_with_a_key_that_is_none(tmp_path: Path, command: tuple[str, ...], key: str) -> None:
    code, told = ended(tmp_path, *command, API_KEY=key, OPENSEARCH_URL="http://127.0.0.1:9", PORT=free_port())
    assert code == 2
    assert "TALLY_API_KEY" in told
    assert "16 characters" in told
    assert "Traceback" not in told


def test_no_service_starts_with_an_empty_key_file(tmp_path: Path) -> None:
    (tmp_path / "api-key").touch()
    code, told = ended(tmp_path, "serve", OPENSEARCH_URL="http://127.0.0.1:9", PORT=free_port())
    assert code == 1
    assert str(tmp_path / "api-key") in told
    assert "16 characters" in told
    assert "Traceback" not in told


def test_all_wrong_settings_are_told_in_one_message(tmp_path: Path) -> None:
    wrong = {
        "PORT": "http",
        "OPENSEARCH_URL": "http://a:9200 http://b:9200",
        "OPENSEARCH_CA": "/nowhere/ca.pem",
        "OPENSEARCH_TIMEOUT": "soon",
        "STREAM_TEMPLATES": "{",
        "API_KEY": "k",
        "SHARDS": "0",
    }
    for command in ("serve", "bootstrap"):
        code, told = ended(tmp_path, command, **wrong)
        assert code == 2
        lines = told.splitlines()
        assert len(lines) == 1 + len(wrong)
        assert {line.partition(":")[0] for line in lines[1:]} == {f"TALLY_{name}" for name in wrong}


async def test_an_unknown_setting_is_warned_of_once(opensearch_url: str, tmp_path: Path) -> None:
    with start(tmp_path, opensearch_url, "serve", "--workers", "2", PROT="9", METRICSS="no") as service:
        await serving(service)
        told = [json.loads(line) for line in service.err if "is not a setting" in line]
    assert [each["event"] for each in told] == [
        "TALLY_METRICSS is not a setting of Tally; did you mean TALLY_METRICS?",
        "TALLY_PROT is not a setting of Tally; did you mean TALLY_PORT?",
    ]
    assert all(each["level"] == "warning" for each in told)


async def test_a_key_from_a_file_has_no_white_space_around_it(opensearch_url: str, tmp_path: Path) -> None:
    with start(tmp_path, opensearch_url, API_KEY=f" {KEY}\n") as service:
        async with Client(await serving(service), KEY) as client:
            await client.ok("GET", "/v1/namespaces?limit=1", namespace=None)


async def test_one_of_several_hosts_is_enough(opensearch_url: str, tmp_path: Path) -> None:
    gone = [f"http://127.0.0.1:{free_port()}" for _ in range(3)]
    urls = ",".join([*gone[:2], opensearch_url, gone[2]])
    with start(tmp_path, urls) as service:
        async with Client(await serving(service), KEY) as client:
            await asyncio.sleep(2)
            for _ in range(10):
                assert await client.ok("GET", "/readyz") == {"status": "ready"}
                await client.ok("GET", "/v1/namespaces?limit=1", namespace=None)


@asynccontextmanager
async def endless(address: str) -> AsyncIterator[None]:
    """A request that is in flight until it is cut off."""
    name = f"endless-{os.getpid()}"

    async def body() -> AsyncIterator[bytes]:
        while True:
            yield b'{"metadata":{"n":1}}\n'
            await asyncio.sleep(0.1)

    async with Client(address, KEY, "default") as client:
        await client.call("POST", "/v1/buckets", {"bucket_name": name})
        request = asyncio.create_task(client.send("POST", f"/v1/buckets/{name}/objects/import", data=body()))
        # The other one is the question itself.
        while "tally_requests_in_flight 2.0" not in (await client.send("GET", "/metrics"))[1]:
            assert not request.done(), request.result()
            await asyncio.sleep(0.05)
        yield
        assert not request.done() or request.exception(), request.result()
        with pytest.raises(aiohttp.ClientError):
            await request


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("before", [(), (signal.SIGTERM,)])
async def test_the_second_ctrl_c_ends_at_once(
    opensearch_url: str, tmp_path: Path, workers: str, before: tuple[signal.Signals, ...]
) -> None:
    settings = {"SHUTDOWN_SECONDS": 60, "DRAIN_SECONDS": 60}
    with start(tmp_path, opensearch_url, "serve", "--workers", workers, **settings) as service:
        address = await serving(service)
        async with endless(address):
            for number in (*before, signal.SIGINT):
                service.send(number)
                await asyncio.sleep(0.5)
                assert service.process.poll() is None, "a request is in flight"
            service.send(signal.SIGINT)
            began = time.monotonic()
            assert await asyncio.to_thread(service.ended, 10) == 130
            assert time.monotonic() - began < 3
            await asyncio.to_thread(until, lambda: not using(tmp_path), 5, "something is left")
        assert await status_of(address, "/healthz") is None
        assert "Traceback" not in service.text
    # What was begun lies in a bucket of the shared namespace.
    with start(tmp_path, opensearch_url) as other:
        async with Client(await serving(other), KEY, "default") as client:
            await client.call("DELETE", f"/v1/buckets/endless-{os.getpid()}")


async def test_ctrl_c_while_opensearch_is_awaited(tmp_path: Path) -> None:
    """Nobody answers there, and nobody refuses: the first Ctrl-C is enough."""
    asked = asyncio.Event()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()  # to the end of the connection
        writer.close()

    silent = await asyncio.start_server(silence, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    with start(tmp_path, url) as service:
        await asyncio.wait_for(asked.wait(), 180)
        service.send(signal.SIGINT)
        assert await asyncio.to_thread(service.ended, 30) == 0
        assert "Traceback" not in service.text
    silent.close()


def running(folder: Path) -> list[str]:
    """Command lines of what uses a data folder."""
    pids = [int(each.split()[0]) for each in using(folder)]
    return [" ".join(psutil.Process(pid).cmdline()) for pid in pids if psutil.pid_exists(pid)]


def test_the_second_ctrl_c_ends_run_and_its_opensearch_goes_too(tmp_path: Path) -> None:
    with Service("run", folder=tmp_path, settings={"PORT": free_port(), "SAMPLE": 0}) as service:
        until(lambda: any("org.opensearch" in each for each in running(tmp_path)), 180, "no OpenSearch")
        service.send(signal.SIGINT)
        service.send(signal.SIGINT)
        began = time.monotonic()
        code = service.process.wait(20)
        assert time.monotonic() - began < 10
        assert code in (0, 130), "its end may be quicker than the second signal"
        until(lambda: not using(tmp_path), 60, "OpenSearch is left")
        assert "Traceback" not in service.text
