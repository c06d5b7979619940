"""The way out: all objects that match, as lines, and a stream that breaks is cut off."""

import json
import os
from typing import Any

import aiohttp
import pytest

from service.errors import Unavailable
from service.listing.sources import ObjectListSource
from tests.support.client import Client

Json = Any


@pytest.fixture(scope="module")
async def filled(client: Client) -> str:
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": f"export-{os.urandom(4).hex()}"})
    lines = "\n".join(json.dumps({"n": n, "metadata": {"odd": bool(n % 2), "s": "été"}}) for n in range(3_456))
    await client.ok("POST", f"/v1/buckets/{made['bucket_id']}/objects/import", data=lines)
    return f"/v1/buckets/{made['bucket_id']}/objects"


async def exported(client: Client, path: str, body: Json = None, method: str = "POST") -> list[Json]:
    status, text, headers = await client.send(method, path, body)
    assert status == 200, text
    assert headers["Content-Type"] == "application/x-ndjson"
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


async def test_everything_comes_out_as_it_went_in(client: Client, filled: str) -> None:
    for method in ("GET", "POST"):
        items = await exported(client, f"{filled}/export", method=method)
        assert [item["n"] for item in items] == list(range(3_456))
    one = items[77]
    assert one == await client.ok("GET", f"{filled}/{one['object_id']}")


async def test_filters_sort_search_and_select(client: Client, filled: str) -> None:
    body = {"filters": {"metadata.odd": True}, "sort": {"field": "n", "direction": "desc"}, "select": ["n"]}
    items = await exported(client, f"{filled}/export", body)
    assert [item["n"] for item in items] == list(range(3_455, 0, -2))
    assert items[0].keys() == {"object_id", "bucket_id", "n"}
    inexact = {"filters": {"field": "metadata.s", "operator": "words", "value": "ÉTÉ"}, "search": "T"}
    assert len(await exported(client, f"{filled}/export", inexact)) == 3_456
    assert await exported(client, f"{filled}/export", {"filters": {"n": -1}}) == []
    assert len(await exported(client, f"{filled}/export?metadata.odd=true", method="GET")) == 1_728


async def test_what_is_wrong_is_told_before_the_stream(client: Client, filled: str) -> None:
    for body in ({"filters": {"field": "n", "operator": "like"}}, {"sort": {"field": ""}}, {"select": ["a..b"]}):
        await client.problems("POST", f"{filled}/export", body)
    assert (await client.call("GET", "/v1/buckets/nothing/objects/export"))[0] == 404


async def test_a_stream_that_breaks_is_cut_off(client: Client, filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can take it for whole: the transfer does not end as it should."""
    search = ObjectListSource.search
    asked = 0

    async def fails(self: ObjectListSource, body: Json, view: str | None) -> Any:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise Unavailable("OpenSearch cannot be reached")
        return await search(self, body, view)

    monkeypatch.setattr(ObjectListSource, "search", fails)
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.send("GET", f"{filled}/export")
    assert asked == 3
    asked = 2
    assert (await client.call("GET", f"{filled}/export"))[0] == 503, "before the first line it is an answer"


async def test_a_reader_that_leaves_ends_it(client: Client, filled: str) -> None:
    async with client.session.get(
        f"{filled}/export", headers={"Authorization": f"Bearer {client.key}", "X-Namespace": str(client.namespace)}
    ) as response:
        assert await response.content.readline()
    assert len(await exported(client, f"{filled}/export")) == 3_456
