"""Keys that the vendor documents do what they say: the whole of `sorts`, a namespace's expiry, an object's `edges`."""

import asyncio
import itertools
import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp
import mixpeek
import pytest

from service.serving import served
from service.settings import Settings
from tests.conftest import KEY
from tests.support.client import Client
from tests.support.oracle.lists import list_objects

Json = Any

MIXED: Final[list[Json]] = [
    1, 2.5, -3, 2**60, 2**60 + 1, "b", "a", "B", "", True, False, None, [2, 9], ["a", 5], [], {"k": 1}, "2024-01-01",
    "2023-12-31T23:00:00-02:00", 1, "a",
]  # fmt: skip
ROWS: Final = 60


def payload(number: int) -> Json:
    """Few values of each field, so that later keys decide; every type and shape, null and missing among them."""
    item: dict[str, Json] = {"n": number, "team": "abc"[number % 3], "metadata": {"level": number % 4}}
    if number % 5:
        item["mixed"] = MIXED[number % len(MIXED)]
    if number % 7:
        item["metadata"]["day"] = ("2024-03-01", "2024-03-01T00:00:00Z", "2024-02-29", "0001-01-01")[number % 4]
    item["parts"] = [{"size": number % 2}, {"size": -(number % 3)}]
    return item


@pytest.fixture(scope="module")
async def listed(client: Client) -> AsyncIterator[tuple[str, list[Json]]]:
    """The path of a bucket's objects, and the objects in order of arrival."""
    schema = {"properties": {"day": {"type": "date"}}}
    made = await client.ok(
        "POST", "/v1/buckets", {"bucket_name": f"sorts-{os.urandom(4).hex()}", "bucket_schema": schema}
    )
    answer = await client.batch(made["bucket_id"], [payload(number) for number in range(ROWS)])
    yield f"/v1/buckets/{made['bucket_id']}/objects", answer["succeeded"]
    await client.ok("DELETE", f"/v1/buckets/{made['bucket_id']}")


def by(*keys: str) -> dict[str, Json]:
    """`-field` is a descending key."""
    return {
        "sorts": [{"field": key.removeprefix("-"), "direction": "desc" if key[0] == "-" else "asc"} for key in keys]
    }


def numbers(answer: Json) -> list[int]:
    return [each["n"] for each in answer["results"]]


async def whole(client: Client, path: str, body: Json) -> list[int]:
    return numbers(await client.ok("POST", f"{path}/list", {**body, "limit": 1_000}))


def expected(objects: list[Json], body: Json) -> list[int]:
    """By the oracle, which is written from the contract."""
    place = {each["object_id"]: each["n"] for each in objects}
    return [place[id] for id in list_objects(objects, body, ("day", "metadata.day")).ids]


# The whole of `sorts`


async def test_the_second_key_decides_between_ties(client: Client, listed: tuple[str, list[Json]]) -> None:
    path, _ = listed
    rows = range(ROWS)
    for body, wanted in (
        (by("team", "n"), sorted(rows, key=lambda n: (n % 3, n))),
        (by("team", "-n"), sorted(rows, key=lambda n: (n % 3, -n))),
        (by("-team", "n"), sorted(rows, key=lambda n: (-(n % 3), n))),
        (by("team", "level"), sorted(rows, key=lambda n: (n % 3, n % 4, n))),
        (by("-metadata.level", "team", "-n"), sorted(rows, key=lambda n: (-(n % 4), n % 3, -n))),
        (by("parts.size", "-team", "-n"), sorted(rows, key=lambda n: (min(n % 2, -(n % 3)), -(n % 3), -n))),
    ):
        assert await whole(client, path, body) == wanted, body
        assert numbers(await client.ok("POST", path, {**body, "limit": 1_000})) == wanted, "the older route"
        lines = (await client.send("POST", f"{path}/export", body))[1].splitlines()
        assert [json.loads(line)["n"] for line in lines] == wanted, "export"


async def test_types_nulls_arrays_and_what_is_missing_in_each_key(
    client: Client, listed: tuple[str, list[Json]]
) -> None:
    path, objects = listed
    fields = ("mixed", "metadata.day", "parts.size", "team", "nobody has it")
    for first, second in itertools.permutations(fields, 2):
        for signs in ("  ", " -", "- ", "--"):
            body = by(f"{signs[0]}{first}".strip(), f"{signs[1]}{second}".strip())
            assert await whole(client, path, body) == expected(objects, body), body
    eight = by("team", "-metadata.level", "parts.size", "-mixed", "metadata.day", "status", "key_prefix", "-n")
    assert await whole(client, path, eight) == expected(objects, eight)


