"""Which code this is: what a running server has loaded, or would load now."""

import hashlib
import os
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import api
import console

FOLDERS = (Path(api.__file__).parent, Path(console.__file__).parent)
"""Of the packages that a server is made of."""


def fingerprint() -> str:
    """Changes with every program and data file of the server, and with what is installed.

    A file that vanishes while it is looked at counts as gone.
    """
    found = hashlib.sha256()
    for root in FOLDERS:
        for path in _files(root):
            with suppress(OSError):
                content = path.read_bytes()
                found.update(f"{path.relative_to(root.parent)}\0".encode() + content)
    # Distributions have their version in a folder's name.
    installed = Path(sysconfig.get_path("purelib")).glob("*.dist-info")
    found.update("\0".join(sorted(folder.name for folder in installed)).encode())
    return found.hexdigest()


def _files(root: Path) -> Iterator[Path]:
    """The files of a package, in a fixed order.

    Left out are files that appear beside the code while it runs or is edited: those of editors, and
    Python's caches, which are named `x.cpython-311.pyc.<number>` until they are whole.
    """
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(one for one in folders if one != "__pycache__" and one[0] != ".")
        for name in sorted(names):
            path = Path(folder, name)
            if name[0] not in ".#" and not name.endswith(("~", ".md")) and path.is_file():
                yield path
