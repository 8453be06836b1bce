"""Passwords: what is accepted, and how it is kept (Argon2id).

A password is kept in one normal form, that of OpaqueString (RFC 8265 4.2): composed (NFC), with
every kind of space as U+0020. So one that is typed on a Mac, whose keyboard decomposes letters, is
the same on a phone. Upper and lower case differ, and nothing is trimmed.
"""

import re
import unicodedata
from itertools import pairwise

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from api.web.languages import say
from api.web.text import WIDEST, documented

# What everybody tries first, and the words that is made of. Compared after lower-casing, and with
# digits and signs around it removed, so `Password123!` is found as `password`.
COMMON = frozenset(
    """
    password passwort passw0rd password1 pass word passe admin administrator root toor login
    welcome letmein changeme change default guest user username test tester testing demo sample
    secret topsecret mysecret nothing whatever trustno1 access master superman batman spiderman
    ironman starwars pokemon naruto minecraft fortnite football baseball basketball soccer hockey
    liverpool chelsea arsenal barcelona realmadrid juventus yankees cowboys steelers lakers
    qwerty qwertz azerty qwertyuiop qwertyui qwerty123 asdfghjkl asdfasdf asdfgh zxcvbnm zxcvbn
    1q2w3e4r 1q2w3e4r5t q1w2e3r4 1qaz2wsx qazwsx qazwsxedc zaq12wsx 1234qwer qwer1234 qweasdzxc
    12345678 123456789 1234567890 87654321 987654321 0123456789 11223344 12341234 123123123
    12344321 147258369 123654789 741852963 1029384756 31415926 00000000 11111111 88888888
    iloveyou ilovegod loveyou lovely love babygirl princess sweetheart sunshine shadow dragon
    monkey tigger tiger lion eagle falcon phoenix butterfly flower chocolate cookie cheese banana
    michael jennifer jessica ashley amanda daniel thomas robert charlie jordan andrew joshua
    matthew michelle nicole anthony william elizabeth samantha alexander victoria summer winter
    spring autumn january february monday friday sunday computer internet google facebook
    instagram whatsapp youtube samsung iphone android windows microsoft apple linux ubuntu
    mongodb mongo shardstack database server system network service support manager company
    office freedom blessed jesus christ heaven angel hello helloworld hallo hola bonjour
    mustang ferrari porsche mercedes harley corvette london paris berlin america canada brazil
    qwertyuiopasdfghjklzxcvbnm
    abc abcd abc123 abcd1234 a1b2c3d4 aa123456 abcdefgh 1a2b3c4d p@ssw0rd p@ssword pa55word
    """.split()  # noqa: SIM905 - a block of words reads better than a list of strings
)


SHORTEST = 8
LONGEST = 128  # characters of the normal form; Argon2 takes all of them, nothing is cut off
LONGEST_SENT = WIDEST * LONGEST

LENGTH = say("Use {least} to {most} characters.", least=SHORTEST, most=LONGEST)

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
