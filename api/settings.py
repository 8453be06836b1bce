"""Every setting of the API: from the environment, typed, checked before anything starts.

A setting `claim_grace` is read from SHARDSTACK_CLAIM_GRACE. The secrets (`database_uri`,
`jwt_secret`, `jwt_previous_secret`) may also be given as files: SHARDSTACK_JWT_SECRET_FILE names a
file whose first line is the secret.
"""

import difflib
import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from pymongo.errors import ConfigurationError, InvalidURI
from pymongo.uri_parser import parse_uri

from api.store import StoreOptions

PREFIX = "SHARDSTACK_"
FILE = "_FILE"
SECRETS = ("database_uri", "jwt_secret", "jwt_previous_secret")
ELSEWHERE = frozenset({"SHARDSTACK_STATE", "SHARDSTACK_TOPOLOGY"})  # read by command lines

SHORTEST_SECRET = 32  # bytes: the output of SHA-256, which RFC 7518 3.2 asks of an HS256 key
FEWEST_CHARACTERS = 10  # distinct ones; 32 random bytes in hex have some 14
HOW_TO_MAKE_ONE = "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
# Taken from manuals and examples all over the web, and so from every attacker's word list.
GIVEAWAYS = re.compile(
    r"secret|change.?me|your.?(256|jwt|key)|example|password|default|super|insecure|0123456789",
    re.I,
)


class SettingsError(Exception):
    """A setting is missing or wrong. The message is one line and says what to do."""


def positive(doc: str) -> Meta:
    """A number above zero."""
    return Meta(gt=0, description=doc)


Seconds = float
Port = Annotated[int, Meta(ge=1, le=65535, description="Port to listen on")]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings. Times in seconds, sizes in bytes."""

    database_uri: Annotated[
        str, Meta(description="mongodb://… through two routers or more, with database and password")
    ]
    jwt_secret: Annotated[
        str, Meta(description=f"Signs tokens; {SHORTEST_SECRET} bytes or more: {HOW_TO_MAKE_ONE}")
    ] = ""
    jwt_previous_secret: Annotated[
        str, Meta(description="While keys rotate: still verifies, no longer signs")
    ] = ""
    jwt_issuer: Annotated[str, Meta(min_length=1, description="`iss` of tokens")] = "shardstack"
    jwt_audience: Annotated[str, Meta(min_length=1, description="`aud` of tokens")] = (
        "shardstack-api"
    )
    access_token_lifetime: Annotated[Seconds, positive("How long an access token is good")] = 1800
    host: Annotated[str, Meta(min_length=1, description="Address to listen on")] = "127.0.0.1"
    port: Port = 8000
    workers: Annotated[int, Meta(ge=0, description="Worker processes; 0: one per core")] = 0
    threads: Annotated[int, Meta(ge=1, le=64, description="Threads of a worker")] = 8
    drain: Annotated[
        Seconds, Meta(ge=0, description="From readiness 503 to closing the port, at SIGTERM")
    ] = 0.5
    shutdown: Annotated[
        Seconds, positive("How long requests in flight may take to finish after that")
    ] = 6
    request_deadline: Annotated[
        Seconds, positive("For all database calls of one request; a failover must fit in")
    ] = 10
    server_selection: Annotated[
        Seconds, Meta(ge=2, le=5, description="Until no router counts as reachable")
    ] = 3
    pool_wait: Annotated[
        Seconds, Meta(ge=1, le=2, description="Until no free connection counts as overload")
    ] = 1.5
    claim_grace: Annotated[
        Seconds, positive("Age at which an unfinished claim on a unique value may be taken over")
    ] = 30
    principal_cache: Annotated[
        Seconds,
        Meta(
            ge=0,
            le=5,
            description="How long an administrator's reads may go on after being disabled; 0: not",
        ),
    ] = 1
    body_limit: Annotated[int, positive("Largest request body")] = 64 * 1024
    page_size: Annotated[int, positive("Items on a page when the request names none")] = 20
    page_size_limit: Annotated[int, positive("Most items on a page, whatever is asked")] = 100
    log_level: Annotated[
        str, Meta(pattern="^(debug|info|warning|error)$", description="debug … error")
    ] = "info"

    def store_options(self) -> StoreOptions:
        """What the store needs to know."""
        return StoreOptions(
            uri=self.database_uri,
            deadline=self.request_deadline,
            server_selection=self.server_selection,
            pool_wait=self.pool_wait,
            pool_size=self.threads + 4,  # a connection per thread, and some for probes
            claim_grace=self.claim_grace,
        )

    @property
    def worker_count(self) -> int:
        """Worker processes to run."""
        return self.workers or os.cpu_count() or 1

    def fingerprint(self) -> str:
        """Changes when any setting does; tells nothing of the secrets."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


def load(environment: Mapping[str, str] | None = None, *, tokens: bool = True) -> Settings:
    """Read and check the settings. Raises SettingsError.

    `tokens=False` is for commands that neither make nor check tokens: they need no secret.
    """
    environment = os.environ if environment is None else environment
    known = {field.name: field for field in msgspec.structs.fields(Settings)}
    _refuse_misspelled(environment, known)
    values: dict[str, Any] = {}
    for name, field in known.items():
        text = _look_up(environment, name)
        if text is None:
            continue
        try:
            values[name] = msgspec.convert(text, field.type, strict=False)
        except msgspec.ValidationError as error:
            # A secret must not end up in a message.
            shown = "" if name in SECRETS else f" '{text}'"
            raise SettingsError(
                f"{variable(name)}{shown} is not valid: {str(error).lower()}. Set it anew"
            ) from None
    if "database_uri" not in values:
        raise SettingsError(
            f"{variable('database_uri')} is not set. Give the routers' connection string, "
            "in it or in a file named by " + variable("database_uri") + FILE
        )
    _check_uri(values["database_uri"])
    if tokens or values.get("jwt_secret"):
        check_secret(values.get("jwt_secret", ""), "jwt_secret")
    if values.get("jwt_previous_secret"):
        check_secret(values["jwt_previous_secret"], "jwt_previous_secret")
    return Settings(**values)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


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


def _look_up(environment: Mapping[str, str], name: str) -> str | None:
    """A setting's text, from the variable or, for a secret, from the file it names."""
    text = environment.get(variable(name))
    if name not in SECRETS:
        return text
    path = environment.get(variable(name) + FILE)
    if path is None:
        return text
    if text is not None:
        raise SettingsError(f"{variable(name)} and {variable(name)}{FILE} are both set. Set one")
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingsError(
            f"{variable(name)}{FILE}: cannot read {path}: {reason}. Name a readable file"
        ) from None
    return lines[0].strip() if lines else ""


def _refuse_misspelled(environment: Mapping[str, str], known: Mapping[str, object]) -> None:
    names = {variable(name) for name in known} | {variable(name) + FILE for name in SECRETS}
    for given in environment:
        if given.startswith(PREFIX) and given not in names | ELSEWHERE:
            close = difflib.get_close_matches(given, names, n=1, cutoff=0.85)
            if close:
                raise SettingsError(f"{given} is no setting. Did you mean {close[0]}?")


def _check_uri(uri: str) -> None:
    try:
        parse_uri(uri)
    except (InvalidURI, ConfigurationError, ValueError):
        # PyMongo's message may quote the password.
        raise SettingsError(
            f"{variable('database_uri')} is not a MongoDB connection string. It looks like "
            "mongodb://user:password@router1:27017,router2:27017/shardstack?authSource=admin"
        ) from None
