"""Normal forms of text fields: a rule takes what was sent and returns what is stored.

Raises ValueError with a sentence for the consumer. What a rule returns, it returns unchanged when
it is given it again, so what was read can always be sent back. Lengths count the code points of
the normal form.
"""

import re

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from flask import current_app, has_app_context
from phonenumbers import NumberParseException, PhoneNumberFormat

from api.web import text as texts
from api.web.text import Rule, documented

LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*").fullmatch
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?").fullmatch
LONGEST_EMAIL = 254  # RFC 5321, errata 1690
LONGEST_LOCAL = 64
LONGEST_PHONE = 64  # as it is written; what is stored has at most 28
PHONE = re.compile(
    r"(?:tel:)? ?(?P<number>[+\uff0b]?[\d ./\-\u2010-\u2015]*"
    r"(?:\([\d ]+\)[\d ./\-\u2010-\u2015]*)*)"
    r"(?:(?:;ext=|extension|ext\.?|x\.?|#) ?(?P<extension>\d{1,7}))?",
    re.IGNORECASE,
).fullmatch
PHONE_REGION = "PHONE_REGION"  # of the app's configuration: the setting `phone_region`
NATIONAL_ID = re.compile(r"[A-Z0-9]+([ ./-][A-Z0-9]+)*").fullmatch
LONGEST_NATIONAL_ID = 64  # with what groups it


def line(longest: int) -> Rule:
    """The rule for one line of text of at most so many characters."""

    @documented(
        format="line",
        description="One line of text, of which something can be seen. No control characters.",
        minLength=1,
        maxLength=longest,
    )
    def rule(text: str) -> str:
        return texts.one_line(text, longest)

    return rule


def paragraphs(longest: int) -> Rule:
    """The rule for text of several lines."""

    @documented(
        format="text",
        description="Lines of text, of which something can be seen. No control characters but "
        "line ends and tabs.",
        minLength=1,
        maxLength=longest,
    )
    def rule(text: str) -> str:
        return texts.several_lines(text, longest)

    return rule


@documented(
    format="email",
    description="local@domain.tld. The domain may be an internationalised one (IDNA 2008), and is "
    "kept in its ASCII form (`xn--…`); the part before the @ is ASCII.",
    minLength=6,
    maxLength=LONGEST_EMAIL,
)
def email(text: str) -> str:
    """An address in lower case and ASCII: `local@domain.tld` (RFC 5321).

    A domain has one form (its A-label), so one address is one claim. A local part beyond ASCII is
    refused: not all mail servers on the way take it (RFC 6531), and which of its forms are the same
    mailbox only its own server knows.
    """
    clean = texts.one_line(text, LONGEST_EMAIL)
    if not clean.isascii() or "xn--" in clean.lower():  # the others need no tables: 2 µs, not 95
        clean = _with_ascii_domain(clean)
    return _ascii_email(clean.lower())


def _with_ascii_domain(text: str) -> str:
    if not text.partition("@")[0].isascii():
        raise ValueError(
            "Use ASCII letters before the @: not every mail server delivers to other addresses."
        )
    try:
        found = validate_email(text, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError:
        raise ValueError("Give an e-mail address such as ada@example.com.") from None
    return str(found.ascii_email)


def _ascii_email(clean: str) -> str:
    local, at, domain = clean.rpartition("@")
    labels = domain.split(".")
    if (
        not at
        or len(clean) > LONGEST_EMAIL
        or len(local) > LONGEST_LOCAL
        or not LOCAL(local)
        or len(labels) < 2
        or not all(LABEL(label) for label in labels)
        or labels[-1].isdigit()
    ):
        raise ValueError("Give an e-mail address such as ada@example.com.")
    return clean


@documented(
    format="phone",
    description="A number that exists, in international form (`+49 30 1234567`), grouped as people "
    "do, perhaps with an extension (`ext. 12`). Kept as `+49301234567`, or `+49301234567;ext=12`.",
    minLength=5,
    maxLength=LONGEST_PHONE,
)
def phone(text: str) -> str:
    """A number in E.164, with its extension as in a `tel:` URI (RFC 3966).

    Where the setting `phone_region` names a country, numbers as dialled there are taken, too.
    """
    clean = texts.one_line(text, LONGEST_PHONE)
    region = current_app.config.get(PHONE_REGION) if has_app_context() else None
    written = PHONE(clean)
    try:
        # 00 as from most countries; no number of any country begins with it.
        dialled = re.sub("^00", "+", written["number"]) if written else ""
        number = phonenumbers.parse(dialled, region or None)
    except NumberParseException:
        number = phonenumbers.PhoneNumber()
    if written is None or not phonenumbers.is_valid_number(number):
        raise ValueError("Give a phone number that exists, such as +49 30 1234567.")
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    extension = written["extension"]
    return f"{e164};ext={int(extension):0{len(extension)}d}" if extension else e164


@documented(
    format="national-id",
    description="4 to 32 ASCII letters and digits, in groups parted by one space, hyphen, dot or "
    "slash. Capitals or not makes no difference.",
    minLength=4,
    maxLength=LONGEST_NATIONAL_ID,
)
def national_id(text: str) -> str:
    """Capital letters and digits, in groups as sent: `123-45-6789`, `AB 12 34 56 C`.

    Only ASCII: the capital of another letter (SS of a sharp s) is a letter of another number.
    """
    clean = texts.one_line(text, LONGEST_NATIONAL_ID)
    if not clean.isascii() or "\u212a" in text:  # the sign of kelvin, which is composed as K
        raise ValueError("Use the letters A to Z and the digits 0 to 9 only.")
    clean = clean.upper()
    if not NATIONAL_ID(clean) or not 4 <= len(national_id_key(clean)) <= 32:
        raise ValueError("Give 4 to 32 letters and digits; spaces, '-', '.' or '/' may group them.")
    return clean


def national_id_key(text: str) -> str:
    """What makes a national id the same number: its letters and digits, not their grouping."""
    return re.sub(r"[^A-Z0-9]", "", text.upper())


# What the beginning of a text becomes under its rule, as far as a beginning can tell.
BEGINNINGS = {email: str.lower, national_id: str.upper}


def beginning(rule: Rule | None, text: str) -> str:
    """The normal form of the first characters of a text."""
    composed = texts.visible(text)
    fold = BEGINNINGS.get(rule) if rule is not None else None
    return fold(composed) if fold is not None and composed.isascii() else composed
