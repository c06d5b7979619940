"""Time zones, the ends of time, and comparisons with dates: an answer that is right in every strategy, or a 422."""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from service.iso8601 import parse_instant
from tests.support.client import Client
from tests.support.records import TYPES, Project, container, fresh, record

Json = Any

STRATEGIES: Final[dict[str, Json]] = {
    "composite": {},
    "tuples": {"unwind": "metadata.tags"},
    "objects": {"aggregations": [{"function": "push", "field": "metadata.one", "alias": "n"}]},
}

TRUNCATED: Final = (
    # (instant, unit or unit and first day of the week, zone, start)
    # Clock changes: the hour is a full hour of the clock as it is set at the instant (docs/exactness.md).
    ("2026-09-26T14:00:00Z", "hour", "Pacific/Chatham", "2026-09-27T02:00:00+12:45"),
    ("2026-09-26T13:59:59.999Z", "hour", "Pacific/Chatham", "2026-09-27T02:00:00+12:45"),
    ("2026-09-26T14:15:00Z", "hour", "Pacific/Chatham", "2026-09-27T04:00:00+13:45"),
    ("2026-04-04T14:00:00Z", "hour", "Pacific/Chatham", "2026-04-05T03:00:00+13:45"),
    ("2026-04-04T14:15:00Z", "hour", "Pacific/Chatham", "2026-04-05T03:00:00+12:45"),
    ("2026-10-03T15:45:00Z", "hour", "Australia/Lord_Howe", "2026-10-04T01:30:00+10:30"),
    ("2026-10-03T16:00:00Z", "hour", "Australia/Lord_Howe", "2026-10-04T03:00:00+11:00"),
    ("2026-04-04T15:05:00Z", "hour", "Australia/Lord_Howe", "2026-04-05T01:30:00+11:00"),
    ("2026-04-04T14:45:00Z", "hour", "Australia/Lord_Howe", "2026-04-05T01:00:00+11:00"),
    ("2007-12-09T07:05:00Z", "hour", "America/Caracas", "2007-12-09T02:30:00-04:00"),
    ("2007-12-09T06:59:59Z", "hour", "America/Caracas", "2007-12-09T02:00:00-04:00"),
    ("2010-05-05T10:40:00Z", "hour", "America/Caracas", "2010-05-05T06:00:00-04:30"),
    ("2024-10-27T00:30:00Z", "hour", "Europe/Berlin", "2024-10-27T02:00:00+02:00"),
    ("2024-10-27T01:30:00Z", "hour", "Europe/Berlin", "2024-10-27T02:00:00+01:00"),
    ("2024-03-31T01:00:00Z", "hour", "Europe/Berlin", "2024-03-31T03:00:00+02:00"),
    ("2024-06-01T10:20:40.123Z", "minute", "Asia/Kathmandu", "2024-06-01T16:05:00+05:45"),
    ("2024-06-01T10:20:40.123Z", "second", "Asia/Kathmandu", "2024-06-01T16:05:40+05:45"),
    # Days whose midnight the clock leaves out, or shows twice.
    ("2018-11-04T12:00:00Z", "day", "America/Sao_Paulo", "2018-11-04T01:00:00-02:00"),
    ("1919-03-31T04:40:00Z", "day", "America/Toronto", "1919-03-31T00:30:00-04:00"),
    ("2006-10-29T03:40:00Z", "day", "America/St_Johns", "2006-10-29T00:00:00-02:30"),
    ("2011-12-30T11:00:00Z", "day", "Pacific/Apia", "2011-12-31T00:00:00+14:00"),
    ("2011-12-31T11:00:00Z", "week friday", "Pacific/Apia", "2011-12-31T00:00:00+14:00"),
    ("2024-11-05T12:00:00Z", "month", "America/Havana", "2024-11-01T00:00:00-04:00"),
    ("2024-11-03T05:30:00Z", "day", "America/Havana", "2024-11-03T00:00:00-04:00"),
    ("1995-01-05T12:00:00Z", "year", "Pacific/Kiritimati", "1995-01-01T00:00:00+14:00"),
    # Names that a JVM does not know.
    ("2024-07-01T02:30:00Z", "day", "EST", "2024-06-30T00:00:00-05:00"),
    ("2024-07-01T02:30:00Z", "day", "MST", "2024-06-30T00:00:00-07:00"),
    ("2024-07-01T02:30:00Z", "hour", "HST", "2024-06-30T16:00:00-10:00"),
    ("2024-07-01T20:30:00Z", "week", "ROC", "2024-06-30T00:00:00+08:00"),
    ("2024-07-01T02:30:00Z", "day", "EST5EDT", "2024-06-30T00:00:00-04:00"),
    ("2024-07-01T02:30:00Z", "hour", "Etc/GMT+5", "2024-06-30T21:00:00-05:00"),
    # Before standard time, offsets have seconds.
    ("1880-05-05T12:00:30Z", "hour", "Europe/Berlin", "1880-05-05T12:00:00+00:53:28"),
    ("1880-05-05T12:06:40Z", "minute", "Europe/Berlin", "1880-05-05T13:00:00+00:53:28"),
    ("1880-05-05T12:06:40Z", "second", "Europe/Berlin", "1880-05-05T13:00:08+00:53:28"),
    ("1880-05-05T12:06:40Z", "year", "Europe/Berlin", "1880-01-01T00:00:00+00:53:28"),
    ("1971-12-31T12:00:00Z", "hour", "Africa/Monrovia", "1971-12-31T11:00:00-00:44:30"),
    # The ends of time.
    ("0001-01-01T00:00:00Z", "week", "UTC", "0000-12-31T00:00:00Z"),
    ("0001-01-01T00:00:00Z", "week monday", "UTC", "0001-01-01T00:00:00Z"),
    ("0001-01-01T00:00:00Z", "day", "America/New_York", "0000-12-31T00:00:00-04:56:02"),
    ("0001-01-01T00:00:00Z", "year", "America/New_York", "0000-01-01T00:00:00-04:56:02"),
    ("0001-01-01T00:00:00Z", "hour", "America/New_York", "0000-12-31T19:00:00-04:56:02"),
    ("0001-01-01T00:00:00Z", "quarter", "Asia/Tokyo", "0001-01-01T00:00:00+09:18:59"),
    ("9999-12-31T23:59:59Z", "day", "Asia/Tokyo", "+010000-01-01T00:00:00+09:00"),
    ("9999-12-31T23:59:59Z", "week", "Asia/Tokyo", "9999-12-26T00:00:00+09:00"),
    ("9999-12-31T23:59:59Z", "year", "Asia/Tokyo", "+010000-01-01T00:00:00+09:00"),
    ("9999-12-31T23:59:59.999Z", "hour", "Asia/Kathmandu", "+010000-01-01T05:00:00+05:45"),
    ("9999-12-31T23:59:59.999Z", "second", "Pacific/Chatham", "+010000-01-01T13:44:59+13:45"),
    ("9999-12-31T23:59:59Z", "month", "America/Los_Angeles", "9999-12-01T00:00:00-08:00"),
    ("9999-07-04T00:30:00Z", "day", "Europe/London", "9999-07-04T00:00:00+01:00"),
    ("9999-12-31T23:59:59Z", "week saturday", "UTC", "9999-12-25T00:00:00Z"),
    # Beyond the changes that a zone's file lists.
    ("2500-07-04T00:30:00Z", "hour", "Europe/Paris", "2500-07-04T02:00:00+02:00"),
    ("2999-01-04T00:30:00Z", "day", "Australia/Sydney", "2999-01-04T00:00:00+11:00"),
)

