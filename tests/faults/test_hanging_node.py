"""A node that hangs takes connections and says nothing: it is asked once, and the other nodes after that."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from service.serving import served
from service.settings import Settings
from tests.conftest import KEY
from tests.support.client import Client


@pytest.fixture
async def hanging() -> AsyncIterator[str]:
    """Its address; the kernel takes connections for it."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


async def test_a_node_that_hangs_is_put_aside(
    settings: Settings, client: Client, bucket: str, opensearch_url: str, hanging: str
) -> None:
    changed = settings.model_copy(
        update={
            "opensearch_url": f"{opensearch_url},{hanging},{hanging}",
            "opensearch_timeout": 1.5,
            "caretaking_seconds": 3_600,
        }
    )
    path = f"/v1/buckets/{bucket}/objects"
    async with served(changed, KEY) as address, Client(address, KEY, client.namespace) as other:
        for n in range(4):
            await other.call("POST", path, {"n": n})  # may be the one that meets it
        for n in range(10):
            await other.ok("POST", path, {"n": n})
            await other.ok("POST", f"{path}/list")
            await asyncio.sleep(0.05)
