"""The balancer is off while something needs the chunks to stay, and afterwards as it was.

What "as it was" means must outlive whoever switched it off: after SIGKILL nobody puts it back. So
before it is switched off, one document says what it was, and who has it::

    cluster.holds  {_id: "balancer", was: "full", owner, purpose, place, pid, started, beat, at}

It is in the database `cluster`, because that can be read wherever the next command runs (a state
folder cannot), by whoever may switch the balancer; and not in `config`, which is the servers' own.
The document is also the lock: one such command runs at a time. A holder that died is known by its
process, if it ran here, else by its `beat` standing still; whoever comes next takes over what it
remembered: the next such command, or `up`, which puts the balancer back. No clocks are compared,
but for `status`, which has no time to wait for a beat: it asks the server how long ago the last one
was, by the server's own clock.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from cluster.errors import ClusterError, DeadlineError
from cluster.servers.connections import Client, insist, short
from cluster.servers.waiting import Waiter
from console import Report
from console.signals import shielded

T = TypeVar("T")

HOLD = "balancer"
BEAT = {"$inc": {"beat": 1}, "$currentDate": {"at": True}}
BEAT_SECONDS = 2.0
DEAD_SECONDS = 20.0  # without a beat; an election takes less
PATIENCE = 150.0  # seconds for a migration in flight to end, or a router to answer
RELEASE_PATIENCE = 30.0  # no signal interrupts this


@contextlib.contextmanager
def balancer_off(client: Client, report: Report, purpose: str = "maintenance") -> Iterator[None]:
    """Switches the balancer off, waits for its migration in flight, and puts it back as it was.

    `client` goes through routers as a user who may write in `cluster`; `purpose` is what others
    are told who come meanwhile. Raises ClusterError: another such command is at work, or no
    router answers.
    """
    hold = _Hold(client, report, purpose)
    try:
        hold.take()
        hold.stop_balancer()
        yield
    finally:
        with shielded():
            hold.release()


@dataclass(frozen=True)
class Holder:
    """Who has switched the balancer off; `died`: it has ended without putting the balancer back."""

    purpose: str
    pid: int
    died: bool


def read_holder(client: Client) -> Holder | None:
    """The holder, asked of a member of the shard that the document is on. Raises PyMongoError."""
    silent = {"$dateDiff": {"startDate": "$at", "endDate": "$$NOW", "unit": "second"}}
    stages: list[dict[str, Any]] = [{"$match": {"_id": HOLD}}, {"$addFields": {"silent": silent}}]
    for found in client["cluster"]["holds"].aggregate(stages):
        died = (found["silent"] or 0) > DEAD_SECONDS
        if found["place"] == _machine() and found["started"] is not None:
            died = _started(found["pid"]) != found["started"]
        return Holder(found["purpose"], found["pid"], died)
    return None


def put_back(client: Client, report: Report) -> bool:
    """Puts back what a dead holder left behind; False when there is none, or it lives."""
    hold = _Hold(client, report, "putting the balancer back")
    found = _insist(lambda: hold.holds.find_one({"_id": HOLD}))
    if found is None or not hold.is_dead(found):
        return False
    try:
        hold.take()
    finally:
        with shielded():
            hold.release()
    return True


class _Hold:
    def __init__(self, client: Client, report: Report, purpose: str) -> None:
        self.client = client
        self.report = report
        self.holds = client.get_database(
            "cluster",
            write_concern=WriteConcern("majority"),
            read_concern=ReadConcern("majority"),
        )["holds"]
        self.me = {
            "owner": secrets.token_hex(8),
            "purpose": purpose,
            "place": _machine(),
            "pid": os.getpid(),
            "started": _started(os.getpid()),
            "at": datetime.datetime.now(datetime.UTC),
        }
        self.mine = {"_id": HOLD, "owner": self.me["owner"]}
        self.was = "full"
        self._end = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="balancer-hold", daemon=True)

    # ---- taking and giving back ---------------------------------------------------------------

    def take(self) -> None:
        """Writes the document, or takes a dead holder's over; cut short, `release` undoes it."""
        self.was = self._mode()
        try:
            _insist(lambda: self.holds.insert_one({"_id": HOLD, "was": self.was, **self.me}))
        except DuplicateKeyError:
            self._take_over()
        self._beating.start()

    def _take_over(self) -> None:
        found = _insist(lambda: self.holds.find_one({"_id": HOLD}))
        if found is None or found["owner"] == self.me["owner"]:
            # Released this moment, or an insert whose answer was lost.
            if found is None:
                _insist(lambda: self.holds.insert_one({"_id": HOLD, "was": self.was, **self.me}))
            return
        if not self.is_dead(found):
            raise ClusterError(
                f"{found['purpose']} (process {found['pid']}) has the balancer switched off. "
                "Run this again when it has ended."
            )
        if self.was == "off":  # by the dead one, who knew what it had been
            self.was = found["was"]
        seen = {key: found.get(key) for key in ("_id", "owner", "beat")}
        change = {"$set": {"was": self.was, **self.me}}
        if _insist(lambda: self.holds.update_one(seen, change)).matched_count != 1 and (
            _insist(lambda: self.holds.find_one(self.mine)) is None
        ):
            raise ClusterError("another command took the balancer this moment. Run this again.")
        self.report(f"balancer: {found['purpose']} died (process {found['pid']}); going on from it")

    def is_dead(self, found: dict[str, Any]) -> bool:
        """Whether the process that wrote this document has ended."""
        if found["place"] == self.me["place"] and found["started"] is not None:
            return bool(_started(found["pid"]) != found["started"])
        beat = found.get("beat")
        waiter = Waiter(DEAD_SECONDS)

        def moved() -> bool | None:
            now = _insist(lambda: self.holds.find_one({"_id": HOLD})) or {}
            return None if (now.get("owner"), now.get("beat")) == (found["owner"], beat) else True

        try:
            waiter.until(moved, lambda: "", every=0.5)
        except DeadlineError:
            return True
        return False

    def stop_balancer(self) -> None:
        """Switches the balancer off and waits until none of its migrations is in flight."""
        if self.was != "off":
            self.report("balancer: off for the time being")
        _insist(lambda: self.client.admin.command("balancerStop"))
        Waiter(PATIENCE).until(
            lambda: None if self._status()["inBalancerRound"] else True,
            lambda: f"the balancer still moves a chunk after {PATIENCE:.0f} s. See `status`.",
        )

    def release(self) -> None:
        """Switches the balancer on again, if it was on, and deletes the document."""
        self._end.set()
        try:
            if _insist(lambda: self.holds.find_one(self.mine), RELEASE_PATIENCE) is None:
                return  # never taken, or taken over by somebody who thought this process dead
            if self.was != "off":
                _insist(lambda: self.client.admin.command("balancerStart"), RELEASE_PATIENCE)
                self.report("balancer: on again")
            _insist(lambda: self.holds.delete_one(self.mine), RELEASE_PATIENCE)
        except ClusterError as error:
            self.report(f"balancer: not put back ({error}). Run `up`, which does it.")

    def _beat(self) -> None:
        while not self._end.wait(BEAT_SECONDS):
            with contextlib.suppress(PyMongoError):
                self.holds.update_one(self.mine, BEAT)

    def _status(self) -> dict[str, Any]:
        return _insist(lambda: self.client.admin.command("balancerStatus"))

    def _mode(self) -> str:
        return str(self._status()["mode"])


def _insist(act: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Does something idempotent until it is done; ClusterError when it is refused or too late."""

    def refuse(error: PyMongoError) -> Exception:
        if isinstance(error, DuplicateKeyError):
            return error
        return ClusterError(f"a router refuses: {short(error)}. See `status`.")

    return insist(
        Waiter(seconds),
        act,
        refuse,
        lambda last: f"no router does it: {last}. See `status`, and run `up` first.",
    )


def _machine() -> str:
    """Where process ids mean the same: this boot of this machine, this container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> int | None:
    """When a process began, in ticks since boot; None when there is none, or no telling."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *fields = stat[stat.rindex(")") + 2 :].split()
    return None if state in "ZX" else int(fields[18])
