"""The wheel: what is in it, and that it works where nothing of the source tree is."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from service import __version__
from tests.conftest import ROOT

UV = str(Path(sys.executable).parent / "uv")


def done(*command: str, folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """What a command says; it has to succeed."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TALLY_", "PYTHON", "VIRTUAL"))}
    run = subprocess.run(command, cwd=folder, env={**clean, **(environment or {})}, capture_output=True, text=True)
    assert run.returncode == 0, (command, run.stdout[-2000:], run.stderr[-2000:])
    return run.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the tree, without a network: the build backend is among the locked development dependencies."""
    folder = tmp_path_factory.mktemp("dist")
    options = ("--wheel", "--quiet", "--offline", "--no-build-isolation", "--python", sys.executable)
    done(UV, "build", *options, "-o", str(folder), str(ROOT), folder=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def tally(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in an environment of its own, which borrows only the dependencies."""
    home = tmp_path_factory.mktemp("venv")
    done(sys.executable, "-m", "venv", "--without-pip", str(home), folder=home)
    python = str(home / "bin/python")
    done(UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, str(wheel), folder=home)
    where = done(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=home).strip()
    (Path(where) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin/tally"


def test_it_holds_the_service_and_its_files_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        about = {name.partition(".dist-info/")[2]: name for name in archive.namelist() if ".dist-info/" in name}
        metadata = archive.read(about["METADATA"]).decode()
        license = archive.read(about["licenses/LICENSE"]).decode()
    files = [*(ROOT / "service").rglob("*"), *(ROOT / "mappings").rglob("*")]
    paths = [each.relative_to(ROOT) for each in files if each.is_file() and "__pycache__" not in each.parts]
    wanted = {str(path if path.parts[0] == "service" else Path("service", path)) for path in paths}
    assert names == wanted
    assert any(name.startswith("service/mappings/templates/") for name in names)
    assert "License-Expression: Apache-2.0" in metadata
    assert "Apache License" in license


def test_the_command_tells_its_version(tally: Path, tmp_path: Path) -> None:
    assert done(str(tally), "--version", folder=tmp_path) == f"tally {__version__}\n"


def test_it_sets_opensearch_up(tally: Path, opensearch_url: str, tmp_path: Path) -> None:
    settings = {"TALLY_OPENSEARCH_URL": opensearch_url}
    done(str(tally), "bootstrap", folder=tmp_path, environment=settings)
    assert done(str(tally), "bootstrap", folder=tmp_path, environment=settings) == "everything is there already\n"
    told = done(str(tally.parent / "python"), "-c", "import service; print(service.__file__)", folder=tmp_path)
    assert told.startswith(str(tally.parents[1]))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_it(tally: Path, tmp_path: Path, shell: str) -> None:
    asked = {
        "_TALLY_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "tally se",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "tally se",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    told = done(str(tally), folder=tmp_path, environment=asked)
    assert {"serve", "settings"} <= set(told.replace('"', " ").replace("\t", " ").split())
    assert "sweep" not in told
    script = {"_TALLY_COMPLETE": f"source_{shell}"}
    assert "_TALLY_COMPLETE" in done(str(tally), folder=tmp_path, environment=script)


def test_help_loads_nothing_that_it_does_not_need(tally: Path, tmp_path: Path) -> None:
    """Nor does completion, for which a person waits at every key."""
    heavy = {"aiohttp", "opensearchpy", "pydantic_settings", "uvloop", "structlog", "msgspec", "service.settings"}
    asked = {"_TALLY_COMPLETE": "complete_bash", "COMP_WORDS": "tally se", "COMP_CWORD": "1"}
    python = str(tally.parent / "python")
    for arguments, environment in ((["--help"], {}), (["--version"], {}), ([], asked)):
        run = subprocess.run(
            [python, "-X", "importtime", "-m", "service", *arguments],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        loaded = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines() if line.startswith("import time")}
        assert "typer" in loaded
        assert not loaded & heavy, arguments
