"""k8s/grafana/tally.json: shows every metric that the service has, asks for no other, and has no overlaps."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from prometheus_client.metrics import MetricWrapperBase

from service import metrics
from tests.conftest import ROOT

Json = Any

BOARD = json.loads((ROOT / "k8s/grafana/tally.json").read_text())
VARIABLES = {"datasource", "job", "namespace"}
SCRAPED = {"job", "namespace", "instance"}
"""Labels that Prometheus adds."""

SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def series() -> dict[str, tuple[str, set[str]]]:
    """Name of each series that the registry has → its metric, its labels."""
    found = {}
    for metric in (each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)):
        for suffix in SUFFIXES[str(metric._type)]:
            labels = {*metric._labelnames, *(["le"] if suffix == "_bucket" else [])}
            found[metric._name + suffix] = (metric._name, labels)
    return found


def expressions() -> list[str]:
    return [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Each series of an expression and the labels in its braces."""
    for name, braces in re.findall(r"\b(tally_\w+)(?:\{([^}]*)\})?", expression):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", braces))


def wrong(expression: str) -> list[str]:
    known = series()
    found = list(selectors(expression))
    problems = [name for name, _ in found if name not in known]
    own = set[str]().union(*(known[name][1] for name, _ in found if name in known), SCRAPED)
    problems += [label for name, labels in found if name in known for label in labels - known[name][1] - SCRAPED]
    for grouping in re.findall(r"\bby \(([^)]*)\)", expression):
        problems += [label for label in re.split(r",\s*", grouping) if label not in own]
    if "histogram_quantile" in expression and not re.search(r"by \(le\b.*_bucket\{", expression):
        problems.append("histogram_quantile without le")
    if re.search(r"_(total|bucket|sum|count)\{[^}]*\}(?!\[)", expression):
        problems.append("a counter that is no rate")
    return problems + [
        each for each in re.findall(r"\$(\w+)", expression) if each not in VARIABLES | {"__rate_interval"}
    ]


def test_the_registry_is_read_right() -> None:
    names = {name for family in metrics.registry.collect() for name in [family.name]}
    assert names == {metric for metric, _ in series().values()}
    assert "tally_requests_total" in series()


@pytest.mark.parametrize("expression", expressions())
def test_asks_for_what_there_is(expression: str) -> None:
    assert wrong(expression) == []
    assert all(SCRAPED - {"instance"} <= labels for _, labels in selectors(expression))
    assert expression.count("(") == expression.count(")")


def test_shows_every_metric() -> None:
    known = series()
    shown = {known[name][0] for expression in expressions() for name, _ in selectors(expression)}
    assert shown == {metric for metric, _ in known.values()}


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("sum(rate(tally_nothing_total{}[5m]))", "tally_nothing_total"),
        ('sum(rate(tally_groups_total{route="x"}[5m]))', "route"),
        ("sum by (bucket) (rate(tally_groups_total{}[5m]))", "bucket"),
        ("sum(tally_groups_total{})", "a counter that is no rate"),
        (
            "histogram_quantile(0.9, sum by (route) (rate(tally_request_seconds_bucket{}[5m])))",
            "histogram_quantile without le",
        ),
        ('tally_requests_in_flight{job="$jobs"}', "jobs"),
    ],
)
def test_a_wrong_expression_is_found(expression: str, problem: str) -> None:
    assert problem in wrong(expression)


def test_no_panel_lies_on_another() -> None:
    places = [panel["gridPos"] for panel in BOARD["panels"]]
    for place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
        assert place["h"] > 0
    for one, other in combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


def test_ids_and_variables() -> None:
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(ids) == len(set(ids)) == len({panel["title"] for panel in BOARD["panels"]})
    assert {each["name"] for each in BOARD["templating"]["list"]} == VARIABLES
    datasources = [panel["datasource"] for panel in BOARD["panels"]]
    datasources += [target["datasource"] for panel in BOARD["panels"] for target in panel["targets"]]
    datasources += [each["datasource"] for each in BOARD["templating"]["list"] if each["type"] == "query"]
    assert all(each == {"type": "prometheus", "uid": "${datasource}"} for each in datasources)
    for each in BOARD["templating"]["list"]:
        if each["type"] == "query":
            name, label = re.fullmatch(r"label_values\((tally_\w+)(?:\{.*\})?, (\w+)\)", each["definition"]).groups()  # type: ignore[union-attr]
            assert name in series()
            assert label in SCRAPED
    assert "id" not in BOARD, "Grafana gives it when the file is imported"
