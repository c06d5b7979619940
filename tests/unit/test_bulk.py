"""What became of each item of a bulk, and of a deletion by query."""

from typing import Any

import orjson
import pytest
from opensearchpy import TransportError

from service.errors import TallyError, TooManyRequests, Unavailable
from service.storage.bulk import BulkItem, WriteOutcome, bulk, delete_by_query
from service.storage.gateway import Gateway, Refresher, error_of
from service.storage.records import RecordStore

FLOOD = "index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark];"


class Answering(Gateway):
    """Gives made-up answers, one after the other."""

    def __init__(self, *answers: Any, again: bool = False) -> None:
        self.timeout = 60.0
        self.write_block = None
        self.answers = list(answers)
        self.bodies: list[bytes] = []
        self.again = again

    async def request_once_or_again(self, method: str, path: str, body: Any = None, **_: Any) -> tuple[str, bool]:
        self.bodies.append(body)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return orjson.dumps(answer).decode(), self.again


def item(status: int, type: str | None = None, verb: str = "index", reason: str = "") -> Any:
    return {verb: {"status": status, **({"error": {"type": type, "reason": reason, "index": "x"}} if type else {})}}


CASES = [
    (item(201), WriteOutcome.STORED, None),
    (item(200, verb="create"), WriteOutcome.STORED, None),
    (item(200, verb="delete"), WriteOutcome.DELETED, None),
    (item(404, verb="delete"), WriteOutcome.ABSENT, None),
    (item(404, "document_missing_exception", "update"), WriteOutcome.ABSENT, None),
    (item(404, "index_not_found_exception"), WriteOutcome.NO_INDEX, {503}),
    (item(409, "version_conflict_engine_exception", "create"), WriteOutcome.CONFLICT, None),
    (
        item(403, "cluster_block_exception", "delete", "blocked by: [FORBIDDEN/8/index write (api)];"),
        WriteOutcome.BLOCKED,
        {503},
    ),
    (item(429, "cluster_block_exception", "delete", FLOOD), WriteOutcome.BLOCKED, {429, 507}),
    (item(400, "index_closed_exception", "delete"), WriteOutcome.UNAVAILABLE, {503}),
    (item(503, "unavailable_shards_exception"), WriteOutcome.UNAVAILABLE, {503}),
    (item(500, "some_exception"), WriteOutcome.UNAVAILABLE, {500}),
    (item(500, "node_not_connected_exception"), WriteOutcome.UNAVAILABLE, {503}),
    (item(400, "mapper_parsing_exception"), WriteOutcome.REJECTED, {400, 422, 500}),
    (item(403, "security_exception"), WriteOutcome.REJECTED, {503}),
    (item(400, "strict_dynamic_mapping_exception"), WriteOutcome.UNMAPPED, {503}),
]


@pytest.mark.parametrize(("answer", "outcome", "statuses"), CASES)
async def test_outcomes(answer: Any, outcome: WriteOutcome, statuses: set[int] | None) -> None:
    (found,) = await bulk(Answering({"items": [answer]}), [[b"{}"]])
    assert (found.outcome, found.again) == (outcome, False)
    assert found.done is (outcome in (WriteOutcome.STORED, WriteOutcome.DELETED))
    if statuses:
        assert found.error.status in statuses


async def test_a_full_disk_is_noted_at_once() -> None:
    gateway = Answering({"items": [item(201), item(429, "cluster_block_exception", "create", FLOOD)]})
    await bulk(gateway, [[b"1"], [b"2"]])
    assert gateway.write_block is not None
    assert "disk" in gateway.write_block
    gateway.note_write_block(None)


async def test_what_was_sent_again_is_told() -> None:
    (found,) = await bulk(Answering({"items": [item(404, verb="delete")]}, again=True), [[b"{}"]])
    assert found == BulkItem(WriteOutcome.ABSENT, again=True, status=404)


async def test_only_what_was_too_much_is_sent_again() -> None:
    gateway = Answering({"items": [item(201), item(429, "rejected_execution_exception")]}, {"items": [item(201)]})
    assert [each.outcome for each in await bulk(gateway, [[b"1", b"one"], [b"2"]])] == [WriteOutcome.STORED] * 2
    assert gateway.bodies == [b"1\none\n2\n", b"2\n"]


async def test_a_whole_request_that_was_too_much_is_sent_again() -> None:
    gateway = Answering(TooManyRequests("refused"), {"items": [item(201)]})
    assert [each.outcome for each in await bulk(gateway, [[b"1"]])] == [WriteOutcome.STORED]
    assert gateway.bodies == [b"1\n", b"1\n"]


async def test_a_deletion_by_query_tells_its_failures() -> None:
    failure = {"status": 403, "cause": {"type": "cluster_block_exception", "reason": "blocked"}}
    whole = {"deleted": 3, "version_conflicts": 1, "failures": [], "timed_out": False}
    removal = await delete_by_query(Answering(whole), "x", {}, {})
    removal.check()
    assert (removal.deleted, removal.conflicts) == (3, 1)
    refused = TooManyRequests("refused")
    refused.__cause__ = TransportError(429, "", {**whole, "failures": [failure, failure]})
    for answer in ({**whole, "failures": [failure, failure]}, refused):
        removal = await delete_by_query(Answering(answer), "x", {}, {})
        assert (removal.deleted, len(removal.failures)) == (3, 2)
        with pytest.raises(TallyError) as raised:
            removal.check()
        assert raised.value.details["failed_count"] == 2
    removal = await delete_by_query(Answering({**whole, "timed_out": True}), "x", {}, {})
    with pytest.raises(TallyError):
        removal.check()
    with pytest.raises(TooManyRequests):
        await delete_by_query(Answering(TooManyRequests("overloaded")), "x", {}, {})


async def test_records_of_an_index_that_is_dropped_meanwhile() -> None:
    unmapped = {"items": [item(400, "strict_dynamic_mapping_exception")]}
    gateway = Answering(unmapped, {}, unmapped)
    store = RecordStore(gateway, Refresher(gateway), 1, 0)
    (found,) = await store.write([({"index": {"_index": "x", "_id": "1"}}, b"{}")])
    assert (found.outcome, found.error.status) == (WriteOutcome.UNMAPPED, 503)


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("index [x] blocked by: [FORBIDDEN/4/index closed];", "closed the index"),
        ("index [x] blocked by: [FORBIDDEN/8/index write (api)];", "index.blocks.write"),
        ("index [x] blocked by: [FORBIDDEN/99/something new];", "a block of OpenSearch"),
    ],
)
def test_a_block_is_never_told_as_wrong_credentials(reason: str, message: str) -> None:
    error = error_of(403, {"type": "cluster_block_exception", "reason": reason})
    assert isinstance(error, Unavailable)
    assert message in error.message
