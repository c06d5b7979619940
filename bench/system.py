"""What is measured: one embedded OpenSearch, and the service on it as a process of its own."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from service.cli.embedded import EmbeddedNode, default_cache, ensure_home

KEY = "sk_bench_0123456789"
NAMESPACE = "bench"


@dataclass(frozen=True)
class System:
    """Both ends: OpenSearch itself, and the service before it."""

    bare: aiohttp.ClientSession
    tally: aiohttp.ClientSession
    address: str
    pid: int
    quiet: aiohttp.ClientSession
    """To a second service, which counts nothing and logs warnings only."""

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        return await _send(self.tally, method, path, body)

    async def ask_quiet(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        return await _send(self.quiet, method, path, body)

    async def ask_bare(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        return await _send(self.bare, method, path, body)


async def _send(session: aiohttp.ClientSession, method: str, path: str, body: Mapping[str, Any] | None) -> bytes:
    data = None if body is None else orjson.dumps(body)
    async with session.request(method, path, data=data) as response:
        answer = await response.read()
    if response.status >= 300:
        raise RuntimeError(f"{method} {path}: {response.status} {answer[:500]!r}")
    return answer


@asynccontextmanager
async def started(heap: str) -> AsyncIterator[System]:
    home = await asyncio.to_thread(ensure_home, default_cache())
    node = EmbeddedNode(home, heap=heap)
    await node.astart()
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            _service(node.url, Path(folder)) as (address, pid),
            _service(node.url, Path(folder), METRICS="false", LOG_LEVEL="warning") as (quiet_address, _),
        ):
            headers = {"Content-Type": "application/json"}
            ours = {**headers, "Authorization": f"Bearer {KEY}", "X-Namespace": NAMESPACE}
            timeout = aiohttp.ClientTimeout(total=None)
            async with (
                aiohttp.ClientSession(node.url, headers=headers, timeout=timeout) as bare,
                aiohttp.ClientSession(address, headers=ours, timeout=timeout) as tally,
                aiohttp.ClientSession(quiet_address, headers=ours, timeout=timeout) as quiet,
            ):
                system = System(bare, tally, address, pid, quiet)
                await system.ask("POST", "/v1/namespaces", {"namespace_name": NAMESPACE})
                yield system
    finally:
        await node.astop()


@contextmanager
def _service(url: str, folder: Path, **more: str) -> Iterator[tuple[str, int]]:
    """Its address and process id; `more` settings."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"OPENSEARCH_URL": url, "PORT": str(port), "API_KEY": KEY, "DATA_DIR": str(folder), "LOG_FORMAT": "json"}
    settings |= more
    environment = {**os.environ, **{f"TALLY_{name}": value for name, value in settings.items()}}
    # It ends with us, however we end: the hidden option makes it read our pipe.
    command = [sys.executable, "-m", "service", "serve", "--child"]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        _drain(process)
        address = f"http://127.0.0.1:{port}"
        _await(f"{address}/readyz")
        yield address, process.pid
    finally:
        process.terminate()
        process.wait(30)


def _await(url: str) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def _drain(process: "subprocess.Popen[bytes]") -> None:
    """Shows what it complains of; a full pipe would stop it."""
    stream = process.stderr
    assert stream

    def read() -> None:
        for line in stream:
            if b'"level": "info"' not in line:
                print(line.decode(errors="replace").rstrip())
        if process.wait():
            print(f"the service ended with code {process.returncode}")

    threading.Thread(target=read, daemon=True).start()
