"""Keys that sign tokens: the kind of secret decides the algorithm, which belongs to the key."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.exceptions import InvalidTokenError

from api import settings
from api.auth import tokens
from api.settings import SettingsError

URI = "mongodb://app:x@127.0.0.1:1,127.0.0.1:2/shardstack"


def pem(key: object, encryption: KeySerializationEncryption | None = None) -> str:
    encoded: bytes = key.private_bytes(  # type: ignore[attr-defined]
        Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()
    )
    return encoded.decode()


ED25519 = pem(Ed25519PrivateKey.generate())
HMAC = secrets.token_urlsafe(48)


def test_the_secret_decides_the_algorithm() -> None:
    assert tokens.make(HMAC).algorithm == "HS256"
    assert tokens.make(ED25519).algorithm == "EdDSA"
    assert tokens.make(ED25519).id != tokens.make(HMAC).id


def test_the_algorithm_belongs_to_the_key() -> None:
    asymmetric, symmetric = tokens.make(ED25519), tokens.make(HMAC)
    both = tokens.SigningKeys(asymmetric, [symmetric])
    assert both.verifying({"kid": asymmetric.id, "alg": "EdDSA"}) is asymmetric.verifying
    assert both.verifying({"kid": symmetric.id, "alg": "HS256"}) == HMAC
    for header in (
        {"kid": asymmetric.id, "alg": "HS256"},
        {"kid": symmetric.id, "alg": "EdDSA"},
        {"kid": asymmetric.id, "alg": "none"},
        {"kid": asymmetric.id},
        {"kid": "unknown", "alg": "EdDSA"},
        {"kid": None, "alg": "EdDSA"},
        {"kid": [asymmetric.id], "alg": "EdDSA"},
        {"alg": "HS256"},
    ):
        with pytest.raises(InvalidTokenError):
            both.verifying(header)


def test_the_published_key_verifies_and_tells_no_secret() -> None:
    asymmetric = tokens.make(ED25519)
    published = tokens.SigningKeys(asymmetric, [tokens.make(HMAC)]).published()["keys"]
    assert [set(key) for key in published] == [{"kty", "crv", "x", "kid", "alg", "use"}]
    token = jwt.encode({"sub": "x"}, asymmetric.signing, "EdDSA")
    key = jwt.PyJWK(dict(published[0]))
    assert jwt.decode(token, key, algorithms=["EdDSA"]) == {"sub": "x"}


def test_kid_is_the_thumbprint() -> None:
    """RFC 7638, made here by hand; RFC 8037 A.3 has the order of the members."""
    key = tokens.make(ED25519)
    raw = key.verifying.public_bytes(Encoding.Raw, PublicFormat.Raw)
    x = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    text = '{"crv":"Ed25519","kty":"OKP","x":' + json.dumps(x) + "}"
    digest = hashlib.sha256(text.encode()).digest()
    assert key.id == base64.urlsafe_b64encode(digest).decode().rstrip("=")


def test_hs256_publishes_nothing() -> None:
    assert tokens.SigningKeys(tokens.make(HMAC)).published() == {"keys": []}


def load(tmp_path: Path, text: str) -> settings.Settings:
    file = tmp_path / "key"
    file.write_text(text)
    return settings.load({"SHARDSTACK_DATABASE_URI": URI, "SHARDSTACK_JWT_SECRET_FILE": str(file)})


def test_a_pem_file_is_taken_whole(tmp_path: Path) -> None:
    loaded = load(tmp_path, ED25519)
    assert tokens.make(loaded.jwt_secret).id == tokens.make(ED25519).id
    given = {"SHARDSTACK_DATABASE_URI": URI, "SHARDSTACK_JWT_SECRET": ED25519}
    assert tokens.make(settings.load(given).jwt_secret).id == tokens.make(ED25519).id


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (pem(rsa.generate_private_key(65537, 2048)), "not an Ed25519 one"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "not an Ed25519 one"),
        (pem(ed448.Ed448PrivateKey.generate()), "not an Ed25519 one"),
        (pem(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"pass")), "a passphrase"),
        (
            Ed25519PrivateKey.generate()
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            .decode(),
            "holds no private key",
        ),
        (ED25519[:60], "holds no private key"),
        ("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n", "no private key"),
    ],
    ids=["rsa", "p256", "ed448", "encrypted", "public", "cut", "nonsense"],
)
def test_another_pem_is_refused_in_one_line(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, text)
    message = str(refused.value)
    assert reason in message
    assert "SHARDSTACK_JWT_SECRET" in message
    assert "openssl genpkey -algorithm ed25519" in message
    assert "\n" not in message
    assert text.splitlines()[1][:20] not in message


@pytest.mark.parametrize("text", ["10.0.0.0/33", "proxy.example", "10.0.0.1/8", "1.2.3.4,,x"])
def test_wrong_proxies_are_named(text: str) -> None:
    given = {
        "SHARDSTACK_DATABASE_URI": URI,
        "SHARDSTACK_JWT_SECRET": HMAC,
        "SHARDSTACK_TRUSTED_PROXIES": text,
    }
    with pytest.raises(SettingsError, match=r"SHARDSTACK_TRUSTED_PROXIES: '.*' is no network"):
        settings.load(given)
