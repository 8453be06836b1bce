"""Brings the processes of a state folder up, whatever state they were left in."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from cluster.errors import KeyFileError, LockedError, NodeError, StateError
from cluster.lifecycle.bootstrap import bootstrap
from cluster.local.binaries import find_mongod, find_mongos
from cluster.local.launcher import Launcher, Program, is_alive
from cluster.local.programs import programs, why_it_died
from cluster.local.state import Record, StateFolder
from cluster.servers.replica_set import look
from cluster.servers.routers import why_not_serving
from cluster.servers.waiting import Waiter
from console import Report
from console.ports import choose, holder, is_free
from console.signals import shielded

MIB_PER_NEW_NODE = 64  # an empty mongod with its journal takes 20, and it must have room to work
MIB_TO_WORK = 32  # with less than this free, a disk counts as full
STOP_SECONDS = 10.0  # in production a member takes 5 s (model/profiles.py)
SERVING_SECONDS = 60.0
LOOK_SECONDS = 0.2


def bring_up(state: StateFolder, record: Record, report: Report, phase: Report) -> None:
    """Starts what is missing and makes it the cluster of `record`; the caller holds the lock.

    When it fails or is interrupted, what it started is stopped again, unless somebody merely keeps
    a primary from taking writes. Raises ClusterError.
    """
    launcher = Launcher()
    wanted = prepare(state, record, report)
    running = launcher.running(wanted.values())
    missing = [program for program in wanted.values() if program.name not in running]

    one_at_a_time = threading.Lock()
    looked = time.monotonic()

    def watch() -> None:
        nonlocal looked
        for name, status, log_start in launcher.died():
            raise NodeError(why_it_died(wanted[name], status, log_start))
        with one_at_a_time:
            if time.monotonic() - looked < LOOK_SECONDS:
                return
            looked = time.monotonic()
            for name in [name for name, process in running.items() if not is_alive(process)]:
                # It was on its way out when this command counted it among those that run.
                del running[name]
                missing.append(wanted[name])
                launcher.start(wanted[name])

    try:
        if missing:
            names = f"{len(missing)} processes"
            if running:
                names = ", ".join(program.name for program in missing)
            report(f"starting {names}")
        # All together: a mongod burns half a second of processor time before it listens, and what
        # comes after that is mostly waiting, which all sets then do together.
        for program in missing:
            launcher.start(program)
        leaving = frozenset(record.leaving)
        bootstrap(state.access(record), report, phase, leaving=leaving, watch=watch)
    except LockedError:
        raise  # what was started here is well, and serves those who read
    except BaseException:
        # Whatever of these runs was started here, even if the interruption came so soon after
        # the start that nobody noted its process id.
        launcher.stop(missing, STOP_SECONDS)
        raise
    record.complete = ["cfg", *record.shards]
    state.save(record)
    _renew(state, record, [program for program in wanted.values() if program.is_outdated], report)


def _renew(state: StateFolder, record: Record, outdated: list[Program], report: Report) -> None:
    """Restarts routers that run older code, one at a time: clients go on through the others."""
    for program in outdated:
        report(f"{program.name} ran older code: restarting it")
        launcher = Launcher()
        with shielded():  # an interruption shall not leave it stopped
            launcher.stop([program], STOP_SECONDS)
            launcher.start(program)
        wait_until_serving(state, record, program, launcher, SERVING_SECONDS)


def prepare(state: StateFolder, record: Record, report: Report) -> dict[str, Program]:
    """Checks everything that can be checked before a process is started, then writes the folder.

    Returns every node's program.
    """
    mongod, mongos = find_mongod(), find_mongos()
    state.check_data(record)
    fresh = assign_ports(record)
    wanted = programs(state, record, mongod, mongos)
    running = Launcher().running(wanted.values())
    check_ports(record, (name for name in wanted if name not in running), fresh)
    _check_disk(state, record)
    _prepare_secrets(state, running=bool(running), report=report)
    state.save(record)
    state.write_uris(record)
    for program in wanted.values():
        if program.is_mongod:
            _make_data(program.folder / "data")
    return wanted


def _make_data(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:  # a drill gave it a disk of its own, which is not mounted
        raise StateError(
            f"{folder} leads to a disk that is not there. Run `drill heal`, which puts it back."
        ) from None


def _prepare_secrets(state: StateFolder, *, running: bool, report: Report) -> None:
    try:
        state.key()
    except KeyFileError:
        if running or state.key_file.exists():
            raise
        remade = state.secrets.exists()
        state.make_key()
        if remade:
            report("the key file was missing: made a new one")
    existed = (state.secrets / "admin.uri").exists()
    if state.passwords()[1] and existed:
        report("the file of passwords was incomplete: made new ones")


def _check_disk(state: StateFolder, record: Record) -> None:
    new = [
        member
        for name in ("cfg", *record.shards)
        for member in record.member_names(name)
        if not (state.node(member) / "data" / "WiredTiger").exists()
    ]
    free = shutil.disk_usage(_existing(state.folder)).free // 2**20
    need = MIB_PER_NEW_NODE * len(new) + MIB_TO_WORK
    if free < need:
        what = f"{len(new)} new nodes need {need} MiB" if new else f"at least {need} MiB are needed"
        raise StateError(
            f"the disk of {state.folder} is full: {free} MiB are free, and {what}. "
            "Free some space, or give another folder to --state."
        )


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


# ---- ports -------------------------------------------------------------------------------------


def assign_ports(record: Record) -> list[str]:
    """Gives every node without a port one, and returns those nodes' names."""
    nodes = [name for name in record.node_names() if name not in record.ports]
    if not nodes:
        return []
    taken = set(record.ports.values())
    first = record.topology.ports
    if isinstance(first, int):
        start = max(taken, default=first - 1) + 1
        record.ports |= {name: start + n for n, name in enumerate(nodes)}
    else:
        record.ports |= dict(zip(nodes, choose(len(nodes), taken), strict=True))
    return nodes


