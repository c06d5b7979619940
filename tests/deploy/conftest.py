"""kustomize and the compose reference loader, built once from the Go module proxy into the cache."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.embedded import default_cache

TOOLS = {
    "kustomize": "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1",
    "compose": "github.com/compose-spec/compose-go/v2/cmd@v2.4.9",
}


@pytest.fixture(scope="session")
def tools() -> dict[str, Path]:
    """Name → program."""
    home = default_cache() / "tools"
    home.mkdir(parents=True, exist_ok=True)
    found: dict[str, Path] = {}
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
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
