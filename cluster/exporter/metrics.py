"""A snapshot as metrics: what servers say of themselves, what the cluster is, what it can lose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import Any

from cluster.exporter.kept import Kept
from cluster.exporter.names import Figure, figures, text, written
from cluster.exporter.snapshot import Server, SetView, Snapshot

OF_ROUTERS = "mongodb_mongos_sharding_"
OF_MEMBERS = "mongodb_mongod_replset_"


def metrics(snapshot: Snapshot, cluster: str) -> str:
    """All of it in the text format of Prometheus. `cluster`: what to call it in labels."""
    return text(_all(snapshot, cluster))


def _all(snapshot: Snapshot, cluster: str) -> Iterator[Figure]:
    speakers = {view.speaker.node.name for view in snapshot.sets if view.speaker}
    for server in snapshot.servers:
        labels = _labels(server, snapshot, cluster)
        yield _up(server, labels)
        for command, answer in server.answers.items():
            # Rules join figures of members by their set, and fail where a member comes twice. So
            # the speaker alone tells of them.
            told = answer if server.node.name in speakers else {**answer, "members": None}
            yield from figures(command, told, written(labels))
        for held in server.held:
            more = written({**labels, **held.labels})
            yield from figures(held.path, held.document, more)
        if server.answers:
            yield _version(server, labels)
            yield from _certificate(server, labels)
            yield from _replication(server, labels)
        if server.node.name in speakers:
            yield from _members(server, labels)
    yield from _sharding(snapshot, cluster)
    for view in snapshot.sets:
        yield from _losses(view, cluster)
    yield from _kept(snapshot.kept, cluster)
    ours = written({"cluster": cluster})
    yield Figure("shardstack_scrape_seconds", ours, snapshot.took)


def _labels(server: Server, snapshot: Snapshot, cluster: str) -> dict[str, str]:
    """What every figure of a server is labelled with."""
    own, known = server.replica_set, snapshot.catalogue
    labels = {
        "cluster": cluster,
        "service_name": server.node.name,
        "node_name": server.node.host,
        "cl_id": known.cluster_id if known else "",
        "cl_role": "mongos" if own is None else "configsvr" if own.is_config else "shardsvr",
    }
    if own is None:
        return labels
    state = str(server.answers.get("replSetGetStatus", {}).get("myState", ""))
    return {**labels, "set": own.name, "rs_nm": own.name, "rs_state": state}


def _up(server: Server, labels: Mapping[str, str]) -> Figure:
    role = "mongos" if server.replica_set is None else "mongod"
    return Figure("mongodb_up", written({**labels, "cluster_role": role}), bool(server.answers))


def _version(server: Server, labels: Mapping[str, str]) -> Figure:
    status = server.answers["serverStatus"]
    more = {"mongodb": str(status["version"]), "edition": "Community", "vendor": "MongoDB"}
    return Figure("mongodb_version_info", written({**labels, **more}), 1)


def _certificate(server: Server, labels: Mapping[str, str]) -> Iterator[Figure]:
    """When the certificate ends that a server has shown since it started; nothing without TLS."""
    shown = server.answers["serverStatus"].get("security", {})
    ends = shown.get("SSLServerCertificateExpirationDate")
    if ends is not None:
        seconds = ends.replace(tzinfo=UTC).timestamp()
        yield Figure("shardstack_certificate_expires_timestamp_seconds", written(labels), seconds)


def _replication(server: Server, labels: Mapping[str, str]) -> Iterator[Figure]:
    """Under the names of years ago, which PMM's panels about sets ask for."""
    status = server.answers.get("replSetGetStatus")
    if status is None:
        return
    own = written(labels)
    yield Figure(f"{OF_MEMBERS}my_state", own, status["myState"])
    yield Figure(f"{OF_MEMBERS}number_of_members", own, len(status["members"]))
    if server.oplog:
        yield Figure(f"{OF_MEMBERS}oplog_tail_timestamp", own, server.oplog[0])
        yield Figure(f"{OF_MEMBERS}oplog_head_timestamp", own, server.oplog[1])


