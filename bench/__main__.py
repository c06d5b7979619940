"""`python -m bench`: what a write and an aggregate cost, beside the bare OpenSearch requests of the same run."""

import asyncio
from typing import Annotated

import typer

from bench import aggregates, exports, index_cost, lists, records, writes
from bench.system import started

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False, invoke_without_command=True)
Heap = Annotated[str, typer.Option(help="Memory of the OpenSearch that is started.")]
Megabytes = Annotated[int, typer.Option(min=1, help="Size of the generated import.")]


@cli.callback()
def everything(
    context: typer.Context,
    heap: Heap = "1g",
    megabytes: Megabytes = 64,
    scale: Annotated[float, typer.Option(help="Rounds of each comparison, times this.")] = 1.0,
) -> None:
    """All of it, on an OpenSearch and a service started for this run."""
    if context.invoked_subcommand is None:
        asyncio.run(_everything(heap, megabytes, scale))


async def _everything(heap: str, megabytes: int, scale: float) -> None:
    async with started(heap) as system:
        await writes.all_flights(system)
        await writes.single(system, round(300 * scale))
        await aggregates.compare(system, scale)
        await lists.compare(system, scale)
        await writes.generated(system, megabytes)


@cli.command("import")
def import_(heap: Heap = "1g", megabytes: Megabytes = 1024) -> None:
    """An import alone, with the service's memory watched."""
    asyncio.run(_import(heap, megabytes))


async def _import(heap: str, megabytes: int) -> None:
    async with started(heap) as system:
        await writes.generated(system, megabytes)


@cli.command("records")
def records_(heap: Heap = "1g", count: Annotated[int, typer.Option(min=40_000)] = 1_000_000, rounds: int = 60) -> None:
    """Records written through the API beside bare bulk clients, and aggregate trees over them."""
    asyncio.run(_records(heap, count, rounds))


async def _records(heap: str, count: int, rounds: int) -> None:
    async with started(heap) as system:
        await records.ingest(system, count)
        await records.trees(system, rounds)


@cli.command("aggregates")
def aggregates_(heap: Heap = "1g", scale: float = 1.0) -> None:
    """Aggregates of few and of many groups, with metrics and logs on and off."""
    asyncio.run(_aggregates(heap, scale))


async def _aggregates(heap: str, scale: float) -> None:
    async with started(heap) as system:
        await writes.all_flights(system)
        await aggregates.compare(system, scale)


@cli.command("lists")
def lists_(heap: Heap = "1g", scale: float = 1.0) -> None:
    """Filtered, sorted pages with stats beside the bare requests that they need."""
    asyncio.run(_lists(heap, scale))


async def _lists(heap: str, scale: float) -> None:
    async with started(heap) as system:
        await lists.compare(system, scale)


@cli.command("walk")
def walk(heap: Heap = "1g", count: Annotated[int, typer.Option(min=1_000)] = 1_000_000) -> None:
    """All objects of a bucket by cursor, with the service's memory watched."""
    asyncio.run(_walk(heap, count))


async def _walk(heap: str, count: int) -> None:
    async with started(heap) as system:
        await lists.walk(system, count)


@cli.command("export")
def export(heap: Heap = "1g", megabytes: Megabytes = 64) -> None:
    """All objects of a bucket as lines: the flights of 2013, and generated objects of about 1 kB."""
    asyncio.run(_export(heap, megabytes))


async def _export(heap: str, megabytes: int) -> None:
    async with started(heap) as system:
        await writes.all_flights(system)
        await exports.whole(system, "flights")
        await writes.generated(system, megabytes)
        await exports.whole(system, f"generated-{megabytes}")


@cli.command("index")
def index(heap: Heap = "1g") -> None:
    """What each part of a document costs in index size and load time."""
    asyncio.run(_index(heap))


async def _index(heap: str) -> None:
    async with started(heap) as system:
        await index_cost.compare(system)


if __name__ == "__main__":
    cli()
