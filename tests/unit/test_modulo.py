"""$mod: what it means, and what of it OpenSearch can decide (MongoDB's manual)."""

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.conditions.modulo import Modulo
from service.fields import Fields

PATH = ("metadata", "n")
LONG = 2**63


def found(value: Any, divisor: int, remainder: int) -> bool:
    return Modulo(PATH, divisor, remainder).test({"metadata": {"n": value}})


@pytest.mark.parametrize(
    ("value", "divisor", "remainder", "expected"),
    [
        (4, 2, 0, True),
        (5, 2, 0, False),
        (-5, 2, -1, True),
        (-5, 2, 1, False),
        (5, -2, 1, True),
        (5.9, 5, 0, True),
        (-0.5, 5, 0, True),
        (2**62 + 1, 2, 1, True),
        (1e300, 2, 0, True),
        ([1, 2], 2, 0, True),
        ([[2]], 2, 0, False),
        ("4", 2, 0, False),
        (True, 2, 1, False),
        (None, 2, 0, False),
    ],
)
def test_the_remainder_has_the_numbers_sign(value: Any, divisor: int, remainder: int, expected: bool) -> None:
    assert found(value, divisor, remainder) is expected


@given(
    st.integers(-LONG, LONG - 1) | st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-LONG, LONG - 1).filter(bool),
)
def test_it_is_what_is_left_of_the_whole_part(value: float, divisor: int) -> None:
    whole = math.trunc(value)
    left = whole - divisor * math.trunc(Fraction(whole, divisor))
    assert found(value, divisor, left)
    assert not found(value, divisor, left + 1)


def test_a_divisor_that_no_double_is_only_narrows() -> None:
    fields = Fields({"metadata.n": ("double", ("double",), 0)})
    assert Modulo(PATH, 2**53, 1).compile(fields).exact
    assert not Modulo(PATH, 2**53 + 1, 1).compile(fields).exact
    assert Modulo(PATH, 2**53 + 1, 1).compile(Fields({"metadata.n": ("long", ("long",), 0)})).exact
