"""`python -m deploy`: the droplets of a stack, and what they need around them.

Commands import what they need when they run: `--help` and mistakes answer without the library.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from console import files
from console.errors import NOT_RUNNING
from console.terminal import Commands, Stopwatch, ask, python, run
from deploy.access import access
from deploy.errors import DeployError, StackError
from deploy.stack import FILE, SETTINGS, Stack, as_toml, load

if TYPE_CHECKING:
    from deploy.client import Client

CHANGES = 2
"""What `plan` ends with when there is something to do."""

JSON = click.option("--json", "as_json", is_flag=True, help="For scripts.")


def stack_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--stack FILE, which every command takes."""
    return click.option(
        "--stack",
        "file",
        type=click.Path(path_type=Path),
        default=FILE,
        envvar="SHARDSTACK_STACK",
        show_default=True,
        metavar="FILE",
        help="The file that describes the stack (or SHARDSTACK_STACK).",
    )(command)


def _client(stack: Stack, base: Path, watch: Stopwatch) -> Client:
    given = access(os.environ, stack.token_file, base)
    try:
        from deploy.client import Client  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        raise DeployError(
            f"there is no {error.name} here. Install what droplets need: pip install '.[deploy]'"
        ) from None

    return Client(given, watch.say)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: python -m deploy init --domain api.example.com && python -m deploy plan",
)
def main() -> None:
    """A stack on DigitalOcean: droplets, volumes, network, firewalls, DNS, load balancer.

    One file, stack.toml, says what there shall be; `plan` compares it with the account, and `apply`
    makes it so. What runs on the droplets is the playbooks' part; `inventory` tells them where.

    \b
    Environment variables:
      DIGITALOCEAN_ACCESS_TOKEN       the API token
      DIGITALOCEAN_ACCESS_TOKEN_FILE  or a file of mode 0600 that has it
      DIGITALOCEAN_END_POINT          another address of the API: https, or of this machine
      SHARDSTACK_STACK                the file, where --stack is not given
    """


def _flags(command: Callable[..., None]) -> Callable[..., None]:
    """The settings that `init` may be given."""
    for name in ("edge", "acme_email", "domain", "layout", "region", "name"):
        flag = f"--{name.replace('_', '-')}"
        command = click.option(flag, name, help=f"{SETTINGS[name].give}.")(command)
    for flag, name in (("--admin-address", "admin_addresses"), ("--ssh-key", "ssh_keys")):
        command = click.option(
            flag, name, multiple=True, help=f"{name} in the file; may be repeated."
        )(command)
    return command


@main.command(
    epilog="Example: python -m deploy init --domain api.example.com "
    "--edge load_balancer --admin-address 203.0.113.7/32"
)
@stack_option
@_flags
def init(file: Path, **flags: Any) -> None:
    """Write a stack.toml that explains every setting."""
    values = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in flags.items()
        if value
    }
    problems = [
        f"{name} is {value!r}. {complaint}"
        for name, value in values.items()
        if (complaint := SETTINGS[name].complaint(value))
    ]
    if problems:
        raise StackError(*problems)
    if file.exists():
        raise StackError(f"{file} is there already. Edit it, or name another with --stack.")
    files.write(file, as_toml(values), 0o644)
    click.echo(f"wrote {file}.")
    try:
        load(file)
    except StackError as error:
        click.echo("Before there can be a plan:")
        for line in error.lines:
            click.echo(f"  {line}")
    click.echo(f"Then: {python()} -m deploy plan")


@main.command(epilog="Example: python -m deploy plan --out monday.json")
@stack_option
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write it for apply.")
@JSON
def plan(file: Path, out: Path | None, as_json: bool) -> None:
    """Show what `apply` would make, change and destroy, why, and what it costs a month.

    Exit 0 when there is nothing to do, 2 when there is, 1 when that cannot be told.
    """
    stack = load(file)
    client = _client(stack, file.parent, Stopwatch(to_errors=True))
    from deploy.account import read  # noqa: PLC0415
    from deploy.plan import make_plan  # noqa: PLC0415
    from deploy.show import show_plan  # noqa: PLC0415

    made = make_plan(stack, read(client, stack), file.parent)
    text = msgspec.json.format(msgspec.json.encode(made)).decode() + "\n"
    if out:
        files.write(out, text)
    if as_json:
        click.echo(text, nl=False)
    else:
        show_plan(made)
    sys.exit(CHANGES if made.changes else 0)


@main.command(epilog="Example: python -m deploy apply monday.json")
@stack_option
@click.argument("plan_file", required=False, metavar="[PLAN]", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--drained",
    multiple=True,
    metavar="SHARD",
    help="A shard that remove-shard.yml has taken out, such as shard-3; may be repeated.",
)
def apply(file: Path, plan_file: Path | None, yes: bool, drained: tuple[str, ...]) -> None:
    """Make the account as stack.toml says, or do exactly what the PLAN shows.

    Shows the plan and asks, unless it is given one. Run it at any moment, and again after an
    interruption: it goes on from there. It refuses when the account has changed since the plan.
    """
    from deploy.plan import load_plan  # noqa: PLC0415

    shown = load_plan(plan_file) if plan_file else None
    stack = shown.stack if shown else load(file)
    watch = Stopwatch()
    client = _client(stack, file.parent, watch)
    from deploy import apply as work  # noqa: PLC0415
    from deploy.account import read  # noqa: PLC0415
    from deploy.plan import make_plan  # noqa: PLC0415
    from deploy.show import show_plan  # noqa: PLC0415

    if not shown:
        shown = make_plan(stack, read(client, stack), file.parent)
        show_plan(shown)
        shown.refuse_undrained(drained)
        if shown.changes and not yes:
            counts = f"{len(shown.changes)} changes are about to be made."
            ask(counts, "nothing was changed.")
    work.apply(client, shown, file.parent, drained)
    watch.phase(f"the stack {stack.name} is as {'the plan' if plan_file else file.name} says")


