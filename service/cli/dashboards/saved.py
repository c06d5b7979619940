"""Saved objects in the export format of OpenSearch Dashboards: one index pattern, one search, four to six
visualizations, and one dashboard that shows them.

The format follows the sources of OpenSearch Dashboards 3.x: `server/saved_objects` in its plugins data, discover,
visualizations and dashboard, and the sample data of the plugin home. References are named as in its migrations.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from service.cli.dashboards import choosing
from service.cli.dashboards.facts import TIME, DashboardField, Facts
from service.values import Json

_MOST: Final = 6
_LEAST: Final = 4

_MIGRATED: Final = {"index-pattern": "7.6.0", "search": "7.9.3", "visualization": "7.10.0", "dashboard": "7.9.3"}
"""The latest migration of each type; an object with a later version is refused."""

_PANEL: Final = "3.0.0"
_WIDTH: Final = 48
"""Columns of a dashboard's grid."""

_SOURCE: Final = "kibanaSavedObjectMeta.searchSourceJSON"
_SPACE: Final = uuid.UUID("6d1b8e0c-5a0e-4a0c-9b43-0f5b6f1c7a11")
"""The UUID namespace from which ids are derived, so that the same things get the same ids again."""

SavedObject = dict[str, Any]


@dataclass(frozen=True)
class Picture:
    """A visualization: its slot (stable, as its id derives from it), title, kind and aggregations."""

    slot: str
    title: str
    type: str
    aggs: Sequence[Json]
    params: Mapping[str, Json]
    column: DashboardField | None = None


def saved_objects(facts: Facts) -> list[SavedObject]:
    """The objects, each after those that it references."""
    pattern = _object("index-pattern", _id(facts.index_key, "pattern"), {"title": facts.pattern, "timeFieldName": TIME})
    pictures = _pictures(facts)
    shown = choosing.columns(facts, [each.column for each in pictures if each.column and each.column in facts.columns])
    search = _asking(
        facts,
        "search",
        "search",
        {
            "title": f"{facts.title}: documents",
            "description": "",
            "hits": 0,
            "columns": shown,
            "sort": [[TIME, "desc"]],
            "version": 1,
        },
        {"highlightAll": True, "version": True},
    )
    drawn = [
        _asking(
            facts,
            "visualization",
            each.slot,
            {
                "title": f"{facts.title}: {each.title}",
                "visState": _text(
                    {
                        "title": f"{facts.title}: {each.title}",
                        "type": each.type,
                        "params": {"type": each.type, **each.params},
                        "aggs": each.aggs,
                    }
                ),
                "uiStateJSON": "{}",
                "description": "",
                "version": 1,
            },
            {},
        )
        for each in pictures
    ]
    return [pattern, search, *drawn, _dashboard(facts, drawn, search)]


def ndjson(objects: Sequence[SavedObject]) -> bytes:
    """One object per line."""
    return b"".join(orjson.dumps(each) + b"\n" for each in objects)


def _pictures(facts: Facts) -> list[Picture]:
    categories, measures, dates = choosing.categories(facts), choosing.measures(facts), choosing.dates(facts)
    found = [_number("count", "number of documents", [_agg(1, "count")]), _over("time", TIME, "auto")]
    for column in dates[:1]:
        unit = choosing.calendar(column.least or 0, column.most or 0)
        found.append(_over("date", column.name, unit, column))
    for position, column in enumerate(categories[:2]):
        found.append(_top(f"top-{position + 1}", column, pie=not position))
    for column in measures[:1]:
        found.append(_spread(column))
        percents = [1, 5, 25, 50, 75, 95, 99]
        aggs = [_agg(1, "percentiles", field=column.name, percents=percents)]
        found.append(_number("percentiles", f"percentiles of {column.label}", aggs, column))
    found = found[:_MOST]
    for column in facts.spares[: max(0, _LEAST - len(found))]:
        match column.kind:
            case "number":
                aggs = [_agg(1, "sum", field=column.name)]
                found.append(_number("spare-sum", f"{column.label}, sum", aggs, column))
            case "date":
                found.append(_over("spare-date", column.name, "d", column))
            case _:
                found.append(_top("spare-top", column, pie=True))
    return found


