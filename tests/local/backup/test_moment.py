"""A dump is the cluster at one moment, whatever goes on around it; nobody waits for it."""

from __future__ import annotations

import itertools
import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bson
import psutil
import pytest

from cluster.backup.dump import dump
from cluster.drill.judge.summary import summarise
from cluster.drill.load.mongo import MongoStore, prepare
from cluster.drill.load.workload import Load, Workload
from cluster.errors import ClusterError
from cluster.local.cluster import LocalCluster, silent
from tests.local.backup.dumping import BULK, PHASES, Client, dumping, fill, untouched
from tests.local.cluster.small import client_of, error_of, run

WRITERS = 4
KEY = {"_id": "hashed"}
STEPS = ("orders", "lines", "stock")  # on all shards; on all, in ranges; on one


class Writers:
    """Each makes the same change in one collection after the other, each acknowledged first.

    Each collection is written by a driver of its own, so that nothing but time tells one of the
    other's writes. What is deleted again was inserted just before.
    """

    def __init__(self, local: LocalCluster) -> None:
        self.local = local
        self.errors: list[Exception] = []
        self.rounds = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(n,)) for n in range(WRITERS)]

    def _write(self, writer: int) -> None:
        clients = {name: client_of(self.local) for name in STEPS}
        try:
            for n in itertools.count():
                if self._stop.is_set():
                    return
                for name, client in clients.items():
                    collection = client["chain"][name]
                    done = {"_id": f"{writer} {n}", "writer": writer, "n": n}
                    collection.replace_one({"_id": done["_id"]}, done, upsert=True)
                    collection.update_one(
                        {"_id": f"last {writer}"}, {"$set": {"last": n}}, upsert=True
                    )
                    collection.delete_one({"_id": f"{writer} {n - 50}"})
                self.rounds += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            self.errors.append(error)
        finally:
            for client in clients.values():
                client.close()

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


