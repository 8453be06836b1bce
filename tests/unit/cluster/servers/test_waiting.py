"""Waiting ends with an answer, a deadline that explains itself, or a cancellation."""

from __future__ import annotations

import pytest

from cluster.errors import DeadlineError
from cluster.servers.waiting import Cancelled, Waiter


def test_deadline_tells_how_things_stand() -> None:
    with pytest.raises(DeadlineError, match="member x is DOWN"):
        Waiter(0.05).until(lambda: None, lambda: "member x is DOWN", every=0.01)


def test_a_cancelled_wait_ends_immediately() -> None:
    waiter = Waiter(60)
    waiter.cancel()
    with pytest.raises(Cancelled):
        waiter.until(lambda: None, lambda: "")
