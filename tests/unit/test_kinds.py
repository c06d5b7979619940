"""Each aggregation kind by itself: the exact value over values, and what OpenSearch is asked."""

from typing import Any

import pytest

from service.aggregations import BY_NAME
from service.aggregations.base import Aggregation, Inexact
from service.fields import OWN_FIELDS, Field, FieldTrait
from service.values import MISSING

INTEGERS = Field(("metadata", "n"), "metadata.n", "double", frozenset({"double", "null"}), bits=12)
WIDE = Field(("metadata", "n"), "metadata.n", "double", frozenset({"double"}), bits=40)
FRACTIONS = Field(("metadata", "n"), "metadata.n", "double", frozenset({"double", "fraction"}), bits=4)
BIG = Field(("metadata", "n"), "metadata.n", "long", frozenset({"long"}), bits=60)
DATES = Field(("metadata", "n"), "metadata.n", "keyword", frozenset({"date", "text"}))

MIXED = Field(("metadata", "n"), "metadata.n", "double", frozenset({"double", "text", "array", "object", "null"}))
UNKNOWN = Field(("metadata", "n"), "metadata.n")


def kind(name: str) -> Aggregation:
    return BY_NAME[name](("metadata", "n"))


def fold(name: str, values: list[Any]) -> Any:
    accumulator = kind(name).accumulator()
    for value in values:
        accumulator.add(value)
    return accumulator.result()


@pytest.mark.parametrize(
    ("name", "values", "result"),
    [
        ("count", [1, None, MISSING, [], {}, False, ""], 5),
        ("sum", [], 0),
        ("sum", [1, 2.5, "3", None, True, [4], MISSING], 3.5),
        ("sum", [2**53, 1, 1], 2**53 + 2),
        ("sum", [0.1] * 10 + [1e16, 1, -1e16], 2.0),
        ("avg", [], None),
        ("avg", [1, 2, "x"], 1.5),
        ("min", ["x", True], None),
        ("min", [3, -0.5, "2024-01-01"], -0.5),
        ("max", [3, "2024-01-01", "2023-06-01T12:00:00.5Z"], "2024-01-01T00:00:00Z"),
        ("max", [2**53 + 1, 2**53], 2**53 + 1),
        ("variance", [], None),
        ("variance", [2, 4, 4, 4, 5, 5, 7, 9, "x", None], 4.0),
        ("variance", [10**15 + 1, 10**15 + 3], 1.0),
        ("count_distinct", [1, 1.0, "1", True, None, MISSING, [1], [1.0], {"a": 1, "b": 2}, {"b": 2, "a": 1}], 5),
    ],
)
def test_value(name: str, values: list[Any], result: Any) -> None:
    assert fold(name, values) == result
    assert type(fold(name, values)) is type(result)


def test_count_without_a_path_counts_objects() -> None:
    accumulator = BY_NAME["count"](()).accumulator()
    for value in (1, None, MISSING):
        accumulator.add(value, 2)
    assert accumulator.result() == 6
    pushed = BY_NAME["count"](()).pushdown(Field((), ""))
    assert pushed is not None
    assert list(pushed.bodies) == []


def test_an_accumulator_takes_values_with_their_number() -> None:
    accumulator = kind("avg").accumulator()
    accumulator.add(1, 3)
    accumulator.add(5)
    assert accumulator.result() == 2.0


def test_integers_that_might_leave_the_doubles_are_not_believed() -> None:
    assert kind("sum").read(WIDE, [{"value": 5.0}], documents=8_192) == 5
    with pytest.raises(Inexact):
        kind("sum").read(WIDE, [{"value": 5.0}], documents=8_193)


@pytest.mark.parametrize("name", ["sum", "avg", "min", "max"])
def test_big_integers_are_never_left_to_doubles(name: str) -> None:
    assert kind(name).pushdown(BIG) is None


def test_sums_of_fractions_are_labelled() -> None:
    pushed = kind("sum").pushdown(FRACTIONS)
    assert pushed is not None
    assert pushed.accuracy == "double"
    assert pushed.selector is None


def test_infinity_is_no_answer() -> None:
    with pytest.raises(Inexact):
        kind("sum").read(FRACTIONS, [{"value": "Infinity"}], 3)


@pytest.mark.parametrize(
    ("name", "field", "bodies"),
    [
        ("count", INTEGERS, [{"filter": {"exists": {"field": "metadata.n"}}}]),
        ("count", MIXED, [{"filter": {"bool": {"should": [
            {"exists": {"field": "metadata.n@keyword"}},
            {"exists": {"field": "metadata.n"}},
            {"terms": {"@shape": ["metadata.n array", "metadata.n object"]}},
        ], "minimum_should_match": 1}}}]),
        ("count", UNKNOWN, []),
        ("count", OWN_FIELDS["created_at"], []),
        ("sum", INTEGERS, [{"sum": {"field": "metadata.n"}}]),
        ("avg", INTEGERS, [{"sum": {"field": "metadata.n"}}, {"value_count": {"field": "metadata.n"}}]),
        ("min", DATES, [{"min": {"field": "metadata.n@date"}}]),
        ("max", DATES, [{"max": {"field": "metadata.n@date"}}]),
    ],
)  # fmt: skip
def test_asked(name: str, field: Field, bodies: list[Any]) -> None:
    pushed = kind(name).pushdown(field)
    assert pushed is not None
    assert list(pushed.bodies) == bodies


def test_no_kind_is_forgotten() -> None:
    traits: frozenset[FieldTrait] = frozenset({"double"})
    for name, each in BY_NAME.items():
        assert each.__doc__, name
        assert (each(("x",)).accumulator().result() is None) is each.nullable, name
        pushed = each(("x",)).pushdown(Field(("x",), "x", "double", traits, bits=3))
        assert pushed is None or each.read is not Aggregation.read, f"nobody reads what {name} asks for"
