"""The secrets of one cluster: the servers' key and the users' passwords, in files of their own."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from cluster import keyfile
from cluster.errors import KeyFileError, StateError
from cluster.layout import USERS
from console.files import write


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
            return keyfile.parse(text)
        except ValueError:
            raise KeyFileError(
                f"{self.key_file} is not a key file (6 to 1024 base64 characters). Put the right "
                "one back, or delete it and run `down` and then `up`, which makes a new one."
            ) from None

    def make_key(self) -> None:
        """Makes a new key file."""
        self.write_key([keyfile.make()])

    def write_key(self, keys: Sequence[str]) -> None:
        """Writes the key file, whole or not at all; a server reads it when it starts."""
        write(self.key_file, keyfile.render(keys), 0o400)

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
        missing = [user for user in USERS if not known.get(user)]
        if missing:
            known |= {user: secrets.token_urlsafe(24) for user in missing}
            write(file, json.dumps(known, indent=2) + "\n")
        return known, bool(missing)
