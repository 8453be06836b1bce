"""The things that a stack consists of, in one form for what shall be and what is there.

A Resource speaks of others by their names and never by an id or an address, so that what shall be
can be told before anything is there, and compared with what is. Ids, and the forms in which
DigitalOcean wants and shows things, are known in this module alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

Json = dict[str, Any]

PRIVATE = "private:"
"""Before the name of a droplet: its private address, and not its public one."""


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One thing; `id` is "" for what is not there yet, and `addresses` are the public, the private.

    `state` is what DigitalOcean says of it (a droplet is new, active or off).
    """

    kind: str
    name: str
    fields: Json
    id: str = ""
    addresses: tuple[str, str] = ("", "")
    state: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What no two resources of a stack have in common."""
        return self.kind, self.name


class Index:
    """Resources by kind and name, and the names behind ids and addresses."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, str], Resource] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._hosts: dict[tuple[str, str], str] = {}

    def add(self, one: Resource) -> None:
        """Takes it in, in place of one of the same kind and name."""
        self.of[one.key] = one
        self.call(one.kind, one.id, one.name)
        public, private = one.addresses
        if public:
            self._hosts["", public] = one.name
        if private:
            self._hosts[PRIVATE, private] = f"{PRIVATE}{one.name}"

    def call(self, kind: str, id_: str, name: str) -> None:
        """From now on, the id stands for this name."""
        self._names[kind, id_] = name

    def name(self, kind: str, id_: Any) -> str:
        """The name behind an id, which is itself the name of what is not ours."""
        return self._names.get((kind, str(id_)), str(id_)) if id_ else ""

    def host(self, address: str, network: str = "") -> str:
        """The droplet or load balancer that has an address, or the address itself.

        With PRIVATE, the address is one of the private network.
        """
        return self._hosts.get((network, address), address)

    def id(self, kind: str, name: str) -> str:
        """The id of something that is there."""
        return self.of[kind, name].id

    def address(self, name: str) -> str:
        """The address of a droplet or load balancer that is there: public, unless PRIVATE."""
        private = name.startswith(PRIVATE)
        name = name.removeprefix(PRIVATE)
        return next(
            one.addresses[private]
            for kind in ("droplet", "load_balancer")
            if (one := self.of.get((kind, name)))
        )


class Kind(msgspec.Struct, frozen=True):
    """How DigitalOcean calls the things of a kind, and shows and takes them.

    `read` is given what DigitalOcean shows, `body` what shall be made or changed. `changeable` are
    the fields that can be changed by sending the whole (PUT).
    """

    path: str
    plural: str
    singular: str
    read: Callable[[Json, Index], Resource]
    body: Callable[[Resource, Index], Json]
    changeable: bool = False


# ---- one pair of functions for each kind -------------------------------------------------------


def _read_vpc(one: Json, _: Index) -> Resource:
    fields = {"region": one["region"], "range": one["ip_range"], "default": one.get("default")}
    return Resource(
        kind="vpc", name=one["name"], id=one["id"], fields=fields, state=one.get("description", "")
    )


def _vpc(one: Resource, _: Index) -> Json:
    return {
        "name": one.name,
        "region": one.fields["region"],
        "ip_range": one.fields["range"],
        "description": one.state,
    }


def _read_key(one: Json, _: Index) -> Resource:
    fields = {"fingerprint": one["fingerprint"], "public_key": one["public_key"]}
    return Resource(kind="ssh_key", name=one["name"], id=str(one["id"]), fields=fields)


def _key(one: Resource, _: Index) -> Json:
    return {"name": one.name, "public_key": one.fields["public_key"]}


def _read_tag(one: Json, _: Index) -> Resource:
    return Resource(kind="tag", name=one["name"], id=one["name"], fields={})


def _named(one: Resource, _: Index) -> Json:
    return {"name": one.name}


def _read_domain(one: Json, _: Index) -> Resource:
    return Resource(kind="domain", name=one["name"], id=one["name"], fields={})


def record(kind: str, zone: str, host: str, to: str, ttl: int) -> Resource:
    """A DNS record; `host` is a whole name, `to` a droplet, a load balancer or plain data.

    A name may have several. But only one leads to a private address (PRIVATE), and it is changed
    in place when that is another: members that look it up always find one.
    """
    return Resource(
        kind="record",
        name=f"{kind} {host}" if to.startswith(PRIVATE) else f"{kind} {host} {to}",
        fields={"zone": zone, "type": kind, "host": host, "to": to, "ttl": ttl},
    )


