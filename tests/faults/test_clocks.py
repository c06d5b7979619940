"""A service whose clock is ten minutes ahead: it goes by OpenSearch's, as the others do."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.conftest import KEY
from tests.support.client import Client
from tests.support.processes import Service, free_port
from tests.support.records import Project, container, record

AHEAD = 600


@pytest.fixture(scope="module")
async def ahead(opensearch_url: str, client: Client, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """A client of that service."""
    folder = tmp_path_factory.mktemp("ahead")
    settings = {"OPENSEARCH_URL": opensearch_url, "PORT": free_port(), "API_KEY": KEY, "LOG_FORMAT": "json"}
    with Service("serve", folder=folder, settings=settings, clock=AHEAD) as service:
        await asyncio.to_thread(service.says, "clock differs from OpenSearch's", 120)
        await asyncio.to_thread(service.says, '"serving"', 120)
        async with Client(f"http://127.0.0.1:{settings['PORT']}", KEY, client.namespace) as other:
            yield other


def millis(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC).timestamp() * 1_000


async def test_the_difference_is_told(ahead: Client) -> None:
    _, text, _ = await ahead.send("GET", "/metrics", namespace=None)
    (line,) = (line for line in text.splitlines() if line.startswith("tally_clock_ahead_seconds "))
    assert float(line.split()[1]) == pytest.approx(AHEAD, abs=5)


async def test_one_time_for_both(client: Client, ahead: Client, bucket: str) -> None:
    path = f"/v1/buckets/{bucket}"
    now = time.time() * 1_000
    for each in (client, ahead):
        made = await each.ok("POST", f"{path}/objects", {"n": 1})
        assert millis(made["created_at"]) == pytest.approx(now, abs=30_000)
    await client.ok("PATCH", path, {"ttl_seconds": 120})
    for each in (client, ahead):
        assert (await each.ok("GET", path))["object_count"] == 2, "nothing has expired"
        assert (await each.ok("POST", f"{path}/objects/list"))["total_count"] == 2
    await client.ok("PATCH", path, {"ttl_seconds": None})


async def test_cursors_of_one_at_the_other(client: Client, ahead: Client, bucket: str) -> None:
    path = f"/v1/buckets/{bucket}/objects"
    await client.ok("POST", f"{path}/batch", {"objects": [{"n": n} for n in range(6)]})
    body = {"sort": {"field": "n", "direction": "asc"}}
    for one, other in ((client, ahead), (ahead, client)):
        page = await one.ok("POST", f"{path}/list?page_size=2", {**body, "cursor": "*"})
        seen = [each["n"] for each in page["results"]]
        for each in (other, one):
            page = await each.ok(
                "POST", f"{path}/list?page_size=2", {**body, "cursor": page["pagination"]["next_cursor"]}
            )
            seen += [each["n"] for each in page["results"]]
        assert seen == [0, 1, 2, 3, 4, 5]


async def test_names_are_unique(client: Client, ahead: Client) -> None:
    for _ in range(5):
        name = f"clock-{os.urandom(4).hex()}"
        calls = [
            each.call("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None) for each in (client, ahead)
        ]
        statuses = sorted([status for status, _ in await asyncio.gather(*calls)])
        assert statuses == [200, 409]
        await ahead.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)


async def test_records_that_one_wrote_are_found_by_the_other(client: Client, ahead: Client, tmp_path: Path) -> None:
    async with Project.made(client) as project:
        await project.spaces("s")
        await project.containers(container({"n": {"type": "int64"}}))
        id = await project.stream(template="ImmutableTestStream")
        others = project.at(ahead)
        await project.ingest(id, record("a", {"n": 1}))
        await others.ingest(id, record("b", {"n": 2}))
        for each in (project, others):
            await each.ingest(id, record("a", {"n": 1}), record("b", {"n": 2}))  # equal ones are dropped
            recent = {"gt": int((time.time() - 300) * 1_000), "lt": int((time.time() + 300) * 1_000)}
            assert sorted(await each.ids(id, lastUpdatedTime=recent)) == ["a", "b"]
            assert await each.count(id, lastUpdatedTime=recent) == 2
            items, _ = await each.news(id)
            assert sorted(item["externalId"] for item in items) == ["a", "b"]