PARTS: Final = (
    (
        "0001-01-01T00:00:00Z",
        "America/New_York",
        {"year": 0, "isoYear": 0, "dayOfWeek": 1, "dayOfYear": 366, "hour": 19},
    ),
    ("9999-12-31T23:59:59Z", "Asia/Tokyo", {"year": 10000, "isoYear": 9999, "week": 52, "month": 1, "day": 1}),
    ("9999-12-31T23:59:59Z", "UTC", {"year": 9999, "week": 52, "dayOfWeek": 6, "hour": 23, "second": 59}),
    ("2026-09-26T14:00:00Z", "Pacific/Chatham", {"hour": 3, "minute": 45, "day": 27}),
    ("1880-05-05T12:06:40Z", "Europe/Berlin", {"hour": 13, "minute": 0, "second": 8}),
    ("2024-07-01T02:30:00Z", "HST", {"hour": 16, "day": 30, "quarter": 2, "dayOfWeek": 1}),
)


@pytest.fixture(scope="module")
async def instants(client: Client) -> AsyncIterator[str]:
    """A bucket with an object for each instant of the tables."""
    name = fresh("instants")
    await client.ok("POST", "/v1/buckets", {"bucket_name": name})
    texts = sorted({each[0] for each in (*TRUNCATED, *PARTS)})
    answer = await client.batch(name, [{"metadata": {"at": text, "one": 1, "tags": ["x"]}} for text in texts])
    assert answer["failed"] == []
    yield name
    await client.call("DELETE", f"/v1/buckets/{name}")


