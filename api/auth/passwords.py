"""Passwords: what is accepted, and how it is kept (Argon2id).

A password is kept in one normal form, that of OpaqueString (RFC 8265 4.2): composed (NFC), with
every kind of space as U+0020. So one that is typed on a Mac, whose keyboard decomposes letters, is
the same on a phone. Upper and lower case differ, and nothing is trimmed.

Parameters after OWASP's password storage cheat sheet: 19 MiB, 2 passes, 1 lane: 24 ms here.
"""

import re
import unicodedata
from itertools import pairwise

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from api.auth.common_passwords import COMMON
from api.web.text import WIDEST, documented

SHORTEST = 8
LONGEST = 128  # characters of the normal form; Argon2 takes all of them, nothing is cut off
LONGEST_SENT = WIDEST * LONGEST

LENGTH = f"Use {SHORTEST} to {LONGEST} characters."

HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)

# Letters that are commonly written as something else, undone before a look at the list.
PLAIN = str.maketrans("@4301$5!7", "aaeoissit")

# Verified when there is no such user, so that the answer takes the same time as a wrong password.
NOBODY = HASHER.hash("no user has this password; it only costs the time of one")


def normal(password: str) -> str:
    """The normal form. Raises ValueError with the reason, also when it is too short or long."""
    if len(password) > LONGEST_SENT:  # before any work on it
        raise ValueError(LENGTH)
    if any(unicodedata.category(one) == "Cc" for one in password):
        raise ValueError("Do not use control characters, such as NUL, tab or a line end.")
    spaced = "".join(" " if unicodedata.category(one) == "Zs" else one for one in password)
    composed = unicodedata.normalize("NFC", spaced)
    if not SHORTEST <= len(composed) <= LONGEST:
        raise ValueError(LENGTH)
    return composed


@documented(
    format="password",
    description="8 to 128 characters once composed (RFC 8265, OpaqueString), no control "
    "characters; none of the passwords that anybody would try first.",
    minLength=SHORTEST,
    maxLength=LONGEST,
)
def check(password: str) -> str:
    """The normal form, if it may be used. Raises ValueError with the reason."""
    found = normal(password)
    if is_common(found):
        raise ValueError("This password is among the first that anybody would try.")
    return found


def is_common(password: str) -> bool:
    """Whether it is on the list, is one with digits or signs around it, or repeats, or counts."""
    lower = password.lower()
    if lower in COMMON or len(set(lower)) < 4 or _counts(lower):
        return True
    bare = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", lower)
    return bare in COMMON or lower.translate(PLAIN) in COMMON or bare.translate(PLAIN) in COMMON


def _counts(text: str) -> bool:
    """`12345678`, `abcdefgh`, `87654321`: every step is the same, one up or one down."""
    steps = {ord(b) - ord(a) for a, b in pairwise(text)}
    return steps in ({1}, {-1})


def hash_password(password: str) -> str:
    """The hash to store, of the normal form. Raises ValueError where there is none."""
    return HASHER.hash(normal(password))


def verify(stored: str | None, password: str) -> bool:
    """Whether this is the password: its normal form, or, for hashes made before there was one, the
    password as it was given. Takes the same time when there is no stored hash.
    """
    try:
        forms = dict.fromkeys((normal(password), password))
    except ValueError:
        forms = dict.fromkeys((password[:LONGEST_SENT],))
    return any(_is(stored or NOBODY, form) for form in forms) and stored is not None


def _is(stored: str, form: str) -> bool:
    try:
        return HASHER.verify(stored, form)
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False


def renewed(stored: str, password: str) -> str | None:
    """The hash that replaces the one which this password was just found right for; None: none.

    One with other parameters than today's, or of what is not the normal form, is replaced.
    """
    try:
        form = normal(password)
    except ValueError:  # from before these rules: it stays good until it is changed
        return None
    if not HASHER.check_needs_rehash(stored) and (form == password or _is(stored, form)):
        return None
    return HASHER.hash(form)
