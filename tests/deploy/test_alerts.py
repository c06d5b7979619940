"""docs/operating.md: its alerts ask for series, labels and codes that exist, and each is explained."""

import re
from typing import Any

import yaml

from service import errors
from tests.conftest import ROOT
from tests.deploy.test_grafana import selectors, series

TEXT = (ROOT / "docs/operating.md").read_text()
(_BLOCK,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
ALERTS: list[dict[str, Any]] = yaml.safe_load(_BLOCK)


def test_alerts_ask_for_what_exists() -> None:
    known = series()
    for alert in ALERTS:
        for name, labels in selectors(alert["expr"]):
            assert name in known, alert
            assert labels <= known[name][1], alert


def test_codes_exist() -> None:
    codes = {each.code for each in errors.ERRORS}
    for alert in ALERTS:
        for value in re.findall(r'code=~"([^"]*)"', alert["expr"]):
            assert set(value.split("|")) <= codes


def test_every_alert_says_what_to_do() -> None:
    rows = re.findall(r"^\| (Tally\w+) \|[^|]+\|[^|]+\|$", TEXT, re.MULTILINE)
    assert rows == [alert["alert"] for alert in ALERTS]
