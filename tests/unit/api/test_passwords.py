"""Which passwords are accepted, and how they are kept."""

import pytest
from argon2 import PasswordHasher

from api.auth import passwords


@pytest.mark.parametrize(
    "good",
    ["analytical-engine", "tr0ub4dor and three", "пароль-длинный", "x7!kQ2pz", "é" * 4 + "abcd"],
)
def test_accepted(good: str) -> None:
    assert passwords.check(good) == good


@pytest.mark.parametrize(
    "bad",
    ["", "1234567", "x" * 129, "password", "PASSWORD", "Password1!", "p@ssw0rd", "P4ssw0rd2024",
     "12345678", "abcdefgh", "87654321", "aaaaaaaa", "abababab", "qwertyuiop", "welcome2024!",
     "letmein!!", "iloveyou1", "long\x00enough"],
)  # fmt: skip
def test_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        passwords.check(bad)


def test_parameters() -> None:
    stored = passwords.hash_password("analytical-engine")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.verify(stored, "analytical-engine")
    assert not passwords.verify(stored, "analytical-engine ")
    assert not passwords.needs_rehash(stored)


def test_other_parameters_are_renewed() -> None:
    old = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("analytical-engine")
    assert passwords.verify(old, "analytical-engine")
    assert passwords.needs_rehash(old)


def test_nobody_and_nonsense() -> None:
    nobody = "no user has this password; it only costs the time of one"
    assert not passwords.verify(None, nobody)
    assert not passwords.verify("not a hash", "x")


def test_nothing_is_cut_off() -> None:
    stored = passwords.hash_password("a" * 127 + "b")
    assert not passwords.verify(stored, "a" * 127 + "c")
    assert not passwords.verify(stored, "a" * 127)
