"""Renders a result as the documented answer: rows of `group` and `metrics`."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from service.numbers import spelled
from service.planning import dates
from service.planning.plan import Key, Plan, Ranges, Truncate
from service.planning.rows import Result
from service.values import Json

Cell = Callable[[Json], Json]


def render(result: Result, plan: Plan, milliseconds: int) -> dict[str, Json]:
    """`results`, `total_groups` (the groups returned), `query_info` (contract, Response)."""
    keys = [key.name for key in plan.keys]
    cells = [_cell(key) for key in plan.keys]
    plain = not any(cells)
    names = [metric.name for metric in plan.metrics]
    info: dict[str, Json] = {
        "execution_time_ms": milliseconds,
        "pipeline_stages": plan.stages,
        "groups_matched": result.matched,
    }
    if result.before_having is not None:
        info["groups_before_having"] = result.before_having
    info |= {"strategy": result.strategy, "accuracy": result.accuracy, "warnings": result.warnings}
    group, metrics = _named(keys), _named(names)
    return {
        "results": [
            {
                "group": group(row.cells if plain else _rendered(row.cells, cells)),
                "metrics": metrics(row.metrics),
            }
            for row in result.rows
        ],
        "total_groups": len(result.rows),
        "query_info": info,
    }


def _named(names: Sequence[str]) -> Callable[[Sequence[Json]], dict[str, Json]]:
    """Maps values to their names. Small numbers of names are unrolled, which is five times as fast as `zip`."""
    match names:
        case [first]:
            return lambda values: {first: values[0]}
        case [first, second]:
            return lambda values: {first: values[0], second: values[1]}
        case [first, second, third]:
            return lambda values: {first: values[0], second: values[1], third: values[2]}
    return lambda values: dict(zip(names, values, strict=True))


def _rendered(values: Sequence[Json], cells: Sequence[Cell | None]) -> list[Json]:
    return [cell(value) if cell else value for cell, value in zip(cells, values, strict=True)]


def _cell(key: Key) -> Cell | None:
    """The function that renders a key's cells, None if they are unchanged."""
    match key.transform:
        case Truncate(zone=zone):
            return lambda value: None if value is None else dates.render(value, zone)
        case Ranges(boundaries):
            names = labels(boundaries)
            return lambda value: names[value] if isinstance(value, int) else value
    return None


def labels(bounds: Sequence[int | float]) -> list[str]:
    """Labels of the ranges in order: `<0`, `0-10`, `10-20`, `>20`, with numbers in their shortest JSON form."""
    texts = [spelled(bound) for bound in bounds]
    return [f"<{texts[0]}", *map("-".join, pairwise(texts)), f">{texts[-1]}"]
