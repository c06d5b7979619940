"""The command line. Commands import what they need themselves, so that help and completion are fast."""

import os
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from service import __version__

if TYPE_CHECKING:
    from rich.console import Console

    from service.settings import Settings

T = TypeVar("T")

cli = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Exact aggregations over objects, on your own OpenSearch.",
    epilog="Settings are environment variables with the prefix TALLY_; `settings` lists them.",
)


def _console(*, stderr: bool = False) -> "Console":
    from rich.console import Console

    return Console(stderr=stderr)


def _say(text: str) -> None:
    _console().print(text, highlight=False, markup=False, soft_wrap=True)


def _note(text: str) -> None:
    _console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)


def _complain(text: str) -> None:
    _console(stderr=True).print(text, style="red", highlight=False, markup=False, soft_wrap=True)


def _settings(*, child: bool = False, **changes: object) -> "Settings":
    """All settings, validated; ends the command with one message if any is invalid. `child`: the parent has warned."""
    import structlog
    from pydantic import ValidationError

    from service.settings import Settings, problems_of, unknown_variables
    from service.telemetry import set_up

    try:
        settings = Settings(**{name: value for name, value in changes.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        _complain("\n".join(["Tally cannot start; these settings are wrong:", *problems_of(error)]))
        raise typer.Exit(2) from None
    set_up(settings.log_format, settings.log_level)
    if not child:
        for name, meant in unknown_variables(os.environ):
            hint = f"; did you mean {meant}?" if meant else "; `settings` lists what there is"
            structlog.get_logger().warning(f"{name} is not a setting of Tally{hint}")
    return settings


def _version(asked: bool) -> None:
    if asked:
        print(f"tally {__version__}")  # noqa: T201
        raise typer.Exit


@cli.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


@cli.command()
def serve(
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the port.")] = 1,
    child: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """The service alone, on the OpenSearch that TALLY_OPENSEARCH_URL names."""
    from service.cli.running import api_key_of
    from service.serving import end_with_parent, serve, serve_many

    settings = _settings(child=child)
    if settings.opensearch_url is None:
        _complain("set TALLY_OPENSEARCH_URL, or use `run`, which starts an OpenSearch of its own")
        raise typer.Exit(2)
    made = settings.api_key is None and not (settings.data_dir / "api-key").is_file()
    key = api_key_of(settings, make=True)
    if made:
        _say(f"API key (made now, kept in {settings.data_dir / 'api-key'}): {key}")
    if workers > 1:
        if settings.port == 0:
            _complain("several workers need a port: TALLY_PORT")
            raise typer.Exit(2)
        raise typer.Exit(serve_many(workers, settings, key))
    if child:
        end_with_parent()
    _go(serve(settings, key, shared_port=child))


@cli.command()
def run(
    with_parent: Annotated[
        bool, typer.Option(hidden=True, help="Stop when the process that started this ends.")
    ] = False,
) -> None:
    """OpenSearch, the service and the sample data; Ctrl-C stops all of it.

    Requests are not logged, unless TALLY_LOG_LEVEL is info.
    """
    from service.cli.running import run

    # In the foreground only what matters to a person is shown; the setting enables a log line per request.
    _go(
        run(
            _settings(log_level=None if "TALLY_LOG_LEVEL" in os.environ else "warning"),
            _console(),
            with_parent=with_parent,
        )
    )


@cli.command()
def load(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV, TSV, Parquet, NDJSON or JSON, also .gz; - is stdin.",
        ),
    ],
    bucket: Annotated[str | None, typer.Argument(help="Bucket; made if there is none.")] = None,
    stream: Annotated[
        str | None, typer.Option(help="Load records into this stream instead; made if there is none.")
    ] = None,
    namespace: Annotated[str, typer.Option(help="Namespace; made if there is none.")] = "default",
    url: Annotated[str | None, typer.Option(help="Address of Tally; this machine's by default.")] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(help="Column that identifies rows (repeatable): a row that is there already is replaced."),
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option(
            help="COLUMN=TYPE,…: text, integer, number, boolean, date or timestamp, whatever the cells look like."
        ),
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="Every column is text.")] = False,
    null: Annotated[
        list[str] | None, typer.Option(help="A cell with this text has no value (repeatable), such as NA.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of the file; UTF-8 by default.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="What separates the cells: a character, or `tab`.")] = None,
    quote: Annotated[str, typer.Option(help="Character around cells, or `none`.")] = '"',
    format: Annotated[
        str | None, typer.Option(help="csv, tsv, parquet, ndjson or json, where the name does not say it.")
    ] = None,
    skip_rows: Annotated[int, typer.Option(min=0, help="Skip this many rows, as an interrupted load says.")] = 0,
    restore: Annotated[
        bool, typer.Option("--restore", help="Exported objects: with their ids, times and order.")
    ] = False,
    space: Annotated[str | None, typer.Option(help="Space of the records; the stream's name by default.")] = None,
    container: Annotated[str | None, typer.Option(help="Container of the records; the same.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and send nothing.")] = False,
) -> None:
    """A file into a bucket or a stream of a running Tally, with what was decided for each column."""
    from service.cli.loading import Loader, LoadError
    from service.cli.loading.command import Request, prepared, report, send
    from service.cli.loading.formats import checked_format, checked_mark
    from service.cli.loading.table import Options
    from service.cli.running import api_key_of

    settings = _settings()
    try:
        options = Options(
            tuple(types or ()),
            text,
            encoding,
            checked_mark(delimiter, "--delimiter"),
            checked_mark(quote, "--quote"),
            frozenset(null or ()),
            tuple(key or ()),
        )
        source = None if str(file) == "-" else file
        request = Request(
            source, options, bucket, stream, space, container, checked_format(format), skip_rows, restore, dry_run
        )
        with prepared(request, _console()) as found:
            for line in report(found, request):
                _say(line)
            if dry_run:
                raise typer.Exit(1 if found.survey.refused_count else 0)
            address = url or f"http://{settings.host}:{settings.port}"
            loader = Loader(address, api_key_of(settings, make=False), namespace, _console(), _note)
            started = time.perf_counter()
            outcome = _go(send(found, request, loader))
    except LoadError as error:
        _complain(str(error))
        raise typer.Exit(error.exit_code) from None
    what = "records" if stream else "objects"
    there = f" ({outcome.replayed:,} of them were there already)" if outcome.replayed else ""
    _say(f"{outcome.stored:,} {what} stored{there}, {outcome.refused:,} refused, {time.perf_counter() - started:.1f} s")
    for row in outcome.errors:
        _complain(f"{found.survey.unit} {row.number}: {row.error}")
    if outcome.refused > len(outcome.errors):
        _complain(f"… and {outcome.refused - len(outcome.errors):,} more")
    if outcome.refused:
        raise typer.Exit(1)


@cli.command()
def dashboards(
    namespace: Annotated[str, typer.Argument(help="Namespace, by name or id.")],
    bucket: Annotated[str | None, typer.Option(help="Only this bucket's objects.")] = None,
    stream: Annotated[str | None, typer.Option(help="The records of this stream instead.")] = None,
    title: Annotated[str | None, typer.Option(help="What the dashboard is called.")] = None,
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="Write to this file, not to stdout.")] = None,
    url: Annotated[str | None, typer.Option(help="Send to the OpenSearch Dashboards at this address.")] = None,
    user: Annotated[str | None, typer.Option(help="User of Dashboards.")] = None,
    password: Annotated[
        str | None,
        typer.Option(envvar="TALLY_DASHBOARDS_PASSWORD", help="Of that user; better not on the command line."),
    ] = None,
    tally: Annotated[str | None, typer.Option(help="Address of Tally; this machine's by default.")] = None,
) -> None:
    """A dashboard over a namespace for OpenSearch Dashboards: saved objects as NDJSON, or sent there."""
    from service.cli.dashboards import TallyClient, ndjson, saved_objects, send
    from service.cli.running import api_key_of

    if bucket and stream:
        _complain("--bucket is about objects, --stream about records: one of them")
        raise typer.Exit(2)
    if out and url:
        _complain("--out writes a file, --url sends to Dashboards: one of them")
        raise typer.Exit(2)
    if user and password is None:
        _complain("set TALLY_DASHBOARDS_PASSWORD to the password of --user")
        raise typer.Exit(2)
    settings = _settings()
    key = api_key_of(settings, make=False)

    async def made() -> bytes:
        async with TallyClient(tally or f"http://{settings.host}:{settings.port}", key) as asked:
            if stream:
                return ndjson(saved_objects(await asked.of_records(namespace, stream, title)))
            return ndjson(saved_objects(await asked.of_objects(namespace, bucket, title)))

    file = _go(made())
    if url:
        imported, problems = _go(send(url, file, user, password or ""))
        _say(f"{imported} saved objects imported")
        for problem in problems:
            _complain(problem)
        if problems:
            raise typer.Exit(1)
    elif out:
        out.write_bytes(file)
        _say(f"{file.count(10)} saved objects written to {out}")
    else:
        sys.stdout.buffer.write(file)


