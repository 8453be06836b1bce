"""A person with a stack.toml and a token, for tests against the stand-in for DigitalOcean."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from deploy.access import Access
from deploy.account import Account, read
from deploy.apply import apply, destroy
from deploy.client import Client, Clock
from deploy.plan import Plan, make_destruction, make_plan
from deploy.stack import Stack, as_toml, make
from tests.helpers.digitalocean import DigitalOcean

PUBLIC_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJnZ2Fq0V1r8T8Y0mZ9n7nYqz9wF0qg6uYwz1m4bq3aB ops@example"
)
DEFAULTS: dict[str, Any] = {
    "name": "shop",
    "domain": "api.example.com",
    "acme_email": "ops@example.com",
    "admin_addresses": ["192.0.2.0/24"],
    "ssh_keys": ["ops.pub"],
}


def stack(**changes: Any) -> Stack:
    """A stack of three droplets, or another."""
    return make({**DEFAULTS, **changes}, "stack.toml")


def write_stack(folder: Path, **changes: Any) -> Path:
    """The same as a file, with the key beside it."""
    (folder / "ops.pub").write_text(PUBLIC_KEY)
    file = folder / "stack.toml"
    file.write_text(as_toml({**DEFAULTS, **changes}))
    return file


class QuickClock(Clock):
    """Time that passes when somebody waits, and only then."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.longest = 0.0

    def now(self) -> float:
        """What has been waited for."""
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Moves on."""
        self.seconds += seconds
        self.longest = max(self.longest, seconds)


class Operator:
    """Who plans and applies; `lines` is what was told meanwhile."""

    def __init__(self, fake: DigitalOcean, base: Path, wanted: Stack | None = None) -> None:
        (base / "ops.pub").write_text(PUBLIC_KEY)
        self.stack = wanted or stack()
        self.base = base
        self.lines: list[str] = []
        self.clock = QuickClock()
        self.client = Client(Access(fake.token, fake.url), self.lines.append, self.clock)

    def wants(self, **changes: Any) -> Operator:
        """From now on, another stack."""
        self.stack = stack(**changes)
        return self

    def account(self) -> Account:
        """What is there."""
        return read(self.client, self.stack)

    def plan(self) -> Plan:
        """What is to be done."""
        return make_plan(self.stack, self.account(), self.base)

    def apply(self, shown: Plan | None = None, drained: Collection[str] = ()) -> None:
        """Does it."""
        apply(self.client, shown or self.plan(), self.base, drained)

    def destruction(self, *, with_data: bool = False) -> Plan:
        """What would be destroyed."""
        return make_destruction(self.stack, read(self.client, self.stack, strict=False), with_data)

    def destroy(self, *, with_data: bool = False) -> None:
        """Destroys the stack."""
        shown = self.destruction(with_data=with_data)
        destroy(self.client, shown, with_data)


def apply_once(token: str, url: str, base: Path, wants: dict[str, Any]) -> None:
    """An apply, for a process that may be killed."""
    fake = DigitalOcean()
    fake.token, fake.url = token, url
    Operator(fake, base, stack(**wants)).apply()


def destroy_once(token: str, url: str, base: Path, wants: dict[str, Any]) -> None:
    """The same of a destroy with all data."""
    fake = DigitalOcean()
    fake.token, fake.url = token, url
    Operator(fake, base, stack(**wants)).destroy(with_data=True)


def notes(plan: Plan) -> list[str]:
    """What needs somebody, but for what is known of all stacks with several edge nodes and ACME."""
    return [one for one in plan.notes if "would each ask for a certificate by ACME" not in one]


def changes(plan: Plan) -> list[str]:
    """`+ droplet shop-1` and so on."""
    return [f"{one.action} {one.kind} {one.name}" for one in plan.changes]


def leading(fake: DigitalOcean, host: str, zone: str = "api.example.com") -> list[str]:
    """The addresses that a name leads to."""
    short = "@" if host == zone else host.removesuffix(f".{zone}")
    records = fake.records[zone]
    return [one["data"] for one in records if (one["type"], one["name"]) == ("A", short)]


def addresses(fake: DigitalOcean, kind: str) -> dict[str, str]:
    """The public or private address of each droplet."""
    return {
        one["name"]: net["ip_address"]
        for one in fake.of("droplets")
        for net in one["networks"]["v4"]
        if net["type"] == kind
    }


def census(fake: DigitalOcean) -> dict[str, list[str]]:
    """The names of all there is, of each kind."""
    kinds = ("vpcs", "tags", "droplets", "volumes", "firewalls", "load_balancers", "certificates")
    found = {kind: sorted(one["name"] for one in fake.of(kind)) for kind in (*kinds, "ssh_keys")}
    found["records"] = sorted(
        f"{one['type']} {one['name']} {one['data']}"
        for zone in fake.records.values()
        for one in zone
    )
    return found
