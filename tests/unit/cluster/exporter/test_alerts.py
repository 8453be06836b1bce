"""Alert rules: each fires when its cause is there, leads to a page, and asks for what there is."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers.figures import ASKED_FOR

ROOT = Path(__file__).parents[4]
FOLDER = ROOT / "cluster/exporter"
RULES = (FOLDER / "alerts.yml").read_text()
ALERTS = re.findall(r"alert: (\w+)", RULES)
OF_THE_API = (ROOT / "api/web/metrics.py").read_text()
OURS = (FOLDER / "metrics.py").read_text()


def test_each_alert_fires_in_a_test() -> None:
    tried = (FOLDER / "alerts.test.yml").read_text()
    fired = re.findall(r"alertname: (\w+)\n +exp_alerts:", tried)
    assert set(fired) == set(ALERTS)
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool (apt-get install prometheus)")
    done = subprocess.run(
        [promtool, "test", "rules", "alerts.test.yml"],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_leads_to_a_page() -> None:
    pages = re.findall(r"runbook: (\S+)", RULES)
    assert len(pages) == len(ALERTS)
    assert [page for page in pages if not (ROOT / page).is_file()] == []


def test_each_asks_for_figures_that_there_are() -> None:
    asked = set(re.findall(r"\b(?:mongodb|shardstack)_\w+", RULES))
    known = set(ASKED_FOR) | set(re.findall(r'"(shardstack_\w+)"', OURS + OF_THE_API))
    known |= {f"{name}_{part}" for name in known for part in ("count", "bucket")}
    assert asked - known == set()
