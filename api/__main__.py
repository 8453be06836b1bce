"""`python -m api`: the API's one door.

Commands import what they need when they run: `--help` and mistakes answer at once.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from api.opening import settings_of, store_of
from api.terminal import Narrator, progress_bar, python, run, state_option

if TYPE_CHECKING:
    from api.local.up import Outcome


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: python -m cluster up && python -m api up",
)
def main() -> None:
    """The API: CRUD over a sharded MongoDB cluster, secured by JWT.

    Settings come from the environment (SHARDSTACK_…); what is not set there is taken from the
    state folder of a local cluster, if there is one.
    """


@main.command()
@state_option
def serve(state: str) -> None:
    """Serve in the foreground under gunicorn, until SIGTERM or Ctrl-C."""
    settings = settings_of(state, tokens=True)
    from api.server import Server  # noqa: PLC0415

    Server(settings).run()


@main.command()
@state_option
def schema(state: str) -> None:
    """Shard the API's collections as they are declared. Safe to repeat."""
    from api import schema as declared  # noqa: PLC0415

    with store_of(state) as store:
        for line in declared.apply(store):
            click.echo(line)


@main.command("settings")
@state_option
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.option("--markdown", is_flag=True, help="As the table of api/SETTINGS.md.")
def list_settings(state: str, as_json: bool, markdown: bool) -> None:
    """List every setting: variable, default, meaning, and what is set now.

    Of a secret only whether it is set.
    """
    import msgspec  # noqa: PLC0415

    from api.local.state import State  # noqa: PLC0415
    from api.settings import listing  # noqa: PLC0415

    if as_json and markdown:
        raise click.UsageError("Give either --json or --markdown.")
    entries = listing.listing(State(Path(state)).environment(os.environ))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(entries), indent=2))
    else:
        click.echo((listing.as_markdown if markdown else listing.as_text)(entries).rstrip("\n"))


@main.command()
def openapi() -> None:
    """Print the description of the API (OpenAPI 3.1), as /api/v1/openapi.json serves it."""
    from api.app import description  # noqa: PLC0415

    click.echo(description())


@main.command()
@state_option
def sweep(state: str) -> None:
    """Remove files whose upload or deletion a crash broke off. Safe to repeat at any moment.

    Uploads do this, too, a little each; it is for after a disaster.
    """
    from api.crud.attachment_views import grace  # noqa: PLC0415
    from api.store import orphans  # noqa: PLC0415

    settings = settings_of(state, tokens=False)
    with store_of(state) as store:
        removed = orphans.sweep(store, grace(settings))
    click.echo(f"orphaned files: {removed} removed")


@main.command(epilog="Example: python -m api create-admin --email ada@example.com")
@state_option
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
    from api import accounts  # noqa: PLC0415

    lines = password_file.read_text(encoding="utf-8").splitlines() if password_file else None
    password = (lines or [""])[0] if lines is not None else accounts.generate_password()
    with store_of(state) as store:
        made = accounts.ensure_admin(store, email, password, name, promote=promote)
    click.echo(f"{email}: {made.what}")
    if made.what == "created" and password_file is None:
        click.echo(f"password: {password}   (shown only now)")


@main.command()
@state_option
@click.option(
    "--count", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="How many."
)
def sample_data(state: str, count: int) -> None:
    """Load realistic sample users, the same on every run; existing ones stay as they are.

    They have no password and cannot log in.
    """
    from api import samples  # noqa: PLC0415

    with store_of(state) as store, progress_bar("sample users") as progress:
        report = samples.load(store, count, progress(count))
    click.echo(f"sample users: {report.created} created, {report.existing} existed")
    if report.refused:
        first = report.refused[0]
        click.echo(
            f"{len(report.refused)} refused, the first at number {first.index}: "
            f"its {first.field} is taken"
        )


@main.command(epilog="Example: python -m api up --port 8080")
@state_option
@click.option("--port", type=click.IntRange(1, 65535), help="Port; else 8000 or the next free one.")
@click.option(
    "--samples",
    type=click.IntRange(0, 1_000_000),
    default=1000,
    show_default=True,
    help="Sample users to load, once.",
)
def up(state: str, port: int | None, samples: int) -> None:
    """Schema, administrator, sample users and the server in the background.

    Run it at any moment: it does what is missing, and leaves the rest as it is.
    """
    from api.local.state import State  # noqa: PLC0415
    from api.local.up import Up  # noqa: PLC0415

    folder = State(Path(state))
    narrator = Narrator()
    with folder.locked(), progress_bar("sample users") as progress:
        outcome = Up(folder, narrator.say).run(port, samples, progress)
    _tell(outcome, folder.admin_file, state)


def _tell(outcome: "Outcome", admin_file: Path, state: str) -> None:
    flag = "" if state == ".shardstack" else f" --state {state}"
    secret = outcome.admin.password if outcome.admin_made else f"kept in {admin_file}"
    login = f"{outcome.url}/api/v1/auth/login -H 'Content-Type: application/json' -d @{admin_file}"
    report = outcome.samples
    click.echo(f"\nThe API is up after {outcome.seconds:.1f} s, behind a {outcome.router}.")
    if report is not None:
        click.echo(f"  samples  {report.created} users created, {report.existing} existed")
        if report.refused:
            click.echo(f"           {len(report.refused)} refused: their e-mail or id is taken")
    click.echo(f"  url      {outcome.url}")
    click.echo(f"  admin    {outcome.admin.email}")
    click.echo(f"  password {secret}")
    click.echo(f"  database {python()} -m cluster uri{flag}")
    click.echo(f"  stop     {python()} -m api down{flag}")
    click.echo("  try      " + curl_line(outcome.url, login))


def curl_line(url: str, login: str) -> str:
    """Lists three users, logging in on the way. `access_token` is the answer's first field."""
    token = f"$(curl -s {login} | cut -d'\"' -f4)"
    return f'curl -s "{url}/api/v1/users?limit=3" -H "Authorization: Bearer {token}"'


@main.command()
@state_option
def down(state: str) -> None:
    """Stop the background server; requests in flight may finish."""
    from api.local.server import Server  # noqa: PLC0415
    from api.local.state import State  # noqa: PLC0415

    if not Path(state).exists():
        click.echo("the API does not run")
        return
    folder = State(Path(state))
    with folder.locked():
        stopped = Server(folder).stop(7.5)
    click.echo("the API is down" if stopped else "the API does not run")


@main.command()
@state_option
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def status(state: str, as_json: bool) -> None:
    """Say whether the background server runs and is ready; exit 1 when not."""
    from api.local.server import Server, probe  # noqa: PLC0415
    from api.local.state import State  # noqa: PLC0415

    folder = State(Path(state))
    pid, port = Server(folder).pid(), folder.record().port
    code, answer = probe(port) if pid and port else (0, {})
    found = {
        "running": pid is not None,
        "ready": code == 200,
        "pid": pid,
        "url": f"http://127.0.0.1:{port}" if port else None,
        "router": answer.get("router"),
        "detail": answer.get("detail"),
        "log": str(folder.log),
    }
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif pid is None:
        click.echo(f"API       does not run. Start it: {python()} -m api up")
    else:
        ready = f"ready, behind a {found['router']}" if code == 200 else f"not ready: {answer}"
        click.echo(f"API       {found['url']}  pid {pid}  {ready}")
        click.echo(f"log       {folder.log}")
    raise SystemExit(0 if code == 200 else 1)


if __name__ == "__main__":
    run(main, "python -m api")
