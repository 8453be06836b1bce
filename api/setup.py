"""What an API needs before it can serve: a secret, the schema and an administrator.

Making them can be repeated at any moment, what is there stays as it is. Here alone are
administrators made.
"""

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from api import passwords, schema
from api.crud.access import Role
from api.errors import ApiError
from api.resources import USERS
from api.store import Store
from console import Report, files
from console.terminal import python


class Made(msgspec.Struct, frozen=True):
    """What `ensure_admin` did: `created`, `promoted` or `existing`."""

    what: str


class AccountError(ApiError):
    """No administrator could be made. The message is one line and says what to do."""


def generate_password() -> str:
    """A password nobody guesses: 120 random bits."""
    return secrets.token_urlsafe(15)


def exists(store: Store, email: str) -> bool:
    """Whether any user has this address."""
    return USERS.documents(store).find_unique("email", email) is not None


def ensure_admin(
    store: Store, email: str, password: str, name: str = "Administrator", *, promote: bool = False
) -> Made:
    """Make sure that an administrator has this e-mail address. An existing one keeps its password.

    Raises AccountError for bad values, and for a user of another role unless `promote`.
    """
    try:
        address = USERS.rules["email"](email)
        fields = {"name": USERS.rules["name"](name), "email": address}
        passwords.check(password)
    except ValueError as error:
        raise AccountError(str(error).rstrip(".")) from None
    users = USERS.documents(store)
    found = users.find_unique("email", address)
    if found is None:
        number = f"ADMIN-{secrets.token_hex(6).upper()}"  # people may enter their own later
        given = {**fields, "national_id": number, "password": password}
        users.create({**USERS.beginning(given), "role": Role.ADMIN.value})
        return Made("created")
    if found["role"] == Role.ADMIN.value:
        return Made("existing")
    if not promote:
        raise AccountError(
            f"{address} is an ordinary user. Give --promote to make it an administrator"
        )
    users.change(found["_id"], {"role": Role.ADMIN.value})
    return Made("promoted")


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
    say: Report,
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
        made = ensure_admin(store, admin.email, admin.password)
    return admin, made.what == "created"


def _new_admin(store: Store) -> Admin:
    """For an address that is free: in this database an earlier one's may have been lost."""
    email = ADMIN_EMAIL
    if exists(store, email):
        email = ADMIN_EMAIL.replace("@", f".{secrets.token_hex(3)}@")
    return Admin(email=email, password=generate_password())
