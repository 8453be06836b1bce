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

Rules for text fields build on this (crud/fields.py), and say of themselves what they take, for the
description of the API.
"""

import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

import idna

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
        raise ValueError(f"Give at most {longest} characters.")


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
        raise ValueError(f"Remove the character U+{ord(found[0]):04X}, which cannot be shown.")


def _composed(text: str) -> str:
    if _many(text):
        row = 0
        for one in text:
            row = row + 1 if unicodedata.combining(one) else 0
            if row > MOST_MARKS:
                raise ValueError(f"Put at most {MOST_MARKS} marks on a letter.")
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
        raise ValueError(f"Give at most {longest} characters.")
    return clean
