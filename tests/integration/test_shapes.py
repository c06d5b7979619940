"""The shape of one object, or of one bucket, never gets in another's way; what cannot be indexed is refused alone."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from service.serving import served
from service.settings import Settings
from tests.support.client import Client

Json = Any

AUTHORS: list[Json] = [
    "Ann", 2024, 2024.5, "2024", True, "true", None, {"name": "Ann"}, {"name": 7}, ["Ann", 2024], [], "2024-01-31",
    2**60, [{"name": "Ann"}], "x" * 9_000,
]  # fmt: skip
"""A text here, a number there, an object elsewhere."""


async def make(client: Client, namespace: Json) -> str:
    body = {"bucket_name": f"shape-{os.urandom(5).hex()}"}
    return str((await client.ok("POST", "/v1/buckets", body, namespace=namespace))["bucket_id"])


async def groups(client: Client, bucket: str, field: str, **more: Json) -> list[tuple[Json, int]]:
    spec = {"group_by": [{"field": field}], "aggregations": [{"function": "count", "alias": "n"}], **more}
    rows = (await client.aggregate(bucket, spec))["results"]
    return [(row["group"][field], row["metrics"]["n"]) for row in rows]


@pytest.mark.parametrize(
    ("place", "backwards"), [("author", False), ("metadata.author", True), ("metadata.deep.author", False)]
)
async def test_every_shape_in_one_bucket(client: Client, bucket: str, place: str, backwards: bool) -> None:
    """Each comes back, groups by itself and is found by its own value, whichever came first."""
    order = AUTHORS[::-1] if backwards else AUTHORS
    for author in order:
        item = author
        for step in reversed(place.split(".")):
            item = {step: item}
        await client.create(bucket, item)
    found = await groups(client, bucket, place)
    assert len(found) == len(AUTHORS), found
    assert all(count == 1 for _, count in found)
    for author in AUTHORS:
        assert any(value == author and type(value) is type(author) for value, _ in found), author
        if author == []:
            continue  # an empty array equals nothing but itself, and below any array with one inside
        matched = [value for value, _ in await groups(client, bucket, place, filters={place: {"$eq": author}})]
        inside = (
            [["Ann", 2024]] if author in ("Ann", 2024) else [[{"name": "Ann"}]] if author == {"name": "Ann"} else []
        )
        assert author in matched
        assert len(matched) == 1 + len(inside), (author, matched)
        for array in inside:
            assert array in matched, "MongoDB: an array matches by its elements"
    numbers = [value for value, _ in await groups(client, bucket, place, filters={place: {"$gte": 2024}})]
    assert sorted(value for value in numbers if not isinstance(value, list)) == [2024, 2024.5, 2**60]
    named = [value for value, _ in await groups(client, bucket, place, filters={f"{place}.name": "Ann"})]
    assert named == [{"name": "Ann"}, [{"name": "Ann"}]]


@pytest.fixture(scope="module")
async def space(client: Client) -> AsyncIterator[Client]:
    """A namespace of its own, so that it is known which bucket was the first to bring a field."""
    name = f"shapes-{os.urandom(5).hex()}"
    await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    async with Client(client.address, client.key, name) as space:
        yield space
    await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)


SHAPES: dict[str, list[Json]] = {
    "text": ["b", "a"],
    "number": [2, 1.5],
    "long": [2**60, 2**60 + 1],
    "boolean": [True, False],
    "date": ["2024-01-31", "2024-01-31T10:00:00Z"],
    "object": [{"x": 1}, {"x": "1"}],
    "array": [[1, 2], ["a"]],
    "null": [None, None],
}


@pytest.mark.parametrize("turn", range(0, len(SHAPES), 2))
async def test_every_shape_in_a_bucket_of_its_own(space: Client, turn: int) -> None:
    """One field in eight buckets of one namespace; every other shape is the first one once."""
    field = f"f{turn}"
    kinds = list(SHAPES)[turn:] + list(SHAPES)[:turn]
    buckets = {kind: await make(space, space.namespace) for kind in kinds}
    for kind in kinds:
        await space.batch(buckets[kind], [{field: value, "metadata": {field: value}} for value in SHAPES[kind]])
    for kind, path in itertools.product(kinds, (field, f"metadata.{field}")):
        found = await groups(space, buckets[kind], path)
        expected = {repr(value) for value in SHAPES[kind]}
        assert {repr(value) for value, _ in found} == expected, kind
        if kind not in ("object", "array"):
            for value in SHAPES[kind]:
                matched = await groups(space, buckets[kind], path, filters={path: value})
                assert [repr(each) for each, _ in matched] == [repr(value)], kind


async def test_a_field_is_renamed_by_nobody_under_a_race(space: Client) -> None:
    """Ten writers bring ten fields in ten different types at once; every value stays findable by its type."""
    bucket = await make(space, space.namespace)
    values: list[Json] = ["a", 1, 1.5, True, "2024-01-31", 2**60, {"x": 1}, [1], None, "b"]
    items = [{f"race{field}": values[(writer + field) % 10] for field in range(10)} for writer in range(10)]
    await asyncio.gather(*(space.create(bucket, item) for item in items))
    for field in range(10):
        found = [value for value, _ in await groups(space, bucket, f"race{field}")]
        assert sorted(map(repr, found)) == sorted(map(repr, values))


# Dates that are near the beginning of time, as computers count it

EPOCH = [
    "1970-01-01", "1970-01-01T00:00:00.001Z", "1970-01-01T00:00:01.970Z", "1970-01-01T00:00:02.024Z",
    "1970-01-01T00:00:09.999Z", "1970-01-01T00:00:10Z", "1969-12-31T23:59:58Z", "0001-01-01", "9999-12-31",
]  # fmt: skip


async def test_a_date_is_never_taken_for_a_year(client: Client, bucket: str) -> None:
    await client.batch(bucket, [{"at": date} for date in EPOCH])
    spec = {
        "group_by": [{"field": "at", "date_trunc": "year"}],
        "aggregations": [{"function": "count", "alias": "n"}],
    }
    rows = (await client.aggregate(bucket, spec))["results"]
    assert [(row["group"]["at"][:4], row["metrics"]["n"]) for row in rows] == [
        ("0001", 1),
        ("1969", 1),
        ("1970", 6),
        ("9999", 1),
    ]
    early = await groups(client, bucket, "at", filters={"at": {"$gte": "1970-01-01", "$lt": "1970-01-01T00:00:10Z"}})
    assert sorted(value for value, _ in early) == sorted(EPOCH[:5])


# Limits


@pytest.fixture(scope="module")
async def narrow(settings: Settings, client: Client) -> AsyncIterator[Client]:
    """A service that lets a bucket have twelve field paths, on the same OpenSearch."""
    few = settings.model_copy(update={"field_budget": 12})
    async with served(few, "k") as address, Client(address, "k", client.namespace) as narrow:
        yield narrow


def wide(count: int, prefix: str = "f") -> Json:
    return {"metadata": {f"{prefix}{number}": number for number in range(count)}}


async def test_the_field_budget_refuses_one_object_and_names_path_and_limit(narrow: Client, bucket: str) -> None:
    path = f"/v1/buckets/{bucket}/objects"
    ((at, message),) = await narrow.problems("POST", path, wide(20))
    assert at == ["body", "metadata", "f11"], "`metadata` is a path, too: the thirteenth is the one too many"
    assert "12" in message
    answer = await narrow.batch(bucket, [wide(5), wide(50, "g"), wide(5), {"metadata": {"f1": "text"}}, wide(11)])
    assert [each["object_index"] for each in answer["failed"]] == [1, 4]
    assert all("12" in each["error"] for each in answer["failed"])
    await narrow.create(bucket, wide(10))
    await narrow.create(bucket, {"metadata": {"f3": ["another", {}]}})
    ((at, _),) = await narrow.problems("POST", path, {"one": {"more": 1}})
    assert at[:2] == ["body", "one"]
    lines = b'{"metadata":{"f1":1}}\n{"metadata":{"new":1}}\n{"metadata":{"f2":[1]}}\n'
    answer = await narrow.ok("POST", f"{path}/import", data=lines)
    assert (answer["succeeded_count"], [each["line"] for each in answer["errors"]]) == (2, [2])
    assert (await narrow.ok("GET", f"/v1/buckets/{bucket}"))["object_count"] == 7


async def test_a_refused_object_leaves_no_trace(narrow: Client, bucket: str) -> None:
    """Its fields count for nobody, and give no name a type."""
    path = f"/v1/buckets/{bucket}/objects"
    for number in range(5):
        await narrow.problems("POST", path, wide(20, f"try{number}-"))
    await narrow.problems("POST", path, {"metadata": {"a": "text", "b": 2**64}})
    await narrow.create(bucket, wide(10, "fine"))
    assert len(await groups(narrow, bucket, "metadata.fine3")) == 1


async def test_a_full_index_refuses_new_fields_and_takes_known_ones(client: Client, opensearch_url: str) -> None:
    """The namespace's index has a limit of its own; what fits into it still comes in."""
    name = f"full-{os.urandom(5).hex()}"
    made = await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    try:
        bucket = await make(client, name)
        path = f"/v1/buckets/{bucket}/objects"
        await client.ok("POST", path, {"metadata": {"known": 1}}, namespace=name)
        index = f"{opensearch_url}/tally-objects-{made['namespace_id']}-000001/_settings"
        limit = {"index.mapping.total_fields.limit": 20}
        async with aiohttp.ClientSession() as session, session.put(index, json=limit) as response:
            assert response.status == 200
        items = [{"metadata": {"known": 2}}, wide(30), {"metadata": {"known": 3}}]
        answer = await client.ok("POST", f"{path}/batch", {"objects": items}, namespace=name)
        assert (answer["succeeded_count"], [each["object_index"] for each in answer["failed"]]) == (2, [1])
        ((at, message),) = await client.problems("POST", path, {"metadata": {"deep": wide(30)}}, namespace=name)
        assert at[:3] == ["body", "metadata", "deep"]
        assert "namespace" in message
    finally:
        await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)
