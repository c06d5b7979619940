"""Encodes an object for the index: leaves under their names, shape tokens, observed fields."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from unicodedata import is_normalized

import msgspec

from service.fields import (
    CONTAINERS,
    LENGTHY,
    OWN_FIELDS,
    SAFE_INTEGER,
    FieldTrait,
    Leaf,
    encode_step,
    leaf_name,
    shape_token,
)
from service.paths import MAX_LENGTH
from service.tokens import LONG_MAX, LONG_MIN, is_long, number_leaf, string_term
from service.values import Json, case_fold, parse_date

MAX_DEPTH: Final = 100
"""Maximum nesting of objects and arrays in one object."""

UNINDEXED: Final = frozenset({"blobs.data"})
"""Stored and returned but not searchable: the content of inline blobs."""


class Unindexable(Exception):
    """A value of an object cannot be indexed: path, limit, value."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


class TooManyPaths(Unindexable):
    """The object would exceed its bucket's limit of field paths; `have`: their number without it."""

    def __init__(self, path: str, have: int) -> None:
        super().__init__(path, "too many field paths")
        self.have = have


@dataclass
class ObservedField:
    """What was seen at one path; only grows."""

    primary_type: str | None = None
    traits: set[FieldTrait] = field(default_factory=set)
    bits: int = 0
    names: dict[Leaf, str] = field(default_factory=dict)
    """The index fields written so far, by type."""


class Encoder:
    """Encodes objects of one bucket one by one; one that is not accepted leaves no trace.

    `primary_types` holds the types of the namespace's plain names; new names are added to it when seen. `observed`
    and `leaves` are what catalogue and index must know before the documents are written.
    """

    def __init__(
        self,
        primary_types: dict[str, str],
        known: Mapping[str, ObservedField],
        skipped: Container[str] = OWN_FIELDS,
        budget: int | None = None,
    ) -> None:
        """`budget`: maximum field paths of the bucket; `known`: the fields seen in it before."""
        self.primary_types = primary_types
        self.known = known
        self.budget = budget
        self.paths = len(known)
        """Current number of field paths in the bucket."""
        self.observed: dict[str, ObservedField] = {}
        self.leaves: dict[str, Leaf] = {}
        self._skipped = skipped

    def encode(self, item: Mapping[str, Json], own: Mapping[str, Json]) -> "EncodedObject":
        """Encodes an object's user part, to be accepted or dropped; raises `Unindexable` at the first path over budget.

        Of the service's `own` texts it adds only the folded forms.
        """
        encoded = EncodedObject(self)
        for name, text in own.items():
            encoded.add_folded(name, text)
        for key, value in item.items():
            if key not in self._skipped:
                encoded.add(encode_step(key), value, "." if key in CONTAINERS else "/")
        return encoded

    def accept(self, encoded: "EncodedObject") -> None:
        """Keeps an object's additions; each object must be accepted before the next one is encoded."""
        self.observed.update(encoded.observed)
        self.leaves.update(encoded.leaves)
        self.primary_types.update(encoded.primary_types)
        self.paths += encoded.brought