def make_chain(client: Client) -> None:
    admin, chain = client.admin, client["chain"]
    admin.command("enableSharding", "chain", primaryShard="shard-1")
    admin.command("shardCollection", "chain.orders", key=KEY)
    admin.command("shardCollection", "chain.lines", key={"_id": 1})
    admin.command("split", "chain.lines", middle={"_id": "2"})
    half = {"min": {"_id": "2"}, "max": {"_id": bson.MaxKey()}}
    admin.command("moveRange", "chain.lines", toShard="shard-2", **half)
    # What is read first lies far before what is read last: without one moment, they would differ.
    for name in STEPS:
        chain[name].insert_many({"_id": f"rest {n}", "text": "x" * 300} for n in range(BULK // 3))


def assert_one_moment(documents: Callable[[str], Iterator[dict[str, Any]]]) -> None:
    """Each collection is a step of the writers behind the one before it, or where that is."""
    seen: dict[str, dict[int, int]] = {}
    for name in STEPS:
        found = {doc["_id"]: doc for doc in documents(name)}
        assert sum(key.startswith("rest ") for key in found) == BULK // 3, name
        last = {writer: found[f"last {writer}"]["last"] for writer in range(WRITERS)}
        for writer, n in last.items():
            # Of the next one the document itself may be there, and not yet the note of it.
            its = {doc["n"] for doc in found.values() if doc.get("writer") == writer}
            assert its - {n + 1, n - 50} == set(range(max(0, n - 49), n + 1)), (name, writer)
        seen[name] = last
    for one, next_one in itertools.pairwise(STEPS):
        for writer in range(WRITERS):
            ahead = seen[one][writer] - seen[next_one][writer]
            assert ahead in (0, 1), (one, next_one, writer, seen)


def of_dump(place: Path) -> Callable[[str], Iterator[dict[str, Any]]]:
    return lambda name: iter(bson.decode_all((place / "chain" / f"{name}.bson").read_bytes()))


@contextmanager
def again_and_again(act: Callable[[int], None], fatal: bool = True) -> Iterator[list[int]]:
    """Does something over and over while the block runs; gives how often it worked."""
    stop, done, failed = threading.Event(), [0], []

    def loop() -> None:
        for turn in itertools.count():
            if stop.is_set():
                return
            try:
                act(turn)
                done[0] += 1
            except Exception as error:  # noqa: BLE001 - shown below
                failed.append(error)
                stop.wait(0.2)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join(60)
    assert not (fatal and failed), failed


@pytest.mark.long
@pytest.mark.core
def test_what_was_acknowledged_first_is_in_it_if_the_second_is(
    client: Client, source: LocalCluster, target: LocalCluster, tmp_path: Path
) -> None:
    """While writers write; and what is restored is that moment, too."""
    make_chain(client)
    with Writers(source) as writers:
        for attempt in ("one", "two"):
            before = writers.rounds
            done = run(source, "dump", str(tmp_path / attempt))
            assert (done.returncode, done.stderr) == (0, "")
            assert writers.rounds > before, "they wrote meanwhile"
    assert writers.errors == []
    for attempt in ("one", "two"):
        assert_one_moment(of_dump(tmp_path / attempt))
    untouched(source, client)
    assert run(target, "restore", str(tmp_path / "two")).returncode == 0
    with client_of(target) as other:
        assert_one_moment(lambda name: iter(other["chain"][name].find()))


@pytest.mark.long
def test_chunks_that_move_void_nothing(
    client: Client, source: LocalCluster, tmp_path: Path
) -> None:
    make_chain(client)

    def move(turn: int) -> None:
        shard = f"shard-{turn % 2 + 1}"
        for low, high in ((bson.MinKey(), "2"), ("2", bson.MaxKey())):
            bounds = {"min": {"_id": low}, "max": {"_id": high}}
            client.admin.command("moveRange", "chain.lines", toShard=shard, **bounds)

    with Writers(source) as writers, again_and_again(move) as moves:
        for attempt in range(3):
            before = moves[0]
            done = run(source, "dump", "--json", str(tmp_path / str(attempt)))
            assert (done.returncode, done.stderr) == (0, "")
            assert json.loads(done.stdout)["tries"] == 1
            assert_one_moment(of_dump(tmp_path / str(attempt)))
            assert moves[0] > before or attempt < 2
    assert writers.errors == []
    untouched(source, client)


@pytest.mark.long
@pytest.mark.timeout(400)
def test_elections_void_nothing(healed_cluster: LocalCluster, tmp_path: Path) -> None:
    """A primary is killed and the other steps down while it is read, and writers go on."""
    with client_of(healed_cluster) as client:
        try:
            make_chain(client)
            with Writers(healed_cluster) as writers:
                with dumping(healed_cluster, str(tmp_path / "one"), phase="chain.") as process:
                    healed_cluster.kill(healed_cluster.primary("shard-1").name)
                    _, error = process.communicate(timeout=120)
                assert (process.returncode, error) == (0, "")
                with dumping(healed_cluster, str(tmp_path / "two")) as process:
                    healed_cluster.restart(healed_cluster.primary("shard-2").name)
                    _, error = process.communicate(timeout=120)
                assert (process.returncode, error) == (0, "")
            assert writers.errors == []
            for name in ("one", "two"):
                assert_one_moment(of_dump(tmp_path / name))
        finally:
            for name in ("chain", "shop"):
                client.drop_database(name)


@pytest.mark.long
def test_a_load_does_not_notice(cluster: LocalCluster, tmp_path: Path) -> None:
    """The longest gaps in its writes are printed; what they are depends on the machine."""
    shards = ["shard-1", "shard-2"]
    with client_of(cluster) as client:
        try:
            fill(client)
            prepare(client, "load", "keys", shards)
            store = MongoStore(client, "load", "keys", shards)
            with Workload(store, Load(clients=8)) as load:
                for shard in shards:
                    load.wait_for_writes(20, shard, 30)
                done = run(cluster, "dump", str(tmp_path / "backup"))
                for shard in shards:
                    load.wait_for_writes(20, shard, 30)
                report = summarise(load.finish())
            print(report.text())  # noqa: T201 - shown by -s
            assert done.returncode == 0, done.stderr
            assert report.violations == []
            assert report.errors == {}
            untouched(cluster, client)
        finally:
            for name in ("bulk", "load", "shop"):
                client.drop_database(name)


@pytest.mark.long
@pytest.mark.parametrize(
    "phase",
    [PHASES[0], pytest.param(PHASES[1], marks=pytest.mark.core), *PHASES[2:]],
)
def test_killed_at_any_moment_it_leaves_nothing(
    client: Client, source: LocalCluster, tmp_path: Path, phase: str
) -> None:
    fill(client)
    with dumping(source, str(tmp_path / "backup"), phase=phase) as process:
        process.kill()
        process.communicate()
        untouched(source, client)
    assert not (tmp_path / "backup").exists()
    again = run(source, "dump", str(tmp_path / "backup"))
    assert again.returncode == 0, again.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["backup"]


@pytest.mark.long
@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM"])
def test_interrupted_it_cleans_up(
    client: Client, source: LocalCluster, tmp_path: Path, how: str
) -> None:
    fill(client)
    with dumping(source, str(tmp_path / "backup")) as process:
        process.send_signal(signal.Signals[how])
        _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert error.startswith("error: interrupted.")
    assert list(tmp_path.iterdir()) == []
    untouched(source, client)


@pytest.mark.long
def test_two_at_once(client: Client, source: LocalCluster, tmp_path: Path) -> None:
    fill(client)
    with dumping(source, str(tmp_path / "one")) as one:
        assert run(source, "dump", str(tmp_path / "two")).returncode == 0
        one.communicate(timeout=60)
    assert one.returncode == 0
    untouched(source, client)


@pytest.mark.long
@pytest.mark.parametrize("what", ["drop", "rename", "make anew"])
def test_a_collection_that_goes_meanwhile_voids_it(
    client: Client, source: LocalCluster, tmp_path: Path, what: str
) -> None:
    """What was dropped reads as empty, and must not be taken for that."""
    fill(client)
    for n in range(12):  # so many that the last ones are read long after the moment
        client["bulk"][f"before {n:02}"].insert_many({"_id": n} for n in range(2000))
    goes = client["bulk"]["more"]
    with dumping(source, str(tmp_path / "backup")) as process:
        psutil.Process(process.pid).suspend()
        if what == "rename":
            goes.rename("renamed")
        else:
            goes.drop()
        if what == "make anew":
            goes.insert_one({"_id": 1})
        psutil.Process(process.pid).resume()
        out, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "")
    assert "void: bulk.more " in out
    manifest = json.loads((tmp_path / "backup" / "cluster.json").read_text())
    counts = {c["collection"]: c["documents"] for c in manifest["collections"]}
    wanted = {"drop": None, "rename": None, "make anew": 1}[what]
    assert counts.get("more") == wanted
    assert counts.get("renamed") == (BULK if what == "rename" else None)
    untouched(source, client)


@pytest.mark.long
def test_capped_collections_are_of_that_moment_too(
    client: Client, source: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers before 8.0 do not remember what was in one."""
    client["log"].create_collection("lines", capped=True, size=1 << 20)
    lines = client["log"]["lines"]
    lines.insert_many({"_id": n} for n in range(100))
    calm = run(source, "dump", str(tmp_path / "calm"))
    assert calm.returncode == 0, calm.stderr
    kept = bson.decode_all((tmp_path / "calm/log/lines.bson").read_bytes())
    assert [doc["_id"] for doc in kept] == list(range(100))

    def write(turn: int) -> None:
        lines.insert_one({"_id": -turn - 1})

    monkeypatch.setattr("cluster.backup.dump.SETTLED", 3.0)
    with (
        again_and_again(write),
        pytest.raises(ClusterError, match="documents in a capped one"),
    ):
        dump(source.access(), tmp_path / "busy", (silent, silent))
    assert not (tmp_path / "busy").exists()


@pytest.mark.long
def test_nobody_sees_a_secret(client: Client, source: LocalCluster, tmp_path: Path) -> None:
    fill(client)
    access = source.access()
    secrets = [access.key, *access.passwords.values()]
    with dumping(source, str(tmp_path / "backup")) as process:
        seen = psutil.Process(process.pid)
        seen.suspend()
        assert seen.children() == []
        shown = " ".join([*seen.cmdline(), *seen.environ().values()])
        assert not any(secret in shown for secret in secrets)
        for path in tmp_path.rglob("*"):
            assert path.stat().st_mode & 0o077 == 0, path
        seen.resume()


@pytest.mark.long
@pytest.mark.core
def test_what_cannot_be_dumped_is_refused(
    client: Client, source: LocalCluster, tmp_path: Path
) -> None:
    client["odd"].create_collection("series", timeseries={"timeField": "at"})
    done = run(source, "dump", str(tmp_path / "backup"))
    assert "odd.series is a timeseries" in error_of(done)
    untouched(source, client)
