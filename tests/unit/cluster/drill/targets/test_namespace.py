"""Packets are dropped inside one network namespace, and nothing is left of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.drill.targets import namespace
from cluster.drill.targets.target import Way
from cluster.errors import ClusterError
from cluster.servers.waiting import Waiter

why = namespace.cannot() or ("" if shutil.which("ip") else "there is no ip (iproute2)")
pytestmark = pytest.mark.skipif(why != "", reason=why or "none")
UNSHARED = [shutil.which("unshare") or "unshare", "--net", "sleep", "60"]
SETUP = (
    "ip link add out type veth peer name into && ip link set out up && ip link set into up"
    " && ip address add 10.9.8.1/24 dev out"
)


@pytest.fixture
def pid() -> Iterator[int]:
    """A process with a network of its own, from which packets leave to 10.9.8.0/24."""
    with subprocess.Popen(UNSHARED) as process:
        try:
            ours = Path("/proc/self/ns/net").readlink()
            theirs = Path(f"/proc/{process.pid}/ns/net")
            Waiter(10).until(lambda: theirs.readlink() != ours or None, lambda: "no namespace")
            try:
                within(process.pid, SETUP)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"this machine makes no such network: {error.stderr}")
            yield process.pid
        finally:
            process.kill()


def within(pid: int, script: str) -> str:
    """The output of a shell script in the namespace of a process."""
    command = ["nsenter", "--target", str(pid), "--net", "bash", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def say(pid: int, address: str = "10.9.8.2") -> None:
    """Send a packet to somebody; whether it may leave is not looked at."""
    within(pid, f"echo hello >/dev/udp/{address}/9 || true")


def test_what_it_says_is_dropped_until_it_is_joined_again(pid: int) -> None:
    before = within(pid, "iptables -S")
    namespace.cut(pid)
    say(pid)
    assert namespace.dropped(pid) == 1
    assert namespace.join(pid)
    assert within(pid, "iptables -S") == before
    assert not namespace.join(pid)


def test_from_some_others_only(pid: int) -> None:
    namespace.cut(pid, others=["10.9.8.3"])
    say(pid)
    assert namespace.dropped(pid) == 0
    say(pid, "10.9.8.3")
    assert namespace.dropped(pid) == 1
    assert namespace.join(pid)


@pytest.mark.parametrize(("way", "sides"), [(Way.MUTE, {"OUTPUT"}), (Way.DEAF, {"INPUT"})])
def test_one_way(pid: int, way: Way, sides: set[str]) -> None:
    namespace.cut(pid, way, 0.5)
    rules = [rule.split() for rule in within(pid, "iptables -S").splitlines()]
    jumps = [rule for rule in rules if rule[-1] == namespace.CHAIN and rule[0] == "-A"]
    assert {rule[1] for rule in jumps} == sides
    assert all("lo" in rule for rule in jumps)
    assert any("--probability" in rule for rule in rules)
    assert namespace.join(pid)


def test_a_process_that_is_gone_is_said_in_a_line() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with pytest.raises(ClusterError, match="refuses"):
        namespace.cut(process.pid, Way.BOTH, 1.0)
