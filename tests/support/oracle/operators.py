"""Single tests of one value against one operand; arrays and paths are the business of `filters`."""

from __future__ import annotations

import operator
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Final

import re2

from .values import (
    MISSING,
    Instant,
    Json,
    OracleRefusal,
    canon,
    fold,
    fold_all,
    is_nothing,
    is_number,
    parse_date,
)

ORDERS: Final[dict[str, Callable[[Json, Json], bool]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def equal(value: Json, operand: Json, *, dates: bool = False, folded: bool = False) -> bool:
    """Typed equality; null is also what is missing. On date fields two spellings of one instant are equal."""
    if operand is None:
        return is_nothing(value)
    if value is MISSING:
        return False
    if dates:
        return parse_date(value) == date_operand(operand)
    if folded:
        value, operand = fold_all(value), fold_all(operand)
    return canon(value) == canon(operand)


def date_operand(operand: Json) -> Instant:
    """Contract: operands of comparisons with a date field "may have any form of ISO-8601; what is none is a 422".

    Of the forms, the oracle's data have those that are dates in objects, too, in either case.
    """
    instant = parse_date(operand.upper()) if isinstance(operand, str) else None
    if instant is None:
        raise OracleRefusal(f"no date: {operand}")
    return instant


def ordered(value: Json, name: str, operand: Json, *, dates: bool = False, folded: bool = False) -> bool:
    """A range: within one type only; ISO dates by instant, other strings by code point (decided).

    Objects compare with objects and arrays with arrays as BSON does, texts inside of them as texts.
    """
    if dates and operand is not None:
        instant = parse_date(value)
        return instant is not None and ORDERS[name](instant, date_operand(operand))
    if isinstance(operand, dict | list):
        if isinstance(operand, dict) and any(key.startswith("$") for key in operand):
            raise OracleRefusal("operators are not applied inside an operand")
        if type(value) is not type(operand):
            return False
        return ORDERS[name](*(canon(fold_all(each) if folded else each) for each in (value, operand)))
    if operand is None:
        return name in ("gte", "lte") and is_nothing(value)
    compare = ORDERS[name]
    if is_number(operand):
        return is_number(value) and compare(value, operand)
    if isinstance(operand, bool):
        return isinstance(value, bool) and compare(value, operand)
    if not isinstance(value, str):
        return False
    mine, theirs = parse_date(value), parse_date(operand)
    if mine is not None and theirs is not None:
        return compare(mine, theirs)
    return compare(fold(value), fold(operand)) if folded else compare(value, operand)


def searched(value: Json, pattern: Json, flags: str = "", *, folded: bool = False) -> bool:
    """An RE2 search, unanchored, in a string.

    Folded, pattern and string are taken in NFC and case is ignored as RE2 does: a pattern has no folded form.
    """
    if not isinstance(pattern, str) or set(flags) - set("ims"):
        raise OracleRefusal("a regular expression is a string, its options are i, m and s")
    if folded:
        flags += "i"
        pattern = unicodedata.normalize("NFC", pattern)
        value = unicodedata.normalize("NFC", value) if isinstance(value, str) else value
    try:
        compiled = re2.compile((f"(?{flags})" if flags else "") + pattern)
    except re2.error as broken:
        raise OracleRefusal(f"no RE2 expression: {pattern}") from broken
    return isinstance(value, str) and bool(compiled.search(value))


def within(value: Json, operand: Json, how: str, *, folded: bool = False) -> bool:
    """`contains`, `starts_with` or `ends_with` of one string in another; nothing else matches."""
    if not isinstance(value, str) or not isinstance(operand, str):
        return False
    whole, piece = (fold(value), fold(operand)) if folded else (value, operand)
    if how == "starts_with":
        return whole.startswith(piece)
    return whole.endswith(piece) if how == "ends_with" else piece in whole


def words_of(text: str, folded: bool) -> list[str]:
    """The runs of letters, digits and underscores of a text."""
    return re.findall(r"\w+", fold(text) if folded else text)


def has_words(value: Json, operand: Json, *, folded: bool, in_order: bool) -> bool:
    """`words`: "every word of the value as a whole word"; `phrase`: the words in that order, side by side."""
    if not isinstance(value, str) or not isinstance(operand, str):
        return False
    wanted, there = words_of(operand, folded), words_of(value, folded)
    if in_order:
        return any(there[start : start + len(wanted)] == wanted for start in range(len(there) + 1))
    return all(word in there for word in wanted)


def operand_list(operand: Json, name: str) -> Sequence[Json]:
    """The operand of `in`, `nin` and `all` is a list."""
    if not isinstance(operand, list):
        raise OracleRefusal(f"{name} takes a list")
    return operand
