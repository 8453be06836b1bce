"""What follows from a snapshot: figures of our own, and the picture."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from cluster.exporter.holdings import Held
from cluster.exporter.kept import Backup, Kept, Run
from cluster.exporter.metrics import metrics
from cluster.exporter.picture import picture
from cluster.exporter.snapshot import Snapshot
from cluster.exporter.timeline import Timeline
from tests.unit.cluster.exporter.snapshots import AT, member, missing, snapshot


def ours(of: Snapshot) -> dict[str, float]:
    """By name and its own labels."""
    found = re.findall(r"^(shardstack_\w+){(.*)} (\S+)$", metrics(of, "c"), re.MULTILINE)
    own = {"scenario", "verdict", "service_name"}
    return {
        " ".join(
            [name, *(value for key, value in re.findall(r'(\w+)="(.*?)"', labels) if key in own)]
        ): float(number)
        for name, labels, number in found
    }


def test_the_age_of_backups_and_the_end_of_certificates() -> None:
    ends = datetime.fromtimestamp(AT + 86400, UTC).replace(tzinfo=None)  # as the driver gives it
    shows = member("shard-1-1", security={"SSLServerCertificateExpirationDate": ends})
    taken = datetime.fromtimestamp(AT - 100, UTC)
    run = Run(taken, "primary-killed", "A primary is killed", "local", 1, "MISSED", "1")
    figures = ours(snapshot(shows, member("shard-1-2"), kept=Kept((Backup(taken),), (run,))))
    name = "shardstack_certificate_expires_timestamp_seconds"
    assert figures[f"{name} shard-1-1"] == AT + 86400
    assert f"{name} shard-1-2" not in figures
    assert figures["shardstack_backup_timestamp_seconds"] == AT - 100
    assert figures["shardstack_drill_timestamp_seconds primary-killed MISSED"] == AT - 100


def test_no_backup_is_not_the_same_as_no_folder_of_backups() -> None:
    name = "shardstack_backup_timestamp_seconds"
    assert name not in ours(snapshot(member("shard-1-1"), kept=Kept(None)))
    assert ours(snapshot(member("shard-1-1"), kept=Kept(())))[name] == 0


def test_members_tell_what_waits_and_what_they_store() -> None:
    queues = {"currentQueue": {"total": 3, "readers": 2, "writers": 1}}
    held = (
        Held("dbstats", {"database": "local"}, {"totalSize": 4096.0}),
        Held("dbstats", {"database": "a"}, {"totalSize": 8192.0}),
        Held("top", {}, {}),
    )
    knows = replace(member("shard-1-1", elected=AT - 9, globalLock=queues), held=held)
    of = Timeline().add(snapshot(knows, member("shard-1-2"), missing("shard-1-3"), changes=None))
    [shard] = picture(of)["sets"]
    first, second, third = shard["members"]
    assert (first["storage_bytes"], first["queues"]) == (12288, {"readers": 2, "writers": 1})
    assert (second["storage_bytes"], second["queues"]) == (None, None)
    assert (third["storage_bytes"], third["up"]) == (None, False)
    assert shard["elected_at"] == AT - 9
    assert [one["kind"] for one in picture(of)["timeline"]] == ["election", "down"]
    assert picture(of)["timeline"][0]["set"] == "shard-1"
