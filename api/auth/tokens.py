"""Access tokens: HS256 and nothing else; issuer, audience, times and key id all checked (RFC 8725).

A token names the user and the user's `session` value at the time. Changing that value in the
user's document ends every token given out before. What the user may do is not in the token: it is
read from the document, so a change of role counts at once.
"""

import hashlib
from datetime import timedelta
from typing import Any

from bson import ObjectId
from flask import Flask
from flask_jwt_extended import JWTManager, create_access_token, verify_jwt_in_request
from flask_jwt_extended.exceptions import JWTExtendedException, NoAuthorizationError
from jwt.exceptions import ExpiredSignatureError, InvalidTokenError, PyJWTError

from api.settings import Settings
from api.web.problems import unauthorized

ALGORITHM = "HS256"
SESSION = "ses"


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


def verify() -> tuple[ObjectId, str]:
    """The user id and session of this request's token. Raises ProblemError 401."""
    try:
        found = verify_jwt_in_request()
        claims = found[1] if found else {}
        if "exp" not in claims:
            raise InvalidTokenError("never expires")
        return ObjectId(claims["sub"]), str(claims[SESSION])
    except NoAuthorizationError:
        raise unauthorized("Log in, and send the token as 'Authorization: Bearer …'.") from None
    except ExpiredSignatureError:
        raise unauthorized("The token has expired. Log in again.") from None
    except (JWTExtendedException, PyJWTError, ValueError, KeyError, TypeError):
        # One sentence for all of these: which check failed helps only those who forge tokens.
        raise unauthorized("The token is not valid. Log in again.") from None
