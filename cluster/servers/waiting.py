"""Waiting without sleeping blindly: ask again until it is so, a deadline passes, or all is off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from cluster.errors import DeadlineError

T = TypeVar("T")


class Cancelled(Exception):  # noqa: N818 - not an error: another thread has failed already
    """Another part of the same work failed, so this one gives up."""


class Waiter:
    """Polls for one piece of work that may consist of many threads.

    `watch` is called before each question and raises when waiting has become pointless (a process
    died). `cancel` makes every wait under way raise Cancelled.
    """

    def __init__(self, seconds: float, watch: Callable[[], None] | None = None) -> None:
        self.seconds = seconds
        self._watch = watch
        self._off = threading.Event()

    def cancel(self) -> None:
        """Ends every wait."""
        self._off.set()

    def until(
        self,
        ask: Callable[[], T | None],
        explain: Callable[[], str],
        every: float = 0.05,
    ) -> T:
        """The first answer of `ask` that is not None; DeadlineError(explain()) when none came."""
        end = time.monotonic() + self.seconds
        while True:
            if self._off.is_set():
                raise Cancelled
            if self._watch:
                self._watch()
            if (answer := ask()) is not None:
                return answer
            if time.monotonic() > end:
                raise DeadlineError(explain())
            self._off.wait(every)

    def until_well(
        self, problem: Callable[[], str], explain: Callable[[str], str], every: float = 0.05
    ) -> None:
        """Waits until `problem` names none (""); DeadlineError(explain(the last one)) otherwise."""
        last = ""

        def ask() -> bool | None:
            nonlocal last
            last = problem()
            return None if last else True

        self.until(ask, lambda: explain(last), every)
