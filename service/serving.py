"""Serves the application: one process with graceful shutdown, or several that share a port."""

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
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final, NoReturn

import structlog
from aiohttp import web

from service import metrics
from service.settings import Settings
from service.web.docs import prepare
from service.web.keys import STATE, State
from service.web.protocol import Runner

log = structlog.get_logger()


_IDLE: Final = 75.0
"""Seconds after which a connection without a complete request is closed; load balancers reuse theirs for up to 60."""

_CUT: Final = 1.0
"""Seconds for requests that began just as all others had finished."""


_INTERRUPTED: Final = 130
"""The exit code that shells use for a process ended by Ctrl-C."""


@asynccontextmanager
async def served(settings: Settings, api_key: str) -> AsyncIterator[str]:
    """Yields the running service's address once OpenSearch is set up; on exit requests in flight may finish."""
    async with _listening(settings, api_key, shared_port=False) as (state, address):
        await state.opensearch_ready.wait()
        yield address


@asynccontextmanager
async def _listening(settings: Settings, api_key: str, *, shared_port: bool) -> AsyncIterator[tuple[State, str]]:
    """Listens even if OpenSearch is unreachable; on exit requests in flight may finish while `/readyz` fails."""
    from service.app import create_app  # slow to import: with `run`, OpenSearch starts meanwhile

    app = create_app(settings, api_key)
    described = asyncio.create_task(asyncio.to_thread(prepare))
    runner = Runner(
        app,
        access_log=None,
        handler_cancellation=True,
        keepalive_timeout=_IDLE,
        shutdown_timeout=_CUT,  # requests in flight have had their time already
        auto_decompress=False,  # web.reading does it, and detects a truncated gzip body
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
            yield app[STATE], f"http://{host}:{port}"
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


def stop_signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Two events: a stop was requested (SIGTERM, Ctrl-C), and it was by Ctrl-C; a second Ctrl-C ends the process."""
    asked, interrupted = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        if interrupted.is_set():
            end_at_once()
        interrupted.set()
        asked.set()

    loop.add_signal_handler(signal.SIGTERM, asked.set)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    return asked, interrupted


def end_at_once() -> NoReturn:
    """Ends the process as Ctrl-C does, without waiting; an OpenSearch that it started ends by itself."""
    if sys.stdout.isatty():
        sys.stdout.write("\x1b[?25h")  # a progress bar hides the cursor
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(_INTERRUPTED)


async def serve(settings: Settings, api_key: str, *, shared_port: bool = False) -> None:
    """Serves until asked to stop; after SIGTERM it continues for a while, reporting that it is not ready."""
    asked, interrupted = stop_signals()
    async with AsyncExitStack() as stack:
        entering = asyncio.create_task(
            stack.enter_async_context(_listening(settings, api_key, shared_port=shared_port))
        )
        stopping = asyncio.create_task(asked.wait())
        await asyncio.wait([entering, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not entering.done():
            entering.cancel()
            await asyncio.wait([entering])
            return
        state, _ = entering.result()
        await stopping
        state.draining = True
        log.info("draining", seconds=0 if interrupted.is_set() else settings.drain_seconds)
        with suppress(TimeoutError):
            await asyncio.wait_for(interrupted.wait(), settings.drain_seconds)


def serve_many(workers: int, settings: Settings, api_key: str) -> int:
    """Runs `workers` processes on one port and restarts any that die; they end with this process, however it ends."""
    check_port(settings)
    shared = tempfile.TemporaryDirectory(prefix="tally-metrics-")
    atexit.register(shared.cleanup)
    environment = {
        **os.environ,
        "TALLY_API_KEY": api_key,
        "TALLY_PORT": str(settings.port),
        # A scrape reaches one process, which reports the metrics of all of them.
        metrics.MANY: shared.name,
    }
    command = [sys.executable, "-m", "service", "serve", "--child"]
    stopping = threading.Event()

    def start() -> "subprocess.Popen[bytes]":
        # Each child reads a pipe that ends when this process does.
        return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603

    children = [start() for _ in range(workers)]

    interrupted = False

    def stop(number: int, _: object) -> None:
        nonlocal interrupted
        stopping.set()
        if number == signal.SIGINT and interrupted:
            for child in children:
                child.kill()
            shared.cleanup()
            end_at_once()
        interrupted = interrupted or number == signal.SIGINT
        for child in children:
            child.send_signal(number)

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
        child.stdin.close()  # also ends one that was starting when the signal arrived
    for child in children:
        try:
            child.wait(settings.drain_seconds + settings.shutdown_seconds + 10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    return 0


def end_with_parent() -> None:
    """Shuts this process down gracefully when the pipe on its standard input closes."""

    def watch() -> None:
        with suppress(OSError):
            while os.read(0, 1024):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
