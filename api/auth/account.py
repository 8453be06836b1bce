"""What the logged-in do with their own account: sessions, log-out, password, e-mail."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from flask import Blueprint, Response
from msgspec import Struct

from api import passwords
from api.auth import cookies, tokens
from api.auth.credentials import Credentials
from api.auth.sessions import Sessions
from api.crud import audit
from api.crud.access import principal
from api.crud.audit import Trail
from api.resources import USERS
from api.resources.users import Email, Password
from api.settings import Settings
from api.store import Store, VersionMovedError
from api.web.body import reply
from api.web.operations import Answer, Fields, operation
from api.web.problems import ProblemError

NOTHING = {204: Answer(description="Done")}
CSRF = {cookies.HEADER: "The CSRF token, in cookie mode"}
PASSWORD_RULES = {"new_password": passwords.check}
EMAIL_RULES = {"email": USERS.rules["email"]}


class PasswordChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """A new password, and the present one again."""

    current_password: Password
    new_password: Password


class EmailChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """A new address, and the present password again."""

    email: Email
    current_password: Password


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


SHOWN = tuple(name for name in Session.__struct_fields__ if name != "current")


def gone() -> Response:
    """204, and no cookies any more."""
    return cookies.remove(Response(status=204))


@contextmanager
def unless_moved() -> Iterator[None]:
    """409 if the account was changed since the password was confirmed: it may have been that."""
    try:
        yield
    except VersionMovedError:
        detail = "Your account was changed at the same moment. Look at it, and try again."
        raise ProblemError(409, detail, kind="version-moved") from None


def add(auth: Blueprint, store: Store, settings: Settings, trail: Trail) -> None:
    """Add the routes to the blueprint of `auth`."""
    sessions = Sessions(store, settings)
    credentials = Credentials(store, settings, sessions, trail)
    users = USERS.documents(store)

    def record(event: str, *fields: str) -> None:
        trail.record(event, actor=principal().id, target=principal().id, fields=fields)

    @auth.post("/logout")
    @operation(answers=NOTHING, headers=CSRF, problems=(403,))
    def logout() -> Response:
        """End this session: its tokens are good for nothing from now on.

        It takes whatever is left of them: the access token, the refresh token, either as cookie,
        or nothing that is good any more.
        """
        for user_id, session_id in {(one.user_id, one.session) for one in tokens.every_one()}:
            if sessions.end(user_id, session_id):
                trail.record(audit.LOGOUT, actor=user_id, target=user_id)
        return gone()

    @auth.post("/logout-all")
    @operation(answers=NOTHING, headers=CSRF, problems=(403,))
    def logout_all() -> Response:
        """End every session of the user, on every device."""
        sessions.end_all(principal().id)
        record(audit.LOGOUT_ALL)
        return gone()

    @auth.get("/sessions")
    @operation(answers={200: Answer(shape=SessionList)})
    def list_sessions() -> Response:
        """The user's sessions, the last used first."""
        mine = principal()
        shown = [
            Session(current=found["id"] == mine.session, **{k: found[k] for k in SHOWN})
            for found in sessions.alive(mine.id)
        ]
        return reply(SessionList(items=shown))

    @auth.delete("/sessions/<session_id>")
    @operation(answers=NOTHING, headers=CSRF, problems=(403, 404))
    def end_session(session_id: str) -> Response:
        """End one of the user's sessions."""
        if not sessions.end(principal().id, session_id.lower()):
            raise ProblemError(404, "You have no session with this id.", kind="missing")
        record(audit.REVOKED)
        return gone() if session_id.lower() == principal().session else Response(status=204)

    @auth.post("/password")
    @operation(
        body=PasswordChange,
        rules=PASSWORD_RULES,
        answers=NOTHING,
        headers=CSRF,
        problems=(403, 409, 429),
    )
    def change_password(body: Fields) -> Response:
        """Change the password; every session of the user ends, this one too."""
        who = principal().id
        version = credentials.confirm(principal(), body["current_password"], audit.PASSWORD)
        with unless_moved():
            users.change(who, USERS.changing({"password": body["new_password"]}), version)
        record(audit.PASSWORD, "password")
        return gone()

    @auth.post("/email")
    @operation(
        body=EmailChange,
        rules=EMAIL_RULES,
        answers={200: Answer(shape=USERS.read)},
        headers=CSRF,
        problems=(403, 409, 429),
    )
    def change_email(body: Fields) -> Response:
        """Change the e-mail address, which no other user may have."""
        who = principal().id
        version = credentials.confirm(principal(), body["current_password"], audit.EMAIL)
        with unless_moved():
            changed = users.change(who, {"email": body["email"]}, version)
        record(audit.EMAIL, "email")
        return reply(USERS.show(changed or principal().document))
