"""The state folder: it remembers, keeps secrets to itself, and knows when it is damaged."""

from __future__ import annotations

import fcntl
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import KeyFileError, StateError
from cluster.local import boot
from cluster.local.state import Record, StateFolder
from cluster.model import topology
from console.errors import FileError


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state")


@pytest.fixture
def record() -> Record:
    made = Record.new(topology.load())
    boot.assign_ports(made)
    return made


def _mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_record_survives_a_round_trip(state: StateFolder, record: Record) -> None:
    state.save(record)
    assert state.load() == record
    assert _mode(state.record_file) == 0o600
    assert _mode(state.folder) == 0o700


def test_no_folder_is_no_cluster(state: StateFolder) -> None:
    assert state.load() is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda _: "",
        lambda _: "[]",
        lambda text: text.replace('"format": 1', '"format": 99'),
        lambda text: text.replace('"shards": 2', '"shards": "two"'),
        lambda text: text.replace('"ports"', '"harbours"'),
        lambda text: json.dumps(json.loads(text) | {"ports": {"router-1": "x"}}),
        lambda text: json.dumps(json.loads(text) | {"shards": [7]}),
        lambda text: json.dumps(json.loads(text) | {"ports": {}}),
    ],
)
def test_damaged_record_is_told(state: StateFolder, record: Record, damage: object) -> None:
    state.save(record)
    assert callable(damage)
    state.record_file.write_text(damage(state.record_file.read_text()))
    with pytest.raises(StateError, match=r"cluster\.json is damaged .* `down --purge`"):
        state.load()


def test_data_without_a_record_is_not_taken_for_a_new_cluster(state: StateFolder) -> None:
    data = state.node("config-1") / "data"
    data.mkdir(parents=True)
    (data / "WiredTiger").touch()
    with pytest.raises(StateError, match=r"cluster\.json is missing, but .* holds data"):
        state.load()


def test_a_set_that_lost_all_its_data_is_told(state: StateFolder, record: Record) -> None:
    state.check_data(record)
    record.complete = ["shard-1"]
    with pytest.raises(StateError, match="the data of shard-1 is gone"):
        state.check_data(record)
    data = state.node("shard-1-2") / "data"
    data.mkdir(parents=True)
    (data / "WiredTiger").touch()
    state.check_data(record)  # one member of three is enough: the others copy from it


def test_second_command_in_one_folder_is_refused(state: StateFolder) -> None:
    other = StateFolder(state.folder)
    with state.locked():  # noqa: SIM117 - the order is the point
        with pytest.raises(FileError, match="another command is at work"), other.locked():
            pass
    with other.locked():
        pass


def test_key_file_is_private_and_checked(state: StateFolder) -> None:
    with pytest.raises(KeyFileError, match="is missing"):
        state.key()
    state.make_key()
    assert _mode(state.key_file) == 0o400
    assert len(state.key()) >= 512
    state.key_file.chmod(0o644)
    state.key()
    assert _mode(state.key_file) == 0o400
    state.key_file.unlink()
    state.key_file.write_text("not a key!")
    with pytest.raises(KeyFileError, match="is not a key file"):
        state.key()


def test_passwords_are_made_once_and_private(state: StateFolder) -> None:
    first, made = state.passwords()
    again, remade = state.passwords()
    assert first == again
    assert (made, remade) == (True, False)
    assert len(set(first.values())) == 4
    assert _mode(state.secrets / "users.json") == 0o600
    (state.secrets / "users.json").write_text("{")
    with pytest.raises(StateError, match=r"users\.json is damaged\. Delete it"):
        state.passwords()


def test_uris_go_through_all_routers(state: StateFolder, record: Record) -> None:
    state.make_key()
    passwords, _ = state.passwords()
    state.write_uris(record)
    hosts = ",".join(f"127.0.0.1:{record.ports[name]}" for name in ("router-1", "router-2"))
    assert state.uri("app") == (
        f"mongodb://app:{passwords['app']}@{hosts}/shardstack?authSource=admin"
    )
    assert _mode(state.secrets / "admin.uri") == 0o600


def test_uri_without_a_cluster_is_told(state: StateFolder) -> None:
    with pytest.raises(StateError, match="there is no cluster in"):
        state.uri("admin")


def test_purge_deletes_everything_that_was_made_here(state: StateFolder, record: Record) -> None:
    state.save(record)
    state.make_key()
    (state.folder / "api").mkdir()
    (state.folder / "api" / "jwt.key").write_text("secret")
    (state.folder / ".cluster.json.new").write_text("{")  # an interruption left it
    with state.locked():
        assert state.purge() == []
    assert not state.folder.exists()


def test_purge_leaves_what_belongs_to_others(state: StateFolder, record: Record) -> None:
    state.save(record)
    (state.folder / "notes.txt").write_text("mine")
    assert state.purge() == ["notes.txt"]
    assert [path.name for path in state.folder.iterdir()] == ["notes.txt"]
    assert state.purge() == ["notes.txt"]


def test_a_folder_in_which_the_api_works_is_in_use(state: StateFolder) -> None:
    lock = state.folder / "api" / "server.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:
        state.assert_unused()
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StateError, match=r"api still works in .*`python -m api down`"):
            state.assert_unused()
    state.assert_unused()


def test_shard_names_are_never_used_twice(record: Record) -> None:
    record.retire("shard-1")
    assert record.add_shard() == "shard-3"
    assert record.shards == ["shard-2", "shard-3"]
    assert "shard-1-1" not in record.ports
    assert record.surplus == ["shard-1-1", "shard-1-2", "shard-1-3"]
    record.retire("shard-3")
    assert record.add_shard() == "shard-4"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"members": 1}, "members is 3 in this cluster and cannot become 1"),
        ({"database": "other"}, "database is shardstack in this cluster and cannot become other"),
        ({"ports": 30000}, "ports is auto in this cluster and cannot become 30000"),
        ({"shards": 1}, "the cluster has 2 shards, not 1. Remove one with `remove-shard NAME`"),
    ],
)
def test_what_a_made_cluster_cannot_change(
    record: Record, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(StateError, match=says):
        record.adopt(record.topology.changed(**changes))


def test_what_a_made_cluster_can_change(record: Record) -> None:
    record.adopt(record.topology.changed(shards=3, routers=1, election_timeout_ms=5000))
    assert record.shards == ["shard-1", "shard-2", "shard-3"]
    assert record.surplus == ["router-2"]
    assert boot.assign_ports(record) == ["shard-3-1", "shard-3-2", "shard-3-3"]
