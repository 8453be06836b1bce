"""Clusters of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.local.cluster import LocalCluster


@contextmanager
def cluster_of(folder: Path, **shape: int) -> Iterator[LocalCluster]:
    """A cluster of this shape in `folder`, which is stopped and deleted at the end."""
    local = LocalCluster(folder / "state")
    try:
        local.up(**shape)
        yield local
    finally:
        local.down(purge=True)
