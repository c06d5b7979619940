"""Restoring exported objects with their own ids, times, statuses and order."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

import msgspec

from service.errors import Invalid, Location, Problem
from service.objects.incoming import Incoming, read_incoming
from service.storage.document import Parts, Stored, derived_properties
from service.values import Json, key_given_twice, members_of, no_json, parse_date

_ID: Final = re.compile(r"obj_[A-Za-z0-9_-]{1,200}", re.ASCII)
_SET: Final = ("object_id", "bucket_id", "created_at", "updated_at")
"""Fields set by the service and present in an exported line."""

_parts = msgspec.json.Decoder(Parts).decode
_list = msgspec.json.Decoder(list[Parts]).decode
_value = msgspec.json.Decoder().decode


@dataclass(frozen=True)
class Restored:
    """The original values of an exported object."""

    object_id: str
    created_at: int
    updated_at: int

    @property
    def arrival(self) -> int:
        """Microseconds, as for new objects: objects of the same millisecond keep the order of their lines."""
        return self.created_at * 1_000


def read_restored(raw: bytes | msgspec.Raw, at: Location = ("body",)) -> tuple[Incoming, Restored]:
    """Reads one exported object; raises `Invalid` for anything that no export writes."""
    try:
        parts = _parts(raw)
    except msgspec.ValidationError:
        raise Invalid.at(at, "an object is a JSON object", "dict_type") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid.at(at, no_json(error, bytes(raw)), "json_invalid") from None
    except RecursionError:
        raise Invalid.at(at, "nested too deep", "too_deep") from None
    repeated = key_given_twice(bytes(raw), members_of(_value(raw)))
    if repeated is not None:
        raise Invalid.at((*at, repeated), f"the key `{repeated}` is given twice in one object", "repeated")
    given = {name: _value(parts.pop(name)) for name in _SET if name in parts}
    problems: list[Problem] = []
    id = given.get("object_id")
    if not isinstance(id, str) or not _ID.fullmatch(id):
        problems.append(
            Problem(
                (*at, "object_id"),
                f"an exported object has an object_id, obj_ and up to 200 letters, digits, _ or -; not {_shown(id)}",
                "object_id",
            )
        )
    times = [_time(given.get(name), (*at, name), problems) for name in ("created_at", "updated_at")]
    if problems:
        raise Invalid(problems)
    if "blobs" in parts:
        parts["blobs"] = _without_derived(parts["blobs"])
    return read_incoming(msgspec.json.encode(parts), at), Restored(str(id), *times)


def _time(text: Json, at: Location, problems: list[Problem]) -> int:
    """Epoch milliseconds; 0 if it adds a problem."""
    millis = parse_date(text) if isinstance(text, str) and "T" in text else None
    if millis is None or re.search(r"\.[0-9]{3}[0-9]*[1-9]", text):
        problems.append(
            Problem(at, f"an exported object has this time in ISO-8601, in milliseconds at most; not {_shown(text)}")
        )
        return 0
    return millis


def _shown(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _without_derived(raw: msgspec.Raw) -> msgspec.Raw:
    """Blobs without the `properties` that answers add: stored, they would be searchable."""
    try:
        blobs = _list(raw)
    except msgspec.DecodeError:
        return raw
    for blob in blobs:
        properties = blob.pop("properties", None)
        if properties is not None and _value(properties) != _value(derived_properties(blob)):
            blob["properties"] = properties
    return msgspec.Raw(msgspec.json.encode(blobs))


def second_address(bucket_id: str, object_id: str) -> str:
    """The document id for an object whose own id is already another bucket's document id."""
    return f"obj_{hashlib.sha256(f'{bucket_id} restored {object_id}'.encode()).hexdigest()[:24]}"


def is_same(stored: Stored, other: Stored) -> bool:
    """Whether two objects are equal in fields, status and times."""
    same = (stored.status, stored.created_at, stored.updated_at) == (other.status, other.created_at, other.updated_at)
    return same and _plain(stored.parts) == _plain(other.parts)


def _plain(parts: Parts) -> dict[str, Json]:
    """The values, with the defaults that an answer adds."""
    defaults: dict[str, Json] = {"key_prefix": None, "blobs": [], "metadata": {}}
    return defaults | {name: _value(raw) for name, raw in parts.items()}