def host_of(zone: str, one: Json) -> str:
    """The whole name of a record as its zone lists it, where names are those below the zone."""
    return zone if one["name"] == "@" else f"{one['name']}.{zone}"


def read_record(zone: str, one: Json, index: Index, network: str = "") -> Resource:
    """A record as its zone lists it; with PRIVATE, it leads into the private network."""
    host = host_of(zone, one)
    found = record(one["type"], zone, host, index.host(one["data"], network), one["ttl"])
    return msgspec.structs.replace(found, id=str(one["id"]))


def _record(one: Resource, index: Index) -> Json:
    host, zone, kind = one.fields["host"], one.fields["zone"], one.fields["type"]
    return {
        "type": kind,
        "name": "@" if host == zone else host.removesuffix(f".{zone}"),
        "data": index.address(one.fields["to"]) if kind == "A" else one.fields["to"],
        "ttl": one.fields["ttl"],
        # The API describes these as required of a TXT record, which has neither.
        **({"flags": None, "tag": None} if kind == "TXT" else {}),
    }


def _read_certificate(one: Json, _: Index) -> Resource:
    fields = {"domains": sorted(one["dns_names"])}
    return Resource(
        kind="certificate", name=one["name"], id=one["id"], fields=fields, state=one["state"]
    )


def _certificate(one: Resource, _: Index) -> Json:
    return {"name": one.name, "type": "lets_encrypt", "dns_names": one.fields["domains"]}


def _read_balancer(one: Json, index: Index) -> Resource:
    rules = [
        {
            "entry": f"{rule['entry_protocol']} {rule['entry_port']}",
            "target": f"{rule['target_protocol']} {rule['target_port']}",
            "certificate": index.name("certificate", rule.get("certificate_id")),
        }
        for rule in one["forwarding_rules"]
    ]
    check = one["health_check"]
    return Resource(
        kind="load_balancer",
        name=one["name"],
        id=one["id"],
        addresses=(one.get("ip") or "", ""),
        state=one["status"],
        fields={
            "region": one["region"]["slug"],
            "vpc": index.name("vpc", one.get("vpc_uuid")),
            "tag": one.get("tag") or "",
            "rules": sorted(rules, key=lambda rule: rule["entry"]),
            "health_check": f"{check['protocol']} {check['port']} {check['path']}",
            "redirect_http": one["redirect_http_to_https"],
        },
    )


def _balancer(one: Resource, index: Index) -> Json:
    rules = []
    for rule in one.fields["rules"]:
        entry, entry_port = rule["entry"].split()
        target, target_port = rule["target"].split()
        certificate = rule["certificate"]
        rules.append(
            {
                "entry_protocol": entry,
                "entry_port": int(entry_port),
                "target_protocol": target,
                "target_port": int(target_port),
                **({"certificate_id": index.id("certificate", certificate)} if certificate else {}),
            }
        )
    protocol, port, path = one.fields["health_check"].split()
    return {
        "name": one.name,
        "region": one.fields["region"],
        "vpc_uuid": index.id("vpc", one.fields["vpc"]),
        "tag": one.fields["tag"],
        "forwarding_rules": rules,
        "health_check": {"protocol": protocol, "port": int(port), "path": path},
        "redirect_http_to_https": one.fields["redirect_http"],
    }


_PEERS = {
    "tags": "tag",
    "load_balancer_uids": "load_balancer",
    "droplet_ids": "droplet",
    "kubernetes_ids": "kubernetes",
}


def _read_rules(rules: list[Json] | None, side: str) -> list[Json]:
    return sorted(
        (
            {"protocol": rule["protocol"], "ports": rule["ports"], "peers": _read_peers(rule[side])}
            for rule in rules or []
        ),
        key=lambda rule: (rule["protocol"], rule["ports"], rule["peers"]),
    )


def _read_peers(found: Json) -> list[str]:
    peers = list(found.get("addresses") or [])
    for theirs, ours in _PEERS.items():
        peers += [f"{ours}:{one}" for one in found.get(theirs) or []]
    return sorted(peers)


def _read_firewall(one: Json, index: Index) -> Resource:
    inbound = _read_rules(one["inbound_rules"], "sources")
    for rule in inbound:
        rule["peers"] = sorted(
            f"{kind}:{index.name(kind, id_)}" if kind in _PEERS.values() else peer
            for peer in rule["peers"]
            for kind, _, id_ in [peer.partition(":")]
        )
    return Resource(
        kind="firewall",
        name=one["name"],
        id=one["id"],
        fields={
            "tags": sorted(one["tags"] or []),
            "droplets": sorted(index.name("droplet", id_) for id_ in one["droplet_ids"] or []),
            "inbound": inbound,
            "outbound": _read_rules(one["outbound_rules"], "destinations"),
        },
    )


