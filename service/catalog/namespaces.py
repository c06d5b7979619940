"""Namespaces: create, find by id or name, rename, delete."""

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, AliasChoices, Field, model_validator
from pydantic_core import PydanticCustomError

from service import dsl
from service.catalog.expiry import Expiring, expired_by, is_live
from service.catalog.tasks import TaskService
from service.clock import arrival, now_millis
from service.dialects.flat.filters import Resource
from service.dialects.flat.listing import ListRequest
from service.errors import AlreadyExists, NotFound, Unavailable
from service.listing.base import ListPage
from service.listing.cursors import Cursors
from service.listing.pages import page_of
from service.listing.sources import ResourceListSource, mean, sum_of, with_omitted
from service.scope import Scope
from service.storage.catalog import Catalog, Entry
from service.storage.gateway import Conflict
from service.storage.objects import ObjectStore
from service.storage.operations import Draft, Operations, Taken, claim_key
from service.values import Json, index_date, render_date
from service.wire import WireModel

NAME: Final = r"^[A-Za-z0-9_-]{3,64}$"

_ROUNDS: Final = 10


def no_id(prefix: str) -> AfterValidator:
    """Rejects a name that looks like an id: it would be ambiguous, and could capture another resource's requests."""
    id = re.compile(f"{prefix}_[0-9a-f]{{10}}")

    def check(name: str) -> str:
        if id.fullmatch(name):
            raise PydanticCustomError("reserved_name", "a name cannot look like an id ({prefix}_…)", {"prefix": prefix})
        return name

    return AfterValidator(check)


Name = Annotated[str, Field(pattern=NAME), no_id("ns")]


_NO_VECTORS: Final = "Tally stores no vectors and runs no extractors"
_NO_HOSTING: Final = "Tally runs on your own OpenSearch, and does not bill"
_NO_INDEXES: Final = "Tally indexes every field by itself"
_UNSUPPORTED: Final = {
    **dict.fromkeys(("features", "vector_configs", "repair_vectors"), _NO_VECTORS),
    **dict.fromkeys(("auto_create_indexes", "adaptive_indexing"), _NO_INDEXES),
    **dict.fromkeys(
        ("infrastructure", "tiering", "spend_budget", "cost_cap_override", "pinned", "storage"), _NO_HOSTING
    ),
    **dict.fromkeys(("namespace_type", "scope", "config"), "there is one kind of namespace"),
    "trusted_issuers": "requests are authorised by an API key",
}


class NamespaceExtractor(WireModel):
    """A feature extractor: stored and returned, never run."""

    feature_extractor_name: str | None = None
    version: str | None = None
    feature_extractor_id: str | None = Field(None, description="`name_version` by default.")
    params: dict[str, Any] | None = None
    parameters: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _has_a_name(self) -> Self:
        if not self.feature_extractor_id and not (self.feature_extractor_name and self.version):
            raise PydanticCustomError(
                "no_name", "an extractor needs feature_extractor_name and version, or feature_extractor_id"
            )
        return self


class PayloadIndex(WireModel):
    """A field that the vendor would index; stored and returned: every field is indexed here."""

    field_name: str = Field(min_length=1)
    type: str | None = None
    field_schema: dict[str, Any] | None = None
    is_protected: bool | None = None


class CreateNamespace(Expiring):
    """A namespace to be made."""

    unsupported: ClassVar = {**_UNSUPPORTED, "namespace_id": "the service chooses the id; choose a `namespace_name`"}

    namespace_name: Name
    mode: Literal["managed", "standalone"] | None = Field(None, description="Both mean the same here.")
    description: str | None = None
    feature_extractors: list[NamespaceExtractor] | None = None
    payload_indexes: list[PayloadIndex] | None = None


class CreateStandalone(CreateNamespace):
    """The same in the words of the newest client: `namespace_id` is the name that it wants."""

    unsupported = _UNSUPPORTED

    namespace_name: Name = Field(validation_alias=AliasChoices("namespace_name", "namespace_id"))


