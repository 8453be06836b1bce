"""What is said of every target that the command line knows, without a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.drill.targets import MAKERS, target
from cluster.errors import ClusterError


@pytest.mark.parametrize("kind", MAKERS)
def test_it_says_what_it_is_and_how_to_heal_it(kind: str, tmp_path: Path) -> None:
    made = target(kind, str(tmp_path))
    assert made.kind == kind
    assert "heal" in made.healing
    assert made.folder.is_relative_to(tmp_path)
    assert not made.folder.exists()


@pytest.mark.parametrize("kind", MAKERS)
def test_where_there_is_none_it_says_so_in_a_line(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="there is no") as caught:
        target(kind, str(tmp_path / "state")).assert_there()
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "state").exists()
