"""Names of containers mean their addresses, in this process and for the drill's time."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import cast

import pytest

from cluster.drill.targets.containers import Containers
from cluster.drill.targets.names import Names


@dataclass
class Found:
    """What is asked of a container."""

    service: str
    addresses: dict[str, str]


@dataclass
class Engine:
    """Containers as they are now."""

    found: list[Found] = field(default_factory=list)
    asked: int = 0

    def all(self) -> dict[str, Found]:
        self.asked += 1
        return {one.service: one for one in self.found}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(socket, "getaddrinfo", socket.getaddrinfo)  # put back afterwards
    return Engine([Found("shard-1-1", {"cluster": "10.9.8.7", "edge": "10.0.0.1"})])


def addresses(name: str) -> set[str]:
    return {str(one[4][0]) for one in socket.getaddrinfo(name, 27018, type=socket.SOCK_STREAM)}


def test_a_name_is_looked_up_again_once_it_may_have_changed(engine: Engine) -> None:
    names = Names(cast("Containers", engine), "cluster")
    names.serve()
    assert addresses("shard-1-1") == addresses("shard-1-1") == {"10.9.8.7"}
    assert engine.asked == 1
    engine.found = [Found("shard-1-1", {"cluster": "10.9.8.8"})]
    names.forget()
    assert addresses("shard-1-1") == {"10.9.8.8"}


def test_one_that_does_not_run_has_no_address(engine: Engine) -> None:
    engine.found.append(Found("shard-1-2", {"cluster": ""}))
    Names(cast("Containers", engine), "cluster").serve()
    with pytest.raises(socket.gaierror, match="shard-1-2 does not run"):
        socket.create_connection(("shard-1-2", 27018))


def test_other_names_mean_what_they_did(engine: Engine) -> None:
    before = addresses("localhost")
    Names(cast("Containers", engine), "cluster").serve()
    assert addresses("localhost") == before
    assert addresses("127.0.0.1") == {"127.0.0.1"}
