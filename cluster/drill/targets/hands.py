"""The hands of a drill (hand.py) on the hosts of a stack, each at the end of an SSH session.

One session for each host, opened when first asked and kept: a deed takes a line there and one back.
What ends the drill ends the sessions, and then each hand takes back what it has done.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import subprocess
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cluster.errors import ClusterError

SECONDS = 90.0
"""In which a host answers: more than the hand gives a command of its own."""


class Hands:
    """Sessions by host, as a file of OpenSSH's settings describes them; safe among threads."""

    def __init__(self, settings: Path) -> None:
        self._settings = settings
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()

    def ask(self, host: str, verb: str, **what: Any) -> Any:
        """What the hand on a host answers. Raises ClusterError with its complaint, or SSH's."""
        with self._lock:
            session = self._sessions.setdefault(host, _Session(host, self._settings))
        return session.ask({"verb": verb, **what})

    def ask_all(self, verb: str, asked: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """The answers of several hosts, asked at the same time. Raises ClusterError."""
        with ThreadPoolExecutor(max(1, len(asked))) as pool:
            found = {host: pool.submit(self.ask, host, verb, **asked[host]) for host in asked}
            return {host: future.result() for host, future in found.items()}

    def close(self) -> None:
        """End the sessions, so that each hand takes back what it has done."""
        for session in self._sessions.values():
            session.close()


class _Session:
    def __init__(self, host: str, settings: Path) -> None:
        self._host = host
        self._settings = settings
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, request: Mapping[str, Any]) -> Any:
        with self._lock:
            try:
                answer = self._answer(json.dumps(request).encode() + b"\n")
            except BaseException:
                self._end()  # what comes later is not taken for the next answer
                raise
        if "error" in answer:
            raise ClusterError(f"{self._host}: {answer['error']}. Take it back by `drill heal`.")
        return answer["answer"]

    def close(self) -> None:
        with self._lock:
            self._end()

    def _answer(self, line: bytes) -> dict[str, Any]:
        process = self._running()
        assert process.stdin is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):  # then nothing is answered, and it says why
            process.stdin.write(line)
        said = _line(process)
        if not said.endswith(b"\n"):
            raise ClusterError(f"{self._host} does not answer by SSH: {self._complaint()}.")
        found: dict[str, Any] = json.loads(said)
        return found

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(
                ["ssh", "-F", str(self._settings), "-T", self._host],  # noqa: S607
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,  # what a dead session does not take must not wait for its end
                start_new_session=True,  # Ctrl-C is for the drill, which ends it
            )
        return self._process

    def _complaint(self) -> str:
        """Why there is no answer, in SSH's words."""
        if self._process is None or self._process.poll() is None:
            return f"nothing came within {SECONDS:.0f} s"
        assert self._process.stderr is not None  # noqa: S101
        said = self._process.stderr.read().decode(errors="replace")
        return " ".join(said.split()) or f"its session ended with {self._process.returncode}"

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with process:
                process.kill()


def _line(process: subprocess.Popen[bytes]) -> bytes:
    """The next line that it prints; what there is of one when it ends, or nothing comes."""
    assert process.stdout is not None  # noqa: S101
    end = time.monotonic() + SECONDS
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not said.endswith(b"\n") and selector.select(max(0.0, end - time.monotonic())):
            if not (more := process.stdout.read(2**16)):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(1)
                break
            said += more
    return said
