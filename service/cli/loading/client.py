"""A client of a running Tally: creates what a load needs, and sends objects and records."""

import asyncio
import itertools
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson
from rich.console import Console

from service.cli.loading.connection import Connection, Refused, in_path
from service.cli.loading.errors import LoadError
from service.cli.loading.progress import storing
from service.cli.loading.sending import CHUNK_BYTES, CHUNK_ROWS, Load, LoadReport, outcome_of_import
from service.cli.loading.table import SHOWN, FileRow
from service.spelling import misspelt

_RECORDS: Final = 1_000
_NAMES: Final = 1_000
_RECORD_BYTES: Final = 8_000_000
_ITEM: Final = re.compile(r"\bitems[.\[](\d+)")
_TRANSIENT: Final = ("TooManyRequestsError", "ServiceUnavailableError")


class Loader:
    """Loads rows into buckets and streams of one namespace."""

    def __init__(
        self,
        address: str,
        api_key: str,
        namespace: str,
        console: Console,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """`say` gets a line for each resource that is created because it was missing: its name may be misspelt."""
        self._connection = Connection(address, api_key, namespace)
        self._say = say
        self._namespace = namespace
        self._console = console

    # Buckets

    async def load(self, bucket: str, lines: Iterator[bytes], total: int | None) -> Mapping[str, Any]:
        """Loads objects, one per line, into a bucket; creates namespace and bucket if missing. Returns its totals."""
        await self.ensure(bucket)
        started = time.perf_counter()
        load = Load()
        await self.objects(bucket, (FileRow(number, line) for number, line in enumerate(lines, 1)), load, total)
        outcome = load.outcome
        return {
            "succeeded_count": outcome.stored,
            "failed_count": outcome.refused,
            "seconds": round(time.perf_counter() - started, 1),
            "errors": [{"line": row.number, "error": row.error} for row in outcome.errors],
        }

    async def objects(
        self, bucket: str, rows: Iterator[FileRow], load: Load, total: int | None, query: str = ""
    ) -> None:
        """Loads objects, one JSON row each, into an existing bucket. A chunk that did not arrive is sent again."""
        restored = "restore=true" in query

        async def send(chunk: Sequence[FileRow]) -> LoadReport:
            # A restored object's position is its line in the whole file.
            first = load.done + 1 if restored else 1
            more = [query, f"first_line={first}" if restored else ""]
            path = f"/v1/buckets/{in_path(bucket)}/objects/import"
            asked = "&".join(filter(None, more))
            data = b"\n".join(row.body.rstrip(b"\r\n") for row in chunk) + b"\n"
            for attempt in itertools.count():
                summary = await connection.send_again("POST", f"{path}?{asked}" if asked else path, data)
                if attempt >= 5 or not any(each["error_type"] in _TRANSIENT for each in summary.get("errors", ())):
                    return outcome_of_import(chunk, summary, first)
                await asyncio.sleep(2**attempt)
            raise AssertionError("not reached")

        async with self._connection as connection:
            with storing(self._console, bucket, None if total is None else total - load.skipped) as advance:
                await load.run(rows, send, advance, CHUNK_ROWS, CHUNK_BYTES)

    async def metadata(self, bucket: str) -> Mapping[str, Any] | None:
        """The bucket's metadata; None if there is no such bucket or namespace."""
        async with self._connection as connection:
            answer = await connection.find(f"/v1/buckets/{in_path(bucket)}")
        return None if answer is None else dict(answer.get("metadata") or {})

    async def ensure(self, bucket: str, metadata: Mapping[str, Any] | None = None, key: Sequence[str] = ()) -> None:
        """Creates namespace and bucket if missing; with a key, the bucket identifies objects by it."""
        body: dict[str, Any] = {"bucket_name": bucket}
        if metadata:
            body["metadata"] = metadata
        if key:
            body["unique_key"] = {"fields": list(key), "default_policy": "upsert"}
        async with self._connection as connection:
            await self._ensure_namespace(connection)
            there = await connection.find(f"/v1/buckets/{in_path(bucket)}")
            if there is None:
                asked = {"limit": _NAMES}
                names = await _names(connection, "POST", "/v1/buckets/list", "results", "bucket_name", asked)
                if "error" not in await connection.send("POST", "/v1/buckets", body, accept=(409,)):
                    self._made("bucket", bucket, names)
                there = await connection.find(f"/v1/buckets/{in_path(bucket)}") or {}
            if key:
                await self._ensure_key(connection, bucket, there, body["unique_key"])

    async def _ensure_namespace(self, connection: Connection) -> None:
        if await connection.find(f"/v1/namespaces/{in_path(self._namespace)}") is None:
            asked = {"limit": _NAMES}
            names = await _names(connection, "POST", "/v1/namespaces/list", "results", "namespace_name", asked)
            body = {"namespace_name": self._namespace}
            if "error" not in await connection.send("POST", "/v1/namespaces", body, accept=(409,)):
                self._made("namespace", self._namespace, names)

    def _made(self, kind: str, name: str, names: Iterable[str]) -> None:
        meant = misspelt(name, [each for each in names if each != name])
        self._say(f"made the {kind} {name}" + (f"; did you mean {meant}, which was there?" if meant else ""))

    async def _ensure_key(
        self, connection: Connection, bucket: str, there: Mapping[str, Any], wanted: Mapping[str, Any]
    ) -> None:
        have = (there.get("unique_key") or {}).get("fields")
        if have == wanted["fields"]:
            return
        if have is not None:
            raise LoadError(
                f"the bucket {bucket} identifies objects by {', '.join(have)}, not by {', '.join(wanted['fields'])}; "
                "load into another bucket, or with the same --key"
            )
        if there.get("object_count"):
            raise LoadError(
                f"the bucket {bucket} has {there['object_count']:,} objects that were stored without a key, which "
                "--key could not find again; load into another bucket"
            )
        await connection.send("PATCH", f"/v1/buckets/{in_path(bucket)}", {"unique_key": wanted})

    async def mark(self, bucket: str, metadata: Mapping[str, Any]) -> None:
        async with self._connection as connection:
            await connection.send("PATCH", f"/v1/buckets/{in_path(bucket)}", {"metadata": metadata})

    async def drop(self, bucket: str) -> None:
        async with self._connection as connection:
            await connection.send("DELETE", f"/v1/buckets/{in_path(bucket)}")

    # Streams

    async def records(
        self, stream: str, container: Mapping[str, Any], items: Iterator[dict[str, Any]], size: int
    ) -> None:
        """Loads records into a stream once; creates space, container and stream if missing."""
        async with self._connection as connection:
            path = f"{self._base}/streams/{in_path(stream)}?includeStatistics=true"
            found = await connection.find(path)
        if found and found["settings"]["limits"]["maxRecordsTotal"]["consumed"] >= size:
            return
        await self.ensure_stream(stream, container)
        rows = (FileRow(number, orjson.dumps(item)) for number, item in enumerate(items, 1))
        load = Load()
        await self.stream_records(stream, rows, load, size)
        if load.outcome.refused:
            raise LoadError(f"record {load.outcome.errors[0].number:,}: {load.outcome.errors[0].error}")

    async def container(self, space: str, external_id: str) -> Mapping[str, Any] | None:
        """An existing container, or None."""
        asked = {"items": [{"space": space, "externalId": external_id}]}
        async with self._connection as connection:
            await self._ensure_namespace(connection)
            answer = await connection.send("POST", f"{self._base}/models/containers/byids", asked, accept=(400, 404))
        return next(iter(answer.get("items", ())), None)

    async def ensure_stream(self, stream: str, container: Mapping[str, Any]) -> None:
        """Creates space, container and stream if missing; existing properties of the container are kept."""
        made = {"externalId": stream, "settings": {"template": {"name": "BasicLiveData"}}}
        async with self._connection as connection:
            await self._ensure_namespace(connection)
            models = f"{self._base}/models"
            space, name = container["space"], container["externalId"]
            spaces = await _names(connection, "GET", f"{models}/spaces?limit={_NAMES}", "items", "space")
            await connection.send("POST", f"{models}/spaces", {"items": [{"space": space}]})
            if space not in spaces and len(spaces) < _NAMES:
                self._made("space", space, spaces)
            within = f"{models}/containers?limit={_NAMES}&space={in_path(space)}"
            containers = await _names(connection, "GET", within, "items", "externalId")
            await connection.send("POST", f"{models}/containers", {"items": [container]})
            if name not in containers and len(containers) < _NAMES:
                self._made("container", name, containers)
            streams = await _names(connection, "GET", f"{self._base}/streams", "items", "externalId")
            answer = await connection.send("POST", f"{self._base}/streams", {"items": [made]}, accept=(409,))
            if "error" not in answer:
                self._made("stream", stream, streams)

    async def stream_records(self, stream: str, rows: Iterator[FileRow], load: Load, total: int | None) -> None:
        """Loads records, one JSON row each, into an existing stream."""
        async with self._connection as connection:
            about = await connection.find(f"{self._base}/streams/{in_path(stream)}") or {}
            route = "records" if about.get("type") == "Immutable" else "records/upsert"
            path = f"{self._base}/streams/{in_path(stream)}/{route}?refresh=wait_for"

            async def send(chunk: Sequence[FileRow]) -> LoadReport:
                return await _upserted(connection, path, chunk)

            with storing(self._console, stream, None if total is None else total - load.skipped) as advance:
                await load.run(rows, send, advance, _RECORDS, _RECORD_BYTES)

    @property
    def _base(self) -> str:
        return f"/api/v1/projects/{in_path(self._namespace)}"


async def _names(
    connection: Connection, method: str, path: str, key: str, name: str, body: Mapping[str, Any] | None = None
) -> list[str]:
    """Existing names for a message: the first `_NAMES`, or none if they cannot be read."""
    try:
        answer = await connection.send(method, path, body)
    except Refused:
        return []
    return [each[name] for each in answer.get(key, ())]


async def _upserted(connection: Connection, path: str, chunk: Sequence[FileRow]) -> LoadReport:
    """Sends records; if the answer rejects one record, nothing was stored, and the rest is sent again without it."""
    outcome = LoadReport()
    left = list(chunk)
    while left:
        try:
            await connection.send_again("POST", path, b'{"items":[' + b",".join(row.body for row in left) + b"]}")
        except Refused as error:
            named = _ITEM.search(str(error))
            if named is None or int(named[1]) >= len(left) or outcome.refused >= SHOWN:
                raise
            row = left.pop(int(named[1]))
            outcome.add(LoadReport(refused=1, errors=[FileRow(row.number, error=str(error))]))
        else:
            outcome.stored = len(left)
            break
    return outcome


def metadata_line(row: FileRow, idempotency: str | None) -> bytes:
    """A table's row as an object; sent twice with the same idempotency key, it is stored once."""
    if idempotency is None:
        return b'{"metadata":' + row.body + b"}"
    return b'{"idempotency_key":%s,"metadata":%s}' % (json.dumps(f"{idempotency} {row.number}").encode(), row.body)


def object_line(row: FileRow, idempotency: str | None) -> bytes:
    """The same for a row that is an object already; its own idempotency key is kept."""
    if idempotency is None or not row.body.startswith(b"{") or b'"idempotency_key"' in row.body:
        return row.body
    rest = row.body[1:].lstrip()
    comma = b"" if rest.startswith(b"}") else b","
    return b'{"idempotency_key":%s%s%s' % (json.dumps(f"{idempotency} {row.number}").encode(), comma, rest)
