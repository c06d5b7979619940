"""Shared by both forms of filters: limits, checked operands, and conditions on one path."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from service import paths
from service.conditions import regex
from service.conditions.base import Condition
from service.conditions.equality import Equals
from service.conditions.logic import Or
from service.conditions.ordering import Comparator, Compare
from service.conditions.text import Regex
from service.dialects.flat.dates import date_operands
from service.errors import Invalid, Location
from service.paths import Path
from service.values import Json

Instant = Callable[[Path], bool]

_ANY_CASE: Final = ("status",)
"""The service's own field whose values are stored in upper case and documented in lower case."""


@dataclass(frozen=True)
class ConditionTarget:
    """The path that a condition applies to."""

    path: Path
    """From the object or, inside `$elemMatch`, from the element, where empty means the element itself."""
    whole: Path
    """Always from the object."""
    folded: bool = False
    """Case does not count."""

    @classmethod
    def of(cls, path: Path, folded: bool = False) -> "ConditionTarget":
        """A path from the object."""
        return cls(path, path, folded or path == _ANY_CASE)

    def inside(self, path: Path) -> "ConditionTarget":
        """A path from an element of the array at this target."""
        return ConditionTarget(path, (*self.whole, *path), self.folded)


@dataclass
class FilterLimits:
    """Rejects filters that are nested too deep or have too many conditions."""

    depth: int = 20
    conditions: int = 1_000
    count: int = 0

    def within(self, at: Location, depth: int) -> None:
        if depth > self.depth:
            raise Invalid.at(at[:8], f"filters are nested at most {self.depth} deep", "too_deep")

    def add(self, at: Location, more: int = 1) -> None:
        self.count += more
        if self.count > self.conditions:
            raise Invalid.at(at[:8], f"filters have at most {self.conditions} conditions", "too_many")


@dataclass(frozen=True)
class Builder:
    """Builds the conditions common to both forms. `instant` identifies date fields."""

    instant: Instant

    def equals(self, target: ConditionTarget, operands: tuple[Json, ...], at: Location) -> Equals:
        """Equal to one of the operands, whose location is `at`."""
        instant = self.instant(target.whole)
        if instant:
            operands = date_operands(target.whole, operands, at)
        return Equals(target.path, operands, instant, target.folded)

    def compare(self, target: ConditionTarget, comparator: Comparator, operand: Json, at: Location) -> Condition:
        if operand is None:
            return self.equals(target, (None,), at) if comparator in ("gte", "lte") else Or(())
        if self.instant(target.whole):
            (operand,) = date_operands(target.whole, (operand,), at)
        return Compare(target.path, comparator, operand, target.folded)

    def regex(self, target: ConditionTarget, pattern: str, flags: str, at: Location) -> Regex:
        try:
            regex.check(pattern, flags)
        except ValueError as error:
            raise Invalid.at(at, str(error), "regular_expression") from None
        return Regex(target.path, pattern, target.folded, flags)


def path_of(name: str, at: Location) -> Path:
    try:
        return paths.parse(name)
    except ValueError as error:
        raise Invalid.at(at, str(error), "path") from None


def list_of(value: Json, name: str, at: Location) -> list[Json]:
    if not isinstance(value, list):
        raise Invalid.at(at, f"{name} takes an array, not {kind_of(value)}", "list_type")
    return value


def string_of(value: Json, name: str, at: Location) -> str:
    if not isinstance(value, str):
        raise Invalid.at(at, f"{name} takes a string, not {kind_of(value)}", "string_type")
    return value


def boolean_of(value: Json, name: str, at: Location) -> bool:
    if not isinstance(value, bool):
        raise Invalid.at(at, f"{name} takes true or false, not {kind_of(value)}", "bool_type")
    return value


def kind_of(value: Json) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
