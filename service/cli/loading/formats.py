"""Detects a file's format."""

from pathlib import Path
from typing import Final

from service.cli.loading.delimited import Delimited
from service.cli.loading.documents import Array, NdjsonDocuments, is_one_value
from service.cli.loading.errors import LoadError, UsageError
from service.cli.loading.source import FileSource
from service.cli.loading.table import Options, Table

FORMATS: Final = ("csv", "tsv", "parquet", "ndjson", "json")
_SUFFIXES: Final = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".parquet": "parquet", ".pq": "parquet", ".ndjson": "ndjson",
    ".jsonl": "ndjson", ".json": "json",
}  # fmt: skip


def table_of(source: FileSource, options: Options, format: str | None) -> Table:
    """The file as a table; raises `LoadError` for a format that cannot be loaded."""
    format = format or _recognised(source)
    if format == "parquet":
        if options.encoding or options.delimiter or options.nulls:
            raise UsageError("--encoding, --delimiter and --null are for files of text, not for Parquet")
        try:
            from service.cli.loading.parquet import Parquet
        except ImportError:
            raise LoadError("Parquet files need pyarrow: install the extra `files`") from None
        return Parquet(source, options)
    if format in ("csv", "tsv"):
        return Delimited(source, options, "," if format == "csv" else "\t")
    if format == "ndjson" or not is_one_value(source):
        return NdjsonDocuments(source, options)
    return Array(source, options)


def checked_format(format: str | None) -> str | None:
    if format is not None and format not in FORMATS:
        raise UsageError(f"--format {format}: there are {', '.join(FORMATS)}")
    return format


def checked_mark(given: str | None, option: str) -> str | None:
    """A single character, given directly or by name; None for `none`."""
    mark = {"tab": "\t", "\\t": "\t", "none": None}.get(given or "none", given)
    if mark is not None and (len(mark) != 1 or mark in "\r\n"):
        raise UsageError(f"{option} {given!r}: one character is needed, or `tab`")
    return mark


def _recognised(source: FileSource) -> str:
    suffix = Path(source.plain_name).suffix.lower()
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    first = source.begins(1_000).lstrip(b"\xef\xbb\xbf \r\n\t")
    if first.startswith(b"PAR1"):
        return "parquet"
    if first.startswith((b"{", b"[")):
        return "json"
    raise LoadError(
        f"{source.name}: which format is this? .ndjson, .jsonl, .json, .csv, .tsv and .parquet can be loaded, also "
        f"with .gz after it; or say --format {', '.join(FORMATS)}"
    )
