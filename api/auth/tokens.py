"""Access and refresh tokens: issuer, audience, times, type and key all checked (RFC 8725).

A token names the user, one of the user's sessions, and when that was begun by a log-in. When the
session ends, so do its tokens. What the user may do is not in the token: it is read from the user's
document, so a change of role counts immediately. A refresh token is good once: its `jti` is the one
that the session knows. What a token says follows from its session alone, so that two answers to one
refresh (sessions.py) bring the same tokens, letter by letter.

A device token opens nothing: it proves to a later log-in that there was an earlier one
(credentials.py).

The keys that sign and verify tokens are made from the secrets in the settings. The kind of secret
decides the algorithm: a PEM with an Ed25519 private key is EdDSA, any other text HS256. The
algorithm belongs to the key, found by `kid`; what a token's header says must agree with it (RFC
8725 3.1). So neither `none`, nor a public key used as an HS256 secret, gets anywhere.
"""

import base64
import hashlib
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from secrets import token_urlsafe
from typing import Any, NamedTuple

from bson import ObjectId
from bson.errors import InvalidId
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask, request
from flask_jwt_extended import JWTManager, create_access_token, decode_token
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt.exceptions import (
    DecodeError,
    ExpiredSignatureError,
    InvalidTokenError,
    MissingRequiredClaimError,
    PyJWTError,
)

from api.auth import cookies
from api.auth.sessions import Opened
from api.settings import Settings
from api.settings.checks import PEM, private_key
from api.web.problems import ProblemError, unauthorized


class Key(NamedTuple):
    """One key. `public` is what the world may know of it, as a JWK; None: nothing."""

    id: str
    algorithm: str
    signing: Any
    verifying: Any
    public: Mapping[str, str] | None = None


def make(secret: str) -> Key:
    """The key of a secret that the settings' check has let pass."""
    return _ed25519(secret) if secret.startswith(PEM) else _hs256(secret)


def _hs256(secret: str) -> Key:
    # Known to whoever knows the secret, and tells nothing to others.
    kid = hashlib.sha256(b"shardstack kid:" + secret.encode()).hexdigest()[:12]
    return Key(kid, "HS256", secret, secret)


def _ed25519(pem: str) -> Key:
    signing = private_key(pem)
    verifying = signing.public_key()
    raw = verifying.public_bytes(Encoding.Raw, PublicFormat.Raw)
    needed = {"crv": "Ed25519", "kty": "OKP", "x": _base64(raw)}
    # The key's thumbprint, RFC 7638.
    packed = json.dumps(needed, separators=(",", ":"), sort_keys=True).encode()
    kid = _base64(hashlib.sha256(packed).digest())
    public = {**needed, "kid": kid, "alg": "EdDSA", "use": "sig"}
    return Key(kid, "EdDSA", signing, verifying, public)


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class SigningKeys:
    """One key that signs, and all that verify."""

    def __init__(self, signing: Key, others: Iterable[Key] = ()) -> None:
        self.signing = signing
        self._by_id = {key.id: key for key in (*others, signing)}

    @classmethod
    def of(cls, settings: Settings) -> "SigningKeys":
        """The keys of the settings: the present secret signs, the previous one still verifies."""
        previous = settings.jwt_previous_secret
        return cls(make(settings.jwt_secret), [make(previous)] if previous else [])

    @property
    def algorithms(self) -> list[str]:
        """Those that any key has."""
        return sorted({key.algorithm for key in self._by_id.values()})

    def verifying(self, header: Mapping[str, Any]) -> Any:
        """What verifies a token with this header. Raises InvalidTokenError."""
        kid = header.get("kid")
        key = self._by_id.get(kid) if isinstance(kid, str) else None
        if key is None or header.get("alg") != key.algorithm:
            raise InvalidTokenError("no such key, or not with this algorithm")
        return key.verifying

    def published(self) -> dict[str, list[Mapping[str, str]]]:
        """The public keys as a JWK Set (RFC 7517); none with HS256."""
        found = [key.public for key in self._by_id.values() if key.public is not None]
        return {"keys": found}


