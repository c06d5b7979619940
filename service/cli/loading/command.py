"""`tally load`: reads the whole file, reports what it decided, then sends it."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rich.console import Console

from service.cli.loading.client import Loader, metadata_line, object_line
from service.cli.loading.documents import JsonDocuments
from service.cli.loading.errors import LoadError, Stopped, UsageError
from service.cli.loading.formats import table_of
from service.cli.loading.progress import reading
from service.cli.loading.records import RecordTarget, fitted, target_of
from service.cli.loading.sending import Interrupted, Load, LoadReport
from service.cli.loading.source import FileSource
from service.cli.loading.table import FileRow, Options, Survey, Table, shortened

_MEMORY: Final = 24


@dataclass(frozen=True)
class Request:
    """The options of the command line."""

    file: Path | None
    """None: stdin."""
    options: Options
    bucket: str | None = None
    stream: str | None = None
    space: str | None = None
    container: str | None = None
    format: str | None = None
    skip_rows: int = 0
    restore: bool = False
    dry_run: bool = False

    def check(self) -> None:
        """Raises `UsageError` for conflicting options."""
        if (self.bucket is None) == (self.stream is None):
            raise UsageError("name a bucket, or a stream with --stream: one of the two")
        if self.stream is None and (self.space or self.container):
            raise UsageError("--space and --container are for --stream")
        if self.restore and (self.stream or self.options.key):
            raise UsageError(
                "--restore stores exported objects under their own ids: it goes with neither --stream nor --key"
            )


@dataclass
class PreparedFile:
    """A file that has been read once and can be sent."""

    source: FileSource
    table: Table
    survey: Survey
    digest: str
    target: RecordTarget | None


@contextmanager
def prepared(request: Request, console: Console) -> Iterator[PreparedFile]:
    """Reads the whole file; raises `LoadError` if it cannot be loaded, before anything is sent."""
    request.check()
    with closing(FileSource(request.file)) as source:
        yield _prepared(request, source, console)


def _prepared(request: Request, source: FileSource, console: Console) -> PreparedFile:
    options = replace(request.options, typed=request.stream is not None)
    table = table_of(source, options, request.format)
    if request.restore and not isinstance(table, JsonDocuments):
        raise UsageError("--restore takes exported objects: NDJSON as …/objects/export writes it")
    with reading(console, source.name, source.size) as advance:
        survey = table.survey(advance)
    target = None
    if request.stream is not None:
        target = target_of(survey, request.stream, request.space, request.container)
    decided = json.dumps([[column.name, column.kind] for column in survey.columns] + [sorted(options.nulls)])
    digest = hashlib.sha256(f"{source.digest()} {decided}".encode()).hexdigest()[:_MEMORY]
    return PreparedFile(source, table, survey, digest, target)


def report(file: PreparedFile, request: Request) -> Iterator[str]:
    """The decisions, line by line."""
    survey = file.survey
    rows = f"{survey.total:,} {'row' if survey.total == 1 else 'rows'}"
    notes = "".join(f"; {note}" for note in survey.notes)
    yield (
        f"{file.source.name}: {rows}, {len(survey.columns):,} columns{notes}"
        if survey.columns
        else (f"{file.source.name}: {survey.total:,} {'object' if survey.total == 1 else 'objects'}{notes}")
    )
    names = [
        column.name if column.name and column.name.isprintable() else shortened(column.name)
        for column in survey.columns
    ]
    width = min(40, max(map(len, names), default=0))
    for name, column in zip(names, survey.columns, strict=True):
        yield f"  {name:<{width}}  {column.kind}{f'  ({column.note})' if column.note else ''}"
    if survey.repeated:
        yield (
            f"  {survey.repeated:,} {'row has' if survey.repeated == 1 else 'rows have'} the key of an earlier row, "
            f"the first at {survey.unit} {survey.repeated_at:,}: the last row of a key is what stays"
        )
    if survey.refused_count:
        yield f"  {survey.refused_count:,} of the rows cannot be loaded{':' if request.dry_run else ''}"
        # If rows are sent, these are reported at the end with those that the service refuses.
        refused = survey.refused if request.dry_run else []
        yield from (f"    {survey.unit} {row.number:,}: {row.error}" for row in refused)
        if request.dry_run and survey.refused_count > len(survey.refused):
            yield f"    … and {survey.refused_count - len(survey.refused):,} more"
    if file.target is not None and request.dry_run:
        yield f"The container {file.target.space}/{file.target.container}:"
        yield json.dumps(file.target.definition, indent=2)


async def send(file: PreparedFile, request: Request, loader: Loader) -> LoadReport:
    """Sends the rows; raises `Interrupted` with how to continue."""
    load = Load(skipped=request.skip_rows)
    try:
        if request.stream is not None:
            await _to_stream(file, request.stream, loader, load)
        else:
            assert request.bucket is not None  # noqa: S101
            await _to_bucket(file, request, request.bucket, loader, load)
    except Interrupted as error:
        raise LoadError(f"{error}; {_go_on(file, load)}") from None
    except asyncio.CancelledError:
        raise Stopped(f"interrupted; {_go_on(file, load)}") from None
    return load.outcome


def _go_on(file: PreparedFile, load: Load) -> str:
    if load.done <= load.skipped:
        again = f"go on with --skip-rows {load.skipped}" if load.skipped else "run it again"
        return f"no row was acknowledged; {again} (no row is stored twice)"
    return (
        f"the first {load.done:,} of {file.survey.total:,} rows are done; go on with --skip-rows {load.done} "
        "(no row is stored twice)"
    )


async def _to_bucket(file: PreparedFile, request: Request, bucket: str, loader: Loader, load: Load) -> None:
    key = request.options.key
    documents = isinstance(file.table, JsonDocuments)
    fields = [name if documents else f"metadata.{_escaped(name)}" for name in key]
    await loader.ensure(bucket, key=fields)
    query = "restore=true" if request.restore else "policy=upsert" if key else ""
    # A key distinguishes rows by itself, and so do the ids of a restore.
    idempotency = None if key or request.restore else f"load {file.digest}"
    line = object_line if documents else metadata_line
    rows = _made(file.table.rows({}), lambda row: line(row, idempotency))
    await loader.objects(bucket, rows, load, file.survey.total, query)


async def _to_stream(file: PreparedFile, stream: str, loader: Loader, load: Load) -> None:
    target = file.target
    assert target is not None  # noqa: S101
    there = await loader.container(target.space, target.container)
    await loader.ensure_stream(stream, fitted(target, there))
    rows = _made(file.table.rows(target.names), lambda row: target.record(row, file.digest))
    await loader.stream_records(stream, rows, load, file.survey.total)


def _made(rows: Iterator[FileRow], line: Callable[[FileRow], bytes]) -> Iterator[FileRow]:
    return (row if row.error is not None else replace(row, body=line(row)) for row in rows)


def _escaped(column: str) -> str:
    return column.replace("\\", "\\\\").replace(".", "\\.")
