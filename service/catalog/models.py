"""Spaces and containers of a project: the data model of records (contract, records, 5)."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field, StrictStr

from service import dsl
from service.catalog.namespaces import NamespaceService
from service.clock import arrival, now_millis
from service.dialects.tree.properties import SPACE, Container, PropertyColumn
from service.dialects.tree.references import Columns
from service.errors import AlreadyExists, BadRequest, Unavailable
from service.listing.cursors import Cursors
from service.scope import Scope
from service.storage.catalog import Catalog, Entry
from service.storage.gateway import Conflict
from service.storage.records import RecordStore
from service.values import Json
from service.wire import CamelModel

_ROUNDS: Final = 10
_PAGE: Final = 1_000
_GONE: Final = 1_000
"""Maximum number of deleted streams to exclude."""
_LIST: Final = 2_000
"""Maximum list length where the type sets none."""


class Space(CamelModel):
    space: Annotated[str, Field(pattern=SPACE)]
    name: StrictStr | None = Field(None, max_length=255)
    description: StrictStr | None = Field(None, max_length=255)


class Spaces(CamelModel):
    items: list[Space] = Field(min_length=1, max_length=100)


class Containers(CamelModel):
    items: list[Container] = Field(min_length=1, max_length=100)


@dataclass(frozen=True)
class Listing:
    """A page of a list: its size, and the cursor that it continues from."""

    limit: int
    cursor: str | None


class ModelService:
    """The use cases of spaces and containers."""

    def __init__(self, namespaces: NamespaceService, catalog: Catalog, cursors: Cursors, records: RecordStore) -> None:
        self._namespaces = namespaces
        self._catalog = catalog
        self._cursors = cursors
        self._records = records

    # Spaces

    async def apply_spaces(self, project: str, request: Spaces) -> list[Json]:
        scope, _ = await self._namespaces.find(project)
        return [await self._space(scope, space) for space in request.items]

    async def _space(self, scope: Scope, space: Space) -> Json:
        for _ in range(_ROUNDS):
            (entry,) = await self._catalog.get(space_key(scope, space.space))
            body = {**space.model_dump(exclude_none=True), **_times(entry if entry and entry.live else None)}
            if await self._stored(space_key(scope, space.space), "space", scope, space.space, entry, body):
                return render_space(body)
        raise Unavailable("the space is being changed by too many requests at once", retry_after=1)

    async def spaces(self, project: str, names: Sequence[str]) -> list[Json]:
        scope, _ = await self._namespaces.find(project)
        found = await self._catalog.get(*(space_key(scope, name) for name in names))
        return [render_space(entry.body) for entry in found if entry and entry.live]

    async def list_spaces(self, project: str, page: Listing) -> Json:
        scope, _ = await self._namespaces.find(project)
        return await self._list(scope, "space", page, [], render_space)

    async def delete_spaces(self, project: str, names: Sequence[str]) -> list[Json]:
        """Those that existed; raises `BadRequest` for one that holds containers or records."""
        scope, _ = await self._namespaces.find(project)
        entries = await self._catalog.get(*(space_key(scope, name) for name in names))
        found = [each for each in entries if each and each.live]
        for entry in found:
            mine = [*_of(scope, "container"), dsl.term("space", entry.name)]
            if await self._catalog.find(dsl.filtered(*mine), 1):
                raise BadRequest(f"the space {entry.name!r} has containers; delete them first")
            if await self._has_records(scope, dsl.term("space", entry.name)):
                raise BadRequest(f"the space {entry.name!r} holds records; delete them first")
        for entry in found:
            await self._retire_space(entry)
        return [{"space": entry.name} for entry in found]

    async def _retire_space(self, entry: Entry) -> None:
        """The entry stays, so that a late duplicate of the request that created the space creates nothing."""
        for _ in range(_ROUNDS):
            with suppress(Conflict):
                view = {**_view(entry.body), "status": "DELETED"}
                await self._catalog.replace(entry, {**entry.body, "status": "DELETED"}, view=view)
                return
            (found,) = await self._catalog.get(entry.id)
            if found is None or not found.live:
                return
            entry = found
        raise Unavailable("the space is being changed by too many requests at once", retry_after=1)

    async def known(self, project: str) -> None:
        """Raises `NotFound` if the project does not exist."""
        await self._namespaces.find(project)

    # Containers

    async def apply_containers(self, project: str, request: Containers) -> list[Json]:
        scope, _ = await self._namespaces.find(project)
        spaces = list(dict.fromkeys(container.space for container in request.items))
        found = await self._catalog.get(*(space_key(scope, name) for name in spaces))
        missing = [{"space": name} for name, entry in zip(spaces, found, strict=True) if not (entry and entry.live)]
        if missing:
            raise BadRequest(f"unknown spaces: {', '.join(each['space'] for each in missing)}", {"missing": missing})
        return [await self._container(scope, container) for container in request.items]

    async def _container(self, scope: Scope, container: Container) -> Json:
        key = container_key(scope, container.space, container.external_id)
        name = f"{container.space} {container.external_id}"
        for _ in range(_ROUNDS):
            (entry,) = await self._catalog.get(key)
            before: Mapping[str, Json] = entry.body if entry else {}
            live = entry is not None and not before.get("gone")
            properties = {**(before["properties"] if live else {})}
            for id, each in container.properties.items():
                rendered = each.render()
                if id in properties and _kind(properties[id]) != _kind(rendered):
                    raise AlreadyExists(
                        f"the property {id!r} of {container.external_id!r} is {_kind(properties[id])} and cannot "
                        f"become {_kind(rendered)}; add a property under another name"
                    )
                properties[id] = rendered
            if len(properties) > 1000:
                raise BadRequest(
                    f"the container {container.external_id!r} would have {len(properties):,} properties; at most 1,000"
                )
            body = {
                "space": container.space,
                "externalId": container.external_id,
                "properties": properties,
                "usedFor": "record",
                **{n: v for n, v in (("name", container.name), ("description", container.description)) if v},
                "generation": before.get("generation", 0) + (0 if live else 1),
                **_times(entry if live else None),
            }
            if await self._stored(key, "container", scope, name, entry, body):
                return render_container(body)
        raise Unavailable("the container is being changed by too many requests at once", retry_after=1)

    async def containers(self, project: str, names: Sequence[tuple[str, str]]) -> list[Json]:
        scope, _ = await self._namespaces.find(project)
        return [render_container(entry.body) for entry in await self._existing(scope, names)]

    async def _existing(self, scope: Scope, names: Sequence[tuple[str, str]]) -> list[Entry]:
        found = await self._catalog.get(*(container_key(scope, *name) for name in dict.fromkeys(names)))
        return [entry for entry in found if entry and not entry.body.get("gone")]

    async def list_containers(self, project: str, page: Listing, space: str | None, used: Sequence[str]) -> Json:
        scope, _ = await self._namespaces.find(project)
        if used and "record" not in used:
            return {"items": []}
        mine: list[Json] = [dsl.term("space", space)] if space else []
        return await self._list(scope, "container", page, mine, render_container)

    async def delete_containers(self, project: str, names: Sequence[tuple[str, str]]) -> list[Json]:
        scope, _ = await self._namespaces.find(project)
        found = await self._existing(scope, names)
        for entry in found:
            await self._require_no_records(scope, entry)
        deleted = [await self._retire_container(scope, entry) for entry in found]
        return [
            {"space": entry.body["space"], "externalId": entry.body["externalId"]}
            for entry, mine in zip(found, deleted, strict=True)
            if mine
        ]

    async def _require_no_records(self, scope: Scope, entry: Entry) -> None:
        if await self._has_records(scope, dsl.term("@has", token_of(entry))):
            raise BadRequest(f"the container {entry.body['externalId']!r} holds records; delete them first")

    async def _retire_container(self, scope: Scope, entry: Entry) -> bool:
        """Whether it existed; reads it again if it was changed concurrently."""
        for _ in range(_ROUNDS):
            # Its generation is kept: the next container of this name has different fields.
            body = {**entry.body, "gone": True}
            with suppress(Conflict):
                await self._catalog.replace(entry, body, view=_view(body))
                return True
            (found,) = await self._catalog.get(entry.id)
            if found is None or found.body.get("gone"):
                return False
            entry = found
            await self._require_no_records(scope, entry)
        raise Unavailable("the container is being changed by too many requests at once", retry_after=1)

    # Both

    async def _has_records(self, scope: Scope, query: Json) -> bool:
        """Whether any live stream has a record that matches a query."""
        gone = [dsl.term("kind", "stream-gone"), dsl.term("namespace_id", scope.namespace_id)]
        deleted = await self._catalog.find(dsl.filtered(*gone), _GONE)
        return await self._records.holds(scope.namespace_id, query, [entry.body["prefix"] for entry in deleted])

    async def _stored(
        self, key: str, kind: str, scope: Scope, name: str, entry: Entry | None, body: Mapping[str, Json]
    ) -> bool:
        """False if a concurrent write won."""
        body = {**body, "created_at": body["createdTime"], "arrival": arrival()}
        try:
            if entry is None:
                await self._catalog.create(key, kind, scope.namespace_id, name, body, _view(body))
            else:
                await self._catalog.replace(entry, body, name, _view(body))
        except Conflict:
            return False
        return True

    async def _list(self, scope: Scope, kind: str, page: Listing, filters: list[Json], rendered: Any) -> Json:
        bound = f"{kind} {scope.namespace_id}"
        after = self._cursors.open(page.cursor, bound, ("cursor",))["after"] if page.cursor else ""
        query = [*_of(scope, kind), *filters, dsl.in_range("order", gt=after)]
        found = await self._catalog.find(dsl.filtered(*query), min(page.limit, _PAGE) + 1, by=("order",))
        items = found[: min(page.limit, _PAGE)]
        answer: dict[str, Json] = {"items": [rendered(entry.body) for entry in items]}
        if len(found) > len(items):
            answer["nextCursor"] = self._cursors.seal(of=bound, after=_order(items[-1].body))
        return answer


def columns_of(entries: Sequence[Entry]) -> Columns:
    """The columns of containers, by (space, container) and property."""
    return {
        (entry.body["space"], entry.body["externalId"]): {
            name: column_of(entry, name, spec) for name, spec in entry.body["properties"].items()
        }
        for entry in entries
    }


def column_of(entry: Entry, name: str, spec: Mapping[str, Json]) -> PropertyColumn:
    type = spec["type"]
    return PropertyColumn(
        (entry.body["space"], entry.body["externalId"], name),
        type["type"],
        bool(type.get("list")),
        frozenset(type.get("values") or ()),
        not spec["nullable"],
        spec.get("defaultValue"),
        type.get("maxListSize") or _LIST,
        type.get("maxTextSize"),
        entry.body["generation"],
    )


def token_of(entry: Entry) -> str:
    """The token for a container in a record's set of properties (`filters.container_token`)."""
    token = f"{entry.body['space']}/{entry.body['externalId']}"
    return token if entry.body["generation"] == 1 else f"{token}@{entry.body['generation']}"


