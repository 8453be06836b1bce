"""Which code this is: what a running server has loaded, or would load now."""

import hashlib
import sysconfig
from pathlib import Path

HERE = Path(__file__).parent


def fingerprint() -> str:
    """Changes with every program and data file of this package, and with what is installed."""
    found = hashlib.sha256()
    for path in sorted(HERE.rglob("*")):
        if path.is_file() and path.suffix not in (".pyc", ".md"):
            found.update(f"{path.relative_to(HERE)}\0".encode())
            found.update(path.read_bytes())
    # Distributions have their version in a folder's name.
    installed = Path(sysconfig.get_path("purelib")).glob("*.dist-info")
    found.update("\0".join(sorted(folder.name for folder in installed)).encode())
    return found.hexdigest()
