"""The order of a list, as OpenSearch computes it: any field, values of several types, what lacks one last."""

from typing import Final

from service.fields import ARRIVAL, Field, Leaf
from service.values import Json

_ASCENDING: Final[tuple[Leaf, ...]] = ("double", "date", "keyword", "boolean")
_DESCENDING: Final[tuple[Leaf, ...]] = ("boolean", "date", "keyword", "double")
"""Where dates are instants they come before other texts."""

_FIRST: Final = -62_135_596_800_001
_LAST: Final = 253_402_300_800_000
"""Epoch milliseconds just outside the years 1 to 9999: where what has no date is sorted."""

_AS_DOUBLE: Final = (
    "double best = params.d ? Double.NEGATIVE_INFINITY : Double.POSITIVE_INFINITY; double rest = 0; "
    "for (String f : params.f) { for (def v : doc[f]) { double d = v; double r = v instanceof Long ? "
    "(d >= 9.223372036854775807E18 ? v - Long.MAX_VALUE - 1 : v - (long) d) : 0; "
    "if ((params.d ? d > best : d < best) || (d == best && (params.d ? r > rest : r < rest))) { best = d; rest = r; } "
    "} } return params.r ? rest : best"
)
"""The least number, or the greatest; `r`: what that double lacks of the integer that is meant."""

_AS_TEXT: Final = (
    "def t = doc[params.t]; if (doc[params.d].size() > 0 || t.size() == 0) { return params.m } "
    "return params.s + t[params.l ? t.size() - 1 : 0]"
)

LASTING: Final = frozenset({"created_at", "object_id", "bucket_id"})
"""Fields that no update changes: an object's place in their order is for ever."""


def clauses(field: Field | None, descending: bool) -> list[Json]:
    """Ascending: numbers, texts, booleans; descending: the other way round; then, in both, what has none of them.

    Of an array the least element counts, descending the greatest. Ties are in order of arrival.
    """
    found: list[Json] = []
    if field is not None:
        for leaf in _DESCENDING if descending else _ASCENDING:
            found += _by(field, leaf, "desc" if descending else "asc")
    return [*found, *({name: {"order": "asc"}} for name in ARRIVAL)]


def _by(field: Field, leaf: Leaf, order: str) -> list[Json]:
    leaves = field.leaves
    descending = order == "desc"
    if leaf == "date":
        if not field.instant or not field.dates:
            return []
        return [{field.dates: {"order": order, "missing": _FIRST if descending else _LAST}}]
    if leaf == "double" and "long" in leaves:
        # Large integers lie in a field of their own, in which they are exact.
        params = {"f": list(field.numbers), "d": descending}
        return [
            _script("number", _AS_DOUBLE, {**params, "r": False}, order),
            _script("number", _AS_DOUBLE, {**params, "r": True}, order),
        ]
    if leaf not in leaves:
        return []
    if leaf == "keyword" and field.instant and field.dates:
        if not field.marks & {"text", "lengthy"}:
            return []
        # Dates are texts, too, but as such they would tell apart what is one instant.
        params = {"t": leaves["keyword"], "d": field.dates, "l": descending}
        params |= {"s": "1", "m": ""} if descending else {"s": "", "m": "\U0010ffff"}
        return [_script("string", _AS_TEXT, params, order)]
    return [{leaves[leaf]: {"order": order, "missing": "_last"}}]


def _script(type: str, source: str, params: Json, order: str) -> Json:
    return {"_script": {"type": type, "script": {"source": source, "params": params}, "order": order}}
