"""Random objects, buckets and list requests: texts that fold oddly, values of every type, operands out of the data."""

from __future__ import annotations

import json
import random
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from hypothesis import strategies as st

from .generate import BIG, BUCKET_SCHEMA, DATES, MIXED, ODD_NAMES, UNICODE, as_stored, make_dataset
from .generate_filters import FALLBACK, LISTED, LISTED_MORE, PATTERNS, fitting, make_filters
from .oracle import OracleRefusal, matches
from .oracle.filters import OBJECT_FIELDS
from .oracle.lists import BUCKET_DATES, BUCKET_FIELDS
from .oracle.paths import join, leaves, split

Json: TypeAlias = Any

SCHEMA: Final[dict[str, Json]] = {
    "properties": {
        **BUCKET_SCHEMA["properties"],
        "about": {"type": "object", "properties": {"due": {"type": "date"}}},
    }
}
"""The schema of the bucket that the objects go into."""

SCHEMA_DATES: Final = frozenset(("shot_at", "metadata.shot_at", "about.due", "metadata.about.due"))
"""What this schema declares as dates: a property describes the field of that name at the root and in `metadata`."""

FOLDING: Final = (
    *UNICODE, "ß", "ẞ", "SS", "ss", "İ", "ı", "i", "I", "i\u0307", "ﬁ", "fi", "FI", "ﬃ", "ﬆ", "ﬅ",
    "Σ", "σ", "ς", "ΌΔΟΣ", "É", "E\u0301", "é", "e\u0301", "Å", "\u212b", "A\u030a", "å", "ǅ", "Ǆ", "ǆ",
    "ŉ", "ΐ", "ι\u0308\u0301", "ᾳ", "ᾼ", "α\u0345", "\u0345", "α\u0345\u0301", "ǰ", "J\u030c", "K", "\u212a", "k",
    "s", "ſ", "µ", "μ", "Ω", "\u2126", "Ⅷ", "ⅷ", "Ꭰ", "ꭰ", "ᲀ", "Ა", "ა", "𐐀", "𐐨",
)  # fmt: skip
"""Letters whose case, spelling or length changes when they are folded."""

SPECIAL: Final = (
    "100%", "50% off", "%", "%25", "*", "a*b", "**", "?", "a?b", "\\", "a\\b", "\\*", "C:\\dir\\x", '"', "'",
    'say "hi"', "/", "a/b", "//", ".", "a.b", "^$", "[a-z]+", "(x|y)", "{2}", "a+b", "$1", "~", "#", "@", "&", "!",
    "<1-5>", "a\nb", "a\r\nb", "\n", "\t", "", " ", "  a ", "a  b", "null", "true", "1", "2024-01-01", "-", "_", "a_b",
    "👩‍👩‍👧", "\u200b", "a\u0000b", "\u00a0", "naïve café", "AND", "a && b", "video", "Video 1",
)  # fmt: skip
"""Characters that mean something in query languages, patterns or texts."""

AMOUNTS: Final = (
    *BIG, 2**63 - 1, -(2**63), 2**62, 1e300, -1e300, 5e-324, 0.1, 0.30000000000000004, 2.0**53, 1, 1.0, -0.0, 7,
)  # fmt: skip
EDGES: Final = ("é" * 4000, "É" * 4001, "ΐ" * 4000, "İ" * 2700, "x" * 7999 + "ß", "X" * 8000, "\u0345" * 4000)
"""Texts around the length up to which a text is indexed whole, some of which grow when they are folded."""

MOST_BYTES: Final = 8000
"""Of a text in the metadata of a bucket."""

MORE_ODD_NAMES: Final = (*ODD_NAMES, "a*b", "per%cent", "at@sign", "sla/sh", 'quo"te', "new\nline", "_low", "ÉTÉ")
FAR: Final = (10**20, -(10**20), 1e308)
"""Numbers beyond what the index holds as integers."""

MORE_PATTERNS: Final = (
    "É", "(?i)é", "^ß", "SS", "[İi]", "K", "\\.$", "a.b", "(?s)a.b", "\\bvid", "\\pL+", "[[:upper:]]", "", "^", "x$",
    "(?m)^b", "\\\\", "%", "\\*", "[^a]b", "σ", "(?i)Σ$", "ﬁ", "a|", "\\x00", "(?i)ſ", "i\u0307",
)  # fmt: skip
BROKEN: Final = ("(", "(?=a)", "\\1", "[a", "*", "(?<!x)y")


