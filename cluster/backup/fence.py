"""Writes are held back on every shard at once, and it is proved that they were.

Through mongos 7.1 or newer that is one command; before, the primary of each shard is locked by
itself. In both cases the members themselves are asked afterwards, and the proof is the same.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from pymongo.errors import PyMongoError

from cluster.access import Access
from cluster.backup import locks
from cluster.backup.warden import warden
from cluster.connect import Client, listens, short
from cluster.errors import ClusterError
from cluster.layout import Node, ReplicaSet
from cluster.replica_set import look, states
from cluster.shield import shielded
from cluster.waiting import Waiter

Report = Callable[[str], None]

LOCK_SECONDS = 30.0  # to wait for the writes under way; longer than any of them should take
ANSWER_SECONDS = 5.0  # for a member to say how it is
CONFIRM_SECONDS = 30.0
FIRST_WITH_FENCE = (7, 1)


class BrokenFenceError(ClusterError):
    """Writes may have gone on while they should have been held back: what was read is void."""


@dataclass(frozen=True)
class Post:
    """One locked primary: in which term it was, and the last write that it had applied."""

    replica_set: ReplicaSet
    node: Node
    term: int
    applied: Any


class Fence:
    """Up from the moment it is made until the block of `fence` ends; `seconds` says how long."""

    def __init__(
        self, access: Access, client: Client, stack: contextlib.ExitStack, longest: float
    ) -> None:
        self.access = access
        self.client = client
        self.connections = stack.enter_context(access.connections(ANSWER_SECONDS))
        self.patient = stack.enter_context(access.connections(LOCK_SECONDS))
        self.longest = longest
        self.seconds = 0.0
        self._posts: list[Post] = []
        self._began = time.monotonic()

    def up(self) -> None:
        """Locks the primary of every shard. Raises ClusterError."""
        primaries = {s: self._primary(s) for s in self.access.layout.shards}
        self._began = time.monotonic()
        with ThreadPoolExecutor(len(primaries)) as pool:
            if takes_fence(self.client):
                orders = [pool.submit(locks.lock, self.client)]
            else:
                members = [self.patient.member(node) for node in primaries.values()]
                orders = [pool.submit(locks.lock, member) for member in members]
            wait(orders, LOCK_SECONDS)
            try:
                for order in orders:
                    order.result(0)
            except (PyMongoError, TimeoutError) as error:
                why = short(error) if isinstance(error, PyMongoError) else "a write does not end"
                self._lift()  # and with it whatever still waits to lock
                raise BrokenFenceError(f"the shards could not be locked: {why}.") from None
        self._posts = [self._post(s, node) for s, node in primaries.items()]

    def _primary(self, replica_set: ReplicaSet) -> Node:
        def find() -> Node | None:
            for node in replica_set.members:
                if look(self.connections, node).state == "PRIMARY":
                    return node
            return None

        return Waiter(30).until(
            find, lambda: f"{replica_set.name}: {states(self.connections, replica_set)}. Run `up`."
        )

    def _post(self, replica_set: ReplicaSet, node: Node) -> Post:
        status = self._status(node)
        return Post(replica_set, node, status["term"], status["optimes"]["appliedOpTime"])

    def confirm(self) -> None:
        """That a majority has all that was read, so that no election undoes it.

        For after the fence: a primary that is locked does not journal, and where a second member
        is down, its own journal counts. Raises BrokenFenceError.
        """
        for post in self._posts:

            def ask(post: Post = post) -> bool | None:
                try:
                    committed = self._status(post.node)["optimes"]["lastCommittedOpTime"]
                except PyMongoError:
                    return False
                if committed["t"] != post.term:
                    return False
                return True if committed["ts"] >= post.applied["ts"] else None

            late = f"{post.replica_set.name}: no majority has its last writes. See `status`."
            if not Waiter(CONFIRM_SECONDS).until(ask, functools.partial(str, late)):
                name = post.replica_set.name
                raise BrokenFenceError(f"{name} has another primary, which may not have it all.")

    def prove(self) -> None:
        """That no shard has taken a write since: raises BrokenFenceError where one may have.

        Each primary is still locked, and its last write is the one it was. No other member was
        primary beside it: that takes a majority of votes in a later term, and a majority is still
        in the same.
        """
        if time.monotonic() - self._began > self.longest:
            raise ClusterError(
                f"writes were held back for {self.longest:.0f} s, and the dump was not done. "
                "Allow more with --longest-fence."
            )
        for post in self._posts:
            if complaint := self._complaint(post):
                raise BrokenFenceError(complaint)

    def _complaint(self, post: Post) -> str | None:
        name, replica_set = post.node.name, post.replica_set
        if not listens(post.node):
            return f"{name} is down."
        try:
            status = self._status(post.node)
            held = locks.is_locked(self.connections, post.node)
        except PyMongoError as error:
            return f"{name} does not answer: {short(error)}."
        if not held:
            return f"{name} is no longer locked."
        if status["myState"] != 1 or status["optimes"]["appliedOpTime"] != post.applied:
            return f"{name} did not stay the primary of {replica_set.name}, or took a write."
        same = sum(self._term(node) == post.term for node in replica_set.members)
        if same * 2 <= len(replica_set.members):
            return f"{replica_set.name} may have had another primary."
        return None

    def _status(self, node: Node) -> dict[str, Any]:
        return self.connections.member(node).admin.command("replSetGetStatus")

    def _term(self, node: Node) -> int | None:
        try:
            return int(self._status(node)["term"]) if listens(node) else None
        except PyMongoError:
            return None

    def down(self) -> None:
        """Lets the writes through again; raises ClusterError naming who may still be locked."""
        try:
            self._lift()
        finally:
            self.seconds = time.monotonic() - self._began

    def _lift(self) -> None:
        if self._posts and takes_fence(self.client):
            with contextlib.suppress(PyMongoError):
                self.client.admin.command("fsyncUnlock")
        locks.lift(self.connections, [n for s in self.access.layout.sets for n in s.members])


def takes_fence(client: Client) -> bool:
    """Whether the router itself can lock all shards."""
    info = client.admin.command("buildInfo")
    return info.get("router") != "stand-in" and tuple(info["versionArray"][:2]) >= FIRST_WITH_FENCE


@contextlib.contextmanager
def fence(access: Access, client: Client, longest: float) -> Iterator[Fence]:
    """Holds all writes back while the block runs, at most `longest` seconds.

    `client` goes through a router as admin. Should this process die, the warden lets the writes
    through. Raises BrokenFenceError when it could not be put up, else ClusterError.
    """
    with warden(access, longest), contextlib.ExitStack() as stack:
        standing = Fence(access, client, stack, longest)
        try:
            standing.up()
            yield standing
        finally:
            with shielded():
                standing.down()
        standing.confirm()
