"""SCRAM: how the router proves to a member that it holds the key file, and clients who they are.

Source: RFC 5802 and RFC 7677. PyMongo speaks the client's side, but keeps it private to its own
connections.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any

Send = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
USER, SOURCE = "__system", "local"
MECHANISMS = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}
"""Those of clients, and the hash of each. The router itself uses SCRAM-SHA-256."""
_FIRST = re.compile(r"[ny],,(n=([^,]*),r=([^,]+)(?:,.*)?)", re.DOTALL)


class KeyRefusedError(Exception):
    """The member does not accept the key, or cannot prove that it holds it too."""


@lru_cache(maxsize=256)
def _salted(key: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", key.encode(), salt, iterations)


def _fields(payload: bytes) -> dict[str, str]:
    pairs = (part.split("=", 1) for part in payload.decode().split(","))
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _hmac(key: bytes, text: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.digest(key, text, algorithm)


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


async def log_in(call: Send, key: str, user: str = USER, source: str = SOURCE) -> None:
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
    proof = _xor(client_key, signature)
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


class ProofError(Exception):
    """A client does not prove that it knows the password."""


class Conversation:
    """The server's side of one log-in: call `challenge`, then `answer` until it is `done`."""

    def __init__(self, mechanism: str, first: bytes, *, brief: bool) -> None:
        """``first`` is the client's first message.

        ``brief`` leaves out the empty exchange with which older clients end.

        Raises:
            ProofError: the message has another form, or wants what is not offered here.
        """
        found = _FIRST.fullmatch(first.decode(errors="replace"))
        if found is None:
            raise ProofError
        self._bare, name, self._nonce = found.groups()
        self.user = name.replace("=2C", ",").replace("=3D", "=")
        self.done = False
        self._header = base64.b64encode(first[:3]).decode()
        self._hash = MECHANISMS[mechanism]
        self._brief = brief
        self._challenge = ""
        self._stored = self._server = b""
        self._proved = False

    def challenge(self, credentials: Mapping[str, Any] | None) -> bytes:
        """The first answer: nonce, salt and iterations.

        ``credentials`` are what usersInfo shows of the user's for this mechanism.

        Raises:
            ProofError: there are none.
        """
        if credentials is None:
            raise ProofError
        self._stored = base64.b64decode(credentials["storedKey"])
        self._server = base64.b64decode(credentials["serverKey"])
        self._nonce += base64.b64encode(secrets.token_bytes(24)).decode()
        salt, iterations = credentials["salt"], credentials["iterationCount"]
        self._challenge = f"r={self._nonce},s={salt},i={iterations}"
        return self._challenge.encode()

    def answer(self, message: bytes) -> bytes:
        """The answer to the client's second or third message.

        Raises:
            ProofError: the client's proof is wrong.
        """
        if self._proved:
            self.done = True
            return b""
        signature = self._verified(message.decode(errors="replace"))
        self._proved, self.done = True, self._brief
        return b"v=" + base64.b64encode(signature)

    def _verified(self, final: str) -> bytes:
        fields, (unproved, _, _) = _fields(final.encode()), final.rpartition(",p=")
        if fields.get("r") != self._nonce or fields.get("c") != self._header:
            raise ProofError
        signed = f"{self._bare},{self._challenge},{unproved}".encode()
        signature = _hmac(self._stored, signed, self._hash)
        try:
            key = _xor(base64.b64decode(fields.get("p", "")), signature)
        except ValueError:
            raise ProofError from None
        if not hmac.compare_digest(hashlib.new(self._hash, key).digest(), self._stored):
            raise ProofError
        return _hmac(self._server, signed, self._hash)
