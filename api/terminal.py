"""How commands speak: results on standard output, one `error:` line on standard error.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 what was asked about does not run (as the Linux
Standard Base has it), 130 interrupted.
"""

import difflib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import click

NOT_RUNNING = 3
STATE = ".shardstack"
"""The state folder of who names none."""
ALL_SETTINGS = (
    "Environment: it reads every setting (SHARDSTACK_…); `python -m api settings` lists them."
)
DATABASE_SETTINGS = (
    "Environment: it reads SHARDSTACK_DATABASE_URI (or …_FILE), else the state folder, and checks "
    "every other setting; `python -m api settings` lists them."
)


def run(command: click.Command, program: str) -> NoReturn:
    """Run the command line; whatever it raises on purpose becomes one line."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = command.main(prog_name=program, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else program
        fail(f"{_hint(error)} See `{where} --help`.", 2)
    except click.ClickException as error:
        fail(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        fail("interrupted. Run the same command again to go on.", 130)
    except Exception as error:
        if not is_ours(error):
            raise
        text = f"{error}"
        fail(text if text.endswith(("?", ".")) else f"{text}.")
    sys.exit(code if isinstance(code, int) else 0)


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


def is_ours(error: Exception) -> bool:
    """Whether this error was made for people to read. (Imports late: start-up time counts.)"""
    if type(error).__module__.partition(".")[0] == "api":
        return True
    from pymongo.errors import PyMongoError  # noqa: PLC0415

    return isinstance(error, PyMongoError)


def fail(line: str, code: int = 1) -> NoReturn:
    """One line on standard error, then the end."""
    label = click.style("error:", fg="red", bold=True)
    click.echo(f"{label} {' '.join(line.split())}", err=True)
    sys.exit(code)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _hint(error: click.UsageError) -> str:
    text = error.format_message()
    if isinstance(error.ctx and error.ctx.command, click.Group) and "No such command" in text:
        commands = error.ctx.command.list_commands(error.ctx)  # type: ignore[union-attr]
        close = difflib.get_close_matches(text.split("'")[1], commands, n=1)
        if close and "Did you mean" not in text:
            return f"{text} Did you mean {close[0]}?"
    return text


def state_option(command: Any) -> Any:
    """--state DIR, which every command takes."""
    return click.option(
        "--state",
        type=click.Path(path_type=str, file_okay=False),
        default=STATE,
        envvar="SHARDSTACK_STATE",
        show_default=True,
        metavar="DIR",
        help="The folder that holds cluster and API (or SHARDSTACK_STATE).",
    )(command)


class Narrator:
    """Prints lines with the seconds since it began; `err`: on standard error."""

    def __init__(self, *, err: bool = False) -> None:
        self._err = err
        self._began = time.monotonic()

    def say(self, line: str) -> None:
        """One line of what happens."""
        click.echo(f"{time.monotonic() - self._began:6.2f} s  {line}", err=self._err)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Say how long the block took, once it is done."""
        began = time.monotonic()
        yield
        self.say(f"{what}: {time.monotonic() - began:.2f} s")


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
