"""$and, $or, $nor, $not: combined conditions."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from service.conditions.base import Clause, Condition, Use, all_of, any_of, none_of
from service.fields import Fields
from service.values import Json


@dataclass(frozen=True)
class And:
    """All are true; true if empty."""

    conditions: tuple[Condition, ...]

    def compile(self, fields: Fields) -> Clause:
        return all_of([condition.compile(fields) for condition in self.conditions])

    def test(self, value: Json) -> bool:
        return all(condition.test(value) for condition in self.conditions)

    def uses(self) -> Iterable[Use]:
        return chain.from_iterable(condition.uses() for condition in self.conditions)


@dataclass(frozen=True)
class Or:
    """At least one is true; false if empty."""

    conditions: tuple[Condition, ...]

    def compile(self, fields: Fields) -> Clause:
        return any_of([condition.compile(fields) for condition in self.conditions])

    def test(self, value: Json) -> bool:
        return any(condition.test(value) for condition in self.conditions)

    def uses(self) -> Iterable[Use]:
        return chain.from_iterable(condition.uses() for condition in self.conditions)


@dataclass(frozen=True)
class Not:
    """The condition is not true; so it matches objects without the field."""

    condition: Condition

    def compile(self, fields: Fields) -> Clause:
        return none_of(self.condition.compile(fields))

    def test(self, value: Json) -> bool:
        return not self.condition.test(value)

    def uses(self) -> Iterable[Use]:
        return self.condition.uses()


def leaves(condition: Condition, negated: bool = False) -> Iterator[tuple[Condition, bool]]:
    """The leaf conditions, each with whether it is negated."""
    match condition:
        case And(conditions) | Or(conditions):
            for each in conditions:
                yield from leaves(each, negated)
        case Not(inner):
            yield from leaves(inner, not negated)
        case _:
            yield condition, negated


ALWAYS = And(())
