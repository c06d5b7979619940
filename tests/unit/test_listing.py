"""Pagination, cursors and the order of terms, without OpenSearch."""

import itertools
import random
from typing import Any

import pytest

from service.dialects.flat.listing import ListRequest, pagination
from service.errors import Gone, Invalid
from service.fields import Fields
from service.listing.cursors import Cursors, Secret
from service.planning import order
from service.storage.terms import on_terms, term, terms

Json = Any


def asked(**given: Json) -> ListRequest:
    return ListRequest.model_validate(given)


@pytest.mark.parametrize(
    ("given", "start", "total", "following", "previous"),
    [
        ({}, 0, 0, None, None),
        ({}, 0, 10, None, None),
        ({}, 0, 11, "/x?limit=10&offset=10", None),
        ({"limit": 3, "offset": 3}, 3, 7, "/x?limit=3&offset=6", "/x?limit=3&offset=0"),
        ({"limit": 3, "offset": 2}, 2, 7, "/x?limit=3&offset=5", "/x?limit=3&offset=0"),
        ({"page": 2, "page_size": 3}, 3, 7, "/x?page=3&page_size=3", "/x?page=1&page_size=3"),
        ({"limit": 1000, "offset": 9000}, 9000, 20_000, "/x?limit=1000&cursor=c", "/x?limit=1000&offset=8000"),
        ({"limit": 10, "cursor": "b"}, 10, 30, "/x?limit=10&cursor=c", "/x?limit=10&offset=0"),
        ({"limit": 10, "offset": 50}, 50, 30, None, "/x?limit=10&offset=40"),
    ],
)
def test_links(given: Json, start: int, total: int, following: str | None, previous: str | None) -> None:
    request = asked(**given)
    told = pagination(request, "/x", [("limit", "7"), ("cursor", "b")], start=start, total=total, cursor="c")
    assert (told["next_page"], told["previous_page"]) == (following, previous)
    assert (told["total"], told["total_pages"]) == (total, -(-total // request.size))


def test_a_cursor_is_bound_signed_and_ends() -> None:
    cursors = Cursors(Secret("secret"), 300)
    sealed = cursors.seal(of="a", after=["é", 2**60 + 1, None])
    assert cursors.open(sealed, "a")["after"] == ["é", 2**60 + 1, None]
    with pytest.raises(Invalid) as refused:
        cursors.open(sealed, "b")
    assert "another list" in refused.value.text()
    for torn in (sealed[:-1], sealed[1:], sealed + "a", "", "."):
        with pytest.raises(Invalid):
            cursors.open(torn, "a")
    with pytest.raises(Invalid):
        Cursors(Secret("other"), 300).open(sealed, "a")
    with pytest.raises(Gone):
        cursors.open(Cursors(Secret("secret"), -1).seal(of="a"), "a")


def test_the_order_of_number_terms_is_that_of_numbers() -> None:
    chance = random.Random(3)
    edges = [0, 1, 2**53 - 1, 2**53, 2**53 + 1, 2**53 + 2, 2**60, 2**63 - 1, 5e-324, 0.1, 1.5, 1e300]
    numbers = [*edges, *(-number for number in edges), -(2**63), 2.0**63, *(chance.uniform(-9, 9) for _ in range(50))]

    def written(number: float) -> str:
        return next(
            each.partition("\x1f")[2]
            for each in terms({"n": number})[0]
            if each.startswith(("n@double\x1f", "n@long\x1f"))
        )

    by_number = sorted(numbers)
    by_term = sorted(numbers, key=written)
    assert [number + 0 for number in by_term] == by_number
    assert all((written(one) == written(two)) is (one == two) for one, two in itertools.combinations(by_number, 2))


def test_queries_on_terms() -> None:
    assert term("n", "double", 2) == term("n", "double", 2.0)
    assert on_terms({"term": {"kind": "bucket"}}) == {"term": {"kind": "bucket"}}
    assert on_terms({"wildcard": {"a*b": {"value": "x*"}}}) == {"wildcard": {"@terms": {"value": "a\\*b\x1fx*"}}}
    assert on_terms({"range": {"n@boolean": {"gte": True}}}) == {
        "range": {"@terms": {"gte": "n@boolean\x1f1", "lt": "n@boolean\x20"}}
    }
    assert on_terms({"regexp": {"a": {"value": "x|.*y"}}}) == {"regexp": {"@terms": {"value": "a\\\x1f(x|.*y)"}}}
    with pytest.raises(ValueError, match="no query on terms"):
        on_terms({"fuzzy": {"a": "b"}})


def test_the_clauses_of_a_key() -> None:
    known = Fields({"x": ("keyword", ("text", "double"), 1)})

    def names(path: str, *, descending: bool) -> list[str]:
        return [next(iter(each)) for each in order.clauses(known.get((path,)), descending)]

    assert names("x", descending=False) == ["x@double", "x"]
    assert names("x", descending=True) == ["x", "x@double"]
    assert names("nobody has it", descending=True) == []
    assert [next(iter(each)) for each in order.ARRIVED] == ["@arrival", "@position", "object_id"]
