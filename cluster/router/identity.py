"""Who a client is, and what it may do: as the config servers know it, kept by the router.

As mongos does, the router reads a user with its roles, privileges and the keys that SCRAM derives
from its password, and checks the client's proof itself. Keys stay in memory and are shown nowhere.
"""

import asyncio
import contextlib
import hashlib
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.router import scram
from cluster.router.errors import CommandError
from cluster.router.shards import Shards

KEPT_SECONDS = 30.0  # mongos: userCacheInvalidationIntervalSecs
LOG_IN_SECONDS = 15.0
KNOWN_SECONDS = 2.0  # for the config servers to answer about a user whom the router knows already
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


class User:
    """A user as the config servers know it."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        """``entry`` is the user's document in the reply of usersInfo."""
        self.roles = entry["inheritedRoles"]
        self.listing = entry["inheritedPrivileges"]
        self.privileges = Privileges(self.listing)
        self.credentials: Mapping[str, Any] = entry.get("credentials", {})
        """By SCRAM mechanism."""
        own = entry.get("authenticationRestrictions", [])
        self._restrictions = [own, *entry.get("inheritedAuthenticationRestrictions", [])]

    def may_come(self, client: str, server: str) -> bool:
        """Whether its own and each role's restrictions let it log in from one address at another.

        Source: https://www.mongodb.com/docs/manual/reference/method/db.createUser/
        """
        ends = {"clientSource": client, "serverAddress": server}
        return all(
            not choices
            or any(
                all(_within(ends[end], ranges) for end, ranges in choice.items() if end in ends)
                for choice in choices
            )
            for choices in self._restrictions
        )


def _within(address: str, ranges: Iterable[str]) -> bool:
    try:
        own = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return any(own in ipaddress.ip_network(text, strict=False) for text in ranges)


class Identities:
    """The users that this router has read from the config servers."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._known: dict[tuple[str, str], User] = {}

    def forget(self) -> None:
        """Forget all users: this router has just passed on a change of users or roles."""
        self._known.clear()

    async def keep(self) -> None:
        """Read the known users anew now and then, for what was changed through other routers.

        While there is no config primary nothing can be changed, and what was known goes on.
        """
        while True:
            await asyncio.sleep(KEPT_SECONDS)
            with contextlib.suppress(CommandError):
                for user, db in list(self._known):
                    await self._read(user, db)

    async def of(self, user: str, db: str) -> User:
        """A user who has logged in, as known for half a minute at most.

        Raises:
            CommandError: 13, it does not exist any more.
        """
        found = self._known.get((user, db)) or await self._read(user, db)
        if found is None:
            raise CommandError(13, f"user {user}@{db} does not exist any more: log in again")
        return found

    async def newest(self, user: str, db: str) -> User | None:
        """A user as it is now, for a log-in; as it was known, if no config server answers.

        Raises:
            CommandError: none answers, and the user is not known.
        """
        known = self._known.get((user, db))
        if known is None:
            return await self._read(user, db, LOG_IN_SECONDS)
        try:
            async with asyncio.timeout(KNOWN_SECONDS):
                return await self._read(user, db, 0)
        except (CommandError, TimeoutError):
            return known

    async def _read(self, user: str, db: str, seconds: float = LOG_IN_SECONDS) -> User | None:
        shown = ("showPrivileges", "showCredentials", "showAuthenticationRestrictions")
        command = {"usersInfo": {"user": user, "db": db}, **dict.fromkeys(shown, True)}
        reply = await self._shards.config({**command, "$db": "admin"}, seconds=seconds)
        if not reply["users"]:
            self._known.pop((user, db), None)
            return None
        self._known[user, db] = User(reply["users"][0])
        return self._known[user, db]


@dataclass(slots=True)
class Login:
    """A client connection's state of authentication."""

    client: str = ""
    """Address that the client comes from."""
    server: str = ""
    """Address of the router that the client connected to."""
    user: str = ""
    """Name of who has logged in, empty before."""
    db: str = ""
    digest: bytes = b""
    """SHA-256 of ``user@db``: mongod keeps the sessions of users apart by it."""
    _conversation: scram.Conversation | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """``user@db``."""
        return f"{self.user}@{self.db}" if self.user else ""

    def forget(self) -> None:
        """Log out."""
        self.user = self.db = ""
        self.digest = b""
        self._conversation = None

    async def start(
        self, identities: Identities, db: str, command: Mapping[str, Any]
    ) -> dict[str, Any]:
        """First step of SCRAM (``saslStart``).

        Raises:
            CommandError: 18, there is no such user, or it may not come from there.
        """
        self.forget()
        mechanism, payload = command.get("mechanism"), command.get("payload")
        if mechanism not in scram.MECHANISMS or not isinstance(payload, bytes):
            names = " or ".join(scram.MECHANISMS)
            raise CommandError(2, f"saslStart takes mechanism {names} and a payload")
        options = command.get("options")
        brief = isinstance(options, Mapping) and bool(options.get("skipEmptyExchange"))
        try:
            conversation = scram.Conversation(mechanism, payload, brief=brief)
            if db == "local" or conversation.user == scram.USER:
                raise _refusal()
            user = await identities.newest(conversation.user, db)
            if user is None or not user.may_come(self.client, self.server):
                raise _refusal()
            challenge = conversation.challenge(user.credentials.get(mechanism))
        except scram.ProofError:
            raise _refusal() from None
        self.db, self._conversation = db, conversation
        return _step(challenge, done=False)

    def proceed(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Later steps (``saslContinue``).

        Raises:
            CommandError: 18, the client does not prove that it knows the password.
        """
        conversation, payload, db = self._conversation, command.get("payload"), self.db
        if conversation is None or command.get("conversationId") != 1:
            raise CommandError(17, "No SASL session state found")
        self.forget()  # whatever comes of this step, it cannot be tried again
        try:
            answer = conversation.answer(payload if isinstance(payload, bytes) else b"")
        except scram.ProofError:
            raise _refusal() from None
        self.db = db
        if not conversation.done:
            self._conversation = conversation
            return _step(answer, done=False)
        self.user = conversation.user
        self.digest = hashlib.sha256(self.name.encode()).digest()
        return _step(answer, done=True)


def _refusal() -> CommandError:
    return CommandError(18, "Authentication failed.")


def _step(payload: bytes, *, done: bool) -> dict[str, Any]:
    return {"conversationId": 1, "done": done, "payload": payload, "ok": 1.0}
