"""Bulk writes and deletes by query: the one place that checks the outcome of every item.

OpenSearch answers 200 to a bulk request even if every item failed. Callers get a `BulkItem` for each write, never the
raw answer, and `settled` raises for anything that is neither done nor a lost race, so no failure passes for success.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final
from urllib.parse import quote

import msgspec
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    RetryError,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from service import deadline
from service.errors import InsufficientStorage, Internal, TallyError, TooManyRequests, Unavailable
from service.storage.gateway import Gateway, error_of
from service.values import Json

_NDJSON: Final = {"content-type": "application/x-ndjson"}
_PARTS: Final = "items.*.status,items.*.error.type,items.*.error.reason,items.*.error.index"

_TRIES: Final = 8
"""Maximum attempts for a bulk request while OpenSearch is too busy for all of it."""

_LONGEST: Final = 10.0
"""Maximum seconds between two attempts."""


class WriteOutcome(Enum):
    """The outcome of one write."""

    STORED = "stored"
    DELETED = "deleted"
    ABSENT = "absent"
    """No such document to delete or update."""
    CONFLICT = "conflict"
    """The document's version is not the one that the write named."""
    NO_INDEX = "no index"
    """The index or alias does not exist; none was created."""
    BLOCKED = "blocked"
    """The index accepts no writes: flood stage, or a block set by an operator."""
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"
    UNMAPPED = "unmapped"
    """The index lacks a field of the document: it is not the index that the caller expected."""
    REJECTED = "rejected"
    """OpenSearch will never accept this document."""


DONE: Final = frozenset({WriteOutcome.STORED, WriteOutcome.DELETED})
LOST: Final = frozenset({WriteOutcome.ABSENT, WriteOutcome.CONFLICT})
"""Another writer was first; the caller decides what that means and whether to retry."""


@dataclass(frozen=True)
class BulkItem:
    """The result of one write of a bulk request, or one failure of a delete by query."""

    outcome: WriteOutcome
    again: bool = False
    """The request was sent more than once: ABSENT and CONFLICT may be effects of the first attempt."""
    status: int = 200
    cause: Mapping[str, Json] = field(default_factory=dict)
    """OpenSearch's `error`, for the log and for `error()`; users never see it."""

    @property
    def done(self) -> bool:
        return self.outcome in DONE

    @property
    def error(self) -> TallyError:
        """The error that a user sees, by the same rules as for a whole request that failed this way."""
        if self.outcome is WriteOutcome.NO_INDEX:
            return Unavailable(
                f"the index {self.cause.get('index')} is not there in OpenSearch; try again", retry_after=5
            )
        if self.outcome is WriteOutcome.UNMAPPED:
            return Unavailable("the fields of the index are being changed by somebody else; try again", retry_after=1)
        error = error_of(self.status, self.cause)
        return error if isinstance(error, TallyError) else Internal("the write failed; the service's log knows more")


@dataclass(frozen=True)
class Removal:
    """The result of a delete by query."""

    deleted: int
    conflicts: int
    failures: Sequence[BulkItem] = ()

    def check(self) -> None:
        """Raises the first failure's error, with the number of failures as `failed_count`."""
        if self.failures:
            raise counted(self.failures[0].error, len(self.failures))


def settled(items: Iterable[BulkItem]) -> None:
    """Raises the first error that is not a lost race."""
    for item in items:
        if not item.done and item.outcome not in LOST:
            raise item.error


def counted(error: TallyError, failed: int) -> TallyError:
    """The error, with the number of items that failed."""
    error.details["failed_count"] = failed
    return error


