"""Warnings of an answer: parts of a request that match nothing, and values that a metric ignored."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from service import paths
from service.conditions.base import Condition, Use, types_of, undated
from service.conditions.logic import leaves
from service.conditions.ordering import is_beginning
from service.fields import Field, Fields, JsonType
from service.iso8601 import parse_instant
from service.paths import Path
from service.planning.plan import Plan, Ranges
from service.planning.rows import Result
from service.spelling import nearest_path
from service.values import render_date

_NO_OBJECTS: Final = "there are no objects, so the answer is empty"
_NO_FIELDS: Final = "there are no objects that have any field, so the answer is empty"

_DATES: Final = "2026-01-31 or 2026-01-31T10:30:00Z"

_SHOWN: Final = 200
_PLURAL: Final[Mapping[JsonType, str]] = {
    "text": "texts", "number": "numbers", "boolean": "booleans", "object": "objects", "array": "arrays",
}  # fmt: skip


def of_plan(plan: Plan, fields: Fields, result: Result) -> list[str]:
    """Warnings about the paths of an aggregate, given the bucket's known fields."""
    if not result.matched:
        if not (plan.filtered or plan.unwind or plan.having):
            return [_NO_OBJECTS]  # every object would be in a group
        if fields.empty:
            return [_NO_FIELDS]
    named = [("range_buckets" if isinstance(key.transform, Ranges) else "group_by", key.path) for key in plan.keys]
    named += [(metric.name, metric.kind.path) for metric in plan.metrics if metric.kind.path]
    if plan.unwind is not None:
        named.append(("unwind", plan.unwind))
    uses = [(place, Use((path,))) for place, path in named if path not in result.met]
    ranges = [key.path for key in plan.keys if isinstance(key.transform, Ranges)]
    warnings = unknown([*uses, *(("filters", use) for use in plan.condition.uses())], fields)
    warnings += [
        f"range_buckets: {_spelled(path)} holds only {held}, which lie in no range of numbers"
        for path in dict.fromkeys(ranges)
        if (held := _only(fields.get(path), frozenset({"number"}))) is not None
    ]
    if plan.unwind is not None and fields.knows(plan.unwind) and "array" not in fields.get(plan.unwind).traits:
        warnings.append(
            f"unwind: no object has an array at {_spelled(plan.unwind)}; what is no array counts as one element"
        )
    return warnings + mismatched(plan.condition, fields) + _having(plan, fields)


def _having(plan: Plan, fields: Fields) -> list[str]:
    """Warnings about `having` conditions that no group or every group fulfils because of the operand's type."""
    warnings: dict[str, None] = {}
    for having in plan.having:
        metric = plan.metrics[having.metric]
        place = f"having: `{_shortened(metric.name)}`"
        wanted = types_of([having.value])
        if wanted is None:
            if not metric.kind.nullable:
                warnings[f"{place} is never null"] = None
            elif having.comparison not in ("eq", "ne"):
                text = f"compares with null by `eq` and `ne` only: `{having.comparison}` is never true"
                warnings[f"{place} {text}"] = None
            continue
        field = fields.get(metric.kind.path) if metric.kind.path else Field((), "")
        given = metric.kind.gives(field)
        if given and not given & wanted:
            held = "dates" if given == {"text"} and (metric.kind.dates or _only_dates(field)) else _listed(given)
            text = f"gives only {held}, the condition is about {_listed(wanted)}"
            warnings[f"{place} {text}; values of different types never match"] = None
        elif "text" in given and (metric.kind.dates or _only_dates(field)):
            ordered = having.comparison not in ("eq", "ne")
            if (texts := undated([having.value], False)) and not (ordered and is_beginning(texts[0])):
                warnings[f"{place} gives only dates, {_no_dates(texts)}"] = None
    return list(warnings)


def of_list(condition: Condition, sorts: Iterable[Use], fields: Fields) -> list[str]:
    """Warnings for the filters and the order of a list."""
    uses = [("filters", use) for use in condition.uses()]
    uses += [("sort", use) for use in sorts]
    if uses and fields.empty:
        return [_NO_FIELDS]
    return unknown(uses, fields) + mismatched(condition, fields)


