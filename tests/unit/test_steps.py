"""Single steps of the pipeline by themselves: unwind, having, samples (contract, Meaning and HavingCondition)."""

from typing import Any

import pytest

from service.aggregations import BY_NAME
from service.planning.plan import Having
from service.planning.rows import fulfils
from service.planning.unwind import unwound


@pytest.mark.parametrize(
    ("value", "elements"),
    [([1, None, 1], [1, None, 1]), ([], []), (None, []), ("a", ["a"]), ([[1], []], [[1], []])],
)
def test_unwind(value: Any, elements: list[Any]) -> None:
    assert [item["a"] for item in unwound({"a": value, "b": 1}, ("a",))] == elements


def test_unwind_through_two_arrays() -> None:
    item = {"a": [{"b": [1, None]}, {"b": None}, {}, 5, None, {"b": 2}]}
    assert [each["a"]["b"] for each in unwound(item, ("a", "b"))] == [1, None, 2]


@pytest.mark.parametrize(
    ("comparison", "below", "equal", "above", "null"),
    [
        ("gt", False, False, True, False),
        ("gte", False, True, True, False),
        ("lt", True, False, False, False),
        ("lte", True, True, False, False),
        ("eq", False, True, False, False),
        ("ne", True, False, True, True),
    ],
)
def test_having(comparison: Any, below: bool, equal: bool, above: bool, null: bool) -> None:
    having = Having(0, comparison, 2)
    assert [fulfils(value, having) for value in (1, 2.0, 3, None)] == [below, equal, above, null]


@pytest.mark.parametrize(
    ("name", "values", "result"),
    [
        ("variance_samp", [1, 3], 2.0),
        ("variance_samp", [1], None),
        ("variance", [1, 3], 1.0),
        ("stddev_samp", [1, 1, 4, 4], 3**0.5),
        ("stddev", [1, 3], 1.0),
        ("stddev_samp", [5, "x"], None),
    ],
)
def test_samples(name: str, values: list[Any], result: float | None) -> None:
    accumulator = BY_NAME[name](("n",)).accumulator()
    for value in values:
        accumulator.add(value)
    assert accumulator.result() == (None if result is None else pytest.approx(result, rel=1e-15))
