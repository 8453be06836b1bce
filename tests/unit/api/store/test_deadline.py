"""What the store tells of its work: time, repetitions, conflicts, refusals."""

from __future__ import annotations

import threading

import pytest
from pymongo.errors import ServerSelectionTimeoutError

from api.store import UnavailableError
from api.store.deadline import (
    attempt,
    begin_tally,
    deadline,
    tally_conflicts,
    tally_throttled,
)


def test_calls_and_retries_are_tallied() -> None:
    found = begin_tally()
    answers = iter([ServerSelectionTimeoutError("away"), ServerSelectionTimeoutError("away"), 1])

    def call() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with deadline(5):
        assert attempt(call, idempotent=False) == 1
    assert (found.calls, found.retries) == (1, 2)
    assert found.seconds > 0.02  # the pauses count, too


def test_a_failed_call_counts() -> None:
    found = begin_tally()

    def call() -> None:
        raise ServerSelectionTimeoutError("away")

    with deadline(0.05), pytest.raises(UnavailableError):
        attempt(call, idempotent=False)
    assert found.calls == 1
    assert found.seconds > 0


def test_tallies_do_not_mix() -> None:
    mine = begin_tally()

    def elsewhere() -> None:
        attempt(lambda: 1, idempotent=True)
        other = begin_tally()
        attempt(lambda: 2, idempotent=True)
        tally_conflicts(3)
        tally_throttled()
        assert (other.calls, other.conflicts, other.throttled) == (1, 3, 1)
        assert other.seconds > 0

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert (mine.calls, mine.seconds, mine.conflicts, mine.throttled) == (0, 0.0, 0, 0)
