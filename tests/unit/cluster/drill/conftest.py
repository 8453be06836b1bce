"""A target without servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.drill.targets.local import LocalTarget
from cluster.local.cluster import LocalCluster
from cluster.local.state import Record
from cluster.model import topology


@pytest.fixture
def target(tmp_path: Path) -> LocalTarget:
    """A target whose cluster was made, and does not run."""
    cluster = LocalCluster(tmp_path / "state")
    record = Record.new(topology.load())
    record.ports = {name: 20_000 + place for place, name in enumerate(record.node_names())}
    cluster.state.folder.mkdir()
    cluster.state.save(record)
    cluster.state.make_key()
    cluster.state.passwords()
    return LocalTarget(cluster)
