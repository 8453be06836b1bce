"""What a scenario is: a fault, what is expected of the cluster, and what to read afterwards.

Each file of `scenarios/` declares one, as `SCENARIO`; the file's being there is all it takes.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cluster.drill.load.workload import Store
from cluster.drill.record import Expectation
from cluster.drill.running.watch import Watch
from cluster.drill.targets.target import Ability, Target
from cluster.errors import DrillError
from cluster.model.layout import Layout
from cluster.servers.connections import Connections


class Remember(Protocol):
    """Takes fields of the target's note (target.Note)."""

    def __call__(self, **what: Any) -> None:
        """Keep them in the target's folder."""


class Fault(Protocol):
    """One thing done to a cluster. Each method raises ClusterError."""

    @property
    def text(self) -> str:
        """What is done to whom: "SIGKILL to shard-1-2, the primary of shard-1"."""

    @property
    def back(self) -> str:
        """How it is taken back: "shard-1-2 is started again"."""

    def strike(self) -> None:
        """Do the fault; returns immediately."""

    def evidence(self) -> str:
        """How one sees that it took effect; "" while one does not."""

    def lasts(self) -> bool:
        """Whether it goes on by itself, and is not to be undone yet."""

    def undo(self) -> None:
        """Take it back; returns when what was ended serves again."""

    def cancel(self) -> None:
        """End what goes on by itself, since the cluster is about to be healed."""


@dataclass
class Stage:
    """What a fault is made from: the cluster as it is now, and chance.

    `drawn` takes what chance decided, for the record. `url` is the API's, "" without one. `hold`
    is how many seconds a fault is kept up that does not end by itself. `store` is what the load
    writes to; `remember` takes fields of the note, before what they tell of is done.
    """

    target: Target
    layout: Layout
    connections: Connections
    watch: Watch
    chance: random.Random
    hold: float
    store: Store
    remember: Remember
    url: str = ""
    drawn: dict[str, str] = field(default_factory=dict)
    turn: int = 0

    def shard(self) -> str:
        """The shard that a fault is about: one for the whole run, drawn at first."""
        if "shard" not in self.drawn:
            self.drawn["shard"] = self.chance.choice([s.name for s in self.layout.shards])
        return self.drawn["shard"]

    def members(self, set_name: str) -> list[str]:
        """The names of a set's members."""
        return [n.name for s in self.layout.sets if s.name == set_name for n in s.members]

    def primary(self, set_name: str) -> str:
        """Who leads a set now. Raises DrillError: nobody does."""
        name = self.watch.primary(set_name)
        if name is None:
            raise DrillError(f"{set_name} has no primary. See `status`, then run `up`.")
        return name

    def secondary(self, set_name: str) -> str:
        """One of the others, drawn."""
        primary = self.primary(set_name)
        return self.draw("node", [n for n in self.members(set_name) if n != primary])

    def draw(self, what: str, among: Sequence[str]) -> str:
        """One of several, by chance, and for the record."""
        if not among:
            raise DrillError(f"there is no {what} to choose: the cluster is too small.")
        found = self.chance.choice(among)
        self.drawn[f"{what} {self.turn + 1}" if self.turn else what] = found
        return found


Plan = Callable[[Stage], Fault]


@dataclass(frozen=True)
class Scenario:
    """A drill that can be run. `number` is its place in the list; `name` how commands call it.

    `plan` chooses whom the fault hits, when the load runs and is calm. `concerns` says whose writes
    the fault concerns: one shard's (the one drawn), every shard's or nobody's. `needs` are the
    target's abilities, `hold` the seconds that the fault is kept up, where it does not end itself,
    `patience` those in which there must be evidence that it took effect,
    `bereft` how many shards may be without a primary before the run is stopped. One that `repeats`
    plans one fault after the other until `hold` seconds have passed. `direct` is what is expected
    where no proxy stands before the API. `prepare` makes the cluster ready for a fault, before the
    calm; `tidy` takes that back once all is whole after it.
    """

    number: int
    name: str
    title: str
    hypothesis: str
    expectation: Expectation
    plan: Plan
    needs: tuple[Ability, ...]
    read: str
    concerns: str = "one"
    hold: float = 6.0
    patience: float = 10.0
    core: bool = False
    through_api: bool = False
    through_routers: bool = False
    bereft: int = 1
    repeats: bool = False
    direct: Expectation | None = None
    prepare: Callable[[Stage], None] | None = None
    tidy: Callable[[Stage], None] | None = None

    def promised(self, target: Target) -> Expectation:
        """What is expected of this target."""
        return self.direct if self.direct and target.kind == "local" else self.expectation

    def why_not(self, target: Target, *, through_api: bool) -> str:
        """Why it cannot be run on a target; "" when it can."""
        if self.through_api and not through_api:
            return "it is about the API: give --through api"
        if self.through_routers and through_api:
            return "it moves what the load writes, which the API keeps: leave out --through api"
        return "; ".join(why for need in self.needs if (why := target.cannot(need)))


@functools.cache
def scenarios() -> tuple[Scenario, ...]:
    """Every scenario there is, by number."""
    package = importlib.import_module("cluster.drill.scenarios")
    found = []
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        one = importlib.import_module(module.name).SCENARIO
        if not isinstance(one, Scenario):
            raise TypeError(f"{module.name}.SCENARIO is no Scenario")
        found.append(one)
    return tuple(sorted(found, key=lambda one: one.number))


def chosen(names: Sequence[str]) -> list[Scenario]:
    """The scenarios of these names or numbers; `core` and `all` are several.

    Raises DrillError for a name that there is not.
    """
    known = {one.name: one for one in scenarios()} | {str(one.number): one for one in scenarios()}
    found: dict[str, Scenario] = {}
    for name in names:
        if name in ("core", "all"):
            found.update({one.name: one for one in scenarios() if one.core or name == "all"})
        elif name in known:
            found[known[name].name] = known[name]
        else:
            raise DrillError(f"there is no scenario {name!r}. `drill list` names them all.")
    return list(found.values())
