"""Hostile values in every place of every example: an answer or a refusal, never a 500, never what is not documented.

The ends of numbers and times, nulls, names that collide with ours or with OpenSearch's, texts that are hard to write.
`make test` draws some of the pairs of place and value, `make prove` sends all of them.
"""

import copy
import os
import random
from collections.abc import Iterator
from typing import Any, Final

from service.web.route import Route
from tests.support.client import Client
from tests.support.examples import Home, routes

Json = Any
Place = tuple[str | int, ...]

DRAWN = int(os.environ.get("TALLY_PROVE_HOSTILE", "700"))
"""Requests; 0 for all of them."""

NUMBERS: Final = (
    0, -1, 1, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**25, 10**309, -(10**400),
    0.1, -0.0, 5e-324, 1e21, 1e308, -1.7976931348623157e308, 1e16,
)  # fmt: skip
TEXTS: Final = (
    "", " ", "\0", "\ud800", "é" * 200, "x" * 40_000, "value", "count", "k0", "m0", "_count", "_id", "_source", "@json",
    "@shape", "a.b", "a..b", ".", "$where", "*", "?", "\x1f", "/", "..", "🦆", "metadata", "null", "true", "NaN",
    "0001-01-01", "0000-12-31", "9999-12-31T23:59:59.999999999Z", "+10000-01-01", "2024-02-30", "now-1d", "1e400",
    "h[\"9999-12-31\"]", "1d", "999999999d", "(?i)a{1000}", "[", "\\", "MovingFunctions.sum", "Etc/GMT+15",
)  # fmt: skip
OTHERS: Final[tuple[Json, ...]] = (
    None, True, False, [], {}, [[]], [None], {"$gt": 1}, {"a": None}, [[[[1]]]], {"": ""}, {"$eq": {}}, [1, "a", None],
)  # fmt: skip


def places(value: Json, place: Place = ()) -> Iterator[Place]:
    yield place
    if isinstance(value, dict):
        for name, each in value.items():
            yield from places(each, (*place, name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from places(each, (*place, number))


def with_value(body: Json, place: Place, value: Json) -> Json:
    if not place:
        return value
    changed = copy.deepcopy(body)
    inner = changed
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return changed


async def test_hostile_values_are_answered_or_refused(client: Client) -> None:
    async with Home.made(client) as home:
        pairs: list[tuple[Route, Json, Place, Json]] = [
            (route, body, place, value)
            for route in routes()
            if route.method != "delete"
            for _, body in home.bodies(route)
            if body is not None and not isinstance(body, str)
            for place in places(body)
            for value in (*NUMBERS, *TEXTS, *OTHERS)
        ]
        chosen = random.Random(17).sample(pairs, DRAWN) if DRAWN else pairs
        failed = []
        statuses: dict[int, int] = {}
        for route, body, place, value in chosen:
            status, text = await home.send(route, with_value(body, place, value))
            statuses[status] = statuses.get(status, 0) + 1
            if status >= 500:
                failed.append((route.id, place, repr(value)[:60], status, text[:200]))
    print(f"hostile values: {len(chosen):,} of {len(pairs):,} requests, by status {dict(sorted(statuses.items()))}")
    assert failed == []
