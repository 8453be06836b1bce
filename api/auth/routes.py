"""Sign up, log in, and who am I."""

from contextlib import suppress

from flask import Blueprint, Response
from msgspec import Struct

from api.auth import passwords, tokens
from api.crud.access import principal
from api.crud.routes import Routes
from api.resources import USERS
from api.resources.users import Email, NationalId, Password, SignUp
from api.settings import Settings
from api.store import Document, Documents, Store, StoreError
from api.web import body
from api.web.problems import in_body, invalid, unauthorized

LOGIN_RULES = {name: USERS.rules[name] for name in ("email", "national_id")}


class LogIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Body to log in with: e-mail or national id, one of the two."""

    email: Email | None = None
    national_id: NationalId | None = None
    password: Password


def blueprint(store: Store, settings: Settings) -> Blueprint:
    """The routes, to be registered under the API's prefix."""
    auth = Blueprint("auth", __name__)
    users = USERS.documents(store)
    routes = Routes(USERS, store, settings)
    body.prepare(SignUp, LogIn)

    @auth.post("/signup")
    def signup() -> Response:
        """A new account for whoever asks."""
        return routes.created(body.read(SignUp, USERS.rules))

    @auth.post("/login")
    def login() -> Response:
        """An access token for e-mail or national id and password."""
        user = identify(users, body.read(LogIn, LOGIN_RULES))
        return body.reply(
            {
                "access_token": tokens.issue(user["_id"], user.get("session", "")),
                "token_type": "Bearer",
                "expires_in": int(settings.access_token_lifetime),
            }
        )

    @auth.get("/me")
    def me() -> Response:
        """The user whose token this is."""
        return body.reply(USERS.show(principal().document))

    return auth


def identify(users: Documents, given: Document) -> Document:
    """The user with these credentials. Raises 401, the same for every reason and in the same time.

    A user without a password hash cannot log in.
    """
    names = [name for name in LOGIN_RULES if given[name] is not None]
    if len(names) != 1:
        detail = "Give either email or national_id."
        raise invalid(*(in_body(name, detail) for name in LOGIN_RULES))
    user = users.find_unique(names[0], given[names[0]]) or {}
    right = passwords.verify(user.get("password_hash"), given["password"])
    if not right or user["disabled"]:
        raise unauthorized("These credentials are not right.")
    if passwords.needs_rehash(user["password_hash"]):
        # Only now is the password at hand. If it does not work out, next time.
        renewed = {"password_hash": passwords.hash_password(given["password"])}
        with suppress(StoreError):
            users.change(user["_id"], renewed, user["version"])
    return user
