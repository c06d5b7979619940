"""Conditions on a name that may refer to two paths, or to a computed number."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from service.conditions.base import MATCH_ALL, Clause, Condition, Use, all_of, any_of, none_of
from service.conditions.existence import Exists
from service.fields import Fields
from service.paths import Path
from service.values import Json


@dataclass(frozen=True)
class Lookup:
    """On the root field if the object has it, else on that path under `metadata` (contract, List filters)."""

    root: Path
    """The first step, which decides between the two."""
    here: Condition
    below: Condition

    def compile(self, fields: Fields) -> Clause:
        if not fields.get(self.root).traits:
            return self.below.compile(fields)
        there = Exists(self.root).compile(fields)
        return any_of(
            [
                all_of([there, self.here.compile(fields)]),
                all_of([none_of(there), self.below.compile(fields)]),
            ]
        )

    def test(self, value: Json) -> bool:
        return self.here.test(value) if self.root[0] in value else self.below.test(value)

    def uses(self) -> Iterable[Use]:
        for here, below in zip(self.here.uses(), self.below.uses(), strict=True):
            yield replace(here, paths=(*here.paths, *below.paths))


@dataclass(frozen=True)
class ComputedCondition:
    """On a number that is counted on read, so that it is not indexed."""

    condition: Condition

    def compile(self, fields: Fields) -> Clause:
        return Clause(MATCH_ALL, exact=False)

    def test(self, value: Json) -> bool:
        return self.condition.test(value)

    def uses(self) -> Iterable[Use]:
        return self.condition.uses()
