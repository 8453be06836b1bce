"""Passwords: what is accepted, and how it is kept (Argon2id).

Parameters after OWASP's password storage cheat sheet: 19 MiB, 2 passes, 1 lane: 24 ms here.
"""

import re
from itertools import pairwise

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from api.auth.common_passwords import COMMON
from api.web.rules import documented

SHORTEST = 8
LONGEST = 128  # characters; Argon2 takes all of them, nothing is cut off

HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)

# Letters that are commonly written as something else, undone before a look at the list.
PLAIN = str.maketrans("@4301$5!7", "aaeoissit")

# Verified when there is no such user, so that the answer takes the same time as a wrong password.
NOBODY = HASHER.hash("no user has this password; it only costs the time of one")


@documented(
    format="password",
    description="8 to 128 characters; none of the passwords that anybody would try first.",
)
def check(password: str) -> str:
    """The password itself, if it may be used. Raises ValueError with the reason."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise ValueError(f"Use {SHORTEST} to {LONGEST} characters.")
    if "\x00" in password:
        raise ValueError("Do not use the NUL character.")
    if is_common(password):
        raise ValueError("This password is among the first that anybody would try.")
    return password


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
    """The hash to store."""
    return HASHER.hash(password)


def verify(stored: str | None, password: str) -> bool:
    """Whether this is the password. Takes the same time when there is no stored hash."""
    try:
        HASHER.verify(stored or NOBODY, password)
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False
    return stored is not None


def needs_rehash(stored: str) -> bool:
    """Whether it was made with other parameters than today's."""
    return HASHER.check_needs_rehash(stored)
