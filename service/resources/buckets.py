"""Buckets: made, found by id or name, changed, deleted, with counts that are computed."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator

from service import paths
from service.errors import AlreadyExists, NotFound, Unavailable
from service.resources.namespaces import Namespaces, namespace_key, no_id, now_millis
from service.resources.schema import date_paths, read_schema
from service.scope import Scope
from service.storage.catalog import Catalog, Entry
from service.storage.gateway import Conflict
from service.storage.objects import ObjectStore, fields_id
from service.storage.views import BucketSource
from service.values import Json, render_date

Policy = Literal["insert", "update", "upsert"]

_ROUNDS: Final = 10
_SHORT_NAME: Final = 300
"""UTF-8 bytes of a name that fit into a document's id, of which OpenSearch takes 512."""


class UniqueKey(BaseModel):
    """The fields that together make an object one of a kind in its bucket."""

    model_config = ConfigDict(extra="ignore")

    fields: list[str] = Field(min_length=1, max_length=16)
    default_policy: Policy = "insert"

    @field_validator("fields")
    @classmethod
    def _are_paths(cls, fields: list[str]) -> list[str]:
        for each in fields:
            paths.parse(each)
        return fields


Name = Annotated[str, Field(min_length=1, max_length=200), no_id("bkt")]


class CreateBucket(BaseModel):
    """A bucket to be made."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    bucket_name: Name = Field(validation_alias=AliasChoices("bucket_name", "name"))
    bucket_schema: dict[str, Any] | None = Field(None, validation_alias=AliasChoices("bucket_schema", "schema"))
    description: str | None = None
    metadata: dict[str, Any] | None = None
    unique_key: UniqueKey | None = None


class UpdateBucket(BaseModel):
    """What is to change; what is not given stays."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    bucket_name: Name | None = Field(None, validation_alias=AliasChoices("bucket_name", "name"))
    bucket_schema: dict[str, Any] | None = Field(None, validation_alias=AliasChoices("bucket_schema", "schema"))
    description: str | None = None
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True)
class Bucket:
    """A bucket that the caller may use."""

    scope: Scope
    id: str
    name: str
    body: Mapping[str, Json]
    entry: Entry
    fields_version: tuple[int, int] | None

    @property
    def schema(self) -> Mapping[str, Any] | None:
        return self.body.get("bucket_schema")

    @property
    def unique_key(self) -> UniqueKey | None:
        stored = self.body.get("unique_key")
        return UniqueKey.model_validate(stored) if stored else None


