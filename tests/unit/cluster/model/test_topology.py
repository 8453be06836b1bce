"""The description of a cluster: what it takes, and one clear line for each mistake in it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from cluster.__main__ import up
from cluster.errors import TopologyError
from cluster.model import topology
from cluster.model.topology import DEFAULTS, SETTINGS
from tests.helpers.streets import ROOT

DEFAULT_FILE = ROOT / "cluster" / "default.toml"


def _write(folder: Path, text: str) -> Path:
    file = folder / "mine.toml"
    file.write_text(text)
    return file


def test_default_is_the_documented_cluster() -> None:
    made = topology.load()
    assert (made.config_servers, made.shards, made.members, made.routers) == (3, 2, 3, 2)
    assert made.election_timeout_ms == 1700
    assert made.ports == "auto"


def test_every_setting_has_a_flag_a_variable_and_a_comment_in_the_default_file() -> None:
    flags = {flag for option in up.params for flag in option.opts}
    text = DEFAULT_FILE.read_text()
    for name, setting in SETTINGS.items():
        assert setting.flag in flags
        assert setting.variable == f"SHARDSTACK_{name.upper()}"
        assert re.search(rf"^#[^\n]*\n{name} = ", text, re.MULTILINE), f"{name} lacks a comment"


def test_the_default_file_is_what_the_declarations_make() -> None:
    """Write it anew: python -m cluster topology > cluster/default.toml"""
    assert DEFAULT_FILE.read_text() == topology.as_toml()
    assert tomllib.loads(topology.as_toml()) == DEFAULTS


@pytest.mark.parametrize("name", SETTINGS)
def test_a_default_keeps_its_own_rule(name: str) -> None:
    assert SETTINGS[name].complaint(DEFAULTS[name]) == ""


def test_file_may_be_partial_and_flags_win(tmp_path: Path) -> None:
    made = topology.load(_write(tmp_path, "shards = 3\nrouters = 1\n"), {"routers": 4})
    assert (made.shards, made.routers, made.members) == (3, 4, 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("shards = 0", "mine.toml: shards is 0. Give a whole number from 1 to 32."),
        ("shards = true", "mine.toml: shards is True. Give a whole number"),
        ("members = 2", "mine.toml: members is 2. Give 1, 3, 5 or 7"),
        ("shard = 2", "there is no setting 'shard'. Did you mean shards?"),
        ("zebra = 2", "there is no setting 'zebra'. It may hold: "),
        ("ports = 80", 'ports is 80. Give "auto", or a first port from 1024 to 65535.'),
        ("ports = 65530", "11 nodes do not fit above port 65530. Choose a first port of at most"),
        (
            'database = "admin"',
            "database is 'admin'. Give a name of letters, digits, _ and -, at most 63",
        ),
        ('database = "Config"', "config and local are the cluster's own."),
        ("oplog_mb = 990.0", 'oplog_mb is 990.0. Give "auto", or a whole number'),
        ('database = "a.b"', "database is 'a.b'. Give a name of letters"),
        ("cache_gb = 0.1", 'cache_gb is 0.1. Give "auto", or GiB from 0.25'),
        ('oplog_mb = "big"', """oplog_mb is 'big'. Give "auto", or a whole number"""),
        ('profile = "prod"', """profile is 'prod'. Give "auto", "laptop" or "production"."""),
        ("heartbeat_interval_ms = 1900", "heartbeat_interval_ms 1900 is too long for"),
        ("shards = ", "mine.toml is not valid TOML"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(TopologyError) as caught:
        topology.load(_write(tmp_path, text))
    (problem,) = caught.value.lines
    assert says in problem
    assert "\n" not in problem


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(TopologyError) as caught:
        topology.load(_write(tmp_path, "shards = 0\nmembers = 4\n"), {"routers": -1})
    assert len(caught.value.lines) == 3
    assert any(problem.startswith("--routers is -1.") for problem in caught.value.lines)


def test_missing_and_undecodable_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match="cannot be read"):
        topology.load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(TopologyError, match="not a text file"):
        topology.load(tmp_path / "bad.toml")
