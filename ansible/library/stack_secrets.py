"""Make the secrets of a stack that are missing, in memory, on the control machine."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: stack_secrets
short_description: Makes the secrets of a stack that are missing
description:
  - Lays out the secrets there are in a folder in memory, has C(python -m cluster prepare) make what
    is missing (key file, passwords, authority, certificate), and returns all of them.
  - A certificate that ends within half a year, or lacks a name, is made anew.
options:
  kept:
    description: The secrets there are, by file. Empty at first.
    type: dict
    required: true
  nodes:
    description: The nodes, each with C(name), C(host) and C(port).
    type: list
    elements: dict
    required: true
  source:
    description: The folder of this project.
    type: path
    required: true
  environment:
    description: What our commands are given besides.
    type: dict
    default: {}
"""

RETURN = """
secrets:
  description: Every secret, by its file below the folder of secrets.
  returned: always
  type: dict
made:
  description: What was made.
  returned: always
  type: list
"""

MEMORY = "/dev/shm"  # noqa: S108 - in memory, where there is such a thing; the folder is private
FILES = {
    "key/keyFile": 0o400,
    "key/ca.pem": 0o400,
    "key/server.pem": 0o400,
    "operator/ca.key": 0o400,
    "operator/users.json": 0o600,
}
TOKENS = "application/jwt.key"


def made(folder: Path, module: AnsibleModule) -> list[str]:
    """Have `prepare` complete the folder: what it says."""
    given: dict[str, Any] = module.params
    nodes = folder / "nodes.json"
    nodes.write_text(module.jsonify(given["nodes"]))
    done = subprocess.run(
        [sys.executable, "-m", "cluster", "prepare"],
        cwd=given["source"],
        env={
            **os.environ,
            **{name: str(value) for name, value in given["environment"].items()},
            "SHARDSTACK_SECRETS": str(folder),
            "SHARDSTACK_NODES": str(nodes),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        module.fail_json(msg=done.stderr.strip() or f"`prepare` ended with {done.returncode}")
    return done.stdout.splitlines()


def main() -> None:
    """As Ansible calls it."""
    module = AnsibleModule(
        argument_spec={
            # Not no_log: that would blank the same values in what is returned. The task has no_log.
            "kept": {"type": "dict", "required": True, "no_log": False},
            "nodes": {"type": "list", "elements": "dict", "required": True},
            "source": {"type": "path", "required": True},
            "environment": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    where = MEMORY if Path(MEMORY).is_dir() else None
    with tempfile.TemporaryDirectory(prefix="shardstack-", dir=where) as name:
        folder = Path(name)
        for file, mode in FILES.items():
            if text := module.params["kept"].get(file):
                path = folder / file
                path.parent.mkdir(mode=0o700, exist_ok=True)
                path.touch(mode=mode)
                path.write_text(text)
        lines = made(folder, module)
        found = {file: (folder / file).read_text() for file in FILES}
    found[TOKENS] = module.params["kept"].get(TOKENS) or secrets.token_urlsafe(48)
    if found[TOKENS] != module.params["kept"].get(TOKENS):
        lines.append("secret of the tokens: made")
    module.exit_json(changed=bool(lines), secrets=found, made=lines)


if __name__ == "__main__":
    main()
