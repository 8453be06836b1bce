"""Drop packets of one container, by a packet filter inside its own network namespace.

Nobody else has rules in there, and the rules end with the container. What its processes say to one
another arrives, and Docker's name server, which is asked over the loopback device. It takes root on
the machine of the engine, with nsenter and iptables: a container that could do it instead would
have to be as good as root there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from cluster.drill.targets.target import Way
from cluster.errors import ClusterError

CHAIN = "SHARDSTACK-DRILL"
SIDES = {"INPUT": ("-i", Way.MUTE), "OUTPUT": ("-o", Way.DEAF)}
"""The chains of both directions: how the device is named there, and for which way it is open."""


def cannot() -> str:
    """Why no packet can be dropped here; "" when it can."""
    if os.geteuid() != 0:
        return "a packet filter in a container's network takes root, which this is not"
    if missing := [tool for tool in ("nsenter", "iptables") if shutil.which(tool) is None]:
        return f"there is no {' and no '.join(missing)} (apt-get install util-linux iptables)"
    return ""


def cut(pid: int, way: Way = Way.BOTH, share: float = 1.0, others: Sequence[str] = ()) -> None:
    """Drop this share of what reaches or leaves a container, by its main process's id.

    `others` are the addresses of those that it concerns; () is everybody.
    """
    chance = f"-m statistic --mode random --probability {share} " if share < 1 else ""
    jumps = [
        f"-I {side} ! {flag} lo -j {CHAIN}"
        for side, (flag, spared) in SIDES.items()
        if way != spared
    ]
    whose = [f"{flag} {one} " for one in others for flag in ("-s", "-d")] or [""]
    drops = [f"-A {CHAIN} {match}{chance}-j DROP" for match in whose]
    rules = [f":{CHAIN} - [0:0]", *drops, *jumps]
    given = "\n".join(["*filter", *rules, "COMMIT", ""])
    _run(pid, "iptables-restore", "--wait", "5", "--noflush", given=given)


def join(pid: int) -> bool:
    """Let all of a container's packets pass; whether there was a rule of ours."""
    ours = [
        rule for rule in _run(pid, "iptables", "--wait", "5", "-S").splitlines() if CHAIN in rule
    ]
    jumps = [rule.split()[1:] for rule in ours if rule.startswith("-A") and rule.endswith(CHAIN)]
    for jump in jumps:
        _run(pid, "iptables", "--wait", "5", "-D", *jump)
    if ours:
        _run(pid, "iptables", "--wait", "5", "-F", CHAIN)
        _run(pid, "iptables", "--wait", "5", "-X", CHAIN)
    return bool(ours)


def dropped(pid: int) -> int:
    """How many packets a container's rules have dropped."""
    listed = _run(pid, "iptables", "--wait", "5", "-L", CHAIN, "-v", "-n", "-x")
    return sum(int(line.split()[0]) for line in listed.splitlines() if " DROP " in line)


def _run(pid: int, *command: str, given: str | None = None) -> str:
    done = subprocess.run(
        ["nsenter", "--target", str(pid), "--net", *command],  # noqa: S607
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        start_new_session=True,
    )
    if done.returncode:
        raise ClusterError(
            f"`{command[0]}` in a container's network refuses: {' '.join(done.stderr.split())}. "
            "Take back what was done by `drill heal`."
        )
    return done.stdout
