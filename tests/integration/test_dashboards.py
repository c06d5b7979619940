"""What a person sees who looks at the indices with Dashboards, and that bootstrap may run again and again."""

import os
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from service.storage.bootstrap import bootstrap, ready
from service.storage.gateway import Gateway
from service.storage.templates import mappings
from tests.support.client import Client

Json = Any

FLIGHT = {
    "metadata": {
        "carrier": "UA",
        "distance": 1400.5,
        "flight": 1545,
        "late": True,
        "time_hour": "2013-01-01T10:00:00Z",
        "Origin Airport": "EWR",
        "plane": {"seats": 180},
    },
    "tags": ["a", "b"],
    "blobs": [{"property": "clip", "type": "video", "data": "hello"}],
    "key_prefix": "/flights",
    "status": "active",
}


@pytest.fixture(scope="module")
async def opensearch(opensearch_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(opensearch_url, raise_for_status=True) as session:
        yield session


@pytest.fixture(scope="module")
async def space(client: Client) -> AsyncIterator[Json]:
    """A namespace with capitals in its name, and one flight in it."""
    name = f"Nyc_Flights-{os.urandom(3).hex()}"
    made = await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    bucket = await client.ok("POST", "/v1/buckets", {"bucket_name": "flights"}, namespace=name)
    item = await client.ok("POST", f"/v1/buckets/{bucket['bucket_id']}/objects", FLIGHT, namespace=name)
    yield {**made, "bucket_id": bucket["bucket_id"], "item": item}
    await client.call("DELETE", f"/v1/namespaces/{made['namespace_id']}", namespace=None)


async def get(opensearch: aiohttp.ClientSession, path: str) -> Json:
    async with opensearch.get(path) as response:
        return await response.json()


def alias_of(name: str) -> str:
    """The readable alias: capitals, which index names lack, are written `+s`."""
    return "tally-objects." + "".join(f"+{letter.lower()}" if letter.isupper() else letter for letter in name)


async def test_fields_have_the_types_a_person_expects(opensearch: aiohttp.ClientSession, space: Json) -> None:
    found = (await get(opensearch, f"/tally-objects-{space['namespace_id']}/_field_caps?fields=*"))["fields"]
    types = {name: next(iter(kinds)) for name, kinds in found.items()}
    expected = {
        "metadata.carrier": "keyword",
        "metadata.distance": "double",
        "metadata.flight": "double",
        "metadata.late": "boolean",
        "metadata.time_hour": "keyword",
        "metadata.time_hour@date": "date",
        "metadata.Origin Airport": "keyword",
        "metadata.plane/seats": "double",
        "tags": "keyword",
        "blobs.type": "keyword",
        "@timestamp": "date",
        "created_at": "date",
        "status": "keyword",
        "key_prefix": "keyword",
        "bucket_id": "keyword",
        "object_id": "keyword",
    }
    assert {name: types.get(name) for name in expected} == expected
    for name in expected:
        (caps,) = found[name].values()
        assert (caps["searchable"], caps["aggregatable"]) == (True, True), name
    assert "blobs.data" not in types, "inline content is kept, not searched"


async def test_a_hit_reads_like_the_object(opensearch: aiohttp.ClientSession, space: Json) -> None:
    path = f"/{alias_of(space['namespace_name'])}/_search?q=metadata.carrier:UA".replace("+", "%2B")
    (hit,) = (await get(opensearch, path))["hits"]["hits"]
    source, item = hit["_source"], space["item"]
    assert hit["_id"] == source["object_id"] == item["object_id"]
    assert source["metadata"]["carrier"] == "UA"
    assert source["metadata"]["distance"] == 1400.5
    assert source["metadata"]["late"] is True
    assert source["tags"] == ["a", "b"]
    assert source["bucket_id"] == space["bucket_id"]
    assert (source["status"], source["key_prefix"]) == ("ACTIVE", "/flights")
    assert source["@timestamp"] == source["created_at"]
    assert source["created_at"].replace(".000Z", "Z") == item["created_at"]


async def test_the_readable_alias_follows_the_name(
    client: Client, opensearch: aiohttp.ClientSession, space: Json
) -> None:
    async def aliases() -> set[str]:
        return set((await get(opensearch, f"/{index}/_alias"))[index]["aliases"])

    id, name = space["namespace_id"], space["namespace_name"]
    index = f"tally-objects-{id}-000001"
    assert await aliases() == {f"tally-objects-{id}", alias_of(name)}
    other = f"renamed-{os.urandom(3).hex()}"
    await client.ok("PATCH", f"/v1/namespaces/{id}", {"namespace_name": other}, namespace=None)
    assert await aliases() == {f"tally-objects-{id}", f"tally-objects.{other}"}
    await client.ok("PATCH", f"/v1/namespaces/{id}", {"namespace_name": name}, namespace=None)
    assert await aliases() == {f"tally-objects-{id}", alias_of(name)}


async def test_a_deleted_namespace_leaves_no_index(client: Client, opensearch: aiohttp.ClientSession) -> None:
    name = f"gone-{os.urandom(3).hex()}"
    made = await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    pattern = f"/_cat/indices/tally-objects-{made['namespace_id']}*?format=json"
    assert len(await get(opensearch, pattern)) == 1
    told = await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)
    await client.task(told["task_id"])
    assert await get(opensearch, pattern) == []


@pytest.mark.parametrize(
    ("route", "kind", "name"),
    [
        ("_index_template", "index_template", "tally-objects"),
        ("_index_template", "index_template", "tally-catalog"),
        ("_component_template", "component_template", "tally-settings"),
    ],
)
async def test_templates_tell_who_keeps_them_and_their_version(
    opensearch: aiohttp.ClientSession, client: Client, route: str, kind: str, name: str
) -> None:
    ((_, (entry,)),) = (await get(opensearch, f"/{route}/{name}")).items()
    template = entry[kind]
    assert template["_meta"]["managed_by"] == "tally"
    assert template["_meta"]["description"]
    assert template["version"] == template["_meta"]["version"] >= 1


async def test_bootstrap_again_changes_nothing(opensearch: aiohttp.ClientSession, client: Client) -> None:
    async def state() -> Json:
        routes = ("/_index_template/tally-*", "/_component_template/tally-*", "/tally-catalog*")
        return [await get(opensearch, route) for route in routes]

    before = await state()
    gateway = Gateway(str(opensearch._base_url))
    try:
        assert [await bootstrap(gateway) for _ in range(2)] == [[], []]
        assert await ready(gateway)
    finally:
        await gateway.close()
    assert await state() == before


def test_every_file_of_mappings_is_put() -> None:
    names = sorted(str(file.relative_to(mappings())) for file in mappings().rglob("*.*"))
    templates = ["templates/tally-catalog.json", "templates/tally-objects.json", "templates/tally-records.json"]
    assert names == ["components/tally-settings.json", *templates]
