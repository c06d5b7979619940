"""From an object to what the index holds of it: leaves under their names, shape tokens, what was met."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from service.fields import CONTAINERS, OWN_FIELDS, Leaf, Mark, encode_step, leaf_name, shape_token
from service.tokens import LONG_MAX, LONG_MIN, is_lengthy, number_leaf, string_term
from service.values import Json, parse_date

MAX_DEPTH: Final = 50
"""Levels of objects and arrays in one object."""

UNINDEXED: Final = frozenset({"blobs.data"})
"""Kept and returned, not searched: the content of inline blobs."""


class Unindexable(Exception):
    """One value of an object cannot be indexed: path, what limit, which value."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


@dataclass
class Met:
    """What was met at one path; grows only."""

    natural: str | None = None
    marks: set[Mark] = field(default_factory=set)
    bits: int = 0


@dataclass
class Encoder:
    """Encodes objects of one bucket; `met` and `leaves` tell what the index must know before they are written.

    `natural` holds the types of the namespace's plain names; new names are added to it as they come.
    """

    natural: dict[str, str]
    named: list[str] = field(default_factory=list)
    """Names that these objects brought into `natural`."""
    met: dict[str, Met] = field(default_factory=dict)
    leaves: dict[str, Leaf] = field(default_factory=dict)
    """Index fields that were written, with their types."""

    def encode(self, item: Mapping[str, Json]) -> tuple[dict[str, Any], set[str]]:
        """The index fields and shape tokens of an object's user part; raises `Unindexable`."""
        flat: dict[str, list[Any]] = {}
        shapes: set[str] = set()
        for key, value in item.items():
            if key not in OWN_FIELDS:
                self._value(encode_step(key), value, key in CONTAINERS, False, flat, shapes, 1)
        document: dict[str, Any] = {}
        for name, values in flat.items():
            container, dot, rest = name.partition(".")
            target = document.setdefault(container, {}) if dot else document
            target[rest if dot else name] = values[0] if len(values) == 1 else values
        return document, shapes

    def _value(
        self,
        name: str,
        value: Json,
        container: bool,
        inside_array: bool,
        flat: dict[str, list[Any]],
        shapes: set[str],
        depth: int,
    ) -> None:
        if name in UNINDEXED:
            return
        if depth > MAX_DEPTH:
            raise Unindexable(name, f"nested more than {MAX_DEPTH} levels deep")
        met = self.met.get(name)
        if met is None:
            met = self.met[name] = Met(self.natural.get(name))
        if inside_array:
            met.marks.add("array")
        if isinstance(value, str):
            self._leaf(name, met, "keyword", string_term(value), flat)
            if is_lengthy(value):
                met.marks.add("lengthy")
            elif (millis := parse_date(value)) is not None:
                met.marks.add("date")
                self._leaf(name, met, "date", millis, flat)
            else:
                met.marks.add("text")
        elif value is None:
            met.marks.add("null")
            shapes.add(shape_token(name, "null"))
        elif isinstance(value, bool):
            met.marks.add("boolean")
            self._leaf(name, met, "boolean", value, flat)
        elif isinstance(value, int | float):
            self._number(name, met, value, flat)
        elif isinstance(value, dict):
            met.marks.add("object")
            shapes.add(shape_token(name, "object"))
            separator = "." if container else "/"
            for key, item in value.items():
                self._value(name + separator + encode_step(key), item, False, inside_array, flat, shapes, depth + 1)
        else:
            self._array(name, met, value, container, flat, shapes, depth)

    def _array(
        self,
        name: str,
        met: Met,
        value: list[Json],
        container: bool,
        flat: dict[str, list[Any]],
        shapes: set[str],
        depth: int,
    ) -> None:
        met.marks.add("array")
        shapes.add(shape_token(name, "array"))
        shapes.add(shape_token(name, f"array:{len(value)}"))
        for item in value:
            # An array in an array is one value, which only the whole object tells.
            if not isinstance(item, list):
                self._value(name, item, container, True, flat, shapes, depth + 1)

    def _number(self, name: str, met: Met, value: int | float, flat: dict[str, list[Any]]) -> None:
        integral = isinstance(value, int) or value.is_integer()
        if isinstance(value, int) and not LONG_MIN <= value <= LONG_MAX:
            raise Unindexable(name, f"the integer {_short(value)} is outside 64 bits ({LONG_MIN} … {LONG_MAX})")
        if integral:
            met.bits = max(met.bits, int(value).bit_length())
        else:
            met.marks.add("fraction")
        if met.natural is None:
            self._name(name, met, "long" if number_leaf(value, None) == "long" else "double")
        leaf = number_leaf(value, met.natural)
        # -0.0 + 0.0 is 0.0: the index would keep the two apart.
        met.marks.add(leaf)
        self._leaf(name, met, leaf, int(value) if leaf == "long" else float(value) + 0.0, flat)

    def _leaf(self, name: str, met: Met, leaf: Leaf, value: Any, flat: dict[str, list[Any]]) -> None:
        if met.natural is None and leaf != "date":
            self._name(name, met, leaf)
        physical = leaf_name(name, met.natural, leaf)
        if physical not in self.leaves:
            self.leaves[physical] = leaf
        flat.setdefault(physical, []).append(value)

    def _name(self, name: str, met: Met, leaf: Leaf) -> None:
        if name not in self.natural:
            self.natural[name] = leaf
            self.named.append(name)
        met.natural = self.natural[name]


def unite(known: Mapping[str, Met], met: Mapping[str, Met]) -> dict[str, Met] | None:
    """What is known now, None if nothing new was met."""
    if all(
        name in known and each.marks <= known[name].marks and each.bits <= known[name].bits
        for name, each in met.items()
    ):
        return None
    union = dict(known)
    for name, each in met.items():
        old = union.get(name, Met())
        union[name] = Met(each.natural or old.natural, old.marks | each.marks, max(old.bits, each.bits))
    return union


def dump_met(met: Mapping[str, Met]) -> dict[str, Json]:
    return {name: [each.natural, sorted(each.marks), each.bits] for name, each in met.items()}


def load_met(stored: Mapping[str, Any]) -> dict[str, Met]:
    return {name: Met(natural, set(marks), bits) for name, (natural, marks, bits) in stored.items()}


def _short(value: int) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
