"""Parquet files."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import pyarrow
import pyarrow.parquet

from service.cli.loading.arrow_values import Converter, kind_of, note_of
from service.cli.loading.errors import LoadError
from service.cli.loading.source import FileSource
from service.cli.loading.table import (
    Advance,
    ColumnDecision,
    FileRow,
    Keys,
    Options,
    Survey,
    check_names,
    forced_kinds,
    known_column,
)
from service.values import Json

_BATCH: Final = 2_000


class Parquet:
    """A Parquet file; every value is read twice, so that column kinds are decided before the first row is sent."""

    def __init__(self, source: FileSource, options: Options) -> None:
        self._source = source
        self._options = options
        self._texts: set[str] = set()
        self._forced: dict[str, str] = {}

    def survey(self, advance: Advance) -> Survey:
        survey = Survey("row")
        keys = Keys(survey)
        with self._opened() as file:
            schema = file.schema_arrow
            self._check_names(schema)
            self._forced = forced_kinds(self._options, schema.names)
            for name in self._options.key:
                known_column(name, schema.names, "--key")
            converter = Converter()
            for start, columns, problems in self._batches(file, converter):
                advance(self._source.size * start // max(1, file.metadata.num_rows))
                for row, error in sorted(problems.items()):
                    survey.refuse(row, error)
                for number, key in enumerate(self._keys(columns)):
                    if "" in key:
                        survey.refuse(start + number, f"the key {', '.join(self._options.key)} has no value here")
                    elif key:
                        keys.meet(start + number, key)
            survey.total = file.metadata.num_rows
            self._texts = {place for place, found in converter.found.items() if found.beyond}
        survey.columns = [self._column(field, converter) for field in schema]
        return survey

    def rows(self, names: Mapping[str, str]) -> Iterator[FileRow]:
        with self._opened() as file:
            converter = Converter(texts=self._texts)
            heads = [names.get(name, name) for name in file.schema_arrow.names]
            for start, columns, problems in self._batches(file, converter):
                keys = self._keys(columns)
                cells = zip(*columns.values(), strict=True)
                for number, (key, values) in enumerate(zip(keys, cells, strict=True), start):
                    error = problems.get(number)
                    if error is None and "" in key:
                        error = "the key has no value here"
                    body = b"" if error else msgspec.json.encode(dict(zip(heads, values, strict=True)))
                    yield FileRow(number, body, error, key)

    def _batches(self, file: Any, converter: Converter) -> Iterator[tuple[int, dict[str, list[Json]], dict[int, str]]]:
        """The first row's number, the columns, and the problems of rows."""
        start = 1
        for batch in file.iter_batches(batch_size=_BATCH):
            rows = range(start, start + batch.num_rows)
            converter.problems.clear()
            columns = {
                name: converter.values(name, batch.column(position), rows, self._forced.get(name))
                for position, name in enumerate(batch.schema.names)
            }
            yield start, columns, converter.problems
            start += batch.num_rows

    def _keys(self, columns: Mapping[str, list[Json]]) -> list[tuple[str, ...]]:
        count = len(next(iter(columns.values()), []))
        if not self._options.key:
            return [()] * count
        texts = [["" if each is None else _text(each) for each in columns[name]] for name in self._options.key]
        return list(zip(*texts, strict=True))

    def _column(self, field: Any, converter: Converter) -> ColumnDecision:
        name = field.name
        if name in self._forced:
            return ColumnDecision(name, self._forced[name], "as asked for")
        notes = [note_of(field.type)]
        kind = kind_of(field.type)
        for place, found in converter.found.items():
            if place != name and not place.startswith((f"{name}.", f"{name}[", f"{name} (")):
                continue
            inner = "" if place == name else f"{place}: "
            if found.beyond:
                row, value = found.beyond
                notes.append(f"{inner}text, for row {row:,} has {value}, which no double or 64-bit integer is")
                kind = "text" if place == name else "list of text" if place == f"{name}[]" else kind
            if found.nans:
                notes.append(f"{inner}{found.nans:,} NaN became null")
        return ColumnDecision(name, kind, "; ".join(filter(None, notes)))

    def _check_names(self, schema: Any) -> None:
        def check(names: list[str], where: str) -> None:
            for position, name in enumerate(names):
                if name in names[:position]:
                    raise LoadError(f"{self._source.name}: two columns{where} are called {name!r}; rename one of them")

        check(schema.names, "")
        check_names(self._source.name, schema.names, self._options)
        if not schema.names:
            raise LoadError(f"{self._source.name}: the file has no columns")
        for field in schema:
            if pyarrow.types.is_struct(field.type):
                check([each.name for each in field.type], f" of {field.name}")

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        name = self._source.name
        try:
            with self._source.seekable() as raw, pyarrow.parquet.ParquetFile(raw) as file:
                yield file
        except (pyarrow.ArrowException, OSError) as error:
            raise LoadError(f"{name}: this is not a complete Parquet file: {str(error).splitlines()[0]}") from None


def _text(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
