"""What of an object is indexed, under which name, and what is learnt of its fields (docs/index.md)."""

import copy
from typing import Any

import pytest

from service.encoding import (
    MAX_DEPTH,
    Encoder,
    ObservedField,
    TooManyPaths,
    Unindexable,
    dump_observed,
    load_observed,
    unite,
)

Json = Any


def encoded(*objects: Json) -> tuple[Encoder, list[dict[str, Json]], list[set[str]]]:
    encoder = Encoder({}, {})
    documents, shapes = [], []
    for each in objects:
        one = encoder.encode({"metadata": each}, {})
        encoder.accept(one)
        documents.append(one.fields().get("metadata", {}))
        shapes.append(one.shapes)
    return encoder, documents, shapes


@pytest.mark.parametrize(
    ("value", "document", "traits"),
    [
        ("x", {"a": "x"}, {"text"}),
        ("É", {"a": "É", "a@fold": "é"}, {"text", "cased"}),
        ("2024-01-01", {"a": "2024-01-01", "a@date": 1_704_067_200_000}, {"date"}),
        (1, {"a": 1}, {"double"}),
        (1.5, {"a": 1.5}, {"double", "fraction"}),
        (2**53 + 1, {"a": 2**53 + 1}, {"long"}),
        (True, {"a": True}, {"boolean"}),
        (None, {}, {"null"}),
        ([], {"a@json": "[]"}, {"array"}),
        (["x", 1], {"a@json": '["x",1]', "a": "x", "a@double": 1}, {"array", "text", "double"}),
    ],
)
def test_a_first_value(value: Json, document: Json, traits: set[str]) -> None:
    encoder, (found,), _ = encoded({"a": value})
    assert found == document
    assert encoder.observed["metadata.a"].traits - {"alone"} == traits


def test_the_first_value_gives_the_plain_name_its_type() -> None:
    encoder, documents, _ = encoded({"a": "x"}, {"a": 1}, {"a": 2**60}, {"a": False})
    assert documents == [{"a": "x"}, {"a@double": 1}, {"a@long": 2**60}, {"a@boolean": False}]
    assert encoder.observed["metadata.a"].primary_type == "keyword"
    assert encoder.primary_types == {"metadata.a": "keyword"}


def test_equal_numbers_lie_at_one_place() -> None:
    _, documents, _ = encoded({"a": 2024}, {"a": 2024.0}, {"a": -0.0})
    assert documents == [{"a": 2024}, {"a": 2024.0}, {"a": 0.0}]
    encoder, documents, _ = encoded({"a": 2**60}, {"a": 1.0}, {"a": 0.5})
    assert encoder.primary_types == {"metadata.a": "long"}
    assert documents == [{"a": 2**60}, {"a": 1}, {"a@double": 0.5}]


def test_shapes_say_what_leaves_cannot() -> None:
    _, _, (shapes,) = encoded({"a": {"b": None}, "c": [1, [2]], "d": []})
    assert shapes >= {
        "metadata.a object", "metadata.a/b null", "metadata.c array", "metadata.c array:2", "metadata.d array:0",
    }  # fmt: skip


@pytest.mark.parametrize("wrong", [2**63, -(2**63) - 1, {"n": {"a": 2**64}}, [1, 2**70]])
def test_an_object_that_cannot_be_indexed_leaves_no_trace(wrong: Json) -> None:
    encoder, _, _ = encoded({"a": 1})
    before = copy.deepcopy((dump_observed(encoder.observed), encoder.leaves, encoder.primary_types))
    with pytest.raises(Unindexable) as refusal:
        encoder.encode({"metadata": {"new": "É", "a": "now a text", "z": wrong}}, {})
    assert refusal.value.path.startswith("metadata.z")
    assert (dump_observed(encoder.observed), encoder.leaves, encoder.primary_types) == before


def test_an_object_that_is_not_accepted_leaves_no_trace() -> None:
    encoder, _, _ = encoded({"a": 1})
    before = copy.deepcopy((dump_observed(encoder.observed), encoder.leaves, encoder.primary_types))
    dropped = encoder.encode({"metadata": {"a": [2**50, "É"], "b": 1.5}}, {})
    assert dropped.brought == 1
    assert dropped.observed.keys() == {"metadata.a", "metadata.b"}
    assert (dump_observed(encoder.observed), encoder.leaves, encoder.primary_types) == before


def test_a_refused_object_takes_nothing_from_those_before() -> None:
    """What it has in common with them was theirs first."""
    large = {"a": ["x" * 9_000], "b": {"É": None}}
    encoder, _, _ = encoded(large)
    before = dump_observed(encoder.observed)
    with pytest.raises(Unindexable):
        encoder.encode({"metadata": {**large, "z": 2**64}}, {})
    assert dump_observed(encoder.observed) == before
    assert "bulky" in encoder.observed["metadata.a"].traits


def test_the_walk_ends_at_the_first_path_over_the_budget() -> None:
    encoder = Encoder({}, {"metadata": ObservedField(), "metadata.a": ObservedField()}, budget=3)
    encoder.accept(encoder.encode({"metadata": {"a": 1, "b": 2}}, {}))
    with pytest.raises(TooManyPaths) as refusal:
        encoder.encode({"metadata": {f"f{n}": n for n in range(1_000)}}, {})
    assert (refusal.value.path, refusal.value.have) == ("metadata.f0", 3)
    encoder.accept(encoder.encode({"metadata": {"b": [3]}}, {}))


def test_too_many_levels() -> None:
    deep: Json = 1
    for _ in range(MAX_DEPTH + 1):
        deep = {"a": deep}
    with pytest.raises(Unindexable):
        encoded({"a": deep})


def test_what_is_known_only_grows() -> None:
    first, _, _ = encoded({"a": 1, "b": "x"})
    second, _, _ = encoded({"a": [2**40], "c": True})
    union = unite(first.observed, second.observed)
    assert union is not None
    assert union.keys() == first.observed.keys() | second.observed.keys()
    assert union["metadata.a"].traits >= {"double", "array"}
    assert union["metadata.a"].bits == 41
    assert unite(union, second.observed) is None, "nothing new"
    assert dump_observed(load_observed(dump_observed(union))) == dump_observed(union)
