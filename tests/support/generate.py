"""Random objects for the aggregate: small pools, so that values collide, and every trap the contract names.

Everything is a function over `random.Random`; `cases` wraps it for Hypothesis, which shrinks the choices.
Floats are small multiples of 1/8, so that every double sum of them is exact.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, TypeAlias, TypeVar

from hypothesis import strategies as st

from .generate_spec import make_spec

Flavour: TypeAlias = Literal["core", "full"]
Json: TypeAlias = Any
T = TypeVar("T")

BUCKET_SCHEMA: Final[dict[str, Json]] = {"properties": {"shot_at": {"type": "datetime"}}}
"""The schema of the bucket that the objects go into."""

DATE_FIELDS: Final = frozenset(("shot_at",))
"""The paths that this schema declares as dates: the oracle's `date_fields`."""

KINDS: Final = ("video", "Video", "text", "image", "vidéo", "a b-c", "2024", "")
DATES: Final = (
    "2024-03-31",
    "2024-03-31T00:59:59Z",  # the last second before Berlin's clock goes forward
    "2024-03-31T01:00:00Z",
    "2024-03-31T02:30:00+01:00",
    "2024-10-27T00:30:00Z",  # 02:30 in Berlin, the first time
    "2024-10-27T01:30:00Z",  # 02:30 in Berlin, the second time
    "2024-10-27 02:30:00",
    "2024-03-10T07:00:00Z",
    "2024-11-03T05:30:00Z",
    "2024-11-03T06:30:00-00:00",
    "2023-12-31T23:59:59.999Z",
    "2024-01-01",
    "2024-01-01T00:00:00",
    "2024-01-01T05:30:00+0530",  # the same instant as the two before
    "2024-12-30T12:00:00Z",  # ISO year 2025
    "2021-01-03T22:15:00-05:00",  # ISO week 53 of 2020 there, week 1 of 2021 in UTC
    "2024-02-29T12:34:56.120Z",
    "2016-12-31",
    "1969-12-31T23:59:59.5Z",
    "1955-06-15T08:00:00Z",
)
OLD_DATES: Final = ("2018-11-04T03:30:00Z", "2018-11-04", "1583-01-01", "0099-12-31T23:00:00Z", "9998-12-31")
NO_DATES: Final = ("2024", "2024-02-30", "2023-02-29T10:00:00Z", "soon", "2024-13-01", "12:30", "24-01-01")
STATUSES: Final = ("DRAFT", "ACTIVE", "COMPLETED", "FAILED")
BLOB_TYPES: Final = ("video", "text", "image", "audio")
EIGHTHS: Final = tuple(number / 8 for number in (-20, -8, -1, 0, 1, 4, 5, 8, 12, 80, 100))
MIXED: Final = (
    2024,
    2024.0,
    "2024",
    "2024-01-01",
    True,
    False,
    0,
    -0.0,
    1,
    "1",
    "true",
    "null",
    "",
    1.5,
    None,
)
BIG: Final = tuple(2**53 + k for k in (-1, 0, 1, 2, 3)) + tuple(-(2**53) - k for k in (0, 1, 2))
LONG: Final = tuple("x" * length + end for length in (200, 9000, 33000) for end in ("a", "b"))
ODD_NAMES: Final = ("odd.name", "back\\slash", "späce ü", "$dollar", "0", "UPPER", "emoji 🙂", "length")
UNICODE: Final = (
    "ÉTÉ",
    "été",
    "e\u0301te\u0301",
    "Straße",
    "STRASSE",
    "🙂",
    "\uffff",
    "İ",
    "日本",
    "a\nb",
    "tab\t",
)


def _some(rng: random.Random, make: Callable[[], T], most: int) -> list[T]:
    return [make() for _ in range(rng.randint(0, most))]


def _put(rng: random.Random, into: dict[str, Json], name: str, make: Callable[[], Json], missing: float = 0.15) -> None:
    """A field that is missing at times, and null at others."""
    chance = rng.random()
    if chance >= missing:
        into[name] = None if chance < missing * 1.6 else make()


def _date(rng: random.Random, flavour: Flavour) -> str:
    chance = rng.random()
    if chance < 0.15:
        return rng.choice(NO_DATES)
    if flavour == "full" and chance < 0.25:
        return rng.choice(OLD_DATES)
    return rng.choice(DATES)


def _anything(rng: random.Random, depth: int = 2) -> Json:
    """A value of any shape."""
    kind = rng.randrange(8 if depth else 6)
    if kind == 6:
        return _some(rng, lambda: _anything(rng, depth - 1), 3)
    if kind == 7:
        names = _some(rng, lambda: rng.choice(("a", "b", "c")), 2)
        return {name: _anything(rng, depth - 1) for name in names}
    pools: tuple[Sequence[Json], ...] = (MIXED, KINDS, EIGHTHS, DATES, UNICODE, (0, 1, 2))
    return rng.choice(pools[kind])


def _blob(rng: random.Random) -> Json:
    blob: dict[str, Json] = {
        "property": rng.choice(("clip", "still")),
        "type": rng.choice(BLOB_TYPES),
        "data": rng.choice(("hello", "a", "zwölf")),
    }
    about: dict[str, Json] = {}
    _put(rng, about, "lang", lambda: rng.choice(("de", "en", "fr")))
    _put(rng, about, "size", lambda: rng.choice((0, 1, 2, 10, 2.5)))
    if about or rng.random() < 0.5:
        blob["metadata"] = about
    return blob


