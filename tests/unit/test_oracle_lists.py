"""The oracle of the list routes, on cases made by hand from the contract."""

import random
from typing import Any

import pytest

from tests.support.oracle.lists import list_buckets, list_objects
from tests.support.oracle.values import OracleRefusal

Json = Any
DATES = ("shot_at",)


def thing(number: int, **given: Json) -> Json:
    """An object as GET gives it; `x` is put into `metadata` unless it is missing (...)."""
    made: Json = {
        "object_id": f"obj_{number}",
        "bucket_id": "bkt_0",
        "key_prefix": None,
        "blobs": [],
        "status": "DRAFT",
        "metadata": {},
        "created_at": f"2024-05-01T00:00:{number:02}Z",
        "updated_at": f"2024-05-01T00:00:{number:02}Z",
    }
    x = given.pop("x", ...)
    return {**made, **given} | ({"metadata": {"x": x}} if x is not ... else {})


def things(*values: Json) -> list[Json]:
    return [thing(number, x=value) for number, value in enumerate(values)]


def numbers(objects: list[Json], body: Json) -> list[int]:
    """The numbers of the objects that are listed, in order."""
    return [int(identity.removeprefix("obj_")) for identity in list_objects(objects, body, DATES).ids]


def ordered(direction: str, *values: Json, field: str = "metadata.x") -> list[int]:
    return numbers(things(*values), {"sort": {"field": field, "direction": direction}})


def hits(filters: Json, *values: Json, **body: Json) -> list[Json]:
    """The values at `metadata.x` whose objects match."""
    return [values[number] for number in numbers(things(*values), {"filters": filters, **body})]


# ---- Order ------------------------------------------------------------------------------------------------


def test_without_a_sort_by_arrival() -> None:
    objects = [thing(number) for number in (2, 0, 1)]
    assert numbers(objects, {}) == [2, 0, 1]
    assert numbers(objects, {"sort": None}) == [2, 0, 1]


def test_types_numbers_then_strings_then_booleans_then_nothing() -> None:
    values: list[Json] = [None, {"a": 1}, [], True, "b", 2, ..., False, "a", 1.5, "", -1]
    assert ordered("asc", *values) == [11, 9, 5, 10, 8, 4, 7, 3, 0, 1, 2, 6]
    assert ordered("desc", *values) == [3, 7, 4, 8, 10, 5, 9, 11, 0, 1, 2, 6]


def test_ascending_by_default_and_ties_by_arrival_in_both_directions() -> None:
    assert numbers(things(2, 1, 2.0, 1.0, -0.0, 0), {"sort": {"field": "metadata.x"}}) == [4, 5, 1, 3, 0, 2]
    assert ordered("desc", 2, 1, 2.0, 1.0) == [0, 2, 1, 3]
    assert ordered("desc", True, 1, True) == [0, 2, 1]


def test_strings_by_code_point_and_big_integers_exactly() -> None:
    assert ordered("asc", "a", "B", "é", "Z", "\uffff", "🙂", "aa", "") == [7, 1, 3, 0, 6, 2, 4, 5]
    assert ordered("asc", 2**53 + 1, 2.0**53, 2**53 - 1, 2**53 + 2) == [2, 1, 0, 3]
    assert ordered("desc", 2**53 + 1, 2.0**53, 2**53 - 1, 2**53 + 2) == [3, 0, 1, 2]


def test_an_array_sorts_by_its_least_or_greatest_element() -> None:
    values = [[3, 1], 2, [9, 0], [2], []]
    assert ordered("asc", *values) == [2, 0, 1, 3, 4]
    assert ordered("desc", *values) == [2, 0, 1, 3, 4]


def test_a_mixed_array_has_a_place_in_each_type() -> None:
    values = [5, [5, "b"], [5, "a"], [5, "a", True], "a", [True, "a"]]
    assert ordered("asc", *values) == [3, 2, 1, 0, 5, 4]
    assert ordered("desc", *values) == [3, 5, 1, 2, 4, 0]


def test_what_counts_as_an_element() -> None:
    # Of arrays in arrays nothing counts; of objects in an array only what the path leads to.
    values = [[[1]], [{"y": 1}], [None, 7], [[0], 8]]
    assert ordered("asc", *values) == [2, 3, 0, 1]
    items = [[{"y": 3}, {"y": [9, 1]}], {"y": 2}, [{"y": [[0]]}], [[{"y": 0}]], [{"z": 0}, 0, {"y": 4}]]
    assert ordered("asc", *items, field="metadata.x.y") == [0, 1, 4, 2, 3]
    assert ordered("desc", *items, field="metadata.x.y") == [0, 4, 1, 2, 3]


