"""unwind: one row per element of an array (contract, Meaning; MongoDB's $unwind)."""

from collections.abc import Iterator

from service.paths import Path
from service.values import Json


def unwound(item: Json, path: Path | None) -> Iterator[Json]:
    """Yields the object once per element, with the element in place of the array; also for arrays at parent paths.

    A scalar counts as one element; missing, null and `[]` yield nothing.
    """
    if path is None:
        yield item
    elif isinstance(item, dict) and path[0] in item:
        for value in _elements(item[path[0]], path[1:]):
            yield {**item, path[0]: value}


def _elements(value: Json, rest: Path) -> Iterator[Json]:
    for element in value if isinstance(value, list) else [value]:
        if rest:
            yield from unwound(element, rest)
        elif element is not None or isinstance(value, list):
            yield element
