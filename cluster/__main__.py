"""`python -m cluster`: a sharded MongoDB cluster, of processes on this machine or of hosts.

Commands import what they need when they run: `--help` and mistakes answer without the driver.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cluster.errors import StateError
from cluster.model.topology import FILE_VARIABLE, SETTINGS, Setting, as_toml, load
from cluster.model.users import USERS
from console import Report
from console.errors import NOT_RUNNING
from console.terminal import STATE, Commands, Stopwatch, ask, python, run, state_flag, state_option

if TYPE_CHECKING:
    from cluster.deployment import Deployment
    from cluster.local.cluster import LocalCluster


JSON = click.option("--json", "as_json", is_flag=True, help="For scripts.")


def _local(state: str, command: str) -> LocalCluster:
    from cluster.deployment import local_deployment  # noqa: PLC0415 - takes 0.2 s; see above

    return local_deployment(state, command)


def _deployment(state: str) -> Deployment:
    from cluster.deployment import deployment  # noqa: PLC0415

    return deployment(state)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: python -m cluster up --shards 3 && python -m cluster status",
)
def main() -> None:
    """A sharded MongoDB cluster of processes on this machine.

    It lives in one folder, .shardstack by default: data, logs, ports, secrets. Two folders are
    two clusters, which do not disturb one another. In a container or on a host that belongs to a
    cluster (SHARDSTACK_SECRETS is set there), the commands are about that one; `up`, `down` and
    `logs` are refused there, since others start and stop its servers.

    \b
    Environment variables:
      SHARDSTACK_STATE     the folder, where --state is not given
      SHARDSTACK_TOPOLOGY  for `up`, where --topology is not given
      MONGODB_BIN_DIR      the folder of mongod and mongos; else PATH, else a Python wheel
      SHARDSTACK_SECRETS   as above; deploy/compose/README.md has those of containers
      SHARDSTACK_NODES     where the nodes of hosts listen (JSON; cluster/hosted/nodes.py)
    """


class _Value(click.ParamType[Any]):
    """A setting's word or number; its declaration tells what is wrong with anything else."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self.name = "|".join([*setting.words, *([setting.unit] if setting.unit else [])])

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ARG002
        try:
            return self._setting.read(str(value))
        except ValueError:
            return value

    def get_metavar(self, param: Any, ctx: Any) -> str:  # noqa: ARG002
        """As it is to be typed; click would put it in capitals."""
        return self.name


def _topology_flags(command: Callable[..., None]) -> Callable[..., None]:
    for name, setting in reversed(SETTINGS.items()):
        kind = _Value(setting) if setting.words else setting.number or str
        flag = click.option(setting.flag, name, type=kind, default=None, help=setting.flag_help)
        command = flag(command)
    return command


@main.command(epilog="Example: python -m cluster up --shards 3 --election-timeout-ms 5000")
@state_option("the cluster")
@click.option(
    "--topology",
    "file",
    type=click.Path(path_type=Path),
    envvar=FILE_VARIABLE,
    metavar="FILE",
    help=f"A TOML file (or {FILE_VARIABLE}); `topology` prints one that explains every value.",
)
@_topology_flags
@click.option(
    "--exporter/--no-exporter",
    default=True,
    show_default=True,
    help="Watch it, too: one more process, for Prometheus and for the API's page of the cluster.",
)
def up(state: str, file: Path | None, exporter: bool, **flags: Any) -> None:
    """Make the cluster, or make it whole again.

    Run it at any moment: it starts what does not run and changes what is not as asked for. With
    neither a file nor flags, a cluster that was made before stays as it was.
    """
    cluster = _local(state, "up")
    changes = {name: value for name, value in flags.items() if value is not None}
    wanted = load(file, changes) if file else None
    watch = Stopwatch()
    cluster.up(wanted, report=watch.say, phase=watch.phase, exporter=exporter, **changes)
    _summary(cluster)


