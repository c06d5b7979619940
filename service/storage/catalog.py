"""The catalogue: small documents about namespaces, buckets and fields, read by id so that reads are never stale.

Every write has a unique id, which the document keeps (`ops`). If a write is refused because of another version, and
that version has the write's id, the write was applied and only its answer was lost.
"""

import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from service import dsl
from service.paths import Path
from service.storage import names
from service.storage.bulk import delete_by_query
from service.storage.documents import DocumentStore, Version
from service.storage.gateway import Absent, Conflict, Gateway
from service.storage.terms import TERMS, by_terms, on_terms, terms
from service.values import Json

__all__ = ["Catalog", "Entry", "Version"]

_OPS: Final = 8
"""Number of write ids a document keeps: a writer recognises its own write if fewer followed."""


@dataclass(frozen=True)
class Entry:
    """One document of the catalogue and its version, for conditional writes."""

    id: str
    kind: str
    namespace_id: str
    name: str
    body: Mapping[str, Json]
    seq_no: int
    primary_term: int
    intent: Mapping[str, str] | None = None
    """The operation in progress on it (`operations`)."""
    ops: tuple[str, ...] = ()
    """The ids of its latest writes, newest last."""

    @classmethod
    def of(cls, document: Json) -> "Entry":
        """From a document as OpenSearch returns it, for a get or a search."""
        source = document["_source"]
        return cls(
            document["_id"],
            source["kind"],
            source["namespace_id"],
            source["name"],
            source["body"],
            document.get("_seq_no", -1),
            document.get("_primary_term", -1),
            source.get("intent"),
            tuple(source.get("ops", ())),
        )

    @property
    def version(self) -> Version:
        return Version(self.seq_no, self.primary_term, self.ops[-1] if self.ops else "")

    @property
    def live(self) -> bool:
        """Whether users can see it: neither being created nor being deleted."""
        made = self.intent is None or self.intent["do"] != "create"
        return made and self.body.get("status", "ACTIVE") == "ACTIVE"


