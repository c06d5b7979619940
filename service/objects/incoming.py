"""Incoming objects: parsed, validated and prepared for writing. Pure: no storage, no clock."""

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from service import paths
from service.catalog.buckets import UniqueKey
from service.catalog.schema import check
from service.encoding import Encoder, ObservedField, TooManyPaths, Unindexable
from service.errors import Invalid, Location, Problem
from service.fields import BLOB_COUNT, Leaf, path_of
from service.objects.edges import edge_problems
from service.storage.document import Parts, Stored
from service.values import MISSING, Json, key_given_twice, members_of, no_json

RESERVED: Final = frozenset(
    {
        "object_id", "bucket_id", "namespace_id", "created_at", "updated_at", "error", "consistency", "document_count",
        "source_details",
    }
)  # fmt: skip
"""Root fields that users cannot set (contract, Writing)."""

STATUSES: Final = (
    "QUEUED", "INTERRUPTED", "DEACTIVATED", "PENDING", "IN_PROGRESS", "PROCESSING", "COMPLETED",
    "COMPLETED_WITH_ERRORS", "FAILED", "CANCELED", "UNKNOWN", "SKIPPED", "DRAFT", "ACTIVE", "ARCHIVED", "SUSPENDED",
)  # fmt: skip

_FLAGS: Final = frozenset({"skip_duplicates", "canonicalize_source", "force_remirror", "auto_process"})
"""Write options that the newest client sends with every object; they are not fields."""

_NO_UPLOADS: Final = "`upload_id` is not supported: Tally takes no uploads; send `data` in a blob, inline or as a URL"

MAX_KEY_PREFIX: Final = 8_000
"""Maximum UTF-8 bytes of a key prefix, which is indexed as one term."""

MAX_SIZE: Final = 2**53
"""Maximum total bytes of an object's blobs: the largest number that every client reads exactly."""

_parts = msgspec.json.Decoder(Parts).decode
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_value = msgspec.json.Decoder().decode


@dataclass(frozen=True)
class Incoming:
    """A validated object: its fields as sent, and their values."""

    parts: Parts
    value: dict[str, Json]
    status: str | None
    idempotency_key: str | None


