"""The rules for secrets that sign: long, random, and no word out of a manual; or an Ed25519 key."""

import re
from typing import TYPE_CHECKING

from api.settings.names import SettingsError, variable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SHORTEST_SECRET = 32  # bytes: the output of SHA-256, which RFC 7518 3.2 asks of an HS256 key
FEWEST_CHARACTERS = 10  # distinct ones; 32 random bytes in hex have some 14
HOW_TO_MAKE_ONE = "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
HOW_TO_MAKE_A_KEY = "openssl genpkey -algorithm ed25519"
PEM = "-----BEGIN "
# Taken from manuals and examples all over the web, and so from every attacker's word list.
GIVEAWAYS = re.compile(
    r"secret|change.?me|your.?(256|jwt|key)|example|password|default|super|insecure|0123456789",
    re.I,
)


def check_secret(secret: str, name: str) -> None:
    """Refuse a secret that could be guessed. Raises SettingsError, which states the fix."""
    if secret.startswith(PEM):
        try:
            private_key(secret)
        except ValueError as error:
            raise SettingsError(
                f"{variable(name)} {error}. Make one with: {HOW_TO_MAKE_A_KEY}"
            ) from None
        return
    if not secret:
        fault = "is not set"
    elif len(secret.encode()) < SHORTEST_SECRET:
        fault = f"is shorter than {SHORTEST_SECRET} bytes"
    elif GIVEAWAYS.search(secret) or len(set(secret)) < FEWEST_CHARACTERS:
        fault = "is a well-known or guessable one"
    else:
        return
    raise SettingsError(f"{variable(name)} {fault}. Make one with: {HOW_TO_MAKE_ONE}")


def private_key(pem: str) -> "Ed25519PrivateKey":
    """The key in a PEM text. Raises ValueError that says what else it is, and quotes nothing."""
    # Loaded late: commands that make no tokens need no cryptography.
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except TypeError:
        raise ValueError("is a private key that needs a passphrase; store it without one") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("begins like a PEM file, but holds no private key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("is a private key, but not an Ed25519 one")  # noqa: TRY004
    return key
