"""What the list routes answer: which resources, in which order, and their statistics.

Contract, List filters and Sorting, search, paging. Resources come in order of arrival.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from .filters import OBJECT_FIELDS, SYSTEM_DATES, is_condition, matches
from .paths import join, leaves, split
from .values import Json, OracleRefusal, canon, fold, is_number, parse_date

BUCKET_FIELDS: Final = frozenset(
    (
        "bucket_id",
        "bucket_name",
        "name",
        "description",
        "bucket_schema",
        "metadata",
        "object_count",
        "total_size_bytes",
        "unique_key",
        "created_at",
        "updated_at",
        "last_upload_at",
        "status",
    )
)
BUCKET_DATES: Final = SYSTEM_DATES | {"last_upload_at"}

ASCENDING: Final = ("number", "date", "text", "boolean")
DESCENDING: Final = ("boolean", "date", "text", "number")
"""The order of types. Of strings in a date field, dates come first in both directions."""


@dataclass(frozen=True)
class Expected:
    """The ids of everything that matches, in order, and the statistics over all of it."""

    ids: list[str]
    stats: dict[str, Json]


def list_objects(objects: Sequence[Json], body: Json, date_fields: Iterable[str] = ()) -> Expected:
    """The objects of one bucket; `date_fields` are the paths that its schema declares date or datetime."""
    dates = SYSTEM_DATES | frozenset(date_fields)
    found = _matching(objects, body, dates, OBJECT_FIELDS, _texts_of_object)
    blobs = sum(len(thing["blobs"]) for thing in found)
    stats = {
        "total_objects": len(found),
        "total_blobs": blobs,
        "avg_blobs_per_object": blobs / len(found) if found else 0,
        "objects_by_status": dict(Counter(thing["status"] for thing in found)),
    }
    known = OBJECT_FIELDS.union(*objects)
    return Expected([thing["object_id"] for thing in _sorted(found, sort_keys(body), dates, known)], stats)


def list_buckets(buckets: Sequence[Json], body: Json) -> Expected:
    """The buckets of a namespace, as GET gives them."""
    named = [{**bucket, "name": bucket["bucket_name"]} for bucket in buckets]
    found = _matching(named, body, BUCKET_DATES, BUCKET_FIELDS, _texts_of_bucket)
    objects = sum(bucket["object_count"] for bucket in found)
    size = sum(bucket["total_size_bytes"] for bucket in found)
    stats = {
        "total_objects": objects,
        "total_size_bytes": size,
        "avg_objects_per_bucket": objects / len(found) if found else 0,
        "avg_size_per_bucket": size / len(found) if found else 0,
    }
    by_age = sorted(found, key=lambda bucket: canon(parse_date(bucket["created_at"])))
    ordered = _sorted(by_age, sort_keys(body), BUCKET_DATES, BUCKET_FIELDS)
    return Expected([bucket["bucket_id"] for bucket in ordered], stats)


def _matching(
    documents: Sequence[Json],
    body: Json,
    dates: frozenset[str],
    fields: frozenset[str],
    texts_of: Callable[[Json], Iterator[str]],
) -> list[Json]:
    """What satisfies the filters and holds the text that is searched for."""
    folded = not body.get("case_sensitive")
    wanted = body.get("search") or ""

    def holds(document: Json) -> bool:
        if folded:
            return any(fold(wanted) in fold(text) for text in texts_of(document))
        return any(wanted in text for text in texts_of(document))

    filters = body.get("filters")
    _refuse(filters)
    return [
        document
        for document in documents
        if holds(document) and matches(document, filters, dates, folded=folded, fields=fields, listed=True)
    ]


def _refuse(filters: Json) -> None:
    """Raises what any condition raises by itself, whether or not the others leave it something to decide."""
    if isinstance(filters, list):
        for entry in filters:
            _refuse(entry)
    elif isinstance(filters, dict):
        if is_condition(filters):
            matches({}, filters)
            return
        for key, value in filters.items():
            if key in ("AND", "OR", "NOT"):
                _refuse(value)
            elif key != "case_sensitive":
                matches({}, {key: value})


# ---- Search -----------------------------------------------------------------------------------------------


def _texts_of_object(thing: Json) -> Iterator[str]:
    """What `search` looks through: ids, names and descriptions, `key_prefix`, every text below `metadata`."""
    yield thing["object_id"]
    for name in ("key_prefix", "name", "description"):
        value = thing.get(name)
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                yield text
    yield from _texts(thing["metadata"])


def _texts(value: Json) -> Iterator[str]:
    """Every text in a value, at any depth, but not in arrays that lie in arrays."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inside in value.values():
            yield from _texts(inside)
    elif isinstance(value, list):
        for element in value:
            if not isinstance(element, list):
                yield from _texts(element)