def test_date_fields_sort_by_instant() -> None:
    dates = ["2024-01-01T02:00:00+02:00", "2023-12-31T23:00:00Z", "2024-01-01", "soon", "2024-01-01T00:00:00.001Z"]
    objects = [thing(number, shot_at=date) for number, date in enumerate(dates)]
    assert numbers(objects, {"sort": {"field": "shot_at"}}) == [1, 0, 2, 4, 3]
    assert numbers(objects, {"sort": {"field": "shot_at", "direction": "desc"}}) == [4, 0, 2, 1, 3]
    # What no schema declares is a text like others.
    assert ordered("asc", *dates) == [1, 2, 4, 0, 3]


def test_created_at_sorts_by_instant() -> None:
    objects = [thing(0, created_at="2024-01-01T00:00:00.5Z"), thing(1, created_at="2024-01-01T00:00:00Z"), thing(2)]
    assert numbers(objects, {"sort": {"field": "created_at", "direction": "desc"}}) == [2, 0, 1]


def test_a_sort_path_is_looked_up_under_metadata_unless_some_object_has_it_at_the_root() -> None:
    objects = [thing(0, x=2), thing(1, x=1)]
    assert numbers(objects, {"sort": {"field": "x"}}) == [1, 0]
    objects.append({**thing(2), "x": 5})
    assert numbers(objects, {"sort": {"field": "x"}}) == [2, 0, 1]
    # That object need not match.
    assert numbers(objects, {"sort": {"field": "x"}, "filters": {"metadata.x": {"$exists": True}}}) == [0, 1]
    assert numbers([thing(0, metadata={"status": 1}), thing(1)], {"sort": {"field": "status"}}) == [0, 1]


# ---- Search -----------------------------------------------------------------------------------------------


def test_where_search_looks() -> None:
    objects = [
        thing(0, x="needle"),
        thing(1, key_prefix="/needle"),
        thing(2, name="a needle"),
        thing(3, description=["x", "needles"]),
        thing(4, metadata={"a": {"b": [{"c": ["needle"]}]}}),
        thing(5, metadata={"a": [["needle"]]}),
        thing(6, title="needle"),
        thing(7, metadata={"needle": 1}),
        thing(8, name={"a": "needle"}, description=[["needle"]]),
        thing(9, blobs=[{"property": "needle"}], status="needle"),
        thing(10, metadata={"a": [{"b": [["needle"]]}, [{"b": "needle"}]]}),
        thing(11, metadata={"a": [{"b": {"c": "needle"}}]}),
    ]
    assert numbers(objects, {"search": "needle"}) == [0, 1, 2, 3, 4, 11]
    assert numbers(objects, {"search": "OBJ_1"}) == [1, 10, 11]
    assert numbers(objects, {"search": "OBJ_1", "case_sensitive": True}) == []
    assert len(numbers(objects, {"search": ""})) == len(numbers(objects, {"search": None})) == len(objects)


def test_search_folds_unless_told() -> None:
    objects = things("Straße", "STRASSE", "été", "E\u0301TE\u0301", "50%*", "a?b")
    assert numbers(objects, {"search": "SSE"}) == [0, 1]
    assert numbers(objects, {"search": "SSE", "case_sensitive": True}) == [1]
    assert numbers(objects, {"search": "ÉT"}) == [2, 3]
    assert numbers(objects, {"search": "ÉT", "case_sensitive": True}) == []
    assert numbers(objects, {"search": "0%"}) == numbers(objects, {"search": "*"}) == [4]
    assert numbers(objects, {"search": "a?"}) == [5]


# ---- Filters ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("eq", "STRASSE"),
        ("in", ["x", "strasse"]),
        ("contains", "RASS"),
        ("starts_with", "strass"),
        ("ends_with", "SSE"),
        ("text", "ASSE"),
        ("words", "strasse"),
        ("phrase", "STRASSE"),
        ("gte", "STRASSE"),
    ],
)
def test_every_comparison_folds(operator: str, value: Json) -> None:
    condition = {"field": "x", "operator": operator, "value": value}
    assert hits(condition, "Straße", "no") == ["Straße"]
    opposite = {"eq": "ne", "in": "nin"}.get(operator)
    if opposite:
        assert hits({**condition, "operator": opposite}, "Straße", "no", 5) == ["no", 5]


