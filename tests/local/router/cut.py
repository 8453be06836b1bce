"""Cuts a shard's primary off the network while clients write; run inside a network namespace.

    ip netns exec NAME python -m tests.local.router.cut FOLDER

Everything of the cluster is in the namespace, so dropping the packets of one port drops all that
one member says and hears: no answer, no reset. Prints what came of it as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from cluster.drill.judge.summary import summarise
from cluster.drill.load.mongo import MongoStore, prepare
from cluster.drill.load.workload import Load, Workload
from cluster.local.cluster import LocalCluster

SHARDS = ("shard-1", "shard-2")


def cut(port: int) -> None:
    """Drop every packet of a port, both ways."""
    for side in ("--sport", "--dport"):
        subprocess.run(
            ["iptables", "-A", "INPUT", "-p", "tcp", side, str(port), "-j", "DROP"],  # noqa: S607
            check=True,
            timeout=20,
        )


def main(folder: Path) -> None:
    """Make a cluster, load it, cut, watch, report."""
    local = LocalCluster(folder)
    client: MongoClient[dict[str, Any]]
    try:
        local.up(config_servers=1, routers=1)
        with MongoClient(local.uri("admin"), socketTimeoutMS=90_000) as client:
            prepare(client, "drill", "keys", SHARDS)
            with Workload(MongoStore(client, "drill", "keys", SHARDS), Load(8)) as workload:
                for shard in SHARDS:
                    workload.wait_for_writes(40, shard, 20)
                cut(local.primary("shard-1").port)
                workload.run(1.0)
                for shard in SHARDS:
                    workload.wait_for_writes(40, shard, 60)  # the cut is never mended
            report = summarise(workload.finish())
    finally:
        local.down(purge=True)
    found = {
        "violations": [str(violation) for violation in report.violations],
        "errors": {str(name): str(count) for name, count in report.errors.items()},
    }
    print(json.dumps(found))  # noqa: T201 - read by the test


if __name__ == "__main__":
    main(Path(sys.argv[1]))