class UpdateNamespace(Expiring):
    """What is to change; what is not given stays."""

    unsupported = _UNSUPPORTED

    namespace_name: Name | None = None
    description: str | None = None
    feature_extractors: list[NamespaceExtractor] | None = None
    payload_indexes: list[PayloadIndex] | None = None


COMPUTED: Final = frozenset({"bucket_count", "collection_count", "object_count"})


@dataclass
class NamespaceListSource(ResourceListSource):
    """All namespaces."""

    store: ObjectStore
    kind = "namespace"
    names = ("namespace_id", "namespace_name", "description")
    instants = frozenset({"created_at", "updated_at", "expires_at"})
    resource = Resource(
        frozenset(
            {
                "namespace_id", "namespace_name", "description", "feature_extractors", "payload_indexes", "status",
                "created_at", "updated_at", "ttl_seconds", "expires_at", *COMPUTED,
            }
        ),
        {"name": "namespace_name"},
        computed=COMPUTED,
    )  # fmt: skip

    @property
    def query(self) -> Json:
        return dsl.filtered(super().query, without=[expired_by(now_millis())])

    def view(self, entry: Entry) -> dict[str, Json]:
        return view(entry.namespace_id, entry.body)

    async def counts(self, entries: Sequence[str]) -> Mapping[str, Mapping[str, Json]]:
        ids = [entry.partition(":")[2] for entry in entries]
        counts = await count(self.catalog, self.store, ids)
        return {entry: counts[id] for entry, id in zip(entries, ids, strict=True)}

    def summed(self, total: int, counts: Mapping[str, Mapping[str, Json]] | None, aggs: Mapping[str, Json]) -> Json:
        what = ("buckets", "collections", "objects")
        sums = {name: sum_of(counts, f"{name[:-1]}_count") for name in what}
        stats: dict[str, Json] = {"total_namespaces": total, **{f"total_{name}": each for name, each in sums.items()}}
        stats |= {f"avg_{name}_per_namespace": mean(each, total) for name, each in sums.items()}
        return with_omitted(stats)


def view(id: str, body: Mapping[str, Json]) -> dict[str, Json]:
    """A namespace without its counts."""
    return {
        "namespace_id": id,
        "namespace_name": body["namespace_name"],
        "description": body.get("description"),
        "feature_extractors": body.get("feature_extractors") or [],
        "payload_indexes": body.get("payload_indexes") or [],
        "status": body["status"],
        "created_at": render_date(body["created_at"]),
        "updated_at": render_date(body["updated_at"]),
        "ttl_seconds": body.get("ttl_seconds"),
        "expires_at": None if body.get("expires_at") is None else render_date(body["expires_at"]),
    }


