"""A project of the records API for tests: its routes by short names, and what its refusals say."""

import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from service.records import reading, selection, writing
from tests.support.client import Client

Json = Any

TYPES: Mapping[str, Json] = {
    "text": {"type": "text"},
    "flag": {"type": "boolean"},
    "f32": {"type": "float32"},
    "f64": {"type": "float64"},
    "i32": {"type": "int32"},
    "i64": {"type": "int64"},
    "time": {"type": "timestamp"},
    "day": {"type": "date"},
    "json": {"type": "json"},
    "link": {"type": "direct"},
    "level": {"type": "enum", "values": {"low": {}, "high": {}}},
    "texts": {"type": "text", "list": True},
    "i64s": {"type": "int64", "list": True},
    "times": {"type": "timestamp", "list": True},
    "jsons": {"type": "json", "list": True},
}
"""A property of each type, and some lists."""


def fresh(prefix: str) -> str:
    return f"{prefix}-{os.urandom(5).hex()}"


def property_of(name: str, space: str = "s", container: str = "c") -> list[str]:
    return [space, container, name]


def source_of(properties: Json, space: str = "s", container: str = "c") -> Json:
    return {"source": {"type": "container", "space": space, "externalId": container}, "properties": properties}


def record(id: str, properties: Json = None, *more: Json, space: str = "s") -> Json:
    """One with values of the container s/c, and further sources."""
    return {"space": space, "externalId": id, "sources": [source_of(properties or {}), *more]}


def container(properties: Mapping[str, Json], space: str = "s", id: str = "c") -> Json:
    """A definition; a property is given by its type, or whole."""
    whole = {name: each if isinstance(each.get("type"), dict) else {"type": each} for name, each in properties.items()}
    return {"space": space, "externalId": id, "usedFor": "record", "properties": whole}


