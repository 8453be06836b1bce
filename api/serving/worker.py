"""The worker: an event loop that speaks to clients, and threads that work on whole requests.

gunicorn's ASGI worker gives the loop, its signals and its end; its protocol (gunicorn.asgi) is not
used: it bounds neither the time a header takes nor the time an answer takes to be fetched.
"""

import asyncio
import os
import resource
import socket
from collections import Counter
from functools import lru_cache
from time import perf_counter
from typing import Any

from flask import Flask
from gunicorn.workers.gasgi import ASGIWorker

from api.serving.connection import Connection
from api.serving.exchange import Lane
from api.serving.messages import Message, Refusals
from api.settings import Settings
from api.settings.checks import networks, origins
from api.settings.declared import PROBE_THREADS
from api.web.operations import LaneName, admissions
from api.web.problems import overloaded
from api.web.proxies import belongs, block, parse, walk

SWEEP = 0.5  # seconds between looks at all connections
ACCEPTED = 8  # connections in a row; another worker wants some, too
UNSENT = (
    128 * 1024
)  # bytes of an answer that the kernel holds for a client beyond what is under way
RESERVED = 200  # files that are no clients: the database's connections, logs, spools
SPOOLS = 64  # large bodies that are kept in files while they arrive
SPOOLS_PER_ADDRESS = 16
LAST_WORDS = 2.0  # seconds for which a stopping worker waits for what is on its way to it


class Worker(ASGIWorker):  # type: ignore[misc]  # gunicorn's types end here
    """Serves `app`, an `api.serving.server.Server`."""

    settings: Settings

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """The inherited one warns of threads, which this worker has."""

    def load_wsgi(self) -> None:
        """Make the app, and what is to be known of it before it is called."""
        self.settings = settings = self.app.settings
        self.wsgi: Flask = self.app.wsgi()
        self.admit = admissions(self.wsgi, settings.body_limit, settings.request_deadline)
        meter = self.wsgi.extensions["meter"]
        self.events = self.wsgi.extensions["events"]
        self.rollups = self.wsgi.extensions["analytics"]
        self.refusals = Refusals(origins(settings.cors_origins, "cors_origins"), meter.refused)
        self._trusted = trusted = networks(settings.trusted_proxies, "trusted_proxies")
        self.connections: set[Connection] = set()
        self._arriving: set[asyncio.Task[Any]] = set()  # accepted, and not yet connections
        self._by_address: Counter[str] = Counter()
        self._spooled: Counter[str] = Counter()
        self._block = lru_cache(1024)(
            lambda address: None if belongs(parse(address), trusted) else block(address)
        )
        self._most = min(settings.connections, _files() - RESERVED)
        self.stopping = False

    async def _serve(self) -> None:
        settings, loop = self.settings, self.loop
        lanes = {
            LaneName.USUAL: (settings.threads, settings.queue_wait),
            LaneName.SLOW: (settings.slow_threads, settings.request_deadline),
            LaneName.PROBE: (PROBE_THREADS, settings.queue_wait),
        }
        self.lanes = {name: Lane(loop, name.value, *of) for name, of in lanes.items()}
        self.events.start()
        self.rollups.start()
        listeners = [listener.sock for listener in self.sockets]
        for listener in listeners:
            listener.setblocking(False)
            loop.add_reader(listener, self._accept, listener)
        while self.alive and self.is_parent_alive():
            self.notify()
            self._sweep()
            await asyncio.sleep(SWEEP)
        await self._stop(listeners)

    def is_parent_alive(self) -> bool:
        """Whether the master lives. The name that gthread gives it."""
        return bool(self.ppid == os.getppid())

    def _accept(self, listener: socket.socket) -> int:
        """Take new connections. How many there were."""
        for number in range(ACCEPTED):
            try:
                taken, _ = listener.accept()
            except BlockingIOError:
                return number
            except OSError as error:
                self.log.warning("cannot accept: %s", error)
                return number
            taken.setblocking(False)
            # What one client does not fetch must not fill the kernel's memory: 2.5 MB each, else.
            taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
            begun = self.loop.create_task(
                self.loop.connect_accepted_socket(lambda: Connection(self), taken)
            )
            self._arriving.add(begun)
            begun.add_done_callback(self._arriving.discard)
        return ACCEPTED

    def _sweep(self) -> None:
        now = perf_counter()
        for connection in list(self.connections):
            connection.check(now)

    async def _stop(self, listeners: list[socket.socket]) -> None:
        """Answer what has been accepted, by the kernel for us as well."""
        for listener in listeners:
            while self._accept(listener):
                pass
            self.loop.remove_reader(listener)
            listener.close()
        self.stopping = True
        streams = self.loop.run_in_executor(None, self.events.close)
        begun = perf_counter()
        while (self.connections or self._arriving) and not self._quick_shutdown:
            now = perf_counter()
            if now - begun > self.cfg.graceful_timeout:
                break
            self.notify()
            self._sweep()
            for connection in list(self.connections):
                if connection.idle and now - max(begun, connection.since) > LAST_WORDS:
                    connection.shut()
            await asyncio.sleep(0.05)
        for connection in list(self.connections):
            connection.abort()
        await streams
        await self.loop.run_in_executor(None, self.rollups.stop)

    # The connections' calls.

    def joined(self, connection: Connection) -> None:
        """Count a new connection. Where there are too many, one that sends nothing has to go."""
        address = self._block(connection.address)
        self.connections.add(connection)
        if address is not None:
            self._by_address[address] += 1
            if self._by_address[address] > self.settings.connections_per_address:
                self._make_room(address)
        if len(self.connections) > self._most:
            self._make_room(None)

    def _make_room(self, address: str | None) -> None:
        mine = [
            one
            for one in self.connections
            if one.waiting
            and not one.transport.is_closing()
            and (address is None or self._block(one.address) == address)
        ]
        (min(mine, key=lambda one: one.since) if mine else next(iter(self.connections))).abort()

    def left(self, connection: Connection) -> None:
        """It is closed."""
        self.connections.discard(connection)
        address = self._block(connection.address)
        if address is not None:
            _less(self._by_address, address)

    def spool(self, peer: str, found: Message) -> str:
        """A large body will be kept in a file: who for. Raises ProblemError where there are too
        many."""
        client = peer
        if self._block(peer) is None:  # a trusted proxy: for whom it speaks
            named = [value for name, value in found.headers if name == "X-FORWARDED-FOR"]
            client = walk(peer, ",".join(named), self._trusted)
        client = block(client)
        if self._spooled.total() >= SPOOLS or self._spooled[client] >= SPOOLS_PER_ADDRESS:
            raise overloaded()
        self._spooled[client] += 1
        return client

    def unspool(self, client: str) -> None:
        """It is no longer needed."""
        _less(self._spooled, client)


def _less(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]


def _files() -> int:
    """How many files this process may open; as many as it is allowed to."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 20
