"""Objects one by one: created, validated, kept unique, changed, deleted."""

import base64
import os
import re
from typing import Any

import pytest

from tests.support.client import Client

Json = Any

RESERVED = (
    "object_id", "bucket_id", "namespace_id", "created_at", "updated_at", "error", "consistency", "document_count",
    "source_details",
)  # fmt: skip
STATUSES = (
    "QUEUED", "INTERRUPTED", "DEACTIVATED", "PENDING", "IN_PROGRESS", "PROCESSING", "COMPLETED",
    "COMPLETED_WITH_ERRORS", "FAILED", "CANCELED", "UNKNOWN", "SKIPPED", "DRAFT", "ACTIVE", "ARCHIVED", "SUSPENDED",
)  # fmt: skip


async def make(client: Client, **given: Json) -> str:
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": f"o-{os.urandom(5).hex()}", **given})
    return str(made["bucket_id"])


def objects(bucket: str) -> str:
    return f"/v1/buckets/{bucket}/objects"


# Create and get


async def test_create_answers_the_object(client: Client, bucket: str) -> None:
    made = await client.create(bucket, {"zebra": 1, "metadata": {"b": 1, "a": 2}, "key_prefix": "/x", "apple": [1]})
    assert re.fullmatch(r"obj_[0-9a-f]{24}", made["object_id"])
    assert list(made) == [
        "object_id", "bucket_id", "key_prefix", "blobs", "status", "metadata", "created_at", "updated_at",
        "zebra", "apple",
    ], "the documented fields first, then the user's own in the order they were sent"  # fmt: skip
    assert made["created_at"] == made["updated_at"]
    assert (made["bucket_id"], made["key_prefix"], made["blobs"], made["status"]) == (bucket, "/x", [], "DRAFT")
    assert await client.ok("GET", f"{objects(bucket)}/{made['object_id']}") == made
    assert (await client.ok("POST", f"{objects(bucket)}/create", {}))["metadata"] == {}


async def test_root_and_metadata_are_two_fields(client: Client, bucket: str) -> None:
    await client.batch(bucket, [{"x": 1, "metadata": {"x": "one"}}, {"x": 1}, {"metadata": {"x": "one"}}])
    spec = {
        "group_by": [{"field": "x"}, {"field": "metadata.x"}],
        "aggregations": [{"function": "count", "alias": "n"}],
    }
    rows = (await client.aggregate(bucket, spec))["results"]
    assert [(*row["group"].values(), row["metrics"]["n"]) for row in rows] == [
        (None, "one", 1),
        (1, None, 1),
        (1, "one", 1),
    ]
    rows = (await client.aggregate(bucket, {**spec, "filters": {"x": 1, "metadata.x": "one"}}))["results"]
    assert len(rows) == 1


@pytest.mark.parametrize(
    ("text", "at", "type"),
    [
        (" ", [], "json_invalid"),
        ("{", [], "json_invalid"),
        ("nonsense", [], "json_invalid"),
        ('{"a": NaN}', [], "json_invalid"),
        ('{"a": "\\ud800"}', [], "json_invalid"),
        ('{"a": 1} {"b": 2}', [], "json_invalid"),
        ("{1: 2}", [], "json_invalid"),
        ("[]", [], "dict_type"),
        ("5", [], "dict_type"),
        ("null", [], "dict_type"),
        ('{"metadata": []}', ["metadata"], "dict_type"),
        ('{"metadata": "x"}', ["metadata"], "dict_type"),
        ('{"key_prefix": 5}', ["key_prefix"], "string_type"),
        (f'{{"key_prefix": "{"x" * 40_000}"}}', ["key_prefix"], "too_long"),
        ('{"idempotency_key": 5}', ["idempotency_key"], "string_type"),
        ('{"blobs": {}}', ["blobs"], "list_type"),
        ('{"blobs": [5]}', ["blobs", 0], "dict_type"),
        ('{"blobs": [{}, {"property": 5}]}', ["blobs", 1, "property"], "string_type"),
        ('{"blobs": [{"type": []}]}', ["blobs", 0, "type"], "string_type"),
        ('{"blobs": [{"details": 1}]}', ["blobs", 0, "details"], "dict_type"),
        ('{"blobs": [{"details": {"size_bytes": -1}}]}', ["blobs", 0, "details", "size_bytes"], "int_type"),
        ('{"blobs": [{"details": {"size_bytes": true}}]}', ["blobs", 0, "details", "size_bytes"], "int_type"),
        ('{"blobs": [{"details": {"size_bytes": 1e300}}]}', ["blobs", 0, "details", "size_bytes"], "int_type"),
        ('{"status": "SLEEPING"}', ["status"], "enum"),
        ('{"status": 1}', ["status"], "enum"),
        *((f'{{"{name}": 1}}', [name], "reserved") for name in RESERVED),
    ],
)
async def test_a_bad_object_is_refused_with_its_place(
    client: Client, listed: str, text: str, at: Json, type: str
) -> None:
    status, answer = await client.call("POST", objects(listed), data=text)
    assert status == 422
    (problem,) = answer["error"]["details"]["validation_errors"]
    assert (problem["location"], problem["type"]) == (["body", *at], type)


