"""One keyword field for all fields of a small resource: a bucket's name, metadata etc. become typed terms.

    metadata.team ␟ blue          a text          metadata.team@double ␟ c0451f…      a number, in an order of texts
    metadata.team@fold ␟ …        its folded form metadata.on@boolean ␟ 1             a boolean

So the catalogue's mapping does not grow with the names of tenants' fields. Queries compiled from conditions for index
fields are rewritten to terms.
"""

import re
import struct
from collections.abc import Mapping
from typing import Any, Final

from service import dsl
from service.conditions.regex import literal
from service.conditions.text import wildcard_literal
from service.encoding import Encoder, Unindexable
from service.errors import Invalid
from service.fields import LENGTHY, SAFE_INTEGER, Field, Fields, FieldTrait, Leaf, plain_name
from service.paths import Path
from service.tokens import LONG_MAX, LONG_MIN
from service.values import Json, parse_date

TERMS: Final = "@terms"
_SEPARATOR: Final = "\x1f"
_AFTER: Final = "\x20"
_TRAITS: Final[frozenset[FieldTrait]] = frozenset(
    {"text", "date", "double", "long", "fraction", "boolean", "null", "array", "object", "cased", "denormal"}
)
_SORT: Final = (
    "String[] best = new String[params.n]; for (String t : doc['@terms']) { "
    "for (int i = 0; i < params.p.length; i++) { if (t.startsWith(params.p[i])) { "
    "String c = t.substring(params.p[i].length()); int r = params.r[i]; "
    # Terms come in their order; only those of doubles and longs have to be compared.
    "if (best[r] == null || (params.d ? (i > 1 || c.compareTo(best[r]) > 0) "
    ": i < 2 && c.compareTo(best[r]) < 0)) { best[r] = c } } } } "
    "String all = ''; for (String b : best) { all += b == null ? params.m : '1' + b + params.e } return all"
)
"""The best value of each type, concatenated; resources without a value of a type come after those with one."""


class ResourceFields(Fields):
    """Every path may hold any type; `instants` are the resource's own times."""

    empty = False

    def __init__(self, instants: frozenset[str]) -> None:
        super().__init__({})
        self._times = instants

    def knows(self, path: Path) -> bool:
        return True

    def get(self, path: Path) -> Field:
        instant = len(path) == 1 and path[0] in self._times
        traits: frozenset[FieldTrait] = frozenset({"date", "null"}) if instant else _TRAITS
        return Field(path, plain_name(path), "keyword", traits, 64, instant, through=len(path) > 1)


class _Keywords(dict[str, str]):
    """Types every plain name as keyword, so that a term's name does not depend on which value came first."""

    def __missing__(self, name: str) -> str:
        return "keyword"

    def __contains__(self, name: object) -> bool:
        return True

    def get(self, name: str, default: Any = None) -> Any:
        return "keyword"


def terms(view: Mapping[str, Json]) -> tuple[list[str], list[str]]:
    """The terms and shape tokens of a resource; raises `Invalid` for values that cannot be indexed."""
    try:
        encoded = Encoder(_Keywords(), {}, skipped=frozenset()).encode(view, {})
    except Unindexable as error:
        raise Invalid.at(("body", *error.path.split(".")), error.message, "not_indexable") from None
    lengthy = [name for name, observed in encoded.observed.items() if "lengthy" in observed.traits]
    if lengthy:
        raise Invalid.at(("body", *re.split("[./]", lengthy[0])), f"at most {LENGTHY:,} bytes", "too_long")
    found: set[str] = set()
    for name, value in _flat(encoded.fields()):
        leaf = encoded.leaves[name]
        if leaf != "json":
            found.update(f"{name}{_SEPARATOR}{_written(leaf, each)}" for each in _each(value))
    return sorted(found), sorted(encoded.shapes)


