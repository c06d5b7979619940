"""The OpenAPI document as the command line prints it, by a linter that its readers use."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

CONFIG = Path(__file__).parent / "openapi" / "redocly.yaml"


def linted(redocly: list[str], file: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*redocly, "lint", str(file), "--config", str(CONFIG), "--format", "stylish", "--max-problems", "20"],
        env={**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def document() -> Any:
    """Printed without an OpenSearch."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
    command = [sys.executable, "-m", "service", "openapi"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_has_no_complaints(redocly: list[str], document: Any, tmp_path: Path) -> None:
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(document))
    done = linted(redocly, file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout, done.stdout


def test_a_fault_is_found(redocly: list[str], document: Any, tmp_path: Path) -> None:
    """The check can fail: an example that does not fit, and a reference to nothing."""
    file = tmp_path / "openapi.json"
    answers = document["paths"]["/healthz"]["get"]["responses"]
    answers["200"]["content"]["application/json"]["examples"]["it-is"]["value"] = {"status": 1}
    file.write_text(json.dumps(document))
    assert "no-invalid-media-type-examples" in linted(redocly, file).stdout
    answers["500"] = {"$ref": "#/components/responses/Nothing"}
    file.write_text(json.dumps(document))
    assert linted(redocly, file).returncode != 0