def _paths(names: str) -> tuple[str, ...]:
    """Paths written one after the other."""
    return tuple(names.split())


OBJECT_TEXTS: Final = (
    *_paths(
        """metadata.title title name metadata.name description key_prefix object_id status metadata.notes notes
    metadata.sub.text sub.deep.text metadata.essay essay metadata.kind words items.sku metadata.pairs.v label
    metadata.label metadata.long blobs.type blobs.property blobs.metadata.lang stack stack.text"""
    ),
    *(join("metadata", name) for name in MORE_ODD_NAMES),
    join("odd.name"),
)
OBJECT_OTHERS: Final = _paths(
    """metadata.score price metadata.amount amount big rank flag metadata.flag metadata.when shot_at metadata.shot_at
    about.due created_at updated_at mixed metadata.mixed any any.a metadata.any loose loose.a tags metadata.tags
    metadata.matrix items items.qty items.tags deep.level obj blobs.details.size_bytes blobs.metadata.size metadata
    nothing pairs.w metadata.nothing.there bucket_id"""
)
DATED: Final = _paths("shot_at metadata.shot_at about.due created_at updated_at")
OBJECT_SORTS: Final = (
    *_paths(
        """metadata.title title name metadata.name description key_prefix object_id status notes metadata.notes
    metadata.sub.text sub.deep.text words items.sku pairs.v label metadata.label metadata.kind stack stack.text
    blobs blobs.type blobs.metadata.lang mixed any amount shot_at metadata.shot_at about.due created_at
    updated_at"""
    ),
    *OBJECT_OTHERS,
    *DATED,
    *(join("metadata", name) for name in ODD_NAMES),
)
"""No texts beyond the length that is indexed whole."""

BUCKET_TEXTS: Final = _paths(
    """bucket_name name description bucket_id status metadata.title title metadata.name metadata.notes notes sub.text
    metadata.sub.deep.text words key_prefix bucket_schema.properties.a.type unique_key.fields
    unique_key.default_policy items.sku pairs.v metadata.label label blobs.type"""
)
BUCKET_OTHERS: Final = _paths(
    """object_count total_size_bytes last_upload_at created_at updated_at metadata.score amount mixed metadata.mixed
    any any.a tags metadata.tags items.qty items.tags flag when bucket_schema unique_key metadata metadata.matrix
    nothing object_id metadata.deep.level"""
)
BUCKET_SORTS: Final = (*BUCKET_TEXTS, *BUCKET_OTHERS, *sorted(BUCKET_DATES))

OBJECT_TYING: Final = _paths(
    """status metadata.kind metadata.flag flag blobs.type key_prefix description bucket_id shot_at metadata.shot_at
    about.due metadata.mixed mixed nothing rank metadata.tags tags"""
)
BUCKET_TYING: Final = _paths(
    """status object_count total_size_bytes last_upload_at description metadata.flag flag mixed metadata.tags tags
    nothing blobs.type unique_key.default_policy bucket_schema.properties.a.type"""
)

SELECTIONS: Final = (
    ["metadata.title"],
    ["status", "metadata.tags"],
    ["metadata"],
    ["blobs"],
    ["created_at", "metadata.deep.level", "metadata.sub"],
    ["object_id"],
    ["name", "metadata.items.sku", join("metadata", "odd.name")],
    ["metadata.nothing"],
)

GROUPS: Final = ("AND", "OR", "NOT", "$and", "$or", "$nor")
"""What joins filters and is no path."""

PagingKind: TypeAlias = Literal["whole", "offset", "page", "links", "back", "cursor"]
Place: TypeAlias = Literal["body", "query"]


@dataclass(frozen=True)
class Pools:
    """What requests for one resource choose from."""

    texts: Sequence[str]
    others: Sequence[str]
    sorts: Sequence[str]
    tying: Sequence[str]
    """Paths at which many documents have the same value, or none."""
    fields: frozenset[str]
    dates: frozenset[str]
    selects: bool


OBJECTS: Final = Pools(
    OBJECT_TEXTS, OBJECT_OTHERS, OBJECT_SORTS, OBJECT_TYING, OBJECT_FIELDS, SCHEMA_DATES, selects=True
)
BUCKETS: Final = Pools(
    BUCKET_TEXTS, BUCKET_OTHERS, BUCKET_SORTS, BUCKET_TYING, BUCKET_FIELDS, BUCKET_DATES, selects=False
)


