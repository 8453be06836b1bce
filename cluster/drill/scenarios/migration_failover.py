"""A chunk migrates while the primary that it leaves is killed."""

from collections.abc import Callable

from pymongo.errors import PyMongoError

from cluster.drill.load.mongo import MongoStore
from cluster.drill.record import Expectation
from cluster.drill.running.faults import Errand, Kill, Several
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability
from cluster.errors import ClusterError, DrillError
from cluster.servers.connections import is_transient, short
from cluster.servers.waiting import Waiter

PATIENCE = 60.0


def plan(stage: Stage) -> Fault:
    """Move the shard's keys away, and back after the failover."""
    shard = stage.shard()
    others = [one.name for one in stage.layout.shards if one.name != shard]
    other = stage.draw("other shard", others)
    there = Errand(
        stage,
        f"the keys of {shard} move to {other}, and back",
        [begun, mover(stage, shard, other), mover(stage, shard, shard)],
    )
    return Several(
        stage,
        there,
        lambda: Kill(stage, [stage.primary(shard)], f"the primary of {shard}"),
        "meanwhile the primary that they leave is killed",
    )


def begun() -> str:
    """The first step, so that the failover comes while the second is under way."""
    return "the move is begun"


def mover(stage: Stage, group: str, shard: str) -> Callable[[], str]:
    """What moves a group to a shard, again until it is there."""
    store = stage.store
    if not isinstance(store, MongoStore):
        raise DrillError("only keys that the load itself has placed can be moved.")

    def attempt() -> str | None:
        try:
            store.move(group, shard)
        except PyMongoError as error:
            if not is_transient(error):
                raise ClusterError(f"{group} does not move to {shard}: {short(error)}.") from None
            return None
        return f"the keys of {group} are on {shard}"

    def move() -> str:
        return Waiter(PATIENCE).until(
            attempt, lambda: f"{group} is not on {shard} after {PATIENCE:.0f} s.", every=0.2
        )

    return move


SCENARIO = Scenario(
    number=17,
    name="migration-failover",
    title="A chunk migrates while the primary that it leaves is killed",
    hypothesis="The migration is finished or undone by the next primary, whoever asks again "
    "completes it, and every key is on one shard only.",
    expectation=Expectation(gap=8.0, whole=30),
    plan=plan,
    needs=(Ability.END,),
    read="The log of the next primary: how it recovered the migration.",
    concerns="all",
    through_routers=True,
)
