"""What settings are called in the environment, and the rules for those that are more than a type.

* Secrets that sign are long, random, and no word out of a manual; or an Ed25519 key.
* Networks are addresses or blocks in CIDR form, separated by commas.
* Origins are scheme, host and port of pages that may call the API, exactly.
"""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING

from api.errors import ApiError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PREFIX = "SHARDSTACK_"
FILE = "_FILE"
SECRETS = ("database_uri", "jwt_secret", "jwt_previous_secret", "metrics_token")
ELSEWHERE = frozenset({"SHARDSTACK_STATE", "SHARDSTACK_TOPOLOGY"})  # read by command lines


class SettingsError(ApiError):
    """A setting is missing or wrong. The message is one line and says what to do."""


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


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


def networks(text: str, name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Those that a setting lists. Raises SettingsError, which names the wrong one."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            found.append(ip_network(part))
        except ValueError as error:
            raise SettingsError(
                f"{variable(name)}: '{part}' is no network: {error}. Write 10.0.0.0/8 or ::1/128"
            ) from None
    return tuple(found)


# As browsers send them (RFC 6454, 6.2): lower case, no default port, no path.
ORIGIN = re.compile(
    r"https?://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?"
).fullmatch
DEFAULTS = {"http": ":80", "https": ":443"}
# Of a server that is asked from here: a user's name or a query in it would be a mistake.
SERVER = re.compile(
    r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[1-9][0-9]{0,4})?(?:/[A-Za-z0-9/._~-]*)?"
).fullmatch


def check_server(text: str, name: str) -> None:
    """Refuse what is no address of a server. Raises SettingsError."""
    if text and not SERVER(text):
        raise SettingsError(f"{variable(name)}: '{text}' is no address. Write http://host:9216")


def origins(text: str, name: str) -> frozenset[str]:
    """Those that a setting lists. Raises SettingsError, which names the wrong one."""
    found = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        if part == "*":
            fault = "would let every page on the web call the API in its visitor's name"
        elif not ORIGIN(part):
            fault = "is no origin"
        elif part.endswith(DEFAULTS[part.partition(":")[0]]):
            fault = "names the default port, which browsers leave out"
        else:
            found.add(part)
            continue
        raise SettingsError(
            f"{variable(name)}: '{part}' {fault}. "
            "List each origin in full: https://app.example,http://localhost:3000"
        )
    return frozenset(found)