async def rows(client: Client, bucket: str, strategy: str, at: str, *keys: Json) -> list[Json]:
    spec = {
        "filters": {"metadata.at": at},
        "group_by": [{"field": "metadata.at", **key} for key in keys],
        "aggregations": [{"function": "count", "alias": "n"}],
        **STRATEGIES[strategy],
    }
    answer = await client.aggregate(bucket, spec)
    assert answer["query_info"]["strategy"] == strategy
    return [row["group"] for row in answer["results"]]


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_unit_starts_at_the_same_instant_in_every_strategy(
    client: Client, instants: str, strategy: str
) -> None:
    wrong = []
    for at, unit, zone, start in TRUNCATED:
        name, _, first = unit.partition(" ")
        key = {"alias": "t", "date_trunc": name, "time_zone": zone, **({"start_of_week": first} if first else {})}
        found = await rows(client, instants, strategy, at, key)
        if found != [{"t": start}]:
            wrong.append((at, unit, zone, start, found))
    assert wrong == []


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_parts_are_read_off_the_zone_s_clock_in_every_strategy(
    client: Client, instants: str, strategy: str
) -> None:
    for at, zone, parts in PARTS:
        keys = [{"alias": part, "date_part": part, "time_zone": zone} for part in parts]
        assert await rows(client, instants, strategy, at, *keys) == [parts]


async def test_all_instants_at_once_are_in_order(client: Client, instants: str) -> None:
    """Year 0 comes first and year 10000 last, though their texts would not; pages go on between them."""
    spec = {
        "group_by": [{"field": "metadata.at", "alias": "t", "date_trunc": "day", "time_zone": "Asia/Tokyo"}],
        "aggregations": [{"function": "count", "alias": "n"}],
    }
    texts = [row["group"]["t"] for row in (await client.aggregate(instants, spec))["results"]]
    times = [parse_instant(text) or 0 for text in texts[1:]]
    assert times == sorted(times)
    assert texts[0] == "0001-01-01T00:00:00+09:18:59"
    assert texts[-1] == "+010000-01-01T00:00:00+09:00"


def test_a_start_can_be_sent_back_as_an_operand() -> None:
    for at, _, _, start in TRUNCATED:
        if not at.startswith("0001"):
            assert parse_instant(start) is not None, start
    assert parse_instant("0000-12-31T19:00:00-05:00") == parse_instant("0001-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("Europe/berlin", "Europe/Berlin"),
        ("Nowhere/City", ""),
        ("+02:00", ""),
        ("CEST", ""),
        ("Europe", ""),
        ("../etc/passwd", ""),
        ("localtime", ""),
        ("right/UTC", ""),
        ("", ""),
        ("Zürich", ""),
        ("a\0b", ""),
        ("x" * 5_000, ""),
    ],
)
async def test_an_unknown_zone_is_refused(client: Client, instants: str, zone: str, hint: str) -> None:
    spec = {
        "group_by": [{"field": "metadata.at", "date_trunc": "day", "time_zone": zone}],
        "aggregations": [{"function": "count", "alias": "n"}],
    }
    [(location, message)] = await client.problems("POST", f"/v1/buckets/{instants}/objects/aggregate", spec)
    assert location == ["body", "group_by", 0, "time_zone"]
    assert "IANA name such as Europe/Berlin" in message
    assert hint in message
    assert len(message) < 300


# Records


@pytest.fixture(scope="module")
async def ends(client: Client) -> AsyncIterator[tuple[Project, str]]:
    """A stream with a record at each end of time."""
    async with Project.made(client) as project:
        await project.spaces("s")
        await project.containers(container(TYPES))
        stream = await project.stream()
        times = ("0001-01-01T00:00:00Z", "0001-01-05T12:00:00Z", "9999-12-31T23:59:59.999Z")
        await project.ingest(stream, *(record(f"r{n}", {"time": time}) for n, time in enumerate(times)))
        yield project, stream


