"""Who holds dpkg's lock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.unit.ansible.test_plugins import plugin

package_lock = plugin("module_utils/package_lock")
HOLD = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_nobody_holds_a_lock_that_is_not_there_or_free(tmp_path: Path) -> None:
    assert package_lock.holder(tmp_path / "lock") == ""
    (tmp_path / "lock").touch()
    assert package_lock.holder(tmp_path / "lock") == ""


def test_the_process_that_holds_it_is_named(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        assert package_lock.holder(lock).endswith(f" (process {process.pid})")
        process.communicate(b"")
    assert package_lock.holder(lock) == ""
