"""A namespace's objects in its index: registering fields, writing and reading documents, points in time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import msgspec
import orjson
from cachetools import LRUCache

from service import dsl
from service.encoding import ObservedField, dump_observed, load_observed, unite
from service.errors import NotFound, TallyError, Unavailable
from service.fields import LAYOUT, Fields, Leaf
from service.paths import Path
from service.scope import Scope
from service.storage import names
from service.storage.bulk import BulkItem, WriteOutcome, bulk, delete_by_query
from service.storage.catalog import Catalog, Entry, Version
from service.storage.document import SYSTEM
from service.storage.gateway import Absent, Conflict, Gateway, Refresher, Rejected
from service.storage.index_settings import index_settings
from service.storage.templates import index_body
from service.values import Json

_RETRIES: Final = 8
_REMOVED: Final = 20_000
"""Objects removed per request, which takes seconds."""

_KEPT: Final = 10_000
"""Buckets, and namespaces, whose fields are cached; the least recently used are evicted."""

_NAMED: Final = 100
"""Indices that fit into one request's URL."""

PARAMETERS: Final[Mapping[Leaf, Json]] = {
    "json": {"type": "keyword", "index": False},
    "keyword": {"type": "keyword"},
    "double": {"type": "double"},
    "long": {"type": "long"},
    "boolean": {"type": "boolean"},
    "date": {"type": "date", "format": "epoch_millis||strict_date_optional_time"},
    "fold": {"type": "keyword", "doc_values": False},
}


STRICT: Final[Json] = {
    "dynamic": "strict",
    "properties": {name: {"type": "object", "dynamic": "strict"} for name in ("metadata", "blobs")},
}
"""Rejects unmapped fields instead of leaving them out of the index. Indices of earlier releases lack this."""


class Renamed(Exception):
    """Another writer gave a new name a different type first; the namespace's names have been reloaded."""


class FullIndex(Exception):
    """The namespace's index has reached its field limit."""


@dataclass
class _Names:
    """The mapping of a namespace's index: plain names with their types, and every leaf."""

    primary_types: dict[str, str] = field(default_factory=dict)
    leaves: set[str] = field(default_factory=set)


@dataclass
class _KnownFields:
    """What is known of a bucket's fields, and the version of the entry that it was read from."""

    observed: dict[str, ObservedField] = field(default_factory=dict)
    version: Version | None = None
    layout: int = LAYOUT
    """The layout of the bucket's first objects."""


P = ParamSpec("P")
T = TypeVar("T")


