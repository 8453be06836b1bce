"""Make the secrets of a stack that are missing, and change them, on the control machine alone."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.rotation import KEY, PREVIOUS, TOKENS, ChangeError, Rotation

DOCUMENTATION = """
module: stack_secrets
short_description: Makes the secrets of a stack that are missing, and changes them
description:
  - Lays out the secrets there are in a folder in memory, has C(python -m cluster prepare) make what
    is missing (key file, passwords, authority, certificate, token of the metrics), and returns all
    of them.
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
  rotation:
    description: The changes that are under way, as this module returned them.
    type: dict
    default: {}
  begin:
    description: The changes to begin, unless they are under way.
    type: list
    elements: str
    default: []
  go_on:
    description: Whether to take the next step of the changes that are under way.
    type: bool
    default: false
  tokens_seconds:
    description: How long a token is good that was signed just now.
    type: int
    default: 0
"""

RETURN = """
secrets:
  description: Every secret, by its file below the folder of secrets.
  returned: always
  type: dict
rotation:
  description: The changes that are under way, and what was made for them.
  returned: always
  type: dict
under_way:
  description: Their names.
  returned: always
  type: list
made:
  description: What was made or changed.
  returned: always
  type: list
"""

MEMORY = "/dev/shm"  # noqa: S108 - in memory, where there is such a thing; the folder is private
FILES = {
    KEY: 0o400,
    "key/ca.pem": 0o400,
    "key/server.pem": 0o400,
    "operator/ca.key": 0o400,
    "operator/users.json": 0o600,
    "application/metrics.token": 0o400,
}


def complete(kept: dict[str, str], module: AnsibleModule) -> tuple[dict[str, str], list[str]]:
    """The secrets with those that were missing, and what was made."""
    where = MEMORY if Path(MEMORY).is_dir() else None
    with tempfile.TemporaryDirectory(prefix="shardstack-", dir=where) as name:
        folder = Path(name)
        for file, mode in FILES.items():
            if text := kept.get(file):
                path = folder / file
                path.parent.mkdir(mode=0o700, exist_ok=True)
                path.touch(mode=mode)
                path.write_text(text)
        lines = prepare(folder, module)
        found = {file: (folder / file).read_text() for file in FILES}
    found[TOKENS] = kept.get(TOKENS) or secrets.token_urlsafe(48)
    if found[TOKENS] != kept.get(TOKENS):
        lines.append("secret of the tokens: made")
    found[PREVIOUS] = kept.get(PREVIOUS, "")
    return found, lines


def prepare(folder: Path, module: AnsibleModule) -> list[str]:
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
    """Runs the module: Ansible calls this file."""
    module = AnsibleModule(
        argument_spec={
            # Not no_log: that would blank the same values in what is returned. The task has no_log.
            "kept": {"type": "dict", "required": True, "no_log": False},
            "nodes": {"type": "list", "elements": "dict", "required": True},
            "source": {"type": "path", "required": True},
            "environment": {"type": "dict", "default": {}},
            "rotation": {"type": "dict", "default": {}, "no_log": False},
            "begin": {"type": "list", "elements": "str", "default": []},
            "go_on": {"type": "bool", "default": False},
            "tokens_seconds": {"type": "int", "default": 0, "no_log": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    sys.path.insert(0, given["source"])  # where Rotation finds what a user is
    found, lines = complete(given["kept"], module)
    rotation = Rotation(found, given["rotation"])
    try:
        lines += rotation.begin(given["begin"], lambda of: complete(dict(of), module)[0])
    except ChangeError as error:
        module.exit_json(changed=False, refused=str(error))
    if given["go_on"]:
        lines += rotation.go_on(given["tokens_seconds"])
    module.exit_json(
        changed=bool(lines),
        secrets=rotation.secrets,
        rotation=rotation.state,
        under_way=rotation.under_way,
        made=lines,
    )


if __name__ == "__main__":
    main()
