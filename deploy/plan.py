"""What has to be done so that the account is as stack.toml says: what is there, and what shall be.

    +   is made            ~   is changed            -   is destroyed

A change is drift when the last `apply` had left it as it shall be: somebody else has changed it
since. Volumes are never destroyed by a plan, and droplets keep their size and image.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from pathlib import Path
from typing import Literal

import msgspec

from deploy import applied, losses
from deploy.account import Account
from deploy.client import MORE
from deploy.errors import AccountError, ChangedError, DeployError
from deploy.layouts import EDGE, hosts
from deploy.resources import KINDS, PRIVATE, Json, Resource
from deploy.stack import Stack
from deploy.wanted import keys, wanted

VERSION = 1
"""Of the form of a plan in JSON; it grows when a field changes its meaning or goes."""
VOLUME_PRICE = 0.10
"""US dollars a GiB and month, and below a load balancer's: https://www.digitalocean.com/pricing.
The API has prices of droplets only."""
BALANCER_PRICE = 12.0

MOST_EDGES = 5  # with a certificate each: https://letsencrypt.org/docs/rate-limits/
UNKNOWN = ("ssh_key",)
"""Of these nobody remembers what the last `apply` had been asked for: nothing is called drift."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one resource.

    `before` and `after` have the fields that differ, or all of what is made or destroyed. They
    name other resources by their names.
    """

    action: Literal["+", "~", "-"]
    kind: str
    name: str
    reason: str
    drift: bool
    before: Json | None = None
    after: Json | None = None

    @property
    def key(self) -> tuple[str, str]:
        """The resource that it is about."""
        return self.kind, self.name


class Cost(msgspec.Struct, frozen=True):
    """US dollars a month: of what is there, and of what is there once the plan is done."""

    now: float
    then: float


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All changes in the order in which they are made.

    As JSON it is what `plan --json` prints and `plan --out` writes: an object of these fields, with
    those of Change and Cost. `stack` has every setting of stack.toml, `notes` are what needs
    somebody, and no `apply` will do. `removed_shards` must be drained before it is applied.
    """

    version: int = VERSION
    stack: Stack
    zone: str
    changes: list[Change]
    notes: list[str]
    cost: Cost
    removed_shards: list[str] = []

    def of(self, action: str) -> list[Change]:
        """The changes of one kind."""
        return [one for one in self.changes if one.action == action]

    def refuse_undrained(self, drained: Collection[str]) -> None:
        """Raises UndrainedError for data that may be lost; `drained` are shards without any."""
        losses.refuse_undrained(self.stack, _lost(self.changes), self.removed_shards, drained)


def make_plan(stack: Stack, account: Account, base: Path = Path()) -> Plan:
    """Compares. `base` is the folder of stack.toml, where files of keys are looked for.

    Raises AccountError or StackError with a line for each thing that stands against it.
    """
    people = keys(stack, account.of("ssh_key"), base)
    shall = {one.key: one for one in wanted(stack, account.zone, people)}
    if account.zone_is_there:
        shall.pop(("domain", account.zone), None)  # it may have been there before the stack
    vpc = account.found.get(("vpc", stack.tag))
    changed = applied.recall(vpc.state, stack) if vpc else None
    then: dict[tuple[str, str], Resource] = {}
    if changed is not None:
        before = applied.stack_then(stack, changed)
        then = {one.key: one for one in wanted(before, account.zone, people)}
    _refuse_contradictions(shall, account, changed or {})
    because = ", ".join(
        f"{name} {'changed' if name == 'admin_addresses' else f'{was} → {is_}'}"
        for name, (was, is_) in (changed or {}).items()
    )
    changes = [
        *_made_and_changed(shall, account, then, because),
        *_destroyed(stack, shall, account, then, because),
    ]
    _refuse_impossible(stack, changes, account)
    shards = int(changed["shards"][0]) if changed and "shards" in changed else stack.shards
    removed = losses.removed_shards(stack, _lost(changes), shards)
    return Plan(
        stack=stack,
        zone=account.zone,
        changes=changes,
        notes=[*losses.notes(stack, _lost(changes), removed), *_notes(stack, shall, account)],
        cost=_cost(account, _remaining(shall, account)),
        removed_shards=removed,
    )


