"""What is in the account: what belongs to a stack, and what the stack needs to know beside it.

A droplet is ours by its name and its tag or network, a volume by its name and its tag or droplet,
everything else by its name, DNS records by the marker beside them. What is not is never touched.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from deploy.client import Client
from deploy.errors import AccountError, MissingError
from deploy.resources import KINDS, PRIVATE, Index, Json, Resource, host_of, read_record
from deploy.stack import Stack
from deploy.wanted import marker_host, marker_text, private_name

POINTING = ("A", "AAAA", "CNAME")
"""Records that decide where consumers go."""
HOST = re.compile(r"-(\d+|(config|shard-\d+|router|api|monitoring)-\d+)\Z")


class Size(msgspec.Struct, frozen=True):
    """A size of droplets, with its price in US dollars a month."""

    price: float
    regions: frozenset[str]


class Account(msgspec.Struct, kw_only=True):
    """The account, as one reading shows it.

    `index` has what is the stack's and all keys. `strays` are droplets that carry the stack's tag
    and are none of its. `zone` is the domain that the stack's name belongs in.
    """

    index: Index
    status: str
    droplet_limit: int
    droplets: int
    volume_limit: int | None
    volumes: int
    sizes: dict[str, Size]
    regions: set[str]
    images: set[str]
    zone: str
    zone_is_there: bool
    strays: list[Resource]

    @property
    def found(self) -> dict[tuple[str, str], Resource]:
        """What is the stack's, by kind and name."""
        return self.index.of

    def of(self, kind: str) -> list[Resource]:
        """What is the stack's of a kind."""
        return [one for one in self.index.of.values() if one.kind == kind]


def read_droplets(client: Client, stack: Stack) -> tuple[Index, list[Json], list[Resource]]:
    """The stack's network and droplets; also all droplets, and those that carry its tag wrongly."""
    index = Index()
    _add_named(client, stack, "vpc", index)
    droplets = client.all("droplets", "droplets")
    return index, droplets, _add_droplets(stack, droplets, index)


def read(client: Client, stack: Stack, *, strict: bool = True) -> Account:
    """Reads the account, with a number of requests that grows as its pages do.

    Raises AccountError where something that has a name of the stack's is not the stack's; DNS
    records of others are only left alone unless it is `strict`.
    """
    about = client.get("account")["account"]
    index, droplets, strays = read_droplets(client, stack)
    for kind in ("ssh_key", "tag"):
        _add_named(client, stack, kind, index)
    volumes = client.all("volumes", "volumes")
    _add_volumes(stack, volumes, index)
    for kind in ("certificate", "load_balancer", "firewall"):
        _add_named(client, stack, kind, index)
    zone, there = _zone(client, stack)
    if there:
        index.add(Resource(kind="domain", name=zone, id=zone, fields={}))
        add_records(client, stack, zone, index, strict=strict)
    return Account(
        index=index,
        status=about["status"],
        droplet_limit=about["droplet_limit"],
        droplets=len(droplets),
        volume_limit=about.get("volume_limit"),
        volumes=len(volumes),
        sizes={one["slug"]: _size(one) for one in client.all("sizes", "sizes")},
        regions={one["slug"] for one in client.all("regions", "regions") if one["available"]},
        images=_images(client),
        zone=zone,
        zone_is_there=there,
        strays=strays,
    )


def _size(one: Json) -> Size:
    return Size(one["price_monthly"], frozenset(one["regions"] if one["available"] else ()))


def _images(client: Client) -> set[str]:
    found = client.all("images", "images", type="distribution")
    return {one["slug"] for one in found if one.get("slug")}


def host_is_of(stack: Stack, name: str) -> bool:
    """Whether a droplet of the stack may be called so, in any layout and number."""
    return bool(name.startswith(f"{stack.name}-") and HOST.fullmatch(name[len(stack.name) :]))


def _is_named(stack: Stack, kind: str, name: str) -> bool:
    if kind == "ssh_key":
        return True  # keys of people may be anybody's
    return name in (stack.tag, stack.edge_tag)


def _add_named(client: Client, stack: Stack, kind: str, index: Index) -> None:
    """Adds what has no tag, and is known as the stack's by its name."""
    found = client.all(KINDS[kind].path, KINDS[kind].plural)
    if kind == "certificate":
        for one in found:
            index.call(kind, one["id"], one["name"])
    ours = [one for one in found if _is_named(stack, kind, one["name"])]
    if kind != "ssh_key":
        _refuse_twins(kind, [one["name"] for one in ours])
    for each in ours:
        index.add(KINDS[kind].read(each, index))


def _refuse_twins(kind: str, names: list[str]) -> None:
    twins = [name for name, count in Counter(names).items() if count > 1]
    if twins:
        raise AccountError(
            *(
                f"the account has more than one {kind} {name!r}, and we must not guess which is "
                "the stack's. Rename or destroy the other."
                for name in twins
            )
        )


