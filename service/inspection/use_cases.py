"""Inspecting a namespace: its indices, and the fields of its objects and records. Read-only."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from service import dsl, paths
from service.catalog.buckets import BucketService, OpenBucket
from service.catalog.models import columns_of
from service.catalog.namespaces import NamespaceService, expired_before
from service.catalog.schema import date_paths
from service.dialects.tree.properties import PropertyColumn
from service.errors import OverBudget, Unavailable
from service.fields import path_of
from service.listing.cursors import Cursors
from service.paths import Path
from service.scope import Scope
from service.storage.catalog import Catalog, Entry
from service.storage.inspecting import Dates, Example, FieldReport, Index, IndexLocation, Inspector, Occurrence
from service.storage.objects import fields_id
from service.storage.views import BucketSnapshot, BucketSource
from service.values import Json, encode_json, render_date

_ROUNDS: Final = 10
_BUCKETS: Final = 200
"""Maximum number of buckets whose fields are shown together."""

_CONTAINERS: Final = 100
"""Containers per catalogue read."""

_STREAMS: Final = 10_000
_SHOWN: Final = 100
"""Maximum characters of an example text."""


@dataclass(frozen=True)
class FieldsRequest:
    """The requested fields: of one bucket or of all, with a prefix, and one page of them."""

    bucket: str | None = None
    prefix: str = ""
    limit: int = 100
    cursor: str | None = None


class Inspecting:
    """The use cases for inspecting a namespace."""

    def __init__(
        self,
        namespaces: NamespaceService,
        buckets: BucketService,
        catalog: Catalog,
        inspector: Inspector,
        cursors: Cursors,
    ) -> None:
        self._namespaces = namespaces
        self._buckets = buckets
        self._catalog = catalog
        self._inspector = inspector
        self._cursors = cursors

    async def indices(self, namespace: str) -> Json:
        """The indices of a namespace and of the project of the same name, sorted by name."""
        scope, _ = await self._namespaces.find(namespace)
        streams = await self._catalog.find(_of(scope, "stream"), _STREAMS)
        incarnations = {(entry.name, entry.body["making"]) for entry in streams}
        found = await self._inspector.indices(scope)
        return {**_named(scope), "results": [_index(each, incarnations) for each in found], "total_count": len(found)}

    async def fields(self, namespace: str, asked: FieldsRequest) -> Json:
        """A page of fields: first those of objects, by path, then those of containers.

        Raises `NotFound` for the namespace or the bucket, `Invalid` or `Gone` for a cursor.
        """
        if asked.bucket is None:
            scope, _ = await self._namespaces.find(namespace)
            bucket = None
        else:
            bucket = await self._buckets.find(namespace, asked.bucket)
            scope = bucket.scope
        bound = _bound(scope, bucket, asked.prefix)
        after: Sequence[str] = ()
        if asked.cursor:
            after = self._cursors.open(asked.cursor, bound, ("query", "cursor"))["after"]
        total, objects, reports, more = await self._reports(scope, bucket, asked, after)
        last: Sequence[str] | None = [paths.text(reports[-1].field.path)] if more else None
        records: list[PropertyColumn] = []
        if not more and bucket is None:
            room = asked.limit - len(reports)
            found = await self._columns(scope, asked.prefix, after, room + 1)
            records = found[:room]
            if len(found) > room:
                last = records[-1].key if records else [paths.text(reports[-1].field.path)]
        return {
            **_named(scope),
            "bucket_id": bucket.id if bucket else None,
            "objects": objects,
            "results": [_field(each, objects) for each in reports],
            "records": [_record(column) for column in records],
            "total_count": total,
            "next_cursor": None if last is None else self._cursors.seal(of=bound, after=list(last)),
        }

    async def _reports(
        self, scope: Scope, bucket: OpenBucket | None, asked: FieldsRequest, after: Sequence[str]
    ) -> tuple[int, int, list[FieldReport], bool]:
        """The numbers of paths and objects, the page, and whether there are more."""
        source = await self._source(scope, bucket)
        for _ in range(_ROUNDS):
            known = await asyncio.to_thread(_paths, source, asked.prefix)
            rest = [] if len(after) > 1 else [text for text in known if not after or text > after[0]]
            fields = [source.fields.get(known[text]) for text in rest[: asked.limit]]
            objects, reports = await self._inspector.occurrences(source, fields)
            newer = await source.refreshed()
            if newer is None:
                return len(known), objects, reports, len(rest) > asked.limit
            source = newer
        raise Unavailable("writers bring new fields all the time; try again", retry_after=1)

    async def _source(self, scope: Scope, bucket: OpenBucket | None) -> BucketSource:
        """One bucket, or all buckets of the namespace as one."""
        if bucket is not None:
            return await BucketSource.at(self._buckets.store, scope, [bucket.snapshot], date_paths(bucket.schema))
        entries = await self._catalog.find(_of(scope, "bucket"), _BUCKETS + 1)
        if len(entries) > _BUCKETS:
            raise OverBudget(
                f"the namespace has more than {_BUCKETS} buckets, too many for one answer; name one of them: ?bucket=",
                {"limit": _BUCKETS},
            )
        ids = [entry.id.partition(":")[2] for entry in entries]
        current, versions = await self._catalog.get_with_versions(
            [entry.id for entry in entries], [fields_id(id) for id in ids]
        )
        buckets = [
            BucketSnapshot(id, version, expired_before(entry.body))
            for id, entry, version in zip(ids, current, versions, strict=True)
            if entry and entry.live
        ]
        return await BucketSource.at(self._buckets.store, scope, buckets, [])

    async def _columns(self, scope: Scope, prefix: str, after: Sequence[str], most: int) -> list[PropertyColumn]:
        """Properties of the project's containers, ordered by space, container, property."""
        place = " ".join(after[:2]) if len(after) > 1 else ""
        found: list[PropertyColumn] = []
        query = _of(scope, "container")
        while True:
            page = dsl.filtered(query, dsl.in_range("order", gte=place))
            entries = await self._catalog.find(page, _CONTAINERS + 1, by=("order",))
            for entry in entries[:_CONTAINERS]:
                found += _some(entry, prefix, after)
                if len(found) >= most:
                    return found[:most]
                await asyncio.sleep(0)
            if len(entries) <= _CONTAINERS:
                return found
            place = " ".join((entries[-1].body["space"], entries[-1].body["externalId"]))