async def test_filters_that_are_tested_one_by_one_keep_the_order(
    client: Client, listed: tuple[str, list[Json]]
) -> None:
    path, objects = listed
    inexact = {"filters": {"field": "n", "operator": "nin", "value": [["x"], 7, 9]}}
    for keys in (by("team", "-mixed"), by("-metadata.day", "metadata.level", "-n")):
        body = {**keys, **inexact}
        assert await whole(client, path, body) == expected(objects, body)
        page = await client.ok("POST", f"{path}/list", {**body, "limit": 7, "offset": 20})
        assert numbers(page) == expected(objects, body)[20:27]


@pytest.mark.parametrize("first", [None, "*"])
async def test_pages_and_walks_by_several_keys(
    client: Client, listed: tuple[str, list[Json]], first: str | None
) -> None:
    path, objects = listed
    for keys in (by("mixed", "-team"), by("-metadata.day", "-mixed", "level"), by("-created_at", "-object_id")):
        cursor, found = first, []
        while True:
            answer = await client.ok(
                "POST", f"{path}/list", {**keys, "limit": 7, **({"cursor": cursor} if cursor else {})}
            )
            found += numbers(answer)
            cursor = answer["pagination"]["next_cursor"]
            if cursor is None:
                break
        assert found == expected(objects, keys), keys
    pages = [
        numbers(await client.ok("POST", f"{path}/list?page={page}&page_size=25", by("team", "-n")))
        for page in (1, 2, 3)
    ]
    assert [*pages[0], *pages[1], *pages[2]] == expected(objects, by("team", "-n"))


async def test_a_walk_by_a_mutable_key_shows_one_state(client: Client, bucket: str) -> None:
    path = f"/v1/buckets/{bucket}/objects"
    await client.batch(bucket, [{"n": n, "group": n % 2, "rank": n} for n in range(40)])
    cursor, found = "*", []
    while cursor:
        answer = await client.ok("POST", f"{path}/list", {**by("group", "-rank"), "limit": 9, "cursor": cursor})
        found += numbers(answer)
        cursor = answer["pagination"]["next_cursor"]
        change = {"rank": 1_000 + len(found), "group": 1}
        await client.ok("PATCH", f"{path}/{answer['results'][0]['object_id']}", change)
        await client.create(bucket, {"n": 99, "group": True, "rank": "another type"})
    assert found == sorted(range(40), key=lambda n: (n % 2, -n))


async def test_a_cursor_belongs_to_all_keys(client: Client, listed: tuple[str, list[Json]]) -> None:
    path, _ = listed

    async def cursor_of(body: Json) -> str:
        return str((await client.ok("POST", f"{path}/list", {**body, "limit": 5}))["pagination"]["next_cursor"])

    cursor = await cursor_of(by("team", "-n"))
    for other in (
        by("-n", "team"),
        by("team", "n"),
        by("team"),
        by("team", "-n", "mixed"),
        {},
        {"sort": {"field": "team"}},
    ):
        ((at, message),) = await client.problems("POST", f"{path}/list", {**other, "cursor": cursor})
        assert at == ["body", "cursor"]
        assert "another list" in message
    same = {"sorts": [{"field": "team", "direction": "ASC"}, {"field": "n", "direction": "Desc"}], "cursor": cursor}
    assert len((await client.ok("POST", f"{path}/list", same))["results"]) == 10
    one = {"sort": {"field": "level"}, "cursor": await cursor_of(by("metadata.level"))}
    assert len((await client.ok("POST", f"{path}/list", one))["results"]) == 10


async def test_long_texts_in_keys_do_not_end_a_walk(client: Client, bucket: str) -> None:
    text = "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(2_600))
    await client.batch(bucket, [{"n": n, "a": text, "b": text[::-1], "c": text[100:]} for n in range(12)])
    cursor, found = "*", []
    while cursor:
        page = {**by("a", "-b", "c", "-n"), "limit": 5, "cursor": cursor}
        answer = await client.ok("POST", f"/v1/buckets/{bucket}/objects/list", page)
        found += numbers(answer)
        cursor = answer["pagination"]["next_cursor"]
    assert found == list(range(11, -1, -1))


async def test_a_cursor_of_eight_keys_fits_into_a_request_line(client: Client, listed: tuple[str, list[Json]]) -> None:
    path, objects = listed
    keys = by("team", "-metadata.level", "parts.size", "-mixed", "metadata.day", "status", "-updated_at", "-n")
    link, found = f"{path}/list?limit=25&cursor=*", []
    while link:
        assert len(link) < 4_000
        answer = await client.ok("POST", link, keys)
        found += numbers(answer)
        cursor = answer["pagination"]["next_cursor"]
        link = cursor and f"{path}/list?limit=25&cursor={cursor}"
    assert found == expected(objects, keys)


