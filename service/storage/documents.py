"""The catalogue's documents in OpenSearch: read by id, written conditionally on their version.

This is all the storage that the catalogue needs, so tests can substitute another implementation.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from service.errors import Unavailable
from service.storage.gateway import Absent, Conflict, Gateway
from service.values import Json

T = TypeVar("T")


class Version(NamedTuple):
    """One version of a document. OpenSearch compares the two numbers; after a snapshot restore they can repeat."""

    seq_no: int
    primary_term: int
    op: str = ""
    """The unique id of the write that created it."""

    @classmethod
    def of(cls, document: Json) -> "Version":
        """Of a document that was read with its `ops`."""
        ops = document.get("_source", {}).get("ops") or ("",)
        return cls(document["_seq_no"], document["_primary_term"], ops[-1])


_ALIAS: Final = {"require_alias": "true"}
"""Without the alias there is no catalogue, and OpenSearch would create an index of that name with dynamic mappings."""


class CatalogMissing(Unavailable):
    """OpenSearch has no catalogue: it was wiped, or another cluster answers."""

    def __init__(self) -> None:
        super().__init__(
            "the catalogue (alias tally-catalog) is not there in OpenSearch; it is set up again if the cluster is "
            "empty, else it has to be restored (docs/running.md, A cluster that lost its data)",
            retry_after=10,
        )


class DocumentStore:
    """Documents behind one alias. Every method raises `CatalogMissing` if the alias does not exist.

    `on_missing` is called whenever that happens.
    """

    def __init__(self, gateway: Gateway, alias: str, on_missing: Callable[[], None] = lambda: None) -> None:
        self._gateway = gateway
        self._alias = alias
        self._on_missing = on_missing

    async def read(self, ids: Sequence[str], versions: Sequence[str] = ()) -> list[Json]:
        """Documents with `found`, followed by those of which only the version is read; never stale."""
        documents: list[Json] = await self.there(self._gateway.get_many(self._alias, ids, versions, ["ops"]))
        return documents

    async def put(self, id: str, source: Mapping[str, Json], version: Version | None) -> Version:
        """Replaces exactly this version with a whole document, None for a new one; raises `Conflict`."""
        params = {**_ALIAS, **({"op_type": "create"} if version is None else _guard(version))}
        path = f"/{self._alias}/_doc/{quote(id, safe='')}"
        return _version(await self.there(self._gateway.json("PUT", path, source, params=params)), source)

    async def patch(self, id: str, changes: Mapping[str, Json], version: Version) -> Version:
        """Merges changes into exactly this version of a document; raises `Conflict` for another version or none."""
        path = f"/{self._alias}/_update/{quote(id, safe='')}"
        params = {**_ALIAS, **_guard(version)}
        try:
            answer = await self.there(self._gateway.json("POST", path, {"doc": changes}, params=params))
            return _version(answer, changes)
        except Absent:
            raise Conflict from None

    async def remove(self, id: str, version: Version | None) -> None:
        """Removes exactly this version of a document, None for any; raises `Conflict` for another version or none."""
        path = f"/{self._alias}/_doc/{quote(id, safe='')}"
        try:
            await self.there(self._gateway.request("DELETE", path, params=_guard(version) if version else {}))
        except Absent:
            if version is not None:
                raise Conflict from None

    async def search(self, body: Mapping[str, Any]) -> Json:
        return msgspec.json.decode(await self.there(self._gateway.search(self._alias, body)))

    async def there(self, answer: Awaitable[T]) -> T:
        """Awaits an answer about the alias, including one requested elsewhere."""
        try:
            return await answer
        except Absent as absent:
            if absent.index is None:
                raise
            self._on_missing()
            raise CatalogMissing from None


def _guard(version: Version) -> dict[str, int]:
    return {"if_seq_no": version.seq_no, "if_primary_term": version.primary_term}


def _version(answer: Json, written: Mapping[str, Json]) -> Version:
    return Version.of({**answer, "_source": written})
