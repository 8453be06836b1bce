"""MongoDB's error codes, as far as the router speaks or understands them.

Source: https://www.mongodb.com/docs/manual/reference/error-codes/
"""

from collections.abc import Mapping
from typing import Any

NAMES = {
    1: "InternalError",
    2: "BadValue",
    4: "NoSuchKey",
    6: "HostUnreachable",
    9: "FailedToParse",
    11: "UserNotFound",
    13: "Unauthorized",
    14: "TypeMismatch",
    15: "Overflow",
    18: "AuthenticationFailed",
    20: "IllegalOperation",
    22: "InvalidBSON",
    26: "NamespaceNotFound",
    43: "CursorNotFound",
    59: "CommandNotFound",
    61: "ShardKeyNotFound",
    63: "StaleShardVersion",
    70: "ShardNotFound",
    73: "InvalidNamespace",
    91: "ShutdownInProgress",
    115: "CommandNotSupported",
    118: "NamespaceNotSharded",
    133: "FailedToSatisfyReadPreference",
    166: "CommandNotSupportedOnView",
    169: "CommandOnShardedViewNotSupportedOnMongod",
}

NOT_PRIMARY = frozenset({10107, 13435, 13436, 11600, 11602, 189, 91})
"""The member cannot serve writes now; nothing of a command that ends so is acknowledged."""

RETRYABLE = NOT_PRIMARY | {6, 7, 89, 134, 262, 9001}
"""A driver may send the same retryable write again after one of these."""

SHARD_NOT_FOUND = 70
STALE = frozenset({13388, 63, 249, 150, 409})
"""The router's picture of where data lives is old: refresh it and repeat."""


class CommandError(Exception):
    """A command fails with one of MongoDB's codes; the client sees `document()`.

    ``source`` is the reply of a mongod, passed on whole, when the failure comes from one.
    """

    def __init__(self, code: int, message: str, source: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.source = source

    @classmethod
    def of_reply(cls, reply: Mapping[str, Any]) -> "CommandError":
        return cls(reply.get("code", 1), reply.get("errmsg", "unknown error"), reply)

    def document(self) -> dict[str, Any]:
        """The reply that a client gets: ``{ok, errmsg, code, codeName, …}``."""
        answer = dict(self.source or {})
        answer.update(ok=0.0, errmsg=self.message, code=self.code)
        answer.setdefault("codeName", NAMES.get(self.code, f"Location{self.code}"))
        return answer


class GoneError(CommandError):
    """The shard is not part of the cluster, or not any more: what it had is elsewhere."""

    def __init__(self, message: str) -> None:
        super().__init__(SHARD_NOT_FOUND, message)


class HangUpError(Exception):
    """The client gets no answer: its connection is closed, as if the router had gone."""


class HostError(CommandError):
    """The connection to a member broke: what was sent may or may not have been carried out."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(6, message)
        self.sent = sent
