"""Buckets: create, find by id or name, update, delete; their counts are computed on read."""

import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, Final, Literal

from cachetools import LRUCache
from pydantic import AliasChoices, Field, StrictInt, field_validator
from pydantic_core import PydanticCustomError

from service import dsl, paths
from service.catalog.expiry import is_live
from service.catalog.namespaces import NamespaceService, expired_before, name_taken, namespace_key, no_id, overtaken
from service.catalog.schema import date_paths, read_schema
from service.catalog.tasks import TaskService
from service.clock import arrival, now_millis
from service.dialects.flat.filters import Resource
from service.dialects.flat.listing import ListRequest
from service.errors import AlreadyExists, Invalid, NotFound, Unavailable
from service.listing.base import ListPage
from service.listing.computed import COUNTED
from service.listing.pages import page_of
from service.listing.sources import ResourceListSource, mean, sum_of, with_omitted
from service.scope import Scope
from service.storage.catalog import Catalog, Entry, Version
from service.storage.gateway import Conflict
from service.storage.objects import ObjectStore, fields_id
from service.storage.operations import Draft, Homeless, Operations, Taken, claim_key
from service.storage.terms import on_terms
from service.storage.views import BucketSnapshot, BucketSource
from service.values import Json, render_date
from service.wire import WireModel

Policy = Literal["insert", "update", "upsert"]

_ROUNDS: Final = 10
_KNOWN: Final = 1_000
"""Buckets cached for aggregates."""


class UniqueKey(WireModel):
    """The fields that together make an object one of a kind in its bucket."""

    fields: list[str] = Field(min_length=1, max_length=16)
    default_policy: Policy = "insert"

    @field_validator("fields")
    @classmethod
    def _are_paths(cls, fields: list[str]) -> list[str]:
        parsed = [paths.parse(each) for each in fields]
        for position, path in enumerate(parsed):
            if path in parsed[:position]:
                raise PydanticCustomError(
                    "duplicate", "{name} is given twice; leave one out", {"name": fields[position]}
                )
        return fields


Name = Annotated[str, Field(min_length=1, max_length=200), no_id("bkt")]


Ttl = Annotated[StrictInt, Field(ge=1, le=10**10, description="Seconds after its creation that an object expires.")]


_UNSUPPORTED: Final = {
    "source_adapter": "Tally does not pull objects from elsewhere; send them, or import a file",
    "destination": "Tally writes no copies elsewhere; export a bucket instead",
    "storage_class": "objects lie in OpenSearch, whose indices have no storage classes here",
    "ingest_filter": "Tally stores every object that it accepts; filter before you send",
}


class CreateBucket(WireModel):
    """A bucket to be made."""

    unsupported = _UNSUPPORTED

    bucket_name: Name = Field(validation_alias=AliasChoices("bucket_name", "name"))
    bucket_schema: dict[str, Any] | None = Field(None, validation_alias=AliasChoices("bucket_schema", "schema"))
    description: str | None = None
    metadata: dict[str, Any] | None = None
    unique_key: UniqueKey | None = None
    ttl_seconds: Ttl | None = None


class UpdateBucket(WireModel):
    """What is to change; what is not given stays."""

    unsupported = _UNSUPPORTED

    bucket_name: Name | None = Field(None, validation_alias=AliasChoices("bucket_name", "name"))
    bucket_schema: dict[str, Any] | None = Field(None, validation_alias=AliasChoices("bucket_schema", "schema"))
    description: str | None = None
    metadata: dict[str, Any] | None = None
    unique_key: UniqueKey | None = None
    ttl_seconds: Ttl | None = None


@dataclass(frozen=True)
class OpenBucket:
    """A bucket that the caller may use."""

    scope: Scope
    id: str
    name: str
    body: Mapping[str, Json]
    entry: Entry
    fields_version: Version | None
    home: Entry
    """Its namespace."""

    @property
    def versions(self) -> list[Version | None]:
        """The versions of its catalogue entries: namespace, bucket, fields."""
        return [self.home.version, self.entry.version, self.fields_version]

    @property
    def schema(self) -> Mapping[str, Any] | None:
        return self.body.get("bucket_schema")

    @property
    def unique_key(self) -> UniqueKey | None:
        stored = self.body.get("unique_key")
        return UniqueKey.model_validate(stored) if stored else None

    @property
    def snapshot(self) -> BucketSnapshot:
        return BucketSnapshot(self.id, self.fields_version, expired_before(self.body))


COMPUTED: Final = frozenset({"object_count", "total_size_bytes", "last_upload_at"})


