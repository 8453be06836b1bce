"""A dump is the cluster at one moment, whatever goes on around it; writers only wait."""

from __future__ import annotations

import itertools
import json
import threading
from pathlib import Path

import bson
import psutil
import pytest

from cluster.drill.mongo import MongoTarget, prepare
from cluster.drill.report import summarise
from cluster.drill.workload import Load, Workload
from cluster.local.cluster import LocalCluster
from tests.local.backup.dumping import BULK, Client, dumping, ended, fill, members_locked
from tests.local.cluster.small import client_of, error_of, run

pytestmark = pytest.mark.long


class Writers:
    """Each writes n on one shard and, once that is acknowledged, n on the other."""

    def __init__(self, client: Client, count: int) -> None:
        self.client = client
        self._stop = threading.Event()
        self.errors: list[Exception] = []
        self.threads = [threading.Thread(target=self._write, args=(n,)) for n in range(count)]

    def _write(self, writer: int) -> None:
        db = self.client["pairs"]
        first, second = [("east", "west"), ("west", "east")][writer % 2]
        try:
            for n in itertools.count():
                if self._stop.is_set():
                    return
                for shard in (first, second):
                    key = {"_id": f"{writer}", "shard": shard}
                    db[shard].replace_one({"_id": key["_id"]}, {**key, "n": n}, upsert=True)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            self.errors.append(error)

    def __enter__(self) -> Writers:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self.threads:
            thread.join(30)


def test_what_was_acknowledged_first_is_in_it_if_the_second_is(
    client: Client, source: LocalCluster, tmp_path: Path
) -> None:
    shards = {"east": "shard-1", "west": "shard-2"}
    client.admin.command("enableSharding", "pairs")
    for name, shard in shards.items():
        client.admin.command("shardCollection", f"pairs.{name}", key={"_id": 1})
        bounds = {"min": {"_id": bson.MinKey()}, "max": {"_id": bson.MaxKey()}}
        client.admin.command("moveRange", f"pairs.{name}", toShard=shard, **bounds)
    # Of east the pairs are read first, of west last: without a fence, time passes in between.
    client["pairs"]["east"].insert_many({"_id": f"{n}", "n": -1} for n in range(8))
    for name in shards:
        rest = ({"_id": f"rest {n}", "text": "x" * 500} for n in range(BULK))
        client["pairs"][name].insert_many(rest)
    with Writers(client, 8) as writers:
        for attempt in range(3):
            done = run(source, "dump", str(tmp_path / str(attempt)))
            assert done.returncode == 0, done.stderr
    assert writers.errors == []
    for attempt in range(3):
        n = {
            (shard, doc["_id"]): doc["n"]
            for shard in shards
            for doc in bson.decode_all((tmp_path / f"{attempt}/pairs/{shard}.bson").read_bytes())
            if "n" in doc
        }
        for writer in range(8):
            first, second = [("east", "west"), ("west", "east")][writer % 2]
            ahead = n[first, f"{writer}"] - n[second, f"{writer}"]
            assert ahead in (0, 1), (attempt, writer, n)
    ended(client)


def test_a_load_waits_and_loses_nothing(cluster: LocalCluster, tmp_path: Path) -> None:
    shards = ["shard-1", "shard-2"]
    with client_of(cluster) as client:
        try:
            fill(client)
            prepare(client, "load", "keys", shards)
            target = MongoTarget(client, "load", "keys", shards)
            with Workload(target, Load(clients=8)) as load:
                for shard in shards:
                    load.wait_for_writes(20, shard, 30)
                done = run(cluster, "dump", "--json", str(tmp_path / "backup"))
                for shard in shards:
                    load.wait_for_writes(20, shard, 30)
                report = summarise(load.finish())
            assert done.returncode == 0, done.stderr
            assert report.violations == []
            assert report.errors == {}
            waited = json.loads(done.stdout)["fence_seconds"]
            assert waited > 0.2
            # The last writes were in flight when the fence fell, and so may be acknowledged in it.
            assert all(gap.seconds > waited * 0.5 for gap in report.gaps.values()), report.text()
            ended(client)
        finally:
            for name in ("bulk", "load", "shop"):
                client.drop_database(name)


