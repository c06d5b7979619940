"""What first and last share: one hit of each group, by order of arrival."""

from typing import ClassVar, Final, Literal

from service.aggregations.base import Aggregation, Pushdown, Raw
from service.fields import ARRIVAL, Field, JsonType, Leaf
from service.values import Json, number, parse_date, render_date

_GROUPS: Final = 5_000
"""Groups in one page: each of them keeps a hit in memory."""


class End(Aggregation):
    """The value of one end of the group in order of arrival; null if that object lacks the field."""

    ordered = True
    direction: ClassVar[Literal["asc", "desc"]] = "asc"

    def gives(self, field: Field) -> frozenset[JsonType]:
        return field.types

    def pushdown(self, field: Field) -> Pushdown | None:
        if not field.single:
            return None
        hit = {
            "size": 1,
            "sort": [{name: self.direction} for name in ARRIVAL],
            "_source": False,
            "docvalue_fields": list(field.leaves.values()) or ["object_id"],
        }
        return Pushdown([{"top_hits": hit}], page=_GROUPS)

    def read(self, field: Field, raw: Raw, documents: int) -> Json:
        found = raw[0]["hits"]["hits"][0].get("fields", {})
        for leaf, name in field.leaves.items():
            if name in found:
                return _value(leaf, found[name][0])
        return None


def _value(leaf: Leaf, value: Json) -> Json:
    if leaf == "date":
        millis = parse_date(value)
        return None if millis is None else render_date(millis)
    return number(value) if leaf == "double" else value
