"""Whether an answer has at least the fields of a documented example, with the types that it shows."""

from collections.abc import Iterator
from typing import Any

Json = Any


def lacks(documented: Json, got: Json, at: str = "") -> Iterator[str]:
    """What is missing or of another type; a documented null may be anything, and so may what an empty array holds."""
    if documented is None:
        return
    kind, other = _kind(documented), _kind(got)
    if kind != other:
        yield f"{at}: documented as {kind}, got {other}"
    elif isinstance(documented, dict):
        for name, value in documented.items():
            if name not in got:
                yield f"{at}.{name}: missing"
            else:
                yield from lacks(value, got[name], f"{at}.{name}")
    elif isinstance(documented, list) and documented:
        for place, value in enumerate(got):
            yield from lacks(documented[0], value, f"{at}[{place}]")


def _kind(value: Json) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return type(value).__name__
