"""Conversion between an object and its index document: the object is kept in `@raw` exactly as sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from service.values import Json, index_date, parse_date, render_date

SYSTEM: Final = ("object_id", "bucket_id", "status", "key_prefix", "created_at", "updated_at")
"""Fields set by the service; the rest of an object comes from `@raw`."""

Parts = dict[str, msgspec.Raw]
"""The unparsed fields of an object: untouched ones are returned as sent."""

Answer = dict[str, Any]
"""An object to serialize as JSON; parts of it are JSON already."""

_parts = msgspec.json.Decoder(Parts).decode
_blobs = msgspec.json.Decoder(list[Parts]).decode


@dataclass(frozen=True)
class Stored:
    """An object as stored, the user's part unparsed."""

    object_id: str
    bucket_id: str
    status: str
    created_at: int
    updated_at: int
    arrival: int
    position: int
    size_bytes: int
    parts: Parts
    """`key_prefix`, `blobs`, `metadata` and the user's root fields."""
    idempotency_key: str | None = None

    def document(self, index_fields: Mapping[str, Any], shapes: set[str], key_prefix: str | None) -> dict[str, Any]:
        """The body for OpenSearch: readable fields, search fields and the raw object."""
        body: dict[str, Any] = {
            "@timestamp": index_date(self.created_at),
            "object_id": self.object_id,
            "bucket_id": self.bucket_id,
            "status": self.status,
            "key_prefix": key_prefix,
            "created_at": index_date(self.created_at),
            "updated_at": index_date(self.updated_at),
            **index_fields,
            "@arrival": self.arrival,
            "@position": self.position,
            "@size_bytes": self.size_bytes,
            "@shape": sorted(shapes),
            "@raw": msgspec.json.encode(self.parts).decode(),
        }
        if self.idempotency_key is not None:
            body["@idempotency_key"] = self.idempotency_key
        return body

    @classmethod
    def load(cls, source: Mapping[str, Any]) -> "Stored":
        return cls(
            source["object_id"],
            source["bucket_id"],
            source["status"],
            millis(source["created_at"]),
            millis(source["updated_at"]),
            source["@arrival"],
            source["@position"],
            source["@size_bytes"],
            _parts(source["@raw"]),
            source.get("@idempotency_key"),
        )

    def answer(self) -> Answer:
        """The object as GET returns it: documented fields first, then the user's own."""
        created, updated = render_date(self.created_at), render_date(self.updated_at)
        return _answer(self.object_id, self.bucket_id, self.status, created, updated, self.parts)


def render_stored(source: Mapping[str, Any]) -> Answer:
    """The same from a document, unparsed where possible."""
    created, updated = (source[name].replace(".000Z", "Z") for name in ("created_at", "updated_at"))
    parts = _parts(source["@raw"])
    return _answer(source["object_id"], source["bucket_id"], source["status"], created, updated, parts)


def _answer(object_id: str, bucket_id: str, status: str, created: str, updated: str, parts: Parts) -> Answer:
    head: Answer = {
        "object_id": object_id,
        "bucket_id": bucket_id,
        "key_prefix": parts.get("key_prefix"),
        "blobs": _with_properties(parts["blobs"]) if "blobs" in parts else [],
        "status": status,
        "metadata": parts.get("metadata", {}),
        "created_at": created,
        "updated_at": updated,
    }
    return {**head, **{name: value for name, value in parts.items() if name not in head}}


def _with_properties(blobs: msgspec.Raw) -> msgspec.Raw:
    """Blobs with `properties` (data and metadata merged), which the newest client reads (contract, Writing)."""
    if len(blobs) <= len(b"null"):
        return blobs
    rendered: list[Parts] = []
    for blob in _blobs(blobs):
        if _is_object(blob.get("properties")):
            rendered.append(blob)
            continue
        rendered.append({**blob, "properties": derived_properties(blob)})
    return msgspec.Raw(msgspec.json.encode(rendered))


def derived_properties(blob: Parts) -> msgspec.Raw:
    """`data` and `metadata` of a blob, merged."""
    merged: Parts = {}
    for name in ("data", "metadata"):
        if _is_object(blob.get(name)):
            merged |= _parts(blob[name])
        elif name in blob and bytes(blob[name]) != b"null":
            merged[name] = blob[name]
    return msgspec.Raw(msgspec.json.encode(merged))


def _is_object(raw: msgspec.Raw | None) -> bool:
    return raw is not None and memoryview(raw)[0] == ord("{")


def read_object(source: Mapping[str, Any]) -> dict[str, Json]:
    """The object as filters and aggregations see it."""
    item: dict[str, Json] = {"key_prefix": None, "blobs": [], "metadata": {}}
    item.update(msgspec.json.decode(source["@raw"]))
    item["object_id"] = source["object_id"]
    item["bucket_id"] = source["bucket_id"]
    item["status"] = source["status"]
    item["created_at"] = render_date(millis(source["created_at"]))
    item["updated_at"] = render_date(millis(source["updated_at"]))
    return item


def millis(text: str) -> int:
    parsed = parse_date(text)
    if parsed is None:
        raise ValueError(text)
    return parsed
