"""`python -m cluster drill`: break a cluster under load, and prove what that costs.

Commands import what they need when they run: `--help` answers without the driver.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from cluster.drill.targets import MAKERS, choose
from cluster.errors import DrillError
from console.terminal import Commands, state_option

if TYPE_CHECKING:
    from cluster.drill.judge.verdict import Reading
    from cluster.drill.report.comparison import Row

OUT = "drills"
TARGET = click.option(
    "--target",
    "kind",
    type=click.Choice(list(MAKERS)),
    default="local",
    show_default=True,
    help="Who runs the servers: this machine, in the state folder; Docker Compose here, as "
    "`make compose-up` has it, in the project that COMPOSE_PROJECT_NAME names; or hosts, where "
    "ansible/drill.yml gives it.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="For scripts.")
FOLDERS = click.argument(
    "folders",
    metavar="FOLDER...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
)


@click.group(cls=Commands, epilog="Example: python -m cluster drill run primary-killed")
def drill() -> None:
    """Break a cluster under load, and prove what that costs.

    A drill leaves a folder for each run. A FOLDER of these commands is one of those, or one that
    has some of them below it.

    \b
    Exit statuses:
      0  everything acknowledged is there once, and every expectation was met
      1  an expectation was missed
      2  something acknowledged was lost or doubled
      3  a run proves nothing: it could not run, or its fault took no effect
    """


@drill.command("list", epilog="Example: python -m cluster drill list")
@state_option("the cluster")
@TARGET
@JSON
def list_(state: str, kind: str, as_json: bool) -> None:
    """Show the scenarios, and why one cannot be run here."""
    from cluster.drill.running.scenario import scenarios  # noqa: PLC0415 - takes 0.3 s

    broken = choose(kind, state)
    known = [(one, one.why_not(broken, through_api=True)) for one in scenarios()]
    if as_json:
        rows = [
            {
                "number": one.number,
                "name": one.name,
                "title": one.title,
                "hypothesis": one.hypothesis,
                "core": one.core,
                "not_here": why,
            }
            for one, why in known
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    for one, why in known:
        click.echo(f"{one.number:>3}{'*' if one.core else ' '} {one.name:<24} {one.title}")
        if why:
            click.echo(f"{'':>30}not here: {why}")
    click.echo("* of the core set: drill run core")


def _run_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        (
            click.option(
                "--runs",
                type=click.IntRange(1),
                default=1,
                show_default=True,
                help="Of each scenario.",
            ),
            click.option(
                "--faults",
                type=click.IntRange(1),
                default=1,
                show_default=True,
                help="In each run, one after the other, each at a moment drawn anew.",
            ),
            click.option(
                "--seed", type=int, help="Repeats what chance decided; drawn if left out."
            ),
            click.option(
                "--for",
                "seconds",
                type=click.FloatRange(0),
                metavar="SECONDS",
                help="How long a fault is kept up; else as its scenario says.",
            ),
            click.option(
                "--rate",
                type=click.FloatRange(0),
                metavar="CALLS",
                help="Calls in a second; 0: as many as are answered. Left out: half of "
                "what the cluster answers at most, which is measured first.",
            ),
            click.option(
                "--through",
                type=click.Choice(["routers", "api"]),
                default="routers",
                show_default=True,
                help="By what way the load comes.",
            ),
            click.option(
                "--reads",
                type=click.Choice(["linearizable", "session", "majority"]),
                default="linearizable",
                show_default=True,
                help="What the load's reads through routers promise: linearizable from the "
                "primary; or majority from secondaries, in a causal session or without one.",
            ),
            click.option(
                "--url",
                help="The API, for --through api: http://127.0.0.1:8000. Left out: that of the "
                "target, if it has one.",
            ),
            click.option(
                "--ca",
                type=click.Path(exists=True, path_type=Path),
                metavar="FILE",
                help="The authority of the API's certificate, if not a public one.",
            ),
            click.option(
                "--out",
                type=click.Path(path_type=Path, file_okay=False),
                default=OUT,
                show_default=True,
                metavar="FOLDER",
                help="Where each run gets a folder.",
            ),
            click.option("--json", "as_json", is_flag=True, help="For scripts."),
        )
    ):
        command = option(command)
    return command


@drill.command(epilog="Example: python -m cluster drill run primary-killed --faults 3")
@state_option("the cluster")
@TARGET
@click.argument("names", nargs=-1, required=True, metavar="NAME...|core|all")
@_run_options
def run(  # noqa: PLR0913 - one for each option
    *,
    state: str,
    kind: str,
    names: tuple[str, ...],
    through: str,
    url: str | None,
    ca: Path | None,
    reads: str,
    seconds: float | None,
    as_json: bool,
    **more: Any,
) -> None:
    """Run scenarios, by name or number: load, fault, evidence, recovery, proof.

    A cluster that is not whole is refused. Ctrl-C stops at any moment and heals; if the drill
    itself was killed, `drill heal` does. Ends with the worst verdict; `drill --help` lists the
    statuses.
    """
    import msgspec  # noqa: PLC0415

    from cluster.drill.history import Guarantee  # noqa: PLC0415
    from cluster.drill.judge.verdict import worst  # noqa: PLC0415
    from cluster.drill.load.mongo import MongoStore  # noqa: PLC0415
    from cluster.drill.running.scenario import chosen  # noqa: PLC0415 - takes 0.3 s
    from cluster.drill.running.session import Asked, Session  # noqa: PLC0415
    from cluster.drill.running.stores import Through  # noqa: PLC0415
    from cluster.drill.targets.target import Api  # noqa: PLC0415

    broken = choose(kind, state)
    broken.assert_there()
    api = Api(url, ca) if url else broken.api() if through == "api" else None
    if (through == "api") != (api is not None):
        raise click.UsageError("Give --through api and --url together.")
    if through == "api" and reads != "linearizable":
        raise click.UsageError("--reads is for --through routers: how the API reads, it decides.")
    make = functools.partial(MongoStore, guarantee=Guarantee(reads))
    asked = Asked(hold=seconds, through=Through(through), api=api, make=make, quiet=as_json, **more)
    session = Session(broken, asked)
    verdicts = session.run(chosen(names))
    if as_json:
        answer = {"verdicts": msgspec.to_builtins(verdicts), "skipped": session.skipped}
        click.echo(json.dumps(answer, indent=2))
    sys.exit(worst(verdicts))


@drill.command(epilog="Example: python -m cluster drill heal")
@state_option("the cluster")
@TARGET
def heal(state: str, kind: str) -> None:
    """Take back whatever a drill did that was broken off, and make the cluster whole.

    It may be run at any moment, and again after an interruption.
    """
    from cluster.drill.running.runner import heal as work  # noqa: PLC0415 - takes 0.3 s
    from cluster.drill.running.runner import working  # noqa: PLC0415
    from cluster.drill.targets.target import read_note  # noqa: PLC0415

    broken = choose(kind, state)
    broken.assert_there()
    with working(broken):
        note = read_note(broken)
        if note is not None:
            click.echo(f"{note.scenario}, begun {note.began}, was broken off.")
            for deed in note.deeds:
                click.echo(f"  it did: {deed}")
        work(broken, click.echo)
    click.echo("the cluster is whole")


@drill.command(epilog="Example: python -m cluster drill report drills/monday drills/tuesday")
@FOLDERS
@JSON
@click.option("--markdown", is_flag=True, help="Print the table as Markdown.")
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write a page of all runs side by side to FILE.",
)
@click.option(
    "--into",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also put the table into FILE, of Markdown, between <!-- drill: NAME --> and "
    "<!-- /drill -->; NAME names scenarios, or is `all`. May be given several times.",
)
def report(
    folders: Sequence[Path],
    as_json: bool,
    markdown: bool,
    html: Path | None,
    into: Sequence[Path],
) -> None:
    """Write each run's report.json and report.html, and show all runs side by side.

    Runs of one scenario under the same conditions are one row, with the smallest, the median and
    the greatest time; runs under other conditions, such as another version or election timeout,
    are rows of their own. With --json or --markdown it prints, and writes no run's report.
    """
    if as_json and markdown:
        raise click.UsageError("Give either --json or --markdown.")
    import msgspec  # noqa: PLC0415

    from cluster.drill.report import comparison, results  # noqa: PLC0415

    readings = _readings(folders)
    table = comparison.rows(readings)
    for place in into:
        _write(place, comparison.fill(_text(place), table))
    if html is not None:
        page = _page()
        page.write(html, page.render_several(readings))
    if as_json:
        reports = [results.results(one) for one in readings]
        click.echo(msgspec.json.encode({"rows": table, "reports": reports}))
    elif markdown:
        click.echo(comparison.markdown(table), nl=False)
    else:
        files = [_reported(one) for one in readings]
        _show(table)
        for file in files:
            click.echo(f" {file}")


def _reported(reading: Reading) -> Path:
    """Write a run's report.json and report.html; where the latter is."""
    from cluster.drill.report import results  # noqa: PLC0415

    page = _page()
    found = results.results(reading)
    results.write(reading.folder, found)
    file: Path = page.write(reading.folder / "report.html", page.render(reading, found))
    return file


