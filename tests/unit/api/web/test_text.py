"""Normal forms: what is accepted, how it is kept, and that it can be sent back as it is kept."""

import contextlib
from collections.abc import Callable

import pytest
from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st

from api.web import text as texts

LINE, PARAGRAPHS = texts.line(200), texts.paragraphs(200)
RULES: list[Callable[[str], str]] = [
    LINE, PARAGRAPHS, texts.line(3), texts.email, texts.phone, texts.national_id,
]  # fmt: skip

# Every code point, assigned or not; and those that change what stands beside them, much more often.
TEXTS = st.one_of(
    st.text(st.characters()),
    st.text(st.characters(exclude_categories=("Cc", "Co", "Cs")), min_size=190),
    st.text(
        st.sampled_from(
            "aé1 \t\n\r\u0301\u0327\u0958\u094d\u0915\u093c\u09b0\u09cd\u0645\u06cc\u200b\u200c"
            "\u200d\u200e\u202e\u2060\ufe0e\ufe0f\U000e0101\U000e0067\U000e007f\u180b\u1820\u1100"
            "\u1160\u1161\u11a8\u20e3☺👩🏽💻🏴\u2800\ufeff\u3164\ufff9\u034f\u2028\xa0\U000113d0\U00011f41"
        )
    ),
    st.text(st.sampled_from("+(0)49 30-1x;=ext.tl:٤9\u2010\uff0b"), max_size=20),
    st.text(st.sampled_from("aAßüé@.xn--İſK\u200d\u3002１"), max_size=20),
)


@given(TEXTS)
@example("\u1100\u200b\u1161")
@example("a \U000e0101\u200d\u094d")  # what keeps a joiner goes itself
@example("\u0915\u094d\u200b\u093c\u200d")
def test_what_was_accepted_can_be_sent_back(text: str) -> None:
    """And is taken for the same: a normal form is its own."""
    for rule in RULES:
        with contextlib.suppress(ValueError):
            normal = rule(text)
            assert rule(normal) == normal


@given(TEXTS)
def test_what_is_kept_of_lines_can_be_shown_and_stored(text: str) -> None:
    with contextlib.suppress(ValueError):
        kept = LINE(text)
        kept.encode()
        assert kept.split() == kept.split(" ")
        assert "\0" not in kept
        assert 1 <= len(kept) <= 200
        assert texts.escaped(texts.visible(kept)).isascii() or kept == texts.visible(kept)


EMOJI = "👨‍👩‍👧‍👦 👩🏽‍💻 🏴‍☠️ 1️⃣ #️⃣ 🇩🇪 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ☺︎ 🙂‍↔️ ❤️‍🔥 🧑🏽‍🤝‍🧑🏻 ©️"
KEPT = {
    "emoji": EMOJI,
    "emoji of Unicode 16": "\U0001fae9",
    "ideographs of extension H": "\U00031350",
    "ideographs of extension J": "\U000323b0",
    "Persian": "می\u200cخواهم",
    "Hijri year": "۱۴۰۰ ه\u200d",
    "Hindi": "क्\u200dष क्\u200cष",
    "Sinhala": "ශ්\u200dරී",
    "Bengali": "র\u200d্যাব",
    "Mongolian": "ᠮᠣᠩ\u180bᠭᠣᠯ\u180eᠠ",
    "variants of ideographs": "葛\U000e0100飾区 辻\U000e0101",
    "Arabic number sign": "\u0600١٢",
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_what_scripts_and_emoji_need_stays(text: str) -> None:
    assert LINE(text) == text
    assert PARAGRAPHS(text) == text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Ada \u202eLovelace\u202c", "Ada Lovelace"),
        ("\ufeffAda\u200b Love\u00adlace", "Ada Lovelace"),
        ("A\u200dda\u200c", "Ada"),
        ("\u2067Ada\u2069 \u061cBob", "Ada Bob"),
        ("👩\u200d", "👩"),
        ("a\ufe0f b\U000e0101", "a b"),
        ("a\U000e0041b", "ab"),
        ("Ada\xa0\u3000\tLovelace\u202f", "Ada Lovelace"),
        ("\u1100\u200b\u1161", "\uac00"),
    ],
)
def test_what_cannot_be_seen_is_taken_out(text: str, kept: str) -> None:
    assert LINE(text) == kept
    assert (
        PARAGRAPHS(f"x {text} y").replace("\xa0\u3000\t", " ").replace("\u202f", "")
        == f"x {kept} y"
    )


