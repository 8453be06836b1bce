"""The key file: what the servers of a cluster know one another by, and how it is written.

It holds one key, or two as a YAML list while keys are changed: a server accepts both, and logs in
to others with the first (and with the second where the first is refused). White space inside a key
does not count.
Source: https://www.mongodb.com/docs/manual/tutorial/rotate-key-sharded-cluster/
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from pathlib import Path

MOST_KEYS = 2  # mongod refuses more
_KEY = re.compile(r"[A-Za-z0-9+/=]{6,1024}")


def make() -> str:
    """A new key of 4,800 random bits."""
    return secrets.token_urlsafe(600).replace("-", "+").replace("_", "/")


def parse(text: str) -> list[str]:
    """The keys of a key file's text, the one to log in with first; ValueError when it has none."""
    lines = [line.strip() for line in text.splitlines() if not line.lstrip().startswith("#")]
    items = [line.removeprefix("- ").strip("\"' ") for line in lines if line.startswith("- ")]
    keys = ["".join(item.split()) for item in items or ["".join(lines)]]
    if len(keys) > MOST_KEYS:
        raise ValueError(f"it holds {len(keys)} keys, and a server takes at most {MOST_KEYS}")
    if not all(_KEY.fullmatch(key) for key in keys):
        raise ValueError("a key must have 6 to 1024 characters, those of base64")
    return keys


def render(keys: Sequence[str]) -> str:
    """The text of a key file."""
    return "".join(f"- {key}\n" for key in keys) if len(keys) > 1 else f"{keys[0]}\n"


def read(path: Path) -> list[str]:
    """The keys of a file; ValueError when it is no key file, OSError when it cannot be read."""
    try:
        return parse(path.read_text(encoding="ascii"))
    except ValueError as error:
        why = "it is not plain text" if isinstance(error, UnicodeDecodeError) else error
        raise ValueError(f"key file {path}: {why}") from None
