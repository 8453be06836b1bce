"""Normal forms of text fields: a rule takes what was sent and returns what is stored.

Raises ValueError with a sentence for the consumer.
"""

import re
import unicodedata
from collections.abc import Callable

from api.web.rules import documented

LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*").fullmatch
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?").fullmatch
CONTROLS = frozenset({"Cc", "Cs", "Co", "Cn"})  # categories of Unicode
NATIONAL_ID = re.compile(r"[A-Z0-9]+([ ./-][A-Z0-9]+)*").fullmatch


def _plain(text: str) -> bool:
    """Whether it is plainly good: a tenth of the time that looking at each character takes."""
    return text.isascii() and text.isprintable()


@documented(format="line", description="One line of printable characters, not all spaces.")
def line(text: str) -> str:
    """One line of text: composed characters (NFC), single spaces, no control characters."""
    if not _plain(text) and any(unicodedata.category(one) in CONTROLS for one in text):
        raise ValueError("Use printable characters only, in one line.")
    clean = " ".join(unicodedata.normalize("NFC", text).split())
    if not clean:
        raise ValueError("Give at least one character that is not a space.")
    return clean


@documented(format="text", description="Printable characters, line ends and tabs; not all spaces.")
def paragraphs(text: str) -> str:
    """Text of several lines: composed characters, no control characters but line ends and tabs."""
    clean = unicodedata.normalize("NFC", text.replace("\r\n", "\n")).strip()
    shown = clean.replace("\n", "").replace("\t", "")
    if not _plain(shown) and any(unicodedata.category(one) in CONTROLS for one in shown):
        raise ValueError("Use printable characters, line ends and tabs only.")
    if not clean:
        raise ValueError("Give at least one character that is not a space.")
    return clean


@documented(format="email", description="local@domain.tld in ASCII, at most 254 characters.")
def email(text: str) -> str:
    """An address in lower case: `local@domain.tld`, ASCII, at most 254 characters (RFC 5321)."""
    clean = text.strip().lower()
    local, at, domain = clean.rpartition("@")
    labels = domain.split(".")
    if (
        not at
        or not clean.isascii()
        or len(clean) > 254
        or len(local) > 64
        or not LOCAL(local)
        or len(labels) < 2
        or not all(LABEL(label) for label in labels)
        or labels[-1].isdigit()
    ):
        raise ValueError("Give an e-mail address such as ada@example.com.")
    return clean


@documented(
    format="phone",
    description="+ and 7 to 15 digits; spaces, dots, hyphens and brackets may group them.",
)
def phone(text: str) -> str:
    """A number in international form, `+` and 7 to 15 digits (E.164)."""
    clean = re.sub(r"[\s().-]", "", text)
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", clean, re.ASCII):
        raise ValueError("Give a phone number in international form such as +49 30 1234567.")
    return clean


@documented(
    format="national-id",
    description="4 to 32 letters and digits, in groups parted by one space, hyphen, dot or slash.",
)
def national_id(text: str) -> str:
    """Capital letters and digits, in groups as sent: `123-45-6789`, `AB 12 34 56 C`."""
    clean = line(text).upper()
    if not NATIONAL_ID(clean) or not 4 <= len(national_id_key(clean)) <= 32:
        raise ValueError("Give 4 to 32 letters and digits; spaces, '-', '.' or '/' may group them.")
    return clean


def national_id_key(text: str) -> str:
    """What makes a national id the same number: its letters and digits, not their grouping."""
    return re.sub(r"[^A-Z0-9]", "", text.upper())


# What the beginning of a text becomes under its rule, as far as a beginning can tell.
BEGINNINGS: dict[Callable[[str], str], Callable[[str], str]] = {
    email: str.lower,
    national_id: str.upper,
}


def beginning(rule: Callable[[str], str] | None, text: str) -> str:
    """The normal form of the first characters of a text."""
    fold = BEGINNINGS.get(rule) if rule is not None else None
    composed = unicodedata.normalize("NFC", text)
    return composed if fold is None else fold(composed)
