"""Tell who holds dpkg's lock on a host."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.package_lock import LOCK, holder

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


def main() -> None:
    """Runs the module: Ansible calls this file."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    found = holder(LOCK)
    if found:
        module.fail_json(msg=f"{found} holds {LOCK}", holder=found)
    module.exit_json(changed=False, holder="")


if __name__ == "__main__":
    main()
