"""What is seen of a run while it goes on: lines, or at a terminal a picture that moves.

A picture has what happened, with its time; the acknowledged writes of each shard in a second; and
who leads each set. It draws itself a few times in a second, from what it asks of the load.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from cluster.drill.history import Progress
from cluster.drill.record import Event, What
from cluster.drill.running.watch import Watch

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

EVERY = 0.25
"""Seconds between two pictures."""
SHOWN = 14
"""Events in a picture, the newest."""
PAST = 60
"""Pictures of which the throughput is drawn."""
BARS = " ▁▂▃▄▅▆▇█"
STYLES = {
    What.FAULT: "bold red",
    What.STOPPED: "bold red",
    What.EVIDENCE: "red",
    What.PRIMARY: "cyan",
    What.UNDONE: "yellow",
    What.WHOLE: "green",
}

Ask = Callable[[], Progress]


class Lines:
    """A line for each event, and each thing that is about to be done."""

    def __init__(self, *, to_errors: bool = False) -> None:
        self._to_errors = to_errors

    def say(self, line: str) -> None:
        """Print the line."""
        click.echo(line, err=self._to_errors)

    def event(self, event: Event, origin: int) -> None:
        """Print the event with its time in seconds."""
        self.say(f"{(event.at - origin) / 1e9:>8.3f} s  {event.what.value:<8}  {event.text}")

    def load(self, progress: Ask | None, watch: Watch | None) -> None:
        """Lines show nothing of a load."""


class Picture(Lines):
    """At a terminal: events, throughput and primaries in one picture while a load runs."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._events: deque[tuple[float, Event]] = deque(maxlen=SHOWN)
        self._past: dict[str, deque[float]] = {}
        self._errors = 0
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def event(self, event: Event, origin: int) -> None:
        """Kept for the picture while there is one; else a line."""
        with self._lock:
            self._events.append(((event.at - origin) / 1e9, event))
        if self._thread is None:
            super().event(event, origin)

    def load(self, progress: Ask | None, watch: Watch | None) -> None:
        """Draw from now on; or no longer, and leave the last picture."""
        if progress is not None and watch is not None:
            self._end.clear()
            self._past.clear()
            self._thread = threading.Thread(
                target=self._draw, args=(progress, watch), name="drill-view", daemon=True
            )
            self._thread.start()
        elif self._thread is not None:
            self._end.set()
            self._thread.join()
            self._thread = None
            with self._lock:
                self._events.clear()

    def _draw(self, progress: Ask, watch: Watch) -> None:
        from rich.live import Live  # noqa: PLC0415 - slow to import, and for terminals only

        with Live(refresh_per_second=1 / EVERY, auto_refresh=False) as live:
            last, at = progress(), time.monotonic()
            while not self._end.wait(EVERY):
                now, moment = progress(), time.monotonic()
                for group, writes in now.writes.items():
                    past = self._past.setdefault(group, deque(maxlen=PAST))
                    past.append((writes - last.writes.get(group, 0)) / (moment - at))
                self._errors = now.errors
                last, at = now, moment
                self._show(live, watch)

    def _show(self, live: Live, watch: Watch) -> None:
        live.update(self.picture({name: watch.primary(name) for name in watch.sets}), refresh=True)

    def picture(self, primaries: dict[str, str | None]) -> RenderableType:
        """What is drawn: a table of sets, and the newest events below it."""
        from rich.box import SIMPLE_HEAD  # noqa: PLC0415
        from rich.console import Group  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(box=SIMPLE_HEAD)
        for column in ("set", "primary", "writes/s", "the last 15 s"):
            table.add_column(column, no_wrap=True)
        for name, primary in primaries.items():
            past = list(self._past.get(name, ()))
            rate = f"{past[-1]:.0f}" if past else ""
            table.add_row(
                name, Text(primary or "none", "green" if primary else "red"), rate, bars(past)
            )
        with self._lock:
            events = list(self._events)
        lines = [
            Text(f"{at:>8.3f} s  {one.what.value:<8}  {one.text}", STYLES.get(one.what, ""))
            for at, one in events
        ]
        return Group(table, *lines, Text(f"client errors: {self._errors}. Ctrl-C stops and heals."))


def bars(values: list[float]) -> str:
    """Values as bars of one line, the greatest the highest; 0 is a blank."""
    top = max(values, default=0) or 1
    return "".join(
        BARS[min(len(BARS) - 1, -int(-value * (len(BARS) - 1) // top))] for value in values
    )
