"""`GET /api/v1/events`: whoever watches is told what changed, as server-sent events.

A stream holds no thread: one thread of the worker reads the feed (store/feed.py) twice a second for
all of them, and sends each what its user may see. What is sent holds ids and no values: who wants
to know more reads the document.

A stream ends with its token, with its session, and when its user gets another role: looked after
every 15 s. Who connects again says which event was the last one, and gets what came since.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
import structlog
from bson import ObjectId
from flask import Blueprint, Response, request
from msgspec import UNSET, Meta, UnsetType

from api.auth.sessions import Sessions, holds
from api.crud.access import Principal, Role, principal
from api.crud.values import object_id
from api.crud.visibility import readers
from api.resources import Resource
from api.settings import Settings
from api.store import Store, UnavailableError
from api.store.deadline import deadline
from api.store.document import now
from api.store.feed import Change, Entry, Feed, is_kept
from api.web import push
from api.web.operations import Answer, operation
from api.web.problems import ProblemError
from api.web.push import EVENT_STREAM, Channel

TICK = 0.5  # seconds between two looks
OVERLAP = timedelta(seconds=10)  # by which clocks may differ, and a write be late
LOOKED_AFTER = 15.0  # seconds
LONGEST_CALL = 5.0  # seconds
LAST_CALL = 2.0
BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
STREAMS_OF_A_USER = 20  # in one worker: so many tabs

log = structlog.get_logger("api")


class Stream:
    """One client that watches. `since`: the moment of its last event; None: it is new here."""

    __slots__ = ("channel", "role", "session", "since", "until", "user")

    def __init__(self, who: Principal, channel: Channel, since: datetime | None) -> None:
        self.channel = channel
        self.user, self.role = who.id, who.role
        self.session, self.until = who.session, who.until
        self.since = since

    def sees(self, change: Change) -> bool:
        """Whether its user may see what was changed."""
        if self.role is Role.ADMIN or change.readers is None:
            return True
        return self.user in change.readers

    def tell(self, entries: Iterable[Entry]) -> bool:
        """Send what it may see of them. False: it is no longer there."""
        data = b"".join(
            _told(entry.id, change)
            for entry in entries
            for change in entry.changes
            if self.sees(change)
        )
        return self.channel.send(data) if data else self.channel.open

    def end(self, reason: str) -> None:
        """Say why, and end it."""
        self.channel.send(push.event("end", {"reason": reason}))
        self.channel.end()


def _told(entry: ObjectId, change: Change) -> bytes:
    named = None if change.id is None else str(change.id)
    data = {"resource": change.resource, "id": named, "verb": change.verb}
    return push.event("change", data, str(entry))


class Broker:
    """Publishes what this process changes, and tells its streams what all have changed."""

    def __init__(
        self, feed: Feed, sessions: Sessions, most: int, count: Callable[[int], None]
    ) -> None:
        self._feed, self._sessions = feed, sessions
        self._most, self._count = most, count
        self._lock = threading.Lock()
        self._streams: list[Stream] = []
        self._of_users: Counter[ObjectId] = Counter()
        self._told: dict[ObjectId, datetime] = {}  # entries of the last seconds
        self._read = now()  # until when the feed was read
        self._looked_after = time.monotonic()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, in a thread. Once in each process, after the fork."""
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End every stream, and publish what is left. Waits for it, a moment at most."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(LAST_CALL)

    def check_room(self, user: ObjectId) -> None:
        """Raise ProblemError 503 where there are too many streams."""
        if len(self._streams) >= self._most or self._of_users[user] >= STREAMS_OF_A_USER:
            detail = "There are too many event streams. Close some, or ask now and then instead."
            raise ProblemError(
                503, detail, kind="overloaded", headers={"Retry-After": str(int(LOOKED_AFTER))}
            )

    def join(self, stream: Stream) -> None:
        """Tell it from now on."""
        # Not all at the same moment, when this worker ends.
        stream.channel.send(push.retry(random.randint(500, 2500)))  # noqa: S311 - a jitter
        with self._lock:
            self._streams.append(stream)
            self._of_users[stream.user] += 1
            self._count(len(self._streams))

    def _leave(self, gone: Iterable[Stream]) -> None:
        for stream in gone:
            stream.channel.end()
            with self._lock:
                self._streams.remove(stream)
                self._of_users[stream.user] -= 1
                self._of_users += Counter()  # forgets who has none
                self._count(len(self._streams))

    def _run(self) -> None:
        while not self._ending.wait(TICK):
            self._tick(LONGEST_CALL)
        streams = list(self._streams)
        for stream in streams:  # they connect to another worker, and hear the rest from it
            stream.end("server")
        self._leave(streams)
        self._tick(LAST_CALL)

    def _tick(self, seconds: float) -> None:
        try:
            with deadline(seconds):
                self._feed.publish()
                if self._streams:
                    self._tell_all()
                else:
                    self._read = now()
        except UnavailableError as error:
            log.warning("the feed waits", reason=str(error))
        except Exception:
            log.exception("the feed waits")

    def _tell_all(self) -> None:
        fresh = self._fresh()
        streams = list(self._streams)  # who comes later reads documents later, too
        gone = [one for one in streams if not self._tell(one, fresh)]
        if time.monotonic() - self._looked_after >= LOOKED_AFTER:
            self._looked_after = time.monotonic()
            gone += self._look_after([one for one in streams if one not in gone])
        self._leave(gone)

    def _fresh(self) -> list[Entry] | None:
        began, found = now(), self._feed.since(self._read - OVERLAP)
        self._read = began
        if found is None:
            return None
        new = [one for one in found if one.id not in self._told]
        self._told |= {one.id: began for one in new}
        oldest = began - 2 * OVERLAP
        self._told = {one: at for one, at in self._told.items() if at > oldest}
        return new

    def _tell(self, stream: Stream, fresh: list[Entry] | None) -> bool:
        """Tell it of these, or since when it wants to know. False: it is no longer there."""
        entries = fresh
        if stream.since is not None:
            entries = self._feed.since(stream.since - OVERLAP) if is_kept(stream.since) else None
            stream.since = None
        return (
            stream.channel.send(push.event("reset", {}))
            if entries is None
            else stream.tell(entries)
        )

    def _look_after(self, streams: list[Stream]) -> list[Stream]:
        """Those that are over. The others get a sign of life."""
        over = []
        users = self._sessions.users({one.user for one in streams})
        for stream in streams:
            user = users.get(stream.user, {})
            good = holds(user, stream.session) and user.get("role") == stream.role
            if not good or time.time() >= stream.until:
                stream.end("session")
                over.append(stream)
            elif not stream.channel.send(push.comment("here")):
                over.append(stream)
        return over


