"""The cluster that a drill breaks, whoever runs its servers: what can be done to it, and undone.

A target names its nodes as the layout does (shard-1-2, config-1, router-2). What a node is, and who
leads a set, is asked of the servers (running/watch.py, whole.py), which is the same for
every target; a target does what only whoever runs the servers can do: end processes, stop them, cut
them off.

Every fault is one that `heal` can take back without knowing what was done: it looks for what a
drill may have left, and needs the note (`Note`) only for what cannot be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import NoReturn, Protocol

import msgspec

from cluster.errors import DrillError, StateError
from cluster.servers.connections import Access
from console import Report, files


class Ability(StrEnum):
    """What a target may be able to do to its nodes."""

    END = "end processes, and start them again"
    PAUSE = "make processes stand still"
    CUT = "cut nodes off"
    PART = "cut a node off from some of the others"
    LOSE = "lose packets"
    SLOW = "delay what nodes send"
    WIPE = "delete a member's data"
    DAMAGE = "damage a member's data"
    FILL = "fill the disk of one member alone"
    DISK = "have the disk of one member alone stand still, or lose its power"
    CLOCK = "set the clock of one member alone"
    WORKERS = "find the API's workers"
    REPLICAS = "end one of several replicas of the API"
    GROW = "add a shard"
    REKEY = "change the servers' key"


class Way(StrEnum):
    """Which packets do not arrive."""

    BOTH = "both"  # it is cut off
    MUTE = "mute"  # it hears the others, and is not heard
    DEAF = "deaf"  # it is heard, and does not hear


class NodeState(StrEnum):
    """How a node's process is, as the machine that it runs on sees it."""

    RUNNING = "running"
    PAUSED = "paused"
    DOWN = "down"


@dataclass(frozen=True)
class Api:
    """Where an API is. `ca` is the authority that its certificate is from, if not a public one."""

    url: str
    ca: Path | None = None


class Target(Protocol):
    """One cluster, and what can be done to its nodes. Each method raises ClusterError.

    `folder` is where the drill keeps what concerns this target, on the drill's own machine.
    """

    @property
    def kind(self) -> str:
        """local, compose or hosts."""

    @property
    def place(self) -> str:
        """Where it is: the state folder, the stack's name, the inventory."""

    @property
    def folder(self) -> Path:
        """The drill's own folder of this target; others leave it alone."""

    @property
    def healing(self) -> str:
        """What to type to have it healed, once the drill itself was killed."""

    def assert_there(self) -> None:
        """Raises StateError, with what makes one, where there is no cluster."""

    def api(self) -> Api | None:
        """The API before it; None where the target does not know of one."""

    def access(self) -> Access:
        """What it takes to reach the servers; the layout in it names the nodes."""

    def command(self, words: Sequence[str]) -> list[str]:
        """The command line of a verb that is a fault here: `rolling-restart`, `add-shard`."""

    @property
    def backup(self) -> str:
        """Where a backup of a drill goes, as `dump` names it here."""

    def discard_backup(self) -> str:
        """Delete that backup, if there is one; says so."""

    def next_shard(self) -> str:
        """The name that the next shard gets, of a target that can add one."""

    def unfit(self) -> list[str]:
        """Why nobody should break this cluster now, a sentence each; [] when one may."""

    def cannot(self, ability: Ability) -> str:
        """Why it cannot do that, here; "" when it can."""

    def state(self, name: str) -> NodeState:
        """How a node's process is."""

    def kill(self, names: Sequence[str]) -> None:
        """End nodes all together, without a chance to tidy up; returns when they are gone."""

    def start(self, names: Sequence[str]) -> None:
        """Start nodes all together, and wait until each serves or is in sync."""

    def pause(self, names: Sequence[str]) -> None:
        """Make nodes stand still; the kernel keeps their connections."""

    def resume(self, names: Sequence[str]) -> None:
        """Let nodes that stand still go on."""

    def cut(self, names: Sequence[str], way: Way, share: float = 1.0) -> None:
        """Drop this share of a node's packets, from and to everybody, and tell nobody."""

    def part(self, name: str, others: Sequence[str]) -> None:
        """Drop all packets between a node and some others; the rest of the cluster reaches it."""

    def slow(self, names: Sequence[str], seconds: float) -> None:
        """Have everything that these nodes send arrive so much later."""

    def join(self, names: Sequence[str]) -> None:
        """Let packets of these nodes pass again, as they come."""

    def dropped(self, name: str) -> int:
        """The packets that have been dropped since the node was cut off."""

    def wipe(self, name: str) -> None:
        """Delete the data of a node that is down."""

    def damage(self, name: str) -> str:
        """Overwrite a part of a data file of a node that is down; which one, in words."""

    def confine(self, name: str) -> None:
        """Give a node that is down a disk of its own, a small one, with its data on it."""

    def fill(self, name: str) -> None:
        """Fill the small disk of a node."""

    def clear(self, name: str) -> None:
        """Delete what fills the small disk of a node."""

    def freeze(self, name: str) -> None:
        """Have the small disk of a node stand still: whoever writes to it waits."""

    def thaw(self, name: str) -> None:
        """Let it go on."""

    def cut_power(self, names: Sequence[str]) -> str:
        """End nodes on small disks, and have those forget what they were not told to keep.

        Returns, in words, how one sees that they have; "" if they have not.
        """

    def release(self, name: str) -> None:
        """Move the data of a node that is down back from the small disk, and give that up."""

    def start_with_clock(self, name: str) -> None:
        """Start a node that is down with a clock of its own, which is right; wait as `start`."""

    def set_clock(self, name: str, seconds: int) -> None:
        """Set the node's clock so many seconds ahead of the right time, or behind if negative."""

    def replicas(self) -> list[str]:
        """The names of the API's replicas, to be ended and started like nodes."""

    def workers(self, url: str) -> list[int]:
        """The process ids of the API's workers that serve at an address."""

    def kill_worker(self, pid: int) -> None:
        """End one of them, without a chance to tidy up."""

    def heal(self, report: Report, note: Note | None) -> None:
        """Take back whatever a drill did and make the cluster whole, at any moment.

        Others' things are left alone. It may be interrupted and run again.
        """

    def free_mib(self) -> int:
        """The least free space of a disk that holds the servers' data."""

    def rolled_back(self, since: datetime) -> dict[str, int]:
        """Files by node in which members put aside writes that they undid since then."""

    def save_logs(self, folder: Path, since: datetime, until: datetime) -> None:
        """Put what every server logged between two moments (in UTC) into a file for each."""


