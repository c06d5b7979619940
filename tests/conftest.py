"""What tests share: one real OpenSearch, one service on it, one client."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.cli.embedded import EmbeddedNode, default_cache, ensure_home, prepare_start
from service.serving import served
from service.settings import Settings
from service.telemetry import set_up
from tests.support.client import Client

KEY = "sk_test_0123456789"
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def opensearch_url() -> Iterator[str]:
    """TALLY_TEST_OPENSEARCH_URL, else Docker through testcontainers, else an embedded node; none: tests fail."""
    given = os.environ.get("TALLY_TEST_OPENSEARCH_URL")
    if given:
        yield given
        return
    if _docker():
        from testcontainers.opensearch import OpenSearchContainer

        with OpenSearchContainer("opensearchproject/opensearch:3.8.0") as container:
            config = container.get_config()
            yield f"http://{config['host']}:{config['port']}"
        return
    home = ensure_home(default_cache())
    prepare_start(home)
    with EmbeddedNode(home, heap="1g") as node:
        yield node.url


def _docker() -> bool:
    """Whether there is a Docker engine; its client alone starts nothing."""
    return "DOCKER_HOST" in os.environ or Path("/var/run/docker.sock").is_socket()


@pytest.fixture(scope="session")
def settings(opensearch_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    set_up("json", "error")
    return Settings(
        opensearch_url=opensearch_url,
        port=0,
        data_dir=tmp_path_factory.mktemp("data"),
        log_format="json",
        log_level="warning",
    )


@pytest.fixture(scope="session")
async def address(settings: Settings) -> AsyncIterator[str]:
    """A running service."""
    async with served(settings, KEY) as address:
        yield address


@pytest.fixture(scope="session")
async def client(address: str) -> AsyncIterator[Client]:
    """A client of the service, in a namespace that the whole session shares: a data set is a bucket."""
    async with Client(address, KEY) as client:
        await client.ok("POST", "/v1/namespaces", {"namespace_name": f"test-{os.getpid()}"}, namespace=None)
        client.namespace = f"test-{os.getpid()}"
        yield client
        await client.ok("DELETE", f"/v1/namespaces/test-{os.getpid()}", namespace=None)


@pytest.fixture
async def bucket(client: Client, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A new bucket, by its id."""
    made: Any = await client.ok(
        "POST", "/v1/buckets", {"bucket_name": f"{request.node.name[:80]}-{os.urandom(4).hex()}"}
    )
    yield made["bucket_id"]
    await client.call("DELETE", f"/v1/buckets/{made['bucket_id']}")


def pytest_unconfigure() -> None:
    """DuckDB's binding tells of leaks of its own when the interpreter ends, after everything of ours was told."""
    if "duckdb" in sys.modules:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
