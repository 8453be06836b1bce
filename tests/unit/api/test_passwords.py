"""Which passwords are accepted, and how they are kept."""

import pytest
from argon2 import PasswordHasher

from api import passwords


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
     "letmein!!", "iloveyou1", "long\x00enough", "long\tenough", "long\x85enough",
     "\uff10" * 8, "e\u0301" * 7, "a\u0301" * 129, "x" * 100_000],
)  # fmt: skip
def test_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        passwords.check(bad)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Zu\u0308rich am See", "Zürich am See"),  # as a Mac's keyboard has it
        ("three\u00a0kinds\u3000of\u2003space", "three kinds of space"),
        (" kept as it is ", " kept as it is "),
        ("e\u0301" * 128, "é" * 128),
        ("\u0958" * 7, "\u0915\u093c" * 7),  # NFC decomposes this one; the length is the result's
        ("ﬁsh and ⅷ CHIPS", "ﬁsh and ⅷ CHIPS"),  # compatibility characters stay what they are
    ],
)
def test_one_normal_form(given: str, kept: str) -> None:
    """RFC 8265 4.2, OpaqueString."""
    if len(set(kept)) >= 4:  # else it is a common one
        assert passwords.check(given) == kept
    assert passwords.normal(given) == kept
    assert passwords.normal(kept) == kept
    stored = passwords.hash_password(given)
    assert passwords.verify(stored, kept)
    assert passwords.verify(stored, given)
    assert passwords.renewed(stored, given) is None
    assert passwords.hash_password(kept) != stored  # salted


def test_a_common_one_in_another_form() -> None:
    with pytest.raises(ValueError, match="first that anybody"):
        passwords.check("password\u2003")


@pytest.mark.parametrize("given", ["Zu\u0308rich am See", "no\u00a0break", "tab\tin the middle"])
def test_older_hashes_are_of_what_was_given(given: str) -> None:
    """They are tried as given, and replaced by one of the normal form where there is one."""
    old = passwords.HASHER.hash(given)
    assert passwords.verify(old, given)
    assert not passwords.verify(old, given + "x")
    renewed = passwords.renewed(old, given)
    if "\t" in given:
        assert renewed is None
    else:
        assert renewed is not None
        assert passwords.verify(renewed, passwords.normal(given))


def test_the_same_work_without_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends another form than the normal one learns nothing from the second look either."""
    done: list[str] = []
    original = passwords._is
    monkeypatch.setattr(
        passwords, "_is", lambda stored, form: bool(done.append(form)) or original(stored, form)
    )
    for stored in (None, passwords.hash_password("analytical-engine")):
        done.clear()
        assert not passwords.verify(stored, "wrong Zu\u0308rich")
        assert done == ["wrong Zürich", "wrong Zu\u0308rich"]


def test_parameters() -> None:
    stored = passwords.hash_password("analytical-engine")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.verify(stored, "analytical-engine")
    assert not passwords.verify(stored, "analytical-engine ")
    assert passwords.renewed(stored, "analytical-engine") is None


def test_other_parameters_are_renewed() -> None:
    old = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("analytical-engine")
    assert passwords.verify(old, "analytical-engine")
    renewed = passwords.renewed(old, "analytical-engine")
    assert renewed is not None
    assert renewed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_nobody_and_nonsense() -> None:
    nobody = "no user has this password; it only costs the time of one"
    assert not passwords.verify(None, nobody)
    assert not passwords.verify("not a hash", "x")


def test_nothing_is_cut_off() -> None:
    stored = passwords.hash_password("a" * 127 + "b")
    assert not passwords.verify(stored, "a" * 127 + "c")
    assert not passwords.verify(stored, "a" * 127)
