"""The programs of a local cluster: their command lines, why one died, and what their logs say."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from pathlib import Path

from cluster.local.launcher import Program
from cluster.local.state import Record, StateFolder
from cluster.model.layout import CONFIG_SET, Layout, ReplicaSet
from console.ports import HOST


def programs(
    state: StateFolder, record: Record, mongod: Path, mongos: list[str]
) -> dict[str, Program]:
    """Every node's program, by node name."""
    layout = record.layout()
    made = {}
    for replica_set in layout.sets:
        for node in replica_set.members:
            argv = [str(mongod), *_mongod_flags(state, replica_set, node.name, node.port)]
            mark: tuple[str, ...] = ("--dbpath", str(state.node(node.name) / "data"))
            made[node.name] = Program(node.name, argv, mark, state.node(node.name), node.port)
    code = fingerprint(*ROUTER) if "cluster.router" in mongos else ""
    for node in layout.routers:
        flags = _router_flags(state, layout, node.port)
        mark = tuple(flags[2:6])
        made[node.name] = Program(
            node.name, [*mongos, *flags], mark, state.node(node.name), node.port, code
        )
    return made


ROUTER = ("console", "cluster", "cluster/model", "cluster/router")
"""The folders of the modules that the stand-in router may load."""


@functools.cache
def fingerprint(*folders: str) -> str:
    """Changes with every module in these folders."""
    found = hashlib.sha256()
    root = Path(__file__).parents[2]
    for path in sorted(path for folder in folders for path in (root / folder).glob("*.py")):
        found.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return found.hexdigest()


def stoppable(state: StateFolder) -> list[Program]:
    """What may run for this folder, told by its node folders alone: enough to stop it.

    It needs no record, so that a damaged one keeps nobody from stopping the processes.
    """
    found = []
    for folder in sorted(state.nodes.glob("*")):
        if (folder / "data").exists():
            mark: tuple[str, ...] = ("--dbpath", str(folder / "data"))
        else:
            mark = ("--keyFile", str(state.key_file), "--port")
        found.append(Program(folder.name, [], mark, folder))
    return found


def _router_flags(state: StateFolder, layout: Layout, port: int) -> list[str]:
    return [
        *("--configdb", layout.config.seed),
        *("--keyFile", str(state.key_file)),
        *("--port", str(port)),
        *("--bind_ip", HOST),
        # As the mongods: no localhost exception, no zlib.
        *("--setParameter", "enableLocalhostAuthBypass=false"),
        *("--networkMessageCompressors", "snappy,zstd"),
    ]


def _mongod_flags(state: StateFolder, replica_set: ReplicaSet, name: str, port: int) -> list[str]:
    return [
        *("--config", str(state.mongod_conf)),
        "--configsvr" if replica_set.name == CONFIG_SET else "--shardsvr",
        *("--replSet", replica_set.name),
        *("--dbpath", str(state.node(name) / "data")),
        *("--port", str(port)),
        *("--bind_ip", HOST),
        *("--keyFile", str(state.key_file)),
    ]


# ---- why one died ------------------------------------------------------------------------------

REASONS = (
    (r"No space left on device", "the disk is full", "Free some space"),
    (r"[Aa]ddress already in use", "its port is taken", "Stop the program that has it"),
    (
        r"DBPathInUse|Unable to lock the lock file",
        "its data is in use by another process",
        "Stop that process",
    ),
    (
        r"Unable to acquire security key|security key in|Error creating service context.*key",
        "its key file is not usable",
        "Put the right one back",
    ),
    (
        r"WT_TRY_SALVAGE|WT_PANIC|WiredTiger.*corrupt|file does not appear to be a BTree",
        "its data files are damaged",
        "Delete its data folder, and it copies the data from the other members of its set",
    ),
    (
        r"Permission denied|IllegalOperation.*[Pp]ermission",
        "it may not write its files",
        "Give them back to your user",
    ),
    (r"error while loading shared libraries: (\S+?):", "it lacks the library {0}", "Install it"),
    (r"Too many open files", "it may not open enough files", "Raise the limit (ulimit -n)"),
)


def why_it_died(program: Program, status: int, log_start: int) -> str:
    """One line: what killed the node, as far as its log tells, and what to do."""
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    log = _tail(program.log, log_start)
    for pattern, reason, remedy in REASONS:
        if found := re.search(pattern, log):
            what = reason.format(*found.groups())
            return f"{program.name} {how}: {what}. {remedy} and run `up` again ({program.log})."
    last = _last_complaint(log) or "its log does not tell why"
    return f"{program.name} {how}: {last}. See {program.log}, then run `up` again."


def _tail(log: Path, start: int, limit: int = 2**20) -> str:
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(start, size - limit))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _last_complaint(log: str) -> str:
    """The last fatal, error or warning line of a mongod's log; the last line of any other."""
    lines = [line for line in log.splitlines() if line.strip()]
    for severities in ("F", "E"):
        for line in reversed(lines):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and entry.get("s") == severities:
                detail = entry.get("attr", {}).get("error", "")
                text = f"{entry.get('msg', '')} {detail if isinstance(detail, str) else ''}"
                return " ".join(text.split())[:200].rstrip(". ")
    plain = [line for line in lines if not line.startswith("{")]
    return plain[-1].strip()[:200].rstrip(". ") if plain else ""


# ---- their logs --------------------------------------------------------------------------------


def readable(line: str) -> str:
    """A mongod's line as time, severity, component, message and attributes; others as they are."""
    try:
        entry = json.loads(line)
        when, severity, component = entry["t"]["$date"][:23], entry["s"], entry["c"]
        text = f"{when} {severity} {component:<8} {entry['msg']}"
    except (ValueError, KeyError, TypeError):
        return line
    attributes = entry.get("attr")
    return f"{text} {json.dumps(attributes, ensure_ascii=False)}" if attributes else text
