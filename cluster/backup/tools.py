"""mongorestore, MongoDB's own, when it is on PATH.

Its counterpart mongodump is of no use here: it cannot read at a cluster time.

The connection string goes in a file that only this user can read, never in an argument: arguments
are for everybody to see in `ps`.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from cluster.backup.manifest import Entry
from cluster.errors import ClusterError

STOP_SECONDS = 10.0


def found(name: str) -> str | None:
    """The path of a program; None when it is not on PATH."""
    return shutil.which(name)


def restore(tool: str, uri: str, folder: Path, entries: Sequence[Entry]) -> None:
    """Fills collections that are there already, indexes and all; capped ones in their order."""
    flags = ["--noIndexRestore", "--noOptionsRestore", "--bypassDocumentValidation"]
    flags += ['--writeConcern={"w":"majority"}', f"--dir={folder}"]
    with_documents = [entry for entry in entries if entry.has_documents]
    for in_order in (False, True):
        wanted = [e for e in with_documents if bool(e.options.get("capped")) == in_order]
        names = [f"--nsInclude={_pattern(entry.namespace)}" for entry in wanted]
        order = ["--maintainInsertionOrder"] if in_order else []
        if names:
            _run([tool, *flags, *order, *names], uri)


def _pattern(namespace: str) -> str:
    return namespace.replace("\\", "\\\\").replace("*", "\\*")


def _run(command: list[str], uri: str) -> None:
    with _configuration(uri) as file, tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [command[0], f"--config={file}", *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            umask=0o077,
        )
        try:
            process.wait()
        finally:
            _stop(process)
        if process.returncode != 0:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
            name = Path(command[0]).name
            raise ClusterError(f"{name} failed with status {process.returncode}: {lines[-1]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _configuration(uri: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="shardstack-") as folder:  # 0700
        file = Path(folder) / "tool.yaml"
        file.touch(0o600)
        file.write_text(f"uri: {json.dumps(uri)}\n", encoding="utf-8")
        yield file
