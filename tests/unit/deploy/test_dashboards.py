"""Grafana's dashboards are what is declared, and each panel is in its place."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "deploy/monitoring"
BOARDS = sorted((FOLDER / "dashboards").glob("*.json"))


def test_they_are_what_make_dashboards_makes(tmp_path: Path) -> None:
    for name in ("make-dashboards", "dashboards.toml"):
        shutil.copy(FOLDER / name, tmp_path)
    (tmp_path / "dashboards").mkdir()
    subprocess.run([sys.executable, tmp_path / "make-dashboards"], check=True, timeout=60)
    made = {file.name: file.read_text() for file in (tmp_path / "dashboards").iterdir()}
    assert made == {file.name: file.read_text() for file in BOARDS}


@pytest.mark.parametrize("file", BOARDS, ids=lambda file: file.stem)
def test_no_panel_lies_on_another(file: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(file.read_text())["panels"]:
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        cells = {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
        assert max(columns) < 24
        assert not cells & taken
        taken |= cells
