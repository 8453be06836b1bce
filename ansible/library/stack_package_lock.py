"""Tell who holds dpkg's lock on a host."""

from __future__ import annotations

import fcntl
import struct
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: stack_package_lock
short_description: Tells who holds dpkg's lock
description:
  - Fails while another process installs packages, as apt does at a droplet's first boot. Changes
    nothing, and takes no lock.
options: {}
"""

RETURN = """
holder:
  description: The process that holds the lock, "" if none does.
  returned: always
  type: str
"""

LOCK = Path("/var/lib/dpkg/lock-frontend")
FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux: type, whence, start, length, pid


def holder(lock: Path) -> str:
    """The process that holds it: its name and number; "" if none does, or there is no lock."""
    if not lock.exists():
        return ""
    asked = struct.pack(FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0)
    with lock.open("rb+") as file:
        kind, _, _, _, pid = struct.unpack(FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
    if kind == fcntl.F_UNLCK:
        return ""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        name = "a process that has just ended"
    return f"{name} (process {pid})"


def main() -> None:
    """Runs the module: Ansible calls this file."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    found = holder(LOCK)
    if found:
        module.fail_json(msg=f"{found} holds {LOCK}", holder=found)
    module.exit_json(changed=False, holder="")


if __name__ == "__main__":
    main()
