"""Making administrators: the only way to that role."""

import secrets

import msgspec

from api import passwords
from api.crud.access import Role
from api.errors import ApiError
from api.resources import USERS
from api.store import Store


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
        users.create({**USERS.prepare(given), **USERS.defaults(), "role": Role.ADMIN.value})
        return Made("created")
    if found["role"] == Role.ADMIN.value:
        return Made("existing")
    if not promote:
        raise AccountError(
            f"{address} is an ordinary user. Give --promote to make it an administrator"
        )
    users.change(found["_id"], {"role": Role.ADMIN.value})
    return Made("promoted")
