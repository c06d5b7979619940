"""Compares the list routes with the oracle over generated data and requests, and counts what was exercised."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlencode

from tests.support.client import Client
from tests.support.coverage import shape
from tests.support.generate_lists import (
    BUCKETS,
    OBJECTS,
    SCHEMA,
    SCHEMA_DATES,
    Pools,
    Question,
    make_buckets,
    make_objects,
    make_question,
)
from tests.support.oracle import OracleRefusal
from tests.support.oracle.filters import OBJECT_FIELDS
from tests.support.oracle.lists import (
    ASCENDING,
    BUCKET_DATES,
    BUCKET_FIELDS,
    Expected,
    by_type,
    list_buckets,
    list_objects,
    sort_keys,
    sort_path,
)
from tests.support.oracle.paths import join, look_up, split

Json: TypeAlias = Any
MOST_PAGES: Final = 200
"""A walk that is longer goes in circles."""

COMPUTED: Final = frozenset(("object_count", "total_size_bytes", "last_upload_at"))
"""Fields of buckets that are counted when they are asked for."""

ALWAYS_TOLD: Final = ("object_id", "bucket_id")
"""What is in a result whatever is selected."""


@dataclass
class Report:
    """What was compared and how it ended."""

    questions: int = 0
    requests: int = 0
    refused: int = 0
    results: int = 0
    exercised: Counter[str] = field(default_factory=Counter)
    mismatches: list[str] = field(default_factory=list)

    def add(self, other: Report) -> None:
        self.questions += other.questions
        self.requests += other.requests
        self.refused += other.refused
        self.results += other.results
        self.exercised += other.exercised
        self.mismatches += other.mismatches

    def table(self) -> str:
        lines = [
            f"{self.questions} questions in {self.requests} requests, {self.results} results, "
            f"{self.refused} refused by both, {len(self.mismatches)} mismatches"
        ]
        lines += [f"{name}: {count}" for name, count in sorted(self.exercised.items())]
        return "\n".join(lines)


@dataclass(frozen=True)
class Shelf:
    """What is listed: its routes, its documents as GET gives them, in order of arrival, and the oracle for them."""

    route: str
    older: str
    identity: str
    documents: Sequence[Json]
    pools: Pools

    def expected(self, body: Json) -> Expected:
        if self.pools is OBJECTS:
            return list_objects(self.documents, body, SCHEMA_DATES)
        return list_buckets(self.documents, body)


class Difference(Exception):
    """The service answers something else than the oracle."""


# ---- Loading ----------------------------------------------------------------------------------------------


async def load(client: Client, payloads: Sequence[Json], rng: random.Random | None = None) -> Shelf:
    """A new bucket with these objects. With `rng` in several batches, some changed and some deleted afterwards."""
    name = f"lists-{random.getrandbits(48):x}"
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": name, "bucket_schema": SCHEMA})
    route = f"/v1/buckets/{made['bucket_id']}"
    objects: list[Json] = []
    while len(objects) < len(payloads):
        size = rng.randint(1, 40) if rng else len(payloads)
        answer = await client.ok("POST", f"{route}/objects/batch", {"objects": payloads[len(objects) :][:size]})
        assert answer["failed"] == [], answer["failed"][:3]
        objects += answer["succeeded"]
    if rng:
        for number in rng.sample(range(len(objects)), len(objects) // 10):
            path = f"{route}/objects/{objects[number]['object_id']}"
            objects[number] = await client.ok(
                "PATCH", path, {"status": "ARCHIVED", "metadata": {"title": "Änderung ß"}}
            )
        for number in sorted(rng.sample(range(len(objects)), len(objects) // 20), reverse=True):
            await client.ok("DELETE", f"{route}/objects/{objects.pop(number)['object_id']}")
    return Shelf(f"{route}/objects/list", f"{route}/objects", "object_id", objects, OBJECTS)


async def load_buckets(client: Client, payloads: Sequence[Json], rng: random.Random) -> Shelf:
    """These buckets in the client's namespace, some of them with a few objects, some changed afterwards."""
    ids: list[str] = []
    for payload in payloads:
        made = await client.ok("POST", "/v1/buckets", payload)
        ids.append(made["bucket_id"])
        if rng.random() < 0.4 and "unique_key" not in payload:
            data = [
                {"blobs": [{"data": "x" * rng.choice((0, 1, 5, 5, 1000))}]} for _ in range(rng.choice((1, 2, 2, 3)))
            ]
            await client.batch(made["bucket_id"], data)
    for bucket in rng.sample(ids, len(ids) // 5):
        await client.ok("PATCH", f"/v1/buckets/{bucket}", {"description": rng.choice(("Änderung ß", "video", "100%"))})
    buckets = [await client.ok("GET", f"/v1/buckets/{bucket}") for bucket in ids]
    return Shelf("/v1/buckets/list", "/v1/buckets", "bucket_id", buckets, BUCKETS)


# ---- Asking -----------------------------------------------------------------------------------------------


@dataclass
class Asker:
    """Asks one question page by page and checks each answer."""

    client: Client
    listed: Shelf
    question: Question
    expected: Expected
    report: Report

    def __post_init__(self) -> None:
        self.documents = {document[self.listed.identity]: document for document in self.listed.documents}
        body = self.question.body
        self.query: dict[str, Json] = {}
        if self.question.asked == "query":
            for path, value in (body.get("filters") or {}).items():
                self.query[path] = value
            for name, value in (body.get("sort") or {}).items():
                self.query[f"sort_{name}"] = value
            body = {}
        self.body = body

    @property
    def route(self) -> tuple[str, str]:
        """The method and the path. The routes of other eras take their turn where they take such a request."""
        older = set(self.body) <= {"filters", "sort", "sorts"} and all(self.body.values())
        if self.question.asked == "query" and self.question.size % 2:
            return "GET", self.listed.older
        return "POST", self.listed.older if older and self.question.size % 3 == 1 else self.listed.route

    async def page(self, paging: dict[str, Json]) -> Json:
        """An answer to the question with these paging keys, in the body or in the query."""
        method, path = self.route
        in_query = self.question.paged == "query" or method == "GET"
        query = {**self.query, **(paging if in_query else {})}
        body = {**self.body, **({} if in_query else paging)}
        return await self.send(method, f"{path}?{urlencode(query, quote_via=quote)}" if query else path, body)

    async def send(self, method: str, path: str, body: Json) -> Json:
        self.report.requests += 1
        status, answer = await self.client.call(method, path, (body or None) if method == "POST" else None)
        if status != 200:
            raise Difference(f"{method} {path}: got {status}: {json.dumps(answer)[:600]}")
        self.report.results += len(answer["results"])
        return answer

    def check(self, answer: Json, offset: int, size: int, *, numbered: bool = True) -> None:
        """Everything that an answer says, if it is to be these of the results."""
        total = len(self.expected.ids)
        wanted = self.expected.ids[offset : offset + size]
        got = [result[self.listed.identity] for result in answer["results"]]
        if wanted != got:
            raise Difference(_first_difference(wanted, got, offset))
        for identity, result in zip(got, answer["results"], strict=True):
            self._check_result(self.documents[identity], result)
        more = offset + size < total
        pagination = answer["pagination"]
        told = {"total": total, "page_size": size}
        if self.listed.pools is OBJECTS:
            told |= {"has_more": more, "limit": size}
        else:
            _must("total_count", total, answer.get("total_count"))
        if numbered:
            if offset % size == 0:
                told["page"] = offset // size + 1
            if self.listed.pools is OBJECTS:
                told["skip"] = offset
            _must("next_page is there", more, pagination["next_page"] is not None)
            if offset <= total:
                _must("previous_page is there", offset > 0, pagination["previous_page"] is not None)
        if total:
            told["total_pages"] = -(-total // size)
        for name, value in told.items():
            _must(f"pagination.{name}", value, pagination[name])
        _must("next_cursor is there", more, pagination["next_cursor"] is not None)
        for name, value in self.expected.stats.items():
            _must(f"stats.{name}", value, answer["stats"].get(name))

    def _check_result(self, document: Json, result: Json) -> None:
        paths = self.question.body.get("select")
        if paths is None:
            if _spelled(result) != _spelled(document):
                raise Difference(f"expected the result {_spelled(document)}, got {_spelled(result)}")
            return
        paths = {*paths, *ALWAYS_TOLD}
        for path in paths:
            wanted, got = look_up(document, split(path)), look_up(result, split(path))
            if _spelled(_kept(wanted)) != _spelled(_kept(got)):
                raise Difference(f"select {path}: expected {wanted!r}, got {got!r}")
        surplus = [path for path in _paths(result) if not any(path[: len(split(one))] == split(one) for one in paths)]
        if surplus:
            raise Difference(f"not selected: {surplus}")

    async def ask(self) -> None:
        """All pages of the question."""
        size, first = self.question.size, self.question.first
        match self.question.paging:
            case "whole" | "offset":
                paging = {"limit": size, "offset": first} if first else {"limit": size}
                self.check(await self.page(paging), first, size)
            case "page":
                self.check(await self.page({"page": first, "page_size": size}), (first - 1) * size, size)
            case "cursor":
                await self._walk(size)
            case "links":
                await self._follow({"limit": size}, "next_page", 0, size)
            case "back":
                last = (max(len(self.expected.ids), 1) - 1) // size * size
                await self._follow({"limit": size, "offset": last}, "previous_page", last, -size)

    async def _walk(self, size: int) -> None:
        answer, offset = await self.page({"limit": size}), 0
        for _ in range(MOST_PAGES):
            self.check(answer, offset, size, numbered=offset == 0)
            cursor = answer["pagination"]["next_cursor"]
            if cursor is None:
                return
            answer, offset = await self.page({"limit": size, "cursor": cursor}), offset + size
        raise Difference("the cursor does not come to an end")

    async def _follow(self, paging: dict[str, Json], name: str, offset: int, step: int) -> None:
        """Follows links, which are a path with a query, with the same body: the query counts more."""
        answer = await self.page(paging)
        body = {**self.body, **paging} if self.question.paged == "body" else self.body
        for _ in range(MOST_PAGES):
            self.check(answer, offset, abs(step))
            link = answer["pagination"][name]
            if link is None:
                return
            answer, offset = await self.send(self.route[0], link, body), offset + step
        raise Difference(f"{name} does not come to an end")


def _must(what: str, wanted: Json, got: Json) -> None:
    if wanted != got or (type(wanted) is bool and type(got) is not bool):
        raise Difference(f"{what}: expected {wanted!r}, got {got!r}")


def _first_difference(wanted: Sequence[str], got: Sequence[str], offset: int) -> str:
    missing, surplus = [one for one in wanted if one not in got], [one for one in got if one not in wanted]
    if missing or surplus:
        return f"from {offset}: missing {missing[:3]} of {len(wanted)}, surplus {surplus[:3]} of {len(got)}"
    place = next(place for place, pair in enumerate(zip(wanted, got, strict=False)) if pair[0] != pair[1])
    return f"order, at {offset + place}: expected {wanted[place:][:3]}, got {got[place:][:3]}"


def _spelled(value: Json) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=repr)


def _kept(value: Json) -> Json:
    """A selection through an array may leave out the elements that have nothing there."""
    return [element for element in value if element not in ({}, [])] if isinstance(value, list) else value


def _paths(value: Json, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of all that a value holds but empty objects and arrays, through arrays."""
    if isinstance(value, dict):
        for name, inside in value.items():
            yield from _paths(inside, (*above, name))
    elif isinstance(value, list):
        for element in value:
            yield from _paths(element, above)
    else:
        yield above


# ---- Comparing --------------------------------------------------------------------------------------------


async def compare(client: Client, listed: Shelf, question: Question, report: Report) -> str | None:
    """None if service and oracle agree, else the difference."""
    report.questions += 1
    report.exercised.update(set(features(listed, question)))
    try:
        expected = listed.expected(question.body)
    except OracleRefusal as refusal:
        report.requests += 1
        status, answer = await client.call("POST", listed.route, question.body)
        if status == 422:
            report.refused += 1
            return None
        return f"should be refused ({refusal}), got {status} {json.dumps(answer)[:300]}"
    try:
        await Asker(client, listed, question, expected, report).ask()
    except Difference as difference:
        return str(difference)
    return None


async def prove(client: Client, listed: Shelf, rng: random.Random, requests: int) -> Report:
    """So many requests of what is loaded."""
    report = Report()
    while report.requests < requests:
        question = make_question(rng, listed.pools, listed.documents)
        difference = await compare(client, listed, question, report)
        if difference:
            report.mismatches.append(f"{difference}\n  {question}")
    return report


async def prove_objects(client: Client, seed: str, datasets: int, requests: int) -> Report:
    """Many requests of each of some buckets; a seed makes the same cases, but for ids and times."""
    report = Report()
    for number in range(datasets):
        rng = random.Random(f"objects-{seed}-{number}")
        listed = await load(client, make_objects(rng, 60, 150), rng)
        part = await prove(client, listed, rng, requests)
        part.mismatches = [f"{each}\n  data set: objects-{seed}-{number}" for each in part.mismatches]
        report.add(part)
        await client.ok("DELETE", listed.older.removesuffix("/objects"))
    return report


async def prove_buckets(client: Client, seed: str, datasets: int, requests: int) -> Report:
    """Many requests of each of some namespaces with buckets."""
    report = Report()
    for number in range(datasets):
        rng = random.Random(f"buckets-{seed}-{number}")
        name = f"lists-{random.getrandbits(48):x}"
        await client.ok("POST", "/v1/namespaces", {"namespace_name": name}, namespace=None)
        inside = Client(client.address, client.key, name)
        async with inside:
            listed = await load_buckets(inside, make_buckets(rng, 20, 45), rng)
            part = await prove(inside, listed, rng, requests)
        part.mismatches = [f"{each}\n  data set: buckets-{seed}-{number}" for each in part.mismatches]
        report.add(part)
        await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)
    return report


# ---- Coverage ---------------------------------------------------------------------------------------------


def features(listed: Shelf, question: Question) -> Iterator[str]:
    """What a question exercises, by name."""
    body = question.body
    kind = "objects" if listed.pools is OBJECTS else "buckets"
    yield f"listing:{kind}"
    yield f"paging:{question.paging}"
    yield f"paged in:{question.paged}"
    yield f"asked in:{question.asked}"
    yield from _conditions(body.get("filters"), listed)
    if "filters" in body:
        yield f"case_sensitive of the request:{str(bool(body.get('case_sensitive'))).lower()}"
    if "search" in body:
        yield "search:exact" if body.get("case_sensitive") else "search:folded"
    if "select" in body:
        yield "select"
    keys = sort_keys(body)
    for key in keys:
        yield from _sorts(listed, key)
    yield f"sort:{('none', 'one key', 'two keys', 'three keys', 'more keys')[min(len(keys), 4)]}"
    if len(keys) > 1:
        yield from _later_keys(listed, body, keys)
    yield from _effects(listed, body)


def _conditions(filters: Json, listed: Shelf) -> Iterator[str]:
    if isinstance(filters, list):
        for entry in filters:
            yield from _conditions(entry, listed)
        return
    if not isinstance(filters, dict):
        return
    own = isinstance(filters.get("case_sensitive"), bool)
    if isinstance(filters.get("field"), str):
        yield f"operator:{filters.get('operator', 'eq')}"
        yield f"operand:{filters.get('operator', 'eq')} {shape(filters.get('value'))}"
        yield from _looked_up(filters["field"], listed)
        if own:
            yield f"case_sensitive of a condition:{str(filters['case_sensitive']).lower()}"
        return
    if own:
        yield f"case_sensitive of a filter:{str(filters['case_sensitive']).lower()}"
    for key, value in filters.items():
        if key in ("AND", "OR", "NOT"):
            yield f"operator:{key}"
            if value == []:
                yield f"operator:empty {key}"
            if isinstance(value, dict):
                yield "operator:NOT with an object"
            yield from _conditions(value, listed)
        elif key != "case_sensitive":
            mongo = [name for name in value if name.startswith("$")] if isinstance(value, dict) else []
            yield "operator:shorthand"
            yield from (f"mongo:{name}" for name in mongo)
            yield from _looked_up(key, listed)


def _looked_up(path: str, listed: Shelf) -> Iterator[str]:
    if split(path)[0] not in listed.pools.fields:
        yield "path:short for one under metadata"


def _sorts(listed: Shelf, sort: Json) -> Iterator[str]:
    """The types that are there at the path."""
    direction = sort.get("direction", "asc")
    known = OBJECT_FIELDS.union(*listed.documents) if listed.pools is OBJECTS else BUCKET_FIELDS
    names = sort_path(sort["field"], known)
    dates = {"created_at", "updated_at"} | (SCHEMA_DATES if listed.pools is OBJECTS else BUCKET_DATES)
    met: set[str] = set()
    for document in listed.documents:
        found = by_type(document, names, dates=join(*names) in dates)
        kinds = [kind for kind in ASCENDING if found[kind]]
        met |= set(kinds) or {"nothing"}
        if sum(map(len, found.values())) > 1:
            yield f"sort:{'mixed ' if len(kinds) > 1 else ''}array {direction}"
    for kind in met:
        yield f"sort:{kind} {direction}"
    if len(met - {"nothing"}) > 1:
        yield f"sort:several types {direction}"


def _later_keys(listed: Shelf, body: Json, keys: Sequence[Json]) -> Iterator[str]:
    """Whether the keys after the first one change the order."""
    rest = {name: value for name, value in body.items() if name not in ("sort", "sorts")}
    try:
        if listed.expected(body).ids != listed.expected({**rest, "sort": keys[0]}).ids:
            yield "sort:later keys decide"
    except OracleRefusal:
        yield "sort:refused"
    paths = [split(key["field"]) for key in keys]
    if any(path[0] in COMPUTED for path in paths) and not all(path[0] in COMPUTED for path in paths):
        yield "sort:computed and stored keys"


def _effects(listed: Shelf, body: Json) -> Iterator[str]:
    """Whether something is found, and whether folding decides what."""
    try:
        found = listed.expected(body).ids
        other = listed.expected({**body, "case_sensitive": not body.get("case_sensitive")}).ids
    except OracleRefusal:
        yield "found:refused"
        return
    if "filters" in body or "search" in body:
        yield "found:nothing" if not found else "found:all" if len(found) == len(listed.documents) else "found:some"
        if found != other:
            yield "folding:decides" if not body.get("case_sensitive") else "folding:would decide"
