"""Which steps from one version to another are allowed."""

from __future__ import annotations

import pytest

from cluster.lifecycle.upgrade import Running, step_problems


def cluster_of(version: str, feature: str) -> list[Running]:
    return [Running("shard-1-1", version, feature), Running("router-1", version, None)]


@pytest.mark.parametrize(
    ("version", "feature", "target"),
    [
        ("8.0.4", "8.0", "8.0.4"),
        ("8.0.4", "8.0", "8.0.16"),
        ("8.0.9", "8.0", "8.0.10"),
        ("7.0.12", "7.0", "8.0.16"),
        ("8.0.4", "8.0", "8.2.3"),
        ("8.0.4", "7.0", "8.0.16"),
    ],
)
def test_a_step_that_is_allowed(version: str, feature: str, target: str) -> None:
    assert step_problems(cluster_of(version, feature), target) == []


@pytest.mark.parametrize(
    ("version", "feature", "target", "told"),
    [
        ("6.0.5", "6.0", "8.0.16", "shard-1-1 runs 6.0.5, and 8.0.16 skips a major version. Upg"),
        ("8.0.16", "8.0", "8.0.4", "shard-1-1 runs 8.0.16, which is newer than 8.0.4"),
        ("8.0.16", "7.0", "9.0.1", "with the features of 7.0. Finish the upgrade before: feature"),
        ("8.0.16", "8.0", "latest", "'latest' is no version of MongoDB"),
    ],
)
def test_a_step_that_is_not(version: str, feature: str, target: str, told: str) -> None:
    assert told in step_problems(cluster_of(version, feature), target)[0]


def test_a_cluster_half_upgraded_may_go_on() -> None:
    half = [Running("config-1", "8.0.16", "7.0"), Running("shard-1-1", "7.0.12", "7.0")]
    assert step_problems(half, "8.0.16") == []
