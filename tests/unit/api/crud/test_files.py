"""The names of files: as they are shown, and as a download is called."""

import pytest

from api.crud.files import disposition, shown_name

NAMES = {
    "cv.pdf": "cv.pdf",
    "C:\\fakepath\\cv.pdf": "cv.pdf",
    "/home/me/cv.pdf": "cv.pdf",
    "..": "",
    ".": "",
    "a/..": "",
    "a/": "",
    "Screenshot 5.36.58\u202fPM.pdf": "Screenshot 5.36.58 PM.pdf",
    "\U0001f469\u200d\U0001f4bb.pdf": "\U0001f469\u200d\U0001f4bb.pdf",
    "\u0645\u06cc\u200c\u062e.pdf": "\u0645\u06cc\u200c\u062e.pdf",
    "a\u00a0b\u3000c.pdf": "a b c.pdf",
    "\u202egnp.pdf": "gnp.pdf",
    "a\r\nb\x00.pdf": "a b.pdf",
    "e\u0301.pdf": "\u00e9.pdf",
    ".bashrc": ".bashrc",
}


@pytest.mark.parametrize("given", NAMES, ids=ascii)
def test_as_it_is_shown(given: str) -> None:
    assert shown_name(given) == NAMES[given]
    assert shown_name(NAMES[given]) == NAMES[given]


def test_as_a_download_is_called() -> None:
    """RFC 6266, 5987: nothing in the name ends the parameter, or the header."""
    assert disposition('a";\u20ac%.pdf') == (
        "attachment; filename=\"a____.pdf\"; filename*=UTF-8''a%22%3B%E2%82%AC%25.pdf"
    )
