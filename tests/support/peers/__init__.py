"""Other people's implementations that the oracle is held against, each on the subset that it shares with the contract.

A peer is asked piece by piece (`Peer.key`, `Peer.metric`, …) whether it has what a request wants; a `LeftOut` names the
row of docs/oracle.md that says why not. What is left of the request is run by both sides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

Json: TypeAlias = Any


class LeftOut(Exception):
    """A piece of a request that is not compared; the reason is the name of a row in docs/oracle.md."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Peer(Protocol):
    """One peer with one data set in it. Every check raises `LeftOut` for what it cannot compare."""

    def unwind(self, path: str) -> None: ...

    def filters(self, filters: Json) -> None: ...

    def key(self, entry: Json) -> None: ...

    def ranges(self, entry: Json) -> None: ...

    def metric(self, entry: Json) -> None: ...

    def having(self, condition: Json, metric: Json) -> None: ...

    def order(self, spec: Json) -> None:
        """The order of the groups, with `sort_by` or without."""

    def rows(self, spec: Json) -> list[Json]:
        """The answer, as the `results` of the objects API."""


def narrowed(spec: Json, peer: Peer, left_out: Counter[str]) -> tuple[Json, bool] | None:
    """What the peer can compare of a request, and whether in order. None if no key or no metric is left."""

    def kept(check: Callable[[Json], None], pieces: Sequence[Json]) -> list[Json]:
        found = []
        for piece in pieces:
            try:
                check(piece)
                found.append(piece)
            except LeftOut as left:
                left_out[left.reason] += 1
        return found

    small: dict[str, Json] = {}
    for name, check in (("unwind", peer.unwind), ("filters", peer.filters)):
        if spec.get(name):
            small[name] = next(iter(kept(check, [spec[name]])), None)
    small["group_by"] = kept(peer.key, spec["group_by"])
    small["aggregations"] = kept(peer.metric, spec["aggregations"])
    if not small["group_by"] or not small["aggregations"]:
        return None
    if spec.get("range_buckets"):
        small["range_buckets"] = kept(peer.ranges, spec["range_buckets"])
    metrics = {entry["alias"]: entry for entry in small["aggregations"]}
    conditions = [entry for entry in spec.get("having") or [] if entry["field"] in metrics]
    small["having"] = kept(lambda entry: peer.having(entry, metrics[entry["field"]]), conditions)
    fields = [entry["field"] for entry in small["group_by"]]
    keys = [entry.get("alias") or entry["field"] for entry in (*small["group_by"], *small.get("range_buckets", []))]
    if spec.get("sort_by") in (*metrics, *fields, *keys):
        small |= {name: spec[name] for name in ("sort_by", "sort_direction") if name in spec}
    if kept(peer.order, [small]):
        if spec.get("limit"):
            small["limit"] = spec["limit"]
        return small, True
    return {name: value for name, value in small.items() if not name.startswith("sort_")}, False


def order_column(spec: Json) -> tuple[str, int] | None:
    """What `sort_by` names: `key` or `metric` and its place; keys by alias come first, then metrics, then fields."""
    name = spec.get("sort_by")
    if not name:
        return None
    keys = [*spec["group_by"], *spec.get("range_buckets", [])]
    aliases = [entry.get("alias") or entry["field"] for entry in keys]
    metrics = [entry["alias"] for entry in spec["aggregations"]]
    if name in aliases:
        return "key", aliases.index(name)
    if name in metrics:
        return "metric", metrics.index(name)
    return "key", [entry["field"] for entry in keys].index(name)


def descending(spec: Json) -> bool:
    """`desc` is the default (contract, Aggregate)."""
    return str(spec.get("sort_direction") or "desc").lower() == "desc"
