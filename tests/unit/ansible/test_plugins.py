"""What the playbooks make of an inventory: its nodes, and its mistakes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ANSIBLE = Path(__file__).parents[3] / "ansible"


def plugin(name: str) -> ModuleType:
    """A plugin's module, which Ansible finds by its folder."""
    spec = importlib.util.spec_from_file_location(Path(name).stem, ANSIBLE / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


nodes = plugin("filter_plugins/nodes")
mistakes = plugin("filter_plugins/mistakes")
addresses = plugin("test_plugins/addresses")

GIVEN = {
    "stack_name": "demo",
    "stack_domain": "api.example.com",
    "stack_certificates": "acme",
    "stack_acme_email": "ops@example.com",
    "stack_private_network": "10.0.0.0/24",
    "stack_admin_addresses": ["203.0.113.7/32"],
}
THREE = ["a", "b", "c"]


def inventory(**groups: list[str]) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Groups of three hosts each, unless given otherwise, and the hosts' variables."""
    names = ("config", "shard_1", "shard_2", "routers", "api", "edge")
    found = {name: list(THREE) for name in names} | {"edge": ["a"]} | groups
    found["all"] = sorted({host for group in found.values() for host in group})
    hosts = {
        host: {"private_address": f"10.0.0.{number}", "private_name": f"{host}.in.example.com"}
        for number, host in enumerate(found["all"], 1)
    }
    return found, hosts


def test_each_host_of_a_group_runs_one_node() -> None:
    groups, hosts = inventory(shard_2=["d", "e", "f"], routers=["a", "b"])
    found = nodes.stack_nodes(groups, hosts)
    assert [node["name"] for node in found if node["on"] == "b"] == [
        "config-2", "shard-1-2", "router-2",
    ]  # fmt: skip
    by_name = {node["name"]: node for node in found}
    assert by_name["shard-2-3"] == {
        "name": "shard-2-3",
        "kind": "shard",
        "set": "shard-2",
        "host": "f.in.example.com",
        "port": 27022,
        "on": "f",
    }


def test_members_of_several_shards_on_one_host_have_ports_of_their_own() -> None:
    found = nodes.stack_nodes(*inventory())
    places = [(node["host"], node["port"]) for node in found]
    assert len(set(places)) == len(places) == 12


def test_shards_are_in_the_order_of_their_numbers() -> None:
    groups = {
        "shard_10": ["a"],
        "shard_2": ["b"],
        "shard_1": ["c"],
        "shard_x": ["d"],
        "shard_3": [],
    }
    assert nodes.shard_groups(groups) == ["shard_1", "shard_2", "shard_10"]


def test_a_good_inventory_has_no_mistakes() -> None:
    assert mistakes.stack_mistakes(*inventory(), GIVEN) == []


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ({"config": []}, "the group config has no host"),
        ({"config": ["a", "b"]}, "the group config has 2 hosts. A replica set has 1, 3, 5 or 7"),
        ({"shard_2": ["a", "b", "c", "d"]}, "the group shard_2 has 4 hosts"),
        ({"shard_2": ["a"]}, "same number of members, and shard_1 has 3, shard_2 has 1"),
        ({"shard_1": []}, "must be shard_1, shard_2, … without a gap. There are: shard_2"),
        ({"routers": ["a"]}, "there is one router"),
        ({"edge": []}, "the group edge has no host"),
    ],
)
def test_mistakes_in_groups(groups: dict[str, list[str]], told: str) -> None:
    found = mistakes.stack_mistakes(*inventory(**groups), GIVEN)
    assert any(told in line for line in found)


@pytest.mark.parametrize("name", ["stack_name", "stack_domain", "stack_admin_addresses"])
def test_what_is_not_set_is_told(name: str) -> None:
    [line] = mistakes.stack_mistakes(*inventory(), GIVEN | {name: None})
    assert line.startswith(f"{name} is not set")


def test_certificates_by_acme_are_had_for_five_edge_hosts() -> None:
    assert mistakes.stack_mistakes(*inventory(edge=list("abcde")), GIVEN) == []
    six = inventory(edge=list("abcdef"))
    [line] = mistakes.stack_mistakes(*six, GIVEN)
    assert line.startswith("the group edge has 6 hosts, and stack_certificates is acme")
    balanced = GIVEN | {"stack_certificates": "load_balancer"}
    assert mistakes.stack_mistakes(*six, balanced) == []


def test_certificates_want_an_address() -> None:
    [line] = mistakes.stack_mistakes(*inventory(), GIVEN | {"stack_acme_email": ""})
    assert line.startswith("stack_acme_email is not set")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"private_address": "10.0.0.1"}, "a and b have the same private_address, 10.0.0.1"),
        ({"private_address": "10.9.0.2"}, "which is not in 10.0.0.0/24"),
        ({"private_address": ""}, "b has no private_address"),
        ({"private_name": "b"}, "b has no private_name"),
    ],
)
def test_mistakes_in_addresses(change: dict[str, str], told: str) -> None:
    groups, hosts = inventory()
    hosts["b"] |= change
    [line] = mistakes.stack_mistakes(groups, hosts, GIVEN)
    assert told in line


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ({}, "api.example.com has no address, so no certificate"),
        ({"api.example.com": {"10.9.9.9"}}, "leads to 10.9.9.9, and the edge is a (10.0.0.1)"),
        ({"api.example.com": {"10.0.0.1"}}, ""),
    ],
)
def test_the_domain_must_lead_to_the_edge(known: dict[str, set[str]], told: str) -> None:
    groups, hosts = inventory()
    hosts["a"]["ansible_host"] = "10.0.0.1"
    known = known | {"10.0.0.1": {"10.0.0.1"}}
    found = mistakes.stack_dns_mistake(
        groups, hosts, "api.example.com", lambda name: known.get(name, set())
    )
    assert told in found
    assert bool(found) == bool(told)


def test_addresses_are_admitted_by_their_networks() -> None:
    assert addresses.admitted_by("203.0.113.7", ["10.0.0.0/8", "203.0.113.7/32"])
    assert not addresses.admitted_by("203.0.113.8", ["203.0.113.7/32"])
    assert addresses.admitted_by("2001:db8::1", ["2001:db8::/32"])
