"""The state folder of a local cluster: what was made, which ports were chosen, the secrets.

    cluster.json            the topology as started, the shards, the chosen ports
    mongod.conf             how each mongod is set (see cluster.model.profiles)
    lock                    held by the one command that may change the cluster
    secrets/keyFile         0400, what the servers know one another by
    secrets/users.json      0600, the users' passwords; the connection strings are made from it
    secrets/<user>.uri      0600, one connection string through the routers each
    nodes/<node>/           data/ (a mongod's), log, pid
    exporter/               log, pid, and the address of the exporter
    api/                    the files of the API that serves from here; its own business

Every file is written whole and then moved into place, so an interruption leaves the old or the
new one, never half of one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from cluster.errors import StateError, TopologyError
from cluster.model import layout, profiles, topology
from cluster.model.layout import CONFIG_SET, Layout, Node
from cluster.model.profiles import Profile, mongods, sizes, usable_memory
from cluster.model.secrets import Secrets
from cluster.model.topology import Topology
from cluster.model.users import USERS
from cluster.servers.connections import Access
from console import files
from console.files import write
from console.ports import HOST

FORMAT = 1  # of cluster.json
PARTS = ("nodes", "secrets", "api", "drill", "exporter")
FILES = ("cluster.json", "mongod.conf", "lock")


@dataclass
class Record:
    """What cluster.json remembers.

    `complete` lists the sets that have once been brought up wholly, and so must have data;
    `leaving` the shards that are being removed; `surplus` the nodes that no longer belong to the
    cluster and whose processes and folders must go.
    """

    topology: Topology
    shards: list[str]
    next_shard: int
    ports: dict[str, int] = field(default_factory=dict)
    complete: list[str] = field(default_factory=list)
    leaving: list[str] = field(default_factory=list)
    surplus: list[str] = field(default_factory=list)

    @classmethod
    def new(cls, topology: Topology) -> Record:
        """The record of a cluster that has yet to be made."""
        return cls(topology, layout.shard_names(topology), topology.shards + 1)

    @classmethod
    def parse(cls, values: Any) -> Record:
        """The record of what `values` gave; one of the usual errors when it is none."""
        if values["format"] != FORMAT:
            raise ValueError(f"its format is {values['format']!r}, not {FORMAT}")
        # What was not there yet when the record was written is as in the default topology.
        made = topology.make({**topology.DEFAULTS, **values["topology"]}, "topology")
        record = cls(made, **{name: values[name] for name in FIELDS})
        names = [name for key in FIELDS if key != "next_shard" for name in values[key]]
        if not record.shards or not all(isinstance(name, str) for name in names):
            raise ValueError("its names are not what was written")
        numbers = [record.next_shard, *record.ports.values()]
        if not all(type(number) is int for number in numbers):
            raise ValueError("its numbers are not what was written")
        if missing := [name for name in record.node_names() if name not in record.ports]:
            raise ValueError(f"the port of {missing[0]} is missing")
        return record

    def values(self) -> dict[str, Any]:
        """Plain values, from which `parse` makes the same record."""
        described = msgspec.structs.asdict(self.topology)
        return {"format": FORMAT, **dataclasses.asdict(self), "topology": described}

    def member_names(self, set_name: str) -> list[str]:
        """The nodes of one replica set."""
        return layout.member_names(self.topology, set_name)

    def node_names(self) -> list[str]:
        """Every node, in the order in which ports are given out."""
        sets = [CONFIG_SET, *self.shards]
        return layout.router_names(self.topology) + [
            node for name in sets for node in self.member_names(name)
        ]

    @property
    def profile(self) -> Profile:
        """How the mongods are set."""
        return profiles.choose(self.topology, profiles.LAPTOP)

    def mongod_conf(self) -> str:
        """The text of the mongods' configuration file, by the memory that there is now."""
        memory = usable_memory() * self.profile.memory_share / mongods(self.topology)
        found = sizes(self.topology, memory)
        return profiles.mongod_conf(self.profile, found, self.topology.election_timeout_ms)

    def add_shard(self) -> str:
        """Makes room for one more shard and returns its name, which was never used before."""
        name = f"shard-{self.next_shard}"
        self.shards.append(name)
        self.next_shard += 1
        self.topology = self.topology.changed(shards=max(len(self.shards), self.topology.shards))
        return name

    def retire(self, name: str) -> None:
        """Takes a shard that holds nothing any more out of the cluster."""
        self._discard(self.member_names(name))
        for names in (self.shards, self.complete, self.leaving):
            if name in names:
                names.remove(name)
        self.topology = self.topology.changed(shards=len(self.shards))

    def adopt(self, wanted: Topology) -> None:
        """Takes over a changed topology; StateError for what a made cluster cannot change."""
        for name in ("members", "config_servers", "ports", "database"):
            now, new = getattr(self.topology, name), getattr(wanted, name)
            if now != new:
                raise StateError(
                    f"{name} is {now} in this cluster and cannot become {new}. Leave it, or make "
                    "a new cluster: in another folder (--state), or here after `down --purge`."
                )
        if wanted.shards < len(self.shards):
            raise StateError(
                f"the cluster has {len(self.shards)} shards, not {wanted.shards}. Remove one with "
                f"`remove-shard NAME`, which moves its data first, or ask for {len(self.shards)}."
            )
        self._discard([f"router-{n + 1}" for n in range(wanted.routers, self.topology.routers)])
        self.topology = wanted
        while len(self.shards) < wanted.shards:
            self.add_shard()

    def _discard(self, nodes: list[str]) -> None:
        for node in nodes:
            self.ports.pop(node, None)
            self.surplus.append(node)

    def layout(self) -> Layout:
        """The nodes with their addresses; every port must have been chosen."""
        return layout.arrange(
            self.topology,
            self.shards,
            lambda name: Node(name, HOST, self.ports[name]),
            self.profile.catch_up_timeout_ms,
        )


