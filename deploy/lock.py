"""The lock on a stack, which lives in the account: who holds it may change the stack.

DigitalOcean has no compare-and-set, but takes no ssh key twice: it knows keys by their fingerprint
and refuses the second (422). So the lock is an ssh key, made by hashing the stack's name: nobody
can have its private half. Its name says who holds it, since when, from where. To take the lock is
to upload the key; to release it is to delete the key by its id, which is another each time, so that
whoever releases a lock late does not release the next one.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import getpass
import hashlib
import os
import secrets
import socket
import struct
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import msgspec

from console.signals import shielded
from deploy.client import Client
from deploy.errors import LockedError, LostAnswerError, MissingError, ReachError, RefusedError
from deploy.resources import KINDS, Index, Resource
from deploy.stack import Stack
from deploy.wanted import key

TRIES = 5


class Holder(msgspec.Struct, frozen=True):
    """Who holds a lock. `place` and `pid` are the process; `nonce` tells two takings apart."""

    who: str
    since: str
    version: str
    place: str
    pid: int
    nonce: str
    id: str = ""

    def __str__(self) -> str:
        return f"{self.who} since {self.since} (version {self.version}, process {self.pid})"

    @property
    def is_gone(self) -> bool:
        """Whether it was a process of this machine that has ended. False if that is not known."""
        if self.place != _place():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass
        return False


def _place() -> str:
    """Names this boot of this machine, and the space that its process ids are of."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        boot, space = socket.gethostname(), ""
    return hashlib.sha256(f"{boot} {space}".encode()).hexdigest()[:12]


def _myself() -> Holder:
    who = f"{getpass.getuser()}@{socket.gethostname()}"
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Holder(
        "".join(char for char in who if char.isalnum() or char in "@.-_")[:60],
        now,
        version("shardstack"),
        _place(),
        os.getpid(),
        secrets.token_hex(4),
    )


def lock_key(stack: Stack, holder: Holder | None = None) -> Resource:
    """The key that is the stack's lock, called after its holder."""
    kind, point = b"ssh-ed25519", hashlib.sha256(f"lock of {stack.tag}".encode()).digest()
    blob = b"".join(struct.pack(">I", len(part)) + part for part in (kind, point))
    words = "" if not holder else " ".join(f"{n}={v}" for n, v in _told(holder).items())
    text = f"ssh-ed25519 {base64.b64encode(blob).decode()}"
    return key(f"{stack.tag} lock {words}", text, blob)


def _told(holder: Holder) -> dict[str, object]:
    return {name: getattr(holder, name) for name in Holder.__struct_fields__ if name != "id"}


def holder(client: Client, stack: Stack) -> Holder | None:
    """Who holds the lock; None if nobody does."""
    mine = lock_key(stack).fields["fingerprint"]
    kind = KINDS["ssh_key"]
    for item in client.all(kind.path, kind.plural):
        if item["fingerprint"] == mine:
            words = dict(one.split("=", 1) for one in item["name"].split() if "=" in one)
            told = {name: words.get(name, "?") for name in Holder.__struct_fields__}
            pid = int(told["pid"]) if told["pid"].isdigit() else 0
            return msgspec.convert({**told, "pid": pid, "id": str(item["id"])}, Holder)
    return None


@contextlib.contextmanager
def held(client: Client, stack: Stack) -> Iterator[None]:
    """Holds the lock while the block runs. Raises LockedError if somebody else has it."""
    mine = _take(client, stack)
    try:
        yield
    finally:
        with shielded():
            _let_go(client, mine)


def _take(client: Client, stack: Stack) -> Holder:
    mine = _myself()
    one = lock_key(stack, mine)
    for _ in range(TRIES):
        refused: RefusedError | None = None
        try:
            client.send("POST", KINDS["ssh_key"].path, KINDS["ssh_key"].body(one, Index()))
        except LostAnswerError as error:
            client.report(f"{error} Looking who has the lock")
        except RefusedError as error:
            if error.code not in (409, 422):
                raise
            refused = error
        there = holder(client, stack)
        if there and there.nonce == mine.nonce:
            return there
        if there and there.is_gone:
            client.report(f"taking over the lock of {there}, which has ended")
            release(client, there)
        elif there:
            raise LockedError(
                f"the stack {stack.name} is locked by {there}. Wait until that is done; if it "
                "never will be, run: python -m deploy lock release"
            )
        elif refused and "use" not in refused.why.lower():
            raise refused  # it is not that somebody has the lock
    raise ReachError(f"the lock of the stack {stack.name} could not be taken. Run it again.")


def release(client: Client, there: Holder) -> None:
    """Takes a lock from its holder; from nobody who has taken it since."""
    with contextlib.suppress(MissingError):
        client.send("DELETE", f"{KINDS['ssh_key'].path}/{there.id}")


def _let_go(client: Client, mine: Holder) -> None:
    try:
        release(client, mine)
    except (ReachError, RefusedError) as error:
        client.report(f"the lock could not be released: {error} Run: python -m deploy lock release")
