"""`run`: an embedded OpenSearch, the service and the sample, in one foreground process."""

import asyncio
import importlib
import os
import secrets
import shutil
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from service import checks
from service.cli.embedded import EmbeddedError, EmbeddedNode, default_cache, ensure_home, prepare_start
from service.cli.loading import SAMPLE_SIZES, WEATHER, WEATHER_SIZE, Loader, LoadError, flights, weather
from service.serving import check_port, served, stop_signals
from service.settings import Settings

_FLOOD: Final = 0.05
_HIGH: Final = 0.10
"""Free shares of a disk at OpenSearch's default watermarks `flood_stage` and `high`."""

_LEAST_FREE: Final = 500_000_000
"""Bytes for OpenSearch itself, the sample of a whole year, and their logs."""


def api_key_of(settings: Settings, *, make: bool) -> str:
    """The administrator's key: the setting, else the one in the data folder, else (with `make`) a new one there."""
    if settings.api_key is not None:
        return settings.api_key.get_secret_value()
    file = settings.data_dir / "api-key"
    if file.is_file():
        try:
            return checks.api_key(file.read_text())
        except ValueError as error:  # also for a file that is not text
            raise SystemExit(f"the key in {file}: {error}. Remove the file, or set TALLY_API_KEY") from None
    if not make:
        raise SystemExit(f"set TALLY_API_KEY (there is no {file})")
    key = f"sk_{secrets.token_urlsafe(24)}"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(key + "\n")
    except OSError as error:
        raise SystemExit(
            f"a new key cannot be kept in {file}: {error.strerror}. Set TALLY_API_KEY, or TALLY_DATA_DIR to a folder "
            "that can be written to"
        ) from None
    return key


def check_disk(folder: Path) -> str | None:
    """Raises `EmbeddedError` if OpenSearch would store nothing on the folder's disk; else returns a warning, if any.

    OpenSearch uses the disk's free share: under 5 % it accepts no writes (flood stage), under 10 % it creates no index.
    """
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    disk = shutil.disk_usage(there)
    if not disk.total:
        return None
    space = f"{disk.free / 1e9:,.1f} GB of {disk.total / 1e9:,.1f} GB are free on the disk of {folder}"
    way_out = "Free some space, or set TALLY_DATA_DIR to a folder on another disk."
    if disk.free < max(_FLOOD * disk.total, _LEAST_FREE):
        raise EmbeddedError(
            f"The disk is full: {space}. OpenSearch stores nothing with less than {_FLOOD:.0%} free, and needs at "
            f"least {_LEAST_FREE / 1e9:.1f} GB. {way_out}"
        )
    if disk.free < _HIGH * disk.total:
        return f"The disk is nearly full: {space}. OpenSearch makes no new index with less than {_HIGH:.0%}. {way_out}"
    return None


def embedded_node(settings: Settings, console: Console) -> EmbeddedNode:
    """Fetches the server's files if missing, with a progress bar, and prepares a node on the data folder."""
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    ) as progress:
        task = None

        def advance(done: int, total: int) -> None:
            nonlocal task
            if task is None:
                task = progress.add_task("Fetching OpenSearch", total=total)
            progress.update(task, completed=done)

        home = ensure_home(default_cache(), advance)
    with console.status("Preparing fast starts of OpenSearch, once"):
        prepare_start(home)
    base = (settings.data_dir / "opensearch").resolve()
    base.mkdir(parents=True, exist_ok=True)
    # A repository for `tally backup` may be registered there (docs/running.md).
    backups = (settings.data_dir / "backups").resolve()
    return EmbeddedNode(home, base, heap=settings.opensearch_heap, settings={"path.repo": str(backups)})


async def run(settings: Settings, console: Console, *, with_parent: bool = False) -> None:
    """Runs until Ctrl-C; stops whatever it started, even while it is still starting."""
    stop = asyncio.create_task(_stopped(with_parent))
    work = asyncio.create_task(_run(settings, console))
    try:
        await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            console.print("Stopping")
            work.cancel()
        with suppress(asyncio.CancelledError):
            await work
    finally:
        stop.cancel()


async def _stopped(with_parent: bool) -> None:
    """Returns when asked to stop, or (under make) when the parent is gone: a killed make ends its service."""
    asked, _ = stop_signals()
    parent = os.getppid()
    while not asked.is_set() and (not with_parent or os.getppid() == parent):
        with suppress(TimeoutError):
            await asyncio.wait_for(asked.wait(), 0.5)