@dataclass
class BucketListSource(ResourceListSource):
    """The buckets of a namespace."""

    buckets: "BucketService"
    scope: Scope
    found: dict[str, dict[str, Json]] = field(default_factory=dict)
    """Counts made so far, by id."""
    kind = "bucket"
    names = ("bucket_id", "bucket_name", "description")
    instants = frozenset({"created_at", "updated_at", "last_upload_at"})
    resource = Resource(
        frozenset(
            {
                "bucket_id", "bucket_name", "description", "bucket_schema", "metadata", "unique_key", "ttl_seconds",
                "status", "created_at", "updated_at", *COMPUTED,
            }
        ),
        {"name": "bucket_name"},
        computed=COMPUTED,
    )  # fmt: skip

    def view(self, entry: Entry) -> dict[str, Json]:
        return view(id_of(entry), entry.body)

    @property
    def aggs(self) -> Mapping[str, Json]:
        mortal = {"filter": on_terms(dsl.exists("ttl_seconds@double")), "aggs": super().aggs}
        return {**super().aggs, "mortal": mortal}

    async def stats(self, total: int, aggs: Mapping[str, Json]) -> Json:
        mortal = {each["key"] for each in aggs["mortal"]["ids"]["buckets"]}
        if total <= COUNTED:
            await self._count([each["key"] for each in aggs["ids"]["buckets"]], mortal)
        return await super().stats(total, aggs)

    async def counts(self, entries: Sequence[str]) -> Mapping[str, Mapping[str, Json]]:
        missing = [entry for entry in entries if entry.partition(":")[2] not in self.found]
        if missing:
            await self._count(missing, set(missing))
        return {entry: self.found[entry.partition(":")[2]] for entry in entries}

    async def _count(self, entries: Sequence[str], mortal: Collection[str]) -> None:
        """`mortal`: the entries whose objects may expire."""
        bodies = [entry for entry in await self.catalog.get(*mortal) if entry] if mortal else []
        cutoffs = {id_of(entry): expired_before(entry.body) for entry in bodies}
        ids = [entry.partition(":")[2] for entry in entries]
        self.found |= await self.buckets.counts(self.scope, ids, cutoffs)

    def summed(self, total: int, counts: Mapping[str, Mapping[str, Json]] | None, aggs: Mapping[str, Json]) -> Json:
        objects, size = sum_of(counts, "object_count"), sum_of(counts, "total_size_bytes")
        return with_omitted(
            {
                "total_objects": objects,
                "total_size_bytes": size,
                "avg_objects_per_bucket": mean(objects, total),
                "avg_size_per_bucket": mean(size, total),
            }
        )


def view(id: str, body: Mapping[str, Json]) -> dict[str, Json]:
    """A bucket without its counts."""
    return {
        "bucket_id": id,
        "bucket_name": body["bucket_name"],
        "description": body.get("description"),
        "bucket_schema": body.get("bucket_schema"),
        "metadata": body.get("metadata") or {},
        "unique_key": body.get("unique_key"),
        "ttl_seconds": body.get("ttl_seconds"),
        "status": body["status"],
        "created_at": render_date(body["created_at"]),
        "updated_at": render_date(body["updated_at"]),
    }


def id_of(entry: Entry) -> str:
    """The id that users see."""
    return entry.id.partition(":")[2]


