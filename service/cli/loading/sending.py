"""Sends rows in chunks, each acknowledged before the next, so that it is always known what is stored."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from service.cli.loading.connection import Refused
from service.cli.loading.errors import LoadError
from service.cli.loading.table import SHOWN, FileRow

CHUNK_ROWS: Final = 5_000
CHUNK_BYTES: Final = 4_000_000

Send = Callable[[Sequence[FileRow]], Awaitable["LoadReport"]]


@dataclass
class LoadReport:
    """The outcome of rows."""

    stored: int = 0
    replayed: int = 0
    """Stored rows that existed already."""
    refused: int = 0
    errors: list[FileRow] = field(default_factory=list)
    """The first refused rows, in order."""

    def add(self, other: "LoadReport") -> None:
        self.stored += other.stored
        self.replayed += other.replayed
        self.refused += other.refused
        self.errors = sorted([*self.errors, *other.errors], key=lambda row: row.number)[:SHOWN]


class Interrupted(LoadError):
    """A load was interrupted. `done`: rows that the service has acknowledged, counted from the first of the file."""

    def __init__(self, message: str, done: int) -> None:
        super().__init__(message)
        self.done = done


@dataclass
class Load:
    """A load in progress: its position, and the outcome of the rows so far."""

    skipped: int = 0
    done: int = 0
    outcome: LoadReport = field(default_factory=LoadReport)

    async def run(
        self, rows: Iterator[FileRow], send: Send, advance: Callable[[int], None], most_rows: int, most_bytes: int
    ) -> None:
        """Sends all rows; raises `Interrupted` with the progress. The next chunk is read while one is sent."""
        self.done = self.skipped
        chunks = _chunks(itertools.islice(rows, self.skipped, None), most_rows, most_bytes)
        ahead = asyncio.create_task(asyncio.to_thread(next, chunks, None))
        try:
            while chunk := await ahead:
                ahead = asyncio.create_task(asyncio.to_thread(next, chunks, None))
                bad = [row for row in chunk if row.error is not None]
                good = [row for row in chunk if row.error is None]
                outcome = LoadReport(refused=len(bad), errors=bad[:SHOWN])
                if good:
                    outcome.add(await send(good))
                self.outcome.add(outcome)
                self.done += len(chunk)
                advance(len(chunk))
        except LoadError as error:
            raise Interrupted(str(error), self.done) from None
        finally:
            # A thread cannot be stopped; it finishes reading its chunk.
            await asyncio.gather(ahead, return_exceptions=True)


def _chunks(rows: Iterator[FileRow], most_rows: int, most_bytes: int) -> Iterator[list[FileRow]]:
    chunk: list[FileRow] = []
    size = 0
    for row in rows:
        if chunk and (len(chunk) >= most_rows or size + len(row.body) > most_bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append(row)
        size += len(row.body)
    if chunk:
        yield chunk


def outcome_of_import(rows: Sequence[FileRow], summary: dict[str, Any], first_line: int = 1) -> LoadReport:
    """An import's answer in the file's own row numbers."""
    if "succeeded_count" not in summary or summary.get("lines") != len(rows):
        raise Refused(f"the service did not read all lines of the request: it answers {str(summary)[:200]}", 200)
    errors = [
        FileRow(rows[each["line"] - first_line].number, error=each["error"])
        for each in summary["errors"]
        if 0 <= each["line"] - first_line < len(rows)
    ]
    return LoadReport(summary["succeeded_count"], summary.get("replayed_count", 0), summary["failed_count"], errors)