@pytest.fixture(scope="module")
async def listed(client: Client) -> str:
    """A bucket that tests share which store nothing that others would see."""
    return await make(client)


async def test_several_problems_are_told_at_once(client: Client, listed: str) -> None:
    problems = await client.problems("POST", objects(listed), {"object_id": "x", "status": "y", "metadata": 1})
    assert sorted(at[-1] for at, _ in problems) == ["metadata", "object_id", "status"]


# Status


async def test_status_is_taken_in_any_case_and_kept_in_capitals(client: Client, bucket: str) -> None:
    spellings = [status.lower() for status in STATUSES] + [status.title() for status in STATUSES] + [None]
    answer = await client.batch(bucket, [{"status": status} for status in spellings])
    assert answer["failed"] == []
    assert [item["status"] for item in answer["succeeded"]] == [*STATUSES, *STATUSES, "DRAFT"]
    path = f"{objects(bucket)}/{answer['succeeded'][0]['object_id']}"
    assert (await client.ok("PATCH", path, {"metadata": {"a": 1}}))["status"] == "QUEUED", "kept if not given"
    assert (await client.ok("PUT", path, {"status": "failed"}))["status"] == "FAILED"
    assert (await client.ok("PATCH", path, {"status": None}))["status"] == "FAILED"
    await client.problems("PATCH", path, {"status": "nonsense"})
    spec = {"group_by": [{"field": "status"}], "aggregations": [{"function": "count", "alias": "n"}]}
    rows = (await client.aggregate(bucket, {**spec, "filters": {"status": "FAILED"}}))["results"]
    assert rows == [{"group": {"status": "FAILED"}, "metrics": {"n": 3}}]


# Schema

VECTOR = [0.5, 1, -2]
SCHEMA_TYPES: list[tuple[str, list[Json], list[Json]]] = [
    ("string", ["", "x"], [1, True, [], {}]),
    ("text", ["x"], [1]),
    ("number", [1, 1.5, -0.0, 2**60], ["1", True, []]),
    ("float", [1, 1.5], ["1", False]),
    ("integer", [1, 2.0, -(2**62)], [1.5, "1", True]),
    ("boolean", [True, False], [0, 1, "true", []]),
    ("object", [{}, {"a": 1}], [[], "x", 1]),
    ("array", [[], [1, "a"]], [{}, "x"]),
    ("date", ["2024-01-31", "2024-01-31T10:00:00Z"], ["2024", "2024-02-30", "soon", 5]),
    ("datetime", ["2024-01-31T10:00:00+02:00", "2024-01-31"], ["10:00", 1706695200, ""]),
    *(
        (kind, ["s3://x/y", {"url": "x"}], [1, [], True])
        for kind in ("image", "audio", "video", "pdf", "excel", "file", "document", "spreadsheet", "presentation")
    ),
    ("json", [1, "x", [], {}, True], []),
    ("automatic", [1, "x", [], {}, True], []),
    ("dense_vector", [VECTOR, []], [["a"], [True], "x", {}]),
    ("int8_vector", [[1, 2]], [["a"], 1]),
    ("sparse_vector", [{"1": 0.5}], [[1], "x"]),
]


