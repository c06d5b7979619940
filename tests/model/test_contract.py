"""The model's storage does what OpenSearch does: both pass the same test."""

import os
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from service.storage.catalog import Catalog
from service.storage.documents import CatalogMissing, DocumentStore, Version
from service.storage.gateway import Conflict, Gateway, Refresher
from tests.model.world import InTurn, MemoryDocuments, Process, World


@pytest.fixture
async def gateway(opensearch_url: str) -> AsyncIterator[Gateway]:
    gateway = Gateway(opensearch_url)
    yield gateway
    await gateway.close()


async def contract(documents: DocumentStore | MemoryDocuments) -> None:
    first = await documents.put("a", {"n": 1, "deep": {"x": 1, "y": 2}, "ops": ["1"]}, None)
    with pytest.raises(Conflict):
        await documents.put("a", {"n": 2}, None)
    second = await documents.put("a", {"n": 2, "deep": {"x": 1, "y": 2}, "ops": ["1", "2"]}, first)
    assert second > first
    for stale in (first, Version(second.seq_no + 100, 1)):
        with pytest.raises(Conflict):
            await documents.put("a", {"n": 3}, stale)
        with pytest.raises(Conflict):
            await documents.patch("a", {"n": 3}, stale)
        with pytest.raises(Conflict):
            await documents.remove("a", stale)
    third = await documents.patch("a", {"deep": {"y": None, "z": 3}, "n": None, "ops": ["2", "3"]}, second)
    found, missing, version = await documents.read(["a", "b"], ["a"])
    assert found["_source"] == {"n": None, "deep": {"x": 1, "y": None, "z": 3}, "ops": ["2", "3"]}
    assert Version.of(found) == third == Version.of(version)
    assert (first.op, second.op, third.op) == ("1", "2", "3")
    assert missing["found"] is False
    await documents.remove("a", third)
    for version in (third, first):
        with pytest.raises(Conflict):
            await documents.remove("a", version)
        with pytest.raises(Conflict):
            await documents.put("a", {}, version)
        with pytest.raises(Conflict):
            await documents.patch("a", {}, version)
    await documents.remove("a", None)
    again = await documents.put("a", {"n": 4}, None)
    assert again > third
    with pytest.raises(Conflict):
        await documents.remove("a", third)
    await documents.remove("a", None)
    assert [each["found"] for each in await documents.read(["a"])] == [False]


async def test_opensearch(gateway: Gateway) -> None:
    alias = f"model-{os.urandom(4).hex()}"
    body = {"aliases": {alias: {}}, "mappings": {"dynamic": False}, "settings": {"number_of_replicas": 0}}
    await gateway.request("PUT", f"/{alias}-000001", body)
    try:
        await contract(DocumentStore(gateway, alias))
    finally:
        await gateway.request("DELETE", f"/{alias}-000001")


async def test_without_the_alias(gateway: Gateway) -> None:
    told: list[int] = []
    alias = f"model-{os.urandom(4).hex()}"
    documents = DocumentStore(gateway, alias, on_missing=lambda: told.append(1))
    attempts: list[Coroutine[Any, Any, Any]] = [
        documents.read(["a"]),
        documents.put("a", {}, None),
        documents.put("a", {}, Version(1, 1)),
        documents.patch("a", {}, Version(1, 1)),
        documents.remove("a", Version(1, 1)),
        documents.remove("a", None),
        documents.search({"size": 0}),
    ]
    for attempt in attempts:
        with pytest.raises(CatalogMissing):
            await attempt
    assert len(told) == len(attempts)
    assert await gateway.json("GET", f"/{alias}*/_alias") == {}, "no index was made"


async def test_the_alias_goes_right_after_a_write(gateway: Gateway) -> None:
    """Refreshing what was written then says what it is, as every other request does."""
    alias = f"model-{os.urandom(4).hex()}"
    await gateway.request("PUT", f"/{alias}-000001", {"aliases": {alias: {}}, "mappings": {"dynamic": False}})

    async def refresh(_: str) -> None:
        await gateway.request("DELETE", f"/{alias}-000001")
        await Refresher(gateway).refresh(alias)

    catalog = Catalog(gateway, refresh, DocumentStore(gateway, alias))
    with pytest.raises(CatalogMissing):
        await catalog.create("a", "bucket", "", "a", {"created_at": 1}, {"name": "a"})


def test_the_model() -> None:
    world, process = World(InTurn(), 0), Process("one")
    world.start(process, contract(MemoryDocuments(world, process)))
    world.run()