def _page() -> ModuleType:
    try:
        from cluster.drill.report import page  # noqa: PLC0415 - takes a second
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise DrillError(
            "there is no matplotlib, which draws the plots of a report. Install it:"
            " pip install matplotlib. `drill judge` and `drill report --json` go without it."
        ) from error
    return page


def _show(table: Sequence[Row]) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - slow to import
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from cluster.drill.report.comparison import HEAD  # noqa: PLC0415

    shown = Table(*HEAD, box=SIMPLE_HEAD)
    for row in table:
        shown.add_row(*row.cells())
    console = Console(highlight=False, markup=False)
    console.width = console.width if console.is_terminal else 160
    console.print(shown)


@drill.command(epilog="Example: python -m cluster drill judge drills/monday --junit drill.xml")
@FOLDERS
@JSON
@click.option(
    "--junit",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the verdicts to FILE, for CI.",
)
def judge(folders: Sequence[Path], as_json: bool, junit: Path | None) -> None:
    """Judge runs, old ones too, by their records alone.

    Runs of one scenario under the same conditions are judged together: times by their median, all
    else by the worst. Ends with the worst verdict; `drill --help` lists the statuses.
    """
    import msgspec  # noqa: PLC0415

    from cluster.drill.judge.verdict import judge_all, worst  # noqa: PLC0415

    verdicts = judge_all(_readings(folders))
    if junit is not None:
        from cluster.drill.report.junit import as_junit  # noqa: PLC0415

        _write(junit, as_junit(verdicts))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(verdicts), indent=2))
    else:
        click.echo("\n\n".join(one.text() for one in verdicts))
    sys.exit(worst(verdicts))