async def test_every_type_of_the_schema(client: Client) -> None:
    """Declared fields are checked at the root and under metadata; null is no value of any type."""
    properties = {f"f_{kind}": {"type": kind.upper()} for kind, _, _ in SCHEMA_TYPES}
    bucket = await make(client, bucket_schema={"properties": properties})
    good = [{f"f_{kind}": value} for kind, values, _ in SCHEMA_TYPES for value in [*values, None]]
    bad = [({f"f_{kind}": value}, kind) for kind, _, values in SCHEMA_TYPES for value in values]
    answer = await client.batch(bucket, [*good, *({"metadata": item} for item in good)])
    assert answer["failed"] == []
    sent = [item for item, _ in bad] + [{"metadata": item} for item, _ in bad]
    status, answer = await client.call("POST", f"{objects(bucket)}/batch", {"objects": sent})
    assert (status, answer["succeeded"]) == (422, [])
    assert [each["object_index"] for each in answer["failed"]] == list(range(len(sent)))
    for failed, item, (_, kind) in zip(answer["failed"], sent, bad + bad, strict=True):
        assert failed["error_type"] == "ValidationError"
        place = f"body.metadata.f_{kind}" if "metadata" in item else f"body.f_{kind}"
        assert failed["error"].startswith(f"{place}: the bucket's schema wants {kind} here"), failed


@pytest.mark.parametrize(
    ("item", "problems"),
    [
        ({"title": "a"}, {}),
        ({"metadata": {"title": "a"}}, {}),
        ({"blobs": [{"property": "title", "data": "a"}]}, {}),
        ({}, {"title": "missing"}),
        ({"metadata": {}}, {"title": "missing"}),
        ({"title": None}, {"title": "missing"}),
        ({"title": "a", "level": "high"}, {}),
        ({"title": "a", "level": 3}, {}),
        ({"title": "a", "level": 3.0}, {}),
        ({"title": "a", "level": "3"}, {"level": "enum"}),
        ({"title": "a", "level": "HIGH"}, {"level": "enum"}),
        ({"title": "a", "level": None}, {}),
        ({"title": "a", "size": {"width": 1}}, {}),
        ({"title": "a", "size": {}}, {"size.width": "missing"}),
        ({"title": "a", "size": {"width": "1"}}, {"size.width": "integer_type"}),
        ({"title": "a", "size": 5}, {"size": "object_type"}),
        ({"title": "a", "tags": ["a", "b"]}, {}),
        ({"title": "a", "tags": ["a", 1, "b", 2]}, {"tags.1": "string_type", "tags.3": "string_type"}),
        ({"title": "a", "parts": [{"n": 1}, {"n": "x"}, {}]}, {"parts.1.n": "integer_type", "parts.2.n": "missing"}),
        ({"title": "a", "unknown": object}, {}),
    ],
)
async def test_required_enum_nested_and_items(
    client: Client, strict_shelf: str, item: Json, problems: dict[str, str]
) -> None:
    item = {name: "anything" if value is object else value for name, value in item.items()}
    status, answer = await client.call("POST", f"{objects(strict_shelf)}/create", item)
    found = answer["error"]["details"]["validation_errors"] if status == 422 else []
    assert {".".join(map(str, each["location"][1:])): each["type"] for each in found} == problems
    assert status == (422 if problems else 200)


@pytest.fixture(scope="module")
async def strict_shelf(client: Client) -> str:
    """A bucket with a schema that uses every word of it."""
    part = {"type": "object", "properties": {"n": {"type": "integer", "required": True}}}
    return await make(
        client,
        bucket_schema={
            "properties": {
                "title": {"type": "string", "required": True},
                "level": {"type": "automatic", "enum": ["high", 3]},
                "size": {"type": "object", "properties": {"width": {"type": "integer", "required": True}}},
                "tags": {"type": "array", "items": {"type": "string"}},
                "parts": {"type": "array", "items": part},
            }
        },
    )


