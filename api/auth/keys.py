"""The keys that sign and verify tokens, made from the secrets in the settings.

The kind of secret decides the algorithm: a PEM with an Ed25519 private key is EdDSA, any other
text HS256. The algorithm belongs to the key, found by `kid`; what a token's header says must agree
with it (RFC 8725 3.1). So neither `none`, nor a public key used as an HS256 secret, gets anywhere.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.exceptions import InvalidTokenError

from api.settings import Settings
from api.settings.checks import PEM, private_key


class Key(NamedTuple):
    """One key. `public` is what the world may know of it, as a JWK; None: nothing."""

    id: str
    algorithm: str
    signing: Any
    verifying: Any
    public: Mapping[str, str] | None = None


def make(secret: str) -> Key:
    """The key of a secret that the settings' check has let pass."""
    return _ed25519(secret) if secret.startswith(PEM) else _hs256(secret)


def _hs256(secret: str) -> Key:
    # Known to whoever knows the secret, and tells nothing to others.
    kid = hashlib.sha256(b"shardstack kid:" + secret.encode()).hexdigest()[:12]
    return Key(kid, "HS256", secret, secret)


def _ed25519(pem: str) -> Key:
    signing = private_key(pem)
    verifying = signing.public_key()
    raw = verifying.public_bytes(Encoding.Raw, PublicFormat.Raw)
    needed = {"crv": "Ed25519", "kty": "OKP", "x": _base64(raw)}
    # The key's thumbprint, RFC 7638.
    packed = json.dumps(needed, separators=(",", ":"), sort_keys=True).encode()
    kid = _base64(hashlib.sha256(packed).digest())
    public = {**needed, "kid": kid, "alg": "EdDSA", "use": "sig"}
    return Key(kid, "EdDSA", signing, verifying, public)


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Keys:
    """One key that signs, and all that verify."""

    def __init__(self, signing: Key, others: Iterable[Key] = ()) -> None:
        self.signing = signing
        self._by_id = {key.id: key for key in (*others, signing)}

    @classmethod
    def of(cls, settings: Settings) -> "Keys":
        """The keys of the settings: the present secret signs, the previous one still verifies."""
        previous = settings.jwt_previous_secret
        return cls(make(settings.jwt_secret), [make(previous)] if previous else [])

    @property
    def algorithms(self) -> list[str]:
        """Those that any key has."""
        return sorted({key.algorithm for key in self._by_id.values()})

    def verifying(self, header: Mapping[str, Any]) -> Any:
        """What verifies a token with this header. Raises InvalidTokenError."""
        kid = header.get("kid")
        key = self._by_id.get(kid) if isinstance(kid, str) else None
        if key is None or header.get("alg") != key.algorithm:
            raise InvalidTokenError("no such key, or not with this algorithm")
        return key.verifying

    def published(self) -> dict[str, list[Mapping[str, str]]]:
        """The public keys as a JWK Set (RFC 7517); none with HS256."""
        found = [key.public for key in self._by_id.values() if key.public is not None]
        return {"keys": found}