async def bulk(gateway: Gateway, writes: Sequence[Sequence[bytes]]) -> list[BulkItem]:
    """Sends writes, each given as the lines of a bulk request; returns their outcomes, in order.

    Items that OpenSearch is too busy for are retried, and become OVERLOADED only at the end. Blocks are not retried.
    """
    results = [BulkItem(WriteOutcome.OVERLOADED, status=429)] * len(writes)
    patience = AsyncRetrying(
        retry=retry_if_exception_type(_Busy),
        wait=wait_random_exponential(multiplier=0.2, max=_LONGEST),
        stop=_enough,
    )
    with suppress(RetryError):
        async for attempt in patience:
            with attempt:
                left = [place for place, item in enumerate(results) if item.outcome is WriteOutcome.OVERLOADED]
                try:
                    items = await _bulk(gateway, [writes[place] for place in left])
                except TooManyRequests:
                    raise _Busy from None
                for place, item in zip(left, items, strict=True):
                    results[place] = item
                if any(item.outcome is WriteOutcome.OVERLOADED for item in results):
                    raise _Busy
    return results


class _Busy(Exception):
    pass


async def _bulk(gateway: Gateway, writes: Sequence[Sequence[bytes]]) -> list[BulkItem]:
    # A write must not stay queued for its shard in OpenSearch after this client has stopped waiting for the answer.
    params = {"filter_path": _PARTS, "timeout": gateway.limit(0.9)}
    body = b"\n".join(line for lines in writes for line in lines) + b"\n"
    text, again = await gateway.request_once_or_again("POST", "/_bulk", body, headers=_NDJSON, params=params)
    items: list[BulkItem] = []
    for each in msgspec.json.decode(text)["items"]:
        ((verb, item),) = each.items()
        items.append(_item(verb, item["status"], item.get("error") or {}, again=again))
    blocked = next((item for item in items if item.outcome is WriteOutcome.BLOCKED), None)
    if blocked is not None and isinstance(blocked.error, InsufficientStorage):
        gateway.note_write_block(blocked.error.message)
    return items


async def delete_by_query(gateway: Gateway, index: str, query: Json, params: Mapping[str, Any]) -> Removal:
    """Deletes what a query matches; conflicts are counted, not raised. Raises `Absent` if the index does not exist."""
    path = f"/{quote(index, safe='*,')}/_delete_by_query"
    try:
        answer = await gateway.json("POST", path, {"query": query}, params={"conflicts": "proceed", **params})
    except TallyError as error:
        # Failures set the status of the whole answer, which still reports what was deleted before them.
        answer = getattr(error.__cause__, "info", None)
        if not isinstance(answer, dict) or "failures" not in answer:
            raise
    failures = [_item("delete", each.get("status", 500), each.get("cause") or {}) for each in answer["failures"]]
    if answer.get("timed_out") and not failures:
        failures = [BulkItem(WriteOutcome.UNAVAILABLE, status=503)]
    return Removal(answer["deleted"], answer["version_conflicts"], failures)


def _item(verb: str, status: int, cause: Mapping[str, Json], *, again: bool = False) -> BulkItem:
    return BulkItem(_outcome(verb, status, str(cause.get("type", ""))), again, status, cause)


def _outcome(verb: str, status: int, kind: str) -> WriteOutcome:
    if status < 300:
        return WriteOutcome.DELETED if verb == "delete" else WriteOutcome.STORED
    match status, kind:
        case _, "cluster_block_exception":
            return WriteOutcome.BLOCKED
        case _, "index_closed_exception":
            return WriteOutcome.UNAVAILABLE
        case _, "index_not_found_exception":
            return WriteOutcome.NO_INDEX
        case _, "strict_dynamic_mapping_exception":
            return WriteOutcome.UNMAPPED
        case 404, _:
            return WriteOutcome.ABSENT
        case 409, _:
            return WriteOutcome.CONFLICT
        case 429, _:
            return WriteOutcome.OVERLOADED
        case 500 | 502 | 503 | 504, _:
            return WriteOutcome.UNAVAILABLE
    return WriteOutcome.REJECTED


def _enough(state: RetryCallState) -> bool:
    """Whether no attempts are left, or no time for the pause and another one."""
    needed = state.upcoming_sleep + 1.0
    return stop_after_attempt(_TRIES)(state) or deadline.left(2 * needed) <= needed
