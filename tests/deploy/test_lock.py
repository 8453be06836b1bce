"""Two who change a stack at once, and a lock that was left behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy import lock
from deploy.errors import LockedError, ReachError
from tests.helpers.digitalocean import DigitalOcean, Fault, Request
from tests.helpers.stacks import Operator


@pytest.fixture
def other(fake: DigitalOcean, operator: Operator, tmp_path: Path) -> Operator:
    """A second person on another machine, with the same stack.toml."""
    return Operator(fake, tmp_path, operator.stack)


def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_place", lambda: "another")


def as_one_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take locks as a process that is gone.

    `os.getpid` stays as it is: PyMongo, whose clients other tests have open in this process, would
    see a fork and forget its connections.
    """
    gone = msgspec.structs.replace(lock._myself(), pid=2**22 + 1)  # greater than any
    monkeypatch.setattr(lock, "_myself", lambda: gone)


def test_the_second_is_told_who_holds_it(
    fake: DigitalOcean, operator: Operator, other: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fake.dump()
    shown = other.plan()
    with lock.held(operator.client, operator.stack):
        elsewhere(monkeypatch)
        with pytest.raises(LockedError) as caught:
            other.apply(shown)
    (line,) = caught.value.lines
    assert line.startswith("the stack shop is locked by ")
    assert f"since 20{'':.0s}" in line
    assert f"(version 0.1.0, process {os.getpid()})" in line
    assert "python -m deploy lock release" in line
    assert fake.dump()["lists"] == before["lists"]
    other.apply()  # it is free again


def test_locked_and_unreachable_are_told_apart(
    fake: DigitalOcean, operator: Operator, other: Operator
) -> None:
    shown = other.plan()
    with lock.held(operator.client, operator.stack):
        fake.faults = [Fault("POST", "account/keys", "hang up", times=99)]
        fake.faults += [Fault("GET", "account/keys", "hang up", times=99)]
        with pytest.raises(ReachError, match="cannot be reached"):
            other.apply(shown)
        fake.faults = []


def test_the_lock_is_one_key_that_is_nobodys(fake: DigitalOcean, operator: Operator) -> None:
    with lock.held(operator.client, operator.stack):
        (key,) = fake.of("ssh_keys")
        assert key["name"].startswith("shardstack-shop lock who=")
    assert fake.of("ssh_keys") == []
    one, another = (lock.lock_key(operator.wants(name=name).stack) for name in ("a1", "a2"))
    assert one.fields["fingerprint"] != another.fields["fingerprint"]


def test_droplets_do_not_get_it(fake: DigitalOcean, operator: Operator) -> None:
    operator.apply()
    lock_print = lock.lock_key(operator.stack).fields["fingerprint"]
    bodies = [one.body for one in fake.requests if one.is_("POST", "droplets")]
    assert bodies
    assert all(lock_print not in one["ssh_keys"] for one in bodies)


def test_an_answer_that_is_lost_locks_nobody_out(fake: DigitalOcean, operator: Operator) -> None:
    fake.faults = [Fault("POST", "account/keys", "late 500")]
    with lock.held(operator.client, operator.stack):
        assert len(fake.of("ssh_keys")) == 1
    assert fake.of("ssh_keys") == []


def test_the_lock_of_a_process_that_has_ended_is_taken_over(
    fake: DigitalOcean, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as gone:
        as_one_that_ends(gone)
        lock._take(operator.client, operator.stack)
    with lock.held(operator.client, operator.stack):
        assert "taking over the lock of " in operator.lines[-1]
    assert fake.of("ssh_keys") == []


def test_the_lock_of_another_machine_is_not_taken_over(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as gone:
        elsewhere(gone)
        as_one_that_ends(gone)
        mine = lock._take(operator.client, operator.stack)
    with (
        pytest.raises(LockedError),
        lock.held(operator.client, operator.stack),
    ):
        pass
    lock.release(operator.client, mine)
    with lock.held(operator.client, operator.stack):
        pass


def test_a_late_release_spares_the_next_holder(fake: DigitalOcean, operator: Operator) -> None:
    first = lock._take(operator.client, operator.stack)
    lock.release(operator.client, first)
    with lock.held(operator.client, operator.stack):
        lock.release(operator.client, first)
        assert len(fake.of("ssh_keys")) == 1


def test_only_one_of_two_takes_over(
    fake: DigitalOcean, operator: Operator, other: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have seen the lock that was left behind; one is quicker."""
    with monkeypatch.context() as gone:
        as_one_that_ends(gone)
        lock._take(operator.client, operator.stack)
    taken: list[Any] = []

    def overtake(_: int, request: Request, phase: str) -> None:
        if request.method == "DELETE" and phase == "before" and not taken:
            taken.append(True)
            name = "shardstack-shop lock " + " ".join(
                f"{key}={value}" for key, value in told.items()
            )
            fake.of("ssh_keys")[0] |= {"id": 424242, "name": name}

    told = msgspec.to_builtins(msgspec.structs.replace(lock._myself(), nonce="other"))
    fake.on_request = overtake
    with (
        pytest.raises(LockedError),
        lock.held(other.client, other.stack),
    ):
        pass
    assert fake.of("ssh_keys")[0]["id"] == 424242