def test_a_pattern_is_compared_in_nfc_and_without_case() -> None:
    condition = {"field": "x", "operator": "regex", "value": "^É$"}
    assert hits(condition, "É", "e\u0301", "E") == ["É", "e\u0301"]
    assert hits({**condition, "value": "e"}, "e\u0301", "E") == ["E"]
    assert hits({**condition, "case_sensitive": True}, "É", "E\u0301", "é") == ["É"]


def test_case_sensitive_at_its_three_places() -> None:
    condition = {"field": "x", "value": "ÉTÉ"}
    assert hits(condition, "été") == ["été"]
    assert hits(condition, "été", case_sensitive=True) == []
    assert hits({"AND": [condition], "case_sensitive": True}, "été") == []
    assert hits({"AND": [condition], "case_sensitive": False}, "été", case_sensitive=True) == ["été"]
    assert hits({"AND": [{**condition, "case_sensitive": False}]}, "été", case_sensitive=True) == ["été"]
    assert hits({"AND": [{**condition, "case_sensitive": True}, {"x": "ÉTÉ"}]}, "été", "ÉTÉ") == ["ÉTÉ"]
    assert hits({"x": "ÉTÉ", "case_sensitive": True}, "été", "ÉTÉ") == ["ÉTÉ"]


def test_groups() -> None:
    one, two = {"x": 1}, {"field": "x", "value": 2}
    assert hits({"OR": [one, two]}, 1, 2, 3) == [1, 2]
    assert hits({"NOT": [one, two]}, 1, 2, 3) == [3]
    assert hits({"NOT": one}, 1, 2) == [2]
    assert hits({"AND": [{"NOT": [one]}], "OR": [two]}, 1, 2, 3) == [2]
    empties: list[Json] = [{}, {"AND": []}, {"OR": []}, {"NOT": []}, {"AND": [], "OR": [], "NOT": []}]
    for empty in empties:
        assert hits(empty, 1, 2) == [1, 2]


def test_shorthand_takes_values_and_operators() -> None:
    assert hits({"x": {"$gte": 2, "$lt": 4}}, 1, 2, 4) == [2]
    assert hits({"x": {"$in": ["A"]}}, "a", "b") == ["a"]
    assert hits({"x": {"a": "B"}}, {"a": "b"}, "b") == [{"a": "b"}]
    assert hits({"x": {"$elemMatch": {"x": 1}}}, [{"x": 1}], [{"metadata": {"x": 1}}]) == [[{"x": 1}]]


def test_exists_and_is_null_need_no_value() -> None:
    assert hits({"field": "x", "operator": "exists"}, 1, None, ...) == [1, None]
    assert hits({"field": "x", "operator": "exists", "value": False}, 1, None, ...) == [...]
    assert hits({"field": "x", "operator": "is_null"}, 1, None, ...) == [None, ...]
    assert hits({"field": "x", "operator": "is_null", "value": False}, 1, None, ...) == [1]


def test_a_path_is_looked_up_under_metadata_where_this_object_has_no_such_field() -> None:
    objects = [thing(0, x=1), {**thing(1, x=1), "x": 2}, {**thing(2), "x": 1}, thing(3, metadata={"status": "DRAFT"})]
    for filters in ({"x": 1}, {"field": "x", "value": 1}, {"NOT": [{"field": "x", "operator": "ne", "value": 1}]}):
        assert numbers(objects, {"filters": filters}) == [0, 2]
    assert numbers([thing(0, status="ACTIVE"), *objects[3:]], {"filters": {"status": "draft"}}) == [3]
    assert numbers(objects, {"filters": {"x": 2}, "sort": {"field": "x"}}) == [1]


def test_wrong_types_do_not_match() -> None:
    for operator in ("contains", "starts_with", "ends_with", "text", "words", "phrase"):
        assert hits({"field": "x", "operator": operator, "value": 5}, "5", "a5") == []
    assert hits({"field": "x", "operator": "gt", "value": "1"}, 2, True, "2") == ["2"]
    assert hits({"x": 1}, "1", True, 1.0) == [1.0]


@pytest.mark.parametrize(
    "condition",
    [{"field": "x", "operator": "like", "value": 1}, {"field": "x", "operator": "regex", "value": "("}],
)
def test_refusals(condition: Json) -> None:
    for filters in ({"AND": [condition]}, {"AND": [{"x": "b"}, condition]}, {"OR": [{"NOT": condition}], "x": "a"}):
        for objects in (things("a"), []):
            with pytest.raises(OracleRefusal):
                list_objects(objects, {"filters": filters})


# ---- Statistics -------------------------------------------------------------------------------------------


