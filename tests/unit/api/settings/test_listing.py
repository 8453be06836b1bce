"""The list of settings: complete, described, current in the documents, without secrets."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

import api
from api import settings
from api.__main__ import main
from api.serving.server import warn
from api.settings import Settings, listing, variable
from api.settings.checks import SECRETS

FOLDER = Path(api.__file__).parent
URI = "mongodb://app:pw-in-uri@127.0.0.1:1{}/shardstack"
KEY = "Zk3v9QpL2xW8nB5tYr7uCj4mHs6dFg1a"


def test_every_setting_is_listed_and_described() -> None:
    found = {entry.variable: entry for entry in listing.listing({})}
    assert list(found) == [variable(field.name) for field in msgspec.structs.fields(Settings)]
    assert not [name for name, entry in found.items() if len(entry.meaning) < 10]


def test_the_document_is_current() -> None:
    """Renew it: python -m api settings --markdown > api/SETTINGS.md"""
    written = (FOLDER / "SETTINGS.md").read_text()
    assert written == listing.as_markdown(listing.listing({}))


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    marked = {variable(name): f"{KEY}-marked" for name in SECRETS}
    marked["SHARDSTACK_DATABASE_URI"] = "mongodb://app:marked@127.0.0.1:1,127.0.0.1:2/x"
    (tmp_path / "file").write_text("marked-file")
    marked["SHARDSTACK_METRICS_TOKEN_FILE"] = str(tmp_path / "file")
    del marked["SHARDSTACK_METRICS_TOKEN"]
    for flags in ([], ["--json"]):
        done = CliRunner().invoke(
            main, ["settings", "--state", str(tmp_path), *flags], env={**marked}
        )
        assert done.exit_code == 0
        assert "marked" not in done.output
        assert done.output.count(listing.SET) == len(SECRETS)


def test_what_is_set_is_shown(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        main,
        ["settings", "--json", "--state", str(tmp_path)],
        env={"SHARDSTACK_PORT": "8123", "SHARDSTACK_HOST": None},
    )
    shown = {entry["variable"]: entry for entry in json.loads(done.output)}
    assert shown["SHARDSTACK_PORT"]["now"] == "8123"
    assert shown["SHARDSTACK_PORT"]["default"] == 8000
    assert shown["SHARDSTACK_HOST"]["now"] is None


def test_units_stand_beside_the_defaults() -> None:
    text = listing.as_text(listing.listing({"SHARDSTACK_DRAIN": "3"}))
    assert "default: 0.5 s   now: 3 s" in text
    assert "default: 65536 bytes" in text


def test_what_is_set_is_checked_where_it_is_shown(tmp_path: Path) -> None:
    def shown(**environment: str) -> tuple[int, str]:
        arguments = ["settings", "--state", str(tmp_path)]
        done = CliRunner().invoke(main, arguments, env=environment)
        return done.exit_code, f"{done.output}{done.exception or ''}"

    code, text = shown(SHARDSTACK_PORT="abc")
    assert code == 1
    assert "SHARDSTACK_PORT 'abc' is not valid" in text
    code, text = shown(SHARDSTACK_LOG="x", SHARDSTACK_STATE=str(tmp_path))
    assert code == 0
    assert "SHARDSTACK_LOG is set, and the API has no such setting" in text
    assert "SHARDSTACK_STATE is set" not in text


def test_a_server_names_variables_that_it_does_not_know(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARDSTACK_LOG", "x")
    with caplog.at_level(logging.WARNING, "api"):
        uri = URI.format(",127.0.0.1:2")
        warn(settings.load({"SHARDSTACK_DATABASE_URI": uri}, tokens=False))
    assert "SHARDSTACK_LOG is set, and the API has no such setting" in caplog.messages


def test_one_router_is_worth_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "api"):
        for more in (",127.0.0.1:2", ""):
            warn(settings.load({"SHARDSTACK_DATABASE_URI": URI.format(more)}, tokens=False))
    (line,) = [one for one in caplog.messages if "router" in one]
    assert "SHARDSTACK_DATABASE_URI" in line
    assert "two or more" in line
    assert "pw-in-uri" not in line
