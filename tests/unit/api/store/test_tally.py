"""What the store tells of its work: time, repetitions, conflicts, refusals."""

from __future__ import annotations

import threading

import pytest
from pymongo.errors import ServerSelectionTimeoutError

from api.store import UnavailableError, tally
from api.store.deadline import attempt, deadline


def test_calls_and_retries_are_tallied() -> None:
    found = tally.begin()
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
    found = tally.begin()

    def call() -> None:
        raise ServerSelectionTimeoutError("away")

    with deadline(0.05), pytest.raises(UnavailableError):
        attempt(call, idempotent=False)
    assert found.calls == 1
    assert found.seconds > 0


def test_tallies_do_not_mix() -> None:
    mine = tally.begin()

    def elsewhere() -> None:
        tally.called(1)
        other = tally.begin()
        tally.called(2)
        tally.conflict(3)
        tally.throttled()
        assert (other.seconds, other.calls, other.conflicts, other.throttled) == (2, 1, 3, 1)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert (mine.calls, mine.seconds, mine.conflicts, mine.throttled) == (0, 0.0, 0, 0)