@dataclass(frozen=True)
class Question:
    """A list request: what is asked for, and how its answer is paged through.

    `first` is the offset, or the number of the page. `asked` says where sort and filter are written: in the
    query only a sort and one shorthand filter can be.
    """

    body: dict[str, Json]
    paging: PagingKind
    size: int
    first: int
    paged: Place
    asked: Place


# ---- Texts ------------------------------------------------------------------------------------------------


def make_text(rng: random.Random) -> str:
    """One to three pieces from small pools, so that texts contain, begin and equal each other."""
    pieces = [rng.choice(rng.choice((FOLDING, FOLDING, SPECIAL))) for _ in range(rng.choice((1, 1, 2, 3)))]
    return rng.choice(("", " ", "-", "\n")).join(pieces)


def recased(rng: random.Random, text: str) -> str:
    """The text, half of the time in another case or another normal form."""
    if rng.random() < 0.5:
        return text
    change: Callable[[str], str] = rng.choice(
        (
            str.upper,
            str.lower,
            str.swapcase,
            str.title,
            str.casefold,
            lambda text: unicodedata.normalize("NFC", text),
            lambda text: unicodedata.normalize("NFD", text),
            lambda text: unicodedata.normalize("NFKC", text),
        )
    )
    return change(text)


def _piece(rng: random.Random, text: str, operator: str) -> str:
    """Part of a text: mostly a few characters, at times all of it."""
    if not text or rng.random() < 0.1:
        return text
    size = rng.randint(1, min(5, len(text)))
    start = rng.randint(0, len(text) - size)
    if operator == "starts_with":
        start = 0
    elif operator == "ends_with":
        start = len(text) - size
    return text[start : start + size]


# ---- Data -------------------------------------------------------------------------------------------------


def _scalar(rng: random.Random) -> Json:
    return rng.choice((make_text(rng), make_text(rng), rng.choice(MIXED), rng.choice(AMOUNTS), rng.choice(DATES)))


def _several(rng: random.Random, make: Callable[[], Json]) -> list[Json]:
    return [make() for _ in range(rng.choice((0, 1, 1, 2, 3)))]


def _field(rng: random.Random, into: dict[str, Json], name: str, make: Callable[[], Json], share: float = 0.8) -> None:
    """A field that most have, and that is null at times."""
    if rng.random() < share:
        into[name] = None if rng.random() < 0.08 else make()


