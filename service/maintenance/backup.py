"""Backups: snapshots of OpenSearch, taken and restored in an order that keeps answers exact while services run.

A snapshot copies shard after shard, so its indices are from different moments. The catalogue must be the later one, so
that it knows every field, bucket and namespace of the objects. So a backup is two snapshots: the data's (`NAME-data`)
and, when that is complete, the catalogue's (`NAME-catalog`). Data that the catalogue has as deleted by then is removed
during a restore.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from service import __version__, dsl
from service.errors import BadRequest, TallyError, Unavailable
from service.scope import Scope
from service.storage import names
from service.storage.bootstrap import bootstrap
from service.storage.bulk import delete_by_query
from service.storage.catalog import Catalog, Entry
from service.storage.gateway import Absent, Gateway, Rejected
from service.storage.objects import ObjectStore
from service.values import Json

DATA: Final = f"{names.PREFIX}-objects-*,{names.ALL_RECORDS}"
_EVERYTHING: Final = f"{names.PREFIX}-*"
_POLL: Final = 0.5
_ROUNDS: Final = 5
_MOST: Final = 10_000
"""Maximum number of entries of a kind read together."""
_TERMS: Final = 65_000
"""Bucket ids per clause (`index.max_terms_count` is 65,536)."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Snapshot:
    """One snapshot as its repository reports it."""

    name: str
    state: str
    indices: tuple[str, ...]
    reason: str | None

    @property
    def complete(self) -> bool:
        return self.state == "SUCCESS"


