"""Collections: named selections of objects from buckets or other collections, and the schemas derived from them."""

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from pydantic import AliasChoices, Field, StrictBool, field_validator, model_validator
from pydantic_core import PydanticCustomError

from service import dsl
from service.catalog.buckets import BucketService, bucket_key, id_of, readers_of
from service.catalog.namespaces import NamespaceService, expired_before, name_taken, namespace_key, no_id, overtaken
from service.catalog.schema import date_paths, read_schema
from service.clock import arrival, now_millis
from service.conditions.base import Condition
from service.conditions.equality import Equals
from service.conditions.logic import And, Or
from service.dialects.flat.filters import OBJECT, Resource, read_list_filters
from service.dialects.flat.listing import ListRequest
from service.errors import AlreadyExists, Invalid, NotFound, TallyError, Unavailable
from service.fields import Fields
from service.listing.base import ListPage
from service.listing.pages import page_of
from service.listing.sources import ResourceListSource, mean, sum_of, with_omitted
from service.scope import Scope
from service.storage.catalog import Catalog, Entry
from service.storage.gateway import Conflict
from service.storage.objects import ObjectStore, fields_id
from service.storage.operations import Draft, Homeless, Taken, claim_key
from service.storage.terms import TERMS, term
from service.storage.views import BucketSnapshot, BucketSource
from service.values import Json, render_date
from service.wire import WireModel

_ROUNDS: Final = 10
_MOST: Final = 10_000
_DEEPEST: Final = 10
"""Levels of nested collections."""
_FILTERS: Final = 500
"""Counts per request."""

Name = Annotated[str, Field(min_length=3, max_length=100), no_id("col")]


class SourceFilters(WireModel):
    """Which of the source's objects are meant: filters of the list form."""

    filters: dict[str, Any] | None = None
    description: str | None = None


