"""`python -m api up`, `down` and `status`: the server in the background of this machine."""

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from api.errors import LocalError
from api.local.state import ALL_SETTINGS
from console.errors import NOT_RUNNING
from console.terminal import (
    STATE,
    Stopwatch,
    progress_bar,
    python,
    state_flag,
    state_option,
)

if TYPE_CHECKING:
    from api.local.state import StateFolder
    from api.local.up import Outcome


@click.command(epilog=f"Example: python -m api up --port 8080\n\n{ALL_SETTINGS}")
@state_option("cluster and API")
@click.option("--port", type=click.IntRange(1, 65535), help="Port; else 8000 or the next free one.")
@click.option(
    "--samples",
    type=click.IntRange(0, 1_000_000),
    default=1000,
    show_default=True,
    help="Sample users to load, once, and projects and leads with them.",
)
def up(state: str, port: int | None, samples: int) -> None:
    """Schema, administrator, samples and the server in the background.

    Run it at any moment: it does what is missing, and leaves the rest as it is. A server that runs
    older code, or with other settings, is replaced; no request is lost.
    """
    _bring_up(state, port, samples, restart=False)


@click.command(epilog=ALL_SETTINGS)
@state_option("cluster and API")
def restart(state: str) -> None:
    """Replace the background server by a new one; no request is lost."""
    _bring_up(state, None, 0, restart=True)


def _bring_up(state: str, port: int | None, samples: int, *, restart: bool) -> None:
    from api.local.state import StateFolder  # noqa: PLC0415
    from api.local.up import Up  # noqa: PLC0415

    folder = StateFolder(Path(state))
    folder.assert_cluster(os.environ)  # a wrong name shall leave no trace
    with folder.locked(), progress_bar("samples") as progress:
        outcome = Up(folder, Stopwatch()).run(port, samples, progress, restart=restart)
    _tell(outcome, folder.admin_file, state)


def _tell(outcome: "Outcome", admin_file: Path, state: str) -> None:
    flag = state_flag(state)
    secret = outcome.admin.password if outcome.admin_made else f"kept in {admin_file}"
    login = f"{outcome.url}/api/v1/auth/login -H 'Content-Type: application/json' -d @{admin_file}"
    click.echo(f"\nThe API is up after {outcome.seconds:.1f} s, behind a {outcome.router}.")
    for line in outcome.samples.lines() if outcome.samples is not None else []:
        click.echo(f"  samples  {line}")
    click.echo(f"  url      {outcome.url}")
    click.echo(f"  pages    {outcome.url}/dashboard")
    click.echo(f"  admin    {outcome.admin.email}")
    click.echo(f"  password {secret}")
    click.echo(f"  database {python()} -m cluster uri{flag}")
    click.echo(f"  stop     {python()} -m api down{flag}")
    click.echo("  try      " + curl_line(outcome.url, login))


def curl_line(url: str, login: str) -> str:
    """Lists three users, logging in on the way. `access_token` is the answer's first field."""
    token = f"$(curl -s {login} | cut -d'\"' -f4)"
    return f'curl -s "{url}/api/v1/users?limit=3" -H "Authorization: Bearer {token}"'


def _named(state: str) -> "StateFolder":
    """The state folder. Raises LocalError: somebody named one that is not there."""
    from api.local.state import StateFolder  # noqa: PLC0415

    if state != STATE and not Path(state).exists():
        raise LocalError(f"there is no folder {state}. Name the API's with --state")
    return StateFolder(Path(state))


@click.command()
@state_option("cluster and API")
def down(state: str) -> None:
    """Stop the background server; requests in flight may finish."""
    from api.local.server import BackgroundServer  # noqa: PLC0415

    folder = _named(state)
    if not folder.server_lock.exists():
        click.echo(f"no API was ever started in {state}")
        return
    with folder.locked():
        server = BackgroundServer(folder)
        server.tidy()
        stopped = server.stop()
    click.echo("the API is down" if stopped else "the API does not run")


@click.command()
@state_option("cluster and API")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def status(state: str, as_json: bool) -> None:
    """Say whether the background server runs and is ready.

    Exit 0 when it is ready, 1 when it is not, 3 when it does not run.
    """
    from api.local.server import BackgroundServer, probe  # noqa: PLC0415
    from api.local.state import fingerprint  # noqa: PLC0415

    folder = _named(state)
    pid, port = BackgroundServer(folder).pid(), folder.record().port
    code, answer = probe(port) if pid and port else (0, {})
    old = folder.record().code != fingerprint()
    found = {
        "running": pid is not None,
        "ready": code == 200,
        "pid": pid,
        "url": f"http://127.0.0.1:{port}" if port else None,
        "router": answer.get("router"),
        "writes": answer.get("writes"),
        "detail": answer.get("detail"),
        "older_code": pid is not None and old,
        "log_lines_lost": answer.get("log_lines_lost"),
        "log": str(folder.log),
    }
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif pid is None:
        flag = state_flag(state)
        click.echo(f"API       does not run. Start it: {python()} -m api up{flag}")
    else:
        ready = f"ready, behind a {found['router']}" if code == 200 else f"not ready: {answer}"
        click.echo(f"API       {found['url']}  pid {pid}  {ready}")
        if old:
            click.echo(f"          it runs older code. Replace it: {python()} -m api up")
        if not BackgroundServer(folder).master_lives():
            click.echo(f"          its master is gone. Replace it: {python()} -m api up")
        if answer.get("writes") == "waiting":
            click.echo(f"          writes wait. See why: {python()} -m cluster status")
        if answer.get("log_lines_lost"):
            why = answer.get("log_fault") or "the log is written again"
            click.echo(f"          {answer['log_lines_lost']} log lines were lost: {why}")
        click.echo(f"log       {folder.log}")
    raise SystemExit(0 if code == 200 else 1 if pid else NOT_RUNNING)


@click.command(epilog="Example: python -m api logs --request 7ab9fd62b5a2efc8")
@state_option("cluster and API")
@click.option("-n", "count", type=click.IntRange(0), default=50, show_default=True, help="Lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on printing what is added.")
@click.option("--request", metavar="ID", help="Only this request's: the id of its X-Request-Id.")
@click.option("--raw", is_flag=True, help="The JSON as it is.")
def logs(state: str, count: int, follow: bool, request: str | None, raw: bool) -> None:
    """Print the end of the background server's log."""
    from api.local.server import log_lines, of_request, readable  # noqa: PLC0415
    from api.local.state import StateFolder  # noqa: PLC0415

    log = StateFolder(Path(state)).log
    if not log.exists():
        raise click.ClickException(f"there is no {log}: no server was started here.")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    wanted = of_request(request) if request else lambda _line: True
    for line in log_lines(log, count, wanted=wanted, follow=follow):
        click.echo(line if raw else readable(line))
