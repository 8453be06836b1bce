"""The hand of a drill on one host: it breaks the stack's own servers there, and makes them whole.

ansible/drill.yml copies this file to each host, to be run by root's system Python: it needs the
standard library, systemd and nftables, and nothing of this project. It reads requests, JSON objects
of a line each, from standard input, and answers each with a line. An SSH key that lasts for hours
may run it and nothing else, so all that the key's holder can do is what is below, and to these
servers only.

When nothing is left to read, because the drill has ended or was killed, or its host is gone, the
hand takes back what it has done: nothing stays broken since there is nobody who mends it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

NODES = Path("/etc/shardstack/nodes")
DATA = Path("/var/lib/shardstack")
ROUTER = "mongos"
ROUTER_UNIT = Path("/etc/systemd/system/mongos.service")
GROUPS = Path("/sys/fs/cgroup")
HYBRID = GROUPS / "unified"
"""Where control groups of version 2 are on a host that has those of version 1 beside them."""
LOCK = Path("/run/shardstack-drill.lock")
TABLE = "shardstack-drill-"
DAMAGED_BYTES = 64 * 1024
SECONDS = 60


class HandError(Exception):
    """What was asked cannot be done; a sentence."""


# ---- servers -----------------------------------------------------------------------------------


def servers() -> list[str]:
    """The members on this host by their names, and `mongos` if it has a router."""
    members = sorted(file.name for file in NODES.iterdir()) if NODES.is_dir() else []
    return [*members, *([ROUTER] if ROUTER_UNIT.exists() else [])]


def unit(name: str) -> str:
    """The unit of a server. Raises HandError for what is no server of this host."""
    if name not in servers():
        raise HandError(f"{name} is no server of this host")
    return f"{name}.service" if name == ROUTER else f"mongod@{name}.service"


def data(name: str) -> Path:
    """The data of a member that is down. Raises HandError where it is not."""
    if unit(name) == f"{ROUTER}.service":
        raise HandError("a router has no data")
    if main_pid(name):
        raise HandError(f"{name} runs, and its data is touched only while it does not")
    return DATA / name


def main_pid(name: str) -> int:
    """The process of a server; 0 while it has none."""
    return int(_run("systemctl", "show", "--property=MainPID", "--value", unit(name)))


def state(name: str) -> str:
    """How a server is, as cluster.drill.targets.target.NodeState has it."""
    try:
        stat = Path(f"/proc/{main_pid(name)}/stat").read_text()
    except FileNotFoundError:
        return "down"
    letter = stat.rpartition(")")[2].split()[0]
    return {"T": "paused", "Z": "down", "X": "down"}.get(letter, "running")


def kill(names: list[str]) -> None:
    """SIGKILL to all together; the unit is stopped then, so that systemd starts none again."""
    _signal(names, signal.SIGKILL)
    _run("systemctl", "stop", *map(unit, names))


def start(names: list[str]) -> None:
    """Start servers. Whoever asked waits until they serve."""
    _run("systemctl", "start", *map(unit, names))


def pause(names: list[str]) -> None:
    """Make servers stand still."""
    _signal(names, signal.SIGSTOP)


def resume(names: list[str]) -> None:
    """Let them go on."""
    _signal(names, signal.SIGCONT)


def _signal(names: list[str], number: int) -> None:
    found = {name: main_pid(name) for name in names}
    if down := [name for name, pid in found.items() if not pid]:
        raise HandError(f"{', '.join(down)} does not run")
    for pid in found.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


# ---- packets -----------------------------------------------------------------------------------


def deaf_to() -> str:
    """Why no server can be cut off on this host; "" when one can."""
    if shutil.which("nft") is None:
        return "there is no nft (apt-get install nftables)"
    if not any((place / "cgroup.controllers").exists() for place in (GROUPS, HYBRID)):
        return "there are no control groups of version 2, by which servers are told"
    return ""


def cut(name: str, port: int, way: str, share: float) -> None:
    """Drop this share of a server's packets, in a table of its own.

    What others began is told by the server's port, and what it began by its control group.
    """
    load(name, rules(_group(name), port, way, share))


def part(name: str, others: list[tuple[str, int]]) -> None:
    """Drop what a server says to others, addresses and ports, and what they answer."""
    load(name, parting(_group(name), others))


def rules(group: str, port: int, way: str, share: float) -> str:
    """What drops this share of a server's packets, as nft reads it."""
    chance = f"numgen random mod 1000 < {round(share * 1000)} " if share < 1 else ""
    return "".join(
        _chain(hook, [f"tcp {end} {int(port)} {chance}", f"{group} {chance}"])
        for hook, end, spared in (("input", "dport", "mute"), ("output", "sport", "deaf"))
        if way != spared
    )