async def test_the_query_counts_more(client: Client, listed: tuple[str, list[Json]]) -> None:
    path, _ = listed
    answer = await client.ok("POST", f"{path}/list?sort_field=n&sort_direction=desc&limit=3", by("team", "n"))
    assert numbers(answer) == [59, 58, 57]
    for query, at in (
        ("sort_direction=desc", "sort_direction"),
        ("sort_field=a..b", "sort_field"),
        ("sort_field=n&sort_direction=up", "sort_direction"),
    ):
        ((location, _),) = await client.problems("POST", f"{path}/list?{query}", by("team"))
        assert location == ["query", at]


async def test_sort_beside_sorts(client: Client, listed: tuple[str, list[Json]]) -> None:
    path, _ = listed
    keys = by("metadata.level", "-n")
    wanted = await whole(client, path, keys)
    for sort in ({"field": "metadata.level"}, {"field": "level", "direction": "ASC"}, None):
        assert await whole(client, path, {**keys, "sort": sort}) == wanted
    for sort in ({"field": "n"}, {"field": "metadata.level", "direction": "desc"}, {"field": "n", "direction": "desc"}):
        ((at, message),) = await client.problems("POST", f"{path}/list", {**keys, "sort": sort})
        assert at == ["body", "sort"]
        assert "`sorts` alone" in message
    assert await whole(client, path, {"sorts": [], "sort": {"field": "n", "direction": "desc"}}) == list(
        range(59, -1, -1)
    )
    no_order: list[Json] = [{"sorts": []}, {"sorts": None}, {"sort": None, "sorts": None}]
    for body in no_order:
        assert await whole(client, path, body) == list(range(ROWS))
    assert await whole(client, path, {"sorts": [{"field": "team", "direction": None}, {"field": "n"}]}) == await whole(
        client, path, by("team", "n")
    )


WRONG: Final[list[tuple[Json, list[Json], str]]] = [
    (by(*(f"f{n}" for n in range(9)))["sorts"], ["sorts"], "8"),
    (by("n", "n")["sorts"], ["sorts", 1, "field"], "'n'"),
    (by("n", "team", "-n")["sorts"], ["sorts", 2, "field"], "position 0"),
    (by("level", "metadata.level")["sorts"], ["sorts", 1, "field"], "same field"),
    (by("n", "a..b")["sorts"], ["sorts", 1, "field"], "empty"),
    ([{"field": "n"}, {"direction": "asc"}], ["sorts", 1, "field"], ""),
    ([{"field": "n"}, {"field": "team", "direction": "up"}], ["sorts", 1, "direction"], "up"),
    ([{"field": "n"}, {"field": ""}], ["sorts", 1, "field"], ""),
    ([{"field": 5}], ["sorts", 0, "field"], ""),
    (["n"], ["sorts", 0], ""),
    ({"field": "n"}, ["sorts"], ""),
    ("n", ["sorts"], "n"),
]


async def test_what_is_wrong_in_sorts(client: Client, listed: tuple[str, list[Json]]) -> None:
    path, _ = listed
    for route in (f"{path}/list", f"{path}/export", "/v1/buckets/list", "/v1/collections/list", "/v1/namespaces/list"):
        for sorts, at, part in WRONG:
            if "namespaces" in route and "same field" in part:
                continue  # namespaces have no metadata
            ((location, message),) = await client.problems("POST", route, {"sorts": sorts})
            assert location == ["body", *at], (route, sorts)
            assert part in message, (route, sorts, message)


async def test_sorts_alone_lists_objects_and_makes_none(client: Client, bucket: str) -> None:
    path = f"/v1/buckets/{bucket}/objects"
    await client.batch(bucket, [{"n": n} for n in range(3)])
    for body in (by("-n"), {**by("-n"), "limit": 10}, {**by("-n"), "search": "", "select": ["n"]}):
        assert numbers(await client.ok("POST", path, body)) == [2, 1, 0]
    assert (await client.create(bucket, {"sorts": [1], "n": 3}))["sorts"] == [1]
    assert (await client.create(bucket, {"sorts": "by name"}))["sorts"] == "by name"
    await client.problems("POST", f"{path}/delete", {"filters": {"n": 0}, **by("n")})
    assert (await client.ok("POST", f"{path}/list"))["total_count"] == 5


MISSPELT: Final[dict[str, Json]] = {
    "a page": {"limt": 2},
    "two of a page": {"limit": 2, "ofset": 4},
    "a filter": {"filter": {"metadata.n": 1}},
    "conditions": {"Filters": [{"field": "n", "value": 1}], "page_size": 5},
    "an order": {"sort": "n", "limit": 5},
    "an order as a list": {"sort": [{"field": "n"}]},
    "a search": {"serach": "x"},
    "a search that is not listed": {"search": "x", "limit": 1},
    "a selection": {"select": ["n"]},
    "a flag": {"casesensitive": True},
}


