"""Zones × units × instants around every clock change from 1900 to 2040, in all strategies, against the oracle.

`make test` takes a few zones, among them the odd ones; `make prove` takes every clock that the database has (names
that share one are taken once). Each zone's instants lie in objects of their own, and the two ends of time are with all.
"""

import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest

from service.planning import zones
from tests.support.client import Client
from tests.support.oracle.dates import PARTS, TRUNC_UNITS, part, truncate, written
from tests.support.oracle.values import Instant, parse_date
from tests.support.records import fresh

Json = Any

ZONES = int(os.environ.get("TALLY_PROVE_ZONES", "4"))
SEED = int(os.environ.get("TALLY_PROVE_SEED", "1"))
ODD: Final = (
    "Pacific/Chatham", "Australia/Lord_Howe", "America/Caracas", "America/St_Johns", "America/Toronto",
    "Pacific/Apia", "Africa/Monrovia", "Europe/Dublin", "EST", "ROC",
)  # fmt: skip
"""Changes by half hours and by whole days, at 00:01 and 23:30, offsets with seconds, a negative summer time, and
names that a JVM does not know."""

STRATEGIES: Final[dict[str, Json]] = {
    "composite": {},
    "tuples": {"unwind": "metadata.tags"},
    "objects": {"aggregations": [{"function": "push", "field": "metadata.one", "alias": "n"}]},
}
WEEKS: Final = ("sunday", "monday", "thursday")
KEYS: Final[tuple[Json, ...]] = (
    *({"date_trunc": unit} for unit in TRUNC_UNITS if unit != "week"),
    *({"date_trunc": "week", "start_of_week": day} for day in WEEKS),
    *({"date_part": name} for name in PARTS),
)
ENDS: Final = (
    "0001-01-01T00:00:00Z", "0001-01-01T12:34:56.789Z", "0001-01-08T00:00:00Z",
    "9999-12-25T00:00:00Z", "9999-12-31T11:11:11.111Z", "9999-12-31T23:59:59.999Z",
)  # fmt: skip
FROM, TO = (parse_date(text) for text in ("1900-01-01", "2041-01-01"))


def instants(name: str, rng: random.Random) -> list[int]:
    """Around each clock change: its two sides, a moment in the two hours after it and one in the two before."""
    found: set[int] = set()
    assert FROM is not None
    assert TO is not None
    for change in zones.clock(name).changes:
        if FROM.ms <= change < TO.ms:
            found |= {change - 1, change, change + rng.randrange(7_200_000), change - rng.randrange(7_200_000)}
    return sorted(found)


def chosen() -> Iterator[str]:
    """The odd zones and some of the others, each with a clock of its own."""
    others = sorted(zones.names() - set(ODD))
    random.Random(SEED).shuffle(others)
    known: set[Any] = set()
    for name in (*ODD, *others):
        clock = zones.clock(name)
        if (clock.changes, clock.offsets) not in known:
            known.add((clock.changes, clock.offsets))
            yield name
        if len(known) == len(ODD) + ZONES:
            return


@pytest.fixture(scope="module")
async def bucket(client: Client) -> AsyncIterator[str]:
    name = fresh("zones")
    await client.ok("POST", "/v1/buckets", {"bucket_name": name})
    await store(client, name, "ends", ENDS)
    yield name
    await client.call("DELETE", f"/v1/buckets/{name}")


async def store(client: Client, bucket: str, zone: str, texts: Any) -> None:
    items = [{"metadata": {"zone": zone, "at": text, "one": 1, "tags": ["x"]}} for text in texts]
    for start in range(0, len(items), 500):
        answer = await client.batch(bucket, items[start : start + 500])
        assert answer["failed"] == []


def expected(times: list[Instant], zone: str) -> list[tuple[Json, ...]]:
    def cells(instant: Instant) -> Iterator[Json]:
        for key in KEYS:
            if "date_part" in key:
                yield part(instant, key["date_part"], zone)
            else:
                yield written(truncate(instant, key["date_trunc"], zone, key.get("start_of_week", "sunday")))

    return [tuple(cells(instant)) for instant in times]


async def test_every_clock_change_has_one_answer(client: Client, bucket: str) -> None:
    compared, differences, names = 0, [], list(chosen())
    for zone in names:
        texts = [written(Instant(each)) for each in instants(zone, random.Random(f"{SEED}-{zone}"))]
        await store(client, bucket, zone, texts)
        times = [time for text in (*texts, *ENDS) if (time := parse_date(text)) is not None]
        right = Counter(expected(times, zone))
        for strategy, more in STRATEGIES.items():
            keys = [{"field": "metadata.at", "alias": f"k{n}", "time_zone": zone, **key} for n, key in enumerate(KEYS)]
            spec = {
                "filters": {"metadata.zone": {"$in": [zone, "ends"]}},
                "group_by": keys,
                "aggregations": [{"function": "count", "alias": "n"}],
                **more,
            }
            answer = await client.aggregate(bucket, spec)
            assert answer["query_info"]["strategy"] == strategy
            told = {
                tuple(row["group"][key["alias"]] for key in keys): _count(row["metrics"]["n"])
                for row in answer["results"]
            }
            assert len(told) == len(answer["results"]), "two rows of one group"
            compared += len(right) * len(KEYS)
            differences += [f"{zone} {strategy}: {row}" for row in told.items() ^ right.items()]
    print(f"\n{len(names)} zones, {compared:,} cells compared, {len(differences)} differences")
    assert not differences, "\n".join(differences[:10])


def _count(told: Json) -> int:
    return len(told) if isinstance(told, list) else int(told)
