"""Routes of the records API: spaces, containers, streams, records of a project."""

from typing import Final

from aiohttp import web

from service.dialects.tree.references import counted, of_object
from service.errors import BadRequest, Gone
from service.resources.models import Containers, Listing, Spaces
from service.resources.streams import CreateStreams, DeleteStreams
from service.values import Json
from service.web.answers import answer, large_answer
from service.web.keys import MODELS, RECORDS, STREAMS
from service.web.reading import body_of, validated, whole_json_from

routes = web.RouteTableDef()

PROJECT: Final = "/api/v1/projects/{project:[^/]+}"
_MODELS: Final = f"{PROJECT}/models"
_STREAMS: Final = f"{PROJECT}/streams"
_RECORDS: Final = _STREAMS + "/{stream:[^/]+}/records"

MAX_BODY: Final = 10 * 1024 * 1024
"""Bytes of a request, decoded (contract, 3)."""

_MOST: Final = 1_000


async def _json(request: web.Request) -> Json:
    body = await body_of(request, MAX_BODY)
    if not body:
        raise BadRequest("a JSON body is needed")
    return whole_json_from(body)


def _place(request: web.Request) -> tuple[str, str]:
    return request.match_info["project"], request.match_info["stream"]


def _page(request: web.Request, default: int) -> Listing:
    text = request.query.get("limit")
    try:
        limit = int(text) if text is not None else default
    except ValueError:
        limit = 0
    if not 1 <= limit <= _MOST:
        raise BadRequest(f"limit: an integer from 1 to {_MOST:,} is needed, not {text!r}")
    return Listing(limit, request.query.get("cursor"))


def _waits(request: web.Request) -> bool:
    refresh = request.query.get("refresh", "false")
    if refresh not in ("wait_for", "true", "false", ""):
        raise BadRequest(f"refresh: wait_for, not {refresh!r}")
    return refresh in ("wait_for", "true")


async def _names(request: web.Request, *parts: str) -> list[tuple[str, ...]]:
    """The ids of `{"items": [{…}]}`."""
    items = of_object(await _json(request), ("body",), ("items", "ignoreUnknownIds"), ("items",))["items"]
    if not isinstance(items, list) or not 1 <= len(items) <= 100:
        raise BadRequest(f"items: an array of 1 to 100 ids is needed, not {counted(items)}")
    found = []
    for number, each in enumerate(items):
        one = of_object(each, ("items", number), parts, parts)
        if not all(isinstance(one[part], str) for part in parts):
            raise BadRequest(f"items[{number}]: {' and '.join(parts)} are strings")
        found.append(tuple(one[part] for part in parts))
    return found


# Spaces


@routes.post(f"{_MODELS}/spaces")
async def apply_spaces(request: web.Request) -> web.Response:
    spaces = validated(Spaces, await _json(request))
    return answer({"items": await request.app[MODELS].apply_spaces(request.match_info["project"], spaces)})


@routes.get(f"{_MODELS}/spaces")
async def list_spaces(request: web.Request) -> web.Response:
    return answer(await request.app[MODELS].list_spaces(request.match_info["project"], _page(request, 100)))


@routes.post(f"{_MODELS}/spaces/byids")
async def spaces(request: web.Request) -> web.Response:
    names = [name for (name,) in await _names(request, "space")]
    return answer({"items": await request.app[MODELS].spaces(request.match_info["project"], names)})


@routes.post(f"{_MODELS}/spaces/delete")
async def delete_spaces(request: web.Request) -> web.Response:
    names = [name for (name,) in await _names(request, "space")]
    return answer({"items": await request.app[MODELS].delete_spaces(request.match_info["project"], names)})


# Containers


@routes.post(f"{_MODELS}/containers")
async def apply_containers(request: web.Request) -> web.Response:
    containers = validated(Containers, await _json(request))
    return answer({"items": await request.app[MODELS].apply_containers(request.match_info["project"], containers)})


