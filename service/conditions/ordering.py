"""$gt, $gte, $lt, $lte: comparison within one type; objects and arrays in BSON order."""

import math
import operator
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

from service import dsl
from service.conditions.base import MATCH_ALL, Clause, Query, Use, any_of, types_of, undated
from service.conditions.existence import alike
from service.fields import Field, Fields
from service.paths import Path, candidates
from service.tokens import LONG_MAX, LONG_MIN
from service.values import Json, case_fold, case_fold_all, index_date, is_number, order, parse_date

_BEGINNING: Final = re.compile(r"\d{4}(-(0[1-9]|1[0-2]))?", re.ASCII)

Comparator = Literal["gt", "gte", "lt", "lte"]

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


@dataclass(frozen=True)
class Compare:
    """A value of the operand's type at the path, or an element of an array there, compares with the operand.

    A date operand compares with dates by instant and with other strings as text; inside objects and arrays, as text.
    """

    path: Path
    comparator: Comparator
    value: int | float | str | bool | list[Json] | dict[str, Json]
    folded: bool = False
    """Case does not count (list form)."""

    def compile(self, fields: Fields) -> Clause:
        field = fields.get(self.path)
        if isinstance(self.value, dict | list):
            return alike(field, self.value)
        if isinstance(self.value, bool):
            return self._booleans(field, self.value)
        if isinstance(self.value, str):
            return self._strings(field, self.value, "array" in field.traits)
        return any_of(
            [
                Clause(dsl.in_range(name, **bound))
                for leaf, name in field.leaves.items()
                if leaf in ("double", "long") and (bound := number_bound(self.comparator, self.value, leaf)) is not None
            ]
        )

    def _booleans(self, field: Field, value: bool) -> Clause:
        wanted = [candidate for candidate in (False, True) if COMPARE[self.comparator](candidate, value)]
        name = field.leaves.get("boolean")
        return any_of([Clause(dsl.term(name, candidate)) for candidate in wanted] if name else [])

    def _strings(self, field: Field, value: str, array: bool) -> Clause:
        clauses: list[Clause] = []
        millis = parse_date(value)
        if field.primary_type == "date" and millis is None:
            return Clause(MATCH_ALL, exact=False)
        if millis is not None and field.dates:
            clauses.append(Clause(dsl.in_range(field.dates, **{self.comparator: index_date(millis)})))
        keyword = field.leaves.get("keyword")
        if keyword and self.folded and (millis is None or field.traits & {"text", "lengthy"}):
            clauses.append(self._folded(field, keyword, case_fold(value)))
        elif keyword and (millis is None or field.traits & {"text", "lengthy"}):
            query: Query = dsl.in_range(keyword, **{self.comparator: value})
            exact = "lengthy" not in field.traits
            if not exact:
                query = dsl.exists(keyword)
            elif millis is not None and field.dates:
                if array:
                    exact = False
                else:
                    query = dsl.filtered(query, without=[dsl.exists(field.dates)])
            clauses.append(Clause(query, exact))
        return any_of(clauses)

    def _folded(self, field: Field, keyword: str, folded: str) -> Clause:
        """The order of folded forms; exact if each object has one string that is not a date."""
        if not field.folds or field.traits & {"lengthy", "date", "array"}:
            return Clause(dsl.exists(keyword), exact=False)
        plain: Query = dsl.in_range(keyword, **{self.comparator: folded})
        if "cased" not in field.traits:
            return Clause(plain)
        companion = field.leaf("fold")
        unchanged: Query = dsl.filtered(plain, without=[dsl.exists(companion)])
        return any_of([Clause(unchanged), Clause(dsl.in_range(companion, **{self.comparator: folded}))])

    def test(self, value: Json) -> bool:
        return any(map(self._meets, candidates(value, self.path)))

    def uses(self) -> Iterable[Use]:
        beginning = isinstance(self.value, str) and is_beginning(self.value)
        texts = () if beginning else undated([self.value], self.folded)
        yield Use((self.path,), types_of([self.value]), texts, ordered=True)

    def _meets(self, end: Json) -> bool:
        compare = COMPARE[self.comparator]
        if isinstance(self.value, bool):
            return isinstance(end, bool) and compare(end, self.value)
        if isinstance(self.value, str):
            if not isinstance(end, str):
                return False
            mine = parse_date(self.value)
            theirs = parse_date(end) if mine is not None else None
            if theirs is not None:
                return compare(theirs, mine)
            return compare(case_fold(end), case_fold(self.value)) if self.folded else compare(end, self.value)
        if isinstance(self.value, dict | list):
            return isinstance(end, type(self.value)) and compare(self._sort_key(end), self._own_sort_key)
        return is_number(end) and compare(end, self.value)

    def _sort_key(self, value: Json) -> tuple[Any, ...]:
        return order(case_fold_all(value) if self.folded else value)

    @cached_property
    def _own_sort_key(self) -> tuple[Any, ...]:
        return self._sort_key(self.value)


def is_beginning(text: str) -> bool:
    """Whether it is a year or a month, which as text sorts before all dates in it and after all earlier ones."""
    return _BEGINNING.fullmatch(text) is not None


def number_bound(comparator: str, value: int | float, leaf: str) -> dict[str, int | float] | None:
    """The equivalent bound for a leaf's number type, unaffected by rounding. None: no number can fulfil it.

    An integer leaf is bounded by the next integer; a double leaf by the next double if the operand (an integer beyond
    2^53) is not a double.
    """
    lower = comparator in ("gt", "gte")
    if leaf == "long":
        limit = math.ceil(value) if lower else math.floor(value)
        if lower and comparator == "gt" and limit == value:
            limit += 1
        if not lower and comparator == "lt" and limit == value:
            limit -= 1
        if limit > LONG_MAX:
            return None if lower else {"lte": LONG_MAX}
        if limit < LONG_MIN:
            return {"gte": LONG_MIN} if lower else None
        return {"gte" if lower else "lte": limit}
    try:
        # -0.0 + 0.0 is 0.0: a bound of -0.0 would exclude 0.
        double = float(value) + 0.0
    except OverflowError:
        double = math.inf if value > 0 else -math.inf
    if math.isinf(double):
        return {"gte": -sys.float_info.max} if lower != (double > 0) else None
    if double == value:
        return {comparator: double}
    if lower:
        return {"gte": double if double > value else math.nextafter(double, math.inf)}
    return {"lte": double if double < value else math.nextafter(double, -math.inf)}