def _summary(cluster: LocalCluster) -> None:
    topology = cluster.record().topology
    click.echo(
        f"\nA cluster of {topology.shards} shards of {topology.members} members, "
        f"{topology.config_servers} config servers and {topology.routers} routers is up."
    )
    click.echo(f"  connect  {cluster.uri('admin')}")
    click.echo(f"  secrets  {cluster.state.secrets}")
    if url := cluster.exporter_url():
        click.echo(f"  figures  {url}/metrics")
    usual = cluster.state.folder == Path(STATE).absolute()
    flag = "" if usual else f" --state {cluster.state.folder}"
    click.echo(f"  look     {python()} -m cluster status{flag}")
    click.echo(f"  stop     {python()} -m cluster down{flag}")


@main.command()
@state_option("the cluster")
@click.option("--purge", is_flag=True, help="Delete everything in the folder, too; asks first.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def down(state: str, purge: bool, yes: bool) -> None:
    """Stop every process; all files stay, unless --purge is given."""
    cluster = _local(state, "down")
    folder = cluster.state.folder
    if state != STATE and not folder.is_dir():
        raise StateError(f"there is no folder {folder}. Name the cluster's with --state.")
    if purge and not yes and cluster.state.used():
        warning = f"--purge deletes everything in {folder}: data, secrets, logs."
        ask(warning, "nothing was stopped or deleted.")
    made = cluster.state.made()
    watch = Stopwatch()
    running = cluster.down(purge=purge, report=watch.say)
    if running:
        watch.phase("the cluster is down")
    else:
        watch.phase("the cluster does not run" if made else f"no cluster was ever made in {folder}")


@main.command()
def topology() -> None:
    """Print a topology file (TOML) with every setting and its default, explained."""
    click.echo(as_toml(), nl=False)


@main.command()
@state_option("the cluster")
@JSON
def status(state: str, as_json: bool) -> None:
    """Show members, shards, routers and the balancer.

    Exit 0 when all is well, 1 when something is not, 3 when nothing runs.
    """
    from cluster.lifecycle.status import show  # noqa: PLC0415

    where = _deployment(state)
    stopped = where.stopped()
    if stopped and not as_json:
        if state != STATE and not Path(state, "cluster.json").exists():
            where.access()  # raises: a folder was named, and there is no cluster in it
        flag = state_flag(state)
        click.echo(f"cluster   {stopped}. Start it: {python()} -m cluster up{flag}")
        sys.exit(NOT_RUNNING)
    found = where.status()
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=2))
    else:
        show(found)
    sys.exit(NOT_RUNNING if stopped else 0 if found.healthy else 1)


@main.command(epilog="Example: python -m cluster check --except 1 --except 2")
@state_option("the cluster")
@click.option(
    "--except", "left_out", type=int, multiple=True, metavar="NUMBER", help="Do not ask this one."
)
@JSON
def check(state: str, left_out: tuple[int, ...], as_json: bool) -> None:
    """Tell whether the cluster is set up as one runs in production, statement by statement.

    Exit 1 when a statement does not hold. Where all servers share one machine, 1 and 2 never do.
    """
    from cluster.lifecycle.check import check as work  # noqa: PLC0415 - takes 0.2 s

    found = work(_deployment(state).access(), left_out)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(one) for one in found], indent=2))
    else:
        for one in found:
            click.echo(f"{'not so' if one.faults else 'ok':>6}  {one.statement:>2}  {one.says}")
            for fault in one.faults:
                click.echo(f"{'':12}{fault}")
    sys.exit(1 if any(one.faults for one in found) else 0)


@main.command()
@state_option("the cluster")
@click.option(
    "--user", type=click.Choice(USERS), default="admin", show_default=True, help="As whom."
)
def uri(state: str, user: str) -> None:
    """Print a connection string, password included.

    Example: mongosh "$(python -m cluster uri --user app)"
    """
    click.echo(_deployment(state).access().uri(user))


@main.command()
@state_option("the cluster")
@click.argument("name", required=False)
def add_shard(state: str, name: str | None) -> None:
    """Add one more shard; the balancer then moves chunks to it.

    On this machine its processes are started first. Containers and hosts must run already; NAME
    tells which (shard-4), the next one if it is left out.
    """
    watch = Stopwatch()
    name = _deployment(state).add_shard(name, report=watch.say, phase=watch.phase)
    click.echo(f"{name} is part of the cluster.")


