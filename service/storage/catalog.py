"""The catalogue: small documents about namespaces, buckets and fields, read by id so that they are never stale."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import orjson

from service.storage import names
from service.storage.gateway import Absent, Conflict, Gateway
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

    @property
    def version(self) -> dict[str, int]:
        return {"if_seq_no": self.seq_no, "if_primary_term": self.primary_term}


class Catalog:
    """Reads and writes entries; names are claimed by documents of their own, so they are unique under races."""

    def __init__(self, gateway: Gateway, refresh: Callable[[str], Any]) -> None:
        self._gateway = gateway
        self._refresh = refresh

    async def get(self, *ids: str) -> list[Entry | None]:
        documents = await self._gateway.get_many(names.CATALOG, ids)
        return [_entry(document) if document.get("found") else None for document in documents]

    async def versions(self, *ids: str) -> list[Version | None]:
        return [_version(each) for each in await self._gateway.get_many(names.CATALOG, (), ids)]

    async def get_with_version(self, *ids: str, of: str) -> tuple[list[Entry | None], Version | None]:
        """Entries, and the version of one more that is not read, by one look."""
        *documents, last = await self._gateway.get_many(names.CATALOG, ids, (of,))
        return [_entry(document) if document.get("found") else None for document in documents], _version(last)

    async def create(self, id: str, kind: str, namespace_id: str, name: str, body: Mapping[str, Json]) -> None:
        """Raises `Conflict` if there is one already."""
        await self._put(id, kind, namespace_id, name, body, {"op_type": "create"})

    async def replace(self, entry: Entry, body: Mapping[str, Json], name: str | None = None) -> None:
        """Raises `Conflict` if somebody changed the entry meanwhile."""
        await self._put(entry.id, entry.kind, entry.namespace_id, name or entry.name, body, entry.version)

    async def delete(self, id: str) -> None:
        try:
            await self._gateway.request("DELETE", f"/{names.CATALOG}/_doc/{_quoted(id)}")
        except Absent:
            return

    async def claim(self, claim: str, owner: str, namespace_id: str, name: str) -> None:
        """Makes a name point to its owner; raises `Conflict` if it is taken."""
        body = {"owner": owner, "at": time.time()}
        try:
            await self.create(claim, "name", namespace_id, name, body)
        except Conflict:
            (taken,) = await self.get(claim)
            if taken is None:
                raise
            (holder,) = await self.get(str(taken.body["owner"]))
            if holder is not None or time.time() - taken.body["at"] < _ORPHANED:
                raise
            await self.replace(taken, body)

    async def owner(self, claim: str) -> str | None:
        (entry,) = await self.get(claim)
        return str(entry.body["owner"]) if entry else None

    async def list(self, kind: str, namespace_id: str | None = None, size: int = 1_000) -> Sequence[Entry]:
        """The entries of a kind by name, up to `size`."""
        await self._refresh(names.CATALOG)
        filters: list[Json] = [{"term": {"kind": kind}}]
        if namespace_id is not None:
            filters.append({"term": {"namespace_id": namespace_id}})
        body = {
            "size": size,
            "query": {"bool": {"filter": filters}},
            "sort": [{"name": "asc"}],
            "seq_no_primary_term": True,
        }
        answer = orjson.loads(await self._gateway.search(names.CATALOG, body))
        return [_entry(hit) for hit in answer["hits"]["hits"]]

    async def count(self, kind: str, namespace_id: str) -> int:
        """How many entries of a kind a namespace has."""
        await self._refresh(names.CATALOG)
        filters = [{"term": {"kind": kind}}, {"term": {"namespace_id": namespace_id}}]
        body = {"query": {"bool": {"filter": filters}}}
        return int((await self._gateway.json("POST", f"/{names.CATALOG}/_count", body))["count"])

    async def forget(self, namespace_id: str) -> None:
        """Removes every entry of a namespace, its own last."""
        await self._refresh(names.CATALOG)
        body = {"query": {"term": {"namespace_id": namespace_id}}}
        path = f"/{names.CATALOG}/_delete_by_query"
        await self._gateway.request("POST", path, body, params={"conflicts": "proceed"})

    async def _put(
        self,
        id: str,
        kind: str,
        namespace_id: str,
        name: str,
        body: Mapping[str, Json],
        params: Mapping[str, Any],
    ) -> None:
        document = {"kind": kind, "namespace_id": namespace_id, "name": name, "body": body}
        await self._gateway.request("PUT", f"/{names.CATALOG}/_doc/{_quoted(id)}", document, params=params)


def _version(document: Json) -> Version | None:
    return (document["_seq_no"], document["_primary_term"]) if document.get("found") else None


def _entry(document: Json) -> Entry:
    source = document["_source"]
    return Entry(
        document["_id"],
        source["kind"],
        source["namespace_id"],
        source["name"],
        source["body"],
        document["_seq_no"],
        document["_primary_term"],
    )


def _quoted(id: str) -> str:
    return quote(id, safe="")
