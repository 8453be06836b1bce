"""Metrics for Prometheus, added up over the worker processes: `/metrics`.

In a server of several processes each keeps its numbers in files of the directory named by
PROMETHEUS_MULTIPROC_DIR, and whichever answers adds them all up. prometheus_client decides when it
is imported whether it works that way. So it is imported here as late as possible, in the worker.

The directory is private, and gone with the server. The files are mapped into memory, and whoever
writes to a mapped page for which there is no room is killed (SIGBUS). So each worker takes the room
for its files before it uses them.
"""

import os
import platform
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from flask import Blueprint, Response

from api.web import logs
from api.web.logs import Losses
from api.web.operations import Answer, operation

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily
import fcntl
import logging
import shutil
import tempfile
import threading
import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from pathlib import Path

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's name for it
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# From a read that is in memory to a failover that was waited for.
BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Whatever else somebody sends is "other": labels that others choose would fill the memory.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


NONE = "none"  # of what matched no route
DAY = 86400

lost = Losses()  # requests that could not be counted, in all processes


class Tally(Protocol):
    """What the database cost one request; the store's tally is one."""

    seconds: float
    calls: int
    retries: int
    conflicts: int
    throttled: int


class Measured(Protocol):
    """A request, as far as it is counted.

    route     the rule that matched, None for none; `endpoint` is its name
    quiet     whether it is one of those that come every few seconds, and nobody's use of the API
    """

    route: str | None
    endpoint: str | None
    method: str
    quiet: bool
    user: str | None


class Usage:
    """What was asked of this process since it was last taken away: for the roll-ups by day.

    Days count from 1970-01-01, in UTC. Users are those whom an answer below 400 was for.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[int, str, int]] = Counter()
        self._users: defaultdict[int, set[str]] = defaultdict(set)

    def count(self, endpoint: str, status: int, user: str | None) -> None:
        """One request was answered."""
        day = int(time.time()) // DAY
        with self._lock:
            self._counts[day, endpoint, status // 100] += 1
            if user is not None and status < 400:
                self._users[day].add(user)

    def take(self) -> tuple[Counter[tuple[int, str, int]], dict[int, set[str]]]:
        """How many by day, endpoint and kind of status (4: 4xx), and who by day; none is left."""
        with self._lock:
            taken = self._counts, self._users
            self._counts, self._users = Counter(), defaultdict(set)
        return taken


class Meter:
    """The numbers of one process, and what all processes have together.

    Counting never fails a request: one that could not be counted is counted in `lost`.
    """

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram  # noqa: PLC0415

        self._registry = registry = CollectorRegistry()
        self._requests = Histogram(
            "shardstack_request_duration_seconds",
            "From the request's arrival in the worker to its answer",
            ("route", "method", "status"),
            buckets=BUCKETS,
            registry=registry,
        )
        self._in_flight = Gauge(
            "shardstack_requests_in_flight",
            "Requests being worked on",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._streams = Gauge(
            "shardstack_event_streams",
            "Open streams of events",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._database = Histogram(
            "shardstack_database_duration_seconds",
            "Spent in database calls by a request that made any",
            buckets=BUCKETS,
            registry=registry,
        )

        def counter(name: str, meaning: str) -> Counter:
            return Counter(f"shardstack_{name}", meaning, registry=registry)

        self._calls = counter("database_calls", "Database calls")
        self._retries = counter("database_retries", "Database calls repeated after a failure")
        self._conflicts = counter("claim_conflicts", "Claims on unique values that met another")
        self._throttled = counter("throttled", "Requests refused because there were too many")
        self._refused = Counter(
            "shardstack_refused",
            "Requests the server answered itself: malformed, too slow, or more than it can take",
            ("status",),
            registry=registry,
        )
        Gauge(
            "shardstack_worker_info",
            "1 for each worker that lives",
            ("python",),
            multiprocess_mode="liveall",
            registry=registry,
        ).labels(platform.python_version()).set(1)
        self.usage = Usage()
        # To look a child up by its labels costs as much as to count in it.
        self._children: dict[tuple[str | None, str, int], Callable[[float], None]] = {}

    def began(self) -> None:
        """A request is being worked on."""
        try:
            self._in_flight.inc()
        except Exception:  # noqa: BLE001 - whatever becomes of the numbers, the answer is the truth
            lost.add()

    def ended(self, of: "Measured", status: int, seconds: float, tally: Tally) -> None:
        """It has been answered."""
        try:
            self._in_flight.dec()
            self._count(of.route, of.method, status, seconds, tally)
            if not of.quiet:
                self.usage.count(of.endpoint or NONE, status, of.user)
        except Exception:  # noqa: BLE001 - as above
            lost.add()

    def _count(
        self, route: str | None, method: str, status: int, seconds: float, tally: Tally
    ) -> None:
        key = (route, method if method in METHODS else "other", status // 100)
        observe = self._children.get(key)
        if observe is None:
            labels = (route or NONE, key[1], f"{key[2]}xx")
            observe = self._children[key] = self._requests.labels(*labels).observe
        observe(seconds)
        if tally.calls:
            self._database.observe(tally.seconds)
            self._calls.inc(tally.calls)
        if tally.retries:
            self._retries.inc(tally.retries)
        if tally.conflicts:
            self._conflicts.inc(tally.conflicts)
        if tally.throttled:
            self._throttled.inc(tally.throttled)

    def streams(self, count: int) -> None:
        """So many streams of events are open."""
        self._streams.set(count)

    def refused(self, status: int) -> None:
        """The server has answered one itself."""
        self._refused.labels(str(status)).inc()
        self.usage.count(NONE, status, None)

    def page(self) -> bytes:
        """All of it, in Prometheus' text format."""
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

        if DIRECTORY not in os.environ:
            return generate_latest(self._registry) + generate_latest(Lost())
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]
        return generate_latest(everybody) + generate_latest(Lost())


