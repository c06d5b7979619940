"""Trees of aggregates over records: from one request, a more careful one, or the records themselves."""

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from service import dsl, metrics, tracing
from service.aggregations.base import Inexact
from service.catalog.models import container_key
from service.catalog.streams import OpenStream
from service.conditions.base import Query
from service.dialects.tree.nodes import QueryEffort, Reading, accuracies, compiled, evaluate_all, read_all
from service.dialects.tree.references import Columns, References, named
from service.dialects.tree.request import Tree, read_tree
from service.dialects.tree.warnings import Named, cut_off
from service.dialects.tree.wire import RecordsAggregate
from service.errors import OverBudget, Unavailable
from service.records.opening import Opening
from service.records.selection import STORED, properties_in, record, typing_of, where
from service.storage.catalog import Catalog
from service.storage.records import RecordStore
from service.tokens import string_term
from service.values import Json

_ROUNDS: Final = 10
"""Maximum attempts for a tree while indices are created and removed."""
_TOKENS: Final = "sha256:"
_TOKEN = re.compile(rf"…{_TOKENS}[0-9a-f]{{64}}$")


class RecordLimits(Protocol):
    """Limits on the cost of one answer."""

    bucket_limit: int
    fold_budget: int


@dataclass(frozen=True)
class _Computed:
    """Aggregates, how they were computed, and their `info`."""

    result: Json
    strategy: str
    reading: Reading
    unknown: Sequence[str]
    """Warnings about properties that no record has."""


