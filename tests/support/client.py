"""A small client of the API for tests: JSON in, status and JSON out, numbers kept as they were written.

Every answer is compared with the OpenAPI document; one that is not as documented fails the test.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from tests.support import contract

Json = Any
_OWN = object()


class Client:
    """Speaks to one running service with one key."""

    def __init__(self, address: str, key: str, namespace: str | None = None) -> None:
        self.address = address
        self.key = key
        self.namespace = namespace

    async def __aenter__(self) -> "Client":
        self.session = aiohttp.ClientSession(self.address, middlewares=[contract.checked])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def send(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        data: Any = None,
        namespace: Any = _OWN,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, str, Mapping[str, str]]:
        """Status, text and headers."""
        all_headers = {"Authorization": f"Bearer {self.key}", **(headers or {})}
        space = self.namespace if namespace is _OWN else namespace
        if space is not None:
            all_headers.setdefault("X-Namespace", space)
        if body is not None:
            data = json.dumps(body)
            all_headers.setdefault("Content-Type", "application/json")
        async with self.session.request(method, path, data=data, headers=all_headers) as response:
            text = await response.text()
            if body is not None and response.status < 300:
                contract.check_accepted(method, path, body)
            return response.status, text, response.headers

    async def call(self, method: str, path: str, body: Json = None, **options: Any) -> tuple[int, Json]:
        status, text, _ = await self.send(method, path, body, **options)
        return status, json.loads(text) if text else None

    async def ok(self, method: str, path: str, body: Json = None, **options: Any) -> Json:
        status, answer = await self.call(method, path, body, **options)
        assert status in (200, 204), (method, path, status, answer)
        return answer

    async def problems(self, method: str, path: str, body: Json = None, **options: Any) -> list[tuple[Json, str]]:
        """Location and message of each problem of a 422."""
        status, answer = await self.call(method, path, body, **options)
        assert status == 422, (status, answer)
        assert answer["error"]["type"] == "ValidationError"
        return [(each["location"], each["message"]) for each in answer["error"]["details"]["validation_errors"]]

    async def task(self, id: str, seconds: float = 30) -> Json:
        """A background task when it has ended."""
        for _ in range(int(seconds * 10)):
            found = await self.ok("GET", f"/v1/tasks/{id}", namespace=None)
            if found["status"] not in ("PENDING", "IN_PROGRESS"):
                return found
            await asyncio.sleep(0.1)
        raise AssertionError(f"task {id} did not end in {seconds} s")

    async def create(self, bucket: str, item: Json) -> Json:
        return await self.ok("POST", f"/v1/buckets/{bucket}/objects", item)

    async def batch(self, bucket: str, items: Sequence[Json]) -> Json:
        return await self.ok("POST", f"/v1/buckets/{bucket}/objects/batch", {"objects": list(items)})

    async def aggregate(self, bucket: str, spec: Json) -> Json:
        return await self.ok("POST", f"/v1/buckets/{bucket}/objects/aggregate", spec)