def _texts_of_bucket(bucket: Json) -> Iterator[str]:
    for name in ("bucket_id", "bucket_name", "description"):
        if bucket[name] is not None:
            yield bucket[name]


# ---- Sort -------------------------------------------------------------------------------------------------


def scalars(document: Json, names: tuple[str, ...]) -> Iterator[Json]:
    """The scalars at a path: the value, the elements of an array, or those of all objects of arrays on the way."""
    for leaf in leaves(document, names):
        for value in leaf if isinstance(leaf, list) else [leaf]:
            if isinstance(value, str | int | float):
                yield value


def sort_path(field: str, known: Iterable[str]) -> tuple[str, ...]:
    """The names of a sort path. What no object of the bucket has is looked up under `metadata`."""
    names = split(field)
    return names if names[0] in known else ("metadata", *names)


def by_type(document: Json, names: tuple[str, ...], *, dates: bool) -> dict[str, list[Json]]:
    """The scalars at a path, by the types that sort apart."""
    found: dict[str, list[Json]] = {kind: [] for kind in ASCENDING}
    for value in scalars(document, names):
        if is_number(value):
            found["number"].append(value)
        elif isinstance(value, bool):
            found["boolean"].append(value)
        elif dates and (instant := parse_date(value)) is not None:
            found["date"].append(instant)
        else:
            found["text"].append(value)
    return found


def sort_keys(body: Json) -> list[Json]:
    """All that a request sorts by, the most significant first."""
    return body.get("sorts") or ([body["sort"]] if body.get("sort") else [])


def _sorted(
    documents: Sequence[Json], keys: Sequence[Json], dates: frozenset[str], known: frozenset[str]
) -> list[Json]:
    """Sorted by all keys, in order of arrival where all of them tie. Refuses a field that is there twice."""
    own_name: dict[tuple[str, ...], tuple[str, ...]] = {("name",): ("bucket_name",)} if known is BUCKET_FIELDS else {}
    paths = [sort_path(key["field"], known) for key in keys]
    if len({own_name.get(path, path) for path in paths}) < len(paths):
        raise OracleRefusal("a field is sorted by twice")
    ordered = list(documents)
    # Each pass is stable, so the key that matters most is sorted by last.
    for key in reversed(keys):
        ordered = _sorted_by(ordered, key, dates, known)
    return ordered


def _sorted_by(documents: list[Json], sort: Json, dates: frozenset[str], known: frozenset[str]) -> list[Json]:
    """Sorted by the least (descending: greatest) number, text and boolean at the path.

    A type counts where the types before it tie; who lacks it comes after all who have it. What ties in all types
    keeps the order that it had.
    """
    ordered = documents
    descending = sort.get("direction", "asc") == "desc"
    names = sort_path(sort["field"], known)
    dated = join(*names) in dates
    for kind in reversed(DESCENDING if descending else ASCENDING):
        having, lacking = [], []
        for document in ordered:
            values = by_type(document, names, dates=dated)[kind]
            if values:
                having.append((max(values) if descending else min(values), document))
            else:
                lacking.append(document)
        having.sort(key=lambda pair: pair[0], reverse=descending)
        ordered = [document for _, document in having] + lacking
    return ordered
