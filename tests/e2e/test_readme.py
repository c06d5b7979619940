"""The commands of README, docs/tutorial.md and docs/inspecting.md answer what is written there."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from tests.conftest import ROOT
from tests.support.processes import Service, free_port, listens

PORT = 8080
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[tuple[str, str | None]]:
    """Each bash block that begins with curl, and the json block that comes next, if one does."""
    blocks = [*_FENCED.findall(text), ("", "")]
    return [
        (code, following if next_language == "json" else None)
        for (language, code), (next_language, following) in pairwise(blocks)
        if language == "bash" and code.startswith("curl ")
    ]


def readme() -> str:
    return (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A folder like the repository's root while `make run` runs in it, and the port that answers."""
    folder = tmp_path_factory.mktemp("readme")
    port = free_port() if listens(PORT) else PORT
    settings = {"PORT": port, "OPENSEARCH_HEAP": "512m"}
    with Service("run", folder=folder / ".data", settings=settings) as service:
        service.says("Ctrl-C stops", 150)
        yield folder, port


def answered(command: str, folder: tuple[Path, int]) -> tuple[str, Any]:
    """Status and JSON; the command as it stands, but for the port where 8080 is somebody else's."""
    where, port = folder
    command = command.replace(f"localhost:{PORT}", f"localhost:{port}").replace(
        f"127.0.0.1:{PORT}", f"127.0.0.1:{port}"
    )
    (where / ".curlrc").write_text('write-out = "\\n%{http_code}"\n')
    environment = {"PATH": os.environ["PATH"], "CURL_HOME": str(where), "HOME": str(where)}
    done = subprocess.run(
        ["bash", "-e", "-c", command], cwd=where, capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    return status, json.loads(body)


def without_time(answer: Any) -> Any:
    info = {name: value for name, value in answer.get("query_info", {}).items() if name != "execution_time_ms"}
    return {**answer, "query_info": info}


def without_ids(answer: Any) -> Any:
    """Ids as the README writes them."""
    written = {"object_id": "obj_…", "bucket_id": "bkt_…"}
    results = [{name: written.get(name, value) for name, value in row.items()} for row in answer["results"]]
    return {**answer, "results": results}


def inspecting() -> str:
    return (ROOT / "docs/inspecting.md").read_text()


def agrees(shown: Any, told: Any) -> bool:
    """Whether an answer is what is shown; `…` stands for any text, alone for any value, last in an array for more."""
    if isinstance(shown, str) and "…" in shown:
        pattern = ".*".join(map(re.escape, shown.split("…")))
        return shown == "…" or (isinstance(told, str) and re.fullmatch(pattern, told) is not None)
    if isinstance(shown, dict):
        return (
            isinstance(told, dict)
            and list(shown) == list(told)
            and all(agrees(value, told[name]) for name, value in shown.items())
        )
    if isinstance(shown, list):
        if shown[-1:] == ["…"]:
            shown, told = shown[:-1], told[: len(shown) - 1]
        return len(shown) == len(told) and all(map(agrees, shown, told))
    return bool(shown == told)


def test_there_are_commands_with_answers() -> None:
    """Without them the next test would pass on nothing."""
    assert any("$(cat .data/api-key)" in command and shown for command, shown in commands(readme()))


def test_the_commands_answer_as_shown(folder: tuple[Path, int]) -> None:
    """What is shown may be the first rows only; what it shows is the truth, to the letter and in that order."""
    for command, shown in commands(readme()):
        status, answer = answered(command, folder)
        assert status == "200", (command, answer)
        if shown is None:
            continue
        if "aggregates" in answer:
            assert json.loads(shown) == answer, command
            continue
        said, told = json.loads(shown), without_time(without_ids(answer))
        assert said.get("total_groups") == told.get("total_groups"), command
        for part in ("pagination", "stats"):
            assert said.get(part, {}).items() <= told.get(part, {}).items(), command
        assert said["results"], command
        assert json.dumps(said["results"]) == json.dumps(told["results"][: len(said["results"])]), command
        for name, value in without_time(said)["query_info"].items():
            assert told["query_info"][name] == value, (command, name)


def test_the_client_prints_what_is_shown(folder: tuple[Path, int]) -> None:
    """The vendor's package, as it is installed."""
    where, port = folder
    ((code, shown),) = re.findall(r"```python\n(.*?)```\n```text\n(.*?)```", readme(), re.DOTALL)
    code = code.replace(f"127.0.0.1:{PORT}", f"127.0.0.1:{port}")
    done = subprocess.run([sys.executable, "-c", code], cwd=where, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (shown, "")


def test_your_own_data(folder: tuple[Path, int]) -> None:
    """With two orders in each file."""
    where, port = folder
    orders = [{"sku": "b-2", "price": 3.5}, {"sku": "b-3", "price": 4}]
    (where / "orders.ndjson").write_text("".join(json.dumps({"metadata": each}) + "\n" for each in orders))
    parquet.write_table(pyarrow.Table.from_pylist(orders), where / "orders.parquet")
    (code,) = re.findall(r"```\n(export KEY=.*?)```", readme(), re.DOTALL)
    code = code.replace(f"127.0.0.1:{PORT}", f"127.0.0.1:{port}").replace(".venv/bin/python", sys.executable)
    (where / ".curlrc").write_text("fail\n")
    path = {"PATH": os.environ["PATH"], "CURL_HOME": str(where), "HOME": str(where)}
    settings = {"PYTHONPATH": str(ROOT), "TALLY_PORT": str(port)}
    done = subprocess.run(
        ["bash", "-e", "-c", code], cwd=where, capture_output=True, text=True, timeout=60, env=path | settings
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    url = f"http://127.0.0.1:{PORT}/v1/buckets/orders"
    key = "Authorization: Bearer $(cat .data/api-key)"
    _, bucket = answered(f'curl -s {url} -H "{key}" -H "X-Namespace: shop"', folder)
    assert bucket["object_count"] == 5


def test_the_clients_of_the_docs(folder: tuple[Path, int]) -> None:
    """In the project that the test before has made."""
    where, port = folder
    key = (where / ".data/api-key").read_text().strip()
    pages = ((ROOT / f"docs/clients-{face}.md").read_text() for face in ("objects", "records"))
    blocks = [block for page in pages for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL)]
    assert len(blocks) == 3
    for block in blocks:
        code = block.replace("sk_…", key).replace(f"127.0.0.1:{PORT}", f"127.0.0.1:{port}")
        done = subprocess.run([sys.executable, "-c", code], cwd=where, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (block, done.stderr)
        if "object_count" in block:
            assert done.stdout == "27004\n"


def test_a_command_goes_with_the_answer_right_after_it() -> None:
    curl, answer = "```bash\ncurl -s \\\n  x\n```\n", "```json\n{}\n```\n"
    assert commands(f"```bash\nmake run\n```\n{curl}\nanswers\n\n{answer}") == [("curl -s \\\n  x\n", "{}\n")]
    assert commands(f"{curl}```bash\nmake\n```\n{answer}") == [("curl -s \\\n  x\n", None)]
    assert commands(curl) == [("curl -s \\\n  x\n", None)]


def test_what_a_namespace_tells_is_what_is_shown(folder: tuple[Path, int]) -> None:
    shown = commands(inspecting())
    assert len(shown) == 3
    for command, answer in shown:
        status, told = answered(command, folder)
        assert status == "200", (command, told)
        assert answer is not None
        assert agrees(json.loads(answer), told), (command, told)


def test_the_tutorial_goes_as_it_says(folder: tuple[Path, int]) -> None:
    steps = commands((ROOT / "docs/tutorial.md").read_text())
    assert sum(answer is not None for _, answer in steps) >= 6
    for command, answer in steps:
        status, told = answered(command, folder)
        assert status == ("422" if "averge" in command else "200"), (command, told)
        assert answer is None or agrees(json.loads(answer), told), (command, told)


def test_the_dashboard_is_made_as_shown(folder: tuple[Path, int]) -> None:
    where, port = folder
    ((command, shown),) = re.findall(r"```bash\n(\.venv.*?)```\n```text\n(.*?)```", inspecting(), re.DOTALL)
    done = subprocess.run(
        ["bash", "-e", "-c", command.replace(".venv/bin/python", sys.executable)],
        cwd=where,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TALLY_PORT": str(port)},
    )
    assert (done.stdout, done.stderr, done.returncode) == (shown, "", 0)
    objects = [json.loads(line) for line in (where / "sample.ndjson").read_text().splitlines()]
    states = [json.loads(each["attributes"]["visState"]) for each in objects if each["type"] == "visualization"]
    fields = [state["aggs"][-1]["params"].get("field", "documents") for state in states]
    assert (
        fields == re.findall(r"^\| [\w ]+ \| `?([^|`]+?)`? \| ", inspecting().partition("For the sample:")[2], re.M)[1:]
    )


def test_a_wrong_answer_does_not_agree() -> None:
    """The comparison can fail."""
    told = {"a": "ns_1", "b": [1, 2, 3], "c": None}
    assert agrees({"a": "ns_…", "b": [1, "…"], "c": "…"}, told)
    for wrong in (
        {"a": "bkt_…", "b": [1, "…"], "c": None},
        {"a": "…", "b": [2, "…"], "c": None},
        {"a": "…", "b": [1, 2], "c": None},
        {"a": "…", "b": [1, 2, 3]},
        {"b": "…", "a": "…", "c": "…"},
    ):
        assert not agrees(wrong, told), wrong
