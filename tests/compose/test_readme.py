"""The README's commands, and what `make compose-up` prints, as somebody new would use them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.stack import ROOT, Stack, docker, fresh

TRUST = ROOT / ".shardstack-ca.crt"


@pytest.fixture
def stack() -> Iterator[Stack]:
    """A stack that nothing is done to but by `make`."""
    with fresh("shardstack-readme") as made:
        yield made
    TRUST.unlink(missing_ok=True)


def shell(stack: Stack, line: str, timeout: float = 170) -> str:
    """The output of a line in a shell, with the stack's ports and name set as .env would."""
    environment = {**os.environ, **stack.settings, "COMPOSE_PROJECT_NAME": stack.project}
    done = subprocess.run(
        ["bash", "-c", line],  # noqa: S607 - as people do
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"{line}: {done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.core
def test_the_commands_of_the_readme_and_what_they_print(stack: Stack, tmp_path: Path) -> None:
    said = shell(stack, "make compose-up")
    hints = dict(line.split(maxsplit=1) for line in said.splitlines() if line.startswith("  "))
    assert "all is well" in shell(stack, hints["look"])

    account = json.loads(shell(stack, hints["admin"]))
    assert "@" in account["email"]
    shell(stack, hints["trust"])
    assert json.loads(shell(stack, hints["try"]))["status"] == "ready"
    page = f"{hints['url'].split()[0]}/docs"
    shell(stack, f"curl --fail --cacert {TRUST} --output {tmp_path}/docs {page}")

    shell(stack, hints["stop"])
    mine = f"label=com.docker.compose.project={stack.project}"
    assert docker("ps", "--all", "--quiet", "--filter", mine) == ""
    assert "shard-1-1" in docker("volume", "ls", "--filter", mine)

    shell(stack, "make compose-down PURGE=1 YES=1")
    assert "shard-1-1" not in docker("volume", "ls", "--filter", mine)
