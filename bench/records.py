"""Records: a million through the API beside bare bulk requests of the same documents, then trees over them."""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import orjson
from opensearchpy import AsyncOpenSearch

from bench.measure import add, comparison, console, side_by_side, watched
from bench.system import NAMESPACE, System
from service.dialects.tree.properties import Key, PropertyColumn
from service.records.ingest import Preparing, read_items

BASE: Final = f"/api/v1/projects/{NAMESPACE}"
CHUNK: Final = 1_000
CLIENTS: Final = 4
SLICES: Final = 10
"""Turns of each, so that what disturbs the machine disturbs both."""

TYPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "machine": {"type": "text"},
    "state": {"type": "text"},
    "count": {"type": "int64"},
    "level": {"type": "int32"},
    "value": {"type": "float64"},
    "on": {"type": "boolean"},
    "at": {"type": "timestamp"},
    "tags": {"type": "text", "list": True},
}


def _bodies(start: int, count: int) -> list[bytes]:
    """Requests of a thousand records each."""
    chance = random.Random(start)
    source = {"type": "container", "space": "bench", "externalId": "reading"}
    bodies = []
    for first in range(start, start + count, CHUNK):
        items = [
            {
                "space": "bench",
                "externalId": f"reading-{number}",
                "sources": [{"source": source, "properties": _properties(chance, number)}],
            }
            for number in range(first, first + CHUNK)
        ]
        bodies.append(orjson.dumps({"items": items}))
    return bodies


def _properties(chance: random.Random, number: int) -> dict[str, Any]:
    return {
        "machine": f"machine-{chance.randrange(2_000)}",
        "state": chance.choice(("running", "idle", "broken", "off")),
        "count": number,
        "level": chance.randrange(100),
        "value": chance.random() * 1_000,
        "on": chance.random() < 0.7,
        "at": f"2025-{chance.randrange(12) + 1:02}-{chance.randrange(28) + 1:02}T{chance.randrange(24):02}:00:00Z",
        "tags": [f"t{chance.randrange(50)}", f"u{chance.randrange(50)}"],
    }


def _documents(body: bytes) -> list[Mapping[str, Any]]:
    """What the service makes of a request, for the bare clients to send the same."""
    key: Key
    columns = {}
    for name, type in TYPES.items():
        key = ("bench", "reading", name)
        columns[name] = PropertyColumn(key, str(type["type"]), bool(type.get("list")))
    known = {("bench", "reading"): columns}
    now = int(time.time() * 1_000)
    preparing = Preparing(known, now, content=False)
    prepared = [preparing.prepare(item) for item in read_items(body)]
    return [{"_id": each.id, **orjson.loads(each.document())} for each in prepared]


async def _made(system: System) -> None:
    await system.ask("POST", f"{BASE}/models/spaces", {"items": [{"space": "bench"}]})
    properties = {name: {"type": type} for name, type in TYPES.items()}
    container = {"space": "bench", "externalId": "reading", "usedFor": "record", "properties": properties}
    await system.ask("POST", f"{BASE}/models/containers", {"items": [container]})
    stream = {"externalId": "readings", "settings": {"template": {"name": "MutableTestStream"}}}
    await system.ask("POST", f"{BASE}/streams", {"items": [stream]})


async def _index(system: System) -> str:
    """The stream's own index, as OpenSearch names it."""
    found = orjson.loads(await system.ask_bare("GET", "/tally-records-*/_settings/index.uuid"))
    (index,) = (name for name in found if ".readings." in name and name.endswith("-live"))
    return str(index)


