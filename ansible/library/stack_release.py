"""Build this project's wheel on the control machine, and name it by what is in it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: stack_release
short_description: Builds this project's wheel
description:
  - Builds a wheel of C(console), C(api), C(cluster) unless one of the same content is there.
  - The name of the release is a digest of its files and of the locked versions, so that the same
    code has the same name whoever builds it.
options:
  source:
    description: The folder of this project.
    type: path
    required: true
  folder:
    description: Where wheels are kept.
    type: path
    required: true
"""

RETURN = """
name:
  description: The release, the first sixteen digits of a digest.
  returned: always
  type: str
wheel:
  description: The wheel's file.
  returned: always
  type: str
"""

PARTS = ("console", "api", "cluster")
OTHERS = ("pyproject.toml", "api/requirements.lock")


def digest(source: Path) -> str:
    """A digest of everything that goes into a release."""
    found = hashlib.sha256()
    files = [source / name for name in OTHERS]
    for part in PARTS:
        files += [
            file
            for file in sorted((source / part).rglob("*"))
            if file.is_file() and "__pycache__" not in file.parts
        ]
    for file in files:
        found.update(f"{file.relative_to(source)}\0".encode() + file.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def build(source: Path, target: Path, module: AnsibleModule) -> None:
    """A wheel in the folder `target`, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        done = subprocess.run(
            [*command, "--disable-pip-version-check", "--wheel-dir", name, str(source)],
            env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            module.fail_json(msg=f"the wheel could not be built: {done.stderr.strip()}")
        [wheel] = Path(name).glob("*.whl")
        target.mkdir(exist_ok=True)
        wheel.rename(target / wheel.name)


def main() -> None:
    """Runs the module: Ansible calls this file."""
    module = AnsibleModule(
        argument_spec={
            "source": {"type": "path", "required": True},
            "folder": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    source = Path(module.params["source"])
    name = digest(source)
    target = Path(module.params["folder"]) / name
    wheels = list(target.glob("*.whl"))
    if not wheels:
        build(source, target, module)
    [wheel] = target.glob("*.whl")
    module.exit_json(changed=not wheels, name=name, wheel=str(wheel))


if __name__ == "__main__":
    main()