@main.command()
@state_option("the cluster")
@click.argument("name")
def remove_shard(state: str, name: str) -> None:
    """Move all data off the shard NAME and take it out of the cluster.

    On this machine its processes are then stopped and their folders deleted. It may be interrupted
    and run again. While a database moves that has the shard as its primary, its unsharded
    collections must not be written to; sharded ones may.
    """
    watch = Stopwatch()
    _deployment(state).remove_shard(name, report=watch.say)
    watch.phase(f"{name} is removed")


@main.command()
@state_option("the cluster")
@click.argument("node")
def restart(state: str, node: str) -> None:
    """Restart one node cleanly; a primary steps down first.

    A container or host is told to shut down, and whoever supervises it starts it again.
    """
    watch = Stopwatch()
    _deployment(state).restart(node)
    watch.phase(f"{node} is back")


@main.command()
@state_option("the cluster")
@click.argument("node")
@click.option("-n", "lines", type=click.IntRange(0), default=50, show_default=True, help="Lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on printing what is added.")
@click.option("--raw", is_flag=True, help="mongod's JSON as it is.")
def logs(state: str, node: str, lines: int, follow: bool, raw: bool) -> None:
    """Print the end of a node's log."""
    cluster = _local(state, "logs")
    cluster.node(node)
    from cluster.local.programs import readable  # noqa: PLC0415
    from console.files import read_log  # noqa: PLC0415

    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for line in read_log(cluster.state.node(node) / "log", lines, follow=follow):
        click.echo(line if raw else readable(line))


@main.command(epilog="Example: python -m cluster rolling-restart")
@state_option("the cluster")
@click.option(
    "--ask",
    is_flag=True,
    help="Have whoever runs the servers restart them: prints `restart NODE`, and waits for a line "
    "`done` on standard input. They may also be servers that are no part of the cluster yet.",
)
@click.argument("nodes", nargs=-1, metavar="[NODE]...")
def rolling_restart(state: str, ask: bool, nodes: tuple[str, ...]) -> None:
    """Restart every server, or those named, one at a time, while clients go on.

    Config servers, shards, routers; within a set the secondaries first, then the primary, which
    hands over before. It refuses to begin unless every server is well. It may be interrupted and
    run again. Clients must retry their calls, as drivers do by default.
    """
    from cluster.lifecycle.rolling_restart import asked_restart  # noqa: PLC0415 - takes 0.2 s
    from cluster.lifecycle.rolling_restart import rolling_restart as work  # noqa: PLC0415

    watch = Stopwatch(to_errors=ask)
    where = _deployment(state)
    access = where.access()
    restart = asked_restart(click.echo, sys.stdin) if ask else where.restart
    there = [node.name for node in access.layout.nodes]
    others = [name for name in nodes if name not in there]
    if others and not ask:
        raise StateError(f"there is no node {others[0]!r}. There are: {', '.join(there)}.")
    work(access, lambda node: restart(node.name), watch.say, only=nodes or None)
    for name in others:  # that nobody depends on: they belong to no set
        restart(name)
    watch.phase(f"{', '.join(nodes) or 'every server'}: restarted")


@main.command(epilog="Example: python -m cluster may-upgrade 8.0.17")
@state_option("the cluster")
@click.argument("version")
def may_upgrade(state: str, version: str) -> None:
    """Tell whether the servers may be upgraded to VERSION as they are; exit 1 if not.

    It refuses to skip a major version, to go back, and to begin before the last one was finished.
    """
    from cluster.lifecycle.upgrade import assert_step  # noqa: PLC0415 - takes 0.2 s

    running = assert_step(_deployment(state).access(), version)
    there = sorted({one.version for one in running})
    click.echo(f"{len(running)} servers run {', '.join(there)} and may be upgraded to {version}.")


