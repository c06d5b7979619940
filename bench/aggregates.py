"""Aggregates of few and of many groups beside the best OpenSearch requests that we know to write by hand."""

import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from bench.measure import add, comparison, console, side_by_side
from bench.system import NAMESPACE, System

INDEX = f"/tally-objects.{NAMESPACE}"
SEARCH = f"{INDEX}/_search?request_cache=false"


@dataclass(frozen=True)
class Case:
    """One question: group keys, and a field to take the mean of, if any."""

    keys: Sequence[str]
    groups: int
    rounds: int
    mean: str | None = None

    @property
    def name(self) -> str:
        return f"{self.groups:,} groups: {', '.join(self.keys)}" + (f"; avg({self.mean})" if self.mean else "")

    def spec(self, constant: int) -> dict[str, Any]:
        metrics = [{"function": "count", "alias": "objects"}]
        if self.mean:
            metrics.append({"function": "avg", "field": f"metadata.{self.mean}", "alias": "mean"})
        return {
            "filters": {"metadata.distance": {"$gte": -constant}},
            "group_by": [{"field": f"metadata.{key}", "alias": key} for key in self.keys],
            "aggregations": metrics,
        }

    def _body(self, bucket: str, constant: int, groups: dict[str, Any]) -> dict[str, Any]:
        where = [{"term": {"bucket_id": bucket}}, {"range": {"metadata.distance": {"gte": -constant}}}]
        return {"size": 0, "track_total_hits": False, "query": {"bool": {"filter": where}}, "aggs": {"groups": groups}}

    def _means(self) -> dict[str, Any]:
        return {"aggs": {"mean": {"avg": {"field": f"metadata.{self.mean}"}}}} if self.mean else {}

    def composite(self, bucket: str, constant: int) -> dict[str, Any]:
        sources = [{key: {"terms": {"field": f"metadata.{key}", "missing_bucket": True}}} for key in self.keys]
        return self._body(bucket, constant, {"composite": {"size": 65_535, "sources": sources}, **self._means()})

    def terms(self, bucket: str, constant: int) -> dict[str, Any]:
        """Terms within terms: whole only because the sizes are known to be enough."""
        groups = self._means()
        for key in reversed(self.keys):
            terms = {"field": f"metadata.{key}", "size": 5_000, "missing": ""}
            groups = {"aggs": {"groups": {"terms": terms, **groups}}}
        inner: dict[str, Any] = groups["aggs"]["groups"]
        return self._body(bucket, constant, inner)


CASES = (
    Case(("carrier",), 16, 40),
    Case(("origin", "carrier", "dest"), 439, 20),
    Case(("tailnum",), 4_044, 20),
    Case(("tailnum", "dest"), 44_465, 8, "dep_delay"),
)


async def compare(system: System, scale: float) -> None:
    bucket = orjson.loads(await system.ask("GET", "/v1/buckets/flights"))["bucket_id"]
    table = comparison("Aggregates over 336,776 flights; each question asked once, none answered from a cache")
    # A filter that always holds, with another constant each time: no request is like one before.
    constants = itertools.count(1)
    for case in CASES:
        answer = orjson.loads(await system.ask("POST", "/v1/buckets/flights/objects/aggregate", case.spec(0)))
        console.print(f"{case.name}: {answer['query_info']['strategy']}, {answer['total_groups']:,} groups")
        if answer["total_groups"] != case.groups:
            raise RuntimeError(f"{case.name}: {answer['total_groups']} groups")

        def bare(form: Callable[[str, int], dict[str, Any]]) -> Any:
            return lambda: system.ask_bare("POST", SEARCH, form(bucket, next(constants)))

        def asked(ask: Callable[..., Awaitable[bytes]], case: Case = case) -> Any:
            return lambda: ask("POST", "/v1/buckets/flights/objects/aggregate", case.spec(next(constants)))

        ours, quiet, composite, terms = await side_by_side(
            max(3, round(case.rounds * scale)),
            5,
            asked(system.ask),
            asked(system.ask_quiet),
            bare(case.composite),
            bare(case.terms),
        )
        add(table, case.name, ours, composite, "composite")
        add(table, "  without metrics and logs", quiet, composite, "composite")
        add(table, "", ours, terms, "terms" if len(case.keys) == 1 else "terms in terms")
    console.print(table)
