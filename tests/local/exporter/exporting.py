"""Exporters of a cluster, as processes of their own, and what they tell."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from cluster.local.cluster import LocalCluster
from cluster.servers.waiting import Waiter
from tests.local.cluster.small import command


class Exporter:
    """A running exporter."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        told = process.stdout.readline()
        self.url = told.rpartition(" at ")[2].strip()
        assert self.url.startswith("http://127.0.0.1:"), told

    def get(self, path: str) -> str:
        answer = requests.get(self.url + path, timeout=20)
        answer.raise_for_status()
        return answer.text

    def picture(self) -> dict[str, Any]:
        return dict(json.loads(self.get("/status.json")))

    def samples(self) -> dict[str, list[Sample]]:
        """By name. Each is there once, and says which cluster it is about."""
        families = list(text_string_to_metric_families(self.get("/metrics")))
        names = [one.name for one in families]
        assert len(names) == len(set(names)), "all figures of a name are together"
        found = [sample for one in families for sample in one.samples]
        assert all(one.labels["cluster"] == "shardstack" for one in found)
        once = {(one.name, *sorted(one.labels.items())) for one in found}
        assert len(once) == len(found)
        by_name: dict[str, list[Sample]] = {}
        for one in found:
            by_name.setdefault(one.name, []).append(one)
        return by_name

    def value(self, name: str, **labels: str) -> float:
        [one] = [s for s in self.samples()[name] if labels.items() <= s.labels.items()]
        return float(one.value)


@contextlib.contextmanager
def exporting(local: LocalCluster) -> Iterator[Exporter]:
    """An exporter of a cluster; backups and drills are in two folders of its state folder."""
    kept = [f"--{name}={local.state.folder / name}" for name in ("backups", "drills")]
    process = subprocess.Popen(
        command(local, "exporter", "--port", "0", *kept), stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield Exporter(process)
        finally:
            process.terminate()
        assert process.wait(20) == 0


def until(holds: Callable[[], bool], explain: Callable[[], str]) -> None:
    """Wait until it holds."""
    Waiter(90).until(lambda: holds() or None, explain)
