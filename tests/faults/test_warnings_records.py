"""`info` of an aggregate over records: properties that no record has, and how much `size` left out."""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from service.serving import served
from service.settings import Settings
from tests.conftest import KEY
from tests.support.client import Client
from tests.support.kinds import today
from tests.support.records import Project, container, fresh, property_of, record

Json = Any

CARRIERS: Final = ["AA", "AA", "AA", "UA", "UA", "B6", "DL", "DL", None]
PROPERTIES: Final[dict[str, Json]] = {
    "carrier": {"type": "text"},
    "carriers": {"type": "text"},
    "delay": {"type": "float64"},
    "number": {"type": "int64"},
    "notes": {"type": "json"},
    "tags": {"type": "text", "list": True},
    "other": {"type": "text"},
}


def records() -> list[Json]:
    return [
        record(
            f"r{place}",
            {"carrier": carrier, "delay": place, "number": place % 3, "tags": ["a", "b", "c"][: place % 4]},
        )
        for place, carrier in enumerate(CARRIERS)
    ]


@pytest.fixture(scope="module")
async def project(client: Client) -> AsyncIterator[Project]:
    async with Project.made(client) as project:
        await project.spaces("s")
        await project.containers(container(PROPERTIES))
        yield project


@pytest.fixture(scope="module")
async def stream(project: Project) -> str:
    stream = await project.stream()
    await project.ingest(stream, *records())
    return stream


async def info(project: Project, stream: str, aggregates: Json, **more: Json) -> Json:
    answer = await project.post(f"/streams/{stream}/records/aggregate?info=true", {"aggregates": aggregates, **more})
    return answer["info"]


def by(name: str, size: int = 10, **more: Json) -> Json:
    return {"uniqueValues": {"property": property_of(name), "size": size, **more}}


def count(name: str) -> Json:
    return {"count": {"property": property_of(name)}}


@pytest.mark.parametrize(
    ("aggregates", "filter", "expected"),
    [
        ({"by": by("carrier"), "sum": {"sum": {"property": property_of("delay")}}, "n": {"count": {}}}, None, []),
        ({"n": {"count": {}}}, None, []),
        (
            {"by": by("carriers")},
            None,
            ["aggregates.by.uniqueValues: no record has `s/c/carriers`; there is `s/c/carrier`"],
        ),
        ({"by": by("other")}, None, ["aggregates.by.uniqueValues: no record has `s/c/other`"]),
        ({"n": count("notes")}, None, ["aggregates.n.count: no record has `s/c/notes`"]),
        (
            {"by": by("carrier", aggregates={"inner": by("other"), "n": count("other")})},
            None,
            [
                "aggregates.by.uniqueValues.aggregates.inner.uniqueValues, "
                "aggregates.by.uniqueValues.aggregates.n.count: no record has `s/c/other`"
            ],
        ),
        (
            {"n": {"count": {}}},
            {"and": [{"exists": {"property": property_of("carrier")}}, {"not": {"equals": {
                "property": property_of("carriers"), "value": "AA"}}}]},
            ["filter.and[1].not.equals: no record has `s/c/carriers`; there is `s/c/carrier`"],
        ),
        (
            {"f": {"filters": {"filters": [{"prefix": {"property": property_of("other"), "value": "x"}}]}}},
            None,
            ["aggregates.f.filters.filters[0].prefix: no record has `s/c/other`"],
        ),
        # The filter finds nothing, but the properties are there.
        ({"by": by("carrier")}, {"equals": {"property": property_of("delay"), "value": 1_000}}, []),
    ],
)  # fmt: skip
async def test_a_property_that_no_record_has(
    project: Project, stream: str, aggregates: Json, filter: Json, expected: list[str]
) -> None:
    assert (await info(project, stream, aggregates, filter=filter))["warnings"] == expected


async def test_a_stream_without_records(project: Project) -> None:
    for template, more in (("MutableTestStream", {}), ("ImmutableTestStream", today())):
        stream = await project.stream(template=template)
        told = await info(project, stream, {"by": by("carrier")}, **more)
        assert told["warnings"] == ["there are no records, so the answer is empty"]


async def test_without_info_nothing_is_added(project: Project, stream: str) -> None:
    answer = await project.post(f"/streams/{stream}/records/aggregate", {"aggregates": {"by": by("other", 1)}})
    assert answer == {"aggregates": {"by": {"uniqueValueBuckets": []}}}


async def test_how_many_records_the_other_values_have(project: Project, stream: str) -> None:
    told = await info(project, stream, {"by": by("carrier", 2)})
    assert told["otherRecords"] == {"by": 3}
    assert told["warnings"] == [
        "by: there are more values than `size`; the buckets that were left out count 3 more records"
    ]
    exactly = await info(project, stream, {"by": by("carrier", 4)})
    assert "otherRecords" not in exactly
    assert exactly["warnings"] == []