@drill.command(epilog="Example: python -m cluster drill export drills/monday --as elle --out e.edn")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--as",
    "form",
    type=click.Choice(["porcupine", "elle"]),
    required=True,
    help="Whose format: Porcupine's key-value log, or Elle's history of list-append (EDN).",
)
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Where to.",
)
def export(folder: Path, form: str, out: Path) -> None:
    """Write the history of one run for another judge: Porcupine or Elle.

    cluster/drill/README.md tells how they are asked.
    """
    from cluster.drill.judge.verdict import read_history  # noqa: PLC0415
    from cluster.drill.report.export import Format  # noqa: PLC0415
    from cluster.drill.report.export import export as work  # noqa: PLC0415

    lines = [f"{line}\n" for line in work(read_history(folder), Format(form))]
    _write(out, "".join(lines))
    click.echo(f"{len(lines)} lines are in {out}")


def _text(file: Path) -> str:
    """What a file has that the command line names. Raises DrillError."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DrillError(f"{file} cannot be read: {error}.") from error


def _write(file: Path, text: str) -> None:
    """Write a file that the command line names. Raises DrillError."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DrillError(f"{file} cannot be written: {error.strerror}.") from error


def _readings(folders: Sequence[Path]) -> list[Reading]:
    """The runs in these folders and below them. Raises DrillError if one of them has none."""
    from cluster.drill.judge.verdict import read  # noqa: PLC0415

    found: dict[Path, None] = {}
    for folder in folders:
        runs = sorted(file.parent for file in folder.rglob("run.json"))
        if not runs:
            raise DrillError(f"there is no run in {folder}: no run.json in it, or below it.")
        found.update(dict.fromkeys(runs))
    return [read(folder) for folder in found]
