"""$mod: numbers by their remainder."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from service import dsl
from service.conditions.base import Clause, Query, Use, any_of
from service.fields import SAFE_INTEGER, Fields
from service.paths import Path, candidates
from service.values import Json, is_number

_SCRIPTS: Final = {
    "long": "for (v in doc[params.f]) { if (v % params.d == params.r) return true; } return false",
    # A remainder of doubles is exact; as in MongoDB, fractions are truncated first.
    "double": "for (v in doc[params.f]) { double whole = v < 0 ? Math.ceil(v) : Math.floor(v); "
    "if (whole % params.d == params.r) return true; } return false",
}


@dataclass(frozen=True)
class Modulo:
    """A number that leaves this remainder when divided; the remainder has the number's sign."""

    path: Path
    divisor: int
    remainder: int

    def compile(self, fields: Fields) -> Clause:
        leaves = fields.get(self.path).leaves
        clauses = []
        for leaf in ("long", "double"):
            if leaf in leaves:
                number = int if leaf == "long" else float
                params = {"f": leaves[leaf], "d": number(self.divisor), "r": number(self.remainder)}
                exact = leaf == "long" or max(abs(self.divisor), abs(self.remainder)) <= SAFE_INTEGER
                query: Query = dsl.exists(leaves[leaf])
                if exact:
                    script = {"script": {"script": {"source": _SCRIPTS[leaf], "params": params}}}
                    query = dsl.filtered(query, script)
                clauses.append(Clause(query, exact))
        return any_of(clauses)

    def test(self, value: Json) -> bool:
        return any(is_number(each) and self._leaves(each) for each in candidates(value, self.path))

    def uses(self) -> Iterable[Use]:
        yield Use((self.path,), frozenset({"number"}))

    def _leaves(self, number: int | float) -> bool:
        whole = math.trunc(number)
        return abs(whole) % abs(self.divisor) * (-1 if whole < 0 else 1) == self.remainder
