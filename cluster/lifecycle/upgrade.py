"""From one version of MongoDB to the next: whether a step is allowed, and the last of it.

The servers are upgraded by a rolling restart with the new programs in place: config servers,
shards, routers, with the balancer off. They go on with the features of the version before, and may
go back to it, until the feature compatibility version (FCV) is raised, which nobody does but on
purpose.
Source: https://www.mongodb.com/docs/manual/release-notes/8.0-upgrade-sharded-cluster/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from cluster.errors import ClusterError, StateError
from cluster.model.layout import Node
from cluster.servers.connections import Access, Client, Connections, short

CONFIRMED = (7, 0)  # from this FCV on the command wants `confirm`
SECONDS = 120.0  # for each answer: an FCV waits for what is under way


@dataclass(frozen=True)
class Running:
    """What one server runs; `feature` is its FCV, None for a router, which has none."""

    name: str
    version: str
    feature: str | None


def assert_step(access: Access, target: str) -> list[Running]:
    """What the servers run, if they may be upgraded to the version `target`. Raises StateError."""
    running = running_versions(access)
    if problems := step_problems(running, target):
        raise StateError(*problems)
    return running


def step_problems(running: Iterable[Running], target: str) -> list[str]:
    """Why these servers may not be upgraded to `target`, one line each; none if they may."""
    try:
        wanted = _numbers(target)
    except ValueError:
        return [f"{target!r} is no version of MongoDB. Give one such as 8.0.16."]
    problems = []
    for server in running:
        now = _numbers(server.version)
        if wanted < now:
            problems.append(
                f"{server.name} runs {server.version}, which is newer than {target}. Going back is "
                "not done here: see MongoDB's manual on downgrades."
            )
        elif wanted[0] > now[0] + 1:
            problems.append(
                f"{server.name} runs {server.version}, and {target} skips a major version. Upgrade "
                f"to {now[0] + 1}.0 first."
            )
        elif wanted[:2] > now[:2] and server.feature and _numbers(server.feature) < now[:2]:
            problems.append(
                f"{server.name} runs {server.version} with the features of {server.feature}. "
                f"Finish the upgrade before: feature-version {now[0]}.{now[1]}."
            )
    return problems


def raise_feature_version(access: Access, feature: str) -> bool:
    """Raises the FCV to `feature`, as "8.0"; False where it is so already. Raises StateError.

    Afterwards no server can go back to the version before.
    """
    if not re.fullmatch(r"\d+\.\d+", feature):
        raise StateError(f"{feature!r} is no feature compatibility version. Give one such as 8.0.")
    running = running_versions(access)
    older = [one for one in running if _numbers(one.version)[:2] < _numbers(feature)]
    if older:
        who = ", ".join(f"{one.name} ({one.version})" for one in older)
        raise StateError(f"not all servers run {feature}: {who}. Upgrade them first.")
    if all(one.feature in (None, feature) for one in running):
        return False
    command = {"setFeatureCompatibilityVersion": feature}
    confirm = {"confirm": True} if _numbers(feature) >= CONFIRMED else {}
    client: Client
    try:
        with MongoClient(access.uri("admin"), socketTimeoutMS=int(SECONDS * 1000)) as client:
            client.admin.command({**command, **confirm})
    except PyMongoError as error:
        raise ClusterError(
            f"the routers do not raise it: {short(error)}. Run the same command again."
        ) from None
    return True


def running_versions(access: Access) -> list[Running]:
    """What every server runs. Raises StateError, naming who, when one does not answer."""
    found, silent = [], []
    with access.connections(timeout=5) as connections:
        for node in access.layout.nodes:
            try:
                found.append(_ask(access, connections, node))
            except PyMongoError as error:
                silent.append(f"{node.name} does not answer: {short(error)}.")
    if silent:
        raise StateError(*silent)
    return found


def _ask(access: Access, connections: Connections, node: Node) -> Running:
    if access.layout.set_of(node) is None:
        admin = connections.user(node, "admin", access.passwords["admin"]).admin
        return Running(node.name, admin.command("buildInfo")["version"], None)
    admin = connections.member(node).admin
    told = admin.command({"getParameter": 1, "featureCompatibilityVersion": 1})
    feature = told["featureCompatibilityVersion"]["version"]
    return Running(node.name, admin.command("buildInfo")["version"], feature)


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    if found is None:
        raise ValueError(version)
    return tuple(int(part) for part in found.groups() if part is not None)
