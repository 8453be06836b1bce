"""How a plan and a stack look on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

import click

from deploy.account import Account
from deploy.layouts import Host, hosts
from deploy.plan import Change, Plan
from deploy.resources import Json
from deploy.stack import Stack

COLOURS = {"+": "green", "~": "yellow", "-": "red"}
MANY = 3
"""Droplets with the same drift that are still named one by one."""


def show_plan(plan: Plan, heading: str = "what stack.toml asks for") -> None:
    """The changes under the heading, drift in a section of its own, the notes, and the cost."""
    stack = plan.stack
    click.echo(f"stack {stack.name} ({stack.layout}, {stack.region}): {len(hosts(stack))} droplets")
    asked = [one for one in plan.changes if not one.drift]
    drift = [one for one in plan.changes if one.drift]
    if asked:
        click.echo(f"\n{heading}:")
        for one in asked:
            _line(one.action, f"{one.kind:<14} {one.name}", _detail(one), one.reason)
    if drift:
        click.echo("\ndrift, by somebody else since the last apply:")
        for key, group in groupby(sorted(drift, key=_alike), _alike):
            names = [one.name for one in group]
            told = ", ".join(names) if len(names) <= MANY else f"{names[0]} … {names[-1]}"
            many = f" ({len(names)} of them)" if len(names) > 1 else ""
            _line(key[0], f"{key[1]:<14} {told}{many}", key[2], key[3])
    for note in plan.notes:
        click.echo(f"\nnote: {note}.")
    click.echo(f"\n{summary(plan)}")


def _alike(one: Change) -> tuple[str, str, str, str]:
    """What drift of several droplets has in common, when it is told in one line."""
    return one.action, one.kind, _detail(one) if one.action == "~" else "", one.reason


def _line(action: str, what: str, detail: str, reason: str) -> None:
    mark = click.style(action, fg=COLOURS[action], bold=True)
    click.echo(f"  {mark} {what}{f'  {detail}' if detail else ''}  # {reason}")


def summary(plan: Plan) -> str:
    """How many changes, and the cost a month."""
    counts = [
        f"{len(plan.of(action))} to {verb}"
        for action, verb in (("+", "make"), ("~", "change"), ("-", "destroy"))
    ]
    now, then = plan.cost.now, plan.cost.then
    cost = f"It costs {then:.2f} USD a month" + (f", now {now:.2f}." if now != then else ".")
    return f"{', '.join(counts) if plan.changes else 'nothing to do'}. {cost}"


def _detail(one: Change) -> str:
    """What is told of a change beside its name."""
    if one.action == "~":
        return "; ".join(_differences(one.before or {}, one.after or {}))
    fields = one.after if one.action == "+" else one.before
    return ESSENCE[one.kind](fields or {}) if one.kind in ESSENCE else ""


ESSENCE: dict[str, Callable[[Json], str]] = {
    "vpc": lambda fields: f"{fields['range']} in {fields['region']}",
    "droplet": lambda fields: f"{fields['size']} in {fields['region']}",
    "volume": lambda fields: f"{fields['gib']} GiB for {fields['droplet'] or 'nobody'}",
    "certificate": lambda fields: f"for {', '.join(fields['domains'])}",
    "ssh_key": lambda fields: str(fields["fingerprint"]),
    "firewall": lambda fields: "; ".join(_rule(rule) for rule in fields["inbound"]),
    "load_balancer": lambda fields: ", ".join(
        f"{rule['entry']} to {rule['target']}" for rule in fields["rules"]
    ),
}
"""What is told of a resource that is made or destroyed."""


def _differences(before: Json, after: Json) -> Iterator[str]:
    for name, value in after.items():
        was = before[name]
        if name == "droplet":  # of a volume; that its name is another each time says nothing
            yield f"attached to {was or 'nobody'} → its droplet"
        elif isinstance(value, list) and isinstance(was, list):
            yield from (f"{name}: without {_rule(one)}" for one in was if one not in value)
            yield from (f"{name}: with {_rule(one)}" for one in value if one not in was)
        else:
            yield f"{name}: {was or 'none'} → {value}"


def _rule(one: Any) -> str:
    if not isinstance(one, dict):
        return str(one)
    if "peers" not in one:
        return ", ".join(str(value) for value in one.values() if value)
    ports = "" if one["ports"] == "0" else f" {one['ports']}"
    peers = "everywhere" if "0.0.0.0/0" in one["peers"] else ", ".join(one["peers"])
    return f"{one['protocol']}{ports} {peers}"


# ---- a stack -----------------------------------------------------------------------------------


def state_of(host: Host, account: Account) -> Json:
    """What there is to say of one droplet; `status` is "missing" without it."""
    one = account.found.get(("droplet", host.name))
    return {
        "name": host.name,
        "status": one.state if one else "missing",
        "public_address": one.addresses[0] if one else "",
        "private_address": one.addresses[1] if one else "",
        "size": one.fields["size"] if one else host.size,
        "groups": list(host.groups),
    }


def show_status(stack: Stack, account: Account, plan: Plan, holder: str) -> None:
    """The droplets, whether something is amiss, and who holds the lock."""
    click.echo(f"stack     {stack.name} ({stack.layout}, {stack.region}), https://{stack.domain}")
    click.echo(f"lock      {holder}")
    for host in hosts(stack):
        one = state_of(host, account)
        colour = "green" if one["status"] == "active" else "red"
        status = click.style(f"{one['status']:<8}", fg=colour)
        addresses = f"{one['public_address']:<15} {one['private_address']:<15}"
        click.echo(f"{status}  {one['name']:<28} {addresses} {one['size']}")
    click.echo()
    show_plan(plan)