def test_paragraphs() -> None:
    assert PARAGRAPHS("\n one\r\ntwo\rthree\u2028\n\tfour \n") == "one\ntwo\nthree\n\n\tfour"


BLANK = ["", "  ", "\t", "\u200b", "\u3164", "\u2800", "\u115f", "\uffa0", "\ufeff", "\u0301",
         "\u20dd", "\u093f", "\u200d", "\ufe0f", "\U000e0067", "\xa0\u3000", "\u1aff"]  # fmt: skip


@pytest.mark.parametrize("text", BLANK, ids=ascii)
def test_something_must_be_seen(text: str) -> None:
    for rule in (LINE, PARAGRAPHS):
        with pytest.raises(ValueError, match="can be seen"):
            rule(text)


@pytest.mark.parametrize(
    "text",
    ["a\x00", "a\x1b[31m", "a\x9b31m", "a\x7f", "\ue000a", "\ufdd0a", "\U0010ffffa", "a\ud800"],
    ids=ascii,
)  # fmt: skip
def test_what_nobody_else_sees_is_refused_by_name(text: str) -> None:
    for rule in (LINE, PARAGRAPHS):
        with pytest.raises(ValueError, match=r"U\+[0-9A-F]{4,6}"):
            rule(text)


def test_lengths_are_those_of_normal_forms() -> None:
    assert len(LINE("e\u0301" * 200)) == 200
    assert len(LINE("\u1fb7" * 200)) == len(LINE("α\u0342\u0345" * 200)) == 200
    assert len(LINE("\u0958" * 100)) == 200  # which is composed of two for ever
    for one in ("\u0958" * 101, "a" * 201, "e\u0301" * 201):
        with pytest.raises(ValueError, match="at most 200"):
            LINE(one)


def test_no_work_is_done_for_what_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "visible", lambda _text: pytest.fail("it was looked at"))
    for rule in RULES:
        with pytest.raises(ValueError, match="at most"):
            rule("e\u0301\u0327" * 400)


def test_marks_in_a_row() -> None:
    """The time to order them grows by its square: 8,000 took 0.2 s."""
    assert LINE("e" + "\u0327\u0301" * 15)
    with pytest.raises(ValueError, match="marks"):
        LINE("e" + "\u0301\u0327" * 40)


def test_escaped() -> None:
    assert texts.escaped("Zoë 👩 \u202eevil \x9b \ud800") == "Zoë 👩 \\u202eevil \\u009b \\ud800"


