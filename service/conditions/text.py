"""Operators on strings: $regex, $contains, $startsWith, $endsWith, $text, and words and phrase of the list form."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar
from unicodedata import normalize

from service import dsl
from service.conditions import regex
from service.conditions.base import MATCH_ALL, MATCH_NONE, Clause, Query, Use, all_of, any_of, none_of, types_of
from service.conditions.equality import Equals
from service.conditions.folding import any_case
from service.fields import SHAPE, Field, Fields, shape_token
from service.paths import Path, candidates, ends
from service.values import MISSING, Json, case_fold, case_fold_all, identity

MAX_WILDCARD = 100
"""Characters; the automaton of `*text*` takes up to their square in steps, and Lucene allows 10,000."""

MAX_WORDS = 10
"""Words of an operand used in the query; the rest are only tested on its hits."""


@dataclass(frozen=True)
class OnStrings:
    """A string at the path, or a string element of an array there, passes `meets`."""

    path: Path
    operand: str
    folded: bool = False
    """Case does not count (list form)."""

    def compile(self, fields: Fields) -> Clause:
        field = fields.get(self.path)
        if field.primary_type == "date":
            return Clause(dsl.exists(field.name), exact=False)
        keyword = field.leaves.get("keyword")
        if keyword is None:
            return Clause(MATCH_NONE)
        clause = None if "lengthy" in field.traits else self.clause(field, keyword)
        return clause or Clause(dsl.exists(keyword), exact=False)

    def test(self, value: Json) -> bool:
        meets = self.meets()
        return any(isinstance(each, str) and meets(each) for each in candidates(value, self.path))

    def uses(self) -> Iterable[Use]:
        yield Use((self.path,), frozenset({"text"}))

    def clause(self, field: Field, keyword: str) -> Clause | None:
        """The clause for these strings, None if there is none."""
        if len(self.operand) > MAX_WILDCARD:
            return None
        if self.folded:
            return any_case(field, keyword, case_fold(self.operand), self.query)
        return Clause(self.query(keyword, self.operand))

    def query(self, name: str, operand: str) -> Query:
        """The query for exactly these strings in a keyword field."""
        raise NotImplementedError

    def meets(self) -> Callable[[str], bool]:
        raise NotImplementedError


class StartsWith(OnStrings):
    """The string starts with the operand."""

    def query(self, name: str, operand: str) -> Query:
        return {"prefix": {name: {"value": operand}}}

    def meets(self) -> Callable[[str], bool]:
        if self.folded:
            start = case_fold(self.operand)
            return lambda text: case_fold(text).startswith(start)
        return lambda text: text.startswith(self.operand)


class EndsWith(OnStrings):
    """The string ends with the operand."""

    def query(self, name: str, operand: str) -> Query:
        return {"wildcard": {name: {"value": "*" + wildcard_literal(operand)}}}

    def meets(self) -> Callable[[str], bool]:
        if self.folded:
            end = case_fold(self.operand)
            return lambda text: case_fold(text).endswith(end)
        return lambda text: text.endswith(self.operand)


@dataclass(frozen=True)
class Text(OnStrings):
    """The operand is a substring; for the list form's `text`, ignoring case."""

    folded: bool = True

    def query(self, name: str, operand: str) -> Query:
        return substring(name, operand)

    def meets(self) -> Callable[[str], bool]:
        if not self.folded:
            return lambda text: self.operand in text
        part = case_fold(self.operand)
        return lambda text: part in case_fold(text)


@dataclass(frozen=True)
class Regex(OnStrings):
    """The string matches an RE2 expression somewhere."""

    flags: str = ""

    def clause(self, field: Field, keyword: str) -> Clause | None:
        if self.folded and (not field.folds or "denormal" in field.traits):
            return None
        translated = regex.lucene(*self._expression)
        if translated is None:
            return None
        return Clause({"regexp": {keyword: {"value": translated, "flags": "NONE"}}})

    def meets(self) -> Callable[[str], bool]:
        search = regex.search(*self._expression)
        return (lambda text: search(normalize("NFC", text))) if self.folded else search

    @property
    def _expression(self) -> tuple[str, str]:
        if not self.folded:
            return self.operand, self.flags
        return normalize("NFC", self.operand), self.flags + ("" if "i" in self.flags else "i")


class Words(OnStrings):
    """Every word of the operand is a whole word of the string."""

    ordered: ClassVar[bool] = False

    def clause(self, field: Field, keyword: str) -> Clause | None:
        """Finds at least the strings that contain all the words as substrings."""
        wanted = [word for word in dict.fromkeys(words(self.operand, self.folded)) if len(word) <= MAX_WILDCARD]
        parts = [
            any_case(field, keyword, word, substring) if self.folded else Clause(substring(keyword, word))
            for word in wanted[:MAX_WORDS]
        ]
        if not all(parts):
            return None
        found = all_of([Clause(dsl.exists(keyword)), *(part for part in parts if part)])
        return Clause(found.query, exact=False)

    def meets(self) -> Callable[[str], bool]:
        wanted = words(self.operand, self.folded)
        if self.ordered:
            return lambda text: _holds(words(text, self.folded), wanted)
        return lambda text: set(wanted) <= set(words(text, self.folded))


class Phrase(Words):
    """The words of the operand occur consecutively in the string."""

    ordered = True


@dataclass(frozen=True)
class Contains:
    """The operand is a substring of a string, or an element of an array."""

    path: Path
    operand: Json
    folded: bool = False

    def compile(self, fields: Fields) -> Clause:
        field = fields.get(self.path)
        part = Clause(MATCH_NONE)
        if isinstance(self.operand, str):
            part = Text(self.path, self.operand, folded=self.folded).compile(fields)
        if "array" not in field.traits:
            return part
        element = Equals(self.path, (self.operand,), folded=self.folded).compile(fields)
        array = Clause(dsl.term(SHAPE, shape_token(field.name, "array")))
        if "nested" in field.traits or not field.folds:
            # A nested array shares its index field with its sibling values.
            element = Clause(MATCH_ALL, exact=False)
        return any_of([all_of([element, array]), all_of([part, none_of(array)])])

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

    def uses(self) -> Iterable[Use]:
        yield Use((self.path,), types_of([self.operand]))

    def _holds(self, text: str, part: str) -> bool:
        return case_fold(part) in case_fold(text) if self.folded else part in text

    def _key(self, value: Json) -> object:
        return identity(case_fold_all(value) if self.folded else value)


def substring(name: str, part: str) -> Query:
    return {"wildcard": {name: {"value": f"*{wildcard_literal(part)}*"}}}


def wildcard_literal(text: str) -> str:
    """Escapes a value for a wildcard query."""
    return re.sub(r"([\\*?])", r"\\\1", text)


def words(text: str, folded: bool) -> list[str]:
    """The runs of letters, digits and underscores."""
    return re.findall(r"\w+", case_fold(text) if folded else text)


def _holds(text: list[str], phrase: list[str]) -> bool:
    length = len(phrase)
    return any(text[start : start + length] == phrase for start in range(len(text) - length + 1))
