"""What preflight.yml refuses, on hosts that are not there."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.hosts.hosts import ANSIBLE, ROOT

pytestmark = pytest.mark.timeout(300)


def test_a_host_that_is_not_reached_is_named_with_what_to_look_at(tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    vault.write_text("a password")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]  # once more in use by nobody, when the block ends
    host = {"ansible_port": port, "private_address": "10.9.0.11", "private_name": "db-1.example"}
    variables = {
        "stack_name": "demo",
        "stack_domain": "localhost",
        "stack_certificates": "internal",
        "stack_private_network": "10.9.0.0/24",
        "stack_admin_addresses": ["192.0.2.7/32"],
        "ansible_host": "127.0.0.1",
        "ansible_user": "root",
        "preflight_seconds": 1,
    }
    groups = ("config", "shard_1", "routers", "api", "edge", "monitoring")
    children = {group: {"hosts": {"db-1": None}} for group in groups}
    whole = {"all": {"vars": variables, "hosts": {"db-1": host}, "children": children}}
    (tmp_path / "hosts.yml").write_text(json.dumps(whole))
    done = subprocess.run(
        [ANSIBLE / "ansible-playbook", "-i", tmp_path / "hosts.yml", "preflight.yml"],
        cwd=ROOT / "ansible",
        env={**os.environ, "ANSIBLE_VAULT_PASSWORD_FILE": str(vault)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = " ".join(done.stdout.split())
    assert done.returncode == 2, done.stderr
    assert f"db-1 (127.0.0.1, port {port}) was not reached by SSH as root in 1 s" in said, said
    assert "is your address among 192.0.2.7/32 (stack_admin_addresses)? Nothing was" in said