async def test_of_each_bucket_that_it_lies_in(project: Project, stream: str) -> None:
    """AA has the numbers 0, 1, 2 and UA 0, 1: one of each is shown."""
    told = await info(project, stream, {"by": by("carrier", 2, aggregates={"inner": by("number", 1)})})
    buckets = (
        await project.post(
            f"/streams/{stream}/records/aggregate",
            {"aggregates": {"by": by("carrier", 2, aggregates={"inner": by("number", 10)})}},
        )
    )["aggregates"]["by"]["uniqueValueBuckets"]
    left = sum(sum(b["count"] for b in each["aggregates"]["inner"]["uniqueValueBuckets"][1:]) for each in buckets)
    assert told["otherRecords"] == {"by": 3, "inner": left}


async def test_a_record_counts_once_for_each_value_of_a_list(project: Project, stream: str) -> None:
    whole = await project.post(f"/streams/{stream}/records/aggregate", {"aggregates": {"by": by("tags")}})
    counts = [each["count"] for each in whole["aggregates"]["by"]["uniqueValueBuckets"]]
    told = await info(project, stream, {"by": by("tags", 1)})
    assert told["otherRecords"] == {"by": sum(counts[1:])}


async def test_in_gaps_of_histograms_and_below_filters(project: Project, stream: str) -> None:
    carriers = {"filters": [{"exists": {"property": property_of("carrier")}}], "aggregates": {"b": by("carrier", 3)}}
    steps = {"property": property_of("delay"), "interval": 0.5, "aggregates": {"a": by("tags", 1)}}
    aggregates = {"h": {"numberHistogram": steps}, "f": {"filters": carriers}}
    told = await info(project, stream, aggregates)
    assert told["otherRecords"] == {"a": 2 * 1 + 2 * 2, "b": 1}


@pytest.mark.parametrize("template", ["MutableTestStream", "ImmutableTestStream"])
async def test_over_several_shards_and_from_the_records_themselves(settings: Settings, template: str) -> None:
    """Four shards; sums of such integers are folded from the records."""
    four = settings.model_copy(update={"shards": 4})
    async with (
        served(four, KEY) as address,
        Client(address, KEY) as client,
        Project.made(client, fresh("shards")) as project,
    ):
        await project.spaces("s")
        await project.containers(container(PROPERTIES))
        stream = await project.stream(template=template)
        more = [record(f"big{place}", {"number": 2**62, "carrier": f"c{place}"}) for place in range(40)]
        await project.ingest(stream, *records(), *more)
        period = {} if template == "MutableTestStream" else today()
        aggregates = {"by": by("carrier", 5), "sum": {"sum": {"property": property_of("number")}}}
        told = await info(project, stream, aggregates, **period)
        assert told["otherRecords"] == {"by": 8 + 40 - (3 + 2 + 2 + 1 + 1)}
        halves = {"by": by("carrier", 5), "avg": {"avg": {"property": property_of("number")}}}
        assert (await info(project, stream, halves, **period))["otherRecords"] == told["otherRecords"]


async def test_a_name_that_there_is_not_tells_the_nearest(project: Project, client: Client, stream: str) -> None:
    def without(name: str) -> list[str]:
        return ["s", property_of("carrier")[1], name]

    base = f"/api/v1/projects/{project.name}"
    records_at = f"{base}/streams/{stream}/records"
    source = {"type": "container", "space": "s", "externalId": property_of("carrier")[1]}
    elsewhere = ["s", "nowhere", "carrier"]
    item = {"space": "s", "externalId": "x", "sources": [{"source": source, "properties": {"delays": 1}}]}
    template = {"externalId": "one", "settings": {"template": {"name": "ImutableTestStream"}}}
    cases: list[tuple[str, Json, str]] = [
        (f"{records_at}/aggregate", {"aggregates": {"a": {"avg": {"property": without("dealy")}}}}, "`delay`?"),
        (f"{records_at}/aggregate", {"aggregates": {"a": {"max": {"property": ["createdTme"]}}}}, "`createdTime`?"),
        (f"{records_at}/aggregate", {"aggregates": {"a": {"avg": {"property": elsewhere}}}}, "no container s/nowhere"),
        (f"{records_at}/filter", {"filter": {"exists": {"property": without("numbr")}}}, "`number`?"),
        (f"{records_at}/filter", {"sort": [{"property": without("Note")}]}, "`notes`?"),
        (f"{records_at}/filter", {"sources": [{"source": source, "properties": ["othr"]}]}, "`other`?"),
        (f"{records_at}", {"items": [item]}, "`delay`?"),
        (f"{base}/streams", {"items": [template]}, "`ImmutableTestStream`?"),
    ]
    for path, body, hint in cases:
        status, answer = await client.call("POST", path, body, namespace=None)
        assert status == 400, answer
        assert hint in answer["error"]["message"], answer
