import pytest

from service.spelling import nearest, unknown_key

KEYS = ("filters", "sort_by", "sort_direction", "time_zone", "date_trunc", "operator", "value", "field", "limit")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("filter", "filters"), ("sortby", "sort_by"), ("sortBy", "sort_by"), ("timezone", "time_zone"),
        ("dateTrunc", "date_trunc"), ("op", "operator"), ("vlaue", "value"), ("Limit", "limit"),
        ("totals", None), ("x", None), ("", None),
    ],
)  # fmt: skip
def test_the_nearest_known_name(given: str, meant: str | None) -> None:
    assert nearest(given, KEYS) == meant


def test_an_unknown_key_names_place_key_known_keys_and_the_nearest() -> None:
    problem = unknown_key(("body",), "op", ("operator", "field"))
    assert problem.json() == {
        "type": "extra_forbidden",
        "location": ["body", "op"],
        "message": "unknown key `op`; did you mean `operator`? (known keys: field, operator)",
    }
    long = unknown_key(("body",), "k" * 10_000, ())
    assert len(long.message) < 200
