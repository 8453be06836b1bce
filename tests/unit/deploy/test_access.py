"""Where the token may come from, and where it may go."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.access import OFFICIAL, access
from deploy.errors import TokenError


def test_from_the_environment() -> None:
    given = access({"DIGITALOCEAN_ACCESS_TOKEN": " abc\n"})
    assert (given.token, given.end_point) == ("abc", OFFICIAL)
    assert "abc" not in repr(given)


def test_from_a_private_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("abc\n")
    file.chmod(0o600)
    assert access({"DIGITALOCEAN_ACCESS_TOKEN_FILE": str(file)}).token == "abc"
    assert access({}, "token", tmp_path).token == "abc"


def test_a_file_that_others_can_read(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("abc")
    file.chmod(0o644)
    with pytest.raises(TokenError, match=r"mode 0644\)\. Close it: chmod 600"):
        access({}, "token", tmp_path)


def test_none() -> None:
    with pytest.raises(TokenError, match=r"there is no token\. Make one at https://"):
        access({})


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match=r"cannot be read \(No such file"):
        access({}, "token", tmp_path)


@pytest.mark.parametrize("text", ["a b", "a\nb", "ä"])
def test_what_no_token_looks_like(text: str) -> None:
    with pytest.raises(TokenError, match="characters that no token has"):
        access({"DIGITALOCEAN_ACCESS_TOKEN": text})


@pytest.mark.parametrize(
    "url", ["http://example.com/v2/", "ftp://x/", "https://a@b/", "example.com", "https://x/?a"]
)
def test_an_end_point_that_must_not_have_it(url: str) -> None:
    with pytest.raises(TokenError, match="where a token must not go"):
        access({"DIGITALOCEAN_ACCESS_TOKEN": "t", "DIGITALOCEAN_END_POINT": url})


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v2", "https://proxy.example.com/v2/"])
def test_another_end_point(url: str) -> None:
    given = access({"DIGITALOCEAN_ACCESS_TOKEN": "t", "DIGITALOCEAN_END_POINT": url})
    assert given.end_point == url.rstrip("/") + "/"
