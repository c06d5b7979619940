"""The documented page: its request and its answer, as they are printed there."""

import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.records import Project, container, source_of

Json = Any


def of(name: str) -> list[str]:
    return ["mySpace", "myContainer", name]


PRINTED: Json = {
    "aggregates": {
        "my_avg_aggregate1": {"avg": {"property": of("manufacturer")}},
        "my_terms_aggregate2": {
            "uniqueValues": {
                "property": of("manufacturer"),
                "aggregates": {
                    "my_sub_aggregate1": {"min": {"property": of("price")}},
                    "my_sub_aggregate2": {"max": {"property": of("price")}},
                    "my_sub_aggregate3": {"uniqueValues": {"property": of("region")}},
                },
            }
        },
    },
    "lastUpdatedTime": {"gt": 1705341600000, "lt": "2030-05-15T18:00:00.00Z"},
    "filter": {
        "and": [
            {"containsAll": {"property": of("myProperty"), "values": [10011, 10012]}},
            {"range": {"property": ["my_space", "my_container", "my_weight"], "gte": 0}},
        ]
    },
}
ANSWER: Json = {
    "aggregates": {
        "my_avg_aggregate1": {"avg": 42},
        "my_terms_aggregate2": {
            "uniqueValueBuckets": [
                {
                    "value": "Cognite",
                    "count": 42,
                    "aggregates": {
                        "my_sub_aggregate1": {"min": 13},
                        "my_sub_aggregate2": {"max": 69},
                        "my_sub_aggregate3": {
                            "uniqueValueBuckets": [{"value": "us1", "count": 42}, {"value": "ie1", "count": 7}]
                        },
                    },
                },
                {
                    "value": "AkerBP",
                    "count": 21,
                    "aggregates": {
                        "my_sub_aggregate1": {"min": 99},
                        "my_sub_aggregate2": {"max": 999},
                        "my_sub_aggregate3": {"uniqueValueBuckets": [{"value": "us1", "count": 11}]},
                    },
                },
            ]
        },
    }
}


def item(number: int, manufacturer: str, price: int, regions: list[str], **more: Json) -> Json:
    """One that the filter finds, but for what is changed; the mean of `rating` is to be 42."""
    weight = more.pop("my_weight", number % 3)
    values = {
        "manufacturer": manufacturer,
        "price": price,
        "region": regions,
        "myProperty": [10011, number, 10012],
        "rating": 41 if number % 2 else 43,
        **more,
    }
    sources = [source_of(values, "mySpace", "myContainer")]
    if weight is not None:
        sources.append(source_of({"my_weight": weight}, "my_space", "my_container"))
    return {"space": "mySpace", "externalId": f"{number}", "sources": sources}


def items() -> list[Json]:
    """42 of Cognite, all in us1 and 7 in ie1, too; 21 of AkerBP, 11 in us1; and some that are not to be found."""
    cognite = [
        item(n, "Cognite", (13, 69)[n] if n < 2 else 14 + n, ["us1", "ie1"] if n < 7 else ["us1"]) for n in range(42)
    ]
    aker = [item(42 + n, "AkerBP", (99, 999)[n] if n < 2 else 100 + n, ["us1"] if n < 11 else []) for n in range(20)]
    aker.append(item(62, "AkerBP", 500, [], rating=42))
    others = [
        item(70, "Cognite", 1, ["us1"], myProperty=[10011]),
        item(71, "AkerBP", 1, ["eu1"], my_weight=-1),
        item(72, "Other", 1, ["us1"], my_weight=None),
        item(73, "Other", 1, ["us1"], myProperty=[]),
    ]
    return [*cognite, *aker, *others]


@pytest.fixture(scope="module")
async def project(client: Client) -> AsyncIterator[Project]:
    async with Project.made(client) as project:
        await project.spaces("mySpace", "my_space")
        numbers = {"rating": {"type": "float64"}, "price": {"type": "int32"}}
        lists = {"region": {"type": "text", "list": True}, "myProperty": {"type": "int64", "list": True}}
        mine = container({"manufacturer": {"type": "text"}, **numbers, **lists}, "mySpace", "myContainer")
        await project.containers(mine, container({"my_weight": {"type": "float64"}}, "my_space", "my_container"))
        await project.stream("test1", "MutableTestStream")
        await project.ingest("test1", *items())
        yield project


async def test_the_printed_answer(project: Project) -> None:
    request = copy.deepcopy(PRINTED)
    request["aggregates"]["my_avg_aggregate1"]["avg"]["property"] = of("rating")
    assert await project.post("/streams/test1/records/aggregate", request) == ANSWER


async def test_the_printed_request(project: Project) -> None:
    """It asks for the mean of texts."""
    place = "aggregates.my_avg_aggregate1.avg.property"
    kinds = ("float32", "float64", "int32", "int64")
    await project.refused("/streams/test1/records/aggregate", PRINTED, 400, place, "manufacturer", "text", *kinds)


async def test_the_printed_example_of_aggregates(project: Project) -> None:
    """Those of its second example name three containers, of which none is declared."""
    tree = {
        "my_aggr_1": {"min": {"property": ["space1", "container1", "property1"]}},
        "my_aggr_2": {
            "uniqueValues": {
                "property": ["space1", "container2", "property1"],
                "aggregates": {"my_sub_aggr": {"avg": {"property": ["space2", "container1", "property3"]}}},
            }
        },
    }
    body = {"aggregates": tree}
    await project.refused("/streams/test1/records/aggregate", body, 400, "aggregates.my_aggr_1.min.property", "space1")
    await project.spaces("space1", "space2")
    for space, id, name in (
        ("space1", "container1", "property1"),
        ("space1", "container2", "property1"),
        ("space2", "container1", "property3"),
    ):
        await project.containers(container({name: {"type": "float64"}}, space, id))
    first = {"space": "space1", "externalId": "x", "sources": []}
    first["sources"] = [
        source_of({"property1": 69}, "space1", "container1"),
        source_of({"property1": 1}, "space1", "container2"),
        source_of({"property3": 42}, "space2", "container1"),
    ]
    await project.stream("test2", "MutableTestStream")
    await project.ingest("test2", first)
    found = await project.aggregate("test2", tree)
    bucket = {"value": 1, "count": 1, "aggregates": {"my_sub_aggr": {"avg": 42}}}
    assert found == {"my_aggr_1": {"min": 69}, "my_aggr_2": {"uniqueValueBuckets": [bucket]}}
