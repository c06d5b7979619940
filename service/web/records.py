"""Routes of the records API: spaces, containers, streams, records of a project."""

from typing import Annotated, Final, Literal

from aiohttp import web
from pydantic import Field

from service.catalog.models import Containers, Listing, Spaces
from service.catalog.streams import STREAM, CreateStreams, DeleteStreams
from service.dialects.tree.properties import SPACE
from service.dialects.tree.wire import (
    ContainerIds,
    FilterRequest,
    Identifiers,
    RecordIds,
    RecordsAggregate,
    SpaceIds,
    SyncRequest,
)
from service.errors import AlreadyExists, Gone, Invalid, NotFound
from service.web import record_schemas as schemas
from service.web.inputs import Body
from service.web.keys import MODELS, RECORDS, STREAMS
from service.web.route import Routes
from service.wire import CamelModel

routes = Routes("Records", "records", "/api/v1/projects/{project}")

_STREAM: Final = "/streams/{streamId}"
_RECORDS: Final = f"{_STREAM}/records"


class ProjectPath(CamelModel):
    project: str = Field(description="The project, which is a namespace: its name or its id.", examples=["production"])


class StreamPath(ProjectPath):
    stream_id: str = Field(
        description="The stream.", examples=["test1"], json_schema_extra={"pattern": STREAM, "maxLength": 100}
    )


class PageQuery(CamelModel):
    limit: int = Field(100, ge=1, le=1_000, description="Items of a page.")
    cursor: str | None = Field(None, description="`nextCursor` of the page before.")


class StreamsQuery(PageQuery):
    limit: int = Field(1_000, ge=1, le=1_000, description="Items of a page.")


class SpacesQuery(PageQuery):
    include_global: bool = Field(False, description="Nothing is global here.")


class ContainersQuery(SpacesQuery):
    space: str | None = Field(
        None,
        description="Containers of this space only. Example: `mySpace`.",
        json_schema_extra={"pattern": SPACE},
    )
    used_for: list[Literal["node", "edge", "record", "all"]] = Field(
        default_factory=list,
        description="Containers for these only; may be repeated. Without `record` among them there are none.",
    )


class StreamQuery(CamelModel):
    include_statistics: bool = Field(False, description="Whether to say how much the stream holds (`consumed`).")


class WriteQuery(CamelModel):
    refresh: Literal["wait_for", "true", "false"] = Field(
        "false",
        description="`wait_for`: answer when the write is visible to filter and aggregate; without it, it will be "
        "within about a second.",
    )

    @property
    def waits(self) -> bool:
        return self.refresh != "false"


class AggregateQuery(CamelModel):
    info: bool = Field(False, description="Whether to say how the answer was computed.")


WrittenRecords = Annotated[bytes, Body(schemas.WrittenRecords)]


# Spaces


@routes.get("/models/spaces", tag="Spaces", errors=(Gone,))
async def list_spaces(request: web.Request, path: ProjectPath, query: SpacesQuery) -> schemas.StoredSpaces:
    """List spaces.

    All spaces of the project, page by page.
    """
    return await request.app[MODELS].list_spaces(path.project, Listing(query.limit, query.cursor))


@routes.post("/models/spaces", tag="Spaces")
async def apply_spaces(request: web.Request, path: ProjectPath, body: Spaces) -> schemas.StoredSpaces:
    """Create or change spaces.

    Containers and records are named in a space. A space that exists already gets the name and description that are
    given.
    """
    return {"items": await request.app[MODELS].apply_spaces(path.project, body)}


@routes.post("/models/spaces/byids", tag="Spaces")
async def get_spaces(request: web.Request, path: ProjectPath, body: SpaceIds) -> schemas.StoredSpaces:
    """Get spaces by their ids.

    Those that exist; others are left out.
    """
    return {"items": await request.app[MODELS].spaces(path.project, body.names)}


@routes.post("/models/spaces/delete", tag="Spaces")
async def delete_spaces(request: web.Request, path: ProjectPath, body: SpaceIds) -> schemas.DeletedSpaces:
    """Delete spaces.

    A space that has containers or holds records is not deleted (400).
    """
    return {"items": await request.app[MODELS].delete_spaces(path.project, body.names)}


# Containers


@routes.get("/models/containers", tag="Containers", errors=(Gone,))
async def list_containers(request: web.Request, path: ProjectPath, query: ContainersQuery) -> schemas.StoredContainers:
    """List containers.

    The containers of the project, page by page.
    """
    page = Listing(query.limit, query.cursor)
    return await request.app[MODELS].list_containers(path.project, page, query.space, query.used_for)


@routes.post("/models/containers", tag="Containers", errors=(AlreadyExists,))
async def apply_containers(request: web.Request, path: ProjectPath, body: Containers) -> schemas.StoredContainers:
    """Create or change containers.

    A container declares typed properties of records. Properties can be added to one that exists; the type of a property
    cannot change (409).
    """
    return {"items": await request.app[MODELS].apply_containers(path.project, body)}


@routes.post("/models/containers/byids", tag="Containers")
async def get_containers(request: web.Request, path: ProjectPath, body: ContainerIds) -> schemas.StoredContainers:
    """Get containers by their ids.

    Those that exist; others are left out.
    """
    return {"items": await request.app[MODELS].containers(path.project, body.names)}


@routes.post("/models/containers/delete", tag="Containers")
async def delete_containers(request: web.Request, path: ProjectPath, body: ContainerIds) -> schemas.DeletedContainers:
    """Delete containers.

    A container that holds records is not deleted (400).
    """
    return {"items": await request.app[MODELS].delete_containers(path.project, body.names)}