def _agg(id: int, type: str, schema: str = "metric", **params: Json) -> Json:
    return {"id": str(id), "enabled": True, "type": type, "schema": schema, "params": params}


def _number(slot: str, title: str, aggs: Sequence[Json], column: DashboardField | None = None) -> Picture:
    look = {
        "percentageMode": False,
        "useRanges": False,
        "colorSchema": "Green to Red",
        "metricColorMode": "None",
        "colorsRange": [{"from": 0, "to": 10_000}],
        "labels": {"show": True},
        "invertColors": False,
        "style": {"bgFill": "#000", "bgColor": False, "labelColor": False, "subText": "", "fontSize": 40},
    }
    params = {"addTooltip": True, "addLegend": False, "metric": look}
    return Picture(slot, title, "metric", aggs, params, column)


def _over(slot: str, field: str, unit: str, column: DashboardField | None = None) -> Picture:
    label = column.label if column else field
    histogram = _agg(
        2,
        "date_histogram",
        "segment",
        field=field,
        useNormalizedOpenSearchInterval=True,
        interval=unit,
        drop_partials=False,
        min_doc_count=1,
        extended_bounds={},
    )
    return Picture(slot, f"over {label}", "histogram", [_agg(1, "count"), histogram], _axes(), column)


def _top(slot: str, column: DashboardField, *, pie: bool) -> Picture:
    terms = _agg(
        2,
        "terms",
        "segment",
        field=column.name,
        size=10,
        order="desc",
        orderBy="1",
        otherBucket=pie,
        otherBucketLabel="Other",
        missingBucket=False,
        missingBucketLabel="Missing",
    )
    aggs = [_agg(1, "count"), terms]
    if pie:
        labels = {"show": True, "values": True, "last_level": True, "truncate": 100}
        params: Mapping[str, Json] = {
            "addTooltip": True,
            "addLegend": True,
            "legendPosition": "right",
            "isDonut": True,
            "labels": labels,
        }
        return Picture(slot, f"by {column.label}", "pie", aggs, params, column)
    return Picture(slot, f"by {column.label}", "horizontal_bar", aggs, _axes(across=True), column)


def _spread(column: DashboardField) -> Picture:
    width = choosing.interval(column.least or 0, column.most or 0)
    histogram = _agg(2, "histogram", "segment", field=column.name, interval=width, extended_bounds={})
    aggs = [_agg(1, "count"), histogram]
    return Picture("spread", f"spread of {column.label}", "histogram", aggs, _axes(), column)


def _axes(*, across: bool = False) -> Mapping[str, Json]:
    """Axes for bars over a category axis, vertical or horizontal."""
    category, value = ("left", "bottom") if across else ("bottom", "left")
    shown = {"show": True, "truncate": 100}
    return {
        "grid": {"categoryLines": False},
        "categoryAxes": [
            {
                "id": "CategoryAxis-1",
                "type": "category",
                "position": category,
                "show": True,
                "style": {},
                "scale": {"type": "linear"},
                "labels": shown,
                "title": {},
            }
        ],
        "valueAxes": [
            {
                "id": "ValueAxis-1",
                "name": f"{value.capitalize()}Axis-1",
                "type": "value",
                "position": value,
                "show": True,
                "style": {},
                "scale": {"type": "linear", "mode": "normal"},
                "labels": {**shown, "rotate": 0, "filter": False},
                "title": {"text": "Count"},
            }
        ],
        "seriesParams": [
            {
                "show": True,
                "type": "histogram",
                "mode": "stacked",
                "data": {"label": "Count", "id": "1"},
                "valueAxis": "ValueAxis-1",
                "drawLinesBetweenPoints": True,
                "lineWidth": 2,
                "showCircles": True,
            }
        ],
        "addTooltip": True,
        "addLegend": False,
        "legendPosition": "right",
        "times": [],
        "addTimeMarker": False,
    }


