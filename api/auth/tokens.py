"""Access tokens: HS256 and nothing else; issuer, audience, times and key id all checked (RFC 8725).

A token names the user and the user's `session` value at the time. Changing that value in the
user's document ends every token given out before. What the user may do is not in the token: it is
read from the document, so a change of role counts at once.
"""

import hashlib
import time
from datetime import timedelta
from typing import Any, NamedTuple

from bson import ObjectId
from bson.errors import InvalidId
from flask import Flask, request
from flask_jwt_extended import JWTManager, create_access_token, verify_jwt_in_request
from flask_jwt_extended.exceptions import JWTExtendedException, NoAuthorizationError
from jwt.exceptions import ExpiredSignatureError, InvalidTokenError, PyJWTError

from api.settings import Settings
from api.web.problems import unauthorized

ALGORITHM = "HS256"
SESSION = "ses"
MOST_KNOWN = 10_000  # verified tokens, some 300 bytes each


def key_id(secret: str) -> str:
    """The `kid` of a key: known to whoever knows the key, and tells nothing to others."""
    return hashlib.sha256(b"shardstack kid:" + secret.encode()).hexdigest()[:12]


def install(app: Flask, settings: Settings) -> None:
    """Configure Flask-JWT-Extended on the app."""
    signing = settings.jwt_secret
    keys = {key_id(s): s for s in (settings.jwt_previous_secret, signing) if s}
    app.config.update(
        JWT_ALGORITHM=ALGORITHM,
        JWT_DECODE_ALGORITHMS=[ALGORITHM],
        JWT_TOKEN_LOCATION=["headers"],
        JWT_ENCODE_ISSUER=settings.jwt_issuer,
        JWT_DECODE_ISSUER=settings.jwt_issuer,
        JWT_ENCODE_AUDIENCE=settings.jwt_audience,
        JWT_DECODE_AUDIENCE=settings.jwt_audience,
        JWT_ACCESS_TOKEN_EXPIRES=timedelta(seconds=settings.access_token_lifetime),
    )
    manager = JWTManager(app)
    manager.encode_key_loader(lambda _identity: signing)
    manager.additional_headers_loader(lambda _identity: {"kid": key_id(signing)})

    @manager.decode_key_loader
    def key_of(header: dict[str, Any], _claims: dict[str, Any]) -> str:
        try:
            return keys[header["kid"]]
        except (KeyError, TypeError):
            raise InvalidTokenError("no such key") from None


def issue(user_id: ObjectId, session: str) -> str:
    """An access token for this user."""
    token: str = create_access_token(str(user_id), additional_claims={SESSION: session})
    return token


class Verified(NamedTuple):
    """What a good token says."""

    user_id: ObjectId
    session: str
    until: float  # seconds since 1970


class Verifier:
    """Verifies the tokens of requests, each token once per process.

    Whether a signature is right never changes, and checking it costs more than reading a document.
    So what was found is kept, under a digest of the header, until the token expires.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, Verified] = {}

    def verify(self) -> Verified:
        """What the current request's token says. Raises ProblemError 401."""
        header = request.headers.get("Authorization", "").encode()
        digest = hashlib.sha256(header).digest()
        known = self._known.get(digest)
        if known is not None and time.time() < known.until:
            return known
        found = verify()
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[digest] = found
        return found


def verify() -> Verified:
    """Check this request's token. Raises ProblemError 401."""
    try:
        found = verify_jwt_in_request()
        claims = found[1] if found else {}
        return Verified(ObjectId(claims["sub"]), str(claims[SESSION]), float(claims["exp"]))
    except NoAuthorizationError:
        raise unauthorized("Log in, and send the token as 'Authorization: Bearer …'.") from None
    except ExpiredSignatureError:
        raise unauthorized("The token has expired. Log in again.") from None
    except (JWTExtendedException, PyJWTError, InvalidId, ValueError, KeyError, TypeError):
        # One sentence for all of these: which check failed helps only those who forge tokens.
        raise unauthorized("The token is not valid. Log in again.") from None