class Unable:
    """What a target answers when it is asked for what it `cannot` do. Targets inherit it."""

    def cannot(self, ability: Ability) -> str:
        """See `Target`."""
        raise NotImplementedError

    def _refuse(self, ability: Ability, names: Sequence[str]) -> NoReturn:
        raise DrillError(f"{', '.join(names)}: {self.cannot(ability)}.")

    def slow(self, names: Sequence[str], seconds: float) -> None:  # noqa: ARG002 - it cannot
        """Refuse to delay packets."""
        self._refuse(Ability.SLOW, names)

    def confine(self, name: str) -> None:
        """Refuse to give a node a disk of its own, or to do anything with one."""
        self._refuse(Ability.FILL, [name])

    fill = clear = freeze = thaw = release = confine

    def cut_power(self, names: Sequence[str]) -> str:
        """Refuse to cut the power of disks."""
        self._refuse(Ability.DISK, names)

    def start_with_clock(self, name: str) -> None:
        """Refuse to give a node a clock of its own."""
        self._refuse(Ability.CLOCK, [name])

    def set_clock(self, name: str, seconds: int) -> None:  # noqa: ARG002 - it cannot
        """Refuse to set such a clock."""
        self._refuse(Ability.CLOCK, [name])


class Note(msgspec.Struct, omit_defaults=True):
    """What a drill is doing to a target, written before it does it.

    `deeds` are sentences, in order. `shard` is one that the drill adds, to be removed again;
    `errand` the process id of a command that works on the cluster.
    """

    scenario: str
    began: str
    pid: int
    deeds: list[str] = []
    shard: str = ""
    errand: int = 0


def write_note(target: Target, note: Note) -> None:
    """Keep it in the target's folder. Raises FileError."""
    files.write(target.folder / "note.json", msgspec.json.encode(note))


def read_note(target: Target) -> Note | None:
    """What was kept; None without a drill, or after one that has healed. Raises StateError."""
    file = target.folder / "note.json"
    try:
        return msgspec.json.decode(file.read_bytes(), type=Note)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise StateError(f"{file} cannot be read: {error}. Remove it, then run `up`.") from error


def drop_note(target: Target) -> None:
    """Delete the note: everything a drill did is taken back."""
    (target.folder / "note.json").unlink(missing_ok=True)
