"""Which MongoDB programs this machine runs: the one place that knows where they come from.

A real ``mongos`` is preferred wherever there is one. Where there is none, the stand-in router of
`cluster.router` takes its place; it understands the same flags, so no launcher needs to know.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from cluster.errors import ClusterError

BIN_DIR_VARIABLE = "MONGODB_BIN_DIR"


class BinaryError(ClusterError):
    """A program is missing or does not run here; the message is one line that says what to do."""


def find_mongod() -> Path:
    """Return a mongod that runs here: from MONGODB_BIN_DIR, PATH, or the installed wheel.

    Raises:
        BinaryError: there is none, or the one found does not start on this machine.
    """
    path = _on_disk("mongod") or _from_wheel()
    if path is None:
        raise BinaryError(
            "no mongod for this platform: neither in MONGODB_BIN_DIR, nor on PATH, nor in the "
            "wheel (Linux on x86_64 or aarch64). Install MongoDB and set MONGODB_BIN_DIR to its "
            "bin folder."
        )
    _assert_runs(path)
    return path


def find_mongos() -> list[str]:
    """Return the start of a router's command line: a real mongos, else the stand-in."""
    path = _on_disk("mongos")
    if path is None:
        return [sys.executable, "-m", "cluster.router"]
    _assert_runs(path)
    return [str(path)]


def _on_disk(name: str) -> Path | None:
    folder = os.environ.get(BIN_DIR_VARIABLE)
    if folder and not Path(folder).is_dir():
        raise BinaryError(
            f"MONGODB_BIN_DIR is {folder}, which is not a folder. "
            "Point it at the folder that holds mongod, or unset it."
        )
    found = (shutil.which(name, path=folder) if folder else None) or shutil.which(name)
    return Path(found) if found else None


def _from_wheel() -> Path | None:
    spec = importlib.util.find_spec("fiftyone")
    for root in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(root, "db", "bin", "mongod")
        if path.is_file():
            if not os.access(path, os.X_OK):  # pip does not promise to keep the run bit of data
                path.chmod(path.stat().st_mode | 0o111)
            return path
    return None


def _assert_runs(path: Path) -> None:
    try:
        result = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except OSError as error:
        raise BinaryError(
            f"{path} does not run on this machine ({error.strerror}). "
            "Install MongoDB for this platform and set MONGODB_BIN_DIR to its bin folder."
        ) from None
    if result.returncode == 0:
        return
    said = (result.stderr.strip() or result.stdout.strip() or "it said nothing").splitlines()[0]
    missing = "error while loading shared libraries: "
    if missing in said:
        library = said.split(missing)[1].split(":")[0]
        hint = " (Debian and Ubuntu: apt-get install libcurl4)" if "curl" in library else ""
        raise BinaryError(f"{path} needs {library}, which is not installed. Install it{hint}.")
    raise BinaryError(
        f"{path} --version failed: {said}. Set MONGODB_BIN_DIR to the bin folder of a MongoDB "
        "that runs here."
    )