class SourceConfig(WireModel):
    """Buckets, or other collections, and filters on their objects."""

    unsupported: ClassVar = {
        "source_namespace_id": "a collection reads from its own namespace",
        "field_map": "a collection passes fields through under their own names",
        "inherited_bucket_ids": "the service derives it from the sources",
    }

    type: Literal["bucket", "collection"]
    bucket_ids: list[str] | None = Field(None, max_length=100)
    collection_id: str | None = None
    collection_ids: list[str] | None = Field(None, max_length=100)
    source_filters: SourceFilters | None = None

    @classmethod
    def stored(cls, source: Mapping[str, Json]) -> "SourceConfig":
        """From the catalogue, where what is derived and what earlier releases accepted stands beside it."""
        kept = {name: source.get(name) for name in cls.model_fields}
        filters = kept["source_filters"] or {}
        kept["source_filters"] = {name: filters.get(name) for name in SourceFilters.model_fields} if filters else None
        return cls.model_validate(kept)

    @model_validator(mode="before")
    @classmethod
    def _one_bucket(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("bucket_id") and not given.get("bucket_ids"):
            return {
                **{name: each for name, each in given.items() if name != "bucket_id"},
                "bucket_ids": [given["bucket_id"]],
            }
        return given

    @field_validator("bucket_ids", "collection_ids")
    @classmethod
    def _are_different(cls, names: list[str] | None) -> list[str] | None:
        for position, name in enumerate(names or ()):
            if name in (names or ())[:position]:
                raise PydanticCustomError("duplicate", "{name} is given twice; leave one out", {"name": name})
        return names

    @model_validator(mode="after")
    def _names_something(self) -> "SourceConfig":
        named = self.bucket_ids if self.type == "bucket" else self.parents
        if not named:
            wanted = "bucket_ids" if self.type == "bucket" else "collection_id or collection_ids"
            raise PydanticCustomError(
                "missing", "a source of type {type} needs {wanted}", {"type": self.type, "wanted": wanted}
            )
        return self

    @property
    def parents(self) -> list[str]:
        single = [self.collection_id] if self.collection_id else []
        return list(dict.fromkeys([*single, *(self.collection_ids or ())]))


_UNSUPPORTED: Final = {
    "features": "Tally runs no feature extractors; name one in `feature_extractor` to have it kept",
    "schedule": "a collection is computed when it is asked for",
    "alert_applications": "Tally sends no alerts",
    "retriever_enrichments": "Tally has no retrievers",
    "retriever_transform": "Tally has no retrievers",
    "embedding_task": "Tally stores no vectors",
}


class FieldPassthrough(WireModel):
    """A field of the source that documents keep, and under which name."""

    source_path: str
    target_path: str | None = None
    default: Any = None
    required: bool | None = None


class FeatureExtractor(WireModel):
    """Stored and given back, never run; but its passed fields make the output schema."""

    feature_extractor_name: str | None = None
    version: str | None = None
    feature_extractor_id: str | None = None
    parameters: dict[str, Any] | None = None
    params: dict[str, Any] | None = Field(None, description="The older spelling of `parameters`.")
    input_mappings: dict[str, Any] | None = None
    field_passthrough: list[FieldPassthrough] | None = None
    include_all_source_fields: bool | None = None

    def given(self) -> dict[str, Json]:
        return self.model_dump(exclude_unset=True)


class CreateCollection(WireModel):
    """A collection to be made."""

    unsupported = _UNSUPPORTED

    collection_name: Name = Field(validation_alias=AliasChoices("collection_name", "name"))
    source: SourceConfig
    feature_extractor: FeatureExtractor | None = None
    description: str | None = None
    metadata: dict[str, Any] | None = None
    enabled: StrictBool = True
    input_schema: dict[str, Any] | None = None
    schema_sync_enabled: StrictBool = True
    taxonomy_applications: list[dict[str, Any]] | None = None
    cluster_applications: list[dict[str, Any]] | None = None
    vector_indexes: list[dict[str, Any]] | None = None
    payload_indexes: list[Any] | None = None


class UpdateCollection(WireModel):
    """What is to change; what is not given stays."""

    unsupported = _UNSUPPORTED

    collection_name: Name | None = Field(None, validation_alias=AliasChoices("collection_name", "name"))
    feature_extractor: FeatureExtractor | None = None
    description: str | None = None
    metadata: dict[str, Any] | None = None
    enabled: StrictBool | None = None
    schema_sync_enabled: StrictBool | None = None
    taxonomy_applications: list[dict[str, Any]] | None = None
    cluster_applications: list[dict[str, Any]] | None = None
    source: dict[str, Any] | None = None


COMPUTED: Final = frozenset({"document_count"})


@dataclass
class CollectionListSource(ResourceListSource):
    """The collections of a namespace."""

    collections: "CollectionService"
    scope: Scope
    found: dict[str, int] = field(default_factory=dict)
    """Counts made so far, by catalogue id."""
    kind = "collection"
    names = ("collection_id", "collection_name", "description")
    instants = frozenset({"created_at", "updated_at", "last_schema_sync"})
    resource = Resource(
        frozenset(
            {
                "collection_id", "collection_name", "description", "input_schema", "output_schema", "feature_extractor",
                "source", "source_bucket_schemas", "source_lineage", "vector_indexes", "payload_indexes", "enabled",
                "metadata", "created_at", "updated_at", "schema_version", "last_schema_sync", "schema_sync_enabled",
                "taxonomy_applications", "cluster_applications", "taxonomy_count", "retriever_count", *COMPUTED,
            }
        ),
        {"name": "collection_name"},
        computed=COMPUTED,
    )  # fmt: skip

    def view(self, entry: Entry) -> dict[str, Json]:
        return view(id_of(entry), entry.body)

    @property
    def aggs(self) -> Mapping[str, Json]:
        def different(name: str) -> Json:
            return {"terms": {"field": TERMS, "include": f"{name}\x1f.*", "size": _MOST}}

        return {
            **super().aggs,
            "extractors": different("feature_extractor/feature_extractor_id"),
            "taxonomies": different("taxonomy_applications/taxonomy_id"),
            "with": {
                "filter": dsl.in_range(TERMS, gte=term("taxonomy_count", "double", 1), lt="taxonomy_count@double ")
            },
        }

    async def counts(self, entries: Sequence[str]) -> Mapping[str, Mapping[str, Json]]:
        await self.count([entry for entry in await self.catalog.get(*entries) if entry])
        return {entry: {"document_count": self.found.get(entry, 0)} for entry in entries}

    async def count(self, entries: Sequence[Entry]) -> None:
        missing = [entry for entry in entries if entry.id not in self.found]
        self.found |= await self.collections.counts(self.scope, missing)

    def summed(self, total: int, counts: Mapping[str, Mapping[str, Json]] | None, aggs: Mapping[str, Json]) -> Json:
        documents = sum_of(counts, "document_count")
        extractors: int | None = None
        taxonomies: int | None = None
        having: int | None = None
        if "items" in aggs:
            applied = [item["taxonomy_applications"] or [] for item in aggs["items"]]
            extractors = len({item["feature_extractor"]["feature_extractor_id"] for item in aggs["items"]})
            taxonomies = len({each.get("taxonomy_id") for some in applied for each in some} - {None})
            having = sum(1 for some in applied if some)
        elif aggs:
            extractors, taxonomies = len(aggs["extractors"]["buckets"]), len(aggs["taxonomies"]["buckets"])
            having = aggs["with"]["doc_count"]
        return with_omitted(
            {
                "total_documents": documents,
                "avg_documents_per_collection": mean(documents, total),
                "collections_with_taxonomies": having,
                "total_feature_extractors": extractors,
                "total_taxonomies": taxonomies,
                "total_retrievers": 0,
            }
        )


def view(id: str, body: Mapping[str, Json]) -> dict[str, Json]:
    """A collection without its counts: the fields of the documented page."""
    return {
        "collection_name": body["collection_name"],
        "input_schema": body["input_schema"],
        "output_schema": body["output_schema"],
        "feature_extractor": body["feature_extractor"],
        "source": body["source"],
        "collection_id": id,
        "description": body.get("description"),
        "source_bucket_schemas": body["source_bucket_schemas"],
        "source_lineage": body["source_lineage"],
        "vector_indexes": body.get("vector_indexes") or [],
        "payload_indexes": body.get("payload_indexes") or [],
        "enabled": body["enabled"],
        "metadata": body.get("metadata") or {},
        "created_at": render_date(body["created_at"]),
        "updated_at": render_date(body["updated_at"]),
        "schema_version": body["schema_version"],
        "last_schema_sync": render_date(body["last_schema_sync"]),
        "schema_sync_enabled": body["schema_sync_enabled"],
        "taxonomy_applications": body.get("taxonomy_applications"),
        "cluster_applications": body.get("cluster_applications"),
        "taxonomy_count": len(body.get("taxonomy_applications") or ()),
        "retriever_count": 0,
    }


def _indexed(id: str, body: Mapping[str, Json]) -> dict[str, Json]:
    return {**view(id, body), "status": body.get("status", "ACTIVE")}


class CollectionService:
    """The use cases of collections."""

    def __init__(
        self, namespaces: NamespaceService, buckets: BucketService, catalog: Catalog, store: ObjectStore
    ) -> None:
        self._namespaces = namespaces
        self._operations = namespaces.operations
        self._buckets = buckets
        self._catalog = catalog
        self._store = store

    async def create(self, namespace: str, request: CreateCollection) -> Json:
        scope, _ = await self._namespaces.find(namespace)
        _check_filters(request.source.source_filters)
        id = f"col_{secrets.token_hex(5)}"
        name = request.collection_name
        body: dict[str, Any] = {
            **request.model_dump(exclude={"source", "feature_extractor"}),
            "feature_extractor": extractor(request.feature_extractor.given() if request.feature_extractor else None),
            "schema_version": 1,
            "arrival": arrival(),
        }
        body |= await self._derived(scope, request.source, body["feature_extractor"])
        if request.input_schema is not None:
            body["input_schema"] = read_schema(request.input_schema, ("body", "input_schema"))
        now = now_millis()
        body |= {"created_at": now, "updated_at": now, "last_schema_sync": now}
        draft = Draft(_key(id), "collection", scope.namespace_id, name, body, _indexed(id, body))
        try:
            entry = await self._operations.create(draft, namespace_key(scope.namespace_id))
        except Taken:
            raise name_taken("collection", name) from None
        except Homeless:
            raise NotFound("Namespace", namespace) from None
        except Conflict:
            raise overtaken("collection", name) from None
        return await self._answer(scope, entry)

    async def find(self, namespace: str, identifier: str) -> tuple[Scope, Entry]:
        """By id or name; raises `NotFound`."""
        scope, _ = await self._namespaces.find(namespace)
        return scope, await self._entry(scope, identifier)

    async def _entry(self, scope: Scope, identifier: str) -> Entry:
        owner = await self._catalog.owner(claim_key("collection", scope.namespace_id, identifier))
        id = owner.partition(":")[2] if owner else identifier
        (entry,) = await self._catalog.get(_key(id))
        mine = entry is not None and entry.live and entry.namespace_id == scope.namespace_id
        if entry is None or not mine or identifier not in (id, entry.name):
            raise NotFound("Collection", identifier)
        return entry

    async def get(self, namespace: str, identifier: str) -> Json:
        return await self._answer(*await self.find(namespace, identifier))

    async def list(self, namespace: str, request: ListRequest) -> tuple[ListPage, list[Json]]:
        scope, _ = await self._namespaces.find(namespace)
        listed = CollectionListSource(self._catalog, scope.namespace_id, self._namespaces.cursors.lifetime, self, scope)
        page = await page_of(request, listed, self._namespaces.cursors, self._namespaces.budget)
        entries = [Entry.of(source) for source in page.sources]
        await listed.count(entries)
        return page, [_render(entry, listed.found[entry.id]) for entry in entries]

    async def update(self, namespace: str, identifier: str, request: UpdateCollection) -> Json:
        _, entry = await self.find(namespace, identifier)
        id, changes = id_of(entry), request.model_dump(exclude_unset=True)
        if "source" in changes:
            raise Invalid.at(("body", "source"), "the source of a collection cannot change; make another collection")
        changes = {name: value for name, value in changes.items() if value is not None or name not in _NEEDED}
        if changes.get("metadata") is not None:
            changes["metadata"] = {**(entry.body.get("metadata") or {}), **changes["metadata"]}
        if "feature_extractor" in changes:
            changes["feature_extractor"] = extractor(changes["feature_extractor"])
            changes["output_schema"] = output_schema(entry.body["input_schema"], changes["feature_extractor"])
        name = changes.get("collection_name") or entry.name
        body = {**entry.body, **changes, "collection_name": name, "updated_at": now_millis()}
        try:
            await self._operations.change(entry, body, name, _indexed(id, body))
        except Taken:
            raise name_taken("collection", name) from None
        except Conflict:
            raise AlreadyExists("the collection was changed by somebody else meanwhile; read it again") from None
        return await self.get(namespace, id)

    async def delete(self, namespace: str, identifier: str) -> Json:
        """Takes effect at once; the objects that it selected are kept."""
        entry = await self._retire(namespace, identifier)
        with suppress(TallyError, Conflict):  # already deleted; the rest is cleaned up later
            await self._catalog.remove(entry)
        return {"collection_id": id_of(entry), "collection_name": entry.name, "status": "COMPLETED", "success": True}

    async def _retire(self, namespace: str, identifier: str) -> Entry:
        for _ in range(_ROUNDS):
            scope, entry = await self.find(namespace, identifier)
            await self._unread(scope, entry)
            with suppress(Conflict):
                return await self._operations.retire(entry, partial(_indexed, id_of(entry)))
        raise Unavailable("the collection is being changed by too many requests at once", retry_after=1)

    async def _unread(self, scope: Scope, entry: Entry) -> None:
        """Raises `AlreadyExists` (409) if another collection reads this one."""
        children = await self._catalog.find(_children(scope, id_of(entry)), 5)
        if children:
            names = ", ".join(repr(child.name) for child in children)
            raise AlreadyExists(
                f"collections read this one; delete them first: {names}",
                {"collections": [id_of(child) for child in children]},
            )

    async def source(self, namespace: str, identifier: str) -> BucketSource:
        """The source for aggregates over the collection's objects."""
        scope, entry = await self.find(namespace, identifier)
        sources = await self._sources(scope, [entry])
        return sources[_selection(entry)]

    async def counts(self, scope: Scope, entries: Sequence[Entry]) -> dict[str, int]:
        """Number of objects that each collection selects, in one request; equal selections are counted once."""
        if not entries:
            return {}
        for _ in range(_ROUNDS):
            sources = await self._sources(scope, entries)
            numbers = await self._counted(scope, sources)
            known = {each.bucket_id: each.version for source in sources.values() for each in source.buckets}
            if await self._store.versions(list(known)) == list(known.values()):
                return {entry.id: numbers[_selection(entry)] for entry in entries}
        raise Unavailable("new fields keep being written; try again", retry_after=1)

    async def _counted(self, scope: Scope, sources: Mapping[str, BucketSource]) -> dict[str, int]:
        counts: dict[str, int] = {}
        filters: dict[str, Json] = {}
        for selection, source in sources.items():
            clause = source.condition.compile(source.fields)
            if clause.exact:
                filters[selection] = dsl.filtered(source.query, clause.query)
                continue
            counts[selection] = 0
            async with source.view() as view:
                query = dsl.filtered(source.query, clause.query)
                async for page in view.objects(query, ordered=False):
                    counts[selection] += sum(1 for item in page if source.condition.test(item))
        names = list(filters)
        for start in range(0, len(names), _FILTERS):
            some = names[start : start + _FILTERS]
            inner = {str(position): filters[name] for position, name in enumerate(some)}
            body = {"size": 0, "track_total_hits": False, "aggs": {"all": {"filters": {"filters": inner}}}}
            found = (await self._store.search(scope, body))["aggregations"]["all"]["buckets"]
            counts |= {name: found[str(position)]["doc_count"] for position, name in enumerate(some)}
        return counts

    async def _sources(self, scope: Scope, entries: Sequence[Entry]) -> dict[str, BucketSource]:
        """The source of each distinct selection, with one catalogue read."""
        selections = {_selection(entry): entry.body["branches"] for entry in entries}
        ids = list(dict.fromkeys(id for each in selections.values() for branch in each for id in branch["buckets"]))
        found, versions = await self._catalog.get_with_versions(map(bucket_key, ids), map(fields_id, ids))
        homes = {id: (entry, version) for id, entry, version in zip(ids, found, versions, strict=True)}
        sources: dict[str, BucketSource] = {}
        for selection, branches in selections.items():
            snapshots: list[BucketSnapshot] = []
            instants = []
            for id in dict.fromkeys(id for branch in branches for id in branch["buckets"]):
                entry, version = homes[id]
                if entry is not None and entry.live:
                    snapshots.append(BucketSnapshot(id, version, expired_before(entry.body)))
                    instants += date_paths(entry.body.get("bucket_schema"))
            sources[selection] = await BucketSource.at(self._store, scope, snapshots, instants, _Selected(branches))
        return sources

    async def _answer(self, scope: Scope, entry: Entry) -> Json:
        counts = await self.counts(scope, [entry])
        return _render(entry, counts[entry.id])

    # Derived from the source

    async def _derived(self, scope: Scope, source: SourceConfig, extractor: Mapping[str, Json]) -> dict[str, Json]:
        own = _normal(source.source_filters)
        filters = [own["filters"]] if own and own.get("filters") else []
        if source.type == "bucket":
            buckets = await self._bucket_schemas(scope, source.bucket_ids or [])
            rendered = _source(source, own, bucket_ids=list(buckets), inherited=None)
            branches = [{"buckets": list(buckets), "filters": filters}]
            schema, lineage = united(buckets.values()), []
            schemas = buckets if len(buckets) > 1 else None
        else:
            parents = [await self._entry(scope, parent) for parent in source.parents]
            inherited = list(dict.fromkeys(id for parent in parents for id in _roots(parent)))
            rendered = _source(
                source, own, bucket_ids=None, inherited=inherited, parents=[id_of(each) for each in parents]
            )
            branches = [
                {"buckets": branch["buckets"], "filters": [*branch["filters"], *filters]}
                for parent in parents
                for branch in parent.body["branches"]
            ]
            schema, lineage, schemas = united(each.body["output_schema"] for each in parents), _lineage(parents), None
        return {
            "source": rendered,
            "branches": branches,
            "input_schema": schema,
            "output_schema": output_schema(schema, extractor),
            "source_bucket_schemas": schemas,
            "source_lineage": lineage,
        }

    async def _bucket_schemas(self, scope: Scope, identifiers: Sequence[str]) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for identifier in identifiers:
            bucket = await self._buckets.find(scope.namespace_id, identifier)
            found[bucket.id] = bucket.schema or {"properties": {}}
        return found

    async def sync(self, scope: Scope, bucket_id: str) -> None:
        """Updates everything derived from a bucket's changed schema, sources before their dependants."""
        for reader in await self._catalog.find(readers_of(scope.namespace_id, bucket_id), _MOST):
            if not reader.body["schema_sync_enabled"]:
                continue
            for _ in range(_ROUNDS):
                (entry,) = await self._catalog.get(reader.id)
                if entry is None or not entry.live:
                    break
                body = await self._synced(scope, entry.body)
                if body is None:
                    break
                try:
                    await self._operations.change(entry, body, entry.name, _indexed(id_of(entry), body))
                except Conflict:
                    continue
                break

    async def _synced(self, scope: Scope, body: Mapping[str, Json]) -> dict[str, Json] | None:
        """The collection with the current schemas, None if they have not changed."""
        try:
            derived = await self._derived(scope, SourceConfig.stored(body["source"]), body["feature_extractor"])
        except TallyError:
            return None
        kept = ("input_schema", "output_schema", "source_bucket_schemas", "source_lineage")
        new = {name: derived[name] for name in kept}
        if all(body[name] == value for name, value in new.items()):
            return None
        now = now_millis()
        return {**body, **new, "schema_version": body["schema_version"] + 1, "last_schema_sync": now, "updated_at": now}


_NEEDED: Final = frozenset({"collection_name", "enabled", "schema_sync_enabled", "feature_extractor"})


@dataclass(frozen=True)
class _Selected:
    """The condition for membership of a collection: in one branch's buckets, and matching all of its filters."""

    branches: Sequence[Mapping[str, Json]]

    def __call__(self, fields: Fields) -> Condition:
        return Or(
            tuple(
                And(
                    (
                        Equals(("bucket_id",), tuple(branch["buckets"])),
                        *(_read(each, fields) for each in branch["filters"]),
                    )
                )
                for branch in self.branches
            )
        )


def _read(filters: Json, fields: Fields) -> Condition:
    at = ("body", "source", "source_filters", "filters")
    instant = lambda path: fields.get(path).instant  # noqa: E731
    return read_list_filters(filters, at, instant, OBJECT, case_sensitive=False)[0]


def _check_filters(given: SourceFilters | None) -> None:
    if given and given.filters:
        _read(given.filters, Fields({}))


def _normal(given: SourceFilters | None) -> dict[str, Json] | None:
    """As sent, but with NOT as an array, as the clients' models require."""
    if given is None:
        return None
    rendered = given.model_dump()
    return {**rendered, "filters": _with_arrays(rendered.get("filters"))}


def _with_arrays(filters: Json) -> Json:
    if not isinstance(filters, dict):
        return filters
    rendered = dict(filters)
    for key in ("AND", "OR", "NOT"):
        if key in rendered:
            parts = rendered[key] if isinstance(rendered[key], list) else [rendered[key]]
            rendered[key] = [_with_arrays(part) for part in parts]
    return rendered


def _source(
    source: SourceConfig,
    filters: Json,
    *,
    bucket_ids: Sequence[str] | None,
    inherited: Sequence[str] | None,
    parents: Sequence[str] = (),
) -> dict[str, Json]:
    return {
        "type": source.type,
        "bucket_ids": bucket_ids,
        "collection_id": parents[0] if len(parents) == 1 else None,
        "collection_ids": list(parents) or None,
        "inherited_bucket_ids": inherited,
        "source_filters": filters,
    }


def _roots(entry: Entry) -> list[str]:
    return [id for branch in entry.body["branches"] for id in branch["buckets"]]


def _lineage(parents: Sequence[Entry]) -> list[Json]:
    """The steps from the buckets to this collection, the farthest first."""
    steps: list[Json] = []
    for parent in parents:
        body = parent.body
        mine = {
            "source_config": body["source"],
            "feature_extractor": body["feature_extractor"],
            "output_schema": body["output_schema"],
        }
        steps += [step for step in (*body["source_lineage"], mine) if step not in steps]
    if len(steps) > _DEEPEST:
        raise Invalid.at(("body", "source"), f"collections on collections go at most {_DEEPEST} deep", "too_deep")
    return steps


def extractor(given: Mapping[str, Json] | None) -> dict[str, Json]:
    """The documented feature extractor; without one, a default that passes everything through."""
    given = dict(given or {"feature_extractor_name": "passthrough_extractor", "include_all_source_fields": True})
    name = given.pop("feature_extractor_name", None)
    version = given.pop("version", None) or "v1"
    if not isinstance(name, str) or not isinstance(version, str) or not name:
        raise Invalid.at(
            ("body", "feature_extractor", "feature_extractor_name"), "a name (and a version) is needed", "missing"
        )
    return {
        "feature_extractor_name": name,
        "version": version,
        "feature_extractor_id": given.pop("feature_extractor_id", None) or f"{name}_{version}",
        "parameters": given.pop("parameters", None) or given.get("params") or {},
        "input_mappings": given.pop("input_mappings", None) or {},
        "field_passthrough": given.pop("field_passthrough", None) or [],
        "include_all_source_fields": bool(given.pop("include_all_source_fields", False)),
        **given,
    }


def united(schemas: Any) -> dict[str, Json]:
    """The properties of all schemas; the first schema that has a property determines its type."""
    properties: dict[str, Json] = {}
    for schema in schemas:
        properties = {**(schema.get("properties") or {}), **properties}
    return {"properties": properties}


def output_schema(schema: Mapping[str, Json], extractor: Mapping[str, Json]) -> dict[str, Json]:
    """The fields passed through to the documents: this service runs no extractors."""
    source = schema.get("properties") or {}
    passed: dict[str, Json] = dict(source) if extractor["include_all_source_fields"] else {}
    for each in extractor["field_passthrough"]:
        if isinstance(each, dict) and isinstance(each.get("source_path"), str):
            path = each["source_path"]
            spec = source.get(path) or source.get(path.removeprefix("metadata.")) or {"type": "string"}
            passed[each.get("target_path") or path] = spec
    return {"properties": passed}


def _render(entry: Entry, count: int) -> Json:
    rendered = view(id_of(entry), entry.body)
    names = list(rendered)
    place = names.index("updated_at") + 1
    return {
        name: count if name == "document_count" else rendered[name]
        for name in [*names[:place], "document_count", *names[place:]]
    }


def _selection(entry: Entry) -> str:
    return msgspec.json.encode(entry.body["branches"], order="sorted").decode()


def _children(scope: Scope, id: str) -> Json:
    mine = [
        dsl.term("kind", "collection"),
        dsl.term("namespace_id", scope.namespace_id),
        dsl.term("status", "ACTIVE"),
    ]
    return dsl.filtered(*mine, dsl.term("source/collection_ids", id))


def _key(id: str) -> str:
    return f"collection:{id}"
