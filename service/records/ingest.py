"""Incoming records: parsed, validated against their containers, prepared for writing. Pure: no storage."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final, Literal, NoReturn

import msgspec

from service.dialects.tree.filters import HAS, container_token
from service.dialects.tree.properties import CONTAINER, SPACE, PropertyColumn, Wrong, wrong
from service.dialects.tree.references import VIEWS, Columns, counted, measured, of_object, reject, shown
from service.errors import BadRequest, Location
from service.spelling import did_you_mean
from service.values import Json, index_date, key_given_twice, members_of, no_json

MAX_ITEMS: Final = 1_000
MAX_SOURCES: Final = 100
MAX_ID: Final = 256
_SHORT: Final = 400

_SPACE = re.compile(SPACE)
_CONTAINER = re.compile(CONTAINER)


class _Container(msgspec.Struct, forbid_unknown_fields=True):
    space: str
    externalId: str  # noqa: N815 - the API's own
    type: Literal["container"] | None = None


class _Source(msgspec.Struct, forbid_unknown_fields=True):
    source: _Container
    properties: dict[str, Any]


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    space: str
    externalId: str  # noqa: N815
    sources: list[_Source]


class _Records(msgspec.Struct, forbid_unknown_fields=True):
    items: list[_Record]


_decode = msgspec.json.Decoder().decode
_decode_well_formed = msgspec.json.Decoder(_Records).decode
_encode = msgspec.json.encode


class Identity(msgspec.Struct, frozen=True):
    """A record's id in its stream."""

    space: str
    external_id: str

    @property
    def id(self) -> str:
        """Unambiguous, since a space has no colon; a long id is replaced by its hash."""
        text = f"{self.space}:{self.external_id}"
        if len(text.encode()) <= _SHORT:
            return text
        return f"#{hashlib.sha256(text.encode()).hexdigest()}"

    def tombstone(self, created: int, deleted: int, version: list[int]) -> bytes:
        """`version`: the one that is deleted (`following`)."""
        return _encode(
            {
                "@timestamp": index_date(deleted),
                "space": self.space,
                "externalId": self.external_id,
                "createdTime": created,
                "lastUpdatedTime": deleted,
                "@of": version,
            }
        )


class IncomingRecord(msgspec.Struct, frozen=True):
    """A record as sent, its form validated but not its values."""

    at: Location
    space: str
    external_id: str
    sources: Mapping[tuple[str, str], Mapping[str, Json]]


class PreparedRecord(msgspec.Struct, frozen=True):
    """A record ready to be written."""

    space: str
    external_id: str
    id: str
    now: int
    raw: bytes
    """The properties as returned to callers."""
    has: list[str]
    fields: Mapping[str, Any]

    def document(self, created: int | None = None, updated: int | None = None) -> bytes:
        updated = self.now if updated is None else updated
        return _encode(
            {
                "@timestamp": index_date(updated),
                "space": self.space,
                "externalId": self.external_id,
                "createdTime": updated if created is None else created,
                "lastUpdatedTime": updated,
                **self.fields,
                HAS: self.has,
                "@raw": self.raw.decode(),
            }
        )


def read_items(body: bytes) -> list[IncomingRecord]:
    """Raises `BadRequest` that names the item."""
    try:
        records = _decode_well_formed(body).items
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _explained(body)
    _check_count(records)
    if body.count(b'":') != _members(records):
        _explained(body)
    return [
        _item(
            ("items", number),
            each.space,
            each.externalId,
            [(one.source.space, one.source.externalId, one.properties) for one in each.sources],
        )
        for number, each in enumerate(records)
    ]


def _members(records: list[_Record]) -> int:
    """Of all objects of a request, if each container says its type."""
    return 1 + sum(3 + sum(5 + members_of(source.properties) for source in record.sources) for record in records)


def _explained(body: bytes) -> list[IncomingRecord]:
    """The same for input that the fast path rejects, to report what is wrong with it."""
    try:
        given = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(no_json(error, body)) from None
    except RecursionError:
        raise BadRequest("nested too deep") from None
    repeated = key_given_twice(body, members_of(given))
    if repeated is not None:
        raise BadRequest(f"the key `{repeated}` is given twice in one object")
    items = of_object(given, ("body",), ("items",), ("items",))["items"]
    _check_count(items)
    return [_explained_item(each, ("items", number)) for number, each in enumerate(items)]


def _check_count(items: Json) -> None:
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_ITEMS:
        reject(("items",), f"an array of 1 to {MAX_ITEMS:,} records is needed, not {counted(items)}")


def _explained_item(given: Json, at: Location) -> IncomingRecord:
    one = of_object(given, at, ("space", "externalId", "sources"), ("space", "externalId", "sources"))
    sources: list[tuple[Json, Json, Json]] = []
    _check_sources(one["sources"], at)
    for number, each in enumerate(one["sources"]):
        location = (*at, "sources", number)
        source = of_object(each, location, ("source", "properties"), ("source", "properties"))
        if isinstance(source["source"], dict) and source["source"].get("type", "container") != "container":
            reject((*location, "source", "type"), VIEWS)
        named = of_object(
            source["source"], (*location, "source"), ("type", "space", "externalId"), ("space", "externalId")
        )
        if not isinstance(source["properties"], dict):
            reject((*location, "properties"), f"an object is needed, not {shown(source['properties'])}")
        sources.append((named["space"], named["externalId"], source["properties"]))
    return _item(at, one["space"], one["externalId"], sources)


def _check_sources(sources: Json, at: Location) -> None:
    if not isinstance(sources, list) or not 1 <= len(sources) <= MAX_SOURCES:
        reject((*at, "sources"), f"an array of 1 to {MAX_SOURCES} sources is needed, not {counted(sources)}")


