"""What a command's handler gets: the command, who sent it, and the services of the router."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import bson

from cluster.router.catalogue import Catalogue
from cluster.router.cursors import Cursors
from cluster.router.errors import SHARD_NOT_FOUND, STALE, CommandError, GoneError
from cluster.router.identity import Identities, Login, Privileges
from cluster.router.shards import FAILOVER_SECONDS, Reply, Shards
from cluster.router.wire import Document

Answer = Mapping[str, Any] | bytes
"""A handler's result: a document, or one that is encoded already."""
Handler = Callable[["Context"], Awaitable[Answer]]

# Only routers and members may send these; from a client they would be a way around the rules here.
# Source of the list: what crashes or misleads a mongod when it comes through its router commands.
_PRIVATE = frozenset({
    "shardVersion", "databaseVersion", "$audit", "$client", "$configTime", "$topologyTime",
    "stmtId", "stmtIds", "fromMongos", "needsMerge", "mayBypassWriteBlocking", "$impersonatedUser",
    "$clusterTime", "$db", "$readPreference", "lsid", "txnNumber", "autocommit", "startTransaction",
    "apiVersion", "apiStrict", "apiDeprecationErrors", "$queryOptions", "use44SortKeys",
})  # fmt: skip
_WRITE_CONCERN = ("writeConcern", "defaultWriteConcern")
_READ_CONCERN = ("readConcern", "defaultReadConcern")
FLUSH = {"flushRouterConfig": 1, "$db": "admin"}
DEFAULTS_SECONDS = 10.0


class Patience:
    """How long a command is repeated that shards refuse as stale: as long as a failover may take.

    A count of tries would not do: a chunk's move is committed in its own time, on a busy machine in
    many seconds.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: float | None = None
        self._refusals = 0

    async def pause(self) -> bool:
        """Wait before the next try. False, without a wait: there is no time left for another."""
        now = time.monotonic()
        self._until = self._until or now + self._seconds
        self._refusals += 1
        if now >= self._until:
            return False
        if (
            self._refusals > 2
        ):  # the first two tries follow immediately; later ones wait for a commit
            await asyncio.sleep(0.01 * 2 ** min(self._refusals, 6))
        return True


class Defaults:
    """The cluster's default read and write concern: a router adds it where a client gave none."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._known: Mapping[str, Any] = {}
        self._until = 0.0

    def forget(self) -> None:
        self._until = 0.0

    async def get(self, kind: str) -> Mapping[str, Any] | None:
        """Return ``defaultReadConcern`` or ``defaultWriteConcern``, None where none is set."""
        if time.monotonic() >= self._until:
            command = {"getDefaultRWConcern": 1, "$db": "admin"}
            try:
                self._known = await self._shards.config(command, seconds=0 if self._known else 20)
            except CommandError:
                if not self._known:
                    raise  # else: no config primary now, and what was known goes on
            self._until = time.monotonic() + DEFAULTS_SECONDS
        return self._known.get(kind) or None


