"""An index is part of every pattern before its shards have started: readers wait for them, and get no 503."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable

import pytest

from tests.support.client import Client
from tests.support.records import TYPES, Project, container, record

ROUNDS = 4
READERS = 4
EVER = {"lastUpdatedTime": {"gt": int((time.time() - 86_400) * 1_000)}}


@pytest.fixture(scope="module")
async def project(client: Client) -> AsyncIterator[Project]:
    async with Project.made(client) as project:
        await project.spaces("s")
        await project.containers(container(TYPES))
        yield project


async def read_during(project: Project, stream: str, write: Awaitable[object]) -> None:
    """Reads of all kinds, one after the other, until the write is done."""
    writing = asyncio.ensure_future(write)

    async def read() -> None:
        while not writing.done():
            await project.count(stream, **EVER)
            await project.filter(stream, **EVER)
            await project.news(stream)
            await project.consumed(stream)

    await asyncio.gather(writing, *(read() for _ in range(READERS)))


async def test_the_first_record_of_an_immutable_stream(project: Project) -> None:
    for _ in range(ROUNDS):
        stream = await project.stream(template="ImmutableTestStream")
        await read_during(project, stream, project.ingest(stream, record("a", {"i32": 1})))
        assert await project.count(stream, **EVER) == 1


async def test_the_first_deletion_of_a_mutable_stream(project: Project) -> None:
    for _ in range(ROUNDS):
        stream = await project.stream()
        await project.ingest(stream, record("a", {"i32": 1}))
        await read_during(project, stream, project.delete(stream, "a"))
        assert [item["status"] for item in (await project.news(stream))[0]] == ["deleted"]
