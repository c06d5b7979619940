"""What a condition is: a query for OpenSearch and a test in Python, with one meaning."""

from dataclasses import dataclass
from typing import Any, Protocol

from service.fields import Fields
from service.values import Json

Query = dict[str, Any]

MATCH_ALL: Query = {"match_all": {}}
MATCH_NONE: Query = {"match_none": {}}


@dataclass(frozen=True)
class Clause:
    """An OpenSearch query that finds at least what the condition means; `exact` says: nothing else.

    What is not exact is completed by `Condition.test` over the objects that the query finds.
    """

    query: Query
    exact: bool = True


class Condition(Protocol):
    """One filter operator on one path, or a combination of conditions."""

    def compile(self, fields: Fields) -> Clause: ...

    def test(self, value: Json) -> bool:
        """Whether an object, given as the user sees it, fulfils the condition."""
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
    return Clause(queries[0] if len(queries) == 1 else {"bool": {"filter": queries}}, exact)


def any_of(clauses: list[Clause]) -> Clause:
    queries = [clause.query for clause in clauses if clause.query != MATCH_NONE]
    exact = all(clause.exact for clause in clauses)
    if not queries:
        return Clause(MATCH_NONE, exact)
    return Clause(queries[0] if len(queries) == 1 else {"bool": {"should": queries, "minimum_should_match": 1}}, exact)


def none_of(clause: Clause) -> Clause:
    """The opposite; the opposite of a query that finds too much is not known, so that one tests all."""
    if not clause.exact:
        return Clause(MATCH_ALL, exact=False)
    if clause.query == MATCH_ALL:
        return Clause(MATCH_NONE)
    if clause.query == MATCH_NONE:
        return Clause(MATCH_ALL)
    return Clause({"bool": {"must_not": [clause.query]}})
