"""docker-compose.yml: loaded by the reference implementation; its settings are settings; its image's file is sound."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

from service.settings import Settings
from tests.conftest import ROOT

COMPOSE = ROOT / "docker-compose.yml"


def loaded(tools: dict[str, Path], text: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    file = folder / "docker-compose.yml"
    file.write_text(text)
    return subprocess.run([str(tools["compose"]), str(file)], capture_output=True, text=True, timeout=60)


def filled(text: str) -> str:
    """With a value for each variable that has to be given."""
    return re.sub(r"\$\{(\w+):\?[^}]*\}", r"value-of-\1", text)


def test_is_what_compose_reads(tools: dict[str, Path], tmp_path: Path) -> None:
    done = loaded(tools, filled(COMPOSE.read_text()), tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) == {"opensearch", "dashboards", "tally"}


def test_a_broken_file_is_found(tools: dict[str, Path], tmp_path: Path) -> None:
    """The check can fail: an unknown key, and a secret that nobody gave."""
    broken = filled(COMPOSE.read_text()).replace("restart: unless-stopped", "restrat: unless-stopped")
    assert loaded(tools, broken, tmp_path).returncode != 0
    missing = loaded(tools, COMPOSE.read_text(), tmp_path)
    assert missing.returncode != 0
    assert "set it in .env" in missing.stderr + missing.stdout


def test_every_variable_has_a_place_in_the_example() -> None:
    needed = set(re.findall(r"\$\{(\w+):\?", COMPOSE.read_text()))
    example = {line.partition("=")[0] for line in (ROOT / ".env.example").read_text().splitlines() if "=" in line}
    assert needed <= example


def test_the_services_settings_are_settings() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    known = {f"TALLY_{field.upper()}" for field in Settings.model_fields}
    assert services["tally"]["environment"].keys() <= known
    assert services["tally"]["depends_on"]["opensearch"]["condition"] == "service_healthy"
    assert all("healthcheck" in service for name, service in services.items() if name != "tally")


def test_the_dockerfile_has_no_complaints() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([str(hadolint), str(ROOT / "Dockerfile")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_the_image_gets_all_that_it_copies() -> None:
    """.dockerignore leaves everything out that it does not name."""
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set()
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            copied |= set(line.split()[1:-1])
    assert copied <= kept
    assert all((ROOT / path).exists() for path in kept)


def test_the_image_runs_as_nobody_and_answers_for_its_health() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "USER 10001:10001" in text
    assert "HEALTHCHECK" in text
    assert text.rstrip().endswith('CMD ["serve"]')
    assert 'tally = "service.__main__:main"' in (ROOT / "pyproject.toml").read_text()