@pytest.mark.parametrize("case", MISSPELT)
async def test_a_misspelt_list_makes_no_object(client: Client, bucket: str, case: str) -> None:
    path = f"/v1/buckets/{bucket}/objects"
    body = MISSPELT[case]
    problems = await client.problems("POST", path, body)
    assert [location for location, _ in problems] == [["body", key] for key in body]
    assert all("POST …/objects/list" in message and "…/objects/create" in message for _, message in problems)
    assert (await client.ok("POST", f"{path}/list"))["total_count"] == 0
    assert await client.ok("POST", f"{path}/create", body)
    assert await client.ok("POST", f"{path}?policy=insert", body)


@pytest.mark.parametrize(
    "body",
    [
        {"limt": 2, "metadata": {}}, {"filter": "blur"}, {"sort": "blue"}, {"filter": {"a": 1}, "price": 3}, {"n": 1},
        {"pages": "many"}, {"metadata": {"limt": 2}}, {"limt": None}, {"key_prefix": "/a"}, {"blobs": []},
    ],
)  # fmt: skip
async def test_what_says_more_is_an_object(client: Client, bucket: str, body: Json) -> None:
    assert (await client.ok("POST", f"/v1/buckets/{bucket}/objects", body))["bucket_id"] == bucket


# Buckets, collections, namespaces


@pytest.fixture(scope="module")
async def space(client: Client) -> AsyncIterator[Client]:
    """A namespace with twelve buckets of 0 to 3 objects, and a collection on each."""
    name = f"keys-{os.urandom(4).hex()}"
    await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    async with Client(client.address, client.key, name) as inside:
        for number in range(12):
            metadata = {"team": "ab"[number % 2], "level": number % 3} if number else {}
            bucket = {"bucket_name": f"b{number:02}", "description": "xyz"[number % 3], "metadata": metadata}
            made = (await inside.ok("POST", "/v1/buckets", bucket))["bucket_id"]
            if number % 4:
                await inside.batch(made, [{"n": n} for n in range(number % 4)])
            source = {"type": "bucket", "bucket_ids": [made]}
            await inside.ok(
                "POST", "/v1/collections", {"collection_name": f"c{number:02}x", "source": source, "metadata": metadata}
            )
        yield inside
    await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)


RESOURCES: Final = (
    (("metadata.level", "-name"), lambda n: (n == 0, n % 3, -n)),
    (("-team", "level"), lambda n: (n == 0, n % 2 == 0, n % 3, n)),
    (("-COUNT", "name"), lambda n: (-(n % 4), n)),
    (("COUNT", "-name"), lambda n: (n % 4, -n)),
    (("team", "-COUNT"), lambda n: (n == 0, n % 2, -(n % 4), n)),
    (("-level", "COUNT", "-team"), lambda n: (n == 0, -(n % 3), n % 4, n % 2 == 0, n)),
    (("COUNT", "-metadata.level", "name"), lambda n: (n % 4, n == 0, -(n % 3), n)),
)
"""Keys, and how the resource of a number sorts by them. The count of its objects is a computed field."""


async def test_buckets_and_collections_by_several_keys(space: Client) -> None:
    for kind, count in (("bucket", "object_count"), ("collection", "document_count")):
        for keys, order in RESOURCES:
            body = by(*(key.replace("COUNT", count) for key in keys))
            wanted = sorted(range(12), key=order)
            cursor, found = None, list[int]()
            while cursor or not found:
                page = {**body, "limit": 5, **({"cursor": cursor} if cursor else {})}
                answer = await space.ok("POST", f"/v1/{kind}s/list", page)
                found += [int(each[f"{kind}_name"][1:3]) for each in answer["results"]]
                cursor = answer["pagination"]["next_cursor"]
            assert found == wanted, (kind, keys)
    body = {**by("-description", "-name"), "filters": {"object_count": {"$gte": 1}}}
    answer = await space.ok("POST", "/v1/buckets", {**body, "limit": 100})
    wanted = sorted((n for n in range(12) if n % 4), key=lambda n: (-(n % 3), -n))
    assert [int(each["bucket_name"][1:]) for each in answer["results"]] == wanted
    assert answer["total_count"] == 9
    for keys in (("name", "bucket_name"), ("team", "metadata.team")):
        ((at, _),) = await space.problems("POST", "/v1/buckets/list", by(*keys))
        assert at == ["body", "sorts", 1, "field"]