def _asking(
    facts: Facts, type: str, slot: str, attributes: Mapping[str, Json], source: Mapping[str, Json]
) -> SavedObject:
    """An object that searches the index pattern, filtered by bucket if there is one."""
    pattern = _id(facts.index_key, "pattern")
    references = [{"name": f"{_SOURCE}.index", "type": "index-pattern", "id": pattern}]
    filters = []
    if facts.bucket_id is not None:
        name = f"{_SOURCE}.filter[0].meta.index"
        references.append({"name": name, "type": "index-pattern", "id": pattern})
        filters.append(
            {
                "$state": {"store": "appState"},
                "meta": {
                    "alias": None,
                    "disabled": False,
                    "negate": False,
                    "type": "phrase",
                    "key": "bucket_id",
                    "params": {"query": facts.bucket_id},
                    "indexRefName": name,
                },
                "query": {"match_phrase": {"bucket_id": facts.bucket_id}},
            }
        )
    asked = {**source, **_NO_QUERY, "filter": filters, "indexRefName": f"{_SOURCE}.index"}
    meta = {"kibanaSavedObjectMeta": {"searchSourceJSON": _text(asked)}}
    return _object(type, _id(facts.key, slot), {**attributes, **meta}, references)


def _dashboard(facts: Facts, drawn: Sequence[SavedObject], search: SavedObject) -> SavedObject:
    panels, references = [], []
    for position, (each, at) in enumerate(zip((*drawn, search), _places(len(drawn)), strict=True)):
        name, index = f"panel_{position}", str(position + 1)
        panels.append(
            {
                "version": _PANEL,
                "gridData": {**at, "i": index},
                "panelIndex": index,
                "embeddableConfig": {},
                "panelRefName": name,
            }
        )
        references.append({"name": name, "type": each["type"], "id": each["id"]})
    attributes = {
        "title": facts.title,
        "description": f"Made by `tally dashboards` from what {facts.pattern} holds; running it again replaces this.",
        "hits": 0,
        "panelsJSON": _text(panels),
        "optionsJSON": _text({"useMargins": True, "hidePanelTitles": False}),
        "version": 1,
        # Otherwise it would show only the last fifteen minutes.
        "timeRestore": True,
        "timeFrom": facts.begins,
        "timeTo": "now",
        "kibanaSavedObjectMeta": {"searchSourceJSON": _text({**_NO_QUERY, "filter": []})},
    }
    return _object("dashboard", _id(facts.key, "dashboard"), attributes, references)


_NO_QUERY: Final = {"query": {"query": "", "language": "kuery"}}


def _places(pictures: int) -> list[dict[str, int]]:
    """The layout: the number next to the timeline, then two per row, the table of documents below."""
    places = [{"x": 0, "y": 0, "w": 12, "h": 8}, {"x": 12, "y": 0, "w": _WIDTH - 12, "h": 8}]
    half = _WIDTH // 2
    for place in range(pictures - 2):
        alone = place == pictures - 3 and not place % 2
        width = _WIDTH if alone else half
        places.append({"x": half * (place % 2), "y": 8 + 15 * (place // 2), "w": width, "h": 15})
    below = max(place["y"] + place["h"] for place in places)
    return [*places, {"x": 0, "y": below, "w": _WIDTH, "h": 18}]


def _object(type: str, id: str, attributes: Mapping[str, Json], references: Sequence[Json] = ()) -> SavedObject:
    return {
        "id": id,
        "type": type,
        "attributes": dict(attributes),
        "references": list(references),
        "migrationVersion": {type: _MIGRATED[type]},
    }


def _id(key: str, slot: str) -> str:
    return str(uuid.uuid5(_SPACE, f"{key} {slot}"))


def _text(value: Json) -> str:
    return orjson.dumps(value).decode()