class Buckets:
    """The use cases of buckets."""

    def __init__(self, namespaces: Namespaces, catalog: Catalog, store: ObjectStore) -> None:
        self._namespaces = namespaces
        self._catalog = catalog
        self.store = store
        self._ids: dict[tuple[str, str], str] = {}
        """(namespace id, name) → id, as last seen; always checked against the entry."""

    async def create(self, namespace: str, request: CreateBucket) -> Json:
        scope, _ = await self._namespaces.find(namespace)
        schema = read_schema(request.bucket_schema, ("body", "bucket_schema"))
        id = f"bkt_{secrets.token_hex(5)}"
        await self._claim(scope, request.bucket_name, id)
        now = now_millis()
        body = {
            **request.model_dump(),
            "bucket_schema": schema,
            "created_at": now,
            "updated_at": now,
            "status": "ACTIVE",
        }
        await self._catalog.create(bucket_key(id), "bucket", scope.namespace_id, request.bucket_name, body)
        return (await self._answers(scope, [(id, request.bucket_name, body)]))[0]

    async def find(self, namespace: str, identifier: str) -> Bucket:
        """By id or name, with one look at the catalogue when both were used before; raises `NotFound`."""
        for cached in (True, False):
            found = await self._look(namespace, identifier, cached=cached)
            if found is not None:
                return found
        raise NotFound("Bucket", identifier)

    async def _look(self, namespace: str, identifier: str, *, cached: bool) -> Bucket | None:
        namespace_id = await self._namespaces.guess(namespace) if cached else None
        if namespace_id is None:
            namespace_id = (await self._namespaces.find(namespace))[0].namespace_id
        id = await self._id(namespace_id, identifier, cached=cached)
        (home, entry), version = await self._catalog.get_with_version(
            namespace_key(namespace_id), bucket_key(id), of=fields_id(id)
        )
        if home is None or home.body["status"] != "ACTIVE" or namespace not in (home.namespace_id, home.name):
            if not cached:
                raise NotFound("Namespace", namespace)
            return None
        if (
            entry is None
            or entry.namespace_id != namespace_id
            or entry.body["status"] != "ACTIVE"
            or identifier not in (id, entry.name)
        ):
            self._ids.pop((namespace_id, identifier), None)
            return None
        return Bucket(Scope(namespace_id, home.name), id, entry.name, entry.body, entry, version)

    async def get(self, namespace: str, identifier: str) -> Json:
        bucket = await self.find(namespace, identifier)
        return (await self._answers(bucket.scope, [(bucket.id, bucket.name, bucket.body)]))[0]

    async def update(self, namespace: str, identifier: str, request: UpdateBucket) -> Json:
        bucket = await self.find(namespace, identifier)
        changes = request.model_dump(exclude_unset=True)
        if changes.get("bucket_schema") is not None:
            changes["bucket_schema"] = read_schema(changes["bucket_schema"], ("body", "bucket_schema"))
        name = changes.get("bucket_name") or bucket.name
        if name != bucket.name:
            await self._claim(bucket.scope, name, bucket.id)
        if changes.get("metadata") is not None:
            changes["metadata"] = {**(bucket.body.get("metadata") or {}), **changes["metadata"]}
        body = {**bucket.body, **changes, "bucket_name": name, "updated_at": now_millis()}
        try:
            await self._catalog.replace(bucket.entry, body, name)
        except Conflict:
            if name != bucket.name:
                await self._catalog.delete(_claim(bucket.scope.namespace_id, name))
            raise AlreadyExists("the bucket was changed by somebody else meanwhile; read it again") from None
        if name != bucket.name:
            await self._catalog.delete(_claim(bucket.scope.namespace_id, bucket.name))
        return (await self._answers(bucket.scope, [(bucket.id, name, body)]))[0]

    async def delete(self, namespace: str, identifier: str) -> Json:
        """Gone at once for everybody; its objects are removed in the background."""
        bucket = await self._retire(namespace, identifier)
        (counts,) = await self._answers(bucket.scope, [(bucket.id, bucket.name, bucket.body)])
        await self._catalog.delete(_claim(bucket.scope.namespace_id, bucket.name))
        self._ids.pop((bucket.scope.namespace_id, bucket.name), None)
        await self.store.delete_bucket(bucket.scope, bucket.id)
        await self._catalog.delete(bucket_key(bucket.id))
        return {
            "bucket_id": bucket.id,
            "bucket_name": bucket.name,
            "object_count": counts["object_count"],
            "status": "DELETING",
            "task_id": f"task_{bucket.id}",
        }

    async def _retire(self, namespace: str, identifier: str) -> Bucket:
        """Marks it as being deleted; of several who do at once, one does, the others find nothing."""
        for _ in range(_ROUNDS):
            bucket = await self.find(namespace, identifier)
            try:
                await self._catalog.replace(bucket.entry, {**bucket.body, "status": "DELETING"})
            except Conflict:
                continue
            return bucket
        raise Unavailable("the bucket is being changed by too many at once", retry_after=1)

    async def source(self, namespace: str, identifier: str) -> BucketSource:
        """What an aggregate asks."""
        bucket = await self.find(namespace, identifier)
        instants = date_paths(bucket.schema)
        return await BucketSource.at(self.store, bucket.scope, bucket.id, bucket.fields_version, instants)

    async def _claim(self, scope: Scope, name: str, id: str) -> None:
        try:
            await self._catalog.claim(_claim(scope.namespace_id, name), bucket_key(id), scope.namespace_id, name)
        except Conflict:
            raise AlreadyExists(f"a bucket is named {name!r} already", {"bucket_name": name}) from None

    async def _id(self, namespace_id: str, identifier: str, *, cached: bool) -> str:
        key = (namespace_id, identifier)
        if not (cached and key in self._ids):
            owner = await self._catalog.owner(_claim(namespace_id, identifier))
            self._ids[key] = owner.partition(":")[2] if owner else identifier
        return self._ids[key]

    async def _answers(self, scope: Scope, buckets: Sequence[tuple[str, str, Mapping[str, Json]]]) -> list[Json]:
        """The documented bucket, its counts from one request for all of them."""
        counts = await self._counts(scope, [id for id, _, _ in buckets])
        return [
            {
                "bucket_id": id,
                "bucket_name": name,
                "description": body.get("description"),
                "bucket_schema": body.get("bucket_schema"),
                "metadata": body.get("metadata") or {},
                "unique_key": body.get("unique_key"),
                "object_count": counts[id][0],
                "total_size_bytes": counts[id][1],
                "status": body["status"],
                "created_at": render_date(body["created_at"]),
                "updated_at": render_date(body["updated_at"]),
                "last_upload_at": _time(counts[id][2]),
            }
            for id, name, body in buckets
        ]

    async def _counts(self, scope: Scope, ids: Sequence[str]) -> dict[str, tuple[int, int, float | None]]:
        if not ids:
            return {}
        inner = {"bytes": {"sum": {"field": "@size_bytes"}}, "last": {"max": {"field": "created_at"}}}
        body = {
            "size": 0,
            "query": {"terms": {"bucket_id": list(ids)}},
            "aggs": {
                "buckets": {
                    "filters": {"filters": {id: {"term": {"bucket_id": id}} for id in ids}},
                    "aggs": inner,
                }
            },
        }
        answer = await self.store.search(scope, body)
        found = answer["aggregations"]["buckets"]["buckets"]
        return {
            id: (found[id]["doc_count"], int(found[id]["bytes"]["value"]), found[id]["last"]["value"]) for id in ids
        }


def _time(millis: float | None) -> str | None:
    return None if millis is None else render_date(int(millis))


def bucket_key(id: str) -> str:
    return f"bucket:{id}"


def _claim(namespace_id: str, name: str) -> str:
    written = name.encode()
    if len(written) > _SHORT_NAME:
        name = f"sha256:{hashlib.sha256(written).hexdigest()}"
    return f"bucket-name:{namespace_id}:{name}"
