"""A condition: a query for OpenSearch and an equivalent test in Python."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from service import dsl
from service.dsl import Query as Query
from service.fields import Fields, JsonType
from service.paths import Path
from service.values import Json, is_number, parse_date

MATCH_ALL: Query = {"match_all": {}}
MATCH_NONE: Query = {"match_none": {}}


@dataclass(frozen=True)
class Clause:
    """An OpenSearch query that finds at least the condition's matches; `exact`: and nothing else.

    An inexact one is completed by `Condition.test` on the objects that the query finds.
    """

    query: Query
    exact: bool = True


@dataclass(frozen=True)
class Use:
    """A path that a condition reads, and the JSON types of values that can fulfil it (`None`: any, or null)."""

    paths: tuple[Path, ...]
    """The path as spelled in the request, then any fallback paths."""
    types: frozenset[JsonType] | None = None
    undated: tuple[str, ...] = ()
    """Operands that are not dates, compared with whole texts."""
    ordered: bool = False
    """Whether it compares by order, not by equality."""


def undated(values: Iterable[Json], folded: bool) -> tuple[str, ...]:
    """The texts among operands that are not dates; the empty text only asks whether there is any text."""
    texts = [value for value in values if isinstance(value, str) and value]
    return tuple(text for text in texts if parse_date(text.upper() if folded else text) is None)


def types_of(values: Iterable[Json]) -> frozenset[JsonType] | None:
    """The JSON types of operands; `None` if one of them is null, since a missing field equals null."""
    found: set[JsonType] = set()
    for value in values:
        if value is None:
            return None
        if isinstance(value, bool):
            found.add("boolean")
        elif is_number(value):
            found.add("number")
        else:
            found.add("text" if isinstance(value, str) else "array" if isinstance(value, list) else "object")
    return frozenset(found)


class Condition(Protocol):
    """One filter operator on one path, or a combination of conditions."""

    def compile(self, fields: Fields) -> Clause: ...

    def test(self, value: Json) -> bool:
        """Whether an object, given as the user sees it, fulfils the condition."""
        ...

    def uses(self) -> Iterable[Use]:
        """The paths that the condition reads, for warnings about those that match nothing."""
        ...


def clauses_in(query: Query) -> int:
    """The number of clauses in a query."""
    inner = query.get("bool")
    if inner is None:
        return 1
    return 1 + sum(
        clauses_in(each) for each in (*inner.get("filter", ()), *inner.get("should", ()), *inner.get("must_not", ()))
    )


def all_of(clauses: list[Clause]) -> Clause:
    if any(clause.query == MATCH_NONE for clause in clauses):
        return Clause(MATCH_NONE)
    queries: list[Query] = []
    for clause in clauses:
        inner = clause.query.get("bool", {})
        if inner.keys() == {"filter"}:
            queries += inner["filter"]
        elif clause.query != MATCH_ALL:
            queries.append(clause.query)
    exact = all(clause.exact for clause in clauses)
    if not queries:
        return Clause(MATCH_ALL, exact)
    return Clause(queries[0] if len(queries) == 1 else dsl.filtered(*queries), exact)


def any_of(clauses: list[Clause]) -> Clause:
    queries = [clause.query for clause in clauses if clause.query != MATCH_NONE]
    exact = all(clause.exact for clause in clauses)
    if not queries:
        return Clause(MATCH_NONE, exact)
    return Clause(queries[0] if len(queries) == 1 else dsl.either(*queries), exact)


def none_of(clause: Clause) -> Clause:
    """The negation; an inexact query cannot be negated, so all objects are tested."""
    if not clause.exact:
        return Clause(MATCH_ALL, exact=False)
    if clause.query == MATCH_ALL:
        return Clause(MATCH_NONE)
    if clause.query == MATCH_NONE:
        return Clause(MATCH_ALL)
    return Clause(dsl.filtered(without=[clause.query]))
