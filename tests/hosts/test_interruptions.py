"""A playbook that is killed in any task is run again, and all is well."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.helpers.people import sign_up
from tests.hosts.hosts import Hosts

pytestmark = pytest.mark.timeout(3600)
STEP = 9
"""site.yml is killed in each of its tasks whose number is a multiple of this."""


def kills(hosts: Hosts, playbook: str, step: int) -> Iterator[str]:
    """Kills it in task after task, until it is through; each time the name of the task."""
    number = step
    while line := hosts.interrupt(playbook, at="TASK [", number=number):
        yield line.split("[")[1].split("]")[0]
        number += step


def test_whoever_installs_packages_already_is_waited_for(single: Hosts) -> None:
    """As apt does at a droplet's first boot."""
    lock = "import fcntl, time; f = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(f, 2); "
    hold = f'setsid python3 -c "{lock}print(1, flush=True); time.sleep(900)" > /held &'
    single.shell("demo-1", f"{hold} echo $! > /holder; until grep -q 1 /held; do sleep 0.1; done")
    refused = single.attempt("preflight", "-e", "preflight_packages_seconds=5")
    said = " ".join(refused.output.split())
    assert re.search(r"demo-1: python3 \(process \d+\) holds /var/lib/dpkg/lock-frontend", said)
    assert "Nothing was changed" in said
    assert refused.counts["demo-1"]["failed"] == 1
    single.shell("demo-1", "kill $(cat /holder); rm /holder /held")
    single.play("preflight")


def test_a_dry_run_on_a_fresh_host_says_that_it_is(single: Hosts) -> None:
    played = single.play("site", "--check", "--diff")
    assert "demo-1 is fresh: all of it would be made." in played.output
    assert single.shell("demo-1", "ls /etc/shardstack 2>&1 || true").count("No such file") == 1


def test_site_is_made_good_by_running_it_again(single: Hosts) -> None:
    tasks = list(kills(single, "site", STEP))
    print(f"\nkilled in {len(tasks)} tasks: {', '.join(tasks)}")  # noqa: T201 - shown by -s
    assert len(tasks) * STEP > 60, "or it was not killed in what it is about"
    assert sign_up(single, single.ca())
    status = json.loads(single.shell("demo-1", "shardstack status --json"))
    assert status["healthy"], status["problems"]
    assert set(single.play("site").changed().values()) == {0}


def test_a_release_that_does_not_become_ready_is_taken_back(single: Hosts) -> None:
    before = single.shell("demo-1", "cat /etc/shardstack/api.env")
    single.variables |= {"api_settings": {"SHARDSTACK_PAGE_SIZE": "none"}, "api_ready_seconds": 15}
    single.write_inventory()
    played = single.attempt("site")
    said = " ".join(played.output.split())
    assert "of the API was not ready within 15 s" in said
    assert "It runs again as it was" in said
    assert single.shell("demo-1", "cat /etc/shardstack/api.env") == before
    assert sign_up(single, single.ca())
    del single.variables["api_settings"]
    single.write_inventory()
    assert set(single.play("site").changed().values()) == {0}


def test_a_dry_run_changes_nothing(single: Hosts) -> None:
    """On a stack that serves and shall get another setting: it tells, and does not do it."""
    single.variables["api_settings"] = {"SHARDSTACK_PAGE_SIZE": "7"}
    single.write_inventory()
    before = single.shell("demo-1", "cat /etc/shardstack/api.env")
    played = single.play("site", "--check", "--diff")
    assert "+SHARDSTACK_PAGE_SIZE" in played.output
    assert single.shell("demo-1", "cat /etc/shardstack/api.env") == before
