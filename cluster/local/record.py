"""What a local cluster remembers of itself: its topology, shards and ports."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from cluster import layout, profiles, topology
from cluster.errors import StateError
from cluster.layout import CONFIG_SET, Layout, Node
from cluster.memory import mongods, sizes, usable_memory
from cluster.profiles import Profile
from cluster.topology import Topology

HOST = "127.0.0.1"
FORMAT = 1


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
        return {"format": FORMAT, **dataclasses.asdict(self)}

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
        return profiles.mongod_conf(self.profile, sizes(self.topology, memory))

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
