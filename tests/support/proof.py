"""Compares the service with the oracle over generated data sets and specs, and counts what was exercised."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.client import Client
from tests.support.coverage import features
from tests.support.generate import BUCKET_SCHEMA, DATE_FIELDS, Flavour, make_dataset
from tests.support.generate_spec import make_spec
from tests.support.oracle import OracleRefusal, aggregate, same

Json = Any


@dataclass
class Report:
    """What was compared and how it ended."""

    cases: int = 0
    refused: int = 0
    rows: int = 0
    strategies: Counter[str] = field(default_factory=Counter)
    exercised: Counter[str] = field(default_factory=Counter)
    mismatches: list[str] = field(default_factory=list)

    def add(self, other: "Report") -> None:
        self.cases += other.cases
        self.refused += other.refused
        self.rows += other.rows
        self.strategies += other.strategies
        self.exercised += other.exercised
        self.mismatches += other.mismatches

    def table(self) -> str:
        lines = [
            f"{self.cases} cases, {self.rows} rows, {self.refused} refused by both, {len(self.mismatches)} mismatches"
        ]
        lines += [f"strategy {name}: {count}" for name, count in sorted(self.strategies.items())]
        lines += [f"{name}: {count}" for name, count in sorted(self.exercised.items())]
        return "\n".join(lines)


async def load(client: Client, payloads: Sequence[Json]) -> tuple[str, list[Json]]:
    """A new bucket with these objects: its id, and the objects as the service gives them back, in order of arrival."""
    name = f"proof-{random.getrandbits(48):x}"
    made = await client.ok("POST", "/v1/buckets", {"bucket_name": name, "bucket_schema": BUCKET_SCHEMA})
    bucket = made["bucket_id"]
    objects: list[Json] = []
    if payloads:
        answer = await client.batch(bucket, payloads)
        assert answer["failed"] == [], answer["failed"][:3]
        objects = answer["succeeded"]
    for item, sent in zip(objects, payloads, strict=True):
        for blob, own in zip(item["blobs"] or (), sent.get("blobs") or (), strict=True):
            if "properties" not in own:
                # Derived for the newest client, no part of what is stored.
                del blob["properties"]
    return bucket, objects


async def compare(client: Client, bucket: str, objects: Sequence[Json], spec: Json, report: Report) -> str | None:
    """None if service and oracle agree, else the difference."""
    status, answer = await client.call("POST", f"/v1/buckets/{bucket}/objects/aggregate", spec)
    report.cases += 1
    report.exercised.update(features(spec, objects))
    try:
        expected = aggregate(objects, spec, DATE_FIELDS)
    except OracleRefusal as refusal:
        if status == 422:
            report.refused += 1
            return None
        return f"should be refused ({refusal}), got {status} {json.dumps(answer)[:300]}"
    if status != 200:
        return f"got {status}: {json.dumps(answer)[:600]}"
    info = answer["query_info"]
    report.rows += len(answer["results"])
    report.strategies[info["strategy"]] += 1
    difference = same(expected.rows, answer["results"], spec)
    if difference is None and info["groups_matched"] != expected.groups_matched:
        difference = f"groups_matched {info['groups_matched']}, should be {expected.groups_matched}"
    before = info.get("groups_before_having", expected.groups_before_having)
    if difference is None and before != expected.groups_before_having:
        difference = f"groups_before_having {before}, should be {expected.groups_before_having}"
    return f"[{info['strategy']}] {difference}" if difference else None


async def prove(client: Client, flavour: Flavour, seed: str, datasets: int, specs: int) -> Report:
    """Many specs on each of many data sets; a seed always makes the same cases."""
    report = Report()
    for number in range(datasets):
        rng = random.Random(f"{flavour}-{seed}-{number}")
        payloads = make_dataset(rng, flavour)
        bucket, objects = await load(client, payloads)
        for _ in range(specs):
            spec = make_spec(rng, flavour, objects)
            difference = await compare(client, bucket, objects, spec, report)
            if difference:
                report.mismatches.append(
                    f"{difference}\n  spec: {json.dumps(spec)}\n"
                    f"  data set: {flavour}-{seed}-{number}, {len(objects)} objects"
                )
        await client.call("DELETE", f"/v1/buckets/{bucket}")
    return report
