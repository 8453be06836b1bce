"""Threads for requests that have arrived, and how long a request may wait for one."""

import asyncio
import threading
from collections import deque
from queue import SimpleQueue
from time import perf_counter
from typing import Protocol

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
