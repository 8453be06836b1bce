"""The conditions under which a run is stopped, and the cluster healed."""

from __future__ import annotations

import time
from collections import deque

from cluster.drill.history import Progress
from cluster.drill.running.watch import Watch
from cluster.drill.targets.target import Target
from cluster.errors import DrillError

ERROR_SHARE = 0.5
"""Of the calls of the last `WINDOW` seconds that may fail."""
WINDOW = 5.0
FEWEST = 20
"""Errors that are no reason to stop, whatever their share."""
LEAST_FREE_MIB = 256
DISK_EVERY = 2.0
PATIENCE = 4.0
"""Election timeouts after which a set without a primary counts as one that will not get one."""


class StoppedError(DrillError):
    """A stop condition holds; the text says which."""


class Guard:
    """Looks at a run again and again. `errors_allowed`: the scenario expects them.

    `bereft` is how many shards may be without a primary.
    """

    def __init__(self, target: Target, watch: Watch, *, errors_allowed: bool, bereft: int) -> None:
        self._target = target
        self._watch = watch
        self._errors_allowed = errors_allowed
        self._bereft = bereft
        layout = target.access().layout
        self._shards = {shard.name for shard in layout.shards}
        self._patience = PATIENCE * layout.election_timeout_ms / 1000
        self._past: deque[tuple[float, int, int]] = deque()
        self._disk_at = 0.0

    def check(self, progress: Progress) -> None:
        """Raises StoppedError if a condition holds now."""
        now = time.monotonic()
        if not self._errors_allowed:
            self._check_errors(now, progress)
        bereft = [
            name
            for name, seconds in self._watch.without_primary().items()
            if name in self._shards and seconds > self._patience
        ]
        if len(bereft) > self._bereft:
            raise StoppedError(f"no primary for {self._patience:.0f} s: {', '.join(bereft)}.")
        if now - self._disk_at > DISK_EVERY:
            self._disk_at = now
            if (free := self._target.free_mib()) < LEAST_FREE_MIB:
                raise StoppedError(f"{free} MiB of disk are left.")

    def _check_errors(self, now: float, progress: Progress) -> None:
        self._past.append((now, progress.calls, progress.errors))
        while self._past[0][0] < now - WINDOW:
            self._past.popleft()
        _, calls, errors = self._past[0]
        calls, errors = progress.calls - calls, progress.errors - errors
        if errors > FEWEST and errors > ERROR_SHARE * calls:
            raise StoppedError(
                f"{errors} of {calls} calls of the last {WINDOW:.0f} s came to nothing."
            )
