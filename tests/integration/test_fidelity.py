"""What comes back from get is what was sent, to the letter."""

import itertools
import json
import os
from typing import Any

import pytest

from tests.support.client import Client

Json = Any

VALUES = [
    "2024", "2024.0", "1.10", "1e3", "1E+3", "1.0e-7", "-0", "-0.0", "0.1", "100000000000000000000.0",
    "9007199254740993", "-9007199254740993", "9223372036854775807", "-9223372036854775808",
    "9223372036854775807.0", "1.7976931348623157e308", "5e-324", "0.30000000000000004", "3.14159265358979323846",
    '"2024"', '"2024.0"', '""', '" "', '"a\\u0000b"', '"\\u00e9"', '"é"', '"e\u0301"', '"🙂"', '"\\ud83d\\ude42"',
    '"\\/"', '"\\n\\t\\""', '"null"', '"true"', '"2024-01-01"', '"2024-01-01T00:00:00+02:00"', '"\u2028"',
    "true", "false", "null", "[]", "{}", "[[]]", "[null]", "[{}]", '[1, 1.0, "1", true, null, [1.10], {"a": 2.50}]',
    '{"b": 1, "a": 2}', '{"a":{"b":{"c":[{"d":1.00}]}}}', '{"a" :\t1 , "b":[ 1,2 ]}',
    "[" * 40 + "]" * 40, '{"x":' * 40 + "1.0" + "}" * 40,
    '"' + "long " * 2_000 + '"', '"' + "y" * 40_000 + '"',
]  # fmt: skip

NAMES = [
    "a b", " a", "a ", " ", "  ", "", ".", "..", "a.b", ".a", "a.", "a..b", "$", "$eq", "$a.b", "/", "a/b", "//", "@",
    "@raw", "@timestamp", "a@double", "%", "%25", "%2E", "*", "a*", "_", "_id", "_source", "_index", "__", "-", "#",
    "?", "\\", "\\\\", '"', "'", "<>", "{}", "[0]", "0", "ÜBER", "e\u0301", "é", "日本", "🙂", "\u200b", "\ufeff",
    "\u2003", "\u3000", "\u00a0", "\t", "\n", "\u0000", "\u001f", "\u007f", "\u0085", "\u2028", "x" * 500, "A", "a",
    "type", "properties", "id", "length", "metadata", "blobs", "null", "__proto__", "x\u2003", "\u2003x", "_ ", " _",
]  # fmt: skip


@pytest.fixture(scope="module")
async def listed(client: Client) -> str:
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": f"fidelity-{os.urandom(5).hex()}"})
    return f"/v1/buckets/{made['bucket_id']}/objects"


async def there_and_back(client: Client, listed: str, text: str) -> list[str]:
    """The raw answers of create and get."""
    status, created, _ = await client.send("POST", f"{listed}/create", data=text.encode())
    assert status == 200, created
    _, got, _ = await client.send("GET", f"{listed}/{json.loads(created)['object_id']}")
    return [created, got]


async def all_there_and_back(client: Client, listed: str, texts: list[str]) -> list[list[str]]:
    """The same for many, created in one batch: each one's part of the answer, and what get answers."""
    status, created, _ = await client.send("POST", f"{listed}/batch", data=("[" + ",".join(texts) + "]").encode())
    assert status == 200, created
    assert created.startswith("["), created[-2_000:]
    ids = [item["object_id"] for item in json.loads(created)]
    places = [created.index(id) for id in ids] + [len(created)]
    got = [(await client.send("GET", f"{listed}/{id}"))[1] for id in ids]
    return [[created[places[number] : places[number + 1]], got[number]] for number in range(len(texts))]


async def test_every_spelling_of_a_value(client: Client, listed: str) -> None:
    """Under metadata, at the root, in an array, in a blob, in a blob's details: raw text is compared."""
    marks = [f'{{"v":{value}}}' for value in VALUES]
    texts = [
        f'{{"root":{mark},"list":[{mark}],"metadata":{{"m":{mark}}},"blobs":[{{"data":"x","extra":{mark},'
        f'"details":{{"d":{mark}}}}}]}}'
        for mark in marks
    ]
    for mark, answers in zip(marks, await all_there_and_back(client, listed, texts), strict=True):
        for answer, place in itertools.product(
            answers, ('"root":', '"list":[', '"metadata":{"m":', '"extra":', '"details":{"d":')
        ):
            assert place + mark in answer, (place, mark[:80])


async def test_every_name_of_a_field(client: Client, listed: str) -> None:
    parts: list[list[str]] = []
    for key in (json.dumps(name, ensure_ascii=False) for name in NAMES):
        root = [] if key in ('"metadata"', '"blobs"') else [f"{key}:[2.0]"]
        parts.append([f'"metadata":{{{key}:1,"in":{{{key}:{{{key}:"x"}}}}}}', *root])
    texts = ["{" + ",".join(each) + "}" for each in parts]
    for name, sent, answers in zip(NAMES, parts, await all_there_and_back(client, listed, texts), strict=True):
        for part, answer in itertools.product(sent, answers):
            assert part in answer, repr(name)