class Backups:
    """Backups in one snapshot repository, which an operator has registered in OpenSearch."""

    def __init__(self, gateway: Gateway, catalog: Catalog, store: ObjectStore, repository: str, say: Say) -> None:
        self._gateway = gateway
        self._catalog = catalog
        self._store = store
        self._repository = repository
        self._say = say

    async def complete(self) -> list[str]:
        """The names of the complete backups."""
        there = {each.name for each in await self._snapshots() if each.complete}
        found = [name.removesuffix("-data") for name in there if name.endswith("-data")]
        return sorted(name for name in found if f"{name}-catalog" in there)

    async def take(self, name: str | None = None) -> str:
        """Backs up everything acknowledged before it began; services keep running. Raises if it is incomplete."""
        name = name or f"{names.PREFIX}-{datetime.now(UTC):%Y%m%dt%H%M%S}"
        if not _NAME.fullmatch(name):
            raise BadRequest(
                f"{name!r} is not a valid name for a backup: small letters, digits, `-`, `_` and `.`, at most 100"
            )
        for part, indices in (("data", DATA), ("catalog", f"{names.CATALOG}-*")):
            snapshot = await self._snapshot(f"{name}-{part}", indices)
            self._say(f"{snapshot.name}: {len(snapshot.indices)} indices")
        return name

    async def restore(self, name: str, *, replace: bool = False) -> None:
        """Restores everything from a backup; services answer 503 until it is done.

        `replace`: deletes Tally's existing indices. If interrupted, it can be run again.
        """
        data, catalog = [await self._complete(f"{name}-{part}", name) for part in ("data", "catalog")]
        present = await self._present()
        if present and not replace:
            raise BadRequest(
                f"OpenSearch holds {len(present)} indices of Tally ({present[0]}, …), which a restore deletes; "
                "say --replace if that is meant"
            )
        # A closed catalogue stops services from answering, from writing, and from creating an empty one.
        for index in present:
            if index.startswith(names.CATALOG):
                await self._request("POST", f"/{index}/_close")
        await self._put_back(data, lambda index: not index.startswith(names.CATALOG))
        await self._put_back(catalog, lambda index: index.startswith(names.CATALOG))
        await bootstrap(self._gateway)
        await self._reconcile()

    # Snapshots

    async def _snapshots(self, pattern: str = "_all") -> list[Snapshot]:
        try:
            answer = await self._request("GET", f"/_snapshot/{self._repository}/{pattern}")
        except Absent:
            if pattern != "_all":
                return []
            raise BadRequest(
                f"OpenSearch has no snapshot repository {self._repository!r}; register one: PUT "
                f"/_snapshot/{self._repository} (docs/running.md, Backup and restore)"
            ) from None
        return [
            Snapshot(each["snapshot"], each["state"], tuple(each["indices"]), each.get("reason"))
            for each in answer["snapshots"]
        ]

    async def _snapshot(self, name: str, indices: str) -> Snapshot:
        await self._snapshots()  # raises if something is wrong with the repository
        if await self._snapshots(name):
            raise BadRequest(f"the repository has a snapshot {name!r} already; choose another name")
        body = {"indices": indices, "include_global_state": False, "metadata": {"tally": __version__}}
        await self._request("PUT", f"/_snapshot/{self._repository}/{name}", body)
        while True:
            (snapshot,) = await self._snapshots(name)
            if snapshot.complete:
                return snapshot
            if snapshot.state != "IN_PROGRESS":
                raise Unavailable(
                    f"the snapshot {name} is {snapshot.state} ({snapshot.reason or 'OpenSearch does not say why'}): "
                    "it cannot be restored; delete it and try again"
                )
            await asyncio.sleep(_POLL)

    async def _complete(self, name: str, backup: str) -> Snapshot:
        await self._snapshots()
        found = await self._snapshots(name)
        if not found or not found[0].complete:
            state = f"is {found[0].state}" if found else "is not there"
            known = ", ".join(await self.complete()) or "none"
            raise BadRequest(
                f"{backup!r} is not a complete backup: the snapshot {name} {state}. Complete ones: {known}"
            )
        return found[0]

    # Restoring

    async def _present(self) -> list[str]:
        params = {"expand_wildcards": "all", "allow_no_indices": "true"}
        return sorted(await self._request("GET", f"/{_EVERYTHING}/_alias", params=params))

    async def _put_back(self, snapshot: Snapshot, mine: Callable[[str], bool]) -> None:
        for attempt in range(_ROUNDS):
            for index in filter(mine, await self._present()):
                await self._delete(index)
            if not snapshot.indices:
                return
            body = {"indices": ",".join(snapshot.indices), "include_global_state": False}
            try:
                await self._request("POST", f"/_snapshot/{self._repository}/{snapshot.name}/_restore", body)
                break
            except Rejected as rejected:
                raise Unavailable(f"OpenSearch does not restore {snapshot.name}: {rejected.reason}") from None
            except TallyError:
                # A write in flight has recreated one of the indices.
                if attempt == _ROUNDS - 1:
                    raise
        for index in snapshot.indices:
            await self._started(index)
        self._say(f"restored {len(snapshot.indices)} indices from {snapshot.name}")

    async def _delete(self, index: str) -> None:
        with suppress(Absent):
            await self._request("DELETE", f"/{index}")
            self._say(f"deleted {index}")

    async def _started(self, index: str) -> None:
        """Returns when every shard of an index can be read.

        The health status does not show that: a shard being restored counts as yellow.
        """
        while True:
            health = await self._request(
                "GET", f"/_cluster/health/{index}", params={"level": "shards", "timeout": "1s"}
            )
            shards = health["indices"].get(index, {}).get("shards", {})
            if shards and all(shard["primary_active"] for shard in shards.values()):
                return
            await asyncio.sleep(_POLL)

    async def _reconcile(self) -> None:
        """Aligns the data with the later catalogue: removes what was deleted, creates an index for every namespace."""
        namespaces = {each.namespace_id: each for each in await self._entries("namespace")}
        there = {found[1] for index in await self._present() if (found := re.match(r"tally-objects-(ns_\w+)-", index))}
        for id in there - namespaces.keys():
            await self._store.drop(Scope(id, id))
            self._say(f"deleted the objects of {id}, a namespace that was deleted while the backup was taken")
        buckets: dict[str, list[str]] = {id: [] for id in namespaces}
        for bucket in await self._entries("bucket"):
            buckets.setdefault(bucket.namespace_id, []).append(bucket.id.partition(":")[2])
        for id, entry in namespaces.items():
            if id not in there:
                await self._store.make(Scope(id, entry.name))
                self._say(f"made an index for {entry.name}, a namespace that was made while the backup was taken")
            else:
                kept = [buckets[id][start : start + _TERMS] for start in range(0, len(buckets[id]), _TERMS)]
                orphans: Json = dsl.filtered(without=[dsl.terms("bucket_id", some) for some in kept])
                removal = await delete_by_query(self._gateway, names.objects_alias(id), orphans, {"refresh": "true"})
                removal.check()
                if removal.deleted:
                    self._say(f"deleted {removal.deleted} objects of buckets that were deleted meanwhile")

    async def _entries(self, kind: str) -> list[Entry]:
        """All entries of a kind, including those being deleted."""
        found: list[Entry] = []
        after: Json = None
        while True:
            query: Json = dsl.filtered(dsl.term("kind", kind))
            body: dict[str, Json] = {"size": _MOST, "query": query, "sort": [{"id": "asc"}]}
            if after is not None:
                body["search_after"] = after
            hits = (await self._catalog.documents.search(body))["hits"]["hits"]
            found += [Entry.of(hit) for hit in hits]
            if len(hits) < _MOST:
                return found
            after = hits[-1]["sort"]

    async def _request(
        self, method: str, path: str, body: Json = None, params: Mapping[str, str] | None = None
    ) -> Json:
        return await self._gateway.json(method, path, body, params=params)