def _firewall(one: Resource, index: Index) -> Json:
    return {
        "name": one.name,
        "tags": one.fields["tags"],
        "inbound_rules": [_rule(rule, "sources", index) for rule in one.fields["inbound"]],
        "outbound_rules": [_rule(rule, "destinations", index) for rule in one.fields["outbound"]],
    }


def _rule(rule: Json, side: str, index: Index) -> Json:
    peers: dict[str, list[str]] = {}
    for peer in rule["peers"]:
        kind, _, name = peer.partition(":")
        if kind == "tag":
            peers.setdefault("tags", []).append(name)
        elif kind == "load_balancer":
            peers.setdefault("load_balancer_uids", []).append(index.id(kind, name))
        else:
            peers.setdefault("addresses", []).append(peer)
    return {"protocol": rule["protocol"], "ports": rule["ports"], side: peers}


def _read_volume(one: Json, index: Index) -> Resource:
    attached = one.get("droplet_ids") or []
    return Resource(
        kind="volume",
        name=one["name"],
        id=one["id"],
        fields={
            "region": one["region"]["slug"],
            "gib": one["size_gigabytes"],
            "tags": sorted(one.get("tags") or []),
            "droplet": index.name("droplet", attached[0]) if attached else "",
        },
    )


def _volume(one: Resource, _: Index) -> Json:
    return {
        "name": one.name,
        "region": one.fields["region"],
        "size_gigabytes": one.fields["gib"],
        "tags": one.fields["tags"],
        "filesystem_type": "xfs",
        "filesystem_label": "data",
        "description": "A member's data of a MongoDB cluster.",
    }


def _read_droplet(one: Json, index: Index) -> Resource:
    addresses = {net["type"]: net["ip_address"] for net in one["networks"].get("v4") or []}
    return Resource(
        kind="droplet",
        name=one["name"],
        id=str(one["id"]),
        addresses=(addresses.get("public", ""), addresses.get("private", "")),
        state=one["status"],
        fields={
            "region": one["region"]["slug"],
            "size": one["size_slug"],
            "image": (one.get("image") or {}).get("slug") or "",
            "vpc": index.name("vpc", one.get("vpc_uuid")),
            "tags": sorted(one["tags"]),
        },
    )


def _droplet(one: Resource, index: Index) -> Json:
    fields = one.fields
    return {
        "name": one.name,
        "region": fields["region"],
        "size": fields["size"],
        "image": fields["image"],
        "vpc_uuid": index.id("vpc", fields["vpc"]),
        "tags": fields["tags"],
        "ssh_keys": fields["ssh_keys"],
        "volumes": [index.id("volume", fields["volume"])] if fields["volume"] else [],
    }


def _no_read(_: Json, __: Index) -> Resource:
    raise NotImplementedError("records are read zone by zone: read_record")


KINDS: Mapping[str, Kind] = {
    "vpc": Kind("vpcs", "vpcs", "vpc", _read_vpc, _vpc),
    "ssh_key": Kind("account/keys", "ssh_keys", "ssh_key", _read_key, _key),
    "tag": Kind("tags", "tags", "tag", _read_tag, _named),
    "domain": Kind("domains", "domains", "domain", _read_domain, _named),
    "certificate": Kind(
        "certificates", "certificates", "certificate", _read_certificate, _certificate
    ),
    "load_balancer": Kind(
        "load_balancers",
        "load_balancers",
        "load_balancer",
        _read_balancer,
        _balancer,
        changeable=True,
    ),
    "firewall": Kind(
        "firewalls", "firewalls", "firewall", _read_firewall, _firewall, changeable=True
    ),
    "volume": Kind("volumes", "volumes", "volume", _read_volume, _volume),
    "droplet": Kind("droplets", "droplets", "droplet", _read_droplet, _droplet),
    "record": Kind(
        "domains", "domain_records", "domain_record", _no_read, _record, changeable=True
    ),
}
"""All kinds, in the order in which they are made; they are destroyed in the opposite one.

Firewalls come before droplets, which are therefore never open.
"""


def path_of(one: Resource) -> str:
    """Where the things of its kind are listed and made."""
    if one.kind == "record":
        return f"domains/{one.fields['zone']}/records"
    return KINDS[one.kind].path
