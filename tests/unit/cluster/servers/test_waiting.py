"""Waiting ends with an answer, a deadline that explains itself, or a cancellation."""

from __future__ import annotations

import pytest
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from cluster.errors import ClusterError, DeadlineError
from cluster.servers.connections import insist
from cluster.servers.waiting import Cancelled, Waiter


def test_deadline_tells_how_things_stand() -> None:
    with pytest.raises(DeadlineError, match="member x is DOWN"):
        Waiter(0.05).until(lambda: None, lambda: "member x is DOWN", every=0.01)


def test_a_cancelled_wait_ends_immediately() -> None:
    waiter = Waiter(60)
    waiter.cancel()
    with pytest.raises(Cancelled):
        waiter.until(lambda: None, lambda: "")


def test_a_problem_is_waited_for_and_told() -> None:
    problems = iter(["one", "two", ""])
    Waiter(5).until_well(lambda: next(problems), lambda _: "", every=0.01)
    with pytest.raises(DeadlineError, match="still broken"):
        Waiter(0.05).until_well(lambda: "broken", lambda why: f"still {why}", every=0.01)


def test_what_is_transient_is_tried_again_and_what_is_not_is_refused() -> None:
    failures: list[PyMongoError] = [AutoReconnect("gone"), OperationFailure("no", 11)]

    def act() -> int:
        if failures:
            raise failures.pop(0)
        return 7

    assert insist(Waiter(5), act, refuse, str) == 7
    failures = [OperationFailure("unauthorized", 13)]
    with pytest.raises(ClusterError, match="unauthorized"):
        insist(Waiter(5), act, refuse, str)
    with pytest.raises(DeadlineError, match="last: gone"):
        insist(Waiter(0.05), _gone, refuse, lambda last: f"last: {last}")


def _gone() -> int:
    raise AutoReconnect("gone")


def refuse(error: PyMongoError) -> ClusterError:
    return ClusterError(str(error))