def _item(at: Location, space: Json, external_id: Json, sources: list[tuple[Json, Json, Json]]) -> IncomingRecord:
    """`sources`: space, id and properties of each container."""
    if not isinstance(space, str) or not _SPACE.fullmatch(space):
        reject((*at, "space"), f"{shown(space)} is not a space id ({SPACE})")
    if not isinstance(external_id, str) or not 1 <= len(external_id) <= MAX_ID or "\0" in external_id:
        problem = f"a string of 1 to {MAX_ID} characters without NUL is needed, not {measured(external_id)}"
        reject((*at, "externalId"), problem)
    _check_sources(sources, at)
    read: dict[tuple[str, str], Mapping[str, Json]] = {}
    for number, (container_space, container, properties) in enumerate(sources):
        key = (container_space, container)
        if (
            not isinstance(container_space, str)
            or not isinstance(container, str)
            or not _CONTAINER.fullmatch(container)
        ):
            reject((*at, "sources", number, "source"), f"{shown(key)} is not a container")
        if key in read:
            reject((*at, "sources", number, "source"), f"the container {shown(key)} is named twice in one record")
        read[key] = properties
    return IncomingRecord(at, space, external_id, read)


class Preparing:
    """Prepares the records of one request for writing. `content`: equal records have equal ids."""

    def __init__(self, columns: Columns, now: int, *, content: bool) -> None:
        self._columns = columns
        self._now = now
        self._content = content
        self._tokens = {key: container_token(next(iter(known.values()))) for key, known in columns.items()}
        self._unsearched = {
            key: [name for name, column in known.items() if column.mapping is None] for key, known in columns.items()
        }
        self._demands = {
            key: [(name, column) for name, column in known.items() if column.needed or column.default is not None]
            for key, known in columns.items()
        }

    def prepare(self, item: IncomingRecord) -> PreparedRecord:
        """Raises `BadRequest` that names item and property."""
        try:
            return self._prepared(item)
        except BadRequest as error:
            raise BadRequest(f"{error.message} (record {item.space}/{item.external_id})", error.details) from None

    def _prepared(self, item: IncomingRecord) -> PreparedRecord:
        fields: dict[str, Any] = {}
        has: list[str] = []
        stored: dict[str, dict[str, dict[str, Json]]] = {}
        for key, properties in item.sources.items():
            known = self._columns[key]
            kept = stored.setdefault(key[0], {}).setdefault(key[1], {})
            for name, value in properties.items():
                column = known.get(name)
                if column is None:
                    reject(
                        (*item.at, "properties", name),
                        f"the container {key[0]}/{key[1]} has no such property{did_you_mean(name, known)}",
                    )
                if value is None:
                    continue
                if column.simple:
                    try:
                        fields[column.field] = column.convert(value)
                    except Wrong:
                        _refuse(column, value, (*item.at, "properties", name))
                else:
                    _index(column, value, fields, has, (*item.at, "properties", name))
                kept[name] = value
            for name, column in self._demands[key]:
                if name in kept:
                    continue
                if column.default is not None and name not in properties:
                    _index(column, column.default, fields, has, (*item.at, "properties", name))
                    kept[name] = column.default
                elif column.needed:
                    reject((*item.at, "properties", name), f"{key[0]}/{key[1]} needs a value here: it is not nullable")
            if kept:
                has.append(self._tokens[key])
        identity = Identity(item.space, item.external_id)
        id = identity.id
        if self._content:
            # No field shows a value that is not searched, nor a container of which the record has no value.
            more = [stored[key[0]][key[1]].get(name) for key in sorted(item.sources) for name in self._unsearched[key]]
            whole = [item.space, item.external_id, sorted(item.sources), more, fields]
            canonical = msgspec.json.encode(whole, order="deterministic")
            id = hashlib.sha256(canonical).hexdigest()[:40]
        return PreparedRecord(item.space, item.external_id, id, self._now, _encode(stored), has, fields)


def _check_size(column: PropertyColumn, text: Json, at: Location) -> None:
    if column.max_text is not None and isinstance(text, str) and len(text.encode()) > column.max_text:
        reject(at, f"at most {column.max_text:,} bytes, not {len(text.encode()):,}")


def _refuse(column: PropertyColumn, value: Json, at: Location) -> NoReturn:
    reject(at, f"{wrong(column, value) or 'a value'} is needed ({column.label}), not {shown(value)}")


def _index(column: PropertyColumn, value: Json, fields: dict[str, Any], has: list[str], at: Location) -> None:
    if not column.listed:
        try:
            term = column.convert(value)
        except Wrong:
            _refuse(column, value, at)
        _check_size(column, value, at)
        if column.mapping is None:
            fields[column.extra] = 1
            has.append(column.field)
        else:
            fields[column.field] = term
        return
    if not isinstance(value, list):
        reject(at, f"an array is needed ({column.label}), not {shown(value)}")
    if len(value) > column.max_list:
        reject(at, f"at most {column.max_list:,} elements, not {len(value):,}")
    terms: list[Json] = []
    for number, each in enumerate(value):
        try:
            terms.append(column.convert(each))
        except Wrong:
            _refuse(column, each, (*at, number))
        _check_size(column, each, (*at, number))
    if not value:
        return
    if column.mapping is None:
        fields[column.extra] = len(value)
        has.append(column.field)
        return
    fields[column.field] = terms
    if column.mapping["type"] == "keyword" and len(set(terms)) < len(terms):
        # A keyword field counts a value once per record, however often it occurs.
        fields[column.extra] = len(terms) - len(set(terms))