async def test_names_are_kept_apart(client: Client, bucket: str) -> None:
    """No two names share a place in the index, however alike they are when they are written there."""
    names = [name for name in NAMES if name]
    spelled = {name: name.replace("\\", "\\\\").replace(".", "\\.") for name in names}
    await client.create(bucket, {"metadata": {name: position for position, name in enumerate(names)}})
    aggregations = [
        {"function": "sum", "field": f"metadata.{spelled[name]}", "alias": str(position)}
        for position, name in enumerate(names)
    ]
    for start in range(0, len(names), 60):
        spec = {"group_by": [{"field": "metadata.in"}], "aggregations": aggregations[start : start + 60]}
        (row,) = (await client.aggregate(bucket, spec))["results"]
        assert row["metrics"] == {str(number): number for number in range(start, min(start + 60, len(names)))}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ('{"metadata":{"a":1.10}}', '"metadata":{"a":1.10}'),
        ('{"metadata":null}', '"metadata":null'),
        ('{"blobs":null}', '"blobs":null'),
        ('{"key_prefix":null}', '"key_prefix":null'),
        ("{}", '"metadata":{}'),
    ],
)
async def test_documented_fields_too(client: Client, listed: str, sent: str, kept: str) -> None:
    for answer in await there_and_back(client, listed, sent):
        assert kept in answer


async def test_a_change_leaves_the_rest_to_the_letter(client: Client, listed: str) -> None:
    text = '{"a":1.10,"b":{"x" : 1e3},"metadata":{"m":2024.0,"n":[ 1.50 ],"o":9007199254740993}}'
    created, _ = await there_and_back(client, listed, text)
    path = f"{listed}/{json.loads(created)['object_id']}"
    _, changed, _ = await client.send("PATCH", path, data='{"b":2.50,"metadata":{"n":3.10,"p":-0.0}}')
    _, got, _ = await client.send("GET", path)
    for answer in (changed, got):
        assert '"a":1.10,"b":2.50' in answer
        assert '"metadata":{"m":2024.0,"n":3.10,"o":9007199254740993,"p":-0.0}' in answer


async def test_batches_and_imports_too(client: Client, listed: str) -> None:
    line = '{"metadata":{"a":1.10,"b":2024.0,"a b":[1e3, {}]}}'
    _, batch, _ = await client.send("POST", f"{listed}/batch", data=f'{{"objects":[{line},\n {line}]}}')
    assert batch.count('"metadata":{"a":1.10,"b":2024.0,"a b":[1e3, {}]}') == 2
    key = os.urandom(4).hex()
    await client.ok("POST", f"{listed}/import", data=f'{{"idempotency_key":"{key}",{line[1:]}\r\n')
    _, again, _ = await client.send("POST", listed, data=f'{{"idempotency_key":"{key}"}}')
    assert '"metadata":{"a":1.10,"b":2024.0,"a b":[1e3, {}]}' in again


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ('{"n":9223372036854775808}', ["n"], "9223372036854775808"),
        ('{"metadata":{"a":{"b c":-9223372036854775809}}}', ["metadata", "a", "b c"], "-9223372036854775809"),
        ('{"metadata":{"a.b":{"":[18446744073709551616]}}}', ["metadata", "a.b", ""], "18446744073709551616"),
        ('{"a/b":{"%":{"@c":1' + "0" * 400 + "}}}", ["a/b", "%", "@c"], "1000000"),
    ],
)
async def test_an_integer_beyond_64_bits_is_refused_by_its_path(
    client: Client, listed: str, text: str, path: list[str], value: str
) -> None:
    """Path, limit and value are told."""
    ((at, message),) = await client.problems("POST", listed, data=text)
    assert at == ["body", *path]
    assert value in message
    assert "9223372036854775807" in message


@pytest.mark.parametrize("depth", [200, 900, 5_000_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
async def test_endless_nesting_is_refused(client: Client, listed: str, depth: int, opening: str, closing: str) -> None:
    """Up to 10 MB and more of it."""
    text = '{"metadata":{"x":' + opening * depth + "1" + closing * depth + "}}"
    ((at, message),) = await client.problems("POST", listed, data=text)
    assert at[0] == "body"
    assert "nested" in message


@pytest.mark.parametrize("length", [10_000, 40_000, 100_000])
@pytest.mark.parametrize("value", ["1", "null"])
async def test_an_endless_name_is_refused_or_kept(client: Client, listed: str, length: int, value: str) -> None:
    text = f'{{"metadata":{{"{"n" * length}":{value}}}}}'
    status, answer, _ = await client.send("POST", listed, data=text)
    assert status in (200, 422), answer[:500]
    if status == 200:
        assert text[1:-1] in answer
    else:
        (problem,) = json.loads(answer)["error"]["details"]["validation_errors"]
        assert problem["location"][:2] == ["body", "metadata"]
