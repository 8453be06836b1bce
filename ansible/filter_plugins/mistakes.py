"""What is wrong with an inventory, one line for each mistake, each with what to do."""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

SIZES = (1, 3, 5, 7)  # an even number of voters survives no more losses than one less
NEEDED = {
    "stack_name": "a short name of the stack",
    "stack_domain": "the name that consumers use",
    "stack_private_network": "the network among the hosts, as 10.10.0.0/20",
    "stack_admin_addresses": "from where SSH comes, as [203.0.113.7/32]",
}
EDGE = ("api", "edge")
MOST_EDGES = 5  # with a certificate each: https://letsencrypt.org/docs/rate-limits/


def stack_mistakes(
    groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Any], given: Mapping[str, Any]
) -> list[str]:
    """The lines; none when all is well. `given`: the variables of NEEDED that are set."""
    lines = [
        f"{name} is not set: {what}. Set it in the inventory, for all hosts."
        for name, what in NEEDED.items()
        if given.get(name) in (None, "", [])
    ]
    if given.get("stack_certificates") == "acme" and not given.get("stack_acme_email"):
        lines.append(
            "stack_acme_email is not set, and stack_certificates is acme: certificates by ACME "
            "want an address of yours. For an authority of Caddy's own, which nobody trusts yet, "
            "set stack_certificates to internal."
        )
    sets = {name: groups[name] for name in groups if re.fullmatch(r"shard_[1-9]\d*", name)}
    if given.get("stack_certificates") == "acme" and len(groups.get("edge", ())) > MOST_EDGES:
        lines.append(
            f"the group edge has {len(groups['edge'])} hosts, and stack_certificates is acme: each "
            f"wants a certificate of its own, and Let's Encrypt gives {MOST_EDGES} for one name in "
            f"a week. Leave {MOST_EDGES} hosts in edge, or put a load balancer in front "
            "(stack_certificates: load_balancer)."
        )
    lines += _groups(groups, sets)
    lines += _members({"config": groups.get("config", ()), **sets})
    lines += _addresses(groups.get("all", ()), hostvars, given.get("stack_private_network"))
    return lines


def stack_dns_mistake(
    groups: Mapping[str, Sequence[str]],
    hostvars: Mapping[str, Any],
    domain: str,
    resolve: Callable[[str], set[str]] | None = None,
) -> str:
    """Why the domain does not lead to the edge, where a certificate authority looks; "" if it does.

    `resolve` gives a name's addresses, none for a name that has none; this machine's, by default.
    """
    resolve = resolve or _addresses_of
    hosts = {name: hostvars[name].get("ansible_host", name) for name in groups["edge"]}
    wanted = set().union(*(resolve(address) for address in hosts.values()))
    found = resolve(domain)
    there = ", ".join(f"{name} ({address})" for name, address in hosts.items())
    if not found:
        return (
            f"{domain} has no address, so no certificate can be had for it. Make an A record to "
            f"{there}. If its zone is at DigitalOcean, its registrar must name "
            "ns1.digitalocean.com, ns2.digitalocean.com and ns3.digitalocean.com. It takes a while "
            "until all know."
        )
    if not found <= wanted:
        return (
            f"{domain} leads to {', '.join(sorted(found - wanted))}, and the edge is {there}, so "
            "no certificate can be had. Correct its A record; it takes a while until all know."
        )
    return ""


def _addresses_of(name: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(name, 443, socket.AF_INET)}
    except socket.gaierror:
        return set()


def _groups(
    groups: Mapping[str, Sequence[str]], shards: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    for name in ("config", "routers", *EDGE):
        if not groups.get(name):
            yield f"the group {name} has no host. Name its hosts in the inventory."
    numbers = sorted(int(name.rpartition("_")[2]) for name, hosts in shards.items() if hosts)
    if numbers != list(range(1, len(numbers) + 1)) or not numbers:
        there = ", ".join(f"shard_{number}" for number in numbers) or "none"
        yield f"the groups of shards must be shard_1, shard_2, … without a gap. There are: {there}."
    if len(groups.get("routers", ())) == 1 and len(groups.get("all", ())) > 1:
        yield "there is one router, and without it there is no service. Name two hosts or more."


def _members(sets: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for name, hosts in sets.items():
        if hosts and len(hosts) not in SIZES:
            yield (
                f"the group {name} has {len(hosts)} hosts. A replica set has 1, 3, 5 or 7: an even "
                "number survives the loss of no more members than one less."
            )
    sizes = {name: len(hosts) for name, hosts in sets.items() if name != "config" and hosts}
    if len(set(sizes.values())) > 1:
        each = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        yield f"all shards must have the same number of members, and {each}."


def _addresses(
    hosts: Sequence[str], hostvars: Mapping[str, Any], network: str | None
) -> Iterator[str]:
    found: dict[str, str] = {}
    for host in hosts:
        address = hostvars[host].get("private_address")
        if not address:
            yield f"{host} has no private_address: its address in stack_private_network."
            continue
        found[host] = address
        if network and ip_address(address) not in ip_network(network, strict=False):
            yield f"{host} has the private_address {address}, which is not in {network}."
        if "." not in hostvars[host].get("private_name", ""):
            yield (
                f"{host} has no private_name: the DNS name of {address}, as "
                f"{host}.internal.example.com. Members know one another by names."
            )
    for address, count in Counter(found.values()).items():
        if count > 1:
            both = " and ".join(host for host in found if found[host] == address)
            yield (
                f"{both} have the same private_address, {address}: two members of one set would be "
                "lost together. Give each a host of its own."
            )


class FilterModule:
    """As Ansible finds filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters, by name."""
        return {"stack_mistakes": stack_mistakes, "stack_dns_mistake": stack_dns_mistake}
