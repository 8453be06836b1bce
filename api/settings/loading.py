"""Reads the settings from the environment and checks them, before anything starts."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from phonenumbers import SUPPORTED_REGIONS
from pymongo.errors import ConfigurationError, InvalidURI
from pymongo.uri_parser import parse_uri

from api.settings.checks import (
    ELSEWHERE,
    FILE,
    PEM,
    PREFIX,
    SECRETS,
    SettingsError,
    check_secret,
    check_server,
    networks,
    origins,
    variable,
)
from api.settings.declared import Settings


def load(environment: Mapping[str, str] | None = None, *, tokens: bool = True) -> Settings:
    """Read and check the settings. Raises SettingsError.

    `tokens=False` is for commands that neither make nor check tokens: they need no secret.
    """
    environment = os.environ if environment is None else environment
    values = check(environment)
    if "database_uri" not in values:
        raise SettingsError(
            f"{variable('database_uri')} is not set. Give the routers' connection string, "
            "in it or in a file named by " + variable("database_uri") + FILE
        )
    if tokens:
        check_secret(values.get("jwt_secret", ""), "jwt_secret")
    return Settings(**values)


def check(environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings that are set, by name, each checked. Raises SettingsError."""
    known = {field.name: field for field in msgspec.structs.fields(Settings)}
    _refuse_misspelled(environment)
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
    if "database_uri" in values:
        _check_uri(values["database_uri"])
    for name in ("jwt_secret", "jwt_previous_secret"):
        if values.get(name):
            check_secret(values[name], name)
    networks(values.get("trusted_proxies", ""), "trusted_proxies")
    origins(values.get("cors_origins", ""), "cors_origins")
    check_server(values.get("cluster_url", ""), "cluster_url")
    _check_region(values.get("phone_region", ""))
    return values


def unknown(environment: Mapping[str, str]) -> list[str]:
    """The variables that are named like settings, and are none."""
    known = {variable(field.name) for field in msgspec.structs.fields(Settings)}
    known |= {variable(name) + FILE for name in SECRETS} | ELSEWHERE
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


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
    if lines and lines[0].startswith(PEM):
        return "\n".join(lines)  # a key in PEM is all of its lines
    return lines[0].strip() if lines else ""


def _refuse_misspelled(environment: Mapping[str, str]) -> None:
    names = [variable(field.name) for field in msgspec.structs.fields(Settings)]
    names += [variable(name) + FILE for name in SECRETS]
    for given in unknown(environment):
        close = difflib.get_close_matches(given, names, n=1, cutoff=0.85)
        if close:
            raise SettingsError(f"{given} is no setting. Did you mean {close[0]}?")


def _check_region(region: str) -> None:
    if region and region not in SUPPORTED_REGIONS:
        raise SettingsError(
            f"{variable('phone_region')} '{region}' is no country that has phone numbers. "
            "Give its two letters, such as DE"
        )


def _check_uri(uri: str) -> None:
    try:
        parse_uri(uri)
    except (InvalidURI, ConfigurationError, ValueError):
        # PyMongo's message may quote the password.
        raise SettingsError(
            f"{variable('database_uri')} is not a MongoDB connection string. It looks like "
            "mongodb://user:password@router1:27017,router2:27017/shardstack?authSource=admin"
        ) from None