def _add_droplets(stack: Stack, found: list[Json], index: Index) -> list[Resource]:
    """Adds the stack's droplets; returns others that carry the stack's tag."""
    vpc = index.of.get(("vpc", stack.tag))
    ours, strays = [], []
    for one in found:
        tagged = stack.tag in one["tags"]
        at_home = vpc is not None and one.get("vpc_uuid") == vpc.id
        if host_is_of(stack, one["name"]) and (tagged or at_home):
            ours.append(KINDS["droplet"].read(one, index))
        elif tagged:
            strays.append(KINDS["droplet"].read(one, index))
    _refuse_twins("droplet", [one.name for one in ours])
    for each in ours:
        index.add(each)
    return strays


def _add_volumes(stack: Stack, found: list[Json], index: Index) -> None:
    problems = []
    for one in found:
        name = one["name"]
        if one["region"]["slug"] != stack.region or not name.endswith("-data"):
            continue
        if not host_is_of(stack, name.removesuffix("-data")):
            continue
        volume = KINDS["volume"].read(one, index)
        if stack.tag in volume.fields["tags"] or ("droplet", volume.fields["droplet"]) in index.of:
            index.add(volume)
        else:
            problems.append(
                f"the volume {name} does not carry the tag {stack.tag}, so it is not the stack's, "
                "but has a name that the stack needs. Tag it to hand it over, or rename the stack."
            )
    if problems:
        raise AccountError(*problems)


def _zone(client: Client, stack: Stack) -> tuple[str, bool]:
    """The longest domain of the account that the stack's name is in, and whether there is one."""
    names = [one["name"] for one in client.all("domains", "domains")]
    above = [name for name in names if f".{stack.domain}".endswith(f".{name}")]
    return max(above, key=len, default=stack.domain), bool(above)


def add_records(
    client: Client, stack: Stack, zone: str, index: Index, *, strict: bool = True
) -> None:
    """The records of the stack's names. `strict`: AccountError where they are somebody else's."""
    try:
        # All of them: one request for each host would be a thousand.
        everything = client.all(f"domains/{zone}/records", KINDS["record"].plural)
    except MissingError:  # the zone has gone meanwhile
        everything = []
    marks = [
        read_record(zone, one, index)
        for one in everything
        if one["type"] == "TXT" and host_of(zone, one) == marker_host(stack)
    ]
    mine = [one for one in marks if one.fields["to"] == marker_text(stack)]
    others = [one for one in marks if one not in mine]
    pointing = list(_pointing(stack, zone, everything, index))
    if not mine and not strict:
        return
    if others:
        raise AccountError(
            f"{stack.domain} belongs to another stack ({others[0].fields['to']}). Choose another "
            f"domain, or delete the TXT record {marker_host(stack)}."
        )
    if pointing and not mine:
        raise AccountError(
            f"{pointing[0].fields['host']} already points to {pointing[0].fields['to']}, and the "
            "stack did not do that. Delete that record, or choose another domain."
        )
    for one in (*mine, *pointing):
        if one.key in index.of and index.of[one.key].id != one.id:
            # A second one for a host, which has one.
            name = f"{one.name} {one.fields['to']} {one.id}"
            index.add(msgspec.structs.replace(one, name=name))
        else:
            index.add(one)


def _pointing(stack: Stack, zone: str, everything: list[Json], index: Index) -> Iterator[Resource]:
    """The records that lead to the stack, and, to its hosts, inside its private network."""
    below = private_name(stack, "")
    for one in everything:
        host = host_of(zone, one)
        if one["type"] not in POINTING:
            continue
        if host == stack.domain:
            yield read_record(zone, one, index)
        elif host.endswith(below) and host_is_of(stack, host.removesuffix(below)):
            found = read_record(zone, one, index, PRIVATE)
            if found.fields["type"] == "A":
                found = msgspec.structs.replace(found, name=f"A {host}")
            yield found


def look_again(client: Client, stack: Stack, one: Resource, index: Index) -> Resource | None:
    """What is there now of a resource whose making or change had no answer."""
    if one.kind == "record":
        add_records(client, stack, one.fields["zone"], index)
        return index.of.get(one.key)
    kind = KINDS[one.kind]
    params: dict[str, Any] = {"name": one.name} if one.kind in ("droplet", "volume") else {}
    found = [kind.read(item, index) for item in client.all(kind.path, kind.plural, **params)]
    if one.kind == "ssh_key":
        prints = [it for it in found if it.fields["fingerprint"] == one.fields["fingerprint"]]
        return prints[0] if prints else None
    ours = [it for it in found if it.name == one.name and _is_ours(stack, it)]
    _refuse_twins(one.kind, [it.name for it in ours])
    return ours[0] if ours else None


def _is_ours(stack: Stack, one: Resource) -> bool:
    return one.kind not in ("droplet", "volume") or stack.tag in one.fields["tags"]
