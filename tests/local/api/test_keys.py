"""Keys of tokens: they rotate, also between algorithms, and an algorithm belongs to its key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from flask.testing import FlaskClient

from api.app import create_app
from api.auth import tokens
from api.settings import Settings

AUTH = "/api/v1/auth"
ME, LOGIN, REFRESH, JWKS = f"{AUTH}/me", f"{AUTH}/login", f"{AUTH}/refresh", f"{AUTH}/jwks.json"


def hs256() -> str:
    return secrets.token_urlsafe(48)


def eddsa() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


MAKERS = {"hs256": hs256, "eddsa": eddsa}


@contextmanager
def serving(conf: Settings, secret: str, previous: str = "") -> Iterator[FlaskClient]:
    app = create_app(msgspec.structs.replace(conf, jwt_secret=secret, jwt_previous_secret=previous))
    try:
        yield app.test_client()
    finally:
        app.extensions["store"].close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def log_in(client: FlaskClient, user: dict[str, Any]) -> dict[str, Any]:
    body = {"email": user["user"]["email"], "password": user["person"]["password"]}
    found: dict[str, Any] = client.post(LOGIN, json=body).json
    return found


@pytest.mark.parametrize("former", ["hs256", "eddsa"])
@pytest.mark.parametrize("latter", ["hs256", "eddsa"])
def test_rotation(conf: Settings, ada: dict[str, Any], former: str, latter: str) -> None:
    """Old and new verify, new signs; retired, the old one is 401."""
    old, new = MAKERS[former](), MAKERS[latter]()
    with serving(conf, old) as client:
        before = [log_in(client, ada) for _ in range(2)]
    with serving(conf, new, old) as client:
        assert client.get(ME, headers=bearer(before[0]["access_token"])).status_code == 200
        after = client.post(REFRESH, headers=bearer(before[0]["refresh_token"])).json
        for pair in (after, log_in(client, ada)):
            for token in (pair["access_token"], pair["refresh_token"]):
                header = jwt.get_unverified_header(token)
                key = tokens.make(new)
                assert (header["kid"], header["alg"]) == (key.id, key.algorithm)
            assert client.get(ME, headers=bearer(pair["access_token"])).status_code == 200
    with serving(conf, new) as client:
        assert client.get(ME, headers=bearer(after["access_token"])).status_code == 200
        assert client.get(ME, headers=bearer(before[1]["access_token"])).status_code == 401
        retired = client.post(REFRESH, headers=bearer(before[1]["refresh_token"]))
        assert retired.status_code == 401


def test_jwks_verifies_our_tokens(conf: Settings, ada: dict[str, Any]) -> None:
    new, old = eddsa(), eddsa()
    with serving(conf, new, old) as client:
        answer = client.get(JWKS)
        token = log_in(client, ada)["access_token"]
    assert answer.status_code == 200
    assert {key["kid"] for key in answer.json["keys"]} == {tokens.make(new).id, tokens.make(old).id}
    assert all("d" not in key for key in answer.json["keys"])
    found = jwt.PyJWKSet.from_dict(answer.json)[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, found, algorithms=["EdDSA"], audience=conf.jwt_audience)
    assert claims["sub"] == ada["user"]["id"]


def test_jwks_is_empty_with_hs256(client: FlaskClient) -> None:
    assert client.get(JWKS).json == {"keys": []}


def encoded(part: dict[str, Any]) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")


def by_hand(header: dict[str, Any], claims: dict[str, Any], secret: bytes | None) -> str:
    """A token that no library would make."""
    text = encoded(header) + b"." + encoded(claims)
    signature = b"" if secret is None else hmac.digest(secret, text, hashlib.sha256)
    return (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def forgeries(secret: str, previous: str, good: str) -> Iterator[tuple[str, str]]:
    key, other = tokens.make(secret), tokens.make(previous)
    header, claims = (
        jwt.get_unverified_header(good),
        jwt.decode(good, options={"verify_signature": False}),
    )
    for name in ("none", "None", "NONE", "nOnE"):
        yield f"alg {name}", by_hand({**header, "alg": name}, claims, None)
    public = [
        key.verifying.public_bytes(form, kind)
        for form, kind in (
            (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            (Encoding.Raw, PublicFormat.Raw),
            (Encoding.OpenSSH, PublicFormat.OpenSSH),
        )
    ]
    for number, material in enumerate([*public, public[0].strip()]):
        made = {**header, "alg": "HS256"}
        yield f"public key {number} as HS256 secret", by_hand(made, claims, material)
        yield f"and the other kid {number}", by_hand({**made, "kid": other.id}, claims, material)
    yield (
        "right secret, EdDSA's kid",
        by_hand({**header, "alg": "HS256"}, claims, previous.encode()),
    )
    stranger = Ed25519PrivateKey.generate()
    x = base64.urlsafe_b64encode(stranger.public_key().public_bytes_raw()).rstrip(b"=").decode()
    own = {"kty": "OKP", "crv": "Ed25519", "x": x}
    for extra in ({}, {"jwk": own}, {"jku": "https://mallory.example/jwks.json"}, {"kid": x}):
        forged = jwt.encode(claims, stranger, "EdDSA", {"kid": key.id, **extra})
        yield f"a stranger's key with {sorted(extra)}", forged
    yield "off the list", jwt.encode(claims, previous, "HS512", {"kid": other.id})
    yield "another's kid", jwt.encode(claims, key.signing, "EdDSA", {"kid": other.id})
    yield "no kid", jwt.encode(claims, key.signing, "EdDSA")


def test_no_algorithm_is_confused(conf: Settings, ada: dict[str, Any]) -> None:
    """With a key of either kind at hand (RFC 8725 2.1, 3.1)."""
    secret, previous = eddsa(), hs256()
    with serving(conf, secret, previous) as client:
        good = log_in(client, ada)["access_token"]
        key = tokens.make(secret)
        claims = jwt.decode(good, options={"verify_signature": False})
        same = jwt.encode(claims, key.signing, "EdDSA", {"kid": key.id})
        assert client.get(ME, headers=bearer(same)).status_code == 200  # else this proves nothing
        by_previous = jwt.encode(claims, previous, "HS256", {"kid": tokens.make(previous).id})
        assert client.get(ME, headers=bearer(by_previous)).status_code == 200
        for name, token in forgeries(secret, previous, good):
            answer = client.get(ME, headers=bearer(token))
            assert answer.status_code == 401, name
            assert client.post(REFRESH, headers=bearer(token)).status_code == 401, name
