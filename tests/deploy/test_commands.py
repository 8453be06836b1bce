"""`python -m deploy` as people type it: output, exit statuses, and no token anywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.digitalocean import DigitalOcean
from tests.helpers.stacks import PUBLIC_KEY, Operator, write_stack


class Shell:
    """Runs commands in a folder, with the token in the environment."""

    def __init__(self, fake: DigitalOcean, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, **fake.environment}
        self._token = fake.token

    def __call__(self, *arguments: str, status: int = 0, answer: str | None = None) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "deploy", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            input=answer,
            timeout=100,
            check=False,
        )
        told = done.stdout + done.stderr
        assert done.returncode == status, told
        assert self._token not in told
        assert "Traceback" not in told
        return done.stdout if status in (0, 2) else told


@pytest.fixture
def shell(fake: DigitalOcean, tmp_path: Path) -> Shell:
    fake.polls = 0
    return Shell(fake, tmp_path)


def test_from_init_to_destroy(fake: DigitalOcean, shell: Shell) -> None:
    (shell.folder / "ops.pub").write_text(PUBLIC_KEY)
    flags = "--name shop --domain api.example.com --acme-email ops@example.com --ssh-key ops.pub"
    told = shell("init", *flags.split())
    assert "Before there can be a plan:" in told
    assert "admin_addresses is []" in told
    (shell.folder / "stack.toml").unlink()
    told = shell("init", *flags.split(), "--admin-address", "192.0.2.0/24")
    assert "Before" not in told
    assert "is there already" in shell("init", status=1)

    assert "nothing of the stack shop is there" in shell("destroy")
    assert "20 to make" in shell("plan", "--out", "plan.json", status=2)
    shell("status", status=3)
    assert "nobody to ask; say --yes" in shell("apply", status=1)
    shell("apply", "plan.json")
    assert "nothing to do" in shell("plan")
    assert "active    shop-2" in shell("status")
    inventory = json.loads(shell("inventory", "--list"))
    assert inventory["shard_2"]["hosts"] == ["shop-1", "shop-2", "shop-3"]
    host = json.loads(shell("inventory", "--host", "shop-3"))
    assert host == inventory["_meta"]["hostvars"]["shop-3"]
    assert "nobody holds the lock" in shell("lock", "status")

    fake.destroy_droplet("shop-1")
    told = shell("status", status=1)
    assert "missing   shop-1" in told
    assert "drift, by somebody else since the last apply:" in told
    plan = json.loads(shell("plan", "--json", status=2))
    assert plan["version"] == 1
    assert {"action": "+", "kind": "droplet", "name": "shop-1"}.items() <= next(
        one for one in plan["changes"] if one["kind"] == "droplet"
    ).items()
    shell("apply", "--yes")

    assert "--confirm shop" in shell("destroy", status=1)
    assert "not shopp. Nothing was destroyed" in shell("destroy", "--confirm", "shopp", status=1)
    shell("destroy", "--with-data", "--confirm", "shop")
    assert (fake.of("droplets"), fake.of("volumes"), fake.of("vpcs")) == ([], [], [])
    for file in shell.folder.iterdir():
        assert fake.token not in file.read_text()


def test_the_lock(fake: DigitalOcean, shell: Shell) -> None:
    write_stack(shell.folder)
    key = {"id": 7, "public_key": "", "name": "shardstack-shop lock who=anne@desk since=2026 pid=9"}
    from deploy.lock import lock_key  # noqa: PLC0415

    one = lock_key(Operator(fake, shell.folder).stack)
    fake.of("ssh_keys").append({**key, "fingerprint": one.fields["fingerprint"]})
    assert "locked by anne@desk since 2026" in shell("lock", "status")
    assert "locked by anne@desk" in shell("apply", "--yes", status=1)
    assert fake.of("vpcs") == []
    assert "nobody to ask" in shell("lock", "release", status=1)
    assert "released the lock of anne@desk" in shell("lock", "release", "--yes")
    assert fake.of("ssh_keys") == []


def test_a_shard_is_not_destroyed_by_mistake(shell: Shell) -> None:
    write_stack(shell.folder)
    shell("apply", "--yes")
    write_stack(shell.folder, shards=1)
    told = shell("apply", "--yes", status=1)
    assert "error: the data of shard-2 may still be on it. While stack.toml still has it" in told
    shell("plan", "--out", "plan.json")
    assert "apply --drained shard-2" in shell("apply", "plan.json", status=1)
    shell("apply", "plan.json", "--drained", "shard-2")
    shell("apply", "--yes")


def test_mistakes_are_one_line(fake: DigitalOcean, shell: Shell) -> None:
    assert "error: there is no file stack.toml. Write one" in shell("plan", status=1)
    write_stack(shell.folder, members=4)
    told = shell("plan", status=1)
    assert told.startswith("error: stack.toml: members is 4. Give 1, 3, 5 or 7")
    write_stack(shell.folder, region="mars1")
    assert "there is no region 'mars1' now. Set region to one of" in shell("plan", status=1)
    write_stack(shell.folder)
    fake.token = "changed"
    assert "does not know this token (401)" in shell("plan", status=1)
    del shell.environment["DIGITALOCEAN_ACCESS_TOKEN"]
    assert "error: there is no token. Make one at" in shell("plan", status=1)
    shell.environment["DIGITALOCEAN_ACCESS_TOKEN"] = "t"
    shell.environment["DIGITALOCEAN_END_POINT"] = "http://example.com"
    assert "where a token must not go" in shell("plan", status=1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(fake: DigitalOcean, shell: Shell, number: int) -> None:
    """The lock is given back, and what is there is gone on with."""
    fake.polls = 10**6
    write_stack(shell.folder)
    apply = subprocess.Popen(
        [sys.executable, "-m", "deploy", "apply", "--yes"],
        cwd=shell.folder,
        env={**shell.environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert apply.stdout
    assert apply.stderr
    for line in apply.stdout:
        if "waiting: shop-1 is new" in line:
            apply.send_signal(number)
            break
    _, told = apply.communicate(timeout=60)
    assert apply.returncode == 130
    assert "Run the same command again" in told
    assert [one["name"].partition(":")[0] for one in fake.of("ssh_keys")] == ["shardstack-shop"]
    for one in fake.of("droplets"):
        fake._ready("droplets", one)
    shell("apply", "--yes")
    assert len(fake.of("droplets")) == 3
