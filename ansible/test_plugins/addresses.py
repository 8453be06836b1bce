"""Whether an address belongs to networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network


def admitted_by(address: str, networks: Sequence[str]) -> bool:
    """Whether any of the networks (CIDR) holds the address."""
    found = ip_address(address)
    return any(found in ip_network(one, strict=False) for one in networks)


class TestModule:
    """As Ansible finds tests."""

    def tests(self) -> dict[str, Callable[..., bool]]:
        """The tests, by name."""
        return {"admitted_by": admitted_by}
