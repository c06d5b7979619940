"""What a condition is: a query for OpenSearch and a test in Python, with one meaning."""

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
    """An OpenSearch query that finds at least what the condition means; `exact` says: nothing else.

    What is not exact is completed by `Condition.test` over the objects that the query finds.
    """

    query: Query
    exact: bool = True


@dataclass(frozen=True)
class Use:
    """What a condition is about: a path, and the JSON types of values that can fulfil it (`None`: any, or null)."""

    paths: tuple[Path, ...]
    """The path as the request spells it, then where it is looked up instead."""
    types: frozenset[JsonType] | None = None
    undated: tuple[str, ...] = ()
    """Operands that whole texts are compared with, and which are no dates."""
    ordered: bool = False
    """What comes before or after the operand is meant, not what equals it."""


def undated(values: Iterable[Json], folded: bool) -> tuple[str, ...]:
    """The texts among operands that are no dates; that there is any text is what the empty one asks."""
    texts = [value for value in values if isinstance(value, str) and value]
    return tuple(text for text in texts if parse_date(text.upper() if folded else text) is None)


def types_of(values: Iterable[Json]) -> frozenset[JsonType] | None:
    """The JSON types of operands; `None` if one of them is null, as what is missing equals it."""
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
        """The paths that the condition reads, for warnings about those that mean nothing."""
        ...


def clauses_in(query: Query) -> int:
    """How many queries a query is made of."""
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
    """The opposite; the opposite of a query that finds too much is not known, so that one tests all."""
    if not clause.exact:
        return Clause(MATCH_ALL, exact=False)
    if clause.query == MATCH_ALL:
        return Clause(MATCH_NONE)
    if clause.query == MATCH_NONE:
        return Clause(MATCH_ALL)
    return Clause(dsl.filtered(without=[clause.query]))