def _in_namespace(
    method: Callable[Concatenate["ObjectStore", Scope, P], Awaitable[T]],
) -> Callable[Concatenate["ObjectStore", Scope, P], Awaitable[T]]:
    """If the index is missing, raises not found if the namespace was deleted meanwhile, else unavailable."""

    @wraps(method)
    async def checked(self: "ObjectStore", scope: Scope, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await method(self, scope, *args, **kwargs)
        except Absent:
            raise await self.missing(scope) from None

    return checked


class ObjectStore:
    """The objects of all namespaces; methods take the scope of the namespace."""

    def __init__(
        self, gateway: Gateway, catalog: Catalog, refresher: Refresher, shards: int, replicas: int | None
    ) -> None:
        self.gateway = gateway
        self._catalog = catalog
        self._refresher = refresher
        self._settings = index_settings(shards, replicas)
        self._names: LRUCache[str, _Names] = LRUCache(_KEPT)
        self._known: LRUCache[str, _KnownFields] = LRUCache(_KEPT)
        self._locks: dict[str, asyncio.Lock] = {}

    # The index

    async def make(self, scope: Scope) -> None:
        """Creates the namespace's index and its two aliases; an existing one is kept."""
        index = names.first_objects_index(scope.namespace_id)
        aliases: dict[str, Json] = {
            names.objects_alias(scope.namespace_id): {},
            names.readable_alias(scope.namespace_name): {},
        }
        try:
            body = {**index_body("tally-objects", self._settings), "aliases": aliases}
            await self.gateway.request("PUT", f"/{index}", body)
        except Rejected as rejected:
            if rejected.kind != "resource_already_exists_exception":
                raise

    async def rename(self, scope: Scope) -> None:
        """Gives the namespace's indices the readable alias of its name, and no other readable alias."""
        wanted = names.readable_alias(scope.namespace_name)
        actions: list[Json] = []
        for index, aliases in (await self._indices(names.objects_alias(scope.namespace_id))).items():
            others = [each for each in aliases if names.readable(each) and each != wanted]
            actions += [{"remove": {"index": index, "alias": each, "must_exist": False}} for each in others]
            if wanted not in aliases:
                actions.append({"add": {"index": index, "alias": wanted}})
        if actions:
            await self.gateway.request("POST", "/_aliases", {"actions": actions})

    async def drop(self, scope: Scope) -> None:
        """Deletes the indices behind the namespace's alias, and those that operators have since replaced."""
        self._names.pop(scope.namespace_id, None)
        alias = names.objects_alias(scope.namespace_id)
        for index in {**await self._indices(alias), **await self._indices(f"{alias}-*")}:
            with suppress(Absent):
                await self.gateway.request("DELETE", f"/{index}")

    async def _indices(self, pattern: str) -> dict[str, list[str]]:
        """The indices that an alias or pattern matches, open or closed, each with all of its aliases."""
        try:
            found = await self.gateway.json("GET", f"/{pattern}/_alias", params={"expand_wildcards": "all"})
        except Absent:
            return {}
        return {index: list(each["aliases"]) for index, each in found.items()}

    # Fields

    @_in_namespace
    async def primary_types(self, scope: Scope) -> dict[str, str]:
        """The types of the namespace's plain names, for encoding (a copy)."""
        if scope.namespace_id not in self._names:
            await self._read_names(scope)
        return dict(self._names[scope.namespace_id].primary_types)

    async def maps(self, scope: Scope, leaf: str) -> bool:
        """Whether the index has a field, as far as this process knows."""
        await self.primary_types(scope)
        return leaf in self._names[scope.namespace_id].leaves

    def forget_if_changed(self, scope: Scope, bucket_id: str, version: Version | None) -> None:
        """Drops the cached fields of a bucket and mapping of its index unless they are at this version.

        Another process may have added fields, or a restored snapshot may have fewer.
        """
        known = self._known.get(bucket_id)
        if known is not None and known.version != version:
            self.forget(scope, bucket_id)

    def forget(self, scope: Scope, bucket_id: str) -> None:
        """Drops the cached fields of a bucket and mapping of its index; they are reloaded on demand."""
        self._known.pop(bucket_id, None)
        self._names.pop(scope.namespace_id, None)

    async def known(self, bucket_id: str) -> dict[str, ObservedField]:
        """The fields seen in a bucket, as far as this process knows; other processes may know more."""
        if bucket_id not in self._known:
            await self._read_known(bucket_id)
        return self._known[bucket_id].observed

    async def fields(self, versions: Mapping[str, Version | None], instants: Sequence[Path]) -> Fields:
        """Buckets' fields at versions just read from the catalogue."""
        observed: Mapping[str, ObservedField] = {}
        layout = LAYOUT
        for bucket_id, version in versions.items():
            known = self._known.get(bucket_id)
            if known is None or known.version != version:
                known = await self._read_known(bucket_id)
            if observed:
                # There may be many buckets with many fields each.
                await asyncio.sleep(0)
            observed = (unite(observed, known.observed) or observed) if observed else known.observed
            layout = min(layout, known.layout)
        return Fields(
            {name: (each.primary_type, each.traits, each.bits) for name, each in observed.items()}, instants, layout
        )

    async def versions(self, bucket_ids: Sequence[str]) -> list[Version | None]:
        """The current versions of buckets' fields."""
        return await self._catalog.versions(*map(fields_id, bucket_ids))

    @_in_namespace
    async def learn(
        self, scope: Scope, bucket_id: str, observed: Mapping[str, ObservedField], leaves: Mapping[str, Leaf]
    ) -> None:
        """Registers the fields about to be written in the index and the catalogue.

        Raises `Renamed` if a name got another type meanwhile, `FullIndex` if the index has reached its field limit.
        """
        await self._map(scope, leaves)
        if unite(await self.known(bucket_id), observed) is None:
            return
        async with self._locks.setdefault(bucket_id, asyncio.Lock()):
            for _ in range(_RETRIES):
                known = await self._read_known(bucket_id)
                union = unite(known.observed, observed)
                if union is None:
                    return
                try:
                    await self._store_known(scope, bucket_id, known, union)
                except Conflict:
                    continue
                await self._read_known(bucket_id)
                return
        raise Unavailable("too many writers teach this bucket new fields at once", retry_after=1)

    async def _store_known(
        self, scope: Scope, bucket_id: str, known: _KnownFields, observed: Mapping[str, ObservedField]
    ) -> None:
        id = fields_id(bucket_id)
        body = {"fields": dump_observed(observed), "layout": known.layout}
        if known.version is None:
            await self._catalog.create(id, "fields", scope.namespace_id, bucket_id, body)
        else:
            at = known.version.seq_no, known.version.primary_term
            await self._catalog.replace(Entry(id, "fields", scope.namespace_id, bucket_id, {}, *at), body)

    async def _read_known(self, bucket_id: str) -> _KnownFields:
        (entry,) = await self._catalog.get(fields_id(bucket_id))
        known = _KnownFields()
        if entry is not None:
            known = _KnownFields(load_observed(entry.body["fields"]), entry.version, entry.body.get("layout", 1))
        self._known[bucket_id] = known
        return known

    async def _map(self, scope: Scope, leaves: Mapping[str, Leaf]) -> None:
        if scope.namespace_id not in self._names:
            await self._read_names(scope)
        mapped = self._names[scope.namespace_id].leaves
        new = {name: leaf for name, leaf in leaves.items() if name not in mapped}
        if not new:
            return
        properties: dict[str, Json] = {}
        for name, leaf in new.items():
            container, dot, rest = name.partition(".")
            target = properties.setdefault(container, {"properties": {}})["properties"] if dot else properties
            target[rest if dot else name] = PARAMETERS[leaf]
        index = names.objects_alias(scope.namespace_id)
        try:
            await self.gateway.request("PUT", f"/{index}/_mapping", {"properties": properties})
        except Rejected as rejected:
            if "Limit of total fields" in rejected.reason:
                raise FullIndex from None
            if "cannot be changed from type" not in rejected.reason:
                raise
            await self._read_names(scope)
            raise Renamed from None
        await self._read_names(scope)

    async def _read_names(self, scope: Scope) -> None:
        answer = await self.gateway.json("GET", f"/{names.objects_alias(scope.namespace_id)}/_mapping")
        if len(answer) != 1:
            raise Unavailable(
                f"the alias {names.objects_alias(scope.namespace_id)} stands for {len(answer)} indices "
                f"({', '.join(sorted(answer))}); it has to stand for one",
                retry_after=30,
            )
        (index,) = answer.values()
        found = _Names()
        for name, mapping in index["mappings"]["properties"].items():
            nested = mapping.get("properties")
            entries = {f"{name}.{leaf}": each for leaf, each in nested.items()} if nested else {name: mapping}
            for leaf, each in entries.items():
                found.leaves.add(leaf)
                if "@" not in leaf and leaf not in SYSTEM:
                    found.primary_types[leaf] = each["type"]
        if index["mappings"].get("dynamic") != "strict":
            await self.gateway.request("PUT", f"/{names.objects_alias(scope.namespace_id)}/_mapping", STRICT)
        self._names[scope.namespace_id] = found

    # Documents

    @_in_namespace
    async def write(self, scope: Scope, actions: Sequence[tuple[Mapping[str, Any], Json]]) -> list[BulkItem]:
        """Bulk-writes (action, document) pairs; not yet visible."""
        alias = names.objects_alias(scope.namespace_id)
        items = await bulk(self.gateway, [_lines(alias, action, document) for action, document in actions])
        if any(item.outcome is WriteOutcome.NO_INDEX for item in items):
            raise await self.missing(scope)
        return items

    async def missing(self, scope: Scope) -> TallyError:
        """The error for a namespace without its index: the namespace is gone, or somebody deleted the index."""
        (entry,) = await self._catalog.get(f"namespace:{scope.namespace_id}")
        if entry is None or not entry.live:
            return NotFound("Namespace", scope.namespace_name)
        return Unavailable(
            f"the index of the namespace {scope.namespace_name!r} (alias {names.objects_alias(scope.namespace_id)}) is "
            "not there in OpenSearch: restore it from a snapshot, or delete the namespace",
            retry_after=60,
        )

    @_in_namespace
    async def refresh(self, scope: Scope) -> None:
        await self._refresher.refresh(names.objects_alias(scope.namespace_id))

    @_in_namespace
    async def read(self, scope: Scope, ids: Sequence[str]) -> list[Json]:
        """Documents by id, with `found`, `_source`, `_seq_no`, `_primary_term`."""
        return await self.gateway.get_many(names.objects_alias(scope.namespace_id), ids)

    async def addresses(self, scope: Scope, bucket_id: str, object_ids: Sequence[str]) -> dict[str, str]:
        """Object id → document id of a bucket's objects, wherever they are stored; missing ones are left out."""
        if not object_ids:
            return {}
        await self.refresh(scope)
        filters = [dsl.terms("object_id", list(object_ids)), dsl.term("bucket_id", bucket_id)]
        body = {"query": dsl.filtered(*filters), "size": len(object_ids), "_source": ["object_id"]}
        hits = (await self.search(scope, body))["hits"]["hits"]
        return {hit["_source"]["object_id"]: hit["_id"] for hit in hits}

    @_in_namespace
    async def ask(self, scope: Scope, body: Mapping[str, Any]) -> str:
        """The unparsed answer to a search."""
        return await self.gateway.search(names.objects_alias(scope.namespace_id), body)

    async def search(self, scope: Scope, body: Mapping[str, Any]) -> Json:
        return msgspec.json.decode(await self.ask(scope, body))

    async def count(self, namespace_ids: Sequence[str], hidden: Sequence[tuple[str, Json]]) -> dict[str, int]:
        """Number of objects per namespace, excluding those that the (namespace, query) pairs match."""
        counts: dict[str, int] = {}
        for start in range(0, len(namespace_ids), _NAMED):
            some = namespace_ids[start : start + _NAMED]
            try:
                counts |= await self._counted(some, hidden)
            except Absent:
                there = {id for id in some if await self._indices(names.objects_alias(id))}
                await self._gone(set(some) - there)
                counts |= dict.fromkeys(some, 0) | await self._counted(sorted(there), hidden)
        return counts

    async def _counted(self, namespace_ids: Sequence[str], hidden: Sequence[tuple[str, Json]]) -> dict[str, int]:
        """Raises `Absent` if the index of any namespace does not exist."""
        if not namespace_ids:
            return {}
        filters = {
            id: dsl.filtered(
                dsl.term("_index", names.objects_alias(id)),
                without=[query for namespace_id, query in hidden if namespace_id == id],
            )
            for id in namespace_ids
        }
        body = {"size": 0, "aggs": {"namespaces": {"filters": {"filters": filters}}}}
        answer = msgspec.json.decode(await self.gateway.search(",".join(map(names.objects_alias, namespace_ids)), body))
        return {id: each["doc_count"] for id, each in answer["aggregations"]["namespaces"]["buckets"].items()}

    async def _gone(self, namespace_ids: Collection[str]) -> None:
        """Raises `Unavailable` if any of the namespaces exists although its index does not."""
        for entry in await self._catalog.get(*(f"namespace:{id}" for id in namespace_ids)) if namespace_ids else ():
            if entry is not None and entry.live:
                raise await self.missing(Scope(entry.namespace_id, entry.name))

    async def remove(self, scope: Scope, query: Json) -> AsyncIterator[int]:
        """Removes what a query matches, including later writes; yields the number removed per round, 0 at the end.

        Raises `Absent` if the namespace's index is gone, and the first failure (`Removal.check`).
        """
        alias = names.objects_alias(scope.namespace_id)
        while True:
            await self._refresher.refresh(alias)
            removal = await delete_by_query(self.gateway, alias, query, {"max_docs": _REMOVED, "refresh": "true"})
            yield removal.deleted
            removal.check()
            if not removal.deleted and not removal.conflicts:
                return

    async def forget_fields(self, bucket_id: str) -> None:
        self._known.pop(bucket_id, None)
        await self._catalog.delete(fields_id(bucket_id))


def fields_id(bucket_id: str) -> str:
    return f"fields:{bucket_id}"


def _lines(alias: str, action: Mapping[str, Any], document: Json) -> list[bytes]:
    """One write as the lines of a bulk request."""
    ((verb, details),) = action.items()
    lines = [orjson.dumps({verb: {"_index": alias, "require_alias": True, **details}})]
    return lines if document is None else [*lines, orjson.dumps(document)]
