"""Text from outside: what of it is kept, what is taken out, what is refused.

One rule for every line and paragraph that people write, after PRECIS (RFC 8264, 4.3): composed
characters (NFC), no controls, no characters that are there and cannot be seen. It differs in what
PRECIS does to people's text: PRECIS refuses code points that its tables do not know, so new emoji
and new ideographs, and refuses invisible characters, which are pasted unknowingly.

taken out   invisible characters (Default_Ignorable_Code_Point of Unicode): zero width spaces, marks
            and overrides of direction, byte order marks, fillers. They stay where they decide what
            is seen: joiners in scripts (RFC 5892, appendix A) and in emoji, variation selectors.
refused     controls, private use, noncharacters: nobody else sees what their writer saw

All of these are ranges that do not change, and code points that are not assigned pass: so what is
accepted does not depend on the Unicode version of the Python that runs. What a rule returns, it
returns unchanged when it is given it again.

A rule for a text field takes what was sent and returns its normal form, which is stored. It raises
ValueError with a sentence for the consumer. Lengths count the code points of the normal form. Rules
say of themselves what they take, for the description of the API.
"""

import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

import idna
import phonenumbers
from email_validator import EmailNotValidError, validate_email
from flask import current_app, has_app_context
from phonenumbers import NumberParseException, PhoneNumberFormat

from api.web.languages import say

Rule = Callable[[str], str]


def documented(**schema: Any) -> Callable[[Rule], Rule]:
    """Give a rule keywords of JSON Schema: a named `format`, lengths, a description in words.

    Normal forms undo more than a pattern could say (spaces, case, composed characters); a format
    tells the truth, and a generator of test data can be taught it.
    """

    def mark(rule: Rule) -> Rule:
        rule.schema = schema  # type: ignore[attr-defined]
        return rule

    return mark


def schema_of(rule: Rule) -> dict[str, Any]:
    """The keywords of a rule; none when it was given none."""
    found: dict[str, Any] = getattr(rule, "schema", {})
    return found


WHITE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
LINE_ENDS = r"\n-\r\x85\u2028\u2029"
# What can be kept by what stands around it, and what never is.
JOINERS = r"\u200c\u200d"
SELECTORS = r"\ufe00-\ufe0f\U000e0100-\U000e01ef"
TAGS = r"\U000e0020-\U000e007f"
MONGOLIAN = r"\u180b-\u180f"
INVISIBLE = (
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e001f\U000e0080-\U000e00ff\U000e01f0-\U000e0fff"
)
CONTROLS = r"\x00-\x1f\x7f-\x9f"
NOT_TEXT = (
    r"\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff\U000f0000-\U000fffff"
    r"\U00100000-\U0010ffff"
    + "".join(f"\\U{plane:04x}fffe\\U{plane:04x}ffff" for plane in range(1, 15))
)
# Extended_Pictographic, as blocks; the skin tones and regional indicators are among them.
PICTURE = (
    r"[\xa9\xae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u25a0-\u27bf\u2900-\u297f"
    r"\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff\U0001fc00-\U0001fffd]"
)
BEFORE_SELECTOR = r"[#*0-9\xa9-\U0010ffff]"  # not ASCII letters, which have no variants
MOST_MARKS = 30  # in a row (UAX #15, 13); to order n of them takes time by the square of n
WIDEST = 4  # code points that one composed character can have been sent as

VIRAMA = 9  # combining class of the sign that joins two consonants
ZWNJ, ZWJ = "\u200c", "\u200d"

SPECIAL = f"{JOINERS}{SELECTORS}{TAGS}{MONGOLIAN}"

_refused = re.compile(f"[{NOT_TEXT}]|(?![{WHITE}])[{CONTROLS}]").search
_line_ends = re.compile(rf"\r\n|[{LINE_ENDS}]")
_special = re.compile(f"[{INVISIBLE}{SPECIAL}]").search
_invisible = re.compile(f"[{INVISIBLE}]+").sub
_contextual = re.compile(
    rf"{PICTURE}[{SELECTORS}]?[{TAGS}]*(?:\u200d{PICTURE}[{SELECTORS}]?)*"  # UTS #51, ED-16
    rf"|(?![{WHITE}{SPECIAL}]){BEFORE_SELECTOR}[{SELECTORS}]"
    rf"|[\u1820-\u18aa][{MONGOLIAN}]"
    rf"|(?P<joiners>[{JOINERS}]+)"
    rf"|(?P<stray>[{SELECTORS}{TAGS}{MONGOLIAN}]+)"
).sub
_many = re.compile(rf"[^\x00-\u02ff]{{{MOST_MARKS + 1}}}").search  # no mark comes before U+0300
_blank = re.compile(
    # The five blocks hold marks and nothing else, also where none is assigned yet.
    rf"[{WHITE}{SPECIAL}\u2800\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
).match
_category = unicodedata.ucd_3_2_0.category  # the same on every Python; later marks pass for letters
_escaped = re.compile(rf"[\x7f-\x9f\u2028\u2029{INVISIBLE}{SPECIAL}{NOT_TEXT}]").sub


def one_line(text: str, longest: int) -> str:
    """A line in its normal form: spaces single, none around it.

    `longest`: code points that the normal form may have. Raises ValueError with a sentence.
    """
    check_size(text, longest)
    if not (text.isascii() and text.isprintable()):
        _refuse_controls(text)
        if _line_ends.search(text):
            raise ValueError("Give it in one line.")
        text = visible(text)
    return _judged(" ".join(text.split()), longest)


