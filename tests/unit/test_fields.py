"""What the catalogue says of a path: which index fields hold its values."""

import pytest

from service import fields
from service.aggregations import BY_NAME
from service.aggregations.base import Inexact
from service.fields import Field, Fields, encode_step

PATH = ("metadata", "n")


def test_small_integers_in_a_long_field_are_numbers() -> None:
    """Another bucket of the namespace met an integer beyond 2^53 first: the plain name is a long for all of them."""
    field = Field(PATH, "metadata.n", "long", frozenset({"long"}), bits=4)
    assert field.numbers == ("metadata.n",)
    for name in ("sum", "avg", "min", "max"):
        pushed = BY_NAME[name](PATH).pushdown(field)
        assert pushed is not None, name
        assert all(body.popitem()[1] == {"field": "metadata.n"} for body in pushed.bodies), name
        assert pushed.bodies, name
    assert BY_NAME["sum"](PATH).read(field, [{"value": 5.0}], documents=2) == 5


def test_integers_and_fractions_of_one_path_are_added_up() -> None:
    """Integers lie in the long field, fractions beside it."""
    field = Field(PATH, "metadata.n", "long", frozenset({"long", "double", "fraction"}), bits=4)
    assert set(field.numbers) == {"metadata.n", "metadata.n@double"}
    pushed = BY_NAME["sum"](PATH).pushdown(field)
    assert pushed is not None
    assert len(pushed.bodies) == 2
    assert BY_NAME["sum"](PATH).read(field, [{"value": 5.0}, {"value": 0.5}], documents=2) == 5.5
    with pytest.raises(Inexact):
        BY_NAME["sum"](PATH).read(field, [{"value": 5.0}, {"value": "Infinity"}], documents=2)


def test_what_lies_below_an_array_is_an_array() -> None:
    fields = Fields({"blobs": ("object", ("array",), 0), "blobs.metadata/lang": ("keyword", ("text",), 0)})
    assert not fields.get(("blobs", "metadata", "lang")).single
    assert fields.get(("metadata", "n")).single


def test_long_names_are_not_kept_in_mind() -> None:
    before = fields._encoded.cache_info().currsize
    for number in range(50):
        assert len(encode_step(f"{number}." + "x" * 10_000)) > 10_000
    assert fields._encoded.cache_info().currsize == before
    assert encode_step("a.b" + "x" * 300) == "a%2Eb" + "x" * 300
