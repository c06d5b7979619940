"""Reads list requests of all eras, and writes their envelopes."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from service.dialects.flat.listing import ListParameters, ListRequest, SortOption, pagination
from service.errors import Invalid, Problem
from service.listing.base import ListPage
from service.spelling import did_you_mean, misspelt
from service.values import Json
from service.web.inputs import ListQuery
from service.wire import WireModel

_KNOWN: Final = frozenset({*ListRequest.model_fields, "next_cursor", "after"})
_PAGING: Final = frozenset({*ListParameters.model_fields, "next_cursor", "after"} - {"search"})


def list_request(query: ListQuery, body: ListRequest | None) -> ListRequest:
    """Merges body and query; the query takes precedence, so that a page's links work with the same body."""
    asked = body or ListRequest()
    changes: dict[str, Any] = {}
    if query.sort_field is not None:
        changes["sort"] = SortOption(field=query.sort_field, direction=query.sort_direction or "asc")
        changes["sorts"] = None
    elif query.sort_direction is not None:
        raise Invalid.at(("query", "sort_direction"), "it needs `sort_field`, the field to sort by", "missing")
    if query.metadata:
        conditions = [
            {"field": name, "operator": "in", "value": [value, *_typed(value)]}
            for name, values in query.metadata.items()
            for value in values
        ]
        changes["filters"] = {"AND": [*([asked.filters] if asked.filters else []), *conditions]}
    return asked.overridden(query, **changes)


def _typed(text: str) -> list[Json]:
    """The values that a query text matches: a number or boolean also matches as such."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return []
    return [value] if isinstance(value, bool | int | float) else []


def is_list(body: Json, creates: type[WireModel], names: tuple[str, ...]) -> bool:
    """Whether the body of `POST /v1/buckets` lists; raises `Invalid` if it neither lists nor creates.

    `names`: the keys of which a create has one (contract, the table of eras).
    """
    if body is None:
        return True
    if not isinstance(body, dict):
        raise Invalid.at(("body",), "an object is needed, to create or to list", "dict_type")
    if any(name in body for name in names):
        return False
    problems = [
        Problem(
            ("body", name),
            f"{name!r} neither creates ({names[0]} is missing) nor lists"
            f"{did_you_mean(name, {*_KNOWN, *creates.model_fields})}; a list has {', '.join(sorted(_KNOWN))}",
            "extra_forbidden",
        )
        for name in body
        if name not in _KNOWN
    ]
    if problems:
        raise Invalid(problems)
    return True


_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


_OPENINGS: Final = {
    **dict.fromkeys(("limit", "page_size", "offset", "page"), tuple(b"%d" % digit for digit in range(10))),
    **dict.fromkeys(("case_sensitive", "include_total"), (b"true", b"false")),
    **dict.fromkeys(("search", "cursor", "next_cursor", "after"), (b'"',)),
    **dict.fromkeys(("filters", "sort", "sorts", "select"), (b"{", b"[")),
}
"""How the values of list keys begin in JSON."""


def lists_objects(raw: bytes) -> bool:
    """Whether the body of `POST …/objects` lists (contract, the table of eras); anything but an object is a create.

    Raises `Invalid` for a body that would create an object, but looks like a misspelt list.
    """
    if not raw:
        return True
    try:
        parts = _parts(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    if parts.keys() <= _PAGING or any(_starts(parts, name, (b"{",)) for name in ("filters", "sort")):
        return True
    if parts.keys() <= _KNOWN and _starts(parts, "sorts", (b"[",)):
        return True
    _refuse_misspelt_list(parts)
    return False


def _refuse_misspelt_list(parts: Mapping[str, msgspec.Raw]) -> None:
    """Root fields may have any name, so `{"limt": 2}` is an object, too; but on its own it is probably a list."""
    meant: dict[str, str] = {}
    for key in parts:
        name = key if key in _OPENINGS else misspelt(key, _OPENINGS)
        if name is None:
            return
        meant[key] = name
    if not any(_starts(parts, key, _OPENINGS[name]) for key, name in meant.items()):
        return
    way_out = "to list, POST …/objects/list; to store an object of these fields alone, POST …/objects/create"
    raise Invalid(
        [
            Problem(
                ("body", key),
                f"`{key}` looks like the list key `{name}`, and nothing here says that an object is meant: {way_out}",
                "ambiguous",
            )
            for key, name in meant.items()
        ]
    )


def _starts(parts: Mapping[str, msgspec.Raw], name: str, openings: tuple[bytes, ...]) -> bool:
    return bytes(parts.get(name, b"")).lstrip().startswith(openings)


def envelope(request: web.Request, asked: ListRequest, page: ListPage, results: Json, *, skips: bool = False) -> Json:
    """`results`, `pagination`, `total_count`, `stats`, `warnings` if there are any.

    `skips`: with the older shape of pagination beside the newer.
    """
    pages = pagination(
        asked, request.path, request.query.items(), start=page.start, total=page.total, cursor=page.cursor
    )
    if skips:
        more = page.start + asked.size < page.total if asked.cursor is None else page.cursor is not None
        pages |= {"has_more": more, "limit": asked.size, "skip": page.start}
    rendered = {"results": results, "pagination": pages, "total_count": page.total, "stats": page.stats}
    return {**rendered, "warnings": list(page.warnings)} if page.warnings else rendered
