"""`python -m cluster dump` and `restore`."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import click

from console.terminal import Stopwatch, state_option


def _silent(_: str) -> None:
    pass


def _tell(as_json: bool) -> Any:
    watch = Stopwatch()
    return (_silent, _silent) if as_json else (watch.say, watch.phase)


json_option = click.option("--json", "as_json", is_flag=True, help="For scripts.")
folder_argument = click.argument(
    "folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False)
)


@click.command(epilog="Example: python -m cluster dump backups/monday")
@state_option("the cluster")
@folder_argument
@json_option
def dump(state: str, folder: Path, as_json: bool) -> None:
    """Write a backup of the whole cluster, as it is at one moment, to the new folder DIR.

    Nobody waits for it: readers and writers go on. It may be interrupted at any moment, and then
    leaves nothing behind.
    """
    from cluster.backup import dump as work  # noqa: PLC0415 - takes 0.2 s that --help needs not
    from cluster.deployment import deployment  # noqa: PLC0415

    _, phase = tell = _tell(as_json)
    os.nice(10)  # whoever uses the cluster goes first, where they share a machine
    done = work.dump(deployment(state).access(), folder, tell)
    if as_json:
        click.echo(json.dumps({**dataclasses.asdict(done), "folder": str(done.folder)}))
    else:
        phase(f"{done.documents} documents of {done.collections} collections are in {folder}")


@click.command(epilog="Example: python -m cluster restore backups/monday --state .shardstack")
@state_option("the cluster")
@folder_argument
@click.option("--no-compare", is_flag=True, help="Do not read everything back.")
@json_option
def restore(state: str, folder: Path, no_compare: bool, as_json: bool) -> None:
    """Put the backup DIR into this cluster, which must be empty, and compare every document.

    Exit 3 when something differs. It may be interrupted and run again: it drops what it had made,
    and nothing else, and begins anew.
    """
    from cluster.backup import restore as work  # noqa: PLC0415
    from cluster.deployment import deployment  # noqa: PLC0415

    tell = _tell(as_json)
    try:
        done = work.restore(deployment(state).access(), folder, tell, compare=not no_compare)
    except work.DifferenceError as error:
        if as_json:
            click.echo(json.dumps({"differences": error.lines}))
        raise
    if as_json:
        click.echo(json.dumps({**dataclasses.asdict(done), "differences": []}))
    else:
        tell[1](f"{done.documents} documents of {done.collections} collections are restored")
