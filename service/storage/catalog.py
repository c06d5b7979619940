"""The catalogue: small documents about namespaces, buckets and fields, read by id so that they are never stale."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import msgspec

from service.paths import Path
from service.storage import names
from service.storage.gateway import Absent, Conflict, Gateway
from service.storage.terms import TERMS, by_terms, on_terms, terms
from service.values import Json

_ORPHANED: Final = 30.0
"""Seconds after which a name whose owner was never stored is free again."""


Version = tuple[int, int]
"""Sequence number and primary term of a document."""


@dataclass(frozen=True)
class Entry:
    """One document of the catalogue and the version that a careful write names."""

    id: str
    kind: str
    namespace_id: str
    name: str
    body: Mapping[str, Json]
    seq_no: int
    primary_term: int

    @classmethod
    def of(cls, document: Json) -> "Entry":
        """From a document as OpenSearch gives it, found by id or by a search."""
        source = document["_source"]
        return cls(
            document["_id"],
            source["kind"],
            source["namespace_id"],
            source["name"],
            source["body"],
            document.get("_seq_no", -1),
            document.get("_primary_term", -1),
        )

    @property
    def version(self) -> dict[str, int]:
        return {"if_seq_no": self.seq_no, "if_primary_term": self.primary_term}


class Catalog:
    """Reads and writes entries; names are claimed by documents of their own, so they are unique under races."""

    def __init__(self, gateway: Gateway, refresh: Callable[[str], Any]) -> None:
        self.gateway = gateway
        self._refresh = refresh

    async def get(self, *ids: str) -> list[Entry | None]:
        documents = await self.gateway.get_many(names.CATALOG, ids)
        return [Entry.of(document) if document.get("found") else None for document in documents]

    async def versions(self, *ids: str) -> list[Version | None]:
        return [_version(each) for each in await self.gateway.get_many(names.CATALOG, (), ids)]

    async def get_with_versions(
        self, ids: Iterable[str], of: Iterable[str]
    ) -> tuple[list[Entry | None], list[Version | None]]:
        """Entries, and the versions of others that are not read, by one look."""
        ids, of = list(ids), list(of)
        documents = await self.gateway.get_many(names.CATALOG, ids, of)
        entries = [Entry.of(document) if document.get("found") else None for document in documents[: len(ids)]]
        return entries, [_version(document) for document in documents[len(ids) :]]

    async def get_with_version(self, *ids: str, of: str) -> tuple[list[Entry | None], Version | None]:
        """Entries, and the version of one more that is not read, by one look."""
        *documents, last = await self.gateway.get_many(names.CATALOG, ids, (of,))
        return [Entry.of(document) if document.get("found") else None for document in documents], _version(last)

    async def create(
        self,
        id: str,
        kind: str,
        namespace_id: str,
        name: str,
        body: Mapping[str, Json],
        view: Mapping[str, Json] | None = None,
    ) -> None:
        """Raises `Conflict` if there is one already. `view`: the fields that lists filter and sort by."""
        await self._put(id, kind, namespace_id, name, body, {"op_type": "create"}, view)

    async def replace(
        self,
        entry: Entry,
        body: Mapping[str, Json],
        name: str | None = None,
        view: Mapping[str, Json] | None = None,
    ) -> None:
        """Raises `Conflict` if somebody changed the entry meanwhile."""
        await self._put(entry.id, entry.kind, entry.namespace_id, name or entry.name, body, entry.version, view)

    async def amend(self, entry: Entry, **changes: Json) -> None:
        """Changes the body, not what lists filter by; raises `Conflict` as `replace` does, `Absent` if it is gone."""
        path = f"/{names.CATALOG}/_update/{_quoted(entry.id)}"
        await self.gateway.request("POST", path, {"doc": {"body": changes}}, params=entry.version)

    async def delete(self, id: str, *, seen: bool = False) -> None:
        """`seen`: lists do not show it any more when this returns."""
        try:
            await self.gateway.request("DELETE", f"/{names.CATALOG}/_doc/{_quoted(id)}")
        except Absent:
            return
        if seen:
            await self._refresh(names.CATALOG)

    async def release(self, claim: str, owner: str) -> None:
        """Frees a name, unless it has another owner by now."""
        (taken,) = await self.get(claim)
        if taken is not None and taken.body["owner"] == owner:
            with suppress(Absent, Conflict):  # freed or taken over since it was read
                path = f"/{names.CATALOG}/_doc/{_quoted(claim)}"
                await self.gateway.request("DELETE", path, params=taken.version)

    async def reassign(self, claim: Entry, owner: str) -> None:
        """Gives a name whose owner is there no more to another one; raises `Conflict` if it was changed since."""
        await self.replace(claim, _claimed_by(owner))

    async def claim(self, claim: str, owner: str, namespace_id: str, name: str) -> None:
        """Makes a name point to its owner; raises `Conflict` if it is taken."""
        body = _claimed_by(owner)
        try:
            await self.create(claim, "name", namespace_id, name, body)
        except Conflict:
            (taken,) = await self.get(claim)
            if taken is None:
                raise
            if taken.body["owner"] == owner:
                return  # by this very request: the answer was lost, and the client asked again
            (holder,) = await self.get(str(taken.body["owner"]))
            if holder is not None or time.time() - taken.body["at"] < _ORPHANED:
                raise
            await self.reassign(taken, owner)

    async def owner(self, claim: str) -> str | None:
        (entry,) = await self.get(claim)
        return str(entry.body["owner"]) if entry else None

    async def find(self, query: Json, size: int = 1_000, by: Path | None = None) -> list[Entry]:
        """The entries that a query finds, as conditions make it, oldest first or by a field, up to `size`."""
        return [Entry.of(hit) for hit in (await self._search(query, size, by=by))["hits"]["hits"]]

    async def tell(self, query: Json, aggs: Mapping[str, Json]) -> Json:
        """Aggregations over the entries that a query finds."""
        return (await self._search(query, 0, aggs))["aggregations"]

    async def _search(
        self, query: Json, size: int, aggs: Mapping[str, Json] | None = None, by: Path | None = None
    ) -> Json:
        body = {
            "size": size,
            "query": on_terms(query),
            "sort": [by_terms(by, descending=False)] if by else [{"@arrival": "asc"}],
            "seq_no_primary_term": True,
            **({"aggs": aggs} if aggs else {}),
        }
        return msgspec.json.decode(await self.gateway.search(names.CATALOG, body))

    async def forget(self, namespace_id: str, but: str) -> None:
        """Removes every entry of a namespace but one."""
        await self._refresh(names.CATALOG)
        mine = {"term": {"namespace_id": namespace_id}}
        body = {"query": {"bool": {"filter": [mine], "must_not": [{"ids": {"values": [but]}}]}}}
        path = f"/{names.CATALOG}/_delete_by_query"
        await self.gateway.request("POST", path, body, params={"conflicts": "proceed"})

    async def _put(
        self,
        id: str,
        kind: str,
        namespace_id: str,
        name: str,
        body: Mapping[str, Json],
        params: Mapping[str, Any],
        view: Mapping[str, Json] | None,
    ) -> None:
        document: dict[str, Json] = {"kind": kind, "namespace_id": namespace_id, "name": name, "body": body}
        if view is not None:
            found, shapes = terms(view)
            document |= {
                "id": id,
                "@arrival": body.get("arrival", body["created_at"] * 1_000),
                TERMS: found,
                "@shape": shapes,
            }
        await self.gateway.request("PUT", f"/{names.CATALOG}/_doc/{_quoted(id)}", document, params=params)
        if view is not None:
            await self._refresh(names.CATALOG)


def _claimed_by(owner: str) -> dict[str, Json]:
    return {"owner": owner, "at": time.time()}


def _version(document: Json) -> Version | None:
    return (document["_seq_no"], document["_primary_term"]) if document.get("found") else None


def _quoted(id: str) -> str:
    return quote(id, safe="")
