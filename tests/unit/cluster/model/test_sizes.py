"""Sizes follow from the memory that a member has, and that is what its container allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.model import topology
from cluster.model.profiles import GIB, Sizes, sizes, usable_memory

MACHINE = "MemTotal:       16777216 kB\nMemFree:        1 kB\n"  # 16 GiB


@pytest.mark.parametrize(
    ("memory", "wanted"),
    [
        (0.2, Sizes(0.25, 512, 1000)),
        (1, Sizes(0.25, 512, 1000)),
        (2, Sizes(0.5, 1024, 1500)),
        (8, Sizes(3.5, 4096, 6000)),
        (256, Sizes(127.5, 51200, 65536)),
    ],
)
def test_sizes_follow_from_memory(memory: float, wanted: Sizes) -> None:
    assert sizes(topology.load(), memory * GIB) == wanted


def test_what_is_set_is_taken() -> None:
    given = {"cache_gb": 1, "oplog_mb": 990, "connections": 300}
    assert sizes(topology.load(None, given), 64 * GIB) == Sizes(1.0, 990, 300)


def made(root: Path, **files: str) -> int:
    """The memory of a machine of 16 GiB that has these files besides."""
    for name, text in {"proc/meminfo": MACHINE, **files}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return usable_memory(root)


def test_without_a_limit_it_is_the_machine_s(tmp_path: Path) -> None:
    assert made(tmp_path) == 16 * GIB
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}
    assert made(tmp_path, **files) == 16 * GIB


def test_a_container_s_limit_counts(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{GIB}\n"}
    assert made(tmp_path, **files) == GIB


def test_the_smallest_of_the_groups_above_counts(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/slice/unit\n",
        "sys/fs/cgroup/slice/memory.max": f"{2 * GIB}\n",
        "sys/fs/cgroup/slice/unit/memory.max": f"{4 * GIB}\n",
    }
    assert made(tmp_path, **files) == 2 * GIB


def test_version_1_of_control_groups(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "5:cpu,cpuacct:/a\n4:memory:/docker/0123\n0::/\n",
        # In a container the group is seen as the top one, whatever its path is outside.
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{3 * GIB}\n",
    }
    assert made(tmp_path, **files) == 3 * GIB
    files["sys/fs/cgroup/memory/memory.limit_in_bytes"] = "9223372036854771712\n"
    assert made(tmp_path, **files) == 16 * GIB
