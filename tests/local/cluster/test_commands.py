"""The commands of `python -m cluster`, against a small cluster."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from cluster.errors import MismatchError, StateError
from cluster.lifecycle.bootstrap import bootstrap
from cluster.local.cluster import LocalCluster
from tests.local.cluster.small import SMALL, client_of, command, error_of, run, running_pids


def test_up_again_changes_nothing_and_says_nothing(small: LocalCluster) -> None:
    before = running_pids(small)
    said: list[str] = []
    small.up(report=said.append)
    assert said == []
    assert running_pids(small) == before


def test_users_may_do_their_work_and_no_more(small: LocalCluster) -> None:
    key = {"_id": "hashed"}
    with client_of(small, "app") as app:
        app.admin.command("enableSharding", "shardstack")
        app.admin.command("shardCollection", "shardstack.things", key=key)
        things = app["shardstack"]["things"]
        things.insert_one({"_id": 1})
        things.create_index("name")
        with pytest.raises(OperationFailure, match="not authorized"):
            app["other"]["things"].insert_one({"_id": 1})
        with pytest.raises(OperationFailure, match="not authorized"):
            app.admin.command("shardCollection", "other.things", key=key)
    with client_of(small, "monitor") as monitor:
        assert monitor.admin.command("listShards")["shards"][0]["_id"] == "shard-1"
        with pytest.raises(OperationFailure, match="not authorized"):
            monitor["shardstack"]["things"].find_one()
    with client_of(small, "backup") as backup:
        assert backup["shardstack"]["things"].find_one() == {"_id": 1}
        with pytest.raises(OperationFailure, match="not authorized"):
            backup["shardstack"]["things"].insert_one({"_id": 2})
    with client_of(small) as admin:
        admin.drop_database("shardstack")


def test_majority_is_the_default_write_concern(small: LocalCluster) -> None:
    with client_of(small) as admin:
        now = admin.admin.command("getDefaultRWConcern")
    assert now["defaultWriteConcern"]["w"] == "majority"
    assert now["defaultWriteConcernSource"] == "global"  # set, not merely what it comes to


def test_password_that_differs_is_set_again(small: LocalCluster) -> None:
    (small.state.secrets / "users.json").unlink()
    said: list[str] = []
    small.up(report=said.append)
    assert "user app: password set" in said
    with client_of(small, "app") as app:
        app["shardstack"].command("ping")


def test_roles_and_timings_are_reconciled(small: LocalCluster) -> None:
    with client_of(small) as admin:
        admin.admin.command("updateUser", "monitor", roles=[])
    said: list[str] = []
    small.up(report=said.append, election_timeout_ms=3000)
    assert "user monitor: roles set" in said
    assert "shard-1: electionTimeoutMillis is now 3000" in said
    small.up(election_timeout_ms=1700)


def test_a_database_that_has_data_behind_it_stays(small: LocalCluster) -> None:
    with client_of(small, "app") as app:
        app["shardstack"]["kept"].insert_one({"_id": 1})
    before = small.uri("app")
    told = error_of(run(small, "up", "--database", "other"))
    assert told.startswith("database is shardstack in this cluster and cannot become other")
    assert small.uri("app") == before
    # Where no record tells, as in containers, the cluster itself does.
    access = small.access()
    other = dataclasses.replace(access, layout=dataclasses.replace(access.layout, database="other"))
    with pytest.raises(MismatchError, match=r"database is shardstack .* cannot become other"):
        bootstrap(other, print)
    small.up()
    with client_of(small, "app") as app:
        assert app["shardstack"]["kept"].find_one() == {"_id": 1}
        app.drop_database("shardstack")


def test_an_oplog_is_resized_where_there_is_data(small: LocalCluster) -> None:
    said: list[str] = []
    small.up(report=said.append, oplog_mb=1000)
    assert sorted(said) == [f"{name}: oplog is now 1000 MiB" for name in ("config-1", "shard-1-1")]
    with pytest.raises(MismatchError, match=r"oplog_mb is 1000 on .* resizes an oplog to 990 MiB"):
        small.up(oplog_mb=100)
    small.up(oplog_mb="auto")


PARAMETERS = {
    "diagnosticDataCollectionEnabled": (False, True),
    "orphanCleanupDelaySecs": (1, 900),
    "scramSHA256IterationCount": (5000, 15000),
    "shutdownTimeoutMillisForSignaledShutdown": (500, 5000),
    "enableLocalhostAuthBypass": (False, False),
}
"""By profile: laptop, production. The latter are MongoDB's defaults, but for the last two."""


def settings_of(local: LocalCluster) -> dict[str, Any]:
    """What the shard's only member says that it runs with."""
    access = local.access()
    with access.connections() as connections:
        admin = connections.member(access.layout.shards[0].members[0]).admin
        found = dict(admin.command({"getParameter": 1, **dict.fromkeys(PARAMETERS, 1)}))
        status = admin.command("serverStatus")
        cache = status["wiredTiger"]["cache"]["maximum bytes configured"]
        config = admin.command("replSetGetConfig")["config"]["settings"]
        return found | {
            "cache": cache,
            "catch-up": config["catchUpTimeoutMillis"],
            "chaining": config["chainingAllowed"],
            "connections": status["connections"]["current"] + status["connections"]["available"],
        }


