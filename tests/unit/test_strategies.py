"""Which strategy takes a plan, why the others do not, and what it says that it will ask."""

import json
from typing import Any, cast

import pytest

from service.conditions.base import Query
from service.dialects.flat.lower import lower
from service.dialects.flat.spec import AggregateRequest
from service.encoding import Encoder
from service.fields import Fields
from service.planning.strategies import STRATEGIES, Choice, choose
from service.planning.strategies.base import PlanFacts, Strategy
from tests.golden.case import CASES, Case

Json = Any
BUCKET: Query = {"term": {"bucket_id": "b"}}
COUNT = {"function": "count", "alias": "n"}


def known(*objects: Json) -> Fields:
    """What is known of the fields of objects."""
    encoder = Encoder({}, {})
    for each in objects:
        encoder.accept(encoder.encode(each, {}))
    return Fields({name: (each.primary_type, each.traits, each.bits) for name, each in encoder.observed.items()})


def chosen(fields: Fields, **request: Json) -> Choice:
    spec = {"group_by": [{"field": "metadata.k"}], "aggregations": [COUNT], **request}
    plan = lower(AggregateRequest.model_validate(spec), fields)
    return choose(plan, PlanFacts.of(plan, fields, BUCKET))


FLAT = known({"metadata": {"k": "a", "n": 1.5}})
ARRAYS = known({"metadata": {"k": ["a", "b"], "n": 1}})
OBJECTS = known({"metadata": {"k": {"inner": 1}, "n": None}}, {"metadata": {"k": {"inner": 2}, "n": 2}})
TEXTS = known({"metadata": {"k": ["un e\u0301te\u0301", "B"]}})
BLOBS = known({"blobs": [{"property": "p", "type": "text", "data": "d"}]})


@pytest.mark.parametrize(
    ("fields", "request_", "name", "rejected"),
    [
        (FLAT, {}, "composite", []),
        (FLAT, {"aggregations": [{"function": "sum", "field": "metadata.n", "alias": "n"}]}, "composite", []),
        (FLAT, {"aggregations": [{"function": "median", "field": "metadata.n", "alias": "n"}]}, "composite", []),
        (FLAT, {"aggregations": [COUNT, {"function": "push", "field": "metadata.n", "alias": "p"}]}, "objects", [
            ("composite", "push depends on the order of arrival", "aggregations.1"),
            ("tuples", "push depends on the order of arrival", "aggregations.1"),
        ]),
        (ARRAYS, {"unwind": "metadata.k"}, "tuples", [
            ("composite", "a group's elements of one array cannot be distinguished from those of another", "unwind"),
        ]),
        (ARRAYS, {"aggregations": [{"function": "median", "field": "metadata.k", "alias": "n"}],
                  "group_by": [{"field": "metadata.n"}]}, "tuples", [
            ("composite", "the index does not hold the whole value", "aggregations.0"),
        ]),
        (OBJECTS, {}, "objects", [
            ("composite", "the index does not hold the whole value", "group_by.0"),
            ("tuples", "the index does not hold the whole value", "metadata.k"),
        ]),
        (OBJECTS, {"group_by": [{"field": "metadata.k.inner"}],
                   "aggregations": [{"function": "add_to_set", "field": "metadata.n", "alias": "s"}]}, "objects", [
            ("composite", "a group's values cannot distinguish null from a missing value", "aggregations.0"),
            ("tuples", "a combination cannot distinguish null from a missing value", "aggregations.0"),
        ]),
        (TEXTS, {"filters": {"metadata.k": {"$text": "É"}}}, "objects", [
            ("composite", "the index can only narrow these filters, not decide them", "filters"),
            ("tuples", "the index can only narrow these filters, not decide them", "filters"),
        ]),
        (BLOBS, {"group_by": [{"field": "blobs"}]}, "objects", [
            ("composite", "the index does not hold the whole value", "group_by.0"),
            ("tuples", "the content of blobs is not in the index", "blobs"),
        ]),
    ],
)  # fmt: skip
def test_the_first_that_can_answer_is_chosen(
    fields: Fields, request_: Json, name: str, rejected: list[tuple[str, str, str]]
) -> None:
    choice = chosen(fields, **request_)
    assert choice.strategy.name == name
    assert [(each.strategy, each.reason, each.where) for each in choice.rejected] == rejected


def test_names_are_unique() -> None:
    names = [each.name for each in STRATEGIES]
    assert names == ["empty", "composite", "tuples", "objects"]


@pytest.mark.parametrize(
    ("filters", "empty"),
    [
        ({"metadata.other": "a"}, True),
        ({"metadata.k": 5}, True),
        ({"metadata.k": "a", "metadata.other": {"$exists": True}}, True),
        ({"$or": [{"metadata.other": 1}, {"metadata.k": 1}]}, True),
        ({"$or": [{"metadata.other": 1}, {"metadata.k": "a"}]}, False),
        ({"metadata.other": None}, False),
        ({"metadata.other": {"$ne": 1}}, False),
        ({"metadata.k": "never written"}, False),
    ],
)
async def test_what_was_never_written_is_not_asked_for(filters: Json, empty: bool) -> None:
    strategy = chosen(FLAT, filters=filters).strategy
    assert (strategy.name == "empty") is empty
    if empty:
        assert strategy.describe().requests == []
        result = await strategy.run(cast(Any, None), cast(Any, None))
        assert (result.rows, result.matched, result.before_having, dict(result.accuracy)) == ([], 0, 0, {"n": "exact"})


def test_a_metric_in_doubt_is_evaluated_from_its_values() -> None:
    spec = {
        "group_by": [{"field": "metadata.k"}],
        "aggregations": [{"function": "sum", "field": "metadata.n", "alias": "n"}],
    }
    plan = lower(AggregateRequest.model_validate(spec), FLAT)
    sure = choose(plan, PlanFacts.of(plan, FLAT, BUCKET)).strategy.describe()
    doubtful = choose(plan, PlanFacts.of(plan, FLAT, BUCKET, fold=frozenset({0}))).strategy.describe()
    assert [len(sure.requests), len(doubtful.requests)] == [1, 2]


@pytest.mark.parametrize("path", sorted(CASES.glob("*.md")), ids=lambda path: path.stem)
def test_a_strategy_asks_what_it_describes(path: Any) -> None:
    case = Case.read(path)
    plan = lower(AggregateRequest.model_validate(case.request), case.known)
    strategy: Strategy = choose(plan, PlanFacts.of(plan, case.known, {"term": {"bucket_id": "bkt_golden"}})).strategy
    assert strategy.name == case.response["query_info"]["strategy"]
    described = strategy.describe()
    assert described.strategy == strategy.name
    if not case.searches:
        assert not described.requests
        return
    first, asked = json.loads(json.dumps(described.requests[0])), case.searches[0][0]
    if described.reads_objects:
        assert first["query"] == asked["query"]
    else:
        for body in (first, asked):
            del body["aggs"]["groups"]["composite"]["size"]  # a budget may want less at once
        assert first == asked
