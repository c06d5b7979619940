"""From an object to what the index holds of it: leaves under their names, shape tokens, what was met."""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from functools import partial
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
from service.tokens import LONG_MAX, LONG_MIN, is_long, number_leaf, string_term
from service.values import Json, case_fold, parse_date

MAX_DEPTH: Final = 100
"""Levels of objects and arrays in one object."""

MAX_NAME: Final = 8_000
"""Characters of a path: as a term of `@shape` it must stay below Lucene's 32,766 bytes."""

UNINDEXED: Final = frozenset({"blobs.data"})
"""Kept and returned, not searched: the content of inline blobs."""


class Unindexable(Exception):
    """One value of an object cannot be indexed: path, what limit, which value."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


@dataclass
class ObservedField:
    """What was met at one path; grows only."""

    primary_type: str | None = None
    traits: set[FieldTrait] = field(default_factory=set)
    bits: int = 0
    names: dict[Leaf, str] = field(default_factory=dict)
    """The index fields that were written, by their type."""


class Encoder:
    """Encodes objects of one bucket one after the other; an object that cannot be indexed leaves no trace.

    `primary_types` holds the types of the namespace's plain names; new names are added to it as they come. `observed`
    and `leaves` say what catalogue and index must know before the documents are written.
    """

    def __init__(
        self, primary_types: dict[str, str], known: Mapping[str, ObservedField], skipped: Container[str] = OWN_FIELDS
    ) -> None:
        self.primary_types = primary_types
        self._skipped = skipped
        self._known = known
        self.observed: dict[str, ObservedField] = {}
        self.leaves: dict[str, Leaf] = {}
        self._undo: list[Callable[[], object]] = []
        self.new_names: list[str] = []
        """Paths that the last object brought."""

    def encode(self, item: Mapping[str, Json], own: Mapping[str, Json]) -> tuple[dict[str, Any], set[str]]:
        """The index fields and shape tokens of an object's user part; raises `Unindexable`.

        Of the service's `own` texts only the folded forms are added.
        """
        self._undo.clear()
        self.new_names = []
        flat: dict[str, Any] = {}
        shapes: set[str] = set()
        for name, text in own.items():
            if isinstance(text, str) and (folded := case_fold(text)) != text:
                flat[leaf_name(name, None, "fold")] = string_term(folded)
                self._written(leaf_name(name, None, "fold"), "fold")
        try:
            for key, value in item.items():
                if key not in self._skipped:
                    self._value(encode_step(key), value, "." if key in CONTAINERS else "/", False, flat, shapes, 1)
        except Unindexable:
            self.undo()
            raise
        document: dict[str, Any] = {}
        for name, leaf in flat.items():
            container, dot, rest = name.partition(".")
            if dot:
                document.setdefault(container, {})[rest] = leaf
            else:
                document[name] = leaf
        return document, shapes

    def undo(self) -> None:
        """Forgets what the last object brought."""
        while self._undo:
            self._undo.pop()()

    def _value(
        self,
        name: str,
        value: Json,
        separator: str,
        inside_array: bool,
        flat: dict[str, Any],
        shapes: set[str],
        depth: int,
    ) -> None:
        observed = self.observed.get(name) or self._observe(name)
        traits = observed.traits
        kind = type(value)
        if inside_array:
            if "array" not in traits:
                self._add_trait(observed, "array")
        elif value is not None:
            self._whole(name, observed, value, flat)
        if kind is str:
            if is_long(value):
                trait: FieldTrait = "lengthy"
            elif (millis := parse_date(value)) is not None:
                trait = "date"
                self._leaf(name, observed, "date", millis, flat)
            else:
                trait = "text"
            if trait not in traits:
                self._add_trait(observed, trait)
            self._leaf(name, observed, "keyword", string_term(value), flat)
            if trait != "date" and (folded := case_fold(value)) != value:
                if "cased" not in traits:
                    self._add_trait(observed, "cased")
                if "denormal" not in traits and not is_normalized("NFC", value):
                    self._add_trait(observed, "denormal")
                self._leaf(name, observed, "fold", string_term(folded), flat)
        elif kind is int or kind is float:
            self._number(name, observed, value, flat)
        elif kind is bool:
            if "boolean" not in traits:
                self._add_trait(observed, "boolean")
            self._leaf(name, observed, "boolean", value, flat)
        elif value is None:
            if "null" not in traits:
                self._add_trait(observed, "null")
            shapes.add(shape_token(name, "null"))
        elif depth >= MAX_DEPTH:
            raise Unindexable(name, f"nested more than {MAX_DEPTH} levels deep")
        elif kind is dict:
            if "object" not in traits:
                self._add_trait(observed, "object")
            shapes.add(shape_token(name, "object"))
            for key, item in value.items():
                child = name + separator + encode_step(key)
                if child not in UNINDEXED:
                    self._value(child, item, "/", inside_array, flat, shapes, depth + 1)
        else:
            if "array" not in traits:
                self._add_trait(observed, "array")
            if inside_array and "nested" not in traits:
                self._add_trait(observed, "nested")
            shapes.add(shape_token(name, "array"))
            shapes.add(shape_token(name, f"array:{len(value)}"))
            for item in value:
                # An array in an array is one value, which only the whole object tells.
                if type(item) is list:
                    self._check_depth(name, item, depth + 1)
                else:
                    self._value(name, item, separator, True, flat, shapes, depth + 1)

    def _whole(self, name: str, observed: ObservedField, value: Json, flat: dict[str, Any]) -> None:
        """Arrays are also written whole, as JSON, and so is what lies where an array lay before.

        Where something else came first it is of no use: not every value would be there.
        """
        traits = observed.traits
        if "alone" in traits:
            return
        known = self._known.get(name)
        if type(value) is not list and "array" not in traits and not (known and "array" in known.traits):
            self._add_trait(observed, "alone")
        elif not (known and known.traits & {"alone", "bulky"}):
            text = msgspec.json.encode(_without_data(value) if name == "blobs" else value)
            if len(text) > LENGTHY:
                self._add_trait(observed, "bulky")
            else:
                self._leaf(name, observed, "json", text.decode(), flat)

    def _number(self, name: str, observed: ObservedField, value: int | float, flat: dict[str, Any]) -> None:
        integral = isinstance(value, int) or value.is_integer()
        if integral:
            integer = int(value)
            if isinstance(value, int) and not LONG_MIN <= value <= LONG_MAX:
                raise Unindexable(name, f"the integer {_short(value)} is outside 64 bits ({LONG_MIN} … {LONG_MAX})")
            if integer.bit_length() > observed.bits:
                self._undo.append(partial(setattr, observed, "bits", observed.bits))
                observed.bits = integer.bit_length()
            if -SAFE_INTEGER <= integer <= SAFE_INTEGER:
                # Also turns -0.0, which the index would keep apart from 0, into 0.
                value = integer
        elif "fraction" not in observed.traits:
            self._add_trait(observed, "fraction")
        leaf = number_leaf(value, observed.primary_type)
        if leaf not in observed.traits:
            self._add_trait(observed, leaf)
        self._leaf(name, observed, leaf, int(value) if leaf == "long" else value, flat)

    def _leaf(self, name: str, observed: ObservedField, leaf: Leaf, value: Any, flat: dict[str, Any]) -> None:
        physical = observed.names.get(leaf) or self._physical(name, observed, leaf)
        if physical not in flat:
            flat[physical] = value
        elif type(flat[physical]) is list:
            flat[physical].append(value)
        else:
            flat[physical] = [flat[physical], value]

    def _physical(self, name: str, observed: ObservedField, leaf: Leaf) -> str:
        """The index field for a type at a path; the first type that is no date takes the plain name."""
        if observed.primary_type is None and leaf not in ("date", "json", "fold"):
            if name not in self.primary_types:
                self.primary_types[name] = leaf
                self._undo.append(partial(self.primary_types.pop, name))
            observed.primary_type = self.primary_types[name]
            self._undo.append(partial(setattr, observed, "primary_type", None))
        physical = leaf_name(name, observed.primary_type, leaf)
        observed.names[leaf] = physical
        self._undo.append(partial(observed.names.pop, leaf))
        self._written(physical, leaf)
        return physical

    def _written(self, physical: str, leaf: Leaf) -> None:
        if physical not in self.leaves:
            self.leaves[physical] = leaf
            self._undo.append(partial(self.leaves.pop, physical))

    def _check_depth(self, name: str, value: Json, depth: int) -> None:
        """Of an array in an array, which is walked by nobody else here, but by grouping and filters."""
        if depth >= MAX_DEPTH:
            raise Unindexable(name, f"nested more than {MAX_DEPTH} levels deep")
        for item in value.values() if type(value) is dict else value:
            if type(item) is list or type(item) is dict:
                self._check_depth(name, item, depth + 1)

    def _observe(self, name: str) -> ObservedField:
        if len(name) > MAX_NAME:
            raise Unindexable(name[:100], f"the path has {len(name):,} characters, at most {MAX_NAME:,} are possible")
        observed = self.observed[name] = ObservedField(self.primary_types.get(name))
        self.new_names.append(name)
        self._undo.append(partial(self.observed.pop, name))
        return observed

    def _add_trait(self, observed: ObservedField, trait: FieldTrait) -> None:
        observed.traits.add(trait)
        self._undo.append(partial(observed.traits.discard, trait))


def _without_data(blobs: Json) -> Json:
    if not isinstance(blobs, list):
        return blobs
    return [{key: each for key, each in blob.items() if key != "data"} for blob in blobs]


def unite(known: Mapping[str, ObservedField], observed: Mapping[str, ObservedField]) -> dict[str, ObservedField] | None:
    """What is known now, None if nothing new was met."""
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
