"""Users: people with an account. Each sees and changes only itself; administrators all."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from flask import Blueprint, request
from msgspec import UNSET, Meta, Struct, UnsetType

from api import passwords
from api.crud.access import Access, Role, Who, acting
from api.crud.resource import EXACT, ORDERED, TEXT, Resource
from api.crud.rules import Constraint
from api.settings import Settings
from api.store import Store, Unique
from api.web import text
from api.web.problems import ProblemError

Name = Annotated[str, Meta(examples=["Ada Lovelace"])]
NationalId = Annotated[str, Meta(examples=["AL-1815-12"])]
Email = Annotated[str, Meta(examples=["ada@example.org"])]
Phone = Annotated[str, Meta(examples=["+49 30 1234567"])]
Address = Annotated[str, Meta(examples=["12 St James's Square, London"])]
Occupation = Annotated[str, Meta(examples=["Mathematician"])]
Password = Annotated[str, Meta(examples=["a long password of mine"])]


class NewUser(Struct, kw_only=True, forbid_unknown_fields=True):
    """Body that creates a user. Without a password the user cannot log in."""

    name: Name
    national_id: NationalId
    email: Email
    phone: Phone | None = None
    address: Address | None = None
    occupation: Occupation | None = None
    password: Password | None = None


class SignUp(NewUser, kw_only=True, forbid_unknown_fields=True):
    """Body by which people create their own account: with a password."""

    password: Password


class UserChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """Body that changes a user. Null removes what may be absent.

    E-mail and password are changed at /auth/email and /auth/password, with the present password.
    """

    name: Name | UnsetType = UNSET
    national_id: NationalId | UnsetType = UNSET
    phone: Phone | UnsetType | None = UNSET
    address: Address | UnsetType | None = UNSET
    occupation: Occupation | UnsetType | None = UNSET


class UserChangeByAdmin(UserChange, kw_only=True, forbid_unknown_fields=True):
    """What administrators may change besides."""

    email: Email | UnsetType = UNSET
    password: Password | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET


class User(Struct, kw_only=True):
    """A user as shown."""

    id: str
    name: str
    national_id: str
    email: str
    phone: str | None
    address: str | None
    occupation: str | None
    role: Role
    disabled: bool
    version: int
    created_at: datetime
    updated_at: datetime


def prepare(given: dict[str, Any]) -> dict[str, Any]:
    """Replace a password by its hash. A new password ends every session, and so does disabling."""
    password = given.pop("password", None)
    if password is not None:
        given["password_hash"] = passwords.hash_password(password)
    if password is not None or given.get("disabled"):
        given["sessions"] = None
    if "role" in given:
        given["role"] = Role(given["role"]).value
    return given


def stays_administrator(document: Mapping[str, Any]) -> dict[str, str]:
    """An administrator may not shut itself out: so whoever acts as one stays one, and the last too.

    Only two who do it to each other in the same instant can both succeed: that is two documents,
    and no transaction spans them. `python -m api create-admin --promote` mends it.
    """
    who = acting()
    if who is None or not who.is_admin or document.get("_id") != who.id:
        return {}
    detail = "Administrators cannot do this to themselves. Let another one do it."
    wrong = {
        "disabled": bool(document.get("disabled")),
        "role": document.get("role") != Role.ADMIN.value,
    }
    return {field: detail for field, is_wrong in wrong.items() if is_wrong}


def keep_administrators(
    users: Blueprint, _resource: Resource, _store: Store, _settings: Settings
) -> None:
    """The same for deletion."""

    @users.before_request
    def check() -> None:
        who, asked = acting(), (request.view_args or {}).get("document_id")
        if request.method != "DELETE" or who is None or asked is None:
            return
        if who.is_admin and asked.lower() == str(who.id):
            detail = "Administrators cannot delete themselves. Let another one do it."
            raise ProblemError(409, detail, kind="own-account")


USERS = Resource(
    name="users",
    create=NewUser,
    change={Role.USER: UserChange, Role.ADMIN: UserChangeByAdmin},
    read=User,
    unique=(Unique("email"), Unique("national_id", text.national_id_key)),
    rules={
        "name": text.line(200),
        "national_id": text.national_id,
        "email": text.email,
        "phone": text.phone,
        "address": text.line(500),
        "occupation": text.line(200),
        "password": passwords.check,
    },
    access=Access(
        list=Who.ADMIN,
        create=Who.ADMIN,
        get=Who.OWNER,
        change=Who.OWNER,
        delete=Who.OWNER,
        bulk=Who.ADMIN,
    ),
    owner="_id",
    guarded=("national_id", "email", "password"),
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
    prepare=prepare,
    # With `_id`, which no change has: it is always checked against the stored document.
    constraints=(Constraint(("_id", "role", "disabled"), stays_administrator),),
    extend=keep_administrators,
    defaults=lambda: {"role": Role.USER.value, "disabled": False},
)
