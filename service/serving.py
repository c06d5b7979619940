"""Serves the application: one process that stops gently, or several that share a port."""

import asyncio
import atexit
import errno
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from aiohttp import web

from service import metrics
from service.settings import Settings
from service.web.docs import prepare
from service.web.keys import STATE

log = structlog.get_logger()


@asynccontextmanager
async def served(settings: Settings, api_key: str, *, shared_port: bool = False) -> AsyncIterator[str]:
    """The running service's address; at the end requests in flight may finish, while `/readyz` fails already."""
    from service.app import create_app  # takes a while: `run` has OpenSearch starting meanwhile

    app = create_app(settings, api_key)
    described = asyncio.create_task(asyncio.to_thread(prepare))
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=settings.shutdown_seconds,
        auto_decompress=False,  # web.reading does: it notices a gzip body that was cut off
        handle_signals=False,
    )
    await runner.setup()
    try:
        await described
        site = web.TCPSite(runner, settings.host, settings.port, reuse_port=shared_port or None, backlog=512)
        try:
            await site.start()
        except OSError as error:
            raise _cannot_listen(settings, error) from None
        port = runner.addresses[0][1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        log.info("serving", address=f"http://{host}:{port}")
        try:
            yield f"http://{host}:{port}"
        finally:
            state = app[STATE]
            state.draining = True
            state.idle.clear()
            if state.in_flight:
                with suppress(TimeoutError):
                    await asyncio.wait_for(state.idle.wait(), settings.shutdown_seconds)
    finally:
        await runner.cleanup()


def check_port(settings: Settings) -> None:
    """Fails at once, instead of after a long start, if the port is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError as error:
        raise _cannot_listen(settings, error) from None


def _cannot_listen(settings: Settings, error: OSError) -> OSError:
    if error.errno == errno.EADDRINUSE:
        return OSError(f"port {settings.port} of {settings.host} is taken; choose another with TALLY_PORT")
    return OSError(f"cannot listen on {settings.host}, port {settings.port}: {error.strerror or error}")


async def stopped() -> None:
    """Returns when the process is asked to stop (SIGTERM, Ctrl-C)."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


async def serve(settings: Settings, api_key: str, *, shared_port: bool = False) -> None:
    async with served(settings, api_key, shared_port=shared_port):
        await stopped()


def serve_many(workers: int, settings: Settings, api_key: str) -> int:
    """Runs so many processes on one port and starts again what dies; they end with this process, however it ends."""
    check_port(settings)
    shared = tempfile.TemporaryDirectory(prefix="tally-metrics-")
    atexit.register(shared.cleanup)
    environment = {
        **os.environ,
        "TALLY_API_KEY": api_key,
        "TALLY_PORT": str(settings.port),
        # One scrape meets one process; it tells the numbers of all of them.
        metrics.MANY: shared.name,
    }
    command = [sys.executable, "-m", "service", "serve", "--child"]
    stopping = threading.Event()

    def start() -> "subprocess.Popen[bytes]":
        # Each child reads a pipe that ends when this process does.
        return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603

    children = [start() for _ in range(workers)]

    def stop(*_: object) -> None:
        stopping.set()
        for child in children:
            child.terminate()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    while not stopping.is_set():
        for index, child in enumerate(children):
            if child.poll() is not None and not stopping.is_set():
                log.warning("a worker ended", code=child.returncode)
                time.sleep(1)
                if not stopping.is_set():
                    children[index] = start()
        time.sleep(0.2)
    for child in children:
        assert child.stdin  # noqa: S101 - it is a pipe
        child.stdin.close()  # ends one, too, that was being started when the signal came
    for child in children:
        try:
            child.wait(settings.shutdown_seconds + 10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    return 0


def end_with_parent() -> None:
    """Ends this process gently when the pipe on its standard input does."""

    def watch() -> None:
        with suppress(OSError):
            while os.read(0, 1024):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
