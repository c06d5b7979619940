"""CSV and TSV: every cell is text unless its whole column is of another kind."""

import codecs
import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import orjson

from service.cli.loading.cells import Deciding, written
from service.cli.loading.errors import LoadError, UsageError
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

_LONGEST_CELL: Final = 1 << 30
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHERS: Final = {";": "';'", "\t": "tab", "|": "'|'", ",": "','"}


def encoding_of(source: FileSource, given: str | None) -> str:
    """The given encoding, else the one that the first bytes indicate, else UTF-8."""
    if given is not None:
        try:
            return "utf-8-sig" if codecs.lookup(given).name == "utf-8" else given
        except LookupError:
            raise UsageError(f"--encoding {given}: there is no such encoding; try utf-8, latin-1 or cp1252") from None
    first = source.begins(4)
    return next((name for mark, name in _BOMS if first.startswith(mark)), "utf-8-sig")


def undecodable(source: FileSource, encoding: str) -> str:
    """A message with the line of the first bytes that are invalid in the encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    with source.open() as binary:
        while True:
            block = binary.read(1 << 16)
            # Byte by byte in the failing block, to get the right line.
            state = decoder.getstate()
            try:
                line += decoder.decode(block, final=not block).count("\n")
            except UnicodeDecodeError:
                decoder.setstate(state)
                for place in range(len(block)):
                    try:
                        line += decoder.decode(block[place : place + 1]).count("\n")
                    except UnicodeDecodeError as error:
                        return f"line {line:,}: the byte 0x{error.object[error.start]:02x} is not {plain(encoding)}"
                return f"line {line:,}: the file ends in the middle of a character"
            if not block:
                return "some bytes are not text"


def plain(encoding: str) -> str:
    return encoding.removesuffix("-sig").upper()


class Delimited:
    """A file of delimited cells with a header."""

    def __init__(self, source: FileSource, options: Options, delimiter: str) -> None:
        self._source = source
        self._options = options
        self._encoding = encoding_of(source, options.encoding)
        self._delimiter = options.delimiter or delimiter
        self._header: list[str] = []
        self._kinds: list[str] = []
        self._begins = 1
        """The first line of the row being read."""
        csv.field_size_limit(_LONGEST_CELL)

    def survey(self, advance: Advance) -> Survey:
        survey = Survey("line")
        keys = Keys(survey)
        blank = 0
        with self._reader(advance) as reader:
            self._header = self._checked(self._head(reader))
            forced = forced_kinds(self._options, self._header)
            options = self._options
            columns = [Deciding(name, options.nulls, forced.get(name), options.typed) for name in self._header]
            places = [self._header.index(name) for name in options.key]
            begins = self._begins = reader.line_num + 1
            for cells in reader:
                line, begins = begins, reader.line_num + 1
                self._begins = begins
                if not cells:
                    blank += 1
                    continue
                survey.total += 1
                if problem := self._ragged(cells):
                    survey.refuse(line, problem)
                    continue
                if missing := [
                    name for name, place in zip(options.key, places, strict=True) if self._is_null(cells[place])
                ]:
                    survey.refuse(line, f"the key {missing[0]} has no value here")
                    continue
                try:
                    for column, cell in zip(columns, cells, strict=True):
                        column.meet(cell, line)
                except ValueError as error:
                    survey.refuse(line, f"{column.name}: {error}; --types {column.name}=text takes it as it is")
                    continue
                if places:
                    keys.meet(line, tuple(cells[place] for place in places))
        self._kinds = [column.kind for column in columns]
        survey.columns = [ColumnDecision(column.name, column.kind, column.note) for column in columns]
        if self._encoding not in ("utf-8-sig", "ascii"):
            survey.notes.append(f"read as {plain(self._encoding)}")
        if blank:
            survey.notes.append(f"{blank:,} blank {'line' if blank == 1 else 'lines'} passed over")
        return survey

    def rows(self, names: Mapping[str, str]) -> Iterator[FileRow]:
        heads = [orjson.dumps(names.get(name, name)) + b":" for name in self._header]
        columns = list(zip(heads, self._kinds, strict=True))
        places = [self._header.index(name) for name in self._options.key]
        with self._reader(None) as reader:
            if self._head(reader) != self._header:
                raise LoadError(f"{self._source.name}: the file changed while it was read")
            begins = reader.line_num + 1
            for cells in reader:
                line, begins = begins, reader.line_num + 1
                if not cells:
                    continue
                if problem := self._ragged(cells):
                    yield FileRow(line, error=problem)
                    continue
                try:
                    parts = [
                        head + (self._null(cell, kind) or written(cell, kind))
                        for (head, kind), cell in zip(columns, cells, strict=True)
                    ]
                except ValueError as error:
                    yield FileRow(line, error=str(error))
                    continue
                key = tuple(cells[place] for place in places)
                if any(map(self._is_null, key)):
                    yield FileRow(line, error="the key has no value here")
                    continue
                yield FileRow(line, b"{" + b",".join(parts) + b"}", key=key)

    def _is_null(self, cell: str) -> bool:
        return not cell or cell in self._options.nulls

    def _null(self, cell: str, kind: str) -> bytes | None:
        """null for a cell without a value; in a text column an empty cell is a text."""
        if cell in self._options.nulls or (not cell and kind != "text"):
            return b"null"
        return None

    @contextmanager
    def _reader(self, advance: Advance | None) -> "Iterator[csv._reader]":  # type: ignore[name-defined]
        name, encoding = self._source.name, self._encoding
        options = self._options
        with self._source.open(advance) as binary:
            text = io.TextIOWrapper(binary, encoding, newline="")
            reader = csv.reader(
                text,
                strict=True,
                delimiter=self._delimiter,
                quotechar=options.quote,
                quoting=csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE,
            )
            try:
                yield reader
            except UnicodeDecodeError:
                where = undecodable(self._source, encoding)
                raise LoadError(
                    f"{name}: {where}; nothing was sent. Name the encoding of the file, such as --encoding latin-1 "
                    "or --encoding cp1252"
                ) from None
            except csv.Error as error:
                endless = "unexpected end of data" in str(error)
                line = self._begins if endless else max(1, reader.line_num)
                raise LoadError(f"{name}: line {line:,}: {_explained(str(error))}; nothing was sent") from None
            finally:
                text.detach()

    def _head(self, reader: Iterator[list[str]]) -> list[str]:
        return next((cells for cells in reader if cells), [])

    def _checked(self, header: list[str]) -> list[str]:
        name = self._source.name
        if not header:
            raise LoadError(f"{name}: the file is empty; its first line names the columns")
        for position, column in enumerate(header):
            if column in header[:position]:
                raise LoadError(
                    f"{name}: line 1: two columns are called {column!r} (number {header.index(column) + 1} and "
                    f"{position + 1}); rename one of them"
                )
        check_names(f"{name}: line 1", header, self._options)
        if len(header) == 1 and self._options.delimiter is None:
            for other, spelled in _OTHERS.items():
                if other != self._delimiter and other in header[0]:
                    raise LoadError(
                        f"{name}: line 1 is one column, {header[0][:60]!r}; if {spelled} parts the cells say "
                        f"--delimiter {spelled}, else --delimiter {_OTHERS.get(self._delimiter, self._delimiter)}"
                    )
        for column in self._options.key:
            known_column(column, header, "--key")
        return header

    def _ragged(self, cells: list[str]) -> str | None:
        if len(cells) == len(self._header):
            return None
        return f"{len(cells)} {'cell' if len(cells) == 1 else 'cells'}, where the header has {len(self._header)}"


def _explained(error: str) -> str:
    if "unexpected end of data" in error:
        return "a quote that is opened in this row is never closed; --quote none takes quotes as part of the cells"
    if "expected after" in error:
        return f"{error}: a quote inside a quoted cell is doubled; --quote none takes quotes as part of the cells"
    return error
