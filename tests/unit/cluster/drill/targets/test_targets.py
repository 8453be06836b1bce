"""What is said of every target that the command line knows, without a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.drill.targets import MAKERS, choose
from cluster.drill.targets.target import Target
from cluster.errors import ClusterError


@pytest.fixture(params=MAKERS)
def made(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Target:
    """Each target, of a cluster that was never made."""
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "shardstack-that-nobody-made")
    return choose(request.param, str(tmp_path / "state"))


def test_it_says_what_it_is_and_how_to_heal_it(made: Target, tmp_path: Path) -> None:
    assert MAKERS[made.kind]
    assert "heal" in made.healing
    assert made.place in made.healing
    assert made.folder.is_relative_to(tmp_path)
    assert not made.folder.exists()


def test_where_there_is_none_it_says_so_in_a_line(made: Target, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"there is no|`docker ps` refuses") as caught:
        made.assert_there()
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "state").exists()