def render_space(body: Mapping[str, Json]) -> Json:
    kept = ("space", "name", "description", "createdTime", "lastUpdatedTime")
    return {**{name: body[name] for name in kept if name in body}, "isGlobal": False}


def render_container(body: Mapping[str, Json]) -> Json:
    kept = ("space", "externalId", "name", "description", "usedFor", "properties", "createdTime", "lastUpdatedTime")
    rendered = {name: body[name] for name in kept if name in body}
    return {**rendered, "isGlobal": False, "constraints": {}, "indexes": {}}


def _kind(rendered: Mapping[str, Json]) -> str:
    type = rendered["type"]
    return f"list of {type['type']}" if type.get("list") else str(type["type"])


def _times(entry: Entry | None) -> dict[str, int]:
    now = now_millis()
    return {"createdTime": entry.body["createdTime"] if entry else now, "lastUpdatedTime": now}


def _order(body: Mapping[str, Json]) -> str:
    return " ".join(filter(None, (body["space"], body.get("externalId"))))


def _view(body: Mapping[str, Json]) -> dict[str, Json]:
    """The fields that lists use."""
    return {"space": body["space"], "order": _order(body), "status": "GONE" if body.get("gone") else "ACTIVE"}


def _of(scope: Scope, kind: str) -> list[Json]:
    return [dsl.term("kind", kind), dsl.term("namespace_id", scope.namespace_id), dsl.term("status", "ACTIVE")]


def space_key(scope: Scope, space: str) -> str:
    return f"space:{scope.namespace_id}:{space}"


def container_key(scope: Scope, space: str, container: str) -> str:
    """Unambiguous: neither id contains a colon."""
    return f"container:{scope.namespace_id}:{space}:{container}"