async def count(catalog: Catalog, store: ObjectStore, ids: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
    """Counts of buckets, collections and objects per namespace, excluding anything expired or being deleted."""
    if not ids:
        return {}
    mine = dsl.terms("namespace_id", list(ids))
    made = await catalog.aggregate(
        dsl.filtered(mine, dsl.terms("kind", ["bucket", "collection"]), dsl.term("status", "ACTIVE")),
        {
            "namespaces": {
                "terms": {"field": "namespace_id", "size": len(ids)},
                "aggs": {"kinds": {"terms": {"field": "kind"}}},
            }
        },
    )
    kinds = {
        each["key"]: {kind["key"]: kind["doc_count"] for kind in each["kinds"]["buckets"]}
        for each in made["namespaces"]["buckets"]
    }
    leaving = [dsl.term("status", "DELETING"), dsl.exists("ttl_seconds@double")]
    special = await catalog.find(
        {"bool": {"filter": [mine, dsl.term("kind", "bucket")], "should": leaving, "minimum_should_match": 1}}, 10_000
    )
    hidden = [(entry.namespace_id, hidden_objects(entry)) for entry in special]
    objects = await store.count(ids, hidden)
    return {
        id: {
            "bucket_count": kinds.get(id, {}).get("bucket", 0),
            "collection_count": kinds.get(id, {}).get("collection", 0),
            "object_count": objects[id],
        }
        for id in ids
    }


def hidden_objects(entry: Entry) -> Json:
    """The query for objects of a bucket that nobody may see: the bucket is being deleted, or they have expired."""
    mine = dsl.term("bucket_id", entry.id.partition(":")[2])
    if not entry.live:
        return mine
    expired = dsl.in_range("created_at", lt=index_date(expired_before(entry.body) or 0))
    return dsl.filtered(mine, expired)


def expired_before(body: Mapping[str, Json]) -> int | None:
    """The creation time (epoch milliseconds) before which a bucket's objects have expired."""
    seconds = body.get("ttl_seconds")
    return None if seconds is None else now_millis() - seconds * 1_000


class NamespaceService:
    """The use cases of namespaces. `on_remove` is called with the id of a namespace when its data is removed."""

    def __init__(
        self,
        catalog: Catalog,
        store: ObjectStore,
        tasks: TaskService,
        cursors: Cursors,
        budget: int,
        on_remove: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self.catalog = catalog
        self.operations = Operations(catalog, follow={"namespace": self._rename_alias})
        self._tasks = tasks
        self.cursors = cursors
        self.budget = budget
        self._store = store
        self._on_remove = on_remove
        self._ids: dict[str, str] = {}
        """Name → id, as last seen; always checked against the entry."""

    async def create(self, request: CreateNamespace) -> Json:
        id = f"ns_{secrets.token_hex(5)}"
        now = now_millis()
        expiry = request.expiry(now)
        name = request.namespace_name
        scope = Scope(id, name)
        given: dict[str, Json] = {
            **dict.fromkeys(type(request).model_fields),
            **request.model_dump(exclude_unset=True),
        }
        body = {
            **given,
            "ttl_seconds": None,
            "expires_at": None,
            **expiry,
            "feature_extractors": with_ids(given["feature_extractors"]),
            "created_at": now,
            "updated_at": now,
            "arrival": arrival(),
            "status": "ACTIVE",
        }
        await self._free(name)
        try:
            await self.operations.create(
                Draft(_key(id), "namespace", id, name, body, view(id, body)),
                prepare=lambda _: self._store.make(scope),
            )
        except Taken:
            raise name_taken("namespace", name) from None
        except Conflict:
            # It took so long that another request undid it, perhaps before the index was created.
            await self._store.drop(scope)
            raise overtaken("namespace", name) from None
        return await self._answer(scope, body)

    async def find(self, identifier: str) -> tuple[Scope, Entry]:
        """By id or name; raises `NotFound`."""
        for cached in (True, False):
            id = await self._id(identifier, cached=cached)
            if id is not None:
                (entry,) = await self.catalog.get(_key(id))
                there = entry is not None and entry.live and is_live(entry.body, now_millis())
                if entry and there and identifier in (entry.namespace_id, entry.name):
                    return Scope(entry.namespace_id, entry.name), entry
            self._ids.pop(identifier, None)
        raise NotFound("Namespace", identifier)

    async def guess(self, identifier: str) -> str | None:
        """The id that an identifier last had; the caller has to check it."""
        return await self._id(identifier, cached=True)

    async def get(self, identifier: str) -> Json:
        scope, entry = await self.find(identifier)
        return await self._answer(scope, entry.body)

    async def list(self, request: ListRequest) -> tuple[ListPage, list[Json]]:
        listed = NamespaceListSource(self.catalog, None, self.cursors.lifetime, self._store)
        page = await page_of(request, listed, self.cursors, self.budget)
        entries = [Entry.of(source) for source in page.sources]
        counts = await count(self.catalog, self._store, [entry.namespace_id for entry in entries])
        return page, [_render(entry.namespace_id, entry.body, counts[entry.namespace_id]) for entry in entries]

    async def update(self, identifier: str, request: UpdateNamespace) -> Json:
        scope, entry = await self.find(identifier)
        changes = request.model_dump(exclude_unset=True) | request.expiry(now_millis())
        if "feature_extractors" in changes:
            changes["feature_extractors"] = with_ids(changes["feature_extractors"])
        name = changes.get("namespace_name") or scope.namespace_name
        body = {**entry.body, **changes, "namespace_name": name, "updated_at": now_millis()}
        if name != scope.namespace_name:
            await self._free(name)
        try:
            await self.operations.change(entry, body, name, view(scope.namespace_id, body))
        except Taken:
            raise name_taken("namespace", name) from None
        except Conflict:
            raise AlreadyExists("the namespace was changed by somebody else meanwhile; read it again") from None
        return await self._answer(Scope(scope.namespace_id, name), body)

    async def _rename_alias(self, entry: Entry) -> None:
        """Renames the human-readable alias along with the namespace."""
        await self._store.rename(Scope(entry.namespace_id, entry.name))

    async def delete(self, identifier: str) -> Json:
        """Takes effect at once for all callers; the index and entries are removed in the background."""
        scope, entry = await self._retire(identifier)
        self._ids.pop(scope.namespace_name, None)
        rendered = {"namespace_id": scope.namespace_id, "namespace_name": scope.namespace_name}
        return {**rendered, "status": "PENDING", "task_id": await self._tasks.start_removal(entry, rendered)}

    async def end_expired(self) -> None:
        """Marks expired namespaces as deleted: frees their names and schedules removal of their data."""
        active = [dsl.term("kind", "namespace"), dsl.term("status", "ACTIVE")]
        for entry in await self.catalog.find(dsl.filtered(*active, expired_by(now_millis()))):
            with suppress(Conflict):  # by another replica
                await self.operations.retire(entry, partial(view, entry.namespace_id))

    async def _free(self, name: str) -> None:
        """Frees the name if an expired namespace holds it."""
        owner = await self.catalog.owner(_claim(name))
        (holder,) = await self.catalog.get(owner) if owner else (None,)
        if holder and holder.live and not is_live(holder.body, now_millis()):
            with suppress(Conflict):  # a concurrent request won
                await self.operations.retire(holder, partial(view, holder.namespace_id))

    async def remove(self, entry: Entry) -> None:
        """Removes the data of a namespace that is already hidden; its entry goes last."""
        scope = Scope(entry.namespace_id, entry.name)
        await self.operations.let_go(entry)
        await self._store.drop(scope)
        if self._on_remove:
            await self._on_remove(scope.namespace_id)
        await self.catalog.forget(scope.namespace_id, _key(scope.namespace_id))
        await self.catalog.delete(_key(scope.namespace_id))

    async def _retire(self, identifier: str) -> tuple[Scope, Entry]:
        """Marks it as being deleted; of several concurrent callers one succeeds, the others find nothing."""
        for _ in range(_ROUNDS):
            scope, entry = await self.find(identifier)
            with suppress(Conflict):
                return scope, await self.operations.retire(entry, partial(view, scope.namespace_id))
        raise Unavailable("the namespace is being changed by too many requests at once", retry_after=1)

    async def ensure(self, name: str) -> None:
        """Creates the namespace if it does not exist."""
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
        counts = await count(self.catalog, self._store, [scope.namespace_id])
        return _render(scope.namespace_id, body, counts[scope.namespace_id])


def _render(id: str, body: Mapping[str, Json], counts: Mapping[str, int]) -> Json:
    rendered = view(id, body)
    return {**rendered, **counts, "namespace_ready": True}


def with_ids(extractors: Sequence[Mapping[str, Json]] | None) -> list[dict[str, Json]]:
    """Feature extractors, each with its id: `name_version` (contract, Writing)."""
    return [
        {**each, "feature_extractor_id": each.get("feature_extractor_id") or _extractor_id(each)}
        for each in extractors or ()
    ]


def _extractor_id(extractor: Mapping[str, Json]) -> str:
    return f"{extractor.get('feature_extractor_name')}_{extractor.get('version')}"


def namespace_key(id: str) -> str:
    return f"namespace:{id}"


_key = namespace_key


def _claim(name: str) -> str:
    return claim_key("namespace", "", name)


def name_taken(kind: str, name: str) -> AlreadyExists:
    return AlreadyExists(f"there is already a {kind} named {name!r}", {f"{kind}_name": name})


def overtaken(kind: str, name: str) -> Unavailable:
    """The error for a create so slow that another request for the name undid it."""
    return Unavailable(
        f"making the {kind} {name!r} took so long that another request for that name went first; try again",
        retry_after=1,
    )
