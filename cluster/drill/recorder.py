"""Takes down every call of several threads, also those that never return."""

import threading
import time
from collections import Counter

from msgspec.structs import replace

from cluster.drill.history import Call, History, HistoryFile, Mark, Outcome, Record


class Recorder:
    """One history in the making, kept in a file too if one is given."""

    def __init__(self, file: HistoryFile | None = None) -> None:
        self.history = History()
        self._file = file
        self._changed = threading.Condition()
        self._in_flight: dict[int, Call] = {}
        self._acknowledged: Counter[str] = Counter()

    def begin(self, call: Call) -> None:
        """A call sets out. It is given as it stands if it never returns: without an answer."""
        with self._changed:
            self._in_flight[id(call)] = call

    def end(self, begun: Call, ended: Call) -> None:
        """The call has returned. If it was given up before, that stays on record."""
        with self._changed:
            if self._in_flight.pop(id(begun), None) is None:
                return
            self._keep(ended)
            if ended.acknowledged_write:
                self._acknowledged[ended.group] += 1
                self._changed.notify_all()

    def mark(self, text: str) -> None:
        """Note what is being done to the cluster now."""
        with self._changed:
            self._keep(Mark(time.monotonic_ns(), text))

    def give_up(self) -> int:
        """Put the calls that have not returned on record without an answer; their number."""
        with self._changed:
            now = time.monotonic_ns()
            for call in self._in_flight.values():
                self._keep(replace(call, end=now, outcome=Outcome.UNKNOWN, error="never returned"))
            number = len(self._in_flight)
            self._in_flight.clear()
            return number

    def wait_for_writes(self, count: int, group: str, seconds: float) -> None:
        """Wait for this many more acknowledged writes in the group.

        Raises TimeoutError if they do not come within the time.
        """
        with self._changed:
            goal = self._acknowledged[group] + count
            if not self._changed.wait_for(lambda: self._acknowledged[group] >= goal, seconds):
                missing = goal - self._acknowledged[group]
                raise TimeoutError(
                    f"{missing} of {count} writes in {group} were not acknowledged"
                    f" within {seconds:g} s"
                )

    def _keep(self, record: Record) -> None:
        self.history.add(record)
        if self._file is not None:
            self._file.append(record)
