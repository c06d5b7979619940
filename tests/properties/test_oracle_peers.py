"""The oracle is checked, too: by mongomock and by DuckDB, on what they share with the contract (docs/oracle.md).

Nothing here needs the service or OpenSearch. How often each function, operator, unit and the like was compared is
printed and has to reach a minimum, so that the test cannot pass by comparing nothing.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

import duckdb
import mongomock
import pytest

from tests.support.coverage import features
from tests.support.generate import DATE_FIELDS, Flavour, as_stored, make_dataset
from tests.support.generate_filters import make_filters
from tests.support.generate_spec import make_spec
from tests.support.oracle import OracleRefusal, aggregate, matches, same
from tests.support.peers import LeftOut, Peer, narrowed
from tests.support.peers.duck import Duck, instants
from tests.support.peers.mongo import Mongo

Json = Any
ROOT: Final = Path(__file__).parents[2]
SPECS: Final = 26


MONGO: Final[dict[int, str]] = {
    100: "function:count|function:sum|function:avg|function:min|function:max|function:count_distinct",
    30: "function:first|function:last|function:push|function:add_to_set|operator:$ne|sort:key asc|sort:metric desc",
    12: "part:year|part:month|part:day|part:dayOfWeek|part:dayOfYear|part:hour|part:minute|part:second"
    "|having:eq number|having:gt number|having:gte number|having:lt number|having:lte number|having:ne number",
    8: "operator:$all|operator:$and|operator:$contains|operator:$elemMatch|operator:$endsWith|operator:$eq"
    "|operator:$exists|operator:$gt|operator:$gte|operator:$in|operator:$lt|operator:$lte|operator:$nin|operator:$nor"
    "|operator:$not|operator:$or|operator:$regex|operator:$size|operator:shorthand",
    5: "unwind path:blobs|unwind path:metadata.tags|unwind path:metadata.items|unwind path:metadata.items.tags"
    "|unwind path:metadata.matrix|unwind path:metadata.any|unwind path:metadata.any.a|unwind path:metadata.kind"
    "|operator:$startsWith|operator:$text|operator:NOT|zone:Europe/Berlin|zone:America/New_York",
}
"""The least number of cases that each of these has to be compared in."""

DUCK: Final[dict[int, str]] = {
    100: "function:count|function:sum|function:avg|function:min|function:max|function:count_distinct",
    15: "function:first|function:last|function:push|function:add_to_set|function:median|function:percentile"
    "|function:stddev|function:stddev_samp|function:variance|function:variance_samp|ranges:default|ranges:plain"
    "|unit:year|unit:quarter|unit:month|unit:week|unit:day|unit:hour|unit:minute|unit:second"
    "|zone:Europe/Berlin|zone:America/New_York|zone:Asia/Kolkata|zone:Pacific/Auckland|sort:key asc|sort:metric desc",
    10: "part:year|part:isoYear|part:quarter|part:month|part:week|part:day|part:dayOfWeek|part:dayOfYear|part:hour"
    "|part:minute|part:second|zone:Asia/Kathmandu"
    "|having:eq number|having:gt number|having:gte number|having:lt number|having:lte number|having:ne number",
    4: "operator:$all|operator:$and|operator:$contains|operator:$endsWith|operator:$eq|operator:$exists|operator:$gt"
    "|operator:$gte|operator:$in|operator:$lt|operator:$lte|operator:$ne|operator:$nin|operator:$nor|operator:$not"
    "|operator:$or|operator:$regex|operator:shorthand|operator:AND|operator:OR|operator:NOT"
    "|unwind path:blobs|unwind path:metadata.tags|unwind path:metadata.items|unwind path:metadata.items.tags"
    "|unwind path:metadata.kind|week from:monday|week from:saturday",
}

COUNT: Final = [{"function": "count", "alias": "n"}]


@dataclass
class Tally:
    """What was compared, by name, and what was left out, by its row in docs/oracle.md."""

    cases: int = 0
    ordered: int = 0
    rows: int = 0
    exercised: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def table(self) -> str:
        shown = ("function", "unit", "part", "week from", "zone", "unwind path", "operator", "having", "sort", "ranges")
        lines = [f"{self.cases} cases ({self.ordered} in order), {self.rows} rows, {len(self.differences)} differences"]
        lines += [f"  {name}: {n}" for name, n in sorted(self.exercised.items()) if name.startswith(shown)]
        lines += [f"  left out: {reason}: {n}" for reason, n in sorted(self.left_out.items())]
        return "\n".join(lines)


class Loaded(Peer, Protocol):
    """A peer with a data set in it."""

    def begin(self) -> None: ...


def _by_group(rows: Sequence[Json]) -> list[Json]:
    return sorted(rows, key=lambda row: json.dumps(row["group"], sort_keys=True))


def _fitting(peer: Peer, objects: Sequence[Json], spec: Json) -> Json:
    """The request with a filter that the peer has, if one of a few is."""
    rng = random.Random(json.dumps(spec))
    for _ in range(4):
        try:
            peer.filters(spec["filters"])
            break
        except LeftOut:
            spec = {**spec, "filters": make_filters(rng, "core", objects)}
    return spec


def _compare(peer: Loaded, objects: Sequence[Json], spec: Json, tally: Tally) -> None:
    peer.begin()
    if spec.get("filters"):
        spec = _fitting(peer, objects, spec)
        peer.begin()
    found = narrowed(spec, peer, tally.left_out)
    if found is None:
        return
    small, ordered = found
    try:
        expected = aggregate(objects, small, DATE_FIELDS).rows
    except OracleRefusal:
        tally.left_out["both: a key without any date"] += 1
        return
    got = peer.rows(small)
    if isinstance(peer, Duck):
        expected = instants(expected, small)
    if not ordered:
        expected, got = _by_group(expected), _by_group(got)
    tally.cases += 1
    tally.ordered += ordered
    tally.rows += len(got)
    tally.exercised.update(features(small, objects))
    if difference := same(expected, got, small):
        tally.differences.append(f"{difference}\n  spec: {json.dumps(small)}\n  objects: {json.dumps(objects)[:3000]}")


def _cases(seed: str, datasets: int) -> Iterator[tuple[list[Json], list[Json]]]:
    """Data sets and the requests for each of them; the same ones every time."""
    flavours: tuple[Flavour, ...] = ("core", "full")
    for flavour in flavours:
        for number in range(datasets):
            rng = random.Random(f"{seed}-{flavour}-{number}")
            objects: list[Json] = list(as_stored(make_dataset(rng, flavour)))
            yield objects, [make_spec(rng, flavour, objects) for _ in range(SPECS)]


def _check(tally: Tally, at_least: dict[int, str]) -> None:
    print(f"\n{tally.table()}")
    assert not tally.differences, f"{len(tally.differences)} differences\n" + "\n".join(tally.differences[:3])
    scarce = {
        name: tally.exercised[name]
        for least, names in at_least.items()
        for name in names.split("|")
        if tally.exercised[name] < least
    }
    assert not scarce
    documented = (ROOT / "docs" / "oracle.md").read_text(encoding="utf-8")
    assert [reason for reason in tally.left_out if f"| {reason} |" not in documented] == []


def test_mongomock_agrees() -> None:
    tally = Tally()
    for objects, specs in _cases("mongomock", 24):
        peer = Mongo(objects)
        for spec in specs:
            _compare(peer, objects, spec, tally)
    _check(tally, MONGO)


def test_duckdb_agrees() -> None:
    tally = Tally()
    with duckdb.connect(config={"threads": 1}) as connection:
        for objects, specs in _cases("duckdb", 28):
            peer = Duck(connection, objects)
            for spec in specs:
                _compare(peer, objects, spec, tally)
    _check(tally, DUCK)


@pytest.mark.parametrize(
    ("row", "objects", "stage", "theirs", "spec", "ours"),
    [
        (
            "mongomock: 1 is true",
            [{"a": 1}, {"a": True}],
            {"$group": {"_id": "$a", "n": {"$sum": 1}}},
            [{"_id": 1, "n": 2}],
            {"group_by": [{"field": "a"}], "aggregations": COUNT},
            [[1, 1], [True, 1]],
        ),
        (
            "null and missing in a compound key",
            [{"a": 1}, {"a": 1, "b": None}],
            {"$group": {"_id": {"a": "$a", "b": "$b"}, "n": {"$sum": 1}}},
            [{"_id": {"a": 1}, "n": 1}, {"_id": {"a": 1, "b": None}, "n": 1}],
            {"group_by": [{"field": "a"}, {"field": "b"}], "aggregations": COUNT},
            [[1, None, 2]],
        ),
        (
            "`$first` and `$last` of a missing field",
            [{}, {"a": 1}],
            {"$group": {"_id": None, "n": {"$first": "$a"}}},
            [{"_id": None, "n": 1}],
            {"group_by": [{"field": "x"}], "aggregations": [{"function": "first", "field": "a", "alias": "n"}]},
            [[None, None]],
        ),
        (
            '`$addToSet` of 0, `""` and false',
            [{"a": 0}, {"a": ""}],
            {"$group": {"_id": None, "n": {"$addToSet": "$a"}}},
            [{"_id": None, "n": [None]}],
            {"group_by": [{"field": "x"}], "aggregations": [{"function": "add_to_set", "field": "a", "alias": "n"}]},
            [[None, [0, ""]]],
        ),
        (
            "`$sum` and `$avg` of booleans",
            [{"a": True}, {"a": 2}],
            {"$group": {"_id": None, "n": {"$sum": "$a"}}},
            [{"_id": None, "n": 3}],
            {"group_by": [{"field": "x"}], "aggregations": [{"function": "sum", "field": "a", "alias": "n"}]},
            [[None, 2]],
        ),
        (
            "mongomock: paths through arrays",
            [{"b": [{"t": 1}, {}]}],
            {"$group": {"_id": "$b.t", "n": {"$sum": 1}}},
            [{"_id": None, "n": 1}],
            {"group_by": [{"field": "b.t"}], "aggregations": COUNT},
            [[[1], 1]],
        ),
        (
            "MongoDB: min and max over every type",
            [{"a": "x"}, {"a": "y"}],
            {"$group": {"_id": None, "n": {"$max": "$a"}}},
            [{"_id": None, "n": "y"}],
            {"group_by": [{"field": "x"}], "aggregations": [{"function": "max", "field": "a", "alias": "n"}]},
            [[None, None]],
        ),
        (
            "mongomock: time zones end in 2037",
            [{"a": "2038-07-01T00:00:00Z"}],
            {
                "$group": {
                    "_id": {"$hour": {"date": datetime(2038, 7, 1), "timezone": "Europe/Berlin"}},
                    "n": {"$sum": 1},
                }
            },
            [{"_id": 1, "n": 1}],
            {
                "group_by": [{"field": "a", "date_part": "hour", "time_zone": "Europe/Berlin"}],
                "aggregations": COUNT,
            },
            [[2, 1]],
        ),
        *(
            (row, objects, {"$match": filters}, theirs, {"filters": filters}, ours)
            for row, objects, filters, theirs, ours in (
                ("mongomock: 1 is true", [{"a": True}], {"a": 1}, [{"a": True}], 0),
                ("mongomock: $size of what is no array", [{"a": "x"}], {"a": {"$size": 1}}, [{"a": "x"}], 0),
                ("mongomock: null, missing and arrays in filters", [{}], {"a": {"$gte": None}}, [], 1),
                ("mongomock: null, missing and arrays in filters", [{}], {"a": {"$all": [None]}}, [], 1),
                ("mongomock: null, missing and arrays in filters", [{"a": [[1]]}], {"a": {"$eq": [1]}}, [], 1),
                ("mongomock: null, missing and arrays in filters", [{"a": [1]}], {"a": {"$in": [[1]]}}, [], 1),
                (
                    "mongomock: null, missing and arrays in filters",
                    [{"a": [{"b": 1}, {}]}],
                    {"a.b": {"$exists": False}},
                    [{"a": [{"b": 1}, {}]}],
                    0,
                ),
                ("mongomock: paths below scalars and null", [{"a": 5}], {"a.b": None}, [], 1),
                (
                    "mongomock: arrays and scalars in $elemMatch",
                    [{"a": [[5]]}],
                    {"a": {"$elemMatch": {"$eq": 5}}},
                    [{"a": [[5]]}],
                    0,
                ),
                (
                    "mongomock: arrays and scalars in $elemMatch",
                    [{"a": [[5]]}],
                    {"a": {"$elemMatch": {"b": None}}},
                    [],
                    1,
                ),
                (
                    "mongomock: arrays and scalars in $elemMatch",
                    [{"a": [5]}],
                    {"a": {"$elemMatch": {}}},
                    [{"a": [5]}],
                    0,
                ),
                (
                    "mongomock: negations inside $elemMatch",
                    [{"a": ["x"]}],
                    {"a": {"$elemMatch": {"$not": {"$eq": "x"}}}},
                    [{"a": ["x"]}],
                    0,
                ),
                (
                    "MongoDB: dates in strings compare as strings",
                    [{"a": "2024-01-01T05:30:00+05:30"}],
                    {"a": {"$gt": "2024-01-01T01:00:00Z"}},
                    [{"a": "2024-01-01T05:30:00+05:30"}],
                    0,
                ),
            )
        ),
    ],
)
def test_mongomock_differs_as_told(
    row: str, objects: list[Json], stage: Json, theirs: list[Json], spec: Json, ours: Json
) -> None:
    """Every row of docs/oracle.md that says mongomock is wrong or MongoDB another one: so it is, and we are as told."""
    assert f"| {row} |" in (ROOT / "docs" / "oracle.md").read_text(encoding="utf-8")
    collection = mongomock.MongoClient().peers.objects
    collection.insert_many([{"_id": number, **thing} for number, thing in enumerate(objects)])
    found = list(collection.aggregate([stage]))
    if "group_by" in spec:
        assert found == theirs
        rows = aggregate(objects, spec).rows
        assert [[*row["group"].values(), *row["metrics"].values()] for row in rows] == ours
    else:
        assert [{name: value for name, value in thing.items() if name != "_id"} for thing in found] == theirs
        assert sum(matches(thing, spec["filters"]) for thing in objects) == ours