@cli.command()
def bootstrap() -> None:
    """Puts Tally's templates and catalogue into OpenSearch; again and again without harm."""
    from service.app import make_gateway
    from service.storage.bootstrap import bootstrap

    async def put() -> list[str]:
        gateway = make_gateway(_settings())
        try:
            return await bootstrap(gateway)
        finally:
            await gateway.close()

    for line in _go(put()) or ["everything is there already"]:
        _say(line)


@cli.command()
def sweep() -> None:
    """Removes now what was deleted and what has expired, as the service does in the background."""
    from aiohttp.web import AppRunner

    from service.app import create_app
    from service.cli.running import api_key_of
    from service.web.keys import CARETAKER

    settings = _settings()
    if settings.opensearch_url is None:
        _complain("set TALLY_OPENSEARCH_URL")
        raise typer.Exit(2)
    key = api_key_of(settings, make=False)

    async def once() -> int:
        app = create_app(settings, key)
        runner = AppRunner(app)
        await runner.setup()
        try:
            return await app[CARETAKER].once()
        finally:
            await runner.cleanup()

    _say(f"{_go(once())} things removed")


_REPOSITORY = typer.Argument(help="Snapshot repository, as it is registered in OpenSearch.")


@cli.command()
def backup(
    repository: Annotated[str, _REPOSITORY],
    name: Annotated[str | None, typer.Argument(help="What it is called; the time by default.")] = None,
) -> None:
    """Takes a backup of all that Tally has in OpenSearch, while services run."""
    from service.app import backups

    async def taken() -> str:
        async with backups(_settings(), repository, _say) as store:
            return await store.take(name)

    _say(f"backup {_go(taken())} is complete")


