"""Frequently used OpenSearch queries, by name."""

from collections.abc import Sequence
from typing import Any

Query = dict[str, Any]


def term(field: str, value: Any) -> Query:
    """A value of the field is this one."""
    return {"term": {field: value}}


def terms(field: str, values: Sequence[Any]) -> Query:
    """A value of the field is one of these."""
    return {"terms": {field: values}}


def exists(field: str) -> Query:
    """The field has a value."""
    return {"exists": {"field": field}}


def in_range(field: str, **bounds: Any) -> Query:
    """A value of the field is within the bounds: `gt`, `gte`, `lt`, `lte`."""
    return {"range": {field: bounds}}


def filtered(*queries: Query, without: Sequence[Query] = ()) -> Query:
    """All of the queries, and none of those in `without`."""
    found: dict[str, Any] = {}
    if queries:
        found["filter"] = list(queries)
    if without:
        found["must_not"] = list(without)
    return {"bool": found}


def either(*queries: Query) -> Query:
    """At least one of the queries."""
    return {"bool": {"should": list(queries), "minimum_should_match": 1}}
