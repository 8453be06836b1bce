"""What proxies say of a request: the client's address, and a name by which a repetition is
recognised.

The address is for throttling, sessions, the audit trail and log lines. `X-Forwarded-For` is
whatever its sender wrote, so it counts only as far as trusted proxies wrote it: the list is walked
from the right, where each proxy adds the peer it saw, over the trusted ones, to the first that is
not. Everything left of it is hearsay.

A proxy that loses a replica in the middle of a request sends that request to another one. It names
each request it gets by a fresh UUID in `X-Proxy-Request`, and both tries carry the same. So a
second request with the name of an earlier one says that the proxy has given the earlier one up, and
that nobody has its answer. Only a proxy that replaces whatever its client sent under this name can
say so; from any other peer than the trusted ones (`trusted_proxies`) the header means nothing.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from flask import Flask, g, request

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

REQUEST_NAME = "HTTP_X_PROXY_REQUEST"  # as WSGI names the header
ACCEPTABLE = re.compile(r"[A-Za-z0-9-]{16,64}").fullmatch


def install(app: Flask, trusted: tuple[Network, ...]) -> None:
    """Find it for each request behind a trusted proxy; of others it is the peer's (requests.py)."""
    if not trusted:
        return

    @lru_cache(maxsize=1024)
    def is_trusted(text: str) -> bool:
        return belongs(parse(text), trusted)

    @app.before_request
    def find() -> None:
        peer = request.remote_addr or ""
        g.client_address = peer
        g.peer_is_trusted = is_trusted(peer)
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


def request_name() -> str | None:
    """The name that a trusted proxy gave this request."""
    if not g.get("peer_is_trusted"):
        return None
    given: str = request.environ.get(REQUEST_NAME, "")
    return given if ACCEPTABLE(given) else None
