"""Maps OpenSearch errors to Tally errors: the status and cause the caller sees, and what only the log gets."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import structlog
from opensearchpy import TransportError

from service.errors import BadRequest, InsufficientStorage, Internal, TallyError, TimedOut, TooManyRequests, Unavailable
from service.values import Json

log = structlog.get_logger()


class Absent(Exception):
    """OpenSearch answered 404: no such document, or, if `index` is set, no such index or alias."""

    def __init__(self, index: str | None = None) -> None:
        super().__init__(index)
        self.index = index


class Conflict(Exception):
    """OpenSearch answered 409: a concurrent writer was first."""


class Rejected(Exception):
    """OpenSearch answered 400; `reason` is its own text, which users never see."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


_BLOCK: Final = re.compile(r"\[[A-Z_]+/(\d+)/")
"""A block in the reason of a `cluster_block_exception`: `[FORBIDDEN/8/index write (api)]`; the number is its id."""

FLOOD_STAGE: Final = (
    "the disk of OpenSearch is full: it stores nothing more until there is space (flood stage). Free disk space or "
    "add some; writing goes on by itself within a minute then, and all that is stored can be read meanwhile"
)
_NO_NEW_INDEX: Final = (
    "OpenSearch makes no new index (cluster.blocks.create_index), which it decides when the disks of all of its nodes "
    "are nearly full. Free disk space or add some"
)
_NO_SPACE: Final = "the disk of OpenSearch is full: free disk space or add some, then send this again"

_FULL: Final = {12: FLOOD_STAGE, 10: _NO_NEW_INDEX}
"""Blocks that OpenSearch sets by itself, by id."""

_BY_OPERATOR: Final = {
    5: "an operator of OpenSearch made the index read-only (index.blocks.read_only)",
    6: "an operator of OpenSearch made the cluster read-only (cluster.blocks.read_only)",
    7: "an operator of OpenSearch blocked reading of the index (index.blocks.read)",
    8: "an operator of OpenSearch blocked writing to the index (index.blocks.write)",
    9: "an operator of OpenSearch blocked the metadata of the index (index.blocks.metadata)",
    13: "an operator of OpenSearch made the cluster read-only (cluster.blocks.read_only_allow_delete)",
}
"""Blocks that an operator sets and has to remove, by id."""

WRITE_BLOCKS: Final = frozenset({5, 6, 8, 10, 12, 13})
"""Blocks that prevent Tally from writing."""


_CLOSED: Final = "an operator of OpenSearch closed the index; it has to be opened again"

_PASSING: Final = frozenset(
    {
        "already_closed_exception",
        "cluster_manager_not_discovered_exception",
        "connect_transport_exception",
        "failed_to_commit_cluster_state_exception",
        "illegal_index_shard_state_exception",
        "index_shard_closed_exception",
        "index_shard_not_started_exception",
        "index_shard_recovering_exception",
        "no_longer_primary_shard_exception",
        "no_node_available_exception",
        "node_closed_exception",
        "node_disconnected_exception",
        "node_not_connected_exception",
        "process_cluster_event_timeout_exception",
        "receive_timeout_transport_exception",
        "retry_on_primary_exception",
        "send_request_transport_exception",
        "shard_not_in_primary_mode_exception",
    }
)
"""Errors OpenSearch returns, some with status 500, while a node leaves, hangs or comes back."""


def block_error(id: int) -> TallyError | None:
    """The error for a request stopped by an OpenSearch block, None for a block that clears once a node has started."""
    if id in _FULL:
        return InsufficientStorage(_FULL[id], retry_after=60)
    if id == 4:
        return Unavailable(_CLOSED, retry_after=60)
    if id in _BY_OPERATOR:
        return Unavailable(f"{_BY_OPERATOR[id]}; it lasts until the setting is removed", retry_after=60)
    return None


def cause_error(kind: str, reason: str) -> TallyError | None:
    """The error for one cause reported by OpenSearch, for a request or one item; None if it is not known here."""
    if kind in ("cluster_block_exception", "index_create_block_exception"):
        return next((found for id in _BLOCK.findall(reason) if (found := block_error(int(id)))), None)
    if kind == "index_closed_exception":
        return Unavailable(_CLOSED, retry_after=60)
    if "No space left on device" in reason:
        return InsufficientStorage(_NO_SPACE, retry_after=60)
    return None


def raise_lasting(errors: Iterable[Json]) -> None:
    """Raises errors that persist for single items: a full disk, a block, a closed index.

    `errors`: the `error` of each item that failed, in the answer to a bulk or multi-get request.
    """
    for error in errors:
        if lasting := cause_error(error["type"], str(error.get("reason"))):
            raise lasting


def shards_missing(error: TransportError) -> bool:
    """Whether a search failed because a shard has no active copy: it is starting, or its node is gone."""
    cause = error.info.get("error") if isinstance(error.info, dict) else None
    return (
        error.status_code == 503
        and isinstance(cause, dict)
        and cause.get("type") == "search_phase_execution_exception"
        and not cause.get("failed_shards")
    )


def translated(error: TransportError) -> Exception:
    """The `TallyError`, or `Absent`, `Conflict`, `Rejected`, for an unsuccessful answer."""
    status = error.status_code
    info: Any = error.info if isinstance(error.info, dict) else {}
    cause = info.get("error", {}) if isinstance(info.get("error"), dict) else {}
    causes = list(_causes(info))
    for kind, reason in causes:
        if known := cause_error(kind, reason):
            return known
    kinds = {kind for kind, _ in causes}
    if status == 404:
        return Absent(str(cause.get("index", "")) if "index_not_found_exception" in kinds else None)
    if status == 409:
        return Conflict()
    if "task_cancelled_exception" in kinds:
        return TimedOut(
            "OpenSearch took longer than the time allowed; narrow the question with `filters`", retry_after=5
        )
    if "too_many_buckets_exception" in kinds:
        return BadRequest("the answer has more groups than OpenSearch allows at once (search.max_buckets)")
    if status == 429:
        return TooManyRequests("OpenSearch is overloaded", retry_after=2)
    if status in (502, 503, 504) or (status == 500 and kinds & _PASSING):
        return Unavailable("OpenSearch is not available", retry_after=5)
    if "cluster_block_exception" in kinds:
        log.error("opensearch is blocked", status=status, reason=str(cause.get("reason"))[:500])
        return Unavailable(
            "a block of OpenSearch keeps it from answering; the log of the service has it", retry_after=30
        )
    if status in (401, 403):
        log.error("opensearch refused our credentials", status=status, kinds=sorted(kinds))
        return Unavailable("OpenSearch refuses this service", retry_after=30)
    if status == 400:
        reasons = [str(cause.get("reason", ""))]
        reasons += [str(each.get("reason", "")) for each in cause.get("root_cause", ()) if isinstance(each, dict)]
        return Rejected(str(cause.get("type", "")), " | ".join(reasons))
    log.error("opensearch failed", status=status, kinds=sorted(kinds), reason=str(cause.get("reason"))[:500])
    return Internal("the answer could not be computed")


def _causes(info: Json) -> Iterator[tuple[str, str]]:
    """Type and reason of each cause: of the whole request, its parts, and their root causes."""
    if not isinstance(info, dict):
        return
    if "type" in info:
        yield str(info["type"]), str(info.get("reason", ""))
    for name in ("error", "cause", "caused_by"):
        yield from _causes(info.get(name))
    for name in ("root_cause", "failures", "failed_shards"):
        for each in info.get(name) or ():
            yield from _causes(each)
            yield from _causes(each.get("reason") if isinstance(each, dict) else None)