@main.command(epilog="Example: python -m cluster feature-version 8.0")
@state_option("the cluster")
@click.argument("version")
@click.option("--yes", is_flag=True, help="Do not ask.")
def feature_version(state: str, version: str, yes: bool) -> None:
    """Raise the feature compatibility version to VERSION: the last step of an upgrade.

    Afterwards no server can go back to the version before. Safe to repeat.
    """
    from cluster.lifecycle.upgrade import raise_feature_version  # noqa: PLC0415 - takes 0.2 s

    access = _deployment(state).access()
    if not yes:
        ask(f"After this, no server can go back behind {version}.", "nothing was changed.")
    changed = raise_feature_version(access, version)
    click.echo(f"feature compatibility version {version}: {'set' if changed else 'was set'}.")


@main.command(epilog="Example: python -m cluster recover shard-1")
@state_option("the cluster")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.argument("sets", nargs=-1, metavar="[SET]...")
def recover(state: str, yes: bool, sets: tuple[str, ...]) -> None:
    """Give a primary to sets that lost most of their members for good, or to those named.

    Without a majority nobody is elected, and nothing can be written. Start the members again if
    you can. This is for when their data are gone: it goes on with what the others have, after it
    has said what that is and asked. The bootstrap (`up`) then takes fresh members in.
    """
    from cluster.lifecycle.recover import force, losses  # noqa: PLC0415 - takes 0.2 s

    access = _deployment(state).access()
    found = losses(access, sets)
    if not found:
        click.echo(f"{', '.join(sets) or 'every set'}: most members are there. Nothing to force.")
        return
    if not yes:
        ask("\n".join(map(str, found)), "nothing was changed.")
    watch = Stopwatch()
    for one in found:
        force(access, one, watch.say)
    watch.phase("every set has a primary")


@main.command(epilog="Example: python -m cluster rotate-key")
@state_option("the cluster")
def rotate_key(state: str) -> None:
    """Change the key file's key, by which the servers know one another, while clients go on.

    All servers are restarted twice, as `rolling-restart` does. It may be interrupted and run
    again, and then goes on with the key that it has begun with. Afterwards the old key opens
    nothing.
    """
    from cluster.lifecycle.rotate_key import rotate_key as work  # noqa: PLC0415 - takes 0.2 s

    watch = Stopwatch()
    work(_deployment(state), watch.say)
    watch.phase("the key has been changed")


@main.command(epilog="Example: python -m cluster rotate-passwords && make up")
@state_option("the cluster")
@click.option("--end", "ends", is_flag=True, help="Drop the user that the application was before.")
def rotate_passwords(state: str, ends: bool) -> None:
    """Give the cluster's users new passwords, while the application goes on.

    The application becomes another user (app-2 after app), with a connection string of its own,
    and the one before stays. When it has taken that over, end with --end. Either may be
    interrupted and run again.
    """
    from cluster.lifecycle import rotate_passwords as work  # noqa: PLC0415 - takes 0.2 s

    watch = Stopwatch()
    (work.end if ends else work.begin)(_deployment(state), watch.say)
    watch.phase(
        "the old passwords open nothing"
        if ends
        else "restart the application: its connection string is a new one. Then: "
        "rotate-passwords --end"
    )


@main.command(epilog="Example: SHARDSTACK_SECRETS=/run/shardstack python -m cluster prepare")
def prepare() -> None:
    """Check the settings and make the secrets that are missing (containers and hosts).

    The topology comes from SHARDSTACK_SHARDS, SHARDSTACK_MEMBERS, …; `topology` explains each.
    """
    from cluster.hosted.cluster import HostedCluster  # noqa: PLC0415

    HostedCluster().prepare(click.echo)


@main.command(epilog="Example: SHARDSTACK_MEMBER_MEMORY=4g python -m cluster mongod-conf")
def mongod_conf() -> None:
    """Print the mongod.conf of a member that has SHARDSTACK_MEMBER_MEMORY (hosts)."""
    from cluster.hosted.cluster import HostedCluster  # noqa: PLC0415

    click.echo(HostedCluster().mongod_conf(), nl=False)


