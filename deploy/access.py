"""How the account is reached: the token, and the address of the API.

The token comes from the environment or from a private file, and goes nowhere but into the requests
to that address.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from deploy.errors import TokenError

TOKEN = "DIGITALOCEAN_ACCESS_TOKEN"  # noqa: S105 - a variable's name
TOKEN_FILE = "DIGITALOCEAN_ACCESS_TOKEN_FILE"  # noqa: S105
END_POINT = "DIGITALOCEAN_END_POINT"
OFFICIAL = "https://api.digitalocean.com/v2/"
MAKE_ONE = "Make one at https://cloud.digitalocean.com/account/api/tokens"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Access(msgspec.Struct, frozen=True):
    """A token and where it goes; its text shows no token."""

    token: str
    end_point: str = OFFICIAL

    @property
    def host(self) -> str:
        """The one host that the token is sent to."""
        return urlsplit(self.end_point).netloc

    @property
    def is_local(self) -> bool:
        """Whether the API is a stand-in on this machine."""
        return urlsplit(self.end_point).hostname in LOOPBACK

    def __repr__(self) -> str:
        return f"Access({self.end_point!r})"


def access(environment: Mapping[str, str], token_file: str = "", base: Path = Path()) -> Access:
    """The access that the environment gives; `token_file` is the setting, relative to `base`.

    Raises TokenError.
    """
    token = environment.get(TOKEN, "").strip()
    file = environment.get(TOKEN_FILE) or (
        str(base / Path(token_file).expanduser()) if token_file else ""
    )
    if not token and file:
        token = _read(Path(file))
    if not token:
        raise TokenError(
            f"there is no token. {MAKE_ONE}, and give it in {TOKEN}, or in a file of mode 0600 "
            f"that {TOKEN_FILE} or token_file in stack.toml names."
        )
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise TokenError(f"the token has characters that no token has. {MAKE_ONE}.")
    return Access(token, _end_point(environment.get(END_POINT, "")))


def _read(file: Path) -> str:
    try:
        mode = file.stat().st_mode
        if stat.S_IMODE(mode) & 0o077:
            raise TokenError(
                f"{file} can be read by others (mode {stat.S_IMODE(mode):04o}). "
                f"Close it: chmod 600 {file}"
            )
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise TokenError(f"the token's file {file} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise TokenError(f"the token's file {file} is not a text file.") from None


def _end_point(given: str) -> str:
    url = given or OFFICIAL
    parts = urlsplit(url)
    secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    if not secure or not parts.hostname or parts.username or parts.query:
        raise TokenError(
            f"{END_POINT} is {given!r}, where a token must not go. Give https://HOST/v2/ "
            "(http only on this machine), or leave it out."
        )
    return url.rstrip("/") + "/"