@main.command(epilog="Example: python -m deploy status --json")
@stack_option
@JSON
def status(file: Path, as_json: bool) -> None:
    """Show the droplets, what is not as it shall be, and who holds the lock.

    Exit 0 when all is well, 1 when something is not, 3 when nothing is there.
    """
    stack = load(file)
    client = _client(stack, file.parent, Stopwatch(to_errors=True))
    from deploy.account import read  # noqa: PLC0415
    from deploy.layouts import hosts  # noqa: PLC0415
    from deploy.lock import holder  # noqa: PLC0415
    from deploy.plan import make_plan  # noqa: PLC0415
    from deploy.show import show_status, state_of  # noqa: PLC0415

    account = read(client, stack)
    made = make_plan(stack, account, file.parent)
    who = holder(client, stack)
    droplets = [state_of(host, account) for host in hosts(stack)]
    if as_json:
        told = {
            "version": made.version,
            "stack": stack.name,
            "locked_by": str(who) if who else None,
            "droplets": droplets,
            "changes": msgspec.to_builtins(made.changes),
            "notes": made.notes,
        }
        click.echo(json.dumps(told, indent=2))
    else:
        show_status(stack, account, made, f"held by {who}" if who else "free")
    if not account.of("vpc") and not account.of("droplet"):
        sys.exit(NOT_RUNNING)
    sys.exit(1 if made.changes or any(one["status"] != "active" for one in droplets) else 0)


@main.command(epilog="Example: python -m deploy inventory --list")
@stack_option
@click.option("--list", "_all", is_flag=True, help="All hosts, which is the default.")
@click.option("--host", metavar="NAME", help="The variables of one host.")
def inventory(file: Path, _all: bool, host: str | None) -> None:
    """Print the hosts as Ansible's dynamic inventory (JSON)."""
    stack = load(file)
    client = _client(stack, file.parent, Stopwatch(to_errors=True))
    from deploy.inventory import inventory as work  # noqa: PLC0415

    found = work(client, stack)
    if host:
        known = found["_meta"]["hostvars"]
        if host not in known:
            raise DeployError(f"there is no host {host!r}. There are: {', '.join(known)}")
        found = known[host]
    click.echo(json.dumps(found, indent=2))


@main.command(epilog="Example: python -m deploy destroy --confirm shardstack")
@stack_option
@click.option("--with-data", is_flag=True, help="Destroy the volumes, too, and all data on them.")
@click.option("--confirm", metavar="NAME", help="The stack's name, instead of being asked for it.")
def destroy(file: Path, with_data: bool, confirm: str | None) -> None:
    """Destroy what belongs to the stack; volumes with data only if asked to.

    Shows it first and asks for the stack's name. DNS zones stay.
    """
    stack = load(file)
    watch = Stopwatch()
    client = _client(stack, file.parent, watch)
    from deploy import apply as work  # noqa: PLC0415
    from deploy.account import read  # noqa: PLC0415
    from deploy.plan import make_destruction  # noqa: PLC0415
    from deploy.show import show_plan  # noqa: PLC0415

    shown = make_destruction(stack, read(client, stack, strict=False), with_data)
    if not shown.changes:
        click.echo(f"nothing of the stack {stack.name} is there.")
        return
    show_plan(shown, "what would be destroyed")
    if confirm is None:
        if not sys.stdin.isatty():
            raise DeployError(f"there is nobody to ask. Say --confirm {stack.name}")
        confirm = click.prompt("The name of the stack that is to be destroyed")
    if confirm != stack.name:
        raise DeployError(f"the stack is called {stack.name}, not {confirm}. Nothing was destroyed")
    work.destroy(client, shown, with_data)
    watch.phase(f"the stack {stack.name} is destroyed")


@main.group(cls=Commands)
def lock() -> None:
    """See who is changing the stack, or take the lock away."""


@lock.command("status")
@stack_option
def lock_status(file: Path) -> None:
    """Show who holds the lock, since when."""
    stack = load(file)
    client = _client(stack, file.parent, Stopwatch(to_errors=True))
    from deploy.lock import holder  # noqa: PLC0415

    who = holder(client, stack)
    click.echo(f"locked by {who}" if who else "nobody holds the lock")


@lock.command("release")
@stack_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def lock_release(file: Path, yes: bool) -> None:
    """Take the lock away from who holds it, and will never release it."""
    stack = load(file)
    client = _client(stack, file.parent, Stopwatch(to_errors=True))
    from deploy.lock import holder, release  # noqa: PLC0415

    who = holder(client, stack)
    if not who:
        click.echo("nobody holds the lock")
        return
    if not yes:
        warning = f"It is held by {who}. If that goes on, two will change the stack at once."
        ask(warning, "the lock stays.")
    release(client, who)
    click.echo(f"released the lock of {who}")


if __name__ == "__main__":
    run(main, "python -m deploy")
