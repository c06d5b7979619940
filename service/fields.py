"""What is known of a bucket's fields: the JSON types seen at each path, and the index fields that hold them.

A path has a plain name in the index (`metadata.carrier`, deeper steps joined by `/`) with the type of the first value
seen in the namespace; values of other types are stored next to it under a suffix (`metadata.author@double`). So objects
of different shapes never conflict, and people browsing the index see keywords as keywords and numbers as numbers. Known
fields only grow, so a plan based on them is valid for every object acknowledged before.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal, get_args
from urllib.parse import unquote

from service.paths import Path

Leaf = Literal["keyword", "double", "long", "boolean", "date", "json", "fold"]
LEAVES: Final[tuple[Leaf, ...]] = get_args(Leaf)
"""The types of index fields for values."""

FieldTrait = Literal[
    "text", "date", "double", "long", "fraction", "boolean", "null", "array", "object", "lengthy", "alone", "bulky",
    "cased", "denormal", "nested",
]  # fmt: skip
"""What was seen at a path.

text, date: strings that are not dates, that are dates · double, long: numbers, by the leaf that holds them ·
fraction: one of them was not integral · array: an array is at the path or a parent path ·
lengthy: a string over `LENGTHY` bytes, of which the index holds a token · alone: a value missing from the `json` leaf,
because no array had been seen there yet · bulky: an array whose JSON is over `LENGTHY` bytes ·
cased: a string other than a date differs from its folded form, which the `fold` leaf holds ·
denormal: such a string is not in Unicode's NFC · nested: an array is at the path and another one at a parent path.
"""

JsonType = Literal["text", "number", "boolean", "object", "array"]
"""The JSON types of non-null values."""

_TYPES: Final[Mapping[FieldTrait, JsonType]] = {
    "text": "text", "date": "text", "lengthy": "text", "double": "number", "long": "number", "boolean": "boolean",
    "object": "object", "array": "array",
}  # fmt: skip

LENGTHY: Final = 8_000
"""UTF-8 bytes above which a string is indexed as a token (its beginning and its SHA-256)."""

SAFE_INTEGER: Final = 2**53
"""Doubles represent every integer up to here."""

LAYOUT: Final = 2
"""The current document layout; 1 had no `fold` leaves and no blob count."""

BLOB_COUNT: Final = "@blob_count"
"""The index field with the number of an object's blobs."""

SHAPE: Final = "@shape"
"""The index field with the shape tokens of an object: for nulls, arrays, their lengths, and objects."""

POSITION: Final = "@position"
ARRIVAL: Final = ("@arrival", POSITION, "object_id")
"""Index fields that define the order of arrival: time of the request, position in it, and a tie-breaker."""

CONTAINERS: Final = frozenset({"metadata", "blobs"})
"""Root fields that are objects in the index; all other names, also below them, are flat."""

_REMEMBERED: Final = 200
"""Maximum length of field names whose encoding is cached."""

_ESCAPED = {character: f"%{ord(character):02X}" for character in './%@*"\\\x7f'}
_ESCAPED |= {chr(code): f"%{code:02X}" for code in range(32)}
_TABLE = str.maketrans(_ESCAPED)


def encode_step(step: str) -> str:
    """A field name as part of an index field's name: `.` `/` `@` `*` `%` and the like as %XX."""
    # Long names are not cached: they may belong to a refused object.
    return _encoded(step) if len(step) <= _REMEMBERED else _encoded.__wrapped__(step)


@lru_cache(maxsize=65_536)
def _encoded(step: str) -> str:
    name = step.translate(_TABLE)
    if not name:
        return "%"
    if name[0] in " _":
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if name[-1] == " ":
        name = name[:-1] + "%20"
    return name


def plain_name(path: Path) -> str:
    """The index field of a path, without suffix."""
    head, *rest = map(encode_step, path)
    if rest and path[0] in CONTAINERS:
        return f"{head}.{'/'.join(rest)}"
    return "/".join((head, *rest))


def path_of(name: str) -> Path:
    """The path of an index field: the inverse of `plain_name`, for any suffix."""
    return tuple("" if step == "%" else unquote(step) for step in re.split("[./]", name.partition("@")[0]))


def leaf_name(name: str, primary_type: str | None, leaf: Leaf) -> str:
    """The index field for values of type `leaf` at a plain name whose primary type is `primary_type`."""
    return name if primary_type == leaf else f"{name}@{leaf}"


def shape_token(name: str, shape: str) -> str:
    """`null`, `array`, `array:3`, `object` at a plain name, as a term of `SHAPE`."""
    return f"{name} {shape}"


