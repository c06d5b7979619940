"""How a scalar is indexed: which leaf holds it, and which term stands for it."""

import hashlib
from typing import Final, Literal

from service.fields import LENGTHY, SAFE_INTEGER

LONG_MIN: Final = -(2**63)
LONG_MAX: Final = 2**63 - 1

_PREFIX: Final = 1_000
_SURELY_SHORT: Final = LENGTHY // 4
"""Characters that are below the limit at any number of bytes each."""


def number_leaf(value: int | float, primary_type: str | None) -> Literal["double", "long"]:
    """The one leaf that holds a number exactly; equal numbers (2024 and 2024.0) have the same one.

    If a path's primary type is long (its first number was beyond 2^53), it holds integers and double the rest;
    otherwise double holds all that it represents exactly and long the larger integers.
    """
    integral = isinstance(value, int) or value.is_integer()
    if primary_type == "long":
        return "long" if integral and LONG_MIN <= value <= LONG_MAX else "double"
    if integral and abs(value) > SAFE_INTEGER and LONG_MIN <= value <= LONG_MAX:
        return "long"
    return "double"


def is_long(value: str) -> bool:
    return len(value) > LENGTHY or (len(value) * 4 > LENGTHY and len(value.encode()) > LENGTHY)


def string_term(value: str) -> str:
    """The keyword for a string: itself, or for a long one its beginning and its SHA-256."""
    if len(value) < _SURELY_SHORT or not is_long(value):
        return value
    return f"{value[:_PREFIX]}…sha256:{hashlib.sha256(value.encode()).hexdigest()}"