async def _run(settings: Settings, console: Console) -> None:
    check_port(settings)
    if settings.opensearch_url is None and (warning := check_disk(settings.data_dir)):
        _say(console, warning)
    key = api_key_of(settings, make=True)
    async with AsyncExitStack() as stack:
        node = None
        if settings.opensearch_url is None:
            node = await _provisioned(settings, console)
            asyncio.get_running_loop().run_in_executor(None, importlib.import_module, "service.app")
            with console.status("Starting OpenSearch"):
                await node.astart()
            stack.push_async_callback(node.astop)
            settings = settings.model_copy(update={"opensearch_url": node.url})
            _say(console, f"OpenSearch   {node.url}   data in {settings.data_dir / 'opensearch'}")
        address = await stack.enter_async_context(served(settings, key))
        if settings.sample != "0":
            await _sample(settings, address, key, console)
        _say(console, _greeting(settings, address, key))
        while node is None or node.alive():  # noqa: ASYNC110 - a process's end can only be polled
            await asyncio.sleep(1)
        raise EmbeddedError(f"OpenSearch ended by itself. The end of its log:\n{node.log_tail(10)}")


async def _provisioned(settings: Settings, console: Console) -> EmbeddedNode:
    try:
        return await asyncio.to_thread(embedded_node, settings, console)
    except asyncio.CancelledError:
        # No process has been started yet, and files are trusted by checksum only: no need to wait for the
        # threads that fetch them, which cannot be interrupted.
        console.show_cursor(True)
        console.file.flush()
        os._exit(0)


def _say(console: Console, text: str) -> None:
    """Prints the text as is: for copying, so neither wrapped nor coloured."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


async def _sample(settings: Settings, address: str, key: str, console: Console) -> None:
    """Loads the sample if missing; the bucket's metadata shows whether it is complete, as users may add objects."""
    loader = Loader(address, key, "sample", console)
    await _flights(settings, loader, console)
    await loader.records("weather", WEATHER, weather(), WEATHER_SIZE)


async def _flights(settings: Settings, loader: Loader, console: Console) -> None:
    there = await loader.metadata("flights")
    if there is not None:
        if there.get("sample") == settings.sample:
            return
        if "sample" not in there:
            _say(console, "The bucket flights in the namespace sample is not Tally's sample and stays as it is.")
            return
        await loader.drop("flights")
    await loader.ensure("flights", {"sample": "loading"})
    summary = await loader.load("flights", flights(settings.sample), SAMPLE_SIZES[settings.sample])
    if summary["failed_count"]:
        raise LoadError(f"the sample could not be loaded: {summary['errors'][0]['error']}")
    await loader.mark("flights", {"sample": settings.sample})


def _greeting(settings: Settings, address: str, key: str) -> str:
    lines = [f"Tally        {address}", f"API key      {key}", ""]
    end = "Ctrl-C stops all of it; the data stays."
    if settings.sample == "0":
        return "\n".join([*lines, end])
    head = (
        f"curl -s {address}/v1/buckets/flights/objects/aggregate \\\n"
        f"  -H 'Authorization: Bearer {key}' -H 'X-Namespace: sample' \\\n  -d "
    )
    specs = [
        (
            "Flights per carrier",
            '{"group_by":[{"field":"metadata.carrier","alias":"carrier"}],'
            '"aggregations":[{"function":"count","alias":"flights"},'
            '{"function":"avg","field":"metadata.dep_delay","alias":"delay"}],'
            '"sort_by":"flights","limit":5}',
        ),
        (
            "Aircraft with more than 30 flights, and how far they flew",
            '{"group_by":[{"field":"metadata.tailnum","alias":"tailnum"}],'
            '"aggregations":[{"function":"count","alias":"flights"},'
            '{"function":"sum","field":"metadata.distance","alias":"miles"}],'
            '"having":[{"field":"flights","operator":"gt","value":30}],"sort_by":"miles"}',
        ),
        (
            "Delays over an hour per week from JFK",
            '{"filters":{"metadata.origin":"JFK","metadata.dep_delay":{"$gt":60}},'
            '"group_by":[{"field":"metadata.time_hour","alias":"week","date_trunc":"week"}],'
            '"aggregations":[{"function":"count","alias":"flights"},'
            '{"function":"count_distinct","distinct_field":"metadata.carrier","alias":"carriers"}]}',
        ),
    ]
    for title, spec in specs:
        lines += [f"# {title}", f"{head}'{spec}'", ""]
    records = (
        f"curl -s {address}/api/v1/projects/sample/streams/weather/records/aggregate \\\n"
        f"  -H 'Authorization: Bearer {key}' \\\n  -d "
    )
    tree = (
        '{"aggregates":{"airports":{"uniqueValues":{"property":["nyc","weather","airport"],'
        '"aggregates":{"warmest":{"max":{"property":["nyc","weather","temperature"]}},'
        '"rain":{"sum":{"property":["nyc","weather","precipitation"]}}}}}}}'
    )
    lines += ["# Records: the weather per airport", f"{records}'{tree}'", ""]
    return "\n".join([*lines, end])
