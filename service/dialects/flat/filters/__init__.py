"""Parses `filters`, MongoDB-style or in the AND/OR/NOT form, into conditions."""

from service.conditions.base import Condition
from service.conditions.logic import ALWAYS
from service.dialects.flat.filters.listed import LIST_KEYS, ListReader
from service.dialects.flat.filters.mistakes import resembles_condition
from service.dialects.flat.filters.mongo import MongoReader
from service.dialects.flat.filters.operands import Builder, FilterLimits, Instant, kind_of
from service.dialects.flat.filters.operators import LIST_OPERATORS, OPERATORS
from service.dialects.flat.filters.resource import OBJECT, Resource
from service.errors import Invalid, Location
from service.values import Json

__all__ = ["LIST_OPERATORS", "OBJECT", "OPERATORS", "Instant", "Resource", "read_filters", "read_list_filters"]


def read_filters(filters: Json, location: Location, instant: Instant) -> Condition:
    """The condition for the `filters` of an aggregate, in either form; case-sensitive.

    `instant` says for which paths equality compares instants (date fields). Raises `Invalid` with the location of the
    error in `filters`.
    """
    if filters is None:
        return ALWAYS
    if not isinstance(filters, dict):
        raise Invalid.at(location, f"filters are an object, not {kind_of(filters)}", "dict_type")
    mongo = MongoReader(Builder(instant), FilterLimits())
    if filters.keys() & LIST_KEYS or resembles_condition(filters):
        return ListReader(mongo, OBJECT).filter(filters, location, 0, True)
    return mongo.filter(filters, location, 0)


def read_list_filters(
    filters: Json, location: Location, instant: Instant, resource: Resource, *, case_sensitive: bool
) -> tuple[Condition, bool]:
    """The condition for the `filters` of a list, and whether it needs a computed field; raises `Invalid`."""
    reader = ListReader(MongoReader(Builder(instant), FilterLimits(depth=10, conditions=100)), resource)
    condition = ALWAYS if filters is None else reader.filter(filters, location, 0, case_sensitive)
    return condition, reader.computes
