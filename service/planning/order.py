"""The order of a list, as OpenSearch computes it: any field, mixed types, missing values last."""

from dataclasses import dataclass
from typing import Final

from service.fields import ARRIVAL, Field, Leaf
from service.paths import Path
from service.values import Json

_ASCENDING: Final[tuple[Leaf, ...]] = ("double", "date", "keyword", "boolean")
_DESCENDING: Final[tuple[Leaf, ...]] = ("boolean", "date", "keyword", "double")
"""Where dates compare as instants, they come before other texts."""

_FIRST: Final = -62_135_596_800_001
_LAST: Final = 253_402_300_800_000
"""Epoch milliseconds just outside the years 1 to 9999: the sort value of objects without a date."""

_AS_DOUBLE: Final = (
    "double best = params.d ? Double.NEGATIVE_INFINITY : Double.POSITIVE_INFINITY; double rest = 0; "
    "for (String f : params.f) { for (def v : doc[f]) { double d = v; double r = v instanceof Long ? "
    "(d >= 9.223372036854775807E18 ? v - Long.MAX_VALUE - 1 : v - (long) d) : 0; "
    "if ((params.d ? d > best : d < best) || (d == best && (params.d ? r > rest : r < rest))) { best = d; rest = r; } "
    "} } return params.r ? rest : best"
)
"""The minimum or maximum; `r`: the difference between that double and the actual integer."""

_AS_TEXT: Final = (
    "def t = doc[params.t]; if (doc[params.d].size() > 0 || t.size() == 0) { return params.m } "
    "return params.s + t[params.l ? t.size() - 1 : 0]"
)

ARRIVED: Final[list[Json]] = [{name: {"order": "asc"}} for name in ARRIVAL]
"""The last clauses of every order of objects: ties in all keys are in order of arrival."""

_IMMUTABLE: Final = frozenset({"created_at", "object_id", "bucket_id"})
"""Fields that no update changes."""


@dataclass(frozen=True)
class SortKey:
    """One sort key. A later key breaks ties in all earlier ones."""

    path: Path
    descending: bool

    @property
    def immutable(self) -> bool:
        """Whether no update can move a result in this order, so that a walk needs no point in time."""
        return len(self.path) == 1 and self.path[0] in _IMMUTABLE


def clauses(field: Field, descending: bool) -> list[Json]:
    """The clauses of one key, without those for ties.

    Ascending: numbers, texts, booleans; descending: reversed; objects without any of them come last in both.
    An array sorts by its least element, descending by its greatest.
    """
    direction = "desc" if descending else "asc"
    leaves = _DESCENDING if descending else _ASCENDING
    return [clause for leaf in leaves for clause in _by(field, leaf, direction)]


def _by(field: Field, leaf: Leaf, order: str) -> list[Json]:
    leaves = field.leaves
    descending = order == "desc"
    if leaf == "date":
        if not field.instant or not field.dates:
            return []
        return [{field.dates: {"order": order, "missing": _FIRST if descending else _LAST}}]
    if leaf == "double" and "long" in leaves:
        # Large integers have a separate field, in which they are exact.
        params = {"f": list(field.numbers), "d": descending}
        return [
            _script("number", _AS_DOUBLE, {**params, "r": False}, order),
            _script("number", _AS_DOUBLE, {**params, "r": True}, order),
        ]
    if leaf not in leaves:
        return []
    if leaf == "keyword" and field.instant and field.dates:
        if not field.traits & {"text", "lengthy"}:
            return []
        # Dates are texts, too, but as texts equal instants would differ.
        params = {"t": leaves["keyword"], "d": field.dates, "l": descending}
        params |= {"s": "1", "m": ""} if descending else {"s": "", "m": "\U0010ffff"}
        return [_script("string", _AS_TEXT, params, order)]
    return [{leaves[leaf]: {"order": order, "missing": "_last"}}]


def _script(type: str, source: str, params: Json, order: str) -> Json:
    return {"_script": {"type": type, "script": {"source": source, "params": params}, "order": order}}
