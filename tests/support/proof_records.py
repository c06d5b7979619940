"""Compares the records API with its oracle over generated data and requests, and counts what was exercised."""

import copy
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.client import Client
from tests.support.generate_records import LEAVES, Dataset, Path, Pool, make_body, make_dataset
from tests.support.records_oracle import Catalogue, Record, Refusal, aggregate, same, select, stored
from tests.support.records_oracle.properties import TIMES
from tests.support.records_oracle.times import CALENDAR
from tests.support.records_oracle.tree import ANY, DEEPEST, FUNCTIONS, KEYS

Json = Any
LIMIT = 1_000
"""The most records that one page of `records/filter` has; a data set has fewer."""


@dataclass
class Report:
    """What was compared and how it ended."""

    cases: int = 0
    pages: int = 0
    buckets: int = 0
    refused: int = 0
    strategies: Counter[str] = field(default_factory=Counter)
    exercised: Counter[str] = field(default_factory=Counter)
    mismatches: list[str] = field(default_factory=list)

    def add(self, other: "Report") -> None:
        self.cases += other.cases
        self.pages += other.pages
        self.buckets += other.buckets
        self.refused += other.refused
        self.strategies += other.strategies
        self.exercised += other.exercised
        self.mismatches += other.mismatches

    def table(self) -> str:
        lines = [
            f"{self.cases} aggregates of records with {self.buckets} buckets, {self.pages} pages of records, "
            f"{self.refused} refused by both, {len(self.mismatches)} mismatches"
        ]
        lines += [f"strategy {name}: {count}" for name, count in sorted(self.strategies.items())]
        lines += [f"{name}: {count}" for name, count in sorted(self.exercised.items())]
        return "\n".join(lines)


# ---- Loading --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loaded:
    """A data set in a project of its own, and its records with the times that the service gave them."""

    project: str
    pool: Pool

    def path(self, route: str) -> str:
        return f"/api/v1/projects/{self.project}/streams/proof/records{route}"


async def load(client: Client, dataset: Dataset) -> Loaded:
    """Writes a data set: new records in batches, then replacements, then deletions."""
    project = f"records-{random.getrandbits(48):x}"
    await client.ok("POST", "/v1/namespaces", {"namespace_name": project}, namespace=None)

    async def post(route: str, items: Json, wanted: int) -> None:
        path = f"/api/v1/projects/{project}{route}"
        status, answer = await client.call("POST", path, {"items": items}, namespace=None)
        assert status == wanted, (path, status, json.dumps(answer)[:600])

    records = "/streams/proof/records"
    await post("/models/spaces", [{"space": space} for space in dataset.spaces], 200)
    await post("/models/containers", dataset.containers, 200)
    stream = {"externalId": "proof", "settings": {"template": {"name": "MutableTestStream"}}}
    await post("/streams", [stream], 201)
    for batch in dataset.batches:
        await post(f"{records}?refresh=wait_for", batch, 202)
    if dataset.again:
        await post(f"{records}/upsert?refresh=wait_for", dataset.again, 202)
    if dataset.deleted:
        await post(f"{records}/delete?refresh=wait_for", dataset.deleted, 200)
    return Loaded(project, Pool.of(dataset, await told(client, project, dataset)))


async def told(client: Client, project: str, dataset: Dataset) -> list[Record]:
    """The records as they were sent, with the times that the service tells; what it tells has the same values."""
    path = f"/api/v1/projects/{project}/streams/proof/records/filter"
    answer = await client.ok("POST", path, {"limit": LIMIT}, namespace=None)
    found = {name_of(item): item for item in answer["items"]}
    sent = {name_of(item): item for item in dataset.final}
    assert len(found) == len(answer["items"])
    assert set(found) == set(sent), (sorted(set(found) ^ set(sent))[:3], len(found), len(sent))
    catalogue = Catalogue.of(dataset.containers)
    records = []
    for name, item in sent.items():
        record = stored(item, *(found[name][time] for time in TIMES))
        for column in catalogue.columns.values():
            mine, theirs = column.values(record), column.values(found[name])
            assert mine == theirs, f"{name} has {theirs} in {column.path}, should have {mine}"
        records.append(record)
    return records


def name_of(item: Json) -> tuple[str, str]:
    return item["space"], item["externalId"]


async def unload(client: Client, loaded: Loaded) -> None:
    await client.ok("DELETE", f"/v1/namespaces/{loaded.project}", namespace=None)


# ---- Comparing ------------------------------------------------------------------------------------------------------


