"""Backups to a folder and to a bucket, and a stack made of one after everything else is gone."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.helpers.people import sign_up, signs_in
from tests.hosts.hosts import Hosts

pytestmark = pytest.mark.timeout(3600)
SECRET = "a secret of the bucket"
BUCKET = "set -a; . /etc/shardstack/operator/bucket.env; rclone lsf --dirs-only bucket:backups/demo"
KEPT = 2


@pytest.fixture(scope="module")
def bucket(single: Hosts) -> Iterator[str]:
    """The URL of an S3-compatible service that hosts can reach, with a bucket named backups."""
    server = [str(Path(sys.executable).parent / "moto_server"), "-H", single.gateway, "-p", "0"]
    with subprocess.Popen(server, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            said = next(line for line in process.stderr if "Running on" in line)
            reader = threading.Thread(target=process.stderr.read, daemon=True)
            reader.start()  # or the service stands still when the pipe is full
            url = said.split()[-1]
            requests.put(f"{url}/backups", timeout=10).raise_for_status()
            yield url
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def stack(single: Hosts, bucket: str) -> Hosts:
    """A stack of one host that serves, and keeps its backups in the bucket."""
    single.variables |= {
        "backup_bucket": "backups/demo",
        "backup_bucket_endpoint": bucket,
        "backup_bucket_key": "an access key",
        "backup_bucket_secret": SECRET,
        "backup_bucket_kept": KEPT,
    }
    single.write_inventory()
    single.play("site")
    return single


def in_bucket(stack: Hosts) -> list[str]:
    """The backups in the bucket, the oldest first."""
    line = (
        "set -a; . /etc/shardstack/operator/bucket.env; rclone lsf --dirs-only bucket:backups/demo"
    )
    return [name.rstrip("/") for name in stack.shell("demo-1", line).split()]


def test_a_backup_of_the_bucket_is_restored_into_an_empty_stack(stack: Hosts) -> None:
    person = sign_up(stack, stack.ca())
    played = stack.play("backup")
    [name] = in_bucket(stack)
    assert SECRET not in played.output
    assert stack.shell("demo-1", "stat -c %a /etc/shardstack/operator/bucket.env").strip() == "600"

    refused = stack.attempt("destroy-data")
    assert "If that is meant, say its name: -e really=demo" in " ".join(refused.output.split())
    assert set(refused.changed().values()) == {0}
    stack.play("destroy-data", "-e", "really=demo")
    assert stack.shell("demo-1", "ls /var/lib/shardstack") == ""
    stack.shell("demo-1", "rm -r /var/backups/shardstack")

    stack.play("site", "--skip-tags", "api")
    unknown = stack.attempt("restore", "-e", "backup=bucket:2020-01-01T00-00-00Z")
    assert f"no whole backup 2020-01-01T00-00-00Z. It has: {name}" in unknown.output
    stack.play("restore", "-e", f"backup=bucket:{name}")
    assert signs_in(stack, stack.ca(), person)


def test_the_timer_writes_one_and_the_oldest_go(stack: Hosts) -> None:
    before = in_bucket(stack)
    stack.play("backup")
    for _ in range(KEPT):
        stack.shell("demo-1", "sleep 1; systemctl start shardstack-backup.service", timeout=300)
    after = in_bucket(stack)
    assert len(after) == KEPT
    assert not set(after) & set(before)
    there = stack.shell("demo-1", "ls /var/backups/shardstack").split()
    assert there[-KEPT:] == after
    assert "shardstack-backup.timer" in stack.shell("demo-1", "systemctl list-timers --no-legend")
