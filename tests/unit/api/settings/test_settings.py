"""Settings: read, checked, and refused with what to do."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import settings
from api.settings import Settings, SettingsError
from api.settings.checks import FEWEST_CHARACTERS, check_secret

SECRET = "Zk3v9QpL2xW8nB5tYr7uCj4mHs6dFg1a"
URI = "mongodb://app:pw-in-uri@127.0.0.1:1,127.0.0.1:2/shardstack?authSource=admin"
GOOD = {"SHARDSTACK_DATABASE_URI": URI, "SHARDSTACK_JWT_SECRET": SECRET}


def refused(environment: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        settings.load(environment)
    message = str(caught.value)
    assert "\n" not in message
    assert SECRET not in message
    assert "pw-in-uri" not in message
    return message


def test_defaults() -> None:
    conf = settings.load(GOOD)
    assert conf.host == "127.0.0.1"
    assert conf.worker_count >= 1
    options = conf.store_options()
    assert options.pool_size >= conf.threads
    assert 2 <= options.server_selection <= 5
    assert 1 <= options.pool_wait <= 2
    assert options.claim_grace > conf.request_deadline
    assert options.database_name == "shardstack"
    assert options.routers == 2


def test_from_the_environment() -> None:
    conf = settings.load({**GOOD, "SHARDSTACK_PORT": "8123", "SHARDSTACK_DRAIN": "0.25"})
    assert (conf.port, conf.drain) == (8123, 0.25)


def test_secrets_from_files(tmp_path: Path) -> None:
    (tmp_path / "jwt").write_text(SECRET + "\n")
    (tmp_path / "uri").write_text(URI + "\n")
    conf = settings.load(
        {
            "SHARDSTACK_JWT_SECRET_FILE": str(tmp_path / "jwt"),
            "SHARDSTACK_DATABASE_URI_FILE": str(tmp_path / "uri"),
        }
    )
    assert (conf.jwt_secret, conf.database_uri) == (SECRET, URI)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    del_secret = {"SHARDSTACK_DATABASE_URI": URI}
    missing = {**del_secret, "SHARDSTACK_JWT_SECRET_FILE": str(tmp_path / "none")}
    assert "No such file" in refused(missing)
    (tmp_path / "empty").write_text("")
    empty = {**del_secret, "SHARDSTACK_JWT_SECRET_FILE": str(tmp_path / "empty")}
    assert "is not set" in refused(empty)
    both = {**GOOD, "SHARDSTACK_JWT_SECRET_FILE": str(tmp_path / "empty")}
    assert "both set" in refused(both)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "s3",
        "a" * 31,
        "a" * 64,
        "abcabcabc" * 8,
        "a-string-secret-at-least-256-bits-long",
        "your-256-bit-secret your-256-bit-secret",
        "CHANGE_ME_CHANGE_ME_CHANGE_ME_1234567",
        "super-duper-long-development-key-9876",
        "0123456789abcdef0123456789abcdef",
    ],
)
def test_weak_secrets(secret: str) -> None:
    for name in ("SHARDSTACK_JWT_SECRET", "SHARDSTACK_JWT_PREVIOUS_SECRET"):
        if name.endswith("PREVIOUS_SECRET") and not secret:
            continue
        message = refused({**GOOD, name: secret})
        assert name in message
        assert "Make one with: python3 -c" in message
        assert not secret or secret not in message


@given(st.binary(min_size=32, max_size=32))
def test_random_secrets_pass(raw: bytes) -> None:
    if len(set(raw.hex())) >= FEWEST_CHARACTERS and "0123456789" not in raw.hex():
        check_secret(raw.hex(), "jwt_secret")


def test_commands_without_tokens_need_no_secret() -> None:
    assert settings.load({"SHARDSTACK_DATABASE_URI": URI}, tokens=False).jwt_secret == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "0"), ("PORT", "http"), ("WORKERS", "-1"), ("LOG_LEVEL", "loud"), ("DRAIN", "soon"),
     ("SERVER_SELECTION", "30"), ("REQUEST_DEADLINE", "0"), ("JWT_ISSUER", "")],
)  # fmt: skip
def test_bad_values(name: str, value: str) -> None:
    message = refused({**GOOD, f"SHARDSTACK_{name}": value})
    assert f"SHARDSTACK_{name}" in message


@pytest.mark.parametrize("uri", ["", "localhost", "http://x", "mongodb://", "mongodb://a:b:c@x"])
def test_bad_uris(uri: str) -> None:
    assert "DATABASE_URI" in refused({**GOOD, "SHARDSTACK_DATABASE_URI": uri})


def test_misspelled() -> None:
    message = refused({**GOOD, "SHARDSTACK_JWT_SECERT": "x"})
    assert "Did you mean SHARDSTACK_JWT_SECRET?" in message
    settings.load({**GOOD, "SHARDSTACK_STATE": "x", "SHARDSTACK_TOPOLOGY": "y"})


def test_every_setting_is_described() -> None:
    schema = msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"]
    undescribed = [name for name, entry in schema.items() if not entry.get("description")]
    assert not undescribed


def test_the_fingerprint_changes_and_hides() -> None:
    conf = settings.load(GOOD)
    other = settings.load({**GOOD, "SHARDSTACK_PORT": "9"})
    assert conf.fingerprint() != other.fingerprint()
    assert SECRET not in conf.fingerprint()
