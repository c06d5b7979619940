"""Compiles an aggregate request of the objects API to a plan."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, get_args

from service import paths
from service.aggregations import BY_NAME
from service.aggregations.base import Aggregation
from service.dialects.flat.dates import date_operand
from service.dialects.flat.filters import Instant, read_filters
from service.dialects.flat.render import labels
from service.dialects.flat.spec import (
    AggregateRequest,
    AggregationOperation,
    GroupByField,
    RangeBucket,
    Weekday,
)
from service.errors import Invalid, Location, Problem
from service.fields import Fields
from service.paths import Path
from service.planning import zones
from service.planning.plan import Extract, Having, Key, Metric, Order, Plan, Ranges, Transform, Truncate
from service.spelling import did_you_mean
from service.values import Json

_DAYS: Final = {day: number for number, day in enumerate(get_args(Weekday))}


def lower(request: AggregateRequest, fields: Fields) -> Plan:
    """The plan; raises `Invalid` with every problem found."""
    return _Lowering(request).plan(lambda path: fields.get(path).instant)


@dataclass
class _Lowering:
    request: AggregateRequest
    problems: list[Problem] = field(default_factory=list)

    def plan(self, instant: Instant) -> Plan:
        request = self.request
        keys = [self._key(position, group) for position, group in enumerate(request.group_by)]
        keys += [self._range(position, bucket) for position, bucket in enumerate(request.range_buckets or ())]
        metrics = [self._metric(position, operation) for position, operation in enumerate(request.aggregations)]
        self._unique(keys)
        having = self._having(metrics, instant)
        order = self._order(keys)
        unwind = self._path(request.unwind, ("body", "unwind")) if request.unwind is not None else None
        try:
            condition = read_filters(request.filters, ("body", "filters"), instant)
        except Invalid as invalid:
            self.problems.extend(invalid.problems)
        if self.problems:
            raise Invalid(self.problems)
        return Plan(
            condition=condition,
            filtered=bool(request.filters),
            unwind=unwind,
            keys=tuple(keys),
            metrics=tuple(metric for metric in metrics if metric is not None),
            having=having,
            order=order,
            limit=request.limit,
        )

    def _problem(self, location: Location, message: str, type: str = "value_error") -> None:
        self.problems.append(Problem(location, message, type))

    def _path(self, text: str, location: Location) -> Path:
        try:
            return paths.parse(text)
        except ValueError as error:
            self._problem(location, str(error), "path")
            return ()

    def _key(self, place: int, group: GroupByField) -> Key:
        at: Location = ("body", "group_by", place)
        if group.date_trunc and group.date_part:
            self._problem(at, "date_trunc and date_part exclude each other; make two keys of them", "exclusive")
        zone_name = "UTC" if group.time_zone is None else group.time_zone
        if zone_name not in zones.names():
            self._problem(
                (*at, "time_zone"),
                f"unknown time zone {zone_name[:60]!r}; take an IANA name such as Europe/Berlin"
                f"{did_you_mean(zone_name[:60], zones.names())}",
            )
        if group.start_of_week is not None and group.date_trunc not in (None, "week"):
            message = f"only weeks have a first day; a {group.date_trunc} has none"
            self._problem((*at, "start_of_week"), message, "extra_forbidden")
        for name in ("time_zone", "start_of_week"):
            if getattr(group, name) is not None and not (group.date_trunc or group.date_part):
                self._problem((*at, name), f"{name} belongs to date_trunc or date_part")
        transform: Transform = None
        if group.date_trunc:
            transform = Truncate(group.date_trunc, zone_name, _DAYS[group.start_of_week or "sunday"])
        elif group.date_part:
            transform = Extract(group.date_part, zone_name)
        return Key(group.alias or group.field, self._path(group.field, (*at, "field")), transform)

    def _range(self, place: int, bucket: RangeBucket) -> Key:
        at: Location = ("body", "range_buckets", place)
        bounds = tuple(bucket.boundaries)
        if any(low >= high for low, high in zip(bounds, bounds[1:], strict=False)):
            self._problem((*at, "boundaries"), f"boundaries ascend strictly, these do not: {list(bounds)}")
        if bucket.default_bucket is not None and bucket.default_bucket in labels(bounds):
            self._problem(
                (*at, "default_bucket"),
                f"{bucket.default_bucket!r} is the label of one of the ranges; take another word for what lies outside",
            )
        path = self._path(bucket.field, (*at, "field"))
        return Key(bucket.alias or bucket.field, path, Ranges(bounds, bucket.default_bucket))

    def _metric(self, place: int, operation: AggregationOperation) -> Metric | None:
        at: Location = ("body", "aggregations", place)
        kind = BY_NAME.get(operation.function)
        if kind is None:
            known = ", ".join(BY_NAME)
            self._problem(
                (*at, "function"),
                f"unknown function {operation.function!r}; known: {known}",
                "unknown_function",
            )
            return None
        self._unread(kind, operation, at)
        path: Path = ()
        named = next((name for name in kind.operands if getattr(operation, name) is not None), None)
        if named is not None:
            path = self._path(getattr(operation, named), (*at, named))
        elif kind.needs_field:
            self._problem((*at, "field"), f"{kind.name} needs {' or '.join(kind.operands)}", "missing")
            return None
        parameters = {name: getattr(operation, name) for name in kind.parameters}
        for name, value in parameters.items():
            if value is None:
                self._problem((*at, name), f"{kind.name} needs {name}", "missing")
        return Metric(operation.alias, kind(path, **parameters))

    def _unread(self, kind: type[Aggregation], operation: AggregationOperation, at: Location) -> None:
        """Raises for keys that this function does not use: ignoring one would answer a different question."""
        read = (*kind.operands, *kind.parameters)
        for name in ("field", "distinct_field", "percent"):
            if name not in read and getattr(operation, name) is not None:
                known = ", ".join(f"`{each}`" for each in read) or "neither a field nor parameters"
                self._problem((*at, name), f"{kind.name} reads {known}; leave `{name}` out", "extra_forbidden")
        given = {getattr(operation, name) for name in kind.operands} - {None}
        if len(given) > 1:
            message = f"{' and '.join(kind.operands)} name different fields: send one of them"
            self._problem((*at, kind.operands[0]), message, "contradiction")

    def _unique(self, keys: list[Key]) -> None:
        """Checks that names of keys and metrics are unique (contract, GroupByField)."""
        groups = len(self.request.group_by)
        names = Counter(key.name for key in keys)
        for position, key in enumerate(keys):
            if names[key.name] > 1:
                where: Location = ("group_by", position) if position < groups else ("range_buckets", position - groups)
                self._problem(("body", *where, "alias"), f"two keys are named {key.name!r}", "duplicate_alias")
        seen: set[str] = set()
        for position, operation in enumerate(self.request.aggregations):
            at: Location = ("body", "aggregations", position, "alias")
            if operation.alias in seen:
                self._problem(at, f"two aggregations are named {operation.alias!r}", "duplicate_alias")
            if operation.alias in names:
                self._problem(at, f"{operation.alias!r} is the name of a group key too", "duplicate_alias")
            seen.add(operation.alias)

    def _having(self, metrics: Sequence[Metric | None], instant: Instant) -> tuple[Having, ...]:
        aliases = [operation.alias for operation in self.request.aggregations]
        conditions: list[Having] = []
        for position, condition in enumerate(self.request.having or ()):
            at: Location = ("body", "having", position)
            if condition.field in aliases:
                index = aliases.index(condition.field)
                value = self._dated(condition.value, metrics[index], instant, (*at, "value"))
                conditions.append(Having(index, condition.operator, value))
            else:
                self._problem(
                    (*at, "field"),
                    f"no aggregation is named {condition.field!r}; named: {', '.join(aliases)}",
                    "unknown_alias",
                )
        return tuple(conditions)

    def _dated(self, value: Json, metric: Metric | None, instant: Instant, at: Location) -> Json:
        """The operand for a metric of a date field that returns a date."""
        if metric is None or not metric.kind.dates or not instant(metric.kind.path):
            return value
        try:
            return date_operand(f"{metric.kind.name} of the date field {paths.text(metric.kind.path)!r}", value, at)
        except Invalid as invalid:
            self.problems.extend(invalid.problems)
            return value

    def _order(self, keys: list[Key]) -> Order | None:
        request = self.request
        direction = request.sort_direction.lower()
        if direction not in ("asc", "desc"):
            self._problem(("body", "sort_direction"), f"asc or desc, not {request.sort_direction!r}", "literal_error")
        if request.sort_by is None:
            return None
        descending = direction == "desc"
        aliases = [operation.alias for operation in request.aggregations]
        names = [key.name for key in keys]
        fields = [group.field for group in request.group_by] + [each.field for each in request.range_buckets or ()]
        if request.sort_by in names:
            return Order("key", names.index(request.sort_by), descending)
        if request.sort_by in aliases:
            return Order("metric", aliases.index(request.sort_by), descending)
        if request.sort_by in fields:
            return Order("key", fields.index(request.sort_by), descending)
        self._problem(
            ("body", "sort_by"),
            f"{request.sort_by!r} names no group key and no aggregation; named: {', '.join([*names, *aliases])}",
            "unknown_alias",
        )
        return None
