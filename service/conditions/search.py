"""`search` of a list: a substring anywhere."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from service.conditions.base import Clause, Use, any_of
from service.conditions.text import Text
from service.fields import Fields
from service.paths import Path, ends
from service.values import Json


@dataclass(frozen=True)
class Search:
    """A substring of a text at one of the paths, or anywhere below a root field; not in arrays within arrays."""

    text: str
    folded: bool
    paths: tuple[Path, ...]
    below: str | None = None

    def compile(self, fields: Fields) -> Clause:
        paths = [*self.paths, *(field.path for field in (fields.below(self.below) if self.below else ()))]
        return any_of([Text(path, self.text, folded=self.folded).compile(fields) for path in paths])

    def test(self, value: Json) -> bool:
        meets = Text((), self.text, folded=self.folded).meets()
        found = [text for path in self.paths for end in ends(value, path) for text in _texts(end)]
        if self.below is not None:
            found += _all_texts(value.get(self.below))
        return any(map(meets, found))

    def uses(self) -> Iterable[Use]:
        """None: the user names no paths."""
        return ()


def _texts(value: Json) -> Iterator[str]:
    """A text, or the texts in an array."""
    return (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str))


def _all_texts(value: Json) -> Iterator[str]:
    """The texts in a value at any depth; an array in an array is one value and is not searched."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _all_texts(item)
    elif isinstance(value, list):
        for item in value:
            if not isinstance(item, list):
                yield from _all_texts(item)
