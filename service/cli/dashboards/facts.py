"""The facts for dashboards, from a running Tally: the index, its time field, and its fields' contents."""

import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import quote

import aiohttp

from service.cli.dashboards.sending import DashboardsError
from service.values import Json, is_number

TIME: Final = "@timestamp"

_PAGE: Final = 500
_PROPERTIES: Final = 100
"""Maximum properties of a stream to inspect."""

_TOP: Final = 5
_TEXTS: Final = frozenset({"text", "enum", "direct"})
_ENDS: Final = (("least", "min"), ("most", "max"))
_TIMES: Final = frozenset({"timestamp", "date"})

Kind = Literal["keyword", "boolean", "number", "date"]


@dataclass(frozen=True)
class DashboardField:
    """A field as Dashboards sees it, and facts about its values."""

    label: str
    """The path or property as users spell it."""
    name: str
    """The index field."""
    kind: Kind
    count: int
    """Number of documents that have it."""
    top: Sequence[tuple[Json, int]] = ()
    """The most frequent values, with document counts."""
    least: float | None = None
    most: float | None = None
    """For numbers, and for dates in epoch milliseconds."""


@dataclass(frozen=True)
class Facts:
    """One namespace, one bucket of it, or one stream."""

    key: str
    """A key that survives renames, for deriving ids."""
    index_key: str
    """The same for the index, which a namespace's buckets share."""
    title: str
    pattern: str
    """The alias that Dashboards searches."""
    begins: str
    """The earliest time in the data, ISO-8601."""
    documents: int
    columns: Sequence[DashboardField]
    spares: Sequence[DashboardField]
    """Fields that the service sets on every document; shown if there is little else."""
    bucket_id: str | None = None


