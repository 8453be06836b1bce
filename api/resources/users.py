"""Users: people with an account. Each sees and changes only itself; administrators all."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct

from api import passwords
from api.crud.access import Access, Role, Who
from api.crud.fields import (
    ADMIN_CHANGES,
    ADMIN_ONLY,
    FRESH_LOGIN,
    NEVER_SHOWN,
    NOT_ONESELF,
    UNIQUE,
    StoredAs,
    UniqueBy,
)
from api.crud.resource import EXACT, ORDERED, TEXT, Resource
from api.web import text as texts

# What log-in takes as well (auth/routes.py).
NationalId = Annotated[str, texts.national_id, Meta(examples=["AL-1815-12"])]
Email = Annotated[str, texts.email, Meta(examples=["ada@example.org"])]
Password = Annotated[str, Meta(examples=["a long password of mine"])]
NewPassword = Annotated[
    Password, passwords.check, StoredAs("password_hash", passwords.hash_password)
]


class User(Struct, kw_only=True):
    """A user."""

    name: Annotated[str, texts.line(200), Meta(examples=["Ada Lovelace"])]
    national_id: Annotated[NationalId, UniqueBy(texts.national_id_key), FRESH_LOGIN]
    email: Annotated[Email, UNIQUE, FRESH_LOGIN, ADMIN_CHANGES]
    phone: Annotated[str, texts.phone, Meta(examples=["+49 30 1234567"])] | None = None
    address: (
        Annotated[str, texts.line(500), Meta(examples=["12 St James's Square, London"])] | None
    ) = None
    occupation: Annotated[str, texts.line(200), Meta(examples=["Mathematician"])] | None = None
    role: Annotated[Role, ADMIN_ONLY, NOT_ONESELF] = Role.USER
    disabled: Annotated[bool, ADMIN_ONLY, NOT_ONESELF] = False
    password: Annotated[NewPassword, NEVER_SHOWN, FRESH_LOGIN, ADMIN_CHANGES] | None = None


def ends_sessions(changes: Mapping[str, Any]) -> dict[str, Any]:
    """A new password ends every session, and so does disabling."""
    ends = "password_hash" in changes or changes.get("disabled")
    return {"sessions": None} if ends else {}


USERS = Resource(
    name="users",
    fields=User,
    accounts=True,
    access=Access(
        list=Who.ADMIN,
        create=Who.ADMIN,
        get=Who.OWNER,
        change=Who.OWNER,
        delete=Who.OWNER,
        bulk=Who.ADMIN,
    ),
    notes={
        "create": "Without a password the user cannot log in.",
        "change": "E-mail and password are changed at /auth/email and /auth/password, with the "
        "present password.",
    },
    filters={
        "name": TEXT,
        "email": ("eq", "prefix"),
        "occupation": EXACT,
        "role": EXACT,
        "disabled": ("eq",),
        "created_at": ORDERED,
    },
    sorts=("name", "email"),
    rare={"role": Role.ADMIN.value, "disabled": True},
    along=ends_sessions,
)
