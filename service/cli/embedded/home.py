"""Manages the server's home folder: jars fetched by a checksum lock and laid out as the server expects."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from requests import Session

Progress = Callable[[int, int], None]

LOCK = Path(__file__).with_name("lock-3.8.0.tsv")
THREADS = 8
ATTEMPTS = 4
MARKER = "complete.tsv"
# These two add scripting contexts to Painless, so their class loader must see it.
EXTENDS = {"ingest-common": "lang-painless", "analysis-common": "lang-painless"}


class EmbeddedError(RuntimeError):
    """The embedded node cannot be provided or started; the message says what happened and what to do."""


@dataclass(frozen=True)
class Jar:
    """One line of the lock: a jar's path in the home, its Maven coordinates and its checksum."""

    folder: str
    group: str
    artifact: str
    packaging: str
    classifier: str
    version: str
    sha256: str

    @classmethod
    def parse(cls, folder: str, coordinates: str, sha256: str) -> Jar:
        group, artifact, packaging, classifier, version = coordinates.split(":")
        return cls(folder, group, artifact, packaging, classifier, version, sha256)

    @property
    def name(self) -> str:
        classifier = f"-{self.classifier}" if self.classifier else ""
        return f"{self.artifact}-{self.version}{classifier}.{self.packaging}"

    @property
    def path(self) -> str:
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.name}"

    @property
    def cached(self) -> str:
        # Named by content, so that two locks can never disagree about a file.
        return f"{self.sha256[:16]}-{self.name}"


