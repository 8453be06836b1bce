"""site.yml on fresh hosts: what it makes, that it changes nothing twice, what it refuses."""

from __future__ import annotations

import json

import pytest

from tests.helpers.people import sign_up, signs_in
from tests.hosts.hosts import Hosts

pytestmark = [pytest.mark.core, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def made(small: Hosts) -> Hosts:
    """The hosts after site.yml."""
    small.play("site")
    return small


def test_consumers_sign_up_over_https(made: Hosts) -> None:
    ca = made.ca()
    assert signs_in(made, ca, sign_up(made, ca))


def test_every_statement_about_a_production_cluster_holds(made: Hosts) -> None:
    found = json.loads(made.shell("demo-1", "shardstack check --json"))
    assert {one["statement"]: one["faults"] for one in found if one["faults"]} == {}
    assert len(found) == 11


def test_a_second_run_changes_nothing(made: Hosts) -> None:
    assert set(made.play("site").changed().values()) == {0}


def test_only_the_edge_answers_from_outside(made: Hosts) -> None:
    """A container of the public network, as anybody on the internet."""
    ports = {22, 80, 443, 8000, 27017, 27019, 27021, 27022}
    opened = {name: made.open_from_outside(name, ports) for name in ("demo-1", "demo-2")}
    assert opened == {"demo-1": {80, 443}, "demo-2": set()}


def test_prometheus_watches_over_all(made: Hosts) -> None:
    """That it sees its targets and has its rules is asserted by the checks of site.yml itself."""
    ask = "curl --silent --get http://127.0.0.1:9090/api/v1/query --data-urlencode query="
    found = json.loads(made.shell("demo-1", f"{ask}'count by (job) (up == 1)'"))
    jobs = {one["metric"]["job"]: one["value"][1] for one in found["data"]["result"]}
    assert jobs.keys() == {"cluster", "api", "hosts"}
    ends = f"{ask}'count(shardstack_certificate_expires_timestamp_seconds) > 0'"
    assert json.loads(made.shell("demo-1", ends))["data"]["result"]
    listening = made.shell("demo-1", "ss --listening --tcp --numeric --no-header 'sport = :9090'")
    assert "127.0.0.1:9090" in listening
    assert len(listening.splitlines()) == 1


def test_secrets_are_in_the_vault_only(made: Hosts) -> None:
    vault = made.folder / "demo.secrets"
    assert vault.read_text().startswith("$ANSIBLE_VAULT;")
    assert vault.stat().st_mode & 0o777 == 0o600
    passwords = json.loads(made.shell("demo-1", "cat /etc/shardstack/operator/users.json"))
    everything = "".join(file.read_text() for file in made.folder.glob("*.log"))
    assert not [user for user, password in passwords.items() if password in everything]