def parting(group: str, others: list[tuple[str, int]]) -> str:
    """What drops a server's packets to others, and theirs, in connections that it begins."""
    places = [(ip_address(address), int(port)) for address, port in others]
    return "".join(
        _chain(
            hook,
            [
                f"{'ip' if place.version == 4 else 'ip6'} {end}addr {place} tcp {end}port {port} "
                f"{group} "
                for place, port in places
            ],
        )
        for hook, end in (("input", "s"), ("output", "d"))
    )


def _chain(hook: str, matches: list[str]) -> str:
    head = f"type filter hook {hook} priority -20; policy accept;"
    lines = [head, *(f"{match}counter drop" for match in matches)]
    return f"  chain {hook} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def _group(name: str) -> str:
    """What tells the packets of a server, by its control group, as nft reads it."""
    if not (pid := main_pid(name)):
        raise HandError(f"{name} does not run")
    path = _run("systemctl", "show", "--property=ControlGroup", "--value", unit(name)).strip()
    member = re.search(r"^0::(/.*)$", Path(f"/proc/{pid}/cgroup").read_text(), re.M)
    if member is None:
        raise HandError(f"{name} is in no control group of version 2")
    steps = member[1].strip("/").split("/")
    # The kernel counts from the root of whoever asks, which a container has further down.
    level = len(steps) - 2 * steps.count("..")
    return f'meta l4proto tcp socket cgroupv2 level {level} "{path.strip("/")}"'


def load(name: str, chains: str) -> None:
    """Make a server's table. nft looks for control groups below GROUPS, wherever they are."""
    command = ["nft", "--file", "-"]
    if not (GROUPS / "cgroup.controllers").exists():
        there = f"mount --bind {HYBRID} {GROUPS} && exec {' '.join(command)}"
        command = ["unshare", "--mount", "sh", "-c", there]
    _run(*command, given=f"table inet {TABLE}{name} {{\n{chains}}}\n")


def join(names: list[str]) -> list[str]:
    """Let packets of these servers pass; whose did not."""
    there = [name for name in tables() if name in names]
    for name in there:
        _run("nft", "delete", "table", "inet", f"{TABLE}{name}")
    return there


def tables() -> list[str]:
    """The servers for which there is a table of ours."""
    if shutil.which("nft") is None:
        return []
    return re.findall(rf"^table inet {TABLE}(\S+)$", _run("nft", "list", "tables"), re.M)


def dropped(name: str) -> int:
    """How many packets of a server were dropped."""
    unit(name)
    listed = _run("nft", "list", "table", "inet", f"{TABLE}{name}")
    return sum(int(count) for count in re.findall(r"counter packets (\d+) .* drop", listed))


# ---- data --------------------------------------------------------------------------------------


def wipe(name: str) -> None:
    """Delete the data of a member that is down."""
    for entry in data(name).iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    _mark(name).unlink(missing_ok=True)


