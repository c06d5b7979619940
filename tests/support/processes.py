"""Service processes for tests: started as a user does, their output kept, their end and their children watched."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
CLOCK = Path(__file__).parent / "clock"
"""What gives a Python process a wrong clock, if it is on its path."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def listens(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return True
    return False


def until(true: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def using(folder: Path) -> list[str]:
    """Processes that live and know of a data folder, by command line or environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if str(folder) in " ".join(process.cmdline()) or process.environ().get("TALLY_DATA_DIR") == str(folder):
                found.append(f"{process.pid} {' '.join(process.cmdline())[:100]}")
        except psutil.Error:
            continue
    return found


class Service:
    """`python -m service …` with settings of its own; every line it writes is kept with its moment."""

    def __init__(self, *arguments: str, folder: Path, settings: Mapping[str, object], clock: int | None = None) -> None:
        """`clock`: its clock is wrong by so many seconds; `set_clock` changes that while it runs."""
        self.folder = folder
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
        if cache := os.environ.get("TALLY_CACHE_DIR"):
            environment["TALLY_CACHE_DIR"] = cache
        # Nobody balances load between the services of most tests.
        environment["TALLY_DRAIN_SECONDS"] = "0"
        environment |= {f"TALLY_{name}": str(value) for name, value in settings.items()}
        environment |= {"TALLY_DATA_DIR": str(folder), "PYTHONUNBUFFERED": "1"}
        if clock is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self.set_clock(clock)
            environment |= {"PYTHONPATH": str(CLOCK), "TALLY_TEST_CLOCK": str(folder / "clock")}
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "service", *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        assert self.process.stdout
        assert self.process.stderr
        self._readers = [
            threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    def set_clock(self, seconds: int) -> None:
        """From now on (a tenth of a second later) the clock is wrong by so much."""
        new = self.folder / "clock.new"
        new.write_text(str(seconds))
        new.replace(self.folder / "clock")

    @staticmethod
    def _read(stream: IO[str], lines: list[str]) -> None:
        for line in stream:
            lines.append(line.rstrip("\n"))

    @property
    def text(self) -> str:
        return "\n".join(self.out + self.err)

    def says(self, words: str, seconds: float = 60) -> float:
        """Waits for words in the output; the seconds since the start."""
        deadline = time.monotonic() + seconds
        while words not in self.text and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if self.process.poll() is not None:
            self.ended()
        assert words in self.text, f"not said within {seconds} s: {words!r}\n{self.text}"
        return time.monotonic() - self.started

    def line_with(self, words: str) -> str:
        return next(line for line in self.out + self.err if words in line)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, seconds: float = 30) -> int:
        """The exit code, once the process is gone and its output read."""
        code = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(5)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.ended()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