class Catalog:
    """Reads and writes entries."""

    def __init__(
        self, gateway: Gateway, refresh: Callable[[str], Awaitable[Any]], documents: DocumentStore | None = None
    ) -> None:
        self.gateway = gateway
        self.documents = documents or DocumentStore(gateway, names.CATALOG)
        self._refresh = refresh

    async def get(self, *ids: str) -> list[Entry | None]:
        return [_entry(document) for document in await self.documents.read(ids)]

    async def versions(self, *ids: str) -> list[Version | None]:
        return [_version(each) for each in await self.documents.read((), ids)]

    async def get_with_versions(
        self, ids: Iterable[str], of: Iterable[str]
    ) -> tuple[list[Entry | None], list[Version | None]]:
        """Entries, and only the versions of others, in one request."""
        ids, of = list(ids), list(of)
        documents = await self.documents.read(ids, of)
        entries = [_entry(document) for document in documents[: len(ids)]]
        return entries, [_version(document) for document in documents[len(ids) :]]

    async def get_with_version(self, *ids: str, of: str) -> tuple[list[Entry | None], Version | None]:
        """Entries, and only the version of one more, in one request."""
        *documents, last = await self.documents.read(ids, (of,))
        return [_entry(document) for document in documents], _version(last)

    async def create(
        self,
        id: str,
        kind: str,
        namespace_id: str,
        name: str,
        body: Mapping[str, Json],
        view: Mapping[str, Json] | None = None,
        intent: Mapping[str, str] | None = None,
    ) -> Entry:
        """Raises `Conflict` if it already exists. `view`: the fields that lists filter and sort by."""
        entry = Entry(id, kind, namespace_id, name, body, -1, -1, intent)
        return await self._put(entry, None, view)

    async def replace(
        self,
        entry: Entry,
        body: Mapping[str, Json],
        name: str | None = None,
        view: Mapping[str, Json] | None = None,
        intent: Mapping[str, str] | None = None,
    ) -> Entry:
        """Raises `Conflict` if the entry was changed concurrently. Drops any existing intent that is not passed in."""
        new = replace(entry, body=body, name=name or entry.name, intent=intent)
        return await self._put(new, entry.version, view)

    async def amend(self, entry: Entry, **changes: Json) -> Entry:
        """Changes parts of the body, not the fields that lists filter by; raises `Conflict` as `replace` does."""
        return await self._patch(entry, {"body": changes})

    async def mark(self, entry: Entry, intent: Mapping[str, str] | None, **changes: Json) -> Entry:
        """Changes the intent, and parts of the body; raises `Conflict` as `amend` does."""
        return await self._patch(entry, {"intent": intent, **({"body": changes} if changes else {})})

    async def remove(self, entry: Entry, *, seen: bool = False) -> None:
        """Deletes exactly this version; an already missing entry is fine, another version raises `Conflict`.

        `seen`: lists no longer show it when this returns.
        """
        try:
            await self.documents.remove(entry.id, entry.version)
        except Conflict:
            (found,) = await self.get(entry.id)
            if found is not None:
                raise
        if seen:
            await self._show()

    async def delete(self, id: str, *, seen: bool = False) -> None:
        """Deletes the entry, whatever its version."""
        await self.documents.remove(id, None)
        if seen:
            await self._show()

    async def owner(self, claim: str) -> str | None:
        (entry,) = await self.get(claim)
        return str(entry.body["owner"]) if entry else None

    async def find(self, query: Json, size: int = 1_000, by: Path | None = None) -> list[Entry]:
        """Up to `size` entries that match a query (as compiled from conditions), oldest first or sorted by a field."""
        return [Entry.of(hit) for hit in (await self._search(query, size, by=by))["hits"]["hits"]]

    async def aggregate(self, query: Json, aggs: Mapping[str, Json]) -> Json:
        """Aggregations over the entries that match a query."""
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
        return await self.documents.search(body)

    async def forget(self, namespace_id: str, but: str) -> None:
        """Removes every entry of a namespace but one, including any changed meanwhile."""
        mine = dsl.term("namespace_id", namespace_id)
        query = dsl.filtered(mine, without=[{"ids": {"values": [but]}}])
        while True:
            await self._show()
            try:
                removal = await delete_by_query(self.gateway, names.CATALOG, query, {})
            except Absent:
                return
            removal.check()
            if not removal.conflicts:
                return

    async def _show(self) -> None:
        """Returns when searches see all writes; raises `CatalogMissing` if the alias has disappeared."""
        await self.documents.there(self._refresh(names.CATALOG))

    async def _put(self, entry: Entry, version: Version | None, view: Mapping[str, Json] | None) -> Entry:
        op = secrets.token_hex(8)
        entry = replace(entry, ops=(*entry.ops[1 - _OPS :], op))
        document: dict[str, Json] = {
            "kind": entry.kind,
            "namespace_id": entry.namespace_id,
            "name": entry.name,
            "body": entry.body,
            "ops": entry.ops,
        }
        if entry.intent is not None:
            document["intent"] = entry.intent
        if view is not None:
            found, shapes = terms(view)
            document |= {
                "id": entry.id,
                "@arrival": entry.body.get("arrival", entry.body["created_at"] * 1_000),
                TERMS: found,
                "@shape": shapes,
            }
        written = await self._once(entry, op, lambda: self.documents.put(entry.id, document, version))
        if view is not None:
            await self._show()
        return written

    async def _patch(self, entry: Entry, changes: Mapping[str, Any]) -> Entry:
        op = secrets.token_hex(8)
        ops = (*entry.ops[1 - _OPS :], op)
        body = {**entry.body, **changes.get("body", {})}
        patched = replace(entry, body=body, ops=ops, intent=changes.get("intent", entry.intent))
        document = {**changes, "ops": ops}
        return await self._once(patched, op, lambda: self.documents.patch(entry.id, document, entry.version))

    async def _once(self, entry: Entry, op: str, write: Callable[[], Awaitable[Version]]) -> Entry:
        """The entry as written, with its version.

        If others changed it after this write, it is returned with a version that no document has: a further write to
        it raises `Conflict`; a caller that is done is not affected.
        """
        try:
            version = await write()
        except Conflict:
            (found,) = await self.get(entry.id)
            if found is None or op not in found.ops:
                raise
            version = found.version if found.ops[-1] == op else _OVERTAKEN
        return replace(entry, seq_no=version.seq_no, primary_term=version.primary_term)


_OVERTAKEN: Final = Version(2**62, 1)


def _entry(document: Json) -> Entry | None:
    return Entry.of(document) if document.get("found") else None


def _version(document: Json) -> Version | None:
    return Version.of(document) if document.get("found") else None
