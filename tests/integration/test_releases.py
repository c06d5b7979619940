"""What each release left in OpenSearch is put into a clean node, and today's service answers as that release did."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.cli.embedded import EmbeddedNode, default_cache, ensure_home
from service.serving import served
from service.settings import Settings
from tests.support.client import Client
from tests.support.records import Project, record
from tests.support.release import DATA, KEY, NAMESPACE, lasting, lines, restore

Json = Any
RELEASES = sorted(DATA.glob("release-*"))


def test_there_are_releases_and_they_are_small() -> None:
    assert RELEASES
    for folder in RELEASES:
        assert sum(file.stat().st_size for file in folder.iterdir()) < 300_000, folder


@pytest.fixture(scope="module", params=RELEASES, ids=lambda folder: str(folder.name))
def release(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.param
    return folder


@pytest.fixture(scope="module")
def node(release: Path) -> Iterator[EmbeddedNode]:
    with EmbeddedNode(ensure_home(default_cache())) as node:
        yield node


@pytest.fixture(scope="module")
async def old(node: EmbeddedNode, release: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """A client of today's service on yesterday's data."""
    await restore(node.url, release)
    settings = Settings(opensearch_url=node.url, port=0, data_dir=tmp_path_factory.mktemp("data"))
    async with served(settings, KEY) as address, Client(address, KEY, NAMESPACE) as client:
        yield client


async def test_every_question_is_answered_as_it_was(old: Client, release: Path) -> None:
    asked = lines(release / "answers.ndjson")
    assert len(asked) > 50
    for each in asked:
        status, answer = await old.call(each["method"], each["path"], each["body"])
        where = (each["method"], each["path"], each["body"])
        assert status == each["status"], (where, answer)
        if each["answer"] is not None:
            assert differences(worded(each["answer"]), worded(lasting(answer))) == [], where


def worded(answer: Json) -> Json:
    """Without the words of refusals, which may become better: place and type of what is refused stay."""
    details = answer.get("error", {}).get("details", {}) if isinstance(answer, dict) else {}
    for each in details.get("validation_errors", ()):
        each.pop("message", None)
    return answer


def differences(before: Json, now: Json, at: str = "") -> list[str]:
    """What a former answer told, and is no more so; new members are welcome."""
    if isinstance(before, dict) and isinstance(now, dict):
        return [text for name in before for text in differences(before[name], now.get(name), f"{at}.{name}")]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        return [text for n, each in enumerate(before) for text in differences(each, now[n], f"{at}[{n}]")]
    return [] if before == now and type(before) is type(now) else [f"{at}: {before!r} was told, now {now!r}"]


async def test_it_is_written_on(old: Client, release: Path) -> None:
    """After the questions, which it changes the answers of."""
    made = await old.create("flights", {"metadata": {"carrier": "UA", "delay": "a new type", "new": [1]}})
    assert (await old.ok("GET", f"/v1/buckets/flights/objects/{made['object_id']}"))["metadata"]["new"] == [1]
    await old.ok("POST", "/v1/buckets/orders/objects", {"sku": "s-1", "metadata": {"n": 100}})
    spec = {
        "group_by": [{"field": "sku", "alias": "sku"}],
        "aggregations": [{"function": "sum", "field": "metadata.n", "alias": "n"}],
        "filters": {"sku": "s-1"},
    }
    (row,) = (await old.aggregate("orders", spec))["results"]
    assert row == {"group": {"sku": "s-1"}, "metrics": {"n": 100}}
    project = Project(old, NAMESPACE)
    cursor = next(
        each["body"]["cursor"]
        for each in reversed(lines(release / "answers.ndjson"))
        if "/live/records/sync" in each["path"]
    )
    await project.upsert("live", record("r1", {"i32": -1}), record("new", {"i32": -2}))
    await project.delete("live", "r2")
    news, _ = await project.news("live", cursor)
    told = {each["externalId"]: each["status"] for each in news}
    assert (told["r1"], told["new"], told["r2"]) == ("updated", "created", "deleted")
    before = await project.count("log", lastUpdatedTime={"gt": 0, "lt": 1})
    assert before == 0
    await project.ingest("log", record("r0", {"i32": -3}))
    assert await project.consumed("log") == 16
