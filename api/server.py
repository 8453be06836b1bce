"""gunicorn, set up for this API: `python -m api serve`."""

import logging
import signal
import time
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from api.app import create_app
from api.settings import Settings, variable
from api.web import logs, metrics_files
from api.web.health import Draining

STOP = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}
MEMORY = Path("/dev/shm")  # noqa: S108 - gunicorn makes its file there with mkstemp, and unlinks it


def configuration(settings: Settings) -> dict[str, Any]:
    """gunicorn's settings, with the reasons."""
    return {
        "bind": f"{settings.host}:{settings.port}",
        # Requests wait for the database most of their time. Threads do that without patching
        # the standard library under PyMongo's feet (gevent, eventlet), and measured best: with 8
        # threads 7 times as much as sync workers; Python itself wants about a process per core.
        "worker_class": "gthread",
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
        "child_exit": lambda _master, worker: metrics_files.forget(worker.pid),
        "proc_name": "shardstack-api",
        # Long enough for an address with a filter, short enough to be no burden.
        "limit_request_line": 4094,
        "limit_request_fields": 50,
    }


def warn(settings: Settings) -> None:
    """Log what is allowed, but hardly meant."""
    routers = settings.store_options().routers
    if routers < 2:
        logging.getLogger("api").warning(
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
    """Turns readiness to 503 at SIGTERM, and closes the port only after load balancers saw it.

    gunicorn closes its listening socket at once, and with it drops the connections the kernel had
    accepted for it.
    """

    def __init__(self, app: "Server") -> None:
        super().__init__(app)
        self._draining = app.draining
        self._seconds = app.settings.drain

    def handle_term(self) -> None:
        """SIGTERM: announce, wait, stop."""
        self._draining.begin()
        logging.getLogger("gunicorn.error").info("draining for %s s", self._seconds)
        end = time.monotonic() + self._seconds
        while (left := end - time.monotonic()) > 0:
            # A second signal to stop ends the wait; a worker that ends meanwhile does not.
            if STOP & set(self.wait_for_signals(timeout=left)):
                break
        super().handle_term()


class Server(BaseApplication):
    """Runs the app under gunicorn in this process, until a signal."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.draining = Draining()
        super().__init__()

    def load_config(self) -> None:
        """Hand our settings to gunicorn; it reads no file and no command line."""
        for name, value in configuration(self.settings).items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """The app, in a worker."""
        return create_app(self.settings, self.draining)

    def run(self) -> None:
        """Serve. Returns when told to stop."""
        logs.configure(self.settings.log_level)
        warn(self.settings)
        with metrics_files.directory():
            DrainingArbiter(self).run()