def _members(server: Server, labels: Mapping[str, str]) -> Iterator[Figure]:
    """The members of a set by the word of one of them."""
    status = server.answers["replSetGetStatus"]
    primary = next((m for m in status["members"] if m["stateStr"] == "PRIMARY"), None)
    for member in status["members"]:
        who = written(
            {
                **labels,
                "name": member["name"],
                "state": member["stateStr"],
                "self": "1" if member.get("self") else "0",
            }
        )
        if "electionTime" in member:
            yield Figure(f"{OF_MEMBERS}member_election_date", who, member["electionTime"].time)
        lag = _lag(member, primary)
        if lag is not None:
            yield Figure(f"{OF_MEMBERS}member_replication_lag", who, lag)


def _lag(member: Mapping[str, Any], primary: Mapping[str, Any] | None) -> float | None:
    """Seconds by which a secondary is behind the primary; None where that is not known."""
    if primary is None or member["stateStr"] != "SECONDARY" or not member.get("health"):
        return None
    return max(0.0, float((primary["optimeDate"] - member["optimeDate"]).total_seconds()))


def _sharding(snapshot: Snapshot, cluster: str) -> Iterator[Figure]:
    """What the config servers know, as a router would tell it: nothing while they are down."""
    known = snapshot.catalogue
    if known is None:
        return
    shards = known.shards
    for router in snapshot.routers:
        own = written(_labels(router, snapshot, cluster))
        yield Figure(f"{OF_ROUTERS}shards_total", own, len(shards.shards))
        yield Figure(f"{OF_ROUTERS}balancer_enabled", own, shards.balancer == "on")
        yield Figure(f"{OF_ROUTERS}shards_draining_total", own, sum(shards.shards.values()))
    # Panels add these up over all routers, so that one of them tells it for all.
    labels = _labels(snapshot.routers[0], snapshot, cluster)
    yield Figure(f"{OF_ROUTERS}databases_total", written(labels), len(shards.homes))
    yield Figure(f"{OF_ROUTERS}chunks_total", written(labels), sum(shards.chunks.values()))
    for shard in shards.shards:
        of = written({**labels, "shard": shard})
        yield Figure(f"{OF_ROUTERS}shard_chunks_total", of, known.chunks(shard))
        for database, count in known.collections(shard).items():
            of = written({**labels, "shard": shard, "db": database})
            yield Figure("mongodb_mongos_db_collections_total", of, count)
    for kind, count in known.events(snapshot.recently).items():
        of = written({**labels, "event": kind})
        yield Figure(f"{OF_ROUTERS}changelog_10min_total", of, count)


def _losses(view: SetView, cluster: str) -> Iterator[Figure]:
    """What a set has, and what more it can lose: nobody else's dashboards have a name for it."""
    of = written({"cluster": cluster, "set": view.replica_set.name})
    yield Figure("shardstack_set_members", of, len(view.members))
    yield Figure("shardstack_set_members_in_service", of, view.in_service)
    yield Figure("shardstack_set_has_primary", of, view.primary is not None)
    yield Figure("shardstack_set_has_majority", of, view.survives >= 0)
    yield Figure("shardstack_set_survives_losses", of, max(0, view.survives))
    if view.elected is not None:
        yield Figure("shardstack_set_elected_timestamp_seconds", of, view.elected)


def _kept(kept: Kept, cluster: str) -> Iterator[Figure]:
    """The newest backup, and the newest run of each drill. A folder without backups: 0."""
    of = written({"cluster": cluster})
    if kept.backups is not None:
        taken = [one.taken.timestamp() for one in kept.backups]
        yield Figure("shardstack_backup_timestamp_seconds", of, max(taken, default=0))
    for run in {one.scenario: one for one in kept.runs}.values():
        about = {"cluster": cluster, "scenario": run.scenario, "verdict": run.says}
        seconds = run.began.timestamp()
        yield Figure("shardstack_drill_timestamp_seconds", written(about), seconds)