@dataclass(slots=True)
class Services:
    """What all clients of the router share."""

    shards: Shards
    catalogue: Catalogue
    cursors: Cursors
    identities: Identities
    defaults: Defaults
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to make the router end."""
    drain_seconds: float = 0.0
    """How long commands that run then may take to finish."""
    started: float = field(default_factory=time.time)
    connections: int = 0


@dataclass(slots=True)
class Context:
    """One command of one client."""

    services: Services
    login: Login
    name: str
    sent: Document
    """The command as it came, private fields included."""
    db: str
    peer: str = ""
    """The client's ``address:port``."""
    connection: int = 0
    command: Document = field(init=False)
    """The command without the fields that clients have no business to set."""

    def __post_init__(self) -> None:
        self.command = {key: value for key, value in self.sent.items() if key not in _PRIVATE}
        concern = self.command.get("writeConcern")
        if isinstance(concern, Mapping) and concern.get("w") == 0:
            # A client that wants no answer gets none, but the router needs the shard's: an empty
            # one would hide that the write was refused as stale. mongos raises w: 0 as well.
            self.command["writeConcern"] = {**dict(concern.items()), "w": 1}

    @property
    def collection(self) -> str:
        """The collection that the command names as its first value.

        Raises:
            CommandError: 73, it is no collection name.
        """
        name = self.sent[self.name]
        if not isinstance(name, str) or not name or "\0" in name or name.startswith("."):
            raise CommandError(73, f"{self.name} needs a collection name, not {name!r}")
        return name

    @property
    def namespace(self) -> str:
        return f"{self.db}.{self.collection}"

    @property
    def session(self) -> Document:
        """``lsid`` and ``txnNumber`` of a retryable write, else nothing."""
        if "txnNumber" not in self.sent:
            return {}
        lsid = self.sent.get("lsid")
        if not isinstance(lsid, Mapping) or "id" not in lsid:
            raise CommandError(72, "txnNumber needs an lsid")
        own = {"id": lsid["id"], "uid": self.login.digest}
        return {"lsid": own, "txnNumber": self.sent["txnNumber"]}

    async def privileges(self) -> Privileges:
        """What the user may do.

        Raises:
            CommandError: 13, it does not exist any more.
        """
        return (await self.services.identities.of(self.login.user, self.login.db)).privileges

    @property
    def wants_primary(self) -> bool:
        """Whether the read preference is primary (the default)."""
        preference = self.sent.get("$readPreference")
        return not isinstance(preference, Mapping) or preference.get("mode") == "primary"

    @property
    def seconds(self) -> float:
        """How long a failover may hold this command up, in seconds."""
        limit = self.sent.get("maxTimeMS")
        if isinstance(limit, int | float) and limit > 0:
            return min(FAILOVER_SECONDS, limit / 1000)
        return FAILOVER_SECONDS

    async def with_concern(self, *, write: bool) -> Document:
        """The command, with the cluster's default concern where the client gave none."""
        name, kind = _WRITE_CONCERN if write else _READ_CONCERN
        given = self.command.get(name)
        own = dict(given.items()) if isinstance(given, Mapping) else {}
        if own and (write or "level" in own):
            return self.command
        default = await self.services.defaults.get(kind)
        if default is None:
            return self.command
        return {**self.command, name: {**default, **own}}

    async def run(
        self,
        shard: str,
        command: Mapping[str, Any],
        *,
        repeatable: bool = True,
        db: str | None = None,
    ) -> Reply:
        """Send a command to a shard's primary, in this command's database unless told otherwise."""
        return await self.services.shards.call(
            shard, {**command, "$db": db or self.db}, repeatable=repeatable, seconds=self.seconds
        )

    async def until_fresh(self, attempt: Callable[[], Awaitable[Reply]], namespace: str) -> Reply:
        """Repeat an attempt, with the catalogue read anew, while shards call it stale.

        Raises:
            CommandError: the last refusal, when they still do after `seconds`.
        """
        services, patience = self.services, Patience(self.seconds)
        while True:
            try:
                reply = await attempt()
            except GoneError as error:
                refusal: CommandError = error
            else:
                if reply.code == SHARD_NOT_FOUND:
                    # The member's own picture names a shard that is gone; it would keep it long.
                    await services.shards.call_host(reply.host, dict(FLUSH))
                elif reply.code not in STALE:
                    return reply
                refusal = CommandError.of_reply(reply.fields)
            services.catalogue.forget(namespace)
            if not await patience.pause():
                raise refusal


def namespace_of(context: Context) -> tuple[str, str]:
    """Split the ``db.collection`` that an admin command names.

    Raises:
        CommandError: 73, it names none.
    """
    value = context.sent[context.name]
    db, dot, collection = value.partition(".") if isinstance(value, str) else ("", "", "")
    if not (db and dot and collection):
        raise CommandError(73, f"{context.name} needs a namespace db.collection, not {value!r}")
    return db, collection


def result(reply: Reply) -> bytes:
    """The reply's document as it came.

    Raises:
        CommandError: it reports a failure.
    """
    if not reply.ok:
        raise CommandError.of_reply(reply.fields)
    return reply.raw


def encode(answer: Answer) -> bytes:
    return answer if isinstance(answer, bytes) else bson.encode(answer)
