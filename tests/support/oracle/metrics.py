"""The functions of an AggregationOperation, exact: sums in ints and fractions, rounded once at the end."""

from __future__ import annotations

import decimal
import math
from collections.abc import Sequence
from fractions import Fraction

from .paths import look_up, split
from .values import MISSING, Canon, Json, OracleRefusal, canon, is_nothing, is_number, narrow, parse_date


def numbers_in(values: Sequence[Json]) -> list[int | float]:
    """`sum` and `avg` "ignore what is not a number, as MongoDB does" (contract, Meaning)."""
    return [value for value in values if is_number(value)]


def total(values: Sequence[Json]) -> int | float:
    """The sum: an int while every number is one; 0 of nothing."""
    numbers = numbers_in(values)
    exact = sum(map(Fraction, numbers), Fraction(0))
    return exact.numerator if all(isinstance(number, int) for number in numbers) else float(exact)


def mean(values: Sequence[Json]) -> float | None:
    """The average of the numbers; null of nothing."""
    numbers = numbers_in(values)
    return float(sum(map(Fraction, numbers), Fraction(0)) / len(numbers)) if numbers else None


def extreme(values: Sequence[Json], largest: bool) -> Json:
    """`min` or `max`: "numbers or dates; other types are ignored"; a number is below any date, as in BSON."""
    dated = [value if is_number(value) else parse_date(value) for value in values]
    usable = [value for value in dated if value is not None]
    if not usable:
        return None
    return max(usable, key=canon) if largest else min(usable, key=canon)


def percentile(values: Sequence[Json], percent: float) -> int | float | None:
    """`percent` 0 to 100 of the numbers, with linear interpolation between neighbours."""
    numbers = sorted(map(Fraction, numbers_in(values)))
    if not numbers:
        return None
    place = Fraction(percent) / 100 * (len(numbers) - 1)
    below = math.floor(place)
    above = min(below + 1, len(numbers) - 1)
    return narrow(numbers[below] + (numbers[above] - numbers[below]) * (place - below))


def variance(values: Sequence[Json], sample: bool) -> int | float | None:
    """The variance of the numbers: of a population, or of a sample, which needs two of them."""
    exact = _squared(values, sample)
    if exact is None:
        return None
    try:
        return float(exact)
    except OverflowError:
        return round(exact)


def deviation(values: Sequence[Json], sample: bool) -> float | None:
    """The standard deviation: the root of the variance, which may itself be beyond every double."""
    exact = _squared(values, sample)
    if exact is None:
        return None
    try:
        return math.sqrt(float(exact))
    except OverflowError:
        with decimal.localcontext(prec=60):
            return float((decimal.Decimal(exact.numerator) / decimal.Decimal(exact.denominator)).sqrt())


def _squared(values: Sequence[Json], sample: bool) -> Fraction | None:
    numbers = [Fraction(number) for number in numbers_in(values)]
    degrees = len(numbers) - (1 if sample else 0)
    if degrees < 1:
        return None
    middle = sum(numbers, Fraction(0)) / len(numbers)
    return sum(((number - middle) ** 2 for number in numbers), Fraction(0)) / degrees


def distinct(values: Sequence[Json]) -> list[Json]:
    """One of each value, ascending in BSON order (decided, so that `add_to_set` is deterministic)."""
    found: dict[Canon, Json] = {}
    for value in values:
        found.setdefault(canon(value), value)
    return [found[key] for key in sorted(found)]


def compute(operation: Json, rows: Sequence[Json]) -> Json:
    """One metric over the rows of one group, in order of arrival."""
    function = operation["function"]
    field = operation.get("field")
    if function == "count":
        return len(rows) if field is None else sum(not is_nothing(look_up(row, split(field))) for row in rows)
    if function == "count_distinct":
        field = operation.get("distinct_field") or field
    if not isinstance(field, str):
        raise OracleRefusal(f"{function} needs a field")
    names = split(field)
    values = [look_up(row, names) for row in rows]
    present = [value for value in values if value is not MISSING]
    match function:
        case "count_distinct":
            return len(distinct([value for value in present if not is_nothing(value)]))
        case "sum":
            return total(values)
        case "avg":
            return mean(values)
        case "min" | "max":
            return extreme(values, function == "max")
        case "first" | "last":
            edge = values[0 if function == "first" else -1]
            return None if edge is MISSING else edge
        case "push":
            return present
        case "add_to_set":
            return distinct(present)
        case "median":
            return percentile(values, 50)
        case "percentile":
            return percentile(values, operation["percent"])
        case "variance" | "variance_samp":
            return variance(values, function.endswith("_samp"))
        case "stddev" | "stddev_samp":
            return deviation(values, function.endswith("_samp"))
    raise OracleRefusal(f"unknown function {function}")
