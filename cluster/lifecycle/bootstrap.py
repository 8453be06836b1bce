"""Makes the servers of a Layout one sharded cluster: sets, users, shards, defaults.

It may be run at any moment and interrupted at any instruction; it looks at what is there, does
only what is missing, reports each change, and ends in the same state. It knows nothing of how the
servers are run.

What mongos has a command for goes through a router, as the user "admin". The rest needs the key
(see `servers.connections`): initiating a set, changing its timings, and the users on the config
servers, which must be there before anybody can log in to a router.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any

from pymongo.errors import AutoReconnect, OperationFailure
from pymongo.write_concern import WriteConcern

from cluster.errors import ClusterError, MismatchError
from cluster.model.layout import Node, ReplicaSet
from cluster.model.users import (
    SHARDER,
    USERS,
    kept_database,
    kind,
    roles,
    sharder_privileges,
)
from cluster.servers import balancer, snapshots
from cluster.servers.connections import Access, Connections, insist, listens, refusal, refused
from cluster.servers.replica_set import SetMaker
from cluster.servers.routers import why_not_serving
from cluster.servers.waiting import Cancelled, Waiter
from cluster.servers.writable import assert_writable
from console import Report

ROLE_EXISTS = 51002
USER_EXISTS = 51003

# Making a shard or a default concern known is acknowledged by a majority of the same config
# servers; that comes after the users and so confirms them, too. To wait here would cost a second.
QUICK = {"w": 1}


def bootstrap(  # noqa: PLR0913 - one thing to work on, five that most callers leave
    access: Access,
    report: Report,
    phase: Report = lambda _: None,
    *,
    leaving: frozenset[str] = frozenset(),
    watch: Callable[[], None] | None = None,
    seconds: float = 90,
) -> None:
    """Makes the servers a cluster: every member in sync, a majority write through each router.

    `report` is told of each change, `phase` of each stretch that is done. `leaving` names shards
    that are being removed and must not be added again. `watch` is called while waiting and may
    raise. Raises ClusterError: DeadlineError after `seconds` without progress in one step,
    KeyFileError, MismatchError, LockedError, or what `watch` raised.
    """
    waiter = Waiter(seconds, watch)
    with access.connections() as connections:
        work = _Work(access, report, connections, waiter)
        pool = ThreadPoolExecutor(4 * (len(access.layout.sets) + len(access.layout.routers)) + 4)
        try:
            work.run(pool, phase, leaving)
        finally:
            waiter.cancel()
            # Threads that wait for an answer are left alone: an interruption takes no time.
            pool.shutdown(wait=False, cancel_futures=True)


class _Work:
    def __init__(
        self,
        access: Access,
        report: Report,
        connections: Connections,
        waiter: Waiter,
    ) -> None:
        self.layout = layout = access.layout
        self.access = access
        self.report = report
        self.connections = connections
        self.waiter = waiter
        settings = {
            "electionTimeoutMillis": layout.election_timeout_ms,
            "heartbeatIntervalMillis": layout.heartbeat_interval_ms,
            # All members are in one place. One that copies from another secondary, which is lost,
            # looks for somebody else a second later, and a majority waits for it that long.
            "chainingAllowed": False,
            "catchUpTimeoutMillis": layout.catch_up_timeout_ms,
        }
        self.makers = {
            s.name: SetMaker(s, settings, connections, waiter, report, oplog_mb=layout.oplog_mb)
            for s in layout.sets
        }
        config = self.makers[layout.config.name]
        self.users = _UserMaker(config, access.passwords, layout.database)

    def run(self, pool: ThreadPoolExecutor, phase: Report, leaving: frozenset[str]) -> None:
        """Every step in a thread of its own, begun as soon as what it needs is there."""
        made = {name: pool.submit(maker.make) for name, maker in self.makers.items()}
        config = made[self.layout.config.name]
        admin = pool.submit(self._after, config, self.users.ensure, "admin")
        others = pool.submit(self._after, config, self.users.ensure_others)
        routers = [pool.submit(self._after, admin, self._reach, r) for r in self.layout.routers]
        defaults = pool.submit(self._first, routers, self._default_concerns)
        added = [
            pool.submit(self._first, routers, self._add_shard, shard, made[shard.name])
            for shard in self.layout.shards
            if shard.name not in leaving
        ]
        _finish([*made.values()])
        assert_writable(self.connections, self.layout.sets)
        _finish([admin])
        phase("every set has a primary")
        _finish(routers)
        phase("routers serve")
        _finish([*added, defaults, others])
        phase("shards added, users and defaults set")
        _finish([pool.submit(self._write, router) for router in self.layout.routers])
        phase("a majority write through each router acknowledged")
        _finish([pool.submit(maker.settle) for maker in self.makers.values()])
        phase("every member in sync")
        self._tidy()

    def _tidy(self) -> None:
        """Puts back what commands changed for a while and, since they died, did not put back."""
        client = self.connections.user(
            self.layout.routers[0], "admin", self.access.passwords["admin"]
        )
        balancer.put_back(client, self.report)
        snapshots.put_back(self.connections, self.layout, self.report)

    @staticmethod
    def _after(first: Future[Any], then: Callable[..., Any], *arguments: object) -> Any:
        first.result()
        return then(*arguments)

    @staticmethod
    def _first(routers: list[Future[Node]], then: Callable[..., Any], *arguments: object) -> Any:
        """Goes on with the router that serves first."""
        done, _ = wait(routers, return_when="FIRST_COMPLETED")
        return then(next(iter(done)).result(), *arguments)

    # ---- steps through a router ---------------------------------------------------------------

    def _through(self, router: Node, act: Callable[[Any], Any], what: str) -> Any:
        """Does something idempotent through a router until it is done; `act` gets the client."""
        client = self.connections.user(router, "admin", self.access.passwords["admin"])

        def attempt() -> Any:
            if not listens(router):
                raise AutoReconnect("it does not listen")
            return act(client)

        return insist(
            self.waiter,
            attempt,
            lambda error: refusal(router, error),
            lambda last: self._late(router, what, last),
        )

    def _late(self, router: Node, what: str, why: str) -> str:
        passed = f"after {self.waiter.seconds:.0f} s"
        return f"{router.name} ({router.address}): {what} {passed}: {why}. Look at its log."

    def _reach(self, router: Node) -> Node:
        password = self.access.passwords["admin"]
        self.waiter.until_well(
            lambda: why_not_serving(self.connections, router, "admin", password),
            lambda why: self._late(router, "not ready", why),
        )
        return router

    def _default_concerns(self, router: Node) -> None:
        def act(client: Any) -> None:
            now = client.admin.command("getDefaultRWConcern")
            if now.get("defaultWriteConcern", {}).get("w") == "majority" and (
                now.get("defaultWriteConcernSource", "global") == "global"
            ):
                return
            wanted = {"w": "majority", "wtimeout": 0}
            client.admin.command("setDefaultRWConcern", 1, defaultWriteConcern=wanted)
            self.report("default write concern: majority")

        self._through(router, act, "no default write concern")

    def _add_shard(self, router: Node, shard: ReplicaSet, made: Future[bool]) -> None:
        fresh = made.result()

        def act(client: Any) -> None:
            known = {s["_id"]: s for s in client.admin.command("listShards")["shards"]}
            if shard.name not in known:
                client.admin.command("addShard", shard.seed, name=shard.name)
                self.report(f"{shard.name}: added to the cluster")
            elif fresh:
                raise MismatchError(
                    f"{shard.name} had no data, but the cluster has it as a shard: its data is "
                    "lost. Put the data of its members back, or make the cluster anew."
                )
            elif _hosts(known[shard.name]["host"]) != _hosts(shard.seed):
                raise MismatchError(
                    f"{shard.name} is {known[shard.name]['host']} to the cluster, but "
                    f"{shard.seed} in the description. Correct the description."
                )

        self._through(router, act, f"{shard.name} not added")

    def _write(self, router: Node) -> None:
        """One document that tells when the cluster was last brought up, written for all to see."""
        mark = {"$set": {"at": datetime.datetime.now(datetime.UTC)}}

        def act(client: Any) -> None:
            collection = client["cluster"].get_collection(
                "write_check", write_concern=WriteConcern("majority", wtimeout=10_000)
            )
            collection.update_one({"_id": "up"}, mark, upsert=True)

        self._through(router, act, "no majority write")


class _UserMaker:
    """Makes the users, or gives those that exist the right password and roles again."""

    def __init__(self, config: SetMaker, passwords: Mapping[str, str], database: str) -> None:
        self.config = config
        self.passwords = passwords
        self.database = database

    def ensure_others(self) -> None:
        """Makes the application's role, then all users but admin; drops who the application was."""
        self.config.on_primary(self._role)
        names = [name for name in self.passwords if kind(name) in USERS[1:]]
        for name in names:
            self.ensure(name)
        self.config.on_primary(self._drop_former)

    def ensure(self, name: str) -> None:
        """Makes one user, or puts its roles and password right."""
        self.config.on_primary(lambda primary: self._user(primary, name))

    def _role(self, primary: Node) -> None:
        admin = self.config.connections.member(primary).admin
        wanted = sharder_privileges(self.database)
        try:
            admin.command("createRole", SHARDER, privileges=wanted, roles=[], writeConcern=QUICK)
        except OperationFailure as error:
            if error.code != ROLE_EXISTS:
                raise
        else:
            return
        found = admin.command("rolesInfo", SHARDER, showPrivileges=True)["roles"]
        named = {one["resource"]["db"] for role in found for one in role["privileges"]}
        if other := named - {self.database}:
            raise MismatchError(kept_database(other.pop(), self.database))
        if not found or found[0]["privileges"] != wanted:
            admin.command("updateRole", SHARDER, privileges=wanted)
            self.config.report(f"role {SHARDER}: privileges set")

    def _user(self, primary: Node, name: str) -> None:
        admin = self.config.connections.member(primary).admin
        wanted = roles(name, self.database)
        password = self.passwords[name]
        try:
            admin.command("createUser", name, pwd=password, roles=wanted, writeConcern=QUICK)
        except OperationFailure as error:
            if error.code != USER_EXISTS:
                raise
        else:
            self.config.report(f"user {name}: made")
            return
        found = admin.command("usersInfo", name)["users"]
        if not found or _plain(found[0]["roles"]) != _plain(wanted):
            admin.command("updateUser", name, roles=wanted)
            self.config.report(f"user {name}: roles set")
        if not self._logs_in(primary, name, password):
            admin.command("updateUser", name, pwd=password)
            self.config.report(f"user {name}: password set")

    def _drop_former(self, primary: Node) -> None:
        admin = self.config.connections.member(primary).admin
        for user in admin.command("usersInfo", 1)["users"]:
            if kind(user["user"]) == "app" and user["user"] not in self.passwords:
                admin.command("dropUser", user["user"])
                self.config.report(f"user {user['user']}: dropped")

    def _logs_in(self, primary: Node, name: str, password: str) -> bool:
        try:
            self.config.connections.user(primary, name, password).admin.command("ping")
        except OperationFailure as error:
            if refused(error):
                return False
            raise
        return True


def _plain(roles_: list[dict[str, str]]) -> set[tuple[str, str]]:
    return {(role["role"], role["db"]) for role in roles_}


def _hosts(seed: str) -> set[str]:
    return set(seed.partition("/")[2].split(","))


def _finish(futures: list[Future[Any]]) -> None:
    """Waits for all, or raises the first failure. Who gave up because of another's did not fail."""
    pending = set(futures)
    gave_up: BaseException | None = None
    while pending:
        done, pending = wait(pending, return_when=FIRST_EXCEPTION)
        for future in done:
            error = future.exception()
            if isinstance(error, Cancelled):
                gave_up = error
            elif error is not None:
                raise error
    if gave_up is not None:
        raise ClusterError("the work was cancelled. Run it again.") from gave_up
