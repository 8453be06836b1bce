"""What an API needs before it can serve: a secret, the schema, and somebody who may log in.

It can be repeated at any moment: what is there stays as it is.
"""

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from api import accounts, schema
from api.store import Store
from console import files
from console.terminal import python

ADMIN_EMAIL = "admin@example.com"


class Admin(msgspec.Struct, kw_only=True):
    """What admin.json holds. Fit to be sent to /auth/login as it is."""

    email: str
    password: str


def ensure_jwt_secret(file: Path) -> None:
    """Make the secret that signs tokens, once. Raises FileError."""
    if not file.exists():
        files.write(file, secrets.token_urlsafe(48).encode() + b"\n")


def prepare(
    store: Store,
    admin_file: Path,
    say: Callable[[str], None],
    timed: Callable[[str], AbstractContextManager[None]],
) -> tuple[Admin, bool]:
    """Apply the schema and make the administrator: who it is, and whether it was made just now.

    Names the collections that removed resources left, and leaves them alone.
    Raises FileError, SchemaError, StoreError.
    """
    with timed("schema applied"):
        for line in schema.apply(store):
            say(f"  {line}")
        for name in schema.orphan_names(store):
            say(
                f"  no resource has {name} any more. "
                f"What it holds, and how to remove it: {python()} -m api schema --orphans"
            )
    with timed("administrator"):
        admin = files.read_json(admin_file, Admin)
        if admin is None:
            admin = _new_admin(store)
            files.write(admin_file, msgspec.json.encode(admin))
        made = accounts.ensure_admin(store, admin.email, admin.password)
    return admin, made.what == "created"


def _new_admin(store: Store) -> Admin:
    """For an address that is free: in this database an earlier one's may have been lost."""
    email = ADMIN_EMAIL
    if accounts.exists(store, email):
        email = ADMIN_EMAIL.replace("@", f".{secrets.token_hex(3)}@")
    return Admin(email=email, password=accounts.generate_password())
