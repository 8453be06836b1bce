"""Signatures: what goes outside comes back as it was, or is refused.

itsdangerous signs (HMAC-SHA256) under a key that it derives from each secret and a salt. The salt
holds the purpose, so that what was signed for one is good for no other. Several secrets let them be
rotated: the newest signs, all verify.
"""

import hashlib
from collections.abc import Sequence

from itsdangerous import BadData, Signer
from itsdangerous.encoding import base64_decode, base64_encode

SALT = "shardstack {}"
MAC = 16  # bytes of a bare MAC that are kept: 128 bits


class Signing:
    """Signs for one purpose.

    secrets  oldest first
    """

    def __init__(self, secrets: Sequence[str], purpose: str) -> None:
        self._secrets = list(secrets)
        self._salt = SALT.format(purpose).encode()

    def sign(self, payload: bytes, scope: bytes = b"") -> str:
        """The payload and its signature, fit for an address. `scope`: what else it is bound to."""
        return self._signer(scope).sign(base64_encode(payload)).decode()

    def unsign(self, text: str, scope: bytes = b"") -> bytes:
        """The payload that `sign` was given. Raises ValueError for what it did not make."""
        try:
            return base64_decode(self._signer(scope).unsign(text))
        except BadData:
            raise ValueError("made elsewhere") from None

    def macs(self, data: bytes) -> list[bytes]:
        """Bare MACs of `data`, under each secret, the newest first."""
        signer = self._signer(b"")
        keys = (signer.derive_key(secret) for secret in reversed(self._secrets))
        return [signer.algorithm.get_signature(key, data)[:MAC] for key in keys]

    def _signer(self, scope: bytes) -> Signer:
        return Signer(
            self._secrets,
            salt=self._salt + scope,
            key_derivation="hmac",
            digest_method=hashlib.sha256,
        )