def test_an_election_voids_what_was_read(healed_cluster: LocalCluster, tmp_path: Path) -> None:
    with client_of(healed_cluster) as client:
        try:
            fill(client)
            with dumping(healed_cluster, str(tmp_path / "backup")) as process:
                healed_cluster.kill(healed_cluster.primary("shard-1").name)
                out, error = process.communicate(timeout=90)
            assert (process.returncode, error) == (0, "")
            assert "void: " in out
            ended(client)
            manifest = json.loads((tmp_path / "backup" / "cluster.json").read_text())
            counts = {c["collection"]: c["documents"] for c in manifest["collections"]}
            assert counts["bulk"] == counts["more"] == BULK
        finally:
            for name in ("bulk", "shop"):
                client.drop_database(name)


def test_a_lock_that_somebody_lifts_voids_it(
    client: Client, source: LocalCluster, tmp_path: Path
) -> None:
    fill(client)
    access = source.access()
    with dumping(source, str(tmp_path / "backup")) as process, access.connections() as connections:
        connections.member(access.layout.shards[1].members[0]).admin.command("fsyncUnlock")
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "void: shard-2-1 is no longer locked" in out
    ended(client)


def test_a_chunk_that_somebody_moves_voids_nothing_unseen(
    client: Client, source: LocalCluster, tmp_path: Path
) -> None:
    fill(client)
    client.admin.command("shardCollection", "bulk.bulk", key={"_id": 1})

    def move() -> None:
        to = {"_id": bson.MinKey()}, {"_id": 10}
        client.admin.command("moveRange", "bulk.bulk", toShard=other, min=to[0], max=to[1])

    primary = client["config"]["databases"].find_one({"_id": "bulk"})
    assert primary is not None
    other = "shard-2" if primary["primary"] == "shard-1" else "shard-1"
    mover = threading.Thread(target=move)
    with dumping(source, str(tmp_path / "backup")) as process:
        mover.start()
        process.communicate(timeout=60)
    mover.join(60)
    assert process.returncode == 0
    documents = bson.decode_all((tmp_path / "backup/bulk/bulk.bson").read_bytes())
    assert sorted(d["_id"] for d in documents) == list(range(BULK))
    ended(client)


def test_nobody_sees_a_secret(client: Client, source: LocalCluster, tmp_path: Path) -> None:
    fill(client)
    access = source.access()
    secrets = [access.key, *access.passwords.values()]
    with dumping(source, str(tmp_path / "backup")) as process:
        dump = psutil.Process(process.pid)
        dump.suspend()
        (warden,) = dump.children()
        for seen in (dump, warden):
            shown = " ".join([*seen.cmdline(), *seen.environ().values()])
            assert not any(secret in shown for secret in secrets)
        for path in tmp_path.rglob("*"):
            assert path.stat().st_mode & 0o077 == 0, path
        dump.resume()


def test_what_cannot_be_dumped_is_refused_before_anybody_waits(
    client: Client, source: LocalCluster, tmp_path: Path
) -> None:
    client["odd"].create_collection("series", timeseries={"timeField": "at"})
    done = run(source, "dump", str(tmp_path / "backup"))
    assert "odd.series is a timeseries" in error_of(done)
    assert "writes wait" not in done.stdout
    ended(client)


def test_writers_do_not_wait_longer_than_they_should(
    client: Client, source: LocalCluster, tmp_path: Path
) -> None:
    fill(client)
    with dumping(source, "--longest-fence", "3", str(tmp_path / "backup")) as process:
        stopped = psutil.Process(process.pid)
        stopped.suspend()  # so slow that only the warden is left to end it
        client["shop"]["waits"].insert_one({})
        assert members_locked(source) == []
        stopped.resume()
        _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the fence stood for 3 s: unlocked shard-1-1, shard-2-1" in error
    assert "Allow more with --longest-fence." in error
    assert not (tmp_path / "backup").exists()
    ended(client)


def test_servers_that_were_just_restarted_do_not_hold_it_up(
    client: Client, source: LocalCluster, tmp_path: Path
) -> None:
    """They look up what they own at the first read, and write it down: not behind the fence."""
    client.admin.command("shardCollection", "spread.out", key={"_id": "hashed"})
    client["spread"]["out"].insert_many({"_id": n} for n in range(100))
    for shard in ("shard-1-1", "shard-2-1"):
        source.restart(shard)
    dumped = run(source, "dump", str(tmp_path / "backup"), "--json")
    assert json.loads(dumped.stdout)["tries"] == 1
