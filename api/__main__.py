"""`python -m api`: the API's one door.

Commands import what they need when they run: `--help` and mistakes are answered fast.
"""

import os
from pathlib import Path

import click

from api.local.commands import down, logs, restart, status, up
from api.local.state import ALL_SETTINGS, DATABASE_SETTINGS, settings_of, store_of
from console.terminal import (
    Commands,
    Stopwatch,
    ask,
    progress_bar,
    python,
    run,
    state_option,
)

FILE: click.ParamType[Path] = click.Path(dir_okay=False, path_type=Path)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: python -m cluster up && python -m api up",
)
def main() -> None:
    """The API: CRUD over a sharded MongoDB cluster, secured by JWT.

    Settings come from the environment (SHARDSTACK_…); what is not set there is taken from the
    state folder of a local cluster, if there is one. `python -m api settings` lists them.
    """


@main.command(epilog=ALL_SETTINGS)
@state_option("cluster and API")
@click.option("--reload", is_flag=True, help="Serve the code anew whenever it changes.")
@click.option("--inherit", type=int, nargs=3, hidden=True)
def serve(state: str, reload: bool, inherit: tuple[int, int, int] | None) -> None:
    """Serve in the foreground under gunicorn, until SIGTERM or Ctrl-C."""
    settings = settings_of(state, tokens=True)
    if reload:
        from api.local.reloading import Reloading  # noqa: PLC0415

        Reloading(settings, state).run()
        return
    from api.serving.server import Inherited, Server  # noqa: PLC0415

    Server(settings, Inherited(*inherit) if inherit else None).run()


@main.group(invoke_without_command=True, epilog=DATABASE_SETTINGS)
@state_option("cluster and API")
@click.option("--orphans", is_flag=True, help="List what removed resources left; change nothing.")
@click.pass_context
def schema(context: click.Context, state: str, orphans: bool) -> None:
    """Shard the API's collections as they are declared. Safe to repeat.

    What is left of resources whose files were removed is named, and stays until `schema drop NAME`.
    """
    if context.invoked_subcommand is not None:
        return
    from api import schema as declared  # noqa: PLC0415

    with store_of(state) as store:
        for line in [] if orphans else declared.apply(store):
            click.echo(line)
        found = declared.orphans(store)
    for one in found:
        click.echo(f"no resource has {one}; to remove it: {python()} -m api schema drop {one.name}")
    if orphans and not found:
        click.echo("every collection belongs to a resource")


@schema.command("drop", epilog=DATABASE_SETTINGS)
@state_option("cluster and API")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop(state: str, name: str, yes: bool) -> None:
    """Remove the collection NAME, which no resource has any more, with its claims and files.

    For good: take a dump before. Safe to repeat.
    """
    from api import schema as declared  # noqa: PLC0415

    with store_of(state) as store:
        found = next((one for one in declared.orphans(store) if one.name == name), None)
        if found is not None and not yes:
            ask(f"This removes {found}, for good.", "nothing was removed.")
        declared.drop(store, name)
    click.echo(f"removed {found}")


@main.command("settings")
@state_option("cluster and API")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.option("--markdown", is_flag=True, help="As the table of api/SETTINGS.md.")
def list_settings(state: str, as_json: bool, markdown: bool) -> None:
    """List every setting, what is set now, and check it.

    Of a secret it shows only whether it is set. Exit 1 when what is set is not valid.
    """
    import msgspec  # noqa: PLC0415

    from api.local.state import StateFolder  # noqa: PLC0415
    from api.settings import listing, loading  # noqa: PLC0415

    if as_json and markdown:
        raise click.UsageError("Give either --json or --markdown.")
    environment = StateFolder(Path(state)).environment(os.environ)
    entries = listing.listing(environment)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(entries), indent=2))
    else:
        click.echo((listing.as_markdown if markdown else listing.as_text)(entries).rstrip("\n"))
    if markdown:
        return  # a document is about no environment
    for name in loading.unknown(environment):
        click.echo(f"note: {name} is set, and the API has no such setting", err=True)
    loading.check(environment)


