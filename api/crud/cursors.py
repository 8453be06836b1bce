"""Cursors: where a page ended, signed, so that nobody can make or bend one.

base64url of a MAC (16 bytes) and of [sort value, `_id`] in MessagePack. The MAC also covers the
scope: resource, filter and order, and whom the list was narrowed to. So a cursor continues the one
list it came from; the page size and the chosen fields may change on the way.
"""

import binascii
import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec
from bson import ObjectId

from api.settings import Settings
from api.store.pages import After

MAC = 16  # bytes: 128 bits


class Signer:
    """MACs under keys derived from the signing secrets, for one purpose."""

    def __init__(self, settings: Settings, purpose: str) -> None:
        secrets = [settings.jwt_secret, settings.jwt_previous_secret]
        self._keys = [
            hmac.digest(secret.encode(), f"shardstack {purpose}".encode(), "sha256")
            for secret in secrets
            if secret
        ]

    def all(self, data: bytes) -> list[bytes]:
        """The MACs of `data`: under the present key, and under the previous one if there is one."""
        return [hmac.digest(key, data, "sha256")[:MAC] for key in self._keys]

    def verify(self, data: bytes, mac: bytes) -> bool:
        """Whether either key made this MAC."""
        return any(hmac.compare_digest(mac, made) for made in self.all(data))


def scope(*parts: Any) -> bytes:
    """What a list is, in 32 bytes."""
    text = msgspec.json.encode(parts, enc_hook=str, order="deterministic")
    return hashlib.sha256(text).digest()


def encode(signer: Signer, of: bytes, after: After) -> str:
    """The cursor behind a document."""
    value, document_id = after
    payload = msgspec.msgpack.encode([_outside(value), document_id.binary])
    return urlsafe_b64encode(signer.all(of + payload)[0] + payload).rstrip(b"=").decode()


def decode(signer: Signer, of: bytes, text: str) -> After:
    """What `encode` was given. Raises ValueError for anything that it did not make."""
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("not base64url") from None
    mac, payload = raw[:MAC], raw[MAC:]
    if not signer.verify(of + payload, mac):
        raise ValueError("made elsewhere")
    value, document_id = msgspec.msgpack.decode(payload)
    return _inside(value), ObjectId(document_id)


def _outside(value: Any) -> Any:
    return {"id": value.binary} if isinstance(value, ObjectId) else value


def _inside(value: Any) -> Any:
    return ObjectId(value["id"]) if isinstance(value, dict) else value
