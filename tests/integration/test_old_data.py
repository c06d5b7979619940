"""A bucket with documents of the first layout, without folded forms and numbers of blobs, answers as exactly."""

from typing import Any

import aiohttp
import pytest

from tests.support.client import Client

Json = Any
AGED = "ctx._source.metadata.remove('name@fold'); ctx._source.remove('status@fold'); ctx._source.remove('@blob_count')"
LISTS: list[tuple[Json, list[int]]] = [
    ({}, [0, 1, 2, 3, 4]),
    ({"filters": {"metadata.name": "ÉTÉ"}}, [0, 1]),
    ({"filters": {"field": "metadata.name", "operator": "text", "value": "É"}}, [0, 1, 4]),
    ({"filters": {"field": "metadata.name", "operator": "starts_with", "value": "STRASS"}}, [2]),
    ({"filters": {"field": "metadata.name", "operator": "regex", "value": "^É"}}, [0, 1]),
    ({"filters": {"field": "metadata.name", "operator": "gt", "value": "T"}}, [0, 1, 4]),
    ({"filters": {"field": "metadata.name", "operator": "contains", "value": "CAFÉ"}}, [4]),
    ({"filters": {"status": "Active"}}, [1, 3]),
    ({"filters": {"metadata.name": "ÉTÉ"}, "case_sensitive": True}, [0]),
    ({"search": "ÉT"}, [0, 1]),
    ({"sort": {"field": "metadata.n", "direction": "desc"}}, [4, 3, 2, 1, 0]),
]


@pytest.fixture
async def old(client: Client, bucket: str, opensearch_url: str) -> str:
    """Made now, and rewritten as it would have been then."""
    names: list[Json] = ["ÉTÉ", "été", "Straße", 5, ["Café", "x"]]
    items = [
        {
            "metadata": {"name": name, "n": n},
            "status": ("DRAFT", "ACTIVE")[n % 2],
            "blobs": [{"property": "p", "type": "text", "data": "x"}] * n,
        }
        for n, name in enumerate(names)
    ]
    assert (await client.batch(bucket, items))["failed"] == []
    async with aiohttp.ClientSession(opensearch_url, raise_for_status=True) as opensearch:
        body = {"query": {"term": {"bucket_id": bucket}}, "script": {"source": AGED}}
        await opensearch.post("/tally-objects-*/_update_by_query?refresh=true", json=body)
        script = {"script": {"source": "ctx._source.body.remove('layout')"}}
        await opensearch.post(f"/tally-catalog/_update/fields:{bucket}", json=script)
        async with opensearch.get(f"/tally-catalog/_doc/fields:{bucket}") as response:
            assert "layout" not in (await response.json())["_source"]["body"]
    return bucket


async def test_lists(client: Client, old: str) -> None:
    for body, wanted in LISTS:
        answer = await client.ok("POST", f"/v1/buckets/{old}/objects/list", body)
        assert [each["metadata"]["n"] for each in answer["results"]] == wanted, body
        assert answer["stats"]["total_objects"] == answer["total_count"] == len(wanted)
        assert answer["stats"]["total_blobs"] == sum(wanted), body
        assert sum(answer["stats"]["objects_by_status"].values()) == len(wanted)


async def test_old_and_new_side_by_side(client: Client, old: str) -> None:
    await client.create(old, {"metadata": {"name": "ÉtÉ", "n": 5}, "blobs": [{"property": "p", "type": "text"}]})
    answer = await client.ok("POST", f"/v1/buckets/{old}/objects/list", {"filters": {"metadata.name": "éTé"}})
    assert [each["metadata"]["n"] for each in answer["results"]] == [0, 1, 5]
    assert answer["stats"]["total_blobs"] == 2
    spec = {
        "filters": {"field": "metadata.name", "operator": "text", "value": "ÉTÉ"},
        "group_by": [{"field": "metadata.name", "alias": "name"}],
        "aggregations": [{"function": "count", "alias": "n"}],
    }
    rows = (await client.aggregate(old, spec))["results"]
    assert [(row["group"]["name"], row["metrics"]["n"]) for row in rows] == [("ÉTÉ", 1), ("ÉtÉ", 1), ("été", 1)]
    walked: list[int] = []
    cursor: Any = "*"
    while cursor is not None:
        body = {"limit": 2, "sort": {"field": "metadata.n", "direction": "desc"}, "cursor": cursor, "search": "É"}
        answer = await client.ok("POST", f"/v1/buckets/{old}/objects/list", body)
        walked += [each["metadata"]["n"] for each in answer["results"]]
        cursor = answer["pagination"]["next_cursor"]
    assert walked == [5, 4, 1, 0]