class RecordAggregator:
    """The use case for aggregates over records."""

    def __init__(self, opening: Opening, catalog: Catalog, store: RecordStore, limits: RecordLimits) -> None:
        self._opening = opening
        self._catalog = catalog
        self._store = store
        self._limits = limits

    async def aggregate(self, project: str, stream_id: str, body: RecordsAggregate, *, info: bool) -> Json:
        async def rendered(stream: OpenStream, columns: Columns) -> Json:
            return await self._aggregated(stream, columns, body, info=info)

        return await self._opening.meanwhile(project, stream_id, named(list(body.mentions())), rendered)

    async def _aggregated(self, stream: OpenStream, columns: Columns, body: RecordsAggregate, *, info: bool) -> Json:
        with tracing.span("plan"):
            references = References(columns)
            tree = read_tree(body.aggregates, references)
            query, indices = where(stream, body, references)
        with tracing.span("answer") as span:
            named_properties = Named.of({"aggregates": body.aggregates, "filter": body.filter}, columns if info else {})
            found = await self._computed(stream, tree, query, indices, named_properties)
            if span is not None:
                span.set_attribute("tally.strategy", found.strategy)
        metrics.strategies.labels(f"records {found.strategy}").inc()
        rendered: dict[str, Json] = {"aggregates": found.result}
        if body.include_typing:
            rendered["typing"] = await self._typing_of_named(stream, body, columns)
        if info:
            accuracy = accuracies(tree.nodes)
            if found.strategy == "records":
                accuracy = dict.fromkeys(accuracy, "exact")
            warnings = [*found.unknown, *cut_off(found.reading)]
            rendered["info"] = {"accuracy": accuracy, "strategy": found.strategy, "warnings": warnings}
            if found.reading.left_out:
                rendered["info"]["otherRecords"] = found.reading.left_out
        return rendered

    async def _computed(self, stream: OpenStream, tree: Tree, query: Query, indices: str, named: Named) -> _Computed:
        """Computed in one request; if that is not provably exact, in a more careful one, else from the records."""
        how = QueryEffort(self._store.shards if stream.mutable else 2)
        for _ in range(_ROUNDS):
            text = await self._asked(tree, query, indices, how, named)
            answer = await self._store.read_answer(text)
            shards = answer["_shards"]["total"]
            unknown = named.unknown(answer.get("aggregations"))
            reading = Reading(self._limits.bucket_limit)
            if shards > how.shards and how.shards == 1:
                how = QueryEffort(shards, how.careful)
                continue
            try:
                # Most answers contain no long text, which is quicker to detect before parsing.
                tokens = list(_tokens(answer.get("aggregations"))) if _TOKENS in text else []
                result = await self._read(stream, tree, answer, tokens, reading)
            except Inexact:
                if how.careful:
                    reading = Reading(self._limits.bucket_limit)
                    result = await self._evaluate(tree, query, indices, reading)
                    return _Computed(result, "records", reading, unknown)
                how = QueryEffort(max(shards, 1), careful=True)
                continue
            return _Computed(result, "careful" if how.careful else "single", reading, unknown)
        raise Unavailable("the indices of the stream are changing; try again", retry_after=1)

    async def _asked(self, tree: Tree, query: Query, indices: str, how: QueryEffort, named: Named) -> str:
        body = {
            "size": 0,
            "track_total_hits": any(not node.compile(how) for node in tree.nodes.values()),
            "query": query,
            "aggs": {**compiled(tree.nodes, how), **named.counting()},
        }
        return await self._store.search_text(indices, body)

    async def _read(
        self, stream: OpenStream, tree: Tree, answer: Json, tokens: Sequence[str], reading: Reading
    ) -> Json:
        aggregations = answer.get("aggregations")
        if aggregations is None and answer["_shards"]["total"] == 0:
            return evaluate_all(tree.nodes, (), reading)
        total = answer["hits"].get("total", {}).get("value", 0)
        if tokens:
            reading.texts = await self._texts(stream, tree, tokens)
        return (
            await asyncio.to_thread(read_all, tree.nodes, aggregations or {}, total, reading)
            if _large(aggregations)
            else read_all(tree.nodes, aggregations or {}, total, reading)
        )

    async def _texts(self, stream: OpenStream, tree: Tree, tokens: Sequence[str]) -> dict[str, str]:
        """Resolves the tokens by which the index holds long texts, each from a record that has it."""
        columns = [column for column in tree.columns if column.type in ("text", "direct", "enum")]
        should = [dsl.terms(column.field, list(tokens)) for column in columns]
        body: dict[str, Json] = {
            "size": 0,
            "query": dsl.either(*should),
            "aggs": {
                str(position): {
                    "terms": {"field": column.field, "include": list(tokens), "size": len(tokens)},
                    "aggs": {"one": {"top_hits": {"size": 1, "_source": ["@raw"]}}},
                }
                for position, column in enumerate(columns)
            },
        }
        answer = await self._store.search(stream.location.pattern, body)
        texts: dict[str, str] = {}
        for position, column in enumerate(columns):
            for bucket in answer["aggregations"][str(position)]["buckets"]:
                hit = bucket["one"]["hits"]["hits"][0]["_source"]
                one = {"properties": msgspec.json.decode(hit["@raw"])}
                for value in column.values(one):
                    text = f"{value['space']} {value['externalId']}" if column.type == "direct" else value
                    texts[string_term(text)] = text
        return texts

    async def _evaluate(self, tree: Tree, query: Query, indices: str, reading: Reading) -> Json:
        records: list[Json] = []
        async with self._store.gateway.point_in_time(indices) as pit:
            body = {"query": query, "sort": [{"_shard_doc": "asc"}], "_source": STORED}
            async for page in self._store.gateway.pages(pit, body, _hits):
                records += page
                if len(records) > self._limits.fold_budget:
                    raise OverBudget(
                        f"an exact answer needs more than {self._limits.fold_budget:,} records to be looked at one by "
                        "one, which is the budget of one answer; narrow it with `filter` or `lastUpdatedTime`",
                        {"limit": self._limits.fold_budget},
                    )
        return await asyncio.to_thread(evaluate_all, tree.nodes, records, reading)

    async def _typing_of_named(self, stream: OpenStream, body: RecordsAggregate, columns: Columns) -> Json:
        mentioned: dict[tuple[str, str], set[str]] = {}
        for space, container, name in properties_in([body.aggregates, body.filter]):
            if name in columns.get((space, container), {}):
                mentioned.setdefault((space, container), set()).add(name)
        found = await self._catalog.get(*(container_key(stream.scope, *key) for key in mentioned)) if mentioned else []
        return typing_of([entry for entry in found if entry], mentioned)


def _hits(text: str) -> list[tuple[Json, Json]]:
    """Sort values and record of each hit."""
    return [(hit["sort"], record(hit["_source"], None)) for hit in msgspec.json.decode(text)["hits"]["hits"]]


def _tokens(value: Json) -> Iterable[str]:
    """The terms of long texts in an answer."""
    if isinstance(value, dict):
        key = value.get("key")
        if isinstance(key, str) and len(key) > 1_000 and _TOKEN.search(key):
            yield key
        for each in value.values():
            if isinstance(each, dict | list):
                yield from _tokens(each)
    elif isinstance(value, list):
        for each in value:
            yield from _tokens(each)


def _large(aggregations: Json) -> bool:
    return sum(len(each.get("buckets", ())) for each in (aggregations or {}).values()) > 500
