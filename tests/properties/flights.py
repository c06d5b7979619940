"""All 336,776 flights of 2013, against figures calculated from the file itself."""

import statistics
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from rich.console import Console

from service.cli.loading import SAMPLE_SIZES, Loader, flights
from tests.conftest import KEY
from tests.support.client import Client


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [orjson.loads(line)["metadata"] for line in flights("full")]


@pytest.fixture(scope="module")
async def full(client: Client) -> AsyncIterator[str]:
    loader = Loader(client.address, KEY, str(client.namespace), Console(quiet=True))
    summary = await loader.load("all-flights", flights("full"), SAMPLE_SIZES["full"])
    assert summary["succeeded_count"] == 336_776
    yield "all-flights"
    await loader.drop("all-flights")


def spec(*fields: str, metrics: list[dict[str, str]] | None = None, **more: Any) -> dict[str, Any]:
    count = {"function": "count", "alias": "n"}
    return {
        "group_by": [{"field": f"metadata.{field}", "alias": field} for field in fields],
        "aggregations": [count, *(metrics or [])],
        **more,
    }


async def test_carriers(client: Client, full: str) -> None:
    answer = await client.aggregate(full, spec("carrier", sort_by="n"))
    assert answer["total_groups"] == 16
    assert answer["results"][0] == {"group": {"carrier": "UA"}, "metrics": {"n": 58_665}}
    assert sum(row["metrics"]["n"] for row in answer["results"]) == 336_776


async def test_tail_numbers_with_the_null_one(client: Client, full: str, rows: list[dict[str, Any]]) -> None:
    answer = await client.aggregate(full, spec("tailnum"))
    assert answer["total_groups"] == 4_044
    assert {row["group"]["tailnum"]: row["metrics"]["n"] for row in answer["results"]} == Counter(
        row["tailnum"] for row in rows
    )


async def test_mean_delay_of_44_465_groups(client: Client, full: str, rows: list[dict[str, Any]]) -> None:
    delays: dict[tuple[str | None, str], list[int]] = defaultdict(list)
    for row in rows:
        delays[row["tailnum"], row["dest"]].extend([] if row["dep_delay"] is None else [row["dep_delay"]])
    mean = {"function": "avg", "field": "metadata.dep_delay", "alias": "delay"}
    answer = await client.aggregate(full, spec("tailnum", "dest", metrics=[mean]))
    assert answer["total_groups"] == len(delays) == 44_465
    assert {(row["group"]["tailnum"], row["group"]["dest"]): row["metrics"]["delay"] for row in answer["results"]} == {
        group: statistics.mean(map(float, each)) if each else None for group, each in delays.items()
    }


async def test_having_keeps_the_null_group(client: Client, full: str) -> None:
    having = [{"field": "n", "operator": "gt", "value": 200}]
    answer = await client.aggregate(full, spec("tailnum", having=having))
    assert answer["total_groups"] == 502
    assert {"group": {"tailnum": None}, "metrics": {"n": 2_512}} in answer["results"]
    assert "groups_before_having" not in answer["query_info"]  # OpenSearch dropped the others


async def test_months_in_utc(client: Client, full: str) -> None:
    key = {"field": "metadata.time_hour", "alias": "month", "date_trunc": "month"}
    answer = await client.aggregate(full, {"group_by": [key], "aggregations": [{"function": "count", "alias": "n"}]})
    assert [row["group"]["month"] for row in answer["results"]] == [
        *(f"2013-{month:02}-01T00:00:00Z" for month in range(1, 13)),
        "2014-01-01T00:00:00Z",
    ]


async def test_more_groups_than_one_page_holds(client: Client, full: str, rows: list[dict[str, Any]]) -> None:
    answer = await client.aggregate(full, spec("time_hour", "tailnum", "flight", sort_by="n", limit=3))
    assert answer["query_info"]["groups_matched"] == len(
        {(row["time_hour"], row["tailnum"], row["flight"]) for row in rows}
    )


async def test_distinct_values_are_counted_exactly(client: Client, full: str, rows: list[dict[str, Any]]) -> None:
    distinct = {"function": "count_distinct", "distinct_field": "metadata.tailnum", "alias": "aircraft"}
    answer = await client.aggregate(full, spec("carrier", metrics=[distinct]))
    aircraft: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        aircraft[row["carrier"]].update([row["tailnum"]] if row["tailnum"] else [])
    assert {row["group"]["carrier"]: row["metrics"]["aircraft"] for row in answer["results"]} == {
        carrier: len(tails) for carrier, tails in aircraft.items()
    }
