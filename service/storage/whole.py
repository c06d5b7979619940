"""Whether an OpenSearch answer is whole: OpenSearch also sends partial answers with status 200.

`Gateway.request` checks every answer, so callers neither need to nor can forget it.
"""

import re
from typing import Final

import msgspec

_ALL_SHARDS: Final = frozenset({"_search", "_msearch", "_count"})
"""Operations that must reach every shard. OpenSearch does not count a shard without a live copy as failed."""

_NO_FAILURE: Final = frozenset({"_refresh", "_stats", "_delete_by_query", "_update_by_query"})
"""Operations of which no part may have failed. Unassigned replicas are not failures."""

_HEAD: Final = re.compile(
    r'\{(?:"(?:_scroll_id|pit_id)":"[^"]*",)?"took":\d+,"timed_out":false,(?P<early>"terminated_early":(?:true|false),)?'
    r'(?:"num_reduce_phases":\d+,)?'
    r'"_shards":\{"total":(\d+),"successful":\2,"skipped":\d+,"failed":0\},"hits":\{'
)
"""The beginning of almost all search answers; one that matches is whole, so it need not be parsed."""


class _Shards(msgspec.Struct):
    total: int = 0
    successful: int = 0
    failed: int = 0


class _Clusters(msgspec.Struct):
    total: int = 0
    successful: int = 0


class _SearchStatus(msgspec.Struct):
    timed_out: bool = False
    terminated_early: bool = False
    shards: _Shards | None = msgspec.field(name="_shards", default=None)
    clusters: _Clusters | None = msgspec.field(name="_clusters", default=None)
    failures: list[msgspec.Raw] = []
    error: msgspec.Raw | None = None
    responses: list["_SearchStatus"] | None = None
    """For `_msearch`: an answer for each search."""


_read: Final = msgspec.json.Decoder(_SearchStatus).decode


def operation(path: str) -> str:
    """`_search` for `/index/_search`: the operation without the names it applies to."""
    return next((part for part in path.split("/") if part.startswith("_")), "index")


def is_whole(method: str, path: str, answer: str, *, limited: bool = False) -> bool:
    """False for an answer that lacks a part or does not say it is complete; true for answers of other operations.

    `limited`: the request had `terminate_after`, so `terminated_early` means that something is missing. Without it
    OpenSearch also sets it for aggregations whose result it knew before visiting all documents.
    """
    name = operation(path)
    if method == "DELETE" or (name not in _ALL_SHARDS and name not in _NO_FAILURE):
        return True
    if head := _HEAD.match(answer):
        return not (limited and head["early"] and "true" in head["early"])
    try:
        read = _read(answer)
    except msgspec.DecodeError:
        return False
    return all(_has_all(each, name, limited=limited) for each in ([read] if read.responses is None else read.responses))


def _has_all(answer: _SearchStatus, name: str, *, limited: bool) -> bool:
    if answer.timed_out or answer.failures or answer.error is not None:
        return False
    if name not in _ALL_SHARDS:
        return answer.shards is None or not answer.shards.failed
    if limited and answer.terminated_early:
        return False
    if answer.clusters is not None and answer.clusters.successful < answer.clusters.total:
        return False
    shards = answer.shards
    return shards is not None and not shards.failed and shards.successful == shards.total
