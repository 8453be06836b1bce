"""The profile `monitoring`: it comes up, Prometheus sees every target, and alerts fire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.compose.stack import SERVERS, Stack, docker, free_port, fresh, until

OURS = ("exporter", "prometheus")
FIRING = "http://127.0.0.1:9090/api/v1"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack with what can be had of the profile."""
    settings = {"COMPOSE_PROFILES": "monitoring", "SHARDSTACK_GRAFANA_PORT": str(free_port())}
    with fresh("shardstack-monitoring", settings=settings) as made:
        made.up(*SERVERS, *OURS, *grafana(made), timeout=400)
        yield made


def grafana(stack: Stack) -> tuple[str, ...]:
    """The service, where its image is here or can be pulled; it has no stand-in."""
    done = stack.attempt("pull", "--quiet", "--policy", "missing", "grafana", timeout=400)
    return () if done.returncode else ("grafana",)


def asked(stack: Stack, path: str) -> Any:
    """What Prometheus answers, asked in its container: nobody reaches it from here."""
    command = ("exec", "-T", "prometheus", "wget", "-q", "-O", "-", f"{FIRING}/{path}")
    done = stack.attempt(*command)
    return json.loads(done.stdout)["data"] if done.returncode == 0 else None


def firing(stack: Stack) -> set[tuple[str, str]]:
    """Alerts that fire, each with the set it is about."""
    found = asked(stack, "alerts") or {"alerts": []}
    return {
        (one["labels"]["alertname"], one["labels"].get("set", ""))
        for one in found["alerts"]
        if one["state"] == "firing"
    }


def test_every_target_is_up(stack: Stack) -> None:
    def health() -> dict[str, str]:
        found = asked(stack, "targets?state=active") or {"activeTargets": []}
        return {one["labels"]["instance"]: one["health"] for one in found["activeTargets"]}

    wanted = dict.fromkeys(("exporter:9216", "api-1:8000", "api-2:8000"), "up")
    until(lambda: health() == wanted, 120, lambda: f"{asked(stack, 'targets')}")


def test_it_listens_in_its_networks_only(stack: Stack) -> None:
    for service in OURS:
        ports = stack.inspect(service)["NetworkSettings"]["Ports"] or {}
        assert not any(ports.values()), service


def test_each_has_its_own_secrets_only(stack: Stack) -> None:
    mounted = {
        (name, one["Destination"]): one["RW"]
        for name in OURS
        for one in stack.inspect(name)["Mounts"]
        if not one["Destination"].startswith("/etc/")
    }
    assert mounted == {
        ("exporter", "/run/shardstack/key"): False,
        ("exporter", "/backup"): False,
        ("exporter", "/drills"): False,
        ("prometheus", "/run/shardstack/monitoring"): False,
        ("prometheus", "/prometheus"): True,
    }


def test_grafana_lets_in_who_has_the_password(stack: Stack) -> None:
    if not grafana(stack):
        pytest.skip("grafana/grafana cannot be pulled here, and has no stand-in")
    url = f"http://127.0.0.1:{stack.settings['SHARDSTACK_GRAFANA_PORT']}/api"
    assert requests.get(f"{url}/search", timeout=20, auth=("admin", "admin")).status_code == 401
    mine = ("admin", stack.secret("monitoring/grafana"))
    found = requests.get(f"{url}/search", timeout=20, auth=mine).json()
    assert {"shardstack-cluster", "shardstack-api"} <= {one.get("uid") for one in found}


def test_alerts_fire_when_their_cause_is_made(stack: Stack) -> None:
    """Two of three members of a shard are gone: it has no primary, and members are missing."""
    lost = ("shard-2-1", "shard-2-2")
    for name in lost:
        docker("kill", stack.container(name))  # after which Docker lets it be
    wanted = {(alert, "shard-2") for alert in ("SetWithoutPrimary", "MemberMissing")}
    until(lambda: wanted <= firing(stack), 240, lambda: f"only these fire: {firing(stack)}")
    for name in lost:
        docker("start", stack.container(name))
    until(lambda: not wanted & firing(stack), 240, lambda: f"still firing: {firing(stack)}")
