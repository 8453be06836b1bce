"""Normal forms."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.crud import fields

RULES: list[Callable[[str], str]] = [fields.line, fields.email, fields.phone, fields.national_id]


@pytest.mark.parametrize(
    ("rule", "given_text", "stored"),
    [
        (fields.line, "  Ada   Lovelace ", "Ada Lovelace"),
        (fields.line, "Zoe\u0308", "Zoë"),
        (fields.email, " Ada.L+x@Example.COM ", "ada.l+x@example.com"),
        (fields.email, "a@b.co", "a@b.co"),
        (fields.phone, "+49 (30) 123-45.67", "+49301234567"),
        (fields.national_id, " ab-12 34 ", "AB-12 34"),
    ],
)
def test_accepted(rule: Callable[[str], str], given_text: str, stored: str) -> None:
    assert rule(given_text) == stored


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        *[(fields.line, t) for t in ("", "  ", "a\nb", "a\x00b", "a\u200e\x1b[31m", "\ue000")],
        *[
            (fields.email, t)
            for t in (
                "", "a", "@", "a@", "@b.co", "a@b", "a@b..co", "a..b@c.de", ".a@b.co", "a.@b.co",
                "a b@c.de", "a@b.c o", "a@-b.co", "a@b.123", "ä@b.co", "a@bücher.de", "a@b@c.de",
                "a@b.co\n.", "x" * 65 + "@b.co", "a@" + "b" * 64 + ".co", "a@" + "b." * 126 + "co",
                '"a"@b.co', "a@[127.0.0.1]", "$ne@b",
            )
        ],
        *[
            (fields.phone, t)
            for t in ("", "123", "0301234567", "+0301234567", "+1234", "+" + "1" * 16, "+49x30123",
                      "+٤٩١٢٣٤٥٦٧")
        ],
        *[
            (fields.national_id, t)
            for t in ("", "abc", "----", "-1234", "1234-", "12--34", "12_34", "é1234", "1" * 33,
                      "$where")
        ],
    ],
)  # fmt: skip
def test_refused(rule: Callable[[str], str], text: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):  # a sentence for the consumer
        rule(text)


@given(st.text())
def test_a_normal_form_is_its_own(text: str) -> None:
    for rule in RULES:
        with contextlib.suppress(ValueError):
            assert rule(rule(text)) == rule(text)


def test_grouping_makes_no_other_number() -> None:
    keys = {fields.national_id_key(t) for t in ("AB-12 34", "AB1234", "ab.12/34")}
    assert keys == {"AB1234"}
