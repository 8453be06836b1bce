"""Which key a client touches next, and how: the life of a key from its insert to its delete."""

import random
import threading
from typing import NamedTuple

from cluster.drill.history import Kind

READS = 0.3
"""Share of reads among the calls on a live key."""
DELETED = 0.5
"""Share of keys that are deleted at the end of their life; the others stay for the audit."""


class Intent(NamedTuple):
    """A call to make. `token` is empty for reads and deletes."""

    kind: Kind
    key: str
    token: str


class Keys:
    """The keys of one group, shared by the clients that work on it.

    `live` keys are in use at a time, each for about `tokens` appends, so that documents stay small
    and inserts and deletes go on all the time.
    """

    def __init__(self, group: str, live: int, tokens: int) -> None:
        self._group = group
        self._limit = live
        self._tokens = tokens
        self._lock = threading.Lock()
        self._made = 0
        self._pending = 0
        self._written: dict[str, int] = {}

    def choose(self, chance: random.Random, token: str) -> Intent:
        """The next call; `token` is used if it is a write that carries one."""
        with self._lock:
            if len(self._written) + self._pending < self._limit or not self._written:
                self._pending += 1
                self._made += 1
                return Intent(Kind.INSERT, f"{self._group}/{self._made:06d}", token)
            key = chance.choice(list(self._written))
            if self._written[key] >= self._tokens:
                del self._written[key]
                if chance.random() < DELETED:
                    return Intent(Kind.DELETE, key, "")
                return Intent(Kind.READ, key, "")
            if chance.random() < READS:
                return Intent(Kind.READ, key, "")
            self._written[key] += 1
            return Intent(Kind.APPEND, key, token)

    def inserted(self, key: str, *, possible: bool) -> None:
        """The insert of the key has returned; from now on it is in use if it may exist."""
        with self._lock:
            self._pending -= 1
            if possible:
                self._written[key] = 1
