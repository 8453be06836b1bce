"""Hosts that are containers with systemd and SSH, and the playbooks run on them.

To Ansible such a container is a droplet: it has a public address, which leads through a port of
127.0.0.1, and one in a network without a way out, where the servers know one another by name. What
a closed machine cannot fetch, MongoDB's packages and Caddy's, comes by the variables that a closed
network would use.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cluster.servers.waiting import Waiter

ROOT = Path(__file__).parents[2]
DOCKER = shutil.which("docker") or "docker"
ANSIBLE = Path(sys.executable).parent
ALL_TASKS = {"ANSIBLE_DISPLAY_SKIPPED_HOSTS": "true", "ANSIBLE_DISPLAY_OK_HOSTS": "true"}
DOMAIN = "localhost"  # by which the tests come to the edge
AUTHORITY = "/var/lib/caddy/data/caddy/pki/authorities/local/root.crt"
SYSTEMD = (
    "--cap-add=SYS_ADMIN",
    "--cap-add=NET_ADMIN",
    "--security-opt=seccomp=unconfined",
    "--cgroupns=private",
    "--tmpfs=/run",
    "--tmpfs=/run/lock",
    "--tmpfs=/tmp:exec",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
)
"""What systemd needs to boot in a container without privileges."""
DATA = "--volume=/var/lib/shardstack"
PUBLISHED = (22, 80, 443)
NOT_A_HOST = 250  # hosts count from 11


@dataclass(frozen=True)
class Artifacts:
    """What hosts are made of, and what they cannot fetch from here: files on this machine."""

    image: str
    mongodb: Path
    mongodb_version: str
    wheels: Path
    caddy: Path
    caddyfile: Path


class PlayError(AssertionError):
    """A playbook did not end as it was to; the text is what it said."""


@dataclass(frozen=True)
class Played:
    """A playbook that has run."""

    output: str
    counts: dict[str, dict[str, int]]
    """By host: ok, changed, unreachable, failed, skipped."""
    seconds: float

    def changed(self) -> dict[str, int]:
        """How many tasks changed something, by host."""
        return {host: count["changed"] for host, count in self.counts.items()}


class Hosts:
    """Some hosts and the inventory of them. Use it as a context: they end with the block."""

    def __init__(self, folder: Path, artifacts: Artifacts) -> None:
        self.folder = folder
        self._artifacts = artifacts
        self._mark = f"shardstack-hosts-{secrets.token_hex(3)}"
        self._subnet = secrets.randbelow(200) + 20
        self.inventory = folder / "hosts.yml"
        self.groups: dict[str, list[str]] = {}
        self.variables: dict[str, Any] = {}
        self._made: dict[str, int] = {}
        self._count = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / "key"))
        (self.folder / "vault").write_text(secrets.token_hex(32))
        (self.folder / "vault").chmod(0o600)
        for kind, more in (("private", ["--internal"]), ("public", [])):
            net = self.network if kind == "private" else f"10.{self._subnet}.1.0/24"
            docker("network", "create", "--subnet", net, *more, f"{self._mark}-{kind}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in self._made:
            docker("rm", "--force", "--volumes", f"{self._mark}-{name}")
        for network in ("private", "public"):
            docker("network", "rm", f"{self._mark}-{network}")

    # ---- hosts --------------------------------------------------------------------------------

    def add(self, name: str, loopback: str = "", known_as: str = "", device: str = "") -> None:
        """A fresh host, at new addresses. One of the same name before it is gone for good.

        `loopback` is the address of this machine at which its ports are, as they are; without one,
        any port of 127.0.0.1 leads to each. `known_as` is its name in the network of hosts.
        `device` is a disk of this machine that it has, and what it is called there, with a colon;
        without one a volume of Docker's has its data.
        """
        self.remove(name)
        with self._lock:
            self._count += 1
            number = self._made[name] = self._count + 10
        container = f"{self._mark}-{name}"
        ports = [
            f"--publish={f'{loopback}:{port}' if loopback else '127.0.0.1:'}:{port}"
            for port in PUBLISHED
        ]
        public = ("--network", f"{self._mark}-public", "--ip", f"10.{self._subnet}.1.{number}")
        made = ("create", "--name", container, "--hostname", name)
        disk = f"--device={device}" if device else DATA
        docker(*made, *public, *ports, disk, *SYSTEMD, self._artifacts.image)
        alias = known_as or f"{name}.internal.example.test"
        known = ("--ip", self.address(name), "--alias", alias)
        docker("network", "connect", *known, f"{self._mark}-private", container)
        docker("start", container)
        key = (self.folder / "key.pub").read_text()
        self.shell(
            name, "umask 077; mkdir -p /root/.ssh; cat > /root/.ssh/authorized_keys", given=key
        )
        (self.folder / "known_hosts").unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Ends a host for good, if there is one."""
        if name in self._made:
            docker("rm", "--force", "--volumes", f"{self._mark}-{name}")

    @property
    def network(self) -> str:
        """The network among the hosts."""
        return f"10.{self._subnet}.0.0/24"

    @property
    def gateway(self) -> str:
        """This machine's address in the hosts' public network."""
        return f"10.{self._subnet}.1.1"

    @property
    def administrator(self) -> str:
        """The address from which this machine comes to the hosts."""
        return f"{self.gateway}/32"

    def address(self, name: str) -> str:
        """A host's address among the hosts."""
        return f"10.{self._subnet}.0.{self._made[name]}"

    def port(self, name: str, port: int) -> int:
        """Where a host's port is on 127.0.0.1."""
        return int(docker("port", f"{self._mark}-{name}", f"{port}/tcp").rpartition(":")[2])

    @property
    def url(self) -> str:
        """Where consumers find the API: at the first edge host."""
        return f"https://{DOMAIN}:{self.port(self.groups['edge'][0], 443)}"

    def ca(self) -> Path:
        """The certificate of the authority that signed the first edge host's, as a file."""
        file = self.folder / "root.crt"
        file.write_text(self.shell(self.groups["edge"][0], f"cat {AUTHORITY}"))
        return file

    def shell(self, name: str, line: str, given: str = "", timeout: float = 120) -> str:
        """The output of a line in a host's shell, as root; it must succeed."""
        command = [DOCKER, "exec", "--interactive", f"{self._mark}-{name}", "bash", "-c", line]
        return _run(*command, given=given, timeout=timeout)

    def open_from_outside(self, name: str, ports: set[int]) -> set[int]:
        """Which ports of a host answer a machine of the public network, as any of the internet."""
        address = f"/dev/tcp/{self.public_address(name)}"
        tries = "; ".join(
            f"timeout 2 bash -c '<{address}/{port}' && echo {port}" for port in sorted(ports)
        )
        public = f"--network={self._mark}-public"
        line = f"({tries}) 2>/dev/null; true"
        bash = ("--entrypoint", "bash", self._artifacts.image, "-c", line)
        said = docker("run", "--rm", public, *bash)
        return {int(port) for port in said.split()}

    @contextlib.contextmanager
    def beside(self, name: str) -> Iterator[str]:
        """A machine of the public network that is none of the hosts: its address there."""
        address = f"10.{self._subnet}.1.{NOT_A_HOST}"
        where = ("--network", f"{self._mark}-public", "--ip", address)
        waits = ("--entrypoint", "sleep", self._artifacts.image, "infinity")
        docker("run", "--detach", "--rm", "--name", f"{self._mark}-{name}", *where, *waits)
        try:
            yield address
        finally:
            docker("rm", "--force", f"{self._mark}-{name}")

    def public_address(self, name: str) -> str:
        """A host's address in the public network."""
        return f"10.{self._subnet}.1.{self._made[name]}"

    def stop(self, name: str) -> None:
        """Ends a host as a crash would."""
        docker("kill", f"{self._mark}-{name}")

    # ---- playbooks ----------------------------------------------------------------------------

    def write_inventory(self) -> None:
        """The inventory of the groups and variables, as somebody would write it by hand."""
        hosts = {
            name: {
                "ansible_port": self.port(name, 22),
                "private_address": self.address(name),
                "private_name": f"{name}.internal.example.test",
            }
            for name in dict.fromkeys(host for group in self.groups.values() for host in group)
        }
        children = {group: {"hosts": dict.fromkeys(names)} for group, names in self.groups.items()}
        whole = {
            "all": {"vars": self._usual() | self.variables, "hosts": hosts, "children": children}
        }
        self.inventory.write_text(json.dumps(whole, indent=2))

    def _usual(self) -> dict[str, Any]:
        return {
            "stack_name": "demo",
            "stack_domain": DOMAIN,
            "stack_certificates": "internal",
            "stack_private_network": self.network,
            "stack_admin_addresses": [self.administrator],
            "ansible_user": "root",
            "ansible_host": "127.0.0.1",
            **self.of_a_closed_network(),
        }

    def of_a_closed_network(self) -> dict[str, Any]:
        """What containers on a closed machine want, beside what any inventory has."""
        artifacts = self._artifacts
        return {
            "stack_nofile": 20000,  # a container may have no more
            "ansible_ssh_private_key_file": str(self.folder / "key"),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={self.folder / 'known_hosts'}",
            "mongod_memory_mb": 1024,
            "mongodb_packages_archive": str(artifacts.mongodb),
            "mongodb_packages_version": artifacts.mongodb_version,
            "package_wheels": str(artifacts.wheels),
            "edge_caddy_file": str(artifacts.caddy),
            "edge_caddyfile": str(artifacts.caddyfile),
        }

    def attempt(
        self,
        playbook: str,
        *arguments: str,
        timeout: float = 900,
        inventory: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Played:
        """Runs a playbook, whatever comes of it; on another inventory where one is given."""
        began = time.monotonic()
        done = subprocess.run(
            self.command(playbook, *arguments, inventory=inventory),
            **self.surroundings(environment or {}),
            text=True,
            timeout=timeout,
            check=False,
        )
        (self.folder / f"{playbook}.log").write_text(done.stdout)
        return Played(done.stdout, _counts(done.stdout), time.monotonic() - began)

    def command(
        self, playbook: str, *arguments: str, inventory: Path | None = None
    ) -> list[str | Path]:
        """The command line of a playbook."""
        where = inventory or self.inventory
        return [ANSIBLE / "ansible-playbook", "-i", where, f"{playbook}.yml", *arguments]

    def surroundings(self, environment: Mapping[str, str]) -> dict[str, Any]:
        """In which it runs, as subprocess takes it; all that it says comes by standard output."""
        return {
            "cwd": ROOT / "ansible",
            "env": {**self.environment(), **environment},
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
        }

    def play(self, playbook: str, *arguments: str, **options: Any) -> Played:
        """Runs a playbook as `attempt` does; it must succeed on every host."""
        played = self.attempt(playbook, *arguments, **options)
        bad = [h for h, c in played.counts.items() if c["failed"] or c["unreachable"]]
        if bad or not played.counts:
            raise PlayError(f"{playbook} failed on {bad}: {_failure(played.output)}")
        return played

    def interrupt(
        self,
        playbook: str,
        *arguments: str,
        at: str,
        number: int = 1,
        once: Callable[[], bool] = lambda: True,
    ) -> str:
        """Kills a playbook and its processes here; returns the line at which it did.

        That is the line of this number that has `at`, once it is so. "" when it had ended before,
        well. Headings of tasks are told before the task begins.
        """
        with subprocess.Popen(
            self.command(playbook, *arguments),
            **self.surroundings(ALL_TASKS),
            text=True,
            start_new_session=True,
        ) as running:
            assert running.stdout
            said = []
            for line in running.stdout:
                said.append(line)
                number -= at in line
                if number == 0:
                    try:
                        Waiter(300).until(lambda: once() or None, lambda: f"{at}, and no more")
                    finally:
                        os.killpg(running.pid, signal.SIGKILL)
                    return line
        if running.returncode:
            raise PlayError(f"{playbook} failed: {_failure(''.join(said))}")
        return ""

    def environment(self) -> dict[str, str]:
        """The environment of playbooks."""
        return {
            **os.environ,
            "ANSIBLE_VAULT_PASSWORD_FILE": str(self.folder / "vault"),
            "ANSIBLE_CONFIG": str(ROOT / "ansible" / "ansible.cfg"),
            "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_NOCOLOR": "1",
        }


def _failure(output: str) -> str:
    """The tasks that failed, on one line each; then what was told up to there, and no profile."""
    told = output.partition("PLAY RECAP")[0]
    lines, task = [], ""
    for line in told.splitlines():
        task = line.rstrip("* ") if line.startswith("TASK [") else task
        if line.startswith(("fatal:", "failed:")):
            lines.append(f"{task} {line[:1000]}")
    return "\n".join([*lines, told[-6000:]])


def _counts(output: str) -> dict[str, dict[str, int]]:
    """The last lines of a playbook: `host : ok=1 changed=0 …`."""
    found = {}
    for line in output.partition("PLAY RECAP")[2].splitlines():
        host, colon, counts = line.partition(" : ")
        pairs = [pair.partition("=") for pair in counts.split()]
        if colon and pairs and all(equals and value.isdigit() for _, equals, value in pairs):
            found[host.strip()] = {name: int(value) for name, _, value in pairs}
    return found


def docker(*arguments: str) -> str:
    """The output of a docker command, which must succeed."""
    return _run(DOCKER, *arguments).strip()


def _run(*command: str, given: str = "", timeout: float = 300) -> str:
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=timeout, check=False
    )
    if done.returncode:
        raise AssertionError(f"{' '.join(command[:6])} ended with {done.returncode}: {done.stderr}")
    return done.stdout