@routes.post("/models/containers/indexes/delete", tag="Containers", id="deleteIndexes")
@routes.post("/models/containers/constraints/delete", tag="Containers")
async def delete_constraints(request: web.Request, path: ProjectPath, body: Identifiers) -> schemas.NoItems:
    """Delete constraints or indexes of containers.

    Containers have neither here, so none of those that are named exists.
    """
    await request.app[MODELS].known(path.project)
    return {"items": []}


# Streams


@routes.get("/streams", tag="Streams", errors=(Gone,))
async def list_streams(request: web.Request, path: ProjectPath, query: StreamsQuery) -> schemas.Streams:
    """List streams.

    The streams of the project.
    """
    return await request.app[STREAMS].list(path.project, Listing(query.limit, query.cursor))


@routes.post("/streams", tag="Streams", status=201, errors=(AlreadyExists,))
async def create_stream(request: web.Request, path: ProjectPath, body: CreateStreams) -> schemas.Streams:
    """Create a stream.

    A stream of the kind and size that a template says: ImmutableTestStream, BasicArchive, BasicLiveData,
    MutableTestStream, or one that the operator added. Exactly one in a request.
    """
    return {"items": await request.app[STREAMS].create(path.project, body)}


@routes.post("/streams/delete", tag="Streams")
async def delete_streams(request: web.Request, path: ProjectPath, body: DeleteStreams) -> schemas.Nothing:
    """Delete a stream.

    It is gone for everybody at once; its data is removed when the time of its template is over. An unknown stream is
    ignored. Exactly one in a request.
    """
    await request.app[STREAMS].delete(path.project, body)
    return {}


@routes.get(_STREAM, tag="Streams", errors=(NotFound,))
async def get_stream(request: web.Request, path: StreamPath, query: StreamQuery) -> schemas.Stream:
    """Get a stream.

    One stream, with how much it holds if asked for.
    """
    return await request.app[STREAMS].get(path.project, path.stream_id, statistics=query.include_statistics)


@routes.delete(_STREAM, tag="Streams", status=410, errors=(Gone,))
async def delete_stream_by_path(request: web.Request, path: StreamPath) -> None:
    """Delete a stream (gone).

    This route is gone: send `POST …/streams/delete`.
    """
    raise Gone("this route is gone; send POST /streams/delete")


# Records


@routes.post(_RECORDS, status=202, errors=(NotFound, AlreadyExists, Invalid))
async def ingest_records(
    request: web.Request, path: StreamPath, query: WriteQuery, body: WrittenRecords
) -> schemas.Nothing:
    """Write new records.

    Spaces, containers and properties must exist and values be of the declared types: otherwise nothing of the request
    is stored (400). In a mutable stream an id that is taken is reported (409, `partial`) while the others are stored;
    in an immutable one an equal record is dropped silently.
    """
    await request.app[RECORDS].writer.ingest(path.project, path.stream_id, body, refresh=query.waits)
    return {}


@routes.post(f"{_RECORDS}/upsert", status=202, errors=(NotFound, Invalid))
async def upsert_records(
    request: web.Request, path: StreamPath, query: WriteQuery, body: WrittenRecords
) -> schemas.Nothing:
    """Write or replace records.

    Of mutable streams: a record that exists is replaced as a whole.
    """
    await request.app[RECORDS].writer.upsert(path.project, path.stream_id, body, refresh=query.waits)
    return {}


@routes.post(f"{_RECORDS}/delete", errors=(NotFound, Invalid))
async def delete_records(request: web.Request, path: StreamPath, query: WriteQuery, body: RecordIds) -> schemas.Nothing:
    """Delete records.

    Of mutable streams. Unknown ids are ignored; sync reports those that existed.
    """
    await request.app[RECORDS].writer.delete(path.project, path.stream_id, body, refresh=query.waits)
    return {}


@routes.post(f"{_RECORDS}/filter", errors=(NotFound,))
async def filter_records(request: web.Request, path: StreamPath, body: FilterRequest) -> schemas.Records:
    """Find records.

    Records that a filter matches, in an order, without a cursor: sync follows a stream. A filter is an object with one
    operator; at most 100 of them, 10 deep. `lastUpdatedTime` needs a lower bound; it is mandatory for immutable
    streams, and may not span more than the stream's `maxFilteringInterval`.
    """
    return await request.app[RECORDS].reader.filter(path.project, path.stream_id, body)


@routes.post(f"{_RECORDS}/sync", errors=(NotFound, Gone))
async def sync_records(request: web.Request, path: StreamPath, body: SyncRequest) -> schemas.SyncedRecords:
    """Follow a stream.

    What was written after a cursor, page by page: each record as it is now, and deletions. Nothing that was
    acknowledged is left out. A cursor goes on as long as the stream does.
    """
    return await request.app[RECORDS].reader.sync(path.project, path.stream_id, body)


@routes.post(f"{_RECORDS}/aggregate", errors=(NotFound,))
async def aggregate_records(
    request: web.Request,
    path: StreamPath,
    query: AggregateQuery,
    body: RecordsAggregate,
) -> schemas.AggregateResults:
    """Aggregate records.

    A tree of aggregates, at most 5 on a level, 5 deep and 16 in all; numbers are exact, on any number of shards. Only
    uniqueValues, numberHistogram, timeHistogram and filters take nested aggregates; a movingFunction stands directly
    inside a histogram. A metric over no values is 0. `lastUpdatedTime` as for filter.
    """
    return await request.app[RECORDS].aggregator.aggregate(path.project, path.stream_id, body, info=query.info)
