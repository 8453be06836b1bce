"""stack.toml: what it may say, and what is told of mistakes."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from deploy.errors import StackError
from deploy.stack import SETTINGS, as_toml, load, make
from tests.helpers.stacks import DEFAULTS, stack


def test_the_file_that_init_writes_has_every_setting_with_its_default() -> None:
    assert tomllib.loads(as_toml({})) == {name: one.default for name, one in SETTINGS.items()}


def test_what_is_left_out_has_its_default() -> None:
    assert make(DEFAULTS, "stack.toml") == make(tomllib.loads(as_toml(DEFAULTS)), "stack.toml")


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"members": 4}, "members is 4. Give 1, 3, 5 or 7: an even number of voters"),
        ({"config_servers": 2}, "config_servers is 2. Give 1, 3, 5 or 7"),
        ({"shards": 0}, "shards is 0. Give a whole number from 1 to 32."),
        ({"layout": "huge"}, 'layout is \'huge\'. Give "dev", "small" or "large".'),
        ({"name": "Shop"}, "name is 'Shop'. Give 2 to 30 small letters"),
        ({"domain": "example"}, "domain is 'example'. Give a name such as api.example.com."),
        ({"domain": ""}, "domain is ''. Give a name such as"),
        ({"acme_email": ""}, "acme_email is ''. Give an address such as ops@example.com."),
        ({"vpc_range": "8.8.0.0/20"}, "vpc_range is '8.8.0.0/20'. Give a private IPv4 network"),
        ({"vpc_range": "10.0.0.0/8"}, "vpc_range is '10.0.0.0/8'. Give a private IPv4 network"),
        ({"admin_addresses": []}, "admin_addresses is []. Nobody could log in."),
        ({"admin_addresses": ["10.0.0.1/8"]}, "'10.0.0.1/8' is no network."),
        ({"ssh_keys": []}, "ssh_keys is []. Nobody could log in."),
        ({"host_volume_gib": 20_000}, "host_volume_gib is 20000. Give a whole number of GiB"),
        ({"shard": 3}, "there is no setting 'shard'. Did you mean shards?"),
    ],
)
def test_a_mistake_is_one_line_with_the_fix(wrong: dict[str, Any], line: str) -> None:
    with pytest.raises(StackError) as caught:
        make({**DEFAULTS, **wrong}, "stack.toml")
    (told,) = caught.value.lines
    assert told.startswith("stack.toml: ")
    assert line in told


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(StackError) as caught:
        make({**DEFAULTS, "members": 4, "shards": 99}, "stack.toml")
    assert len(caught.value.lines) == 2


def test_with_a_load_balancer_nobody_needs_an_address() -> None:
    assert stack(edge="load_balancer", acme_email="").edge == "load_balancer"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "stack.toml"
    with pytest.raises(StackError, match="Write one: python -m deploy init"):
        load(file)
    file.write_text("name = ")
    with pytest.raises(StackError, match="is not valid TOML"):
        load(file)
    file.write_bytes(b"\xff")
    with pytest.raises(StackError, match="not a text file"):
        load(file)