@cli.command()
def restore(
    repository: Annotated[str, _REPOSITORY],
    name: Annotated[str, typer.Argument(help="The backup.")],
    replace: Annotated[bool, typer.Option("--replace", help="Delete what Tally has in OpenSearch now.")] = False,
) -> None:
    """Puts a backup back; services answer 503 meanwhile and go on by themselves."""
    from service.app import backups

    async def put_back() -> None:
        async with backups(_settings(), repository, _say) as store:
            await store.restore(name, replace=replace)

    _go(put_back())
    _say(f"backup {name} is restored")


@cli.command()
def settings() -> None:
    """Every setting: its environment variable, its default, its meaning."""
    from service.settings import Settings

    for name, field in Settings.model_fields.items():
        _say(f"TALLY_{name.upper()}  ({field.default})\n    {field.description}")


@cli.command()
def openapi() -> None:
    """The OpenAPI 3.1 document of all routes, as /openapi.json has it."""
    import msgspec

    from service.web.openapi import encoded

    typer.echo(msgspec.json.format(encoded(), indent=2))


def _go(work: Coroutine[Any, Any, T]) -> T:
    """Runs to completion; expected failures print one line, not a stack trace."""
    import asyncio

    import uvloop
    from aiohttp import ClientError

    from service.cli.dashboards import DashboardsError
    from service.cli.embedded import EmbeddedError
    from service.cli.loading import LoadError
    from service.errors import TallyError

    try:
        return uvloop.run(work)
    except LoadError as error:
        _complain(str(error))
        raise typer.Exit(error.exit_code) from None
    except (TallyError, DashboardsError, EmbeddedError, ClientError, OSError) as error:
        _complain(str(error))
        raise typer.Exit(1) from None
    except asyncio.CancelledError:
        raise typer.Exit(130) from None


def main() -> None:
    cli(prog_name="tally")


if __name__ == "__main__":
    main()
