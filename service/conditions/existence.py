"""$exists and is_null: whether a field exists."""

from collections.abc import Iterable
from dataclasses import dataclass

from service import dsl
from service.conditions.base import MATCH_ALL, MATCH_NONE, Clause, Query, Use, any_of
from service.fields import SHAPE, Field, Fields, shape_token
from service.paths import Path, ends
from service.values import MISSING, Json


def present(field: Field, *, null: bool) -> Clause:
    """The path has a value: a scalar, an array (even empty), an object, or, if `null`, null."""
    if field.never_null or (field.always and null):
        return Clause(MATCH_ALL)
    leaves, tokens = field.evidence
    queries: list[Query] = [dsl.exists(name) for name in leaves]
    if null and "null" in field.traits:
        tokens.append(shape_token(field.name, "null"))
    if tokens:
        queries.append(dsl.terms(SHAPE, tokens))
    return any_of([Clause(query) for query in queries])


def alike(field: Field, value: dict[str, Json] | list[Json]) -> Clause:
    """Finds every object with an object or array where this one could be, as the value or an element."""
    shape = "object" if isinstance(value, dict) else "array"
    if shape not in field.traits and "array" not in field.traits:
        return Clause(MATCH_NONE)
    tokens = [shape_token(field.name, name) for name in sorted({shape, "array"})]
    return Clause(dsl.terms(SHAPE, tokens), exact=False)


@dataclass(frozen=True)
class Exists:
    """The field exists, null or not."""

    path: Path

    def compile(self, fields: Fields) -> Clause:
        return present(fields.get(self.path), null=True)

    def test(self, value: Json) -> bool:
        return any(end is not MISSING for end in ends(value, self.path))

    def uses(self) -> Iterable[Use]:
        yield Use((self.path,))
