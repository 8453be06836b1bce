"""mongosh, the shell that people have: it takes the router for a mongos."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pymongo.collection import Collection

from cluster.local.cluster import LocalCluster

ROOT = Path(__file__).parents[3]
NEEDED = (20, 19)  # mongosh loads ES modules by require()


@pytest.fixture(scope="session")
def mongosh() -> str:
    """Path of mongosh: `make tools` installs it from npm."""
    found = shutil.which("mongosh", path=ROOT / ".tools" / "node_modules" / ".bin")
    found = found or shutil.which("mongosh")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("mongosh is not installed: run make tools first")
        pytest.skip("mongosh is not installed: make tools installs it")
    if node() < NEEDED:
        pytest.skip("mongosh wants Node.js 20.19 or newer")
    return found


def node() -> tuple[int, ...]:
    """The version of Node.js."""
    told = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True)  # noqa: S607
    return tuple(int(number) for number in told.stdout.strip().lstrip("v").split("."))


def run(mongosh: str, uri: str, script: str, home: Path) -> str:
    """Evaluate a script; the connection string goes by the environment, not by the arguments."""
    environment = {**os.environ, "SHARDSTACK_URI": uri, "HOME": str(home)}
    prelude = "db = connect(process.env.SHARDSTACK_URI); disableTelemetry();"
    result = subprocess.run(
        [mongosh, "--nodb", "--quiet", "--norc", "--eval", prelude + script],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.long
@pytest.mark.core
def test_the_shell_administers_a_sharded_collection(
    mongosh: str, cluster: LocalCluster, sharded: Collection[dict[str, Any]], tmp_path: Path
) -> None:
    name = sharded.database.name
    script = f"""
        const t = db.getSiblingDB("{name}");
        sh.enableSharding("{name}");
        sh.shardCollection("{name}.shell", {{_id: "hashed"}});
        t.shell.insertMany([...Array(50).keys()].map(n => ({{_id: n, n}})));
        t.shell.updateOne({{_id: 7}}, {{$set: {{seen: true}}}});
        t.shell.createIndex({{n: 1}});
        sh.stopBalancer(); const off = sh.getBalancerState(); sh.startBalancer();
        const status = sh.status();
        print("RESULT" + JSON.stringify({{
            hello: db.hello().msg,
            count: t.shell.countDocuments(),
            paged: t.shell.find().batchSize(7).toArray().length,
            seen: t.shell.findOne({{_id: 7}}).seen,
            indexes: t.shell.getIndexes().length,
            distribution: Object.keys(t.shell.getShardDistribution().value).length,
            shards: status.value.shards.length,
            off: off, on: sh.getBalancerState(),
            stats: t.shell.stats().count,
            explain: t.shell.find({{_id: 7}}).explain().queryPlanner.winningPlan.stage,
        }}));
    """
    printed = run(mongosh, cluster.uri("admin"), script, tmp_path)
    result = json.loads(printed.split("RESULT")[1].splitlines()[0])
    assert result == {
        "hello": "isdbgrid",
        "count": 50,
        "paged": 50,
        "seen": True,
        "indexes": 3,
        "distribution": 3,
        "shards": 2,
        "off": False,
        "on": True,
        "stats": 50,
        "explain": "SINGLE_SHARD",
    }