def default_cache() -> Path:
    """The folder shared by all homes of this user; TALLY_CACHE_DIR overrides it."""
    if chosen := os.environ.get("TALLY_CACHE_DIR"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "tally"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tally"


def ensure_home(cache: Path, progress: Progress | None = None, *, lock: Path = LOCK) -> Path:
    """The server's home under `cache`, fetched on first use; `progress` gets (files done, total files).

    Safe to call from several processes at once: one fetches, the others wait.
    Jars come from Maven Central, or from the mirror named by TALLY_MAVEN_URL.
    """
    text = lock.read_bytes()
    jars = [Jar.parse(*row) for row in _rows(text)]
    version = next(jar.version for jar in jars if (jar.group, jar.artifact) == ("org.opensearch", "opensearch"))
    home = cache.resolve() / f"opensearch-{version}-{hashlib.sha256(text).hexdigest()[:12]}"
    if _complete(home):
        return home
    with _plain_errors(cache), exclusive(cache):
        if not _complete(home):
            store = home.parent / "jars"
            _fetch_all(jars, store, progress)
            _lay_out(jars, store, home, version)
    return home


def _rows(text: bytes) -> Iterator[list[str]]:
    return (line.split("\t") for line in text.decode().splitlines() if line)


@contextmanager
def _plain_errors(cache: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        if e.errno in (errno.ENOSPC, errno.EDQUOT):
            raise EmbeddedError(
                f"The disk is full: {cache} needs about 400 MB. Free some space, "
                "or set TALLY_CACHE_DIR to a folder on another disk."
            ) from e
        raise EmbeddedError(f"Cannot write to {cache}: {e}. Set TALLY_CACHE_DIR to a folder you can write to.") from e


@contextmanager
def exclusive(cache: Path) -> Iterator[None]:
    """For one process at a time; the others wait. Raises `EmbeddedError` if the extra is not installed."""
    try:
        from filelock import FileLock
    except ImportError as e:
        raise _extra_missing("filelock") from e
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "provisioning.lock"):
        yield


def _extra_missing(package: str) -> EmbeddedError:
    return EmbeddedError(
        f"The embedded node needs the package {package}. Install the extra: tally-aggregations[embedded]."
    )


def _complete(home: Path) -> bool:
    """The marker is written last; sizes are compared because copies and full disks truncate silently."""
    try:
        rows = list(_rows((home / MARKER).read_bytes()))
        return bool(rows) and all((home / path).stat().st_size == int(size) for path, size in rows)
    except (OSError, ValueError):
        return False


def _fetch_all(jars: Iterable[Jar], store: Path, progress: Progress | None) -> None:
    wanted = list({jar.cached: jar for jar in jars}.values())
    report = progress or (lambda done, total: None)
    report(0, len(wanted))
    store.mkdir(parents=True, exist_ok=True)
    base = _repository()
    try:
        from requests import Session
    except ImportError as e:
        raise _extra_missing("requests") from e
    with Session() as session:
        pool = ThreadPoolExecutor(THREADS, "fetch")
        try:
            futures = [pool.submit(_fetch, session, jar, store, base) for jar in wanted]
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                report(done, len(wanted))
        finally:
            # Stop at the first failure or Ctrl-C: fetching the rest would be pointless.
            pool.shutdown(cancel_futures=True)


def _repository() -> str:
    if mirror := os.environ.get("TALLY_MAVEN_URL"):
        if not mirror.startswith(("http://", "https://")):
            raise EmbeddedError(f"TALLY_MAVEN_URL must be an http or https address, not {mirror!r}.")
        return mirror.rstrip("/")
    try:
        from jgo.constants import MAVEN_CENTRAL_URL
    except ImportError as e:
        raise _extra_missing("jgo") from e
    return str(MAVEN_CENTRAL_URL).rstrip("/")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(session: Session, jar: Jar, store: Path, base: str) -> None:
    """Fetches one jar into the store; a file with the right checksum is kept, any other is replaced."""
    from requests import HTTPError, RequestException

    target = store / jar.cached
    if target.is_file() and _sha256(target) == jar.sha256:
        return
    url, part = f"{base}/{jar.path}", target.with_suffix(".part")
    mismatches, last = 0, ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(0.25 * 4 ** (attempt - 1))
        try:
            _download(session, url, part)
        except HTTPError as e:
            last = str(e)
            if e.response is not None and e.response.status_code in (401, 403, 404, 410):
                break  # a definite answer: a retry would change nothing
        except RequestException as e:
            last = str(e)
        else:
            if _sha256(part) == jar.sha256:
                part.replace(target)
                return
            part.unlink()
            mismatches += 1
            if mismatches == 2:
                raise EmbeddedError(
                    f"{url} came twice with a wrong checksum (expected sha256 {jar.sha256}). A proxy or "
                    "mirror may be changing files; set TALLY_MAVEN_URL to a mirror you trust and try again."
                )
    raise EmbeddedError(
        f"Cannot fetch {url}: {last}. Check the network connection and proxy settings, or set "
        "TALLY_MAVEN_URL to a reachable Maven mirror; files fetched so far are kept."
    )


def _download(session: Session, url: str, part: Path) -> None:
    with session.get(url, timeout=(10, 60), stream=True) as answer:
        answer.raise_for_status()
        with part.open("wb") as file:
            for chunk in answer.iter_content(1 << 16):
                file.write(chunk)


def _lay_out(jars: list[Jar], store: Path, home: Path, version: str) -> None:
    """Builds the home next to its final path and renames it, so that no process sees an incomplete one."""
    work = Path(tempfile.mkdtemp(prefix=f".{home.name}-", dir=home.parent))
    try:
        (work / "plugins").mkdir()
        modules: dict[str, list[Path]] = {}
        for jar in jars:
            target = work / jar.folder / jar.name
            target.parent.mkdir(parents=True, exist_ok=True)
            _place(store / jar.cached, target)
            kind, _, module = jar.folder.partition("/")
            if kind == "modules":
                modules.setdefault(module, []).append(target)
        for module, files in modules.items():
            descriptor = _descriptor(module, version, _plugin_class(module, files))
            (work / "modules" / module / "plugin-descriptor.properties").write_text(descriptor)
        sizes = [f"{p.relative_to(work)}\t{p.stat().st_size}\n" for p in sorted(work.rglob("*")) if p.is_file()]
        (work / MARKER).write_text("".join(sizes))
        work.chmod(0o755)
        if home.exists():  # damaged; a node that still runs from it keeps its open files
            home.replace(work.with_name(f"{work.name}-old"))
        work.replace(home)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(work.with_name(f"{work.name}-old"), ignore_errors=True)


def _place(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def _plugin_class(module: str, jars: list[Path]) -> str:
    """The entry point, which no file in the jar names: its only top-level *Plugin class."""
    own = next(jar for jar in jars if jar.name.startswith(module))
    with zipfile.ZipFile(own) as archive:
        found = [n for n in archive.namelist() if re.fullmatch(r"org/opensearch/[\w/]+Plugin\.class", n)]
    if len(found) != 1:
        raise EmbeddedError(f"{own.name} should hold one *Plugin class but holds {found}; the lock is wrong.")
    return found[0].removesuffix(".class").replace("/", ".")


def _descriptor(module: str, version: str, classname: str) -> str:
    return (
        f"description={module}\nversion={version}\nname={module}\nclassname={classname}\njava.version=21\n"
        f"opensearch.version={version}\ncustom.foldername=\nextended.plugins={EXTENDS.get(module, '')}\n"
        "has.native.controller=false\n"
    )