class EncodedObject:
    """The index fields and shape tokens of one object, and its additions to the encoder's known fields."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._flat: dict[str, Any] = {}
        self.shapes: set[str] = set()
        self.observed: dict[str, ObservedField] = {}
        """The paths at which something new was seen, with the additions."""
        self.leaves: dict[str, Leaf] = {}
        self.primary_types: dict[str, str] = {}
        self.brought = 0
        """Number of paths new to the bucket."""

    def fields(self) -> dict[str, Any]:
        """The document's fields for the user's values, nested for root fields that are objects in the index."""
        document: dict[str, Any] = {}
        for name, leaf in self._flat.items():
            container, dot, rest = name.partition(".")
            if dot:
                document.setdefault(container, {})[rest] = leaf
            else:
                document[name] = leaf
        return document

    def add_folded(self, name: str, text: Json) -> None:
        """Adds the folded form of one of the service's own texts, if it differs."""
        if isinstance(text, str) and (folded := case_fold(text)) != text:
            physical = leaf_name(name, None, "fold")
            self._flat[physical] = string_term(folded)
            self._add_leaf(physical, "fold")

    def add(self, name: str, value: Json, separator: str, depth: int = 1, *, inside_array: bool = False) -> None:
        """Adds a value at a path with all of its contents; `separator` precedes its members' names."""
        observed = self.observed.get(name) or self._encoder.observed.get(name) or self._observe(name)
        kind = type(value)
        if inside_array:
            if "array" not in observed.traits:
                self._add_trait(name, observed, "array")
        elif value is not None:
            self._whole(name, observed, value)
        if kind is str:
            self._text(name, observed, value)
        elif kind is int or kind is float:
            self._number(name, observed, value)
        elif kind is bool:
            if "boolean" not in observed.traits:
                self._add_trait(name, observed, "boolean")
            self._leaf(name, observed, "boolean", value)
        elif value is None:
            if "null" not in observed.traits:
                self._add_trait(name, observed, "null")
            self.shapes.add(shape_token(name, "null"))
        elif depth >= MAX_DEPTH:
            raise Unindexable(name, f"nested more than {MAX_DEPTH} levels deep")
        elif kind is dict:
            if "object" not in observed.traits:
                self._add_trait(name, observed, "object")
            self.shapes.add(shape_token(name, "object"))
            for key, item in value.items():
                child = name + separator + encode_step(key)
                if child not in UNINDEXED:
                    self.add(child, item, "/", depth + 1, inside_array=inside_array)
        else:
            self._array(name, observed, value, separator, depth, inside_array=inside_array)

    def _text(self, name: str, observed: ObservedField, value: str) -> None:
        if is_long(value):
            trait: FieldTrait = "lengthy"
        elif (millis := parse_date(value)) is not None:
            trait = "date"
            self._leaf(name, observed, "date", millis)
        else:
            trait = "text"
        if trait not in observed.traits:
            self._add_trait(name, observed, trait)
        self._leaf(name, observed, "keyword", string_term(value))
        if trait != "date" and (folded := case_fold(value)) != value:
            if "cased" not in observed.traits:
                self._add_trait(name, observed, "cased")
            if "denormal" not in observed.traits and not is_normalized("NFC", value):
                self._add_trait(name, observed, "denormal")
            self._leaf(name, observed, "fold", string_term(folded))

    def _number(self, name: str, observed: ObservedField, value: int | float) -> None:
        integral = isinstance(value, int) or value.is_integer()
        if integral:
            integer = int(value)
            if isinstance(value, int) and not LONG_MIN <= value <= LONG_MAX:
                raise Unindexable(name, f"the integer {_short(value)} is outside 64 bits ({LONG_MIN} … {LONG_MAX})")
            if integer.bit_length() > observed.bits:
                mine = self._mine(name, observed)
                mine.bits = max(mine.bits, integer.bit_length())
            if -SAFE_INTEGER <= integer <= SAFE_INTEGER:
                # Also turns -0.0, which the index distinguishes from 0, into 0.
                value = integer
        elif "fraction" not in observed.traits:
            self._add_trait(name, observed, "fraction")
        leaf = number_leaf(value, observed.primary_type)
        if leaf not in observed.traits:
            self._add_trait(name, observed, leaf)
        self._leaf(name, observed, leaf, int(value) if leaf == "long" else value)

    def _array(
        self, name: str, observed: ObservedField, value: list[Json], separator: str, depth: int, *, inside_array: bool
    ) -> None:
        if "array" not in observed.traits:
            self._add_trait(name, observed, "array")
        if inside_array and "nested" not in observed.traits:
            self._add_trait(name, observed, "nested")
        self.shapes.add(shape_token(name, "array"))
        self.shapes.add(shape_token(name, f"array:{len(value)}"))
        for item in value:
            # An array in an array is one value, known only from the whole object.
            if type(item) is list:
                _check_depth(name, item, depth + 1)
            else:
                self.add(name, item, separator, depth + 1, inside_array=True)

    def _whole(self, name: str, observed: ObservedField, value: Json) -> None:
        """Also writes arrays whole, as JSON, and every value at a path where an array was seen before.

        Not if another value came first at the path: then the JSON leaf would not have every value.
        """
        traits = observed.traits
        if "alone" in traits:
            return
        known = self._encoder.known.get(name)
        if type(value) is not list and "array" not in traits and not (known and "array" in known.traits):
            self._add_trait(name, observed, "alone")
        elif not (known and known.traits & {"alone", "bulky"}):
            text = msgspec.json.encode(_without_data(value) if name == "blobs" else value)
            if len(text) <= LENGTHY:
                self._leaf(name, observed, "json", text.decode())
            elif "bulky" not in traits:
                self._add_trait(name, observed, "bulky")

    def _leaf(self, name: str, observed: ObservedField, leaf: Leaf, value: Any) -> None:
        physical = observed.names.get(leaf) or self._physical(name, observed, leaf)
        flat = self._flat
        if physical not in flat:
            flat[physical] = value
        elif type(flat[physical]) is list:
            flat[physical].append(value)
        else:
            flat[physical] = [flat[physical], value]

    def _physical(self, name: str, observed: ObservedField, leaf: Leaf) -> str:
        """The index field for a type at a path; the first type other than date takes the plain name."""
        mine = self._mine(name, observed)
        if mine.primary_type is None and leaf not in ("date", "json", "fold"):
            if name not in self._encoder.primary_types:
                self.primary_types[name] = leaf
            mine.primary_type = self.primary_types.get(name) or self._encoder.primary_types[name]
        physical = mine.names[leaf] = leaf_name(name, mine.primary_type, leaf)
        self._add_leaf(physical, leaf)
        return physical

    def _add_leaf(self, physical: str, leaf: Leaf) -> None:
        if physical not in self._encoder.leaves:
            self.leaves[physical] = leaf

    def _observe(self, name: str) -> ObservedField:
        if len(name) > MAX_LENGTH:
            raise Unindexable(name[:100], f"the path has {len(name):,} characters, at most {MAX_LENGTH:,} are possible")
        encoder = self._encoder
        if name not in encoder.known:
            self.brought += 1
            if encoder.budget is not None and encoder.paths + self.brought > encoder.budget:
                raise TooManyPaths(name, encoder.paths)
        observed = self.observed[name] = ObservedField(encoder.primary_types.get(name))
        return observed

    def _add_trait(self, name: str, observed: ObservedField, trait: FieldTrait) -> None:
        self._mine(name, observed).traits.add(trait)

    def _mine(self, name: str, observed: ObservedField) -> ObservedField:
        """A modifiable copy of what is known of a path; the encoder's own changes only on acceptance."""
        mine = self.observed.get(name)
        if mine is None:
            mine = self.observed[name] = ObservedField(
                observed.primary_type, set(observed.traits), observed.bits, dict(observed.names)
            )
        return mine


