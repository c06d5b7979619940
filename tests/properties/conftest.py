"""What tests with Hypothesis share."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from service.serving import served
from service.settings import Settings
from tests.conftest import KEY
from tests.support.client import Client


@pytest.fixture(scope="module")
def elsewhere(settings: Settings) -> Iterator[Callable[[Callable[[Client], Coroutine[Any, Any, Any]]], Any]]:
    """Runs coroutines with a client, in a loop of another thread: Hypothesis knows no coroutines."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stop = asyncio.Event()
    ready: asyncio.Future[Client] = loop.create_future()

    async def serve() -> None:
        async with served(settings, KEY) as address, Client(address, KEY) as client:
            name = f"shrink-{os.getpid()}"
            await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
            client.namespace = name
            ready.set_result(client)
            await stop.wait()
            await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)

    async def client() -> Client:
        return await ready

    serving = asyncio.run_coroutine_threadsafe(serve(), loop)

    def run(work: Callable[[Client], Coroutine[Any, Any, Any]]) -> Any:
        async def with_client() -> Any:
            return await work(await client())

        return asyncio.run_coroutine_threadsafe(with_client(), loop).result(120)

    yield run
    loop.call_soon_threadsafe(stop.set)
    serving.result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
