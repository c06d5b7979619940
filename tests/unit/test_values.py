"""What values mean: dates, identity, order; and paths."""

from typing import Any

import pytest

from service import paths
from service.values import MISSING, case_fold, identity, order, parse_date, render_date


@pytest.mark.parametrize(
    ("text", "millis"),
    [
        ("1970-01-01", 0),
        ("1970-01-01T00:00:01Z", 1_000),
        ("1970-01-01 00:00:01.5", 1_500),
        ("1970-01-01T01:00+01:00", 0),
        ("1970-01-01T00:00:00-0130", 5_400_000),
        ("1969-12-31T23:59:59.9999Z", -1),
        ("2024-02-29", 1_709_164_800_000),
        ("2023-02-29", None),
        ("2024", None),
        ("2024-1-1", None),
        ("2024-01-01T25:00", None),
        ("2024-W01-1", None),
        ("0001-01-01T00:00:00+01:00", None),
        ("２０２４-01-01", None),
    ],
)
def test_dates(text: str, millis: int | None) -> None:
    assert parse_date(text) == millis


def test_dates_are_rendered_with_milliseconds_only_where_there_are_any() -> None:
    assert render_date(0) == "1970-01-01T00:00:00Z"
    assert render_date(-1) == "1969-12-31T23:59:59.999Z"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (2024, 2024.0, True),
        (0, -0.0, True),
        (1, "1", False),
        (1, True, False),
        (2**53, 2**53 + 1, False),
        ([1], [1.0], True),
        ([1, 2], [2, 1], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        (None, False, False),
        ("a", ["a"], False),
    ],
)
def test_identity(one: Any, other: Any, same: bool) -> None:
    assert (identity(one) == identity(other)) is same


def test_order_is_that_of_bson() -> None:
    ascending: list[Any] = [
        None,
        -1,
        0.5,
        2**53,
        2**53 + 1,
        "",
        "Z",
        "a",
        "é",
        {},
        {"a": 1},
        [],
        [1],
        [1, 0],
        False,
        True,
    ]
    backwards = ascending[::-1]
    backwards.sort(key=order)
    assert backwards == ascending


def test_folding() -> None:
    assert case_fold("STRASSE") == case_fold("straße")
    assert case_fold("e\u0301TE\u0301") == case_fold("ÉTÉ")


@pytest.mark.parametrize(
    ("text", "path"),
    [("a", ("a",)), ("a.b c", ("a", "b c")), (r"a\.b.c\\d", ("a.b", "c\\d")), ("$x.ü", ("$x", "ü"))],
)
def test_paths(text: str, path: tuple[str, ...]) -> None:
    assert paths.parse(text) == path
    assert paths.text(path) == text


@pytest.mark.parametrize("text", ["", "a.", ".a", "a..b", "a\\", r"a\n"])
def test_no_paths(text: str) -> None:
    with pytest.raises(ValueError, match="path"):
        paths.parse(text)


def test_a_path_through_an_array_of_objects_finds_an_array() -> None:
    item = {"blobs": [{"type": "video"}, {}, {"type": None}, 5, [{"type": "no"}]], "empty": []}
    assert paths.resolve(item, ("blobs", "type")) == ["video", None]
    assert paths.resolve(item, ("empty", "type")) == []
    assert paths.resolve(item, ("none", "type")) is MISSING
    assert list(paths.ends(item, ("blobs", "type"))) == ["video", MISSING, None]