ACCESS, REFRESH, DEVICE = "access", "refresh", "device"  # types of tokens
IN_COOKIES = {cookies.ACCESS: ACCESS, cookies.REFRESH: REFRESH}
SESSION, CSRF, BEGAN = "ses", "csrf", "auth_time"  # claims; the last is OpenID Connect's
REQUIRED = ("sub", "exp", "iat", "jti", "type", SESSION, BEGAN)

# Three parts in base64url, which has no padding (RFC 7515 2): a token has one spelling.
COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+").fullmatch
BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE).fullmatch  # RFC 9110 11.1

# What the libraries raise for bad tokens; RecursionError for deeply nested ones.
MALFORMED = (
    JWTExtendedException,
    PyJWTError,
    InvalidId,
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    RecursionError,
)


def install(app: Flask, settings: Settings) -> None:
    """Configure Flask-JWT-Extended on the app."""
    keys = SigningKeys.of(settings)
    app.config.update(
        JWT_ALGORITHM=keys.signing.algorithm,
        JWT_DECODE_ALGORITHMS=keys.algorithms,
        JWT_ENCODE_ISSUER=settings.jwt_issuer,
        JWT_DECODE_ISSUER=settings.jwt_issuer,
        JWT_ENCODE_AUDIENCE=settings.jwt_audience,
        JWT_DECODE_AUDIENCE=settings.jwt_audience,
        JWT_DECODE_LEEWAY=settings.clock_leeway,
        **cookies.CONFIGURATION,
    )
    manager = JWTManager(app)
    manager.encode_key_loader(lambda _identity: keys.signing.signing)
    manager.additional_headers_loader(lambda _identity: {"kid": keys.signing.id})

    @manager.decode_key_loader
    def verifying(header: dict[str, Any], claims: dict[str, Any]) -> Any:
        # The library makes up what it does not find, so it is looked for here, in what is verified
        # next under the key that this returns.
        for name in REQUIRED:
            if not claims.get(name):
                raise MissingRequiredClaimError(name)
        return keys.verifying(header)


class Pair(NamedTuple):
    """A session's tokens, how many seconds they are good, and what cookies must come with."""

    access: str
    refresh: str
    lifetimes: tuple[int, int]
    access_csrf: str
    refresh_csrf: str


def new_csrf() -> str:
    """What requests of a session in cookie mode repeat; it stays the same until the session ends,
    so that a refresh in one tab leaves the other tabs' good.
    """
    return token_urlsafe(18)


def access_csrf(refresh_csrf: str) -> str:
    """The access token's, which follows from the refresh token's and does not tell it."""
    digest = hashlib.sha256(f"access {refresh_csrf}".encode()).digest()
    return urlsafe_b64encode(digest[:18]).decode()


class Issuer:
    """Makes tokens."""

    def __init__(self, settings: Settings) -> None:
        self._access_seconds = int(settings.access_token_lifetime)
        self._device_seconds = int(settings.device_token_lifetime)

    def pair(self, user_id: ObjectId, opened: Opened, csrf: str | None) -> Pair:
        """An access token and the refresh token of the session's `jti`; `csrf`: as cookies.

        Neither outlasts the session.
        """
        made, ends = int(opened.used_at.timestamp()), int(opened.ends_at.timestamp())
        until = min(made + self._access_seconds, ends)
        common: dict[str, Any] = {"iat": made, "nbf": made, SESSION: opened.id, BEGAN: opened.began}
        access = {**common, "type": ACCESS, "jti": f"{opened.jti}.{ACCESS}", "exp": until}
        refresh = {**common, "type": REFRESH, "jti": opened.jti, "exp": ends}
        if csrf is not None:
            access[CSRF], refresh[CSRF] = access_csrf(csrf), csrf
        return Pair(
            _encoded(user_id, access),
            _encoded(user_id, refresh),
            (until - made, ends - made),
            access.get(CSRF, ""),
            refresh.get(CSRF, ""),
        )

    def device(self, user_id: ObjectId, opened: Opened) -> str:
        """Proves that the user has logged in where this is kept."""
        claims = {
            "type": DEVICE,
            "jti": f"{opened.id}.{DEVICE}",
            "exp": opened.began + self._device_seconds,
            SESSION: opened.id,
            BEGAN: opened.began,
        }
        return _encoded(user_id, claims)