async def test_namespaces_by_several_keys(client: Client) -> None:
    mark = os.urandom(4).hex()
    for number in range(4):
        body = {"namespace_name": f"{mark}-{number}", "description": f"{mark} {number % 2}"}
        await client.ok("POST", "/v1/namespaces", body, namespace=None)
        if number % 3:
            await client.ok("POST", "/v1/buckets", {"bucket_name": "one"}, namespace=f"{mark}-{number}")
    for keys, order in (
        (("-description", "-name"), lambda n: (n % 2 == 0, -n)),
        (("bucket_count", "description", "-name"), lambda n: (bool(n % 3), n % 2, -n)),
        (("description", "-bucket_count", "name"), lambda n: (n % 2, not n % 3, n)),
    ):
        answer = await client.ok("POST", "/v1/namespaces/list", {**by(*keys), "search": mark, "limit": 50})
        assert [int(each["namespace_name"][-1]) for each in answer["results"]] == sorted(range(4), key=order), keys
    for number in range(4):
        await client.ok("DELETE", f"/v1/namespaces/{mark}-{number}", namespace=None)


# A namespace expires


def at(seconds: float) -> str:
    """So many seconds from now, as the vendor's client spells it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def left_until(namespace: Json) -> float:
    """Seconds until it expires."""
    return (moment(namespace["expires_at"]) - datetime.now(UTC)).total_seconds()


async def test_the_expiry_is_set_moved_and_removed(client: Client) -> None:
    name, before = f"ttl-{os.urandom(4).hex()}", datetime.now(UTC)
    made = await client.ok("POST", "/v1/namespaces", {"namespace_name": name, "ttl_seconds": 3_600}, namespace=None)
    path = f"/v1/namespaces/{made['namespace_id']}"
    assert made["ttl_seconds"] == 3_600
    assert 3_599 < (moment(made["expires_at"]) - before).total_seconds() < 3_700
    assert mixpeek.NamespaceModel.model_validate(made).expires_at == moment(made["expires_at"])

    async def changed(body: Json, method: str = "PATCH") -> tuple[Json, Json]:
        answer = await client.ok(method, path, body, namespace=None)
        assert await client.ok("GET", path, namespace=None) == answer
        return answer["ttl_seconds"], answer["expires_at"]

    assert await changed({"description": "x"}) == (3_600, made["expires_at"]), "stays"
    assert await changed({"expires_at": "2099-01-02T03:04:05.678+01:00"}) == (None, "2099-01-02T02:04:05.678Z")
    assert await changed({"namespace_name": f"{name}-2"}) == (None, "2099-01-02T02:04:05.678Z")
    assert await changed({"expires_at": "2100-01-01"}, "PUT") == (None, "2100-01-01T00:00:00Z")
    ttl, later = await changed({"ttl_seconds": 60, "expires_at": None})
    assert ttl == 60
    assert moment(later) < datetime.now(UTC) + timedelta(seconds=61)
    assert await changed({"expires_at": None}) == (None, None)
    await changed({"ttl_seconds": 600})
    assert await changed({"ttl_seconds": None}) == (None, None)
    standalone = {"namespace_id": f"{name}-3", "expires_at": "2099-01-01T00:00:00Z"}
    other = await client.ok("POST", "/v1/namespaces/standalone", standalone, namespace=None)
    assert (other["ttl_seconds"], other["expires_at"]) == (None, "2099-01-01T00:00:00Z")
    for filters in (
        {"expires_at": "2099-01-01T01:00:00+01:00"},
        {"expires_at": {"$gt": "2098-12-31"}, "ttl_seconds": None},
    ):
        body = {"filters": filters, "search": name, "sort": {"field": "expires_at", "direction": "desc"}}
        found = (await client.ok("POST", "/v1/namespaces/list", body))["results"]
        assert [each["namespace_id"] for each in found] == [other["namespace_id"]]
    for unset in ({"expires_at": None}, {"AND": [{"field": "expires_at", "operator": "is_null", "value": True}]}):
        found = (await client.ok("POST", "/v1/namespaces/list", {"filters": unset, "search": name}))["results"]
        assert [each["namespace_id"] for each in found] == [made["namespace_id"]]
    for each in (made, other):
        await client.ok("DELETE", f"/v1/namespaces/{each['namespace_id']}", namespace=None)


async def test_a_wrong_expiry(client: Client) -> None:
    name = f"ttl-{os.urandom(4).hex()}"
    made = await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    wrong: list[tuple[Json, str, str]] = [
        ({"ttl_seconds": value}, "ttl_seconds", "") for value in (0, -1, 1.5, "60", True, 10**11, [60])
    ]
    wrong += [
        ({"expires_at": value}, "expires_at", "") for value in ("", "soon", "20300", 1_900_000_000, True, "2030-02-30")
    ]
    wrong += [({"expires_at": value}, "expires_at", "past") for value in (at(-1), "0001-01-01", "1969-12-31T23:59:59Z")]
    wrong += [({"ttl_seconds": 60, "expires_at": value}, "expires_at", "one of them") for value in (at(60), at(3_600))]
    for body, field, part in wrong:
        for method, path, more in (
            ("POST", "/v1/namespaces", {"namespace_name": f"{name}-new"}),
            ("POST", "/v1/namespaces/standalone", {"namespace_id": f"{name}-new"}),
            ("PATCH", f"/v1/namespaces/{name}", {}),
            ("PUT", f"/v1/namespaces/{name}", {}),
        ):
            ((location, message),) = await client.problems(method, path, {**more, **body}, namespace=None)
            assert location == ["body", field], (path, body)
            assert part in message, (path, body, message)
    answer = await client.ok("POST", "/v1/namespaces/list", {"search": name})
    assert [each["namespace_id"] for each in answer["results"]] == [made["namespace_id"]], "nothing was made or changed"
    assert answer["results"][0]["expires_at"] is None
    await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)


async def test_an_expired_namespace_is_there_for_nobody(client: Client) -> None:
    """From the moment itself, before anything is removed; another one may have its name at once."""
    name = f"ttl-{os.urandom(4).hex()}"
    made = await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    id, project = made["namespace_id"], f"/api/v1/projects/{name}"
    bucket = (await client.ok("POST", "/v1/buckets", {"bucket_name": "b"}, namespace=name))["bucket_id"]
    objects = f"/v1/buckets/{bucket}/objects"
    item = await client.ok("POST", objects, {"metadata": {"k": 1}}, namespace=name)
    source = {"type": "bucket", "bucket_ids": [bucket]}
    await client.ok("POST", "/v1/collections", {"collection_name": "one", "source": source}, namespace=name)
    stream = {"items": [{"externalId": "s", "settings": {"template": {"name": "ImmutableTestStream"}}}]}
    assert (await client.call("POST", f"{project}/streams", stream, namespace=None))[0] == 201
    count = {"group_by": [{"field": "metadata.k"}], "aggregations": [{"function": "count", "alias": "n"}]}
    requests: list[tuple[str, str, Json]] = [
        ("GET", "/v1/buckets", None),
        ("POST", "/v1/buckets", {"bucket_name": "c"}),
        ("GET", f"/v1/buckets/{bucket}", None),
        ("GET", objects, None),
        ("POST", objects, {"metadata": {"k": 2}}),
        ("POST", f"{objects}/batch", {"objects": [{"n": 1}]}),
        ("POST", f"{objects}/aggregate", count),
        ("POST", f"{objects}/delete", {"filters": {"metadata.k": 1}}),
        ("GET", f"{objects}/{item['object_id']}", None),
        ("PATCH", f"{objects}/{item['object_id']}", {"a": 1}),
        ("GET", "/v1/collections/one", None),
        ("POST", "/v1/collections/one/documents/aggregate", count),
    ]
    soon = await client.ok("PATCH", f"/v1/namespaces/{name}", {"expires_at": at(4)}, namespace=None)
    # What this replica keeps in mind of the bucket is still as the catalogue has it when the time is over.
    status, _ = await client.call("POST", f"{objects}/aggregate", count, namespace=name)
    assert status == 200 or left_until(soon) < 0
    await asyncio.sleep(max(0, left_until(soon)) + 0.05)
    for method, path, body in requests:
        for space in (name, id):
            status, answer = await client.call(method, path, body, namespace=space)
            assert status == 404, (method, path, answer)
            assert answer["error"]["details"]["resource"] == "Namespace", (method, path)
    for method, body in (
        ("GET", None),
        ("PATCH", {"expires_at": None}),
        ("PUT", {"ttl_seconds": 60}),
        ("DELETE", None),
    ):
        for one in (name, id):
            assert (await client.call(method, f"/v1/namespaces/{one}", body, namespace=None))[0] == 404, method
    for path in (f"/v1/namespaces/{name}/indices", f"/v1/namespaces/{name}/fields"):
        assert (await client.call("GET", path, namespace=None))[0] == 404
    for method, path, body in (
        ("GET", "streams", None),
        ("GET", "streams/s", None),
        ("POST", "streams/s/records/filter", {"lastUpdatedTime": {"gt": 0}}),
        ("POST", "models/spaces", {"items": [{"space": "x"}]}),
    ):
        assert (await client.call(method, f"{project}/{path}", body, namespace=None))[0] == 401, path
    assert (await client.ok("POST", "/v1/namespaces/list", {"search": name}))["total_count"] == 0
    again = await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    assert (again["object_count"], again["expires_at"]) == (0, None)
    assert again["namespace_id"] != id
    assert (await client.ok("GET", "/v1/buckets", namespace=name))["results"] == []
    assert (await client.call("GET", "/v1/buckets", namespace=id))[0] == 404
    await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)


async def test_an_expired_namespace_is_removed(client: Client, settings: Settings, opensearch_url: str) -> None:
    """With its index and its entries in the catalogue, by whichever replica looks first; its name is free."""
    name = f"ttl-{os.urandom(4).hex()}"
    body = {"namespace_name": name, "ttl_seconds": 999}
    id = (await client.ok("POST", "/v1/namespaces", body, namespace=None))["namespace_id"]
    kept = await client.ok("POST", "/v1/namespaces", {**body, "namespace_name": f"{name}-kept"}, namespace=None)
    bucket = (await client.ok("POST", "/v1/buckets", {"bucket_name": "b"}, namespace=name))["bucket_id"]
    await client.ok("POST", f"/v1/buckets/{bucket}/objects", {"n": 1}, namespace=name)
    quick = settings.model_copy(update={"caretaking_seconds": 0.3})
    async with served(quick, KEY), aiohttp.ClientSession(opensearch_url) as opensearch:

        async def left() -> int:
            async with opensearch.get(f"/_cat/indices/tally-*{id}*?format=json&h=index") as response:
                indices = len(await response.json())
            query = {"query": {"term": {"namespace_id": id}}}
            await opensearch.post("/tally-catalog/_refresh")
            async with opensearch.post("/tally-catalog/_count", json=query) as response:
                return indices + int((await response.json())["count"])

        await client.ok("PATCH", f"/v1/namespaces/{id}", {"ttl_seconds": 1}, namespace=None)
        for _ in range(600):
            if not await left():
                break
            await asyncio.sleep(0.1)
        assert await left() == 0
    assert (await client.task(f"task_{id}"))["status"] == "COMPLETED"
    again = await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
    assert again["namespace_id"] != id
    assert (await client.ok("GET", f"/v1/namespaces/{name}-kept", namespace=None))["namespace_id"] == kept[
        "namespace_id"
    ]
    for each in (name, f"{name}-kept"):
        await client.ok("DELETE", f"/v1/namespaces/{each}", namespace=None)


async def test_a_namespace_from_before_it_could_expire(client: Client, settings: Settings, opensearch_url: str) -> None:
    """Its entry in the catalogue has no term for `expires_at`; the next service that starts adds it."""
    name = f"old-{os.urandom(4).hex()}"
    id = (await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None))["namespace_id"]
    query = {"filters": {"field": "expires_at", "operator": "exists", "value": True}, "search": name}
    async with aiohttp.ClientSession(opensearch_url, raise_for_status=True) as opensearch:
        async with opensearch.get(f"/tally-catalog/_doc/namespace:{id}") as response:
            entry = (await response.json())["_source"]
        for field in ("ttl_seconds", "expires_at"):
            del entry["body"][field]
            entry["@shape"].remove(f"{field} null")
        await opensearch.put(f"/tally-catalog/_doc/namespace:{id}?refresh=true", json=entry)
    assert (await client.ok("GET", f"/v1/namespaces/{name}", namespace=None))["expires_at"] is None
    assert (await client.ok("POST", "/v1/namespaces/list", query))["total_count"] == 0
    async with served(settings, KEY):
        for _ in range(100):
            answer = await client.ok("POST", "/v1/namespaces/list", query)
            if answer["results"]:
                break
            await asyncio.sleep(0.1)
    assert [each["namespace_id"] for each in answer["results"]] == [id]
    await client.ok("DELETE", f"/v1/namespaces/{id}", namespace=None)


async def test_one_of_many_gets_the_name_of_an_expired_namespace(client: Client) -> None:
    name = f"ttl-{os.urandom(4).hex()}"
    body = {"namespace_name": name, "expires_at": at(1)}
    old = await client.ok("POST", "/v1/namespaces", body, namespace=None)
    other = await client.ok("POST", "/v1/namespaces", {"namespace_name": f"{name}-2"}, namespace=None)
    await asyncio.sleep(max(0, left_until(old)) + 0.05)
    rename = client.call("PATCH", f"/v1/namespaces/{other['namespace_id']}", {"namespace_name": name}, namespace=None)
    creates = [client.call("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None) for _ in range(4)]
    answers = await asyncio.gather(rename, *creates)
    (won,) = [answer for status, answer in answers if status == 200]
    assert sorted(status for status, _ in answers) == [200, 409, 409, 409, 409]
    assert (await client.ok("GET", f"/v1/namespaces/{name}", namespace=None))["namespace_id"] == won["namespace_id"]
    for id in {won["namespace_id"], other["namespace_id"]}:
        await client.ok("DELETE", f"/v1/namespaces/{id}", namespace=None)


# Edges are the customer's


async def test_edges_are_stored_found_and_grouped_by(client: Client, bucket: str) -> None:
    path = f"/v1/buckets/{bucket}/objects"
    first = {"type": "used_in", "target_object_id": "obj_1", "attributes": {"order": 3, "at": 1.50}}
    second = {"type": "uses", "target_object_id": "obj_2", "direction": "in", "target_collection_id": None, "own": [1]}
    edges: list[Json] = [[first], [first, second], [second], [], None]
    made = await client.ok("POST", path, {"n": 0, "edges": edges[0]})
    assert made["edges"] == [first]
    batch = await client.batch(bucket, [{"n": n, "edges": each} for n, each in enumerate(edges) if n])
    assert [each["edges"] for each in batch["succeeded"]] == edges[1:]
    await client.create(bucket, {"n": 5, "metadata": {"edges": 7}})
    assert (await client.ok("GET", f"{path}/{made['object_id']}"))["edges"] == [first]
    for each in (made, *batch["succeeded"]):
        read = mixpeek.ObjectResponse.model_validate(each)
        assert [edge.type for edge in read.edges or ()] == [edge["type"] for edge in each["edges"] or ()]

    async def found(filters: Json) -> list[int]:
        return numbers(await client.ok("POST", f"{path}/list", {"filters": filters}))

    assert await found({"edges.type": "uses"}) == [1, 2]
    assert await found({"edges.attributes.order": {"$gte": 3}}) == [0, 1]
    assert await found({"edges": {"$elemMatch": {"type": "uses", "direction": "in"}}}) == [1, 2]
    assert await found({"AND": [{"field": "edges", "operator": "exists", "value": True}]}) == [0, 1, 2, 3, 4, 5]
    assert await found({"metadata.edges": 7}) == [5]
    assert numbers(await client.ok("POST", f"{path}/list", by("edges.type", "-n"))) == [1, 0, 2, 5, 4, 3]
    count = {"group_by": [{"field": "edges.type"}], "aggregations": [{"function": "count", "alias": "n"}]}
    rows = (await client.aggregate(bucket, {**count, "unwind": "edges"}))["results"]
    assert rows == [{"group": {"edges.type": kind}, "metrics": {"n": 2}} for kind in ("used_in", "uses")]
    changed = await client.ok("PATCH", f"{path}/{made['object_id']}", {"edges": [second]})
    assert changed["edges"] == [second], "replaced whole"
    assert (await client.ok("PUT", f"{path}/{made['object_id']}", {"n": 9}))["edges"] == [second]
    answer = await client.ok(
        "POST", f"{path}/import", data='{"n": 6, "edges": [{"type": "t", "target_object_id": "o"}]}'
    )
    assert answer["succeeded_count"] == 1
    lines = (await client.send("GET", f"{path}/export"))[1].splitlines()
    assert json.loads(lines[-1])["edges"] == [{"type": "t", "target_object_id": "o"}]


async def test_edges_that_no_client_could_read(client: Client, bucket: str) -> None:
    path, good = f"/v1/buckets/{bucket}/objects", {"type": "t", "target_object_id": "o"}
    wrong: list[tuple[Json, list[Json]]] = [
        ("x", []), (5, []), ({}, []), (good, []), ([1], [0]), ([None], [0]), ([good, "x"], [1]),
        ([{"target_object_id": "o"}], [0, "type"]), ([{"type": "t"}], [0, "target_object_id"]),
        ([{**good, "type": 1}], [0, "type"]), ([good, {**good, "target_object_id": None}], [1, "target_object_id"]),
        ([{**good, "direction": "both"}], [0, "direction"]), ([{**good, "direction": ["in"]}], [0, "direction"]),
        ([{**good, "attributes": [1]}], [0, "attributes"]),
        ([{**good, "target_collection_id": 1}], [0, "target_collection_id"]),
    ]  # fmt: skip
    one = await client.create(bucket, {"edges": [good]})
    for edges, place in wrong:
        for method, route in (
            ("POST", path),
            ("PATCH", f"{path}/{one['object_id']}"),
            ("PUT", f"{path}/{one['object_id']}"),
        ):
            ((location, _),) = await client.problems(method, route, {"edges": edges})
            assert location == ["body", "edges", *place], edges
    problems = await client.problems("POST", path, {"edges": [1, {}], "blobs": [2], "key_prefix": 3, "object_id": "o"})
    assert sorted(map(str, (location[1:] for location, _ in problems))) == sorted(
        map(
            str,
            (
                ["edges", 0],
                ["edges", 1, "type"],
                ["edges", 1, "target_object_id"],
                ["blobs", 0],
                ["key_prefix"],
                ["object_id"],
            ),
        )
    )
    assert (await client.ok("POST", f"{path}/list"))["results"] == [one]