def last_event() -> datetime | None:
    """The time of the last event that the client got; None: it is new here."""
    given = request.headers.get("Last-Event-ID", "")
    if not given:
        return None
    found = object_id(given)
    return BEFORE_ALL if found is None else found.generation_time


class ServerSentEvent(msgspec.Struct):
    """An event as it is parsed (HTML standard, 9.2.6)."""

    event: Literal["change", "reset", "end"]
    data: Annotated[
        str,
        Meta(
            description='JSON: `{"resource", "id", "verb"}` of a change, its id null where many '
            'documents were created; `{"reason"}` of the end'
        ),
    ]
    id: Annotated[str, Meta(description="For Last-Event-ID")] | UnsetType = UNSET


def broker(
    store: Store,
    settings: Settings,
    resources: Iterable[Resource],
    count: Callable[[int], None],
) -> Broker:
    """A broker of these resources' changes. `count` is told how many streams there are."""
    feed = Feed(store, {one.name: readers(one) for one in resources})
    return Broker(feed, Sessions(store, settings), settings.event_streams, count)


def blueprint(broker: Broker) -> Blueprint:
    """The route."""
    events = Blueprint("events", __name__)

    @events.get("/events")
    @operation(
        answers={
            200: Answer(
                shape=ServerSentEvent,
                media=EVENT_STREAM,
                description="Events, until either side ends it",
            )
        },
        headers={"Last-Event-ID": "The last event you got: what came since is told first"},
        problems=(503,),
    )
    def stream() -> Response:
        """Be told what changes, as server-sent events.

        `change` names a document that you may see: {resource, id, verb}; without an id, many were
        created. `reset`: some was missed, so read anew what you show. `end` says why the stream
        ends: `session`, get another token; `server`, connect again. A change may be told twice,
        and rarely one is not told at all.
        """
        who, since = principal(), last_event()
        broker.check_room(who.id)
        return push.answer(lambda channel: broker.join(Stream(who, channel, since)))

    return events