FIELDS = [field.name for field in dataclasses.fields(Record) if field.name != "topology"]


class StateFolder(Secrets):
    """One state folder, its secrets included. Nothing is written before it is needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.record_file = self.folder / "cluster.json"
        self.mongod_conf = self.folder / "mongod.conf"
        self.secrets = self.folder / "secrets"
        super().__init__(self.secrets / "keyFile", self.secrets / "users.json")
        self.nodes = self.folder / "nodes"

    def node(self, name: str) -> Path:
        """The folder of one node."""
        return self.nodes / name

    def made(self) -> bool:
        """Whether a cluster was ever made here, whatever is left of it."""
        return self.record_file.exists() or self.nodes.exists()

    def used(self) -> bool:
        """Whether anything in the folder is ours."""
        return any((self.folder / name).exists() for name in (*PARTS, *FILES))

    def load(self) -> Record | None:
        """The record, None when no cluster was made here; StateError when it is damaged."""
        try:
            values = json.loads(self.record_file.read_bytes())
        except FileNotFoundError:
            if self.nodes.exists() and any(self.nodes.glob("*/data/*")):
                raise StateError(
                    f"{self.record_file} is missing, but {self.nodes} holds data. Put it back, "
                    "or give the data up with `down --purge`."
                ) from None
            return None
        except NotADirectoryError:
            raise StateError(f"{self.folder} is not a folder. Give another to --state.") from None
        except (ValueError, OSError) as error:
            raise self._damaged(str(error)) from None
        return self._parse(values)

    def _parse(self, values: Any) -> Record:
        try:
            return Record.parse(values)
        except TopologyError as error:
            raise self._damaged(error.lines[0]) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._damaged(f"{type(error).__name__}: {error}") from None

    def _damaged(self, why: str) -> StateError:
        return StateError(
            f"{self.record_file} is damaged ({why}). Put back a good copy, "
            "or give the cluster and its data up with `down --purge`."
        )

    def save(self, record: Record) -> None:
        """Remembers the record, and how the mongods are set that are started from now on."""
        write(self.mongod_conf, record.mongod_conf())
        write(self.record_file, json.dumps(record.values(), indent=2) + "\n")

    def check_data(self, record: Record) -> None:
        """StateError when a set that had data has none left on any member."""
        for name in record.complete:
            members = record.member_names(name)
            if not any((self.node(m) / "data" / "WiredTiger").exists() for m in members):
                raise StateError(
                    f"the data of {name} is gone from {self.nodes} (all of {', '.join(members)}). "
                    "Put it back, or give the cluster up with `down --purge`."
                )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder's lock, which goes with the process however it ends."""
        busy = f"another command is at work in {self.folder}. Wait until it has ended."
        with files.locked(self.folder / "lock", busy):
            yield

    # ---- secrets ------------------------------------------------------------------------------

    def access(self, record: Record) -> Access:
        """What it takes to reach the servers of the cluster that `record` describes."""
        return Access(record.layout(), self.key(), self.passwords()[0])

    def write_uris(self, record: Record) -> None:
        """Writes each user's connection string through all routers."""
        access = self.access(record)
        for user in USERS:
            uri = f"{access.uri(user)}\n"
            file = self.secrets / f"{user}.uri"
            if not file.exists() or file.read_text() != uri:
                write(file, uri)

    def uri(self, user: str) -> str:
        """A user's connection string; StateError before the first `up`."""
        try:
            return (self.secrets / f"{user}.uri").read_text().strip()
        except FileNotFoundError:
            raise StateError(f"there is no cluster in {self.folder}. Make one with `up`.") from None

    def assert_unused(self) -> None:
        """StateError while somebody else works with a part of the folder, told by the lock held."""
        for path in sorted(self.folder.glob("*/*.lock")):
            if files.holder(path) is not None:
                raise StateError(
                    f"{path} is held: {path.parent.name} still works in {self.folder}. Stop it "
                    f"first (`python -m {path.parent.name} down`)."
                )

    def purge(self) -> list[str]:
        """Deletes all that was made here; returns the names of what others keep in the folder.

        It may be interrupted and repeated. Raises StateError when something cannot be deleted.
        """
        try:
            for name in PARTS:
                if (self.folder / name).exists():
                    shutil.rmtree(self.folder / name)
            for name in FILES:
                (self.folder / name).unlink(missing_ok=True)
                files.draft_of(self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise StateError(
                f"{error.filename} cannot be deleted ({error.strerror}). Solve that, and run it "
                "again."
            ) from None
        left = sorted(path.name for path in self.folder.iterdir())
        if not left:
            with contextlib.suppress(OSError):  # where a file system is mounted, say
                self.folder.rmdir()
        return left