def _essay(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(EDGES)
    return make_text(rng) + rng.choice("yY") * rng.choice((3000, 8000, 33000)) + make_text(rng)


def _pair(rng: random.Random) -> Json:
    pair: dict[str, Json] = {}
    _field(rng, pair, "v", lambda: rng.choice((_scalar(rng), _several(rng, lambda: _scalar(rng)))))
    _field(rng, pair, "w", lambda: rng.choice((rng.choice(AMOUNTS), rng.random() < 0.5, [[1]], {"v": 1})))
    return pair


def _stack(rng: random.Random) -> list[Json]:
    """Texts at every depth, some of them in arrays that lie in arrays."""

    def element() -> Json:
        text = make_text(rng)
        return rng.choice(
            (text, [text], [[text]], {"text": text}, {"text": [text]}, [{"text": text}], {"in": {"t": text}})
        )

    return _several(rng, element)


def _add_texts(rng: random.Random, metadata: dict[str, Json]) -> None:
    """What listing is about, into the metadata of an object or a bucket."""
    _field(rng, metadata, "title", lambda: make_text(rng))
    _field(rng, metadata, "name", lambda: make_text(rng), 0.4)
    _field(rng, metadata, "label", lambda: make_text(rng), 0.5)
    _field(
        rng,
        metadata,
        "notes",
        lambda: _several(rng, lambda: rng.choice((make_text(rng), make_text(rng), _scalar(rng)))),
    )
    _field(rng, metadata, "sub", lambda: {"text": make_text(rng), "deep": {"text": make_text(rng)}}, 0.6)
    _field(rng, metadata, "amount", lambda: rng.choice(AMOUNTS), 0.7)
    _field(rng, metadata, "pairs", lambda: _several(rng, lambda: _pair(rng)), 0.5)
    _field(rng, metadata, "stack", lambda: _stack(rng), 0.4)
    _field(rng, metadata, "essay", lambda: _essay(rng), 0.06)
    if rng.random() < 0.3:
        metadata[rng.choice(MORE_ODD_NAMES)] = _scalar(rng)


def make_objects(rng: random.Random, least: int, most: int) -> list[dict[str, Json]]:
    """Objects as the create routes take them."""
    size = rng.randint(least, most)
    objects: list[dict[str, Json]] = []
    while len(objects) < size:
        objects += make_dataset(rng, "full")
    for thing in objects[:size]:
        _add_texts(rng, thing["metadata"])
        _field(rng, thing["metadata"], "shot_at", lambda: rng.choice(DATES), 0.3)
        _field(
            rng,
            thing,
            "name",
            lambda: rng.choice((make_text(rng), make_text(rng), _several(rng, lambda: _scalar(rng)), 7)),
            0.5,
        )
        _field(
            rng, thing, "description", lambda: rng.choice((make_text(rng), _stack(rng), {"text": make_text(rng)})), 0.4
        )
        _field(rng, thing, "about", lambda: {"due": rng.choice(DATES)}, 0.4)
        if rng.random() < 0.5:
            thing["key_prefix"] = make_text(rng)
    return objects[:size]


def make_buckets(rng: random.Random, least: int, most: int) -> list[dict[str, Json]]:
    """Buckets as the create route takes them, with names all different."""
    size = rng.randint(least, most)
    buckets: list[dict[str, Json]] = []
    for number, thing in enumerate(make_objects(rng, size, size)):
        metadata = thing["metadata"]
        for name in ("essay", "long"):
            if len((metadata.get(name) or "").encode()) > MOST_BYTES:
                del metadata[name]
        _field(rng, metadata, "blobs", lambda: [{"type": rng.choice(("video", "text"))}], 0.3)
        _field(rng, metadata, "key_prefix", lambda: make_text(rng), 0.3)
        bucket: dict[str, Json] = {"bucket_name": f"{make_text(rng)}{number}", "metadata": metadata}
        _field(rng, bucket, "description", lambda: make_text(rng), 0.7)
        if rng.random() < 0.3:
            bucket["bucket_schema"] = {"properties": {"a": {"type": rng.choice(("string", "text", "datetime"))}}}
        if rng.random() < 0.2:
            bucket["unique_key"] = {"fields": rng.choice((["a"], ["a", "b"])), "default_policy": "insert"}
        buckets.append(bucket)
    return buckets


# ---- Operands ---------------------------------------------------------------------------------------------


def _values(document: Json, path: str) -> list[Json]:
    """The leaves at a path, or at the path under `metadata` if the document has no such field."""
    names = split(path)
    return list(leaves(document, names if names[0] in document else ("metadata", *names)))


def _operand(rng: random.Random, path: str, documents: Sequence[Json], *, whole: bool = False) -> Json:
    """Mostly a value that some document has there, its texts in another case half of the time."""
    return fitting(rng, path, _any_operand(rng, path, documents, whole))


def _any_operand(rng: random.Random, path: str, documents: Sequence[Json], whole: bool) -> Json:
    for _ in range(4 if documents and rng.random() < 0.9 else 0):
        value = rng.choice(_values(rng.choice(documents), path) or [None])
        if isinstance(value, list) and value and not (whole and rng.random() < 0.2):
            value = rng.choice(value)
        if isinstance(value, str):
            return recased(rng, value)
        if isinstance(value, int | float):
            return value
        if isinstance(value, list | dict) and whole:
            return value
        if value is None and rng.random() < 0.3:
            return None
    if rng.random() < 0.5:
        return make_text(rng)
    return rng.choice((*FALLBACK, *FAR))


def _text(rng: random.Random, path: str, documents: Sequence[Json]) -> str:
    """A text that some document has at the path, else some text."""
    for _ in range(4):
        value = _operand(rng, path, documents)
        if isinstance(value, str):
            return value
    return make_text(rng)


def _pattern(rng: random.Random, text: str) -> str:
    chance = rng.random()
    if chance < 0.06:
        return rng.choice(BROKEN)
    if chance < 0.55:
        return rng.choice((*PATTERNS, *MORE_PATTERNS))
    # Python's escapes of letters outside ASCII and of line ends are none in RE2, but it escapes neither.
    piece = re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", _piece(rng, text, "contains"))
    return rng.choice(("", "", "^", "(?i)")) + piece + rng.choice(("", "", "$", ".*"))


def _words(rng: random.Random, text: str) -> str:
    words = re.findall(r"\w+", text)
    if not words or rng.random() < 0.1:
        return rng.choice(("video", "a b", "b a", "", "%", "vid", text[:50]))
    start = rng.randrange(len(words))
    some = words[start : start + rng.choice((1, 2))]
    return rng.choice((" ", " ", "-", "  ")).join(some if rng.random() < 0.7 else some[::-1])


def _value(rng: random.Random, operator: str, path: str, documents: Sequence[Json]) -> Json:
    """An operand for this operator."""
    if operator in ("exists", "is_null"):
        return rng.random() < 0.5
    if operator in ("in", "nin"):
        return [_operand(rng, path, documents, whole=True) for _ in range(rng.choice((0, 1, 2, 3, 3)))]
    if operator == "regex":
        return _pattern(rng, _text(rng, path, documents))
    if operator in ("words", "phrase"):
        return _words(rng, _text(rng, path, documents))
    if operator in ("starts_with", "ends_with", "text", "contains"):
        if rng.random() < 0.1:
            return _operand(rng, path, documents)
        return recased(rng, _piece(rng, _text(rng, path, documents), operator))
    return _operand(rng, path, documents, whole=operator in ("eq", "ne"))


# ---- Filters ----------------------------------------------------------------------------------------------


def _condition(rng: random.Random, pools: Pools, documents: Sequence[Json]) -> Json:
    operator = rng.choice((*LISTED, *LISTED_MORE))
    textual = operator not in ("exists", "is_null") and rng.random() < 0.7
    path = rng.choice(pools.texts if textual else (*pools.texts, *pools.others, *pools.others))
    if operator in ("gt", "gte", "lt", "lte") and rng.random() < 0.5:
        path = rng.choice(pools.others)
    condition = {"field": path, "operator": operator, "value": _value(rng, operator, path, documents)}
    if operator == "eq" and rng.random() < 0.4:
        del condition["operator"]
    if operator in ("exists", "is_null") and rng.random() < 0.2:
        del condition["value"]
    if rng.random() < 0.12:
        condition["case_sensitive"] = rng.random() < 0.5
    return condition


def _shorthand(rng: random.Random, pools: Pools, documents: Sequence[Json]) -> Json:
    """Equality, or MongoDB's operators, as the value of a path."""
    if rng.random() < 0.5:
        for _ in range(3):
            made = make_filters(rng, "full", documents)
            mongo = {key: value for key, value in made.items() if isinstance(value, dict) and key not in GROUPS}
            if mongo:
                return mongo
    path = rng.choice((*pools.texts, *pools.others))
    return {path: _operand(rng, path, documents, whole=True)}


def _part(rng: random.Random, pools: Pools, documents: Sequence[Json], depth: int) -> Json:
    chance = rng.random()
    if depth and chance < 0.2:
        return _group(rng, pools, documents, depth - 1)
    return (_shorthand if chance < 0.35 else _condition)(rng, pools, documents)


def _group(rng: random.Random, pools: Pools, documents: Sequence[Json], depth: int) -> Json:
    filters: dict[str, Json] = {}
    for key in rng.sample(("AND", "OR", "NOT"), rng.choice((1, 1, 2))):
        sizes = {"AND": (0, 1, 1, 1, 2, 2), "OR": (0, 2, 2, 3, 4), "NOT": (0, 1, 1, 2)}[key]
        filters[key] = [_part(rng, pools, documents, depth) for _ in range(rng.choice(sizes))]
        if key == "NOT" and filters[key] and rng.random() < 0.3:
            filters[key] = filters[key][0]
    if rng.random() < 0.15:
        filters |= _shorthand(rng, pools, documents)
    if rng.random() < 0.2:
        filters["case_sensitive"] = rng.random() < 0.5
    return filters


def make_list_filters(rng: random.Random, pools: Pools, documents: Sequence[Json]) -> Json:
    """A filter of a list route."""
    chance = rng.random()
    if chance < 0.02:
        return {}
    if chance < 0.3:
        return _condition(rng, pools, documents)
    if chance < 0.4:
        return _shorthand(rng, pools, documents)
    return _group(rng, pools, documents, 2)


def _hits(filters: Json, pools: Pools, documents: Sequence[Json], *, folded: bool) -> bool:
    """Whether something matches. A filter that is to be refused tells as much as one that does."""
    try:
        return any(
            matches(document, filters, pools.dates, folded=folded, fields=pools.fields, listed=True)
            for document in documents
        )
    except OracleRefusal:
        return True


# ---- Requests ---------------------------------------------------------------------------------------------


def _search(rng: random.Random, pools: Pools, documents: Sequence[Json]) -> str:
    paths = [path for path in pools.texts if path not in ("status", "metadata.long")]
    text = _text(rng, rng.choice(paths), documents)
    if len(text) > 1000 and rng.random() < 0.5:
        text = text[-5:]
    return recased(rng, _piece(rng, text, "contains"))


def _sort(rng: random.Random, pools: Pools) -> Json:
    sort = {"field": rng.choice(pools.sorts)}
    if rng.random() < 0.8:
        sort["direction"] = rng.choice(("asc", "desc"))
    return sort


def _sorts(rng: random.Random, pools: Pools) -> dict[str, Json]:
    """One key as `sort`, or several, of which the first ones mostly tie often enough for the later ones to decide."""
    if rng.random() < 0.45:
        return {"sort": _sort(rng, pools)}
    keys = [_sort(rng, pools) for _ in range(rng.choice((1, 2, 2, 2, 3, 3, 4, 8)))]
    for key in keys[:-1]:
        if rng.random() < 0.6:
            key["field"] = rng.choice(pools.tying)
    if rng.random() < 0.95:
        keys = list({key["field"]: key for key in keys}.values())
    return {"sorts": keys, **({"sort": keys[0]} if rng.random() < 0.1 else {})}


def _in_query(rng: random.Random, pools: Pools, documents: Sequence[Json]) -> dict[str, Json]:
    """A request that can be written into the query: one text to be equal to, and a sort."""
    body: dict[str, Json] = {}
    if rng.random() < 0.7:
        path = rng.choice(("metadata.kind", "metadata.title", "metadata.sub.text", "metadata.notes"))
        text = _text(rng, path, documents)
        if text and len(text) < 1000 and not _is_json(text):
            body["filters"] = {path: text}
    if not body or rng.random() < 0.6:
        body["sort"] = _sort(rng, pools)
    return body


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def make_question(rng: random.Random, pools: Pools, documents: Sequence[Json]) -> Question:
    """A request about these documents, which are as GET gives them."""
    asked: Place = "query" if pools.selects and rng.random() < 0.08 else "body"
    body: dict[str, Json] = {}
    if asked == "query":
        body = _in_query(rng, pools, documents)
    else:
        if rng.random() < 0.45:
            body["case_sensitive"] = rng.random() < 0.7
        if rng.random() < 0.75:
            for _ in range(5):
                body["filters"] = make_list_filters(rng, pools, documents)
                if _hits(body["filters"], pools, documents, folded=not body.get("case_sensitive")):
                    break
        if rng.random() < 0.25:
            body["search"] = _search(rng, pools, documents)
        if rng.random() < 0.6:
            body |= _sorts(rng, pools)
        if pools.selects and rng.random() < 0.08:
            body["select"] = rng.choice(SELECTIONS)
    paging: PagingKind = rng.choices(("whole", "offset", "page", "links", "back", "cursor"), (35, 20, 20, 8, 5, 12))[0]
    size, first = rng.choice((1, 2, 3, 7, 10, 17, 100, 1000)), 0
    if paging in ("links", "back", "cursor"):
        size = max(1, -(-len(documents) // rng.randint(2, 6)))
    elif paging == "offset":
        first = rng.randint(0, len(documents) + 1)
    elif paging == "page":
        first = rng.randint(1, max(1, len(documents) // size) + 1)
    return Question(body, paging, 1000 if paging == "whole" else size, first, rng.choice(("body", "query")), asked)


def cases() -> st.SearchStrategy[tuple[list[dict[str, Json]], Question]]:
    """A few objects and a question about them, for Hypothesis."""

    def make(rng: random.Random) -> tuple[list[dict[str, Json]], Question]:
        payloads = make_objects(rng, 0, 12)
        return payloads, make_question(rng, OBJECTS, as_stored(payloads))

    return st.randoms(use_true_random=False).map(make)