def test_a_laptop_s_members_start_and_stop_fast(small: LocalCluster) -> None:
    found = settings_of(small)
    assert {name: found[name] for name in PARAMETERS} == {n: v[0] for n, v in PARAMETERS.items()}
    assert found["catch-up"] == 300
    assert found["chaining"] is False


@pytest.mark.long
@pytest.mark.core
def test_production_s_members_have_mongodb_s_defaults(empty: LocalCluster) -> None:
    empty.up(**SMALL, profile="production", cache_gb=0.5, connections=500)
    found = settings_of(empty)
    assert {name: found[name] for name in PARAMETERS} == {n: v[1] for n, v in PARAMETERS.items()}
    assert found["catch-up"] == -1
    assert (found["cache"], found["connections"]) == (2**29, 500)
    empty.up(profile="laptop")
    assert not settings_of(empty)["enableLocalhostAuthBypass"]
    empty.restart("shard-1-1")
    assert settings_of(empty)["orphanCleanupDelaySecs"] == 1


def test_status_for_scripts(small: LocalCluster) -> None:
    with client_of(small) as admin:
        admin["shardstack"]["counted"].insert_many([{"n": n} for n in range(7)])
    done = run(small, "status", "--json")
    assert done.returncode == 0, done.stdout
    found = json.loads(done.stdout)
    assert found["healthy"]
    assert found["balancer"] == "on"
    (member,) = found["sets"][1]["members"]
    assert member["state"] == "PRIMARY"
    assert member["pid"] == running_pids(small)["shard-1-1"]
    assert member["rss_mib"] > 50
    (shard,) = found["shards"]
    assert {"namespace": "shardstack.counted", "sharded": False, "chunks": 0, "documents": 7} in (
        shard["collections"]
    )
    assert found["routers"][0]["kind"]
    with client_of(small) as admin:
        admin.drop_database("shardstack")


def test_status_tells_what_is_down(small: LocalCluster) -> None:
    small.kill("router-1")
    small.kill("shard-1-1")
    done = run(small, "status")
    assert done.returncode == 1
    assert "shard-1 has no primary: it takes no writes" in done.stdout
    assert "shard-1-1: not listening" in done.stdout
    assert "router-1 does not serve: not listening" in done.stdout
    assert "config-1" in done.stdout


def test_status_tells_that_routers_have_no_config_servers(small: LocalCluster) -> None:
    """What they know they serve; nobody who asks for the databases gets an answer."""
    assert run(small, "status").returncode == 0
    small.kill("config-1")
    done = run(small, "status")
    assert done.returncode == 1
    assert "router-1 serves no more than it knows: the config servers are down" in done.stdout


@pytest.mark.long
def test_restart_gives_a_new_process_that_serves(small: LocalCluster) -> None:
    before = running_pids(small)
    restarted = {"shard-1-1", "router-1"}
    for node in restarted:
        assert run(small, "restart", node).returncode == 0
    after = running_pids(small)
    assert {node for node in before if after[node] != before[node]} == restarted
    with client_of(small) as admin:
        admin["shardstack"]["restarted"].insert_one({})
        admin.drop_database("shardstack")


def test_unknown_nodes_and_shards_are_told_with_those_there_are(small: LocalCluster) -> None:
    names = "There are: config-1, router-1, shard-1-1."
    assert names in error_of(run(small, "restart", "shard-9"))
    assert names in error_of(run(small, "logs", "x"))
    assert "There are: shard-1." in error_of(run(small, "remove-shard", "shard-9"))
    assert "is the last shard" in error_of(run(small, "remove-shard", "shard-1"))
    with pytest.raises(StateError, match="There are: cfg, shard-1"):
        small.primary("shard-9")


def test_logs_show_the_end_and_follow(small: LocalCluster) -> None:
    done = run(small, "logs", "config-1", "-n", "3")
    assert len(done.stdout.splitlines()) == 3
    with subprocess.Popen(
        command(small, "logs", "shard-1-1", "-n", "1", "-f"), stdout=subprocess.PIPE, text=True
    ) as follower:
        try:
            assert follower.stdout
            assert follower.stdout.readline()  # what was there: from now on it follows
            small.kill("shard-1-1", signal.SIGTERM)
            assert follower.stdout.readline()
        finally:
            follower.terminate()


@pytest.mark.long
@pytest.mark.core
def test_two_clusters_do_not_collide(small: LocalCluster, empty: LocalCluster) -> None:
    empty.up(shards=1, members=1, config_servers=1, routers=1)
    assert not {n.port for n in small.nodes()} & {n.port for n in empty.nodes()}
    empty.down()
    assert len(running_pids(small)) == 3
