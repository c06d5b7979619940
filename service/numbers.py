"""Numbers as JSON, doubles and decimals: rounding and spelling of exact results, and decimal input values."""

import math
import sys
from fractions import Fraction
from functools import lru_cache
from typing import Final

import msgspec

from service.values import IN_FULL, number

LARGEST: Final = sys.float_info.max
"""The largest double."""


def spelled(value: int | float) -> str:
    """The shortest JSON form: `10`, `0.1`, `1e21`."""
    value = number(value)
    if isinstance(value, float):
        return msgspec.json.encode(value).decode()
    text = str(value)
    if -IN_FULL < value < IN_FULL:
        return text
    sign, digits = text[: value < 0], text[value < 0 :].rstrip("0")
    fraction = f".{digits[1:]}" if digits[1:] else ""
    return min(text, f"{sign}{digits[0]}{fraction}e{len(text) - len(sign) - 1}", key=len)


def nearest(exact: Fraction) -> int | float:
    """The double nearest to a number; beyond the range of doubles the nearest integer, which is closer.

    JSON numbers are unlimited, and JSON has no infinity.
    """
    try:
        return float(exact)
    except OverflowError:
        return round(exact)


def rounded(exact: Fraction, *, integers: bool = False) -> int | float:
    """An exact result as a JSON number: an integer with all digits, a fraction rounded once.

    An integral result from 1e21 on that is a double is rendered as one, unless it derives from integers only.
    """
    if exact.denominator != 1:
        return nearest(exact)
    if integers or -IN_FULL < exact < IN_FULL:
        return exact.numerator
    double = nearest(exact)
    return double if double == exact else exact.numerator


@lru_cache(maxsize=4_096, typed=True)
def as_sent(value: int | float) -> Fraction:
    """The decimal number that was sent: 0.1 is one tenth, not the nearby double."""
    return Fraction(value) if isinstance(value, int) else Fraction(repr(value))


def ceiling_double(exact: Fraction) -> float:
    """The least double whose shortest form is not below a decimal number; infinite beyond the range.

    Doubles sort like their shortest forms, so `x >= ceiling_double(d)` and `as_sent(x) >= d` are equivalent.
    """
    double = nearest(exact)
    if isinstance(double, int):
        return math.inf if double > 0 else -math.inf
    return double if as_sent(double) >= exact else math.nextafter(double, math.inf)
