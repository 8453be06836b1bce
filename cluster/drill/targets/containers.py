"""The containers of one Compose stack, as the Docker engine has them, and what is done to them.

They are found by the labels that Compose gives them, and only they are ever touched. All is done by
the docker command, which finds the engine as people's own commands do (contexts, DOCKER_HOST).
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import tarfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.errors import ClusterError, StateError

LABEL = "com.docker.compose"
SECONDS = 120.0
"""In which the engine answers, a container that has to end first included."""
FREEZING_SECONDS = 20.0


@dataclass(frozen=True)
class Container:
    """The container of a service. `pid` is 0 while it does not run.

    `check` is the command of its health check, [] without one; `health` what the engine knows of
    that, which may be as old as the time between two checks, and "" without one.

    `lasting` is one that is to run all the time, as opposed to once. `addresses` are by the names
    that networks have in the Compose file; "" while it does not run.
    """

    service: str
    id: str
    pid: int
    paused: bool
    health: str
    check: Sequence[str]
    lasting: bool
    image: str
    user: str
    addresses: Mapping[str, str]
    ports: Mapping[str, Any]
    environment: Mapping[str, str]
    labels: Mapping[str, str]


class Containers:
    """Those of one project. Each method raises ClusterError with what the engine complains of."""

    def __init__(self, project: str) -> None:
        self.project = project
        self._ids: list[str] = []
        self._lock = threading.Lock()

    # ---- looking ------------------------------------------------------------------------------

    def all(self) -> dict[str, Container]:
        """The container of every service, as it is now; {} where there is no such stack."""
        with self._lock:
            inspected = self._inspect()
        found = (_container(one, self.project) for one in inspected)
        return {one.service: one for one in found}

    def one(self, service: str) -> Container:
        """The container of a service. Raises StateError where there is none."""
        if (found := self.all().get(service)) is None:
            raise StateError(
                f"the stack {self.project} has no container of {service}. "
                "Make it whole with `make compose-up`."
            )
        return found

    def errands(self) -> list[str]:
        """The names of containers that run a single command of somebody's, `ops` mostly."""
        return docker(
            *("ps", "--format", "{{.Names}}"),
            *("--filter", f"label={LABEL}.project={self.project}"),
            *("--filter", f"label={LABEL}.oneoff=True"),
        ).split()

    def _inspect(self) -> list[dict[str, Any]]:
        """What the engine knows of each; those that were replaced meanwhile are looked up anew."""
        if self._ids:
            with contextlib.suppress(ClusterError):
                return list(json.loads(docker("inspect", *self._ids)))
        self._ids = docker(
            *("ps", "--all", "--quiet", "--no-trunc"),
            *("--filter", f"label={LABEL}.project={self.project}"),
            *("--filter", f"label={LABEL}.oneoff=False"),
        ).split()
        return list(json.loads(docker("inspect", *self._ids))) if self._ids else []

    # ---- what is done to them -----------------------------------------------------------------

    def kill(self, services: Sequence[str]) -> None:
        """SIGKILL, after which the engine does not start them again by itself."""
        docker("kill", "--signal", "KILL", *self._named(services))

    def start(self, services: Sequence[str]) -> None:
        """Start those that do not run."""
        docker("start", *self._named(services))

    def pause(self, services: Sequence[str]) -> None:
        """Make them stand still, again while the kernel cannot.

        It cannot freeze a container in which a process, such as a health check, just begins.
        """
        ids = self._named(services)
        end = time.monotonic() + FREEZING_SECONDS
        while True:
            try:
                docker("pause", *ids)
            except ClusterError:
                there = self.all()
                ids = [there[name].id for name in services if not there[name].paused]
                if ids and time.monotonic() > end:
                    raise
                time.sleep(0.05)
            else:
                return
            if not ids:
                return

    def resume(self, services: Sequence[str]) -> None:
        """Let them go on."""
        docker("unpause", *self._named(services))

    def run(self, service: str, *command: str) -> str:
        """The output of a command inside a container that runs."""
        return docker("exec", self.one(service).id, *command)

    def ails(self, service: str) -> str:
        """What a container's own health check complains of, made now; "" where it passes."""
        found = self.one(service)
        if not found.pid:
            return "it does not run"
        if found.check:
            try:
                docker("exec", found.id, *found.check)
            except ClusterError as error:
                return str(error)
        return ""

    def beside(self, service: str, script: str) -> str:
        """The output of a shell script beside a container that is down, which has its volumes.

        It runs in a container of the same image, as the same user, without a network.
        """
        found = self.one(service)
        return docker(
            *("run", "--rm", "--network", "none", "--volumes-from", found.id),
            *("--label", f"{LABEL}.project={self.project}", "--label", f"{LABEL}.oneoff=True"),
            *("--user", found.user, "--entrypoint", "sh", found.image, "-euc", script),
        )

    def files(self, service: str, path: str) -> dict[str, bytes]:
        """A file of a container, running or not, or all below a folder, by their paths from there.

        These begin with the last name of `path`.
        """
        packed = _docker("cp", f"{self.one(service).id}:{path}", "-")
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            members = [(one.name, tar.extractfile(one)) for one in tar]
            return {name: file.read() for name, file in members if file is not None}

    def log(self, service: str, since: str, until: str) -> bytes:
        """What a container printed between two moments (ISO 8601)."""
        command = ("logs", "--since", since, "--until", until, self.one(service).id)
        return _docker(*command, errors=subprocess.STDOUT)

    def _named(self, services: Sequence[str]) -> list[str]:
        there = self.all()
        if missing := [name for name in services if name not in there]:
            raise StateError(f"the stack {self.project} has no container of {', '.join(missing)}.")
        return [there[name].id for name in services]


def _container(inspected: dict[str, Any], project: str) -> Container:
    state, settings = inspected["State"], inspected["Config"]
    networks = inspected["NetworkSettings"]["Networks"]
    return Container(
        service=settings["Labels"][f"{LABEL}.service"],
        id=inspected["Id"],
        pid=state["Pid"] if state["Running"] else 0,
        paused=state["Paused"],
        health=state.get("Health", {}).get("Status", ""),
        check=settings.get("Healthcheck", {}).get("Test", [])[1:],
        lasting=inspected["HostConfig"]["RestartPolicy"]["Name"] in ("always", "unless-stopped"),
        image=inspected["Image"],
        user=settings["User"],
        addresses={
            name.removeprefix(f"{project}_"): end["IPAddress"] for name, end in networks.items()
        },
        ports=inspected["NetworkSettings"]["Ports"],
        environment=dict(one.split("=", 1) for one in settings["Env"] if "=" in one),
        labels=settings["Labels"],
    )


def docker(*arguments: str) -> str:
    """What a docker command prints. Raises ClusterError with what it complains of."""
    return _docker(*arguments).decode(errors="replace")


def _docker(*arguments: str, errors: int = subprocess.PIPE) -> bytes:
    try:
        done = subprocess.run(
            ["docker", *arguments],  # noqa: S607 - the one that people's own commands find
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            check=False,
            timeout=SECONDS,
            start_new_session=True,  # Ctrl-C is for the drill
        )
    except FileNotFoundError:
        raise ClusterError("there is no docker. Install Docker Engine 25 or newer.") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(
            f"`docker {arguments[0]}` has no answer after {SECONDS:.0f} s."
        ) from None
    if done.returncode:
        why = " ".join((done.stderr or done.stdout).decode(errors="replace").split())
        raise ClusterError(f"`docker {arguments[0]}` refuses: {why}")
    return done.stdout
