"""One request and its answer: the app is called in a thread, the event loop sends what it says.

Threads stand in lanes; how long a request may wait for one is bounded.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from gunicorn.http import wsgi

from api.serving.messages import Message, Streamed
from api.web import problems
from api.web.body import STREAM
from api.web.operations import Admission
from api.web.problems import ProblemError
from api.web.push import Pushed
from api.web.requests import ARRIVED

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


TICK = 0.05  # seconds; how late a refusal may be


class Job(Protocol):
    """One request. Exactly one caller gets True from `claim`: who does, sees to its answer."""

    arrived: float  # perf_counter's clock

    @property
    def begun(self) -> bool:
        """Whether somebody has claimed it."""

    def claim(self) -> bool:
        """Take it, unless somebody has."""

    def run(self) -> None:
        """Work on it, in a thread. Raises nothing."""

    def too_late(self) -> None:
        """Answer that there was no thread in time, in the event loop."""


class Lane:
    """A number of threads, and a queue before them in which nobody waits longer than `wait` s."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, name: str, threads: int, wait: float
    ) -> None:
        self._loop = loop
        self._wait = wait
        self._queue: SimpleQueue[Job] = SimpleQueue()
        self._waiting: deque[Job] = deque()
        self._timer: asyncio.TimerHandle | None = None
        for number in range(threads):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    def submit(self, job: Job) -> None:
        """Have it worked on, or refused in time."""
        self._waiting.append(job)
        self._queue.put(job)
        if self._timer is None:
            self._timer = self._loop.call_later(TICK, self._refuse)

    def _work(self) -> None:
        while True:
            job = self._queue.get()
            if job.claim():
                job.run()
            del job  # or it would be kept until the next one comes

    def _refuse(self) -> None:
        """Answer those whose time is up. All wait equally long, so they stand first."""
        latest = perf_counter() - self._wait
        waiting = self._waiting
        while waiting and (waiting[0].arrived < latest or waiting[0].begun):
            job = waiting.popleft()
            if not job.begun and job.claim():
                job.too_late()
        self._timer = self._loop.call_later(TICK, self._refuse) if waiting else None


AHEAD = 512 * 1024  # bytes of a streamed answer that may wait for the client; a thread waits above
JOINED = 64 * 1024  # bytes up to which an answer is one write


class Client(Protocol):
    """The connection, in the event loop."""

    def take(self, parts: list[bytes], last: bool, keep: bool) -> None:
        """Send these bytes. `last`: they end the answer; `keep`: the connection goes on then."""

    def refuse(self, problem: ProblemError, keep: bool) -> None:
        """Answer with this instead."""

    def abort(self) -> None:
        """Cut it off: the answer cannot be finished, and the client must notice."""


class Exchange:
    """A request that has arrived, and its way through the app. A `Job` for a lane."""

    def __init__(
        self, found: Message, admission: Admission, cfg: Any, addresses: tuple[Any, Any]
    ) -> None:
        self.message = found
        self.admission = admission
        self.arrived = perf_counter()
        self.outlet: Outlet | None = None
        self.pushed = False  # the answer goes on, and no thread works on it
        self._cfg = cfg
        self._peer, self._server = addresses
        self._claimed = threading.Lock()

    def on(self, loop: asyncio.AbstractEventLoop, client: Client, app: "WSGIApplication") -> None:
        """Who gets the answer, and who makes it."""
        self._app = app
        self._client = client
        self.outlet = Outlet(loop, client)

    @property
    def begun(self) -> bool:
        """Whether it was claimed."""
        return self._claimed.locked()

    def claim(self) -> bool:
        """See `Job`."""
        return self._claimed.acquire(blocking=False)

    def too_late(self) -> None:
        """See `Job`."""
        self.message.body.close()
        self._client.refuse(problems.overloaded(), True)

    def run(self) -> None:
        """Call the app. Everything that it raises is answered, or ends the connection."""
        outlet = self.outlet
        assert outlet is not None  # noqa: S101 - `on` comes first
        answer, environ = None, {}
        try:
            answer, environ = wsgi.create(self.message, outlet, self._peer, self._server, self._cfg)
            self._complete(environ)
            self._answer(answer, self._app(environ, answer.start_response), outlet)
        except OSError as error:
            outlet.fail(error, silent=outlet.gone)
        except Exception as error:  # noqa: BLE001 - the app answers its own; this is the last resort
            outlet.fail(error, silent=False)
        finally:
            self.message.body.close()
            self._cfg.post_request(None, self.message, environ, answer)

    def _answer(self, answer: Any, parts: Iterable[bytes], outlet: "Outlet") -> None:
        if isinstance(parts, Pushed):
            answer.send_headers()
            outlet.flush()
            self.pushed = True
            parts.begin(Pushing(answer, outlet))
            return
        try:
            for part in parts:
                answer.write(part)
                if answer.response_length is None or answer.sent < answer.response_length:
                    outlet.flush()
            answer.close()
            outlet.finish(not answer.should_close())
        finally:
            close: Callable[[], None] | None = getattr(parts, "close", None)
            if close is not None:
                close()

    def _complete(self, environ: dict[str, Any]) -> None:
        """What gunicorn cannot know."""
        body = self.message.body
        environ["wsgi.input"] = body.stream()
        environ["wsgi.multithread"] = True
        environ[ARRIVED] = self.arrived
        if isinstance(body, Streamed):
            environ[STREAM] = body
        elif "HTTP_TRANSFER_ENCODING" in environ:
            # Decoded, and whole: it has a length now (RFC 9112 7.1.3).
            del environ["HTTP_TRANSFER_ENCODING"]
            environ["CONTENT_LENGTH"] = str(body.size)


