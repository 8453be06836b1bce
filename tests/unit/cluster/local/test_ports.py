"""Ports: free when chosen, remembered, and never silently shared with a stranger."""

from __future__ import annotations

import os
import socket

import pytest

import console.ports
from cluster.errors import NodeError
from cluster.local import boot
from cluster.local.state import Record
from cluster.model import topology


def _record(**changes: object) -> Record:
    return Record.new(topology.load(None, changes))


def test_automatic_ports_are_free_distinct_and_below_the_systems_own() -> None:
    record = _record()
    assert set(boot.assign_ports(record)) == set(record.node_names())
    chosen = list(record.ports.values())
    assert len(set(chosen)) == 11
    assert all(console.ports.is_free(port) for port in chosen)
    assert max(chosen) < int(console.ports.RANGE_FILE.read_text().split()[0])


def test_ports_stay_once_chosen() -> None:
    record = _record()
    boot.assign_ports(record)
    before = dict(record.ports)
    assert boot.assign_ports(record) == []
    assert record.ports == before


def test_a_first_port_numbers_the_routers_first() -> None:
    record = _record(ports=27017)
    boot.assign_ports(record)
    assert record.ports["router-1"] == 27017
    assert record.ports["router-2"] == 27018
    assert sorted(record.ports.values()) == list(range(27017, 27028))
    record.add_shard()
    boot.assign_ports(record)
    assert record.ports["shard-3-1"] == 27028


def test_taken_port_is_told_with_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        record = _record(ports=taken, shards=1, members=1, config_servers=1, routers=1)
        boot.assign_ports(record)
        with pytest.raises(NodeError) as fresh:
            boot.check_ports(record, ["router-1"], ["router-1"])
        with pytest.raises(NodeError) as old:
            boot.check_ports(record, ["router-1"], [])
    assert f"port {taken} of router-1 is taken by process {os.getpid()} (" in str(fresh.value)
    assert "choose other ports with --ports" in str(fresh.value)
    assert "--ports" not in str(old.value)
    boot.check_ports(record, ["router-1"], [])