def check_ports(record: Record, nodes: Iterable[str], fresh: Iterable[str]) -> None:
    """NodeError when a stranger listens where one of `nodes` must; `fresh` ones can still move."""
    taken = [name for name in nodes if not is_free(record.ports[name])]
    end = time.monotonic() + 3
    while taken and holder(record.ports[taken[0]]) is None and time.monotonic() < end:
        time.sleep(0.02)  # nobody's, so probably that of a node which is just dying
        taken = [name for name in taken if not is_free(record.ports[name])]
    if not taken:
        return
    port = record.ports[taken[0]]
    more = f" (and {len(taken) - 1} more are taken)" if len(taken) > 1 else ""
    remedy = "Stop that program"
    if taken[0] in set(fresh):
        remedy += ", or choose other ports with --ports"
    who = holder(port) or "another program"
    raise NodeError(f"port {port} of {taken[0]} is taken by {who}{more}. {remedy}.")


# ---- serving -----------------------------------------------------------------------------------


def wait_until_serving(
    state: StateFolder, record: Record, program: Program, launcher: Launcher, seconds: float
) -> None:
    """Waits until a member is in sync, or a router serves; NodeError when it dies instead."""
    access = state.access(record)
    server = next(node for node in access.layout.nodes if node.name == program.name)

    def watch() -> None:
        for _, status, log_start in launcher.died():
            raise NodeError(why_it_died(program, status, log_start))

    with access.connections(timeout=5) as connections:

        def problem() -> str:
            if access.layout.set_of(server):
                member = look(connections, server)
                return "" if member.is_settled else member.state
            return why_not_serving(connections, server, "admin", access.passwords["admin"])

        Waiter(seconds, watch).until_well(
            problem, lambda why: f"{server.name} does not serve: {why}. See {program.log}."
        )