class Pushing:
    """The rest of an answer that no thread works on any more. A `Channel`."""

    def __init__(self, answer: Any, outlet: "Outlet") -> None:
        self._answer = answer
        self._outlet = outlet
        self._ended = False

    @property
    def open(self) -> bool:
        """See `Channel`."""
        return not self._ended and not self._outlet.gone

    def send(self, data: bytes) -> bool:
        """See `Channel`."""
        if not self.open or self._outlet.behind:
            return False
        self._answer.write(data)
        self._outlet.flush()
        return True

    def end(self) -> None:
        """See `Channel`."""
        if self.open:
            self._answer.close()
            self._outlet.finish(not self._answer.should_close())
        self._ended = True


class Outlet:
    """Stands where gunicorn's `Response` expects a socket: its bytes go to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, client: Client) -> None:
        self._loop = loop
        self._client = client
        self._parts: list[bytes] = []
        self._held = 0
        self._flushed = False
        self._unsent = 0
        self._room = threading.Condition()
        self.gone = False

    def sendall(self, data: bytes) -> None:
        """Hold it."""
        self._parts.append(data)
        self._held += len(data)

    def flush(self) -> None:
        """Have it sent; wait while the client takes too little. Raises BrokenPipeError."""
        with self._room:
            # No time-out: the connection ends the wait of what is too slow, and what was lost.
            while self._unsent > AHEAD and not self.gone:
                self._room.wait()
            if self.gone:
                raise BrokenPipeError
            self._unsent += self._held
        self._flushed = True
        self._give(last=False, keep=True)

    @property
    def behind(self) -> bool:
        """Whether so much waits for the client that `flush` would, too."""
        return self._unsent > AHEAD

    def finish(self, keep: bool) -> None:
        """The answer is whole."""
        self._give(last=True, keep=keep)

    def sent(self, size: int) -> None:
        """The event loop has got rid of so many bytes."""
        if self._flushed:
            with self._room:
                self._unsent -= size
                self._room.notify()

    def lose(self) -> None:
        """The client is no longer there."""
        with self._room:
            self.gone = True
            self._room.notify()

    def fail(self, error: Exception, *, silent: bool) -> None:
        """The answer will not be whole."""
        if not silent:
            problems.log.error("unanswered", exc_info=error)
        if self._flushed:
            self._call(self._client.abort)
        else:
            bug = ProblemError(500, "Something went wrong on our side.")
            self._call(self._client.refuse, bug, False)

    def _give(self, *, last: bool, keep: bool) -> None:
        parts, size = self._parts, self._held
        self._parts, self._held = [], 0
        if len(parts) > 1 and size <= JOINED:
            parts = [b"".join(parts)]
        self._call(self._client.take, parts, last, keep)

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is closed: the server has stopped
            self.gone = True
