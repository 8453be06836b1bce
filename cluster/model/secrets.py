"""The secrets of one cluster: the servers' key and the users' passwords, in files of their own.

The servers know one another by the key file. It holds one key, or two as a YAML list while keys are
changed: a server accepts both, and logs in to others with the first (and with the second where the
first is refused). White space inside a key does not count.
Source: https://www.mongodb.com/docs/manual/tutorial/rotate-key-sharded-cluster/
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cluster.errors import KeyFileError, StateError
from cluster.model.users import USERS, kind
from console.files import write

MOST_KEYS = 2  # mongod refuses more
_KEY = re.compile(r"[A-Za-z0-9+/=]{6,1024}")


def make_key() -> str:
    """A new key of 4,800 random bits."""
    return secrets.token_urlsafe(600).replace("-", "+").replace("_", "/")


def make_passwords(users: Iterable[str] = USERS) -> dict[str, str]:
    """New passwords of 192 random bits."""
    return {user: secrets.token_urlsafe(24) for user in users}


def parse_keys(text: str) -> list[str]:
    """The keys of a key file's text, the one to log in with first; ValueError when it has none."""
    lines = [line.strip() for line in text.splitlines() if not line.lstrip().startswith("#")]
    items = [line.removeprefix("- ").strip("\"' ") for line in lines if line.startswith("- ")]
    keys = ["".join(item.split()) for item in items or ["".join(lines)]]
    if len(keys) > MOST_KEYS:
        raise ValueError(f"it holds {len(keys)} keys, and a server takes at most {MOST_KEYS}")
    if not all(_KEY.fullmatch(key) for key in keys):
        raise ValueError("a key must have 6 to 1024 characters, those of base64")
    return keys


def render_keys(keys: Sequence[str]) -> str:
    """The text of a key file."""
    return "".join(f"- {key}\n" for key in keys) if len(keys) > 1 else f"{keys[0]}\n"


def read_keys(path: Path) -> list[str]:
    """The keys of a file; ValueError when it is no key file, OSError when it cannot be read."""
    try:
        return parse_keys(path.read_text(encoding="ascii"))
    except ValueError as error:
        why = "it is not plain text" if isinstance(error, UnicodeDecodeError) else error
        raise ValueError(f"key file {path}: {why}") from None


class Secrets:
    """A key file (0400) and a file of passwords (0600, JSON by user)."""

    def __init__(self, key_file: Path, users_file: Path) -> None:
        self.key_file = key_file
        self.users_file = users_file

    def key(self) -> str:
        """The key to log in with; KeyFileError when the file has none. Repairs its mode."""
        return self.keys()[0]

    def keys(self) -> list[str]:
        """What the key file holds, as `key` does: one, or two while keys are changed."""
        try:
            text = self.key_file.read_text(encoding="ascii")
            if self.key_file.stat().st_mode & 0o777 != 0o400:  # it may be on a disk to read only
                self.key_file.chmod(0o400)
        except FileNotFoundError:
            raise KeyFileError(
                f"{self.key_file} is missing. Put it back, or run `down` and then `up`, "
                "which makes a new one."
            ) from None
        except (UnicodeDecodeError, OSError) as error:
            raise KeyFileError(
                f"{self.key_file} cannot be read ({error}). Put the right file back."
            ) from None
        try:
            return parse_keys(text)
        except ValueError:
            raise KeyFileError(
                f"{self.key_file} is not a key file (6 to 1024 base64 characters). Put the right "
                "one back, or delete it and run `down` and then `up`, which makes a new one."
            ) from None

    def make_key(self) -> None:
        """Makes a new key file."""
        self.write_key([make_key()])

    def write_key(self, keys: Sequence[str]) -> None:
        """Writes the key file, whole or not at all; a server reads it when it starts."""
        write(self.key_file, render_keys(keys), 0o400)

    def passwords(self) -> tuple[dict[str, str], bool]:
        """Each user's password, and whether some had to be made."""
        file = self.users_file
        try:
            known = {str(k): str(v) for k, v in json.loads(file.read_bytes()).items()}
        except FileNotFoundError:
            known = {}
        except (ValueError, AttributeError, OSError):
            raise StateError(
                f"{file} is damaged. Delete it and run `up` again: it gives every user a new "
                "password."
            ) from None
        there = {kind(user) for user, password in known.items() if password}
        missing = [user for user in USERS if user not in there]
        if missing:
            known |= make_passwords(missing)
            self.write_passwords(known)
        return known, bool(missing)

    def write_passwords(self, passwords: Mapping[str, str]) -> None:
        """Writes the users' passwords, whole or not at all."""
        write(self.users_file, json.dumps(passwords, indent=2) + "\n")