# ---- the comparison ----------------------------------------------------------------------------

Resources = dict[tuple[str, str], Resource]


def differences(shall: Resource, there: Resource) -> tuple[Json, Json]:
    """The fields that differ and that `apply` changes: as they are, and as they shall be."""
    names = {
        "droplet": ("tags",),
        "volume": ("gib", "tags", "droplet"),
        "record": ("ttl", "to"),
        "ssh_key": (),
    }.get(shall.kind, tuple(shall.fields))
    differ = []
    for name in names:
        want, have = shall.fields[name], there.fields[name]
        if name == "tags" and shall.kind != "firewall":
            want = sorted({*want, *have})  # others of somebody's are no harm
        if want != have:
            differ.append((name, have, want))
    return {name: have for name, have, _ in differ}, {name: want for name, _, want in differ}


def _made_and_changed(
    shall: Resources, account: Account, then: Resources, because: str
) -> list[Change]:
    changes = []
    for key, one in shall.items():
        there = account.found.get(key)
        # Applied before, and the same was asked for: then it is somebody else who changed it.
        drift = key in then and then[key].fields == one.fields and one.kind not in UNKNOWN
        if there is None:
            reason = "it is gone" if drift else because or "it is not there yet"
            change = Change(
                action="+",
                kind=one.kind,
                name=one.name,
                after=one.fields,
                drift=drift,
                reason=reason,
            )
            changes.append(change)
            continue
        before, after = differences(one, there)
        if after:
            reason = "it was changed" if drift else because or "it is not as in stack.toml"
            if "to" in after:
                reason = f"{after['to'].removeprefix(PRIVATE)} has another address"
            change = Change(
                action="~",
                kind=one.kind,
                name=one.name,
                before=before,
                after=after,
                drift=drift,
                reason=reason,
            )
            changes.append(change)
    return changes


def _destroyed(
    stack: Stack, shall: Resources, account: Account, then: Resources, because: str
) -> list[Change]:
    order = list(KINDS)
    surplus = [
        one
        for key, one in account.found.items()
        if key not in shall
        and one.kind not in ("volume", "domain")
        and (one.kind != "ssh_key" or one.name.startswith(f"{stack.tag}: "))
    ]
    return [
        Change(
            action="-",
            kind=one.kind,
            name=one.name,
            before=one.fields,
            drift=bool(then) and one.key not in then and one.kind not in UNKNOWN,
            reason=(because if one.key in then else "") or "it is not in stack.toml",
        )
        for one in sorted(surplus, key=lambda one: -order.index(one.kind))
    ]


def _lost(changes: list[Change]) -> list[str]:
    """The droplets that are destroyed."""
    return [one.name for one in changes if (one.action, one.kind) == ("-", "droplet")]


def make_destruction(stack: Stack, account: Account, with_data: bool) -> Plan:
    """Destroys what is the stack's: all of it, or all but the volumes and the tag that marks them.

    DNS records go before their marker, and what others need goes after them. Zones stay: they cost
    nothing, and may hold records of others.
    """
    order = list(KINDS)
    kept = {"domain"} if with_data or not account.of("volume") else {"domain", "volume", "tag"}
    doomed = [
        one
        for one in reversed(account.found.values())
        if one.kind not in kept
        and not one.fields.get("default")
        and (one.kind != "ssh_key" or one.name.startswith(f"{stack.tag}: "))
    ]
    changes = [
        Change(
            action="-",
            kind=one.kind,
            name=one.name,
            before=one.fields,
            drift=False,
            reason="it is the stack's",
        )
        for one in sorted(doomed, key=lambda one: -order.index(one.kind))
    ]
    left = [one for one in account.found.values() if one.kind in kept]
    volumes = [one.name for one in left if one.kind == "volume"]
    notes = []
    if volumes:
        notes.append(
            f"the volumes {', '.join(volumes)} stay with their data; --with-data destroys them, too"
        )
    if any(one.fields.get("default") for one in account.of("vpc")):
        notes.append(
            f"the VPC {stack.tag} stays: it is the default one of {stack.region}, which "
            "DigitalOcean never deletes"
        )
    return Plan(
        stack=stack,
        zone=account.zone,
        changes=changes,
        notes=notes,
        cost=_cost(account, left),
    )