async def test_an_integer_that_no_double_holds_fails_alone(client: Client, strict_shelf: str) -> None:
    answer = await client.batch(strict_shelf, [{"title": "a", "parts": [{"n": n}]} for n in (1, 10**400, 2)])
    assert (answer["succeeded_count"], [each["object_index"] for each in answer["failed"]]) == (2, [1])
    assert "outside 64 bits" in answer["failed"][0]["error"]


async def test_an_update_is_checked_as_a_whole(client: Client, strict_shelf: str) -> None:
    made = await client.create(strict_shelf, {"title": "a", "level": 3})
    path = f"{objects(strict_shelf)}/{made['object_id']}"
    assert (await client.ok("PATCH", path, {"level": "high"}))["title"] == "a", "what is required is there already"
    ((at, _),) = await client.problems("PATCH", path, {"level": "low"})
    assert at == ["body", "level"]
    assert (await client.ok("GET", path))["level"] == "high"


# Blobs

BLOBS: list[tuple[Json, int]] = [
    ({"data": "hello"}, 5),
    ({"data": "zwölf"}, 6),
    ({"data": ""}, 0),
    ({}, 0),
    ({"data": None}, 0),
    ({"data": base64.b64encode(bytes(100)).decode()}, 100),
    ({"data": "data:image/png;base64," + base64.b64encode(bytes(33)).decode()}, 33),
    ({"data": "data:text/plain,hello"}, 5),
    ({"data": "data:image/png;base64,!!!"}, 3),
    ({"data": "s3://bucket/key"}, 0),
    ({"data": "https://example.org/a.png"}, 0),
    ({"data": {"a": 1}}, 7),
    ({"data": "hello", "details": {"size_bytes": 12345}}, 12345),
    ({"data": "hello", "details": {"size_bytes": None, "pages": 3}}, 5),
    ({"data": "hello", "details": None}, 5),
    ({"details": {"size_bytes": 2**53}}, 2**53),
]


async def test_blobs_get_an_id_and_their_size(client: Client, bucket: str) -> None:
    """The decoded length of inline data, or what the caller says; nothing is fetched."""
    answer = await client.batch(bucket, [{"blobs": [{"property": "p", **blob}]} for blob, _ in BLOBS])
    assert answer["failed"] == []
    for item, (sent, size) in zip(answer["succeeded"], BLOBS, strict=True):
        (blob,) = item["blobs"]
        assert re.fullmatch(r"blob_[0-9a-f]{12}", blob["blob_id"])
        assert blob["details"]["size_bytes"] == size, sent
        assert {name: blob[name] for name in sent if name != "details"} == {
            k: v for k, v in sent.items() if k != "details"
        }
    found = await client.ok("GET", f"/v1/buckets/{bucket}")
    assert found["total_size_bytes"] == sum(size for _, size in BLOBS)
    with_pages = answer["succeeded"][13]["blobs"][0]
    assert with_pages["details"] == {"size_bytes": 5, "pages": 3}


async def test_blobs_keep_their_ids_when_other_fields_change(client: Client, bucket: str) -> None:
    made = await client.create(bucket, {"blobs": [{"blob_id": "mine", "data": "a"}, {"data": "bc"}]})
    path = f"{objects(bucket)}/{made['object_id']}"
    assert made["blobs"][0]["blob_id"] == "mine"
    assert (await client.ok("PATCH", path, {"a": 1}))["blobs"] == made["blobs"]
    assert len((await client.ok("PUT", path, {"blobs": [{"data": "xyz"}]}))["blobs"]) == 1
    assert (await client.ok("GET", f"/v1/buckets/{bucket}"))["total_size_bytes"] == 3


async def test_sizes_that_no_number_holds_are_refused(client: Client, listed: str) -> None:
    blobs = [{"details": {"size_bytes": 2**53}}] * 2
    ((at, message),) = await client.problems("POST", objects(listed), {"blobs": blobs})
    assert at == ["body", "blobs"]
    assert str(2**54) in message


# Unique keys


