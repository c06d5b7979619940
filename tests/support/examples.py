"""The examples of the OpenAPI document, as requests that a real service is sent: with what they name made before."""

import copy
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from service.web.inputs import NDJSON
from service.web.openapi import examples
from service.web.route import Route
from service.web.routes import ROUTES
from tests.support.client import Client
from tests.support.records import fresh

Json = Any

LAST = (
    "deleteObject", "deleteObjects", "deleteCollection", "deleteBucket", "deleteRecords", "deleteStreams",
    "deleteContainers", "deleteSpaces", "deleteNamespace",
)  # fmt: skip
"""What removes what others need."""

CREATES = {
    "createNamespace": "namespace_name", "createStandaloneNamespace": "namespace_id", "createBucket": "bucket_name",
    "createOrListBuckets": "bucket_name", "createCollection": "collection_name", "createCollectionNamed":
    "collection_name", "updateBucket": "bucket_name", "patchBucket": "bucket_name",
}  # fmt: skip
"""Operations whose example takes a name, of which there can be one."""

WITHOUT_ANSWER = {"deleteStreamByPath"}
"""A route that answers with an error alone."""


def routes() -> list[Route]:
    """In an order in which each finds what it needs."""
    order = {id: place for place, id in enumerate(LAST, 1)}
    return sorted(ROUTES, key=lambda route: order.get(route.id, 0))


@dataclass(frozen=True)
class Home:
    """What the examples name, in a namespace of its own."""

    client: Client
    namespace: str
    names: Mapping[str, str]
    """Path parameters."""
    bucket_id: str
    cursor: str
    """Of sync."""

    @classmethod
    @asynccontextmanager
    async def made(cls, client: Client) -> AsyncIterator["Home"]:
        name = fresh("examples")
        await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
        try:
            yield await cls._filled(client, name)
        finally:
            await client.call("DELETE", f"/v1/namespaces/{name}", namespace=None)

    @classmethod
    async def _filled(cls, client: Client, name: str) -> "Home":
        bucket = await client.ok("POST", "/v1/buckets", {"bucket_name": "home"}, namespace=name)
        home = cls(client, name, {}, bucket["bucket_id"], "")
        one = await home.ok("POST", "/v1/buckets/home/objects/create", {"metadata": {"tags": ["a"]}})
        deletion = await home.ok("POST", "/v1/buckets/home/objects/delete", {"filters": {"metadata.x": 1}})
        source = {"type": "bucket", "bucket_ids": [bucket["bucket_id"]]}
        gone = await client.ok("POST", "/v1/buckets", {"bucket_name": "gone"}, namespace=name)
        await home.ok("POST", "/v1/collections", {"collection_name": "all", "source": source})
        project = f"/api/v1/projects/{name}"
        weight = {"my_weight": {"type": {"type": "float64"}}}
        for space, id, properties in (("mySpace", "myContainer", None), ("my_space", "my_container", weight)):
            await home.ok("POST", f"{project}/models/spaces", {"items": [{"space": space}]})
            container = copy.deepcopy(examples()["applyContainers"]["request"]["One container"]["items"][0])
            listed = {"myProperty": {"type": {"type": "int64", "list": True}}}
            container |= {
                "space": space,
                "externalId": id,
                "properties": {**(properties or container["properties"]), **listed},
            }
            await home.ok("POST", f"{project}/models/containers", {"items": [container]})
        stream = {"externalId": "home", "settings": {"template": {"name": "MutableTestStream"}}}
        status, made = await home.call("POST", f"{project}/streams", {"items": [stream]})
        assert status == 201, made
        synced = await home.ok("POST", f"{project}/streams/home/records/sync", {"initializeCursor": "1d-ago"})
        names = {
            "namespace_identifier": name, "bucket_identifier": "home", "object_identifier": one["object_id"],
            "collection_identifier": "all", "task_id": deletion["task_id"], "project": name, "streamId": "home",
            "asset": "swagger-ui.css",
        }  # fmt: skip
        assert gone["bucket_name"] == "gone"
        return cls(client, name, names, bucket["bucket_id"], synced["nextCursor"])

    def url(self, route: Route) -> str:
        names = dict(self.names)
        if route.id == "deleteBucket":
            names["bucket_identifier"] = "gone"  # a collection reads the other one
        path = route.path
        for name, value in names.items():
            path = path.replace(f"{{{name}}}", value)
        return path

    def bodies(self, route: Route) -> Iterator[tuple[str, Json]]:
        """Title and body of each example; without examples a title and None."""
        given = examples().get(route.examples, {}).get("request", {})
        if not given or route.method == "get":
            yield "no body", None
            return
        for title, example in given.items():
            body = copy.deepcopy(example)
            if isinstance(body, dict):
                self._adapt(route, body)
            yield title, body

    def _adapt(self, route: Route, body: dict[str, Json]) -> None:
        taken = CREATES.get(route.id)
        if taken in body and not route.id.startswith(("update", "patch")):
            body[taken] = fresh("example")
        elif taken:
            body.pop(taken, None)
        if "cursor" in body:
            body["cursor"] = self.cursor
        if "source" in body:
            body["source"]["bucket_ids"] = [self.bucket_id]
        if route.id == "deleteStreams":
            body["items"][0]["externalId"] = "home"

    async def send(self, route: Route, body: Json = None, query: str = "") -> tuple[int, str]:
        """Status and text."""
        namespace = self.namespace if route.namespace else None
        lines = route.raw_body is not None and route.raw_body.media == NDJSON
        options: dict[str, Any] = {"data": body} if lines else {"body": body}
        status, text, _ = await self.client.send(
            route.method.upper(), self.url(route) + query, namespace=namespace, **options
        )
        return status, text

    async def send_raw(self, method: str, path: str, body: Json) -> tuple[int, str]:
        status, text, _ = await self.client.send(method, path, body, namespace=self.namespace)
        return status, text

    async def call(self, method: str, path: str, body: Json = None) -> tuple[int, Json]:
        return await self.client.call(method, path, body, namespace=self.namespace)

    async def ok(self, method: str, path: str, body: Json = None) -> Json:
        return await self.client.ok(method, path, body, namespace=self.namespace)


def told(text: str) -> Json:
    """The error of an answer, of either API."""
    return json.loads(text)["error"]
