"""What each part of a document costs in index size and load time: the same objects with and without it."""

import random
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from bench.system import System
from service.cli.loading import flights
from service.encoding import ObservedField
from service.objects.incoming import EncodedBatch, object_id, read_incoming, with_blobs
from service.storage.document import Stored
from service.storage.objects import PARAMETERS
from service.storage.templates import mappings

Document = dict[str, Any]
Drop = Callable[[str], bool]

_PARTS: Mapping[str, Drop] = {
    "all of it": lambda name: False,
    "without @json (whole arrays)": lambda name: name.endswith("@json"),
    "without @date": lambda name: name.endswith("@date"),
    "without @shape": lambda name: name == "@shape",
    "without @raw": lambda name: name == "@raw",
}


async def compare(system: System) -> None:
    """Two sets: the flights of January, and orders with an array of texts and one of objects."""
    for title, lines in (("27,004 flights", flights("january")), ("27,004 orders with arrays", _orders(27_004))):
        documents, leaves = _documents(lines)
        table = Table("written", "load s", "ratio", "MB", "ratio", title=title)
        variants = {name: [_without(document, drop) for document in documents] for name, drop in _PARTS.items()}
        await _index(system, documents, leaves)  # the server's compiler gets warm
        rounds = [{name: await _index(system, each, leaves) for name, each in variants.items()} for _ in range(2)]
        best = {name: (min(each[name][0] for each in rounds), rounds[-1][name][1]) for name in variants}
        first = best["all of it"]
        for name, (seconds, size) in best.items():
            if name != "all of it" and variants[name] == documents:
                continue
            table.add_row(name, f"{seconds:.1f}", f"{seconds / first[0]:.2f}", f"{size:.1f}", f"{size / first[1]:.2f}")
        Console().print(table)


def _orders(count: int) -> Iterable[bytes]:
    rng = random.Random(7)
    words = [f"tag-{number}" for number in range(200)]
    for number in range(count):
        items = [{"sku": f"sku-{rng.randrange(500)}", "qty": rng.randrange(1, 9)} for _ in range(rng.randrange(1, 5))]
        tags = rng.sample(words, rng.randrange(0, 5))
        yield orjson.dumps(
            {"metadata": {"customer": f"c{rng.randrange(3000)}", "tags": tags, "items": items, "no": number}}
        )


def _documents(lines: Iterable[bytes]) -> tuple[list[Document], Mapping[str, str]]:
    known: dict[str, ObservedField] = {}
    batch = EncodedBatch({}, known, 1_000)
    documents = []
    for number, line in enumerate(lines):
        incoming, size = with_blobs(read_incoming(line))
        stored = Stored(object_id("b", incoming, None), "b", "DRAFT", 0, 0, 1, number, size, incoming.parts)
        documents.append(batch.document(stored, incoming.value))
    return documents, batch.leaves


def _without(document: Document, drop: Drop) -> Document:
    return {
        name: _without(value, drop) if isinstance(value, dict) else value
        for name, value in document.items()
        if not drop(name)
    }


async def _index(system: System, documents: list[Document], leaves: Mapping[str, str]) -> tuple[float, float]:
    """Seconds of the bulk requests and megabytes after a merge to one segment."""
    template = orjson.loads((mappings() / "templates/tally-objects.json").read_bytes())["template"]
    for name, leaf in leaves.items():
        container, dot, rest = name.partition(".")
        target = template["mappings"]["properties"]
        if dot:
            target = target[container].setdefault("properties", {})
        target[rest if dot else name] = PARAMETERS[leaf]  # type: ignore[index]
    settings = {"number_of_replicas": 0, "codec": "best_compression", "store.stats_refresh_interval": "0s"}
    await system.ask_bare("PUT", "/bench-cost", {"settings": settings, "mappings": template["mappings"]})
    started = time.perf_counter()
    for start in range(0, len(documents), 1_000):
        lines = [
            each for document in documents[start : start + 1_000] for each in (b'{"index":{}}', orjson.dumps(document))
        ]
        async with system.bare.post("/bench-cost/_bulk", data=b"\n".join(lines) + b"\n") as response:
            assert not orjson.loads(await response.read())["errors"]
    seconds = time.perf_counter() - started
    await system.ask_bare("POST", "/bench-cost/_forcemerge?max_num_segments=1")
    await system.ask_bare("POST", "/bench-cost/_flush?force=true&wait_if_ongoing=true")
    await system.ask_bare("POST", "/bench-cost/_refresh")
    stats = orjson.loads(await system.ask_bare("GET", "/bench-cost/_stats/store"))
    await system.ask_bare("DELETE", "/bench-cost")
    return seconds, stats["_all"]["primaries"]["store"]["size_in_bytes"] / 1e6
