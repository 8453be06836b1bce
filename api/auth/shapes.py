"""Bodies that the routes of `auth` take and answer with."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from api.resources.users import Email, NationalId, Password


class LogIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """E-mail or national id, one of the two, and the password. `cookie`: for browsers."""

    json_schema: ClassVar[dict[str, Any]] = {
        "oneOf": [
            {
                "required": [name],
                "properties": {name: {"type": "string"}, other: {"type": "null"}},
            }
            for name, other in (("email", "national_id"), ("national_id", "email"))
        ],
        "examples": [{"email": "ada@example.org", "password": "a long password of mine"}],
    }

    email: Email | None = None
    national_id: NationalId | None = None
    password: Password
    mode: Literal["bearer", "cookie"] = "bearer"
    device_token: (
        Annotated[
            str,
            Meta(
                max_length=2000,
                description="What an earlier log-in on this device gave: the right password then "
                "passes, also while strangers try to guess it",
            ),
        ]
        | None
    ) = None


class PasswordChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """A new password, and the present one again."""

    current_password: Password
    new_password: Password


class EmailChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """A new address, and the present password again."""

    email: Email
    current_password: Password


class Tokens(Struct, kw_only=True):
    """The tokens of a session; in cookie mode the CSRF tokens that belong to the cookies."""

    access_token: str | UnsetType = UNSET
    refresh_token: str | UnsetType = UNSET
    token_type: Literal["Bearer", "Cookie"] = "Bearer"  # noqa: S105
    expires_in: int  # seconds, of the access token
    csrf_token: str | UnsetType = UNSET  # with requests that change anything
    csrf_refresh_token: str | UnsetType = UNSET  # with /auth/refresh
    # Of a log-in: to be kept on the device, and sent with its later log-ins. It opens nothing.
    device_token: str | UnsetType = UNSET


class Session(Struct, kw_only=True):
    """One log-in that has not ended. `current`: this request's own."""

    id: str
    made_at: datetime
    used_at: datetime
    ends_at: datetime
    address: str | None
    agent: str
    current: bool


class SessionList(Struct, kw_only=True):
    """Sessions, the last used first."""

    items: list[Session]


class KeySet(Struct, kw_only=True):
    """Public keys as a JWK Set (RFC 7517); empty when tokens are signed with HS256."""

    keys: list[dict[str, str]]
