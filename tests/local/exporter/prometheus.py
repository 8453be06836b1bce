"""A real Prometheus with our own configuration, which reads an exporter and an API of the test."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.helpers.api import free_port

ROOT = Path(__file__).parents[3]
CONFIGURATION = ROOT / "deploy/monitoring/prometheus.yml"
RULES = ROOT / "cluster/exporter/alerts.yml"


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/api/v1"

    def ask(self, path: str, **parameters: str) -> Any:
        """What it answers; None while it starts, or for a question that it refuses."""
        try:
            answer = requests.get(f"{self.url}/{path}", params=parameters, timeout=20)
        except requests.ConnectionError:
            return None
        return answer.json()["data"] if answer.ok else None

    def query(self, text: str) -> list[Any]:
        """The series of a query."""
        found = self.ask("query", query=text)
        return [] if found is None else list(found["result"])

    def firing(self) -> set[str]:
        """The alerts that fire."""
        found = self.ask("alerts")
        alerts = [] if found is None else found["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}


def configured(exporter: str, api: str, token: Path) -> str:
    """The configuration of deploy/monitoring, quick, with these targets ("host:port", or "")."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    for is_so, shall_be in {
        '"exporter:9216"': f'"{exporter}"',
        '"api-1:8000", "api-2:8000"': f'"{api}"' if api else "",
        "/run/shardstack/monitoring/metrics.token": str(token),
        "/etc/prometheus/alerts.yml": str(RULES),
        "scrape_interval: 15s": "scrape_interval: 3s",
        "evaluation_interval: 5s": "evaluation_interval: 1s",
    }.items():
        assert text.count(is_so) == 1, is_so
        text = text.replace(is_so, shall_be)
    return text


@contextlib.contextmanager
def prometheus_on(
    folder: Path, exporter: str, api: str = "", token: str = ""
) -> Iterator[Prometheus]:
    """A Prometheus that reads the exporter and the API at these URLs."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("there is no prometheus (apt-get install prometheus)")
    folder.mkdir()
    (folder / "token").write_text(token)
    targets = (url.removeprefix("http://") for url in (exporter, api))
    (folder / "prometheus.yml").write_text(configured(*targets, folder / "token"))
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield Prometheus(port)
    finally:
        process.terminate()
        process.wait(30)
