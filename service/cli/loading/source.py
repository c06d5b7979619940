"""The bytes of a file, a gzip file or stdin, re-readable from the beginning."""

import gzip
import hashlib
import io
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Final, cast

from service.cli.loading.errors import LoadError

_GZIP: Final = b"\x1f\x8b"


class FileSource:
    """A file that `open` reads from its beginning each time, decompressed.

    stdin is copied into a temporary file first, because types are decided over the whole of it.
    """

    def __init__(self, path: Path | None, stdin: BinaryIO | None = None) -> None:
        self.name = path.name if path else "stdin"
        self._spool: IO[bytes] | None = None
        if path is None:
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
            shutil.copyfileobj(stdin or sys.stdin.buffer, self._spool)
            self._spool.flush()
        self._path = path
        try:
            with self._raw() as raw:
                self.size = os.fstat(raw.fileno()).st_size
                self.packed = raw.read(2) == _GZIP
        except OSError as error:
            raise LoadError(f"{self.name}: {error.strerror or error}") from None

    def close(self) -> None:
        if self._spool is not None:
            self._spool.close()

    @property
    def plain_name(self) -> str:
        """Without `.gz`."""
        return self.name.removesuffix(".gz") if self.packed else self.name

    def begins(self, count: int) -> bytes:
        with self.open() as opened:
            return opened.read(count)

    @contextmanager
    def open(self, advance: Callable[[int], None] | None = None) -> Iterator[BinaryIO]:
        """Decompressed; `advance` gets the number of bytes of the file that have been read."""
        try:
            with self._raw() as raw:
                watched = io.BufferedReader(cast(io.RawIOBase, _Watched(raw, advance))) if advance else raw
                if self.packed:
                    with gzip.GzipFile(fileobj=watched) as unpacked:
                        yield cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, unpacked), 1 << 18))
                else:
                    yield watched
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise LoadError(f"{self.name}: the gzip file is broken or cut off ({error})") from None

    @contextmanager
    def seekable(self) -> Iterator[BinaryIO]:
        """The same for a reader that seeks."""
        if not self.packed:
            with self._raw() as raw:
                yield raw
            return
        with tempfile.TemporaryFile() as plain:
            with self.open() as opened:
                shutil.copyfileobj(opened, plain)
            plain.seek(0)
            yield cast(BinaryIO, plain)

    def digest(self) -> str:
        """A digest of the content."""
        with self._raw() as raw:
            return hashlib.file_digest(cast(io.BufferedReader, raw), "sha256").hexdigest()

    def _raw(self) -> BinaryIO:
        if self._spool is not None:
            return cast(BinaryIO, os.fdopen(_reopened(self._spool.fileno()), "rb"))
        assert self._path is not None  # noqa: S101
        return self._path.open("rb")


def _reopened(descriptor: int) -> int:
    """A descriptor of the same file that can be closed without closing the first; reads from the beginning."""
    copy = os.dup(descriptor)
    os.lseek(copy, 0, os.SEEK_SET)
    return copy


class _Watched(io.RawIOBase):
    def __init__(self, raw: BinaryIO, advance: Callable[[int], None]) -> None:
        self._raw = raw
        self._advance = advance
        self._done = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        count = self._raw.readinto(buffer)  # type: ignore[attr-defined]
        self._done += count
        self._advance(self._done)
        return int(count)