@dataclass(frozen=True)
class Project:
    """One project of one service; every answer is checked for its status."""

    client: Client
    name: str

    @classmethod
    @asynccontextmanager
    async def made(cls, client: Client, name: str | None = None) -> AsyncIterator["Project"]:
        name = name or fresh("records")
        await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
        try:
            yield cls(client, name)
        finally:
            await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)

    def at(self, client: Client) -> "Project":
        """The same project of another service."""
        return Project(client, self.name)

    async def call(self, method: str, route: str, body: Json = None, **options: Any) -> tuple[int, Json]:
        path = f"/api/v1/projects/{self.name}{route}"
        return await self.client.call(method, path, body, namespace=None, **options)

    async def get(self, route: str) -> Json:
        status, answer = await self.call("GET", route)
        assert status == 200, (route, status, answer)
        return answer

    async def post(self, route: str, body: Json = None, wanted: int = 200, **options: Any) -> Json:
        status, answer = await self.call("POST", route, body, **options)
        assert status == wanted, (route, status, str(answer)[:1000])
        return answer

    async def post_items(self, route: str, *items: Json) -> list[Json]:
        return list((await self.post(route, {"items": list(items)}))["items"])

    async def refused(self, route: str, body: Json, wanted: int, *words: str, **options: Any) -> Json:
        """The error of a request, which is told as documented and says these words."""
        error = (await self.post(route, body, wanted, **options))["error"]
        assert error["code"] == wanted
        assert error.keys() <= {"code", "message", "missing", "duplicated", "partial"}
        for word in words:
            assert word in error["message"], (word, error["message"])
        return error

    # What there is

    async def spaces(self, *names: str) -> Json:
        return (await self.post("/models/spaces", {"items": [{"space": name} for name in names]}))["items"]

    async def containers(self, *definitions: Json) -> Json:
        return (await self.post("/models/containers", {"items": list(definitions)}))["items"]

    async def stream(self, id: str | None = None, template: str = "MutableTestStream") -> str:
        id = id or fresh("stream")
        item = {"externalId": id, "settings": {"template": {"name": template}}}
        await self.post("/streams", {"items": [item]}, 201)
        return id

    async def delete_stream(self, id: str) -> None:
        assert await self.post("/streams/delete", {"items": [{"externalId": id}]}) == {}

    # Records

    async def ingest(self, stream: str, *items: Json, wanted: int = 202, wait: bool = True) -> Json:
        refresh = "?refresh=wait_for" if wait else ""
        return await self.post(f"/streams/{stream}/records{refresh}", {"items": list(items)}, wanted)

    async def upsert(self, stream: str, *items: Json, wanted: int = 202, wait: bool = True) -> Json:
        refresh = "?refresh=wait_for" if wait else ""
        return await self.post(f"/streams/{stream}/records/upsert{refresh}", {"items": list(items)}, wanted)

    async def delete(self, stream: str, *ids: str, space: str = "s", wait: bool = True) -> Json:
        refresh = "?refresh=wait_for" if wait else ""
        items = [{"space": space, "externalId": id} for id in ids]
        return await self.post(f"/streams/{stream}/records/delete{refresh}", {"items": items})

    async def filter(self, stream: str, filter: Json = None, **more: Json) -> list[Json]:
        body = {"limit": 1000, **({"filter": filter} if filter else {}), **more}
        return list((await self.post(f"/streams/{stream}/records/filter", body))["items"])

    async def ids(self, stream: str, filter: Json = None, **more: Json) -> list[str]:
        return [item["externalId"] for item in await self.filter(stream, filter, **more)]

    async def values(self, stream: str, name: str, **more: Json) -> dict[str, Json]:
        """A property of s/c of all records, by their ids."""
        return {
            item["externalId"]: item["properties"].get("s", {}).get("c", {}).get(name)
            for item in await self.filter(stream, **more)
        }

    async def aggregate(self, stream: str, aggregates: Json, **more: Json) -> Json:
        body = {"aggregates": aggregates, **more}
        return (await self.post(f"/streams/{stream}/records/aggregate", body))["aggregates"]

    async def one(self, stream: str, aggregate: Json, **more: Json) -> Json:
        return (await self.aggregate(stream, {"one": aggregate}, **more))["one"]

    async def count(self, stream: str, **more: Json) -> int:
        return int((await self.one(stream, {"count": {}}, **more))["count"])

    async def consumed(self, stream: str) -> int:
        """How many records there are, also those that no search sees yet."""
        told = await self.get(f"/streams/{stream}?includeStatistics=true")
        return int(told["settings"]["limits"]["maxRecordsTotal"]["consumed"])

    # Sync

    async def page(self, stream: str, cursor: str | None = None, **more: Json) -> Json:
        start = {"cursor": cursor} if cursor else {"initializeCursor": "365d-ago"}
        page = await self.post(f"/streams/{stream}/records/sync", {"limit": 1000, **start, **more})
        assert page.keys() == {"items", "nextCursor", "hasNext"} | ({"typing"} if more.get("includeTyping") else set())
        return page

    async def news(self, stream: str, cursor: str | None = None, **more: Json) -> tuple[list[Json], str]:
        """All that is new by now, page by page, and the cursor to go on with."""
        items: list[Json] = []
        while True:
            page = await self.page(stream, cursor, **more)
            items += page["items"]
            cursor = str(page["nextCursor"])
            if not page["hasNext"]:
                return items, cursor


def statuses(items: Iterable[Json]) -> list[tuple[str, str]]:
    return [(item["externalId"], item["status"]) for item in items]


def ids(items: Sequence[Json]) -> list[str]:
    return [item["externalId"] for item in items]


def set_time(monkeypatch: pytest.MonkeyPatch, now: int | Callable[[], int]) -> None:
    """The time of requests about records, in epoch milliseconds; everything else goes by the real one."""
    for module in (reading, selection, writing):
        monkeypatch.setattr(module, "now_millis", now if callable(now) else lambda: now)