async def compare(client: Client, loaded: Loaded, body: Json, report: Report) -> str | None:
    """None if service and oracle agree on an aggregate and, now and then, on its records; else the difference."""
    pool, info = loaded.pool, report.cases % 2 == 0
    report.cases += 1
    path = loaded.path("/aggregate?info=true" if info else "/aggregate")
    status, answer = await client.call("POST", path, body, namespace=None)
    try:
        expected = aggregate(pool.catalogue, pool.records, body)
    except Refusal as refusal:
        report.exercised[f"refused:{refusal.kind}"] += 1
        report.refused += 1
        return refused(refusal, status, answer)
    report.exercised.update(features(body, pool))
    if status != 200:
        return f"got {status}: {json.dumps(answer)[:600]}"
    keys = {"aggregates"} | ({"info"} if info else set()) | ({"typing"} if body.get("includeTyping") else set())
    if set(answer) != keys:
        return f"expected the keys {sorted(keys)}, got {sorted(answer)}"
    if info:
        report.strategies[answer["info"]["strategy"]] += 1
    report.buckets += sum(1 for _ in buckets_in(expected))
    difference = same(expected, answer["aggregates"])
    if difference is None and body.get("includeTyping"):
        difference = same_typing(body, pool, answer["typing"])
    if difference is None and report.cases % 3 == 0:
        difference = await same_page(client, loaded, body, report)
    return difference


def refused(refusal: Refusal, status: int, answer: Json) -> str | None:
    """None if the answer is a 400 that says what it has to say."""
    if status != 400:
        return f"should be refused ({refusal}), got {status} {json.dumps(answer)[:300]}"
    error = answer["error"]
    missing = [words for words in refusal.says if words not in error["message"]]
    if error["code"] != 400 or missing:
        return f"the 400 ({refusal}) should have code 400 and name {missing}: {json.dumps(answer)[:600]}"
    return None


def same_typing(body: Json, pool: Pool, typing: Json) -> str | None:
    """Every property that the request names has its type there, and no other has."""
    wanted = {path: pool.catalogue.columns[path] for path in named(body)}
    got: dict[Path, Json] = {
        (space, container, name): described["type"]
        for space, containers in typing.items()
        for container, properties in containers.items()
        for name, described in properties.items()
    }
    if set(got) != set(wanted):
        return f"typing should tell {sorted(wanted)}, tells {sorted(got)}"
    for path, column in wanted.items():
        if got[path]["type"] != column.type or got[path].get("list", False) is not column.many:
            return f"typing of {path} should be {column.type}, list {column.many}: {got[path]}"
    return None


def named(body: Json) -> Iterator[Path]:
    """The properties of containers that a request names."""
    if isinstance(body, dict):
        path = body.get("property")
        if isinstance(path, list) and len(path) == 3:
            yield tuple(path)
        body = list(body.values())
    if isinstance(body, list):
        for entry in body:
            yield from named(entry)


async def same_page(client: Client, loaded: Loaded, body: Json, report: Report) -> str | None:
    """`records/filter` finds the records that the aggregate was over, in order of lastUpdatedTime."""
    asked = {key: body[key] for key in ("filter", "lastUpdatedTime") if key in body}
    report.pages += 1
    status, answer = await client.call("POST", loaded.path("/filter"), {**asked, "limit": LIMIT}, namespace=None)
    if status != 200:
        return f"records/filter {status}: {json.dumps(answer)[:600]}"
    expected = select(loaded.pool.catalogue, loaded.pool.records, *map(asked.get, ("filter", "lastUpdatedTime")))
    ids = sorted(map(name_of, expected)), sorted(map(name_of, answer["items"]))
    if ids[0] != ids[1]:
        other = [name for name in (*ids[0], *ids[1]) if (name in ids[0]) is not (name in ids[1])]
        return f"records/filter: {len(ids[0])} records expected, got {len(ids[1])}; in one only: {other[:5]}"
    times = [item["lastUpdatedTime"] for item in answer["items"]]
    return None if times == sorted(times) else "records/filter: not in order of lastUpdatedTime"


def buckets_in(answer: Json) -> Iterator[Json]:
    for result in answer.values():
        for value in result.values():
            for bucket in value if isinstance(value, list) else ():
                yield bucket
                yield from buckets_in(bucket.get("aggregates", {}))


# ---- What a case exercises ------------------------------------------------------------------------------------------