def _check_depth(name: str, value: Json, depth: int) -> None:
    """Checks the depth inside an array in an array, which the encoder does not walk, but grouping and filters do."""
    if depth >= MAX_DEPTH:
        raise Unindexable(name, f"nested more than {MAX_DEPTH} levels deep")
    for item in value.values() if type(value) is dict else value:
        if type(item) is list or type(item) is dict:
            _check_depth(name, item, depth + 1)


def _without_data(blobs: Json) -> Json:
    if not isinstance(blobs, list):
        return blobs
    return [{key: each for key, each in blob.items() if key != "data"} for blob in blobs]


def unite(known: Mapping[str, ObservedField], observed: Mapping[str, ObservedField]) -> dict[str, ObservedField] | None:
    """The union, None if nothing new was seen."""
    if all(
        name in known and each.traits <= known[name].traits and each.bits <= known[name].bits
        for name, each in observed.items()
    ):
        return None
    union = dict(known)
    for name, each in observed.items():
        old = union.get(name, ObservedField())
        union[name] = ObservedField(
            each.primary_type or old.primary_type, old.traits | each.traits, max(old.bits, each.bits)
        )
    return union


def dump_observed(observed: Mapping[str, ObservedField]) -> dict[str, Json]:
    return {name: [each.primary_type, sorted(each.traits), each.bits] for name, each in observed.items()}


def load_observed(stored: Mapping[str, Any]) -> dict[str, ObservedField]:
    return {
        name: ObservedField(primary_type, set(traits), bits) for name, (primary_type, traits, bits) in stored.items()
    }


def _short(value: int) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
