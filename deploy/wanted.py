"""What a stack shall consist of: its description, as resources."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from deploy.errors import StackError
from deploy.layouts import EDGE, Host, hosts
from deploy.resources import PRIVATE, Json, Resource, record
from deploy.stack import Stack

EVERYWHERE = ["0.0.0.0/0", "::/0"]
TTL = 300
"""Seconds for which a consumer may remember an address."""


def marker_host(stack: Stack) -> str:
    """Where a TXT record says that the records of the domain are the stack's."""
    return f"_shardstack.{stack.domain}"


def marker_text(stack: Stack) -> str:
    """What it says."""
    return f"shardstack={stack.name}"


def private_name(stack: Stack, host: str) -> str:
    """By which the members know a host; the servers' certificate is for `*.internal.DOMAIN`."""
    return f"{host}.internal.{stack.domain}"


def wanted(stack: Stack, zone: str, keys: list[Resource]) -> list[Resource]:
    """All resources of a stack, in the order in which they are made.

    `zone` is the domain of the account that its name is in; `keys` are those that may log in.
    """
    balanced = stack.edge == "load_balancer"
    return [
        _vpc(stack),
        *keys,
        *(Resource(kind="tag", name=name, fields={}) for name in (stack.tag, stack.edge_tag)),
        *([Resource(kind="domain", name=zone, fields={})] if zone == stack.domain else []),
        *(_balancing(stack) if balanced else []),
        *_firewalls(stack, balanced),
        *_droplets(stack, keys),
        *_records(stack, zone, balanced),
    ]


def _vpc(stack: Stack) -> Resource:
    fields = {"region": stack.region, "range": stack.vpc_range}
    return Resource(kind="vpc", name=stack.tag, fields=fields)


def _balancing(stack: Stack) -> Iterator[Resource]:
    """The load balancer ends TLS; what it passes on stays in the private network."""
    yield Resource(kind="certificate", name=stack.tag, fields={"domains": [stack.domain]})
    yield Resource(
        kind="load_balancer",
        name=stack.tag,
        fields={
            "region": stack.region,
            "vpc": stack.tag,
            "tag": stack.edge_tag,
            "rules": [
                {"entry": "http 80", "target": "http 80", "certificate": ""},
                {"entry": "https 443", "target": "http 80", "certificate": stack.tag},
            ],
            "health_check": "http 80 /healthz",
            "redirect_http": True,
        },
    )


def _firewalls(stack: Stack, balanced: bool) -> Iterator[Resource]:
    """What may come in; DigitalOcean's firewalls refuse all else, in the private network, too."""
    peers = [f"tag:{stack.tag}"]
    yield _firewall(
        stack.tag,
        [
            _rule("icmp", "0", peers),
            _rule("tcp", "0", peers),
            _rule("tcp", "22", sorted(set(stack.admin_addresses))),
        ],
        [_rule(protocol, "0", EVERYWHERE) for protocol in ("icmp", "tcp", "udp")],
    )
    if balanced:
        doors = [_rule("tcp", "80", [f"load_balancer:{stack.tag}"])]
    else:
        doors = [
            _rule("tcp", "443", EVERYWHERE),
            _rule("tcp", "80", EVERYWHERE),
            _rule("udp", "443", EVERYWHERE),  # HTTP/3
        ]
    yield _firewall(stack.edge_tag, doors, [])


def _rule(protocol: str, ports: str, peers: list[str]) -> Json:
    return {"protocol": protocol, "ports": ports, "peers": peers}


def _firewall(tag: str, inbound: list[Json], outbound: list[Json]) -> Resource:
    fields = {"tags": [tag], "droplets": [], "inbound": inbound, "outbound": outbound}
    return Resource(kind="firewall", name=tag, fields=fields)


def volume_name(host: Host) -> str:
    """What the volume of a host is called."""
    return f"{host.name}-data" if host.volume_gib else ""


def _droplets(stack: Stack, keys: list[Resource]) -> Iterator[Resource]:
    all_hosts = hosts(stack)
    for host in all_hosts:
        if host.volume_gib:
            yield Resource(
                kind="volume",
                name=volume_name(host),
                fields={
                    "region": stack.region,
                    "gib": host.volume_gib,
                    "tags": [stack.tag],
                    "droplet": host.name,
                },
            )
    for host in all_hosts:
        yield Resource(
            kind="droplet",
            name=host.name,
            fields={
                "region": stack.region,
                "size": host.size,
                "image": stack.image,
                "vpc": stack.tag,
                "tags": [stack.tag, *([stack.edge_tag] if EDGE in host.groups else [])],
                "ssh_keys": [key.fields["fingerprint"] for key in keys],
                "volume": volume_name(host),
            },
        )


def _records(stack: Stack, zone: str, balanced: bool) -> Iterator[Resource]:
    """The marker comes first: without it, the others would be taken for somebody else's."""
    yield record("TXT", zone, marker_host(stack), marker_text(stack), TTL)
    edge = [host.name for host in hosts(stack) if EDGE in host.groups]
    for target in [stack.tag] if balanced else edge:
        yield record("A", zone, stack.domain, target, TTL)
    for host in hosts(stack):
        yield record("A", zone, private_name(stack, host.name), f"{PRIVATE}{host.name}", TTL)


# ---- keys of people ----------------------------------------------------------------------------


def keys(stack: Stack, there: list[Resource], base: Path) -> list[Resource]:
    """The keys that may log in: those of the account, and those that are to be uploaded.

    `base` is the folder of stack.toml. Raises StackError with one line per mistake.
    """
    by_print = {one.fields["fingerprint"]: one for one in there}
    by_name = {one.name: one for one in there}
    found: dict[str, Resource] = {}
    problems = []
    for text in stack.ssh_keys:
        file = base / Path(text).expanduser()
        one = by_name.get(text) or by_print.get(text)
        if not one and file.is_file():
            one = _read(file, f"{stack.tag}: {file.stem}")
            one = by_print.get(one.fields["fingerprint"], one) if one else None
            if not one:
                problems.append(f"ssh_keys: {file} holds no public key. Name the .pub file.")
        elif not one:
            problems.append(
                f"ssh_keys: {text!r} is neither a file here nor a key of the account. Make a key: "
                "ssh-keygen -t ed25519"
            )
        if one:
            found[one.fields["fingerprint"]] = one
    if problems:
        raise StackError(*problems)
    return list(found.values())


def _read(file: Path, name: str) -> Resource | None:
    try:
        words = file.read_text(encoding="ascii").split()
        blob = base64.b64decode(words[1], validate=True)
    except (OSError, UnicodeDecodeError, IndexError, binascii.Error):
        return None
    if not words[0].startswith(("ssh-", "ecdsa-", "sk-")):
        return None
    one = key(name, " ".join(words[:2]), blob)
    # Files in two folders may have one name.
    return msgspec.structs.replace(one, name=f"{name} {one.fields['fingerprint'][:11]}")


def key(name: str, public_key: str, blob: bytes) -> Resource:
    """A key, with the fingerprint that DigitalOcean shows of it."""
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    fingerprint = ":".join(digest[n : n + 2] for n in range(0, 32, 2))
    fields = {"fingerprint": fingerprint, "public_key": public_key}
    return Resource(kind="ssh_key", name=name, fields=fields)
