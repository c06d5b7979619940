"""Which records a request selects, their order, and which properties it returns."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from service import dsl
from service.catalog.streams import OpenStream
from service.clock import now_millis
from service.conditions.base import MATCH_ALL, Query
from service.dialects.tree.filters import between, read_filter, updated_within
from service.dialects.tree.properties import TOP, Key
from service.dialects.tree.references import Columns, References, reject, shown
from service.dialects.tree.wire import FilterRequest, RecordsAggregate, Sort, SourceProperties
from service.errors import Location
from service.spelling import did_you_mean
from service.storage.catalog import Entry
from service.values import Json

STORED: Final = ["space", "externalId", "createdTime", "lastUpdatedTime", "@raw"]
"""The stored fields that `record` needs."""


def where(stream: OpenStream, body: FilterRequest | RecordsAggregate, references: References) -> tuple[Query, str]:
    """The query of a request, and the indices that can hold its records."""
    now = now_millis()
    low, high = updated_within(
        body.last_updated_time, ("lastUpdatedTime",), widest=stream.widest, needed=not stream.mutable, now=now
    )
    wanted = read_filter(body.filter, ("filter",), references)
    if not stream.mutable and stream.kept is not None:
        low = max(low or 0, now - stream.kept)
    filters = [each for each in (wanted.query, *between(low, high)) if each != MATCH_ALL]
    query: Query = dsl.filtered(*filters) if filters else MATCH_ALL
    until = min(high, now + 60_000) if high is not None else now + 60_000
    return query, stream.location.slices(low, until)


def unexpired(stream: OpenStream) -> list[Query]:
    """The filters for records that have not expired."""
    return [] if stream.mutable or stream.kept is None else between(now_millis() - stream.kept, None)


def sort_clauses(given: Sequence[Sort] | None, references: References) -> list[Json]:
    """OpenSearch's sort; ties by time, then by id."""
    ties = [{"lastUpdatedTime": {"order": "asc"}}, {"space": {"order": "asc"}}, {"externalId": {"order": "asc"}}]
    found: list[Json] = []
    for number, each in enumerate(given or ()):
        at: Location = ("sort", number, "property")
        column = references.column(each.property, at, tuple(TOP))
        if column.listed or column.type == "json":
            reject(at, f"a {column.label} has no order")
        order = {"order": each.direction[:-6], "missing": "_first" if each.nulls_first else "_last"}
        if column.mapping is not None and not column.top:
            order["unmapped_type"] = column.mapping["type"]
        found.append({column.field: order})
    return [*found, *ties]


def wanted_properties(given: Sequence[SourceProperties] | None, columns: Columns) -> set[Key] | None:
    """The properties to return, None for all."""
    if given is None:
        return None
    found: set[Key] = set()
    for number, each in enumerate(given):
        key = (each.source.space, each.source.external_id)
        if key not in columns:
            missing = [{"space": key[0], "externalId": key[1]}]
            reject(("sources", number, "source"), f"unknown container {shown(key)}", missing=missing)
        for name in columns[key] if "*" in each.properties else each.properties:
            if name not in columns[key]:
                reject(
                    ("sources", number, "properties"),
                    f"no such property: {shown(name)}{did_you_mean(name, columns[key])}",
                )
            found.add((*key, name))
    return found


def record(source: Mapping[str, Json], wanted: set[Key] | None) -> dict[str, Json]:
    properties = msgspec.json.decode(source["@raw"])  # integers of any size
    if wanted is not None:
        kept: dict[str, dict[str, dict[str, Json]]] = {}
        for space, container, name in sorted(wanted):
            if name in properties.get(space, {}).get(container, {}):
                kept.setdefault(space, {}).setdefault(container, {})[name] = properties[space][container][name]
        properties = kept
    return {
        "space": source["space"],
        "externalId": source["externalId"],
        "createdTime": source["createdTime"],
        "lastUpdatedTime": source["lastUpdatedTime"],
        "properties": properties,
    }


def change(source: Mapping[str, Json], wanted: set[Key] | None, *, gone: bool) -> dict[str, Json]:
    if gone:
        rendered = {name: source[name] for name in ("space", "externalId", "createdTime", "lastUpdatedTime")}
        return {**rendered, "status": "deleted"}
    rendered = record(source, wanted)
    return {**rendered, "status": "created" if rendered["createdTime"] == rendered["lastUpdatedTime"] else "updated"}


def typing_of(entries: Sequence[Entry], mentioned: Mapping[tuple[str, str], Iterable[str]]) -> Json:
    typing: dict[str, dict[str, dict[str, Json]]] = {}
    for entry in entries:
        space, container = entry.body["space"], entry.body["externalId"]
        for name in sorted(mentioned[(space, container)]):
            spec = entry.body["properties"].get(name)
            if spec is not None:
                rendered = {each: value for each, value in spec.items() if each != "constraintState"}
                typing.setdefault(space, {}).setdefault(container, {})[name] = rendered
    return typing


def properties_in(value: Json) -> Iterable[Key]:
    if isinstance(value, dict):
        for name, each in value.items():
            if name == "property" and isinstance(each, list) and len(each) == 3:
                yield (each[0], each[1], each[2])
            else:
                yield from properties_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from properties_in(each)