# ---- what stands against it --------------------------------------------------------------------


def _refuse_contradictions(
    shall: Resources, account: Account, changed: dict[str, tuple[str, str]]
) -> None:
    """What cannot be changed any more."""
    problems = [
        f"{name} cannot be changed: the stack was made with another. Set it back, or make a stack "
        "of another name."
        for name in applied.FIXED
        if name in changed
    ]
    for key, one in shall.items():
        there = account.found.get(key)
        if not there:
            continue
        for name in ("region", "range", "vpc", "domains"):
            want, have = one.fields.get(name), there.fields.get(name)
            if one.kind != "load_balancer" and want != have:
                problems.append(
                    f"the {one.kind} {one.name} has the {name} {have}, stack.toml wants {want}. "
                    "That cannot be changed. Set it back, or make a stack of another name."
                )
        if one.kind == "volume":
            if there.fields["gib"] > one.fields["gib"]:
                problems.append(
                    f"the volume {one.name} has {there.fields['gib']} GiB, and cannot shrink to "
                    f"{one.fields['gib']}. Set its size back in stack.toml."
                )
            if there.fields["droplet"] not in ("", one.fields["droplet"]):
                problems.append(
                    f"the volume {one.name} is attached to the droplet {there.fields['droplet']}, "
                    "which is not the stack's. Detach it first."
                )
    if problems:
        raise AccountError(*problems)


def _refuse_impossible(stack: Stack, changes: list[Change], account: Account) -> None:
    """What DigitalOcean would refuse half-way."""
    problems = []
    made = [one for one in changes if one.action == "+"]
    droplets = [one for one in made if one.kind == "droplet"]
    volumes = [one for one in made if one.kind == "volume"]
    if account.status == "locked":
        problems.append("the account is locked. See https://cloud.digitalocean.com/account")
    if made and stack.region not in account.regions:
        problems.append(
            f"there is no region {stack.region!r} now. Set region to one of: "
            f"{', '.join(sorted(account.regions))}"
        )
    elif droplets:
        problems += _unknown_sizes(stack, droplets, account)
    if droplets and stack.image not in account.images:
        ubuntu = sorted(slug for slug in account.images if slug.startswith("ubuntu"))
        problems.append(
            f"there is no image {stack.image!r}. Set image to one such as: {', '.join(ubuntu)}"
        )
    for kind, more, there, limit in (
        ("droplets", droplets, account.droplets, account.droplet_limit),
        ("volumes", volumes, account.volumes, account.volume_limit),
    ):
        if limit is not None and more and there + len(more) > limit:
            problems.append(
                f"the account may have {limit} {kind}, has {there} and needs {len(more)} more. "
                f"{MORE}"
            )
    if problems:
        raise AccountError(*problems)


def _unknown_sizes(stack: Stack, droplets: list[Change], account: Account) -> list[str]:
    used = {(one.after or {})["size"] for one in droplets}
    here = {slug: one for slug, one in account.sizes.items() if stack.region in one.regions}
    some = sorted(here, key=lambda slug: here[slug].price)[:12]
    return [
        f"there is no size {slug!r} in {stack.region} now. The smallest are: {', '.join(some)}"
        for slug in sorted(used - set(here))
    ]


