"""The playbooks are what ansible-lint calls fit for production."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.hosts.hosts import ANSIBLE, ROOT

EXAMPLE = "inventory/hosts.example.yml"

pytestmark = [pytest.mark.core, pytest.mark.timeout(600)]


def test_the_playbooks_are_fit_for_production() -> None:
    done = subprocess.run(
        [ANSIBLE / "ansible-lint", "--offline", "--profile", "production", "--nocolor"],
        cwd=ROOT / "ansible",
        env={**os.environ, "ANSIBLE_INVENTORY": EXAMPLE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
