"""Reads list requests of all eras, and writes their envelopes."""

from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import web

from service.dialects.flat.listing import CURSORS, LIST_KEYS, PAGING_KEYS, ListRequest, pagination
from service.errors import Invalid, Problem
from service.listing import Page
from service.values import Json
from service.web.reading import optional_json_of, validated

_NUMBERS: Final = ("limit", "offset", "page", "page_size")
_TEXTS: Final = ("search", "cursor", "next_cursor", "after")
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "filters": (dict,), "sort": (dict,), "sorts": (list,), "search": (str,), "select": (list,),
    "case_sensitive": (bool,), "limit": (int,), "offset": (int,), "page": (int,), "page_size": (int,),
    "cursor": (str,), "include_total": (bool,),
}  # fmt: skip


async def list_request(request: web.Request) -> ListRequest:
    """From body and query; the query counts more, so that the links of a page work with the same body."""
    return from_parts(request, await optional_json_of(request))


def from_parts(request: web.Request, body: Json) -> ListRequest:
    if body is None:
        body = {}
    if not isinstance(body, dict):
        raise Invalid.at(("body",), "the body of a list is an object", "dict_type")
    given = dict(body)
    problems: list[Problem] = []
    for name in _NUMBERS:
        text = request.query.get(name)
        if text:
            number = _integer(text)
            if number is None:
                problems.append(Problem(("query", name), f"an integer, not {text!r}", "int_parsing"))
            given[name] = number
    for name in _TEXTS:
        if name in request.query:
            given[name] = request.query[name]
    for name in CURSORS:
        if not given.get(name, "x"):
            del given[name]
    if "sort_field" in request.query:
        given["sort"] = {
            "field": request.query["sort_field"],
            "direction": request.query.get("sort_direction", "asc"),
        }
    if "case_sensitive" in request.query:
        given["case_sensitive"] = request.query["case_sensitive"].lower() == "true"
    given["filters"] = _with_query(given.get("filters"), request)
    if problems:
        raise Invalid(problems)
    return _placed(given, request)


def _integer(text: str) -> int | None:
    try:
        return int(text) if text.isascii() and len(text) < 20 else None
    except ValueError:
        return None


def _with_query(filters: Json, request: web.Request) -> Json:
    """`metadata.type=video` in the query is one more condition; a number or a truth value there is one as such, too."""
    more = [(name, value) for name, value in request.query.items() if name.startswith("metadata.")]
    if not more:
        return filters
    conditions: list[Json] = [
        {"field": name, "operator": "in", "value": [value, *_typed(value)]} for name, value in more
    ]
    return {"AND": [*([filters] if filters else []), *conditions]}


def _typed(text: str) -> list[Json]:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return []
    return [value] if isinstance(value, bool | int | float) else []


def _placed(given: Mapping[str, Json], request: web.Request) -> ListRequest:
    """The model; problems of what came in the query say so."""
    try:
        asked = validated(ListRequest, given)
        asked.told_in(request.query)
        asked.check()
        return asked
    except Invalid as invalid:
        raise Invalid(
            [
                Problem(("query", *each.location[1:]), each.message, each.type)
                if each.location[1:2] and each.location[1] in request.query
                else each
                for each in invalid.problems
            ]
        ) from None


def is_list(body: Json, creates: tuple[str, ...]) -> bool:
    """Whether the body of `POST /v1/buckets` lists; raises `Invalid` for what neither lists nor creates.

    `creates`: the keys of which one is there when something is to be made (contract, the table of eras).
    """
    if body is None:
        return True
    if not isinstance(body, dict):
        raise Invalid.at(("body",), "an object is needed, to create or to list", "dict_type")
    if any(name in body for name in creates):
        return False
    problems = [
        Problem(
            ("body", name),
            f"{name!r} neither creates ({creates[0]} is missing) nor lists; a list has {', '.join(sorted(LIST_KEYS))}",
            "unknown_key",
        )
        if name not in LIST_KEYS
        else Problem(("body", name), f"not of the type that {name!r} has in a list", "type")
        for name, value in body.items()
        if name not in LIST_KEYS
        or not (value is None or isinstance(value, _TYPES[name]))
        or (isinstance(value, bool) and bool not in _TYPES[name])
    ]
    if problems:
        raise Invalid(problems)
    return True


_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def lists_objects(raw: bytes) -> bool:
    """Whether the body of `POST …/objects` lists (contract, the table of eras); what is no object is for creating."""
    if not raw:
        return True
    try:
        parts = _parts(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return parts.keys() <= PAGING_KEYS or any(
        bytes(parts.get(name, b"")).lstrip().startswith(b"{") for name in ("filters", "sort")
    )


def envelope(request: web.Request, asked: ListRequest, page: Page, results: Json, *, skips: bool = False) -> Json:
    """`results`, `pagination`, `total_count`, `stats`; `skips`: with the older shape of pagination beside the newer."""
    pages = pagination(
        asked, request.path, request.query.items(), start=page.start, total=page.total, cursor=page.cursor
    )
    if skips:
        more = page.start + asked.size < page.total if asked.cursor is None else page.cursor is not None
        pages |= {"has_more": more, "limit": asked.size, "skip": page.start}
    return {"results": results, "pagination": pages, "total_count": page.total, "stats": page.stats}
