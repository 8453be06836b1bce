"""`python -m api serve --reload`: a server for whoever writes the code.

Each change starts another server beside the one that serves, on the same port, and that one is
ended once the new one accepts connections. Code that does not start leaves it as it is.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import click

from api.local import state
from api.serving.listening import listen
from api.settings import Settings, SettingsError, variable
from console.signals import Interrupted, end_with_parent

LOOK_SECONDS = 0.5
STOP_SECONDS = 12.0


class Reloading:
    """Runs servers, one after the other, until a signal."""

    def __init__(self, settings: Settings, state: str) -> None:
        self._settings = settings
        self._state = state
        self._present: subprocess.Popen[bytes] | None = None
        self._loaded = ""

    def run(self) -> None:
        """Serve. Returns when told to stop. Raises SettingsError."""
        host, port = self._settings.host, self._settings.port
        try:
            listener = listen(host, port)
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {host}, port {port}: {error.strerror}. "
                f"Set {variable('port')} to another"
            ) from None
        try:
            while True:
                if self._present is not None and self._present.poll() is not None:
                    click.echo("the server has ended. Starting another", err=True)
                    self._present, self._loaded = None, ""
                if (now := state.fingerprint()) != self._loaded:
                    self._loaded = now
                    self._replace(listener)
                time.sleep(LOOK_SECONDS)
        except Interrupted:
            click.echo("stopping", err=True)
        finally:
            listener.close()
            self._end(self._present, signal.SIGTERM)

    def _replace(self, listener: socket.socket) -> None:
        following = self._start(listener)
        if following is None:
            if state.fingerprint() != self._loaded:
                return  # more has been saved meanwhile; the next look starts that
            going_on = "; the code before it serves on" if self._present else ""
            click.echo(f"the code does not start{going_on}. Waiting for a change", err=True)
            return
        last, self._present = self._present, following
        if last is not None:
            click.echo("the code has changed: it is served now", err=True)
            self._end(last, signal.SIGUSR2)

    def _start(self, listener: socket.socket) -> subprocess.Popen[bytes] | None:
        """A server that accepts connections, or None when this code makes none."""
        reading, writing = os.pipe()
        given = (listener.fileno(), -1, writing)
        try:
            child = subprocess.Popen(
                [
                    *(sys.executable, "-m", "api", "serve", "--state", self._state),
                    *("--inherit", *map(str, given)),
                ],
                pass_fds=[listener.fileno(), writing],
                start_new_session=True,  # Ctrl-C is for this process, which passes it on
                preexec_fn=end_with_parent,  # noqa: PLW1509 - there is one thread
            )
        finally:
            os.close(writing)
        try:
            if self._accepts(reading):
                return child
        except BaseException:
            self._end(child, signal.SIGTERM)
            raise
        finally:
            os.close(reading)
        self._end(child, signal.SIGTERM)
        return None

    def _accepts(self, reading: int) -> bool:
        """Wait until the server accepts connections. False: it ended, or the code changed again."""
        while not select.select([reading], [], [], LOOK_SECONDS)[0]:
            if state.fingerprint() != self._loaded:
                return False
        # A worker's byte; or nothing, since all that could write one have ended.
        return bool(os.read(reading, 1))

    @staticmethod
    def _end(child: subprocess.Popen[bytes] | None, number: signal.Signals) -> None:
        if child is None:
            return
        with suppress(ProcessLookupError):
            child.send_signal(number)
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
