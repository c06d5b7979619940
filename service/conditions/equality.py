"""$eq and $in: a value at the path, or an element of an array there, is the operand."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property

from service import dsl
from service.conditions.base import MATCH_ALL, MATCH_NONE, Clause, Use, any_of, none_of, types_of, undated
from service.conditions.existence import alike, present
from service.fields import SHAPE, Field, Fields, shape_token
from service.paths import Path, candidates
from service.tokens import number_leaf, string_term
from service.values import (
    MISSING,
    Json,
    case_fold,
    case_fold_all,
    exact_float,
    identity,
    index_date,
    is_number,
    parse_date,
)

MAX_TERMS = 65_536
"""Per terms query (`index.max_terms_count`)."""


@dataclass(frozen=True)
class Equals:
    """Equal to one of the operands. Types do not mix; a missing field equals null."""

    path: Path
    values: tuple[Json, ...]
    instant: bool = False
    """Two dates are equal when they are the same instant (date fields)."""
    folded: bool = False
    """Case does not count (list form)."""

    def compile(self, fields: Fields) -> Clause:
        field = fields.get(self.path)
        clauses: list[Clause] = []
        terms: dict[str, list[Json]] = {}
        for value in self.values:
            if value is None:
                clauses.append(self._null(field))
            elif isinstance(value, dict | list):
                clauses.append(alike(field, value))
            elif self.folded and isinstance(value, str) and not (self.instant and parse_date(value) is not None):
                clauses.append(self._folded(field, case_fold(value)))
            elif (term := _term(field, value, self.instant)) is not None:
                terms.setdefault(term[0], []).append(term[1])
        for name, operands in terms.items():
            if len(operands) == 1:
                clauses.append(Clause(dsl.term(name, operands[0])))
                continue
            for start in range(0, len(operands), MAX_TERMS):
                clauses.append(Clause(dsl.terms(name, operands[start : start + MAX_TERMS])))
        return any_of(clauses)

    def _null(self, field: Field) -> Clause:
        if field.through:
            return Clause(MATCH_ALL, exact=False)
        nothing = none_of(present(field, null=False))
        if "array" not in field.traits or "null" not in field.traits:
            return nothing
        return any_of([nothing, Clause(dsl.term(SHAPE, shape_token(field.name, "null")))])

    def _folded(self, field: Field, folded: str) -> Clause:
        """Strings, ignoring case; an operand that can only be a folded form is searched in the `fold` leaf only."""
        keyword = field.leaves.get("keyword")
        if keyword is None:
            return Clause(MATCH_ALL, exact=False) if field.primary_type == "date" else Clause(MATCH_NONE)
        if not field.folds:
            return Clause(dsl.exists(keyword), exact=False)
        terms = [string_term(folded)] if case_fold(folded) == folded else []
        if "date" in field.traits and parse_date(folded.upper()) is not None:
            terms.append(folded.upper())
        clauses = [Clause(dsl.term(keyword, term)) for term in terms]
        if "cased" in field.traits:
            clauses.append(Clause(dsl.term(field.leaf("fold"), string_term(folded))))
        return any_of(clauses)

    def test(self, value: Json) -> bool:
        return any(map(self._is_wanted, candidates(value, self.path)))

    def uses(self) -> Iterable[Use]:
        yield Use((self.path,), types_of(self.values), undated(self.values, self.folded))

    def _is_wanted(self, value: Json) -> bool:
        if value is MISSING:
            return None in self._wanted
        if self._key(value) in self._wanted:
            return True
        # A date in lower-case letters is not a date, but a plain text.
        return self.folded and self.instant and isinstance(value, str) and case_fold(value) in self._wanted

    @cached_property
    def _wanted(self) -> frozenset[Hashable]:
        return frozenset(map(self._key, self.values))

    def _key(self, value: Json) -> Hashable:
        if self.instant and isinstance(value, str) and (millis := parse_date(value)) is not None:
            return ("d", millis)
        return identity(case_fold_all(value) if self.folded else value)


def _term(field: Field, value: Json, instant: bool) -> tuple[str, Json] | None:
    """The index field and its term, None if no such value was seen."""
    leaves = field.leaves
    if isinstance(value, bool):
        return (leaves["boolean"], value) if "boolean" in leaves else None
    if isinstance(value, str):
        if instant and (millis := parse_date(value)) is not None:
            return (field.dates, index_date(millis)) if field.dates else None
        return (leaves["keyword"], string_term(value)) if "keyword" in leaves else None
    if is_number(value):
        leaf = number_leaf(value, field.primary_type)
        if leaf not in leaves or (leaf == "double" and not exact_float(value)):
            return None
        return (leaves[leaf], int(value) if leaf == "long" else float(value) + 0.0)
    return None