async def ingest(system: System, count: int) -> None:
    """The same documents, in turns: through the API, and by bare bulk clients into an index of the same mapping."""
    await _made(system)
    async with watched(system.pid) as memory:
        await _send_all(_bodies(0, CHUNK), lambda body: _ours(system, body))
        index = await _index(system)
        mapping = orjson.loads(await system.ask_bare("GET", f"/{index}/_mapping"))[index]["mappings"]
        bare = "tally-records-bench-bare"
        await system.ask_bare("PUT", f"/{bare}", {"mappings": mapping, "settings": {"number_of_replicas": 0}})
        client = AsyncOpenSearch([str(system.bare._base_url)], maxsize=CLIENTS)
        seconds = {"ours": 0.0, "bare": 0.0}
        per = max(CLIENTS, count // CHUNK // SLICES) * CHUNK
        for turn in range(SLICES):
            bodies = await asyncio.to_thread(_bodies, (turn + 1) * per, per)
            chunks = await asyncio.to_thread(lambda: [_documents(body) for body in bodies])  # noqa: B023
            seconds["ours"] += await _send_all(bodies, lambda body: _ours(system, body))
            seconds["bare"] += await _send_all(chunks, lambda chunk: _bare(client, bare, chunk))
        await client.close()
    done = per * SLICES
    ours, other = done / seconds["ours"], done / seconds["bare"]
    console.print(f"{done:,} records in chunks of {CHUNK:,} from {CLIENTS} clients: {ours:,.0f}/s through the API, ")
    console.print(f"{other:,.0f}/s by bare bulk clients: {ours / other:.2f} × (aim: at least 0.7)")
    console.print(
        f"memory of the service: {memory.start / 1e6:.0f} MB, at most {memory.peak / 1e6:.0f} MB (aim: under 300)\n"
    )


async def _ours(system: System, body: bytes) -> None:
    async with system.tally.post(f"{BASE}/streams/readings/records", data=body) as response:
        if response.status != 202:
            raise RuntimeError(await response.text())


async def _bare(client: AsyncOpenSearch, index: str, chunk: Sequence[Mapping[str, Any]]) -> None:
    lines: list[Any] = []
    for document in chunk:
        lines.append({"create": {"_index": index, "_id": document["_id"]}})
        lines.append({name: value for name, value in document.items() if name != "_id"})
    answer = await client.bulk(body=lines)
    if answer["errors"]:
        raise RuntimeError("a bare bulk request failed")


async def _send_all(chunks: Sequence[Any], send: Callable[[Any], Awaitable[None]]) -> float:
    """Seconds that the clients together need."""
    queue = list(reversed(chunks))

    async def client() -> None:
        while queue:
            await send(queue.pop())

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return time.perf_counter() - started


def _p(name: str) -> list[str]:
    return ["bench", "reading", name]


def _f(name: str) -> str:
    return f"bench/reading/{name}"


TREES: Final[Sequence[tuple[str, Any, Any]]] = [
    (
        "avg and max",
        {"a": {"avg": {"property": _p("value")}}, "b": {"max": {"property": _p("level")}}},
        {"a": {"avg": {"field": _f("value")}}, "b": {"max": {"field": _f("level")}}},
    ),
    (
        "states > levels by 10 > mean",
        {
            "s": {
                "uniqueValues": {
                    "property": _p("state"),
                    "aggregates": {
                        "l": {
                            "numberHistogram": {
                                "property": _p("level"),
                                "interval": 10,
                                "aggregates": {"m": {"avg": {"property": _p("value")}}},
                            }
                        }
                    },
                }
            }
        },
        {
            "s": {
                "terms": {"field": _f("state")},
                "aggs": {
                    "l": {
                        "histogram": {"field": _f("level"), "interval": 10, "min_doc_count": 1},
                        "aggs": {"m": {"avg": {"field": _f("value")}}},
                    }
                },
            }
        },
    ),
    (
        "months > 10 machines > sum",
        {
            "t": {
                "timeHistogram": {
                    "property": _p("at"),
                    "calendarInterval": "1M",
                    "aggregates": {
                        "m": {
                            "uniqueValues": {
                                "property": _p("machine"),
                                "aggregates": {"v": {"sum": {"property": _p("level")}}},
                            }
                        }
                    },
                }
            }
        },
        {
            "t": {
                "date_histogram": {"field": _f("at"), "calendar_interval": "month", "min_doc_count": 1},
                "aggs": {
                    "m": {
                        "terms": {"field": _f("machine"), "order": [{"_count": "desc"}, {"_key": "asc"}]},
                        "aggs": {"v": {"sum": {"field": _f("level")}}},
                    }
                },
            }
        },
    ),
]


async def trees(system: System, rounds: int) -> None:
    """A tree beside its hand-written request, over what `ingest` has stored; no cache on either side."""
    index = await _index(system)
    await system.ask_bare("POST", f"/{index}/_refresh")
    table = comparison("Aggregate trees over the records")
    route, path = f"{BASE}/streams/readings/records/aggregate", f"/{index}/_search?request_cache=false"
    # A filter that is another one each time keeps the service's request out of the cache, too.
    numbers = itertools.count(1)

    def ours(tree: Any) -> Awaitable[bytes]:
        condition = {"range": {"property": _p("count"), "gte": -next(numbers)}}
        return system.ask("POST", route, {"aggregates": tree, "filter": condition})

    def bare(aggs: Any) -> Awaitable[bytes]:
        query = {"range": {_f("count"): {"gte": -next(numbers)}}}
        return system.ask_bare("POST", path, {"size": 0, "track_total_hits": False, "aggs": aggs, "query": query})

    for title, tree, aggs in TREES:
        mine, theirs = await side_by_side(rounds, 5, partial(ours, tree), partial(bare, aggs))
        add(table, title, mine, theirs, "hand-written request")
    console.print(table)