def test_statistics_cover_everything_that_matches() -> None:
    objects = [
        thing(0, blobs=[{}, {}]),
        thing(1, blobs=[{}], status="FAILED"),
        thing(2, status="FAILED"),
        thing(3, x=1),
    ]
    assert list_objects(objects, {"filters": {"NOT": [{"x": 1}]}}).stats == {
        "total_objects": 3,
        "total_blobs": 3,
        "avg_blobs_per_object": 1,
        "objects_by_status": {"DRAFT": 1, "FAILED": 2},
    }
    assert list_objects(objects, {"search": "nowhere"}).stats == {
        "total_objects": 0,
        "total_blobs": 0,
        "avg_blobs_per_object": 0,
        "objects_by_status": {},
    }


# ---- Buckets ----------------------------------------------------------------------------------------------


def bucket(number: int, **given: Json) -> Json:
    """A bucket as GET gives it."""
    made: Json = {
        "bucket_id": f"bkt_{number}",
        "bucket_name": f"name {number}",
        "description": None,
        "bucket_schema": None,
        "metadata": {},
        "unique_key": None,
        "object_count": number,
        "total_size_bytes": 10 * number,
        "status": "ACTIVE",
        "created_at": f"2024-05-01T00:00:{number:02}Z",
        "updated_at": f"2024-05-01T00:00:{number:02}Z",
        "last_upload_at": None,
    }
    return {**made, **given}


def listed(buckets: list[Json], body: Json) -> list[int]:
    return [int(identity.removeprefix("bkt_")) for identity in list_buckets(buckets, body).ids]


def test_buckets_come_by_age() -> None:
    buckets = [bucket(3), bucket(1), bucket(2), bucket(0, created_at="2024-05-01T00:00:01Z")]
    assert listed(buckets, {}) == [1, 0, 2, 3]
    assert listed(buckets, {"sort": {"field": "status"}}) == [1, 0, 2, 3]
    assert listed(buckets, {"sort": {"field": "object_count", "direction": "desc"}}) == [3, 2, 1, 0]


def test_the_name_of_a_bucket_is_its_own() -> None:
    buckets = [bucket(0, metadata={"name": "Zoo"}), bucket(1, bucket_name="Zoo")]
    assert listed(buckets, {"filters": {"name": "zoo"}}) == [1]
    assert listed(buckets, {"filters": {"metadata.name": "zoo"}}) == [0]
    assert listed(buckets, {"sort": {"field": "name"}}) == [1, 0]


def test_what_is_no_field_of_a_bucket_is_looked_up_under_metadata() -> None:
    buckets = [bucket(0, metadata={"team": "B", "blobs": 1}), bucket(1, metadata={"team": "a"})]
    assert listed(buckets, {"filters": {"team": "b"}}) == [0]
    assert listed(buckets, {"filters": {"field": "blobs", "value": 1}}) == [0]
    assert listed(buckets, {"sort": {"field": "team", "direction": "desc"}}) == [1, 0]


def test_search_in_buckets() -> None:
    buckets = [
        bucket(0, bucket_name="Needle"),
        bucket(1, description="a NEEDLE"),
        bucket(2, metadata={"a": "needle"}),
        bucket(3, status="needle"),
    ]
    assert listed(buckets, {"search": "needle"}) == [0, 1]
    assert listed(buckets, {"search": "NEEDLE", "case_sensitive": True}) == [1]
    assert listed(buckets, {"search": "BKT_3"}) == [3]


def test_computed_fields_and_statistics_of_buckets() -> None:
    buckets = [bucket(number, last_upload_at=f"2024-05-0{4 - number}T00:00:00Z") for number in range(4)]
    expected = list_buckets(buckets, {"filters": {"object_count": {"$gt": 0}}, "sort": {"field": "last_upload_at"}})
    assert expected.ids == ["bkt_3", "bkt_2", "bkt_1"]
    assert expected.stats == {
        "total_objects": 6,
        "total_size_bytes": 60,
        "avg_objects_per_bucket": 2,
        "avg_size_per_bucket": 20,
    }
    assert list_buckets([], {}).stats["avg_size_per_bucket"] == 0


def test_the_order_does_not_depend_on_how_it_is_found() -> None:
    """Against a plain comparison of keys, for scalars of one type."""
    rng = random.Random(1)
    values = [rng.choice(("", "a", "B", "é", "aa")) for _ in range(50)]
    by_key = sorted(range(50), key=lambda number: (values[number], number))
    assert ordered("asc", *values) == by_key
    assert ordered("desc", *values) == sorted(
        range(50), key=lambda number: ([-ord(c) for c in values[number]] + [1], number)
    )