def _encoded(user_id: ObjectId, claims: dict[str, Any]) -> str:
    made: str = create_access_token(str(user_id), additional_claims=claims)
    return made


class Verified(NamedTuple):
    """What a good token says. Times in seconds since 1970."""

    user_id: ObjectId
    session: str
    until: float
    jti: str
    csrf: str | None
    began: int  # when the log-in was that the session began with


def verify_refresh() -> tuple[Verified, bool]:
    """What the request's refresh token says, and whether it came as a cookie.

    Raises ProblemError: 401, or 403 without a CSRF token.
    """
    header = request.headers.get("Authorization")
    if header is not None:
        return verify(bearer(header), REFRESH), False
    with taking_back():
        found = verify(request.cookies.get(cookies.REFRESH), REFRESH)
    cookies.check_csrf(found.csrf)
    return found, True


def every_one() -> Iterator[Verified]:
    """What each good token of the request says, of either type and wherever it is.

    Raises ProblemError 403 when there are cookies alone, and no CSRF token with them.
    """
    named = _good(bearer(request.headers.get("Authorization", "")), ACCESS, REFRESH)
    access = _good(request.cookies.get(cookies.ACCESS), ACCESS)
    refresh = _good(request.cookies.get(cookies.REFRESH), REFRESH)
    in_cookies = [found for found in (access, refresh) if found is not None]
    if named is None and in_cookies:
        expected = [found.csrf for found in in_cookies]
        if refresh is not None and refresh.csrf is not None:
            # A page whose access cookie has expired still sends the token that went with it.
            expected.append(access_csrf(refresh.csrf))
        cookies.check_csrf(*expected)
    yield from (found for found in (named, access, refresh) if found is not None)


def comes() -> bool:
    """Whether the request brings an access token, good or not."""
    return "Authorization" in request.headers or cookies.ACCESS in request.cookies


def proofs(device: str | None) -> list[Verified]:
    """Earlier log-ins that this request proves: by a device token; by being logged in already."""
    header = bearer(request.headers.get("Authorization", ""))
    in_cookies = (_good(request.cookies.get(name), kind) for name, kind in IN_COOKIES.items())
    found = (_good(device, DEVICE), _good(header, ACCESS, REFRESH), *in_cookies)
    return [one for one in found if one is not None]


def bearer(header: str) -> str | None:
    """The token of `Authorization: Bearer …`, whatever the case of the scheme; None: none."""
    found = BEARER(header)
    return None if found is None else found[1]


def verify(text: str | None, *types: str) -> Verified:
    """Check a token, of one of these types. Raises ProblemError 401."""
    if text is None:
        raise unauthorized("Log in, and send the token as 'Authorization: Bearer …'.")
    try:
        return _claims(text, types)
    except ExpiredSignatureError:
        raise unauthorized("The token has expired. Log in again.") from None
    except MALFORMED:
        # One sentence for all of these: which check failed helps only those who forge tokens.
        raise unauthorized("The token is not valid. Log in again.") from None


@contextmanager
def taking_back() -> Iterator[None]:
    """Around the check of a cookie's token: if it is refused, the browser forgets each cookie whose
    token is good for nothing. The other one may be good still.
    """
    try:
        yield
    except ProblemError:
        dead = (name for name, kind in IN_COOKIES.items() if _is_dead(name, kind))
        cookies.forget(*dead)
        raise


def _is_dead(name: str, kind: str) -> bool:
    return name in request.cookies and _good(request.cookies[name], kind) is None


def _good(text: str | None, *types: str) -> Verified | None:
    with suppress(ProblemError):
        return verify(text, *types)
    return None


def _claims(text: str, types: tuple[str, ...]) -> Verified:
    if not COMPACT(text):
        raise DecodeError("not in compact form")
    claims: dict[str, Any] = decode_token(text)
    if claims["type"] not in types:
        raise DecodeError("of another type")
    return Verified(
        ObjectId(claims["sub"]),
        str(claims[SESSION]),
        float(claims["exp"]),
        claims["jti"],
        claims.get(CSRF),
        int(claims[BEGAN]),
    )
