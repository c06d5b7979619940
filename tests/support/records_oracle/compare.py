"""Comparing answers: what the oracle expects against what a service answered."""

from __future__ import annotations

import math
from typing import Final

from .properties import Json, is_number

ROUNDED: Final = frozenset(("avg", "fnValue"))
"""The results that may differ in the last digits; so may a `sum` of floats."""


def same(expected: Json, got: Json, where: str = "aggregates") -> str | None:
    """None if the answers are the same; otherwise the first difference, to be read by people.

    A boolean is no number and 3 equals 3.0. Lists are ordered, the keys of objects are not.
    """
    if is_number(expected) and is_number(got):
        return None if _equal(expected, got, where.rpartition(".")[2]) else f"{where}: expected {expected}, got {got}"
    if type(expected) is not type(got):
        return f"{where}: expected {expected!r}, got {got!r}"
    if isinstance(expected, dict):
        if set(expected) != set(got):
            return f"{where}: expected the keys {sorted(expected)}, got {sorted(got)}"
        pairs = [(f"{where}.{key}", expected[key], got[key]) for key in expected]
    elif isinstance(expected, list):
        pairs = [(f"{where}[{place}]", *pair) for place, pair in enumerate(zip(expected, got, strict=False))]
    else:
        return None if expected == got else f"{where}: expected {expected!r}, got {got!r}"
    for inner, one, other in pairs:
        difference = same(one, other, inner)
        if difference:
            return difference
    if isinstance(expected, list) and len(expected) != len(got):
        return f"{where}: {len(expected)} buckets expected, got {len(got)}"
    return None


def _equal(expected: Json, got: Json, key: str) -> bool:
    """Integers are exact; a sum beyond 64 bits may be a double, which is the nearest that some JSON says."""
    if expected == got:
        return True
    beyond = isinstance(expected, int) and not -(2**63) <= expected < 2**64 and isinstance(got, float)
    tolerant = key in ROUNDED or (key == "sum" and (isinstance(expected, float) or beyond))
    return tolerant and math.isclose(expected, got, rel_tol=1e-9, abs_tol=1e-9)