def _of(scope: Scope, kind: str) -> Json:
    mine = [dsl.term("kind", kind), dsl.term("namespace_id", scope.namespace_id), dsl.term("status", "ACTIVE")]
    return dsl.filtered(*mine)


def _named(scope: Scope) -> dict[str, Json]:
    return {"namespace_id": scope.namespace_id, "namespace_name": scope.namespace_name}


def _bound(scope: Scope, bucket: OpenBucket | None, prefix: str) -> str:
    asked = ["fields", scope.namespace_id, bucket and bucket.id, prefix]
    return hashlib.sha256(encode_json(asked)).hexdigest()[:32]


def _paths(source: BucketSource, prefix: str) -> dict[str, Path]:
    """Spelling → path, sorted by spelling."""
    found = ((paths.text(path), path) for path in map(path_of, source.fields.names))
    return dict(sorted((text, path) for text, path in found if text.startswith(prefix)))


def _some(entry: Entry, prefix: str, after: Sequence[str]) -> list[PropertyColumn]:
    """A container's properties that have a prefix and come after a given one."""
    ((_, columns),) = columns_of([entry]).items()
    found = [column for _, column in sorted(columns.items()) if "/".join(column.key).startswith(prefix)]
    return [column for column in found if len(after) < 2 or column.key > tuple(after)]


def _index(index: Index, incarnations: set[tuple[str, str]]) -> Json:
    report: dict[str, Json] = {"name": index.name, "alias": index.alias, "holds": "objects"}
    if index.stream is not None:
        stream, incarnation, deletions = index.stream
        report["holds"] = "tombstones" if deletions else "records"
        report["stream"] = stream
        # A deleted stream's data is retained for a while.
        report["stream_status"] = "ACTIVE" if (stream, incarnation) in incarnations else "DELETING"
    return {
        **report,
        "documents": index.documents,
        "deleted_documents": index.deleted_documents,
        "size_bytes": index.size_bytes,
        "primary_size_bytes": index.primary_size_bytes,
        "primary_shards": index.primary_shards,
        "replicas": index.replicas,
        "health": index.health,
        "created_at": render_date(index.created_at),
    }


def _field(report: FieldReport, objects: int) -> Json:
    return {
        "field": paths.text(report.field.path),
        "count": report.count,
        "share": report.count / objects if objects else 0,
        "types": [_occurrence(each) for each in report.occurrences],
        "examples": [_example(each) for each in report.examples],
    }


def _occurrence(each: Occurrence) -> Json:
    report: dict[str, Json] = {
        "type": each.kind,
        "count": each.count,
        "index": [_render_location(location) for location in each.locations],
    }
    if each.kind == "number":
        report |= {"min": each.least, "max": each.most}
    if each.dates is not None:
        report["dates"] = _dates(each.dates)
    return report


def _dates(dates: Dates) -> Json:
    ends = {"min": dates.first, "max": dates.last}
    return {"count": dates.count, **{name: None if end is None else render_date(end) for name, end in ends.items()}}


def _render_location(location: IndexLocation) -> Json:
    report: dict[str, Json] = {"name": location.name, "type": location.type}
    return report if location.term is None else {**report, "term": location.term}


def _example(example: Example) -> Json:
    value, shortened = example.value, {}
    if isinstance(value, str) and len(value) > _SHOWN:
        value, shortened = f"{value[:_SHOWN]}…", {"shortened": True}
    return {"value": value, "count": example.count, **shortened}


def _record(column: PropertyColumn) -> Json:
    space, container, name = column.key
    mapping: Mapping[str, Any] | None = column.mapping
    return {
        "space": space,
        "container": container,
        "property": name,
        "type": column.type,
        "list": column.listed,
        "index": mapping and {"name": column.field, "type": mapping["type"]},
    }
