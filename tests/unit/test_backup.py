"""Restoring: when an index counts as being there."""

from typing import Any, cast

from service.maintenance.backup import Backups
from tests.unit.test_gateway import scripted


def health(status: str, *active: bool) -> tuple[int, Any]:
    shards = {str(number): {"primary_active": each} for number, each in enumerate(active)}
    return 200, {"status": status, "indices": {"i": {"shards": shards}} if active else {}}


async def test_a_shard_that_is_being_restored_is_not_there_though_it_is_yellow() -> None:
    answers = (
        health("red"),
        health("yellow", False, False),
        health("yellow", True, False),
        health("green", True, True),
    )
    async with scripted(*answers) as (gateway, script):
        backups = Backups(gateway, cast(Any, None), cast(Any, None), "safe", lambda line: None)
        await backups._started("i")
        assert len(script.asked) == 4
        assert "level=shards" in script.asked[0][1]