def _flat(document: Mapping[str, Any]) -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in document.items():
        if isinstance(value, dict):
            flat += [(f"{name}.{rest}", each) for rest, each in value.items()]
        else:
            flat.append((name, value))
    return flat


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _written(leaf: Leaf, value: Any) -> str:
    """A value encoded so that text order equals value order."""
    if leaf in ("keyword", "fold"):
        return str(value)
    if leaf == "boolean":
        return "1" if value else "0"
    if leaf == "date":
        return _sortable(_millis(value))
    # From 2^53 on an integer is written as its double and then exactly, so that longs and doubles sort together.
    large = abs(value) >= SAFE_INTEGER and LONG_MIN <= value <= LONG_MAX
    return _double(float(value)) + (f".{_sortable(int(value))}" if large else "~" if value > LONG_MAX else "")


def _millis(value: Json) -> int:
    if isinstance(value, str):
        parsed = parse_date(value)
        if parsed is None:
            raise ValueError(value)
        return parsed
    return int(value)


def _sortable(integer: int) -> str:
    return f"{integer + 2**63:016x}"


def _double(number: float) -> str:
    (bits,) = struct.unpack(">Q", struct.pack(">d", number + 0.0))
    return f"{bits ^ (2**64 - 1 if bits >> 63 else 2**63):016x}"


def term(name: str, leaf: Leaf, value: Json) -> str:
    """One value of a field as a term."""
    return f"{name if leaf == 'keyword' else f'{name}@{leaf}'}{_SEPARATOR}{_written(leaf, value)}"


def on_terms(query: Json) -> Json:
    """Rewrites a query on index fields to one on terms."""
    ((kind, inner),) = query.items()
    match kind:
        case "bool":
            return {
                "bool": {key: [on_terms(each) for each in value] if isinstance(value, list) else value
                         for key, value in inner.items()}
            }  # fmt: skip
        case "match_all" | "match_none":
            return query
        case "exists" if inner["field"] not in _FIELDS:
            return {"prefix": {TERMS: {"value": inner["field"] + _SEPARATOR}}}
    ((name, operand),) = ((inner["field"], {}),) if kind == "exists" else inner.items()
    if name not in _FIELDS:
        return _on_field(kind, name, operand)
    return query


_FIELDS: Final = frozenset({"@shape", "kind", "namespace_id", "id", "@arrival", "intent.do", TERMS})
"""The catalogue's own fields."""


def _on_field(kind: str, name: str, operand: Any) -> Json:
    start = name + _SEPARATOR
    suffix = name.partition("@")[2]
    leaf: Leaf = suffix if suffix in ("double", "long", "boolean", "date", "fold") else "keyword"  # type: ignore[assignment]
    match kind:
        case "term":
            return dsl.term(TERMS, start + _written(leaf, operand))
        case "terms":
            return dsl.terms(TERMS, [start + _written(leaf, each) for each in operand])
        case "range":
            bounds = {bound: start + _written(leaf, value) for bound, value in operand.items()}
            if not bounds.keys() & {"gt", "gte"}:
                bounds["gte"] = start
            if not bounds.keys() & {"lt", "lte"}:
                bounds["lt"] = name + _AFTER
            return dsl.in_range(TERMS, **bounds)
        case "prefix":
            return {"prefix": {TERMS: {"value": start + operand["value"]}}}
        case "wildcard":
            return {"wildcard": {TERMS: {"value": wildcard_literal(start) + operand["value"]}}}
        case "regexp":
            # Parenthesised: otherwise the prefix would apply only to the first alternative.
            return {"regexp": {TERMS: {**operand, "value": f"{literal(start)}({operand['value']})"}}}
    raise ValueError(f"no query on terms: {kind}")


def by_terms(path: Path, descending: bool, *, instant: bool = False) -> Json:
    """Sorts by the value at a path: numbers, texts, booleans, reversed if descending; missing values come last."""
    start = plain_name(path)
    leaves = (("@date", 0),) if instant else (("@double", 0), ("@long", 0), ("", 1), ("@boolean", 2))
    last = leaves[-1][1]
    params = {
        "p": [f"{start}{leaf}{_SEPARATOR}" for leaf, _ in leaves],
        "r": [last - place if descending else place for _, place in leaves],
        "n": last + 1,
        "d": descending,
        "m": "0" if descending else "2",
        "e": "\0",
    }
    script = {"source": _SORT, "params": params}
    return {"_script": {"type": "string", "script": script, "order": "desc" if descending else "asc"}}
