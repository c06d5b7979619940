"""Imports: NDJSON of any size, plain or gzip; a bad line never stops the good ones."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.serving import served
from service.settings import Settings
from tests.support.client import Client
from tests.support.compressed import compressed

Json = Any
GZIP = {"Content-Encoding": "gzip"}


def route(bucket: str) -> str:
    return f"/v1/buckets/{bucket}/objects/import"


def lines(count: int, start: int = 0) -> bytes:
    return b"".join(b'{"metadata":{"n":%d}}\n' % number for number in range(start, start + count))


async def values(client: Client, bucket: str) -> list[Json]:
    spec = {"group_by": [{"field": "metadata.n"}], "aggregations": [{"function": "count", "alias": "c"}]}
    rows = (await client.aggregate(bucket, spec))["results"]
    return [row["group"]["metadata.n"] for row in rows for _ in range(row["metrics"]["c"])]


async def test_the_summary(client: Client, bucket: str) -> None:
    answer = await client.ok("POST", route(bucket), data=lines(2_500))
    seconds = answer.pop("seconds")
    assert isinstance(seconds, float)
    assert 0 < seconds < 60
    assert answer == {
        "lines": 2_500,
        "succeeded_count": 2_500,
        "failed_count": 0,
        "replayed_count": 0,
        "bytes": len(lines(2_500)),
        "errors": [],
    }
    assert await values(client, bucket) == list(range(2_500)), "visible as soon as it has answered"


A, B = b'{"metadata":{"n":1}}', b'{"metadata":{"n":2}}'


@pytest.mark.parametrize(
    "body",
    [
        A + b"\n" + B + b"\n",
        A + b"\n" + B,
        A + b"\r\n" + B + b"\r\n",
        b"\n\n" + A + b"\n \t\n\r\n" + B + b"\n\n\n",
        b"\xef\xbb\xbf" + A + b"\n" + B,
        b"  " + A + b"  \n\t" + B + b"\t",
        compressed(A + b"\n" + B),
        compressed(A + b"\n") + compressed(B + b"\n"),
        compressed(A + b"\n" + B) + b"\0" * 512,
    ],
    ids=["LF", "no LF at the end", "CRLF", "blank lines", "BOM", "indented", "gzip", "two gzips", "padded gzip"],
)
async def test_forms_of_the_same_two_lines(client: Client, bucket: str, body: bytes) -> None:
    """A gzip file is known by its first bytes, whether or not the request names it."""
    named = [GZIP, {}, {"Content-Type": "application/gzip"}] if body.startswith(b"\x1f\x8b") else [{}]
    for headers in named:
        answer = await client.ok("POST", route(bucket), data=body, headers=headers)
        assert (answer["lines"], answer["succeeded_count"], answer["errors"]) == (2, 2, [])
    assert await values(client, bucket) == [1] * len(named) + [2] * len(named)


async def test_nothing_is_an_import_too(client: Client, bucket: str) -> None:
    for body in (b"", b"\n\n", compressed(b"")):
        answer = await client.ok("POST", route(bucket), data=body)
        assert (answer["lines"], answer["succeeded_count"], answer["failed_count"]) == (0, 0, 0)


async def test_bad_lines_are_told_by_number_and_stop_nothing(client: Client, bucket: str) -> None:
    body = b"\n".join(
        [
            b'{"metadata":{"n":1}}',
            b"",
            b"nonsense",
            b'{"metadata":{"n":4}}',
            b'"a string"',
            b'{"metadata":{"n":36893488147419103232}}',
            b'{"metadata":{"n":"\xff"}}',
            b'{"metadata":5}',
            b'{"a":1} {"b":2}',
            b'{"metadata":{"n":10}}',
            b'{"cut":',
        ]
    )
    answer = await client.ok("POST", route(bucket), data=body)
    assert (answer["lines"], answer["succeeded_count"], answer["failed_count"]) == (10, 3, 7)
    assert [each["line"] for each in answer["errors"]] == [3, 5, 6, 7, 8, 9, 11], "as an editor counts them"
    assert {each["error_type"] for each in answer["errors"]} == {"ValidationError"}
    assert "metadata.n" in answer["errors"][2]["error"]
    assert await values(client, bucket) == [1, 4, 10]


async def test_only_the_first_errors_are_told(client: Client, bucket: str) -> None:
    answer = await client.ok("POST", route(bucket), data=b"x\n" * 3_000 + lines(1))
    assert (answer["failed_count"], answer["succeeded_count"]) == (3_000, 1)
    assert [each["line"] for each in answer["errors"]] == list(range(1, 21))


BROKEN = compressed(b"".join(b'{"metadata":{"n":"%s"}}\n' % os.urandom(20).hex().encode() for _ in range(3_000)))


async def test_what_unpacks_to_much_keeps_nobody_waiting(client: Client, bucket: str) -> None:
    """16 kB of gzip are 16 MB of line ends; the service shares this loop, so each pause of it is seen here."""
    bomb = compressed(b"\n" * 16_000_000)
    importing = asyncio.create_task(client.call("POST", route(bucket), data=bomb, headers=GZIP))
    started = last = time.monotonic()
    longest = 0.0
    while not importing.done():
        await asyncio.sleep(0)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    status, answer = await importing
    assert (status, answer["lines"]) == (200, 0), answer
    assert longest < (last - started) / 4, "one pause is most of it"


@pytest.mark.parametrize(
    "body",
    [
        BROKEN[: len(BROKEN) * 2 // 3],
        BROKEN[:-6],
        BROKEN[:-1],
        BROKEN[:3],
        BROKEN[:5_000] + bytes(100) + BROKEN[5_100:],
        BROKEN[:-8] + bytes(8),
        BROKEN + b"junk",
        b"not gzip at all",
    ],
    ids=["cut", "cut in the checksum", "cut at the end", "cut at once", "overwritten", "checksum", "junk", "plain"],
)
async def test_a_broken_gzip_is_never_taken_for_a_whole_one(client: Client, bucket: str, body: bytes) -> None:
    status, answer = await client.call("POST", route(bucket), data=body, headers=GZIP)
    assert (status, answer["error"]["type"]) == (400, "BadRequestError")
    assert "gzip" in answer["error"]["message"]
    assert "line" in answer["error"]["message"], "it says how far it came"
    answer = await client.ok("POST", route(bucket), data=lines(1))
    assert answer["succeeded_count"] == 1, "and the connection is good for the next request"


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "nonsense"])
async def test_an_unknown_encoding_is_refused(client: Client, bucket: str, encoding: str) -> None:
    status, answer = await client.call("POST", route(bucket), data=A, headers={"Content-Encoding": encoding})
    assert status == 400
    assert encoding in answer["error"]["message"]


@pytest.fixture(scope="module")
async def small(settings: Settings, client: Client) -> AsyncIterator[Client]:
    """A service that takes lines of up to 4 KB, on the same OpenSearch."""
    narrow = settings.model_copy(update={"body_limit": 4096})
    async with served(narrow, "k") as address, Client(address, "k", client.namespace) as small:
        yield small


@pytest.mark.parametrize("length", [4_097, 5_000, 300_000, 2_000_000])
@pytest.mark.parametrize("packed", [False, True])
async def test_a_too_long_line_fails_alone(small: Client, bucket: str, length: int, packed: bool) -> None:
    """Whether it comes in one piece or in many."""
    long = b'{"metadata":{"n":"%s"}}' % (b"x" * length)
    body = b"\n".join([A, long[:length], B, long[:length]])
    body = compressed(body) if packed else body
    answer = await small.ok("POST", route(bucket), data=body)
    assert (answer["succeeded_count"], [each["line"] for each in answer["errors"]]) == (2, [2, 4])
    assert "long" in answer["errors"][0]["error"]


async def test_a_line_of_just_the_limit_is_taken(small: Client, bucket: str) -> None:
    line = b'{"metadata":{"n":"%s"}}'
    line %= b"x" * (4096 - len(line) + 2)
    assert len(line) == 4096
    answer = await small.ok("POST", route(bucket), data=line + b"\n" + line)
    assert answer["succeeded_count"] == 2


async def test_lines_arrive_in_pieces_of_any_size(client: Client, bucket: str) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        text = lines(20)
        for start in range(0, len(text), 7):
            yield text[start : start + 7]
            await asyncio.sleep(0)

    answer = await client.ok("POST", route(bucket), data=trickle())
    assert answer["succeeded_count"] == 20
    assert await values(client, bucket) == list(range(20))


async def test_policies_and_the_order_of_lines(client: Client) -> None:
    body = {"bucket_name": f"import-{os.urandom(5).hex()}", "unique_key": {"fields": ["k"]}}
    bucket = (await client.ok("POST", "/v1/buckets", body))["bucket_id"]
    rows = [{"k": number % 50, "last": number} for number in range(1_010)]
    data = "\n".join(map(json.dumps, rows)).encode()
    answer = await client.ok("POST", f"{route(bucket)}?policy=upsert", data=data)
    assert (answer["succeeded_count"], answer["failed_count"]) == (1_010, 0)
    spec = {"group_by": [{"field": "k"}], "aggregations": [{"function": "max", "field": "last", "alias": "last"}]}
    found = (await client.aggregate(bucket, {**spec, "sort_by": "k", "sort_direction": "asc"}))["results"]
    assert [row["metrics"]["last"] for row in found] == [*range(1_000, 1_010), *range(960, 1_000)], (
        "the last line of a key wins"
    )
    answer = await client.ok("POST", route(bucket), data=b'{"k":1}\n{"k":70}\n{"k":70}\n{}')
    assert [(each["line"], each["error_type"]) for each in answer["errors"]] == [
        (1, "AlreadyExistsError"),
        (3, "AlreadyExistsError"),
        (4, "ValidationError"),
    ]


async def test_a_wrong_policy_is_refused(client: Client, bucket: str) -> None:
    for policy in ("upsert", "merge"):
        ((at, _),) = await client.problems("POST", f"{route(bucket)}?policy={policy}", data=lines(1))
        assert at == ["query", "policy"]


async def test_the_bucket_schema_holds_for_lines(client: Client) -> None:
    schema = {"properties": {"n": {"type": "integer"}}}
    body = {"bucket_name": f"import-{os.urandom(5).hex()}", "bucket_schema": schema}
    bucket = (await client.ok("POST", "/v1/buckets", body))["bucket_id"]
    answer = await client.ok("POST", route(bucket), data=b'{"n":1}\n{"n":"x"}\n{"metadata":{"n":1.5}}')
    assert [each["line"] for each in answer["errors"]] == [2, 3]


async def test_idempotency_keys_make_an_import_repeatable(client: Client, bucket: str) -> None:
    body = b"".join(b'{"idempotency_key":"%d","metadata":{"n":%d}}\n' % (number, number) for number in range(50))
    for _ in range(2):
        assert (await client.ok("POST", route(bucket), data=body))["succeeded_count"] == 50
    assert await values(client, bucket) == list(range(50))
