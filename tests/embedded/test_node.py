"""A real node starts, keeps its data, explains its failures, and never outlives us."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import psutil  # type: ignore[import-untyped]
import pytest

from service.cli.embedded import EmbeddedError, EmbeddedNode, default_cache, ensure_home, prepare_start

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def home() -> Path:
    return ensure_home(default_cache())


@pytest.fixture(scope="module")
def node(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedNode]:
    """One node for this module; its tests run in the order written, and the last one kills it."""
    with EmbeddedNode(home, tmp_path_factory.mktemp("node"), heap="256m") as node:
        yield node


def call(node: EmbeddedNode, method: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = Request(node.url + path, data, {"Content-Type": "application/json"}, method=method)
    with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
        return json.load(answer)


def cities(node: EmbeddedNode) -> list[str]:
    # An analyzed match and a script: two modules have to be loaded for it.
    script = {"script": {"script": "doc['people'].value > 1000"}}
    query = {"bool": {"must": {"match": {"name": "OSLO"}}, "filter": script}}
    hits = call(node, "POST", "/cities/_search", {"query": query})["hits"]["hits"]
    return [hit["_source"]["name"] for hit in hits]


def running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def ended(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not running(pid)


def test_indexes_and_searches(node: EmbeddedNode) -> None:
    assert node.alive()
    assert "started" in node.log_tail(100)
    call(node, "PUT", "/cities/_doc/1?refresh=true", {"name": "Oslo", "people": 700_000})
    assert cities(node) == ["Oslo"]


def test_a_start_has_what_the_first_one_learnt(tmp_path: Path, home: Path) -> None:
    """The cache is made once, found by each start, and does without where a Java or a disk does not."""
    prepare_start(home)
    ahead = EmbeddedNode(home).aot_cache
    made = ahead.stat()
    assert made.st_size > 10_000_000
    prepare_start(home)
    assert ahead.stat().st_mtime_ns == made.st_mtime_ns
    folder = tmp_path / "home"
    shutil.copytree(home, folder, copy_function=os.link, ignore=shutil.ignore_patterns("start-*"))
    no_java = tmp_path / "bin" / "java"
    no_java.parent.mkdir()
    no_java.write_text("#!/bin/sh\nexit 1\n")
    no_java.chmod(0o755)
    prepare_start(folder, no_java)
    with EmbeddedNode(folder, heap="256m") as node:
        assert not node.aot_cache.exists()
        assert call(node, "GET", "/")["version"]


def test_a_second_start_on_the_same_base_is_refused(home: Path, node: EmbeddedNode) -> None:
    with pytest.raises(EmbeddedError, match="Another process uses this data folder"):
        EmbeddedNode(home, node.base).start()
    with pytest.raises(EmbeddedError, match="already running"):
        node.start()
    assert cities(node) == ["Oslo"]


def test_a_second_start_on_the_same_data_is_refused(home: Path, node: EmbeddedNode) -> None:
    other = EmbeddedNode(home, heap="256m", settings={"path.data": f"{node.base}/data"})
    with pytest.raises(EmbeddedError, match=f"Another process uses this data folder: {node.base}/data"):
        other.start()
    assert other.base is None  # the temporary folder is gone
    assert cities(node) == ["Oslo"]


def test_a_port_in_use_is_named(home: Path, node: EmbeddedNode) -> None:
    port = int(node.url.rpartition(":")[2])
    with pytest.raises(EmbeddedError, match=f"Port {port} is taken"):
        EmbeddedNode(home, heap="256m", http_port=port).start()


def test_any_other_failure_shows_the_log(home: Path, tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"(?s)Invalid initial heap size.*logs"):
        EmbeddedNode(home, tmp_path, heap="-1").start()
    with pytest.raises(EmbeddedError, match="no Java program"):
        EmbeddedNode(home, tmp_path, java=tmp_path).start()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_data_survive_a_restart(node: EmbeddedNode, end: str) -> None:
    pid, url = node.pid, node.url
    watcher = psutil.Process(pid).ppid()
    getattr(node, end)()
    assert not running(pid)
    assert not running(watcher)
    assert not node.alive()
    node.start()
    assert node.url == url  # clients find it again
    assert cities(node) == ["Oslo"]


async def test_a_cancelled_start_leaves_nothing(home: Path) -> None:
    node = EmbeddedNode(home, heap="256m")
    before = set(psutil.Process().children(recursive=True))
    task = asyncio.create_task(node.astart())
    await asyncio.sleep(1)
    children = set(psutil.Process().children(recursive=True)) - before
    assert {child.name() for child in children} >= {"java"}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(running(child.pid) for child in children)
    assert not node.alive()
    assert node.base is None


PARENT = """
import os, time
from service.cli.embedded import EmbeddedNode, default_cache, ensure_home

node = EmbeddedNode(ensure_home(default_cache()), heap="256m").start()
child = os.fork()  # as multiprocessing does; it must not keep the pipe to the watcher open
if child:
    print(node.pid, child, node.base, flush=True)
time.sleep(120)
"""


def test_a_killed_parent_takes_the_node_along(home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        java, child, base = parent.stdout.readline().split()
        watcher = psutil.Process(int(java)).ppid()
        try:
            parent.kill()
            assert ended(int(java), 25)
            assert ended(watcher, 5)
            assert running(int(child))
            assert not Path(base).exists()
        finally:
            os.kill(int(child), signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_killed_watcher_takes_the_node_along(node: EmbeddedNode) -> None:
    java = node.pid
    os.kill(psutil.Process(java).ppid(), signal.SIGKILL)
    assert ended(java, 25)
    assert not node.alive()
