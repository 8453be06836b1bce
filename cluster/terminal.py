"""How commands speak: one line per error, numbered exits, timed progress."""

from __future__ import annotations

import difflib
import os
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

import click

from cluster.errors import ClusterError, TopologyError

FAILURE, WRONG_USAGE, NOT_RUNNING, INTERRUPTED = 1, 2, 3, 130
"""Exit statuses; 3 is what the Linux Standard Base has for a service that does not run."""

STATE = ".shardstack"
"""The state folder of who names none."""


def run(command: click.Command, program: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command; whatever goes wrong becomes one line on stderr and an exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        status = command.main(args=arguments, prog_name=program, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(WRONG_USAGE)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else program
        fail(f"{_usage(error)} See `{path} --help`.", WRONG_USAGE)
    except click.ClickException as error:
        fail(_one_line(error.format_message()), error.exit_code)
    except (click.Abort, Interrupted):
        fail("interrupted. Run the same command again to go on.", INTERRUPTED)
    except TopologyError as error:
        for problem in error.problems:
            complain(problem)
        sys.exit(WRONG_USAGE)
    except ClusterError as error:
        fail(str(error))
    sys.exit(status if isinstance(status, int) else 0)


class Commands(click.Group):
    """A group whose help shows the first sentence of each command whole; click cuts it off."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(200)) for name, one in found if one])


def python() -> str:
    """This very Python as it is called from here, so that a printed hint works when pasted."""
    near = os.path.relpath(sys.executable)
    return sys.executable if near.startswith("..") else near


def complain(line: str) -> None:
    """One line on stderr."""
    click.echo(f"{click.style('error:', fg='red', bold=True)} {_one_line(line)}", err=True)


def fail(line: str, status: int = FAILURE) -> NoReturn:
    """One line on stderr, then the end."""
    complain(line)
    sys.exit(status)


class Interrupted(BaseException):
    """Somebody wants the command to end, be it from the keyboard or by SIGTERM."""


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # once is enough: what follows is tidying up
    raise Interrupted


def _usage(error: click.UsageError) -> str:
    text = _one_line(error.format_message())
    if isinstance(error, click.NoSuchOption) or "Did you mean" in text:
        return text
    if error.ctx and isinstance(error.ctx.command, click.Group) and "No such command" in text:
        commands = error.ctx.command.list_commands(error.ctx)
        close = difflib.get_close_matches(text.split("'")[1], commands, n=1)
        return f"{text} Did you mean {close[0]}?" if close else text
    return text


def _one_line(text: str) -> str:
    return " ".join(text.split())


class Stopwatch:
    """Prints what happens with the seconds since the command began.

    `to_errors`: on standard error, where standard output has a reader of its own.
    """

    def __init__(self, *, to_errors: bool = False) -> None:
        self._begin = self._last = time.perf_counter()
        self._to_errors = to_errors

    def change(self, line: str) -> None:
        """Something was changed."""
        click.echo(f"{self._seconds():>8} {line}", err=self._to_errors)

    def phase(self, line: str) -> None:
        """A stretch of the work is done."""
        now = time.perf_counter()
        took, self._last = now - self._last, now
        text = click.style(f"{line} (+{took:.2f} s)", fg="green")
        click.echo(f"{self._seconds():>8} {text}", err=self._to_errors)

    def _seconds(self) -> str:
        return f"{time.perf_counter() - self._begin:.2f} s"


def state_option(command: Any) -> Any:
    """--state DIR, which every command takes."""
    return click.option(
        "--state",
        type=click.Path(path_type=str),
        default=STATE,
        envvar="SHARDSTACK_STATE",
        show_default=True,
        metavar="DIR",
        help="The folder that holds the cluster (or SHARDSTACK_STATE).",
    )(command)
