"""Lists beside the bare OpenSearch requests that they need, and a walk by cursor to the end."""

import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from bench.measure import add, comparison, console, side_by_side, watched
from bench.system import NAMESPACE, System

INDEX = f"/tally-objects.{NAMESPACE}"
SEARCH = f"{INDEX}/_search?request_cache=false"
CATALOG = "/tally-catalog/_mget"
COLORS = ("red", "green", "blue", "Grün", "white")


@dataclass(frozen=True)
class Case:
    """One list, and the search that somebody would write by hand for it."""

    name: str
    rounds: int
    limit: int
    case_sensitive: bool = True

    def ours(self, constant: int) -> dict[str, Any]:
        conditions = [
            {"field": "metadata.color", "operator": "eq", "value": "blue"},
            {"field": "metadata.price", "operator": "gte", "value": -constant},
        ]
        return {
            "filters": {"AND": conditions},
            "sort": {"field": "metadata.price", "direction": "desc"},
            "limit": self.limit,
            "case_sensitive": self.case_sensitive,
        }

    def bare(self, bucket: str, constant: int) -> dict[str, Any]:
        color: dict[str, Any] = {"term": {"metadata.color": "blue"}}
        if not self.case_sensitive:
            folded = {"term": {"metadata.color@fold": "blue"}}
            color = {"bool": {"should": [color, folded], "minimum_should_match": 1}}
        where = [
            {"term": {"bucket_id": bucket}},
            color,
            {"range": {"metadata.price": {"gte": -constant}}},
        ]
        return {
            "query": {"bool": {"filter": where}},
            "sort": [{"metadata.price": "desc"}, {"@arrival": "asc"}, {"@position": "asc"}, {"object_id": "asc"}],
            "size": self.limit,
            "track_total_hits": True,
            "_source": ["@raw", "object_id", "bucket_id", "status", "key_prefix", "created_at", "updated_at"],
            "aggs": {"blobs": {"sum": {"field": "@blob_count"}}, "status": {"terms": {"field": "status"}}},
        }


CASES = (
    Case("10 of some 20,000, filtered and sorted, with stats", 300, 10),
    Case("the same in any case", 300, 10, case_sensitive=False),
    Case("100 of them", 150, 100),
)


def lines(count: int) -> Iterator[bytes]:
    chance = random.Random(1)
    for number in range(count):
        metadata = {"color": chance.choice(COLORS), "price": chance.randrange(10_000) / 4, "name": f"Thing {number}"}
        blobs = [{"property": "clip", "type": "video", "details": {"size_bytes": 1_000}}] * (number % 3)
        yield orjson.dumps({"metadata": metadata, "blobs": blobs, "rank": number}) + b"\n"


async def loaded(system: System, name: str, count: int) -> str:
    """A bucket with so many objects; its id."""
    bucket = str(orjson.loads(await system.ask("POST", "/v1/buckets", {"bucket_name": name}))["bucket_id"])
    every = lines(count)
    while batch := b"".join(itertools.islice(every, 100_000)):
        async with system.tally.post(f"/v1/buckets/{bucket}/objects/import", data=batch) as response:
            if orjson.loads(await response.read())["failed_count"]:
                raise RuntimeError("not all objects were taken")
    return bucket


async def compare(system: System, scale: float, count: int = 100_000) -> None:
    bucket = await loaded(system, "lists", count)
    namespace = orjson.loads(await system.ask("GET", f"/v1/namespaces/{NAMESPACE}"))["namespace_id"]
    fields = {"_id": f"fields:{bucket}", "_source": False}
    first = {"docs": [{"_id": f"namespace:{namespace}"}, {"_id": f"bucket:{bucket}"}, fields]}
    table = comparison(f"Lists of {count:,} objects; each asked once, none answered from a cache")
    constants = itertools.count(1)
    for case in CASES:

        async def ours(case: Case = case) -> int:
            answer = orjson.loads(
                await system.ask("POST", f"/v1/buckets/{bucket}/objects/list", case.ours(next(constants)))
            )
            return int(answer["total_count"])

        async def bare(case: Case = case) -> int:
            await system.ask_bare("POST", CATALOG, first)
            answer = orjson.loads(await system.ask_bare("POST", SEARCH, case.bare(bucket, next(constants))))
            await system.ask_bare("POST", CATALOG, {"docs": [fields]})
            return int(answer["hits"]["total"]["value"])

        if await ours() != await bare():
            raise RuntimeError(f"{case.name}: not the same objects")
        told, asked = await side_by_side(max(20, round(case.rounds * scale)), 20, ours, bare)
        add(table, case.name, told, asked, "search and two looks")
        console.print(f"{case.name}: {told.p50 - asked.p50:+.2f} ms, {told.p50 / asked.p50:.2f} ×")
    console.print(table)


async def walk(system: System, count: int) -> None:
    """All objects by cursor, in both orders, with the service's memory watched."""
    bucket = await loaded(system, "walk", count)
    for name, first in (("arrival", {}), ("price", {"sort": {"field": "metadata.price"}, "cursor": "*"})):
        seen: set[str] = set()
        pages, cursor, started = 0, first.get("cursor"), time.perf_counter()
        async with watched(system.pid) as memory:
            while True:
                body = {**first, "limit": 1_000, **({"cursor": cursor} if cursor else {})}
                answer = orjson.loads(await system.ask("POST", f"/v1/buckets/{bucket}/objects/list", body))
                seen.update(each["object_id"] for each in answer["results"])
                pages += 1
                cursor = answer["pagination"]["next_cursor"]
                if cursor is None:
                    break
        if len(seen) != count:
            raise RuntimeError(f"{len(seen):,} of {count:,} objects")
        seconds = time.perf_counter() - started
        megabytes = [number / 2**20 for number in (memory.start, memory.peak)]
        console.print(
            f"walk in order of {name}: {count:,} objects on {pages:,} pages in {seconds:.1f} s; the service's memory "
            f"{megabytes[0]:.0f} MB before, {megabytes[1]:.0f} MB at most"
        )
