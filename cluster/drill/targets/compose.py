"""A stack of docker-compose.cluster.yml on this machine, as `make compose-up` makes it.

A drill runs on the machine of the engine, outside of all containers. It breaks containers by the
docker command, so that it may do what whoever runs it may do, and no container gets the engine's
socket, by which it would be root here. It speaks to the servers at their addresses in the stack's
own network, where this machine has a place (`names.py`), so that nothing is published, and nothing
stands between the load and the routers. That takes Docker Engine on Linux; what the secrets are is
read from the containers that have them, and kept nowhere.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psutil

from cluster.drill.targets import namespace, whole
from cluster.drill.targets.containers import LABEL, Container, Containers, docker
from cluster.drill.targets.names import Names
from cluster.drill.targets.target import Ability, Api, NodeState, Note, Unable, Way
from cluster.errors import ClusterError, DrillError, StateError
from cluster.hosted.cluster import HostedCluster
from cluster.hosted.environment import SECRETS
from cluster.servers.connections import Access, Connections, listens
from cluster.servers.waiting import Waiter
from console import Report, files
from console.terminal import python, state_flag

PROJECT = "COMPOSE_PROJECT_NAME"
DEFAULT = "shardstack"
OPERATOR = "bootstrap"
"""The container, which has ended, that has all secrets; `ops` has the same."""
WITHIN = "/run/shardstack"
NETWORK = "cluster"
AUTHORITY = "/data/caddy/pki/authorities/local/root.crt"
START_SECONDS = 90.0
ERRAND_SECONDS = 60.0
BACKUP = "/backup/drill"
UNREACHED = (
    "this machine does not reach the containers at their addresses. It does with Docker Engine on "
    "Linux; it does not with Docker Desktop, nor with an engine that runs without root"
)


class ComposeTarget(Unable):
    """The containers of one project."""

    kind = "compose"

    def __init__(self, state: str, project: str = "") -> None:
        """`state` is the folder in which the drill keeps its own; "" is the project that
        COMPOSE_PROJECT_NAME names, as for docker compose."""
        self.place = project or os.environ.get(PROJECT) or DEFAULT
        self.folder = Path(state).absolute() / "drill" / f"compose-{self.place}"
        named = "" if self.place == DEFAULT else f"{PROJECT}={self.place} "
        heal = f"{python()} -m cluster drill heal --target compose{state_flag(state)}"
        self.healing = named + heal
        self.containers = Containers(self.place)
        self.backup = BACKUP
        self._names = Names(self.containers, NETWORK)
        self._access: Access | None = None

    def assert_there(self) -> None:
        """Raises StateError: there is no such stack."""
        if OPERATOR not in self.containers.all():
            raise StateError(
                f"there is no stack {self.place}. Make one with `make compose-up`, or name "
                f"another by {PROJECT}."
            )

    def api(self) -> Api | None:
        """The API behind Caddy; `ca` is Caddy's own where its certificate is from that one."""
        caddy = self.containers.one("caddy")
        port = caddy.environment["SHARDSTACK_HTTPS_PORT"]
        published = caddy.ports.get(f"{port}/tcp")
        if not published:
            raise StateError("caddy does not run. Make the stack whole with `make compose-up`.")
        ca = None
        if caddy.environment["SHARDSTACK_CERTIFICATES"] != "acme":
            ca = self.folder / "caddy.pem"
            (certificate,) = self.containers.files("caddy", AUTHORITY).values()
            files.write(ca, certificate)
        return Api(
            f"https://{caddy.environment['SHARDSTACK_DOMAIN']}:{published[0]['HostPort']}", ca
        )

    # ---- the servers --------------------------------------------------------------------------

    def access(self) -> Access:
        """What it takes to reach the servers, by names that mean the containers from now on."""
        with self._hosted() as cluster:
            found = cluster.access()
            if found.tls_ca is not None:
                kept = self.folder / "ca.pem"
                files.write(kept, found.tls_ca.read_bytes())
                found = replace(found, tls_ca=kept)
        self._access = found
        return found

    @contextlib.contextmanager
    def _hosted(self) -> Iterator[HostedCluster]:
        """The cluster as `ops` sees it, with the secrets in a folder that is deleted afterwards."""
        operator = self.containers.one(OPERATOR)
        self._names.serve()
        with tempfile.TemporaryDirectory(prefix="shardstack-drill-") as folder:
            for path, content in self.containers.files(OPERATOR, WITHIN).items():
                files.write(Path(folder) / path, content)
            within = str(Path(folder) / Path(WITHIN).name)
            yield HostedCluster({**operator.environment, SECRETS: within})

    def unfit(self) -> list[str]:
        """Why nobody should break this stack now."""
        containers = self.containers.all()
        lasting = [one for one in containers.values() if one.lasting]
        if down := [one.service for one in lasting if _state(one) is not NodeState.RUNNING]:
            return [f"{name} does not run, or stands still" for name in down]
        if errands := self.containers.errands():
            return [f"{name} is at work on it" for name in errands]
        with self._hosted() as cluster:
            if not any(listens(router) for router in cluster.access().layout.routers):
                return [UNREACHED]
            found = whole.unfit(cluster.status(), self.free_mib())
        for one in lasting:  # what the engine knows may be older than the last drill
            if one.health == "unhealthy" and (why := self.containers.ails(one.service)):
                found.append(f"{one.service} fails its health check: {why}")
        return found

    def command(self, words: Sequence[str]) -> list[str]:
        """`ops`, as people run it, in a container that `heal` knows by its name."""
        return self._compose(
            "run", "--rm", "--no-deps", "-T", "--name", self._errand, "ops", *words
        )

    @property
    def _errand(self) -> str:
        return f"{self.place}-drill"

    def _compose(self, *arguments: str) -> list[str]:
        """A `docker compose` command with the files that the stack was made with."""
        labels = self.containers.one(OPERATOR).labels
        made = [
            ("--project-directory", f"{LABEL}.project.working_dir", ""),
            ("--file", f"{LABEL}.project.config_files", ","),
            ("--env-file", f"{LABEL}.project.environment_file", ","),
        ]
        given = [
            part
            for flag, label, comma in made
            for value in (labels.get(label, "").split(comma) if comma else [labels.get(label, "")])
            if value
            for part in (flag, value)
        ]
        return ["docker", "compose", "--project-name", self.place, *given, *arguments]

    def discard_backup(self) -> str:
        """Delete the backup that a drill wrote, if there is one."""
        remove = ("run", "--rm", "--no-deps", "-T", "--entrypoint", "rm", "ops", "-rf", BACKUP)
        docker(*self._compose(*remove)[1:])
        return "the backup is deleted"

    def next_shard(self) -> str:
        """The name of the next shard, which `cannot` be added here."""
        return f"shard-{len(self.access().layout.shards) + 1}"

    def cannot(self, ability: Ability) -> str:
        """A packet filter takes root; a container's disk is the machine's."""
        if ability in (Ability.CUT, Ability.PART, Ability.LOSE):
            return namespace.cannot()
        if ability in (Ability.FILL, Ability.DISK):
            return "the members' volumes share the disk of this machine"
        if ability is Ability.CLOCK:
            return "containers share the clock of this machine"
        if ability is Ability.SLOW:
            return "packets are delayed on the target local only"
        if ability is Ability.GROW:
            return "another shard takes other containers: it comes with SHARDSTACK_SHARDS"
        return ""

    # ---- containers ---------------------------------------------------------------------------

    def state(self, name: str) -> NodeState:
        """How a container is; one that is about to be started by the engine is down."""
        return _state(self.containers.one(name))

    def kill(self, names: Sequence[str]) -> None:
        """SIGKILL by the engine, which waits until they are gone, and lets them be."""
        self.containers.kill(names)
        self._names.forget()

    def start(self, names: Sequence[str]) -> None:
        """Start containers all together, and wait until each serves."""
        access = self._access or self.access()
        self.containers.start(names)
        self._names.forget()
        with access.connections(timeout=5) as connections:
            for name in names:
                self._wait_until_serving(name, access, connections)

    def _wait_until_serving(self, name: str, access: Access, connections: Connections) -> None:
        """A node is asked; of what else there is, its own health check tells."""
        is_node = name in {node.name for node in access.layout.nodes}

        def problem() -> str:
            if is_node:
                return whole.unserved(access, connections, name)
            return self.containers.ails(name)

        Waiter(START_SECONDS).until_well(
            problem, lambda why: f"{name} does not serve: {why}. See `docker compose logs {name}`."
        )

    def pause(self, names: Sequence[str]) -> None:
        """Freeze the containers; the kernel keeps their connections, and accepts new ones."""
        self.containers.pause(names)

    def resume(self, names: Sequence[str]) -> None:
        """Let the containers go on."""
        self.containers.resume(names)

    def cut(self, names: Sequence[str], way: Way, share: float = 1.0) -> None:
        """Drop packets inside the containers' own networks."""
        for name in names:
            namespace.cut(self._pid(name), way, share)

    def part(self, name: str, others: Sequence[str]) -> None:
        """Drop what passes between a container and the addresses that those have now."""
        there = self.containers.all()
        addresses = [there[other].addresses[NETWORK] for other in others]
        namespace.cut(self._pid(name), others=[one for one in addresses if one])

    def join(self, names: Sequence[str]) -> None:
        """Let packets of these containers pass again."""
        for name in names:
            namespace.join(self._pid(name))

    def dropped(self, name: str) -> int:
        """Packets that met the container's rules."""
        return namespace.dropped(self._pid(name))

    def _pid(self, name: str) -> int:
        if not (pid := self.containers.one(name).pid):
            raise DrillError(f"{name} does not run. Start it with `drill heal`.")
        return pid

    # ---- data ---------------------------------------------------------------------------------

    def wipe(self, name: str) -> None:
        """Delete the data of a member that is down."""
        self._assert_down(name)
        self.containers.beside(name, "find /data/db -mindepth 1 -delete")
        (self.folder / f"damaged-{name}").unlink(missing_ok=True)

    def damage(self, name: str) -> str:
        """Overwrite the middle of its largest collection with what is no WiredTiger block."""
        self._assert_down(name)
        files.write(self.folder / f"damaged-{name}", "")
        return self.containers.beside(name, DAMAGE).strip()

    def _assert_down(self, name: str) -> None:
        if self.state(name) is not NodeState.DOWN:
            raise DrillError(f"{name} runs. Its data is touched only while it does not.")

    def rolled_back(self, since: datetime) -> dict[str, int]:
        """Files below each member's `rollback` folder that were written since then."""
        layout = (self._access or self.access()).layout
        members = [node.name for one in layout.sets for node in one.members]
        find = f"find /data/db -path '*/rollback/*.bson' -newermt @{since.timestamp():.0f} | wc -l"
        with ThreadPoolExecutor(4) as pool:
            found = pool.map(lambda name: int(self.containers.run(name, "sh", "-c", find)), members)
            return {name: count for name, count in zip(members, found, strict=True) if count}

    def free_mib(self) -> int:
        """The free space of the disk that all volumes share, in MiB."""
        return shutil.disk_usage(self._root).free // 2**20

    @functools.cached_property
    def _root(self) -> str:
        return docker("info", "--format", "{{.DockerRootDir}}").strip()

    # ---- the API ------------------------------------------------------------------------------

    def replicas(self) -> list[str]:
        """The containers of the API."""
        return sorted(name for name in self.containers.all() if name.startswith("api-"))

    def workers(self, url: str) -> list[int]:  # noqa: ARG002 - there is one API
        """The children of each replica's main process, by their ids on this machine."""
        mains = [one.pid for name, one in self.containers.all().items() if name.startswith("api-")]
        found = []
        for main in mains:
            with contextlib.suppress(psutil.Error):
                found += [child.pid for child in psutil.Process(main).children()]
        return sorted(found)

    def kill_worker(self, pid: int) -> None:
        """Send SIGKILL to a worker from within its container; one that is gone is left alone."""
        with contextlib.suppress(psutil.Error, OSError):
            main = psutil.Process(pid).ppid()
            inside = Path(f"/proc/{pid}/status").read_text().partition("\nNSpid:")[2].split("\n")[0]
            for one in self.containers.all().values():
                if one.pid == main:
                    docker("exec", one.id, "sh", "-c", f"kill -KILL {inside.split()[-1]}")

    # ---- afterwards ---------------------------------------------------------------------------

    def heal(self, report: Report, note: Note | None) -> None:
        """Take back whatever a drill did, and have the stack make itself whole."""
        self._end_errand(report, note)
        containers = {name: one for name, one in self.containers.all().items() if one.lasting}
        if paused := [name for name, one in containers.items() if one.paused]:
            self.containers.resume(paused)
            report(f"stood still, and go on: {', '.join(paused)}")
        if not namespace.cannot():
            running = [one for one in containers.values() if one.pid]
            if cut := [one.service for one in running if namespace.join(one.pid)]:
                report(f"packet filter: the drill's rules are out of {', '.join(cut)}")
        for mark in sorted(self.folder.glob("damaged-*")):
            name = mark.name.removeprefix("damaged-")
            if self.state(name) is not NodeState.DOWN:
                self.kill([name])
            self.wipe(name)
            report(f"{name}: its damaged data is deleted, and it copies the others'")
        down = [name for name in containers if self.state(name) is NodeState.DOWN]
        if down:
            self.start(down)
            report(f"started again: {', '.join(down)}")
        if note is not None:
            docker("start", "--attach", self.containers.one(OPERATOR).id)

    def _end_errand(self, report: Report, note: Note | None) -> None:
        """End a command of ours that outlived its drill; it tidies up, as after Ctrl-C."""
        if self._errand in self.containers.errands():
            report(f"ended what still worked on the cluster: {self._errand}")
            with contextlib.suppress(ClusterError):  # it may have ended this moment
                docker("kill", "--signal", "INT", self._errand)
                docker("wait", self._errand)
        if note is not None and any("backup" in deed for deed in note.deeds):
            self.discard_backup()

    def save_logs(self, folder: Path, since: datetime, until: datetime) -> None:
        """Each container's lines between two moments, as they are."""
        folder.mkdir(exist_ok=True)
        begin, end = (moment.astimezone(UTC).isoformat() for moment in (since, until))
        for name, one in self.containers.all().items():
            if one.lasting:
                (folder / f"{name}.log").write_bytes(self.containers.log(name, begin, end))


DAMAGE = """
cd /data/db
file=$(find . -name 'collection-*.wt' -printf '%s %p\\n' | sort -rn | head -n 1 | cut -d ' ' -f 2)
size=$(stat -c %s "$file")
length=$((size / 2 < 65536 ? size / 2 : 65536))
start=$(((size - length) / 2))
head -c $length /dev/urandom | dd of="$file" bs=1 seek=$start conv=notrunc status=none
echo "$length bytes in the middle of ${file#./}, of $size"
"""


def _state(container: Container) -> NodeState:
    if not container.pid:
        return NodeState.DOWN
    return NodeState.PAUSED if container.paused else NodeState.RUNNING