async def test_insert_refuses_a_second_of_its_kind(client: Client) -> None:
    bucket = await make(client, unique_key={"fields": ["sku", "shop"]})
    first = await client.create(bucket, {"sku": 1, "metadata": {"shop": "a"}})
    await client.create(bucket, {"sku": 1, "shop": "b"})
    status, answer = await client.call("POST", objects(bucket), {"shop": "a", "metadata": {"sku": 1}})
    assert status == 409, "root or metadata: the field is the same"
    assert answer["error"]["details"] == {"object_id": first["object_id"]}
    assert answer["error"]["type"] == "AlreadyExistsError"


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("2024", "2024.0", True),
        ("0", "-0.0", True),
        ("1000", "1e3", True),
        ("[1, 2.0]", "[1.0, 2]", True),
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1.0}', True),
        ("2024", '"2024"', False),
        ("1", "true", False),
        ("[1]", '"[1]"', False),
        ("9007199254740993", "9007199254740992.0", False),
        ('"a"', '"A"', False),
    ],
)
async def test_one_value_is_one_key_whatever_its_spelling(
    client: Client, unique_shelf: str, one: str, two: str, same: bool
) -> None:
    mark = os.urandom(4).hex()
    texts = [f'{{"k": {value}, "mark": "{mark}"}}' for value in (one, two)]
    statuses = [(await client.call("POST", objects(unique_shelf), data=text))[0] for text in texts]
    assert statuses == [200, 409 if same else 200]


@pytest.fixture(scope="module")
async def unique_shelf(client: Client) -> str:
    """A bucket with a unique key of two fields."""
    return await make(client, unique_key={"fields": ["k", "mark"]})


@pytest.mark.parametrize("item", [{}, {"k": None, "mark": 1}, {"metadata": {"k": 1}}])
async def test_a_key_without_value_is_refused(client: Client, unique_shelf: str, item: Json) -> None:
    ((at, message),) = await client.problems("POST", f"{objects(unique_shelf)}/create", item)
    assert at[-1] in ("k", "mark")
    assert "unique_key" in message


async def test_update_changes_and_never_creates(client: Client) -> None:
    bucket = await make(client, unique_key={"fields": ["k"], "default_policy": "update"})
    status, answer = await client.call("POST", objects(bucket), {"k": 1})
    assert (status, answer["error"]["type"]) == (404, "NotFoundError")
    made = await client.ok("POST", f"{objects(bucket)}?policy=insert", {"k": 1, "metadata": {"a": 1}, "x": 1})
    changed = await client.create(bucket, {"k": 1, "metadata": {"b": 2}, "y": 2})
    assert changed["object_id"] == made["object_id"]
    assert (changed["metadata"], changed["x"], changed["y"]) == ({"a": 1, "b": 2}, 1, 2)
    assert changed["created_at"] == made["created_at"]


async def test_upsert_creates_then_changes(client: Client) -> None:
    bucket = await make(client, unique_key={"fields": ["k"]})
    path = f"{objects(bucket)}?policy=upsert"
    made = await client.ok("POST", path, {"k": 1, "metadata": {"a": 1}, "status": "active"})
    changed = await client.ok("POST", path, {"k": 1, "metadata": {"a": 2}})
    assert (changed["object_id"], changed["metadata"], changed["status"]) == (made["object_id"], {"a": 2}, "ACTIVE")
    assert (await client.call("POST", objects(bucket), {"k": 1}))[0] == 409, "the bucket's own policy is insert"
    assert (await client.ok("GET", f"/v1/buckets/{bucket}"))["object_count"] == 1


async def test_a_key_cannot_change_but_a_deleted_one_is_free(client: Client) -> None:
    bucket = await make(client, unique_key={"fields": ["k"]})
    made = await client.create(bucket, {"k": 1})
    path = f"{objects(bucket)}/{made['object_id']}"
    status, answer = await client.call("PATCH", path, {"k": 2})
    assert (status, answer["error"]["details"]) == (409, {"unique_key": ["k"]})
    assert (await client.ok("PATCH", path, {"k": 1, "x": 1}))["x"] == 1
    await client.ok("DELETE", path)
    again = await client.create(bucket, {"k": 1})
    assert "x" not in again


