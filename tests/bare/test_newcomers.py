"""The README's commands and every script, on a machine that has what the README names."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.bare.commands import EXAMPLES, blocks, packages
from tests.bare.machine import Machine
from tests.unit.deploy.test_scripts import scripts

pytestmark = pytest.mark.timeout(1800)

RELEASES = ("bookworm", "trixie")
# An answer of 4xx or 5xx ends a session with an error; `python` is the one that `make setup` made.
STRICT = """set -euo pipefail
curl() { command curl --fail-with-body "$@"; }
PATH="$PWD/.venv/bin:$PATH"
"""


@pytest.fixture(params=RELEASES)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine of this test's own."""
    with Machine(request.param) as made:
        yield made


@pytest.mark.timeout(3600)
def test_the_readmes_and_helps_commands_as_an_ordinary_user(machine: Machine) -> None:
    installed = f"apt-get install --yes --no-install-recommends {packages()}"
    machine.root(f"apt-get update && {installed}")
    first, *others = blocks()
    assert "The API is up" in machine.user(STRICT + first, timeout=1500)
    assert "is up" in machine.user("make up", timeout=600)
    for block in others:
        machine.user(STRICT + block, timeout=600)
    for line in EXAMPLES:
        machine.user(STRICT + line, timeout=900)
    machine.user("make status")
    machine.user("make down")
    stopped = machine.user("make status")
    assert stopped.count("\n") == stopped.count("does not run") == 2
    assert "nobody to ask" in machine.attempt("newcomer", "make down PURGE=1 </dev/null").stderr
    machine.user("make down PURGE=1 YES=1")
    assert "mongod" not in machine.root("cat /proc/[0-9]*/comm")


def test_an_engine_is_installed(machine: Machine) -> None:
    """Twice: the second time there is nothing to do. What else the machine has stays as it is."""
    machine.root("apt-get update && apt-get upgrade --yes", timeout=600)
    for _ in range(2):
        machine.root("tests/compose/standin/install-engine", timeout=900)
    assert re.search(r"version (2[5-9]|[3-9]\d)\.", machine.root("dockerd --version"))
    machine.root("docker compose version")
    others = machine.root("apt-get --simulate --quiet upgrade")
    assert "0 upgraded, 0 newly installed" in others  # of Debian 13, nothing else


@pytest.mark.parametrize("script", scripts())
def test_a_script_works_or_says_why_not(script: str) -> None:
    """By an ordinary user, who has nothing installed."""
    with Machine("bookworm") as machine:
        done = machine.attempt("newcomer", f"{script} </dev/null")
        assert done.returncode != 0, "it needs nothing: test it as the others are"
        assert "error: " in done.stderr


def test_ci_installs_what_it_needs() -> None:
    """As root, on the release that CI runs on; its suites are run by CI itself."""
    with Machine("bookworm") as machine:
        machine.root(".ci/run setup tools lint", timeout=1700)
