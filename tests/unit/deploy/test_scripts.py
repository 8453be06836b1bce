"""No script of ours ends early without a word."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOLDERS = (".ci", "api", "deploy", "tests")
CHECKS = {"api-health", "exporter-health", "member-health"}
"""Health checks, whose status is their answer."""


def scripts() -> list[str]:
    """Every shell script of the project that people or CI run, by its path."""
    files = (file for folder in FOLDERS for file in (ROOT / folder).rglob("*"))
    ours = (file for file in files if os.access(file, os.X_OK) and file.is_file())
    return sorted(str(f.relative_to(ROOT)) for f in ours if is_shell(f) and f.name not in CHECKS)


def is_shell(file: Path) -> bool:
    """Whether it begins as a shell script does."""
    with file.open("rb") as text:
        first = text.readline()
    return first.startswith(b"#!") and first.rstrip().endswith(b"sh")


@pytest.mark.parametrize("script", scripts())
def test_a_machine_with_nothing_on_it_is_told_of(script: str) -> None:
    shell = shutil.which("bash")
    assert shell
    done = subprocess.run(
        [shell, str(ROOT / script), "argument"],
        env={"PATH": "/nowhere"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode != 0
    assert "error: " in done.stderr