class BucketService:
    """The use cases of buckets. `on_schema` is called when a bucket's schema has changed."""

    def __init__(
        self,
        namespaces: NamespaceService,
        catalog: Catalog,
        store: ObjectStore,
        tasks: TaskService,
        on_schema: Callable[[Scope, str], Awaitable[None]] | None = None,
    ) -> None:
        self._namespaces = namespaces
        self._operations: Operations = namespaces.operations
        self._catalog = catalog
        self._tasks = tasks
        self.store = store
        self._on_schema = on_schema
        self._ids: dict[tuple[str, str], str] = {}
        """(namespace id, name) → id, as last seen; always checked against the entry."""
        self._known: LRUCache[tuple[str, str], OpenBucket] = LRUCache(_KNOWN)
        """The caller's identifiers → the bucket as last seen; always checked against the catalogue's versions."""

    async def create(self, namespace: str, request: CreateBucket) -> Json:
        scope, _ = await self._namespaces.find(namespace)
        schema = read_schema(request.bucket_schema, ("body", "bucket_schema"))
        id = f"bkt_{secrets.token_hex(5)}"
        now = now_millis()
        body = {
            **request.model_dump(),
            "bucket_schema": schema,
            "created_at": now,
            "updated_at": now,
            "arrival": arrival(),
            "status": "ACTIVE",
        }
        rendered = view(id, body)
        draft = Draft(bucket_key(id), "bucket", scope.namespace_id, request.bucket_name, body, rendered)
        try:
            await self._operations.create(draft, namespace_key(scope.namespace_id))
        except Taken:
            raise name_taken("bucket", draft.name) from None
        except Homeless:
            raise NotFound("Namespace", namespace) from None
        except Conflict:
            raise overtaken("bucket", draft.name) from None
        return {**rendered, **_NOTHING}

    async def find(self, namespace: str, identifier: str) -> OpenBucket:
        """By id or name; one catalogue read if both identifiers were used before. Raises `NotFound`."""
        for cached in (True, False):
            found = await self._look(namespace, identifier, cached=cached)
            if found is not None:
                return found
        raise NotFound("Bucket", identifier)

    async def _look(self, namespace: str, identifier: str, *, cached: bool) -> OpenBucket | None:
        namespace_id = await self._namespaces.guess(namespace) if cached else None
        if namespace_id is None:
            namespace_id = (await self._namespaces.find(namespace))[0].namespace_id
        id = await self._id(namespace_id, identifier, cached=cached)
        (home, entry), version = await self._catalog.get_with_version(
            namespace_key(namespace_id), bucket_key(id), of=fields_id(id)
        )
        lives = home is not None and home.live and is_live(home.body, now_millis())
        if home is None or not lives or namespace not in (home.namespace_id, home.name):
            if not cached:
                raise NotFound("Namespace", namespace)
            return None
        if entry is None or entry.namespace_id != namespace_id or not entry.live or identifier not in (id, entry.name):
            self._ids.pop((namespace_id, identifier), None)
            return None
        scope = Scope(namespace_id, home.name)
        return OpenBucket(scope, id, entry.name, entry.body, entry, version, home)

    async def get(self, namespace: str, identifier: str) -> Json:
        bucket = await self.find(namespace, identifier)
        return await self._answer(bucket.scope, bucket.id, bucket.body)

    async def list(self, namespace: str, request: ListRequest) -> tuple[ListPage, Sequence[Json]]:
        scope, _ = await self._namespaces.find(namespace)
        listed = BucketListSource(self._catalog, scope.namespace_id, self._namespaces.cursors.lifetime, self, scope)
        page = await page_of(request, listed, self._namespaces.cursors, self._namespaces.budget)
        entries = [Entry.of(source) for source in page.sources]
        counts = await listed.counts([entry.id for entry in entries])
        return page, [{**view(id_of(entry), entry.body), **counts[entry.id]} for entry in entries]

    async def update(self, namespace: str, identifier: str, request: UpdateBucket) -> Json:
        bucket = await self.find(namespace, identifier)
        changes = request.model_dump(exclude_unset=True)
        if changes.get("bucket_schema") is not None:
            changes["bucket_schema"] = read_schema(changes["bucket_schema"], ("body", "bucket_schema"))
        name = changes.get("bucket_name") or bucket.name
        if changes.get("metadata") is not None:
            changes["metadata"] = {**(bucket.body.get("metadata") or {}), **changes["metadata"]}
        self._same_key(bucket, changes)
        body = {**bucket.body, **changes, "bucket_name": name, "updated_at": now_millis()}
        try:
            await self._operations.change(bucket.entry, body, name, view(bucket.id, body))
        except Taken:
            raise name_taken("bucket", name) from None
        except Conflict:
            raise AlreadyExists("the bucket was changed by somebody else meanwhile; read it again") from None
        if self._on_schema and body.get("bucket_schema") != bucket.body.get("bucket_schema"):
            await self._on_schema(bucket.scope, bucket.id)
        return await self._answer(bucket.scope, bucket.id, body)

    def _same_key(self, bucket: OpenBucket, changes: Mapping[str, Json]) -> None:
        """Object ids are derived from the unique key's values, so its fields are fixed; its policy may change."""
        if "unique_key" not in changes:
            return
        have, want = bucket.unique_key, changes["unique_key"]
        if (have.fields if have else None) != (want["fields"] if want else None):
            raise Invalid.at(
                ("body", "unique_key"),
                "the fields of a unique_key cannot change; make a bucket with the other key and import into it",
            )

    async def delete(self, namespace: str, identifier: str) -> Json:
        """Takes effect at once for all callers; the objects are removed in the background."""
        before = await self.find(namespace, identifier)
        await self._unread(before)
        counts = await self.counts(before.scope, [before.id], {before.id: before.snapshot.expired_before})
        bucket = await self._retire(namespace, identifier)
        self._ids.pop((bucket.scope.namespace_id, bucket.name), None)
        named = {"bucket_id": bucket.id, "bucket_name": bucket.name}
        rendered = {**named, "object_count": counts[bucket.id]["object_count"]}
        task = await self._tasks.start_removal(bucket.entry, rendered)
        return {**rendered, "status": "PENDING", "task_id": task}

    async def _unread(self, bucket: OpenBucket) -> None:
        """Raises `AlreadyExists` (409) if a collection reads the bucket."""
        readers = await self._catalog.find(readers_of(bucket.scope.namespace_id, bucket.id), 5)
        if readers:
            names = ", ".join(repr(reader.name) for reader in readers)
            raise AlreadyExists(
                f"collections read this bucket; delete them first: {names}",
                {"collections": [id_of(reader) for reader in readers]},
            )

    async def _retire(self, namespace: str, identifier: str) -> OpenBucket:
        """Marks it as being deleted; of several concurrent callers one succeeds, the others find nothing."""
        for _ in range(_ROUNDS):
            bucket = await self.find(namespace, identifier)
            with suppress(Conflict):
                await self._operations.retire(bucket.entry, partial(view, bucket.id))
                return bucket
        raise Unavailable("the bucket is being changed by too many requests at once", retry_after=1)

    async def source(self, namespace: str, identifier: str) -> BucketSource:
        """The source for lists and aggregates."""
        key = (namespace, identifier)
        return await self._source(key, await self._find_and_remember(key))

    async def recent_source(self, namespace: str, identifier: str) -> BucketSource:
        """The bucket as last seen, if cached; the caller checks for a `newer` one at the end."""
        key = (namespace, identifier)
        return await self._source(key, self._known.get(key) or await self._find_and_remember(key))

    async def _find_and_remember(self, key: tuple[str, str]) -> OpenBucket:
        self._known.pop(key, None)
        bucket = await self.find(*key)
        self._known[key] = bucket
        return bucket

    async def _source(self, key: tuple[str, str], bucket: OpenBucket) -> BucketSource:
        async def newest() -> BucketSource | None:
            ids = (namespace_key(bucket.scope.namespace_id), bucket.entry.id, fields_id(bucket.id))
            same = await self._catalog.versions(*ids) == bucket.versions
            if same and is_live(bucket.home.body, now_millis()):
                return None
            return await self._source(key, await self._find_and_remember(key))

        instants = date_paths(bucket.schema)
        return replace(await BucketSource.at(self.store, bucket.scope, [bucket.snapshot], instants), newest=newest)

    async def _id(self, namespace_id: str, identifier: str, *, cached: bool) -> str:
        key = (namespace_id, identifier)
        if not (cached and key in self._ids):
            owner = await self._catalog.owner(claim_key("bucket", namespace_id, identifier))
            self._ids[key] = owner.partition(":")[2] if owner else identifier
        return self._ids[key]

    async def _answer(self, scope: Scope, id: str, body: Mapping[str, Json]) -> Json:
        counts = await self.counts(scope, [id], {id: expired_before(body)})
        return {**view(id, body), **counts[id]}

    async def counts(
        self, scope: Scope, ids: Sequence[str], cutoffs: Mapping[str, int | None]
    ) -> dict[str, dict[str, Json]]:
        """Objects, bytes and last upload of each bucket, in one request; expired objects are not counted.

        `cutoffs`: by bucket, the creation time (epoch milliseconds) before which objects have expired.
        """
        if not ids:
            return {}
        inner = {"bytes": {"sum": {"field": "@size_bytes"}}, "last": {"max": {"field": "created_at"}}}
        mortal = {id: BucketSnapshot(id, None, cutoff).query for id, cutoff in cutoffs.items() if cutoff is not None}
        body = {
            "size": 0,
            "query": dsl.terms("bucket_id", list(ids)),
            "track_total_hits": False,
            "aggs": {
                "all": {"terms": {"field": "bucket_id", "size": len(ids)}, "aggs": inner},
                **({"mortal": {"filters": {"filters": mortal}, "aggs": inner}} if mortal else {}),
            },
        }
        aggs = (await self.store.search(scope, body))["aggregations"]
        found = {each["key"]: each for each in aggs["all"]["buckets"]}
        found |= aggs["mortal"]["buckets"] if mortal else {}
        return {id: _counted(found[id]) if id in found else dict(_NOTHING) for id in ids}


_NOTHING: Final = {"object_count": 0, "total_size_bytes": 0, "last_upload_at": None}


def _counted(bucket: Json) -> dict[str, Json]:
    last = bucket["last"]["value"]
    return {
        "object_count": bucket["doc_count"],
        "total_size_bytes": int(bucket["bytes"]["value"]),
        "last_upload_at": None if last is None else render_date(int(last)),
    }


def readers_of(namespace_id: str, bucket_id: str) -> Json:
    """The query for collections that read a bucket, directly or through other collections."""
    filters = [
        dsl.term("kind", "collection"),
        dsl.term("namespace_id", namespace_id),
        dsl.term("status", "ACTIVE"),
    ]
    places = ("source/bucket_ids", "source/inherited_bucket_ids")
    reads = [dsl.term(place, bucket_id) for place in places]
    return {"bool": {"filter": filters, "should": reads, "minimum_should_match": 1}}


def bucket_key(id: str) -> str:
    return f"bucket:{id}"
