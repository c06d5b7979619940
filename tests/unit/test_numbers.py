"""Rounding, spelling, decimals, and sliding windows."""

import math
import random
import struct
from fractions import Fraction
from typing import Any

import pytest

from service.dialects.tree.moving import FUNCTIONS
from service.numbers import as_sent, ceiling_double, nearest, rounded, spelled
from service.values import number

LARGEST = 1.7976931348623157e308


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (10.0, "10"), (-0.0, "0"), (0.1, "0.1"), (1e-7, "1e-7"), (2**63, "9223372036854775808"),
        (1e20, "100000000000000000000"), (1e21, "1e21"), (-1.5e300, "-1.5e300"), (5e-324, "5e-324"), (10**21, "1e21"),
        (-(10**400), "-1e400"), (10**21 + 1, "1000000000000000000001"), (123 * 10**30, "1.23e32"),
    ],
)  # fmt: skip
def test_spelled(value: float, text: str) -> None:
    assert spelled(value) == text


def test_integral_doubles_are_integers_below_1e21() -> None:
    assert [type(number(value)) for value in (2024.0, -1e20, 1e21, -1e21, 0.5)] == [int, int, float, float, float]


@pytest.mark.parametrize(
    ("exact", "integers", "result"),
    [
        (Fraction(7), True, 7), (Fraction(1, 3), False, 1 / 3), (Fraction(2**80), True, 2**80),
        (Fraction(2**80), False, float(2**80)), (Fraction(10**22 + 1), False, 10**22 + 1),
        (2 * Fraction(1e308), False, 2 * int(1e308)), (2 * Fraction(1e308) + Fraction(1, 3), False, 2 * int(1e308)),
        (Fraction(LARGEST), False, LARGEST), (Fraction(1, 10**400), False, 0.0),
    ],
)  # fmt: skip
def test_rounded(exact: Fraction, integers: bool, result: float) -> None:
    found = rounded(exact, integers=integers)
    assert (found, type(found)) == (result, type(result))


def test_decimals_and_doubles_have_the_same_order() -> None:
    assert as_sent(0.1) * 3 == as_sent(0.3)
    assert as_sent(2**53 + 1) == 2**53 + 1
    rng = random.Random(5)
    for _ in range(2_000):
        double = struct.unpack("d", rng.randbytes(8))[0]
        if not math.isfinite(double):
            continue
        near = math.nextafter(double, math.inf)
        exact = as_sent(double)
        assert ceiling_double(exact) == double
        if math.isfinite(near):
            assert ceiling_double((exact + as_sent(near)) / 2) == near
            assert ceiling_double(exact + (as_sent(near) - exact) / 10**9) == near


def test_no_double_is_beyond_the_largest() -> None:
    assert ceiling_double(Fraction(10**400)) == math.inf
    assert ceiling_double(-Fraction(10**400)) == -math.inf
    assert nearest(Fraction(10**400)) == 10**400


def whole(function: str, values: list[Any]) -> Any:
    exact = [Fraction(value) for value in values]
    weights = range(1, len(values) + 1)
    match function:
        case "max" | "min":
            return {"max": max, "min": min}[function](exact)
        case "sum":
            return sum(exact)
        case "unweightedAvg":
            return sum(exact) / len(exact)
    return sum(weight * value for weight, value in zip(weights, exact, strict=True)) / sum(weights)


@pytest.mark.parametrize("function", ["max", "min", "sum", "unweightedAvg", "linearWeightedAvg"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
def test_a_window_slides(function: str, size: int) -> None:
    """As if it was computed anew at each place."""
    rng = random.Random(size)
    series = [rng.choice((rng.randint(-5, 5), rng.uniform(-1, 1), 1e308, -1e308, 0.1, 2**60)) for _ in range(60)]
    window = FUNCTIONS[f"MovingFunctions.{function}"](size)
    for place, value in enumerate(series):
        expected = whole(function, series[max(0, place - size + 1) : place + 1])
        assert window.moved(value) in (nearest(expected), rounded(expected))
