"""The order of a list, as OpenSearch computes it: any field, values of several types, what lacks one last."""

from typing import Final

from service.fields import ARRIVAL, Field, Leaf
from service.values import Json

_TYPES: Final[tuple[Leaf, ...]] = ("double", "date", "keyword", "boolean")
_FIRST: Final = -62_135_596_800_001
_LAST: Final = 253_402_300_800_000
"""Epoch milliseconds just outside the years 1 to 9999: where what has no date is sorted."""

_AS_DOUBLE: Final = (
    "double best = Double.%s_INFINITY; boolean found = false; "
    "for (String f : params.f) { for (def v : doc[f]) { double d = v; "
    "if (!found || (params.d ? d > best : d < best)) { best = d; found = true; } } } return best"
)

LASTING: Final = frozenset({"created_at", "object_id", "bucket_id"})
"""Fields that no update changes: an object's place in their order is for ever."""


def clauses(field: Field | None, descending: bool) -> list[Json]:
    """Ascending: numbers, texts, booleans; descending: the other way round; then, in both, what has none of them.

    Of an array the least element counts, descending the greatest. Ties are in order of arrival.
    """
    found: list[Json] = []
    if field is not None:
        for leaf in reversed(_TYPES) if descending else _TYPES:
            found += _by(field, leaf, "desc" if descending else "asc")
    return [*found, *({name: {"order": "asc"}} for name in ARRIVAL)]


def _by(field: Field, leaf: Leaf, order: str) -> list[Json]:
    leaves = field.leaves
    descending = order == "desc"
    if leaf == "date":
        # Where dates are instants they come before other texts.
        if not field.instant or not field.dates:
            return []
        return [{field.dates: {"order": order, "missing": _FIRST if descending else _LAST}}]
    if leaf == "double" and "long" in leaves:
        # Large integers lie in a field of their own, in which they are exact.
        source = _AS_DOUBLE % ("NEGATIVE" if descending else "POSITIVE")
        script = {"source": source, "params": {"f": list(field.numbers), "d": descending}}
        exact = {leaves["long"]: {"order": order, "missing": "_first" if descending else "_last"}}
        return [{"_script": {"type": "number", "script": script, "order": order}}, exact]
    if leaf not in leaves:
        return []
    return [{leaves[leaf]: {"order": order, "missing": "_last"}}]