@dataclass(frozen=True)
class Field:
    """One path of one bucket."""

    path: Path
    name: str
    primary_type: str | None = None
    traits: frozenset[FieldTrait] = frozenset()
    bits: int = 0
    """The bit length of the largest integer seen."""
    instant: bool = False
    """Whether equality compares instants: a date or datetime in the schema, or one of the service's own times."""
    always: bool = False
    """Whether every object has the field, possibly null."""
    through: bool = False
    """Whether an array was seen at a parent path."""
    folds: bool = True
    """Whether folded strings are indexed."""

    def leaf(self, leaf: Leaf) -> str:
        return leaf_name(self.name, self.primary_type, leaf)

    @property
    def leaves(self) -> dict[Leaf, str]:
        """The index fields that together hold each scalar value here once (without `date`, which repeats strings)."""
        found: dict[Leaf, str] = {}
        if self.traits & {"text", "date", "lengthy"} and self.primary_type != "date":
            found["keyword"] = self.leaf("keyword")
        if "double" in self.traits:
            found["double"] = self.leaf("double")
        if "long" in self.traits:
            found["long"] = self.leaf("long")
        if "boolean" in self.traits:
            found["boolean"] = self.leaf("boolean")
        if self.primary_type == "date":
            found["date"] = self.name
        return found

    @property
    def numbers(self) -> tuple[str, ...]:
        return tuple(name for leaf, name in self.leaves.items() if leaf in ("double", "long"))

    @property
    def dates(self) -> str | None:
        """The index field with the instants of the dates here, if any was seen."""
        return self.leaf("date") if "date" in self.traits else None

    @property
    def json(self) -> str | None:
        """The index field with each whole value here as JSON, if arrays were seen and it holds all of them."""
        if "array" not in self.traits or self.traits & {"alone", "bulky"}:
            return None
        return self.leaf("json")

    @property
    def types(self) -> frozenset[JsonType]:
        """The JSON types seen here, of values and of array elements."""
        return frozenset(_TYPES[mark] for mark in self.traits if mark in _TYPES)

    @property
    def evidence(self) -> tuple[list[str], list[str]]:
        """Index fields and shape tokens, any of which shows that an object has a non-null value here."""
        shapes = [shape for shape in ("array", "object") if shape in self.traits]
        return list(self.leaves.values()), [shape_token(self.name, shape) for shape in shapes]

    @property
    def never_null(self) -> bool:
        """Whether every object has a non-null value here."""
        return self.always and "null" not in self.traits

    @property
    def single(self) -> bool:
        """Whether every object has at most one scalar here, so that index fields are the values themselves."""
        return not self.traits & {"array", "object", "lengthy"}


_OWN: Final[tuple[tuple[str, str, set[FieldTrait]], ...]] = (
    ("object_id", "keyword", {"text"}),
    ("bucket_id", "keyword", {"text"}),
    ("key_prefix", "keyword", {"text", "null", "cased", "denormal"}),
    ("status", "keyword", {"text", "cased"}),
    ("created_at", "date", {"date"}),
    ("updated_at", "date", {"date"}),
)
OWN_FIELDS: Final[Mapping[str, Field]] = {
    name: Field(
        path=(name,),
        name=name,
        primary_type=primary_type,
        traits=frozenset(traits),
        instant=primary_type == "date",
        always=True,
    )
    for name, primary_type, traits in _OWN
}
"""Fields that the service sets on every object."""

_ALWAYS: Final[frozenset[Path]] = frozenset((name,) for name in (*OWN_FIELDS, *CONTAINERS))
"""Paths that every object has."""


class Fields:
    """The fields of one bucket: `get` answers for every path, including unused ones."""

    def __init__(
        self,
        observed: Mapping[str, tuple[str | None, Iterable[FieldTrait], int]],
        instants: Iterable[Path] = (),
        layout: int = LAYOUT,
    ) -> None:
        self._observed = observed
        self.layout = layout
        self._instants = {plain_name(path) for path in instants}

    def get(self, path: Path) -> Field:
        folds = self.layout >= LAYOUT
        if len(path) == 1 and path[0] in OWN_FIELDS:
            return OWN_FIELDS[path[0]] if folds else replace(OWN_FIELDS[path[0]], folds=False)
        name = plain_name(path)
        primary_type, traits, bits = self._observed.get(name, (None, (), 0))
        known = frozenset(traits)
        through = self._below_array(path)
        if through:
            known |= {"array"}
        return Field(path, name, primary_type, known, bits, name in self._instants, through=through, folds=folds)

    def knows(self, path: Path) -> bool:
        """Whether an object has, or had, any value at the path, even null."""
        return path in _ALWAYS or path[:2] == ("blobs", "data") or plain_name(path) in self._observed

    @property
    def empty(self) -> bool:
        """Whether no object was ever written."""
        return not self._observed

    @property
    def paths(self) -> set[Path]:
        """All paths that objects have or had."""
        return {*_ALWAYS, *map(path_of, self._observed)}

    def below(self, root: str) -> list[Field]:
        """The fields seen below a root field that is an object in the index."""
        return [self.get(path_of(name)) for name in self._observed if name.startswith(f"{root}.")]

    @property
    def names(self) -> list[str]:
        """The plain names of all known fields: those of every object, and those seen."""
        return [*OWN_FIELDS, *(name for name in self._observed if name not in OWN_FIELDS)]

    def root(self, path: Path) -> Field:
        """The path itself, or the first array above it."""
        for length in range(1, len(path)):
            field = self.get(path[:length])
            if "array" in field.traits:
                return field
        return self.get(path)

    def _below_array(self, path: Path) -> bool:
        """Whether an array was seen above the path: its value is then an array too, though elements may lack it."""
        return any(
            "array" in self._observed.get(plain_name(path[:length]), (None, (), 0))[1] for length in range(1, len(path))
        )