class Lost:
    """What no process could write down, as Prometheus' counters."""

    def collect(self) -> "Iterator[CounterMetricFamily]":
        """Both counters."""
        from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415

        found = {
            "log_lines_lost": ("Log lines that could not be written", logs.writer.lost),
            "metrics_lost": ("Requests that could not be counted", lost),
        }
        for name, (meaning, count) in found.items():
            yield CounterMetricFamily(f"shardstack_{name}", meaning, value=int(count))


def blueprint(meter: Meter) -> Blueprint:
    """The route `/metrics`. The gate lets in administrators, and who has the setting's token."""
    metrics = Blueprint("metrics", __name__)

    @metrics.get("/metrics")
    @operation(
        answers={200: Answer(shape=str, media="text/plain", description="Prometheus' text format")},
        problems=(401, 403),
        probe=True,
    )
    def show() -> Response:
        """The metrics of all workers, for Prometheus.

        For administrators' tokens, and for the bearer token of the setting metrics_token.
        """
        return Response(meter.page(), content_type=MEDIA_TYPE)

    return metrics


MEMORY = Path("/dev/shm")  # noqa: S108 - the directories in it are made by mkdtemp
NAME = "shardstack-metrics-"
YOUNG = 60.0  # seconds in which a directory may not have its lock yet
# prometheus_client's names and what a worker needs in each, in bytes: every route with every
# method and kind of status takes 1.1 MiB of the first.
FILES = {"histogram": 2**21, "counter": 2**16, "gauge_livesum": 2**16, "gauge_liveall": 2**16}


@contextmanager
def directory() -> Iterator[Path | None]:
    """Make it (0700), name it to prometheus_client, and remove it at the end.

    In memory where that is possible: the files are mapped and written at every request. The
    process holds a lock in it, so that the next one can tell what a killed one left behind.
    None where there can be none: then each worker counts for itself.
    """
    home = MEMORY if os.access(MEMORY, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
    _sweep(home)
    try:
        made = Path(tempfile.mkdtemp(prefix=NAME, dir=home))
    except OSError as error:
        no_files(error)
        yield None
        return
    lock = os.open(made / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.environ[DIRECTORY] = str(made)
    owner = os.getpid()
    try:
        yield made
    finally:
        if os.getpid() == owner:  # workers are forks, and leave through here as well
            shutil.rmtree(made, ignore_errors=True)


def reserve() -> None:
    """Take the room for this worker's files, before it makes its metrics."""
    folder = os.environ.get(DIRECTORY)
    files = {f"{folder}/{name}_{os.getpid()}.db": size for name, size in FILES.items()}
    try:
        for name, size in files.items() if folder else ():
            # Under its name when it has its size: whoever adds up cannot read an empty one.
            made = Path(f"{name}.new")
            file = os.open(made, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(file, 0, size)
            finally:
                os.close(file)
            made.rename(name)
    except OSError as error:
        for name in files:
            Path(name).unlink(missing_ok=True)
            Path(f"{name}.new").unlink(missing_ok=True)
        no_files(error)


def no_files(error: OSError) -> None:
    """This process, and those it forks, count in their own memory."""
    os.environ.pop(DIRECTORY, None)
    from prometheus_client import values  # noqa: PLC0415

    values.ValueClass = values.MutexValue
    logging.getLogger("api").warning(
        "no room for metrics (%s): each worker counts for itself, and /metrics shows one of them",
        error.strerror,
    )


def forget(pid: int) -> None:
    """A worker died: what it had in flight is no more; what it had counted stays counted."""
    if DIRECTORY not in os.environ:
        return
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

    mark_process_dead(pid)  # type: ignore[no-untyped-call]


def _sweep(home: Path) -> None:
    for old in home.glob(f"{NAME}*"):
        try:
            if time.time() - old.stat().st_mtime < YOUNG:
                continue
            lock = os.open(old / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # another user's, or gone
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)
