"""One request of every kind that the service answers from OpenSearch, for tests of what happens when it cannot."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.client import Client
from tests.support.records import TYPES, Project, container, record

Json = Any

SPEC: Json = {
    "group_by": [{"field": "metadata.n", "alias": "n"}],
    "aggregations": [{"function": "count", "alias": "count"}],
}
TREE: Json = {"aggregates": {"sum": {"sum": {"property": ["s", "c", "i32"]}}}}


@dataclass(frozen=True)
class Kind:
    """A request, and whether sending it again changes nothing."""

    name: str
    method: str
    path: str
    body: Json = None
    data: bytes | None = None
    reads: bool = False


@dataclass(frozen=True)
class Told:
    """What a request was answered, and after how many seconds."""

    kind: Kind
    status: int
    text: str
    headers: Mapping[str, str]
    seconds: float

    def refused(self) -> None:
        """It is a 503 or 504 as documented, without a word about the machine behind."""
        where = (self.kind.name, self.status, self.text)
        assert self.status in (503, 504), where
        assert int(self.headers["Retry-After"]) > 0, where
        answer = json.loads(self.text)
        if self.kind.path.startswith("/api/"):
            assert answer["error"]["code"] == self.status, where
            assert set(answer) == {"error"}, where
        else:
            assert (answer["success"], answer["status"]) == (False, self.status), where
            wanted = {503: "ServiceUnavailableError", 504: "TimeoutError"}[self.status]
            assert answer["error"]["type"] == wanted, where
        assert "127.0.0.1" not in self.text, where
        assert "Traceback" not in self.text, where


async def told(client: Client, kind: Kind) -> Told:
    started = time.monotonic()
    status, text, headers = await client.send(kind.method, kind.path, kind.body, data=kind.data)
    return Told(kind, status, text, headers, time.monotonic() - started)


@dataclass
class House:
    """A namespace with a bucket of objects, a collection, and a project with a mutable and an immutable stream."""

    client: Client
    project: Project
    bucket: str
    collection: str
    mutable: str
    immutable: str
    ids: list[str]
    """Of the objects n = 0, 1, 2 …"""
    task: str

    @classmethod
    async def made(cls, client: Client, name: str, objects: int = 20) -> "House":
        await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
        client.namespace = name
        bucket = (await client.ok("POST", "/v1/buckets", {"bucket_name": "things"}))["bucket_id"]
        stored = (await client.batch(bucket, [{"metadata": {"n": n, "text": f"t{n}"}} for n in range(objects)]))[
            "succeeded"
        ]
        body = {"collection_name": "all", "source": {"type": "bucket", "bucket_ids": [bucket]}}
        collection = (await client.ok("POST", "/v1/collections", body))["collection_id"]
        removed = await client.ok(
            "POST", f"/v1/buckets/{bucket}/objects/delete", {"filters": {"metadata.n": objects - 1}}
        )
        project = Project(client, name)
        await project.spaces("s")
        await project.containers(container(TYPES))
        mutable, immutable = await project.stream("live"), await project.stream("log", "ImmutableTestStream")
        for stream in (mutable, immutable):
            await project.ingest(stream, *(record(f"r{n}", {"i32": n}) for n in range(objects)))
        ids = [each["object_id"] for each in stored[:-1]]
        return cls(client, project, bucket, collection, mutable, immutable, ids, removed["task_id"])

    def kinds(self, mark: str) -> list[Kind]:
        """All of them; what they write is told by the mark, and is never what was there before."""
        objects = f"/v1/buckets/{self.bucket}/objects"
        api = f"/api/v1/projects/{self.project.name}"
        live, log = f"{api}/streams/{self.mutable}/records", f"{api}/streams/{self.immutable}/records"
        new = {"metadata": {"mark": mark}}
        items = {"items": [record(f"{mark}-1", {"i32": 1})]}
        one = f"{objects}/{self.ids[0]}"
        some = {"filters": {"metadata.n": {"$lt": 10}}}
        return [
            Kind("aggregate", "POST", f"{objects}/aggregate", SPEC, reads=True),
            Kind("aggregate by scan", "POST", f"{objects}/aggregate", _scanned(), reads=True),
            Kind("list", "POST", f"{objects}/list", {**some, "sort": {"field": "metadata.n"}}, reads=True),
            Kind("list by cursor", "POST", f"{objects}/list", {"cursor": "*", "sort": {"field": "metadata.n"}}),
            Kind("get", "GET", one, reads=True),
            Kind("export", "GET", f"{objects}/export", reads=True),
            Kind("create", "POST", objects, new),
            Kind("create with a new field", "POST", objects, {"metadata": {"mark": mark, f"field-{mark}": 1}}),
            Kind("update", "PATCH", one, {"metadata": {"mark": mark}}),
            Kind("batch", "POST", f"{objects}/batch", {"objects": [new, new]}),
            Kind("import", "POST", f"{objects}/import", data=json.dumps(new).encode() + b"\n"),
            Kind("delete", "DELETE", f"{objects}/obj_none"),
            Kind("delete by filter", "POST", f"{objects}/delete", {"filters": {"metadata.n": -1}}),
            Kind("bucket", "GET", f"/v1/buckets/{self.bucket}", reads=True),
            Kind("buckets", "POST", "/v1/buckets/list", {}, reads=True),
            Kind("create bucket", "POST", "/v1/buckets", {"bucket_name": f"b-{mark}"}),
            Kind("namespace", "GET", f"/v1/namespaces/{self.project.name}", reads=True),
            Kind("namespaces", "POST", "/v1/namespaces/list", {}, reads=True),
            Kind("collection", "GET", f"/v1/collections/{self.collection}", reads=True),
            Kind("collections", "POST", "/v1/collections/list", {}, reads=True),
            Kind("documents", "POST", f"/v1/collections/{self.collection}/documents/aggregate", SPEC, reads=True),
            Kind("task", "GET", f"/v1/tasks/{self.task}", reads=True),
            Kind("ingest", "POST", log, items),
            Kind("ingest and wait", "POST", f"{live}?refresh=wait_for", {"items": [record(f"{mark}-2", {})]}),
            Kind("upsert", "POST", f"{live}/upsert", {"items": [record(f"{mark}-3", {"i32": 1})]}),
            Kind("delete records", "POST", f"{live}/delete", {"items": [{"space": "s", "externalId": f"{mark}-4"}]}),
            Kind("filter", "POST", f"{live}/filter", {"limit": 100}, reads=True),
            Kind("aggregate records", "POST", f"{live}/aggregate", TREE, reads=True),
            Kind("aggregate a log", "POST", f"{log}/aggregate", {**TREE, **today()}, reads=True),
            Kind("sync", "POST", f"{live}/sync", {"initializeCursor": "1d-ago", "limit": 5}, reads=True),
            Kind("sync a log", "POST", f"{log}/sync", {"initializeCursor": "1d-ago"}, reads=True),
            Kind("streams", "GET", f"{api}/streams", reads=True),
            Kind("stream", "GET", f"{api}/streams/{self.mutable}?includeStatistics=true", reads=True),
            Kind("create stream", "POST", f"{api}/streams", _stream(f"x-{mark}")),
            Kind("spaces", "GET", f"{api}/models/spaces", reads=True),
            Kind("containers", "GET", f"{api}/models/containers", reads=True),
            Kind("create space", "POST", f"{api}/models/spaces", {"items": [{"space": f"x{mark}"}]}),
        ]


def today() -> Json:
    """The last hours, for a stream that has to be asked about a span of time."""
    return {"lastUpdatedTime": {"gt": int(time.time() * 1_000) - 6 * 3_600_000}}


def _scanned() -> Json:
    """Computed from the stored objects, page by page in a point in time."""
    aggregations = [{"function": "push", "field": "metadata.text", "alias": "texts"}]
    return {"group_by": [{"field": "metadata.n", "alias": "n"}], "aggregations": aggregations}


def _stream(id: str) -> Json:
    return {"items": [{"externalId": id, "settings": {"template": {"name": "MutableTestStream"}}}]}
