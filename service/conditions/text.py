"""Operators on strings: $regex, $contains, $startsWith, $endsWith, $text, and words and phrase of the list form."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from service.conditions import regex
from service.conditions.base import MATCH_NONE, Clause, Query
from service.fields import Field, Fields
from service.paths import Path, ends
from service.values import MISSING, Json, fold, identity

MAX_WILDCARD = 100
"""Characters; the automaton of `*text*` takes up to their square in steps, of which Lucene allows 10,000."""


@dataclass(frozen=True)
class OnStrings:
    """A string at the path, or a string element of an array there, passes `meets`."""

    path: Path
    operand: str
    folded: bool = False
    """Case does not count (list form)."""

    def compile(self, fields: Fields) -> Clause:
        field = fields.get(self.path)
        if field.natural == "date":
            return Clause({"exists": {"field": field.name}}, exact=False)
        keyword = field.leaves.get("keyword")
        if keyword is None:
            return Clause(MATCH_NONE)
        query = None if self.folded or "lengthy" in field.marks else self.query(field, keyword)
        if query is None:
            return Clause({"exists": {"field": keyword}}, exact=False)
        return Clause(query)

    def test(self, value: Json) -> bool:
        meets = self.meets()
        for end in ends(value, self.path):
            if isinstance(end, str) and meets(end):
                return True
            if isinstance(end, list) and any(isinstance(item, str) and meets(item) for item in end):
                return True
        return False

    def query(self, field: Field, keyword: str) -> Query | None:
        """What finds exactly these strings in a keyword field, None if nothing does."""
        raise NotImplementedError

    def meets(self) -> Callable[[str], bool]:
        raise NotImplementedError


class StartsWith(OnStrings):
    """The string starts with the operand."""

    def query(self, field: Field, keyword: str) -> Query | None:
        return {"prefix": {keyword: {"value": self.operand}}}

    def meets(self) -> Callable[[str], bool]:
        if self.folded:
            start = fold(self.operand)
            return lambda text: fold(text).startswith(start)
        return lambda text: text.startswith(self.operand)


class EndsWith(OnStrings):
    """The string ends with the operand."""

    def query(self, field: Field, keyword: str) -> Query | None:
        if len(self.operand) > MAX_WILDCARD:
            return None
        return {"wildcard": {keyword: {"value": "*" + wildcard_literal(self.operand)}}}

    def meets(self) -> Callable[[str], bool]:
        if self.folded:
            end = fold(self.operand)
            return lambda text: fold(text).endswith(end)
        return lambda text: text.endswith(self.operand)


class Text(OnStrings):
    """The operand is a substring, whatever the case."""

    def query(self, field: Field, keyword: str) -> Query | None:
        return None

    def meets(self) -> Callable[[str], bool]:
        part = fold(self.operand)
        return lambda text: part in fold(text)


@dataclass(frozen=True)
class Regex(OnStrings):
    """The string matches an RE2 expression somewhere."""

    flags: str = ""

    def query(self, field: Field, keyword: str) -> Query | None:
        translated = regex.lucene(self.operand, self.flags)
        if translated is None:
            return None
        return {"regexp": {keyword: {"value": translated, "flags": "NONE"}}}

    def meets(self) -> Callable[[str], bool]:
        return regex.search(self.operand, self.flags + ("i" if self.folded and "i" not in self.flags else ""))


class Words(OnStrings):
    """Every word of the operand is a whole word of the string."""

    ordered: ClassVar[bool] = False

    def query(self, field: Field, keyword: str) -> Query | None:
        return None

    def meets(self) -> Callable[[str], bool]:
        wanted = words(self.operand, self.folded)
        if self.ordered:
            return lambda text: _holds(words(text, self.folded), wanted)
        return lambda text: set(wanted) <= set(words(text, self.folded))


class Phrase(Words):
    """The words of the operand stand in the string one after the other."""

    ordered = True


@dataclass(frozen=True)
class Contains:
    """The operand is a substring of a string, or an element of an array."""

    path: Path
    operand: Json
    folded: bool = False

    def compile(self, fields: Fields) -> Clause:
        field = fields.get(self.path)
        keyword = field.leaves.get("keyword")
        plain = field.single and not self.folded
        if isinstance(self.operand, str) and plain and field.natural != "date":
            if keyword is None:
                return Clause(MATCH_NONE)
            if len(self.operand) > MAX_WILDCARD:
                return Clause({"exists": {"field": keyword}}, exact=False)
            return Clause({"wildcard": {keyword: {"value": f"*{wildcard_literal(self.operand)}*"}}})
        if not isinstance(self.operand, str) and "array" not in field.marks:
            return Clause(MATCH_NONE)
        return Clause({"match_all": {}}, exact=False)

    def test(self, value: Json) -> bool:
        wanted = self._key(self.operand)
        for end in ends(value, self.path):
            if end is MISSING:
                continue
            if isinstance(end, list):
                if any(self._key(item) == wanted for item in end):
                    return True
            elif isinstance(end, str) and isinstance(self.operand, str) and self._holds(end, self.operand):
                return True
        return False

    def _holds(self, text: str, part: str) -> bool:
        return fold(part) in fold(text) if self.folded else part in text

    def _key(self, value: Json) -> object:
        return identity(fold(value) if self.folded and isinstance(value, str) else value)


def wildcard_literal(text: str) -> str:
    """A value inside a wildcard query: no sign of it is a pattern."""
    return re.sub(r"([\\*?])", r"\\\1", text)


def words(text: str, folded: bool) -> list[str]:
    """The runs of letters, digits and underscores."""
    return re.findall(r"\w+", fold(text) if folded else text)


def _holds(text: list[str], phrase: list[str]) -> bool:
    length = len(phrase)
    return any(text[start : start + length] == phrase for start in range(len(text) - length + 1))