def _notes(stack: Stack, shall: Resources, account: Account) -> list[str]:
    notes = []
    for key, one in shall.items():
        there = account.found.get(key)
        if one.kind != "droplet" or not there:
            continue
        if there.fields["size"] != one.fields["size"]:
            notes.append(
                f"{one.name} has the size {there.fields['size']}, stack.toml says "
                f"{one.fields['size']}. apply leaves it: resize it in DigitalOcean's panel, one "
                "droplet at a time, or have recover.yml replace it"
            )
        if there.state == "off":
            notes.append(f"{one.name} is switched off. Switch it on in DigitalOcean's panel")
    left = [o.name for key, o in account.found.items() if o.kind == "volume" and key not in shall]
    if left:
        notes.append(
            f"left over, with their data: the volumes {', '.join(sorted(left))}. "
            "`destroy --with-data` destroys them with the stack"
        )
    if account.strays:
        notes.append(
            f"the tag {stack.tag} is also on {', '.join(one.name for one in account.strays)}, "
            "which the firewall lets in therefore, and which is none of the stack's. Untag it"
        )
    if not account.zone_is_there:
        notes.append(
            f"{stack.domain} is to be delegated to ns1.digitalocean.com, ns2.digitalocean.com and "
            "ns3.digitalocean.com, where its parent domain is kept"
        )
    if any(ipaddress.ip_network(one).prefixlen == 0 for one in stack.admin_addresses):
        notes.append("admin_addresses lets the whole world try to log in by ssh")
    edge = sum(EDGE in host.groups for host in hosts(stack))
    if stack.edge == "acme" and edge > MOST_EDGES:
        notes.append(
            f"{edge} edge nodes would each ask for a certificate by ACME, and Let's Encrypt gives "
            f"{MOST_EDGES} for one name in a week. Set edge to load_balancer, or have fewer"
        )
    return notes


def _remaining(shall: Resources, account: Account) -> list[Resource]:
    """What there is after the plan: droplets keep their size, and no volume is destroyed."""
    there = account.found
    left = [one for key, one in there.items() if one.kind == "volume" and key not in shall]
    return left + [
        there[key] if key[0] == "droplet" and key in there else shall[key] for key in shall
    ]


def _cost(account: Account, then: list[Resource]) -> Cost:
    def price(one: Resource) -> float:
        if one.kind == "droplet":
            size = account.sizes.get(one.fields["size"])
            return size.price if size else 0.0
        if one.kind == "volume":
            return float(one.fields["gib"]) * VOLUME_PRICE
        return BALANCER_PRICE if one.kind == "load_balancer" else 0.0

    return Cost(round(sum(map(price, account.found.values())), 2), round(sum(map(price, then)), 2))


# ---- plans in files ----------------------------------------------------------------------------


def load_plan(file: Path) -> Plan:
    """A plan that `plan --out` wrote."""
    try:
        plan = msgspec.json.decode(file.read_bytes(), type=Plan)
    except OSError as error:
        raise DeployError(f"{file} cannot be read ({error.strerror}). Name a plan.") from None
    except msgspec.DecodeError as error:
        raise DeployError(f"{file} is no plan: {error}. Make one: plan --out FILE") from None
    if plan.version != VERSION:
        raise DeployError(
            f"{file} is a plan of version {plan.version}, and this program makes {VERSION}. "
            "Make it anew: plan --out FILE"
        )
    return plan


def refuse_changed(shown: Plan, now: Plan) -> None:
    """Raises ChangedError unless all that is to be done now was shown.

    Less is fine: an `apply` of the same plan may have been interrupted.
    """
    by_key = {one.key: one for one in shown.changes}
    for one in now.changes:
        was = by_key.get(one.key)
        if not was or not _is_rest_of(was, one):
            raise ChangedError(
                "the account is no longer what the plan was made for: now there is also "
                f"{one.action} {one.kind} {one.name} ({one.reason}). Make a new plan, and read it."
            )


def _is_rest_of(shown: Change, now: Change) -> bool:
    """Whether a change is the one that was shown, or what an interruption left of it."""
    if (shown.action, now.action) == ("+", "~"):
        after = shown.after or {}
        return all(after.get(name) == value for name, value in (now.after or {}).items())
    return (shown.action, shown.before, shown.after) == (now.action, now.before, now.after)
