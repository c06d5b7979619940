"""The server's home is fetched by checksum, laid out once and repaired when damaged."""

import hashlib
import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from service.cli.embedded import EmbeddedError, default_cache, ensure_home, home

SERVER = "org/opensearch/opensearch/9.9.9/opensearch-9.9.9.jar"
PLUGIN = "org/opensearch/plugin/lively/9.9.9/lively-9.9.9.jar"


def plugin_jar() -> bytes:
    """A jar as a module's: one top-level plugin class among others."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("LivelyModulePlugin", "LivelyModulePlugin$Inner", "Plugins"):
            archive.writestr(f"org/opensearch/lively/{name}.class", b"")
    return buffer.getvalue()


@dataclass
class Repository:
    """A Maven repository on a loopback port, and what was asked of it."""

    files: dict[str, bytes] = field(default_factory=lambda: {SERVER: b"server" * 999, PLUGIN: plugin_jar()})
    failures: Counter[str] = field(default_factory=Counter)  # how often a path answers 503 first
    asked: Counter[str] = field(default_factory=Counter)

    def answer(self, path: str) -> tuple[int, bytes]:
        self.asked[path] += 1
        if self.asked[path] <= self.failures[path]:
            return 503, b""
        return (200, self.files[path]) if path in self.files else (404, b"")


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    repository = Repository()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = repository.answer(self.path.removeprefix("/mirror/"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        monkeypatch.setenv("TALLY_MAVEN_URL", f"http://127.0.0.1:{server.server_port}/mirror/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield repository
        server.shutdown()


@pytest.fixture
def lock(tmp_path: Path, repository: Repository) -> Path:
    sums = {path: hashlib.sha256(content).hexdigest() for path, content in repository.files.items()}
    path = tmp_path / "lock.tsv"
    path.write_text(
        f"lib\torg.opensearch:opensearch:jar::9.9.9\t{sums[SERVER]}\n"
        f"modules/lively\torg.opensearch.plugin:lively:jar::9.9.9\t{sums[PLUGIN]}\n"
    )
    return path


def test_lays_out_libraries_and_modules(tmp_path: Path, lock: Path) -> None:
    seen: list[tuple[int, int]] = []
    laid_out = ensure_home(tmp_path / "cache", lambda done, total: seen.append((done, total)), lock=lock)
    assert laid_out.name.startswith("opensearch-9.9.9-")
    assert (laid_out / "lib" / "opensearch-9.9.9.jar").read_bytes() == b"server" * 999
    assert (laid_out / "plugins").is_dir()
    descriptor = (laid_out / "modules" / "lively" / "plugin-descriptor.properties").read_text()
    assert "classname=org.opensearch.lively.LivelyModulePlugin\n" in descriptor
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_a_ready_home_asks_for_nothing(tmp_path: Path, lock: Path, repository: Repository) -> None:
    first = ensure_home(tmp_path, lock=lock)
    assert ensure_home(tmp_path, lock=lock) == first
    assert repository.asked == {SERVER: 1, PLUGIN: 1}


def test_homes_made_at_once_are_fetched_once(tmp_path: Path, lock: Path, repository: Repository) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda _: ensure_home(tmp_path, lock=lock), range(4)))) == 1
    assert repository.asked == {SERVER: 1, PLUGIN: 1}


def test_a_second_home_uses_the_same_jars(tmp_path: Path, lock: Path, repository: Repository) -> None:
    first = ensure_home(tmp_path, lock=lock)
    lock.write_text(lock.read_text() + "\n")
    assert ensure_home(tmp_path, lock=lock) != first
    assert repository.asked == {SERVER: 1, PLUGIN: 1}


def test_a_truncated_jar_is_fetched_again(tmp_path: Path, lock: Path, repository: Repository) -> None:
    jar = ensure_home(tmp_path, lock=lock) / "lib" / "opensearch-9.9.9.jar"
    with jar.open("r+b") as file:
        file.truncate(100)
    ensure_home(tmp_path, lock=lock)
    assert jar.read_bytes() == b"server" * 999
    assert repository.asked == {SERVER: 2, PLUGIN: 1}
    assert not list(tmp_path.glob(".opensearch-*"))


def test_a_damaged_cache_is_not_trusted(tmp_path: Path, lock: Path) -> None:
    (tmp_path / "jars").mkdir()
    sha = lock.read_text().split()[2]
    (tmp_path / "jars" / f"{sha[:16]}-opensearch-9.9.9.jar").write_bytes(b"half a ")
    laid_out = ensure_home(tmp_path, lock=lock)
    assert (laid_out / "lib" / "opensearch-9.9.9.jar").read_bytes() == b"server" * 999


def test_a_wrong_checksum_is_refused(tmp_path: Path, lock: Path, repository: Repository) -> None:
    repository.files[SERVER] = b"something else"
    with pytest.raises(EmbeddedError, match=r"twice with a wrong checksum.*TALLY_MAVEN_URL"):
        ensure_home(tmp_path, lock=lock)
    assert repository.asked[SERVER] == 2
    assert not list(tmp_path.glob("opensearch-*"))
    assert not list(tmp_path.glob("jars/*-opensearch-*"))


def test_a_short_outage_is_waited_out(tmp_path: Path, lock: Path, repository: Repository) -> None:
    repository.failures[SERVER] = 1
    ensure_home(tmp_path, lock=lock)
    assert repository.asked[SERVER] == 2


def test_a_jar_the_mirror_lacks_is_asked_for_once(tmp_path: Path, lock: Path, repository: Repository) -> None:
    del repository.files[SERVER]
    with pytest.raises(EmbeddedError, match="404"):
        ensure_home(tmp_path, lock=lock)
    assert repository.asked[SERVER] == 1


def test_no_network_says_what_to_do(tmp_path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "ATTEMPTS", 2)  # the same path, without the long waits
    monkeypatch.setenv("TALLY_MAVEN_URL", "http://127.0.0.1:9")
    with pytest.raises(EmbeddedError, match="Check the network"):
        ensure_home(tmp_path, lock=lock)


def test_a_folder_that_cannot_be_written_says_what_to_do(tmp_path: Path, lock: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match="TALLY_CACHE_DIR"):
        ensure_home(tmp_path / "file", lock=lock)


def test_the_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TALLY_CACHE_DIR", str(tmp_path))
    assert default_cache() == tmp_path