def damage(name: str) -> str:
    """Overwrite the middle of its largest collection with what is no WiredTiger block."""
    place = data(name)
    _mark(name).touch()
    largest = max(place.rglob("collection-*.wt"), key=lambda file: file.stat().st_size)
    size = largest.stat().st_size
    length = min(DAMAGED_BYTES, size // 2)
    with largest.open("r+b") as file:
        file.seek((size - length) // 2)
        file.write(os.urandom(length))
    return f"{length} bytes in the middle of {largest.name}, of {size}"


def _mark(name: str) -> Path:
    return DATA / f"{name}.damaged"


def free() -> int:
    """Free space where the data is, in MiB."""
    return shutil.disk_usage(DATA).free // 2**20


def rolled_back(since: float) -> dict[str, int]:
    """Files by member in which it put aside writes that it undid since then."""
    found = {}
    for name in servers():
        new = [
            file
            for file in (DATA / name / "rollback").rglob("*.bson")
            if file.stat().st_mtime >= since
        ]
        if new:
            found[name] = len(new)
    return found


def log(name: str, since: float, until: float) -> str:
    """What a server logged between two moments."""
    return _run(
        *("journalctl", "--quiet", "--no-pager", "--output=cat", f"--unit={unit(name)}"),
        *(f"--since=@{since:.3f}", f"--until=@{until:.3f}"),
    )


# ---- afterwards --------------------------------------------------------------------------------


def heal() -> list[str]:
    """Take back whatever a drill has done on this host, at any moment; what it was, in sentences.

    It looks for that itself. Servers that run already, and others' things, are left alone.
    """
    told = [f"{name}: its packets pass again" for name in join(tables())]
    if paused := [name for name in servers() if state(name) == "paused"]:
        resume(paused)
        told.append(f"stood still, and go on: {', '.join(paused)}")
    for name in servers():
        if _mark(name).exists():
            _end(name)
            wipe(name)
            told.append(f"{name}: its damaged data is deleted, and it copies the others'")
    if down := [name for name in servers() if state(name) == "down"]:
        start(down)
        told.append(f"started again: {', '.join(down)}")
    return told


def _end(name: str) -> None:
    if main_pid(name):
        kill([name])


# ---- requests ----------------------------------------------------------------------------------

LOOKS: dict[str, Callable[..., Any]] = {
    "state": state,
    "deaf_to": deaf_to,
    "dropped": dropped,
    "free": free,
    "rolled_back": rolled_back,
    "log": log,
}
DEEDS: dict[str, Callable[..., Any]] = {
    "kill": kill,
    "start": start,
    "pause": pause,
    "resume": resume,
    "cut": cut,
    "part": part,
    "join": join,
    "wipe": wipe,
    "damage": damage,
    "heal": heal,
}


def answer(line: str) -> dict[str, Any]:
    """What a request comes to: an `answer`, or an `error` in words."""
    try:
        request = json.loads(line)
        verb = (LOOKS | DEEDS)[request.pop("verb")]
        with _alone():
            return {"answer": verb(**request)}
    except HandError as error:
        return {"error": str(error)}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return {"error": f"no such request ({error!r})"}
    except OSError as error:
        return {"error": f"{error.strerror} ({error.filename})"}


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Another hand waits: one that outlived its drill may be mending yet."""
    with LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(*command: str, given: str | None = None) -> str:
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise HandError(f"`{command[0]}` has not ended after {SECONDS} s") from None
    if done.returncode:
        raise HandError(f"`{' '.join(command[:3])}` refuses: {' '.join(done.stderr.split())}")
    return done.stdout


def main() -> None:
    """Do what is asked until nobody asks any more; then take back what was done."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    touched = False
    with contextlib.suppress(OSError):  # whoever asked is gone
        for line in sys.stdin:
            touched = touched or any(json.dumps(deed) in line for deed in DEEDS)
            sys.stdout.write(json.dumps(answer(line)) + "\n")
            sys.stdout.flush()
    if touched:
        with _alone():
            heal()


if __name__ == "__main__":
    main()
