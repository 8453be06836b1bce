"""One stack of docker-compose.cluster.yml, under a project name and ports of its own."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCKER = shutil.which("docker") or "docker"
FILE = "docker-compose.cluster.yml"
SHARD_MEMBERS = [f"shard-{s}-{n}" for s in (1, 2, 3) for n in (1, 2, 3)]
MEMBERS = ["config-1", "config-2", "config-3", *SHARD_MEMBERS]
ROUTERS = ["router-1", "router-2"]
APIS = ["api-1", "api-2"]
SERVERS = [*MEMBERS, *ROUTERS, *APIS, "caddy"]


class ComposeError(AssertionError):
    """A command that was to succeed did not; the text is all it said."""


def docker(*arguments: str, timeout: float = 60) -> str:
    """The output of a docker command that must succeed."""
    done = subprocess.run(
        [DOCKER, *arguments], capture_output=True, text=True, timeout=timeout, check=False
    )
    if done.returncode:
        raise ComposeError(f"docker {' '.join(arguments)}: {done.stderr or done.stdout}")
    return done.stdout


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Stack:
    """The stack of one project. `files` follow the Compose file, `settings` are as in .env."""

    def __init__(
        self, project: str, files: Iterable[str] = (), settings: Mapping[str, str] | None = None
    ) -> None:
        self.project = project
        self.files = [FILE, *files]
        self.http_port, self.https_port = free_port(), free_port()
        self.settings = {
            "SHARDSTACK_HTTP_PORT": str(self.http_port),
            "SHARDSTACK_HTTPS_PORT": str(self.https_port),
            **_open_files(),
            **(settings or {}),
        }
        self.url = f"https://localhost:{self.https_port}"

    # ---- compose ------------------------------------------------------------------------------

    def command(self, *arguments: str) -> list[str]:
        """The command line of `docker compose` for this stack."""
        files = [part for file in self.files for part in ("--file", str(ROOT / file))]
        # No .env of whoever runs the tests is read.
        fixed = ["--project-name", self.project, "--env-file", "/dev/null"]
        return [DOCKER, "compose", *fixed, *files, *arguments]

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        """A `docker compose` command that runs in the background, output and errors in one."""
        return subprocess.Popen(
            self.command(*arguments),
            env={**_plain_environment(), **self.settings, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )

    def attempt(
        self, *arguments: str, timeout: float = 180, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """A `docker compose` command, whatever comes of it; `settings` for this one only."""
        return subprocess.run(
            self.command(*arguments),
            env={**_plain_environment(), **self.settings, **settings},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=ROOT,
        )

    def run(self, *arguments: str, timeout: float = 180, **settings: str) -> str:
        """The output of a `docker compose` command that must succeed."""
        done = self.attempt(*arguments, timeout=timeout, **settings)
        if done.returncode:
            raise ComposeError(
                f"compose {' '.join(arguments)} ended with {done.returncode}:\n{self.tails()}\n"
                f"{done.stdout}\n{done.stderr}"
            )
        return done.stdout

    def up(self, *services: str, timeout: float = 180) -> float:
        """Bring it up and wait until all is healthy; the seconds it took."""
        began = time.monotonic()
        self.run("up", "--detach", "--wait", *services, timeout=timeout)
        return time.monotonic() - began

    def start_change(self, **settings: str) -> subprocess.Popen[str]:
        """What `make compose-up` runs, after these settings have changed; for good."""
        self.settings.update(settings)
        return subprocess.Popen(
            [str(ROOT / "deploy/compose/up"), *self.files[1:]],
            env={**_plain_environment(), **self.settings, "COMPOSE_PROJECT_NAME": self.project},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )

    def change(self, timeout: float = 800, **settings: str) -> None:
        """Change settings, and have the stack follow them, one container at a time."""
        change = self.start_change(**settings)
        try:
            said, _ = change.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            change.terminate()
            raise
        if change.returncode:
            raise ComposeError(f"{settings}: {change.returncode}:\n{said}\n{self.tails()}")

    def down(self, *, volumes: bool = False) -> float:
        """Take it down; the seconds it took."""
        began = time.monotonic()
        extra = ["--volumes"] if volumes else []
        profiles = ["--profile", "*"]
        self.run(*profiles, "down", "--remove-orphans", "--timeout", "30", *extra)
        return time.monotonic() - began

    def ops(self, *arguments: str, timeout: float = 180) -> str:
        """The output of a command of `python -m cluster` in a container of its own."""
        return self.run("run", "--rm", "--no-deps", "-T", "ops", *arguments, timeout=timeout)

    def status(self) -> dict[str, Any]:
        """The cluster's status, as its own command tells it."""
        done = self.attempt("run", "--rm", "--no-deps", "-T", "ops", "status", "--json")
        return dict(json.loads(done.stdout))

    def secret(self, path: str) -> str:
        """A file of the secrets volumes, by its path below /run/shardstack."""
        file = f"/run/shardstack/{path}"
        return self.run("run", "--rm", "--no-deps", "-T", "--entrypoint", "cat", "ops", file)

    def tails(self) -> str:
        """How each container is and what it said last, for messages."""
        states = self.attempt("ps", "--all", "--format", "{{.Service}}: {{.Status}}").stdout
        said = self.attempt("logs", "--no-color", "--tail", "2").stdout
        return states + "\n".join(line[:300] for line in said.splitlines())

    # ---- containers ---------------------------------------------------------------------------

    def container(self, service: str) -> str:
        """The name of a service's container."""
        return f"{self.project}-{service}-1"

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows of a service's container."""
        return dict(json.loads(docker("inspect", self.container(service)))[0])

    def pid(self, service: str) -> int:
        """The process id, on this machine, of a container's main process; 0 when it is down."""
        return int(self.inspect(service)["State"]["Pid"])

    def health(self, service: str) -> str:
        """healthy, unhealthy, starting, or how else it is."""
        state = self.inspect(service)["State"]
        return str(state.get("Health", {}).get("Status") or state["Status"])

    def wait_healthy(self, services: Iterable[str] = SERVERS, seconds: float = 90) -> None:
        """Wait until these containers are healthy, by themselves."""
        left = list(services)

        def settled() -> bool:
            left[:] = [name for name in left if self.health(name) not in ("healthy", "running")]
            return not left

        until(settled, seconds, lambda: f"not healthy: {left}\n{self.tails()}")

    def primary(self, set_name: str, seconds: float = 30) -> str:
        """The service that is the primary of a set, as the status tells."""
        found: list[str] = []

        def look() -> bool:
            found[:] = [
                s["primary"]
                for s in self.status()["sets"]
                if s["name"] == set_name and s["primary"]
            ]
            return bool(found)

        until(look, seconds, lambda: f"{set_name} has no primary")
        return found[0]

    # ---- consumers ----------------------------------------------------------------------------

    def ca(self, folder: Path) -> Path:
        """The certificate of the authority that signed Caddy's, as a file in `folder`."""
        file = folder / f"{self.project}-caddy.pem"
        if not file.exists():
            source = f"{self.container('caddy')}:/data/caddy/pki/authorities/local/root.crt"
            docker("cp", source, str(file))
        return file


@contextlib.contextmanager
def fresh(
    project: str, files: Iterable[str] = (), settings: Mapping[str, str] | None = None
) -> Iterator[Stack]:
    """A stack without containers or data, which leaves none behind."""
    made = Stack(project, files, settings)
    made.down(volumes=True)  # of a run that was killed
    made.run("build", "--quiet", "prepare", timeout=600)  # or an older one is taken
    try:
        yield made
    finally:
        made.down(volumes=True)


def until(ask: Callable[[], bool], seconds: float, explain: Callable[[], str]) -> None:
    """Ask until the answer is yes; fails with `explain` when the time is up."""
    end = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < end, explain()
        time.sleep(0.2)


def _open_files() -> dict[str, str]:
    """On a machine where fewer files may be open than the Compose file asks for: so many."""

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return {"SHARDSTACK_NOFILE": str(hard)} if 0 < hard < 64000 else {}


def _plain_environment() -> dict[str, str]:
    """The environment without settings of another stack."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SHARDSTACK_", "COMPOSE_"))
    }
