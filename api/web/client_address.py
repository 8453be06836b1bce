"""The address a request comes from, for throttling, sessions, the audit trail and log lines.

`X-Forwarded-For` is whatever its sender wrote, so it counts only as far as trusted proxies wrote
it: the list is walked from the right, where each proxy adds the peer it saw, over the trusted
ones, to the first that is not. Everything left of it is hearsay.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from flask import Flask, g, request

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def install(app: Flask, trusted: tuple[Network, ...]) -> None:
    """Find it for each request, and whether the peer is a trusted proxy; see `client_address`."""

    @lru_cache(maxsize=1024)
    def is_trusted(text: str) -> bool:
        return belongs(parse(text), trusted)

    @app.before_request
    def find() -> None:
        peer = request.remote_addr or ""
        g.client_address = peer
        g.peer_is_trusted = bool(trusted) and is_trusted(peer)
        if g.peer_is_trusted:
            forwarded = request.headers.getlist("X-Forwarded-For")
            g.client_address = walk(peer, ",".join(forwarded), trusted)


def client_address() -> str:
    """The current request's; empty when the server does not know its peer."""
    found: str = g.get("client_address", "")
    return found


def walk(peer: str, forwarded: str, trusted: tuple[Network, ...]) -> str:
    """The client's address behind a trusted peer; the peer's own when the list is junk."""
    found = peer
    for text in reversed([part.strip() for part in forwarded.split(",") if part.strip()]):
        address = parse(text)
        if address is None:
            return peer
        found = str(address)
        if not belongs(address, trusted):
            break
    return found


def belongs(address: Address | None, networks: tuple[Network, ...]) -> bool:
    """Whether any of the networks holds the address."""
    return address is not None and any(address in network for network in networks)


def parse(text: str) -> Address | None:
    """An address as proxies write it: `1.2.3.4`, `1.2.3.4:5`, `2001:db8::1`, `[2001:db8::1]:5`."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # One client, one address: not a second one by way of IPv6, nor one per interface name.
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def block(text: str) -> str:
    """What to count by: an IPv4 address; of IPv6 the /64, which one customer has to himself."""
    address = parse(text)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), 64), strict=False))
    return text if address is None else str(address)
