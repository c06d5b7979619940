"""`tally load`: looks at the whole file, tells what it decided, then sends it."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rich.console import Console

from service.loading.client import Loader, metadata_line, object_line
from service.loading.documents import Documents
from service.loading.errors import LoadError, Stopped, UsageError
from service.loading.formats import table_of
from service.loading.progress import reading
from service.loading.records import Target, fitted, target_of
from service.loading.sending import Interrupted, Load, Outcome
from service.loading.source import Source
from service.loading.table import Options, Row, Survey, Table, shortened

_MEMORY: Final = 24


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

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
        """Raises `UsageError` for what does not go together."""
        if (self.bucket is None) == (self.stream is None):
            raise UsageError("name a bucket, or a stream with --stream: one of the two")
        if self.stream is None and (self.space or self.container):
            raise UsageError("--space and --container are for --stream")
        if self.restore and (self.stream or self.options.key):
            raise UsageError(
                "--restore stores exported objects under their own ids: it goes with neither --stream nor --key"
            )


@dataclass
class Prepared:
    """A file that has been read once, and can be sent."""

    name: str
    table: Table
    survey: Survey
    digest: str
    target: Target | None


def prepare(request: Request, console: Console) -> Prepared:
    """Reads the whole file; raises `LoadError` for what cannot be loaded, before anything is sent."""
    request.check()
    source = Source(request.file)
    options = replace(request.options, typed=request.stream is not None)
    table = table_of(source, options, request.format)
    if request.restore and not isinstance(table, Documents):
        raise UsageError("--restore takes exported objects: NDJSON as …/objects/export writes it")
    with reading(console, source.name, source.size) as advance:
        survey = table.survey(advance)
    target = None
    if request.stream is not None:
        target = target_of(survey, request.stream, request.space, request.container)
    decided = json.dumps([[column.name, column.kind] for column in survey.columns] + [sorted(options.nulls)])
    digest = hashlib.sha256(f"{source.digest()} {decided}".encode()).hexdigest()[:_MEMORY]
    return Prepared(source.name, table, survey, digest, target)


def report(prepared: Prepared, request: Request) -> Iterator[str]:
    """What was decided, in lines."""
    survey = prepared.survey
    rows = f"{survey.total:,} {'row' if survey.total == 1 else 'rows'}"
    notes = "".join(f"; {note}" for note in survey.notes)
    yield (
        f"{prepared.name}: {rows}, {len(survey.columns):,} columns{notes}"
        if survey.columns
        else (f"{prepared.name}: {survey.total:,} {'object' if survey.total == 1 else 'objects'}{notes}")
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
        yield f"  {survey.refused_count:,} of the rows cannot be loaded:"
        yield from (f"    {survey.unit} {row.number:,}: {row.error}" for row in survey.refused)
        if survey.refused_count > len(survey.refused):
            yield f"    … and {survey.refused_count - len(survey.refused):,} more"
    if prepared.target is not None and request.dry_run:
        yield f"The container {prepared.target.space}/{prepared.target.container}:"
        yield json.dumps(prepared.target.definition, indent=2)


async def send(prepared: Prepared, request: Request, loader: Loader) -> Outcome:
    """Sends the rows; raises `Interrupted` that says how to go on."""
    load = Load(skipped=request.skip_rows)
    try:
        if request.stream is not None:
            await _to_stream(prepared, request.stream, loader, load)
        else:
            assert request.bucket is not None  # noqa: S101
            await _to_bucket(prepared, request, request.bucket, loader, load)
    except Interrupted as error:
        raise LoadError(f"{error}; {_go_on(prepared, load)}") from None
    except asyncio.CancelledError:
        raise Stopped(f"interrupted; {_go_on(prepared, load)}") from None
    return load.outcome


def _go_on(prepared: Prepared, load: Load) -> str:
    if load.done <= load.skipped:
        return (
            f"no row was acknowledged; go on with --skip-rows {load.skipped}"
            if load.skipped
            else "no row was acknowledged"
        )
    return (
        f"the first {load.done:,} of {prepared.survey.total:,} rows are done; go on with --skip-rows {load.done} "
        "(no row is stored twice)"
    )


async def _to_bucket(prepared: Prepared, request: Request, bucket: str, loader: Loader, load: Load) -> None:
    key = request.options.key
    documents = isinstance(prepared.table, Documents)
    fields = [name if documents else f"metadata.{_escaped(name)}" for name in key]
    await loader.ensure(bucket, key=fields)
    query = "restore=true" if request.restore else "policy=upsert" if key else ""
    # A key tells rows apart by itself, and so do the ids of a restore.
    idempotency = None if key or request.restore else f"load {prepared.digest}"
    line = object_line if documents else metadata_line
    rows = _made(prepared.table.rows({}), lambda row: line(row, idempotency))
    await loader.objects(bucket, rows, load, prepared.survey.total, query)


async def _to_stream(prepared: Prepared, stream: str, loader: Loader, load: Load) -> None:
    target = prepared.target
    assert target is not None  # noqa: S101
    there = await loader.container(target.space, target.container)
    await loader.ensure_stream(stream, fitted(target, there))
    rows = _made(prepared.table.rows(target.names), lambda row: target.record(row, prepared.digest))
    await loader.stream_records(stream, rows, load, prepared.survey.total)


def _made(rows: Iterator[Row], line: Callable[[Row], bytes]) -> Iterator[Row]:
    return (row if row.error is not None else replace(row, body=line(row)) for row in rows)


def _escaped(column: str) -> str:
    return column.replace("\\", "\\\\").replace(".", "\\.")
