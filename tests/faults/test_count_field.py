"""`count` with `field` counts the values that are there and not null, whatever strategy answers."""

from typing import Any, Final

import pytest

from tests.support.client import Client
from tests.support.oracle import aggregate, same

Json = Any

OBJECTS: Final[list[Json]] = [
    {
        "key_prefix": "a",
        "metadata": {"g": "x", "n": 1, "tags": ["a", None], "o": {"p": 1}, "m": 1, "items": [{"q": 1}]},
    },
    {"metadata": {"g": "x", "n": None, "tags": [], "o": None, "m": "text", "items": [{"q": None}, {}, {"q": 0}]}},
    {"metadata": {"g": "x", "tags": None, "m": None, "items": [], "when": "2024-01-31", "t": "t" * 9_000}},
    {"metadata": {"g": "y", "n": 0, "tags": "a", "m": False, "flag": False, "when": "soon"}},
    {"metadata": {"g": "y", "m": [1], "big": 2**60, "items": {"q": 2}}, "root": ""},
    {"metadata": {"m": {"a": 1}, "n": 2.5, "big": 1}, "root": None, "blobs": [{"property": "v", "type": "video"}]},
]

FIELDS: Final = (
    "metadata.n", "metadata.tags", "metadata.o", "metadata.o.p", "metadata.m", "metadata.items", "metadata.items.q",
    "metadata.when", "metadata.t", "metadata.flag", "metadata.big", "metadata.absent", "metadata", "blobs",
    "blobs.type", "blobs.data", "root", "key_prefix", "status", "created_at", "object_id", "bucket_id",
)  # fmt: skip


def spec(field: str, **more: Json) -> Json:
    return {
        "group_by": [{"field": "metadata.g", "alias": "g"}],
        "aggregations": [
            {"function": "count", "field": field, "alias": "values"},
            {"function": "count", "alias": "objects"},
        ],
        **more,
    }


VARIANTS: Final[tuple[Json, ...]] = (
    {},
    {"having": [{"field": "values", "operator": "gt", "value": 0}]},
    {"having": [{"field": "values", "operator": "eq", "value": 0}], "sort_by": "values"},
    {"having": [{"field": "values", "operator": "ne", "value": 1}], "sort_by": "values", "limit": 2},
    {"group_by": [{"field": "metadata.tags", "alias": "g"}]},
    {"group_by": [{"field": "metadata.o", "alias": "g"}]},
    {"group_by": [{"field": "metadata.g"}], "range_buckets": [{"field": "metadata.n", "boundaries": [0, 1]}]},
    {"unwind": "metadata.tags"},
    {"unwind": "metadata.items", "group_by": [{"field": "metadata.items.q", "alias": "g"}]},
    {"unwind": "metadata.g"},
    {"unwind": "blobs"},
    {"filters": {"metadata.g": {"$regex": "^[xy]"}, "metadata.n": {"$ne": 1}}},
    {"filters": {"metadata.t": {"$text": "t"}}},
)


@pytest.fixture
async def stored(client: Client, bucket: str) -> list[Json]:
    found: list[Json] = (await client.batch(bucket, OBJECTS))["succeeded"]
    return found


async def test_every_kind_of_value_by_every_strategy(client: Client, bucket: str, stored: list[Json]) -> None:
    strategies = set()
    for variant in VARIANTS:
        for field in FIELDS:
            request = spec(field, **variant)
            answer = await client.aggregate(bucket, request)
            wrong = same(aggregate(stored, request).rows, answer["results"], request)
            assert wrong is None, (request, answer["query_info"], wrong)
            assert answer["query_info"]["accuracy"] == {"values": "exact", "objects": "exact"}
            strategies.add(answer["query_info"]["strategy"])
    assert strategies == {"composite", "tuples", "objects"}


async def test_the_numbers_that_sql_would_give(client: Client, bucket: str, stored: list[Json]) -> None:
    total = [{"field": "bucket_id"}]
    wanted = {
        "metadata.n": 3, "metadata.tags": 3, "metadata.o": 1, "metadata.m": 5, "metadata.items": 4, "root": 1,
        "metadata.flag": 1, "metadata.absent": 0, "key_prefix": 1, "created_at": 6, "blobs.type": 6,
    }  # fmt: skip
    metrics = [{"function": "count", "field": field, "alias": f"m{place}"} for place, field in enumerate(wanted)]
    answer = await client.aggregate(bucket, {"group_by": total, "aggregations": metrics})
    assert list(answer["results"][0]["metrics"].values()) == list(wanted.values())


async def test_beside_metrics_that_are_folded(client: Client, bucket: str, stored: list[Json]) -> None:
    """Distinct values and big integers take further passes; a count beside them stays what it is."""
    request = spec("metadata.n")
    request["aggregations"] += [
        {"function": "count_distinct", "distinct_field": "metadata.n", "alias": "different"},
        {"function": "sum", "field": "metadata.big", "alias": "sum"},
        {"function": "variance", "field": "metadata.n", "alias": "variance"},
    ]
    answer = await client.aggregate(bucket, request)
    assert same(aggregate(stored, request).rows, answer["results"], request) is None
