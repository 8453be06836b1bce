"""The rules for secrets that sign: long, random, and no word out of a manual."""

import re

from api.settings.names import SettingsError, variable

SHORTEST_SECRET = 32  # bytes: the output of SHA-256, which RFC 7518 3.2 asks of an HS256 key
FEWEST_CHARACTERS = 10  # distinct ones; 32 random bytes in hex have some 14
HOW_TO_MAKE_ONE = "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
# Taken from manuals and examples all over the web, and so from every attacker's word list.
GIVEAWAYS = re.compile(
    r"secret|change.?me|your.?(256|jwt|key)|example|password|default|super|insecure|0123456789",
    re.I,
)


def check_secret(secret: str, name: str) -> None:
    """Refuse a secret that could be guessed. Raises SettingsError, which states the fix."""
    if not secret:
        fault = "is not set"
    elif len(secret.encode()) < SHORTEST_SECRET:
        fault = f"is shorter than {SHORTEST_SECRET} bytes"
    elif GIVEAWAYS.search(secret) or len(set(secret)) < FEWEST_CHARACTERS:
        fault = "is a well-known or guessable one"
    else:
        return
    raise SettingsError(f"{variable(name)} {fault}. Make one with: {HOW_TO_MAKE_ONE}")
