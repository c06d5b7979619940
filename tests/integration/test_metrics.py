"""/metrics: numbers in Prometheus' format, for those who have the key, naming no tenant."""

import asyncio
import os
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import KEY
from tests.support.client import Client
from tests.support.processes import Service, free_port


async def scraped(client: Client) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    status, text, headers = await client.send("GET", "/metrics", namespace=None)
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_counts_what_was_done(client: Client, bucket: str) -> None:
    await client.batch(bucket, [{"metadata": {"a": number % 3}} for number in range(9)])
    before = await scraped(client)
    spec = {"group_by": [{"field": "metadata.a"}], "aggregations": [{"function": "count", "alias": "n"}]}
    for _ in range(5):
        await client.aggregate(bucket, spec)
    assert (await client.call("GET", "/v1/buckets/none"))[0] == 404
    after = await scraped(client)

    def grown(name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return after[key] - before.get(key, 0)

    route = "/v1/buckets/{bucket_identifier}/objects/aggregate"
    assert grown("tally_requests_total", method="POST", route=route, status="200") == 5
    assert grown("tally_request_seconds_count", method="POST", route=route) == 5
    assert grown("tally_groups_total") == 15
    assert grown("tally_aggregates_total", strategy="composite") == 5
    assert grown("tally_refusals_total", code="not_found") == 1
    assert grown("tally_opensearch_requests_total") >= 15
    assert grown("tally_response_bytes_total") > 500
    await asyncio.sleep(0.6)
    assert any(name == "tally_event_loop_lag_seconds_count" and value > 0 for (name, _), value in after.items())


async def test_points_in_time_are_closed(client: Client, bucket: str) -> None:
    """An unwound array needs one; it is closed with the answer."""
    await client.batch(bucket, [{"metadata": {"tags": ["a", "b"]}}])
    spec = {
        "group_by": [{"field": "metadata.tags"}],
        "unwind": "metadata.tags",
        "aggregations": [{"function": "count", "alias": "n"}],
    }
    before = (await scraped(client))["tally_open_points_in_time", ()]
    await client.aggregate(bucket, spec)
    assert (await scraped(client))["tally_open_points_in_time", ()] == before


async def test_is_for_those_who_have_the_key_and_names_no_tenant(client: Client, address: str) -> None:
    name = f"secret-{os.urandom(4).hex()}"
    await client.call("GET", f"/v1/buckets/{name}", namespace=name)
    await client.call("GET", f"/{name}", namespace=None)
    _, text, _ = await client.send("GET", "/metrics", namespace=None)
    assert name not in text
    assert not re.search(r"(bkt|ns|col|obj)_[0-9a-f]{10}", text)
    async with Client(address, "wrong") as stranger:
        status, _, _ = await stranger.send("GET", "/metrics", namespace=None)
    assert status == 401


async def test_several_processes_tell_their_numbers_together(opensearch_url: str, tmp_path: Path) -> None:
    port = free_port()
    settings = {"OPENSEARCH_URL": opensearch_url, "PORT": port, "API_KEY": KEY}
    with Service("serve", "--workers", "2", folder=tmp_path, settings=settings) as service:
        service.says("serving", 60)
        async with Client(f"http://127.0.0.1:{port}", KEY) as client:
            for _ in range(40):
                # Each on a connection of its own, so that both processes get some.
                async with Client(f"http://127.0.0.1:{port}", KEY) as one:
                    await one.ok("GET", "/v1/namespaces?limit=1", namespace=None)
            found = await scraped(client)
    labels = (("method", "GET"), ("route", "/v1/namespaces"), ("status", "200"))
    assert found["tally_requests_total", labels] == 40