@main.command(epilog="Example: python -m api new-resource notes")
@click.argument("name")
def new_resource(name: str) -> None:
    """Write api/resources/NAME.py: a resource to begin from, with comments.

    NAME is the collection, and the end of the address: /api/v1/NAME. An existing file stays.
    """
    from api import scaffold  # noqa: PLC0415

    file = scaffold.write(name)
    click.echo(f"wrote {file}. Change it as you like, then serve it: {python()} -m api up")


@main.command()
def openapi() -> None:
    """Print the description of the API (OpenAPI 3.1), as /api/v1/openapi.json serves it."""
    from api.app import description  # noqa: PLC0415

    click.echo(description())


@main.command(epilog=DATABASE_SETTINGS)
@state_option("cluster and API")
def sweep(state: str) -> None:
    """Remove files whose upload or deletion a crash broke off. Safe to repeat at any moment.

    Uploads do this, too, a little each; it is for after a disaster.
    """
    from api.crud.files import grace  # noqa: PLC0415
    from api.store import files  # noqa: PLC0415

    settings = settings_of(state, tokens=False)
    with store_of(state) as store:
        removed = files.sweep(store, grace(settings))
    click.echo(f"orphaned files: {removed} removed")


@main.command(
    epilog=f"Example: python -m api create-admin --email ada@example.com\n\n{DATABASE_SETTINGS}"
)
@state_option("cluster and API")
@click.option("--email", required=True, help="The administrator's address; to log in with.")
@click.option("--name", default="Administrator", show_default=True, help="The name shown.")
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file whose first line is the password. Without it, one is made and printed.",
)
@click.option("--promote", is_flag=True, help="Make an existing user an administrator.")
def create_admin(
    state: str,
    email: str,
    name: str,
    password_file: Path | None,
    promote: bool,
) -> None:
    """Make an administrator. Repeating it changes nothing; the password stays."""
    from api import setup  # noqa: PLC0415

    lines = password_file.read_text(encoding="utf-8").splitlines() if password_file else None
    password = (lines or [""])[0] if lines is not None else setup.generate_password()
    with store_of(state) as store:
        made = setup.ensure_admin(store, email, password, name, promote=promote)
    click.echo(f"{email}: {made.what}")
    if made.what == "created" and password_file is None:
        click.echo(f"password: {password}   (shown only now)")


@main.command(epilog=DATABASE_SETTINGS)
@state_option("cluster and API")
@click.option(
    "--count",
    type=click.IntRange(1, 1_000_000),
    default=1000,
    show_default=True,
    help="How many users; up to 40 projects and 25 leads come with them.",
)
def sample_data(state: str, count: int) -> None:
    """Load samples: users, projects, leads. Existing ones stay as they are.

    They are the same on every run. The users have no password and cannot log in.
    """
    from api.samples.loading import Loader, total  # noqa: PLC0415

    with store_of(state) as store, progress_bar("samples") as progress:
        loaded = Loader(store).load(count, progress(total(count)))
    for line in loaded.lines():
        click.echo(f"samples: {line}")


@main.command(
    "setup",
    epilog="Example: python -m api setup --jwt-file jwt --admin-file admin.json\n\n"
    + DATABASE_SETTINGS,
)
@state_option("cluster and API")
@click.option("--jwt-file", type=FILE, required=True, help="The secret that signs tokens.")
@click.option("--admin-file", type=FILE, required=True, help="Address and password, as JSON.")
def set_up(state: str, jwt_file: Path, admin_file: Path) -> None:
    """Make what an API needs before it serves: secret, schema, administrator (containers, hosts).

    Safe to repeat; existing files and accounts stay as they are. Nothing secret is printed.
    """
    from api import setup  # noqa: PLC0415

    watch = Stopwatch()
    setup.ensure_jwt_secret(jwt_file)
    with store_of(state) as store:
        admin, made = setup.prepare(store, admin_file, watch.say, watch.timed)
    kept = f"its password is in {admin_file}"
    click.echo(f"administrator {admin.email}: {'created' if made else 'exists'}; {kept}")


for command in (up, down, restart, status, logs):
    main.add_command(command)

if __name__ == "__main__":
    run(main, "python -m api")
