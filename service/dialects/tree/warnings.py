"""The `info` warnings of an answer over records: properties that no record has, and buckets beyond `size`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from service.dialects.tree.filters import exists
from service.dialects.tree.nodes import Reading
from service.dialects.tree.properties import Key, PropertyColumn
from service.dialects.tree.references import Columns
from service.errors import Location, dotted
from service.spelling import nearest
from service.values import Json

THERE: Final = "there"
"""The aggregation that counts the records with each property; nodes are named `a` plus a number."""

_MOST: Final = 100
"""Maximum properties counted per request."""


@dataclass(frozen=True)
class Named:
    """The properties that a request names, with locations, and for each the most similar one of its container."""

    places: Mapping[Key, list[str]]
    similar: Mapping[Key, Key]
    columns: Columns

    @classmethod
    def of(cls, given: Mapping[str, Json], columns: Columns) -> "Named":
        places: dict[Key, list[str]] = {}
        for part in ("aggregates", "filter"):
            for key, at in _properties(given.get(part), (part,)):
                if key[2] in columns.get(key[:2], {}) and (key in places or len(places) < _MOST):
                    places.setdefault(key, []).append(dotted(at))
        similar: dict[Key, Key] = {}
        for key in places:
            others = [name for name in columns[key[:2]] if name != key[2]]
            if (name := nearest(key[2], others)) is not None:
                similar[key] = (*key[:2], name)
        return cls(places, similar, columns)

    def counting(self) -> dict[str, Json]:
        """An additional aggregation, independent of the filter, that counts the records with each property."""
        if not self.places:
            return {}
        aggs = {str(position): {"filter": exists(column).query} for position, column in enumerate(self._counted)}
        return {THERE: {"global": {}, "aggs": aggs}}

    def unknown(self, aggregations: Mapping[str, Any] | None) -> list[str]:
        """A warning for each property that no record has, from OpenSearch's answer."""
        if not self.places:
            return []
        # A stream without indices answers without aggregations.
        raw = aggregations[THERE] if aggregations else None
        if raw is None or not raw["doc_count"]:
            return ["there are no records, so the answer is empty"]
        counts = {column.key: raw[str(position)]["doc_count"] for position, column in enumerate(self._counted)}
        warnings = []
        for key, places in self.places.items():
            if counts[key]:
                continue
            other = self.similar.get(key)
            hint = f"; there is `{'/'.join(other)}`" if other and counts[other] else ""
            warnings.append(f"{', '.join(places)}: no record has `{'/'.join(key)}`{hint}")
        return warnings

    @property
    def _counted(self) -> list[PropertyColumn]:
        keys = dict.fromkeys((*self.places, *self.similar.values()))
        return [self.columns[key[:2]][key[2]] for key in keys]


def cut_off(reading: Reading) -> list[str]:
    """A warning for each uniqueValues that had more values than `size`."""
    return [
        f"{id}: there are more values than `size`; the buckets that were left out count {records} more records"
        for id, records in reading.left_out.items()
    ]


def _properties(value: Json, at: Location) -> Iterator[tuple[Key, Location]]:
    """The `property` operands anywhere in a part of a request, with their locations."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name == "property" and isinstance(each, list) and len(each) == 3:
                yield (each[0], each[1], each[2]), at
            else:
                yield from _properties(each, (*at, name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _properties(each, (*at, number))
