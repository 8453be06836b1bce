"""SCRAM-SHA-256, the client's side: how the router proves to a member that it holds the key file.

Source: RFC 5802 and RFC 7677. PyMongo speaks it too, but keeps it private to its own connections.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

Call = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
USER, SOURCE = "__system", "local"


class KeyRefusedError(Exception):
    """The member does not accept the key, or cannot prove that it holds it too."""


@lru_cache(maxsize=256)
def _salted(key: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", key.encode(), salt, iterations)


def _fields(payload: bytes) -> dict[str, str]:
    pairs = (part.split("=", 1) for part in payload.decode().split(","))
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


async def log_in(call: Call, key: str, user: str = USER, source: str = SOURCE) -> None:
    """Authenticate a fresh connection, as the cluster itself unless another user is named.

    ``call`` sends one command document and returns the reply document.

    Raises:
        KeyRefusedError: wrong key, or the member's own proof is wrong.
    """
    nonce = base64.b64encode(secrets.token_bytes(24)).decode()
    first = f"n={user},r={nonce}"
    start = {"saslStart": 1, "mechanism": "SCRAM-SHA-256", "$db": source}
    reply = await call(
        {**start, "payload": f"n,,{first}".encode(), "options": {"skipEmptyExchange": True}}
    )
    challenge = _accepted(reply)
    given = _fields(challenge)
    if not given.get("r", "").startswith(nonce):
        raise KeyRefusedError("the member's nonce does not continue ours")
    salted = _salted(key, base64.b64decode(given["s"]), int(given["i"]))
    client_key = _hmac(salted, b"Client Key")
    final = f"c=biws,r={given['r']}"
    signed = f"{first},{challenge.decode()},{final}".encode()
    signature = _hmac(hashlib.sha256(client_key).digest(), signed)
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    answer = f"{final},p={base64.b64encode(proof).decode()}".encode()
    conversation = {"conversationId": reply["conversationId"], "payload": answer, "$db": source}
    verdict = _fields(_accepted(await call({"saslContinue": 1, **conversation})))
    expected = _hmac(_hmac(salted, b"Server Key"), signed)
    if not hmac.compare_digest(base64.b64decode(verdict.get("v", "")), expected):
        raise KeyRefusedError("the member could not prove that it holds the key")


def _accepted(reply: dict[str, Any]) -> bytes:
    if reply.get("ok") != 1:
        raise KeyRefusedError(str(reply.get("errmsg", "refused")))
    return bytes(reply["payload"])
