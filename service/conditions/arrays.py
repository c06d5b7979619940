"""$size and $elemMatch: conditions on arrays as a whole. ($all is compiled to $and with $eq or $elemMatch.)"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from service import dsl
from service.conditions.base import MATCH_NONE, Clause, Condition, Use
from service.fields import SHAPE, Fields, shape_token
from service.paths import Path, ends
from service.values import Json


@dataclass(frozen=True)
class Size:
    """An array with exactly this many elements."""

    path: Path
    length: int

    def compile(self, fields: Fields) -> Clause:
        field = fields.get(self.path)
        if "array" not in field.traits:
            return Clause(MATCH_NONE)
        return Clause(dsl.term(SHAPE, shape_token(field.name, f"array:{self.length}")))

    def test(self, value: Json) -> bool:
        return any(isinstance(end, list) and len(end) == self.length for end in ends(value, self.path))

    def uses(self) -> Iterable[Use]:
        yield Use((self.path,), frozenset({"array"}))


@dataclass(frozen=True)
class ElemMatch:
    """An array with an element that fulfils the whole condition.

    The condition's paths start at the element; for operators alone (`{"$gte": 5}`) its path is empty.
    """

    path: Path
    condition: Condition
    objects: bool
    """Whether the condition names fields, so that no scalar fulfils it."""

    def compile(self, fields: Fields) -> Clause:
        field = fields.get(self.path)
        if "array" not in field.traits:
            return Clause(MATCH_NONE)
        return Clause(dsl.term(SHAPE, shape_token(field.name, "array")), exact=False)

    def test(self, value: Json) -> bool:
        return any(
            self.condition.test(element)
            for end in ends(value, self.path)
            if isinstance(end, list)
            for element in (self._with_fields(end) if self.objects else end)
        )

    def uses(self) -> Iterable[Use]:
        """The array, and paths below it; nothing is known of the contents of nested arrays."""
        yield Use((self.path,), frozenset({"array"}))
        for use in self.condition.uses() if self.path else ():
            yield replace(use, paths=tuple((*self.path, *path) for path in use.paths))

    def _with_fields(self, array: list[Json]) -> Iterator[Json]:
        """MongoDB treats an array as an object with numeric field names, which paths here cannot name."""
        for element in array:
            if isinstance(element, dict | list):
                yield element if isinstance(element, dict) else {}