def several_lines(text: str, longest: int) -> str:
    """Paragraphs in their normal form: line ends are LF, none and no spaces around the whole."""
    check_size(text, longest)
    if not (text.isascii() and text.isprintable()):
        _refuse_controls(text)
        text = visible(_line_ends.sub("\n", text))
    return _judged(text.strip(), longest)


def check_size(text: str, longest: int) -> None:
    """Refuse what is too long however it is composed, before any work is done for it."""
    if len(text) > WIDEST * longest:
        raise ValueError(say("Give at most {longest} characters.", longest=longest))


def visible(text: str) -> str:
    """The text composed (NFC), without what is invisible and means nothing where it stands."""
    if text.isascii():
        return text
    if not _special(text):
        return _composed(text)
    while True:  # what is taken out may bring together what composes, so until nothing changes
        clean = _composed(_contextual(_kept, _composed(_invisible("", text))))
        if clean == text:
            return clean
        text = clean


def escaped(text: str) -> str:
    """Text that people look at in a terminal or a log: what cannot be seen, as JSON escapes."""
    return _escaped(lambda found: json.dumps(found[0])[1:-1], text)


def _refuse_controls(text: str) -> None:
    found = _refused(text)
    if found:
        raise ValueError(
            say(
                "Remove the character {name}, which cannot be shown.", name=f"U+{ord(found[0]):04X}"
            )
        )


def _composed(text: str) -> str:
    if _many(text):
        row = 0
        for one in text:
            row = row + 1 if unicodedata.combining(one) else 0
            if row > MOST_MARKS:
                raise ValueError(say("Put at most {most} marks on a letter.", most=MOST_MARKS))
    return unicodedata.normalize("NFC", text)


def _kept(found: re.Match[str]) -> str:
    """What stays of a match of `_contextual`."""
    if found.lastgroup is None:
        return found[0]
    joiner = found[0][0]
    return joiner if found.lastgroup == "joiners" and _joins(joiner, found) else ""


def _joins(joiner: str, found: re.Match[str]) -> bool:
    """Whether a joiner changes how the letters beside it are written.

    Besides RFC 5892's rules: Bengali's ra + ZWJ + virama, and Arabic's ZWJ behind a letter, which
    takes the form that joins (the sign of the Hijri year).
    """
    before = found.string[max(0, found.start() - MOST_MARKS - 1) : found.start()]
    after = found.string[found.end() : found.end() + MOST_MARKS + 1]
    if joiner == ZWJ and before and unicodedata.bidirectional(before[-1]) == "AL":
        return True
    if joiner == ZWJ and before and after and unicodedata.combining(after[0]) == VIRAMA:
        return not before[-1].isspace()
    try:
        return idna.valid_contextj(before + joiner + after, len(before))
    except ValueError:  # beside a code point that is not assigned
        return False


def _judged(clean: str, longest: int) -> str:
    if not clean or (
        not clean.isascii() and all(_blank(one) or _category(one)[0] == "M" for one in clean)
    ):
        raise ValueError("Give at least one character that can be seen.")
    if len(clean) > longest:
        raise ValueError(say("Give at most {longest} characters.", longest=longest))
    return clean


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
        return one_line(text, longest)

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
        return several_lines(text, longest)

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
    clean = one_line(text, LONGEST_EMAIL)
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
    clean = one_line(text, LONGEST_PHONE)
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
    clean = one_line(text, LONGEST_NATIONAL_ID)
    if not clean.isascii() or "\u212a" in text:  # the sign of kelvin, which is composed as K
        raise ValueError("Use the letters A to Z and the digits 0 to 9 only.")
    clean = clean.upper()
    if not NATIONAL_ID(clean) or not 4 <= len(national_id_key(clean)) <= 32:
        raise ValueError("Give 4 to 32 letters and digits; spaces, '-', '.' or '/' may group them.")
    return clean


def national_id_key(text: str) -> str:
    """What makes a national id the same number: its letters and digits, not their grouping."""
    return re.sub(r"[^A-Z0-9]", "", text.upper())


LONGEST_KEY = 200  # of a search key, in code points: what is longer is told apart no further
# Letters with a stroke or of two letters, which Unicode does not decompose, as people type them.
PLAIN = str.maketrans(
    {
        **dict(zip("øłđħŧı", "oldhti", strict=True)),
        **{"æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "ŋ": "ng", "\u2019": "'"},
    }
)
_accents = re.compile("[\u0300-\u036f]+").sub
_spaces = re.compile(r"\s+").sub


def is_prose(rule: Rule | None) -> bool:
    """Whether a text of this rule is one that people write for people."""
    return rule is not None and schema_of(rule).get("format") in ("line", "text")


def search_key(text: str) -> str:
    """What texts have in common that people take for alike when they search, and sort by.

    Capitals and accents make no difference, nor do ligatures, the width of letters and what spaces
    there are between words: case folding and compatibility decomposition (Unicode 3.13, UAX #15),
    without the marks of Latin, Greek and Cyrillic. Marks of other scripts, which are vowels there,
    stay. The key of a text's beginning is the beginning of its key.
    """
    if not text.isascii():
        plain = unicodedata.normalize("NFKD", text).casefold()
        text = _accents("", unicodedata.normalize("NFKD", plain)).translate(PLAIN)
    return _spaces(" ", text.casefold()).removeprefix(" ")[:LONGEST_KEY]


# What the beginning of a text becomes under its rule, as far as a beginning can tell.
BEGINNINGS = {email: str.lower, national_id: str.upper}


def beginning(rule: Rule | None, text: str) -> str:
    """The normal form of the first characters of a text."""
    composed = visible(text)
    fold = BEGINNINGS.get(rule) if rule is not None else None
    return fold(composed) if fold is not None and composed.isascii() else composed
