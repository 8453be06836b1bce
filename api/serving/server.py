"""gunicorn, set up for this API: `python -m api serve`."""

import errno
import logging
import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from api.app import create_app
from api.serving.listening import hand_on, listen, turn_away
from api.settings import Settings, SettingsError, variable
from api.settings.loading import unknown
from api.web import logs, metrics
from api.web.health import Draining

log = logging.getLogger("api")
STOP = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}
FLUSH_SECONDS = 1.0  # at the end, for log lines that still wait
MEMORY = Path("/dev/shm")  # noqa: S108 - gunicorn makes its file there with mkstemp, and unlinks it


class Inherited(NamedTuple):
    """What the process that starts the server gives it, as file descriptors.

    listener    listens already
    door        at which a successor may ask for the listener (`listening.offer`)
    ready       gets a byte from each worker that accepts connections

    Negative: there is none.
    """

    listener: int = -1
    door: int = -1
    ready: int = -1


def configuration(settings: Settings, listener: int) -> dict[str, Any]:
    """gunicorn's settings, with the reasons. Without `listener` systemd has one for us."""
    return {
        "bind": "" if listener < 0 else f"fd://{listener}",
        # Requests wait for the database most of their time. Threads do that without patching
        # the standard library under PyMongo's feet (gevent, eventlet), and measured best: with 8
        # threads 7 times as much as sync workers; Python itself wants about a process per core.
        # Clients are waited for outside of the threads (api/serving).
        "worker_class": "api.serving.worker.Worker",
        "asgi_loop": "asyncio",  # the same in every place, whether uvloop is installed or not
        "workers": settings.worker_count,
        "threads": settings.threads,
        # The app is made in each worker after the fork: a MongoClient does not survive one.
        "preload_app": False,
        # A worker that is stuck for this long is replaced. Above any request's deadline.
        "timeout": int(settings.request_deadline * 2 + 10),
        # At SIGTERM, requests in flight may finish.
        "graceful_timeout": int(settings.shutdown),
        # Longer than the idle time at which proxies in front close their side first.
        "keepalive": 65,
        # Heartbeats in memory: on a slow disk the default directory makes workers look dead.
        "worker_tmp_dir": str(MEMORY) if MEMORY.is_dir() else None,
        # A socket in the home directory through which the server can be commanded: nobody asked.
        "control_socket_disable": True,
        "logger_class": JsonLogger,
        "post_request": forget_request,
        "child_exit": lambda _master, worker: metrics.forget(worker.pid),
        "proc_name": "shardstack-api",
        "limit_request_fields": 50,
        # Who may say that the client speaks https. Paths and names of variables (SCRIPT_NAME)
        # nobody may set: a proxy hands on whatever its client sends under such a name.
        "forwarded_allow_ips": settings.trusted_proxies,
        "secure_scheme_headers": {"X-FORWARDED-PROTO": "https"},
        "forwarder_headers": "",
        "header_map": "drop",
    }


def forget_request(_worker: Any, _request: Any, _environ: Any, _response: Any) -> None:
    """What this thread logs from now on belongs to no request."""
    logs.current_request.set(None)


def use_log_file(file: Path, limit: int) -> None:
    """Log to this file. Raises SettingsError."""
    try:
        logs.writer.use_file(file, limit)
    except OSError as error:
        raise SettingsError(
            f"{variable('log_file')}: cannot write {file}: {error.strerror}. Name another file"
        ) from None


def warn(settings: Settings) -> None:
    """Log what is allowed, but hardly meant."""
    for name in unknown(os.environ):
        log.warning("%s is set, and the API has no such setting", name)
    routers = settings.store_options().routers
    if routers < 2:
        log.warning(
            "%s names %s router: without it the API is down. Name two or more",
            variable("database_uri"),
            routers,
        )


class JsonLogger(Logger):
    """gunicorn's messages in the format of ours; requests are logged by the app."""

    def setup(self, cfg: Any) -> None:
        """Leave the handlers to the root logger."""
        self.cfg = cfg
        for logger in (self.error_log, self.access_log):
            logger.handlers[:] = []
            logger.propagate = True
        self.error_log.setLevel(logging.INFO)
        self.access_log.setLevel(logging.WARNING)

    def access(self, *_: Any) -> None:
        """Nothing: the inherited one looks through its settings for each request to find that."""


class DrainingArbiter(Arbiter):
    """Ends without losing a connection: each is answered, or refused when it is made."""

    def __init__(self, app: "Server") -> None:
        super().__init__(app)
        self._draining = app.draining
        self._seconds = app.settings.drain

    def handle_term(self) -> None:
        """SIGTERM: announce it, so that load balancers go elsewhere; close the port; finish."""
        self._draining.begin()
        log.info("draining for %s s", self._seconds)
        end = time.monotonic() + self._seconds
        while (left := end - time.monotonic()) > 0:
            # A second signal to stop ends the wait; a worker that ends meanwhile does not.
            if STOP & set(self.wait_for_signals(timeout=left)):
                break
        if not self.systemd:  # which keeps the port, and the connections, for the next one
            turn_away(listener.sock for listener in self.LISTENERS)
        super().handle_term()

    def handle_usr2(self) -> None:
        """SIGUSR2: another server has the port now, and accepts. Finish what has been accepted."""
        log.info("a successor has taken over the port")
        super().handle_term()


class Server(BaseApplication):
    """Runs the app under gunicorn in this process, until a signal."""

    def __init__(self, settings: Settings, inherited: Inherited | None = None) -> None:
        self.settings = settings
        self.draining = Draining()
        self._inherited = inherited or Inherited()
        self._listener = self._inherited.listener
        super().__init__()

    def load_config(self) -> None:
        """Hand our settings to gunicorn; it reads no file and no command line."""
        for name, value in configuration(self.settings, self._listener).items():
            self.cfg.set(name, value)
        self.cfg.set("post_worker_init", self._begin)

    def load(self) -> Any:
        """The app, in a worker."""
        metrics.reserve()
        return create_app(self.settings, self.draining)

    def _begin(self, worker: Any) -> None:
        """In a worker that is about to accept connections."""
        if self._inherited.door >= 0:
            door = socket.socket(fileno=os.dup(self._inherited.door))
            hand_on(door, worker.sockets[0].fileno)
            # Without its master it serves on, until a successor asks for the port.
            worker.is_parent_alive = lambda: True
        if self._inherited.ready >= 0:
            with suppress(OSError):  # who wanted to know has gone
                os.write(self._inherited.ready, b".")

    def run(self) -> None:
        """Serve. Returns when told to stop. Raises SettingsError, LocalError."""
        settings = self.settings
        if self._listener < 0 and os.environ.get("LISTEN_PID") != str(os.getpid()):
            self._listener = self._listen()
            self.load_config()
        if settings.log_file:
            use_log_file(Path(settings.log_file), settings.log_limit)
        logs.configure(settings.log_level)
        logs.writer.start_thread()
        try:
            warn(settings)
            with metrics.directory():
                DrainingArbiter(self).run()
        finally:  # workers are forks, and leave through here as well
            logs.writer.flush(FLUSH_SECONDS)

    def _listen(self) -> int:
        """Open the port; gunicorn would try five times, and tell it in five lines."""
        host, port = self.settings.host, self.settings.port
        try:
            return listen(host, port).detach()
        except OSError as error:
            remedy = "Stop what has it, or set" if error.errno == errno.EADDRINUSE else "Set"
            raise SettingsError(
                f"cannot listen on {host}, port {port}: {error.strerror}. {remedy} "
                f"{variable('port')} and {variable('host')} to others"
            ) from None
