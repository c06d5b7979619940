"""Comparing rows: what the oracle expects against what a service answered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from .values import Json, is_number

ROUNDED: Final = frozenset(
    ("avg", "percentile", "stddev", "stddev_samp", "variance", "variance_samp"),
)
"""The functions whose floats may differ in the last digits; everything else is compared exactly."""


def same(expected: Sequence[Json], got: Sequence[Json], spec: Json) -> str | None:
    """None if the rows are the same, in the same order; otherwise the first difference, to be read by people.

    A bool is no int, ints are exact, 3 equals 3.0; only the floats of `ROUNDED` functions have a tolerance.
    """
    rounded = {entry["alias"] for entry in spec["aggregations"] if entry["function"] in ROUNDED}
    for number, (mine, theirs) in enumerate(zip(expected, got, strict=False)):
        if not isinstance(theirs, dict):
            return f"row {number}: not an object: {theirs!r}"
        for part in ("group", "metrics"):
            wanted, found = mine[part], theirs.get(part)
            if not isinstance(found, dict) or set(wanted) != set(found):
                return f"row {number}: {part} should have the names of {wanted!r}, got {found!r}"
            for alias, value in wanted.items():
                tolerant = part == "metrics" and alias in rounded
                difference = _difference(value, found[alias], tolerant)
                if difference:
                    return f"row {number}, {part}.{alias}: {difference} (expected row {mine!r}, got {theirs!r})"
    if len(expected) != len(got):
        longer, who = (expected, "missing") if len(expected) > len(got) else (got, "surplus")
        first = min(len(expected), len(got))
        return f"{len(expected)} rows expected, got {len(got)}; first {who}: {longer[first]!r}"
    return None


def _difference(wanted: Json, found: Json, tolerant: bool) -> str | None:
    if is_number(wanted) and is_number(found):
        close = tolerant and math.isclose(wanted, found, rel_tol=1e-9, abs_tol=1e-12)
        return None if wanted == found or close else f"expected {wanted!r}, got {found!r}"
    if type(wanted) is not type(found):
        return f"expected {wanted!r}, got {found!r}"
    if isinstance(wanted, list):
        if len(wanted) != len(found):
            return f"expected {len(wanted)} elements {wanted!r}, got {len(found)} {found!r}"
        pairs = [(f"[{place}]", *pair) for place, pair in enumerate(zip(wanted, found, strict=True))]
    elif isinstance(wanted, dict):
        if set(wanted) != set(found):
            return f"expected the keys {sorted(wanted)}, got {sorted(found)}"
        pairs = [(f".{key}", wanted[key], found[key]) for key in wanted]
    else:
        return None if wanted == found else f"expected {wanted!r}, got {found!r}"
    for where, one, other in pairs:
        inner = _difference(one, other, tolerant)
        if inner:
            return f"{where}: {inner}"
    return None
