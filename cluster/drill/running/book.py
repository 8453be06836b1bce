"""The events of a run as they come in, from several threads, each told to whoever watches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from cluster.drill.record import Event, What
from cluster.drill.running.watch import Elected


class Book:
    """Collects events. `turn` is the number of the fault that is being done, from 0."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self.origin = time.monotonic_ns()
        self.turn = 0
        self._tell = tell
        self._lock = threading.Lock()
        self._events: list[Event] = []

    def add(self, what: What, text: str, at: int | None = None) -> Event:
        """Something happened, now or at `at`."""
        return self._keep(Event(at or time.monotonic_ns(), what, text, self.turn))

    def elected(self, one: Elected) -> None:
        """A set has a new primary."""
        text = f"{one.node} is primary of {one.set_name} in term {one.term}"
        self._keep(Event(one.at, What.PRIMARY, text, self.turn, one.set_name, one.node, one.term))

    def events(self) -> tuple[Event, ...]:
        """All of them, in order of time."""
        with self._lock:
            return tuple(sorted(self._events, key=lambda event: event.at))

    def _keep(self, event: Event) -> Event:
        with self._lock:
            self._events.append(event)
        self._tell(event)
        return event
