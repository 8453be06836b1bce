"""Who a client is, and what it may do: log-in by relay, privileges as the config servers know them.

The router holds no passwords. It passes a client's SCRAM messages on to the config primary, over a
connection of their own, and asks there who has logged in. What that user may do is read with the
router's own right and kept for a short time, as mongos does.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cluster.router.errors import CommandError, HangUpError, HostError
from cluster.router.pools import Pools
from cluster.router.shards import CONFIG, Shards
from cluster.router.upstream import Connection

PRIVILEGE_SECONDS = 30.0  # mongos: userCacheInvalidationIntervalSecs
RELAY_SECONDS = 15.0
Action = tuple[str | None, str | None, str]
"""(database, collection, action); database None means the cluster, collection None the database."""


class Privileges:
    """What a user may do, roles resolved."""

    def __init__(self, listing: Iterable[Mapping[str, Any]]) -> None:
        """``listing`` is ``inheritedPrivileges`` of usersInfo."""
        self._cluster: set[str] = set()
        self._anywhere: set[str] = set()
        self._on: dict[tuple[str, str], set[str]] = {}
        for privilege in listing:
            resource, actions = privilege["resource"], privilege["actions"]
            if resource.get("anyResource"):
                self._anywhere.update(actions)
            elif resource.get("cluster"):
                self._cluster.update(actions)
            elif "db" in resource:
                place = (resource["db"], resource.get("collection", ""))
                self._on.setdefault(place, set()).update(actions)

    def allow(self, needed: Action) -> bool:
        """Whether they cover an action.

        A privilege on all collections does not reach ``system.`` collections.
        Source: https://www.mongodb.com/docs/manual/reference/resource-document/
        """
        db, collection, action = needed
        if action in self._anywhere:
            return True
        if db is None:
            return action in self._cluster
        name = collection or ""
        places = [(db, name), ("", name)] if name else []
        if not name.startswith("system."):
            places += [(db, ""), ("", "")]
        return any(action in self._on.get(place, ()) for place in places)

    def reaches(self, db: str) -> bool:
        """Whether they cover anything in a database."""
        return any(place[0] in (db, "") for place in self._on) or bool(self._anywhere)


@dataclass(slots=True)
class Login:
    """A client connection's state of authentication."""

    user: str = ""
    """Name of who has logged in, empty before."""
    db: str = ""
    digest: bytes = b""
    """SHA-256 of ``user@db``: mongod keeps the sessions of users apart by it."""
    _relay: Connection | None = None
    _pools: Pools | None = None

    @property
    def name(self) -> str:
        """``user@db``."""
        return f"{self.user}@{self.db}" if self.user else ""

    def forget(self) -> None:
        """Log out."""
        self.close()
        self.user = self.db = ""
        self.digest = b""

    def close(self) -> None:
        if self._relay is not None and self._pools is not None:
            self._pools.take_back(self._relay)
            self._relay = None

    async def start(self, shards: Shards, db: str, command: Mapping[str, Any]) -> dict[str, Any]:
        """First step of SCRAM (``saslStart``), passed on to the config primary.

        If that fails meanwhile, the step is repeated on its successor.
        """
        mechanism, payload = command.get("mechanism"), command.get("payload")
        if mechanism not in ("SCRAM-SHA-256", "SCRAM-SHA-1") or not isinstance(payload, bytes):
            raise CommandError(
                2, "saslStart takes mechanism SCRAM-SHA-256 or SCRAM-SHA-1 and a payload"
            )
        if db == "local" or b"n=__system," in payload:
            raise CommandError(18, "Authentication failed.")
        self.forget()
        self.db, self._pools = db, shards.pools
        fields = {"mechanism": mechanism, "payload": payload}
        options = {"options": command["options"]} if "options" in command else {}
        step = {"saslStart": 1, **fields, **options, "$db": db}
        config, deadline = shards.set_of(CONFIG), time.monotonic() + RELAY_SECONDS
        while True:
            host = await config.wait_for_primary(deadline - time.monotonic())
            try:
                self._relay = await shards.pools.lend(host)
                return await self._pass_on(step)
            except HostError as error:
                self.close()
                config.doubt(host)
                if time.monotonic() >= deadline:
                    raise CommandError(6, f"cannot log in at the config primary: {error}") from None

    async def proceed(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Later steps (``saslContinue``).

        Raises:
            HangUpError: the config primary that took the first step is gone. No other can go on
                from there; a client that loses its connection begins anew by itself.
        """
        if self._relay is None:
            raise CommandError(17, "No SASL session state found")
        fields = {key: command[key] for key in ("conversationId", "payload") if key in command}
        try:
            return await self._pass_on({"saslContinue": 1, **fields, "$db": self.db})
        except HostError as error:
            self.forget()
            raise HangUpError(f"the config primary failed during log-in: {error}") from None

    async def _pass_on(self, command: dict[str, Any]) -> dict[str, Any]:
        relay = self._relay
        if relay is None:
            raise CommandError(17, "No SASL session state found")
        reply = await relay.call(command)
        if reply.get("ok") and reply.get("done"):
            status = await relay.call({"connectionStatus": 1, "$db": "admin"})
            self._take_over(status)
        if not reply.get("ok"):
            self.forget()
            raise CommandError.of_reply(reply)
        wanted = ("conversationId", "done", "payload", "ok")
        return {key: reply[key] for key in wanted if key in reply}

    def _take_over(self, status: Mapping[str, Any]) -> None:
        self.close()
        users = status["authInfo"]["authenticatedUsers"]
        if len(users) != 1 or users[0]["user"] == "__system":
            self.forget()
            raise CommandError(18, "Authentication failed.")
        self.user, self.db = users[0]["user"], users[0]["db"]
        self.digest = hashlib.sha256(self.name.encode()).digest()


class Identities:
    """Users as the config servers know them, kept for a short time."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._known: dict[str, tuple[float, Mapping[str, Any], Privileges]] = {}

    def forget(self) -> None:
        """Users or roles have been changed through this router."""
        self._known.clear()

    async def privileges(self, login: Login) -> Privileges:
        """What the user may do now.

        Raises:
            CommandError: 13, the user does not exist any more.
        """
        known = self._known.get(login.name)
        if known is not None and time.monotonic() < known[0]:
            return known[2]
        return (await self._load(login))[2]

    async def entry(self, login: Login) -> Mapping[str, Any]:
        """The user as usersInfo shows it, with inherited roles and privileges."""
        await self.privileges(login)
        return self._known[login.name][1]

    async def _load(self, login: Login) -> tuple[float, Mapping[str, Any], Privileges]:
        known = self._known.get(login.name)
        command = {"usersInfo": {"user": login.user, "db": login.db}, "showPrivileges": True}
        try:
            reply = await self._shards.config(
                {**command, "$db": "admin"}, seconds=1 if known else 20
            )
        except CommandError:
            if known is None:
                raise
            until = (
                time.monotonic() + PRIVILEGE_SECONDS
            )  # no config primary: what was known goes on
            self._known[login.name] = (until, *known[1:])
            return self._known[login.name]
        if not reply["users"]:
            self._known.pop(login.name, None)
            raise CommandError(13, f"user {login.name} does not exist any more: log in again")
        user = reply["users"][0]
        until = time.monotonic() + PRIVILEGE_SECONDS
        self._known[login.name] = (until, user, Privileges(user["inheritedPrivileges"]))
        return self._known[login.name]