@pytest.mark.parametrize(("policy", "status"), [("update", 422), ("upsert", 422), ("insert", 200), ("merge", 422)])
async def test_policies_need_a_unique_key(client: Client, listed: str, policy: str, status: int) -> None:
    found, answer = await client.call("POST", f"{objects(listed)}?policy={policy}", {})
    assert found == status
    if status == 422:
        assert answer["error"]["details"]["validation_errors"][0]["location"] == ["query", "policy"]


# Idempotency


async def test_an_idempotency_key_replays(client: Client, bucket: str) -> None:
    first = await client.create(bucket, {"idempotency_key": "a", "metadata": {"n": 1}})
    assert "replayed" not in first
    assert "idempotency_key" not in first
    again = await client.create(bucket, {"idempotency_key": "a", "metadata": {"n": 2}})
    assert again == {**first, "replayed": True}, "the first object, not the second one's content"
    other = await client.create(bucket, {"idempotency_key": "b"})
    assert other["object_id"] != first["object_id"]
    assert (await client.ok("GET", f"/v1/buckets/{bucket}"))["object_count"] == 2


# Update and delete


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_an_update_merges_metadata_and_replaces_fields(client: Client, bucket: str, method: str) -> None:
    made = await client.create(bucket, {"a": {"x": 1}, "b": 1, "metadata": {"m": {"x": 1}, "n": 1}, "key_prefix": "p"})
    path = f"{objects(bucket)}/{made['object_id']}"
    changed = await client.ok(method, path, {"a": {"y": 2}, "metadata": {"m": {"y": 2}, "o": None}})
    assert changed["a"] == {"y": 2}
    assert changed["metadata"] == {"m": {"y": 2}, "n": 1, "o": None}, "merged one level deep"
    assert (changed["b"], changed["key_prefix"], changed["created_at"]) == (1, "p", made["created_at"])
    assert changed["updated_at"] >= made["updated_at"]
    assert await client.ok("GET", path) == changed
    assert await client.ok(method, path, {}) == {**changed, "updated_at": (await client.ok("GET", path))["updated_at"]}
    spec = {"group_by": [{"field": "a.y"}], "aggregations": [{"function": "sum", "field": "metadata.n", "alias": "s"}]}
    rows = (await client.aggregate(bucket, spec))["results"]
    assert rows == [{"group": {"a.y": 2}, "metrics": {"s": 1}}]


@pytest.mark.parametrize(
    ("body", "at"), [({"object_id": "x"}, "object_id"), ({"metadata": 5}, "metadata"), ({"blobs": 1}, "blobs")]
)
async def test_a_bad_update_changes_nothing(client: Client, listed: str, body: Json, at: str) -> None:
    made = await client.create(listed, {"metadata": {"a": 1}})
    path = f"{objects(listed)}/{made['object_id']}"
    ((place, _),) = await client.problems("PATCH", path, body)
    assert place == ["body", at]
    assert await client.ok("GET", path) == made


async def test_delete_answers_204_and_then_404(client: Client, bucket: str) -> None:
    made = await client.create(bucket, {"a": 1})
    path = f"{objects(bucket)}/{made['object_id']}"
    assert (await client.send("DELETE", path))[:2] == (204, "")
    for method in ("GET", "DELETE", "PATCH", "PUT"):
        status, answer = await client.call(method, path, {} if method.startswith("P") else None)
        assert status == 404
        assert answer["error"]["details"] == {"resource": "Object", "id": made["object_id"]}
    spec = {"group_by": [{"field": "a"}], "aggregations": [{"function": "count", "alias": "n"}]}
    assert (await client.aggregate(bucket, spec))["results"] == []


@pytest.mark.parametrize("id", ["nothing", "obj_" + "0" * 24, "a%2Fb", "x" * 1000, "%00", "*", "_search"])
async def test_an_unknown_object_is_404(client: Client, listed: str, id: str) -> None:
    status, answer = await client.call("GET", f"{objects(listed)}/{id}")
    assert (status, answer["error"]["type"]) == (404, "NotFoundError")