WANTED = (
    *(f"kind:{kind}" for kind in KEYS),
    *(f"filter:{name}" for name in ("and", "or", "not", *LEAVES)),
    *(f"level:{depth}" for depth in range(1, DEEPEST + 1)),
    *(f"type:{type}{many}" for type in ANY for many in ("", " list") if type != "enum" or not many),
    *(f"type:{name}" for name in ("space", *TIMES)),
    *(f"function:MovingFunctions.{name}" for name in FUNCTIONS),
    *(f"calendarInterval:{name}" for name in CALENDAR),
    *(f"fixedInterval:{unit}" for unit in ("ms", "s", "m", "h", "d")),
)
"""What has to be exercised."""


def features(body: Json, pool: Pool) -> set[str]:
    """Every kind, filter, level, type, interval and function in a request, each once."""
    found = {f"lastUpdatedTime:{bound}" for bound in body.get("lastUpdatedTime", ())}
    return found | set(_tree(body["aggregates"], pool, 1)) | set(_filter(body.get("filter"), pool))


def _type(path: Json, pool: Pool) -> str:
    if len(path) == 1:
        return str(path[0])
    column = pool.catalogue.columns[tuple(path)]
    return f"{column.type} list" if column.many else column.type


def _tree(nodes: Json, pool: Pool, depth: int) -> Iterator[str]:
    yield f"level:{depth}"
    for entry in nodes.values():
        ((kind, body),) = entry.items()
        yield f"kind:{kind}"
        if "property" in body:
            yield f"type:{_type(body['property'], pool)}"
            yield f"{kind} of:{_type(body['property'], pool)}"
        for key in ("calendarInterval", "function"):
            if key in body:
                yield f"{key}:{body[key]}"
        if "fixedInterval" in body:
            yield f"fixedInterval:{body['fixedInterval'].lstrip('0123456789')}"
        if "hardBounds" in body:
            yield f"hardBounds of {kind}:{' '.join(sorted(body['hardBounds']))}"
        if "size" in body:
            yield "size"
        if kind == "movingFunction":
            path = body["bucketsPath"]
            keyed = "with a key" if "[" in path else "without a key"
            yield f"bucketsPath:{'_count alone' if path == '_count' else f'{keyed}, {path.count(chr(62)) + 1} long'}"
        for filter in body.get("filters", ()):
            yield from _filter(filter, pool)
        if "aggregates" in body:
            yield from _tree(body["aggregates"], pool, depth + 1)


def _filter(body: Json, pool: Pool, depth: int = 1) -> Iterator[str]:
    if body is None:
        return
    ((name, inner),) = body.items()
    yield f"filter:{name}"
    yield f"depth of filters:{depth}"
    for part in inner if name in ("and", "or") else [inner] if name == "not" else ():
        yield from _filter(part, pool, depth + 1)
    if "property" in inner:
        yield f"{name}:{_type(inner['property'], pool)}"


# ---- Many cases -----------------------------------------------------------------------------------------------------


async def prove(client: Client, seed: str, datasets: int, specs: int) -> Report:
    """Many requests for each of many data sets; a seed always makes the same cases."""
    report = Report()
    for number in range(datasets):
        rng = random.Random(f"records-{seed}-{number}")
        dataset = make_dataset(rng)
        loaded = await load(client, dataset)
        for _ in range(specs):
            body = make_body(rng, loaded.pool)
            difference = await compare(client, loaded, body, report)
            if difference:
                small, difference = await shrink(client, loaded, body, difference)
                report.mismatches.append(
                    f"{difference}\n  request: {json.dumps(small)}\n"
                    f"  data set: records-{seed}-{number}, {len(loaded.pool.records)} records"
                )
        await unload(client, loaded)
    return report


async def shrink(client: Client, loaded: Loaded, body: Json, difference: str, tries: int = 200) -> tuple[Json, str]:
    """The request with as much taken out as possible while service and oracle still differ in the same way."""
    way = difference.split()[0].split(".")[0]
    for smaller in reductions(body):
        tries -= 1
        if tries < 0:
            break
        found = await compare(client, loaded, smaller, Report(cases=2))
        if found and found.startswith(way):
            return await shrink(client, loaded, smaller, found, tries)
    return body, difference


def reductions(body: Json) -> Iterator[Json]:
    """The request without one part of it: the largest parts first."""
    if isinstance(body, list) and len(body) > 1:
        for place in range(len(body)):
            yield [*body[:place], *body[place + 1 :]]
    if isinstance(body, dict):
        for name in ("and", "or", "not"):
            if name in body:
                yield from body[name] if isinstance(body[name], list) else [body[name]]
        for key in body:
            yield {other: value for other, value in body.items() if other != key}
    parts = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in list(parts):
        for smaller in reductions(value):
            made = copy.copy(body)
            made[key] = smaller
            yield made