HISTOGRAMS: Final = (
    # Interval, and the starts of the first two records' buckets and of the last one's.
    ({"fixedInterval": "3d"}, "0000-12-31T00:00:00Z", "0001-01-03T00:00:00Z", "9999-12-31T00:00:00Z"),
    ({"fixedInterval": "7d"}, "0000-12-28T00:00:00Z", "0001-01-04T00:00:00Z", "9999-12-30T00:00:00Z"),
    ({"fixedInterval": "30d"}, "0000-12-04T00:00:00Z", "0001-01-03T00:00:00Z", "9999-12-25T00:00:00Z"),
    ({"fixedInterval": "365d"}, "0000-04-23T00:00:00Z", "0000-04-23T00:00:00Z", "9999-09-01T00:00:00Z"),
    ({"fixedInterval": "999999d"}, "-000768-02-05T00:00:00Z", "-000768-02-05T00:00:00Z", "7445-10-23T00:00:00Z"),
    ({"fixedInterval": "1h"}, "0001-01-01T00:00:00Z", "0001-01-05T12:00:00Z", "9999-12-31T23:00:00Z"),
    ({"calendarInterval": "1d"}, "0001-01-01T00:00:00Z", "0001-01-05T00:00:00Z", "9999-12-31T00:00:00Z"),
    ({"calendarInterval": "1w"}, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-27T00:00:00Z"),
    ({"calendarInterval": "1M"}, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-01T00:00:00Z"),
    ({"calendarInterval": "1q"}, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-10-01T00:00:00Z"),
    ({"calendarInterval": "1y"}, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z"),
)


@pytest.mark.parametrize(("interval", "first", "second", "last"), HISTOGRAMS)
async def test_a_time_histogram_reaches_the_ends(
    ends: tuple[Project, str], interval: Json, first: str, second: str, last: str
) -> None:
    project, stream = ends
    early = {"range": {"property": ["s", "c", "time"], "lt": "1000-01-01T00:00:00Z"}}
    late = {"range": {"property": ["s", "c", "time"], "gte": "9000-01-01T00:00:00Z"}}
    histogram = {"timeHistogram": {"property": ["s", "c", "time"], **interval}}
    for chosen, starts in ((early, {first, second}), (late, {last})):
        told = await project.one(stream, histogram, filter=chosen)
        buckets = [each for each in told["timeHistogramBuckets"] if each["count"]]
        assert {each["intervalStart"] for each in buckets} == starts


@pytest.mark.parametrize("interval", [interval for interval, *_ in HISTOGRAMS])
async def test_a_path_to_a_bucket_at_an_end_is_answered(ends: tuple[Project, str], interval: Json) -> None:
    project, stream = ends
    start = next(last for each, _, _, last in HISTOGRAMS if each == interval)
    late = {"range": {"property": ["s", "c", "time"], "gte": "9000-01-01T00:00:00Z"}}
    path = {"bucketsPath": f'h["{start}"]>_count', "window": 1, "function": "MovingFunctions.max"}
    inner = {
        "h": {"timeHistogram": {"property": ["s", "c", "time"], **interval}},
        "m": {"movingFunction": path},
    }
    outer = {"timeHistogram": {"property": ["s", "c", "time"], "calendarInterval": "1y", "aggregates": inner}}
    told = await project.one(stream, outer, filter=late)
    # A window is what lies before a bucket, and there is none.
    assert [each["aggregates"]["m"] for each in told["timeHistogramBuckets"]] == [{"fnValue": 0}]


# Comparisons


BASE: Final = "2026-01-01T00:00:00Z"
SAME: Final = (
    # Other spellings of BASE.
    "2026-01-01", "20260101", "20260101T000000Z", "20260101T0000Z", "20260101T00Z", "2026-01-01T00Z",
    "2026-01-01T00:00", "2026-01-01t00:00:00z", "2026-01-01 00:00:00z", "2026-W01-4", "2026W014",
    "2026-W01-4T00:00:00Z", "2026-001", "2026001", "2026-001T00:00:00Z", "2025-12-31T24:00", "2025-12-31T24:00:00Z",
    "20251231T240000Z", "2025-365T24:00:00Z", "2026-01-01T00:00:00,0Z", "2026-01-01T00:00:00.000000000Z",
    "2026-01-01T01:00:00+01", "2026-01-01T01:00:00+0100", "2025-12-31T19:00:00-05", "2025-12-31T19:00:00\u221205:00",
    "2026-01-01T05:45+05:45", "2026-01-01T00:53:28+00:53:28", "2025-12-31T23:59:60Z", "+002026-01-01T00:00:00Z",
    "2026-01", "2026", "2026-01-01T00,0000001Z", "2026-01-01T00:00:00-00:00",
)  # fmt: skip
NONE: Final = (
    1_767_225_600_000, 1_767_225_600, 1.5, True, "1767225600000", "1767225600", "now", "now-1d", "now/d", "today",
    "yesterday", "", " ", "soon", "01/02/2026", "1 January 2026", "Thu, 01 Jan 2026 00:00:00 GMT", "2026-13-01",
    "2026-02-30", "2026-366", "2026-000", "2025-W53-1", "2026-W00-1", "2026-W01-8", "2026-1-1", "202601",
    "2026-01-01T24:01", "2026-01-01T25:00", "2026-01-01T10:60", "2026-01-01T00:00:00+24:00", "2026-01T10:00",
    " 2026-01-01", "2026-01-01T", "2026-01-01||/M", "P1D", "2026-01-01/P1D", "\uff12\uff10\uff12\uff16-01-01",
    "2026-01-01T00:00:00 UTC", "0000-01-01", "+012026-01-01", ["2026-01-01"], {"date": "2026-01-01"},
)  # fmt: skip


@pytest.fixture(scope="module")
async def dated(client: Client) -> AsyncIterator[str]:
    """Objects at, before and after `BASE` in fields that the schema declares date and datetime."""
    name = fresh("dated")
    schema = {"properties": {"due": {"type": "datetime"}, "day": {"type": "date"}}}
    await client.ok("POST", "/v1/buckets", {"bucket_name": name, "bucket_schema": schema})
    times = (("before", "2025-12-31T23:59:59.999Z"), ("same", BASE), ("after", "2026-01-01T00:00:00.001Z"))
    items = [{"key_prefix": key, "due": time, "metadata": {"due": time, "tags": ["x"]}} for key, time in times]
    answer = await client.batch(name, [*items, {"key_prefix": "none", "metadata": {"tags": ["x"]}}])
    assert answer["failed"] == []
    yield name
    await client.call("DELETE", f"/v1/buckets/{name}")


FIELDS: Final = ("due", "metadata.due")
MEANING: Final = {
    "eq": {"same"}, "ne": {"before", "after", "none"}, "in": {"same"}, "nin": {"before", "after", "none"},
    "gt": {"after"}, "gte": {"same", "after"}, "lt": {"before"}, "lte": {"before", "same"},
}  # fmt: skip


async def keys(client: Client, bucket: str, filters: Json, strategy: str = "composite") -> set[str]:
    spec = {
        "filters": filters,
        "group_by": [{"field": "key_prefix", "alias": "k"}],
        "aggregations": [{"function": "count", "alias": "n"}],
        **STRATEGIES[strategy],
    }
    return {row["group"]["k"] for row in (await client.aggregate(bucket, spec))["results"]}


@pytest.mark.parametrize("text", SAME)
async def test_every_form_of_iso_8601_is_understood(client: Client, dated: str, text: str) -> None:
    assert parse_instant(text) == 1_767_225_600_000
    for operator in ("eq", "gte", "lt"):
        assert await keys(client, dated, {"due": {f"${operator}": text}}) == MEANING[operator]


@pytest.mark.parametrize("operator", MEANING)
async def test_every_comparison_understands_them(client: Client, dated: str, operator: str) -> None:
    text = "2026-W01-4T01+01"
    operand: Json = [text] if operator in ("in", "nin") else text
    listed = f"/v1/buckets/{dated}/objects/list"
    for path in FIELDS:
        condition = {"field": path, "operator": operator, "value": operand}
        for filters in ({path: {f"${operator}": operand}}, {"AND": [condition]}, condition):
            for strategy in STRATEGIES:
                assert await keys(client, dated, filters, strategy) == MEANING[operator]
        answer = await client.ok("POST", listed, {"filters": {"AND": [condition]}})
        assert {item["key_prefix"] for item in answer["results"]} == MEANING[operator]


@pytest.mark.parametrize(
    "filters",
    [
        {"due": "20260101T000000Z"},
        {"due": {"$not": {"$ne": "2026-001"}}},
        {"due": {"$in": [None, "2026-W01-4"]}, "key_prefix": "same"},
        {"due": {"$all": ["2026-001"]}},
        {"$nor": [{"due": {"$ne": "2026-001"}}]},
        {"due": {"$gte": "2026-001", "$lt": "20260101T00:00:00,001"}},
        {"OR": [{"field": "due", "value": "2026-01-01t00:00:00z"}], "case_sensitive": False},
    ],
)
async def test_wherever_a_filter_compares(client: Client, dated: str, filters: Json) -> None:
    assert await keys(client, dated, filters) == {"same"}


@pytest.mark.parametrize("value", NONE, ids=repr)
async def test_what_is_no_date_is_refused(client: Client, dated: str, value: Json) -> None:
    """The message names field and value, and has an example; `created_at` and `updated_at` are date fields as well."""
    route = f"/v1/buckets/{dated}/objects/aggregate"
    base = {"group_by": [{"field": "key_prefix"}], "aggregations": [{"function": "count", "alias": "n"}]}
    for filters in (
        {"due": {"$gte": value}},
        {"metadata.due": {"$in": [BASE, value]}},
        {"created_at": {"$eq": value}},
        {"AND": [{"field": "updated_at", "operator": "lt", "value": value}]},
    ):
        [(location, message)] = await client.problems("POST", route, {**base, "filters": filters})
        assert location[:2] == ["body", "filters"]
        assert "date" in message
        if not isinstance(value, dict | list):
            assert "2026-01-31T10:30:00Z" in message
            assert repr(value)[:20] in message


async def test_epoch_numbers_are_shown_as_the_dates_that_they_may_mean(client: Client, dated: str) -> None:
    route = f"/v1/buckets/{dated}/objects/list"
    for value in (1_767_225_600_000, 1_767_225_600, "1767225600000"):
        filters = {"AND": [{"field": "created_at", "operator": "gt", "value": value}]}
        [(_, message)] = await client.problems("POST", route, {"filters": filters})
        assert BASE in message


@pytest.mark.parametrize(
    ("route", "field"),
    [
        ("/v1/buckets/list", "created_at"),
        ("/v1/buckets/list", "last_upload_at"),
        ("/v1/collections/list", "updated_at"),
        ("/v1/namespaces/list", "created_at"),
    ],
)
async def test_lists_of_resources_compare_dates_alike(client: Client, route: str, field: str) -> None:
    def body(value: Json) -> Json:
        return {"filters": {"AND": [{"field": field, "operator": "gt", "value": value}]}}

    def ids(answer: Json) -> list[str]:
        """Counts may change meanwhile: what other tests left is removed in the background."""
        return [next(iter(each.values())) for each in answer["results"]]

    plain = ids(await client.ok("POST", route, body("2020-01-01T00:00:00Z")))
    for text in ("20200101T000000Z", "2020-W01-3", "2020-001"):
        assert ids(await client.ok("POST", route, body(text))) == plain
    for value in (1_767_225_600_000, "now-1d"):
        [(_, message)] = await client.problems("POST", route, body(value))
        assert str(value) in message


async def test_having_compares_the_dates_of_min_and_max(client: Client, dated: str) -> None:
    spec = {
        "group_by": [{"field": "key_prefix", "alias": "k"}],
        "aggregations": [{"function": "max", "field": "due", "alias": "last"}],
    }
    for operator in ("gt", "gte", "lt", "lte", "eq"):
        having = [{"field": "last", "operator": operator, "value": "2026-W01-4"}]
        answer = await client.aggregate(dated, {**spec, "having": having})
        assert {row["group"]["k"] for row in answer["results"]} == MEANING[operator]
    values: tuple[Json, ...] = (1_767_225_600_000, "now-1d", "soon")
    for value in values:
        having = [{"field": "last", "operator": "gt", "value": value}]
        route = f"/v1/buckets/{dated}/objects/aggregate"
        [(location, message)] = await client.problems("POST", route, {**spec, "having": having})
        assert location == ["body", "having", 0, "value"]
        assert str(value) in message


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("29991231T235960Z", "3000-01-01T00:00:00Z"), ("2999-W01-1", "2998-12-31T00:00:00Z"),
        ("2999-365", "2999-12-31T00:00:00Z"), ("2999-12-31t24:00", "3000-01-01T00:00:00Z"),
        ("2999-06", "2999-06-01T00:00:00Z"),
    ],
)  # fmt: skip
async def test_a_namespace_expires_at_any_form_of_a_date(client: Client, text: str, means: str) -> None:
    body = {"namespace_name": fresh("expires"), "expires_at": text}
    made = await client.ok("POST", "/v1/namespaces", body, namespace=None)
    assert made["expires_at"] == means
    await client.ok("DELETE", f"/v1/namespaces/{made['namespace_id']}", namespace=None)


async def test_other_fields_compare_as_they_did(client: Client, dated: str) -> None:
    """A text is a text where no schema says date: nothing is refused."""
    for value in ("now-1d", 5, "2026-W01-4", "20260101"):
        assert await keys(client, dated, {"metadata.other": {"$gt": value}}) == set()
