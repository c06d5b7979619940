"""Namespaces: made, found by id or name, renamed, deleted."""

import re
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from service.errors import AlreadyExists, NotFound, Unavailable
from service.scope import Scope
from service.storage.catalog import Catalog, Entry
from service.storage.gateway import Conflict
from service.storage.objects import ObjectStore
from service.values import Json, render_date

NAME: Final = r"^[A-Za-z0-9_-]{3,64}$"

_ROUNDS: Final = 10


def no_id(prefix: str) -> AfterValidator:
    """A name that looks like an id could stand for two things; whoever took it would get the other's requests."""
    id = re.compile(f"{prefix}_[0-9a-f]{{10}}")

    def check(name: str) -> str:
        if id.fullmatch(name):
            raise PydanticCustomError("reserved_name", "a name cannot look like an id ({prefix}_…)", {"prefix": prefix})
        return name

    return AfterValidator(check)


Name = Annotated[str, Field(pattern=NAME), no_id("ns")]


class CreateNamespace(BaseModel):
    """A namespace to be made."""

    model_config = ConfigDict(extra="ignore")

    namespace_name: Name
    description: str | None = None
    feature_extractors: list[dict[str, Any]] | None = None
    payload_indexes: list[dict[str, Any]] | None = None


class UpdateNamespace(BaseModel):
    """What is to change; what is not given stays."""

    model_config = ConfigDict(extra="ignore")

    namespace_name: Name | None = None
    description: str | None = None
    feature_extractors: list[dict[str, Any]] | None = None
    payload_indexes: list[dict[str, Any]] | None = None


class Namespaces:
    """The use cases of namespaces."""

    def __init__(self, catalog: Catalog, store: ObjectStore) -> None:
        self.catalog = catalog
        self._store = store
        self._ids: dict[str, str] = {}
        """Name → id, as last seen; always checked against the entry."""

    async def create(self, request: CreateNamespace) -> Json:
        id = f"ns_{secrets.token_hex(5)}"
        now = now_millis()
        name = request.namespace_name
        try:
            await self.catalog.claim(_claim(name), _key(id), id, name)
        except Conflict:
            raise AlreadyExists(f"a namespace is named {name!r} already", {"namespace_name": name}) from None
        scope = Scope(id, name)
        await self._store.make(scope)
        body = {**request.model_dump(), "created_at": now, "updated_at": now, "status": "ACTIVE"}
        await self.catalog.create(_key(id), "namespace", id, name, body)
        return await self._answer(scope, body)

    async def find(self, identifier: str) -> tuple[Scope, Entry]:
        """By id or name; raises `NotFound`."""
        for cached in (True, False):
            id = await self._id(identifier, cached=cached)
            if id is not None:
                (entry,) = await self.catalog.get(_key(id))
                if entry and entry.body["status"] == "ACTIVE" and identifier in (entry.namespace_id, entry.name):
                    return Scope(entry.namespace_id, entry.name), entry
            self._ids.pop(identifier, None)
        raise NotFound("Namespace", identifier)

    async def guess(self, identifier: str) -> str | None:
        """The id that an identifier had last; to be checked by whoever uses it."""
        return await self._id(identifier, cached=True)

    async def get(self, identifier: str) -> Json:
        scope, entry = await self.find(identifier)
        return await self._answer(scope, entry.body)

    async def list(self) -> Sequence[Json]:
        entries = await self.catalog.list("namespace")
        active = [entry for entry in entries if entry.body["status"] == "ACTIVE"]
        return [await self._answer(Scope(entry.namespace_id, entry.name), entry.body) for entry in active]

    async def update(self, identifier: str, request: UpdateNamespace) -> Json:
        scope, entry = await self.find(identifier)
        changes = request.model_dump(exclude_unset=True)
        name = changes.get("namespace_name") or scope.namespace_name
        if name != scope.namespace_name:
            try:
                await self.catalog.claim(_claim(name), _key(scope.namespace_id), scope.namespace_id, name)
            except Conflict:
                raise AlreadyExists(f"a namespace is named {name!r} already", {"namespace_name": name}) from None
        body = {**entry.body, **changes, "namespace_name": name, "updated_at": now_millis()}
        try:
            await self.catalog.replace(entry, body, name)
        except Conflict:
            if name != scope.namespace_name:
                await self.catalog.delete(_claim(name))
            raise AlreadyExists("the namespace was changed by somebody else meanwhile; read it again") from None
        if name != scope.namespace_name:
            await self._store.rename(scope, name)
            await self.catalog.delete(_claim(scope.namespace_name))
        return await self._answer(Scope(scope.namespace_id, name), body)

    async def delete(self, identifier: str) -> Json:
        """Gone at once for everybody; its index goes with it."""
        scope = await self._retire(identifier)
        await self.catalog.delete(_claim(scope.namespace_name))
        self._ids.pop(scope.namespace_name, None)
        await self._store.drop(scope)
        await self.catalog.forget(scope.namespace_id)
        return {
            "namespace_id": scope.namespace_id,
            "namespace_name": scope.namespace_name,
            "status": "DELETED",
            "task_id": f"task_{scope.namespace_id}",
        }

    async def _retire(self, identifier: str) -> Scope:
        """Marks it as being deleted; of several who do at once, one does, the others find nothing."""
        for _ in range(_ROUNDS):
            scope, entry = await self.find(identifier)
            try:
                await self.catalog.replace(entry, {**entry.body, "status": "DELETING"})
            except Conflict:
                continue
            return scope
        raise Unavailable("the namespace is being changed by too many at once", retry_after=1)

    async def ensure(self, name: str) -> None:
        """Makes the namespace if nobody has."""
        try:
            await self.find(name)
        except NotFound:
            try:
                await self.create(CreateNamespace(namespace_name=name))
            except AlreadyExists:
                return

    async def _id(self, identifier: str, *, cached: bool) -> str | None:
        if cached and identifier in self._ids:
            return self._ids[identifier]
        owner = await self.catalog.owner(_claim(identifier))
        id = owner.partition(":")[2] if owner else identifier if identifier.startswith("ns_") else None
        if id is not None:
            self._ids[identifier] = id
        return id

    async def _answer(self, scope: Scope, body: Mapping[str, Json]) -> Json:
        return {
            "namespace_id": scope.namespace_id,
            "namespace_name": scope.namespace_name,
            "description": body.get("description"),
            "feature_extractors": body.get("feature_extractors") or [],
            "payload_indexes": body.get("payload_indexes") or [],
            "bucket_count": await self.catalog.count("bucket", scope.namespace_id),
            "namespace_ready": True,
            "created_at": render_date(body["created_at"]),
            "updated_at": render_date(body["updated_at"]),
        }


def now_millis() -> int:
    return time.time_ns() // 1_000_000


def namespace_key(id: str) -> str:
    return f"namespace:{id}"


_key = namespace_key


def _claim(name: str) -> str:
    return f"namespace-name:{name}"
