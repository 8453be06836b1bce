"""Sign up, log in, refresh: the routes by which people get tokens; and who am I."""

from typing import Annotated, Any, ClassVar, Literal

from bson import ObjectId
from flask import Blueprint, Response, request
from msgspec import UNSET, Meta, Struct, UnsetType

from api.auth import account, cookies, tokens
from api.auth.credentials import Credentials
from api.auth.sessions import ReplayedError, Sender, Sessions
from api.auth.tokens import SigningKeys
from api.crud import audit
from api.crud.access import principal
from api.crud.audit import REFUSED, Trail
from api.crud.creation import ANSWER_HEADERS, REQUEST_HEADERS, Creation
from api.crud.references import References
from api.crud.shapes import requiring
from api.resources import ALL, USERS
from api.resources.users import Email, NationalId, Password
from api.settings import Settings
from api.store import Store
from api.store.throttle import Throttle
from api.web import body as bodies
from api.web import proxies
from api.web.operations import Answer, Fields, operation
from api.web.problems import in_body, invalid, unauthorized
from api.web.proxies import block, client_address
from api.web.text import escaped

SIGN_UP = requiring(
    USERS.create,
    "password",
    "SignUp",
    "Body by which people create their own account: with a password.",
)
LOGIN_RULES = {name: USERS.rules[name] for name in ("email", "national_id")}
LONGEST_AGENT = 200  # characters of User-Agent that are kept
COOKIE_HEADER = {cookies.HEADER: "The CSRF token of the cookies, in cookie mode"}


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


class KeySet(Struct, kw_only=True):
    """Public keys as a JWK Set (RFC 7517); empty when tokens are signed with HS256."""

    keys: list[dict[str, str]]


class Entrance:
    """The views' helpers: tokens for a session, in the answer's body or in cookies."""

    def __init__(self, store: Store, settings: Settings, trail: Trail) -> None:
        self._issuer = tokens.Issuer(settings)
        self._trail = trail
        self._sessions = Sessions(store, settings)
        self._credentials = Credentials(store, settings, self._sessions, trail)

    def log_in(self, field: str, value: str, body: Fields) -> Response:
        """Tokens for a new session."""
        by_cookie = body["mode"] == "cookie"
        user_id, opened = self._credentials.log_in(
            field, value, body["password"], sender(by_cookie), tokens.proofs(body["device_token"])
        )
        csrf = tokens.new_csrf() if by_cookie else None
        device = self._issuer.device(user_id, opened)
        return self._answer(self._issuer.pair(user_id, opened, csrf), by_cookie, device)

    def refresh(self) -> Response:
        """New tokens for the request's refresh token, which is thereby used up."""
        given, by_cookie = tokens.verify_refresh()
        user_id = given.user_id
        try:
            opened = self._sessions.rotate(
                user_id, given.session, given.jti, given.began, sender(by_cookie)
            )
        except ReplayedError:
            # Its thief or its owner used it, and nobody knows which (RFC 9700 2.2.2).
            self._trail.record(audit.REPLAY, target=user_id, outcome=REFUSED)
            opened = None
        if opened is None:
            cookies.forget(cookies.ACCESS, cookies.REFRESH)
            raise unauthorized("The refresh token is no longer valid. Log in again.")
        return self._answer(self._issuer.pair(user_id, opened, given.csrf), by_cookie)

    def _answer(
        self, pair: tokens.Pair, by_cookie: bool, device: str | UnsetType = UNSET
    ) -> Response:
        """The tokens. `access_token` comes first: the README cuts it out of the text."""
        seconds = pair.lifetimes[0]
        if not by_cookie:
            return bodies.reply(
                Tokens(
                    access_token=pair.access,
                    refresh_token=pair.refresh,
                    expires_in=seconds,
                    device_token=device,
                )
            )
        shown = Tokens(
            token_type="Cookie",  # noqa: S106 - no password
            expires_in=seconds,
            csrf_token=pair.access_csrf,
            csrf_refresh_token=pair.refresh_csrf,
            device_token=device,
        )
        return cookies.give(bodies.reply(shown), pair.access, pair.refresh, pair.lifetimes)


def sender(by_cookie: bool) -> Sender:
    """Who sends this request; what it calls itself, shortened."""
    agent = escaped(request.headers.get("User-Agent", "")[:LONGEST_AGENT])
    return Sender(client_address(), agent, by_cookie, proxies.request_name())


def one_name(given: Fields) -> tuple[str, str]:
    """The field and value to log in by. Raises 422 unless it is exactly one."""
    found = [(name, given[name]) for name in LOGIN_RULES if given[name] is not None]
    if len(found) != 1:
        detail = "Give either email or national_id."
        raise invalid(*(in_body(name, detail) for name in LOGIN_RULES))
    return found[0]


def blueprint(store: Store, settings: Settings, trail: Trail) -> Blueprint:
    """The routes, to be registered under the API's prefix."""
    auth = Blueprint("auth", __name__)
    entrance = Entrance(store, settings, trail)
    users = Creation(USERS, store, settings, trail, References(USERS, store, ALL))
    signups = Throttle(store, "register-address", settings.register_rate_address)
    keys = KeySet(keys=[dict(key) for key in SigningKeys.of(settings).published()["keys"]])

    @auth.post("/signup")
    @operation(
        body=SIGN_UP,
        rules=USERS.rules,
        headers=REQUEST_HEADERS,
        answers={201: Answer(shape=USERS.read, headers=ANSWER_HEADERS)},
        problems=(409, 410, 429),
    )
    def signup(body: Fields) -> Response:
        """A new account for whoever asks."""
        signups.hit(block(client_address()))
        response = users.create(body)
        made = ObjectId(response.headers["Location"].rpartition("/")[2])
        trail.record(audit.SIGNUP, actor=made, target=made)
        return response

    @auth.post("/login")
    @operation(
        body=LogIn, rules=LOGIN_RULES, answers={200: Answer(shape=Tokens)}, problems=(401, 429)
    )
    def login(body: Fields) -> Response:
        """Tokens for e-mail or national id and password.

        With mode `cookie` they come as cookies, for browsers; the body then has the CSRF tokens.
        """
        return entrance.log_in(*one_name(body), body)

    @auth.post("/refresh")
    @operation(answers={200: Answer(shape=Tokens)}, headers=COOKIE_HEADER, problems=(401, 403))
    def refresh() -> Response:
        """New tokens for a refresh token, sent as `Authorization: Bearer …` or as cookie.

        Each refresh token is good once. For a few seconds the same client gets the same new tokens
        for it again. After that, or from elsewhere, one that comes a second time was stolen, or its
        successor was: the session ends, and with it all its tokens.
        """
        return entrance.refresh()

    @auth.get("/jwks.json")
    @operation(answers={200: Answer(shape=KeySet)})
    def jwks() -> Response:
        """The public keys that verify tokens (RFC 7517); none when they are signed with HS256."""
        return bodies.reply(keys, headers={"Cache-Control": "public, max-age=300"})

    @auth.get("/me")
    @operation(answers={200: Answer(shape=USERS.read)})
    def me() -> Response:
        """The user whose token this is."""
        return bodies.reply(USERS.show(principal().document))

    account.add(auth, store, settings, trail)
    return auth
