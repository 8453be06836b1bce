"""Every variable of the Compose file is explained in .env.example, with the default it has."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec.structs import fields

from api.settings.declared import Settings
from cluster.model.topology import DEFAULTS, SETTINGS

ROOT = Path(__file__).parents[3]
COMPOSE = (ROOT / "docker-compose.cluster.yml").read_text(encoding="utf-8")
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
COMPOSE_ITSELF = {"COMPOSE_PROFILES"}

used = re.findall(r"(?<!\$)\$\{([A-Z0-9_]+)(?::-([^}]*))?\}", COMPOSE)
explained = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", EXAMPLE, re.MULTILINE))


def test_each_variable_is_explained_and_none_that_is_not_there() -> None:
    assert {name for name, _ in used} == set(explained) - COMPOSE_ITSELF


def test_the_defaults_agree() -> None:
    given = {name: default for name, default in used if default and explained[name]}
    assert given == {name: explained[name] for name in given}


def test_each_variable_has_one_default() -> None:
    defaults = {(name, default) for name, default in used if default}
    assert len(defaults) == len({name for name, _ in defaults})


def test_the_defaults_are_those_of_the_cluster_and_the_api() -> None:
    for name, setting in SETTINGS.items():
        if name != "shards" and (text := explained.get(setting.variable)):
            assert text == str(DEFAULTS[name]), name
    levels = [field.default for field in fields(Settings) if field.name == "log_level"]
    assert [explained["SHARDSTACK_LOG_LEVEL"]] == levels


def test_no_secret_has_a_value() -> None:
    assert not re.search(r"(?i)(password|secret|token|key)\w*=", EXAMPLE)
