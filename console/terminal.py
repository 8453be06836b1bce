"""How commands speak: results on standard output, one `error:` line on standard error.

Exit statuses: 0 done, 1 failed, 2 wrong usage, 3 what was asked about does not run, 130
interrupted.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from console.errors import FAILURE, INTERRUPTED, WRONG_USAGE, ShownError
from console.signals import Interrupted, raise_interrupted

STATE = ".shardstack"
"""The state folder of who names none."""


def run(command: click.Command, program: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command; an error that is for people becomes one line and an exit status."""
    raise_interrupted()
    try:
        status = command.main(args=arguments, prog_name=program, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(WRONG_USAGE)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else program
        fail(f"{error.format_message()} See `{path} --help`.", WRONG_USAGE)
    except click.ClickException as error:
        fail(error.format_message(), error.exit_code)
    except (click.Abort, Interrupted):
        fail("interrupted. Run the same command again to go on.", INTERRUPTED)
    except ShownError as error:
        for line in error.lines:
            complain(line if line.endswith((".", "?", "!")) else f"{line}.")
        sys.exit(error.status)
    sys.exit(status if isinstance(status, int) else 0)


class Commands(click.Group):
    """A group whose help shows the first sentence of each command whole; click cuts it off."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(200)) for name, one in found if one])


def state_option(holds: str) -> Callable[[Any], Any]:
    """--state DIR, which most commands take; `holds` is what the folder has for them."""
    return click.option(
        "--state",
        type=click.Path(path_type=str),
        default=STATE,
        envvar="SHARDSTACK_STATE",
        show_default=True,
        metavar="DIR",
        help=f"The folder that holds {holds} (or SHARDSTACK_STATE).",
    )


def state_flag(state: str) -> str:
    """What to add to a command that is shown, so that it means this folder."""
    return "" if state == STATE else f" --state {state}"


def python() -> str:
    """This very Python as it is called from here, so that a printed hint works when pasted."""
    near = os.path.relpath(sys.executable)
    return sys.executable if near.startswith("..") else near


def complain(line: str) -> None:
    """One line on standard error."""
    click.echo(f"{click.style('error:', fg='red', bold=True)} {' '.join(line.split())}", err=True)


def fail(line: str, status: int = FAILURE) -> NoReturn:
    """One line on standard error, then the end."""
    complain(line)
    sys.exit(status)


def ask(warning: str, refused: str) -> None:
    """Returns if somebody at the terminal says yes. ShownError if not, or if nobody is there."""
    if not sys.stdin.isatty():
        raise ShownError(f"{warning} There is nobody to ask; say --yes if that shall be.")
    if not click.confirm(f"{warning} Go on?"):
        raise ShownError(refused)


# ---- progress ----------------------------------------------------------------------------------


class Stopwatch:
    """Prints what happens with the seconds since the command began.

    `to_errors`: on standard error, where standard output has a reader of its own.
    """

    def __init__(self, *, to_errors: bool = False) -> None:
        self._began = self._last = time.monotonic()
        self._to_errors = to_errors

    def say(self, line: str) -> None:
        """Something was done."""
        seconds = f"{time.monotonic() - self._began:.2f} s"
        click.echo(f"{seconds:>8}  {line}", err=self._to_errors)

    def phase(self, line: str) -> None:
        """A stretch of the work is done: also says what it took since the last one."""
        now = time.monotonic()
        took, self._last = now - self._last, now
        self._done(line, took)

    @contextmanager
    def timed(self, line: str) -> Iterator[None]:
        """Says what the block took, once it is done."""
        began = time.monotonic()
        yield
        self._done(line, time.monotonic() - began)

    def _done(self, line: str, seconds: float) -> None:
        self.say(click.style(f"{line} (+{seconds:.2f} s)", fg="green"))


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int], Callable[[int], None] | None]]:
    """Shows a bar on a terminal and nothing elsewhere.

    Yields a function that takes the total and returns what to call with each amount done.
    """
    if not sys.stdout.isatty():
        yield lambda _total: None
        return
    from rich.progress import MofNCompleteColumn, Progress  # noqa: PLC0415 - slow to import

    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), transient=True) as bar:

        def begin(total: int) -> Callable[[int], None]:
            task = bar.add_task(title, total=total)
            return lambda done: bar.advance(task, done)

        yield begin