def _item(rng: random.Random) -> Json:
    item: dict[str, Json] = {}
    _put(rng, item, "sku", lambda: rng.choice(("a", "b", 1, "1")))
    _put(rng, item, "qty", lambda: rng.choice((0, 1, 2, 2.5, "2")))
    _put(rng, item, "tags", lambda: _some(rng, lambda: rng.choice(("red", "blue", 1, None)), 3))
    return item


def _scalars(rng: random.Random, flavour: Flavour) -> tuple[dict[str, Json], dict[str, Json]]:
    """The metadata and the root fields that both flavours have."""
    metadata: dict[str, Json] = {}
    root: dict[str, Json] = {}
    _put(rng, metadata, "kind", lambda: rng.choice(KINDS))
    _put(rng, metadata, "score", lambda: rng.randint(-3, 20))
    _put(rng, metadata, "price", lambda: rng.choice(EIGHTHS))
    _put(rng, metadata, "flag", lambda: rng.random() < 0.5)
    _put(rng, metadata, "when", lambda: _date(rng, flavour), 0.1)
    _put(rng, metadata, "mixed", lambda: rng.choice(MIXED))
    if rng.random() < 0.8:
        deep: dict[str, Json] = {}
        _put(rng, deep, "level", lambda: rng.choice((1, 2, 3, "one")))
        metadata["deep"] = deep
    # Only filters use this one in the core flavour.
    _put(rng, metadata, "tags", lambda: _some(rng, lambda: rng.choice(("red", "Blue", "blue", 1, 2.5)), 4))
    _put(rng, root, "rank", lambda: rng.choice((1, 1.0, 2, 2.5, 3, 10, 20, 0)))
    _put(rng, root, "label", lambda: rng.choice(("red", "green", "blue", "Blue")))
    if rng.random() < 0.8:
        root["shot_at"] = rng.choice([date for date in DATES if len(date) > 10])
    return metadata, root


def _shapes(rng: random.Random, metadata: dict[str, Json], root: dict[str, Json]) -> None:
    """What only the full flavour has: arrays, objects, big and long values, odd names."""
    _put(rng, metadata, "items", lambda: _some(rng, lambda: _item(rng), 3))
    _put(rng, metadata, "matrix", lambda: _some(rng, lambda: _some(rng, lambda: rng.randint(0, 1), 2), 2))
    _put(
        rng,
        metadata,
        "obj",
        lambda: dict(rng.sample([("a", 1), ("b", "x"), ("a b", None)], rng.randint(0, 3))),
    )
    _put(rng, metadata, "big", lambda: rng.choice(BIG), 0.3)
    _put(rng, metadata, "long", lambda: rng.choice(LONG), 0.85)
    _put(rng, metadata, "words", lambda: rng.choice(UNICODE))
    _put(rng, metadata, "any", lambda: _anything(rng))
    _put(rng, root, "loose", lambda: _anything(rng))
    if rng.random() < 0.3:
        metadata[rng.choice(ODD_NAMES)] = rng.choice(MIXED)


def make_dataset(rng: random.Random, flavour: Flavour) -> list[dict[str, Json]]:
    """Up to 60 objects, as the create and import routes take them."""
    objects = []
    for _ in range(rng.choice((rng.randint(0, 3), 4, 6, 8, 12, 16, 20, 30, 45, 60))):
        metadata, root = _scalars(rng, flavour)
        if flavour == "full":
            _shapes(rng, metadata, root)
        thing: dict[str, Json] = {"metadata": metadata, **root}
        if rng.random() < 0.8:
            thing["blobs"] = _some(rng, lambda: _blob(rng), 3)
        if rng.random() < 0.7:
            thing["status"] = rng.choice(STATUSES)
        if rng.random() < 0.5:
            thing["key_prefix"] = rng.choice(("/a", "/a/b", "/c"))
        objects.append(thing)
    return objects


def as_stored(payloads: Sequence[dict[str, Json]]) -> list[dict[str, Json]]:
    """The objects roughly as the service's GET returns them: for using the oracle without a service."""
    stored = []
    for number, payload in enumerate(payloads):
        moment = f"2024-05-01T00:{number // 60:02}:{number % 60:02}Z"
        blobs = [
            {
                "blob_id": f"blob_{number}_{place}",
                "details": {"size_bytes": len(blob["data"].encode())},
                **blob,
            }
            for place, blob in enumerate(payload.get("blobs") or [])
        ]
        stored.append(
            {
                "object_id": f"obj_{number:06}",
                "bucket_id": "bkt_0",
                "key_prefix": None,
                "status": "DRAFT",
                "created_at": moment,
                "updated_at": moment,
                **payload,
                "blobs": blobs,
            }
        )
    return stored


def make_case(rng: random.Random, flavour: Flavour) -> tuple[list[dict[str, Json]], dict[str, Json]]:
    """A dataset and a request for it."""
    dataset = make_dataset(rng, flavour)
    return dataset, make_spec(rng, flavour, dataset)


def cases(flavour: Flavour) -> st.SearchStrategy[tuple[list[dict[str, Json]], dict[str, Json]]]:
    """`make_case` as a Hypothesis strategy."""
    return st.randoms(use_true_random=False).map(lambda rng: make_case(rng, flavour))