@routes.get(f"{_MODELS}/containers")
async def list_containers(request: web.Request) -> web.Response:
    space, used = request.query.get("space"), request.query.getall("usedFor", [])
    page = _page(request, 100)
    return answer(await request.app[MODELS].list_containers(request.match_info["project"], page, space, used))


@routes.post(f"{_MODELS}/containers/byids")
async def containers(request: web.Request) -> web.Response:
    names = [(space, id) for space, id in await _names(request, "space", "externalId")]
    return answer({"items": await request.app[MODELS].containers(request.match_info["project"], names)})


@routes.post(f"{_MODELS}/containers/delete")
async def delete_containers(request: web.Request) -> web.Response:
    names = [(space, id) for space, id in await _names(request, "space", "externalId")]
    return answer({"items": await request.app[MODELS].delete_containers(request.match_info["project"], names)})


@routes.post(f"{_MODELS}/containers/constraints/delete")
@routes.post(f"{_MODELS}/containers/indexes/delete")
async def delete_nothing(request: web.Request) -> web.Response:
    """Containers have neither, so none of those that are named is there."""
    await _json(request)
    await request.app[MODELS].known(request.match_info["project"])
    return answer({"items": []})


# Streams


@routes.post(_STREAMS)
async def create_streams(request: web.Request) -> web.Response:
    streams = validated(CreateStreams, await _json(request))
    return answer({"items": await request.app[STREAMS].create(request.match_info["project"], streams)}, 201)


@routes.get(_STREAMS)
async def list_streams(request: web.Request) -> web.Response:
    return answer(await request.app[STREAMS].list(request.match_info["project"], _page(request, _MOST)))


@routes.post(f"{_STREAMS}/delete")
async def delete_streams(request: web.Request) -> web.Response:
    streams = validated(DeleteStreams, await _json(request))
    await request.app[STREAMS].delete(request.match_info["project"], streams)
    return answer({})


@routes.get(_STREAMS + "/{stream:[^/]+}")
async def get_stream(request: web.Request) -> web.Response:
    statistics = request.query.get("includeStatistics", "false")
    if statistics not in ("true", "false"):
        raise BadRequest(f"includeStatistics: true or false, not {statistics!r}")
    return answer(await request.app[STREAMS].get(*_place(request), statistics=statistics == "true"))


@routes.delete(_STREAMS + "/{stream:[^/]+}")
async def delete_stream(request: web.Request) -> web.Response:
    raise Gone("this route is gone; send POST /streams/delete")


# Records


@routes.post(_RECORDS)
async def ingest(request: web.Request) -> web.Response:
    refresh = _waits(request)
    await request.app[RECORDS].ingest(*_place(request), await body_of(request, MAX_BODY), refresh=refresh)
    return answer({}, 202)


@routes.post(f"{_RECORDS}/upsert")
async def upsert(request: web.Request) -> web.Response:
    refresh = _waits(request)
    await request.app[RECORDS].upsert(*_place(request), await body_of(request, MAX_BODY), refresh=refresh)
    return answer({}, 202)


@routes.post(f"{_RECORDS}/delete")
async def delete(request: web.Request) -> web.Response:
    refresh = _waits(request)
    await request.app[RECORDS].delete(*_place(request), await _json(request), refresh=refresh)
    return answer({})


@routes.post(f"{_RECORDS}/filter")
async def filter_records(request: web.Request) -> web.Response:
    found = await request.app[RECORDS].filter(*_place(request), await _json(request))
    return await large_answer(found, len(found["items"]))


@routes.post(f"{_RECORDS}/sync")
async def sync(request: web.Request) -> web.Response:
    found = await request.app[RECORDS].sync(*_place(request), await _json(request))
    return await large_answer(found, len(found["items"]))


@routes.post(f"{_RECORDS}/aggregate")
async def aggregate(request: web.Request) -> web.Response:
    info = request.query.get("info", "false")
    if info not in ("true", "false"):
        raise BadRequest(f"info: true or false, not {info!r}")
    return answer(await request.app[RECORDS].aggregate(*_place(request), await _json(request), info=info == "true"))
