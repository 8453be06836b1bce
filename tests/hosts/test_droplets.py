"""From an account and a domain to a request over HTTPS, and back to nothing.

DigitalOcean is the stand-in of tests/helpers; each droplet is a container, at an address of its own
of this machine's loopback network. Its volume is a file with a loop device, and outlives it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.inventory import DEVICE
from tests.helpers.description import FILE, MISSING, Judge
from tests.helpers.digitalocean import DigitalOcean
from tests.hosts.hosts import AUTHORITY, ROOT, Artifacts, Hosts

pytestmark = pytest.mark.timeout(1800)
DOMAIN = "api.example.com"
CHANGES, UNWELL = 2, 1
VOLUME = 2 * 2**30  # bytes


class Account:
    """Somebody with an account whose droplets are containers."""

    def __init__(self, hosts: Hosts, judge: Judge) -> None:
        self.hosts = hosts
        self.loopback: dict[str, str] = {}
        self.volumes: dict[str, str] = {}  # the device of each, by the droplet that has it
        self.fake = DigitalOcean(
            on_create_droplet=self._create, on_destroy_droplet=self._destroy, judge=judge
        )

    def _create(self, droplet: dict[str, Any]) -> tuple[str, str]:
        name = droplet["name"]
        self.loopback[name] = address = f"127.0.1.{len(self.loopback) + 11}"
        if name not in self.volumes:
            self.volumes[name] = self._volume(name)
        device = f"{self.volumes[name]}:{DEVICE}{name}-data"
        self.hosts.add(name, address, f"{name}.internal.{DOMAIN}", device)
        return address, self.hosts.address(name)

    def _volume(self, name: str) -> str:
        """The device of a new disk."""
        file = self.hosts.folder / f"{name}.img"
        with file.open("wb") as made:
            made.truncate(VOLUME)
        return _output("losetup", "--find", "--show", str(file)).strip()

    def detach(self) -> None:
        """Give all disks back to this machine; no droplet has them any more."""
        for device in self.volumes.values():
            _output("losetup", "--detach", device)

    def _destroy(self, droplet: dict[str, Any]) -> None:
        self.hosts.remove(droplet["name"])

    @property
    def environment(self) -> dict[str, str]:
        return {**self.fake.environment, "SHARDSTACK_STACK": str(self.hosts.folder / "stack.toml")}

    def deploy(self, *arguments: str, status: int = 0) -> str:
        """What `python -m deploy` prints; it must end with this status."""
        done = subprocess.run(
            [sys.executable, "-m", "deploy", *arguments],
            cwd=ROOT,
            env={**self.hosts.environment(), **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def play(self, playbook: str) -> dict[str, int]:
        """Runs a playbook on the droplets: how much it changed, by host."""
        variables = self.hosts.folder / "variables.json"
        secrets = {"stack_secrets_file": str(self.hosts.folder / "shop.secrets")}
        variables.write_text(json.dumps(self.hosts.of_a_closed_network() | secrets))
        played = self.hosts.play(
            playbook,
            "-e",
            f"@{variables}",
            inventory=ROOT / "ansible/inventory/droplets",
            environment=self.environment,
        )
        return played.changed()

    def sign_up(self, name: str, mail: str) -> str:
        """The status of a sign-up by curl, over HTTPS at one droplet."""
        ca = self.hosts.folder / "root.crt"
        ca.write_text(self.hosts.shell(name, f"cat {AUTHORITY}"))
        person = {
            "name": "Ada Lovelace",
            "email": mail,
            "national_id": f"AL-{len(mail)}",
            "password": "a long password of mine",
        }
        return _output(
            *("curl", "--silent", "--show-error", "--cacert", str(ca)),
            *(
                "--resolve",
                f"{DOMAIN}:443:{self.loopback[name]}",
                "--write-out",
                "%{http_code}",
            ),
            *("--header", "Content-Type: application/json", "--data", json.dumps(person)),
            *("--output", "/dev/null", f"https://{DOMAIN}/api/v1/auth/signup"),
        )


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def account(given: Artifacts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An account without anything in it."""
    if not FILE.exists():
        pytest.skip(MISSING)
    with contextlib.ExitStack() as stack:
        hosts = Hosts(tmp_path_factory.mktemp("droplets"), given)
        made = Account(hosts, Judge())
        stack.callback(made.detach)  # once the hosts are gone
        stack.enter_context(hosts)
        stack.enter_context(made.fake)
        yield made


def test_from_nothing_to_https_and_back(account: Account) -> None:
    hosts: Path = account.hosts.folder
    account.deploy(
        *("init", "--name", "shop", "--domain", DOMAIN, "--edge", "load_balancer"),
        *("--ssh-key", str(hosts / "key.pub"), "--admin-address", account.hosts.administrator),
    )
    stack = hosts / "stack.toml"
    stack.write_text(stack.read_text().replace("10.20.0.0/20", account.hosts.network))
    assert "shop-3" in account.deploy("plan", status=CHANGES)
    account.deploy("apply", "--yes")
    assert "nothing to do" in account.deploy("plan")
    account.play("site")
    assert account.sign_up("shop-1", "ada@example.org") == "201"
    assert set(account.play("site").values()) == {0}
    on = "findmnt --noheadings --output SOURCE /var/lib/shardstack"
    assert account.hosts.shell("shop-2", on).strip() == f"{DEVICE}shop-2-data"
    account.hosts.shell("shop-2", "touch /var/lib/shardstack/of-before")

    account.fake.destroy_droplet("shop-2")
    assert "shop-2" in account.deploy("status", status=UNWELL)
    account.deploy("apply", "--yes")
    account.play("site")
    account.hosts.shell("shop-2", "test -e /var/lib/shardstack/of-before")  # with all its data
    assert account.sign_up("shop-2", "grace.hopper@example.org") == "201"

    account.deploy("destroy", "--with-data", "--confirm", "shop")
    assert account.fake.of("droplets") == []
    assert account.fake.violations == []
    assert account.fake.hook_errors == []
