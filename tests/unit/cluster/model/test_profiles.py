"""The two profiles: which settings each has, and how a place comes by its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cluster.model import topology
from cluster.model.profiles import LAPTOP, PRODUCTION, PROFILES, Profile, Sizes, choose, mongod_conf

SIZES = Sizes(cache_gb=0.5, oplog_mb=990, connections=1234)
MONGODB_S_DEFAULTS = {
    "diagnosticDataCollectionEnabled",
    "orphanCleanupDelaySecs",
    "scramSHA256IterationCount",
}


def settings(profile: Profile, election_timeout_ms: int = 1700) -> dict[str, Any]:
    """What a mongod reads, without the line of comment."""
    comment, _, text = mongod_conf(profile, SIZES, election_timeout_ms).partition("\n")
    assert comment.startswith("# ")
    return dict(json.loads(text))


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_no_profile_opens_a_door(profile: Profile) -> None:
    found = settings(profile)
    assert found["security"]["authorization"] == "enabled"
    assert found["setParameter"]["enableLocalhostAuthBypass"] is False
    assert found["net"]["compression"]["compressors"] == "snappy,zstd"
    assert found["net"]["unixDomainSocket"]["enabled"] is False


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_sizes_are_written_beside_the_other_settings(profile: Profile) -> None:
    found = settings(profile)
    assert found["net"]["maxIncomingConnections"] == 1234
    assert found["replication"]["oplogSizeMB"] == 990
    assert found["storage"]["wiredTiger"]["engineConfig"]["cacheSizeGB"] == 0.5


def test_production_keeps_mongodb_s_defaults() -> None:
    found = settings(PRODUCTION)
    assert not MONGODB_S_DEFAULTS & set(found["setParameter"])
    assert set(settings(LAPTOP)["setParameter"]) >= MONGODB_S_DEFAULTS
    assert "configString" not in found["storage"]["wiredTiger"]["engineConfig"]
    assert "configString" in settings(LAPTOP)["storage"]["wiredTiger"]["engineConfig"]
    assert PRODUCTION.catch_up_timeout_ms == -1
    assert (LAPTOP.orphan_cleanup_seconds, PRODUCTION.orphan_cleanup_seconds) == (1, 900)


def test_production_ends_a_member_whose_disk_stands_still() -> None:
    """60 s is the least that MongoDB takes; on a laptop, nobody would start the member again."""
    assert settings(PRODUCTION)["setParameter"]["watchdogPeriodSeconds"] == 60
    assert "watchdogPeriodSeconds" not in settings(LAPTOP)["setParameter"]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.7, 5.0, 9.9, 10.0, 30.0, 60.0])
def test_a_secondary_gives_a_still_primary_up_after_the_election(
    profile: Profile, seconds: float
) -> None:
    """And not more than a second later than it must."""
    found = settings(profile, int(seconds * 1000))["setParameter"]
    given_up = min(seconds / 2, 5) + found["oplogNetworkTimeoutBufferSeconds"]
    elected = seconds * 1.15 + 0.5
    assert elected <= given_up < elected + 1
    assert found["oplogFetcherSteadyStateMaxFetcherRestarts"] == 0


def test_the_default_election_timeout_gets_the_buffer_that_was_measured() -> None:
    timeout = topology.load().election_timeout_ms
    assert settings(PRODUCTION, timeout)["setParameter"]["oplogNetworkTimeoutBufferSeconds"] == 2


def test_a_place_takes_its_usual_profile_unless_the_topology_names_one() -> None:
    default = topology.load()
    assert choose(default, LAPTOP) is LAPTOP
    assert choose(default, PRODUCTION) is PRODUCTION
    assert choose(default.changed(profile="production"), LAPTOP) is PRODUCTION
    assert choose(default.changed(profile="laptop"), PRODUCTION) is LAPTOP