@main.command()
def bootstrap() -> None:
    """Make the servers a cluster, or make it whole again (containers and hosts).

    It may be run at any moment, and again after an interruption.
    """
    from cluster.hosted.cluster import HostedCluster  # noqa: PLC0415

    watch = Stopwatch()
    HostedCluster().bootstrap(watch.say, watch.phase)


KEPT: dict[str, Any] = {
    "type": click.Path(path_type=Path, file_okay=False),
    "show_default": True,
    "metavar": "DIR",
}
"""Options that name a folder, which need not be there."""


@main.command(epilog="Example: python -m cluster exporter --port 9216")
@state_option("the cluster")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=9216, show_default=True, type=click.IntRange(0, 65535))
@click.option("--name", default="shardstack", show_default=True, help="The label `cluster`.")
@click.option("--backups", default="backups", **KEPT, help="Where backups are.")
@click.option("--drills", default="drills", **KEPT, help="Where drills leave runs.")
def exporter(  # noqa: PLR0913 - one for each option
    *, state: str, host: str, port: int, name: str, backups: Path, drills: Path
) -> None:
    """Serve the cluster's metrics for Prometheus, and its picture, until it is ended.

    /metrics, /status.json, and /status.stream with a picture each second. It asks all servers as
    often as it is asked itself, twice a second at most. Whoever reaches it learns how the cluster
    is built: give --host an address of an internal network only.
    """
    from cluster.exporter.kept import Keeper  # noqa: PLC0415
    from cluster.exporter.server import serve  # noqa: PLC0415

    keeper = Keeper(backups, drills)
    serve(_deployment(state).access, keeper, (host, port), name, click.echo)


FOLDER = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))


def _telling(as_json: bool) -> tuple[Report, Report]:
    """What is told of each change, and of each stretch that is done: nothing beside JSON."""
    watch = Stopwatch()
    return (_silent, _silent) if as_json else (watch.say, watch.phase)


def _silent(_: str) -> None:
    """Nobody is told."""


@main.command(epilog="Example: python -m cluster dump backups/monday")
@state_option("the cluster")
@FOLDER
@JSON
def dump(state: str, folder: Path, as_json: bool) -> None:
    """Write a backup of the whole cluster, as it is at one moment, to the new folder DIR.

    Nobody waits for it: readers and writers go on. It may be interrupted at any moment, and then
    leaves nothing behind.
    """
    from cluster.backup import dump as work  # noqa: PLC0415

    _, phase = tell = _telling(as_json)
    os.nice(10)  # whoever uses the cluster goes first, where they share a machine
    done = work.dump(_deployment(state).access(), folder, tell)
    if as_json:
        click.echo(json.dumps({**dataclasses.asdict(done), "folder": str(done.folder)}))
    else:
        phase(f"{done.documents} documents of {done.collections} collections are in {folder}")


@main.command(epilog="Example: python -m cluster restore backups/monday --state .shardstack")
@state_option("the cluster")
@FOLDER
@click.option("--no-compare", is_flag=True, help="Do not read everything back.")
@JSON
def restore(state: str, folder: Path, no_compare: bool, as_json: bool) -> None:
    """Put the backup DIR into this cluster, which must be empty, and compare every document.

    Exit 3 when something differs. It may be interrupted and run again: it drops what it had made,
    and nothing else, and begins anew.
    """
    from cluster.backup import restore as work  # noqa: PLC0415

    tell = _telling(as_json)
    try:
        done = work.restore(_deployment(state).access(), folder, tell, compare=not no_compare)
    except work.DifferenceError as error:
        if as_json:
            click.echo(json.dumps({"differences": error.lines}))
        raise
    if as_json:
        click.echo(json.dumps({**dataclasses.asdict(done), "differences": []}))
    else:
        tell[1](f"{done.documents} documents of {done.collections} collections are restored")


if find_spec("cluster.drill"):  # images leave it out
    from cluster.drill.commands import drill

    main.add_command(drill)

if __name__ == "__main__":
    run(main, "python -m cluster")