def read_incoming(raw: bytes | msgspec.Raw, at: Location = ("body",)) -> Incoming:
    """Reads one object; raises `Invalid` with all of its problems."""
    try:
        value = _value(raw)
        if not isinstance(value, dict):
            raise Invalid.at(at, "an object is a JSON object", "dict_type")
        parts = _parts(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid.at(at, no_json(error, bytes(raw)), "json_invalid") from None
    except RecursionError:
        raise Invalid.at(at, "nested too deep", "too_deep") from None
    repeated = key_given_twice(bytes(raw), members_of(value))
    if repeated is not None:
        raise Invalid.at((*at, repeated), f"the key `{repeated}` is given twice in one object", "repeated")
    problems = [
        Problem(
            (*at, name),
            f"{name!r} is set by the service; put your own value under metadata or another name",
            "reserved",
        )
        for name in value.keys() & RESERVED
    ]
    if not isinstance(value.get("metadata", {}), dict | None):
        problems.append(Problem((*at, "metadata"), "metadata is an object", "dict_type"))
    if not isinstance(value.get("key_prefix"), str | None):
        problems.append(Problem((*at, "key_prefix"), "key_prefix is a string", "string_type"))
    elif len((value.get("key_prefix") or "").encode()) > MAX_KEY_PREFIX:
        problems.append(Problem((*at, "key_prefix"), f"key_prefix has at most {MAX_KEY_PREFIX:,} bytes", "too_long"))
    upload = value.get("upload_id")
    if isinstance(upload, str) and upload.startswith("upl_"):
        # Any other value is the user's own, as every root field is.
        problems.append(Problem((*at, "upload_id"), _NO_UPLOADS, "not_supported"))
    problems += _blob_problems(value.get("blobs"), at)
    problems += edge_problems(value.get("edges"), at)
    status = value.pop("status", None)
    parts.pop("status", None)
    if status is not None and not (isinstance(status, str) and status.upper() in STATUSES):
        problems.append(Problem((*at, "status"), f"unknown status {status!r}; known: {', '.join(STATUSES)}", "enum"))
    for name in _FLAGS & value.keys():
        if isinstance(value[name], bool):
            del value[name], parts[name]
    key = value.pop("idempotency_key", None)
    parts.pop("idempotency_key", None)
    if not isinstance(key, str | None):
        problems.append(Problem((*at, "idempotency_key"), "idempotency_key is a string", "string_type"))
    if problems:
        raise Invalid(sorted(problems, key=lambda problem: [str(step) for step in problem.location]))
    return Incoming(parts, value, status.upper() if status else None, key)


def _blob_problems(blobs: Json, at: Location) -> list[Problem]:
    if blobs is None:
        return []
    if not isinstance(blobs, list):
        return [Problem((*at, "blobs"), "blobs is an array of objects", "list_type")]
    problems = []
    for position, blob in enumerate(blobs):
        if not isinstance(blob, dict):
            problems.append(Problem((*at, "blobs", position), "a blob is an object", "dict_type"))
            continue
        if blob.get("upload_id"):
            problems.append(Problem((*at, "blobs", position, "upload_id"), _NO_UPLOADS, "not_supported"))
        for name in ("property", "type"):
            if not isinstance(blob.get(name), str | None):
                problems.append(Problem((*at, "blobs", position, name), f"{name} is a string", "string_type"))
        details = blob.get("details")
        if not isinstance(details, dict | None):
            problems.append(Problem((*at, "blobs", position, "details"), "details is an object", "dict_type"))
        elif details and not _is_size(details.get("size_bytes")):
            problems.append(
                Problem(
                    (*at, "blobs", position, "details", "size_bytes"),
                    f"size_bytes is an integer from 0 to {MAX_SIZE}",
                    "int_type",
                )
            )
    return problems


def _is_size(size: Json) -> bool:
    return size is None or (isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= MAX_SIZE)


def with_blobs(incoming: Incoming) -> tuple[Incoming, int]:
    """Gives every blob its `blob_id` and `details.size_bytes`, and adds the sizes up."""
    blobs = incoming.value.get("blobs")
    if not blobs:
        return incoming, 0
    total = 0
    values: list[Json] = []
    texts: list[Parts] = []
    for raw, blob in zip(_list(incoming.parts["blobs"]), blobs, strict=True):
        text = _parts(raw)
        id = blob.get("blob_id") if isinstance(blob.get("blob_id"), str) else f"blob_{secrets.token_hex(6)}"
        details = dict(blob.get("details") or {})
        written = _parts(text["details"]) if details else {}
        if details.get("size_bytes") is None:
            details["size_bytes"] = size_of(blob.get("data"))
            written["size_bytes"] = msgspec.Raw(b"%d" % details["size_bytes"])
        total += details["size_bytes"]
        values.append({**blob, "blob_id": id, "details": details})
        text["blob_id"] = msgspec.Raw(msgspec.json.encode(id))
        text["details"] = msgspec.Raw(msgspec.json.encode(written))
        texts.append(text)
    if total > MAX_SIZE:
        raise Invalid.at(("body", "blobs"), f"the sizes of the blobs add up to {total}, more than {MAX_SIZE}")
    parts = {**incoming.parts, "blobs": msgspec.Raw(msgspec.json.encode(texts))}
    return replace(incoming, parts=parts, value={**incoming.value, "blobs": values}), total


def size_of(data: Json) -> int:
    """The decoded length of inline data: a data URI, base64, else UTF-8 text; 0 if none (contract, Writing)."""
    if data is None:
        return 0
    if not isinstance(data, str):
        return len(msgspec.json.encode(data))
    if data.startswith(("http://", "https://", "s3://", "gs://")):
        return 0
    if data.startswith("data:"):
        head, _, data = data.partition(",")
        if not head.endswith(";base64"):
            return len(data.encode())
    elif len(data) < 16 or len(data) % 4:
        return len(data.encode())
    try:
        return len(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        return len(data.encode())


def merged(stored: Stored, incoming: Incoming) -> Incoming:
    """A stored object with the incoming fields applied; `metadata` is merged, the rest replaced (contract: PUT)."""
    parts = {**stored.parts, **incoming.parts}
    if "metadata" in stored.parts and isinstance(incoming.value.get("metadata"), dict):
        before = stored.parts["metadata"]
        if isinstance(_value(before), dict):
            parts["metadata"] = msgspec.Raw(
                msgspec.json.encode({**_parts(before), **_parts(incoming.parts["metadata"])})
            )
    value = _value(msgspec.json.encode(parts))
    return replace(incoming, parts=parts, value=value)


def validate(incoming: Incoming, schema: Mapping[str, Any] | None) -> None:
    """Raises `Invalid` if the object does not conform to the bucket's schema."""
    problems = list(check(incoming.value, schema))
    if problems:
        raise Invalid(problems)


def unique_values(incoming: Incoming, key: UniqueKey) -> list[Json]:
    """The values of the key's fields, each at the root or under metadata; raises `Invalid` if one is missing."""
    values = []
    for name in key.fields:
        path = paths.parse(name)
        value = paths.resolve(incoming.value, path)
        if value is MISSING:
            value = paths.resolve(incoming.value, ("metadata", *path))
        if value is MISSING or value is None:
            raise Invalid.at(("body", name), f"the bucket's unique_key needs a value at {name!r}", "missing")
        values.append(value)
    return values


def object_id(bucket_id: str, incoming: Incoming, key: UniqueKey | None) -> str:
    """Random, or derived from the unique key or idempotency key within a bucket, so that the id settles races."""
    if key is not None:
        values = json.dumps(_spelled(unique_values(incoming, key)), sort_keys=True)
        text = f"{bucket_id} key {values}"
    elif incoming.idempotency_key is not None:
        text = f"{bucket_id} idempotency {incoming.idempotency_key}"
    else:
        return f"obj_{secrets.token_hex(12)}"
    return f"obj_{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def _spelled(value: Json) -> Json:
    """Equal values get the same spelling: 2024.0 becomes 2024."""
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    if isinstance(value, dict):
        return {name: _spelled(item) for name, item in value.items()}
    # Ids of stored objects depend on this; how answers spell numbers does not matter here.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def location_of(name: str) -> Location:
    """The location in the request body of an index field's values."""
    return ("body", *path_of(name))


class EncodedBatch:
    """Documents of a batch of objects, and the fields they add to index and catalogue."""

    def __init__(self, primary_types: dict[str, str], known: Mapping[str, ObservedField], budget: int) -> None:
        self._encoder = Encoder(primary_types, known, budget=budget)
        self._budget = budget

    @property
    def observed(self) -> Mapping[str, ObservedField]:
        return self._encoder.observed

    @property
    def leaves(self) -> Mapping[str, Leaf]:
        return {**self._encoder.leaves, BLOB_COUNT: "long"}

    def document(self, stored: Stored, value: Mapping[str, Json]) -> dict[str, Any]:
        """The document of one object; raises `Invalid` if it cannot be indexed."""
        try:
            own = {"status": stored.status, "key_prefix": value.get("key_prefix")}
            encoded = self._encoder.encode({"metadata": {}, "blobs": [], **value}, own)
        except TooManyPaths as error:
            raise Invalid.at(
                location_of(error.path),
                f"the bucket has {error.have} field paths of at most {self._budget}, and this object would add more; "
                "keep changing names in values, not in field names",
                "field_budget",
            ) from None
        except Unindexable as error:
            raise Invalid.at(location_of(error.path), error.message, "not_indexable") from None
        self._encoder.accept(encoded)
        fields = encoded.fields()
        fields[BLOB_COUNT] = len(value.get("blobs") or ())
        return stored.document(fields, encoded.shapes, value.get("key_prefix"))