@pytest.mark.parametrize(
    ("rule", "given_text", "stored"),
    [
        (LINE, "  Ada   Lovelace ", "Ada Lovelace"),
        (LINE, "Zoe\u0308", "Zoë"),
        (texts.email, " Ada.L+x@Example.COM ", "ada.l+x@example.com"),
        (texts.email, "a@b.co", "a@b.co"),
        (texts.email, "Ana@bücher.example", "ana@xn--bcher-kva.example"),
        (texts.email, "ana@BU\u0308CHER.example", "ana@xn--bcher-kva.example"),
        (texts.email, "ana@XN--BCHER-KVA.example", "ana@xn--bcher-kva.example"),
        (texts.email, "a@faß.de", "a@xn--fa-hia.de"),
        (texts.email, "a@例え。テスト", "a@xn--r8jz45g.xn--zckzah"),
        (texts.email, "a@\u200bb.co", "a@b.co"),
        (texts.phone, "+49 (30) 123-45.67", "+49301234567"),
        (texts.phone, "+49 (0)30 1234567", "+49301234567"),
        (texts.phone, "0049 30/1234567", "+49301234567"),
        (texts.phone, "tel:+49-30-1234567", "+49301234567"),
        (texts.phone, "tel:+49-30-1234567;ext=12", "+49301234567;ext=12"),
        (texts.phone, "+49 30 1234567 ext. 012", "+49301234567;ext=012"),
        (texts.phone, "+1 212 555 0199 x5", "+12125550199;ext=5"),
        (texts.phone, "+39 06 1234567", "+39061234567"),
        (texts.phone, "+٤٩٣٠١٢٣٤٥٦٧", "+49301234567"),
        (texts.phone, "+4930\u20111234567", "+49301234567"),
        (texts.national_id, " ab-12 34 ", "AB-12 34"),
        (texts.national_id, "ab\u200b-12\xa034", "AB-12 34"),
    ],
)
def test_accepted(rule: Callable[[str], str], given_text: str, stored: str) -> None:
    assert rule(given_text) == stored


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (LINE, "a\nb"),
        (LINE, "a\u2028"),
        *[
            (texts.email, t)
            for t in (
                "", "a", "@", "a@", "@b.co", "a@b", "a@b..co", "a..b@c.de", ".a@b.co", "a.@b.co",
                "a b@c.de", "a@b.c o", "a@-b.co", "a@b.123", "ä@b.co", "a@b@c.de", "a@☃.net",
                "a@b.co\n.", "x" * 65 + "@b.co", "a@" + "b" * 64 + ".co", "a@" + "b." * 126 + "co",
                '"a"@b.co', "a@[127.0.0.1]", "$ne@b", "a@xn--n3h.net", "a@xn--ü.net", "ä@b@c.de",
                "a@b.１２", "a@bücher", "Ada <a@bücher.de>",
            )
        ],
        *[
            (texts.phone, t)
            for t in ("", "123", "0301234567", "+0301234567", "+1234", "+" + "1" * 16, "+49x30123",
                      "+49)(30 1234567", "+49 ((30)) 1234567", "+49 30\n1234567", "+49301234567\n",
                      "call +49301234567", "+49301234567 Ada", "+49 30 1234567 ext. 12345678",
                      "+49 30 1234567;ext=", "+999 30 1234567", "+1 555 0199", "tel:",
                      "+1-800-FLOWERS")
        ],
        *[
            (texts.national_id, t)
            for t in ("", "abc", "----", "-1234", "1234-", "12--34", "12_34", "é1234", "1" * 33,
                      "$where", "straße1", "ıd1234", "ſ1234", "ﬁ1234", "\u212a1234", "١٢٣٤",
                      "１２３４")
        ],
    ],
)  # fmt: skip
def test_refused(rule: Callable[[str], str], text: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):  # a sentence for the consumer
        rule(text)


def test_local_parts_beyond_ascii_are_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="ASCII letters before the @"):
        texts.email("jürgen@example.com")


def test_the_country_of_phone_numbers_is_a_setting() -> None:
    app = Flask("x")
    with app.app_context():
        app.config[texts.PHONE_REGION] = "DE"
        assert texts.phone("030 1234567") == texts.phone("+49 30 1234567") == "+49301234567"
        assert texts.phone("0044 20 7946 0018") == "+442079460018"
        app.config[texts.PHONE_REGION] = ""
        with pytest.raises(ValueError, match="phone number"):
            texts.phone("030 1234567")


def test_grouping_makes_no_other_number() -> None:
    keys = {texts.national_id_key(t) for t in ("AB-12 34", "AB1234", "ab.12/34")}
    assert keys == {"AB1234"}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Café", "cafe"),
        ("CAFE\u0301", "cafe"),
        ("Straße", "strasse"),
        ("Łódź, Øystein, Ægir", "lodz, oystein, aegir"),
        ("İstanbul, ISTANBUL, ıstanbul", "istanbul, istanbul, istanbul"),
        ("O’Brien", "o'brien"),
        ("ﬁn Ｆｕｌｌ", "fin full"),
        ("Ελλάς", "ελλασ"),
        ("Ёлка", "елка"),
        ("कि", "कि"),  # the marks of this script are vowels
        ("a \xa0 b\n c ", "a b c "),
        ("x" * 300, "x" * 200),
    ],
)
def test_search_keys(text: str, key: str) -> None:
    assert texts.search_key(text) == key


@given(TEXTS, st.integers(0, 200))
def test_the_key_of_a_beginning_is_the_beginning_of_the_key(text: str, length: int) -> None:
    for rule in (LINE, PARAGRAPHS):
        with contextlib.suppress(ValueError):
            normal = rule(text)
            begun = texts.beginning(rule, normal[:length])
            assert texts.search_key(normal).startswith(texts.search_key(begun))


def test_which_texts_have_one() -> None:
    assert texts.is_prose(LINE)
    assert texts.is_prose(PARAGRAPHS)
    assert not any(map(texts.is_prose, (texts.email, texts.phone, texts.national_id, None)))