class TallyClient:
    """A client of the routes that describe a namespace's contents."""

    def __init__(self, address: str, api_key: str) -> None:
        self._session = aiohttp.ClientSession(address, headers={"Authorization": f"Bearer {api_key}"})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def of_objects(self, namespace: str, bucket: str | None, title: str | None) -> Facts:
        """The facts of a namespace's or one bucket's objects."""
        base = f"/v1/namespaces/{quote(namespace, safe='')}"
        index = next(each for each in (await self._get(f"{base}/indices"))["results"] if each["holds"] == "objects")
        query = f"?limit={_PAGE}" + (f"&bucket={quote(bucket, safe='')}" if bucket else "")
        fields: list[Json] = []
        path: str | None = f"{base}/fields{query}"
        while path:
            answer = await self._get(path)
            fields += answer["results"]
            # The objects' fields are followed by those of records.
            path = answer["next_page"] if answer["results"] else None
        name, bucket_id = answer["namespace_name"], answer["bucket_id"]
        return Facts(
            key=f"{answer['namespace_id']} {bucket_id or ''}",
            index_key=answer["namespace_id"],
            title=title or (f"{name} / {bucket}" if bucket else name),
            pattern=index["alias"],
            begins=index["created_at"],
            documents=answer["objects"],
            columns=[column for field in fields for column in _columns(field)],
            spares=[
                DashboardField("status", "status", "keyword", answer["objects"]),
                DashboardField("size", "@size_bytes", "number", answer["objects"]),
            ],
            bucket_id=bucket_id,
        )

    async def of_records(self, namespace: str, stream: str, title: str | None) -> Facts:
        """The facts of a stream's records."""
        base = f"/v1/namespaces/{quote(namespace, safe='')}"
        answer = await self._get(f"{base}/indices")
        mine = [
            each
            for each in answer["results"]
            if (each["holds"], each.get("stream"), each.get("stream_status")) == ("records", stream, "ACTIVE")
        ]
        if not mine:
            raise DashboardsError(f"the namespace {namespace!r} has no stream {stream!r} with records")
        route = f"/api/v1/projects/{quote(namespace, safe='')}/streams/{quote(stream, safe='')}/records/aggregate"
        count = (await self._aggregate(route, {"all": {"count": {}}}))["all"]["count"]
        properties = [each async for each in self._properties(base)]
        columns = [column for each in properties for column in [await self._column(route, each)] if column]
        return Facts(
            key=f"{answer['namespace_id']} {stream}",
            index_key=f"{answer['namespace_id']} {stream}",
            title=title or f"{answer['namespace_name']} / {stream}",
            pattern=mine[0]["alias"],
            begins=min(each["created_at"] for each in mine),
            documents=count,
            columns=columns,
            spares=[
                DashboardField("space", "space", "keyword", count),
                DashboardField("createdTime", "createdTime", "date", count),
            ],
        )

    async def _properties(self, base: str) -> AsyncIterator[Mapping[str, Json]]:
        """The searchable properties of the project's containers, up to a limit."""
        path: str | None = f"{base}/fields?limit={_PAGE}"
        found = 0
        while path:
            answer = await self._get(path)
            for each in itertools.islice((each for each in answer["records"] if each["index"]), _PROPERTIES - found):
                found += 1
                yield each
            path = answer["next_page"] if found < _PROPERTIES else None

    async def _column(self, route: str, report: Mapping[str, Json]) -> DashboardField | None:
        """The field for a property in a stream's records; None if no record has it."""
        at = {"property": [report["space"], report["container"], report["property"]]}
        type = report["type"]
        kind: Kind = (
            "boolean" if type == "boolean" else "keyword" if type in _TEXTS else "date" if type in _TIMES else "number"
        )
        asked: dict[str, Json] = {"count": {"count": at}}
        if kind != "date":
            asked["top"] = {"uniqueValues": {**at, "size": _TOP}}
        if not report["list"] and (kind == "number" or type == "timestamp"):
            asked |= {"least": {"min": at}, "most": {"max": at}}
        found = await self._aggregate(route, asked)
        count = found["count"]["count"]
        if not count:
            return None
        buckets = found["top"]["uniqueValueBuckets"] if "top" in found else []
        least, most = (_number(found[end][how]) if end in found else None for end, how in _ENDS)
        label = "/".join(at["property"])
        top = [(bucket["value"], bucket["count"]) for bucket in buckets]
        return DashboardField(label, report["index"]["name"], kind, count, top, least, most)

    async def _aggregate(self, route: str, aggregates: Mapping[str, Json]) -> Mapping[str, Json]:
        async with self._session.post(route, json={"aggregates": aggregates}) as response:
            answer = await response.json()
        if response.status != 200:
            raise DashboardsError(answer["error"]["message"])
        found: Mapping[str, Json] = answer["aggregates"]
        return found

    async def _get(self, path: str) -> Any:
        async with self._session.get(path) as response:
            answer = await response.json()
        if response.status != 200:
            raise DashboardsError(answer["error"]["message"])
        return answer


def _columns(field: Mapping[str, Json]) -> list[DashboardField]:
    """The columns of a path of objects: one for each type with a separate index field."""
    found: list[DashboardField] = []
    for report in field["types"]:
        if not report["count"]:
            continue
        label = field["field"]
        match report["type"]:
            case "string":
                homes = {lies["type"]: lies["name"] for lies in reversed(report["index"])}
                if "keyword" in homes:
                    top = _top(field, lambda value: isinstance(value, str))
                    found.append(DashboardField(label, homes["keyword"], "keyword", report["count"], top))
                if "date" in homes:
                    dates = report["dates"]
                    least, most = (_number(dates[end]) for end in ("min", "max"))
                    found.append(DashboardField(label, homes["date"], "date", dates["count"], (), least, most))
            case "number":
                top = _top(field, is_number)
                name = report["index"][0]["name"]
                found.append(DashboardField(label, name, "number", report["count"], top, report["min"], report["max"]))
            case "boolean":
                top = _top(field, lambda value: isinstance(value, bool))
                found.append(DashboardField(label, report["index"][0]["name"], "boolean", report["count"], top))
    return found


def _top(field: Mapping[str, Json], mine: Any) -> list[tuple[Json, int]]:
    """Values with their counts; 0 if the exact count is unknown."""
    return [(each["value"], each["count"] or 0) for each in field["examples"] if mine(each["value"])]


def _number(value: Json) -> float | None:
    """A number unchanged, an instant in epoch milliseconds."""
    if isinstance(value, str):
        return datetime.fromisoformat(value).timestamp() * 1_000
    return None if value is None else float(value)