def unknown(uses: Iterable[tuple[str, Use]], fields: Fields) -> list[str]:
    """One warning for each path that no object has; `uses` are (location in the request, use) in request order."""
    places: dict[Path, dict[str, None]] = {}
    for place, use in uses:
        if not any(map(fields.knows, use.paths)):
            places.setdefault(use.paths[0], {})[place] = None
    return [f"{', '.join(names)}: {no_object(path, fields)}" for path, names in places.items()]


def widening(condition: Condition, fields: Fields) -> list[str]:
    """Warnings about conditions that are true for every object because no object has the path."""
    found: dict[str, None] = {}
    for leaf, negated in leaves(condition):
        if leaf.test({}) != negated:
            for use in leaf.uses():
                if not any(map(fields.knows, use.paths)):
                    found[f"{no_object(use.paths[0], fields)}, so this condition is true for all objects"] = None
        # Texts sort before or after a non-date, whatever they are compared with.
        if negated or any(use.undated and use.ordered for use in leaf.uses()):
            found |= dict.fromkeys(mismatched(leaf, fields))
    return list(found)


def no_object(path: Path, fields: Fields) -> str:
    """``no object has `carrier`; there is `metadata.carrier` ``."""
    there = nearest_path(path, fields.paths)
    return f"no object has {_spelled(path)}" + (f"; there is {_spelled(there)}" if there is not None else "")


def mismatched(condition: Condition, fields: Fields) -> list[str]:
    """Warnings about conditions on a type that no object has at the path, such as a number range over texts."""
    warnings: dict[str, None] = {}
    for use in condition.uses():
        known = [path for path in use.paths if fields.knows(path)]
        if use.types is None or len(known) != 1:
            continue
        if not use.types:
            warnings[f"filters: an empty list of values for {_spelled(known[0])} matches nothing"] = None
            continue
        held = _only(fields.get(known[0]), use.types)
        if held is not None:
            text = f"filters: {_spelled(known[0])} holds only {held}, the condition is about {_listed(use.types)}"
            warnings[f"{text}; values of different types never match"] = None
        elif use.undated and _only_dates(fields.get(known[0])):
            warnings[f"filters: {_spelled(known[0])} holds no texts but dates, {_no_dates(use.undated)}"] = None
    return list(warnings)


def ignored(plan: Plan, counts: Mapping[tuple[int, str], int]) -> list[str]:
    """Warnings about values that metrics ignored: (metric, `arrays` or `others`) → objects or elements."""
    texts = {
        "arrays": "{n} objects hold an array there, which {kind} ignores; `unwind` would count its elements",
        "others": "{n} objects hold a value there that {kind} ignores, because of its type",
    }
    return [
        f"{plan.metrics[position].name}: " + texts[what].format(n=count, kind=plan.metrics[position].kind.name)
        for (position, what), count in sorted(counts.items())
        if count
    ]


def _only(field: Field, wanted: frozenset[JsonType]) -> str | None:
    """What the field holds, None if it holds a wanted type or nothing certain is known of it."""
    # Empty arrays, and arrays in arrays, show no element types.
    if not field.types - {"array"} or field.types & wanted:
        return None
    if field.types == {"text"} and _only_dates(field):
        return "dates"
    return _listed(field.types)


def _only_dates(field: Field) -> bool:
    """Whether every text seen is a date."""
    return "date" in field.traits and not field.traits & {"text", "lengthy"}


def _no_dates(texts: Sequence[str]) -> str:
    """`yesterday` is none and is compared as a text …"""
    first = texts[0]
    shown = first if len(first) <= 60 else first[:59] + "…"
    more = f" (like {len(texts) - 1:,} more)" if len(texts) > 1 else ""
    millis = parse_instant(first)
    meant = f"as a date it is written {render_date(millis)}" if millis is not None else f"dates are written as {_DATES}"
    return f"and `{shown}`{more} is none: it is compared as a text; {meant}"


def _listed(types: frozenset[JsonType]) -> str:
    return " and ".join(plural for type, plural in _PLURAL.items() if type in types)


def _spelled(path: Path) -> str:
    return f"`{_shortened(paths.text(path))}`"


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
